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
    /// The room that a box is of, and the door of the link.
    boxes: HashMap<BoxName, (RoomId, BoxName)>,
    /// Which relays have no more in a box, or at a door, than was read.
    ends: HashMap<BoxName, HashSet<RelayId>>,
    pub(super) waiting: VecDeque<Waiting>,
}

/// Something for somebody who enters.
pub(super) struct Waiting {
    /// The door of his link.
    pub(super) door: BoxName,
    /// The blob it came in, if it was one.
    pub(super) blob: Option<(BoxName, BlobId)>,
    pub(super) news: DoorNews,
}

impl DoorReads {
    /// Whether a box is read to enter a room.
    pub(super) fn reads(&self, name: &BoxName) -> bool {
        self.boxes.contains_key(name)
    }

    /// The door of the link by which somebody enters who reads this box.
    pub(super) fn door_of(&self, name: &BoxName) -> Option<BoxName> {
        self.boxes.get(name).map(|(_, door)| *door)
    }

    /// A box is read from now on.
    pub(super) fn add(&mut self, name: BoxName, room: RoomId, door: BoxName) {
        self.boxes.insert(name, (room, door));
    }

    /// A relay has no more in a box, or at a door, than was read. Answers whether this holds for all of `relays` now.
    pub(super) fn ended(&mut self, name: BoxName, relay: RelayId, relays: &[RelayId]) -> bool {
        let ends = self.ends.entry(name).or_default();
        ends.insert(relay);
        relays.iter().all(|relay| ends.contains(relay))
    }

    /// A door is not read any more. The boxes that were read for who came by it.
    pub(super) fn leave(&mut self, door: &BoxName) -> Vec<BoxName> {
        self.ends.remove(door);
        self.waiting.retain(|waiting| waiting.door != *door);
        self.end(|_, of| of == door)
    }

    /// The room is entered: the boxes that were read for that. What waits of the doors is still passed on.
    pub(super) fn enter(&mut self, room: &RoomId) -> Vec<BoxName> {
        self.end(|of, _| of == room)
    }

    fn end(&mut self, is_over: impl Fn(&RoomId, &BoxName) -> bool) -> Vec<BoxName> {
        let over = self.boxes.extract_if(|_, (room, door)| is_over(room, door));
        let names: Vec<BoxName> = over.map(|(name, _)| name).collect();
        names.iter().for_each(|name| drop(self.ends.remove(name)));
        let is_of = |waiting: &Waiting| match &waiting.news {
            DoorNews::CaughtUp(name) => names.contains(name),
            _ => waiting.blob.is_some_and(|(name, _)| names.contains(&name)),
        };
        self.waiting.retain(|waiting| !is_of(waiting));
        names
    }

    /// When to look again whether something can be passed on.
    pub(super) fn due_ms(&self, now_ms: u64) -> Option<u64> {
        (!self.waiting.is_empty()).then(|| now_ms.saturating_add(MAIL_LOOK_MS))
    }
}
