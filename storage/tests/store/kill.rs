//! Killed at any moment: what was acknowledged is there, what was not is there wholly or not at all, no sequence number
//! is used twice, and the indexes agree.
//!
//! The test starts its own binary as a child that writes from several threads and prints each acknowledgement through a
//! pipe, kills it with SIGKILL at a random moment, opens what it left and looks at everything.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use parlor_crypto::Secret;
use parlor_storage::{Batch, Cursor, LogKind, MessageRow, Namespace, Store, Want};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::common::{batch, control, device, event_id, message, open, room};

/// Where the child writes; set only for the child.
const CHILD: &str = "PARLOR_STORE_KILL_DIR";
/// Kills in all, and in one store before a new one begins.
const KILLS: u32 = 210;
const KILLS_A_STORE: u32 = 15;
/// Threads that append to the shared room, each as a device.
const WRITERS: u8 = 3;
const SHARED: u8 = 1;
/// The device that fills rooms of its own and forgets them again.
const MOVER: u8 = 9;
const MOVED: u64 = 30;

/// Messages of the `n`th batch of a writer.
fn size(writer: u8, n: u64) -> u64 {
    1 + (n * 7 + u64::from(writer) * 3) % 9
}

fn total(writer: u8, n: u64) -> u64 {
    (1..=n).map(|n| size(writer, n)).sum()
}

/// The `seq`th message of a writer, as first committed: the first of each batch has no key yet.
fn written(writer: u8, seq: u64, first: bool) -> MessageRow {
    let len = if seq.is_multiple_of(11) { 9_000 } else { 60 + seq as usize % 300 };
    let mut row = message(SHARED, writer, seq, 1_000 + 10 * seq + u64::from(writer % 2), len);
    row.key = (!first).then(|| Secret::new(row.id.0));
    row
}

fn nth_batch(writer: u8, n: u64) -> Batch {
    let mut all = batch(SHARED);
    all.put(Namespace::Meta, &[writer], n.to_be_bytes().to_vec());
    let start = total(writer, n - 1);
    for seq in start + 1..=start + size(writer, n) {
        all.message(written(writer, seq, seq == start + 1));
    }
    if n > 1 {
        let id = event_id(LogKind::Message, SHARED, writer, total(writer, n - 2) + 1);
        all.message_key(id, Secret::new(id.0));
    }
    if n.is_multiple_of(3) {
        all.control(control(SHARED, writer, n / 3)).page([n as u8; 32], vec![writer; 6_000]);
    }
    // A value with pieces, replaced each time.
    all.put(Namespace::Keys, &[writer], vec![n as u8; 5_000]);
    all
}

fn value(store: &Store, writer: u8) -> u64 {
    let value = store.get(Some(&room(SHARED)), Namespace::Meta, &[writer]).unwrap();
    value.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
}

pub(crate) fn acknowledge(what: &str, n: u64) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("ack {what} {n}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Writes until killed. Not a test of its own: it does nothing unless the test below starts it.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    write(&open(Path::new(&dir)), u64::MAX, &acknowledge);
}

/// Goes on where the store is, by so many batches a writer.
pub(crate) fn write(store: &Store, batches: u64, acknowledge: &(impl Fn(&str, u64) + Sync)) {
    std::thread::scope(|scope| {
        for writer in 1..=WRITERS {
            scope.spawn(move || {
                let next = value(store, writer) + 1;
                for n in next..next.saturating_add(batches) {
                    store.commit_blocking(nth_batch(writer, n)).unwrap();
                    acknowledge(&writer.to_string(), n);
                }
            });
        }
        scope.spawn(|| {
            let rooms = store.rooms().unwrap();
            let last = rooms.iter().map(|(_, record)| record[0]).max().unwrap_or(SHARED);
            let rooms = u8::try_from(batches.div_ceil(8)).unwrap_or(u8::MAX);
            for number in last + 1..last.saturating_add(1).saturating_add(rooms) {
                let mut all = batch(number);
                all.room(vec![number]);
                for seq in 1..=MOVED {
                    all.message(message(number, MOVER, seq, seq, 100));
                }
                store.commit_blocking(all).unwrap();
                acknowledge("moved", u64::from(number));
                if number > SHARED + 2 {
                    let mut leave = batch(number - 1);
                    leave.forget_room();
                    store.commit_blocking(leave).unwrap();
                    acknowledge(&format!("left-{}", number - 1), 1);
                }
            }
        });
    });
}

#[test]
fn killed_at_any_moment_it_keeps_what_it_acknowledged() {
    let seed: u64 = std::env::var("PARLOR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("seed {seed}: set PARLOR_SEED to it for the same moments");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut acknowledged_in_all = 0;
    for _ in 0..KILLS / KILLS_A_STORE {
        let dir = tempfile::tempdir().unwrap();
        let mut acknowledged = HashMap::new();
        for round in 1..=KILLS_A_STORE {
            acknowledged_in_all += run_and_kill(dir.path(), &mut rng, &mut acknowledged);
            let store = open(dir.path());
            look_at_everything(&store, &acknowledged, if round == KILLS_A_STORE { 200 } else { 12 });
            store.close();
        }
    }
    println!("{KILLS} kills, {acknowledged_in_all} acknowledged groups, all there");
    assert!(acknowledged_in_all > u64::from(KILLS), "the children hardly wrote");
}

/// Runs a child until a random moment; notes what it acknowledged.
fn run_and_kill(dir: &Path, rng: &mut StdRng, acknowledged: &mut HashMap<String, u64>) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut count = 0;
    let mut note = |line: String| {
        let mut words = line.split(' ');
        if words.next() == Some("ack") {
            let (what, n) = (words.next().unwrap(), words.next().unwrap());
            acknowledged.insert(what.to_owned(), n.parse().unwrap());
            count += 1;
        }
    };
    // Sometimes while it opens, mostly some acknowledgements later.
    let acks = if rng.random_ratio(1, 5) { 0 } else { rng.random_range(1..40) };
    let moment = Duration::from_micros(rng.random_range(0..if acks == 0 { 40_000 } else { 3_000 }));
    for _ in 0..acks {
        match lines.next() {
            Some(line) => note(line.unwrap()),
            None => break,
        }
    }
    std::thread::sleep(moment);
    child.kill().unwrap();
    lines.map_while(Result::ok).for_each(&mut note);
    let mut complaint = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut complaint).unwrap();
    let status = child.wait().unwrap();
    assert!(status.code().is_none(), "the child ended by itself: {complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
    count
}

/// Looks whether everything is there that was acknowledged, and only whole; of each log at its `newest` events.
pub(crate) fn look_at_everything(store: &Store, acknowledged: &HashMap<String, u64>, newest: u64) {
    let id = room(SHARED);
    store.audit().unwrap();
    let tips = store.tips(&id).unwrap();
    let mut expected_unread = 0;
    let mut messages = 0;
    for writer in 1..=WRITERS {
        let n = value(store, writer);
        assert!(n >= *acknowledged.get(&writer.to_string()).unwrap_or(&0), "an acknowledged group is missing");
        let end = total(writer, n);
        let tip =
            |tips: &[parlor_storage::Tip]| tips.iter().find(|tip| tip.device == device(writer)).map_or(0, |t| t.seq);
        assert_eq!(tip(&tips.message), end, "writer {writer}: half a group");
        assert_eq!(tip(&tips.control), n / 3, "writer {writer}: half a group");
        let from = end.saturating_sub(newest) + 1;
        let starts: Vec<u64> = (0..=n).map(|n| total(writer, n) + 1).collect();
        let wants = [Want { device: device(writer), from, to: u64::MAX }];
        let log = store.missing(&id, LogKind::Message, &wants, usize::MAX).unwrap();
        assert_eq!(log.len() as u64, end + 1 - from);
        for (row, seq) in log.iter().zip(from..) {
            let unread = n > 0 && seq == starts[n as usize - 1];
            let expected = written(writer, seq, unread);
            assert_eq!(row.bytes, expected.bytes);
            assert_eq!(store.message(&id, &expected.id).unwrap(), Some(expected));
        }
        assert!(!store.has(&id, &event_id(LogKind::Message, SHARED, writer, end + 1)).unwrap());
        for n in (3..=n).step_by(3) {
            assert_eq!(store.page_blob(&id, &[n as u8; 32]).unwrap().map(|bytes| bytes.len()), Some(6_000));
        }
        let keys = store.get(Some(&id), Namespace::Keys, &[writer]).unwrap();
        assert_eq!(keys, (n > 0).then(|| vec![n as u8; 5_000]));
        expected_unread += u64::from(n > 0);
        messages += end;
    }
    assert_eq!(store.unreadable(&id, None, 1_000).unwrap().len() as u64, expected_unread);
    assert_eq!(store.count(&id).unwrap(), messages);
    let control = tips.control.iter().map(|tip| tip.seq).sum::<u64>();
    assert_eq!(store.control(&id).unwrap().len() as u64, control);
    let mut seen = 0;
    let mut cursor = Cursor::Newest;
    let walked = if newest > 100 { messages } else { newest.min(messages) };
    while seen < walked {
        let page = store.page(&id, cursor, 100).unwrap();
        assert!(page.rows.is_sorted_by(|newer, older| newer.position > older.position));
        seen += page.rows.len() as u64;
        let oldest = page.rows.last().expect("the timeline and the logs disagree");
        cursor = Cursor::Before(oldest.position);
        assert!(page.older || seen == messages, "the timeline and the logs disagree");
    }
    for (_, record) in store.rooms().unwrap() {
        let moved = room(record[0]);
        assert!(!acknowledged.contains_key(&format!("left-{}", record[0])), "a forgotten room came back");
        assert_eq!(store.count(&moved).unwrap(), MOVED);
        assert_eq!(store.page(&moved, Cursor::Newest, 100).unwrap().rows.len() as u64, MOVED);
    }
    let moved = *acknowledged.get("moved").unwrap_or(&0);
    if moved > 0 {
        assert!(store.rooms().unwrap().iter().any(|(_, record)| u64::from(record[0]) >= moved));
    }
}
