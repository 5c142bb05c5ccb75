//! Sealing, signing and storing messages durably, beside SQLite and redb which are given the finished bytes.
//!
//! Ours writes into the room's machine (seal, sign, chain) and commits to the store, which seals again at rest. Theirs
//! gets the same events ready-made and only stores them, as clear rows.
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use parlor_benches::people::{Person, START, room_of, text};
use parlor_benches::{Goal, Pair, ROUNDS, Row, keeping, seconds, size, sqlite};
use parlor_proto::room::{Accepted, Written};
use parlor_storage::{MessageRow, Store};

/// Messages written at the same time.
const AT_ONCE: usize = 64;
/// Messages of a batch.
const BATCH: usize = 512;

struct Ours {
    person: Person,
    store: Store,
    next: u64,
}

impl Ours {
    fn write(&mut self) -> parlor_storage::Batch {
        self.next += 1;
        let Written { message, persist } = self.person.write(&text(self.next));
        keeping::batch(self.person.id(), &[Accepted::Message(message)], persist)
    }

    fn alone(&mut self, count: usize) -> f64 {
        rate(count, || {
            (0..count).for_each(|_| {
                let batch = self.write();
                self.store.commit_blocking(batch).unwrap()
            })
        })
    }

    fn at_once(&mut self, count: usize) -> f64 {
        let store = self.store.clone();
        rate(count, || {
            let mut pipeline = keeping::Pipeline::default();
            for _ in 0..count {
                pipeline.commit(&store, self.write(), AT_ONCE);
            }
            pipeline.finish();
        })
    }

    /// Batches of [`BATCH`], sealed while the one before is written.
    fn batches(&mut self, count: usize) -> f64 {
        let store = self.store.clone();
        rate(count, || {
            let mut pipeline = keeping::Pipeline::default();
            for _ in 0..count / BATCH {
                let written: Vec<Written> = (0..BATCH).map(|n| self.person.write(&text(n as u64))).collect();
                let persist = written.last().unwrap().persist.clone();
                let accepted: Vec<_> = written.into_iter().map(|written| Accepted::Message(written.message)).collect();
                pipeline.commit(&store, keeping::batch(self.person.id(), &accepted, persist), 2);
            }
            pipeline.finish();
        })
    }

    /// Batches that were sealed before: the store alone.
    fn store_alone(&mut self, count: usize) -> f64 {
        let rows = self.rows(count);
        rate(count, || {
            for rows in rows.chunks(BATCH) {
                let mut batch = parlor_storage::Batch::new(Some(self.person.id()));
                for row in rows {
                    batch.message(row.clone());
                }
                self.store.commit_blocking(batch).unwrap();
            }
        })
    }

    fn rows(&mut self, count: usize) -> Vec<MessageRow> {
        (0..count as u64).map(|n| MessageRow::of(&self.person.write(&text(n)).message, START)).collect()
    }
}

/// A second author, whose finished messages the others are given.
struct Theirs {
    author: Person,
    sqlite: Arc<Mutex<rusqlite::Connection>>,
    redb: redb::Database,
}

const TIMELINE: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("timeline");
const LOG: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("log");
const IDS: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("ids");

impl Theirs {
    fn rows(&mut self, count: usize) -> Vec<MessageRow> {
        (0..count as u64).map(|n| MessageRow::of(&self.author.write(&text(n)).message, START)).collect()
    }

    fn sqlite(&mut self, count: usize, batch: usize) -> f64 {
        let rows = self.rows(count);
        let mut connection = self.sqlite.lock().unwrap();
        rate(count, || rows.chunks(batch).for_each(|rows| sqlite::insert(&mut connection, rows)))
    }

    /// As many threads as messages are written at once, each durable by itself: SQLite has no group commit.
    fn sqlite_at_once(&mut self, count: usize) -> f64 {
        let rows = self.rows(count);
        rate(count, || {
            std::thread::scope(|scope| {
                for rows in rows.chunks(count.div_ceil(AT_ONCE)) {
                    let connection = Arc::clone(&self.sqlite);
                    scope.spawn(move || {
                        rows.iter()
                            .for_each(|row| sqlite::insert(&mut connection.lock().unwrap(), std::slice::from_ref(row)));
                    });
                }
            });
        })
    }

    fn redb(&mut self, count: usize, batch: usize) -> f64 {
        let rows = self.rows(count);
        rate(count, || rows.chunks(batch).for_each(|rows| self.redb_insert(rows).unwrap()))
    }

    fn redb_insert(&self, rows: &[MessageRow]) -> Result<(), Box<dyn std::error::Error>> {
        let transaction = self.redb.begin_write()?;
        {
            let mut timeline = transaction.open_table(TIMELINE)?;
            let mut log = transaction.open_table(LOG)?;
            let mut ids = transaction.open_table(IDS)?;
            for row in rows {
                let seq = row.seq.to_be_bytes();
                let place = [&row.order.to_be_bytes()[..], &row.device.0[..4], &seq].concat();
                timeline.insert(&place[..], &row.bytes[..])?;
                log.insert(&[&row.device.0[..4], &seq].concat()[..], &place[..])?;
                ids.insert(&row.id.0[..16], &place[..])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn rate(count: usize, work: impl FnOnce()) -> f64 {
    count as f64 / seconds(work)
}

fn begin(dir: &Path) -> (Ours, Theirs) {
    let mut people = room_of(2);
    let (author, person) = (people.pop().unwrap(), people.pop().unwrap());
    let store = keeping::begin(&dir.join("ours"), &person);
    let sqlite = Arc::new(Mutex::new(sqlite::open(dir)));
    let redb = redb::Database::create(dir.join("redb")).unwrap();
    (Ours { person, store, next: 0 }, Theirs { author, sqlite, redb })
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ours, mut theirs) = begin(dir.path());
    let few = size(500) as usize;
    let many = 10 * BATCH * few / 500;
    let mut rounds: [Vec<(f64, f64)>; 7] = Default::default();
    for round in 0..=ROUNDS {
        let (sqlite, redb) = ("SQLite", "redb");
        let (alone, alone_sqlite, alone_redb) = (ours.alone(few), theirs.sqlite(few, 1), theirs.redb(few, 1));
        let (at_once, at_once_sqlite) = (ours.at_once(4 * few), theirs.sqlite_at_once(few));
        let grouped_sqlite = theirs.sqlite(4 * few, AT_ONCE);
        let (batches, batches_sqlite) = (ours.batches(many), theirs.sqlite(many, BATCH));
        let (stored, batches_redb) = (ours.store_alone(many), theirs.redb(many, BATCH));
        eprintln!("round {round}: {sqlite} {alone_sqlite:.0}/s, {redb} {alone_redb:.0}/s, ours {alone:.0}/s alone");
        if round > 0 {
            let pairs = [
                (alone, alone_sqlite),
                (alone, alone_redb),
                (at_once, at_once_sqlite),
                (at_once, grouped_sqlite),
                (batches, batches_sqlite),
                (stored, batches_sqlite),
                (stored, batches_redb),
            ];
            rounds.iter_mut().zip(pairs).for_each(|(rounds, pair)| rounds.push(pair));
        }
    }
    let rows = [
        ("one message: seal, sign, store durably", "SQLite, the same bytes", Goal::AtLeast(0.9)),
        ("one message: seal, sign, store durably", "redb, the same bytes", Goal::None),
        ("64 at once, each answered when durable", "SQLite, 64 threads", Goal::AtLeast(2.0)),
        ("64 at once, each answered when durable", "SQLite, 64 in a transaction", Goal::None),
        ("batches of 512, sealed and signed", "SQLite, 512 in a transaction", Goal::AtLeast(2.0)),
        ("batches of 512, the store alone", "SQLite, 512 in a transaction", Goal::AtLeast(2.0)),
        ("batches of 512, the store alone", "redb, 512 in a transaction", Goal::None),
    ];
    for ((what, beside, goal), rounds) in rows.into_iter().zip(&rounds) {
        Row { what, beside, unit: "/s", pair: Pair::of(rounds), goal }.print();
    }
    ours.store.close();
}
