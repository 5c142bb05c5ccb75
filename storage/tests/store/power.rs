//! Power cut at any moment: what was acknowledged is there, what was not is there wholly or not at all, and the store goes
//! on; on any disk that keeps what `fdatasync` promised, and loses of the rest what it likes.
//!
//! A child writes through several checkpoints under `strace`; what it did is played up to random moments (`tape.rs`).

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use parlor_storage::Store;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::common::{batch, message, try_open};
use crate::kill::{acknowledge, look_at_everything, write};
use crate::tape::{self, Disk, Event, Mood};

/// Where the child writes; set only for the child.
const CHILD: &str = "PARLOR_STORE_POWER_DIR";
/// The same for one of its sessions, and which.
const SESSION: &str = "PARLOR_STORE_POWER_SESSION";
const NUMBER: &str = "PARLOR_STORE_POWER_NUMBER";
/// How many cuts a tape, if not [`CUTS`], and where stores are kept that failed.
const CUTS_WANTED: &str = "PARLOR_POWER_CUTS";
const KEEP: &str = "PARLOR_POWER_KEEP";
/// Tapes in a row, each begun with what a cut of the one before has left.
const TAPES: usize = 2;
const CUTS: usize = 12;
/// Batches of a writer in each of the child's sessions: they fill the journal more than twice.
const BATCHES: [u64; 4] = [40, 400, 200, 40];

/// Rooms that are filled and forgotten again; without a record, so that nobody lists them.
const CHURNED: std::ops::Range<u8> = 240..248;
const MOVER: u8 = 9;

type Acknowledged = HashMap<String, u64>;

/// Not a test of its own: it does nothing unless the test below starts it. Starts itself again for each session.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    for session in 0..BATCHES.len() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "power::session", "--nocapture", "--test-threads=1"])
            .env_remove(CHILD)
            .envs([(SESSION, dir.as_os_str()), (NUMBER, session.to_string().as_ref())])
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success(), "session {session}");
    }
}

/// As [`child`], by which it is started.
#[test]
fn session() {
    let Some(dir) = std::env::var_os(SESSION) else { return };
    let number: usize = std::env::var(NUMBER).unwrap().parse().unwrap();
    let store = try_open(Path::new(&dir)).unwrap();
    write(&store, BATCHES[number], &acknowledge);
    if !number.is_multiple_of(2) {
        churn(&store);
    }
    if number.is_multiple_of(2) {
        // The process is gone, and what it wrote is not yet on disk. The moment lets sled end the writes under way.
        std::thread::sleep(Duration::from_millis(50));
        std::process::exit(0);
    }
    store.close();
}

/// Fills rooms with messages as large as a row takes and forgets them: little is written to sled, which moves much. Then
/// it rests, and sled's own thread tidies up.
fn churn(store: &Store) {
    for number in CHURNED {
        let mut seq = 0;
        for _ in 0..6 {
            let mut all = batch(number);
            for _ in 0..60 {
                seq += 1;
                all.message(message(number, MOVER, seq, seq * 7_919 % 5_000, if seq % 3 == 0 { 200 } else { 3_800 }));
            }
            store.commit_blocking(all).unwrap();
        }
    }
    for number in CHURNED {
        let mut leave = batch(number);
        leave.forget_room();
        store.commit_blocking(leave).unwrap();
    }
    std::thread::sleep(Duration::from_secs(3));
}

#[test]
#[ignore = "takes a minute and strace: cargo xtask soak runs it"]
fn after_a_power_cut_at_any_moment_it_has_what_it_acknowledged() {
    if !tape::is_there() {
        println!("skipped: there is no strace");
        return;
    }
    let seed: u64 = std::env::var("PARLOR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("seed {seed}: set PARLOR_SEED to it for the same choices");
    let cuts = std::env::var(CUTS_WANTED).ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(CUTS);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut acknowledged = Acknowledged::new();
    let mut start = tempfile::tempdir().unwrap();
    let mut failures = 0;
    for number in 1..=TAPES {
        // A slow disk has more under way.
        let delay = rng.random_bool(0.5).then(|| Duration::from_micros(rng.random_range(100..4_000)));
        let (disk, events) = run(start.path(), delay);
        println!("tape {number}: {}", described(&events));
        let (left, acks, failed) = cut_often(disk, &events, start.path(), &acknowledged, cuts, &mut rng);
        failures += failed;
        (start, acknowledged) = (left, acks);
    }
    assert_eq!(failures, 0, "of {} cuts", TAPES * cuts);
}

/// Runs the child in `root`; what it did, and the disk that it began with.
fn run(root: &Path, delay: Option<Duration>) -> (Disk, Vec<Event>) {
    let disk = Disk::of(root);
    let beside = tempfile::tempdir().unwrap();
    let tape = beside.path().join("tape");
    let program = std::env::current_exe().unwrap();
    let args = ["--exact", "power::child", "--nocapture", "--test-threads=1"];
    let child = tape::record(&tape, &program, &args, &[(CHILD, &root.join("store"))], delay);
    let ended = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{complaint}");
    // Seldom a process ends in the middle of a write: then there is more to be done from where it is.
    tape::read(&tape, root).map_or_else(|| run(root, delay), |events| (disk, events))
}

/// What is on a tape, so that one sees whether it covers what it should.
fn described(events: &[Event]) -> String {
    let (mut syncs, mut journal, mut end, mut written, mut again) = (0, 0, 0, 0, 0);
    for event in events {
        match event {
            Event::Sync { path, .. } if path.ends_with("sled/db") => syncs += 1,
            Event::Sync { path, .. } if path.ends_with("journal") => journal += 1,
            Event::Write { path, at: Some(at), bytes, .. } if path.ends_with("sled/db") => {
                written += bytes.len();
                again += if *at < end { bytes.len() } else { 0 };
                end = end.max(*at + bytes.len() as u64);
            }
            _ => {}
        }
    }
    format!("{journal} syncs of the journal, {syncs} of the log; {written} bytes of log, {again} of them over others")
}

/// Cuts the power at `cuts` moments. Returns a folder as one of them left it, what was acknowledged then, and how many
/// failed.
fn cut_often(
    mut disk: Disk,
    events: &[Event],
    root: &Path,
    before: &Acknowledged,
    cuts: usize,
    rng: &mut StdRng,
) -> (tempfile::TempDir, Acknowledged, usize) {
    let mut acknowledged = before.clone();
    let under_way = tape::under_way(events, "sled/db");
    // Every other one at a moment with much under way.
    let mut moments: Vec<usize> = (0..cuts)
        .map(|cut| {
            let drawn = (0..=cut % 2 * 40).map(|_| rng.random_range(0..events.len()));
            drawn.max_by_key(|moment| under_way[*moment]).expect("at least one was drawn") + 1
        })
        .collect();
    moments.sort_unstable();
    let (mut played, mut failed, mut sum) = (0, 0, 0);
    let chosen = rng.random_range(cuts / 4..cuts);
    let mut kept = None;
    for (index, moment) in moments.into_iter().enumerate() {
        for event in &events[played..moment] {
            disk.play(event);
            note(event, &mut acknowledged);
        }
        played = moment;
        let mood = Mood::new(rng);
        sum += under_way[moment - 1];
        let left = tempfile::tempdir().unwrap();
        let choices: u64 = rng.random();
        disk.cut(root, left.path(), mood, &mut StdRng::seed_from_u64(choices));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| look(&left.path().join("store"), &acknowledged))) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
            println!("cut {index} at event {moment} of {}, {mood:?}: {text}", events.len());
            if let Some(keep) = std::env::var_os(KEEP) {
                let to = Path::new(&keep).join(format!("{moment}"));
                disk.cut(root, &to, mood, &mut StdRng::seed_from_u64(choices));
            }
            failed += 1;
        }
        if index == chosen {
            let left = tempfile::tempdir().unwrap();
            disk.cut(root, left.path(), mood, &mut StdRng::seed_from_u64(choices));
            kept = Some((left, acknowledged.clone()));
        }
    }
    println!(
        "{cuts} cuts, {failed} failed; of the log {} bytes were under way at each, {} at most",
        sum / cuts,
        under_way.iter().max().unwrap_or(&0)
    );
    let (left, acknowledged) = kept.expect("one of the cuts was chosen");
    (left, acknowledged, failed)
}

fn note(event: &Event, acknowledged: &mut Acknowledged) {
    let Event::Write { fd: 1, bytes, .. } = event else { return };
    for line in String::from_utf8_lossy(bytes).lines() {
        let Some((_, what)) = line.split_once("ack ") else { continue };
        let (what, n) = what.split_once(' ').unwrap();
        acknowledged.insert(what.to_owned(), n.parse().unwrap());
    }
}

/// Opens what a cut has left, looks at everything, goes on writing and does it again.
fn look(dir: &Path, acknowledged: &Acknowledged) {
    for batches in [3, 0] {
        let store = try_open(dir).unwrap();
        look_at_everything(&store, acknowledged, 200);
        write(&store, batches, &|_, _| {});
        look_at_everything(&store, acknowledged, 12);
        store.close();
    }
}
