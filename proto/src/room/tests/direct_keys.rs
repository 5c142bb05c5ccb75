//! When a direct chat changes its keys: before what is written next, when that keeps out who took a leaf key (ADR 0026).

use std::collections::BTreeSet;
use std::sync::Arc;

use parlor_crypto::Secret;
use parlor_crypto::topic::TopicSecret;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::support::*;
use crate::control::{Direct, LeafRecord, NewDevice, ROTATE_KIND, RotateReason, Setting};
use crate::identity::Identity;
use crate::limits::{DAY_MS, DIRECT_EVERY_MS, EPOCH_MS, LEAF_MS, SLICE_GRACE_MS};
use crate::room::{Change, Message, Room};

/// Two who know each other, with the same events.
fn pair() -> (Person, Person) {
    let (alice, bob) = (identity(1), identity(2));
    let mut a = begins(&alice, &bob, 1);
    let mut b = begins(&bob, &alice, 2);
    a.sync(&mut b);
    (a, b)
}

fn begins(me: &Arc<Identity>, other: &Identity, seed: u64) -> Person {
    let mut rng = StdRng::seed_from_u64(seed);
    let topic = TopicSecret::from_secret(Secret::new([9; 32]));
    let chat = Direct::of(me.entrant().account, other.entrant().account).unwrap();
    let papers = [NewDevice::sign(other.signing_key(), other.entrant())];
    let (room, outcome) = Room::direct(me.clone(), &chat, topic, &papers, START, &mut rng).unwrap();
    let mut person = Person::with(room, rng);
    person.keep(outcome);
    person
}

/// Writes as a node does: with what is due before it.
fn write(person: &mut Person, text: &str) -> Message {
    let due = person.room.freshen(person.now, &mut person.rng);
    person.keep(due);
    person.write(text)
}

fn renew(person: &mut Person) {
    person.now = person.now.max(person.room.me().leaf_due_ms());
    let me = person.room.me().renewed(person.now, &mut person.rng).unwrap();
    person.room.set_me(Arc::new(me));
}

fn tell(from: &Person, to: &mut Person) {
    for leaf in from.room.leafs().copied().collect::<Vec<_>>() {
        if let Some(persist) = to.room.accept_leaf(leaf).unwrap() {
            to.write_down(persist);
        }
    }
    to.now = to.now.max(from.now);
}

fn meet(a: &mut Person, b: &mut Person) {
    tell(a, b);
    tell(b, a);
    a.sync(b);
}

fn rotations(room: &Room) -> usize {
    room.control_events().filter(|event| event.control().is_some_and(|header| header.kind == ROTATE_KIND)).count()
}

/// As [`Person::maintain`], whenever the room wants to be looked after until then.
fn live_on(person: &mut Person, until_ms: u64) {
    while person.now < until_ms {
        let (outcome, wake) = person.room.maintain(person.now, &mut person.rng);
        person.keep(outcome);
        person.now = wake.unwrap_or(until_ms).clamp(person.now + 1, until_ms);
    }
}

#[test]
fn the_first_message_after_a_leaf_key_was_replaced_is_closed_to_a_thief_of_the_old_one() {
    for writes_himself in [true, false] {
        let (mut alice, mut bob) = pair();
        write(&mut alice, "stolen with the rest");
        meet(&mut alice, &mut bob);
        let mut thief = alice.clone_with_all_secrets();
        renew(&mut alice);
        tell(&alice, &mut bob);
        let (writer, reader) = if writes_himself { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let before = rotations(&writer.room);
        let due = writer.room.freshen(writer.now, &mut writer.rng);
        assert!(due.changes.contains(&Change::Epoch));
        assert_eq!(due.events().filter_map(|event| Some(event.control()?.kind)).collect::<Vec<_>>(), [ROTATE_KIND]);
        writer.keep(due);
        let closed = writer.write("healed");
        assert_eq!(rotations(&writer.room), before + 1);
        reader.sync_from(writer);
        thief.sync_from(writer);
        assert_eq!(reader.shown().last().unwrap(), "healed");
        assert!(thief.room.open_later(&closed.event).is_none());
        write(writer, "and no further keys are made for that");
        assert_eq!(rotations(&writer.room), before + 1);
    }
}

#[test]
fn a_chat_in_which_nobody_writes_makes_no_keys() {
    let (mut alice, mut bob) = pair();
    write(&mut alice, "the last word");
    meet(&mut alice, &mut bob);
    let made = rotations(&alice.room);
    for week in 1..=52 {
        for person in [&mut alice, &mut bob] {
            live_on(person, START + week * LEAF_MS);
            renew(person);
        }
        meet(&mut alice, &mut bob);
    }
    assert_eq!(rotations(&alice.room), made);
    // Whoever writes then makes them, and keeps nobody waiting.
    let said = write(&mut bob, "after a year");
    assert_eq!(rotations(&bob.room), made + 1);
    alice.sync_from(&bob);
    assert_eq!(alice.shown().last().unwrap(), "after a year");
    let (_, rotate) = alice.room.dag.epoch(&said.event.message().unwrap().epoch).unwrap();
    assert_eq!(rotate.reason, RotateReason::Age);
}

#[test]
fn a_silent_chat_whose_messages_disappear_lets_go_of_their_keys_and_then_makes_no_more() {
    let (mut alice, mut bob) = pair();
    let timer = vec![(Setting::Ttl, 3_600_000_u64.to_be_bytes().to_vec())];
    let set = alice.room.set_state(timer, alice.now).unwrap();
    alice.keep(set);
    let said = write(&mut alice, "gone in an hour");
    meet(&mut alice, &mut bob);
    let (made, epoch) = (rotations(&alice.room), said.event.message().unwrap().epoch);
    let mut made_by = Vec::new();
    for week in 1..=8 {
        for person in [&mut alice, &mut bob] {
            live_on(person, START + week * EPOCH_MS + SLICE_GRACE_MS + DAY_MS);
        }
        meet(&mut alice, &mut bob);
        made_by.push(rotations(&alice.room));
    }
    assert!([&alice, &bob].iter().all(|person| person.room.epochs.is_gone(&epoch)));
    // Each made one, for they did not meet in that week.
    assert_eq!(made_by, [made + 2; 8]);
}

#[test]
fn both_who_change_keys_at_once_or_apart_read_each_other_and_go_on_under_one_epoch() {
    let (mut alice, mut bob) = pair();
    renew(&mut alice);
    renew(&mut bob);
    tell(&alice, &mut bob);
    tell(&bob, &mut alice);
    let made = rotations(&alice.room);
    write(&mut alice, "by Alice");
    write(&mut bob, "by Bob");
    assert_eq!((rotations(&alice.room), rotations(&bob.room)), (made + 1, made + 1));
    meet(&mut alice, &mut bob);
    for person in [&mut alice, &mut bob] {
        assert_eq!(person.shown().len(), 2);
    }
    let next = [write(&mut alice, "on"), write(&mut bob, "and on")].map(|said| said.event.message().unwrap().epoch);
    assert_eq!(next[0], next[1]);
    assert_eq!(rotations(&alice.room), made + 2, "both were made for the newest leaf keys");
}

#[test]
fn who_says_all_the_time_that_his_leaf_key_is_another_has_the_other_make_one_epoch_a_day() {
    let (mut alice, mut mallory) = pair();
    let made = rotations(&alice.room);
    let hours = 10 * 24;
    for hour in 0..hours {
        alice.now = START + hour * 3_600_000;
        let key = parlor_crypto::leaf::LeafSecret::generate(&mut mallory.rng).public();
        let leaf = LeafRecord::issue(mallory.room.me().signing_key(), 10 + hour, &key, u64::MAX);
        let persist = alice.room.accept_leaf(leaf).unwrap().unwrap();
        alice.write_down(persist);
        write(&mut alice, "what an interesting life you lead");
    }
    let most = (hours * 3_600_000).div_ceil(DIRECT_EVERY_MS) as usize;
    assert_eq!(rotations(&alice.room), made + most);
}

#[test]
fn keys_from_the_future_put_off_no_others() {
    let (mut alice, mut mallory) = pair();
    // His clock is ten years ahead when he makes an epoch.
    mallory.now += 3_650 * DAY_MS;
    let made = mallory.room.rotate(mallory.now, &mut mallory.rng).unwrap();
    mallory.keep(made);
    alice.receive(mallory.events());
    renew(&mut alice);
    let before = rotations(&alice.room);
    write(&mut alice, "healed all the same");
    assert_eq!(rotations(&alice.room), before + 1);
}

#[test]
fn who_made_keys_with_a_clock_a_year_ahead_heals_the_chat_all_the_same() {
    let (mut alice, mut bob) = pair();
    let ahead_ms = alice.now + 365 * DAY_MS;
    let made = alice.room.rotate(ahead_ms, &mut alice.rng).unwrap();
    alice.keep(made);
    renew(&mut alice);
    let said = write(&mut alice, "healed");
    bob.receive(alice.events());
    let epoch = said.event.message().unwrap().epoch;
    assert!(bob.room.epochs.info(&epoch).unwrap().sound, "it counts");
    check_sealed_to(&alice, &said, &alice.room.leafs().copied().collect::<Vec<_>>(), true);
    let made = rotations(&alice.room);
    // And no more often than else.
    for n in 0..5 {
        let key = parlor_crypto::leaf::LeafSecret::generate(&mut bob.rng).public();
        let leaf = LeafRecord::issue(bob.room.me().signing_key(), 10 + n, &key, 0);
        let persist = alice.room.accept_leaf(leaf).unwrap().unwrap();
        alice.write_down(persist);
        write(&mut alice, "again");
    }
    assert_eq!(rotations(&alice.room), made);
}

#[test]
fn who_changes_keys_more_often_than_counts_has_nobody_write_under_them() {
    let (mut alice, mut mallory) = pair();
    for n in 0..2 {
        // Mallory's node asks nobody; the second comes within the hour.
        let made = mallory.room.make_epoch(RotateReason::Age, mallory.now + n, &mut mallory.rng).unwrap();
        mallory.keep(made);
    }
    alice.sync_from(&mallory);
    let said = write(&mut alice, "under the first of them");
    let rotates: Vec<_> = alice.room.epochs.idle_of(&mallory.room.me().device()).to_vec();
    let [first, second] = rotates.as_slice() else { panic!("{rotates:?}") };
    let id = |at: usize| crate::ids::EpochId::of(&alice.room.dag.node(at).event.id());
    assert_eq!(said.event.message().unwrap().epoch, id(*first));
    assert!(!alice.room.epochs.info(&id(*second)).unwrap().sound);
}

#[test]
fn a_new_device_of_either_is_among_those_the_next_message_is_written_for() {
    let (mut alice, mut bob) = pair();
    let (seed, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let phone = Identity::add_device(&seed, "phone", 2, START, &mut StdRng::seed_from_u64(7)).unwrap();
    let papers = [NewDevice::sign(phone.signing_key(), phone.entrant())];
    let brought = bob.room.introduce(&papers, bob.now, &mut bob.rng).unwrap();
    bob.keep(brought);
    alice.sync_from(&bob);
    let said = write(&mut alice, "to both of yours");
    let epoch = said.event.message().unwrap().epoch;
    assert_eq!(alice.room.epochs.info(&epoch).unwrap().recipients.len(), 3);
}

#[test]
fn in_a_room_of_another_sort_nothing_is_due_before_a_message() {
    let mut alice = Person::founder(1, crate::control::History::Full);
    renew(&mut alice);
    assert!(alice.room.freshen(alice.now, &mut alice.rng).accepted.is_empty());
}

#[test]
fn what_can_not_be_made_now_holds_up_no_message() {
    let (mut alice, bob) = pair();
    renew(&mut alice);
    // A home that was just restored compares its logs first.
    alice.room.hold(true);
    assert!(alice.room.freshen(alice.now, &mut alice.rng).accepted.is_empty());
    alice.room.hold(false);
    write(&mut alice, "now");
    let mut reader = bob;
    reader.sync_from(&alice);
    assert_eq!(reader.shown(), ["now"]);
}

/// The leaf keys that an epoch of a message should be for, as its author knew them.
fn check_sealed_to(person: &Person, said: &Message, leafs: &[LeafRecord], rested: bool) {
    let (_, rotate) = person.room.dag.epoch(&said.event.message().unwrap().epoch).unwrap();
    let crate::control::Rows::Inline(rows) = &rotate.rows else { unreachable!() };
    let sealed = |leaf: &LeafRecord| {
        let key = parlor_crypto::leaf::LeafPublic::parse(&leaf.leaf_pk).unwrap();
        let hint = parlor_crypto::hpke::row_hint(&key, &leaf.device, &rotate.commit);
        rows.iter().any(|row| row.hint == hint)
    };
    assert!(!rested || leafs.iter().all(sealed), "written for a leaf key that was known to be replaced");
}

#[test]
fn in_random_months_of_meeting_and_parting_all_is_read_and_keys_are_no_more_than_what_they_heal() {
    for seed in 0..30 {
        let rng = &mut StdRng::seed_from_u64(seed);
        let (mut a, mut b) = pair();
        let made = rotations(&a.room);
        let (mut written, mut renewed, mut days) = (0, 0, BTreeSet::new());
        for step in 0..120 {
            let hours = rng.random_range(0..16);
            let now = a.now.max(b.now) + hours * 3_600_000;
            (a.now, b.now) = (now, now);
            let me = if rng.random_bool(0.5) { &mut a } else { &mut b };
            if now >= me.room.me().leaf_due_ms() {
                renew(me);
                renewed += 1;
            }
            match rng.random_range(0..6) {
                0..=2 => {
                    let rested = now >= me.room.last_own_rotation_ms() + DIRECT_EVERY_MS;
                    let said = write(me, &format!("message {step}"));
                    let known: Vec<LeafRecord> = me.room.leafs().copied().collect();
                    check_sealed_to(me, &said, &known, rested);
                    days.insert(now / EPOCH_MS);
                    written += 1;
                }
                3 => me.restart(),
                4 => me.look(),
                _ => meet(&mut a, &mut b),
            }
        }
        meet(&mut a, &mut b);
        assert_eq!(a.room.state_hash(), b.room.state_hash(), "seed {seed}");
        for person in [&a, &b] {
            assert_eq!(person.shown().len(), written, "seed {seed}");
        }
        // For each new leaf key once by its owner and once by who heard of it, and for each week in which somebody wrote.
        let most = 2 * renewed + 2 * days.len();
        assert!(rotations(&a.room) <= made + most, "seed {seed}: {} of {most}", rotations(&a.room) - made);
    }
}
