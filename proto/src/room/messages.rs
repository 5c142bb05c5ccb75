//! The ends of all message logs of a room, and what can be said about a message from them.
//!
//! Logs are dense: a message is taken when the one before it is here, otherwise it waits. A missing *parent* does not
//! stop it; the parent is remembered as missing, and until it comes (or is given up) the messages above it are not
//! confirmed in markers. Parents are looked up among recent messages only, so memory does not grow with the room.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::branches::{Branches, OldBranches};
use super::cache::Cache;
use super::types::{Missing, Reject};
use crate::event::{Event, LogId, LogKind, MessageHeader};
use crate::hlc::Hlc;
use crate::ids::{DeviceId, EpochId, EventId};
use crate::limits;
use crate::validity::Invalid;

/// The last message of a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogEnd {
    pub(super) seq: u64,
    pub(super) id: EventId,
    pub(super) hlc: Hlc,
    pub(super) epoch: EpochId,
    pub(super) slice: u32,
    pub(super) generation: u32,
    pub(super) covers_own: u64,
}

/// What is remembered of a recent message.
#[derive(Debug, Clone, Copy)]
struct Recent {
    covers_own: u64,
    /// Whether an ancestor is missing.
    open: bool,
}

/// What a message meets at the end of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is the next one of this path of its log: the device, or the name of a branch.
    Next(DeviceId),
    /// It is here already.
    Known,
    /// Earlier ones are missing.
    Gap,
    /// It is here since long, or another message has its place: only the store knows.
    Unsure,
}

/// A message that was taken while an ancestor was missing.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open {
    /// The path of its log.
    path: DeviceId,
    id: EventId,
    /// What it builds on.
    before: Vec<EventId>,
}

/// Open messages that are stored, the latest, each with what it covers: some 100 bytes each, with every message as long as a parent is
/// missing.
const STORED_OPEN: usize = 256;

/// What is stored of heads and missing parents; from version 3 on followed by the open messages. Before version 4 branches did not say
/// what they begin on.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored<B = Branches> {
    version: u8,
    heads: Vec<EventId>,
    closed: Vec<EventId>,
    missing: Vec<EventId>,
    overflow: bool,
    branches: B,
}

/// The message side of a room.
#[derive(Debug)]
pub(super) struct Messages {
    ends: BTreeMap<DeviceId, LogEnd>,
    /// The branches of forked logs, and their ends by name.
    branches: Branches,
    branch_ends: BTreeMap<DeviceId, LogEnd>,
    /// Messages that nothing is built on.
    heads: BTreeSet<EventId>,
    /// The same among those whose ancestors are all here.
    closed: BTreeSet<EventId>,
    missing: HashSet<EventId>,
    /// More parents are missing than are remembered.
    overflow: bool,
    /// Nothing is missing, and `closed` equals `heads`.
    whole: bool,
    recent: Cache<EventId, Recent>,
    /// Messages taken while an ancestor was missing, with what they build on: what they cover is worked out again.
    open: Vec<Open>,
    /// Parents that nobody had: if one comes after all, what is above it is looked at again. In memory only.
    given_up: HashSet<EventId>,
    /// One of either came since the open ones were looked at.
    nearer: bool,
    /// What came out of that since it was asked: up to which of our messages they cover.
    corrected: BTreeMap<EventId, u64>,
    waiting: BTreeMap<(DeviceId, u64), Event>,
    waiting_bytes: usize,
}

impl Messages {
    pub(super) fn new() -> Self {
        Self {
            ends: BTreeMap::new(),
            branches: Branches::default(),
            branch_ends: BTreeMap::new(),
            heads: BTreeSet::new(),
            closed: BTreeSet::new(),
            missing: HashSet::new(),
            overflow: false,
            whole: true,
            recent: Cache::new(limits::RECENT_MESSAGES),
            open: Vec::new(),
            given_up: HashSet::new(),
            nearer: false,
            corrected: BTreeMap::new(),
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
        }
    }

    /// As they were when `heads` was stored, with the given ends of logs and branches. `None` if the bytes are damaged.
    /// Each end comes with the name of its path, and whose log that is of. A branch that the heads do not know was stored just
    /// before a crash and is left out: it comes again.
    pub(super) fn restore(heads: &[u8], ends: impl IntoIterator<Item = (DeviceId, DeviceId, LogEnd)>) -> Option<Self> {
        let mut messages = Self::new();
        let ends: Vec<_> = ends.into_iter().collect();
        if heads.is_empty() && ends.is_empty() {
            return Some(messages);
        }
        let (stored, open) = read(heads)?;
        messages.branches = stored.branches;
        for (path, device, end) in ends {
            if path == device {
                messages.ends.insert(path, end);
            } else if messages.branches.owner(&path) == Some(device) {
                messages.branch_ends.insert(path, end);
            }
        }
        messages.heads.extend(stored.heads);
        messages.closed.extend(stored.closed);
        messages.bound_heads();
        messages.missing.extend(stored.missing);
        messages.overflow = stored.overflow;
        messages.whole = messages.missing.is_empty() && !messages.overflow;
        for end in messages.ends.values().chain(messages.branch_ends.values()) {
            let open = !messages.whole && !messages.closed.contains(&end.id);
            messages.recent.put(end.id, Recent { covers_own: end.covers_own, open });
        }
        for (open, covers_own) in open {
            messages.recent.put(open.id, Recent { covers_own, open: true });
            messages.open.push(open);
        }
        Some(messages)
    }

    /// What to store for [`restore`](Self::restore), beside the events.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let list = |ids: &BTreeSet<EventId>| ids.iter().copied().collect();
        let mut missing: Vec<EventId> = self.missing.iter().copied().collect();
        missing.sort_unstable();
        let (heads, closed) = (list(&self.heads), list(&self.closed));
        let (overflow, branches) = (self.overflow, self.branches.clone());
        let covers = |open: &Open| self.recent.peek(&open.id).map(|recent| (open.clone(), recent.covers_own));
        let most = if self.whole { 0 } else { STORED_OPEN };
        let open: Vec<_> = self.open.iter().rev().take(most).rev().filter_map(covers).collect();
        crate::codec::encode(&(Stored { version: 4, heads, closed, missing, overflow, branches }, open))
    }

    pub(super) fn ends(&self) -> &BTreeMap<DeviceId, LogEnd> {
        &self.ends
    }

    pub(super) fn end(&self, device: &DeviceId) -> Option<&LogEnd> {
        self.ends.get(device)
    }

    /// The ends of all logs, and of all branches.
    pub(super) fn all_ends(&self) -> impl Iterator<Item = &LogEnd> {
        self.ends.values().chain(self.branch_ends.values())
    }

    /// The end of a path of a log.
    pub(super) fn path_end(&self, path: &DeviceId) -> Option<&LogEnd> {
        self.ends.get(path).or_else(|| self.branch_ends.get(path))
    }

    pub(super) fn branches(&self) -> &Branches {
        &self.branches
    }

    pub(super) fn branches_mut(&mut self) -> &mut Branches {
        &mut self.branches
    }

    pub(super) fn heads(&self) -> &BTreeSet<EventId> {
        &self.heads
    }

    pub(super) fn closed(&self) -> &BTreeSet<EventId> {
        &self.closed
    }

    pub(super) fn missing(&self) -> &HashSet<EventId> {
        &self.missing
    }

    /// Up to which of our messages this recent one covers.
    pub(super) fn covers_own(&self, id: &EventId) -> Option<u64> {
        self.recent.peek(id).map(|recent| recent.covers_own)
    }

    /// Where a message stands to the ends of its log.
    pub(super) fn fit(&self, id: &EventId, header: &MessageHeader) -> Fit {
        let branches = self.branches.paths(&header.device).filter(|path| **path != header.device);
        let mut last = 0;
        for path in std::iter::once(&header.device).chain(branches) {
            let (seq, tip) = self.path_end(path).map_or((0, EventId::ZERO), |end| (end.seq, end.id));
            if *id == tip {
                return Fit::Known;
            }
            if header.seq == seq + 1 && header.prev == tip {
                return Fit::Next(*path);
            }
            last = last.max(seq);
        }
        if self.recent.peek(id).is_some() {
            return Fit::Known;
        }
        if header.seq > last + 1 { Fit::Gap } else { Fit::Unsure }
    }

    /// The rules between a message and the one before it in its log, `end`. `advanced` says whether its epoch is not older
    /// than the one before.
    pub(super) fn check_continues(
        end: Option<&LogEnd>,
        header: &MessageHeader,
        epoch_advanced: bool,
    ) -> Result<(), Invalid> {
        let Some(end) = end else {
            return if header.generation == 0 { Ok(()) } else { Err(Invalid::Generation) };
        };
        if header.hlc <= end.hlc {
            return Err(Invalid::Clock);
        }
        if header.epoch != end.epoch {
            return match (epoch_advanced, header.generation) {
                (false, _) => Err(Invalid::Epoch),
                (true, 0) => Ok(()),
                (true, _) => Err(Invalid::Generation),
            };
        }
        let expected = if header.slice == end.slice { end.generation + 1 } else { 0 };
        let continues = header.slice >= end.slice && header.generation == expected;
        if continues { Ok(()) } else { Err(Invalid::Generation) }
    }

    /// Takes the message that follows `before` on a path of its log. Answers up to which of our own messages it covers, and
    /// which parents are not among the recent messages.
    pub(super) fn take(
        &mut self,
        id: EventId,
        header: &MessageHeader,
        path: DeviceId,
        before: Option<LogEnd>,
        own: bool,
    ) -> (u64, Vec<EventId>) {
        let mut recent = match before {
            Some(end) => {
                let open = self.recent.peek(&end.id).is_some_and(|prev| prev.open);
                Recent { covers_own: end.covers_own, open }
            }
            None => Recent { covers_own: 0, open: false },
        };
        let mut unknown = Vec::new();
        for parent in &header.parents {
            match self.recent.peek(parent) {
                Some(known) => {
                    recent.covers_own = recent.covers_own.max(known.covers_own);
                    recent.open |= known.open;
                }
                None => unknown.push(*parent),
            }
        }
        recent.open |= !unknown.is_empty();
        let room = limits::MAX_MISSING_PARENTS.saturating_sub(self.missing.len());
        self.missing.extend(unknown.iter().take(room));
        self.overflow |= unknown.len() > room;
        if own {
            recent.covers_own = header.seq;
        } else if recent.open && self.open.len() < limits::RECENT_MESSAGES {
            let before = header.parents.iter().chain([&header.prev]).copied().collect();
            self.open.push(Open { path, id, before });
        }
        self.recent.put(id, recent);
        let ends = if path == header.device { &mut self.ends } else { &mut self.branch_ends };
        ends.insert(
            path,
            LogEnd {
                seq: header.seq,
                id,
                hlc: header.hlc,
                epoch: header.epoch,
                slice: header.slice,
                generation: header.generation,
                covers_own: recent.covers_own,
            },
        );
        self.link(id, header, recent.open);
        (recent.covers_own, unknown)
    }

    fn link(&mut self, id: EventId, header: &MessageHeader, open: bool) {
        // Somebody built on it before it came: it is no head.
        let built_on = self.missing.remove(&id);
        self.nearer |= built_on | self.given_up.remove(&id);
        for before in header.parents.iter().chain([&header.prev]) {
            self.heads.remove(before);
            if !open {
                self.closed.remove(before);
            }
        }
        if !built_on {
            self.heads.insert(id);
        }
        if !open {
            self.closed.insert(id);
        }
        self.whole &= !built_on;
        self.whole &= !open;
        self.close_if_whole();
        self.bound_heads();
    }

    /// Forgets the oldest of very many messages that nothing is built on. A part at a time, for all ends are looked at.
    fn bound_heads(&mut self) {
        const MORE: usize = limits::MAX_HEADS / 4;
        if self.heads.len().max(self.closed.len()) <= limits::MAX_HEADS {
            return;
        }
        let clocks: HashMap<EventId, Hlc> = self.all_ends().map(|end| (end.id, end.hlc)).collect();
        for heads in [&mut self.heads, &mut self.closed] {
            if heads.len() > limits::MAX_HEADS {
                let mut latest: Vec<(Option<Hlc>, EventId)> =
                    heads.iter().map(|id| (clocks.get(id).copied(), *id)).collect();
                latest.sort_unstable_by(|a, b| b.cmp(a));
                latest.truncate(limits::MAX_HEADS - MORE);
                *heads = latest.into_iter().map(|(_, id)| id).collect();
            }
        }
    }

    /// These parents are in the store after all, and cover so much of ours.
    pub(super) fn found(&mut self, held: &[(EventId, u64)]) {
        for (id, covers_own) in held {
            self.missing.remove(id);
            self.given_up.remove(id);
            self.nearer = true;
            if self.recent.peek(id).is_none() {
                // What it builds on may be missing, as long as anything is.
                self.recent.put(*id, Recent { covers_own: *covers_own, open: true });
            }
        }
        self.close_if_whole();
        self.correct();
    }

    /// Nobody has the missing parents.
    pub(super) fn give_up_missing(&mut self) {
        if self.given_up.len() < limits::MAX_MISSING_PARENTS {
            self.given_up.extend(&self.missing);
        }
        self.missing.clear();
        self.overflow = false;
        self.close_if_whole();
    }

    /// With nothing missing every head is closed.
    fn close_if_whole(&mut self) {
        if self.missing.is_empty() && !self.overflow && !self.whole {
            self.whole = true;
            self.closed.clone_from(&self.heads);
            for open in &self.open {
                if let Some(recent) = self.recent.get_mut(&open.id) {
                    recent.open = false;
                }
            }
            self.nearer = true;
            self.correct();
            // Whatever is remembered as open is not, from now on.
            for end in self.ends.values().chain(self.branch_ends.values()) {
                if let Some(recent) = self.recent.get_mut(&end.id) {
                    recent.open = false;
                }
            }
        }
    }

    /// Works out again what the messages cover that came before their ancestors, when one of these came. They are in the order in
    /// which they came, so it is repeated while it changes something; a chain against that order may stay short of the truth, never
    /// beyond.
    pub(super) fn correct(&mut self) {
        const ROUNDS: usize = 8;
        if !std::mem::take(&mut self.nearer) {
            return;
        }
        for _ in 0..ROUNDS {
            let mut changed = false;
            for Open { path, id, before } in &self.open {
                let covers = before.iter().filter_map(|id| self.recent.peek(id)).map(|recent| recent.covers_own).max();
                let Some(recent) = self.recent.get_mut(id) else { continue };
                if covers.is_some_and(|covers| covers > recent.covers_own) {
                    recent.covers_own = covers.unwrap_or_default();
                    self.corrected.insert(*id, recent.covers_own);
                    changed = true;
                    let end = self.ends.get_mut(path).or_else(|| self.branch_ends.get_mut(path));
                    if let Some(end) = end.filter(|end| end.id == *id) {
                        end.covers_own = recent.covers_own;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        self.forget_open();
    }

    /// With nothing missing, and nothing given up that may come, no message is looked at again.
    fn forget_open(&mut self) {
        if self.whole && self.given_up.is_empty() {
            self.open.clear();
        }
    }

    /// The messages of which it was corrected what they cover, since this was asked last. As many as may be open at most.
    pub(super) fn take_corrected(&mut self) -> Vec<(EventId, u64)> {
        std::mem::take(&mut self.corrected).into_iter().collect()
    }

    /// Keeps a message for later. `known` says which devices the room knows: what others wrote, which anybody can make up, takes
    /// only a part of the place.
    pub(super) fn wait(&mut self, event: Event, known: impl Fn(&DeviceId) -> bool) -> Result<(), Reject> {
        let place = (event.device(), event.seq());
        match self.waiting.get(&place) {
            // A whole copy is better than one without its payload, which may be refused when its turn comes.
            Some(held) if held.is_bare() && !event.is_bare() => self.drop_waiting(&place),
            Some(_) => return Ok(()),
            None => {}
        }
        let of_device = self.waiting.range((place.0, 0)..=(place.0, u64::MAX)).count();
        let bytes = self.waiting_bytes + event.bytes().len();
        let full = self.waiting.len() >= limits::MAX_WAITING || bytes > limits::MAX_PENDING_BYTES;
        if full || of_device >= limits::MAX_WAITING_PER_DEVICE {
            return Err(Reject::Full);
        }
        let strange = |(device, _): &&(DeviceId, u64)| !known(device);
        if !known(&place.0) && self.waiting.keys().filter(strange).count() >= limits::MAX_WAITING_STRANGE {
            return Err(Reject::Full);
        }
        self.waiting_bytes = bytes;
        self.waiting.insert(place, event);
        Ok(())
    }

    /// Whether a message that waits names this one as the one before it.
    pub(super) fn vouches_for(&self, event: &Event) -> bool {
        let after = self.waiting.get(&(event.device(), event.seq().saturating_add(1)));
        event.message().is_some() && after.is_some_and(|after| after.prev() == event.id())
    }

    /// Takes the waiting message that continues the log of `device`.
    pub(super) fn next_waiting(&mut self, device: &DeviceId) -> Option<Event> {
        let next = self.ends.get(device).map_or(1, |end| end.seq + 1);
        // What is here already need not wait.
        let stale: Vec<_> = self.waiting.range((*device, 0)..(*device, next)).map(|(place, _)| *place).collect();
        stale.iter().for_each(|place| self.drop_waiting(place));
        let event = self.waiting.remove(&(*device, next))?;
        self.waiting_bytes -= event.bytes().len();
        Some(event)
    }

    fn drop_waiting(&mut self, place: &(DeviceId, u64)) {
        if let Some(event) = self.waiting.remove(place) {
            self.waiting_bytes -= event.bytes().len();
        }
    }

    /// The devices of which messages wait.
    pub(super) fn waiting_devices(&self) -> Vec<DeviceId> {
        let mut devices: Vec<DeviceId> = self.waiting.keys().map(|(device, _)| *device).collect();
        devices.dedup();
        devices
    }

    /// The first waiting message of every device, with the gap before it if there is one.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (&Event, Option<Missing>)> {
        let mut last = None;
        self.waiting.iter().filter_map(move |((device, seq), event)| {
            if last.replace(*device) == Some(*device) {
                return None;
            }
            let from = self.ends.get(device).map_or(1, |end| end.seq + 1);
            let log = LogId { device: *device, kind: LogKind::Message };
            Some((event, (from < *seq).then_some(Missing::Log { log, from, to: seq - 1 })))
        })
    }
}

/// What was stored, with the open messages and what they cover; of before there are none of these. The first byte is the version.
fn read(heads: &[u8]) -> Option<(Stored, Vec<(Open, u64)>)> {
    let now = || crate::codec::decode::<(Stored, Vec<(Open, u64)>)>(heads, usize::MAX).ok();
    let third = || crate::codec::decode::<(Stored<OldBranches>, Vec<(Open, u64)>)>(heads, usize::MAX).ok();
    let second = || Some((crate::codec::decode::<Stored<OldBranches>>(heads, usize::MAX).ok()?, Vec::new()));
    match heads.first()? {
        4 => now(),
        3 => third().map(|(stored, open)| (stored.into(), open)),
        2 => second().map(|(stored, open)| (stored.into(), open)),
        _ => None,
    }
}

impl From<Stored<OldBranches>> for Stored {
    fn from(old: Stored<OldBranches>) -> Self {
        let Stored { version, heads, closed, missing, overflow, branches } = old;
        Self { version, heads, closed, missing, overflow, branches: branches.into() }
    }
}

#[cfg(test)]
impl super::Room {
    /// What was stored of heads before branches said what they begin on.
    pub(super) fn version_3_heads(&self) -> Vec<u8> {
        let (Stored { heads, closed, missing, overflow, branches, .. }, open) =
            read(&self.messages.to_bytes()).unwrap_or_default();
        crate::codec::encode(&(Stored { version: 3, heads, closed, missing, overflow, branches: branches.old() }, open))
    }
}
