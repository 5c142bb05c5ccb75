//! Who can write under no epoch, though one is safe, makes another within seconds, whatever hostile members do.

use super::attacks::remove;
use super::keys::{forged_rotate, secret};
use super::support::{Person, many};
use crate::control::{History, Role, Setting};
use crate::event::Event;
use crate::identity::Identity;
use crate::ids::EpochId;
use crate::limits::ELECTION_MAX_MS;

const SECOND: u64 = 1_000;

/// Makes an epoch because its owner wants it; so it makes no other within the hour that nothing calls for.
fn by_hand(person: &mut Person) {
    let outcome = person.room.rotate(person.now, &mut person.rng).unwrap();
    person.keep(outcome);
    assert!(person.room.rotate(person.now, &mut person.rng).is_err());
}

/// A Rotate by hand of a doctored node, with a wrong row for each of `devices`.
fn wrong_rows(liar: &mut Person, devices: &[&Person]) -> Event {
    let me: Vec<_> = devices.iter().map(|person| person.room.me().clone()).collect();
    let all: Vec<&Identity> = me.iter().map(|me| &**me).collect();
    forged_rotate(liar, &all, &secret(1), &secret(2))
}

/// Looks after both each second, while they are connected.
fn together(one: &mut Person, other: &mut Person, seconds: u64) {
    for _ in 0..seconds {
        for person in [&mut *one, &mut *other] {
            person.now += SECOND;
            person.look();
        }
        one.sync_from(other);
        other.sync_from(one);
    }
}

#[test]
fn an_epoch_made_by_hand_with_wrong_rows_after_a_removal_holds_up_writing_for_seconds() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let puppet = Person::join(4, &link, &mut alice);
    let link = alice.invite(&many(Role::Admin));
    let mut mallory = Person::join(3, &link, &mut alice);
    bob.sync_from(&alice);
    by_hand(&mut bob);
    alice.sync_from(&bob);
    by_hand(&mut alice);
    bob.sync_from(&alice);
    mallory.sync_from(&alice);
    // His node makes an epoch because none is safe; he hands on the removal with one of his own, as if by hand.
    let mut honest = mallory.clone_with_all_secrets();
    remove(&mut honest, &puppet);
    let removed =
        honest.events().into_iter().rev().find(|event| event.control().is_some_and(|it| it.kind == 3)).unwrap();
    mallory.receive(vec![removed]);
    let wrong = wrong_rows(&mut mallory, &[&alice, &bob, &honest]);
    mallory.receive(vec![wrong.clone()]);
    for person in [&mut alice, &mut bob] {
        person.sync_from(&mallory);
        assert_eq!(person.room.epoch_status().epoch, None);
        let (dag, resolved, all) = (&person.room.dag, &person.room.resolved, &person.room.everything);
        assert!(person.room.epochs.is_safe_in(dag, &EpochId::of(&wrong.id()), resolved, all));
    }
    together(&mut alice, &mut bob, 20);
    let epoch = alice.room.epoch_status().epoch;
    assert!(epoch.is_some() && bob.room.epoch_status().epoch == epoch);
    alice.write("for both of us");
    bob.sync_from(&alice);
    assert_eq!(bob.shown(), ["for both of us"]);
}

#[test]
fn an_epoch_made_by_hand_with_wrong_rows_keeps_nobody_in_a_dead_end() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut mallory = Person::join(3, &link, &mut alice);
    bob.sync_from(&alice);
    // Apart: bob makes an epoch by hand and writes in it; alice lets carol in into the one before.
    by_hand(&mut bob);
    bob.write("to alice");
    let carol = Person::join(4, &link, &mut alice);
    for events in [alice.events(), bob.events()] {
        mallory.receive(events);
    }
    let all = [&alice, &bob, &carol, &mallory.clone_with_all_secrets()];
    let wrong = wrong_rows(&mut mallory, &all);
    bob.sync_from(&alice);
    bob.receive(vec![wrong]);
    assert!(bob.room.epoch_status().epoch.is_none(), "that of before carol is no more, nobody has the key of this one");
    for _ in 0..20 {
        bob.now += SECOND;
        bob.look();
    }
    assert!(bob.room.epoch_status().epoch.is_some());
}

#[test]
fn of_more_heads_than_an_event_can_name_none_keeps_an_answer_from_counting_for_long() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let admins = alice.invite(&many(Role::Admin));
    let mallory = Person::join(3, &admins, &mut alice);
    bob.sync_from(&alice);
    // Apart: bob makes an epoch by hand and writes in it; alice lets carol in into the one before.
    by_hand(&mut bob);
    bob.write("to alice");
    let mut carol = Person::join(4, &link, &mut alice);
    // Thirty branches come first, each with more below it than what alice did.
    for n in 0..30_u8 {
        let mut branch = mallory.clone_with_all_secrets();
        for round in 0..12 {
            let about = vec![(Setting::About, vec![b'A' + n; 1 + round])];
            let outcome = branch.room.set_state(about, branch.now).unwrap();
            branch.keep(outcome);
        }
        bob.receive(branch.events());
    }
    bob.sync_from(&alice);
    assert!(bob.room.epoch_status().epoch.is_none(), "carol has no key of his, and he can not go back to hers");
    let from = bob.now;
    while bob.room.epoch_status().epoch.is_none() {
        bob.now += SECOND;
        bob.look();
        assert!(bob.now < from + ELECTION_MAX_MS, "not within a minute");
    }
    bob.write("to both");
    carol.sync_from(&bob);
    assert!(carol.shown().contains(&"to both".to_owned()));
}
