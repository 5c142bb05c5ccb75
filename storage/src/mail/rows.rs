//! The trees of mailboxes: keys, values, and what is read from them.
//!
//! ```text
//! mail blobs     at u64 | piece u16            up to 4 KiB of the blob
//! mail arrivals  at u64                        name[33] | id[32] | put_ms u64 | size u32
//! mail entries   name[33] | at u64             id[32] | size u32
//! mail names     name[33] | id[32]             at u64
//! mail state     0                             end u64 | blobs u64 | bytes u64
//!                1                             store id[16]
//! ```
//! A blob is written in this order and removed in the opposite one, so what a reader finds by name or list is whole.

use parlor_proto::mailbox::limits::KEEP_MS;
use parlor_proto::mailbox::{BlobId, BoxName, Entry, StoreId};

use super::MailUsage;
use crate::fault::Fault;
use crate::limits::{MAIL_AHEAD_ROWS, MAIL_CLOCK_STEP_MS};
use crate::opening::Core;
use crate::schema::TreeId;
use crate::value::Row;

/// Bytes of a piece: see `value.rs` for why blobs are cut.
const PIECE: usize = 4 * 1024;
const NAME: usize = 33;
const STATE: [u8; 1] = [0];
const STORE: [u8; 1] = [1];

/// The row of the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The highest number given.
    pub(super) end: u64,
    pub(super) usage: MailUsage,
}

/// Everything about a blob but its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) name: BoxName,
    pub(super) put_ms: u64,
    pub(super) entry: Entry,
}

impl State {
    pub(super) fn row(&self) -> Row {
        let bytes = [self.end, self.usage.blobs, self.usage.bytes].map(u64::to_be_bytes).concat();
        Row::new(TreeId::MailState, &STATE, bytes)
    }

    pub(super) fn read(core: &Core) -> Result<Self, Fault> {
        let Some(bytes) = core.trees.get(TreeId::MailState).get(STATE)? else { return Ok(Self::default()) };
        let [end, blobs, bytes] = numbers(TreeId::MailState, &bytes)?;
        Ok(Self { end, usage: MailUsage { blobs, bytes } })
    }
}

/// The id of the store, if it has one.
pub(super) fn store_id(core: &Core) -> Result<Option<StoreId>, Fault> {
    let found = core.trees.get(TreeId::MailState).get(STORE)?;
    found.map(|bytes| array(TreeId::MailState, &bytes).map(StoreId)).transpose()
}

pub(super) fn store_row(id: StoreId) -> Row {
    Row::new(TreeId::MailState, &STORE, id.0.to_vec())
}

/// The rows of a new blob.
pub(super) fn insert(arrival: &Arrival, blob: &[u8], rows: &mut Vec<Row>) {
    let Arrival { name, put_ms, entry } = arrival;
    let at = entry.at.to_be_bytes();
    for (piece, bytes) in blob.chunks(PIECE).enumerate() {
        rows.push(Row::new(TreeId::MailBlobs, &piece_key(entry.at, piece), bytes.to_vec()));
    }
    let (name, size) = (name.to_bytes(), entry.size.to_be_bytes());
    let arrival: [&[u8]; 4] = [&name, &entry.id.0, &put_ms.to_be_bytes(), &size];
    rows.push(Row::new(TreeId::MailArrivals, &at, arrival.concat()));
    rows.push(Row::new(TreeId::MailEntries, &[&name, at.as_slice()].concat(), [entry.id.0.as_slice(), &size].concat()));
    rows.push(Row::new(TreeId::MailNames, &[&name, entry.id.0.as_slice()].concat(), at.to_vec()));
}

/// The rows that take a blob out.
pub(super) fn remove(arrival: &Arrival, rows: &mut Vec<Row>) {
    let (name, entry) = (arrival.name.to_bytes(), &arrival.entry);
    let at = entry.at.to_be_bytes();
    rows.push(Row::removal(TreeId::MailNames, &[&name, entry.id.0.as_slice()].concat()));
    rows.push(Row::removal(TreeId::MailEntries, &[&name, at.as_slice()].concat()));
    rows.push(Row::removal(TreeId::MailArrivals, &at));
    for piece in 0..(entry.size as usize).div_ceil(PIECE) {
        rows.push(Row::removal(TreeId::MailBlobs, &piece_key(entry.at, piece)));
    }
}

/// Entries of a box after a number and not beyond `end`; whether there are more.
pub(super) fn list(
    core: &Core,
    name: &BoxName,
    after: u64,
    limit: usize,
    end: u64,
) -> Result<(Vec<Entry>, bool), Fault> {
    let mut entries = Vec::new();
    if after >= end {
        return Ok((entries, false));
    }
    let name = name.to_bytes();
    let key = |at: u64| [name.as_slice(), &at.to_be_bytes()].concat();
    for row in core.trees.get(TreeId::MailEntries).range(key(after + 1)..=key(end)) {
        if entries.len() == limit {
            return Ok((entries, true));
        }
        let (key, value) = row?;
        entries.push(entry(&key, &value)?);
    }
    Ok((entries, false))
}

/// The number of a blob in a box.
pub(super) fn number(core: &Core, name: &BoxName, id: &BlobId) -> Result<Option<u64>, Fault> {
    let found = core.trees.get(TreeId::MailNames).get([&name.to_bytes(), id.0.as_slice()].concat())?;
    found.map(|at| array(TreeId::MailNames, &at).map(u64::from_be_bytes)).transpose()
}

/// A blob. One that is removed while it is read is not there.
pub(super) fn blob(core: &Core, name: &BoxName, id: &BlobId) -> Result<Option<Vec<u8>>, Fault> {
    let Some(at) = number(core, name, id)? else { return Ok(None) };
    let Some(arrival) = arrival_at(core, at)? else { return Ok(None) };
    let size = arrival.entry.size as usize;
    let mut blob = Vec::with_capacity(size);
    for piece in 0..size.div_ceil(PIECE) {
        let Some(bytes) = core.trees.get(TreeId::MailBlobs).get(piece_key(at, piece))? else { break };
        blob.extend_from_slice(&bytes);
    }
    if blob.len() == size {
        return Ok(Some(blob));
    }
    match number(core, name, id)? {
        Some(now) if now == at => Err(Fault::damaged(TreeId::MailBlobs, "a piece is missing")),
        _ => Ok(None),
    }
}

/// What is in a box.
pub(super) fn usage(core: &Core, name: &BoxName) -> Result<MailUsage, Fault> {
    let mut usage = MailUsage::default();
    for row in core.trees.get(TreeId::MailEntries).scan_prefix(name.to_bytes()) {
        let (key, value) = row?;
        usage.blobs += 1;
        usage.bytes += u64::from(entry(&key, &value)?.size);
    }
    Ok(usage)
}

/// The arrival with this number.
pub(super) fn arrival_at(core: &Core, at: u64) -> Result<Option<Arrival>, Fault> {
    let found = core.trees.get(TreeId::MailArrivals).get(at.to_be_bytes())?;
    found.map(|value| arrival(at, &value)).transpose()
}

/// The oldest arrivals from before `before_ms`, at most `limit`. Numbers are given in the order of time. Where a clock went
/// back, what stands behind a later one waits for that; what a clock that was far ahead wrote is as old as what follows it.
pub(super) fn oldest(core: &Core, before_ms: u64, limit: usize) -> Result<Vec<Arrival>, Fault> {
    let ahead_ms = before_ms.saturating_add(KEEP_MS).saturating_add(MAIL_CLOCK_STEP_MS);
    let (mut oldest, mut ahead) = (Vec::new(), Vec::new());
    for row in core.trees.get(TreeId::MailArrivals).iter() {
        let (key, value) = row?;
        let arrival = arrival(u64::from_be_bytes(array(TreeId::MailArrivals, &key)?), &value)?;
        if arrival.put_ms < before_ms {
            oldest.append(&mut ahead);
            oldest.push(arrival);
        } else if arrival.put_ms > ahead_ms && ahead.len() < MAIL_AHEAD_ROWS {
            ahead.push(arrival);
        } else {
            break;
        }
        if oldest.len() >= limit {
            break;
        }
    }
    // The first ones, so that a group stays as small as it was meant.
    oldest.truncate(limit);
    Ok(oldest)
}

/// When the blob with the highest number was put.
pub(super) fn newest_ms(core: &Core) -> Result<Option<u64>, Fault> {
    let Some(row) = core.trees.get(TreeId::MailArrivals).last()? else { return Ok(None) };
    let (key, value) = row;
    Ok(Some(arrival(u64::from_be_bytes(array(TreeId::MailArrivals, &key)?), &value)?.put_ms))
}

/// Whether everything agrees.
pub(super) fn audit(core: &Core) -> Result<(), Fault> {
    let state = State::read(core)?;
    let mut usage = MailUsage::default();
    for row in core.trees.get(TreeId::MailArrivals).iter() {
        let (key, value) = row?;
        let Arrival { name, entry, .. } = arrival(u64::from_be_bytes(array(TreeId::MailArrivals, &key)?), &value)?;
        usage.blobs += 1;
        usage.bytes += u64::from(entry.size);
        let listed = list(core, &name, entry.at - 1, 1, entry.at)?.0;
        let found = blob(core, &name, &entry.id)?.is_some_and(|blob| BlobId::of(&blob) == entry.id);
        if entry.at > state.end || listed != [entry] || !found {
            return Err(Fault::damaged(TreeId::MailArrivals, "an entry that nothing else agrees with"));
        }
    }
    let rows = |tree| core.trees.get(tree).iter().count() as u64;
    let counts = [usage.blobs, rows(TreeId::MailEntries), rows(TreeId::MailNames)];
    if counts.iter().any(|count| *count != state.usage.blobs) || usage != state.usage {
        return Err(Fault::damaged(TreeId::MailState, "counters that do not agree"));
    }
    Ok(())
}

fn entry(key: &[u8], value: &[u8]) -> Result<Entry, Fault> {
    let at = key.get(NAME..).unwrap_or_default();
    let (id, size) = value.split_at_checked(32).unwrap_or_default();
    Ok(Entry {
        at: u64::from_be_bytes(array(TreeId::MailEntries, at)?),
        id: BlobId(array(TreeId::MailEntries, id)?),
        size: u32::from_be_bytes(array(TreeId::MailEntries, size)?),
    })
}

fn arrival(at: u64, value: &[u8]) -> Result<Arrival, Fault> {
    let tree = TreeId::MailArrivals;
    let malformed = || Fault::damaged(tree, "a malformed row");
    let (name, rest) = value.split_first_chunk::<NAME>().ok_or_else(malformed)?;
    let (id, rest) = rest.split_first_chunk::<32>().ok_or_else(malformed)?;
    let (put_ms, size) = rest.split_first_chunk().ok_or_else(malformed)?;
    let entry = Entry { at, id: BlobId(*id), size: u32::from_be_bytes(array(tree, size)?) };
    let name = BoxName::from_bytes(name).ok_or_else(malformed)?;
    Ok(Arrival { name, put_ms: u64::from_be_bytes(*put_ms), entry })
}

fn piece_key(at: u64, piece: usize) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&at.to_be_bytes());
    // Blobs have sixteen pieces at most.
    key[8..].copy_from_slice(&(piece as u16).to_be_bytes());
    key
}

fn array<const N: usize>(tree: TreeId, bytes: &[u8]) -> Result<[u8; N], Fault> {
    bytes.try_into().map_err(|_| Fault::damaged(tree, "a malformed row"))
}

fn numbers<const N: usize>(tree: TreeId, bytes: &[u8]) -> Result<[u64; N], Fault> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let numbers: Vec<u64> = chunks.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect();
    numbers.try_into().ok().filter(|_| rest.is_empty()).ok_or_else(|| Fault::damaged(tree, "a malformed row"))
}
