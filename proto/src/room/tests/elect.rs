//! Whose turn it is to make an epoch that is missing: of a room whose members meet again after several removals apart.

use std::collections::BTreeSet;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::reunion::{Plan, Reunion, heads, remove};
use super::support::{Person, START, many};
use crate::control::{AccountUpdate, Control, History, NewDevice, RevokeFence, Role, Setting};
use crate::event::Event;
use crate::identity::Identity;
use crate::ids::AccountId;
use crate::limits::{
    ELECTION_ANEW_MS, ELECTION_APART_MS, ELECTION_BASE_MS, ELECTION_CONNECTED_STEP_MS, ELECTION_MAX_MS,
    PATIENCE_ALL_MS, PATIENCE_MS, REMOVALS_MS,
};
use crate::room::Company;
use crate::room::patience::Patience;

#[test]
fn who_meet_again_after_five_removals_apart_make_at_most_three_epochs_because_they_compare_first() {
    let meet = |seed, told| Reunion::new(seed, &Plan { told, ..Plan::default() }).meet();
    let made: Vec<usize> = (0..4).map(|seed| meet(seed, true)).collect();
    assert!(made.iter().all(|made| (1..=3).contains(made)), "{made:?}");
    let untold: Vec<usize> = (0..2).map(|seed| meet(seed, false)).collect();
    assert!(untold.iter().all(|made| *made > 3), "slow enough to tell: {untold:?}");
}

/// Two removals by two apart, and a third who hears of both.
fn torn() -> (Person, u64) {
    let (alice, _) = torn_by();
    let now_ms = alice.now;
    (alice, now_ms)
}

/// The same, and those who removed, who know of their own removals only.
fn torn_by() -> (Person, [Person; 2]) {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Admin));
    let mut people: Vec<Person> = (2..6).map(|seed| Person::join(seed, &link, &mut alice)).collect();
    people.iter_mut().for_each(|person| drop(person.sync_from(&alice)));
    let (erin, dave) = (people.pop().unwrap(), people.pop().unwrap());
    let (mut carol, mut bob) = (people.pop().unwrap(), people.pop().unwrap());
    remove(&mut bob, &dave);
    remove(&mut carol, &erin);
    alice.sync_from(&bob);
    alice.sync_from(&carol);
    (alice, [bob, carol])
}

/// Everybody is connected and says that it holds something else.
fn nobody_is_equal(person: &Person) -> Company {
    let me = person.room.me().device();
    let others: BTreeSet<_> = person.room.live_device_ids().filter(|device| *device != me).collect();
    Company { connected: others.clone(), apart: others, unproved: false }
}

#[test]
fn a_peer_that_never_holds_what_we_hold_puts_off_an_epoch_for_half_a_minute_and_no_longer() {
    for flips in [false, true] {
        let (mut alice, now_ms) = torn();
        let company = nobody_is_equal(&alice);
        alice.room.meet(company.clone(), alice.now);
        alice.look();
        assert!(alice.room.awaits_turn() && alice.room.epoch_status().epoch.is_none());
        let longest_ms = now_ms + ELECTION_APART_MS + ELECTION_MAX_MS.min(ELECTION_BASE_MS + 3_000) + REMOVALS_MS;
        // It says now this and now that, to be waited for anew.
        let mut equal = false;
        while alice.room.epoch_status().epoch.is_none() {
            let made_too_late = alice.now > longest_ms;
            assert!(!made_too_late, "not made after {} ms", alice.now - now_ms);
            alice.now += 100;
            equal = flips && !equal;
            let apart = if equal { BTreeSet::new() } else { company.apart.clone() };
            alice.room.meet(Company { apart, ..company.clone() }, alice.now);
            alice.look();
        }
        let least_ms = if flips { ELECTION_ANEW_MS } else { ELECTION_APART_MS } / 2;
        assert!(alice.now > now_ms + least_ms, "it did wait");
    }
}

#[test]
fn peers_that_take_turns_at_holding_something_else_put_off_an_epoch_for_half_a_minute_together() {
    let (mut alice, others) = torn_by();
    let start_ms = alice.now;
    let company = nobody_is_equal(&alice);
    let longest_ms = start_ms + ELECTION_APART_MS + ELECTION_BASE_MS + REMOVALS_MS + 3 * ELECTION_CONNECTED_STEP_MS;
    while alice.room.epoch_status().epoch.is_none() {
        assert!(alice.now <= longest_ms, "not made after {} ms", alice.now - start_ms);
        // Each for less time than one is waited for.
        let who = &others[usize::from(alice.now - start_ms >= 20_000)];
        let apart = BTreeSet::from([who.room.me().device()]);
        alice.room.meet(Company { apart, ..company.clone() }, alice.now);
        alice.look();
        alice.now += 100;
    }
    assert!(alice.now >= start_ms + ELECTION_APART_MS + ELECTION_BASE_MS, "it did wait, and drew lots then");
}

#[test]
fn a_peer_that_has_something_new_all_the_time_puts_off_an_epoch_for_a_bounded_time() {
    let (mut alice, [mut bob, _]) = torn_by();
    let start_ms = alice.now;
    alice.room.meet(nobody_is_equal(&alice), alice.now);
    alice.look();
    assert!(alice.room.awaits_turn() && alice.room.epoch_status().epoch.is_none());
    // Two who rank before her.
    let longest_ms = ELECTION_APART_MS + ELECTION_ANEW_MS + ELECTION_BASE_MS + 2 * ELECTION_CONNECTED_STEP_MS;
    for n in 0_u8.. {
        alice.now += 200;
        let name = vec![(Setting::Name, vec![b'a' + n % 26; 2])];
        let outcome = bob.room.set_state(name, alice.now).unwrap();
        bob.keep(outcome);
        alice.sync_from(&bob);
        alice.look();
        if alice.room.epoch_status().epoch.is_some() {
            break;
        }
        assert!(alice.now <= start_ms + longest_ms, "not made after {} ms", alice.now - start_ms);
    }
    assert!(alice.now > start_ms + ELECTION_APART_MS / 2, "it did wait");
}

#[test]
fn who_waited_in_vain_for_a_peer_draw_lots_like_everybody_and_make_one_epoch() {
    let (alice, [bob, carol]) = torn_by();
    let mut people = [alice, bob, carol];
    let all: Vec<Event> = people.iter().flat_map(Person::events).collect();
    let now_ms = people.iter().map(|person| person.now).max().unwrap();
    for person in &mut people {
        person.now = now_ms;
        person.receive(all.clone());
        person.room.meet(nobody_is_equal(person), person.now);
        person.look();
    }
    let has_epoch = |person: &Person| person.room.epoch_status().epoch.is_some();
    assert!(!people.iter().any(has_epoch));
    // The same instant for all of them.
    for person in &mut people {
        person.now = now_ms + ELECTION_APART_MS;
        person.look();
    }
    assert!(!people.iter().any(has_epoch), "all at once");
    let deadline_ms = now_ms + ELECTION_APART_MS + ELECTION_BASE_MS + REMOVALS_MS;
    while !people.iter().any(has_epoch) {
        assert!(people[0].now <= deadline_ms);
        for person in &mut people {
            person.now += 50;
            person.look();
        }
    }
    assert_eq!(people.iter().filter(|person| has_epoch(person)).count(), 1);
    let first = people.iter().position(has_epoch).unwrap();
    let all = people[first].events();
    for person in &mut people {
        person.receive(all.clone());
        person.now += ELECTION_APART_MS + ELECTION_MAX_MS;
        person.look();
    }
    assert!(people.iter().all(|person| has_epoch(person) && heads(person) == heads(&people[first])));
}

#[test]
fn whoever_removes_waits_for_nobody() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut people: Vec<Person> = (2..5).map(|seed| Person::join(seed, &link, &mut alice)).collect();
    people.iter_mut().for_each(|person| drop(person.sync_from(&alice)));
    alice.room.meet(nobody_is_equal(&alice), alice.now);
    remove(&mut alice, &people[0]);
    assert!(alice.room.epoch_status().epoch.is_some(), "in the same batch");
    remove(&mut alice, &people[1]);
    assert!(alice.room.epoch_status().epoch.is_none(), "shortly after the first");
    alice.look();
    alice.now += REMOVALS_MS;
    alice.look();
    assert!(alice.room.epoch_status().epoch.is_some());
}

#[test]
fn who_puts_the_epoch_out_again_and_again_and_is_never_equal_is_waited_for_half_a_minute_an_hour() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut mallory = Person::join(2, &link, &mut alice);
    let (seed, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let mut rng = StdRng::seed_from_u64(3);
    let mut held_up = Vec::new();
    for n in 0..8 {
        mallory.sync_from(&alice);
        let phone = Identity::add_device(&seed, "phone", 2 + n, START, &mut rng).unwrap();
        let devices = vec![NewDevice::sign(phone.signing_key(), phone.entrant())];
        let added = mallory.room.update_account(AccountUpdate { devices, revokes: Vec::new() }, mallory.now).unwrap();
        mallory.keep(added);
        let fence = mallory.room.revoke_fence(&phone.device());
        let revoke = RevokeFence::revoke(&seed.root_key(0), phone.account(), mallory.room.id(), fence).unwrap();
        // His node would make an epoch; he does not hand it on.
        let revokes = Control::AccountUpdate(AccountUpdate { devices: Vec::new(), revokes: vec![revoke] });
        let revoked = mallory.room.write_control(revokes, mallory.now).unwrap();
        mallory.keep(revoked);
        alice.sync_from(&mallory);
        assert!(alice.room.epoch_status().epoch.is_none(), "the {n}th time");
        let from = alice.now;
        alice.look();
        while alice.room.epoch_status().epoch.is_none() {
            alice.room.meet(nobody_is_equal(&alice), alice.now);
            alice.look();
            alice.now += 100;
        }
        held_up.push(alice.now - from);
    }
    let turn = ELECTION_BASE_MS + REMOVALS_MS + 3 * ELECTION_CONNECTED_STEP_MS;
    assert!(held_up[0] > ELECTION_APART_MS / 2, "it did wait: {held_up:?}");
    assert!(held_up[1..].iter().all(|ms| *ms <= turn), "{held_up:?}");
    // An hour later it is waited for again: it may have been a bad line.
    let who = BTreeSet::from([Some(mallory.room.me().account())]);
    alice.room.patience.wait_for(who.clone(), alice.now);
    assert!(!alice.room.patience.waits());
    alice.now += PATIENCE_MS;
    alice.room.patience.wait_for(who, alice.now);
    assert!(alice.room.patience.waits());
}

#[test]
fn however_many_are_never_equal_they_are_waited_for_two_minutes_an_hour_together() {
    let mut patience = Patience::default();
    let (mut now_ms, mut waited_ms) = (START, 0);
    for n in 0..100 {
        patience.wait_for(BTreeSet::from([Some(AccountId([n; 32]))]), now_ms);
        for _ in 0..40 {
            waited_ms += if patience.waits() { 1_000 } else { 0 };
            now_ms += 1_000;
            patience.wait_for(BTreeSet::from([Some(AccountId([n; 32]))]), now_ms);
        }
    }
    // Somewhat more than an hour, and each time up to a second of this clock.
    assert!((PATIENCE_ALL_MS..=2 * PATIENCE_ALL_MS + 100_000).contains(&waited_ms), "{waited_ms}");
}
