//! What an admission hands on of an epoch: never more than who wrote it may have of it himself.
//!
//! Whoever holds a key hands it on from the slice on in which an admission let somebody in. So an admission opens an epoch only if its
//! author had that slice by the admission's own past: the epoch was made for a device of his account, or the grant he acted under lets
//! him read it, or an admission of himself opened it. All of these must count: nobody may use a grant that was void or is over to write
//! himself what he then acts upon. Otherwise a newcomer would let himself in once more, into an epoch of before.

use std::collections::HashMap;

use super::epochs::Epochs;
use crate::control::Control;
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

/// Admissions, each with whether it counts and opens what it says.
pub(super) type Opened = HashMap<NodeIdx, bool>;

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
        self.opens_beside(dag, at, resolved, &mut Opened::new())
    }

    /// The same, of one of many: what was said of those before it is `known`, so a long row of people who let in each other is walked
    /// once.
    pub(super) fn opens_beside(&self, dag: &Dag, at: NodeIdx, resolved: &Resolved, known: &mut Opened) -> bool {
        let (mut way, mut next) = (Vec::new(), Some(at));
        let opens = loop {
            let Some(at) = next else { break false };
            if let Some(opens) = known.get(&at) {
                break *opens;
            }
            #[cfg(test)]
            crate::steps::note();
            way.push(at);
            if !dag.grants_by(at).any(|g| resolved.began(dag, g)) {
                break false;
            }
            next = match self.openings.get(&at) {
                Some(Support::Himself) => break true,
                Some(Support::By(came)) => Some(*came),
                None => None,
            };
        };
        known.extend(way.into_iter().map(|at| (at, opens)));
        opens
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
