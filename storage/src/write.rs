//! Writing rows, and what follows from events: used by a group and, after a crash, by recovery.

use std::collections::HashMap;

use parlor_proto::ids::EventId;

use crate::directory::{Last, last};
use crate::fault::Fault;
use crate::group::with_key;
use crate::intent::{Intent, KeyChange, ValueChange};
use crate::log;
use crate::opening::Core;
use crate::rows::LogKind;
use crate::schema::{INTENT_KEY, TreeId, Trees, blind_key, number_key, piece_key, timeline_key, tip_key, value_key};
use crate::seal::Blind;
use crate::timeline::Position;
use crate::value::{CellMaker, KeyedValue, Place, RoomValue, Row, decode, encode, pieces_of, read_cell};

/// What the indexes are made of.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Room, place, id, whether the key is known.
    pub(crate) messages: Vec<(u32, Position, EventId, bool)>,
    /// Room, arrival, author, sequence number, id.
    pub(crate) control: Vec<(u32, u32, u32, u32, EventId)>,
}

/// Inserts rows and remembers the pieces of the cells they replace.
///
/// Those are removed at the end. A kill before that leaves them on disk unused: a few pages of 4 KiB, never more than
/// the one group replaced.
#[derive(Debug)]
pub(crate) struct Writing<'a> {
    trees: &'a Trees,
    stale: Vec<(u64, u16)>,
}

impl<'a> Writing<'a> {
    pub(crate) fn new(trees: &'a Trees) -> Self {
        Self { trees, stale: Vec::new() }
    }

    /// Writes the rows in their order.
    pub(crate) fn rows(&mut self, rows: Vec<Row>) -> Result<(), Fault> {
        for row in rows {
            let old = self.trees.get(row.tree).insert(row.key, row.value)?;
            self.replaced(row.tree, old);
        }
        Ok(())
    }

    /// Writes the intent, which from now on names the group in hand.
    pub(crate) fn intent(&mut self, cells: &mut CellMaker<'_>, intent: &Intent) -> Result<(), Fault> {
        let mut rows = Vec::new();
        cells.cell(TreeId::Intent, &INTENT_KEY, encode(intent), &mut rows);
        self.rows(rows)
    }

    /// Removes a row.
    pub(crate) fn remove(&mut self, tree: TreeId, key: &[u8]) -> Result<(), Fault> {
        let old = self.trees.get(tree).remove(key)?;
        self.replaced(tree, old);
        Ok(())
    }

    /// Removes the pieces of what was replaced or removed.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        for (generation, pieces) in self.stale.drain(..) {
            for piece in 0..pieces {
                self.trees.get(TreeId::Pieces).remove(piece_key(generation, piece))?;
            }
        }
        Ok(())
    }

    fn replaced(&mut self, tree: TreeId, old: Option<sled::IVec>) {
        let is_cell = !matches!(tree, TreeId::Log | TreeId::Ids | TreeId::Unread | TreeId::Pieces);
        if let Some(old) = old
            && is_cell
        {
            self.stale.extend(pieces_of(&old));
        }
    }
}

/// Writes what follows from the events in `facts` and from `intent`. Repeating it changes nothing.
pub(crate) fn follow(
    core: &Core,
    cells: &mut CellMaker<'_>,
    writing: &mut Writing<'_>,
    intent: &Intent,
    facts: &Facts,
) -> Result<(), Fault> {
    let mut rows = index_rows(core, facts)?;
    for ((room, kind, author), last) in tips(facts) {
        cells.cell(TreeId::Tips, &tip_key(room, kind, author), encode(&last), &mut rows);
    }
    let values = latest(&intent.values);
    for change in &values {
        if let Some(value) = &change.value {
            let plain = encode(&KeyedValue { key: &change.key, value });
            cells.cell(TreeId::Values, &key_of(core, change), plain, &mut rows);
        }
    }
    writing.rows(rows)?;
    for change in &intent.keys {
        learn(core, cells, writing, change)?;
    }
    for room in &intent.forget {
        forget(core, cells, writing, *room)?;
    }
    for change in values.iter().filter(|change| change.value.is_none()) {
        writing.remove(TreeId::Values, &key_of(core, change))?;
    }
    for change in &intent.keys {
        let position = Position::from_bytes(change.position);
        writing.remove(TreeId::Unread, &timeline_key(change.room, position))?;
    }
    writing.finish()
}

/// The rows of log, ids and unread.
fn index_rows(core: &Core, facts: &Facts) -> Result<Vec<Row>, Fault> {
    let name = |room: u32, id: &EventId| blind_key(room, core.sealer.blind(Blind::Event, room, id.as_bytes()));
    let mut rows = log::rows(core, facts)?;
    for (room, arrival, _, _, id) in &facts.control {
        rows.push(Row::new(TreeId::Ids, &name(*room, id), Place::Control(*arrival).to_bytes()));
    }
    for (room, position, id, has_key) in &facts.messages {
        rows.push(Row::new(TreeId::Ids, &name(*room, id), Place::Message(*position).to_bytes()));
        if !has_key {
            rows.push(Row::new(TreeId::Unread, &timeline_key(*room, *position), Vec::new()));
        }
    }
    Ok(rows)
}

/// The tips that the events make, in an order of their own.
fn tips(facts: &Facts) -> Vec<((u32, LogKind, u32), Last)> {
    let mut tips: HashMap<(u32, LogKind, u32), Last> = HashMap::new();
    let control =
        facts.control.iter().map(|(room, _, author, seq, id)| ((*room, LogKind::Control, *author), *seq, *id));
    let messages = facts
        .messages
        .iter()
        .map(|(room, position, id, _)| ((*room, LogKind::Message, position.author), position.seq, *id));
    for (log, seq, id) in control.chain(messages) {
        let tip = tips.entry(log).or_insert(last(seq, id));
        if tip.seq < seq {
            *tip = last(seq, id);
        }
    }
    tips.into_iter().collect()
}

/// The last change of each value.
fn latest(changes: &[ValueChange]) -> Vec<&ValueChange> {
    let mut last = HashMap::with_capacity(changes.len());
    for (index, change) in changes.iter().enumerate() {
        last.insert((change.room, change.namespace, change.key.as_slice()), index);
    }
    let is_last = |(index, change): &(usize, &ValueChange)| {
        last.get(&(change.room, change.namespace, change.key.as_slice())) == Some(index)
    };
    changes.iter().enumerate().filter(is_last).map(|(_, change)| change).collect()
}

fn key_of(core: &Core, change: &ValueChange) -> [u8; 21] {
    value_key_of(core, change.room, change.namespace, &change.key)
}

/// The row key of a small value.
pub(crate) fn value_key_of(core: &Core, room: u32, namespace: u8, key: &[u8]) -> [u8; 21] {
    let mut named = Vec::with_capacity(1 + key.len());
    named.push(namespace);
    named.extend_from_slice(key);
    value_key(room, namespace, core.sealer.blind(Blind::Value, room, &named))
}

/// Adds a key to a stored message.
fn learn(core: &Core, cells: &mut CellMaker<'_>, writing: &mut Writing<'_>, change: &KeyChange) -> Result<(), Fault> {
    let key = timeline_key(change.room, Position::from_bytes(change.position));
    let Some(plain) = read_cell(&core.trees, &core.sealer, TreeId::Timeline, &key)? else { return Ok(()) };
    let mut rows = Vec::new();
    if let Some(plain) = with_key(&plain, &change.key)? {
        cells.cell(TreeId::Timeline, &key, plain, &mut rows);
    }
    writing.rows(rows)
}

/// Marks a room as forgotten; its rows are swept later.
fn forget(core: &Core, cells: &mut CellMaker<'_>, writing: &mut Writing<'_>, room: u32) -> Result<(), Fault> {
    let key = number_key(room);
    let Some(plain) = read_cell(&core.trees, &core.sealer, TreeId::Rooms, &key)? else { return Ok(()) };
    let value: RoomValue = decode(TreeId::Rooms, &plain)?;
    let mut rows = Vec::new();
    cells.cell(TreeId::Rooms, &key, encode(&RoomValue { id: value.id, forgotten: true }), &mut rows);
    writing.rows(rows)
}
