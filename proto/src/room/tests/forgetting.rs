//! Rooms that forget: slices that end by themselves, and keys that are destroyed (C13, attack 34).

use parlor_crypto::epoch::SliceSecret;

use super::support::{Person, many, new_room};
use crate::control::{History, Policy, Role};
use crate::event::Event;
use crate::ids::EpochId;
use crate::limits::{EPOCH_MS, LATE_KEPT_MS, ROTATE_EVERY_MS, SLICE_GRACE_MS, SLICE_LOOK_MS, SLICE_MS};
use crate::room::{EpochRow, KeyError, Message, NewInvite, NewRoom};

const HOUR: u64 = 3_600_000;

fn place(message: &Message) -> (EpochId, u32) {
    let header = message.event.message().unwrap();
    (header.epoch, header.slice)
}

/// Whether what is on the person's disk gives the key of this message: by the stored rows, without opening the row of the
/// epoch anew.
fn disk_gives(person: &Person, message: &Message) -> bool {
    let (epoch, slice) = place(message);
    person.keys.iter().filter_map(|(name, row)| EpochRow::decode(name, row)).any(|(of, row)| {
        let Some(held) = row.key.filter(|_| of == epoch) else { return false };
        let Ok(mut secret) = SliceSecret::from_secret(held.slice, held.key) else { return false };
        let header = message.event.message().unwrap();
        secret.advance_to(slice).is_ok() && {
            let mut chain = secret.sender(header.device.as_bytes());
            chain.advance_to(header.generation).is_ok()
        }
    })
}

fn later(person: &mut Person, ms: u64) {
    let end = person.now + ms;
    while person.now < end {
        person.now = end.min(person.now + HOUR);
        person.look();
    }
}

fn pair(new: NewRoom) -> (Person, Person) {
    let mut alice = Person::founder_of(1, new);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    alice.look();
    bob.look();
    (alice, bob)
}

#[test]
fn in_a_room_without_history_a_slice_ends_after_a_day_and_all_follow_the_first_to_write() {
    let (mut alice, mut bob) = pair(new_room(History::None));
    let first = place(&alice.write("one"));
    later(&mut alice, SLICE_MS - HOUR);
    assert_eq!(place(&alice.write("two")), first);
    later(&mut alice, 2 * HOUR);
    let (epoch, slice) = place(&alice.write("three"));
    assert_eq!((epoch, slice), (first.0, first.1 + 1));
    bob.sync_from(&alice);
    bob.look();
    assert_eq!(place(&bob.write("four")), (epoch, slice));
    alice.sync_from(&bob);
    assert_eq!(alice.shown(), ["one", "two", "three", "four"]);
    assert_eq!(bob.shown(), alice.shown());
}

#[test]
fn a_quiet_room_stays_in_its_slice_however_long() {
    let (mut alice, mut bob) = pair(new_room(History::None));
    let (_, slice) = place(&alice.write("one"));
    later(&mut alice, 5 * SLICE_MS);
    assert_eq!(alice.room.epoch_status().slice, slice);
    // Bob was away and writes in the slice he knows: nobody moved on, so it is read.
    bob.now += 1;
    bob.write("from the train");
    alice.sync_from(&bob);
    assert_eq!(alice.shown(), ["one", "from the train"]);
    assert_eq!(place(&alice.write("two")).1, slice + 1);
}

#[test]
fn two_days_after_a_slice_ended_its_keys_are_gone_from_memory_and_disk() {
    let (mut alice, _) = pair(new_room(History::None));
    let old = alice.write("one");
    later(&mut alice, SLICE_MS + HOUR);
    let new = alice.write("two");
    later(&mut alice, SLICE_GRACE_MS - 2 * HOUR);
    assert!(disk_gives(&alice, &old), "late messages can still be read");
    later(&mut alice, 4 * HOUR);
    for _ in 0..2 {
        assert!(!disk_gives(&alice, &old));
        assert!(disk_gives(&alice, &new));
        assert!(alice.room.open_later(&old.event).is_none());
        assert!(alice.room.open_later(&new.event).is_some());
        let gives = |message: &Message| alice.room.epochs.false_keys.gives(place(message));
        assert!(!gives(&old) && gives(&new));
        // The same of the disk alone: our row of the epoch is still in the log, and is not opened again.
        alice.restart();
        alice.look();
    }
    // A message that is kept keeps its own key.
    assert!(old.key.is_some());
    assert_eq!(alice.shown(), ["one", "two"]);
}

#[test]
fn an_epoch_that_was_replaced_is_destroyed_as_a_whole_and_not_opened_again() {
    let (mut alice, _) = pair(new_room(History::None));
    let old = alice.write("one");
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    alice.look();
    let new = alice.write("two");
    assert_ne!(place(&old).0, place(&new).0);
    later(&mut alice, SLICE_GRACE_MS - HOUR);
    assert!(disk_gives(&alice, &old));
    later(&mut alice, 2 * HOUR + SLICE_LOOK_MS);
    for _ in 0..2 {
        assert!(!disk_gives(&alice, &old) && disk_gives(&alice, &new));
        assert!(alice.room.open_later(&old.event).is_none());
        assert!(alice.room.keys_wanted().is_empty(), "and nobody is asked for it");
        alice.restart();
        alice.look();
    }
    alice.write("goes on");
}

#[test]
fn a_key_that_was_destroyed_is_taken_from_nobody_whichever_way_it_comes() {
    let (mut alice, _) = pair(new_room(History::None));
    let old = alice.write("one");
    let epoch = place(&old).0;
    let held = alice.room.epochs.held()[&epoch].clone();
    let share = alice.room.key_share_for(&alice.room.me().device(), &epoch, &mut alice.rng).unwrap();
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    alice.look();
    alice.write("two");
    later(&mut alice, SLICE_GRACE_MS + HOUR + SLICE_LOOK_MS);
    for _ in 0..2 {
        assert_eq!(alice.room.accept_key_share(&share).err(), Some(KeyError::NotWanted));
        assert!(!alice.room.epochs.hold(epoch, held.clone()));
        assert!(alice.room.open_later(&old.event).is_none());
        let rows = alice.room.all_rows();
        alice.keys.extend(rows.into_iter().filter_map(|(name, row)| Some((name, row?))));
        assert!(!disk_gives(&alice, &old));
        alice.restart();
    }
}

#[test]
fn with_full_history_nothing_is_destroyed() {
    let (mut alice, mut bob) = pair(new_room(History::Full));
    let old = alice.write("one");
    for _ in 0..4 {
        later(&mut alice, EPOCH_MS + HOUR);
        alice.maintain();
        alice.write("more");
    }
    assert!(disk_gives(&alice, &old));
    let events: Vec<Event> = alice.events();
    bob.now = alice.now;
    bob.receive(events);
    assert_eq!(bob.shown().len(), 5);
    assert!(bob.room.open_later(&old.event).is_some());
}

#[test]
fn in_a_room_whose_messages_expire_the_keys_expire_with_them() {
    const WEEK: u64 = 7 * 24 * HOUR;
    let (mut alice, _) = pair(NewRoom { ttl_ms: Some(WEEK), ..new_room(History::Full) });
    let old = alice.write("one");
    for _ in 0..7 {
        later(&mut alice, SLICE_MS);
        alice.write("a day later");
    }
    assert!(disk_gives(&alice, &old));
    later(&mut alice, 3 * SLICE_MS);
    alice.maintain();
    alice.write("on");
    later(&mut alice, SLICE_MS);
    assert!(!disk_gives(&alice, &old));
    assert!(alice.room.open_later(&old.event).is_none());
    // A newcomer gets what is there, and writes.
    let link = alice.invite(&NewInvite::of(Role::Member));
    let mut carol = Person::join(3, &link, &mut alice);
    assert_eq!(carol.shown().last().map(String::as_str), Some("on"));
    carol.write("hello");
    alice.sync_from(&carol);
    assert_eq!(alice.shown().last().map(String::as_str), Some("hello"));
}

/// Bob was away while alice moved on and destroyed the keys of the slice he knows.
fn away(rotated: bool) -> (Person, Person) {
    let (mut alice, mut bob) = pair(new_room(History::None));
    alice.write("one");
    bob.sync_from(&alice);
    bob.look();
    let before = bob.write("two");
    alice.sync_from(&bob);
    if rotated {
        let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
        alice.keep(outcome);
    } else {
        later(&mut alice, SLICE_MS + HOUR);
    }
    alice.write("three");
    later(&mut alice, SLICE_GRACE_MS + 2 * HOUR);
    assert!(alice.room.open_later(&before.event).is_none(), "what came can not be opened again");
    assert!(!disk_gives(&alice, &before));
    (alice, bob)
}

#[test]
fn what_was_written_by_who_was_away_when_the_others_moved_on_can_be_read_once_it_comes() {
    for rotated in [false, true] {
        let (mut alice, mut bob) = away(rotated);
        let first = bob.write("from the train");
        alice.sync_from(&bob);
        assert_eq!(alice.shown().len(), 4, "{rotated}");
        // He begins another slice, as he would with nobody away.
        later(&mut bob, SLICE_MS + HOUR);
        let second = bob.write("from the ship");
        let third = bob.write("from the pier");
        alice.restart();
        alice.look();
        bob.now = alice.now;
        alice.sync_from(&bob);
        let shown = alice.shown();
        assert!(
            shown.contains(&"from the ship".to_owned()) && shown.contains(&"from the pier".to_owned()),
            "{shown:?}"
        );
        // The chains moved on: what came once is not opened again, in memory or from the disk.
        let of_destroyed = if rotated { vec![&first, &second, &third] } else { vec![&first] };
        for _ in 0..2 {
            assert!(of_destroyed.iter().all(|message| alice.room.open_later(&message.event).is_none()));
            alice.restart();
            alice.look();
        }
    }
}

#[test]
fn after_a_month_what_did_not_come_of_a_slice_is_given_up() {
    let (mut alice, mut bob) = away(true);
    let late = bob.write("in a bottle");
    let end = alice.now + LATE_KEPT_MS;
    while alice.now < end {
        alice.now += 12 * HOUR;
        alice.maintain();
    }
    alice.receive(vec![late.event.clone()]);
    assert!(alice.room.open_later(&late.event).is_none());
    assert!(!alice.shown().contains(&"in a bottle".to_owned()));
}

#[test]
fn who_makes_new_keys_every_day_keeps_nobody_from_destroying_old_ones() {
    let (mut alice, mut mallory) = pair(new_room(History::None));
    let old = alice.write("one");
    mallory.sync_from(&alice);
    for _ in 0..5 {
        later(&mut mallory, SLICE_MS);
        let made = mallory.room.rotate(mallory.now, &mut mallory.rng).unwrap();
        mallory.keep(made);
        later(&mut alice, SLICE_MS);
        alice.sync_from(&mallory);
        alice.look();
    }
    assert!(!disk_gives(&alice, &old) && alice.room.open_later(&old.event).is_none());
}

#[test]
fn who_heard_of_several_slices_at_once_destroys_those_that_are_over() {
    let (mut alice, mut bob) = pair(new_room(History::None));
    let made = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(made);
    let old = alice.write("one");
    later(&mut alice, SLICE_MS + HOUR);
    let new = alice.write("two");
    assert!(place(&new) > place(&old));
    // Bob was away; the room is quiet from now on.
    bob.sync_from(&alice);
    bob.look();
    assert!(disk_gives(&bob, &old));
    later(&mut bob, SLICE_GRACE_MS + 2 * HOUR);
    assert!(!disk_gives(&bob, &old) && bob.room.open_later(&old.event).is_none());
    assert!(disk_gives(&bob, &new));
}

#[test]
fn a_room_that_is_opened_to_newcomers_forgets_what_was_closed_to_them() {
    let (mut alice, _) = pair(new_room(History::None));
    let old = alice.write("closed");
    later(&mut alice, ROTATE_EVERY_MS);
    let changed = alice.room.set_policy(Policy { history: History::Full }, alice.now).unwrap();
    alice.keep(changed);
    alice.maintain();
    let new = alice.write("open");
    assert_ne!(place(&new).0, place(&old).0);
    later(&mut alice, SLICE_GRACE_MS + 2 * HOUR);
    assert!(!disk_gives(&alice, &old) && disk_gives(&alice, &new));
}

#[test]
fn an_epoch_that_came_into_use_again_is_kept_for_its_time_after_it_was_replaced() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    bob.sync_from(&alice);
    carol.look();
    let first = carol.room.epoch_status().epoch;
    // Bob makes an epoch while he is made an observer; carol hears of the epoch first.
    let made = bob.room.rotate(bob.now, &mut bob.rng).unwrap();
    bob.keep(made);
    let observer = alice.room.grant_role(&bob.room.me().account(), Role::Observer, alice.now).unwrap();
    alice.keep(observer);
    carol.sync_from(&bob);
    carol.look();
    assert_ne!(carol.room.epoch_status().epoch, first);
    carol.sync_from(&alice);
    later(&mut carol, 2 * SLICE_GRACE_MS);
    assert_eq!(carol.room.epoch_status().epoch, first);
    let said = carol.write("in use again");
    alice.now = carol.now;
    let made = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(made);
    carol.sync_from(&alice);
    carol.look();
    assert!(carol.room.epoch_status().epoch != first && disk_gives(&carol, &said));
    later(&mut carol, SLICE_GRACE_MS + 2 * HOUR);
    assert!(!disk_gives(&carol, &said));
}
