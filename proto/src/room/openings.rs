//! What an admission hands on of an epoch: never more than who wrote it may have of it himself.
//!
//! Whoever holds a key hands it on from the slice on in which an admission let somebody in. So an admission opens an epoch only if its
//! author had that slice by the admission's own past: the epoch was made for a device of his account, or the grant he acted under lets
//! him read it, or an admission of himself opened it. All of these must count: nobody may use a grant that was void or is over to write
//! himself what he then acts upon. Otherwise a newcomer would let himself in once more, into an epoch of before.

use std::collections::BTreeSet;

use super::Room;
use super::epochs::Epochs;
use crate::control::{Admit, Control};
use crate::dag::{Dag, Node, NodeIdx};
use crate::ids::EpochId;
use crate::resolve::Resolved;

/// Why the author of an admission may hand on what it opens.
#[derive(Debug)]
pub(super) enum Support {
    /// By the history modes, or because the epoch was made for him.
    Himself,
    /// By the admission that made the grant he acted under, if it counts and opens it. Only by that: of many of himself nobody is
    /// asked to look at all.
    By(NodeIdx),
}

/// The admissions into an epoch whose commitment is to another key than the epoch's: who came by one holds nothing that opens, and can
/// not know it from who holds the true key.
#[derive(Debug, Default)]
pub(super) struct FalseKeys {
    epoch: Option<EpochId>,
    /// How many admissions into the epoch were looked at.
    looked: usize,
    found: BTreeSet<NodeIdx>,
}

impl Room {
    /// Looks at the admissions into the epoch we write under that came since.
    pub(super) fn look_for_false_keys(&mut self) {
        if self.epochs.false_keys.epoch != self.best {
            self.epochs.false_keys = FalseKeys { epoch: self.best, ..FalseKeys::default() };
        }
        let Some(best) = self.best else { return };
        let Some(held) = self.epochs.held().get(&best).filter(|held| held.checked).cloned() else { return };
        let admissions = self.dag.kinds().slices.get(&best).map_or(&[][..], Vec::as_slice);
        let new = admissions.iter().skip(self.epochs.false_keys.looked).filter(|(_, slice)| *slice >= held.slice);
        let lies = |at: &NodeIdx| match &self.dag.node(*at).control {
            Control::Admit(admit) => !self.leads_to(&held, admit),
            _ => false,
        };
        let found: BTreeSet<NodeIdx> = new.map(|(at, _)| *at).filter(lies).collect();
        let looked = admissions.len();
        self.epochs.false_keys.found.extend(found);
        self.epochs.false_keys.looked = looked;
    }

    /// Whether somebody is in who was let into the epoch we write under with a false key alone: only another epoch helps him.
    pub(super) fn somebody_holds_a_false_key(&self) -> bool {
        let Some(best) = self.best else { return false };
        let holds = |at: &&NodeIdx| {
            let Control::Admit(admit) = &self.dag.node(**at).control else { return false };
            let device = admit.join.entrant.device();
            let truly = |(other, _): &(NodeIdx, &Admit)| !self.epochs.false_keys.found.contains(other);
            self.is_live_device(&device)
                && !self.was_recipient(&device, &best)
                && !self.admits_of(&device, &best).iter().any(truly)
                && self.epochs.opens(&self.dag, **at, &self.resolved)
        };
        self.epochs.false_keys.found.iter().find(holds).is_some()
    }
}

impl Epochs {
    /// Works out why an admission may open what it says, in order of acceptance; of other events nothing.
    pub(super) fn note_opening(&mut self, dag: &Dag, at: NodeIdx) {
        let node = dag.node(at);
        let Control::Admit(admit) = &node.control else { return };
        if self.reads_by_itself(dag, node, &admit.epoch) {
            self.openings.insert(at, Support::Himself);
            return;
        }
        let Some(came) = node.auth.map(|auth| dag.grants()[auth].op) else { return };
        let into = matches!(&dag.node(came).control, Control::Admit(own) if own.epoch == admit.epoch && own.slice <= admit.slice);
        if into && self.openings.contains_key(&came) {
            self.openings.insert(at, Support::By(came));
        }
    }

    /// Whether an admission counts and opens what it says.
    pub(super) fn opens(&self, dag: &Dag, at: NodeIdx, resolved: &Resolved) -> bool {
        let mut next = Some(at);
        while let Some(at) = next {
            if !dag.grants_by(at).any(|g| resolved.began(dag, g)) {
                return false;
            }
            next = match self.openings.get(&at) {
                Some(Support::Himself) => return true,
                Some(Support::By(came)) => Some(*came),
                None => None,
            };
        }
        false
    }

    /// Whether the author of an event may have all of an epoch, by the event's past.
    fn reads_by_itself(&self, dag: &Dag, node: &Node, epoch: &EpochId) -> bool {
        let (Some((_, rotate)), Some(info)) = (dag.epoch(epoch), self.info(epoch)) else { return false };
        let known = |no: &usize| dag.account_in(*no, &node.past) == Some(node.author);
        let mut devices = dag.devices_of(&node.author).iter().filter(|no| known(no));
        let by_history = |g| self.history_reaches(dag, g, rotate.share_history, epoch, |at| node.past.has(at));
        devices.any(|no| info.recipients.has(*no)) || node.auth.is_some_and(by_history)
    }
}
