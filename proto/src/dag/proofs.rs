//! What is proved of logs that contradict themselves: which branches they have, and which are left out for having too many.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dag, NodeIdx};
use crate::control::Contradiction;
use crate::event::{LogId, LogKind};
use crate::ids::EventId;
use crate::limits;

/// The proofs against one log.
#[derive(Debug, Default)]
pub struct Proofs {
    all: Vec<(NodeIdx, Contradiction)>,
    /// What is shown to follow an event beside something else.
    after: BTreeMap<EventId, BTreeSet<EventId>>,
    /// How many branches that makes, beside the log itself.
    branches: usize,
}

impl Proofs {
    pub(super) fn add(&mut self, at: NodeIdx, shown: Contradiction) {
        self.all.push((at, shown));
        let Some(after) = shown.after else { return };
        let beside = self.after.entry(after).or_default();
        let before = beside.len().max(1);
        beside.extend(shown.events);
        self.branches += beside.len() - before;
    }
}

impl Dag {
    /// The first proof that a log contradicts itself.
    pub fn proof_of(&self, log: &LogId) -> Option<NodeIdx> {
        self.kinds.proofs.get(log)?.all.first().map(|(at, _)| *at)
    }

    /// Whether another proof that shows this says nothing new beside those `known`: of a control log one is enough, of a message
    /// log one for each branch, until they are enough to leave it out.
    pub fn is_proved(&self, shown: &Contradiction, known: impl Fn(NodeIdx) -> bool) -> bool {
        let all = self.kinds.proofs.get(&shown.log).map_or(&[][..], |proofs| proofs.all.as_slice());
        let mut known = all.iter().filter(|(at, _)| known(*at)).peekable();
        if shown.log.kind == LogKind::Control || shown.after.is_none() {
            return known.peek().is_some();
        }
        let mut proofs = Proofs::default();
        known.for_each(|(at, shown)| proofs.add(*at, *shown));
        let shows = |beside: &BTreeSet<EventId>| shown.events.iter().all(|event| beside.contains(event));
        let again = shown.after.and_then(|after| proofs.after.get(&after)).is_some_and(shows);
        again || proofs.branches >= limits::MAX_PROVED_BRANCHES
    }

    /// Whether a message log has so many branches, by the proofs here, that nobody takes or tells of any of it: whoever holds the
    /// same control events decides alike.
    pub fn is_left_out(&self, log: &LogId) -> bool {
        let many = |proofs: &Proofs| proofs.branches >= limits::MAX_PROVED_BRANCHES;
        log.kind == LogKind::Message && self.kinds.proofs.get(log).is_some_and(many)
    }

    /// Whether any log is left out.
    pub fn leaves_out(&self) -> bool {
        self.kinds.proofs.keys().any(|log| self.is_left_out(log))
    }
}
