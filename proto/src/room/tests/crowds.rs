//! How much work many admissions make for everybody who takes them, whoever writes them and in whatever order (C16): counted.

use parlor_crypto::work::spent;

use super::rules::{admit, forge};
use super::support::{Person, identity, many, new_invite};
use crate::control::{Admit, Control, History, Role, Target};
use crate::event::Event;
use crate::limits::SLICE_REACH;
use crate::room::Removal;
use crate::steps;

/// Alice, whose room it is, and Mallory, with the link by which she came.
fn pair() -> (Person, Person, parlor_crypto::invite::InviteSeed) {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut mallory = Person::join(2, &link, &mut alice);
    alice.sync(&mut mallory);
    (alice, mallory, link)
}

/// Mallory's doctored node lets a puppet in from this slice on, with a key of its own.
pub(super) fn lets_in(
    mallory: &mut Person,
    link: &parlor_crypto::invite::InviteSeed,
    puppet: u64,
    slice: u32,
) -> Event {
    let join = Person::request(&mallory.room.id(), &identity(puppet), link);
    let says = Admit { slice, slice_commit: [7; 32], ..admit(mallory, link, join) };
    let event = forge(mallory, &Control::Admit(Box::new(says)), |_| ());
    assert!(mallory.receive(vec![event.clone()]).rejected.is_empty());
    event
}

#[test]
fn admissions_into_far_slices_cost_the_way_there_once_in_whatever_order_they_come() {
    let (mut alice, mut mallory, link) = pair();
    let mut bob = Person::join(3, &link, &mut alice);
    let step = SLICE_REACH + 1;
    let ahead: Vec<Event> = (1..=100).map(|n| lets_in(&mut mallory, &link, 9 + u64::from(n / 60), n * step)).collect();
    let back: Vec<Event> = (50..=100).rev().map(|n| lets_in(&mut mallory, &link, 20, n * step - 1)).collect();
    let all = (ahead.len() + back.len()) as u64;
    let way = u64::from(100 * step);
    let before = spent();
    alice.receive(ahead.iter().chain(&back).cloned().collect());
    alice.look();
    let steps = spent().since(before).steps;
    assert!(steps <= way + 64 * all, "together: {steps}");
    let before = spent();
    for event in ahead.into_iter().chain(back) {
        bob.receive(vec![event]);
        bob.look();
    }
    let steps = spent().since(before).steps;
    assert!(steps <= way + 64 * all, "one by one: {steps}");
    let before = spent();
    alice.restart();
    alice.look();
    let steps = spent().since(before).steps;
    assert!(steps <= way + 64 * all, "after a restart: {steps}");
}

#[test]
fn who_copies_the_nonce_of_a_request_makes_no_request_that_is_the_same() {
    let (mut alice, mut mallory, link) = pair();
    let puppets = 20;
    // All that a person of these tests asks with has one nonce.
    let events: Vec<Event> = (0..puppets).map(|n| lets_in(&mut mallory, &link, 30 + n, 1)).collect();
    alice.receive(events.clone());
    for event in &events {
        let at = alice.room.dag.find(&event.id()).unwrap();
        let Control::Admit(admit) = &alice.room.dag.node(at).control else { unreachable!() };
        assert_eq!(alice.room.dag.same_request(admit), [at], "who looks at one of {puppets} looks at no other");
    }
}

#[test]
fn who_left_comes_back_by_a_link_by_which_somebody_with_his_nonce_came() {
    let (mut alice, mallory, link) = pair();
    let other = alice.invite(&many(Role::Member));
    let mut bob = Person::join(3, &other, &mut alice);
    let left = bob.room.leave(bob.now).unwrap();
    bob.keep(left);
    alice.sync_from(&bob);
    alice.maintain();
    assert!(!super::voided::is_in(&alice, &bob));
    assert!(super::voided::is_in(&alice, &mallory), "by the link that he comes by now");
    alice.admit(&identity(3), &link).unwrap();
    assert!(super::voided::is_in(&alice, &bob));
}

#[test]
fn an_epoch_into_which_each_lets_in_the_next_costs_a_step_for_each_of_them() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Member));
    let n = 30;
    let mut last = Person::join(30, &link, &mut alice);
    for seed in 31..30 + n {
        last = Person::join(seed, &link, &mut last);
    }
    alice.sync_from(&last);
    let room = &alice.room;
    let epoch = room.epoch_status().epoch.unwrap();
    let before = steps::taken();
    assert!(room.epochs.is_safe_in(&room.dag, &epoch, &room.resolved, &room.everything));
    let steps = steps::taken() - before;
    assert!(steps <= n, "{steps}");
}

#[test]
fn many_grants_of_one_account_cost_a_few_steps_each_when_they_come_when_they_end_and_after_a_restart() {
    for few in [false, true] {
        let (mut alice, _, open) = pair();
        let link = if few { alice.invite(&new_invite(Role::Member)) } else { open };
        let open = alice.invite(&many(Role::Member));
        let mut mallory = Person::join(5, &link, &mut alice);
        let [mut bob, mut other] = [3, 4].map(|seed| Person::join(seed, &open, &mut alice));
        bob.sync_from(&alice);
        // Mallory, seed 5, is let in by a puppet again and again, and by herself: those grants are the more senior ones.
        let mut all: Vec<Event> = (0..60).map(|_| lets_in(&mut other, &link, 5, 0)).collect();
        all.extend((0..60).map(|_| lets_in(&mut mallory, &link, 5, 0)));
        let n = all.len() as u64;
        let steps_of = |person: &mut Person, batch: Vec<Event>| {
            let before = steps::taken();
            assert!(person.receive(batch).rejected.is_empty());
            steps::taken() - before
        };
        let come = steps_of(&mut bob, all.clone());
        assert!(come <= 4 * n, "when they come: {come}, {few}");
        alice.receive(all);
        super::attacks::remove(&mut alice, &mallory);
        let end = steps_of(&mut bob, alice.events());
        assert!(!super::voided::is_in(&bob, &mallory) && bob.room.is_member());
        assert!(end <= 12 * n, "when they end: {end}, {few}");
        let before = steps::taken();
        bob.restart();
        let again = steps::taken() - before;
        assert!(again <= 12 * n, "after a restart: {again}, {few}");
    }
}

#[test]
fn removing_all_who_came_by_a_link_is_settled_once_however_many_they_are() {
    let cost = |people: u64| {
        let mut alice = Person::founder(1, History::Full);
        let link = alice.invite(&many(Role::Member));
        for seed in 0..people {
            alice.admit(&identity(100 + seed), &link).unwrap();
        }
        let invite = alice.room.invites()[0].id;
        let removal = Removal { target: Target::Invite(invite), ban: false, cascade: false, purge: false };
        let before = steps::settled();
        let outcome = alice.room.remove(&[removal], alice.now, &mut alice.rng).unwrap();
        alice.keep(outcome);
        assert_eq!(alice.room.members().len(), 1);
        steps::settled() - before
    };
    let (few, more) = (cost(5), cost(25));
    assert_eq!(few, more);
}
