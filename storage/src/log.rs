//! The index of logs: where the event with a sequence number lies.
//!
//! Sixteen entries share a row, so that a run of events costs one insert and not sixteen. Entries have a fixed size (12
//! bytes `order u64 | tie u32` for messages, 4 bytes `arrival u32` for control events) and stand at `(seq - 1) % 16`.
//! Entries beyond the tip of their log mean nothing.

use std::collections::BTreeMap;

use crate::fault::Fault;
use crate::group::Facts;
use crate::opening::Core;
use crate::rows::LogKind;
use crate::schema::{TreeId, log_key};
use crate::timeline::Position;
use crate::value::Row;

/// Entries of a row.
const ENTRIES: u32 = 16;

/// One log: room, kind, author.
type Log = (u32, LogKind, u32);

/// The rows that hold the entries of the events in `facts`.
pub(crate) fn rows(core: &Core, facts: &Facts) -> Result<Vec<Row>, Fault> {
    let mut changed: BTreeMap<[u8; 13], Vec<u8>> = BTreeMap::new();
    let mut set = |log: Log, seq: u32, entry: &[u8]| -> Result<(), Fault> {
        let (chunk, index) = place(seq);
        let key = key(log, chunk);
        let row = match changed.entry(key) {
            std::collections::btree_map::Entry::Occupied(row) => row.into_mut(),
            std::collections::btree_map::Entry::Vacant(row) => {
                // The first entry of a row begins it, whatever an event that was taken back has left.
                let old = if index == 0 { None } else { core.trees.get(TreeId::Log).get(key)? };
                row.insert(old.map(|old| old.to_vec()).unwrap_or_default())
            }
        };
        let start = index * entry.len();
        row.resize(row.len().max(start + entry.len()), 0);
        row[start..start + entry.len()].copy_from_slice(entry);
        Ok(())
    };
    for (room, arrival, author, seq) in &facts.control {
        set((*room, LogKind::Control, *author), *seq, &arrival.to_be_bytes())?;
    }
    for (room, position) in &facts.messages {
        set((*room, LogKind::Message, position.author), position.seq, &position.to_log())?;
    }
    Ok(changed.into_iter().map(|(key, value)| Row::new(TreeId::Log, &key, value)).collect())
}

/// Reads entries of one log, the row in hand kept.
#[derive(Debug)]
pub(crate) struct Reader {
    log: Log,
    row: Option<(u32, sled::IVec)>,
}

impl Reader {
    pub(crate) fn new(room: u32, kind: LogKind, author: u32) -> Self {
        Self { log: (room, kind, author), row: None }
    }

    /// Where the message with this number is; it is there.
    pub(crate) fn message(&mut self, core: &Core, seq: u32) -> Result<Position, Fault> {
        let author = self.log.2;
        let entry = self.entry(core, seq, 12)?;
        Position::from_log(&entry, author, seq).ok_or_else(gap)
    }

    /// The arrival of the control event with this number; it is there.
    pub(crate) fn control(&mut self, core: &Core, seq: u32) -> Result<u32, Fault> {
        let entry = self.entry(core, seq, 4)?;
        entry.as_slice().try_into().map(u32::from_be_bytes).map_err(|_| gap())
    }

    fn entry(&mut self, core: &Core, seq: u32, size: usize) -> Result<Vec<u8>, Fault> {
        let (chunk, index) = place(seq);
        if self.row.as_ref().is_none_or(|(held, _)| *held != chunk) {
            let row = core.trees.get(TreeId::Log).get(key(self.log, chunk))?;
            self.row = Some((chunk, row.ok_or_else(gap)?));
        }
        let entry = self.row.as_ref().and_then(|(_, row)| row.get(index * size..(index + 1) * size));
        entry.map(<[u8]>::to_vec).ok_or_else(gap)
    }
}

/// The row of a sequence number, and its place there. Numbers begin with 1.
fn place(seq: u32) -> (u32, usize) {
    let before = seq.saturating_sub(1);
    (before / ENTRIES, (before % ENTRIES) as usize)
}

fn key((room, kind, author): Log, chunk: u32) -> [u8; 13] {
    log_key(room, kind, author, chunk)
}

fn gap() -> Fault {
    Fault::damaged(TreeId::Log, "a row is missing")
}
