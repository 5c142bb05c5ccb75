//! The outbox: the life of our own messages from written to read.
//!
//! 1. **Submitted.** A client gives a text with a nonce of its own making. If the room can be written to, the outbox asks
//!    for it at once ([`Out::Write`]): the owner makes the event and commits event and [`Entry`] together, then says
//!    [`In::Written`]. If not (no safe epoch yet), the entry alone is stored ([`Out::Store`]) and written later. Either
//!    way nothing is answered to the client before it is on disk. The same nonce again changes nothing and gives the
//!    same message: a client that saw no answer may repeat itself.
//! 2. **Queued.** On disk, and on no other device yet. The outbox tries again and again, the room's messages together:
//!    [`Out::Publish`] when members are connected, [`Out::Seek`] when nobody is, with a back-off of 2 s doubling to
//!    5 min, jittered by a quarter. A connection starts at once; what was written since the last try waits for the next.
//! 3. **Sent.** A device of a member acknowledged that it has the message durably ([`In::PeerHas`], from a sync session), or
//!    a mailbox of the room did ([`In::Stored`]).
//! 4. **Delivered n of m.** n of the m other accounts have it on a device: by acknowledgement or by marker.
//! 5. **Read.** Somebody's marker says so.
//!
//! *Failed* has a [`Failure`]: it can not be written or delivered any more. It stays in the outbox until it is retried or
//! discarded by hand. A written message can not be discarded: its number in our log is used, others need it.
//!
//! *Exactly once.* The event's id is fixed by its first commit, and the entry in that same commit says so. After a
//! restart ([`Outbox::restore`]) an entry without an event was certainly not written, one with an event certainly was.
//! Sending the same event again is harmless: everybody keeps one event of an id. Entries stay for [`KEEP_MS`] after they
//! were sent, without their text, so that a late repetition of a request is still recognised; of those the newest
//! [`KEEP_SENT`]. When a commit fails the disk may have taken it all the same: the owner then tells [`In::Written`] of every
//! stored entry that has an event, before it says [`In::Never`] of what the commit held.
//!
//! What each state means to people is in `docs/spec/delivery.md`.

mod machine;
mod reach;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, DeviceId, EventId, RoomId};

pub use machine::Outbox;

/// Messages that may wait to be sent, over all rooms.
pub const MAX_WAITING: usize = 10_000;
/// Bytes of text that may wait to be written.
pub const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// Entries of sent messages are kept this long.
pub const KEEP_MS: u64 = 24 * 60 * 60 * 1000;
/// Entries of sent messages that are kept, the newest: as many as may wait, so that a client that comes back with all its
/// unanswered requests finds each of them. Some 3 MB of memory.
pub const KEEP_SENT: usize = MAX_WAITING;
/// First pause between two tries.
pub const FIRST_PAUSE_MS: u64 = 2_000;
/// Longest pause between two tries, before jitter.
pub const LONGEST_PAUSE_MS: u64 = 5 * 60 * 1000;
/// A room that could not be written to is tried again after this long, if nobody says earlier that it can.
pub const WRITE_PAUSE_MS: u64 = 5_000;

/// A client's name for a request, random.
pub type Nonce = [u8; 16];

/// One message of the outbox, in the form in which it is stored (sealed at rest: it holds the text).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The client's name for the request.
    pub nonce: Nonce,
    /// Room.
    pub room: RoomId,
    /// The body to be written, as the owner encodes it; empty once the message is written.
    pub body: Vec<u8>,
    /// When it was submitted, milliseconds since the epoch.
    pub submitted_ms: u64,
    /// Where it is.
    pub stage: Stage,
}

/// Where an entry is, as far as it must survive a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Not an event yet.
    Unwritten,
    /// In our log, on no other device as far as we know.
    Written {
        /// The event.
        event: EventId,
        /// Its number in our message log.
        seq: u64,
    },
    /// On another device at least.
    Sent {
        /// The event.
        event: EventId,
        /// Its number in our message log.
        seq: u64,
        /// When we heard of it.
        at_ms: u64,
    },
    /// Given up.
    Failed {
        /// Why.
        failure: Failure,
        /// The event and its number, if it was written.
        event: Option<(EventId, u64)>,
    },
}

/// Why a message is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The room does not let us write.
    #[error("this room does not let you write")]
    NotPermitted,
    /// We are no member any more.
    #[error("you are no longer a member of this room")]
    NoMember,
    /// The room is gone from this device.
    #[error("the room is gone")]
    NoRoom,
    /// Longer than a message may be.
    #[error("the message is too long")]
    TooLong,
    /// The store refused it: disk full or damaged.
    #[error("the message could not be stored")]
    Store,
    /// This device was copied, and the copy has written too: it writes nothing any more.
    #[error("this device was copied: two of it have written")]
    Cloned,
}

/// Why a message is still waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Waiting {
    /// The room has no epoch that all members of now can read: one is on its way.
    #[error("waiting for new keys after a change of members")]
    NoSafeEpoch,
    /// The room is not known well enough yet (joining, or still opening).
    #[error("waiting for the room")]
    RoomNotReady,
    /// The device has just started, and compares with a member what it wrote itself.
    #[error("comparing with other members what this device wrote")]
    Comparing,
    /// No member is connected.
    #[error("no member is reachable")]
    Unreachable,
    /// Members are connected, none has acknowledged yet.
    #[error("waiting for a member to confirm")]
    Unconfirmed,
}

/// What people see of a message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// On this device only.
    Queued(Waiting),
    /// In a mailbox, or on another device of our own account; on nobody else's as far as we know.
    Sent,
    /// Of `of` other accounts `to` have it, at least one.
    Delivered {
        /// Accounts that have it.
        to: u32,
        /// Other accounts in the room.
        of: u32,
    },
    /// Of `of` other accounts `to` have it and `by` say that they read it, at least one.
    Read {
        /// Accounts that read it.
        by: u32,
        /// Accounts that have it.
        to: u32,
        /// Other accounts in the room.
        of: u32,
    },
    /// Given up.
    Failed(Failure),
}

/// What is known of one other account and one message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Whose.
    pub account: AccountId,
    /// At the latest then a device of it had the message; `None` while none has, as far as we know.
    pub delivered_ms: Option<u64>,
    /// At the latest then it was read there; `None` while it was not, or it is not told.
    pub read_ms: Option<u64>,
}

/// A line of `outbox list`: a message that is not sent yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The client's name for it.
    pub nonce: Nonce,
    /// Room.
    pub room: RoomId,
    /// The event, once written.
    pub event: Option<EventId>,
    /// When it was submitted.
    pub submitted_ms: u64,
    /// State with its reason.
    pub status: Status,
    /// How often the room's messages were tried since it is in this state.
    pub attempts: u32,
    /// When they are tried next.
    pub next_attempt_ms: Option<u64>,
}

/// What the outbox is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum In {
    /// [`Out::Write`] was done: event and entry are durable.
    Written {
        /// Which request.
        nonce: Nonce,
        /// The event.
        event: EventId,
        /// Its number in our message log.
        seq: u64,
    },
    /// [`Out::Write`] could not be done now.
    NotNow {
        /// Which request.
        nonce: Nonce,
        /// Why.
        waiting: Waiting,
    },
    /// [`Out::Write`] can not be done. Says nothing of a message that is written.
    Never {
        /// Which request.
        nonce: Nonce,
        /// Why.
        failure: Failure,
    },
    /// A room can be written to: what waits for it is written.
    Writable(RoomId),
    /// We are out of a room, or it is gone.
    Closed(RoomId, Failure),
    /// Devices of the room's live members, ours included. Tell at start and at every change.
    Members {
        /// Room.
        room: RoomId,
        /// Our own account.
        me: AccountId,
        /// Every live device and its account.
        devices: Vec<(DeviceId, AccountId)>,
    },
    /// A device has our message log durably up to here: [`crate::sync::Out::PeerHas`].
    PeerHas {
        /// Room.
        room: RoomId,
        /// Device.
        device: DeviceId,
        /// Number in our message log.
        seq: u64,
    },
    /// A mailbox of the room acknowledged that it has our message log durably up to here. It says nothing of any member.
    Stored {
        /// Room.
        room: RoomId,
        /// Number in our message log.
        seq: u64,
    },
    /// A device's marker, resolved to our own message log.
    Marked {
        /// Room.
        room: RoomId,
        /// Device.
        device: DeviceId,
        /// Everything of ours up to here is stored there.
        delivered: u64,
        /// Everything of ours up to here is read; 0 when nothing is told.
        read: u64,
        /// When that was so, at the latest: the marker's time.
        at_ms: u64,
    },
    /// How many members' devices a room is connected with.
    Connected {
        /// Room.
        room: RoomId,
        /// How many.
        n: usize,
    },
    /// Time passed.
    Tick,
}

/// What the outbox wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Out {
    /// Make the event of this entry and commit it together with the entry in stage [`Stage::Written`]
    /// ([`Entry::written`]); answer `Written`, `NotNow` or `Never`.
    Write(Entry),
    /// Store this entry under its nonce, durably before the client is answered.
    Store(Entry),
    /// Remove the entry of this room with this nonce from the store.
    Remove(RoomId, Nonce),
    /// Put our messages from `from` to `to` on gossip again; sync sessions go on by themselves. What was just written is
    /// gossiped once by whoever wrote it, without being asked.
    Publish {
        /// Room.
        room: RoomId,
        /// First number in our message log.
        from: u64,
        /// Last.
        to: u64,
    },
    /// Nobody of this room is connected: look for members.
    Seek(RoomId),
    /// The status of the messages `from..=to` of our log in this room changed: read it with [`Outbox::status`].
    Changed {
        /// Room.
        room: RoomId,
        /// First number.
        from: u64,
        /// Last.
        to: u64,
    },
    /// The status of a message that is not written changed.
    ChangedUnwritten {
        /// Room.
        room: RoomId,
        /// The client's name for it.
        nonce: Nonce,
    },
}

/// Why a command of a client is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// Too much waits already.
    #[error("the outbox is full")]
    Full,
    /// No such message.
    #[error("no such message in the outbox")]
    Unknown,
    /// It is written: others may have it already.
    #[error("the message is written and may be on its way already")]
    Written,
    /// The nonce names another request.
    #[error("the request was used for another message")]
    NonceReused,
}

impl Entry {
    /// The form to be committed together with the event.
    pub fn written(&self, event: EventId, seq: u64) -> Self {
        Self { body: Vec::new(), stage: Stage::Written { event, seq }, ..self.clone() }
    }

    /// The event and its number in our message log, once it is written.
    pub fn event(&self) -> Option<(EventId, u64)> {
        match self.stage {
            Stage::Unwritten => None,
            Stage::Written { event, seq } | Stage::Sent { event, seq, .. } => Some((event, seq)),
            Stage::Failed { event, .. } => event,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { room, stage, body, .. } = self;
        write!(f, "Entry(room {}, {stage:?}, {} bytes)", room.short(), body.len())
    }
}
