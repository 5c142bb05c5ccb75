//! The outbox: the life of our own messages from written to read.
//!
//! 1. **Submitted.** A client gives a text with a nonce of its own making. If the room can be written to, the outbox asks
//!    for it at once ([`Out::Write`]): the owner makes the event and commits event and [`Entry`] together, then says
//!    [`In::Written`]. If not (no safe epoch yet), the entry alone is stored ([`Out::Store`]) and written later. Either
//!    way nothing is answered to the client before it is on disk. The same nonce again changes nothing and gives the
//!    same message: a client that saw no answer may repeat itself.
//! 2. **Queued.** On disk, and on no other device yet. The outbox tries again and again, the room's messages together:
//!    [`Out::Publish`] when members are connected, [`Out::Seek`] when nobody is, with a back-off of 2 s doubling to
//!    5 min, jittered by a quarter. A connection or a new message starts at once.
//! 3. **Sent.** A device of a member acknowledged that it has the message durably ([`In::PeerHas`], from a sync session).
//! 4. **Delivered n of m.** n of the m other accounts have it on a device: by acknowledgement or by marker.
//! 5. **Read.** Somebody's marker says so.
//!
//! *Failed* has a [`Failure`]: it can not be written or delivered any more. It stays in the outbox until it is retried or
//! discarded by hand. A written message can not be discarded: its number in our log is used, others need it.
//!
//! *Exactly once.* The event's id is fixed by its first commit, and the entry in that same commit says so. After a
//! restart ([`Outbox::restore`]) an entry without an event was certainly not written, one with an event certainly was.
//! Sending the same event again is harmless: everybody keeps one event of an id. Entries stay for [`KEEP_MS`] after they
//! were sent, without their text, so that a late repetition of a request is still recognised.
//!
//! What each state means to people is in `docs/spec/delivery.md`.

mod reach;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use parlor_crypto::CryptoRng;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, DeviceId, EventId, RoomId};

use reach::Reach;

/// Messages that may wait to be sent, over all rooms.
pub const MAX_WAITING: usize = 10_000;
/// Bytes of text that may wait to be written.
pub const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// Entries of sent messages are kept this long.
pub const KEEP_MS: u64 = 24 * 60 * 60 * 1000;
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
    /// On another device, of our own account only so far.
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
    /// [`Out::Write`] can not be done.
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
    /// Remove the entry with this nonce from the store.
    Remove(Nonce),
    /// Put our messages from `from` to `to` on gossip again; sync sessions go on by themselves.
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

/// The outbox of a node. See the module's page.
#[derive(Default)]
pub struct Outbox {
    entries: BTreeMap<Nonce, Held>,
    rooms: BTreeMap<RoomId, Reach>,
    n_waiting: usize,
    n_waiting_bytes: usize,
}

/// An entry and what need not survive a restart.
struct Held {
    entry: Entry,
    /// The store has it.
    stored: bool,
    /// `Write` is out and not answered.
    writing: bool,
    /// Why it is not written yet.
    waiting: Waiting,
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

impl Outbox {
    /// The outbox after a restart, from the stored entries. Tell it members, markers and connections afterwards.
    pub fn restore(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut outbox = Self::default();
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|entry| entry.submitted_ms);
        for entry in entries {
            let reach = outbox.rooms.entry(entry.room).or_default();
            match entry.stage {
                Stage::Unwritten => reach.unwritten.push_back(entry.nonce),
                Stage::Written { seq, .. } => {
                    reach.unsent.insert(seq, entry.nonce);
                }
                Stage::Sent { .. } | Stage::Failed { .. } => {}
            }
            outbox.n_waiting += usize::from(is_waiting(&entry));
            outbox.n_waiting_bytes += entry.body.len();
            let held = Held { stored: true, writing: false, waiting: Waiting::RoomNotReady, entry };
            outbox.entries.insert(held.entry.nonce, held);
        }
        outbox
    }

    /// A client sends a message. Answer it when the `Write` or `Store` among the outputs is durable, or at once when
    /// there is none: then the request was made before, and [`find`](Self::find) tells what became of it.
    ///
    /// # Errors
    /// [`OutboxError::Full`], [`OutboxError::NonceReused`].
    pub fn submit(&mut self, nonce: Nonce, room: RoomId, body: Vec<u8>, now_ms: u64) -> Result<Vec<Out>, OutboxError> {
        if let Some(held) = self.entries.get(&nonce) {
            let entry = &held.entry;
            let same = entry.room == room && (entry.body.is_empty() || entry.body == body);
            return if same { Ok(Vec::new()) } else { Err(OutboxError::NonceReused) };
        }
        if self.n_waiting >= MAX_WAITING || self.n_waiting_bytes + body.len() > MAX_WAITING_BYTES {
            return Err(OutboxError::Full);
        }
        self.n_waiting += 1;
        self.n_waiting_bytes += body.len();
        let entry = Entry { nonce, room, body, submitted_ms: now_ms, stage: Stage::Unwritten };
        let reach = self.rooms.entry(room).or_default();
        reach.unwritten.push_back(nonce);
        let write = reach.writable;
        let held = Held { entry: entry.clone(), stored: !write, writing: write, waiting: Waiting::RoomNotReady };
        self.entries.insert(nonce, held);
        Ok(vec![if write { Out::Write(entry) } else { Out::Store(entry) }])
    }

    /// Tries a message again now: a failed one from where it stopped, a waiting one without waiting on.
    ///
    /// # Errors
    /// [`OutboxError::Unknown`].
    pub fn retry(&mut self, nonce: &Nonce, now_ms: u64, rng: &mut impl CryptoRng) -> Result<Vec<Out>, OutboxError> {
        let held = self.entries.get_mut(nonce).ok_or(OutboxError::Unknown)?;
        let room = held.entry.room;
        let mut out = Vec::new();
        if let Stage::Failed { event, .. } = held.entry.stage {
            let reach = self.rooms.entry(room).or_default();
            match event {
                Some((event, seq)) => {
                    held.entry.stage = Stage::Written { event, seq };
                    reach.unsent.insert(seq, *nonce);
                }
                None => {
                    held.entry.stage = Stage::Unwritten;
                    reach.unwritten.push_back(*nonce);
                }
            }
            self.n_waiting += 1;
            out.push(Out::Store(held.entry.clone()));
        }
        self.write_waiting(room, &mut out);
        self.attempt(room, now_ms, rng, &mut out);
        Ok(out)
    }

    /// Takes a message out that is not written.
    ///
    /// # Errors
    /// [`OutboxError::Unknown`], [`OutboxError::Written`].
    pub fn discard(&mut self, nonce: &Nonce) -> Result<Vec<Out>, OutboxError> {
        let held = self.entries.get(nonce).ok_or(OutboxError::Unknown)?;
        let failed = matches!(held.entry.stage, Stage::Failed { .. });
        if held.writing || held.entry.event().is_some() && !failed {
            return Err(OutboxError::Written);
        }
        self.remove(nonce);
        Ok(vec![Out::Remove(*nonce)])
    }

    /// Takes one input and says what to do.
    pub fn handle(&mut self, input: In, now_ms: u64, rng: &mut impl CryptoRng) -> Vec<Out> {
        let mut out = Vec::new();
        match input {
            In::Written { nonce, event, seq } => self.on_written(&nonce, event, seq, now_ms, rng, &mut out),
            In::NotNow { nonce, waiting } => self.on_not_now(&nonce, waiting, now_ms, &mut out),
            In::Never { nonce, failure } => self.fail(&nonce, failure, &mut out),
            In::Writable(room) => {
                self.rooms.entry(room).or_default().writable = true;
                self.write_waiting(room, &mut out);
            }
            In::Closed(room, failure) => self.on_closed(room, failure, &mut out),
            In::Members { room, me, devices } => {
                self.rooms.entry(room).or_default().set_members(me, devices);
            }
            In::PeerHas { room, device, seq } => self.on_has(room, device, seq, 0, now_ms, &mut out),
            In::Marked { room, device, delivered, read } => {
                self.on_has(room, device, delivered, read, now_ms, &mut out);
            }
            In::Connected { room, n } => {
                let reach = self.rooms.entry(room).or_default();
                let more = n > reach.n_connected;
                reach.n_connected = n;
                if more {
                    reach.pause_ms = 0;
                    self.attempt(room, now_ms, rng, &mut out);
                }
            }
            In::Tick => self.on_tick(now_ms, rng, &mut out),
        }
        out
    }

    /// When [`In::Tick`] is due next.
    pub fn next_deadline(&self) -> Option<u64> {
        self.rooms.values().filter_map(Reach::next_deadline).min()
    }

    /// The status of message number `seq` of our log in `room`: for messages that left the outbox too.
    pub fn status(&self, room: &RoomId, seq: u64) -> Status {
        let Some(reach) = self.rooms.get(room) else { return Status::Queued(Waiting::RoomNotReady) };
        if let Some(held) = reach.failed.get(&seq).and_then(|nonce| self.entries.get(nonce))
            && let Stage::Failed { failure, .. } = held.entry.stage
        {
            return Status::Failed(failure);
        }
        reach.status(seq)
    }

    /// The entry of a request, if it was made within [`KEEP_MS`] or still waits.
    pub fn find(&self, nonce: &Nonce) -> Option<&Entry> {
        self.entries.get(nonce).map(|held| &held.entry)
    }

    /// All messages that are not sent, by time of submission.
    pub fn lines(&self) -> Vec<Line> {
        let waiting = self.entries.values().filter(|held| !matches!(held.entry.stage, Stage::Sent { .. }));
        let mut lines: Vec<_> = waiting.map(|held| self.line(held)).collect();
        lines.sort_by_key(|line| line.submitted_ms);
        lines
    }

    fn line(&self, held: &Held) -> Line {
        let Entry { nonce, room, submitted_ms, stage, .. } = held.entry;
        let reach = self.rooms.get(&room);
        let status = match (stage, held.entry.event()) {
            (Stage::Failed { failure, .. }, _) => Status::Failed(failure),
            (_, None) => Status::Queued(held.waiting),
            (_, Some((_, seq))) => self.status(&room, seq),
        };
        Line {
            nonce,
            room,
            event: held.entry.event().map(|(event, _)| event),
            submitted_ms,
            status,
            attempts: reach.map_or(0, |reach| reach.attempts),
            next_attempt_ms: reach.and_then(Reach::next_deadline),
        }
    }

    fn on_written(
        &mut self,
        nonce: &Nonce,
        event: EventId,
        seq: u64,
        now_ms: u64,
        rng: &mut impl CryptoRng,
        out: &mut Vec<Out>,
    ) {
        let Some(held) = self.entries.get_mut(nonce) else { return };
        if held.entry.event().is_some() {
            return;
        }
        self.n_waiting_bytes -= held.entry.body.len();
        held.entry = held.entry.written(event, seq);
        (held.stored, held.writing) = (true, false);
        let room = held.entry.room;
        let reach = self.rooms.entry(room).or_default();
        reach.unwritten.retain(|waiting| waiting != nonce);
        reach.unsent.insert(seq, *nonce);
        out.push(Out::Changed { room, from: seq, to: seq });
        if reach.attempt_ms.is_none() {
            self.attempt(room, now_ms, rng, out);
        } else {
            let connected = reach.n_connected > 0;
            out.extend(connected.then_some(Out::Publish { room, from: seq, to: seq }));
        }
    }

    fn on_not_now(&mut self, nonce: &Nonce, waiting: Waiting, now_ms: u64, out: &mut Vec<Out>) {
        let Some(held) = self.entries.get_mut(nonce) else { return };
        (held.writing, held.waiting) = (false, waiting);
        if !held.stored {
            held.stored = true;
            out.push(Out::Store(held.entry.clone()));
        }
        let reach = self.rooms.entry(held.entry.room).or_default();
        reach.writable = false;
        reach.write_ms = Some(now_ms.saturating_add(WRITE_PAUSE_MS));
        out.push(Out::ChangedUnwritten { room: held.entry.room, nonce: *nonce });
    }

    fn on_closed(&mut self, room: RoomId, failure: Failure, out: &mut Vec<Out>) {
        let Some(reach) = self.rooms.get_mut(&room) else { return };
        reach.writable = false;
        let waiting: Vec<_> = reach.unwritten.iter().chain(reach.unsent.values()).copied().collect();
        for nonce in waiting {
            self.fail(&nonce, failure, out);
        }
    }

    fn fail(&mut self, nonce: &Nonce, failure: Failure, out: &mut Vec<Out>) {
        let Some(held) = self.entries.get_mut(nonce) else { return };
        if !is_waiting(&held.entry) {
            return;
        }
        let event = held.entry.event();
        held.entry.stage = Stage::Failed { failure, event };
        (held.stored, held.writing) = (true, false);
        self.n_waiting -= 1;
        let room = held.entry.room;
        out.push(Out::Store(held.entry.clone()));
        let reach = self.rooms.entry(room).or_default();
        reach.unwritten.retain(|waiting| waiting != nonce);
        match event {
            Some((_, seq)) => {
                reach.unsent.remove(&seq);
                reach.failed.insert(seq, *nonce);
                out.push(Out::Changed { room, from: seq, to: seq });
            }
            None => out.push(Out::ChangedUnwritten { room, nonce: *nonce }),
        }
    }

    fn on_has(&mut self, room: RoomId, device: DeviceId, seq: u64, read: u64, now_ms: u64, out: &mut Vec<Out>) {
        let reach = self.rooms.entry(room).or_default();
        let Some((from, to)) = reach.raise(device, seq, read) else { return };
        let sent: Vec<_> = reach.unsent.range(..=seq).map(|(_, nonce)| *nonce).collect();
        reach.unsent = reach.unsent.split_off(&seq.saturating_add(1));
        if reach.unsent.is_empty() {
            (reach.attempt_ms, reach.pause_ms, reach.attempts) = (None, 0, 0);
        }
        for nonce in sent {
            let Some(held) = self.entries.get_mut(&nonce) else { continue };
            let Some((event, seq)) = held.entry.event() else { continue };
            held.entry.stage = Stage::Sent { event, seq, at_ms: now_ms };
            self.n_waiting -= 1;
            reach.sent.push_back((now_ms, nonce));
            out.push(Out::Store(held.entry.clone()));
        }
        out.push(Out::Changed { room, from, to });
    }

    fn on_tick(&mut self, now_ms: u64, rng: &mut impl CryptoRng, out: &mut Vec<Out>) {
        let due: Vec<_> =
            self.rooms.iter().filter(|(_, r)| r.next_deadline().is_some_and(|due| due <= now_ms)).collect();
        let rooms: Vec<_> = due.into_iter().map(|(room, _)| *room).collect();
        for room in rooms {
            let Some(reach) = self.rooms.get_mut(&room) else { continue };
            if reach.write_ms.is_some_and(|due| due <= now_ms) {
                self.write_waiting(room, out);
            }
            let Some(reach) = self.rooms.get_mut(&room) else { continue };
            while let Some((at_ms, nonce)) = reach.sent.front().copied()
                && at_ms.saturating_add(KEEP_MS) <= now_ms
            {
                reach.sent.pop_front();
                self.entries.remove(&nonce);
                out.push(Out::Remove(nonce));
            }
            if reach.attempt_ms.is_some_and(|due| due <= now_ms) {
                self.attempt(room, now_ms, rng, out);
            }
        }
    }

    /// Asks for everything of `room` that is not written to be written, in the order of submission.
    fn write_waiting(&mut self, room: RoomId, out: &mut Vec<Out>) {
        let Some(reach) = self.rooms.get_mut(&room) else { return };
        reach.write_ms = None;
        for nonce in &reach.unwritten {
            if let Some(held) = self.entries.get_mut(nonce)
                && !held.writing
            {
                held.writing = true;
                out.push(Out::Write(held.entry.clone()));
            }
        }
    }

    /// One try for the written messages of `room`, and the time of the next.
    fn attempt(&mut self, room: RoomId, now_ms: u64, rng: &mut impl CryptoRng, out: &mut Vec<Out>) {
        let Some(reach) = self.rooms.get_mut(&room) else { return };
        let (Some((from, _)), Some((to, _))) = (reach.unsent.first_key_value(), reach.unsent.last_key_value()) else {
            reach.attempt_ms = None;
            return;
        };
        out.push(if reach.n_connected > 0 { Out::Publish { room, from: *from, to: *to } } else { Out::Seek(room) });
        reach.attempts = reach.attempts.saturating_add(1);
        reach.pause_ms = (reach.pause_ms * 2).clamp(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        let jitter = rng.random_range(0..=reach.pause_ms / 2);
        reach.attempt_ms = Some(now_ms.saturating_add(reach.pause_ms * 3 / 4 + jitter));
    }

    fn remove(&mut self, nonce: &Nonce) {
        let Some(held) = self.entries.remove(nonce) else { return };
        self.n_waiting -= usize::from(is_waiting(&held.entry));
        self.n_waiting_bytes -= held.entry.body.len();
        if let Some(reach) = self.rooms.get_mut(&held.entry.room) {
            reach.unwritten.retain(|waiting| waiting != nonce);
            reach.failed.retain(|_, failed| failed != nonce);
        }
    }
}

fn is_waiting(entry: &Entry) -> bool {
    matches!(entry.stage, Stage::Unwritten | Stage::Written { .. })
}
