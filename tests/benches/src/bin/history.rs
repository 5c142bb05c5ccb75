//! Reading the newest page of a million messages, quietly and while others write, and starting with them.
//!
//! *Pages.* SQLite holds the same rows in the same clustering. At rest ours seals each row, so SQLite's rows hold the
//! message key and the event sealed with the same cipher, and both sides are timed until the 50 rows are open: (message key, event).
//! A second row goes on to what a window shows: each event decoded, its payload opened with its key, its body decoded,
//! by the same function on both sides. The store remembers rows that it has opened, so its warm pages come from memory;
//! SQLite's rows are opened at each read.
//!
//! *Start.* Beside opening the same folder with bare sled: our whole way from nothing to the first page served (log
//! examined, rooms restored, 50 bodies open).
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parlor_benches::history::{Forge, open_body};
use parlor_benches::people::{Person, room_of};
use parlor_benches::{Goal, Pair, ROUNDS, Row, keeping, median, seconds, size, sqlite};
use parlor_crypto::envelope::EnvelopeKey;
use parlor_proto::RoomId;
use parlor_proto::room::Room;
use parlor_storage::{Cursor, MessageRow, Store};

const AUTHORS: u64 = 10;
const PAGE: usize = 50;
/// Pages of a round.
const PAGES: usize = 400;
/// Messages of a commit while others write.
const WRITTEN: u64 = 64;
/// As the store's.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

struct Sides<'a> {
    room: RoomId,
    store: Store,
    sqlite: rusqlite::Connection,
    key: EnvelopeKey,
    forge: Forge<'a>,
}

/// Key and event of each row.
type Opened = Vec<([u8; 32], Vec<u8>)>;

impl Sides<'_> {
    fn ours(&self) -> Opened {
        let page = self.store.page(&self.room, Cursor::Newest, PAGE).unwrap();
        page.rows.into_iter().map(|row| (*row.row.key.unwrap().expose(), row.row.bytes)).collect()
    }

    fn theirs(&self) -> Opened {
        let open = |cell: Vec<u8>| {
            let plain = self.key.open(b"events", &cell).unwrap();
            let (key, bytes) = plain.split_first_chunk::<32>().unwrap();
            (*key, bytes.to_vec())
        };
        sqlite::newest(&self.sqlite, PAGE as u32).into_iter().map(open).collect()
    }

    /// Median microseconds of a page.
    fn time(&self, read: impl Fn(&Self) -> Opened, bodies: bool) -> (f64, f64) {
        let mut times: Vec<f64> = (0..PAGES)
            .map(|_| {
                seconds(|| {
                    let rows = read(self);
                    assert_eq!(rows.len(), PAGE);
                    if bodies {
                        rows.iter().for_each(|(key, bytes)| drop(open_body(&self.room, key, bytes)));
                    }
                }) * 1e6
            })
            .collect();
        times.sort_by(f64::total_cmp);
        (median(times.iter().copied()), times[PAGES * 99 / 100])
    }
}

/// The row as SQLite gets it: key and event sealed, as ours is at rest.
fn sealed(key: &EnvelopeKey, row: MessageRow) -> MessageRow {
    let plain = [row.key.as_ref().unwrap().expose().as_slice(), &row.bytes].concat();
    MessageRow { key: None, bytes: key.seal(&mut rand::rng(), b"events", &plain), ..row }
}

fn quiet(sides: &Sides<'_>) {
    for (bodies, what, goal) in [
        (false, "page of 50 newest, opened at rest", Goal::AtMost(1.2)),
        (true, "page of 50 newest, bodies opened", Goal::None),
    ] {
        let round = |_| (sides.time(Sides::ours, bodies).0, sides.time(Sides::theirs, bodies).0);
        let rounds: Vec<_> = (0..=ROUNDS).map(round).collect();
        Row { what, beside: "SQLite, the same cells", unit: "us", pair: Pair::of(&rounds[1..]), goal }.print();
    }
}

/// Pages of ours while ours is written to, then of theirs while theirs is.
fn busy(sides: &Sides<'_>, dir: &Path, first: u64) {
    let (mut next, mut medians, mut tails) = (first, Vec::new(), Vec::new());
    // SQLite's connection stays on this thread.
    let (store, forge, key) = (&sides.store, &sides.forge, &sides.key);
    for round in 0..=ROUNDS {
        let from = next;
        let (ours, written) = beside(
            |stop| {
                let mut next = from;
                while !stop.load(Ordering::Relaxed) {
                    store.commit_blocking(forge.batch(next..next + WRITTEN)).unwrap();
                    next += WRITTEN;
                }
                next
            },
            || sides.time(Sides::ours, false),
        );
        let (theirs, _) = beside(
            |stop| {
                let mut connection = sqlite::open(dir);
                let mut next = from;
                while next < written || !stop.load(Ordering::Relaxed) {
                    let rows: Vec<_> = (next..next + WRITTEN).map(|n| sealed(key, forge.row(n))).collect();
                    sqlite::insert(&mut connection, &rows);
                    next += WRITTEN;
                }
                next
            },
            || sides.time(Sides::theirs, false),
        );
        next = written;
        // Both may have gone further than the other; numbers below are never written twice.
        let more: Option<i64> = sides.sqlite.query_row("SELECT max(ord) FROM events", [], |row| row.get(0)).unwrap();
        let reached = (more.unwrap() as u64 >> 16) - parlor_benches::people::START + 1;
        while next < reached {
            store.commit_blocking(forge.batch(next..next + WRITTEN)).unwrap();
            next += WRITTEN;
        }
        if round > 0 {
            medians.push((ours.0, theirs.0));
            tails.push((ours.1, theirs.1));
        }
    }
    let beside = "SQLite, the same cells";
    let what = "page of 50 newest while writing, p50";
    Row { what, beside, unit: "us", pair: Pair::of(&medians), goal: Goal::AtMost(1.5) }.print();
    let what = "page of 50 newest while writing, p99";
    Row { what, beside, unit: "us", pair: Pair::of(&tails), goal: Goal::None }.print();
}

/// Runs `work` while `other` goes on beside it.
fn beside<A: Send, T>(other: impl FnOnce(&AtomicBool) -> A + Send, work: impl FnOnce() -> T) -> (T, A) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| other(&stop));
        let done = work();
        stop.store(true, Ordering::Relaxed);
        (done, other.join().unwrap())
    })
}

fn start(dir: &Path, person: &Person) {
    let id = person.id();
    let mut rounds: [Vec<(f64, f64)>; 2] = Default::default();
    for round in 0..=ROUNDS {
        let mut bare = None;
        let theirs = seconds(|| {
            let config = sled::Config::new().path(dir.join("sled")).cache_capacity(CACHE_BYTES);
            bare = Some(config.flush_every_ms(None).open().unwrap());
        }) * 1e3;
        drop(bare);
        let mut opened = 0.0;
        let mut kept = None;
        let ours = seconds(|| {
            let mut store = None;
            opened = seconds(|| store = Some(keeping::open(dir))) * 1e3;
            let store = store.unwrap();
            let room = Room::restore(person.room.me().clone(), keeping::parts(&store, id)).unwrap();
            let page = store.page(&id, Cursor::Newest, PAGE).unwrap();
            for row in &page.rows {
                open_body(&id, row.row.key.as_ref().unwrap().expose(), &row.row.bytes);
            }
            kept = Some((store, room, page));
        }) * 1e3;
        let (store, ..) = kept.unwrap();
        store.close();
        if round > 0 {
            rounds[0].push((ours, theirs));
            rounds[1].push((opened, theirs));
        }
    }
    let beside = "sled's own open";
    let [all, opened] = rounds;
    Row { what: "start to first page served", beside, unit: "ms", pair: Pair::of(&all), goal: Goal::AtMost(1.5) }
        .print();
    Row { what: "of that, opening the store", beside, unit: "ms", pair: Pair::of(&opened), goal: Goal::None }.print();
}

fn main() {
    let count = size(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("ours");
    let people = room_of(AUTHORS);
    let room = people[0].id();
    let key = keeping::vault().sealing_key("bench");
    let forge = Forge::new(&people, count);
    let took = seconds(|| forge.store(&folder).close());
    eprintln!("{count} messages stored in {took:.1} s");
    start(&folder, &people[0]);
    let sqlite = forge.sqlite(dir.path(), |row| sealed(&key, row));
    let sides = Sides { room, store: keeping::open(&folder), sqlite, key, forge };
    quiet(&sides);
    let all: Vec<u8> = sides.theirs().into_iter().flat_map(|(_, bytes)| bytes).collect();
    assert_eq!(all, sides.ours().into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<u8>>(), "the same rows");
    busy(&sides, dir.path(), count);
    sides.store.close();
}
