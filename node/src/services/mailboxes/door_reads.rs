//! What is read for those who enter a room by the link alone. Without I/O.

use std::collections::{HashMap, HashSet, VecDeque};

use parlor_proto::RoomId;
use parlor_proto::mailbox::{BlobId, BoxName, RelayId};

use super::doors::DoorNews;
use crate::limits::MAIL_LOOK_MS;

/// What is read for those who enter. What they do not take yet waits here; a blob counts as taken only when it was passed on,
/// so the machine hands over no more than it holds for anybody.
#[derive(Default)]
pub(super) struct DoorReads {
    boxes: HashMap<BoxName, RoomId>,
    /// Which relays have no more in a box, or at a door, than was read.
    ends: HashMap<BoxName, HashSet<RelayId>>,
    pub(super) waiting: VecDeque<Waiting>,
}

/// Something for somebody who enters.
pub(super) struct Waiting {
    pub(super) room: RoomId,
    /// The blob it came in, if it was one.
    pub(super) blob: Option<(BoxName, BlobId)>,
    pub(super) news: DoorNews,
}

impl DoorReads {
    /// Whether a box is read to enter a room.
    pub(super) fn reads(&self, name: &BoxName) -> bool {
        self.boxes.contains_key(name)
    }

    /// A box is read from now on.
    pub(super) fn add(&mut self, name: BoxName, room: RoomId) {
        self.boxes.insert(name, room);
    }

    /// A relay has no more in a box, or at a door, than was read. Answers whether this holds for all of `relays` now.
    pub(super) fn ended(&mut self, name: BoxName, relay: RelayId, relays: &[RelayId]) -> bool {
        let ends = self.ends.entry(name).or_default();
        ends.insert(relay);
        relays.iter().all(|relay| ends.contains(relay))
    }

    /// A door is not read any more.
    pub(super) fn leave(&mut self, door: &BoxName) {
        self.ends.remove(door);
    }

    /// The room is entered or given up: the boxes that were read for that.
    pub(super) fn end(&mut self, room: &RoomId) -> Vec<BoxName> {
        let names: Vec<BoxName> = self.boxes.iter().filter(|(_, of)| *of == room).map(|(name, _)| *name).collect();
        self.boxes.retain(|_, of| of != room);
        names.iter().for_each(|name| drop(self.ends.remove(name)));
        self.waiting.retain(|waiting| waiting.room != *room);
        names
    }

    /// When to look again whether something can be passed on.
    pub(super) fn due_ms(&self, now_ms: u64) -> Option<u64> {
        (!self.waiting.is_empty()).then(|| now_ms.saturating_add(MAIL_LOOK_MS))
    }
}
