//! A group: the batches that share one record of the journal. Planning checks and numbers them; then it says which rows it
//! writes and removes; publishing shows it to readers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use parlor_proto::annotation::Remark;
use parlor_proto::ids::{DeviceId, EventId, RoomId};
use zeroize::Zeroizing;

use crate::batch::{Batch, Op};
use crate::directory::{Last, last, tie};
use crate::fault::Fault;
use crate::keyring::Lasts;
use crate::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::log;
use crate::opening::Core;
use crate::remarks::{self, PlaceKey, Said};
use crate::rows::{ControlRow, Due, LogKind, MessageKey, MessageRow, erased};
use crate::schema::{NO_ROOM, TreeId, blind_key, control_key, fading_key, number_key, timeline_key, tip_key};
use crate::seal::Blind;
use crate::timeline::Position;
use crate::value::{CellMaker, ControlValue, KeyedValue, MessageValue, Place, RoomValue, Row, encode};
use crate::write::value_key_of;
use crate::{CommitError, changes, read};

/// The namespace of room records.
pub(crate) const ROOM_RECORD: u8 = 0;

/// A small value: room, namespace and key.
type ValueKey = (u32, u8, Vec<u8>);

/// A group being planned.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    core: &'a Core,
    number: u64,
    next_room: u32,
    rooms: HashMap<RoomId, u32>,
    authors: HashMap<DeviceId, u32>,
    names: Vec<Name>,
    messages: Vec<(u32, Position, MessageRow)>,
    control: Vec<(u32, u32, u32, ControlRow)>,
    pages: Vec<(u32, [u8; 16], Vec<u8>)>,
    /// The last change of each small value; `None` removes it.
    values: BTreeMap<ValueKey, Option<Small>>,
    /// What was learned of stored messages.
    news: BTreeMap<(u32, Position), News>,
    /// Messages of this group that are no lines of the timeline.
    asides: HashSet<EventId>,
    /// Places of lists, as they are with this group.
    remarks: BTreeMap<PlaceKey, Said>,
    /// Up to which group the list of changes is cut.
    trim: Option<u64>,
    /// Places of lists that are taken away.
    unsaid: BTreeSet<PlaceKey>,
    /// Messages whose time is over.
    due: BTreeMap<(u32, Position), u64>,
    /// Rooms to forget.
    forget: Vec<u32>,
    /// The tips after this group, of the logs it changes.
    tips: HashMap<(u32, LogKind, u32), Last>,
    arrivals: HashMap<u32, u32>,
    forgotten: Vec<RoomId>,
    /// The events of this group: index into `messages` or `control`.
    ids: HashMap<EventId, (LogKind, usize)>,
}

/// A small value to be written.
#[derive(Debug)]
struct Small {
    value: Zeroizing<Vec<u8>>,
    /// Whether it goes for good when it is replaced or removed.
    fades: bool,
}

/// What was learned of a stored message.
#[derive(Debug, Default)]
struct News {
    key: Option<MessageKey>,
    covers_own: Option<u64>,
    /// It is no line of the timeline.
    aside: bool,
    /// Its key is erased.
    erase: bool,
}

/// What the index of logs is made of.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Room and place.
    pub(crate) messages: Vec<(u32, Position)>,
    /// Room, arrival, author, sequence number.
    pub(crate) control: Vec<(u32, u32, u32, u32)>,
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
            number,
            next_room,
            rooms: HashMap::new(),
            authors: HashMap::new(),
            names: Vec::new(),
            messages: Vec::new(),
            control: Vec::new(),
            pages: Vec::new(),
            values: BTreeMap::new(),
            news: BTreeMap::new(),
            asides: HashSet::new(),
            remarks: BTreeMap::new(),
            trim: None,
            unsaid: BTreeSet::new(),
            due: BTreeMap::new(),
            forget: Vec::new(),
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
                Op::Room(bytes) => self.value(room, ROOM_RECORD, Vec::new(), Some((bytes, false))),
                Op::Put(namespace, key, value) => self.value(room, namespace as u8, key, Some((value, false))),
                Op::PutFading(namespace, key, value) => self.value(room, namespace as u8, key, Some((value, true))),
                Op::Delete(namespace, key) => self.value(room, namespace as u8, key, None),
                Op::Control(row) => self.add_control(room, batch.room, row)?,
                Op::Message(row) => self.add_message(room, batch.room, row)?,
                Op::MessageKey(id, key) => self.add_key(room, &id, key)?,
                Op::Covers(id, covers_own) => self.add_covers(room, &id, covers_own)?,
                Op::Aside(id) => self.add_aside(room, &id)?,
                Op::Erase(id) => self.erase(room, &id)?,
                Op::Remark(remark, fades_ms) => self.add_remark(room, remark, fades_ms)?,
                Op::Unsay(list) => self.unsay(remarks::places(self.core, room, &list)?),
                Op::Unremark(list, name) => self.unsay(vec![remarks::named(self.core, room, &list, &name)]),
                Op::Fade(due) => drop(self.due.insert((due.number, due.position), due.until_ms)),
                Op::Page(hash, bytes) => self.add_page(room, &hash, bytes)?,
                Op::Trim(group) => self.trim = self.trim.max(Some(group)),
                Op::Forget => {
                    self.forget.push(room);
                    self.forgotten.extend(batch.room);
                }
            }
        }
        Ok(Ok(()))
    }

    /// What it writes and removes, in order.
    pub(crate) fn rows(&self) -> Result<Vec<Row>, Fault> {
        let mut cells = CellMaker::new(self.core, self.number);
        let mut rows = Vec::with_capacity(4 * self.messages.len() + 16);
        for name in &self.names {
            let (tree, number, plain) = match name {
                Name::Room(number, id) => (TreeId::Rooms, number, encode(&RoomValue { id: *id, forgotten: false })),
                Name::Author(number, device) => (TreeId::Authors, number, encode(device)),
            };
            cells.cell(tree, &number_key(*number), plain, &mut rows);
        }
        for (room, name, bytes) in &self.pages {
            cells.cell(TreeId::Pages, &blind_key(*room, *name), Zeroizing::new(bytes.clone()), &mut rows);
        }
        let mut facts = Facts::default();
        for (room, arrival, author, row) in &self.control {
            // Bounded by the tip, which is a u32.
            let seq = row.seq as u32;
            let plain = encode(&ControlValue { author: *author, seq, id: row.id, bytes: &row.bytes });
            cells.cell(TreeId::Control, &control_key(*room, *arrival), plain, &mut rows);
            facts.control.push((*room, *arrival, *author, seq));
            rows.push(self.id_row(*room, &row.id, Place::Control(*arrival)));
        }
        for (room, position, row) in &self.messages {
            let key = timeline_key(*room, *position);
            let tree = if self.asides.contains(&row.id) { TreeId::Asides } else { TreeId::Timeline };
            cells.cell(tree, &key, MessageValue::sealed(row, self.core)?, &mut rows);
            if let Some(until_ms) = row.fades_ms {
                rows.push(Row::new(TreeId::Fading, &fading_key(until_ms, &key), Vec::new()));
            }
            facts.messages.push((*room, *position));
            rows.push(self.id_row(*room, &row.id, Place::Message(*position)));
            if row.key.is_none() {
                rows.push(Row::new(TreeId::Unread, &key, Vec::new()));
            }
        }
        rows.extend(log::rows(self.core, &facts)?);
        for ((room, kind, author), last) in &self.tips {
            cells.cell(TreeId::Tips, &tip_key(*room, *kind, *author), encode(last), &mut rows);
        }
        for ((room, namespace, key), value) in &self.values {
            let name = value_key_of(self.core, *room, *namespace, key);
            match value {
                Some(Small { value, fades }) => {
                    let plain = encode(&KeyedValue { key, value });
                    match fades {
                        true => cells.fading(TreeId::Values, &name, &plain, Lasts::Row, &mut rows)?,
                        false => cells.cell(TreeId::Values, &name, plain, &mut rows),
                    }
                }
                None => rows.push(Row::removal(TreeId::Values, &name)),
            }
        }
        rows.extend(self.unsaid.iter().map(|place| Row::removal(TreeId::Remarks, place)));
        for (place, said) in &self.remarks {
            let plain = encode(&said.entries);
            match said.fades_ms {
                Some(until_ms) => {
                    cells.fading(TreeId::Remarks, place, &plain, Lasts::Until(until_ms), &mut rows)?;
                }
                None => cells.cell(TreeId::Remarks, place, plain, &mut rows),
            }
        }
        self.learned(&mut cells, &mut rows)?;
        let messages = self.messages.iter().map(|(room, position, _)| (*room, *position));
        let news = self.news.iter().filter(|(_, news)| news.key.is_some() || news.erase).map(|(place, _)| *place);
        let over = self.due.keys().copied();
        changes::rows(self.number, messages.chain(news).chain(over), &self.forget, &mut rows);
        if let Some(group) = self.trim {
            changes::trim(self.core, group, &mut rows)?;
        }
        Ok(rows)
    }

    fn id_row(&self, room: u32, id: &EventId, place: Place) -> Row {
        let name = self.core.sealer.blind(Blind::Event, room, id.as_bytes());
        Row::new(TreeId::Ids, &blind_key(room, name), place.to_bytes())
    }

    /// What was learned of stored messages, and the rooms that are forgotten.
    fn learned(&self, cells: &mut CellMaker<'_>, rows: &mut Vec<Row>) -> Result<(), Fault> {
        for (at @ (room, position), news) in &self.news {
            if self.due.contains_key(at) {
                continue;
            }
            let key = timeline_key(*room, *position);
            let Some((tree, plain)) = read::message_cell(self.core, &key)? else { continue };
            let applied = news.applied(&plain, self.core)?;
            if news.aside && tree != TreeId::Asides {
                // It is put there before it goes here, so that readers always find it.
                let plain = applied.unwrap_or_else(|| Zeroizing::new(plain.to_vec()));
                cells.cell(TreeId::Asides, &key, plain, rows);
                rows.push(Row::removal(TreeId::Timeline, &key));
            } else if let Some(plain) = applied {
                cells.cell(tree, &key, plain, rows);
            }
            if news.key.is_some() || news.erase {
                rows.push(Row::removal(TreeId::Unread, &key));
            }
        }
        self.over(cells, rows)?;
        for room in &self.forget {
            let key = number_key(*room);
            let known = self.rooms.iter().find(|(_, number)| *number == room);
            let Some((id, _)) = known else { continue };
            cells.cell(TreeId::Rooms, &key, encode(&RoomValue { id: *id, forgotten: true }), rows);
        }
        Ok(())
    }

    /// The messages whose time is over: without what they said, and no lines of the timeline.
    fn over(&self, cells: &mut CellMaker<'_>, rows: &mut Vec<Row>) -> Result<(), Fault> {
        for ((room, position), until_ms) in &self.due {
            let key = timeline_key(*room, *position);
            if let Some((tree, plain)) = read::over_cell(self.core, &key)? {
                cells.cell(TreeId::Asides, &key, MessageValue::parse(&plain)?.0.over(), rows);
                if tree != TreeId::Asides {
                    rows.push(Row::removal(TreeId::Timeline, &key));
                }
                rows.push(Row::removal(TreeId::Unread, &key));
            }
            rows.push(Row::removal(TreeId::Fading, &fading_key(*until_ms, &key)));
        }
        Ok(())
    }

    /// The numbers of the rooms it forgets.
    pub(crate) fn forgotten(&self) -> Vec<u32> {
        self.forget.clone()
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
        self.messages.push((room, position, row));
        Ok(())
    }

    fn add_key(&mut self, room: u32, id: &EventId, key: MessageKey) -> Result<(), Fault> {
        if let Some(row) = self.planned(id) {
            row.key.get_or_insert(key);
        } else if let Some(news) = self.news_of(room, id)? {
            news.key.get_or_insert(key);
        }
        Ok(())
    }

    fn add_covers(&mut self, room: u32, id: &EventId, covers_own: u64) -> Result<(), Fault> {
        if let Some(row) = self.planned(id) {
            row.covers_own = row.covers_own.max(covers_own);
        } else if let Some(news) = self.news_of(room, id)? {
            news.covers_own = news.covers_own.max(Some(covers_own));
        }
        Ok(())
    }

    fn add_aside(&mut self, room: u32, id: &EventId) -> Result<(), Fault> {
        if self.planned(id).is_some() {
            self.asides.insert(*id);
        } else if let Some(news) = self.news_of(room, id)? {
            news.aside = true;
        }
        Ok(())
    }

    fn erase(&mut self, room: u32, id: &EventId) -> Result<(), Fault> {
        if let Some(row) = self.planned(id) {
            row.key = Some(erased());
        } else if let Some(news) = self.news_of(room, id)? {
            news.erase = true;
        }
        Ok(())
    }

    fn add_remark(&mut self, room: u32, remark: Remark, fades_ms: Option<u64>) -> Result<(), Fault> {
        let place = remarks::place(self.core, room, &remark);
        let held = self.remarks.remove(&place);
        let planned = held.is_some();
        let mut said = match held {
            Some(said) => said,
            None if self.unsaid.contains(&place) => Said::default(),
            None => remarks::read(self.core, &place)?,
        };
        if said.put(remark, fades_ms) || planned {
            self.remarks.insert(place, said);
        }
        Ok(())
    }

    fn unsay(&mut self, places: Vec<PlaceKey>) {
        for place in places {
            self.remarks.remove(&place);
            self.unsaid.insert(place);
        }
    }

    /// A message of this group.
    fn planned(&mut self, id: &EventId) -> Option<&mut MessageRow> {
        let (LogKind::Message, index) = self.ids.get(id)? else { return None };
        self.messages.get_mut(*index).map(|(_, _, row)| row)
    }

    /// What was learned of a stored message.
    fn news_of(&mut self, room: u32, id: &EventId) -> Result<Option<&mut News>, Fault> {
        Ok(match read::locate_raw(self.core, room, id)? {
            Some(Place::Message(position)) => Some(self.news.entry((room, position)).or_default()),
            _ => None,
        })
    }

    fn add_page(&mut self, room: u32, hash: &[u8; 32], bytes: Vec<u8>) -> Result<(), Fault> {
        let name = self.core.sealer.blind(Blind::Page, room, hash);
        let planned = self.pages.iter().any(|(at, named, _)| (*at, *named) == (room, name));
        if !planned && !self.core.trees.get(TreeId::Pages).contains_key(blind_key(room, name))? {
            self.pages.push((room, name, bytes));
        }
        Ok(())
    }

    /// A value, with whether it disappears when it is replaced.
    fn value(&mut self, room: u32, namespace: u8, key: Vec<u8>, value: Option<(Vec<u8>, bool)>) {
        let small = value.map(|(value, fades)| Small { value: Zeroizing::new(value), fades });
        self.values.insert((room, namespace, key), small);
    }
}

/// Whether a change that is no event is within bounds.
fn check_small(has_room: bool, op: &Op) -> Result<(), CommitError> {
    match op {
        Op::Put(_, key, value) | Op::PutFading(_, key, value) => {
            check_size(key.len(), MAX_KEY_BYTES).and(check_size(value.len(), MAX_VALUE_BYTES))
        }
        Op::Fade(Due { room: None, .. }) => Ok(()),
        Op::Delete(_, key) => check_size(key.len(), MAX_KEY_BYTES),
        Op::Trim(_) => Ok(()),
        _ if !has_room => Err(CommitError::NoRoom),
        _ => check_size(op.content(), MAX_VALUE_BYTES),
    }
}

fn check_size(bytes: usize, limit: usize) -> Result<(), CommitError> {
    if bytes > limit { Err(CommitError::TooLarge { bytes, limit }) } else { Ok(()) }
}

impl News {
    /// A row's plain form with what was learned; `None` if it says so already.
    fn applied(&self, plain: &[u8], core: &Core) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        let (value, fading) = MessageValue::parse(plain)?;
        let gone = *erased().expose();
        let key = |held: Option<&[u8; 32]>| match (&self.key, held) {
            _ if self.erase => Some(gone).filter(|_| held != Some(&gone)),
            (Some(learned), None) => Some(*learned.expose()),
            _ => None,
        };
        value.changed(fading.as_ref(), core, key, self.covers_own)
    }
}
