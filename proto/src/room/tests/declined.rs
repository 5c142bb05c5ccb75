//! Who asks to come in and is told no: who knows of it, who may say so, and what stands above it.

use std::sync::Arc;

use super::rules::{auth, forge, why};
use super::support::{Person, identity, many};
use crate::control::{Control, Decline, History, InviteId, JoinRequest, Role, Sponsor, Target};
use crate::identity::Identity;
use crate::ids::{AccountId, EventId};
use crate::room::{JoinRefusal, NewInvite, Removal};
use crate::validity::Invalid;

/// A room of Alice with a moderator, a member, an invite that asks somebody, and who asks.
struct Asked {
    alice: Person,
    bob: Person,
    carol: Person,
    link: parlor_crypto::invite::InviteSeed,
    invite: InviteId,
    dave: Arc<Identity>,
}

fn asked() -> Asked {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Moderator));
    let mut bob = Person::join(2, &link, &mut alice);
    let link = alice.invite(&many(Role::Member));
    let mut carol = Person::join(3, &link, &mut alice);
    let link = alice.invite(&NewInvite { approval: true, sponsor: Sponsor::Moderator, ..many(Role::Member) });
    let invite = alice.room.invite_by_key(&link.keys().sign.public_bytes()).unwrap();
    alice.sync(&mut bob);
    alice.sync(&mut carol);
    Asked { alice, bob, carol, link, invite, dave: identity(4) }
}

impl Asked {
    fn account(&self) -> AccountId {
        self.dave.account()
    }

    fn decline(&self, by: &Person) -> Control {
        Control::Decline(Decline { auth: auth(by), invite: self.invite, account: self.account() })
    }
}

#[test]
fn a_no_is_known_to_all_who_may_answer_and_a_later_yes_stands_above_it() {
    let mut room = asked();
    let (invite, account) = (room.invite, room.account());
    assert_eq!(room.bob.admit(&room.dave, &room.link).err(), Some(JoinRefusal::Approval));
    let said = room.alice.room.decline(&invite, &account, room.alice.now).unwrap();
    assert_eq!(said.accepted.len(), 1);
    room.alice.keep(said);
    let again = room.alice.room.decline(&invite, &account, room.alice.now).unwrap();
    assert!(again.accepted.is_empty(), "one no is enough");
    room.bob.sync_from(&room.alice);
    room.bob.restart();
    let by = room.bob.room.declined(&invite, &account).map(|no| no.by);
    assert_eq!(by, Some(room.alice.room.me().account()));
    assert_eq!(room.bob.admit(&room.dave, &room.link).err(), Some(JoinRefusal::Declined));
    assert!(room.bob.room.decline(&invite, &account, room.bob.now).unwrap().accepted.is_empty());

    let request = Person::request(&room.bob.room.id(), &room.dave, &room.link);
    let admission = room.bob.room.admit(request, true, room.bob.now, &mut room.bob.rng).unwrap();
    room.bob.keep(admission.outcome);
    let mut dave = Person::joining(4, room.dave.clone(), &room.link, &room.bob.room.id(), &admission.welcome.unwrap());
    dave.sync(&mut room.bob);
    room.alice.sync(&mut room.bob);
    assert!(room.alice.room.member(&account).is_some());
    assert_eq!(room.alice.room.declined(&invite, &account), None);
    // Who left and asks again is asked for again, and may be told no again.
    let left = dave.room.leave(dave.now).unwrap();
    dave.keep(left);
    room.alice.sync(&mut dave);
    let (id, keys) = (room.alice.room.id(), room.link.keys());
    let anew = JoinRequest::sign(&id, &keys.sign, room.dave.signing_key(), room.dave.entrant(), [9; 16]);
    let answer = room.alice.room.admit(anew.clone(), false, room.alice.now, &mut room.alice.rng).err();
    assert_eq!(answer, Some(JoinRefusal::Approval));
    let said = room.alice.room.decline(&invite, &account, room.alice.now).unwrap();
    assert_eq!(said.accepted.len(), 1);
    room.alice.keep(said);
    let answer = room.alice.room.admit(anew, false, room.alice.now, &mut room.alice.rng).err();
    assert_eq!(answer, Some(JoinRefusal::Declined));
}

#[test]
fn a_yes_and_a_no_at_once_let_somebody_in() {
    let mut room = asked();
    let (invite, account) = (room.invite, room.account());
    let said = room.alice.room.decline(&invite, &account, room.alice.now).unwrap();
    room.alice.keep(said);
    let request = Person::request(&room.bob.room.id(), &room.dave, &room.link);
    let admission = room.bob.room.admit(request, true, room.bob.now, &mut room.bob.rng).unwrap();
    room.bob.keep(admission.outcome);
    room.alice.sync(&mut room.bob);
    for person in [&room.alice, &room.bob] {
        assert!(person.room.member(&account).is_some());
        assert_eq!(person.room.declined(&invite, &account), None);
    }
    assert_eq!(room.alice.room.state_hash(), room.bob.room.state_hash());
}

#[test]
fn only_who_may_let_in_says_no_only_on_what_asks_somebody_and_once() {
    let mut room = asked();
    let (invite, account) = (room.invite, room.account());
    assert_eq!(room.carol.room.decline(&invite, &account, room.carol.now).err(), Some(JoinRefusal::NotSponsor));
    let by_a_member = forge(&room.carol, &room.decline(&room.carol), |_| {});
    assert_eq!(why(&mut room.alice, by_a_member), Some(Invalid::Permission));
    let open = room.alice.invite(&many(Role::Member));
    let open = room.alice.room.invite_by_key(&open.keys().sign.public_bytes()).unwrap();
    assert_eq!(room.alice.room.decline(&open, &account, room.alice.now).err(), Some(JoinRefusal::Unknown));
    let asks_nobody = Control::Decline(Decline { auth: auth(&room.alice), invite: open, account });
    let asks_nobody = forge(&room.alice, &asks_nobody, |_| {});
    assert_eq!(why(&mut room.alice, asks_nobody), Some(Invalid::Permission));
    let unknown = Control::Decline(Decline { auth: auth(&room.alice), invite: EventId([9; 32]), account });
    let unknown = forge(&room.alice, &unknown, |_| {});
    assert_eq!(why(&mut room.alice, unknown), Some(Invalid::Reference));
    let said = room.bob.room.decline(&invite, &account, room.bob.now).unwrap();
    room.bob.keep(said);
    let twice = forge(&room.bob, &room.decline(&room.bob), |_| {});
    assert_eq!(why(&mut room.bob, twice), Some(Invalid::Repeated));
}

#[test]
fn what_a_moderator_says_after_he_was_put_out_refuses_nobody() {
    let mut room = asked();
    let (invite, account) = (room.invite, room.account());
    let target = Target::Account(room.bob.room.me().account());
    let removal = Removal { target, ban: false, cascade: false, purge: false };
    let removed = room.alice.room.remove(&[removal], room.alice.now, &mut room.alice.rng).unwrap();
    room.alice.keep(removed);
    let said = room.bob.room.decline(&invite, &account, room.bob.now).unwrap();
    room.bob.keep(said);
    room.alice.sync(&mut room.bob);
    assert_eq!(room.alice.room.declined(&invite, &account), None);
    assert_eq!(room.alice.admit(&room.dave, &room.link).err(), Some(JoinRefusal::Approval));
}
