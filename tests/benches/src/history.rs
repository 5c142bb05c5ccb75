//! A room with a million messages, made quickly.
//!
//! The newest messages of each log are real: sealed, signed, decodable. Those below repeat the bytes of real ones under
//! other ids, for the store does not parse what it keeps and no bench opens them.

use std::path::Path;

use parlor_crypto::Secret;
use parlor_crypto::seal::{self, MessageKey};
use parlor_proto::body::Body;
use parlor_proto::event::{Event, Header, MESSAGE_KIND, MessageHeader, sealing_header};
use parlor_proto::hlc::Hlc;
use parlor_proto::{EventId, limits};
use parlor_storage::{Batch, MessageRow, Store};

use crate::people::{Person, START, text};
use crate::{keeping, sqlite};

/// So many of the newest messages are real.
pub const REAL: u64 = 2_000;

/// Makes rows of a long history by the given people, who write in turn.
pub struct Forge<'a> {
    people: &'a [Person],
    count: u64,
    templates: Vec<MessageRow>,
}

impl<'a> Forge<'a> {
    /// For `count` messages; `count` is a multiple of the number of people.
    pub fn new(people: &'a [Person], count: u64) -> Self {
        let mut forge = Self { people, count, templates: Vec::new() };
        forge.templates = (count.saturating_sub(REAL)..count).map(|n| forge.real(n)).collect();
        forge
    }

    /// Message number `n`, from 0.
    pub fn row(&self, n: u64) -> MessageRow {
        let template = &self.templates[n as usize % self.templates.len()];
        if n + REAL >= self.count && n < self.count {
            return self.templates[(n - self.count.saturating_sub(REAL)) as usize].clone();
        }
        let (device, seq, clock) = self.place(n);
        let id = EventId(*blake3::hash(&n.to_be_bytes()).as_bytes());
        MessageRow { device, seq, id, hlc: clock.0, order: clock.0, ..template.clone() }
    }

    fn place(&self, n: u64) -> (parlor_proto::DeviceId, u64, Hlc) {
        let people = self.people.len() as u64;
        (self.people[(n % people) as usize].room.me().device(), n / people + 1, Hlc::at(START + n))
    }

    fn real(&self, n: u64) -> MessageRow {
        let (device, seq, hlc) = self.place(n);
        let person = &self.people[n as usize % self.people.len()];
        let room = &person.room;
        let generation = (seq % u64::from(limits::MAX_GEN)) as u32;
        let header = Header::Message(MessageHeader {
            v: limits::VERSION,
            suite: limits::SUITE,
            kind: MESSAGE_KIND,
            device,
            seq,
            prev: if seq == 1 { EventId::ZERO } else { EventId([1; 32]) },
            parents: Vec::new(),
            control: room.control_frontier(),
            hlc,
            epoch: room.epoch_status().epoch.unwrap(),
            slice: 0,
            generation,
            salt: [9; 16],
            payload_len: 0,
            payload_hash: [0; 32],
        });
        let key = MessageKey::from_secret(Secret::new(*blake3::hash(&n.to_le_bytes()).as_bytes()));
        let sealing = sealing_header(&header, &header.encode());
        let payload = seal::seal(&key, room.id().as_bytes(), &sealing, &Body::text(text(n)).encode());
        let event = Event::sign(&room.id(), header, &payload, room.me().signing_key()).unwrap();
        MessageRow {
            device,
            seq,
            id: event.id(),
            hlc: hlc.0,
            order: hlc.0,
            received_ms: START + n,
            covers_own: 0,
            key: Some(key.secret().clone()),
            bytes: event.into_bytes(),
            fades_ms: None,
        }
    }

    /// Writes the history into a new store.
    pub fn store(&self, dir: &Path) -> Store {
        let store = keeping::begin(dir, &self.people[0]);
        let mut pipeline = keeping::Pipeline::default();
        let mut next = 0;
        while next < self.count {
            let end = (next + 1_024).min(self.count);
            pipeline.commit(&store, self.batch(next..end), 4);
            next = end;
        }
        pipeline.finish();
        drop(pipeline);
        store
    }

    /// Messages as one batch.
    pub fn batch(&self, range: std::ops::Range<u64>) -> Batch {
        let mut batch = Batch::new(Some(self.people[0].id()));
        for n in range {
            batch.message(self.row(n));
        }
        batch
    }

    /// Writes the history into a new SQLite database; `change` is made to each row first.
    pub fn sqlite(&self, dir: &Path, change: impl Fn(MessageRow) -> MessageRow) -> rusqlite::Connection {
        let mut connection = sqlite::open(dir);
        connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
        let mut next = 0;
        while next < self.count {
            let end = (next + 20_000).min(self.count);
            let rows: Vec<MessageRow> = (next..end).map(|n| change(self.row(n))).collect();
            sqlite::insert(&mut connection, &rows);
            next = end;
        }
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA synchronous = FULL").unwrap();
        connection
    }
}

/// Opens what is stored of a message, as a window shows it.
pub fn open_body(room: &parlor_proto::RoomId, key: &[u8; 32], bytes: &[u8]) -> Body {
    let event = Event::decode(room, bytes).unwrap();
    let key = MessageKey::from_secret(Secret::new(*key));
    let plain = seal::open(&key, room.as_bytes(), &event.sealing_header(), event.payload()).unwrap();
    Body::decode(&plain).unwrap()
}
