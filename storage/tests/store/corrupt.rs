//! Damaged and cut files: an error that names the file, or the right data; never a panic, never other data, never a
//! loss that nobody is told of, and the log is left as it was found when the store does not open.

use std::fs;
use std::path::{Path, PathBuf};

use parlor_storage::{Cursor, LogKind, Namespace, OpenError, ReadError, Store, Want};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::common::{batch, control, device, message, open, room, try_open};

const MESSAGES: u64 = 400;
const CONTROL: u64 = 20;

/// A store written in four sessions, so that it has a snapshot and a tail after it. The last one has not ended.
fn begin(dir: &Path) -> Store {
    let mut last: Option<Store> = None;
    for session in 0..4 {
        if let Some(store) = last.take() {
            store.close();
        }
        let store = open(dir);
        for n in 0..10 {
            let mut all = batch(1);
            all.room(vec![7; 40]);
            for seq in 1..=MESSAGES / 40 {
                let seq = (session * 10 + n) * (MESSAGES / 40) + seq;
                all.message(message(1, 1, seq, seq, if seq.is_multiple_of(50) { 9_000 } else { 300 }));
            }
            if n % 2 == 0 {
                all.control(control(1, 2, session * 5 + n / 2 + 1));
            }
            all.put(Namespace::Keys, &[n as u8], vec![session as u8; 100]);
            store.commit_blocking(all).unwrap();
        }
        last = Some(store);
    }
    last.unwrap()
}

fn build(dir: &Path) {
    begin(dir).close();
}

/// Reads everything: what is answered must be right. Returns how many answers were errors.
fn look(store: &Store) -> u32 {
    let id = room(1);
    let mut errors = 0;
    let shorter = std::cell::Cell::new(false);
    let mut check = |right: Result<bool, ReadError>| match right {
        Ok(right) => assert!(right, "wrong data"),
        Err(_) => errors += 1,
    };
    check(store.rooms().map(|rooms| rooms == [(id, vec![7; 40])]));
    check(store.count(&id).map(|count| count == MESSAGES));
    check(store.tips(&id).map(|tips| tips.message[0].seq == MESSAGES && tips.control[0].seq == CONTROL));
    check(store.control(&id).map(|rows| rows == (1..=CONTROL).map(|seq| control(1, 2, seq)).collect::<Vec<_>>()));
    for n in 0..10 {
        check(store.get(Some(&id), Namespace::Keys, &[n]).map(|value| value == Some(vec![3; 100])));
    }
    check(store.scan(Some(&id), Namespace::Keys, b"").map(|values| values.len() == 10));
    let expected: Vec<_> =
        (1..=MESSAGES).map(|seq| message(1, 1, seq, seq, if seq.is_multiple_of(50) { 9_000 } else { 300 })).collect();
    for row in expected.iter().step_by(7) {
        check(store.message(&id, &row.id).map(|found| found.as_ref() == Some(row)));
    }
    let wants = [Want { device: device(1), from: 1, to: u64::MAX }];
    check(store.missing(&id, LogKind::Message, &wants, usize::MAX).map(|rows| {
        // A log ends before what does not open.
        shorter.set(rows.len() < expected.len());
        rows.len() <= expected.len() && rows.iter().zip(&expected).all(|(row, expected)| row.bytes == expected.bytes)
    }));
    check(store.page(&id, Cursor::Newest, 1_000).map(|page| {
        page.rows.len() == expected.len() && page.rows.iter().rev().zip(&expected).all(|(row, want)| row.row == *want)
    }));
    check(store.unreadable(&id, None, 10).map(|rows| rows.is_empty()));
    errors + u32::from(shorter.get())
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&path, &target).unwrap();
    }
    fs::create_dir_all(to.join("sled/blobs")).unwrap();
}

#[derive(Debug, Default)]
struct Outcomes {
    refused: u32,
    errors: u32,
    whole: u32,
}

/// Opens and reads a copy of the store whose file `name` was changed by `damage`.
fn try_damaged(pristine: &Path, name: &Path, outcomes: &mut Outcomes, damage: impl FnOnce(&mut Vec<u8>)) {
    let dir = tempfile::tempdir().unwrap();
    copy(pristine, dir.path());
    let path = dir.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let log = dir.path().join("sled/db");
    let before = fs::read(&log).unwrap();
    match try_open(dir.path()) {
        Ok(store) => {
            match look(&store) {
                0 => outcomes.whole += 1,
                _ => outcomes.errors += 1,
            }
            store.close();
        }
        Err(error) => {
            outcomes.refused += 1;
            assert!(error.to_string().contains(dir.path().to_str().unwrap()), "the error names no file: {error}");
            assert!(fs::read(&log).unwrap() == before, "the log was overwritten, though: {error}");
        }
    }
}

#[test]
fn damage_is_an_error_and_never_other_data() {
    let seed: u64 = std::env::var("PARLOR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("seed {seed}: set PARLOR_SEED to it for the same damage");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    for path in files(dir.path()) {
        let name = path.strip_prefix(dir.path()).unwrap();
        let len = fs::metadata(&path).unwrap().len() as usize;
        if len == 0 {
            continue;
        }
        let rounds = if name.ends_with("db") { 100 } else { 12 };
        let mut outcomes = Outcomes::default();
        for round in 0..rounds {
            let at = rng.random_range(0..len);
            println!("{} round {round} at {at}", name.display());
            match round % 4 {
                0 | 1 => try_damaged(dir.path(), name, &mut outcomes, |bytes| bytes[at] ^= rng.random_range(1..=255)),
                2 => try_damaged(dir.path(), name, &mut outcomes, |bytes| bytes.truncate(at)),
                _ => try_damaged(dir.path(), name, &mut outcomes, |bytes| {
                    let end = (at + rng.random_range(1..5_000)).min(bytes.len());
                    bytes[at..end].fill(rng.random_range(0..=255));
                }),
            }
        }
        println!("{}: {len} bytes, {outcomes:?}", name.display());
    }
}

#[test]
fn a_damaged_journal_is_refused_if_it_is_needed_and_opens_when_it_is_whole_again() {
    let seed: u64 = std::env::var("PARLOR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("seed {seed}: set PARLOR_SEED to it for the same damage");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let store = begin(dir.path());
    // As kill -9 leaves it: what sled has in memory is in the journal only.
    let killed = tempfile::tempdir().unwrap();
    copy(dir.path(), killed.path());
    store.close();
    let journal = fs::read(killed.path().join("journal")).unwrap();
    let written = journal.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut refused, mut whole) = (0, 0);
    for round in 0..40 {
        let copied = tempfile::tempdir().unwrap();
        copy(killed.path(), copied.path());
        let path = copied.path().join("journal");
        let mut bytes = journal.clone();
        let at = rng.random_range(0..=written);
        match round % 3 {
            0 => bytes[at] ^= rng.random_range(1..=255),
            1 => bytes.truncate(at),
            _ => bytes[at..].fill(0),
        }
        fs::write(&path, &bytes).unwrap();
        match try_open(copied.path()) {
            Ok(store) => {
                whole += 1;
                assert_eq!(look(&store), 0);
                store.close();
            }
            Err(error) => {
                refused += 1;
                assert!(
                    error.to_string().contains(copied.path().to_str().unwrap()),
                    "the error names no file: {error}"
                );
                fs::write(&path, &journal).unwrap();
                let store = open(copied.path());
                assert_eq!(look(&store), 0, "nothing was lost meanwhile");
                store.close();
            }
        }
    }
    println!("{refused} refused, {whole} whole");
    assert!(refused > 0, "the journal was not needed");
}

#[test]
fn groups_that_are_neither_in_the_log_nor_in_the_journal_are_missed_whatever_comes_after_them() {
    let says = |dir: &Path, seq: u64| {
        let store = open(dir);
        let mut one = batch(1);
        one.put(Namespace::Keys, &[seq as u8], vec![1]);
        store.commit_blocking(one).unwrap();
        store.close();
    };
    let dir = tempfile::tempdir().unwrap();
    says(dir.path(), 1);
    let old = tempfile::tempdir().unwrap();
    copy(dir.path(), old.path());
    // Each session begins the journal anew.
    let mut journals = Vec::new();
    for seq in 2..=3 {
        says(dir.path(), seq);
        journals.push(fs::read(dir.path().join("journal")).unwrap());
    }
    // The old log with the journal of the session after the next: the second value is nowhere.
    for (n, journal) in journals.iter().enumerate().rev() {
        let copied = tempfile::tempdir().unwrap();
        copy(old.path(), copied.path());
        fs::write(copied.path().join("journal"), journal).unwrap();
        let opened = try_open(copied.path());
        if n == 0 {
            let store = opened.unwrap();
            let held = [1, 2, 3].map(|n| store.get(Some(&room(1)), Namespace::Keys, &[n]).unwrap().is_some());
            assert_eq!(held, [true, true, false]);
        } else {
            assert!(matches!(opened.err(), Some(OpenError::Damaged { .. })));
        }
    }
}

#[test]
fn an_interrupted_snapshot_does_not_cost_the_one_before_it() {
    let dir = tempfile::tempdir().unwrap();
    // Some segments, and a snapshot after them.
    for session in 0..3 {
        let store = open(dir.path());
        for group in 0..3 {
            let mut fifty = batch(1);
            for seq in 1..=50 {
                let seq = (session * 3 + group) * 50 + seq;
                fifty.message(message(1, 1, seq, seq, 8_000));
            }
            store.commit_blocking(fifty).unwrap();
        }
        store.close();
    }
    let snapshots = |dir: &Path| files(dir).into_iter().filter(|path| path.to_string_lossy().contains("/snap."));
    let opens = |at: usize, prepare: &dyn Fn(&Path)| {
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        let log = copied.path().join("sled/db");
        let mut bytes = fs::read(&log).unwrap();
        bytes[at] ^= 1;
        fs::write(&log, &bytes).unwrap();
        prepare(copied.path());
        try_open(copied.path()).is_ok()
    };
    let with = |_: &Path| ();
    let without = |dir: &Path| snapshots(dir).for_each(|path| fs::remove_file(path).unwrap());
    // What is damaged there is read only if the log is replayed from its beginning, for want of a snapshot.
    let len = fs::metadata(dir.path().join("sled/db")).unwrap().len() as usize;
    let mut places = (1..40).map(|n| n * len / 40);
    let at = places.find(|at| opens(*at, &with) && !opens(*at, &without)).expect("a place before the snapshot");
    assert!(opens(at, &|dir| fs::write(dir.join("sled/snap.00000000FFFFFFFF.generating"), b"half").unwrap()));
}
