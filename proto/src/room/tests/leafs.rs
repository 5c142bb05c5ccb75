//! Leaf keys that are replaced, and what a thief of the old ones can do (C14).

use std::sync::Arc;

use super::support::Person;
use crate::control::{History, Role};
use crate::limits::{LEAF_KEPT_MS, LEAF_MS};
use crate::room::{KeyError, NewInvite};

fn pair() -> (Person, Person) {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&NewInvite::of(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    (alice, bob)
}

/// A new leaf key, as a node does it: stored, then told to the room.
fn renew(person: &mut Person) {
    person.now = person.room.me().leaf_due_ms();
    let me = person.room.me().renewed(person.now, &mut person.rng).unwrap();
    person.room.set_me(Arc::new(me));
}

fn tell(from: &Person, to: &mut Person) {
    let leafs: Vec<_> = from.room.leafs().copied().collect();
    for leaf in leafs {
        if let Some(persist) = to.room.accept_leaf(leaf).unwrap() {
            to.write_down(persist);
        }
    }
}

#[test]
fn after_a_new_leaf_key_and_one_rotation_a_thief_of_everything_held_before_reads_nothing_new() {
    let (mut alice, mut bob) = pair();
    alice.write("stolen with the rest");
    bob.sync_from(&alice);
    let mut thief = bob.clone_with_all_secrets();
    alice.write("the thief reads along");
    thief.sync_from(&alice);
    assert_eq!(thief.shown().len(), 2, "until then nothing helps");
    renew(&mut bob);
    tell(&bob, &mut alice);
    alice.now = bob.now;
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    let closed = alice.write("healed");
    bob.sync_from(&alice);
    thief.sync_from(&alice);
    assert_eq!(bob.shown().last().unwrap(), "healed");
    assert!(thief.room.open_later(&closed.event).is_none());
    assert_eq!(thief.shown().len(), 2);
}

#[test]
fn rows_go_to_the_newest_leaf_key_heard_of_also_after_a_restart_and_old_keys_open_for_a_month() {
    let (mut alice, mut bob) = pair();
    renew(&mut bob);
    // Alice has not heard of it and seals to the old one.
    alice.now = bob.now;
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    alice.write("to the old key");
    bob.sync_from(&alice);
    assert_eq!(bob.shown(), ["to the old key"]);
    tell(&bob, &mut alice);
    alice.restart();
    let known: Vec<_> = alice.room.leafs().map(|leaf| leaf.counter).collect();
    assert_eq!(known, [1, 2]);
    assert_eq!(alice.room.accept_leaf(*bob.room.leafs().nth(1).unwrap()), Ok(None), "once");
    // Bob forgets the old one; what alice makes now still opens.
    let me = bob.room.me().renewed(bob.now + LEAF_KEPT_MS + LEAF_MS, &mut bob.rng).unwrap();
    assert_eq!(me.leafs().len(), 2);
    bob.room.set_me(Arc::new(me));
    alice.now += LEAF_MS;
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    alice.write("to the newer key");
    bob.sync_from(&alice);
    assert_eq!(bob.shown().last().unwrap(), "to the newer key");
}

#[test]
fn nobody_is_given_a_leaf_key_by_others() {
    let (mut alice, mut bob) = pair();
    let stranger = super::support::identity(66).entrant().leaf;
    assert_eq!(alice.room.accept_leaf(stranger), Err(KeyError::NotWanted));
    renew(&mut bob);
    let real = *bob.room.leafs().nth(1).unwrap();
    let mut forged = real;
    forged.counter += 1;
    assert_eq!(alice.room.accept_leaf(forged), Err(KeyError::Open));
    // And what is said of our own device is not asked of others.
    let mine = *alice.room.leafs().next().unwrap();
    let newer = crate::control::LeafRecord { counter: 9, ..mine };
    assert_eq!(alice.room.accept_leaf(newer), Ok(None));
    assert_eq!(alice.room.accept_leaf(real).map(|persist| persist.unwrap().keys.len()), Ok(1));
}

#[test]
fn a_leaf_key_that_somebody_else_claims_first_is_its_owners_all_the_same() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&NewInvite::of(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut mallory = Person::join(3, &link, &mut alice);
    bob.sync_from(&alice);
    renew(&mut bob);
    let real = bob.room.me().entrant().leaf;
    let key = parlor_crypto::leaf::LeafPublic::parse(&real.leaf_pk).unwrap();
    let claimed = crate::control::LeafRecord::issue(mallory.room.me().signing_key(), 9, &key, 0);
    for leaf in [claimed, real] {
        let persist = alice.room.accept_leaf(leaf).unwrap();
        alice.write_down(persist.unwrap());
    }
    alice.now = bob.now;
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    alice.write("for those who hold their keys");
    bob.sync_from(&alice);
    assert_eq!(bob.shown(), ["for those who hold their keys"]);
    assert_eq!(bob.room.maintain(bob.now, &mut bob.rng).0.accepted.len(), 0, "nothing to complain of");
    mallory.sync_from(&alice);
    assert_eq!(mallory.shown().len(), 0, "who claims a key without its secret has a row that nobody can open");
}

#[test]
fn what_is_for_the_author_of_an_old_request_is_sealed_to_the_newest_leaf_key_of_his_device() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&super::support::many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let old = Person::request(&alice.room.id(), bob.room.me(), &link);
    renew(&mut bob);
    tell(&bob, &mut alice);
    assert_ne!(alice.room.leaf_for(&old), old.entrant.leaf.leaf_pk, "a thief may have that");
    assert_eq!(alice.room.leaf_for(&old), bob.room.me().entrant().leaf.leaf_pk);
    // Of a stranger it is the one that the request says.
    let stranger = Person::request(&alice.room.id(), &super::support::identity(9), &link);
    assert_eq!(alice.room.leaf_for(&stranger), stranger.entrant.leaf.leaf_pk);
}
