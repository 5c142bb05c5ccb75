//! Reading: what each question costs is what it returns.
//!
//! An event is shown when its log's durable tip has reached it; the writer may have put it and its index rows there
//! before, those are skipped.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use parlor_proto::ids::{DeviceId, EventId, RoomId};

use crate::directory::Room;
use crate::fault::Fault;
use crate::group::ROOM_RECORD;
use crate::limits::MAX_PAGE_ROWS;
use crate::log::Reader;
use crate::opened::Plain;
use crate::opening::Core;
use crate::rows::{ControlRow, Due, KeyValue, LogKind, LogRow, MessageRow, Tip, Tips, Want};
use crate::schema::{NO_ROOM, TreeId, blind_key, control_key, number_at, parse_timeline_key, timeline_key, value_key};
use crate::seal::Blind;
use crate::timeline::Position;
use crate::value::{ControlValue, KeyedValue, MessageValue, Place, decode, open_lasting, read_cell};
use crate::write::value_key_of;

/// The rooms that have a record.
pub(crate) fn rooms(core: &Core) -> Result<Vec<(RoomId, Vec<u8>)>, Fault> {
    let mut found = Vec::new();
    for room in core.directory.rooms() {
        if let Some(record) = value(core, room.number, ROOM_RECORD, &[])? {
            found.push((room.id, record));
        }
    }
    Ok(found)
}

/// The control events in the order of arrival.
pub(crate) fn control(core: &Core, room: &Room) -> Result<Vec<ControlRow>, Fault> {
    let arrivals = room.logs(&core.trees, &core.sealer, |logs| logs.arrivals)?;
    (0..arrivals).map(|arrival| control_at(core, room, arrival)).collect()
}

/// The control event that arrived at this number; it is there.
pub(crate) fn control_at(core: &Core, room: &Room, arrival: u32) -> Result<ControlRow, Fault> {
    let key = control_key(room.number, arrival);
    let plain = read_cell(core, TreeId::Control, &key)?;
    let plain = plain.ok_or_else(|| Fault::damaged(TreeId::Control, "an event is missing"))?;
    let value: ControlValue<'_> = decode(TreeId::Control, &plain)?;
    let device = core.directory.device(value.author)?;
    Ok(value.row(device))
}

/// The tips, by device.
pub(crate) fn tips(core: &Core, room: &Room) -> Result<Tips, Fault> {
    let all = room.logs(&core.trees, &core.sealer, |logs| logs.tips.clone())?;
    let mut tips = Tips::default();
    for ((kind, author), last) in all {
        let tip = Tip { device: core.directory.device(author)?, seq: u64::from(last.seq), id: last.id };
        match kind {
            LogKind::Control => tips.control.push(tip),
            LogKind::Message => tips.message.push(tip),
        }
    }
    tips.control.sort_unstable_by_key(|tip| tip.device);
    tips.message.sort_unstable_by_key(|tip| tip.device);
    Ok(tips)
}

/// How many messages there are.
pub(crate) fn count(core: &Core, room: &Room) -> Result<u64, Fault> {
    room.logs(&core.trees, &core.sealer, |logs| {
        let messages = logs.tips.iter().filter(|((kind, _), _)| *kind == LogKind::Message);
        messages.map(|(_, last)| u64::from(last.seq)).sum()
    })
}

/// Where an id leads, if that is durable.
pub(crate) fn locate(core: &Core, room: &Room, id: &EventId) -> Result<Option<Place>, Fault> {
    let Some(place) = locate_raw(core, room.number, id)? else { return Ok(None) };
    let visible = room.logs(&core.trees, &core.sealer, |logs| match place {
        Place::Control(arrival) => arrival < logs.arrivals,
        Place::Message(position) => position.seq <= logs.seq(LogKind::Message, position.author),
    })?;
    Ok(visible.then_some(place))
}

/// Where an id leads, also while it is being written.
pub(crate) fn locate_raw(core: &Core, room: u32, id: &EventId) -> Result<Option<Place>, Fault> {
    let key = blind_key(room, core.sealer.blind(Blind::Event, room, id.as_bytes()));
    let found = core.trees.get(TreeId::Ids).get(key)?;
    found.map(|place| Place::parse(&place)).transpose()
}

/// The message with this id.
pub(crate) fn message(core: &Core, room: &Room, id: &EventId) -> Result<Option<MessageRow>, Fault> {
    let Some(Place::Message(position)) = locate(core, room, id)? else { return Ok(None) };
    let row = message_at(core, room, position)?;
    if row.id != *id {
        return Err(Fault::damaged(TreeId::Ids, "an id leads to another event"));
    }
    Ok(Some(row))
}

/// The message at this position; it is there.
pub(crate) fn message_at(core: &Core, room: &Room, position: Position) -> Result<MessageRow, Fault> {
    let found = message_cell(core, &timeline_key(room.number, position))?;
    let (_, plain) = found.ok_or_else(|| Fault::damaged(TreeId::Timeline, "an event is missing"))?;
    message_of(core, position, &plain)
}

/// The plain form of a message, and the tree where it is: among the lines of the timeline, or beside them. One that is being
/// moved is put there before it goes here.
pub(crate) fn message_cell(core: &Core, key: &[u8; 24]) -> Result<Option<(TreeId, Plain)>, Fault> {
    for tree in [TreeId::Timeline, TreeId::Asides] {
        if let Some(plain) = read_cell(core, tree, key)? {
            return Ok(Some((tree, plain)));
        }
    }
    Ok(None)
}

/// The message from its plain form.
pub(crate) fn message_of(core: &Core, position: Position, plain: &[u8]) -> Result<MessageRow, Fault> {
    let (value, fading) = MessageValue::parse(plain)?;
    value.row(fading.as_ref(), core, core.directory.device(position.author)?, position)
}

/// As [`message_cell`], of a message that is over. One that does not open is as one that is not there: nothing can be taken away of it
/// but that it was to disappear, and nobody else's time may wait for it.
pub(crate) fn over_cell(core: &Core, key: &[u8; 24]) -> Result<Option<(TreeId, Plain)>, Fault> {
    let found = message_cell(core, key).and_then(|found| {
        found.as_ref().map_or(Ok(()), |(_, plain)| MessageValue::parse(plain).map(|_| ()))?;
        Ok(found)
    });
    match found {
        Err(Fault::Damaged(_)) => Ok(None),
        found => found,
    }
}

/// When it is looked again at what is over and was being written.
const SOON_MS: u64 = 500;

/// Messages whose time is over, and when the next one is.
pub(crate) fn due(
    core: &Core,
    now_ms: u64,
    limit: usize,
    but: &BTreeSet<RoomId>,
) -> Result<(Vec<Due>, Option<u64>), Fault> {
    let malformed = || Fault::damaged(TreeId::Fading, "a malformed key");
    let rooms: HashMap<u32, RoomId> = core.directory.rooms().iter().map(|room| (room.number, room.id)).collect();
    let (mut due, mut again) = (Vec::new(), false);
    for key in core.trees.get(TreeId::Fading).iter().keys() {
        let key = key?;
        let (until, message) = key.split_first_chunk().ok_or_else(malformed)?;
        let until_ms = u64::from_be_bytes(*until);
        if until_ms > now_ms {
            let next = if again { until_ms.min(now_ms.saturating_add(SOON_MS)) } else { until_ms };
            return Ok((due, Some(next)));
        }
        if due.len() == limit {
            return Ok((due, Some(now_ms)));
        }
        let message: &[u8; 24] = message.try_into().map_err(|_| malformed())?;
        let position = parse_timeline_key(message).ok_or_else(malformed)?;
        let number = number_at(message, 0).ok_or_else(malformed)?;
        let room = rooms.get(&number).copied();
        if room.is_some_and(|room| but.contains(&room)) {
            continue;
        }
        let Some(room) = room else {
            due.push(Due { room, id: EventId::ZERO, position, until_ms, is_line: false, number });
            continue;
        };
        // What is being written is not due yet for whoever asks.
        let known = core.directory.room(&room).map(|room| {
            room.logs(&core.trees, &core.sealer, |logs| position.seq <= logs.seq(LogKind::Message, position.author))
        });
        if !known.transpose()?.unwrap_or(false) {
            again = true;
            continue;
        }
        let Some((tree, plain)) = over_cell(core, message)? else {
            due.push(Due { room: None, id: EventId::ZERO, position, until_ms, is_line: false, number });
            continue;
        };
        let (id, is_line) = (MessageValue::parse(&plain)?.0.id, tree == TreeId::Timeline);
        due.push(Due { room: Some(room), id, position, until_ms, is_line, number });
    }
    Ok((due, again.then(|| now_ms.saturating_add(SOON_MS))))
}

/// The messages of a log from a number on, in its order; of each whether it is no line of the timeline.
pub(crate) fn log(
    core: &Core,
    room: &Room,
    device: &DeviceId,
    from: u64,
    limit: usize,
) -> Result<Vec<(MessageRow, bool)>, Fault> {
    let Some(author) = core.directory.author(device) else { return Ok(Vec::new()) };
    let tip = room.logs(&core.trees, &core.sealer, |logs| logs.seq(LogKind::Message, author))?;
    let from = u32::try_from(from.max(1)).unwrap_or(u32::MAX);
    let mut log = Reader::new(room.number, LogKind::Message, author);
    let row = |seq| {
        let position = log.message(core, seq)?;
        let found = message_cell(core, &timeline_key(room.number, position))?;
        let (tree, plain) = found.ok_or_else(|| Fault::damaged(TreeId::Timeline, "an event is missing"))?;
        Ok((message_of(core, position, &plain)?, tree == TreeId::Asides))
    };
    (from..=tip).take(limit.min(MAX_PAGE_ROWS)).map(row).collect()
}

/// A page of epoch rows.
pub(crate) fn page_blob(core: &Core, room: u32, hash: &[u8; 32]) -> Result<Option<Vec<u8>>, Fault> {
    let key = blind_key(room, core.sealer.blind(Blind::Page, room, hash));
    let plain = read_cell(core, TreeId::Pages, &key)?;
    Ok(plain.map(|plain| plain.to_vec()))
}

/// A small value.
pub(crate) fn value(core: &Core, room: u32, namespace: u8, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let row = value_key_of(core, room, namespace, key);
    let Some(plain) = read_cell(core, TreeId::Values, &row)? else { return Ok(None) };
    let found: KeyedValue<'_> = decode(TreeId::Values, &plain)?;
    if found.key != key {
        return Err(Fault::damaged(TreeId::Values, "a value has another key"));
    }
    Ok(Some(found.value.to_vec()))
}

/// The small values of a namespace whose keys begin with `prefix`, by key.
pub(crate) fn scan(core: &Core, room: u32, namespace: u8, prefix: &[u8]) -> Result<Vec<KeyValue>, Fault> {
    let mut found = Vec::new();
    let start = value_key(room, namespace, [0; 16]);
    for row in core.trees.get(TreeId::Values).scan_prefix(&start[..5]) {
        let (key, _) = row?;
        let Some(plain) = read_cell(core, TreeId::Values, &key)? else { continue };
        let value: KeyedValue<'_> = decode(TreeId::Values, &plain)?;
        if value.key.starts_with(prefix) {
            found.push((value.key.to_vec(), value.value.to_vec()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The small values of a namespace that open, by key.
pub(crate) fn scan_readable(core: &Core, room: u32, namespace: u8) -> Result<Vec<KeyValue>, Fault> {
    let mut found = Vec::new();
    let start = value_key(room, namespace, [0; 16]);
    for row in core.trees.get(TreeId::Values).scan_prefix(&start[..5]) {
        let plain = match read_cell(core, TreeId::Values, &row?.0) {
            Ok(Some(plain)) => plain,
            Ok(None) | Err(Fault::Damaged(_)) => continue,
            Err(fault) => return Err(fault),
        };
        if let Ok(KeyedValue { key, value }) = decode(TreeId::Values, &plain) {
            found.push((key.to_vec(), value.to_vec()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The number of a room; that of no room for none. `None` for an unknown one.
pub(crate) fn room_number(core: &Core, room: Option<&RoomId>) -> Option<u32> {
    room.map_or(Some(NO_ROOM), |id| core.directory.room(id).map(|room| room.number))
}

/// The events of the wanted stretches, merged by rank. A stretch ends before an event that does not open: nobody takes what comes after
/// it, and the other stretches have nothing to do with it.
pub(crate) fn missing(
    core: &Core,
    room: &Arc<Room>,
    kind: LogKind,
    wants: &[Want],
    max_bytes: usize,
) -> Result<Vec<LogRow>, Fault> {
    let mut heads = BinaryHeap::with_capacity(wants.len());
    for want in wants {
        let Some(author) = core.directory.author(&want.device) else { continue };
        let tip = room.logs(&core.trees, &core.sealer, |logs| logs.seq(kind, author))?;
        let to = u32::try_from(want.to).unwrap_or(u32::MAX).min(tip);
        let from = u32::try_from(want.from.max(1)).unwrap_or(u32::MAX);
        let log = Reader::new(room.number, kind, author);
        let stretch = Stretch { kind, log, device: want.device, next: from, to };
        heads.extend(stretch.head(core, room)?.map(Reverse));
    }
    let mut rows: Vec<LogRow> = Vec::new();
    let mut bytes = 0_usize;
    while let Some(Reverse(Head { row, mut stretch })) = heads.pop() {
        bytes = bytes.saturating_add(row.bytes.len());
        if bytes > max_bytes && !rows.is_empty() {
            break;
        }
        rows.push(row);
        stretch.next = stretch.next.saturating_add(1);
        heads.extend(stretch.head(core, room)?.map(Reverse));
    }
    Ok(rows)
}

/// What is left of one want.
#[derive(Debug)]
struct Stretch {
    kind: LogKind,
    log: Reader,
    device: DeviceId,
    next: u32,
    to: u32,
}

/// The next event of a stretch, ordered by (rank, device, seq).
#[derive(Debug)]
struct Head {
    row: LogRow,
    stretch: Stretch,
}

impl Stretch {
    fn head(mut self, core: &Core, room: &Room) -> Result<Option<Head>, Fault> {
        if self.next > self.to || self.next == u32::MAX {
            return Ok(None);
        }
        match self.read(core, room) {
            Ok(row) => Ok(Some(Head { row, stretch: self })),
            Err(Fault::Damaged(detail)) => {
                let device = self.device.short();
                tracing::warn!(%device, seq = self.next, detail, "an event is not given: it can not be read");
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    fn read(&mut self, core: &Core, room: &Room) -> Result<LogRow, Fault> {
        let (device, seq) = (self.device, u64::from(self.next));
        match self.kind {
            LogKind::Control => {
                let arrival = self.log.control(core, self.next)?;
                let bytes = control_at(core, room, arrival)?.bytes;
                Ok(LogRow { device, seq, rank: u64::from(arrival), bytes })
            }
            LogKind::Message => {
                let position = self.log.message(core, self.next)?;
                let row = message_at(core, room, position)?;
                Ok(LogRow { device, seq, rank: row.hlc, bytes: row.bytes })
            }
        }
    }
}

impl Head {
    fn key(&self) -> (u64, DeviceId, u64) {
        (self.row.rank, self.row.device, self.row.seq)
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// Opens the cell of a row met while walking a tree; `None` if it is gone meanwhile.
pub(crate) fn walk_cell(core: &Core, tree: TreeId, key: &[u8], cell: &[u8]) -> Result<Option<Plain>, Fault> {
    match open_lasting(core, tree, key, cell) {
        Ok(plain) => Ok(plain),
        Err(_) => read_cell(core, tree, key),
    }
}
