//! Devices that contradict themselves: both branches are kept, and the proof is written.
//!
//! Of a control log the room sees branches by itself, for it holds all of it. Of a message log it holds the ends only: what
//! is neither known nor next is answered as [`Received::unsure`], the caller looks into the store, and what is not there
//! either comes back through [`Room::receive_fork`] with what stands in its place.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use parlor_crypto::CryptoRng;

use super::branches::{Branches, Placed, Sibling};
use super::receive::{Step, log_end};
use super::types::{Change, Outcome, Received, Refusal, Reject, Rejected, Tip};
use super::{Place, Room};
use crate::control::{Contradiction, Control, EquivProof, Permission};
use crate::dag::NodeIdx;
use crate::epoch::election_delay_ms;
use crate::event::{Event, LogId, LogKind};
use crate::ids::{DeviceId, EventId};
use crate::limits;

/// What is known of forks beside the message logs.
#[derive(Debug, Default)]
pub(super) struct Forks {
    /// The branches of control logs,
    control: Branches,
    /// the events of every control log, and of every branch of one, in their order,
    kept: HashMap<DeviceId, Kept>,
    /// and the path of every event that is on a branch.
    paths: HashMap<EventId, DeviceId>,
    /// Where the control events taken last stand, for the next outcome.
    placed: Vec<Placed>,
    /// Nothing is written for now.
    held: bool,
    /// Contradictions of which the room holds no proof yet, by log and the later event, and from when on we write it.
    unproved: BTreeMap<(LogId, EventId), (Event, Event, Option<u64>)>,
}

/// The events of one path of a control log.
#[derive(Debug)]
struct Kept {
    /// Number of its first event.
    first: u64,
    events: Vec<NodeIdx>,
}

impl Kept {
    fn get(&self, seq: u64) -> Option<NodeIdx> {
        self.events.get(usize::try_from(seq.checked_sub(self.first)?).ok()?).copied()
    }
}

impl Room {
    /// Takes a message that [`receive`](Self::receive) was unsure of and that the store does not hold: its author wrote two
    /// with one number. `held` is what the store has around its place. Both count from now on.
    pub fn receive_fork(&mut self, event: Event, held: &Sibling, now_ms: u64) -> Received {
        let mut received = Received::default();
        let (id, device) = (event.id(), event.device());
        let (next, path) = (&held.next, held.path);
        let beside = next.log() == event.log() && next.seq() == event.seq() && next.prev() == event.prev();
        let branches = self.messages.branches();
        let known = path == device || branches.paths(&device).any(|name| *name == path);
        let (full, left_out) = (branches.is_full(&device), self.dag.is_left_out(&event.log()));
        let is_fork = event.message().is_some() && beside && known && next.id() != id;
        if is_fork && full && !left_out {
            // It is proved all the same: others may have taken it.
            self.note_contradiction(next, &event);
        }
        if !is_fork || full || left_out {
            received.rejected.push(Rejected { id, why: Reject::Fork, of_batch: true });
            return received;
        }
        let before = held.before.as_ref().and_then(|tip| log_end(&tip.event, tip.covers_own));
        let branch = DeviceId(id.0);
        let end = (event.seq().saturating_sub(1), event.prev());
        self.note_contradiction(next, &event);
        let step = match self.step_after(event, branch, before, now_ms) {
            Step::Taken(mut message, unknown, _) => {
                let is_first = !self.messages.branches().has(&device);
                let cut = self.messages.branches_mut().begin(device, &path, end, next.id(), id);
                if is_first {
                    self.note_pins_of(&device);
                }
                // The branch was not known when it was judged.
                if message.body.is_some() {
                    message.verdict = self.verdict_on(&message.event, &branch);
                }
                let by_branch = self.is_judged_by_branch(&device);
                received.outcome.changes.extend(by_branch.then_some(Change::Branches(device)));
                received.outcome.unplaced.extend(self.pins.take_unplaced());
                let place = self.messages.branches().place(&device, &branch, message.event.seq());
                received.outcome.changes.push(Change::Fork(device));
                received.outcome.persist.heads = Some(self.messages.to_bytes());
                Step::Taken(message, unknown, place.map(|place| Box::new(Placed { event: id, place, cut })))
            }
            other => other,
        };
        self.note(step, true, &mut received);
        received
    }

    /// Looks after the room: epochs ([`maintain_epochs`](Self::maintain_epochs)), guests, orphans, and the proofs of contradictions.
    /// Answers what it did, and when to be called again at the latest (milliseconds since the epoch); call it also after every outcome.
    pub fn maintain(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> (Outcome, Option<u64>) {
        let (mut outcome, proof_ms) = self.prove(now_ms);
        let (guests, guests_ms) = self.tend_guests(now_ms, rng);
        outcome.merge(guests);
        let (orphans, orphans_ms) = self.tend_orphans(now_ms);
        outcome.merge(orphans);
        let (epochs, epoch_ms) = self.maintain_epochs(now_ms, rng);
        outcome.merge(epochs);
        (outcome, [proof_ms, guests_ms, orphans_ms, epoch_ms].into_iter().flatten().min())
    }

    /// Whether our own device wrote two events of one number: it was copied, or is run from an old backup as well. It writes
    /// nothing any more.
    pub fn is_cloned(&self) -> bool {
        let me = self.me.device();
        self.dag.forked().contains(&me) || self.messages.branches().has(&me) || self.forks.control.has(&me)
    }

    /// Whether this device writes nothing for now: it has to compare its own logs with others first ([`crate::sync::Guard`]).
    pub fn hold(&mut self, held: bool) {
        self.forks.held = held;
    }

    pub(super) fn may_write(&self) -> Result<(), Refusal> {
        match (self.is_cloned(), self.forks.held) {
            (true, _) => Err(Refusal::Cloned),
            (false, true) => Err(Refusal::Held),
            (false, false) => Ok(()),
        }
    }

    /// Where the stretch of a forked message log is kept: in which path, and behind how many of its events. Of any other log it
    /// is the log itself.
    pub fn kept_in(&self, stretch: &DeviceId) -> (DeviceId, u64) {
        self.messages.branches().kept_in(stretch).unwrap_or((*stretch, 0))
    }

    /// In which stretch of its log a control event is compared, and its number there.
    pub fn control_place(&self, event: &Event) -> (DeviceId, u64) {
        let device = event.device();
        let path = self.forks.paths.get(&event.id()).unwrap_or(&device);
        let place = self.forks.control.place(&device, path, event.seq());
        place.map_or((device, event.seq()), |place| (place.stretch, place.number))
    }

    /// The control events that are compared under these names, from one number there to another, in order of acceptance (which is a
    /// topological one): the first `max`, each with its name and number.
    pub fn control_held(
        &self,
        wanted: impl IntoIterator<Item = (DeviceId, RangeInclusive<u64>)>,
        max: usize,
    ) -> Vec<((DeviceId, u64), &Event)> {
        let mut found: Vec<(NodeIdx, (DeviceId, u64))> = Vec::new();
        for (stretch, numbers) in wanted {
            let (path, before) = self.forks.control.kept_in(&stretch).unwrap_or((stretch, 0));
            let Some(kept) = self.forks.kept.get(&path) else { continue };
            let at = |number: u64| {
                let seq = number.checked_add(before)?.checked_add(kept.first - 1)?;
                let at = kept.get(seq)?;
                (self.control_place(&self.dag.node(at).event) == (stretch, number)).then_some((at, (stretch, number)))
            };
            // Along a stretch events were accepted in their order.
            found.extend(numbers.map_while(at).take(max));
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().take(max).map(|(at, place)| (place, &self.dag.node(at).event)).collect()
    }

    /// The ends of all logs, of forked ones of all stretches, ascending by log: what sync compares.
    pub fn tips(&self) -> Vec<Tip> {
        let mut tips = Vec::new();
        for device in self.dag.logs().keys() {
            let paths = self.forks.control.paths(device);
            for path in paths.chain((!self.forks.control.has(device)).then_some(device)) {
                let Some(end) = self.control_end(path) else { continue };
                tips.extend(tips_of(&self.forks.control, LogKind::Control, device, path, end));
            }
        }
        let branches = self.messages.branches();
        for device in self.messages.ends().keys() {
            if self.dag.is_left_out(&LogId { device: *device, kind: LogKind::Message }) {
                continue;
            }
            for path in branches.paths(device).chain((!branches.has(device)).then_some(device)) {
                let Some(end) = self.messages.path_end(path) else { continue };
                tips.extend(tips_of(branches, LogKind::Message, device, path, (end.seq, end.id)));
            }
        }
        tips.sort_unstable();
        tips
    }

    /// Whether the message log of a device forked.
    pub fn has_branches(&self, device: &DeviceId) -> bool {
        self.messages.branches().has(device)
    }

    /// Whether any message log is left out for having too many branches.
    pub fn leaves_out(&self) -> bool {
        self.dag.leaves_out()
    }

    /// Whether sync tells of this log, or stretch of a forked one: of a message log that is left out it does not.
    pub fn tells(&self, series: &DeviceId) -> bool {
        if !self.dag.leaves_out() {
            return true;
        }
        let branches = self.messages.branches();
        let path = branches.kept_in(series).map_or(*series, |(path, _)| path);
        let device = branches.owner(&path).unwrap_or(path);
        !self.dag.is_left_out(&LogId { device, kind: LogKind::Message })
    }

    /// Notes in which path of its log an accepted control event stands.
    pub(super) fn place_control(&mut self, at: NodeIdx) {
        let event = self.dag.node(at).event.clone();
        let (id, device, seq, prev) = (event.id(), event.device(), event.seq(), event.prev());
        let path = self.forks.paths.get(&prev).copied().unwrap_or(device);
        let end = self.control_end(&path);
        let follows = end.map_or(seq == 1, |(_, last)| seq > 1 && last == prev);
        if follows {
            self.forks.kept.entry(path).or_insert_with(|| Kept { first: seq, events: Vec::new() }).events.push(at);
            if path != device {
                self.forks.paths.insert(id, path);
            }
            self.place(&event, &path, None);
            return;
        }
        let beside = |other: &&Event| other.prev() == prev && other.id() != id;
        let held = self.forks.kept.get(&path).and_then(|kept| kept.get(seq));
        let Some(next) = held.map(|held| &self.dag.node(held).event).filter(beside).cloned() else { return };
        let branch = DeviceId(id.0);
        let cut = self.forks.control.begin(device, &path, (seq.saturating_sub(1), prev), next.id(), id);
        self.forks.kept.insert(branch, Kept { first: seq, events: vec![at] });
        self.forks.paths.insert(id, branch);
        self.place(&event, &branch, cut);
        self.note_contradiction(&next, &event);
    }

    /// The number and the event with which a path of a control log ends.
    fn control_end(&self, path: &DeviceId) -> Option<(u64, EventId)> {
        let last = self.forks.kept.get(path)?.events.last()?;
        let event = &self.dag.node(*last).event;
        Some((event.seq(), event.id()))
    }

    /// Hands what is known of the places of new control events to an outcome.
    pub(super) fn take_placed(&mut self) -> Vec<Placed> {
        std::mem::take(&mut self.forks.placed)
    }

    fn place(&mut self, event: &Event, path: &DeviceId, cut: Option<super::Cut>) {
        let place: Option<Place> = self.forks.control.place(&event.device(), path, event.seq());
        self.forks.placed.extend(place.map(|place| Placed { event: event.id(), place, cut }));
    }

    fn note_contradiction(&mut self, one: &Event, other: &Event) {
        let log = one.log();
        let most = if log.kind == LogKind::Control { 1 } else { limits::MAX_PROVED_BRANCHES };
        let waiting = self.forks.unproved.keys().filter(|(of, _)| *of == log).count();
        if waiting < most && !self.dag.is_proved(&contradiction(one, other), |_| true) {
            self.forks.unproved.entry((log, other.id())).or_insert_with(|| (one.clone(), other.clone(), None));
        }
    }

    /// Writes the proofs that are missing, when it is our turn: usually one member writes it.
    fn prove(&mut self, now_ms: u64) -> (Outcome, Option<u64>) {
        let (mut outcome, mut due) = (Outcome::default(), None);
        let dag = &self.dag;
        self.forks.unproved.retain(|_, (one, other, _)| !dag.is_proved(&contradiction(one, other), |_| true));
        if self.forks.unproved.is_empty() || self.permitted(Permission::Post).is_err() {
            return (outcome, due);
        }
        let devices: Vec<DeviceId> = self.live_device_ids().collect();
        for (place, (one, other, turn_ms)) in std::mem::take(&mut self.forks.unproved) {
            let heads = [one.id(), other.id()];
            let wait = || now_ms.saturating_add(election_delay_ms(&heads, &self.me.device(), &devices));
            let turn_ms = turn_ms.unwrap_or_else(wait);
            if turn_ms > now_ms {
                due = Some(due.map_or(turn_ms, |due: u64| due.min(turn_ms)));
                self.forks.unproved.insert(place, (one, other, Some(turn_ms)));
            } else if let Some(proof) = EquivProof::new(&self.id, &one, &other) {
                // Otherwise the copies that came are vouched for by later events, and prove nothing by themselves.
                let written = self.write_control(Control::EquivProof(Box::new(proof)), now_ms);
                outcome.merge(written.unwrap_or_default());
            }
        }
        (outcome, due)
    }
}

fn contradiction(one: &Event, other: &Event) -> Contradiction {
    let (first, second) = if one.id() < other.id() { (one, other) } else { (other, one) };
    let after = (one.prev() == other.prev()).then(|| one.prev());
    Contradiction { log: one.log(), after, events: [first.id(), second.id()] }
}

fn tips_of(
    branches: &Branches,
    kind: LogKind,
    device: &DeviceId,
    path: &DeviceId,
    end: (u64, EventId),
) -> impl Iterator<Item = Tip> {
    let stretches = branches.stretches(device, path, end);
    stretches.into_iter().map(move |(device, seq, id)| Tip { log: LogId { device, kind }, seq, id })
}

impl Branches {
    fn is_full(&self, device: &DeviceId) -> bool {
        self.count(device) > limits::MAX_BRANCHES || self.count_all() + 2 > limits::MAX_PATHS
    }
}
