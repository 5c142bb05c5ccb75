//! The timeline of a room: positions, cursors and pages.

use std::fmt;
use std::str::FromStr;

use parlor_proto::ids::{DeviceId, RoomId};

use crate::directory::tie;
use crate::rows::MessageRow;

/// Where a message stands in the timeline of its room. Greater is newer; equal positions are one message.
///
/// The text form is 40 hexadecimal digits and opaque to clients: it is stable for the life of the store and says
/// nothing about ids. It means nothing to another store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The message's `order`.
    pub(crate) order: u64,
    /// The same on every node for one author in one room, so that equal clocks give one order everywhere.
    pub(crate) tie: u32,
    /// The author's number in this store.
    pub(crate) author: u32,
    /// Its place in the author's log.
    pub(crate) seq: u32,
}

/// Text that is no [`Position`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position in a timeline")]
pub struct ParsePositionError;

impl Position {
    /// Length of the byte form.
    pub(crate) const LEN: usize = 20;

    /// Where a message stands that is not stored. When it is, its author has a number, so the position is another; its place among the
    /// others is the same.
    pub fn unstored(room: &RoomId, device: &DeviceId, order: u64, seq: u64) -> Self {
        let seq = u32::try_from(seq).unwrap_or(u32::MAX);
        Self { order, tie: tie(room, device), author: u32::MAX, seq }
    }

    /// The bytes, ordered as the positions are.
    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.order.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.tie.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.author.to_be_bytes());
        bytes[16..].copy_from_slice(&self.seq.to_be_bytes());
        bytes
    }

    /// The position with these bytes.
    pub(crate) fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let [o0, o1, o2, o3, o4, o5, o6, o7, t0, t1, t2, t3, a0, a1, a2, a3, s0, s1, s2, s3] = bytes;
        Self {
            order: u64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            tie: u32::from_be_bytes([t0, t1, t2, t3]),
            author: u32::from_be_bytes([a0, a1, a2, a3]),
            seq: u32::from_be_bytes([s0, s1, s2, s3]),
        }
    }

    /// What a log keeps of it; author and number are in the log's key.
    pub(crate) fn to_log(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.order.to_be_bytes());
        bytes[8..].copy_from_slice(&self.tie.to_be_bytes());
        bytes
    }

    /// The position of which a log kept this.
    pub(crate) fn from_log(place: &[u8], author: u32, seq: u32) -> Option<Self> {
        let (order, tie) = place.split_first_chunk()?;
        let tie = u32::from_be_bytes(tie.try_into().ok()?);
        Some(Self { order: u64::from_be_bytes(*order), tie, author, seq })
    }

    /// As bytes, for whoever keeps a place for later.
    pub fn stored(&self) -> [u8; 20] {
        self.to_bytes()
    }

    /// The position that was kept.
    pub fn from_stored(bytes: [u8; 20]) -> Self {
        Self::from_bytes(bytes)
    }

    /// The place in time this position stands for: the `order` of its message.
    pub fn order(&self) -> u64 {
        self.order
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        let digits = text.as_bytes();
        if digits.len() != 2 * Self::LEN {
            return Err(ParsePositionError);
        }
        let mut bytes = [0; Self::LEN];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            // One position has one text.
            let lower = |d: &u8| !d.is_ascii_uppercase();
            let digit = |d: u8| char::from(Some(d).filter(lower)?).to_digit(16).and_then(|v| u8::try_from(v).ok());
            *byte = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or(ParsePositionError)?;
        }
        Ok(Self::from_bytes(bytes))
    }
}

/// Which page of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// The newest messages.
    Newest,
    /// The messages just before this position, without it.
    Before(Position),
    /// The messages just after this position, without it.
    After(Position),
    /// This message, if it is there, with as many older as newer ones around it.
    Around(Position),
}

/// A message in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineRow {
    /// Its place.
    pub position: Position,
    /// The message.
    pub row: MessageRow,
}

/// A stretch of the timeline, without gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The messages, newest first.
    pub rows: Vec<TimelineRow>,
    /// Whether there are older messages than the last row; ask with [`Cursor::Before`] it.
    pub older: bool,
    /// Whether there are newer messages than the first row; ask with [`Cursor::After`] it.
    pub newer: bool,
}
