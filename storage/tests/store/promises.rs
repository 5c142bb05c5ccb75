//! What a caller may rely on, one promise a test.

use std::fs;

use parlor_crypto::Secret;
use parlor_crypto::vault::Vault;
use parlor_storage::{
    Batch, Chain, CommitError, Cursor, InOrder, LogKind, Namespace, OpenError, OpenOptions, Position, Store, Want,
    limits,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::common::{batch, control, device, event_id, message, open, room, try_open};

fn orders(page: &parlor_storage::Page) -> Vec<u64> {
    page.rows.iter().map(|row| row.row.order).collect()
}

#[test]
fn what_is_committed_is_read_back_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut all = batch(1);
    all.room(b"record".to_vec()).control(control(1, 1, 1)).control(control(1, 2, 1)).control(control(1, 1, 2));
    all.message(message(1, 1, 1, 10, 350)).message(message(1, 2, 1, 20, 30_000)).page([9; 32], vec![5; 22_000]);
    all.put(Namespace::Keys, b"k", vec![1]).put(Namespace::Keys, b"l", vec![2; 60_000]);
    store.commit_blocking(all).unwrap();
    for store in [store.clone(), {
        store.close();
        open(dir.path())
    }] {
        if store.rooms().is_err() {
            continue;
        }
        let id = room(1);
        assert_eq!(store.rooms().unwrap(), [(id, b"record".to_vec())]);
        assert_eq!(store.control(&id).unwrap(), [control(1, 1, 1), control(1, 2, 1), control(1, 1, 2)]);
        let big = message(1, 2, 1, 20, 30_000);
        assert_eq!(store.message(&id, &big.id).unwrap(), Some(big.clone()));
        assert!(store.has(&id, &big.id).unwrap());
        assert!(store.has(&id, &control(1, 1, 2).id).unwrap());
        assert_eq!(store.message(&id, &control(1, 1, 2).id).unwrap(), None);
        assert_eq!(store.page_blob(&id, &[9; 32]).unwrap(), Some(vec![5; 22_000]));
        assert_eq!(store.get(Some(&id), Namespace::Keys, b"k").unwrap(), Some(vec![1]));
        assert_eq!(store.get(Some(&id), Namespace::Keys, b"l").unwrap(), Some(vec![2; 60_000]));
        assert_eq!(store.get(None, Namespace::Keys, b"k").unwrap(), None);
        assert_eq!(store.count(&id).unwrap(), 2);
        let tips = store.tips(&id).unwrap();
        assert_eq!(tips.control.iter().map(|tip| tip.seq).sum::<u64>(), 3);
        assert_eq!(tips.message.iter().map(|tip| tip.seq).sum::<u64>(), 2);
    }
}

#[test]
fn a_closed_store_answers_closed_and_can_be_opened_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let clone = store.clone();
    store.close();
    clone.close();
    let answer = clone.commit_blocking(batch(1));
    assert!(matches!(answer, Err(CommitError::Closed)), "{answer:?}");
    assert!(clone.rooms().is_err());
    open(dir.path()).close();
}

#[test]
fn whoever_follows_the_changes_misses_none_that_comes_after_a_batch_of_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut made = Batch::new(Some(room(1)));
    made.room(vec![7]);
    store.commit_blocking(made).unwrap();
    store.commit_blocking(Batch::new(None)).unwrap();
    let seen = store.changes(0, 10).unwrap().up_to;
    let mut said = Batch::new(Some(room(1)));
    said.message(message(1, 1, 1, 1, 300));
    store.commit_blocking(said).unwrap();
    assert_eq!(store.changes(seen, 10).unwrap().changed.len(), 1);
}

#[test]
fn a_gap_and_a_second_event_in_one_place_are_refused_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut first = batch(1);
    first.message(message(1, 1, 1, 10, 100));
    store.commit_blocking(first).unwrap();

    let mut gap = batch(1);
    gap.put(Namespace::Meta, b"x", vec![1]).message(message(1, 1, 3, 30, 100));
    assert!(matches!(store.commit_blocking(gap), Err(CommitError::Conflict { seq: 3, .. })));
    let mut other = message(1, 1, 1, 11, 100);
    other.id = event_id(LogKind::Message, 9, 9, 9);
    let mut second = batch(1);
    second.message(other.clone());
    assert!(matches!(store.commit_blocking(second), Err(CommitError::Conflict { seq: 1, .. })));
    assert!(!store.has(&room(1), &other.id).unwrap());
    assert_eq!(store.get(Some(&room(1)), Namespace::Meta, b"x").unwrap(), None);
    assert_eq!(store.count(&room(1)).unwrap(), 1);
}

#[test]
fn repeating_a_batch_is_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for _ in 0..3 {
        let mut same = batch(1);
        same.control(control(1, 1, 1)).message(message(1, 1, 1, 10, 100)).message(message(1, 1, 1, 10, 100));
        same.message(message(1, 1, 2, 20, 100)).page([1; 32], vec![1]);
        store.commit_blocking(same).unwrap();
    }
    assert_eq!(store.count(&room(1)).unwrap(), 2);
    assert_eq!(store.control(&room(1)).unwrap().len(), 1);
    assert_eq!(orders(&store.page(&room(1), Cursor::Newest, 10).unwrap()), [20, 10]);
}

#[test]
fn pages_walk_the_whole_timeline_in_both_directions() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut all = batch(1);
    for seq in 1..=30 {
        all.message(message(1, 1, seq, 10 * seq, 100)).message(message(1, 2, seq, 10 * seq + 5, 100));
    }
    store.commit_blocking(all).unwrap();
    let id = room(1);
    let mut seen = Vec::new();
    let mut page = store.page(&id, Cursor::Newest, 7).unwrap();
    assert!(!page.newer);
    while let Some(oldest) = page.rows.last().map(|row| row.position) {
        seen.extend(orders(&page));
        assert_eq!(page.older, seen.len() < 60);
        page = store.page(&id, Cursor::Before(oldest), 7).unwrap();
        assert!(page.newer);
    }
    let mut expected: Vec<u64> = (1..=30).flat_map(|seq| [10 * seq, 10 * seq + 5]).rev().collect();
    assert_eq!(seen, expected);

    expected.reverse();
    let mut seen = Vec::new();
    let oldest = store.position(&id, &message(1, 1, 1, 10, 100).id).unwrap().unwrap();
    let mut page = store.page(&id, Cursor::Around(oldest), 1).unwrap();
    assert!(!page.older && page.newer);
    while let Some(newest) = page.rows.first().map(|row| row.position) {
        seen.extend(orders(&page).into_iter().rev());
        page = store.page(&id, Cursor::After(newest), 7).unwrap();
        assert!(page.older);
    }
    assert_eq!(seen, expected);

    let middle = store.position(&id, &message(1, 1, 15, 150, 100).id).unwrap().unwrap();
    let page = store.page(&id, Cursor::Around(middle), 5).unwrap();
    assert_eq!(orders(&page), [160, 155, 150, 145, 140]);
    assert!(page.older && page.newer);
    assert_eq!(middle.to_string().parse::<Position>(), Ok(middle));
    assert!("xyz".parse::<Position>().is_err());
    assert!("0A".repeat(20).parse::<Position>().is_err(), "one position has one text");
    assert!("0a".repeat(20).parse::<Position>().is_ok());
}

#[test]
fn equal_clocks_give_one_order_in_every_store() {
    let tell = |devices: [u8; 4]| {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for device in devices {
            let mut one = batch(1);
            one.message(message(1, device, 1, 10, 100));
            store.commit_blocking(one).unwrap();
        }
        let page = store.page(&room(1), Cursor::Newest, 10).unwrap();
        page.rows.into_iter().map(|row| row.row.device).collect::<Vec<_>>()
    };
    assert_eq!(tell([1, 2, 3, 4]), tell([3, 1, 4, 2]));
}

#[test]
fn missing_events_come_merged_in_order_and_within_the_bytes_asked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut all = batch(1);
    for seq in 1..=20 {
        all.message(message(1, 1, seq, 10 * seq, 100)).message(message(1, 2, seq, 10 * seq + 5, 100));
        all.control(control(1, 2, seq)).control(control(1, 1, seq));
    }
    store.commit_blocking(all).unwrap();
    let id = room(1);
    let wants = [
        Want { device: device(1), from: 3, to: 4 },
        Want { device: device(2), from: 18, to: u64::MAX },
        Want { device: device(7), from: 1, to: 9 },
    ];
    let rows = store.missing(&id, LogKind::Message, &wants, usize::MAX).unwrap();
    assert_eq!(rows.iter().map(|row| row.rank).collect::<Vec<_>>(), [30, 40, 185, 195, 205]);
    assert_eq!(rows[0].bytes, message(1, 1, 3, 30, 100).bytes);
    assert_eq!(store.missing(&id, LogKind::Message, &wants, 250).unwrap().len(), 2);
    assert_eq!(store.missing(&id, LogKind::Message, &wants, 0).unwrap().len(), 1);
    let control = store.missing(&id, LogKind::Control, &wants, usize::MAX).unwrap();
    let places: Vec<_> = control.iter().map(|row| (row.device, row.seq)).collect();
    assert_eq!(places, [(device(1), 3), (device(1), 4), (device(2), 18), (device(2), 19), (device(2), 20)]);
}

#[test]
fn messages_without_a_key_are_listed_until_the_key_is_learned() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut all = batch(1);
    for seq in 1..=4 {
        let mut row = message(1, 1, seq, seq, 5_000);
        row.key = None;
        all.message(row);
    }
    let id = event_id(LogKind::Message, 1, 1, 4);
    all.message_key(id, Secret::new([4; 32]));
    store.commit_blocking(all).unwrap();
    let unread = |after| {
        let rows = store.unreadable(&room(1), after, 10).unwrap();
        rows.into_iter().map(|row| row.row.seq).collect::<Vec<_>>()
    };
    assert_eq!(unread(None), [1, 2, 3]);
    let second = event_id(LogKind::Message, 1, 1, 2);
    let mut keys = batch(1);
    keys.message_key(second, Secret::new([2; 32]))
        .message_key(event_id(LogKind::Message, 1, 5, 5), Secret::new([0; 32]));
    store.commit_blocking(keys).unwrap();
    assert_eq!(unread(None), [1, 3]);
    assert_eq!(unread(store.position(&room(1), &second).unwrap()), [3]);
    let row = store.message(&room(1), &second).unwrap().unwrap();
    assert_eq!(row.key, Some(Secret::new([2; 32])));
    assert_eq!(row.bytes, message(1, 1, 2, 2, 5_000).bytes);
}

#[test]
fn small_values_are_replaced_removed_and_listed_by_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut all = Batch::new(None);
    all.put(Namespace::Outbox, b"b2", vec![2]).put(Namespace::Outbox, b"b1", vec![1]).put(
        Namespace::Outbox,
        b"c",
        vec![3],
    );
    all.put(Namespace::Meta, b"b3", vec![4])
        .put(Namespace::Outbox, b"gone", vec![0])
        .delete(Namespace::Outbox, b"gone");
    all.delete(Namespace::Outbox, b"c").put(Namespace::Outbox, b"c", vec![5; 9_000]);
    store.commit_blocking(all).unwrap();
    let scan = |prefix: &[u8]| store.scan(None, Namespace::Outbox, prefix).unwrap();
    assert_eq!(scan(b"b"), [(b"b1".to_vec(), vec![1]), (b"b2".to_vec(), vec![2])]);
    assert_eq!(scan(b"").len(), 3);
    let mut change = Batch::new(None);
    change.put(Namespace::Outbox, b"c", vec![6]).delete(Namespace::Outbox, b"b1");
    store.commit_blocking(change).unwrap();
    assert_eq!(scan(b""), [(b"b2".to_vec(), vec![2]), (b"c".to_vec(), vec![6])]);
}

#[test]
fn what_is_too_large_or_names_no_room_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut large = batch(1);
    large.message(message(1, 1, 1, 1, limits::MAX_VALUE_BYTES + 1));
    assert!(matches!(store.commit_blocking(large), Err(CommitError::TooLarge { .. })));
    let mut huge = batch(1);
    for n in 0..40 {
        huge.put(Namespace::Meta, &[n], vec![0; limits::MAX_VALUE_BYTES]);
    }
    assert!(matches!(store.commit_blocking(huge), Err(CommitError::TooLarge { .. })));
    let mut key = batch(1);
    key.put(Namespace::Meta, &[0; limits::MAX_KEY_BYTES + 1], vec![]);
    assert!(matches!(store.commit_blocking(key), Err(CommitError::TooLarge { .. })));
    let mut nowhere = Batch::new(None);
    nowhere.message(message(1, 1, 1, 1, 10));
    assert!(matches!(store.commit_blocking(nowhere), Err(CommitError::NoRoom)));
    let mut largest = batch(1);
    largest.message(message(1, 1, 1, 1, limits::MAX_VALUE_BYTES)).put(
        Namespace::Meta,
        b"m",
        vec![7; limits::MAX_VALUE_BYTES],
    );
    store.commit_blocking(largest).unwrap();
    assert_eq!(store.get(Some(&room(1)), Namespace::Meta, b"m").unwrap().unwrap().len(), limits::MAX_VALUE_BYTES);
}

#[test]
fn a_forgotten_room_is_gone_at_once_and_can_come_back_empty() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in [1, 2] {
        let mut all = batch(number);
        all.room(vec![number]).control(control(number, 1, 1)).put(Namespace::Meta, b"x", vec![1]);
        for seq in 1..=1_500 {
            all.message(message(number, 1, seq, seq, 60));
        }
        store.commit_blocking(all).unwrap();
    }
    let mut leave = batch(1);
    leave.forget_room();
    store.commit_blocking(leave).unwrap();
    assert_eq!(store.rooms().unwrap(), [(room(2), vec![2])]);
    assert_eq!(store.count(&room(1)).unwrap(), 0);
    let mut again = batch(1);
    again.message(message(1, 1, 1, 1, 60));
    store.commit_blocking(again).unwrap();
    store.close();
    let store = open(dir.path());
    assert_eq!(store.count(&room(1)).unwrap(), 1);
    assert_eq!(store.page(&room(1), Cursor::Newest, 10).unwrap().rows.len(), 1);
    assert_eq!(store.count(&room(2)).unwrap(), 1_500);
    assert_eq!(store.get(Some(&room(1)), Namespace::Meta, b"x").unwrap(), None);
}

#[test]
fn many_commits_at_once_are_all_answered() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks = (1..=20).map(|device| {
            let store = store.clone();
            tokio::spawn(async move {
                for seq in 1..=20 {
                    let mut one = batch(1);
                    one.message(message(1, device, seq, 100 * seq, 100));
                    store.commit(one).await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
    assert_eq!(store.count(&room(1)).unwrap(), 400);
}

#[test]
fn a_dropped_commit_is_applied_all_the_same_once_it_is_queued() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut one = batch(1);
    one.message(message(1, 1, 1, 1, 100));
    let mut future = Box::pin(store.commit(one));
    let waker = std::task::Waker::noop();
    assert!(future.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    drop(future);
    store.commit_blocking(batch(2)).unwrap();
    let mut next = batch(1);
    next.message(message(1, 1, 2, 2, 100));
    store.commit_blocking(next).unwrap();
    assert_eq!(store.count(&room(1)).unwrap(), 2);
}

#[test]
fn a_second_handle_on_one_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    assert!(matches!(try_open(dir.path()), Err(OpenError::Locked { .. })));
}

#[test]
fn a_wrong_key_a_foreign_folder_and_another_schema_are_told_apart_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close();
    let other = Vault::generate(&mut StdRng::seed_from_u64(8));
    let opened = Store::open(dir.path(), &other, OpenOptions::default());
    assert!(matches!(opened, Err(OpenError::WrongKey { .. })), "{opened:?}");

    let stamp = dir.path().join("stamp");
    let whole = fs::read(&stamp).unwrap();
    for (schema, is_expected) in [
        (6_u32, (|error| matches!(error, OpenError::Newer { found: 6, known: 5, .. })) as fn(&OpenError) -> bool),
        (1, |error| matches!(error, OpenError::Older { found: 1, oldest: 2, .. })),
    ] {
        // As written by a program of that schema: magic, schema, check of both.
        let mut stamped = whole[..13].to_vec();
        stamped.extend_from_slice(&schema.to_be_bytes());
        let check = blake3::hash(&stamped);
        stamped.extend_from_slice(&check.as_bytes()[..8]);
        stamped.extend_from_slice(b"whatever follows in that schema");
        fs::write(&stamp, &stamped).unwrap();
        let error = try_open(dir.path()).unwrap_err();
        assert!(is_expected(&error), "{error}");
        assert_eq!(fs::read(&stamp).unwrap(), stamped);
    }
    fs::write(&stamp, &whole).unwrap();
    open(dir.path()).close();

    let strange = tempfile::tempdir().unwrap();
    fs::write(strange.path().join("holiday.jpg"), b"not ours").unwrap();
    let error = try_open(strange.path()).unwrap_err();
    assert!(matches!(&error, OpenError::Foreign { path } if path.ends_with("holiday.jpg")), "{error}");
    assert_eq!(fs::read_dir(strange.path()).unwrap().count(), 1);
    let file = strange.path().join("holiday.jpg");
    let error = try_open(&file).unwrap_err();
    assert!(error.to_string().contains("holiday.jpg"), "{error}");
}

#[test]
fn an_interrupted_snapshot_does_not_stop_the_opening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut one = batch(1);
    one.message(message(1, 1, 1, 1, 100));
    store.commit_blocking(one).unwrap();
    store.close();
    fs::write(dir.path().join("sled/snap.00000000FFFFFFFF.generating"), b"half").unwrap();
    let store = open(dir.path());
    assert_eq!(store.count(&room(1)).unwrap(), 1);
    store.close();
    fs::write(dir.path().join("sled/snap.00000000FFFFFFFF"), b"no snapshot at all").unwrap();
    assert_eq!(open(dir.path()).count(&room(1)).unwrap(), 1);
}

#[test]
fn after_a_refused_batch_nothing_of_its_chain_is_stored_and_other_chains_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (chain, other) = (Chain::default(), Chain::default());
    let mut gap = batch(1);
    gap.chain(&chain).message(message(1, 1, 2, 10, 100));
    let mut after = batch(1);
    after.chain(&chain).put(Namespace::Meta, b"after", vec![1]);
    let mut beside = batch(1);
    beside.chain(&other).put(Namespace::Meta, b"beside", vec![1]);
    let answers = futures::executor::block_on(async {
        futures::join!(store.commit(gap), store.commit(after), store.commit(beside))
    });
    assert!(matches!(answers.0, Err(CommitError::Conflict { .. })), "{:?}", answers.0);
    assert!(matches!(answers.1, Err(CommitError::Broken)), "{:?}", answers.1);
    assert!(answers.2.is_ok() && chain.is_broken() && !other.is_broken());
    assert_eq!(store.get(Some(&room(1)), Namespace::Meta, b"after").unwrap(), None);
    let mut late = batch(1);
    late.chain(&chain).put(Namespace::Meta, b"late", vec![1]);
    assert!(matches!(store.commit_blocking(late), Err(CommitError::Broken)));
}

#[tokio::test]
async fn batches_become_durable_in_the_order_of_their_making_whichever_is_polled_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut in_order = InOrder::new(store.clone());
    let made: Vec<_> = (1..=200)
        .map(|seq| {
            let mut one = batch(1);
            one.message(message(1, 1, seq, 1_000 * seq, 100));
            in_order.commit(one)
        })
        .collect();
    // Each says that it follows the one before: out of order the store refuses it.
    let done = futures::future::join_all(made.into_iter().rev()).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!(store.page(&room(1), Cursor::Newest, 1).unwrap().rows[0].row.seq, 200);
}

#[tokio::test]
async fn a_batch_that_is_given_up_before_it_was_queued_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut in_order = InOrder::new(store);
    drop(in_order.commit(batch(1)));
    let mut given_up = batch(1);
    given_up.message(message(1, 1, 1, 1_000, 100));
    drop(in_order.commit(given_up));
    let mut one = batch(1);
    one.message(message(1, 1, 1, 1_000, 100));
    in_order.commit(one).await.unwrap();
}
