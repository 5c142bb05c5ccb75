//! A group: the batches that share one flush. Planning checks and numbers them; writing puts them on disk in the one
//! order from which recovery can tell what is whole; publishing shows them to readers.
//!
//! Order on disk: the intent, new rooms and authors (harmless alone), pages and events, what follows from events (log,
//! ids, unread, tips), small values and keys, deletions.

use std::collections::HashMap;

use parlor_proto::ids::{DeviceId, EventId, RoomId};
use zeroize::Zeroizing;

use crate::batch::{Batch, Op};
use crate::directory::{Last, last, tie};
use crate::fault::Fault;
use crate::intent::{Intent, KeyChange, ValueChange};
use crate::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::opening::Core;
use crate::rows::{ControlRow, LogKind, MessageKey, MessageRow};
use crate::schema::{NO_ROOM, TreeId, blind_key, control_key, number_key, timeline_key};
use crate::seal::Blind;
use crate::timeline::Position;
use crate::value::{CellMaker, ControlValue, MessageValue, Place, RoomValue, encode};
use crate::write::{Facts, Writing, follow};
use crate::{CommitError, read};

/// The namespace of room records.
pub(crate) const ROOM_RECORD: u8 = 0;

/// A group being planned.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    core: &'a Core,
    intent: Intent,
    next_room: u32,
    rooms: HashMap<RoomId, u32>,
    authors: HashMap<DeviceId, u32>,
    names: Vec<Name>,
    messages: Vec<(u32, Position, MessageRow)>,
    control: Vec<(u32, u32, u32, ControlRow)>,
    pages: Vec<(u32, [u8; 16], Vec<u8>)>,
    /// The tips after this group, of the logs it changes.
    tips: HashMap<(u32, LogKind, u32), Last>,
    arrivals: HashMap<u32, u32>,
    forgotten: Vec<RoomId>,
    /// The events of this group: index into `messages` or `control`.
    ids: HashMap<EventId, (LogKind, usize)>,
}

/// A short number given away.
#[derive(Debug, Clone, Copy)]
enum Name {
    Room(u32, RoomId),
    Author(u32, DeviceId),
}

impl<'a> Group<'a> {
    /// An empty group with this number.
    pub(crate) fn new(core: &'a Core, number: u64, next_room: u32) -> Self {
        Self {
            core,
            intent: Intent { group: number, ..Intent::default() },
            next_room,
            rooms: HashMap::new(),
            authors: HashMap::new(),
            names: Vec::new(),
            messages: Vec::new(),
            control: Vec::new(),
            pages: Vec::new(),
            tips: HashMap::new(),
            arrivals: HashMap::new(),
            forgotten: Vec::new(),
            ids: HashMap::new(),
        }
    }

    /// Adds a batch wholly, or refuses it and stays as it was.
    pub(crate) fn add(&mut self, batch: Batch) -> Result<Result<(), CommitError>, Fault> {
        if let Err(refused) = self.check(&batch)? {
            return Ok(Err(refused));
        }
        let room = match batch.room {
            None => NO_ROOM,
            Some(id) => self.room(id)?,
        };
        for op in batch.ops {
            match op {
                Op::Room(bytes) => self.value(room, ROOM_RECORD, Vec::new(), Some(bytes)),
                Op::Put(namespace, key, value) => self.value(room, namespace as u8, key, Some(value)),
                Op::Delete(namespace, key) => self.value(room, namespace as u8, key, None),
                Op::Control(row) => self.add_control(room, batch.room, row)?,
                Op::Message(row) => self.add_message(room, batch.room, row)?,
                Op::MessageKey(id, key) => self.add_key(room, &id, &key)?,
                Op::Page(hash, bytes) => self.add_page(room, &hash, bytes)?,
                Op::Forget => {
                    self.intent.forget.push(room);
                    self.forgotten.extend(batch.room);
                }
            }
        }
        Ok(Ok(()))
    }

    /// Writes everything, in order; not yet durable.
    pub(crate) fn write(&self) -> Result<(), Fault> {
        let Core { sealer, trees, .. } = self.core;
        let mut cells = CellMaker::new(sealer, self.intent.group);
        let mut rows = Vec::new();
        for name in &self.names {
            let (tree, number, plain) = match name {
                Name::Room(number, id) => (TreeId::Rooms, number, encode(&RoomValue { id: *id, forgotten: false })),
                Name::Author(number, device) => (TreeId::Authors, number, encode(device)),
            };
            cells.cell(tree, &number_key(*number), plain, &mut rows);
        }
        let mut writing = Writing::new(trees);
        writing.intent(&mut cells, &self.intent)?;
        for (room, name, bytes) in &self.pages {
            cells.cell(TreeId::Pages, &blind_key(*room, *name), Zeroizing::new(bytes.clone()), &mut rows);
        }
        let mut facts = Facts::default();
        for (room, arrival, author, row) in &self.control {
            // Bounded by the tip, which is a u32.
            let seq = row.seq as u32;
            let plain = encode(&ControlValue { author: *author, seq, id: row.id, bytes: &row.bytes });
            cells.cell(TreeId::Control, &control_key(*room, *arrival), plain, &mut rows);
            facts.control.push((*room, *arrival, *author, seq, row.id));
        }
        for (room, position, row) in &self.messages {
            let plain = encode(&MessageValue::of(row));
            cells.cell(TreeId::Timeline, &timeline_key(*room, *position), plain, &mut rows);
            facts.messages.push((*room, *position, row.id, row.key.is_some()));
        }
        writing.rows(rows)?;
        follow(self.core, &mut cells, &mut writing, &self.intent, &facts)
    }

    /// The numbers of the rooms it forgets.
    pub(crate) fn forgotten(&self) -> Vec<u32> {
        self.intent.forget.clone()
    }

    /// Shows everything to readers, once it is durable. Returns the next free room number.
    pub(crate) fn publish(self) -> u32 {
        let directory = &self.core.directory;
        for name in &self.names {
            match *name {
                Name::Room(number, id) => drop(directory.add_room(id, number)),
                Name::Author(_, device) => directory.add_author(device),
            }
        }
        let mut changed: HashMap<u32, Vec<_>> = HashMap::new();
        for ((room, kind, author), last) in self.tips {
            changed.entry(room).or_default().push(((kind, author), last));
        }
        for (id, number) in &self.rooms {
            if let Some(tips) = changed.remove(number)
                && let Some(room) = directory.room(id)
            {
                room.publish(tips.into_iter(), self.arrivals.get(number).copied());
            }
        }
        for room in &self.forgotten {
            directory.remove_room(room);
        }
        self.next_room
    }

    /// Whether all of `batch` can be applied after what the group holds.
    fn check(&self, batch: &Batch) -> Result<Result<(), CommitError>, Fault> {
        let mut tips: HashMap<(LogKind, DeviceId), u64> = HashMap::new();
        let mut fresh: HashMap<EventId, (LogKind, DeviceId, u64)> = HashMap::new();
        for op in &batch.ops {
            let (kind, device, seq, id) = match op {
                Op::Control(row) => (LogKind::Control, row.device, row.seq, row.id),
                Op::Message(row) => (LogKind::Message, row.device, row.seq, row.id),
                other => {
                    if let Err(refused) = check_small(batch.room.is_some(), other) {
                        return Ok(Err(refused));
                    }
                    continue;
                }
            };
            let Some(room) = batch.room else { return Ok(Err(CommitError::NoRoom)) };
            if let Err(refused) = check_size(op.content(), MAX_VALUE_BYTES) {
                return Ok(Err(refused));
            }
            let tip = match tips.get(&(kind, device)) {
                Some(tip) => *tip,
                None => u64::from(self.tip(&room, kind, &device)?),
            };
            if seq == tip + 1 && seq <= u64::from(u32::MAX) {
                tips.insert((kind, device), seq);
                fresh.insert(id, (kind, device, seq));
            } else if fresh.get(&id).is_none_or(|event| *event != (kind, device, seq))
                && !self.holds(&room, kind, &device, seq, &id)?
            {
                return Ok(Err(CommitError::Conflict { device, seq }));
            }
        }
        Ok(Ok(()))
    }

    /// The last sequence number of a log, this group included.
    fn tip(&self, room: &RoomId, kind: LogKind, device: &DeviceId) -> Result<u32, Fault> {
        let Some(author) = self.known_author(device) else { return Ok(0) };
        if let Some(number) = self.known_room(room)
            && let Some(last) = self.tips.get(&(number, kind, author))
        {
            return Ok(last.seq);
        }
        let Core { directory, trees, sealer, .. } = self.core;
        match directory.room(room) {
            Some(room) => room.logs(trees, sealer, |logs| logs.seq(kind, author)),
            None => Ok(0),
        }
    }

    /// Whether exactly this event is there already, on disk or in this group.
    fn holds(&self, room: &RoomId, kind: LogKind, device: &DeviceId, seq: u64, id: &EventId) -> Result<bool, Fault> {
        if let Some((found, index)) = self.ids.get(id) {
            let event = match found {
                LogKind::Message => self.messages.get(*index).map(|(_, _, row)| (row.device, row.seq)),
                LogKind::Control => self.control.get(*index).map(|(_, _, _, row)| (row.device, row.seq)),
            };
            return Ok(*found == kind && event == Some((*device, seq)));
        }
        let Some(room) = self.core.directory.room(room) else { return Ok(false) };
        let found = read::locate(self.core, &room, id)?;
        Ok(match (kind, found) {
            (LogKind::Message, Some(Place::Message(position))) => {
                self.core.directory.device(position.author)? == *device && u64::from(position.seq) == seq
            }
            (LogKind::Control, Some(Place::Control(arrival))) => {
                let row = read::control_at(self.core, &room, arrival)?;
                (row.device, row.seq) == (*device, seq)
            }
            _ => false,
        })
    }

    fn known_room(&self, id: &RoomId) -> Option<u32> {
        let stored = || self.core.directory.room(id).map(|room| room.number);
        self.rooms.get(id).copied().or_else(stored)
    }

    fn known_author(&self, device: &DeviceId) -> Option<u32> {
        self.authors.get(device).copied().or_else(|| self.core.directory.author(device))
    }

    /// The number of a room, a new one if it has none. The tips of a room in use are loaded before anything is written.
    fn room(&mut self, id: RoomId) -> Result<u32, Fault> {
        if let Some(number) = self.rooms.get(&id) {
            return Ok(*number);
        }
        let Core { directory, trees, sealer, .. } = self.core;
        let number = match directory.room(&id) {
            Some(room) => {
                room.logs(trees, sealer, |_| ())?;
                room.number
            }
            None => {
                self.names.push(Name::Room(self.next_room, id));
                self.next_room += 1;
                self.next_room - 1
            }
        };
        self.rooms.insert(id, number);
        Ok(number)
    }

    /// The number of an author, a new one if he has none.
    fn author(&mut self, device: DeviceId) -> u32 {
        self.known_author(&device).unwrap_or_else(|| {
            let number = self.core.directory.n_authors() + self.authors.len() as u32;
            self.names.push(Name::Author(number, device));
            self.authors.insert(device, number);
            number
        })
    }

    fn add_control(&mut self, room: u32, id: Option<RoomId>, row: ControlRow) -> Result<(), Fault> {
        let Some(id) = id else { return Ok(()) };
        if row.seq <= u64::from(self.tip(&id, LogKind::Control, &row.device)?) {
            return Ok(());
        }
        let arrival = match self.arrivals.get(&room) {
            Some(arrivals) => *arrivals,
            None => self.stored_arrivals(&id)?,
        };
        let author = self.author(row.device);
        self.arrivals.insert(room, arrival + 1);
        self.tips.insert((room, LogKind::Control, author), last(row.seq as u32, row.id));
        self.ids.insert(row.id, (LogKind::Control, self.control.len()));
        self.intent.add_control(room, arrival);
        self.control.push((room, arrival, author, row));
        Ok(())
    }

    fn stored_arrivals(&self, id: &RoomId) -> Result<u32, Fault> {
        let Core { directory, trees, sealer, .. } = self.core;
        directory.room(id).map_or(Ok(0), |room| room.logs(trees, sealer, |logs| logs.arrivals))
    }

    fn add_message(&mut self, room: u32, id: Option<RoomId>, row: MessageRow) -> Result<(), Fault> {
        let Some(id) = id else { return Ok(()) };
        if row.seq <= u64::from(self.tip(&id, LogKind::Message, &row.device)?) {
            return Ok(());
        }
        let author = self.author(row.device);
        let seq = row.seq as u32;
        let position = Position { order: row.order, tie: tie(&id, &row.device), author, seq };
        self.tips.insert((room, LogKind::Message, author), last(seq, row.id));
        self.ids.insert(row.id, (LogKind::Message, self.messages.len()));
        self.intent.add_message(room, position);
        self.messages.push((room, position, row));
        Ok(())
    }

    fn add_key(&mut self, room: u32, id: &EventId, key: &MessageKey) -> Result<(), Fault> {
        if let Some((kind, index)) = self.ids.get(id) {
            if let (LogKind::Message, Some((_, _, row))) = (kind, self.messages.get_mut(*index)) {
                row.key.get_or_insert_with(|| key.clone());
            }
            return Ok(());
        }
        if let Some(Place::Message(position)) = read::locate_raw(self.core, room, id)? {
            let key = *key.expose();
            self.intent.keys.push(KeyChange { room, position: position.to_bytes(), key });
        }
        Ok(())
    }

    fn add_page(&mut self, room: u32, hash: &[u8; 32], bytes: Vec<u8>) -> Result<(), Fault> {
        let name = self.core.sealer.blind(Blind::Page, room, hash);
        let planned = self.intent.pages.contains(&(room, name));
        if !planned && !self.core.trees.get(TreeId::Pages).contains_key(blind_key(room, name))? {
            self.intent.pages.push((room, name));
            self.pages.push((room, name, bytes));
        }
        Ok(())
    }

    fn value(&mut self, room: u32, namespace: u8, key: Vec<u8>, value: Option<Vec<u8>>) {
        let value = value.map(Zeroizing::new);
        self.intent.values.push(ValueChange { room, namespace, key, value });
    }
}

/// Whether a change that is no event is within bounds.
fn check_small(has_room: bool, op: &Op) -> Result<(), CommitError> {
    match op {
        Op::Put(_, key, value) => check_size(key.len(), MAX_KEY_BYTES).and(check_size(value.len(), MAX_VALUE_BYTES)),
        Op::Delete(_, key) => check_size(key.len(), MAX_KEY_BYTES),
        _ if !has_room => Err(CommitError::NoRoom),
        _ => check_size(op.content(), MAX_VALUE_BYTES),
    }
}

fn check_size(bytes: usize, limit: usize) -> Result<(), CommitError> {
    if bytes > limit { Err(CommitError::TooLarge { bytes, limit }) } else { Ok(()) }
}

/// Writes a row's plain form again with a key. Used when a key is learned.
pub(crate) fn with_key(plain: &[u8], key: &[u8; 32]) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
    let mut value: MessageValue<'_> = crate::value::decode(TreeId::Timeline, plain)?;
    if value.key.is_some() {
        return Ok(None);
    }
    value.key = Some(Zeroizing::new(*key));
    Ok(Some(encode(&value)))
}
