//! What the store knows by heart: the short numbers of rooms and authors, and the tips of the logs that are durable.
//!
//! The tips here are what readers go by: an event beyond the tip of its log is being written and not shown. Only the
//! writer changes them, after the flush. Tips of a room are loaded at its first use; the writer uses a room before it
//! writes to it, so what is loaded is what was durable.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use parlor_proto::ids::{DeviceId, EventId, RoomId};

use crate::fault::Fault;
use crate::rows::LogKind;
use crate::schema::{TreeId, Trees, number_at, number_key, parse_tip_key};
use crate::seal::Sealer;
use crate::value::{RoomValue, TipValue, decode, open_cell};

/// The last event of a log.
pub(crate) type Last = TipValue;

/// A room that is in use.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) number: u32,
    pub(crate) id: RoomId,
    logs: RwLock<Option<Logs>>,
}

/// The durable state of a room's logs.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    /// The last event of each log.
    pub(crate) tips: HashMap<(LogKind, u32), Last>,
    /// How many control events there are: the next arrival number.
    pub(crate) arrivals: u32,
}

impl Logs {
    /// The last sequence number of a log; zero when it is empty.
    pub(crate) fn seq(&self, kind: LogKind, author: u32) -> u32 {
        self.tips.get(&(kind, author)).map_or(0, |last| last.seq)
    }
}

#[derive(Debug, Default)]
struct Authors {
    ids: Vec<DeviceId>,
    numbers: HashMap<DeviceId, u32>,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    rooms: RwLock<HashMap<RoomId, Arc<Room>>>,
    authors: RwLock<Authors>,
}

/// What loading found beside the directory.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) directory: Directory,
    /// The next number for a room.
    pub(crate) next_room: u32,
    /// Rooms that are forgotten and not yet swept.
    pub(crate) forgotten: Vec<u32>,
}

impl Directory {
    /// Reads the rooms and authors.
    pub(crate) fn load(trees: &Trees, sealer: &Sealer) -> Result<Loaded, Fault> {
        let mut rooms = HashMap::new();
        let mut forgotten = Vec::new();
        let mut next_room = 1;
        for row in trees.get(TreeId::Rooms).iter() {
            let (key, cell) = row?;
            let number = number_at(&key, 0).ok_or_else(|| Fault::damaged(TreeId::Rooms, "a malformed key"))?;
            let plain = open_cell(trees, sealer, TreeId::Rooms, &key, &cell)?;
            let value: RoomValue = decode(TreeId::Rooms, &plain)?;
            next_room = next_room.max(number.saturating_add(1));
            if value.forgotten {
                forgotten.push(number);
            } else {
                rooms.insert(value.id, Arc::new(Room { number, id: value.id, logs: RwLock::new(None) }));
            }
        }
        let authors = RwLock::new(Authors::load(trees, sealer)?);
        Ok(Loaded { directory: Self { rooms: RwLock::new(rooms), authors }, next_room, forgotten })
    }

    pub(crate) fn room(&self, id: &RoomId) -> Option<Arc<Room>> {
        read(&self.rooms).get(id).cloned()
    }

    /// The rooms in the order of their numbers.
    pub(crate) fn rooms(&self) -> Vec<Arc<Room>> {
        let mut rooms: Vec<_> = read(&self.rooms).values().cloned().collect();
        rooms.sort_unstable_by_key(|room| room.number);
        rooms
    }

    pub(crate) fn add_room(&self, id: RoomId, number: u32) -> Arc<Room> {
        let room = Arc::new(Room { number, id, logs: RwLock::new(Some(Logs::default())) });
        write(&self.rooms).insert(id, Arc::clone(&room));
        room
    }

    pub(crate) fn remove_room(&self, id: &RoomId) {
        write(&self.rooms).remove(id);
    }

    pub(crate) fn author(&self, device: &DeviceId) -> Option<u32> {
        read(&self.authors).numbers.get(device).copied()
    }

    pub(crate) fn device(&self, author: u32) -> Result<DeviceId, Fault> {
        let device = read(&self.authors).ids.get(author as usize).copied();
        device.ok_or_else(|| Fault::damaged(TreeId::Authors, "an author is missing"))
    }

    /// How many authors have a number: the next one.
    pub(crate) fn n_authors(&self) -> u32 {
        read(&self.authors).numbers.len() as u32
    }

    /// Gives the next number to `device`.
    pub(crate) fn add_author(&self, device: DeviceId) {
        let mut authors = write(&self.authors);
        let number = authors.ids.len() as u32;
        authors.ids.push(device);
        authors.numbers.insert(device, number);
    }
}

impl Authors {
    fn load(trees: &Trees, sealer: &Sealer) -> Result<Self, Fault> {
        let mut authors = Self::default();
        for row in trees.get(TreeId::Authors).iter() {
            let (key, cell) = row?;
            let number = number_at(&key, 0).ok_or_else(|| Fault::damaged(TreeId::Authors, "a malformed key"))?;
            if number as usize != authors.ids.len() {
                return Err(Fault::damaged(TreeId::Authors, "an author is missing"));
            }
            let plain = open_cell(trees, sealer, TreeId::Authors, &key, &cell)?;
            let device: DeviceId = decode(TreeId::Authors, &plain)?;
            authors.ids.push(device);
            authors.numbers.insert(device, number);
        }
        Ok(authors)
    }
}

impl Room {
    /// Runs `look` on the durable state, loading it first if need be.
    pub(crate) fn logs<T>(&self, trees: &Trees, sealer: &Sealer, look: impl FnOnce(&Logs) -> T) -> Result<T, Fault> {
        if let Some(logs) = read(&self.logs).as_ref() {
            return Ok(look(logs));
        }
        let mut slot = write(&self.logs);
        if slot.is_none() {
            *slot = Some(self.load(trees, sealer)?);
        }
        Ok(look(slot.get_or_insert_default()))
    }

    /// Makes what the writer has flushed visible.
    pub(crate) fn publish(&self, tips: impl Iterator<Item = ((LogKind, u32), Last)>, arrivals: Option<u32>) {
        // Loaded since the group was planned.
        if let Some(logs) = write(&self.logs).as_mut() {
            logs.tips.extend(tips);
            logs.arrivals = arrivals.unwrap_or(logs.arrivals);
        }
    }

    fn load(&self, trees: &Trees, sealer: &Sealer) -> Result<Logs, Fault> {
        let mut logs = Logs::default();
        for row in trees.get(TreeId::Tips).scan_prefix(number_key(self.number)) {
            let (key, cell) = row?;
            let log = parse_tip_key(&key).ok_or_else(|| Fault::damaged(TreeId::Tips, "a malformed key"))?;
            let plain = open_cell(trees, sealer, TreeId::Tips, &key, &cell)?;
            logs.tips.insert(log, decode(TreeId::Tips, &plain)?);
        }
        // Every control event counts once in its author's log and once as an arrival.
        let control = logs.tips.iter().filter(|((kind, _), _)| *kind == LogKind::Control);
        logs.arrivals = control.map(|(_, last)| last.seq).sum();
        Ok(logs)
    }
}

/// The 4 bytes that order messages of one room with equal clocks, the same on every node.
pub(crate) fn tie(room: &RoomId, device: &DeviceId) -> u32 {
    let hash = blake3::keyed_hash(room.as_bytes(), device.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The last event of a log.
pub(crate) fn last(seq: u32, id: EventId) -> Last {
    TipValue { seq, id }
}

// A thread that panicked with a guard held had changed nothing: changes here are single inserts.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
