//! Events from others: what is taken, what waits, what is refused.

use std::collections::{HashMap, HashSet};

use parlor_crypto::seal;

use super::branches::Placed;
use super::fading;
use super::flood::Flood;
use super::messages::{Fit, LogEnd, Messages};
use super::run::authentic;
use super::types::{Accepted, Message, Missing, Opened, Outcome, Received, Reject, Rejected, Verdict};
use super::{Persist, Room};
use crate::body::Body;
use crate::control::Control;
use crate::dag::{Insert, NodeIdx, Set};
use crate::event::{Event, MessageHeader};
use crate::hlc::Hlc;
use crate::ids::{AccountId, DeviceId, EpochId, EventId};
use crate::limits;
use crate::resolve::Resolved;
use crate::validity::Invalid;

/// The view that messages with the same control heads were written in.
#[derive(Debug)]
pub(super) struct Context {
    past: Set,
    /// How long a message lives by the settings in the view.
    pub(super) ttl_ms: Option<u64>,
    epochs: HashMap<EpochId, EpochView>,
}

/// An epoch in the view of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct EpochView {
    /// Where its Rotate is; `None` if not in the view.
    at: Option<NodeIdx>,
    /// The slice that admissions had opened.
    slice: u32,
    /// Whether it was safe there.
    pub(super) safe: bool,
}

/// What becomes of one message.
pub(super) enum Step {
    Taken(Box<Message>, Vec<EventId>, Option<Box<Placed>>),
    Known,
    Unsure(Event),
    Waits(Event),
    Refused(EventId, Reject),
}

impl Room {
    /// Takes events of both logs, decoded for this room, in any order and any number of times. Signatures are checked
    /// here, one for every run of a log. Nothing that is refused or waits leaves a trace in what is stored.
    pub fn receive(&mut self, batch: Vec<Event>, now_ms: u64) -> Received {
        self.receive_from(batch, true, now_ms)
    }

    /// As [`receive`](Self::receive), from somebody who is no member, or nobody knows who: a joiner, gossip. Of what former
    /// members wrote only so much is taken, ever; the rest is refused as [`Reject::Full`] and comes by members who have it.
    pub fn receive_unvouched(&mut self, batch: Vec<Event>, now_ms: u64) -> Received {
        self.receive_from(batch, false, now_ms)
    }

    fn receive_from(&mut self, batch: Vec<Event>, vouched: bool, now_ms: u64) -> Received {
        let mut received = Received::default();
        let (control, mut messages) = self.screen(batch, &mut received);
        if !control.is_empty() {
            self.take_control(control, vouched, &mut received);
        }
        if !vouched {
            let flood = messages.extract_if(.., |event| self.is_message_of_a_flood(event));
            received.rejected.extend(flood.map(|event| Rejected { id: event.id(), why: Reject::Full, of_batch: true }));
        }
        if !received.outcome.accepted.is_empty() {
            self.settle(&mut received.outcome);
        }
        for event in messages {
            let step = self.step(event, now_ms);
            self.note(step, true, &mut received);
        }
        // What came may be what others waited for, and those again.
        loop {
            let before = received.outcome.accepted.len();
            self.take_waiting(now_ms, &mut received);
            if received.outcome.accepted.len() == before {
                break;
            }
        }
        if self.epochs.late.has_changed() {
            self.note_rows(&mut received.outcome);
        }
        received.waiting = self.missing();
        self.messages.correct();
        received.covers_corrected = self.messages.take_corrected();
        if received.outcome.accepted.iter().any(|accepted| matches!(accepted, Accepted::Message(_))) {
            received.outcome.persist.heads = Some(self.messages.to_bytes());
        }
        received
    }

    /// These parents, named in [`Received::unknown_parents`], are in storage, each with what it covers of ours.
    pub fn parents_held(&mut self, held: &[(EventId, u64)]) -> Received {
        self.messages.found(held);
        self.closer()
    }

    /// A live member whose summary equals ours lacks the missing parents too: nobody waits for them any more.
    pub fn give_up_missing(&mut self) -> Received {
        self.messages.give_up_missing();
        self.closer()
    }

    /// What is to be stored when fewer parents are missing.
    fn closer(&mut self) -> Received {
        let persist = Persist { heads: Some(self.messages.to_bytes()), ..Persist::default() };
        let outcome = Outcome { persist, ..Outcome::default() };
        Received { outcome, covers_corrected: self.messages.take_corrected(), ..Received::default() }
    }

    /// What events that wait here wait for. At most 256 entries.
    pub fn missing(&self) -> Vec<Missing> {
        const MOST: usize = 256;
        let mut missing: Vec<Missing> = self.pending.missing().into_iter().map(Missing::Control).collect();
        let mut heads = HashSet::new();
        for (event, gap) in self.messages.gaps().filter(|(event, _)| !self.dag.is_left_out(&event.log())) {
            missing.extend(gap);
            let control = event.message().map_or(&[][..], |header| &header.control);
            heads.extend(control.iter().filter(|head| self.dag.find(head).is_none()).copied());
        }
        missing.extend(heads.into_iter().map(Missing::Control));
        missing.truncate(MOST);
        missing
    }

    /// Opens a stored message whose key was not held when it came. `None` while it still is not. The event is one that this
    /// room accepted.
    pub fn open_later(&mut self, event: &Event) -> Option<Opened> {
        let header = event.message().filter(|_| !event.is_bare())?;
        let sealing = event.sealing_header();
        let key = self.epochs.message_key(self.id.as_bytes(), header, &sealing)?;
        let body = open_body(self.id.as_bytes(), &key, &sealing, event.payload());
        Some(Opened { key, body })
    }

    /// Whether a message is shown, by what is known of the room now, when it is not known where it is stored. The event is one that
    /// this room would accept; that its key is held is assumed.
    pub fn verdict(&self, event: &Event) -> Verdict {
        self.verdict_at(event, None)
    }

    /// Whether a stored message is shown, by what is known of the room now. It is stored under the name `path`: its device, or a branch
    /// of a forked log ([`Place::path`](super::Place::path)). That its key is held is assumed.
    pub fn verdict_on(&self, event: &Event, path: &DeviceId) -> Verdict {
        self.verdict_at(event, Some(path))
    }

    fn verdict_at(&self, event: &Event, path: Option<&DeviceId>) -> Verdict {
        let Some(header) = event.message() else { return Verdict::NotPermitted };
        if event.is_bare() {
            return Verdict::Faded;
        }
        let heads: Vec<NodeIdx> = header.control.iter().filter_map(|head| self.dag.find(head)).collect();
        let in_view = |op: NodeIdx| heads.iter().any(|head| self.dag.in_past(op, *head));
        let author = self.dag.device_no(&header.device).and_then(|no| self.dag.account_where(no, in_view));
        author.map_or(Verdict::NotPermitted, |author| self.judge(event, path, &author, in_view))
    }

    /// Sorts out what is here already and what is not authentic.
    fn screen(&mut self, batch: Vec<Event>, received: &mut Received) -> (Vec<Event>, Vec<Event>) {
        let total = batch.len();
        let mut ids = HashSet::with_capacity(total);
        let fresh: Vec<Event> = batch.into_iter().filter(|event| !self.seen(event) && ids.insert(event.id())).collect();
        received.duplicates = total - fresh.len();
        let (pending, messages) = (&self.pending, &self.messages);
        let waiting = |event: &Event| pending.vouches_for(event) || messages.vouches_for(event);
        let good = authentic(&self.id, &fresh, &mut self.keys, waiting);
        let (mut control, mut messages) = (Vec::new(), Vec::new());
        for (event, good) in fresh.into_iter().zip(good) {
            if !good {
                // Also of a device that is not known here yet: who knows it may have taken this copy in good faith.
                received.rejected.push(Rejected { id: event.id(), why: Reject::BadCopy, of_batch: true });
            } else if event.control().is_some() {
                control.push(event);
            } else {
                messages.push(event);
            }
        }
        (control, messages)
    }

    fn take_control(&mut self, control: Vec<Event>, vouched: bool, received: &mut Received) {
        // Each with whether it is of this batch, and whether a member vouches for it. Taken from the end.
        let mut todo: Vec<(Event, bool, bool)> =
            control.into_iter().rev().map(|event| (event, true, vouched)).collect();
        let mut flood = Flood::new();
        while let Some((event, of_batch, vouched)) = todo.pop() {
            let id = event.id();
            // Asked only now: who let its author in may have come in this batch, or while it waited.
            let answers = if vouched { None } else { self.answers_for(&event) };
            if answers.is_some_and(|answers| self.is_flooded(answers, &mut flood)) {
                received.rejected.push(Rejected { id, why: Reject::Full, of_batch });
                continue;
            }
            match self.insert_control(&event) {
                Insert::New(_) => {
                    let waited = self.pending.take(&id).into_iter();
                    todo.extend(waited.map(|(event, vouched)| (event, false, vouched)));
                    received.outcome.accepted.push(Accepted::Control(event));
                    answers.into_iter().for_each(|answers| *flood.entry(answers).or_default() += 1);
                }
                Insert::Known => received.duplicates += 1,
                Insert::Missing(missing) => {
                    let Some(first) = missing.first() else { continue };
                    let known = |device: &DeviceId| self.dag.device_no(device).is_some();
                    if let Err(why) = self.pending.put(*first, event, vouched, known) {
                        received.rejected.push(Rejected { id, why, of_batch });
                    }
                }
                Insert::Invalid(invalid) => {
                    received.rejected.push(Rejected { id, why: invalid.into(), of_batch });
                }
            }
        }
    }

    /// Inserts a control event into the DAG and works out its epoch, if it makes one.
    pub(super) fn insert_control(&mut self, event: &Event) -> Insert {
        let insert = self.dag.insert(event);
        self.inserted(&insert);
        insert
    }

    /// Works out what follows from a control event that was inserted into the DAG.
    pub(super) fn inserted(&mut self, insert: &Insert) {
        if let Insert::New(at) = insert {
            self.cut_reads(*at);
            self.everything.put(*at);
            self.delta.merge(self.resolved.advance(&self.dag, *at));
            self.place_control(*at);
            self.note_pins(*at);
            self.epochs.note_opening(&self.dag, *at);
            let node = self.dag.node(*at);
            if matches!(node.control, Control::Rotate(_)) {
                // A Rotate changes nothing that is resolved: usually its past is all there is but itself.
                let past = node.past.clone();
                if past.len() + 1 == self.dag.len() {
                    self.epochs.add(&self.dag, *at, &self.resolved);
                } else {
                    let resolved = self.views.of(&self.dag, &past);
                    self.epochs.add(&self.dag, *at, &resolved);
                }
            }
        }
    }

    /// After control events came: looks for keys, and says what changed.
    pub(super) fn settle(&mut self, outcome: &mut Outcome) {
        #[cfg(test)]
        crate::steps::settle();
        self.live = self.resolved.live().clone();
        self.open_rows(outcome);
        self.choose_epoch();
        self.compare(&mut outcome.changes);
        outcome.placed.extend(self.take_placed());
        outcome.unplaced.extend(self.pins.take_unplaced());
    }

    fn take_waiting(&mut self, now_ms: u64, received: &mut Received) {
        for device in self.messages.waiting_devices() {
            while let Some(event) = self.messages.next_waiting(&device) {
                let step = self.step(event, now_ms);
                let taken = matches!(step, Step::Taken(..));
                self.note(step, false, received);
                if !taken {
                    break;
                }
            }
        }
    }

    pub(super) fn note(&mut self, step: Step, of_batch: bool, received: &mut Received) {
        match step {
            Step::Taken(message, unknown, placed) => {
                if let Some(placed) = placed {
                    let (device, place) = (message.event.device(), (placed.place.path, message.event.seq()));
                    received.outcome.changes.extend(self.note_pinned(&device, &placed.event, place));
                    received.outcome.placed.push(*placed);
                }
                received.outcome.accepted.push(Accepted::Message(*message));
                received.unknown_parents.extend(unknown);
            }
            Step::Known => received.duplicates += 1,
            Step::Unsure(event) => received.unsure.push(event),
            Step::Waits(event) => {
                let id = event.id();
                let dag = &self.dag;
                if let Err(why) = self.messages.wait(event, |device| dag.device_no(device).is_some()) {
                    received.rejected.push(Rejected { id, why, of_batch });
                }
            }
            Step::Refused(id, why) => received.rejected.push(Rejected { id, why, of_batch }),
        }
    }

    /// One authentic message.
    fn step(&mut self, event: Event, now_ms: u64) -> Step {
        let id = event.id();
        let handle = event.clone();
        let Some(header) = handle.message() else { return Step::Known };
        if self.dag.is_left_out(&event.log()) {
            return Step::Refused(id, Reject::Fork);
        }
        match self.messages.fit(&id, header) {
            Fit::Next(path) => {
                let before = self.messages.path_end(&path).copied();
                self.step_after(event, path, before, now_ms)
            }
            Fit::Known => Step::Known,
            Fit::Gap => Step::Waits(event),
            Fit::Unsure => Step::Unsure(event),
        }
    }

    /// A message that follows `before` on a path of its log.
    pub(super) fn step_after(&mut self, event: Event, path: DeviceId, before: Option<LogEnd>, now_ms: u64) -> Step {
        let id = event.id();
        let handle = event.clone();
        let Some(header) = handle.message() else { return Step::Known };
        let Some(view) = self.view(header) else { return Step::Waits(event) };
        let author = match self.check_message(header, view, before.as_ref()) {
            Ok(author) => author,
            Err(invalid) => return Step::Refused(id, invalid.into()),
        };
        let ttl_ms = self.ttl_of(header);
        if event.is_bare() && !ttl_ms.is_some_and(|ttl_ms| fading::is_over(header.hlc, ttl_ms, now_ms)) {
            return Step::Refused(id, Reject::Bare);
        }
        let own = path == self.me.device();
        let (covers_own, unknown) = self.messages.take(id, header, path, before, own);
        let place = self.messages.branches().place(&header.device, &path, header.seq);
        let placed = place.map(|place| Box::new(Placed { event: id, place, cut: None }));
        self.epochs.saw_slice(header.epoch, header.slice);
        let sealing = event.sealing_header();
        let key = self.epochs.message_key(self.id.as_bytes(), header, &sealing).filter(|_| !event.is_bare());
        let body = key.as_ref().and_then(|key| open_body(self.id.as_bytes(), key, &sealing, event.payload()));
        // What is said about another message is not over as long as that lives, which is not known here.
        let is_about_another = body.as_ref().is_some_and(|body| body.target().is_some());
        let fades_ms = ttl_ms.and_then(|ttl_ms| {
            let ends_ms = fading::ends_ms(header.hlc.ms(), ttl_ms, now_ms);
            ends_ms.or_else(|| is_about_another.then(|| fading::soonest_ms(ttl_ms, now_ms)))
        });
        let faded = event.is_bare() || (ttl_ms.is_some() && fades_ms.is_none());
        let (event, key, body) = if faded { (event.bare(), None, None) } else { (event, key, body) };
        let verdict = match (&key, &body) {
            _ if faded => Verdict::Faded,
            (None, _) => Verdict::NoKey,
            (Some(_), None) => Verdict::Damaged,
            (Some(_), Some(_)) => self.judge_in_context(&event, header, &path, &author),
        };
        let order = self.order_of(header.hlc, now_ms);
        if header.device != self.me.device() {
            self.reaches_to(order);
        }
        let unsafe_epoch = !view.safe;
        let fades_ms = fades_ms.filter(|_| !faded);
        let message = Message { event, author, order, covers_own, key, body, verdict, unsafe_epoch, fades_ms };
        Step::Taken(Box::new(message), unknown, placed)
    }

    /// Where a message stands in the timeline: where its clock says, or where it arrived if that is far ahead of ours. Never before what
    /// others have there, for it may be our clock that is behind; what we wrote ourselves with a clock that was ahead is not waited for.
    pub(super) fn order_of(&self, hlc: Hlc, now_ms: u64) -> Hlc {
        if hlc.is_ahead_of(now_ms) { self.newest.next(now_ms).unwrap_or(hlc).min(hlc) } else { hlc }
    }

    /// What other devices wrote reaches to here in the timeline that is stored: what arrives with a clock far ahead of ours stands behind.
    pub fn reaches_to(&mut self, order: Hlc) {
        self.newest = self.newest.max(order);
    }

    /// The rules for a message beside its log: its author, epoch and slice in its own view.
    pub(super) fn check_view(&self, header: &MessageHeader, view: EpochView) -> Result<AccountId, Invalid> {
        let context = self.contexts.peek(&header.control).ok_or(Invalid::Author)?;
        let device = self.dag.device_no(&header.device).ok_or(Invalid::Author)?;
        let author = self.dag.account_in(device, &context.past).ok_or(Invalid::Author)?;
        if view.at.is_none() {
            return Err(Invalid::Epoch);
        }
        if !(view.slice..=view.slice.saturating_add(limits::SLICE_REACH)).contains(&header.slice) {
            return Err(Invalid::Generation);
        }
        Ok(author)
    }

    /// All rules for a message: those by its own view, and those between it and the one before.
    fn check_message(
        &self,
        header: &MessageHeader,
        view: EpochView,
        before: Option<&LogEnd>,
    ) -> Result<AccountId, Invalid> {
        let author = self.check_view(header, view)?;
        let previous = before.map(|end| end.epoch);
        let advanced = previous.is_none_or(|epoch| self.epochs.order(&epoch) < self.epochs.order(&header.epoch));
        Messages::check_continues(before, header, advanced)?;
        Ok(author)
    }

    /// The epoch of a message in the view it was written in; `None` while control heads are missing.
    pub(super) fn view(&mut self, header: &MessageHeader) -> Option<EpochView> {
        if let Some(context) = self.contexts.get_mut(&header.control)
            && let Some(view) = context.epochs.get(&header.epoch)
        {
            return Some(*view);
        }
        let heads: Option<Vec<NodeIdx>> = header.control.iter().map(|head| self.dag.find(head)).collect();
        let past = self.dag.past_of(heads?);
        let at = self.dag.epoch(&header.epoch).map(|(at, _)| at).filter(|at| past.has(*at));
        let slice = self.dag.admitted_slice(&header.epoch, &past);
        let view = EpochView { at, slice, safe: at.is_some() && self.was_safe(&header.epoch, &past) };
        if self.contexts.get_mut(&header.control).is_none() {
            let ttl_ms = self.ttl_in(&past);
            self.contexts.put(header.control.clone(), Context { past, ttl_ms, epochs: HashMap::new() });
        }
        // Of epochs that nobody made there are as many as anybody likes to name.
        if view.at.is_some() {
            self.contexts.get_mut(&header.control)?.epochs.insert(header.epoch, view);
        }
        Some(view)
    }

    /// How long messages live by the settings in the view `past`.
    fn ttl_in(&mut self, past: &Set) -> Option<u64> {
        if past.len() == self.dag.len() {
            return fading::ttl_ms(&self.resolved);
        }
        fading::ttl_ms(&self.views.of(&self.dag, past))
    }

    /// Whether the epoch was safe in the view `past`.
    fn was_safe(&mut self, epoch: &EpochId, past: &Set) -> bool {
        if past.len() == self.dag.len() {
            return self.safe_for(&self.resolved, epoch, past);
        }
        let resolved = self.views.of(&self.dag, past);
        self.safe_for(&resolved, epoch, past)
    }

    fn judge_in_context(&self, event: &Event, header: &MessageHeader, path: &DeviceId, author: &AccountId) -> Verdict {
        match self.contexts.peek(&header.control) {
            Some(context) => self.judge(event, Some(path), author, |op| context.past.has(op)),
            None => Verdict::NotPermitted,
        }
    }

    fn safe_for(&self, resolved: &Resolved, epoch: &EpochId, view: &Set) -> bool {
        self.epochs.is_safe_in(&self.dag, epoch, resolved, view)
    }
}

#[cfg(test)]
impl Room {
    /// How many epochs are remembered for messages with these control heads.
    pub(super) fn epochs_seen_from(&self, control: &Vec<EventId>) -> usize {
        self.contexts.peek(control).map_or(0, |context| context.epochs.len())
    }
}

/// Opens the one payload that `key` is for.
pub(super) fn open_body(room: &[u8; 32], key: &seal::MessageKey, sealing: &[u8], payload: &[u8]) -> Option<Body> {
    let bytes = seal::open(key, room, sealing, payload).ok()?;
    Body::decode(&bytes).ok()
}

/// The ends of logs as they stood before the stored tips.
pub(super) fn log_end(event: &Event, covers_own: u64) -> Option<LogEnd> {
    let header = event.message()?;
    Some(LogEnd {
        seq: header.seq,
        id: event.id(),
        hlc: header.hlc,
        epoch: header.epoch,
        slice: header.slice,
        generation: header.generation,
        covers_own,
    })
}
