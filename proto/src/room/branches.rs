//! The branches of logs whose devices wrote two events of one number.
//!
//! Such a log is a tree. It is *kept* as paths, in the order in which events came: the log as it was, and for every event
//! that found its place taken a new path beginning with it. It is *compared* as stretches: the tree cut after every event
//! that several follow. A stretch after such an event is named by the id of its first event, and its events are numbered
//! from 1; so it is a log like any other, and two nodes with the same events have the same stretches, whichever branch each
//! of them saw first. Logs that never forked are not in here at all.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::ids::{DeviceId, EventId};

/// The forked logs of one kind in a room. Nothing in here is searched for: a control log may have any number of branches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<DeviceId, Vec<Path>>", into = "BTreeMap<DeviceId, Vec<Path>>")]
pub(super) struct Branches {
    logs: BTreeMap<DeviceId, Vec<Path>>,
    /// Every path by name: the log it is of, and its place there.
    paths: HashMap<DeviceId, (DeviceId, usize)>,
    /// Every stretch after a fork: the path it is kept in, and how many events of that come before it.
    stretches: HashMap<DeviceId, (DeviceId, u64)>,
}

/// Events of a log of which each follows the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Path {
    /// The device; of a branch the id of its first event.
    name: DeviceId,
    /// Number of its first event.
    first: u64,
    /// After which numbers other paths begin.
    forks: BTreeMap<u64, Fork>,
    /// Which path of the log it begins on, by its place among them, always before its own. `None` of the log as it was, and where
    /// that is not known.
    on: Option<usize>,
}

/// The forked logs as they were stored before paths knew what they begin on.
pub(super) type OldBranches = BTreeMap<DeviceId, Vec<OldPath>>;

/// A path as it was stored then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OldPath {
    name: DeviceId,
    first: u64,
    forks: BTreeMap<u64, Fork>,
}

/// Where a path goes on beside others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fork {
    /// The event before; zero before the first.
    before: EventId,
    /// The one that follows on this path.
    next: EventId,
}

/// Where an event of a forked log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The path it is kept in: the device, or the id of the first event of the branch.
    pub path: DeviceId,
    /// Its number in the path, from 1.
    pub at: u64,
    /// The stretch it is compared in.
    pub stretch: DeviceId,
    /// Its number in the stretch, from 1.
    pub number: u64,
}

/// A stretch ends earlier than before, for something else follows there too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Which stretch.
    pub stretch: DeviceId,
    /// Its last number now; 0 if nothing of it is left.
    pub end: u64,
    /// The event there.
    pub id: EventId,
    /// What the rest of it is called.
    pub rest: DeviceId,
}

/// Where an accepted event of a forked log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The event.
    pub event: EventId,
    /// Its place.
    pub place: Place,
    /// What its coming cuts. To be applied to the tables of sync when the event is durable, before its own number is noted.
    pub cut: Option<Cut>,
}

/// The last event of a message log, or of a branch of one, as storage holds it.
#[derive(Debug, Clone)]
pub struct MessageTip {
    /// Under which name it is kept: the device, or that of a branch ([`Place::path`]).
    pub path: DeviceId,
    /// The event.
    pub event: Event,
    /// What was stored with it.
    pub covers_own: u64,
}

/// What storage holds around the place of a message whose author wrote two of one number.
#[derive(Debug, Clone)]
pub struct Sibling {
    /// The name of the log or branch that `next` is kept in.
    pub path: DeviceId,
    /// The message before both; `None` if they are the first.
    pub before: Option<MessageTip>,
    /// The message that is held with the number of the other.
    pub next: Event,
}

impl Path {
    fn new(name: DeviceId, first: u64, on: Option<usize>) -> Self {
        Self { name, first, forks: BTreeMap::new(), on }
    }

    /// The stretch with number `seq`, and the number before its first.
    fn stretch(&self, seq: u64) -> (DeviceId, u64) {
        match self.forks.range(..seq).next_back() {
            Some((before, fork)) => (DeviceId(fork.next.0), *before),
            None => (self.name, self.first - 1),
        }
    }

    fn place(&self, seq: u64) -> Place {
        let (stretch, before) = self.stretch(seq);
        Place { path: self.name, at: seq.saturating_sub(self.first - 1), stretch, number: seq.saturating_sub(before) }
    }
}

impl Branches {
    /// Whether the log of `device` forked.
    pub(super) fn has(&self, device: &DeviceId) -> bool {
        self.logs.contains_key(device)
    }

    /// The number up to which all branches of a log are one; `None` of a log that did not fork.
    pub(super) fn common(&self, device: &DeviceId) -> Option<u64> {
        // Every branch begins on another path, the first ones on the log as it was.
        self.logs.get(device)?.first()?.forks.keys().next().copied()
    }

    /// The names of the paths of a log, the log as it was first.
    pub(super) fn paths(&self, device: &DeviceId) -> impl Iterator<Item = &DeviceId> {
        self.logs.get(device).into_iter().flatten().map(|path| &path.name)
    }

    /// How many paths a log has; 0 of one that did not fork.
    pub(super) fn count(&self, device: &DeviceId) -> usize {
        self.logs.get(device).map_or(0, Vec::len)
    }

    /// How many paths all forked logs have.
    pub(super) fn count_all(&self) -> usize {
        self.paths.len()
    }

    /// Where the event with number `seq` on a path of the log stands; `None` of a log that did not fork.
    pub(super) fn place(&self, device: &DeviceId, path: &DeviceId, seq: u64) -> Option<Place> {
        self.path(device, path).map(|path| path.place(seq))
    }

    /// Whether number `at.1` on the path `at.0` of a log lies on the way from its beginning to number `end.1` on the path `end.0`;
    /// `None` where that is not known.
    pub(super) fn leads_to(&self, device: &DeviceId, at: (&DeviceId, u64), end: (&DeviceId, u64)) -> Option<bool> {
        let paths = self.logs.get(device)?;
        let place = |name: &DeviceId| self.paths.get(name).filter(|(of, _)| of == device).map(|(_, place)| *place);
        let (wanted, mut on, mut up_to) = (place(at.0)?, place(end.0)?, end.1);
        while on != wanted && on > 0 {
            let path = paths.get(on)?;
            (on, up_to) = (path.on?, path.first.saturating_sub(1));
        }
        Some(on == wanted && at.1 <= up_to)
    }

    /// The devices whose logs forked.
    pub(super) fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        self.logs.keys()
    }

    /// Whose log a path is of, and the number in that of the event that is the path's number `at`.
    pub(super) fn numbered(&self, path: &DeviceId, at: u64) -> Option<(DeviceId, u64)> {
        let device = self.owner(path)?;
        Some((device, self.path(&device, path)?.first.checked_add(at)?.checked_sub(1)?))
    }

    /// Whose log a path is of.
    pub(super) fn owner(&self, path: &DeviceId) -> Option<DeviceId> {
        self.paths.get(path).map(|(device, _)| *device)
    }

    /// In which path a stretch is kept, and how many events of the path come before it. `None` of one that is a log of its
    /// own, as most are.
    pub(super) fn kept_in(&self, stretch: &DeviceId) -> Option<(DeviceId, u64)> {
        self.stretches.get(stretch).copied()
    }

    /// Begins a branch with the event `first`, which follows number `seq` of `path` (0: nothing) although `next` does.
    /// `before` is the event with that number. Answers what that cuts, nothing if others follow there already.
    pub(super) fn begin(
        &mut self,
        device: DeviceId,
        path: &DeviceId,
        (seq, before): (u64, EventId),
        next: EventId,
        first: EventId,
    ) -> Option<Cut> {
        let paths = self.logs.entry(device).or_insert_with(|| vec![Path::new(device, 1, None)]);
        self.paths.entry(device).or_insert((device, 0));
        let (of, place) = *self.paths.get(path)?;
        let on = paths.get_mut(place).filter(|_| of == device)?;
        let (stretch, start) = on.stretch(seq.saturating_add(1));
        let known = on.forks.contains_key(&seq);
        if !known {
            on.forks.insert(seq, Fork { before, next });
            self.stretches.insert(DeviceId(next.0), (on.name, seq.saturating_sub(on.first - 1)));
        }
        let branch = DeviceId(first.0);
        self.paths.insert(branch, (device, paths.len()));
        paths.push(Path::new(branch, seq.saturating_add(1), Some(place)));
        let cut = Cut { stretch, end: seq - start, id: before, rest: DeviceId(next.0) };
        (!known).then_some(cut)
    }

    /// The stretches of a path that ends with this event, with their ends.
    pub(super) fn stretches(
        &self,
        device: &DeviceId,
        path: &DeviceId,
        end: (u64, EventId),
    ) -> Vec<(DeviceId, u64, EventId)> {
        let Some(path) = self.path(device, path) else { return vec![(*path, end.0, end.1)] };
        let (mut name, mut start) = (path.name, path.first - 1);
        let mut stretches = Vec::new();
        for (before, fork) in &path.forks {
            stretches.push((name, before - start, fork.before));
            (name, start) = (DeviceId(fork.next.0), *before);
        }
        stretches.push((name, end.0.saturating_sub(start), end.1));
        stretches.retain(|(_, len, _)| *len > 0);
        stretches
    }

    fn path(&self, device: &DeviceId, name: &DeviceId) -> Option<&Path> {
        let (of, place) = self.paths.get(name)?;
        self.logs.get(device).filter(|_| of == device)?.get(*place)
    }
}

impl From<BTreeMap<DeviceId, Vec<Path>>> for Branches {
    fn from(mut logs: BTreeMap<DeviceId, Vec<Path>>) -> Self {
        let (mut paths, mut stretches) = (HashMap::new(), HashMap::new());
        for (device, held) in &mut logs {
            for (place, path) in held.iter_mut().enumerate() {
                path.on = path.on.filter(|on| *on < place);
                paths.insert(path.name, (*device, place));
                let after = |(seq, fork): (&u64, &Fork)| {
                    (DeviceId(fork.next.0), (path.name, seq.saturating_sub(path.first.saturating_sub(1))))
                };
                stretches.extend(path.forks.iter().map(after));
            }
        }
        Self { logs, paths, stretches }
    }
}

impl From<OldBranches> for Branches {
    /// What a path begins on is the one that forks before its first event. Of several it is not known which.
    fn from(old: OldBranches) -> Self {
        let log = |old: Vec<OldPath>| {
            let begins_on = |place: usize, first: u64| {
                let before = old.iter().take(place).enumerate();
                let mut on = before.filter(|(_, path)| path.forks.contains_key(&first.saturating_sub(1)));
                on.next().map(|(on, _)| on).filter(|_| on.next().is_none())
            };
            let on: Vec<Option<usize>> = (0..).zip(&old).map(|(place, path)| begins_on(place, path.first)).collect();
            let paths = old.iter().cloned().zip(on);
            paths.map(|(OldPath { name, first, forks }, on)| Path { name, first, forks, on }).collect()
        };
        let logs: BTreeMap<DeviceId, Vec<Path>> = old.into_iter().map(|(device, paths)| (device, log(paths))).collect();
        Self::from(logs)
    }
}

impl From<Branches> for BTreeMap<DeviceId, Vec<Path>> {
    fn from(branches: Branches) -> Self {
        branches.logs
    }
}

#[cfg(test)]
impl Branches {
    /// As they were stored before paths knew what they begin on.
    pub(super) fn old(self) -> OldBranches {
        let old = |Path { name, first, forks, .. }: Path| OldPath { name, first, forks };
        self.logs.into_iter().map(|(device, paths)| (device, paths.into_iter().map(old).collect())).collect()
    }
}
