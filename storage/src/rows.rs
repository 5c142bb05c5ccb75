//! What goes in and comes out: events with what the store keeps beside them.
//!
//! The store does not parse events. Bytes are kept as received; ids, sequence numbers and clocks are what the caller,
//! who has verified the event, says they are.

use std::fmt;

use parlor_crypto::Secret;
use parlor_proto::ids::{DeviceId, EventId, RoomId};

use crate::timeline::Position;

/// The 32-byte key that opens one message. Erased from memory when dropped.
pub type MessageKey = Secret;

/// Which of a device's two logs in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogKind {
    /// Who may do what, and keys.
    Control,
    /// Messages.
    Message,
}

/// A control event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlRow {
    /// Its author.
    pub device: DeviceId,
    /// Its place in the author's control log, from 1, without gaps.
    pub seq: u64,
    /// Its id.
    pub id: EventId,
    /// The event as received.
    pub bytes: Vec<u8>,
}

/// A message event and what was learned about it.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Its author.
    pub device: DeviceId,
    /// Its place in the author's message log, from 1, without gaps.
    pub seq: u64,
    /// Its id.
    pub id: EventId,
    /// Its hybrid logical clock: 48 bits of milliseconds, 16 of a counter.
    pub hlc: u64,
    /// Its place in the timeline: the `hlc`, or the arrival when that is too far ahead of our clock.
    pub order: u64,
    /// When we stored it, milliseconds since the epoch.
    pub received_ms: u64,
    /// Up to which of our own messages its author had seen ours when writing it.
    pub covers_own: u64,
    /// The key of its payload, once known.
    pub key: Option<MessageKey>,
    /// The event as received; without its payload when what it says has disappeared.
    pub bytes: Vec<u8>,
    /// When it disappears, milliseconds since the epoch; `None` if it does not, or has.
    pub fades_ms: Option<u64>,
}

/// What stands in the place of a key that was erased. No message has it: keys are outputs of a key derivation.
pub(crate) fn erased() -> MessageKey {
    Secret::new([0; 32])
}

impl MessageRow {
    /// Whether its key was erased: nobody reads it here any more.
    pub fn is_erased(&self) -> bool {
        self.key.as_ref().is_some_and(|key| *key.expose() == [0; 32])
    }
}

impl fmt::Debug for MessageRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageRow")
            .field("device", &self.device)
            .field("seq", &self.seq)
            .field("id", &self.id)
            .field("hlc", &self.hlc)
            .field("order", &self.order)
            .field("received_ms", &self.received_ms)
            .field("covers_own", &self.covers_own)
            .field("key", &self.key.as_ref().map(|_| "<redacted>"))
            .field("bytes", &self.bytes.len())
            .field("fades_ms", &self.fades_ms)
            .finish()
    }
}

/// A message whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Of which room; `None` if that was forgotten.
    pub room: Option<RoomId>,
    /// Which.
    pub id: EventId,
    /// Its place in the timeline, or beside it.
    pub position: Position,
    /// Since when, milliseconds since the epoch.
    pub until_ms: u64,
    /// Whether it was a line of the timeline.
    pub is_line: bool,
    /// The number of the room here.
    pub(crate) number: u32,
}

/// The last event of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Whose log.
    pub device: DeviceId,
    /// Its last sequence number.
    pub seq: u64,
    /// The id of the event there.
    pub id: EventId,
}

/// The tips of all logs of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tips {
    /// Of the control logs, by device.
    pub control: Vec<Tip>,
    /// Of the message logs, by device.
    pub message: Vec<Tip>,
}

/// A stretch of one log that somebody wants: both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Whose log.
    pub device: DeviceId,
    /// First wanted sequence number.
    pub from: u64,
    /// Last wanted sequence number; `u64::MAX` for "to the end".
    pub to: u64,
}

/// An event on its way to another member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Its author.
    pub device: DeviceId,
    /// Its place in the author's log.
    pub seq: u64,
    /// Message: its hybrid logical clock. Control: its arrival number here. Ascending in an answer, and a topological
    /// order in both cases.
    pub rank: u64,
    /// The event as received.
    pub bytes: Vec<u8>,
}

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemarkRow {
    /// Its rank.
    pub rank: u64,
    /// The event.
    pub id: EventId,
    /// What is kept.
    pub value: Vec<u8>,
}

/// A small value with its key.
pub type KeyValue = (Vec<u8>, Vec<u8>);
