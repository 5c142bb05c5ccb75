//! What of the keys of a room is on disk, and comes back.

use super::support::{Person, new_invite};
use crate::control::{History, Role};
use crate::limits::ROTATE_EVERY_MS;
use crate::room::{EpochRow, Persist, StoredKeys};

fn epochs(keys: &StoredKeys) -> usize {
    keys.iter().filter(|(name, row)| EpochRow::decode(name, row).is_some()).count()
}

#[test]
fn a_new_epoch_writes_one_row_however_many_there_are() {
    let mut alice = Person::founder(1, History::Full);
    for _ in 0..20 {
        alice.now += ROTATE_EVERY_MS;
        let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
        assert_eq!(outcome.persist.keys.len(), 1);
        assert!(outcome.persist.keys.values().flatten().all(|row| row.len() < 128));
        alice.keep(outcome);
    }
    assert_eq!(epochs(&alice.keys), 21);
    let before = alice.room.epoch_status();
    alice.restart();
    assert_eq!(alice.room.epoch_status(), before);
    alice.now += ROTATE_EVERY_MS;
    assert_eq!(alice.room.rotate(alice.now, &mut alice.rng).unwrap().persist.keys.len(), 1);
}

#[test]
fn a_home_from_before_there_were_rows_opens_and_is_rewritten_with_the_next_change() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    alice.write("before");
    let (status, topic) = (alice.room.epoch_status(), alice.room.topic_secret().clone());
    alice.keys = alice.room.version_1_rows();
    assert_eq!((alice.keys.len(), epochs(&alice.keys)), (1, 0));
    alice.restart();
    assert_eq!(alice.room.epoch_status(), status);
    assert_eq!(alice.room.topic_secret(), &topic);
    let outcome = alice.room.rotate(alice.now + 7_200_000, &mut alice.rng).unwrap();
    alice.keep(outcome);
    assert_eq!(epochs(&alice.keys), 3);
    alice.restart();
    alice.write("after");
    bob.sync_from(&alice);
    assert_eq!(bob.shown(), ["before", "after"]);
}

#[test]
fn a_damaged_row_is_an_error_and_not_a_room_without_keys() {
    let mut alice = Person::founder(1, History::Full);
    let names: Vec<Vec<u8>> = alice.keys.keys().cloned().collect();
    for name in names {
        let whole = alice.keys.clone();
        let row = alice.keys.get_mut(&name).unwrap();
        row.pop();
        assert!(alice.try_restart().is_err());
        alice.keys = whole;
    }
    alice.restart();
}

#[test]
fn the_later_of_two_changes_of_a_row_wins() {
    let row = |byte: u8| Some(vec![byte].into());
    let mut first = Persist { keys: [(vec![1], row(1)), (vec![2], row(1))].into(), ..Persist::default() };
    first.merge(Persist { keys: [(vec![1], None), (vec![3], row(2))].into(), ..Persist::default() });
    assert_eq!(first.keys, [(vec![1], None), (vec![2], row(1)), (vec![3], row(2))].into());
    assert!(!first.is_empty());
}
