//! The intent record: what the group being written consists of.
//!
//! sled recovers to a prefix of what the writer wrote. The writer writes the intent of a group, then its events, then
//! everything that follows from them. At opening the intent therefore tells whether the last group is whole: if all its
//! events are there, the rest is completed from them and from the intent; if one is missing, nothing derived was
//! written yet, and the events that are there are removed.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::timeline::Position;

/// What a group consists of. Everything is in terms of short numbers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Intent {
    /// The group's number.
    pub(crate) group: u64,
    /// Its messages.
    pub(crate) messages: Vec<MessageRun>,
    /// Its control events.
    pub(crate) control: Vec<ControlRun>,
    /// Its pages: room and blind name.
    pub(crate) pages: Vec<(u32, [u8; 16])>,
    /// Small values to set, or to remove. They are small, so the intent carries them.
    pub(crate) values: Vec<ValueChange>,
    /// Keys learned for messages that are stored already.
    pub(crate) keys: Vec<KeyChange>,
    /// Rooms to forget.
    pub(crate) forget: Vec<u32>,
}

/// Messages of one log in a row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MessageRun {
    pub(crate) room: u32,
    pub(crate) tie: u32,
    pub(crate) author: u32,
    /// The first sequence number.
    pub(crate) first: u32,
    /// The first order, then the wrapping difference of each to the one before.
    pub(crate) orders: Vec<u64>,
    /// The order of the last message, while the run grows.
    #[serde(skip)]
    last: u64,
}

/// Control events of one room that arrived in a row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ControlRun {
    pub(crate) room: u32,
    /// The first arrival number.
    pub(crate) first: u32,
    pub(crate) count: u32,
}

/// A change of a small value.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ValueChange {
    pub(crate) room: u32,
    pub(crate) namespace: u8,
    pub(crate) key: Vec<u8>,
    /// `None` removes.
    pub(crate) value: Option<Zeroizing<Vec<u8>>>,
}

/// A key learned for a message.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct KeyChange {
    pub(crate) room: u32,
    pub(crate) position: [u8; Position::LEN],
    pub(crate) key: [u8; 32],
}

impl std::fmt::Debug for KeyChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyChange").field("room", &self.room).finish_non_exhaustive()
    }
}

impl Intent {
    /// Names a message.
    pub(crate) fn add_message(&mut self, room: u32, position: Position) {
        if let Some(run) = self.messages.last_mut()
            && run.follows(room, position)
        {
            run.push(position.order);
            return;
        }
        let Position { order, tie, author, seq } = position;
        self.messages.push(MessageRun { room, tie, author, first: seq, orders: vec![order], last: order });
    }

    /// Names a control event.
    pub(crate) fn add_control(&mut self, room: u32, arrival: u32) {
        match self.control.last_mut() {
            Some(run) if run.room == room && run.first + run.count == arrival => run.count += 1,
            _ => self.control.push(ControlRun { room, first: arrival, count: 1 }),
        }
    }

    /// The messages named: room and position.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (u32, Position)> {
        self.messages.iter().flat_map(|run| run.positions().map(|position| (run.room, position)))
    }

    /// The control events named: room and arrival.
    pub(crate) fn control(&self) -> impl Iterator<Item = (u32, u32)> {
        let arrivals = |run: &ControlRun| (run.first..run.first.saturating_add(run.count), run.room);
        self.control.iter().map(arrivals).flat_map(|(arrivals, room)| arrivals.map(move |arrival| (room, arrival)))
    }
}

impl MessageRun {
    fn follows(&self, room: u32, position: Position) -> bool {
        (self.room, self.author) == (room, position.author)
            && self.first as usize + self.orders.len() == position.seq as usize
    }

    fn push(&mut self, order: u64) {
        self.orders.push(order.wrapping_sub(self.last));
        self.last = order;
    }

    fn positions(&self) -> impl Iterator<Item = Position> {
        let start = (0_u64, self.first);
        self.orders.iter().scan(start, |(order, seq), step| {
            *order = order.wrapping_add(*step);
            let position = Position { order: *order, tie: self.tie, author: self.author, seq: *seq };
            *seq = seq.wrapping_add(1);
            Some(position)
        })
    }
}
