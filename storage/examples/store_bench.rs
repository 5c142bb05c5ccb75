//! Measures the store alone: `store_bench [EVENTS] [FOLDER]`. What it is compared with lives in `tests/benches`.
//!
//! Prints one line a figure. The folder must be empty or missing; it is left behind, for a look at its size.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring program: it prints, and fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parlor_crypto::Secret;
use parlor_crypto::vault::Vault;
use parlor_proto::ids::{DeviceId, EventId, RoomId};
use parlor_storage::{Batch, Cursor, LogKind, MessageRow, OpenOptions, Store, Want};
use rand::SeedableRng;
use rand::rngs::StdRng;

const AUTHORS: u64 = 10;
const EVENT: usize = 350;
const BATCH: u64 = 512;
const ROOM: RoomId = RoomId([7; 32]);

fn event(n: u64) -> MessageRow {
    let (author, seq) = (n % AUTHORS, n / AUTHORS + 1);
    let mut bytes = vec![0; EVENT];
    bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = (n as usize * 31 + at) as u8);
    MessageRow {
        device: DeviceId([author as u8 + 1; 32]),
        seq,
        id: EventId(*blake3::hash(&n.to_be_bytes()).as_bytes()),
        hlc: (1_700_000_000_000 + n) << 16,
        order: (1_700_000_000_000 + n) << 16,
        received_ms: 1_700_000_000_000 + n,
        covers_own: 0,
        key: Some(Secret::new([3; 32])),
        bytes,
        fades_ms: None,
    }
}

fn open(dir: &Path) -> Store {
    let vault = Vault::generate(&mut StdRng::seed_from_u64(7));
    Store::open(dir, &vault, OpenOptions::default()).unwrap()
}

fn batch(events: impl Iterator<Item = u64>) -> Batch {
    let mut all = Batch::new(Some(ROOM));
    events.for_each(|n| {
        all.message(event(n));
    });
    all
}

/// The fraction `part` of the sorted times.
fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part) as usize]
}

fn report(what: &str, mut times: Vec<Duration>) {
    println!("{what}: p50 {:?}, p99 {:?}", quantile(&mut times, 0.5), quantile(&mut times, 0.99));
}

fn pages(store: &Store, cursor: impl Fn() -> Cursor, count: usize) -> Vec<Duration> {
    let time = |_| {
        let cursor = cursor();
        let start = Instant::now();
        assert_eq!(store.page(&ROOM, cursor, 50).unwrap().rows.len(), 50);
        start.elapsed()
    };
    (0..count).map(time).collect()
}

fn main() {
    let mut args = std::env::args().skip(1);
    let events: u64 = args.next().map_or(1_000_000, |events| events.parse().unwrap());
    let dir: PathBuf = args.next().map_or_else(|| std::env::temp_dir().join("store_bench"), PathBuf::from);
    let store = open(&dir);
    let mut next = store.count(&ROOM).unwrap();
    let start = Instant::now();
    let first = next;
    while next < events {
        let end = (next + BATCH).min(events);
        store.commit_blocking(batch(next..end)).unwrap();
        next = end;
    }
    let rate = (next - first) as f64 / start.elapsed().as_secs_f64();
    println!("ingest of {} in batches of {BATCH}: {rate:.0} events/s", next - first);
    println!("disk: {} MB, {} bytes an event", store.disk_bytes().unwrap() >> 20, store.disk_bytes().unwrap() / next);

    next = alone(&store, next);
    next = grouped(&store, next);
    report("page of 50 newest, warm", pages(&store, || Cursor::Newest, 2_000));
    let span = next / AUTHORS;
    let anywhere = || {
        let id = event(rand::random::<u64>() % (span * AUTHORS - 2_000)).id;
        Cursor::After(store.position(&ROOM, &id).unwrap().unwrap())
    };
    report("page of 50 anywhere", pages(&store, anywhere, 2_000));
    while_writing(&store, next);

    let wants = (1..=AUTHORS as u8).map(|author| Want { device: DeviceId([author; 32]), from: 1, to: 2_000 });
    let wants: Vec<_> = wants.collect();
    let start = Instant::now();
    let rows = store.missing(&ROOM, LogKind::Message, &wants, usize::MAX).unwrap();
    println!("missing: {:.0} events/s", rows.len() as f64 / start.elapsed().as_secs_f64());
    let start = Instant::now();
    store.audit().unwrap();
    println!("audit: {:?}", start.elapsed());
    store.close();
    for how in ["first", "second"] {
        let start = Instant::now();
        let store = open(&dir);
        let opened = start.elapsed();
        store.page(&ROOM, Cursor::Newest, 50).unwrap();
        println!("{how} opening: {opened:?}, page served after {:?}", start.elapsed());
        store.close();
    }
}

fn alone(store: &Store, first: u64) -> u64 {
    let time = |n| {
        let one = batch(n..=n);
        let start = Instant::now();
        store.commit_blocking(one).unwrap();
        start.elapsed()
    };
    let times: Vec<_> = (first..first + 3_000).map(time).collect();
    println!("alone: {:.0} events/s", times.len() as f64 / times.iter().sum::<Duration>().as_secs_f64());
    report("alone", times);
    first + 3_000
}

/// 64 messages wait at any moment; each is committed alone.
fn grouped(store: &Store, first: u64) -> u64 {
    const WAITING: u64 = 64;
    const COUNT: u64 = 40_000;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let start = Instant::now();
    runtime.block_on(async {
        let mut waiting = tokio::task::JoinSet::new();
        for n in first..first + COUNT {
            if waiting.len() as u64 >= WAITING {
                waiting.join_next().await;
            }
            let (store, one) = (store.clone(), batch(n..=n));
            waiting.spawn(async move { store.commit(one).await.unwrap() });
        }
        waiting.join_all().await;
    });
    println!("{WAITING} at once: {:.0} events/s", COUNT as f64 / start.elapsed().as_secs_f64());
    first + COUNT
}

fn while_writing(store: &Store, first: u64) {
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        move || {
            let mut next = first;
            while !stop.load(Ordering::Relaxed) {
                store.commit_blocking(batch(next..next + 64)).unwrap();
                next += 64;
            }
        }
    });
    report("page of 50 newest while writing", pages(store, || Cursor::Newest, 5_000));
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}
