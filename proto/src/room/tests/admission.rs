//! Who comes in, and who does not.

use super::support::{Person, START, identity, many, new_invite, new_room, revoked_phone};
use crate::body::{Body, MAX_TEXT};
use crate::control::{Control, History, JoinRequest, Permission, Role, RoomKind, Target};
use crate::room::{Change, JoinRefusal, NewInvite, Refusal, Removal, Standing};
use crate::validity::Invalid;

#[test]
fn two_people_write_to_each_other() {
    let mut alice = Person::founder(1, History::Full);
    alice.write("before");
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    assert!(bob.room.is_member());
    assert_eq!(bob.room.info().unwrap().name, "kitchen");
    bob.write("hello");
    alice.sync(&mut bob);
    alice.write("hi");
    bob.sync(&mut alice);
    assert_eq!(alice.shown(), ["before", "hello", "hi"]);
    assert_eq!(bob.shown(), alice.shown());
    assert_eq!(alice.room.state_hash(), bob.room.state_hash());
    assert_eq!(alice.room.fingerprint(), bob.room.fingerprint());
    let member = alice.room.member(&bob.room.me().account()).unwrap();
    assert_eq!((member.role, member.sponsor), (Role::Member, Some(alice.room.me().account())));
    assert_eq!(member.invite, alice.room.invite_by_key(&link.keys().sign.public_bytes()));
    assert_eq!(alice.room.standing(&bob.room.me().device()), Standing::Live);
}

#[test]
fn an_expired_an_early_a_revoked_and_a_used_up_invite_are_refused_with_their_reasons() {
    let mut alice = Person::founder(1, History::Full);
    let stranger = identity(9);
    let short = alice.invite(&NewInvite { expires_ms: Some(START + 10), ..new_invite(Role::Member) });
    let early = alice.invite(&new_invite(Role::Member));
    let revoked = alice.invite(&new_invite(Role::Member));
    let used = alice.invite(&new_invite(Role::Member));

    alice.now = START - 3_600_000;
    assert_eq!(alice.admit(&stranger, &early).err(), Some(JoinRefusal::NotYet));
    alice.now = START + 11;
    assert_eq!(alice.admit(&stranger, &short).err(), Some(JoinRefusal::Expired));
    let id = alice.room.invite_by_key(&revoked.keys().sign.public_bytes()).unwrap();
    let outcome = alice.room.revoke(&id, alice.now, &mut alice.rng).unwrap();
    assert_eq!(outcome.changes, [Change::Invite(id)]);
    alice.keep(outcome);
    assert_eq!(alice.admit(&stranger, &revoked).err(), Some(JoinRefusal::Revoked));
    assert!(alice.room.revoke(&id, alice.now, &mut alice.rng).unwrap().accepted.is_empty(), "again changes nothing");
    assert!(alice.admit(&identity(2), &used).is_ok());
    assert_eq!(alice.admit(&stranger, &used).err(), Some(JoinRefusal::UsesExhausted));
    let unknown = Person::founder(5, History::Full).invite(&new_invite(Role::Member));
    assert_eq!(alice.admit(&stranger, &unknown).err(), Some(JoinRefusal::Unknown));
    let approve = alice.invite(&NewInvite { approval: true, ..new_invite(Role::Member) });
    assert_eq!(alice.admit(&stranger, &approve).err(), Some(JoinRefusal::Approval));
}

#[test]
fn a_lost_welcome_is_given_again_without_a_second_admission() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&new_invite(Role::Member));
    let me = identity(2);
    alice.admit(&me, &link).unwrap();
    let control = alice.stored.len();
    let again = alice.admit(&me, &link).unwrap();
    assert_eq!(alice.stored.len(), control);
    let mut bob = Person::joining(2, me, &link, &alice.room.id(), again.welcome.as_ref().unwrap());
    bob.sync_from(&alice);
    bob.write("here");
    alice.sync_from(&bob);
    assert_eq!(alice.shown(), ["here"]);
}

#[test]
fn of_two_who_race_for_the_last_use_the_same_one_wins_everywhere_and_the_other_is_shut_out() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let two = alice.invite(&NewInvite { uses: Some(2), ..new_invite(Role::Member) });
    let mut bob = Person::join(2, &two, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    // Bob has not heard of carol, and lets dave in with the same use.
    let mut dave = Person::join(4, &link, &mut bob);
    alice.sync(&mut bob);
    carol.sync_from(&alice);
    dave.sync_from(&alice);
    let members = |p: &Person| p.room.members().iter().map(|m| m.account).collect::<Vec<_>>();
    assert_eq!(members(&alice), members(&bob));
    assert_eq!(members(&alice), members(&carol));
    assert_eq!(members(&alice).len(), 3);
    assert_ne!(carol.room.is_member(), dave.room.is_member());
    assert_eq!(alice.room.state_hash(), bob.room.state_hash());
    // The loser had been handed the key: a new epoch is made without it.
    let loser = if carol.room.is_member() { &mut dave } else { &mut carol };
    alice.write("without the loser");
    loser.sync_from(&alice);
    assert!(!loser.shown().contains(&"without the loser".to_owned()));
}

#[test]
fn the_request_of_one_is_worth_nothing_to_another_nor_in_another_room() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let (bob, mallory) = (identity(2), identity(3));
    let mut request = Person::request(&alice.room.id(), &bob, &link);
    request.entrant = mallory.entrant();
    assert!(matches!(alice.room.admit(request, false, START, &mut alice.rng), Err(JoinRefusal::Request(_))));
    let other_room = Person::founder(7, History::Full).room.id();
    let request = Person::request(&other_room, &bob, &link);
    assert!(matches!(alice.room.admit(request, false, START, &mut alice.rng), Err(JoinRefusal::Request(_))));
}

#[test]
fn a_leaf_key_of_another_device_lets_nobody_in() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let thief = identity(3);
    let mut entrant = thief.entrant();
    let leaf = parlor_crypto::leaf::LeafPublic::parse(&alice.room.me().entrant().leaf.leaf_pk).unwrap();
    entrant.leaf = crate::control::LeafRecord::issue(thief.signing_key(), 1, &leaf, START);
    let request =
        crate::control::JoinRequest::sign(&alice.room.id(), &link.keys().sign, thief.signing_key(), entrant, [0; 16]);
    assert!(matches!(alice.room.admit(request, false, START, &mut alice.rng), Err(JoinRefusal::Request(_))));
}

#[test]
fn whoever_leaves_is_out_everywhere_and_reads_nothing_written_after() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    bob.write("goodbye");
    let left = bob.room.leave(bob.now).unwrap();
    assert!(left.changes.contains(&Change::Out));
    bob.keep(left);
    assert_eq!(bob.room.write(&Body::text("still here"), bob.now, &mut bob.rng).err(), Some(Refusal::NotMember));
    alice.sync_from(&bob);
    assert!(alice.room.write(&Body::text("too early"), alice.now, &mut alice.rng).is_err());
    alice.maintain();
    alice.write("he is gone");
    bob.sync_from(&alice);
    assert_eq!(alice.shown(), ["goodbye", "he is gone"]);
    assert_eq!(bob.shown(), ["goodbye"]);
    assert_eq!(alice.room.standing(&bob.room.me().device()), Standing::Removed);
    assert_eq!(alice.room.members().len(), 1);
}

#[test]
fn whoever_left_can_come_back_with_a_new_invite() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let left = bob.room.leave(bob.now).unwrap();
    bob.keep(left);
    alice.sync(&mut bob);
    assert!(!bob.room.is_member());
    // The old link is used up by him, and he may use it again only while it is open to him: it is a new coming in.
    let link = alice.invite(&new_invite(Role::Member));
    let mut again = Person::join(2, &link, &mut alice);
    assert!(again.room.is_member());
    again.write("back");
    alice.sync(&mut again);
    assert_eq!(alice.shown(), ["back"]);
}

#[test]
fn a_founder_is_never_locked_out_by_those_below() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Admin));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    for person in [&mut bob, &mut carol] {
        let left = person.room.leave(person.now).unwrap();
        person.keep(left);
    }
    alice.sync(&mut bob);
    alice.sync(&mut carol);
    assert_eq!(alice.room.role(), Some(Role::Owner));
    alice.write("alone again");
}

#[test]
fn a_refusal_names_the_missing_permission_before_anything_is_written() {
    let mut alice = Person::founder_of(1, crate::room::NewRoom { kind: RoomKind::Channel, ..new_room(History::Full) });
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let text = Body::text("hello");
    let refused = |permission| Some(Refusal::NotPermitted(permission));
    assert_eq!(bob.room.write(&text, bob.now, &mut bob.rng).err(), refused(Permission::Post));
    assert_eq!(bob.room.invite(&new_invite(Role::Member), bob.now, &mut bob.rng).err(), refused(Permission::Invite));
    let name = vec![(crate::control::Setting::Name, b"mine".to_vec())];
    assert_eq!(bob.room.set_state(name, bob.now).err(), refused(Permission::Policy));
    let link = alice.invite(&new_invite(Role::Moderator));
    alice.sync(&mut bob);
    let mut carol = Person::join(3, &link, &mut alice);
    assert_eq!(carol.room.invite(&new_invite(Role::Admin), carol.now, &mut carol.rng).err(), Some(Refusal::TooStrong));
    carol.write("a moderator posts");
    alice.sync(&mut carol);
    assert_eq!(alice.shown(), ["a moderator posts"]);
}

#[test]
fn a_member_lets_in_members_but_nobody_stronger() {
    let mut alice = Person::founder(1, History::Full);
    let member = alice.invite(&NewInvite { uses: Some(2), ..new_invite(Role::Member) });
    let admin = alice.invite(&new_invite(Role::Admin));
    let mut bob = Person::join(2, &member, &mut alice);
    bob.sync_from(&alice);
    assert_eq!(bob.admit(&identity(4), &admin).err(), Some(JoinRefusal::NotSponsor));
    let mut carol = Person::join(3, &member, &mut bob);
    carol.write("by way of bob");
    alice.sync(&mut carol);
    assert_eq!(alice.shown(), ["by way of bob"]);
}

#[test]
fn empty_and_too_long_texts_are_refused_with_clear_errors() {
    let mut alice = Person::founder(1, History::Full);
    for len in [0, MAX_TEXT + 1, 24 * 1024, 10 * 1024 * 1024] {
        let refused = alice.room.write(&Body::text("x".repeat(len)), START, &mut alice.rng).err();
        assert!(matches!(refused, Some(Refusal::Body(_))), "{len}");
    }
    alice.write(&"x".repeat(MAX_TEXT));
}

#[test]
fn who_can_not_be_let_in_is_told_the_true_reason() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let phone = revoked_phone(&mut bob);
    alice.sync_from(&bob);
    alice.maintain();
    assert_eq!(alice.admit(&phone, &link).err(), Some(JoinRefusal::DeviceRevoked), "not that its papers do not hold");
    // A sponsor that was copied writes nothing: another member may let him in, at once.
    let mut copy = alice.clone_with_all_secrets();
    copy.write("of the copy");
    alice.write("of the other");
    alice.receive(copy.events());
    assert!(alice.room.is_cloned());
    assert_eq!(alice.admit(&identity(3), &link).err(), Some(JoinRefusal::Cloned));
    bob.sync_from(&alice);
    assert!(bob.admit(&identity(3), &link).is_ok());
}

#[test]
fn a_link_that_who_was_removed_has_kept_lets_him_back_in_no_more_whoever_holds_the_door() {
    let mut alice = Person::founder(1, History::Full);
    let kept = alice.invite(&super::support::many(Role::Member));
    let bob = Person::join(2, &kept, &mut alice);
    let mut carol = Person::join(3, &kept, &mut alice);
    alice.sync(&mut carol);
    super::attacks::remove(&mut alice, &bob);
    carol.sync_from(&alice);
    let himself = super::support::identity(2);
    for door in [&mut alice, &mut carol] {
        assert_eq!(door.admit(&himself, &kept).err(), Some(JoinRefusal::RemovedSince));
    }
    // A doctored node of a plain member lets him in all the same: for nobody.
    let says = super::rules::admit(&carol, &kept, Person::request(&carol.room.id(), &himself, &kept));
    let event = super::rules::forge(&carol, &Control::Admit(Box::new(says)), |_| ());
    for person in [&mut alice, &mut carol] {
        assert!(person.receive(vec![event.clone()]).rejected.is_empty());
        assert!(!person.room.members().iter().any(|member| member.account == himself.account()));
    }
    // A new link does.
    let next = alice.room.rotate(alice.now + 2 * 3_600_000, &mut alice.rng).unwrap();
    alice.keep(next);
    let link = alice.invite(&NewInvite::of(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    assert!(bob.room.is_member());
}

#[test]
fn who_went_with_an_invite_or_with_who_let_him_in_comes_back_by_no_other_link_that_he_had() {
    for cascade in [true, false] {
        let mut alice = Person::founder(1, History::Full);
        let kept = alice.invite(&many(Role::Member));
        let link = alice.invite(&many(Role::Moderator));
        let mut carol = Person::join(3, &link, &mut alice);
        let hers = carol.invite(&many(Role::Member));
        let bob = Person::join(2, &hers, &mut carol);
        alice.sync(&mut carol);
        let target = match cascade {
            true => Target::Account(carol.room.me().account()),
            false => Target::Invite(carol.room.invite_by_key(&hers.keys().sign.public_bytes()).unwrap()),
        };
        let removal = Removal { target, ban: false, cascade, purge: false };
        let outcome = alice.room.remove(&[removal], alice.now, &mut alice.rng).unwrap();
        let epochs = |event: &&crate::event::Event| {
            let kind = event.control().map(|header| header.kind);
            kind == Some(crate::control::ROTATE_KIND)
        };
        assert_eq!(outcome.events().filter(epochs).count(), 1, "one change of keys for all of them");
        alice.keep(outcome);
        let himself = bob.room.me().clone();
        assert!(!alice.room.members().iter().any(|member| member.account == himself.account()));
        for link in [&kept, &hers] {
            let told = alice.admit(&himself, link).err();
            assert!(matches!(told, Some(JoinRefusal::RemovedSince | JoinRefusal::Revoked)), "{told:?}");
        }
        assert_eq!(alice.admit(&himself, &kept).err(), Some(JoinRefusal::RemovedSince));
        let fresh = alice.invite(&NewInvite::of(Role::Member));
        assert!(alice.admit(&himself, &fresh).is_ok());
    }
}

#[test]
fn who_left_is_brought_back_by_nobody_with_what_he_once_asked_for() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&super::support::many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    alice.sync(&mut bob);
    let left = bob.room.leave(bob.now).unwrap();
    bob.keep(left);
    alice.sync_from(&bob);
    let next = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(next);
    carol.sync(&mut alice);
    let himself = super::support::identity(2);
    let before = Person::request(&carol.room.id(), &himself, &link);
    let says = super::rules::admit(&carol, &link, before.clone());
    let event = super::rules::forge(&carol, &Control::Admit(Box::new(says)), |_| ());
    assert_eq!(super::rules::why(&mut alice, event), Some(Invalid::Repeated));
    assert!(alice.room.admit(before, false, alice.now, &mut alice.rng).is_err());
    // He himself comes again by the link when he likes.
    let device = himself.signing_key();
    let again = JoinRequest::sign(&alice.room.id(), &link.keys().sign, device, himself.entrant(), [8; 16]);
    assert!(alice.room.admit(again, false, alice.now, &mut alice.rng).is_ok());
}

#[test]
fn a_role_that_was_taken_from_somebody_is_not_given_again_by_the_link_he_came_by() {
    for knowing in [true, false] {
        let mut alice = Person::founder(1, History::Full);
        let link = alice.invite(&many(Role::Moderator));
        let bob = Person::join(2, &link, &mut alice);
        let mut carol = Person::join(3, &link, &mut alice);
        alice.sync(&mut carol);
        let himself = identity(2);
        // A doctored node of a moderator lets him in once more, having heard of it or not.
        let join =
            JoinRequest::sign(&alice.room.id(), &link.keys().sign, himself.signing_key(), himself.entrant(), [9; 16]);
        let early = Control::Admit(Box::new(super::rules::admit(&carol, &link, join)));
        let mut event = super::rules::forge(&carol, &early, |_| ());
        let changed = alice.room.grant_role(&himself.account(), Role::Observer, alice.now).unwrap();
        alice.keep(changed);
        if knowing {
            carol.sync_from(&alice);
            event = super::rules::forge(&carol, &early, |_| ());
        }
        assert!(alice.receive(vec![event]).rejected.is_empty());
        let role = |of: &Person| of.room.member(&himself.account()).map(|member| member.role);
        assert_eq!(role(&alice), Some(Role::Observer), "knowing: {knowing}");
        // Nor by an honest one at whose door he knocks; and a role that is given counts.
        let fresh =
            JoinRequest::sign(&alice.room.id(), &link.keys().sign, himself.signing_key(), himself.entrant(), [10; 16]);
        if let Ok(admission) = alice.room.admit(fresh, false, alice.now, &mut alice.rng) {
            alice.keep(admission.outcome);
        }
        assert_eq!(role(&alice), Some(Role::Observer));
        let changed = alice.room.grant_role(&himself.account(), Role::Admin, alice.now).unwrap();
        alice.keep(changed);
        assert_eq!(role(&alice), Some(Role::Admin));
        drop(bob);
    }
}
