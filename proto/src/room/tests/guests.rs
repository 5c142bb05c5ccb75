//! Guests: nobody reads on by the link of an instant invite who should not, and nothing that is done in their name undoes what counts.

use parlor_crypto::invite::InviteSeed;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::attacks::remove;
use super::instant::{DAY, Relay, for_people, invite, people, with_mailboxes, world};
use super::rules::{auth, forge, why};
use super::support::{Person, START, identity, new_invite};
use crate::control::{
    Admit, Control, GrantRole, History, Invite, InviteBounds, JoinRequest, Permissions, Power, Role, Sponsor, Target,
};
use crate::event::Event;
use crate::identity::Identity;
use crate::ids::DeviceId;
use crate::join::instant::{EnterError, Entering};
use crate::limits;
use crate::link::Link;
use crate::mailbox::Mail;
use crate::room::{Change, Happened, JoinRefusal, Message, Outcome, Removal, Standing};
use crate::validity::Invalid;

#[test]
fn nobody_is_hidden_by_an_invite_that_only_looks_like_one_for_guests() {
    assert_eq!(seen_with_a_spy(|_, _| ()), (2, 1), "this one is in order: a guest, and counted as one");
    let as_a_person = (3, 0);
    assert_eq!(seen_with_a_spy(|_, guests| guests.expires_ms += 1), as_a_person);
    assert_eq!(seen_with_a_spy(|people, guests| (people.max_uses, guests.max_uses) = (9, 9)), as_a_person);
    assert_eq!(seen_with_a_spy(|people, guests| (people.max_uses, guests.max_uses) = (1, 2)), as_a_person);
    assert_eq!(seen_with_a_spy(|_, guests| guests.door = [7; 32]), as_a_person);
    assert_eq!(seen_with_a_spy(|people, _| people.approval = true), as_a_person);
    let for_ever = START + 31 * DAY;
    assert_eq!(
        seen_with_a_spy(|people, guests| (people.expires_ms, guests.expires_ms) = (for_ever, for_ever)),
        as_a_person
    );
}

/// How many members and how many guests Alice sees, after an admin has written an invite for people and one for guests, changed
/// in this way, and let in somebody by the second.
fn seen_with_a_spy(change: impl Fn(&mut Invite, &mut Invite)) -> (usize, usize) {
    let mut alice = Person::founder_of(1, with_mailboxes(History::Full));
    let admin = alice.invite(&new_invite(Role::Admin));
    let mut mallory = Person::join(2, &admin, &mut alice);
    let fair = mallory.invite(&for_people(1));
    let at = mallory.room.invites_with_key(&fair.keys().sign.public_bytes()).next().unwrap();
    let mut others = mallory.room.invite_at(at).unwrap().clone();
    let mut guests = Invite { sponsor: Sponsor::Instant, max_depth: 0, ..others.clone() };
    let seed = InviteSeed::generate(&mut mallory.rng);
    others.invite_pk = [9; 32];
    guests.invite_pk = seed.keys().sign.public_bytes();
    change(&mut others, &mut guests);
    for invite in [others, guests] {
        let outcome = mallory.room.write_control(Control::Invite(invite), START + 1).unwrap();
        mallory.keep(outcome);
    }
    Person::join(3, &seed, &mut mallory);
    alice.sync(&mut mallory);
    assert_eq!(people(&alice.room), people(&mallory.room));
    (people(&alice.room), alice.room.n_guests())
}

#[test]
fn a_leaked_link_reads_nothing_that_is_written_after_the_invite_was_revoked() {
    let (mut alice, mut relay, link) = world(History::Full, 2);
    let open = alice.write("before");
    let id = alice.room.invite_by_key(&link.keys().sign.public_bytes()).unwrap();
    let outcome = alice.room.revoke(&id, alice.now, &mut alice.rng).unwrap();
    assert!(outcome.changes.contains(&Change::Epoch), "the keys change in the same batch");
    alice.keep(outcome);
    let secret = alice.write("after");
    relay.from(&alice);
    assert!(alice.room.invite_info(&id).unwrap().revoked);
    assert_eq!(relay.enter(2, &link, START + 1).err(), Some(EnterError::Refused(JoinRefusal::Revoked)));
    let spies = as_guests(&relay, &link);
    assert!(!spies.is_empty());
    for mut spy in spies {
        assert!(reads(&mut spy, &open), "that is what the link was for");
        assert!(!reads(&mut spy, &secret));
    }
}

pub(super) fn reads(who: &mut Person, message: &Message) -> bool {
    who.room.open_later(&message.event).is_some_and(|opened| opened.body.is_some())
}

#[test]
fn a_role_that_came_to_nothing_keeps_no_guest_in() {
    let mut alice = Person::founder_of(1, with_mailboxes(History::Full));
    let [admin, moderator] = [Role::Admin, Role::Moderator].map(|role| alice.invite(&new_invite(role)));
    let mut mallory = Person::join(2, &admin, &mut alice);
    let mut bob = Person::join(3, &moderator, &mut alice);
    bob.now = START + 10;
    let link = invite(&mut bob, 2, &mut Relay::default());
    mallory.sync_from(&bob);
    alice.sync_from(&bob);
    remove(&mut alice, &mallory);
    bob.sync_from(&alice);
    // She has not heard that she is out, and makes a guest an admin: that counts for nobody.
    let role = GrantRole {
        auth: auth(&mallory),
        subject: Identity::guest(link.seed().guest(0)).unwrap().account(),
        power: Power::ADMIN,
        perms: Permissions::ALL,
        max_depth: 0,
        invites: InviteBounds::NONE,
    };
    let event = forge(&mallory, &Control::Grant(role), |_| ());
    assert!(bob.receive(vec![event]).rejected.is_empty());
    assert_eq!(bob.room.n_guests(), 2);
    let id = bob.room.invite_by_key(&link.seed().keys().sign.public_bytes()).unwrap();
    let outcome = bob.room.revoke(&id, bob.now, &mut bob.rng).unwrap();
    bob.keep(outcome);
    assert_eq!(bob.room.n_guests(), 0);
}

/// The guests of a link with all that the relay gives them.
fn as_guests(relay: &Relay, link: &Link) -> Vec<Person> {
    let mut spies = Vec::new();
    for seed in 0..8 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut entering = Entering::new(link.clone());
        relay.door.iter().for_each(|part| _ = entering.part(part, START, &mut rng));
        relay.read(&mut entering, START);
        if let Some(room) = entering.into_room() {
            let mut spy = Person::with(room, rng);
            spy.keep(Outcome::default());
            for held in relay.boxes.values() {
                let id = spy.room.id();
                let events = held.iter().filter_map(|mail| match mail {
                    Mail::Record(item) => Event::decode(&id, &item.bytes.0).ok(),
                    Mail::Page(_) => None,
                });
                spy.receive(events.collect());
            }
            spies.push(spy);
        }
    }
    spies
}

#[test]
fn a_removed_maker_who_kept_the_link_reads_nothing_written_after_his_removal() {
    let mut alice = Person::founder_of(1, with_mailboxes(History::Full));
    let admin = alice.invite(&new_invite(Role::Admin));
    let mut mallory = Person::join(2, &admin, &mut alice);
    let mut relay = Relay::default();
    mallory.now = START + 10;
    let link = invite(&mut mallory, 3, &mut relay);
    alice.sync_from(&mallory);
    remove(&mut alice, &mallory);
    let secret = alice.write("without him");
    relay.from(&alice);
    let mut spies = as_guests(&relay, &link);
    assert!(!spies.is_empty());
    assert!(spies.iter_mut().all(|spy| !reads(spy, &secret)));
    // Whom a guest lets in without having heard of the removal does not come in either.
    let stale = relay.with_door_only();
    let puppet = stale.enter(5, &link, START + 20).unwrap();
    alice.sync_from(&puppet);
    assert_eq!(alice.room.standing(&puppet.room.me().device()), Standing::Removed);
    assert_eq!(people(&alice.room), 1);
}

#[test]
fn whoever_removes_all_who_came_by_an_instant_invite_removes_its_guests_too() {
    let (mut alice, mut relay, link) = world(History::Full, 2);
    let mut bob = relay.enter(2, &link, START + 10).unwrap();
    bob.maintain();
    relay.from(&bob);
    relay.to(&mut alice);
    let id = alice.room.invite_by_key(&link.keys().sign.public_bytes()).unwrap();
    let removal = Removal { target: Target::Invite(id), ban: false, cascade: false, purge: false };
    alice.now += 20;
    let outcome = alice.room.remove(&[removal], alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    let secret = alice.write("alone");
    relay.from(&alice);
    assert!(as_guests(&relay, &link).iter_mut().all(|spy| !reads(spy, &secret)));
    bob.sync_from(&alice);
    assert!(!reads(&mut bob, &secret));
}

#[test]
fn who_came_by_the_link_and_is_removed_does_not_read_on_as_another_guest() {
    for goes_by_himself in [false, true] {
        let (mut alice, mut relay, link) = world(History::Full, 3);
        let mut bob = relay.enter(2, &link, START + 10).unwrap();
        relay.from(&bob);
        alice.now = START + 20;
        relay.to(&mut alice);
        if goes_by_himself {
            let left = bob.room.leave(START + 30).unwrap();
            bob.keep(left);
            alice.sync_from(&bob);
            alice.now += 1_000;
            alice.look();
            alice.now += limits::ELECTION_MAX_MS;
            alice.look();
        } else {
            remove(&mut alice, &bob);
        }
        alice.maintain();
        assert_eq!((people(&alice.room), alice.room.n_guests()), (1, 0));
        let secret = alice.write("without him");
        relay.from(&alice);
        let mut spies = as_guests(&relay, &link);
        assert!(!spies.is_empty());
        assert!(spies.iter_mut().all(|spy| !reads(spy, &secret)));
    }
}

#[test]
fn a_guest_that_was_put_out_is_let_in_again_by_nobody_but_its_maker() {
    let (mut alice, mut relay, link) = world(History::Full, 2);
    let mut bob = relay.enter(2, &link, START + 10).unwrap();
    relay.from(&bob);
    relay.to(&mut alice);
    let instant = alice.room.dag.kinds().instant.keys().next().copied().unwrap();
    let invite = alice.room.dag.node(instant).event.id();
    let guest = Identity::guest(link.seed().guest(0)).unwrap();
    let key = link.seed().instant().guests;
    let join = JoinRequest::sign(&link.room(), &key, guest.signing_key(), guest.entrant(), [7; 16]);
    let epoch = bob.room.epoch_status().epoch.unwrap();
    let admit = Admit { auth: auth(&bob), invite, join, epoch, slice: 0, slice_commit: [0; 32] };
    bob.now = START + 20;
    let event = forge(&bob, &Control::Admit(Box::new(admit)), |_| ());
    assert_eq!(why(&mut alice, event), Some(Invalid::Permission));
}

#[test]
fn whom_the_maker_has_seen_stays_however_many_puppets_the_other_guests_let_in() {
    let (mut alice, mut relay, link) = world(History::Full, 3);
    let package = relay.with_door_only();
    let mut bob = relay.enter(2, &link, START + 10).unwrap();
    let hello = bob.write("hello");
    relay.from(&bob);
    alice.now = START + 20;
    relay.to(&mut alice);
    alice.look();
    assert_eq!(alice.room.log().iter().filter(|line| matches!(line.what, Happened::Joined { .. })).count(), 1);
    // Each of the guests lets in as many puppets as there are uses, by branches of its log that nobody has seen.
    for (n, mut spy) in as_guests(&package, &link).into_iter().enumerate() {
        for puppet in 0..3 {
            let me = identity(100 + 10 * n as u64 + puppet);
            drop(spy.admit(&me, link.seed()));
        }
        alice.sync_from(&spy);
    }
    alice.maintain();
    let account = bob.room.me().account();
    let member = alice.room.member(&account).unwrap();
    assert_eq!((member.sponsor, member.joined_at_ms), (Some(alice.room.me().account()), START + 10));
    assert!(alice.room.info().is_some() && alice.shown().contains(&"hello".to_owned()), "{hello:?}");
    bob.sync_from(&alice);
    assert!(bob.room.is_member());
}

#[test]
fn who_came_in_can_write_at_once_and_whoever_makes_keys_first_nobody_is_cut_off() {
    let (mut alice, mut relay, link) = world(History::Full, 1);
    let other = alice.invite(&new_invite(Role::Member));
    let mut carol = Person::join(3, &other, &mut alice);
    relay.from(&alice);
    let mut bob = relay.enter(2, &link, START + 10).unwrap();
    // Carol hears of it by a connection, and makes keys in her own way.
    carol.now = START + 20;
    carol.sync_from(&bob);
    carol.maintain();
    relay.from(&carol);
    bob.write("in");
    relay.from(&bob);
    alice.now = START + 30;
    relay.to(&mut alice);
    assert_eq!(alice.shown(), ["in"], "by the boxes alone");
}

#[test]
fn a_maker_who_leaves_takes_his_guests_with_him() {
    let mut alice = Person::founder_of(1, with_mailboxes(History::Full));
    let admin = alice.invite(&new_invite(Role::Admin));
    let mut bob = Person::join(2, &admin, &mut alice);
    let mut relay = Relay::default();
    bob.now = START + 10;
    let link = invite(&mut bob, 1, &mut relay);
    let left = bob.room.leave(bob.now).unwrap();
    bob.keep(left);
    alice.sync_from(&bob);
    alice.maintain();
    let secret = alice.write("alone");
    relay.from(&alice);
    assert!(as_guests(&relay, &link).iter_mut().all(|spy| !reads(spy, &secret)));
}

#[test]
fn an_invite_that_ends_puts_its_guests_out_by_the_maker_and_if_he_is_away_by_others_an_hour_later() {
    for maker_is_there in [true, false] {
        let mut alice = Person::founder_of(1, with_mailboxes(History::Full));
        let moderator = alice.invite(&new_invite(Role::Moderator));
        let mut bob = Person::join(2, &moderator, &mut alice);
        let mut relay = Relay::default();
        bob.now = START + 10;
        let link = invite(&mut bob, 2, &mut relay);
        alice.sync_from(&bob);
        let (who, wait_ms) =
            if maker_is_there { (&mut bob, limits::GUEST_GRACE_MS) } else { (&mut alice, limits::GUEST_OTHERS_MS) };
        let end = START + 20 * DAY;
        who.now = end;
        assert!(who.room.caught_up());
        let (_, next) = who.room.maintain(end, &mut who.rng);
        assert_eq!(next, Some(end + 1), "it is looked at again when the invite ends");
        who.now = end + 1;
        who.look();
        who.now = end + wait_ms;
        who.look();
        assert_eq!(who.room.n_guests(), 2, "not at once: who came in may be heard of late");
        who.now = end + wait_ms + limits::ELECTION_MAX_MS + 2;
        who.look();
        assert_eq!(who.room.n_guests(), 0);
        // Whoever has the link is no lost member to whom something is owed.
        let devices: Vec<_> = who.room.dag.devices().iter().map(|entry| entry.device).collect();
        let of_guest = |device: &&DeviceId| who.room.account_of(device).is_some_and(|of| who.room.is_guest(&of));
        let guests: Vec<_> = devices.iter().filter(of_guest).collect();
        assert_eq!(guests.len(), 2);
        for guest in guests.iter().copied() {
            assert_eq!(who.room.standing(guest), Standing::Stranger);
            assert!(who.room.epochs_for(guest).is_empty());
        }
        // Nor is it one by what somebody else writes in its name, once it is out.
        let guest = guests[0];
        let account = who.room.account_of(guest).unwrap();
        let known = who.events().into_iter().find_map(|event| {
            match Control::decode(event.control()?.kind, event.payload()).ok()? {
                Control::Admit(admit) if admit.join.entrant.account() == account => Some(*admit),
                _ => None,
            }
        });
        let says = Admit { auth: auth(who), ..known.unwrap() };
        let event = forge(who, &Control::Admit(Box::new(says)), |_| ());
        let _ = who.receive(vec![event]);
        assert_eq!(who.room.standing(guest), Standing::Stranger);
        assert!(who.room.epochs_for(guest).is_empty());
        who.now += 1;
        let secret = who.write("later");
        relay.from(who);
        assert!(as_guests(&relay, &link).iter_mut().all(|spy| !reads(spy, &secret)));
    }
}

#[test]
fn a_maker_who_wakes_without_a_relay_puts_out_nobody_who_came_meanwhile() {
    let (mut alice, mut relay, link) = world(History::Full, 1);
    let mut bob = relay.enter(2, &link, START + 19 * DAY).unwrap();
    bob.write("hello");
    relay.from(&bob);
    alice.now = START + 20 * DAY + 1;
    alice.look();
    alice.now += 3_600_000;
    alice.look();
    alice.now += 3_600_000;
    alice.look();
    assert_eq!(alice.room.n_guests(), 1, "somebody may have come");
    relay.to(&mut alice);
    assert!(alice.room.caught_up());
    alice.look();
    alice.now += 2 * limits::GUEST_GRACE_MS;
    alice.look();
    alice.now += 2 * limits::GUEST_GRACE_MS;
    alice.look();
    assert_eq!((people(&alice.room), alice.room.n_guests()), (2, 0));
    assert_eq!(alice.shown(), ["hello"]);
}

#[test]
fn what_a_guest_did_can_not_be_unsaid_once_the_maker_has_seen_it() {
    let (mut alice, mut relay, link) = world(History::Full, 2);
    let package = relay.with_door_only();
    let mut bob = relay.enter(2, &link, START + 10).unwrap();
    bob.maintain();
    relay.from(&bob);
    relay.to(&mut alice);
    alice.room.caught_up();
    alice.now = START + 1_000;
    alice.look();
    alice.now += 2 * limits::GUEST_GRACE_MS;
    alice.look();
    alice.maintain();
    assert!(people(&alice.room) == 2 && alice.room.n_guests() == 1);
    // Whoever has the link is each of the guests again, and only leaves, by second branches of their logs.
    for mut spy in as_guests(&package, &link) {
        let left = spy.room.leave(START + 20).unwrap();
        spy.keep(left);
        alice.sync_from(&spy);
    }
    assert_eq!(people(&alice.room), 2, "bob is in");
    alice.maintain();
    alice.write("to bob");
    bob.sync_from(&alice);
    assert_eq!(bob.shown(), ["to bob"]);
}
