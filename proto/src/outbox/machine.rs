//! The machine of the outbox. Its states are described in [`super`].

use std::collections::{BTreeMap, VecDeque};

use parlor_crypto::CryptoRng;

use crate::ids::{DeviceId, EventId, RoomId};

use super::reach::Reach;
use super::{
    Entry, Failure, In, KEEP_MS, KEEP_SENT, Line, MAX_WAITING, MAX_WAITING_BYTES, Nonce, Out, OutboxError, Receipt,
    Stage, Status, WRITE_PAUSE_MS, Waiting,
};

/// The outbox of a node. See the module's page.
#[derive(Default)]
pub struct Outbox {
    entries: BTreeMap<Nonce, Held>,
    rooms: BTreeMap<RoomId, Reach>,
    /// Sent messages whose entry is kept for a while, oldest first.
    sent: VecDeque<(u64, RoomId, Nonce)>,
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

impl Outbox {
    /// The outbox after a restart, from the stored entries. Tell it members, markers and connections afterwards.
    pub fn restore(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut outbox = Self::default();
        outbox.reread(entries);
        outbox
    }

    /// Takes in what the store holds of a room that is read later than the others, or once more. What is known here stays as it is.
    pub fn reread(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let unknown = entries.into_iter().filter(|entry| !self.entries.contains_key(&entry.nonce));
        let mut unknown: Vec<_> = unknown.collect();
        unknown.sort_by_key(|entry| entry.submitted_ms);
        for entry in unknown {
            let reach = self.rooms.entry(entry.room).or_default();
            match entry.stage {
                Stage::Unwritten => reach.unwritten.push_back(entry.nonce),
                Stage::Written { seq, .. } => {
                    reach.unsent.insert(seq, entry.nonce);
                }
                Stage::Sent { at_ms, .. } => self.sent.push_back((at_ms, entry.room, entry.nonce)),
                Stage::Failed { event: Some((_, seq)), .. } => {
                    reach.failed.insert(seq, entry.nonce);
                }
                Stage::Failed { event: None, .. } => {}
            }
            self.n_waiting += usize::from(is_waiting(&entry));
            self.n_waiting_bytes += entry.body.len();
            let held = Held { stored: true, writing: false, waiting: Waiting::RoomNotReady, entry };
            self.entries.insert(held.entry.nonce, held);
        }
        self.sent.make_contiguous().sort_unstable();
    }

    /// Nothing of a room is under way: what was to be written, and met a room that was not there, is written when it can be.
    pub fn idle(&mut self, room: &RoomId) {
        let waiting = self.rooms.get_mut(room).map(|reach| {
            reach.writable = false;
            reach.unwritten.clone()
        });
        for nonce in waiting.into_iter().flatten() {
            if let Some(held) = self.entries.get_mut(&nonce) {
                held.writing = false;
            }
        }
    }

    /// A client sends a message. Answer it when the `Write` or `Store` among the outputs is durable, or at once when
    /// there is none: then the request was made before, and [`find`](Self::find) tells what became of it. A request that
    /// failed before anything was written is made anew.
    ///
    /// # Errors
    /// [`OutboxError::Full`], [`OutboxError::NonceReused`].
    pub fn submit(&mut self, nonce: Nonce, room: RoomId, body: Vec<u8>, now_ms: u64) -> Result<Vec<Out>, OutboxError> {
        if let Some(held) = self.entries.get(&nonce) {
            let entry = &held.entry;
            let same = entry.room == room && (entry.body.is_empty() || entry.body == body);
            match (same, entry.stage) {
                (false, _) => return Err(OutboxError::NonceReused),
                // The client was told so, and asks again.
                (true, Stage::Failed { event: None, .. }) => self.remove(&nonce),
                (true, _) => return Ok(Vec::new()),
            }
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

    /// Forgets what [`submit`](Self::submit) just took, whose outputs were not carried out.
    pub fn withdraw(&mut self, nonce: &Nonce) {
        self.remove(nonce);
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
        if let Some(reach) = self.rooms.get_mut(&room) {
            reach.tried_to = u64::MAX;
        }
        self.attempt(room, now_ms, rng, &mut out);
        Ok(out)
    }

    /// Takes a message out that is not written.
    ///
    /// # Errors
    /// [`OutboxError::Unknown`], [`OutboxError::Written`].
    pub fn discard(&mut self, nonce: &Nonce) -> Result<Vec<Out>, OutboxError> {
        let held = self.entries.get(nonce).ok_or(OutboxError::Unknown)?;
        let room = held.entry.room;
        let failed = matches!(held.entry.stage, Stage::Failed { .. });
        if held.writing || held.entry.event().is_some() && !failed {
            return Err(OutboxError::Written);
        }
        self.remove(nonce);
        Ok(vec![Out::Remove(room, *nonce)])
    }

    /// Takes one input and says what to do.
    pub fn handle(&mut self, input: In, now_ms: u64, rng: &mut impl CryptoRng) -> Vec<Out> {
        let mut out = Vec::new();
        match input {
            In::Written { nonce, event, seq } => self.on_written(&nonce, event, seq, now_ms, rng, &mut out),
            In::NotNow { nonce, waiting } => self.on_not_now(&nonce, waiting, now_ms, &mut out),
            // What is written is in our log, whatever was said of its making meanwhile.
            In::Never { nonce, .. } if self.find(&nonce).is_some_and(|entry| entry.event().is_some()) => {}
            In::Never { nonce, failure } => self.fail(&nonce, failure, &mut out),
            In::Writable(room) => {
                self.rooms.entry(room).or_default().writable = true;
                self.write_waiting(room, &mut out);
            }
            In::Closed(room, failure) => self.on_closed(room, failure, &mut out),
            In::Members { room, me, devices } => {
                self.rooms.entry(room).or_default().set_members(me, devices);
            }
            In::Stored { room, seq } => self.on_stored(room, seq, now_ms, &mut out),
            In::PeerHas { room, device, seq } => self.on_has(room, device, (seq, 0, now_ms), now_ms, &mut out),
            In::Marked { room, device, delivered, read, at_ms } => {
                self.on_has(room, device, (delivered, read, at_ms.min(now_ms)), now_ms, &mut out);
            }
            In::Connected { room, n } => {
                let reach = self.rooms.entry(room).or_default();
                let more = n > reach.n_connected;
                reach.n_connected = n;
                if more {
                    (reach.pause_ms, reach.tried_to) = (0, u64::MAX);
                    self.attempt(room, now_ms, rng, &mut out);
                }
            }
            In::Tick => self.on_tick(now_ms, rng, &mut out),
        }
        out
    }

    /// When [`In::Tick`] is due next.
    pub fn next_deadline(&self) -> Option<u64> {
        let forget = self.sent.front().map(|(at_ms, ..)| at_ms.saturating_add(KEEP_MS));
        self.rooms.values().filter_map(Reach::next_deadline).chain(forget).min()
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

    /// What each other account of `room` says of message number `seq` of our log, by account.
    pub fn receipts(&self, room: &RoomId, seq: u64) -> Vec<Receipt> {
        self.rooms.get(room).map(|reach| reach.receipts(seq)).unwrap_or_default()
    }

    /// The entry of a request, if it still waits or was sent within [`KEEP_MS`] and is among the last [`KEEP_SENT`].
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
        // It may have been given up before the disk was asked.
        self.n_waiting += usize::from(!is_waiting(&held.entry));
        held.entry = held.entry.written(event, seq);
        (held.stored, held.writing) = (true, false);
        let room = held.entry.room;
        let reach = self.rooms.entry(room).or_default();
        reach.unwritten.retain(|waiting| waiting != nonce);
        reach.unsent.insert(seq, *nonce);
        out.push(Out::Changed { room, from: seq, to: seq });
        if reach.attempt_ms.is_none() {
            if reach.n_connected > 0 {
                // Its room gossips it as it does all that we write: to publish it here too would send everything twice.
                reach.tried_to = seq;
                reach.pause(now_ms, rng);
            } else {
                self.attempt(room, now_ms, rng, out);
            }
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
                if reach.unsent.is_empty() {
                    reach.rest();
                }
                out.push(Out::Changed { room, from: seq, to: seq });
            }
            None => out.push(Out::ChangedUnwritten { room, nonce: *nonce }),
        }
    }

    /// A device has our log up to a number and read it up to another, since a time.
    fn on_has(&mut self, room: RoomId, device: DeviceId, told: (u64, u64, u64), now_ms: u64, out: &mut Vec<Out>) {
        let (seq, read, at_ms) = told;
        let reach = self.rooms.entry(room).or_default();
        let Some((from, to)) = reach.raise(device, seq, read, at_ms) else { return };
        self.arrive(room, seq, now_ms, out);
        out.push(Out::Changed { room, from, to });
        self.forget_sent(now_ms, out);
    }

    fn on_stored(&mut self, room: RoomId, seq: u64, now_ms: u64, out: &mut Vec<Out>) {
        let Some(reach) = self.rooms.get(&room) else { return };
        let Some((from, _)) = reach.unsent.range(..=seq).chain(reach.failed.range(..=seq)).min() else { return };
        let from = *from;
        self.arrive(room, seq, now_ms, out);
        out.push(Out::Changed { room, from, to: seq });
        self.forget_sent(now_ms, out);
    }

    /// Our messages up to `seq` are durable elsewhere.
    fn arrive(&mut self, room: RoomId, seq: u64, now_ms: u64, out: &mut Vec<Out>) {
        let reach = self.rooms.entry(room).or_default();
        // A message that was given up may have gone out after all, by a device that had it or after we came back.
        let arrived = reach.unsent.range(..=seq).chain(reach.failed.range(..=seq));
        let arrived: Vec<_> = arrived.map(|(_, nonce)| *nonce).collect();
        reach.unsent = reach.unsent.split_off(&seq.saturating_add(1));
        reach.failed = reach.failed.split_off(&seq.saturating_add(1));
        if reach.unsent.is_empty() {
            reach.rest();
        }
        for nonce in arrived {
            let Some(held) = self.entries.get_mut(&nonce) else { continue };
            let Some((event, seq)) = held.entry.event() else { continue };
            self.n_waiting -= usize::from(is_waiting(&held.entry));
            held.entry.stage = Stage::Sent { event, seq, at_ms: now_ms };
            self.sent.push_back((now_ms, room, nonce));
            out.push(Out::Store(held.entry.clone()));
        }
    }

    /// Forgets the sent messages that are too old or too many.
    fn forget_sent(&mut self, now_ms: u64, out: &mut Vec<Out>) {
        while let Some((at_ms, room, nonce)) = self.sent.front().copied()
            && (self.sent.len() > KEEP_SENT || at_ms.saturating_add(KEEP_MS) <= now_ms)
        {
            self.sent.pop_front();
            self.entries.remove(&nonce);
            out.push(Out::Remove(room, nonce));
        }
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
            if reach.attempt_ms.is_some_and(|due| due <= now_ms) {
                self.attempt(room, now_ms, rng, out);
            }
        }
        self.forget_sent(now_ms, out);
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
        let (from, to) = (*from, *to);
        if reach.n_connected == 0 {
            out.push(Out::Seek(room));
        } else if from <= reach.tried_to {
            out.push(Out::Publish { room, from, to: to.min(reach.tried_to) });
        }
        reach.tried_to = to;
        reach.pause(now_ms, rng);
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
