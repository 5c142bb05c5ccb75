//! Up to which of ours a message covers, whatever came before its ancestors.

use super::support::*;
use crate::control::{History, Role};
use crate::event::Event;

/// Alice, who wrote two messages, and Bob and Carol who saw them, she by an answer of Bob's: his message and hers, which Alice lacks.
struct Seen {
    alice: Person,
    bob: Person,
    carol: Person,
    by_bob: Event,
    by_carol: Event,
}

fn seen_by_an_answer() -> Seen {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    bob.sync_from(&alice);
    alice.write("one");
    alice.write("two");
    bob.sync_from(&alice);
    let by_bob = bob.write("seen two").event;
    carol.sync_from(&bob);
    let by_carol = carol.write("seen bob's").event;
    Seen { alice, bob, carol, by_bob, by_carol }
}

#[test]
fn a_message_tells_how_much_of_ours_its_author_had_seen() {
    let Seen { mut alice, mut bob, mut carol, by_bob, by_carol } = seen_by_an_answer();
    alice.write("three");
    let received = alice.receive(vec![by_carol.clone()]);
    assert_eq!(alice.room.covers_own(&by_carol.id()), Some(0), "bob's is not here");
    assert_eq!(received.unknown_parents, [by_bob.id()]);
    let received = alice.receive(vec![by_bob.clone()]);
    assert_eq!(alice.room.covers_own(&by_bob.id()), Some(2));
    assert_eq!(received.covers_corrected, [(by_carol.id(), 2)]);
    assert_eq!(alice.room.covers_own(&by_carol.id()), Some(2));
    alice.restart();
    assert_eq!(alice.room.covers_own(&by_carol.id()), Some(2), "also after a restart");
    let again = carol.write("and again").event;
    alice.receive(vec![again.clone()]);
    bob.sync_from(&carol);
    let last = bob.write("seen all").event;
    alice.receive(vec![last.clone()]);
    assert_eq!(alice.room.covers_own(&last.id()), Some(2));
}

#[test]
fn what_a_message_covers_is_told_when_its_ancestor_comes_after_a_restart() {
    let Seen { mut alice, by_bob, by_carol, .. } = seen_by_an_answer();
    alice.receive(vec![by_carol.clone()]);
    alice.restart();
    let received = alice.receive(vec![by_bob]);
    assert_eq!(received.covers_corrected, [(by_carol.id(), 2)]);
    assert_eq!(alice.room.covers_own(&by_carol.id()), Some(2));
}

#[test]
fn what_a_message_covers_is_told_when_only_the_store_knows_its_parent() {
    let Seen { mut alice, mut bob, by_bob, by_carol, .. } = seen_by_an_answer();
    let later = bob.write("later").event;
    alice.receive(vec![by_bob.clone(), later]);
    alice.restart();
    let received = alice.receive(vec![by_carol.clone()]);
    assert_eq!(received.unknown_parents, [by_bob.id()]);
    let received = alice.room.parents_held(&[(by_bob.id(), 2)]);
    assert_eq!(received.covers_corrected, [(by_carol.id(), 2)]);
    assert_eq!(alice.room.covers_own(&by_carol.id()), Some(2));
}

#[test]
fn what_a_message_covers_is_told_when_a_parent_comes_that_was_given_up() {
    let Seen { mut alice, by_bob, by_carol, .. } = seen_by_an_answer();
    alice.receive(vec![by_carol.clone()]);
    alice.room.give_up_missing();
    let received = alice.receive(vec![by_bob]);
    assert_eq!(received.covers_corrected, [(by_carol.id(), 2)]);
}
