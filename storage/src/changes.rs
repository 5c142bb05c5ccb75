//! The list of changes: which messages whoever follows the store (the search) still has to look at.
//!
//! A group that adds messages, learns or erases their keys, or forgets a room writes their places down with itself, so what is
//! durable is never missed. One row a group, as a rule; removed by [`Batch::trim_changes`](crate::Batch::trim_changes).

use crate::fault::Fault;
use crate::opening::Core;
use crate::schema::{TreeId, change_key, number_at, parse_timeline_key, timeline_key};
use crate::timeline::Position;
use crate::value::Row;

/// Bytes of an entry: a key of the timeline.
const ENTRY: usize = 24;

/// Entries of one row: below 4 KiB, as all that sled is given.
const ROW_ENTRIES: usize = 160;

/// What stands behind the number of a room that was forgotten.
const FORGOTTEN: Position = Position { order: u64::MAX, tie: u32::MAX, author: u32::MAX, seq: u32::MAX };

/// Rows removed by one group: some milliseconds.
const TRIM_ROWS: usize = 4_096;

/// Something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The group that says so.
    pub group: u64,
    /// The short number of the room.
    pub room: u32,
    /// The message that came, or whose key came or was erased; `None` if the room was forgotten.
    pub position: Option<Position>,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// In the order in which it happened.
    pub changed: Vec<Changed>,
    /// Up to this group all is told.
    pub up_to: u64,
    /// Whether more is known.
    pub more: bool,
}

/// Adds what a group says to its rows.
pub(crate) fn rows(
    group: u64,
    messages: impl Iterator<Item = (u32, Position)>,
    forgotten: &[u32],
    rows: &mut Vec<Row>,
) {
    let gone = forgotten.iter().map(|room| (*room, FORGOTTEN));
    let entries: Vec<u8> = messages.chain(gone).flat_map(|(room, position)| timeline_key(room, position)).collect();
    for (part, entries) in entries.chunks(ROW_ENTRIES * ENTRY).enumerate() {
        // A group has at most 1 MiB and one batch, of 128 bytes or more for each entry.
        let part = u16::try_from(part).unwrap_or(u16::MAX);
        rows.push(Row::new(TreeId::Changes, &change_key(group, part), entries.to_vec()));
    }
}

/// Adds the removal of what was said up to a group.
pub(crate) fn trim(core: &Core, up_to: u64, rows: &mut Vec<Row>) -> Result<(), Fault> {
    for row in core.trees.get(TreeId::Changes).range(..=change_key(up_to, u16::MAX)).take(TRIM_ROWS) {
        rows.push(Row::removal(TreeId::Changes, &row?.0));
    }
    Ok(())
}

/// What changed after a group and up to another.
pub(crate) fn read(core: &Core, after: u64, up_to: u64, limit: usize) -> Result<Changes, Fault> {
    let mut changes = Changes { changed: Vec::new(), up_to: after, more: false };
    let first = change_key(after.saturating_add(1), 0);
    for row in core.trees.get(TreeId::Changes).range(first..=change_key(up_to, u16::MAX)) {
        let (key, entries) = row?;
        let group = key.first_chunk().map(|group| u64::from_be_bytes(*group));
        let group = group.ok_or_else(|| Fault::damaged(TreeId::Changes, "a malformed key"))?;
        if group != changes.up_to && changes.changed.len() >= limit {
            changes.more = true;
            return Ok(changes);
        }
        for entry in entries.chunks(ENTRY) {
            let place = number_at(entry, 0).zip(parse_timeline_key(entry));
            let (room, position) = place.ok_or_else(|| Fault::damaged(TreeId::Changes, "a malformed row"))?;
            changes.changed.push(Changed { group, room, position: Some(position).filter(|at| *at != FORGOTTEN) });
        }
        changes.up_to = group;
    }
    changes.up_to = changes.up_to.max(up_to);
    Ok(changes)
}
