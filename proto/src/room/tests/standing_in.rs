//! What somebody wrote by a view of the room in which a grant of his is over or void, when another of his counts.

use super::attacks::remove;
use super::rules::{admit as admission, forge};
use super::support::{Person, identity, many};
use super::voided::is_in;
use crate::control::{Admit, Control, History, JoinRequest, Role};

#[test]
fn who_was_removed_shows_nothing_more_by_a_void_admission_when_he_is_taken_back() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    bob.write("before");
    alice.sync(&mut bob);
    remove(&mut alice, &bob);
    // He lets himself in again by the old link, which counts for nothing, and writes on.
    let (id, me) = (bob.room.id(), bob.room.me().clone());
    let join = JoinRequest::sign(&id, &link.keys().sign, me.signing_key(), me.entrant(), [9; 16]);
    let says: Admit = admission(&bob, &link, join);
    let event = forge(&bob, &Control::Admit(Box::new(says)), |_| ());
    assert!(bob.receive(vec![event]).rejected.is_empty());
    bob.write("in spite of it");
    alice.sync_from(&bob);
    assert_eq!(alice.shown(), ["before"]);
    let account = bob.room.me().account();
    let taken = alice.room.grant_role(&account, Role::Member, alice.now).unwrap();
    alice.keep(taken);
    assert!(is_in(&alice, &bob));
    assert_eq!(alice.shown(), ["before"]);
}

/// Cy, whom Ann made an admin while Ben, who had not heard of it, removed him as a plain member.
#[test]
fn who_was_raised_while_somebody_who_did_not_know_it_removed_him_keeps_what_he_wrote_before_he_knew() {
    let mut ann = Person::founder(1, History::Full);
    let (plain, admin) = (ann.invite(&many(Role::Member)), ann.invite(&many(Role::Admin)));
    let mut ben = Person::join(2, &admin, &mut ann);
    let mut cy = Person::join(3, &plain, &mut ann);
    cy.sync(&mut ann);
    ben.sync_from(&ann);
    let account = cy.room.me().account();
    remove(&mut ben, &cy);
    let raised = ann.room.grant_role(&account, Role::Owner, ann.now).unwrap();
    ann.keep(raised);
    cy.write("not knowing either");
    ann.sync_from(&cy);
    assert_eq!(ann.shown(), ["not knowing either"]);
    ann.sync(&mut ben);
    assert!(is_in(&ann, &cy));
    assert_eq!(ann.shown(), ["not knowing either"]);
    ben.sync_from(&cy);
    assert_eq!(ben.shown(), ["not knowing either"]);
}

#[test]
fn who_may_write_again_or_is_taken_back_shows_nothing_of_what_he_wrote_when_he_might_not() {
    for muted in [true, false] {
        let mut ann = Person::founder(1, History::Full);
        let link = ann.invite(&many(Role::Member));
        let mut bob = Person::join(2, &link, &mut ann);
        bob.write("before");
        ann.sync(&mut bob);
        let account = bob.room.me().account();
        if muted {
            let less = ann.room.grant_role(&account, Role::Observer, ann.now).unwrap();
            ann.keep(less);
        } else {
            remove(&mut ann, &bob);
        }
        ann.maintain();
        bob.write("when he might not");
        ann.sync_from(&bob);
        assert_eq!(ann.shown(), ["before"]);
        let again = ann.room.grant_role(&account, Role::Member, ann.now).unwrap();
        ann.keep(again);
        assert!(is_in(&ann, &bob));
        assert_eq!(ann.shown(), ["before"], "{muted}");
    }
}

#[test]
fn who_left_and_comes_again_shows_nothing_of_what_he_wrote_between() {
    let mut ann = Person::founder(1, History::Full);
    let link = ann.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut ann);
    bob.write("before");
    ann.sync(&mut bob);
    let mut copy = bob.clone_with_all_secrets();
    let left = bob.room.leave(bob.now).unwrap();
    bob.keep(left);
    ann.sync_from(&bob);
    copy.write("between");
    ann.sync_from(&copy);
    assert_eq!(ann.shown(), ["before"]);
    ann.maintain();
    let (id, me) = (bob.room.id(), identity(2));
    let join = JoinRequest::sign(&id, &link.keys().sign, me.signing_key(), me.entrant(), [9; 16]);
    let admission = ann.room.admit(join, false, ann.now, &mut ann.rng).unwrap();
    ann.keep(admission.outcome);
    assert!(is_in(&ann, &bob));
    assert_eq!(ann.shown(), ["before"]);
}
