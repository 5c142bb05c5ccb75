//! Lists of what is said about messages, and of messages that belong together: entries in places, of each place the greatest.
//!
//! A list is found by its blind name, so reading one costs what it holds. The rule which entries of a place stay is the
//! protocol's ([`parlor_proto::annotation::put`]) and does not depend on the order in which they come.

use parlor_proto::annotation::{self, Remark, Slot};
use parlor_proto::ids::EventId;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::limits::MAX_REMARKS;
use crate::opening::Core;
use crate::read::walk_cell;
use crate::rows::RemarkRow;
use crate::schema::{TreeId, remark_key};
use crate::seal::Blind;
use crate::value::{decode, key_of, read_cell};

/// The key of a place.
pub(crate) type PlaceKey = [u8; 36];

/// An entry in a row of [`TreeId::Remarks`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RemarkValue {
    key: Vec<u8>,
    rank: u64,
    id: EventId,
    value: Vec<u8>,
}

/// The place of an entry. By time: `time u64 | first 8 bytes of the blind id`.
pub(crate) fn place(core: &Core, room: u32, remark: &Remark) -> PlaceKey {
    let slot = match &remark.slot {
        Slot::Named(name) => return named(core, room, &remark.list, name),
        Slot::At(time) => {
            let mut slot = core.sealer.blind(Blind::Slot, room, &remark.id.0);
            slot.rotate_right(8);
            slot[..8].copy_from_slice(&time.to_be_bytes());
            slot
        }
    };
    remark_key(room, list_name(core, room, &remark.list), slot)
}

/// A place by name of a list.
pub(crate) fn named(core: &Core, room: u32, list: &[u8], name: &[u8]) -> PlaceKey {
    remark_key(room, list_name(core, room, list), core.sealer.blind(Blind::Slot, room, name))
}

/// The places of a list that are on disk.
pub(crate) fn places(core: &Core, room: u32, list: &[u8]) -> Result<Vec<PlaceKey>, Fault> {
    let name = list_name(core, room, list);
    let (start, end) = (remark_key(room, name, [0; 16]), remark_key(room, name, [255; 16]));
    let mut places = Vec::new();
    for key in core.trees.get(TreeId::Remarks).range(start..=end).keys() {
        let key = key?.as_ref().try_into().map_err(|_| Fault::damaged(TreeId::Remarks, "a malformed key"))?;
        places.push(key);
    }
    Ok(places)
}

/// What a place holds. One that does not open holds nothing: what is said from now on may not fail for ever because of it.
pub(crate) fn read(core: &Core, place: &PlaceKey) -> Result<Said, Fault> {
    match held(core, place) {
        Err(Fault::Damaged(detail)) => {
            tracing::warn!(detail, "what was said about a message is lost: it can not be read");
            Ok(Said::default())
        }
        held => held,
    }
}

fn held(core: &Core, place: &PlaceKey) -> Result<Said, Fault> {
    let Some(plain) = read_cell(core, TreeId::Remarks, place)? else { return Ok(Said::default()) };
    let cell = core.trees.get(TreeId::Remarks).get(place)?;
    let Some(key) = cell.and_then(|cell| key_of(&cell).0) else {
        return Ok(Said { entries: decode(TreeId::Remarks, &plain)?, fades_ms: None });
    };
    // A key that went since the cell was opened took it along: what has no end would be sealed again for good.
    let Some(fades_ms) = core.keyring.until(key) else { return Ok(Said::default()) };
    Ok(Said { entries: decode(TreeId::Remarks, &plain)?, fades_ms: Some(fades_ms) })
}

/// What stands in a place.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) entries: Vec<RemarkValue>,
    /// When all of it disappears; `None` if it does not.
    pub(crate) fades_ms: Option<u64>,
}

impl Said {
    /// Puts an entry among those of its place; whether that changed anything.
    pub(crate) fn put(&mut self, remark: Remark, fades_ms: Option<u64>) -> bool {
        self.fades_ms = match (self.entries.is_empty(), self.fades_ms, fades_ms) {
            (true, _, fades_ms) => fades_ms,
            (false, Some(held), Some(fades_ms)) => Some(held.max(fades_ms)),
            (false, ..) => None,
        };
        let Remark { key, rank, id, most, value, .. } = remark;
        let entry = RemarkValue { key, rank, id, value };
        let most = usize::from(most);
        annotation::put(&mut self.entries, entry, most, |entry| &entry.key, |entry| (entry.rank, entry.id))
    }
}

/// Entries of a list, in the order of its places.
pub(crate) fn all(core: &Core, room: u32, list: &[u8], limit: usize) -> Result<Vec<RemarkRow>, Fault> {
    let name = list_name(core, room, list);
    let (start, end) = (remark_key(room, name, [0; 16]), remark_key(room, name, [255; 16]));
    take(core, core.trees.get(TreeId::Remarks).range(start..=end), limit)
}

/// Entries of a list by time, the newest first, of those up to a time.
pub(crate) fn newest(
    core: &Core,
    room: u32,
    list: &[u8],
    up_to: Option<u64>,
    limit: usize,
) -> Result<Vec<RemarkRow>, Fault> {
    let name = list_name(core, room, list);
    let mut last = [255; 16];
    if let Some(up_to) = up_to {
        last[..8].copy_from_slice(&up_to.to_be_bytes());
    }
    let (start, end) = (remark_key(room, name, [0; 16]), remark_key(room, name, last));
    take(core, core.trees.get(TreeId::Remarks).range(start..=end).rev(), limit)
}

fn take(
    core: &Core,
    rows: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
    limit: usize,
) -> Result<Vec<RemarkRow>, Fault> {
    let limit = limit.min(MAX_REMARKS);
    let mut taken = Vec::new();
    for row in rows {
        let (key, cell) = row?;
        let opened = walk_cell(core, TreeId::Remarks, &key, &cell);
        let entries = opened.and_then(|plain| plain.map(|plain| decode(TreeId::Remarks, &plain)).transpose());
        let entries: Vec<RemarkValue> = match entries {
            Ok(entries) => entries.unwrap_or_default(),
            // Each place stands for itself: one keeps nobody from reading the others, nor the message.
            Err(Fault::Damaged(detail)) => {
                tracing::warn!(detail, "something said about a message is left out: it can not be read");
                continue;
            }
            Err(fault) => return Err(fault),
        };
        for RemarkValue { rank, id, value, .. } in entries {
            if taken.len() == limit {
                return Ok(taken);
            }
            taken.push(RemarkRow { rank, id, value });
        }
    }
    Ok(taken)
}

fn list_name(core: &Core, room: u32, list: &[u8]) -> [u8; 16] {
    core.sealer.blind(Blind::List, room, list)
}
