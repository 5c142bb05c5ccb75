//! Rows that do not open any more take no others along.

use parlor_crypto::Secret;
use parlor_crypto::vault::Vault;
use parlor_proto::ids::{DeviceId, EventId, RoomId};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{Batch, Cursor, LogKind, MessageRow, OpenOptions, Store, Want};

const ROOM: RoomId = RoomId([7; 32]);

fn message(device: u8, seq: u64, key: bool) -> MessageRow {
    let order = seq * 10 + u64::from(device);
    let id = EventId([device, seq as u8].repeat(16).try_into().unwrap());
    MessageRow {
        device: DeviceId([device; 32]),
        seq,
        id,
        hlc: order,
        order,
        received_ms: 1,
        covers_own: 0,
        key: key.then(|| Secret::new(id.0)),
        bytes: vec![device; 100],
        fades_ms: None,
    }
}

/// A store with ten messages of each of two devices.
fn store(key: bool) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::generate(&mut StdRng::seed_from_u64(1));
    let store = Store::open(dir.path(), &vault, OpenOptions { reserve_bytes: 0 }).unwrap();
    let mut batch = Batch::new(Some(ROOM));
    batch.room(vec![1]);
    for seq in 1..=10 {
        batch.message(message(1, seq, key)).message(message(2, seq, key));
    }
    store.commit_blocking(batch).unwrap();
    (dir, store)
}

fn damage(store: &Store, device: u8, seq: u64) {
    let id = message(device, seq, false).id;
    store.damage_message(&ROOM, store.position(&ROOM, &id).unwrap().unwrap()).unwrap();
}

#[test]
fn messages_that_wait_for_their_keys_are_found_also_behind_one_that_does_not_open() {
    let (_dir, store) = store(false);
    damage(&store, 1, 1);
    damage(&store, 2, 5);
    assert_eq!(store.unreadable(&ROOM, None, 100).unwrap().len(), 18);
    let first = store.unreadable(&ROOM, None, 9).unwrap();
    assert_eq!(first.len(), 9);
    assert_eq!(store.unreadable(&ROOM, Some(first[8].position), 100).unwrap().len(), 9);
}

#[test]
fn of_a_log_with_a_message_that_does_not_open_what_is_before_it_is_given_and_of_others_all() {
    let (_dir, store) = store(true);
    damage(&store, 1, 5);
    let want = |device| Want { device: DeviceId([device; 32]), from: 1, to: 10 };
    let given = store.missing(&ROOM, LogKind::Message, &[want(1), want(2)], usize::MAX).unwrap();
    let of = |device| given.iter().filter(move |row| row.device == DeviceId([device; 32]));
    assert_eq!(of(1).map(|row| row.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(of(2).count(), 10);
}

#[test]
fn a_walk_over_all_messages_comes_behind_one_that_does_not_open() {
    let (_dir, store) = store(true);
    damage(&store, 1, 5);
    assert_eq!(store.walk(&ROOM, None, 100).unwrap().len(), 19);
    let first = store.walk(&ROOM, None, 8).unwrap();
    assert_eq!(first.len(), 8);
    assert_eq!(store.walk(&ROOM, Some(first[7].position), 100).unwrap().len(), 11);
    assert_eq!(store.page_readable(&ROOM, Cursor::Newest, 100).unwrap().rows.len(), 19);
}
