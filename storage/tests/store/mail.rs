//! Mailboxes: what they keep, what they refuse, what goes, and that a kill at any moment loses nothing that was answered.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use parlor_proto::mailbox::{BlobId, BoxKind, BoxName, Entry, limits};
use parlor_storage::{MailOptions, MailStore, MailUsage, PutError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::kill::acknowledge;

const CHILD: &str = "PARLOR_MAIL_KILL_DIR";
const KILLS: u32 = 12;
const WRITERS: u8 = 3;

fn name(n: u8) -> BoxName {
    BoxName { kind: BoxKind::Room, key: [n; 32] }
}

/// The `n`th blob of a writer: some have several pieces.
fn blob(writer: u8, n: u64) -> Bytes {
    let len = if n.is_multiple_of(5) { 16_384 } else { 512 };
    let mut bytes = vec![writer; len];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes.into()
}

fn open(dir: &Path) -> MailStore {
    let options = MailOptions { reserve_bytes: 0, ..MailOptions::default() };
    MailStore::open(dir, options, Box::new(|_, _, _| {})).unwrap()
}

fn put(store: &MailStore, name: BoxName, blob: &Bytes, now_ms: u64) -> Result<u64, PutError> {
    block_on(store.put(name, BlobId::of(blob), blob.clone(), now_ms))
}

/// Writes until killed. Not a test of its own: it does nothing unless the test below starts it.
#[test]
fn a_child_writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let store = open(Path::new(&dir));
    let count = |writer| store.list(&name(writer), 0, 1).unwrap().entries.len();
    std::thread::scope(|scope| {
        for writer in 1..=WRITERS {
            let store = &store;
            let first = if count(writer) == 0 { 1 } else { newest(store, writer) + 1 };
            scope.spawn(move || {
                for n in first.. {
                    put(store, name(writer), &blob(writer, n), n).unwrap();
                    acknowledge(&writer.to_string(), n);
                    if n.is_multiple_of(7) {
                        block_on(store.remove(name(writer), BlobId::of(&blob(writer, n - 3)))).unwrap();
                        acknowledge(&format!("out-{writer}"), n - 3);
                    }
                    if writer == 1 && n.is_multiple_of(50) {
                        block_on(store.expire(n - 40)).unwrap();
                    }
                }
            });
        }
    });
}

/// The number of the newest blob of a writer.
fn newest(store: &MailStore, writer: u8) -> u64 {
    contents(store, writer).last_key_value().map_or(0, |(n, _)| *n)
}

fn contents(store: &MailStore, writer: u8) -> BTreeMap<u64, u64> {
    let mut contents = BTreeMap::new();
    let mut after = 0;
    loop {
        let listing = store.list(&name(writer), after, 100).unwrap();
        for entry in &listing.entries {
            let bytes = store.get(&name(writer), &entry.id).unwrap().expect("listed and not there");
            assert_eq!((BlobId::of(&bytes), bytes.len()), (entry.id, entry.size as usize));
            contents.insert(u64::from_be_bytes(bytes[..8].try_into().unwrap()), entry.at);
            after = entry.at;
        }
        if !listing.more {
            return contents;
        }
    }
}

#[test]
fn killed_at_any_moment_mailboxes_keep_what_was_answered() {
    let seed: u64 = std::env::var("PARLOR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("seed {seed}: set PARLOR_SEED to it for the same moments");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    let (mut id, mut highest) = (None, 0);
    for _ in 0..KILLS {
        run_and_kill(dir.path(), &mut rng, &mut acknowledged);
        let store = open(dir.path());
        assert_eq!(*id.get_or_insert(store.id()), store.id());
        store.audit().unwrap();
        // The first writer has what is older than its newest 40 go, whosever it is.
        let kept_from = newest(&store, 1).saturating_sub(40);
        for writer in 1..=WRITERS {
            let contents = contents(&store, writer);
            let last = acknowledged.get(&writer.to_string()).copied().unwrap_or(0);
            let newest = contents.last_key_value().map_or(0, |(n, _)| *n);
            assert!(newest >= last || last < kept_from, "writer {writer}: {last} was answered, {newest} is the newest");
            let out = acknowledged.get(&format!("out-{writer}")).copied().unwrap_or(0);
            let gone: Vec<u64> = (last.saturating_sub(30)..=last)
                .filter(|n| *n >= kept_from.max(1) && !contents.contains_key(n))
                .collect();
            assert!(gone.iter().all(|n| n % 7 == 4), "writer {writer}: {gone:?} are missing");
            assert!(out == 0 || !contents.contains_key(&out), "writer {writer}: {out} came back");
            assert!(contents.values().is_sorted(), "numbers follow the order");
        }
        let end = store.list(&name(1), 0, 1).unwrap().end;
        assert!(end >= highest, "a number was given back");
        highest = end;
        store.close();
    }
    let answered: u64 = (1..=WRITERS).filter_map(|writer| acknowledged.get(&writer.to_string())).sum();
    println!("{KILLS} kills, {answered} blobs");
    assert!(answered > u64::from(KILLS), "the children hardly wrote");
}

fn run_and_kill(dir: &Path, rng: &mut StdRng, acknowledged: &mut BTreeMap<String, u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "mail::a_child_writes_until_it_is_killed", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut note = |line: String| {
        if let Some((what, n)) = line.strip_prefix("ack ").and_then(|rest| rest.split_once(' ')) {
            acknowledged.insert(what.to_owned(), n.parse().unwrap());
        }
    };
    for _ in 0..rng.random_range(1..60) {
        lines.next().into_iter().for_each(|line| note(line.unwrap()));
    }
    std::thread::sleep(Duration::from_micros(rng.random_range(0..4_000)));
    child.kill().unwrap();
    lines.map_while(Result::ok).for_each(&mut note);
    assert!(child.wait().unwrap().code().is_none(), "the child ended by itself");
}

#[test]
fn a_blob_is_there_once_under_its_number_until_it_is_taken_out_or_too_old() {
    let dir = tempfile::tempdir().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let options = MailOptions { reserve_bytes: 0, ..MailOptions::default() };
    let store = MailStore::open(
        dir.path(),
        options,
        Box::new(move |name, entry, blob| telling.lock().unwrap().push((name, entry.at, blob.clone()))),
    )
    .unwrap();
    for n in 1..=10 {
        assert_eq!(put(&store, name(1), &blob(1, n), n * 100).unwrap(), n);
        assert_eq!(put(&store, name(1), &blob(1, n), n * 100).unwrap(), n, "again: the same number");
    }
    assert_eq!(put(&store, name(2), &blob(1, 1), 2_000).unwrap(), 11, "another box");
    assert_eq!(told.lock().unwrap().iter().map(|(_, at, _)| *at).collect::<Vec<_>>(), (1..=11).collect::<Vec<_>>());
    let listing = store.list(&name(1), 3, 4).unwrap();
    assert_eq!(listing.entries.iter().map(|entry| entry.at).collect::<Vec<_>>(), [4, 5, 6, 7]);
    assert!(listing.more && listing.end == 11);
    block_on(store.remove(name(1), BlobId::of(&blob(1, 5)))).unwrap();
    assert_eq!(store.get(&name(1), &BlobId::of(&blob(1, 5))).unwrap(), None);
    assert_eq!(block_on(store.expire(400)).unwrap(), 3);
    assert_eq!(block_on(store.expire(400)).unwrap(), 0);
    assert_eq!(contents(&store, 1).into_keys().collect::<Vec<_>>(), [4, 6, 7, 8, 9, 10]);
    let used = MailUsage { blobs: 6, bytes: 5 * 512 + 16_384 };
    assert_eq!(store.usage(&name(1)).unwrap(), used);
    assert_eq!(store.total(), MailUsage { blobs: 7, bytes: used.bytes + 512 });
    store.audit().unwrap();
    assert_eq!(put(&store, name(1), &blob(1, 5), 5_000).unwrap(), 12, "a number is given once");
    let id = store.id();
    store.close();
    let again = open(dir.path());
    assert_eq!((again.id(), again.total().blobs), (id, 8));
    assert_eq!(again.list(&name(1), 0, 512).unwrap().end, 12);
}

#[test]
fn a_full_box_and_a_full_store_refuse_and_say_which() {
    let dir = tempfile::tempdir().unwrap();
    let options = MailOptions { reserve_bytes: 0, max_bytes: 0 };
    let fits = limits::INBOX_BYTES / 8_192;
    // Room for the inbox and two blobs more, as they count.
    let all = MailUsage { blobs: fits + 2, bytes: limits::INBOX_BYTES + 2 * 8_192 };
    let options = MailOptions { max_bytes: all.counted(), ..options };
    let store = MailStore::open(dir.path(), options, Box::new(|_, _, _| {})).unwrap();
    let inbox = BoxName { kind: BoxKind::Inbox, key: [1; 32] };
    let large = |n: u64| Bytes::from([n.to_be_bytes().as_slice(), &[0; 8_184]].concat());
    for n in 0..fits {
        put(&store, inbox, &large(n), 1).unwrap();
    }
    assert!(matches!(put(&store, inbox, &large(fits), 1), Err(PutError::BoxFull)));
    assert_eq!(put(&store, inbox, &large(0), 1).unwrap(), 1, "what is there is there");
    put(&store, name(1), &large(1), 1).unwrap();
    put(&store, name(1), &large(2), 1).unwrap();
    assert!(matches!(put(&store, name(1), &large(3), 1), Err(PutError::Full)));
    block_on(store.remove(inbox, BlobId::of(&large(0)))).unwrap();
    put(&store, inbox, &large(fits), 1).unwrap();
    store.audit().unwrap();
}

#[test]
fn the_bound_of_all_boxes_bounds_the_disk_also_when_blobs_are_small() {
    let dir = tempfile::tempdir().unwrap();
    let max_bytes = 4 * 1_024 * 1_024;
    let store =
        MailStore::open(dir.path(), MailOptions { reserve_bytes: 0, max_bytes }, Box::new(|_, _, _| {})).unwrap();
    let small = |n: u64| Bytes::from([n.to_be_bytes().as_slice(), &[0; 504]].concat());
    let mut stored = 0;
    let refused = loop {
        // Several at once, so that they share a flush.
        let puts = (stored..stored + 64).map(|n| store.put(name(1), BlobId::of(&small(n)), small(n), 1));
        let answers = block_on(futures::future::join_all(puts));
        stored += answers.iter().filter(|it| it.is_ok()).count() as u64;
        if let Some(refused) = answers.into_iter().find_map(Result::err) {
            break refused;
        }
    };
    assert!(matches!(refused, PutError::Full), "{refused:?}");
    assert!(store.total().counted() <= max_bytes && stored > 1_000, "{stored}");
    store.audit().unwrap();
    drop(store);
    let disk = open(dir.path()).disk_bytes().unwrap();
    assert!(disk < 2 * max_bytes, "{stored} blobs take {disk} bytes");
}

#[test]
fn what_a_clock_that_was_ahead_wrote_goes_with_what_came_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (day, keep) = (24 * 3_600 * 1_000, limits::KEEP_MS);
    let began = 1_800_000_000_000;
    put(&store, name(1), &blob(1, 1), began).unwrap();
    put(&store, name(1), &blob(1, 2), began + 4_000 * day).unwrap();
    put(&store, name(1), &blob(1, 3), began + day).unwrap();
    put(&store, name(1), &blob(1, 4), began + 20 * day).unwrap();
    assert_eq!(block_on(store.expire(began + 1)).unwrap(), 1);
    assert_eq!(block_on(store.expire(began + day)).unwrap(), 0, "nothing that is known to be old stands behind it");
    assert_eq!(block_on(store.expire(began + 2 * day)).unwrap(), 2);
    assert_eq!(contents(&store, 1).into_keys().collect::<Vec<_>>(), [4]);
    store.audit().unwrap();
    store.close();
    let again = open(dir.path());
    assert_eq!(again.newest_ms(), Some(began + 20 * day));
    assert_eq!(block_on(again.expire(began + 20 * day + keep)).unwrap(), 1);
}

#[test]
fn writers_at_once_share_groups_and_each_is_answered_with_its_own_number() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let numbers: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16_u8)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    (1..=20).map(|n| put(store, name(writer), &blob(writer, n), n).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: std::collections::BTreeSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), 320);
    store.audit().unwrap();
}

#[cfg(feature = "faults")]
#[test]
fn after_a_failed_write_the_answer_is_what_the_disk_took() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, name(1), &blob(1, 1), 1).unwrap();
    store.break_disk(0);
    // The disk took it, and the store says so once it is open again.
    assert_eq!(put(&store, name(1), &blob(1, 2), 2).unwrap(), 2);
    assert_eq!(put(&store, name(1), &blob(1, 3), 3).unwrap(), 3);
    store.audit().unwrap();
}

#[cfg(feature = "faults")]
#[test]
fn what_a_failing_disk_took_keeps_its_number_and_its_bytes_and_is_told_when_the_store_is_open_again() {
    let dir = tempfile::tempdir().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let options = MailOptions { reserve_bytes: 0, ..MailOptions::default() };
    let tell = Box::new(move |name, entry: Entry, blob: &Bytes| {
        telling.lock().unwrap().push((name, entry.at, blob.clone()));
    });
    let store = MailStore::open(dir.path(), options, tell).unwrap();
    let (x, y) = (blob(1, 5), blob(2, 1));
    // The group of `x` is in the journal, and the log can not be opened again at once: nobody knows yet.
    store.break_disk(1);
    assert!(matches!(put(&store, name(1), &x, 1), Err(PutError::Commit(_))));
    let of_y = put(&store, name(2), &y, 2).unwrap();
    let of_x = put(&store, name(1), &x, 3).unwrap();
    assert_ne!(of_x, of_y, "a number is given once");
    assert_eq!(*told.lock().unwrap(), [(name(1), of_x, x.clone()), (name(2), of_y, y.clone())]);
    for (name, blob) in [(name(1), x), (name(2), y)] {
        assert_eq!(store.get(&name, &BlobId::of(&blob)).unwrap().as_deref(), Some(blob.as_ref()));
    }
    store.audit().unwrap();
    // The same when what is too old goes in between.
    store.break_disk(1);
    assert!(put(&store, name(3), &blob(3, 1), 10).is_err());
    assert_eq!(block_on(store.expire(5)).unwrap(), 2);
    assert_eq!(store.total(), MailUsage { blobs: 1, bytes: 512 });
    store.audit().unwrap();
}
