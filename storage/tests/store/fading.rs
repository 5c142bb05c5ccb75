//! What disappears: whoever takes the disk afterwards, with the vault and every page that was ever written, gets nothing back.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use parlor_crypto::Secret;
use parlor_proto::annotation::{Remark, Slot};
use parlor_proto::ids::EventId;
use parlor_storage::{Cursor, Due, LogKind, MessageRow, Namespace, Store, Want};

use crate::common::{batch, device, event_bytes, message, open, room};

const HOUR: u64 = 3_600_000;
const PAYLOAD: usize = 300;

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A message with a header of ten bytes.
fn fading(seq: u64, fades_ms: u64) -> MessageRow {
    let row = message(1, 1, seq, 1_000 * seq, 0);
    let bytes = [&[0, 10][..], &event_bytes(&row.id, 10 + 64 + PAYLOAD)].concat();
    MessageRow { bytes, fades_ms: Some(fades_ms), ..row }
}

fn bare(row: &MessageRow) -> Vec<u8> {
    row.bytes[..2 + 10 + 64].to_vec()
}

fn remark(target: EventId, emoji: &str) -> Remark {
    let (list, slot) = (target.0.to_vec(), Slot::Named(b"place".to_vec()));
    Remark { list, slot, key: emoji.as_bytes().to_vec(), rank: 1, id: EventId([9; 32]), most: 4, value: vec![7; 40] }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn read(store: &Store, row: &MessageRow) -> MessageRow {
    store.message(&room(1), &row.id).unwrap().unwrap()
}

fn all_due(store: &Store, now_ms: u64) -> (Vec<Due>, Option<u64>) {
    store.due(now_ms, 10, &BTreeSet::new()).unwrap()
}

fn draft(store: &Store) -> Option<Vec<u8>> {
    store.get(Some(&room(1)), Namespace::Meta, b"draft").unwrap()
}

#[test]
fn every_page_that_was_ever_written_gives_nothing_back_once_the_key_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (home, before) = (dir.path().join("home"), dir.path().join("before"));
    let store = open(&home);
    let (row, lasting) = (fading(1, now_ms() + HOUR), message(1, 2, 1, 5_000, 200));
    let mut all = batch(1);
    all.message(row.clone()).message(lasting.clone()).remark(remark(row.id, "heart"), row.fades_ms);
    all.put_fading(Namespace::Meta, b"draft", vec![3; 9_000]);
    store.commit_blocking(all).unwrap();
    assert_eq!(read(&store, &row), row);
    store.close();
    copy(&home, &before);

    let store = open(&home);
    assert_eq!(draft(&store), Some(vec![3; 9_000]));
    let mut replaced = batch(1);
    replaced.put_fading(Namespace::Meta, b"draft", vec![4; 10]);
    store.commit_blocking(replaced).unwrap();
    store.destroy_keys(now_ms() + 2 * HOUR).unwrap();
    let seen = read(&store, &row);
    assert!(seen.is_erased() && seen.bytes == bare(&row) && seen.fades_ms.is_none());
    assert_eq!(read(&store, &lasting), lasting);
    assert!(store.remarks(&room(1), &row.id.0, 10).unwrap().is_empty());
    assert_eq!(draft(&store), Some(vec![4; 10]));
    store.close();

    // The thief has the vault, and all of the database as it was while everything could be read: more than any old page gives.
    let with_keys_of_then = open(&before);
    assert_eq!(read(&with_keys_of_then, &row), row, "the copy holds it");
    assert_eq!(draft(&with_keys_of_then), Some(vec![3; 9_000]));
    with_keys_of_then.close();
    std::fs::copy(home.join("fading"), before.join("fading")).unwrap();
    let thief = open(&before);
    let seen = read(&thief, &row);
    assert!(seen.is_erased() && seen.bytes == bare(&row), "nothing but the header");
    assert!(thief.remarks(&room(1), &row.id.0, 10).unwrap().is_empty());
    assert_eq!(draft(&thief), None);
    assert_eq!(read(&thief, &lasting), lasting);
}

#[test]
fn what_was_over_while_the_store_was_closed_is_gone_before_anybody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (row, until) = (fading(1, now_ms() + 50), now_ms() + 50);
    store
        .commit_blocking({
            let mut all = batch(1);
            all.message(row.clone());
            all
        })
        .unwrap();
    store.close();
    // A key lasts a second longer at most.
    while now_ms() < until + 1_100 {
        std::thread::yield_now();
    }
    let store = open(dir.path());
    assert!(read(&store, &row).is_erased());
    let (due, next) = all_due(&store, now_ms());
    assert_eq!((due.len(), due[0].id, due[0].is_line, next), (1, row.id, true, None));
}

#[test]
fn what_is_over_leaves_the_timeline_and_keeps_its_place_in_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let now = now_ms();
    let rows: Vec<_> = (1..=4).map(|seq| fading(seq, now + seq * HOUR)).collect();
    let mut all = batch(1);
    for row in &rows {
        all.message(row.clone());
    }
    all.remark(remark(rows[0].id, "heart"), rows[0].fades_ms);
    store.commit_blocking(all).unwrap();
    assert_eq!(all_due(&store, now), (Vec::new(), rows[0].fades_ms));
    let (due, next) = all_due(&store, now + 2 * HOUR);
    assert_eq!(due.iter().map(|due| due.id).collect::<Vec<_>>(), [rows[0].id, rows[1].id]);
    assert_eq!(next, rows[2].fades_ms);
    let mut over = batch(1);
    for due in &due {
        over.unsay(due.id.0.to_vec()).fade(*due);
    }
    store.commit_blocking(over).unwrap();
    for again in [false, true] {
        let store = if again { open(dir.path()) } else { store.clone() };
        let page = store.page(&room(1), Cursor::Newest, 10).unwrap();
        assert_eq!(page.rows.iter().map(|line| line.row.id).collect::<Vec<_>>(), [rows[3].id, rows[2].id]);
        let want = Want { device: device(1), from: 1, to: u64::MAX };
        let log = store.missing(&room(1), LogKind::Message, &[want], usize::MAX).unwrap();
        assert_eq!(
            log.iter().map(|row| row.bytes.clone()).collect::<Vec<_>>(),
            [bare(&rows[0]), bare(&rows[1]), rows[2].bytes.clone(), rows[3].bytes.clone()]
        );
        assert!(store.remarks(&room(1), &rows[0].id.0, 10).unwrap().is_empty());
        assert!(all_due(&store, now + 2 * HOUR).0.is_empty());
        store.audit().unwrap();
        store.close();
    }
}

#[test]
fn a_room_that_can_not_take_away_what_is_over_keeps_no_other_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let until = now_ms() + HOUR;
    for number in [1, 2] {
        let mut all = batch(number);
        for seq in 1..=12 {
            all.message(fading(seq, until + u64::from(number)));
        }
        store.commit_blocking(all).unwrap();
    }
    let (first, _) = all_due(&store, until + HOUR);
    assert!(first.len() == 10 && first.iter().all(|due| due.room == Some(room(1))), "the oldest come first");
    let (others, next) = store.due(until + HOUR, 10, &BTreeSet::from([room(1)])).unwrap();
    assert!(others.len() == 10 && others.iter().all(|due| due.room == Some(room(2))));
    assert_eq!(next, Some(until + HOUR), "there are more");
    assert_eq!(store.due(until + HOUR, 10, &BTreeSet::from([room(1), room(2)])).unwrap(), (Vec::new(), None));
}

#[test]
fn a_key_that_comes_later_goes_with_the_message_and_an_erased_one_stays_erased() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let row = MessageRow { key: None, ..fading(1, now_ms() + HOUR) };
    let mut all = batch(1);
    all.message(row.clone());
    store.commit_blocking(all).unwrap();
    assert_eq!(store.unreadable(&room(1), None, 10).unwrap().len(), 1);
    let mut key = batch(1);
    key.message_key(row.id, Secret::new([5; 32])).covers_own(row.id, 77);
    store.commit_blocking(key).unwrap();
    let seen = read(&store, &row);
    assert_eq!((seen.key.clone(), seen.covers_own), (Some(Secret::new([5; 32])), 77));
    assert_eq!((seen.bytes.clone(), seen.fades_ms), (row.bytes.clone(), row.fades_ms));
    let mut erase = batch(1);
    erase.erase(row.id);
    store.commit_blocking(erase).unwrap();
    assert!(read(&store, &row).is_erased());
    store.destroy_keys(now_ms() + 2 * HOUR).unwrap();
    let mut late = batch(1);
    late.message_key(row.id, Secret::new([6; 32])).covers_own(row.id, 99);
    store.commit_blocking(late).unwrap();
    let seen = read(&store, &row);
    assert!(seen.is_erased() && seen.bytes == bare(&row) && seen.covers_own == 99);
}

#[test]
fn what_is_said_about_a_message_lasts_as_long_as_the_last_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (now, target) = (now_ms(), EventId([1; 32]));
    for (emoji, until) in [("a", now + HOUR), ("b", now + 3 * HOUR), ("c", now + 2 * HOUR)] {
        let mut said = batch(1);
        said.remark(remark(target, emoji), Some(until));
        store.commit_blocking(said).unwrap();
    }
    store.destroy_keys(now + 2 * HOUR + HOUR / 2).unwrap();
    assert_eq!(store.remarks(&room(1), &target.0, 10).unwrap().len(), 3);
    store.destroy_keys(now + 4 * HOUR).unwrap();
    assert!(store.remarks(&room(1), &target.0, 10).unwrap().is_empty());
    let mut said = batch(1);
    said.remark(remark(target, "d"), Some(now + 9 * HOUR)).remark(remark(target, "e"), None);
    store.commit_blocking(said).unwrap();
    store.destroy_keys(now + 10 * HOUR).unwrap();
    assert_eq!(store.remarks(&room(1), &target.0, 10).unwrap().len(), 2, "one of them is to stay");
}

#[test]
fn what_a_forgotten_room_had_to_disappear_is_forgotten_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let row = fading(1, now_ms() + HOUR);
    let mut all = batch(1);
    all.message(row.clone());
    store.commit_blocking(all).unwrap();
    let mut forget = batch(1);
    forget.forget_room();
    store.commit_blocking(forget).unwrap();
    let (due, _) = all_due(&store, now_ms() + 2 * HOUR);
    assert_eq!((due.len(), due[0].room), (1, None));
    let mut over = parlor_storage::Batch::new(None);
    over.fade(due[0]);
    store.commit_blocking(over).unwrap();
    assert_eq!(all_due(&store, now_ms() + 2 * HOUR), (Vec::new(), None));
}

#[cfg(feature = "faults")]
#[test]
fn what_was_to_disappear_and_is_not_there_is_met_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (row, now) = (fading(1, now_ms() + HOUR), now_ms() + 2 * HOUR);
    let mut all = batch(1);
    all.message(row);
    store.commit_blocking(all).unwrap();
    store.lose_message(&room(1), all_due(&store, now).0[0].position).unwrap();
    let (due, _) = all_due(&store, now);
    assert_eq!((due.len(), due[0].room), (1, None), "nothing of it is left in the room");
    let mut over = parlor_storage::Batch::new(None);
    over.fade(due[0]);
    store.commit_blocking(over).unwrap();
    assert_eq!(all_due(&store, now), (Vec::new(), None));
}

#[test]
fn a_message_that_does_not_open_keeps_no_other_from_disappearing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let now = now_ms();
    let (first, second) = (fading(1, now + HOUR), fading(2, now + HOUR + 1_000));
    let mut all = batch(1);
    all.message(first).message(second.clone());
    store.commit_blocking(all).unwrap();
    let (due, _) = all_due(&store, now + 2 * HOUR);
    store.damage_message(&room(1), due[0].position).unwrap();
    let (due, _) = all_due(&store, now + 2 * HOUR);
    assert_eq!(due.iter().map(|due| due.room).collect::<Vec<_>>(), [None, Some(room(1))]);
    assert_eq!(due[1].id, second.id);
    let (mut rest, mut over) = (parlor_storage::Batch::new(None), batch(1));
    rest.fade(due[0]);
    over.fade(due[1]);
    store.commit_blocking(rest).unwrap();
    store.commit_blocking(over).unwrap();
    assert_eq!(all_due(&store, now + 2 * HOUR), (Vec::new(), None));
    assert_eq!(read(&store, &second).bytes, bare(&second));
}
