//! What an admission hands on of an epoch: never more than who wrote it may have of it himself.
//!
//! Whoever holds a key hands it on from the slice on in which an admission let somebody in. So an admission is worth what its author
//! had in its own past, a static fact: all of the epoch, if it was made for a device of his account or his grant lets him read it, or
//! else what an admission of himself opened. Otherwise a newcomer would let himself in once more, into an epoch of before.

use super::epochs::Epochs;
use crate::control::{Admit, Control};
use crate::dag::{Dag, Node, NodeIdx};
use crate::ids::EpochId;

impl Epochs {
    /// Works out what an admission opens, in order of acceptance; of other events nothing.
    pub(super) fn note_opening(&mut self, dag: &Dag, at: NodeIdx) {
        let node = dag.node(at);
        let Control::Admit(admit) = &node.control else { return };
        if self.reads_from(dag, node, &admit.epoch).is_some_and(|from| from <= admit.slice) {
            self.openings.insert(at);
        }
    }

    /// Whether an admission opens what it says.
    pub(super) fn opens(&self, at: NodeIdx) -> bool {
        self.openings.contains(&at)
    }

    /// From which slice on the author of an event may have the key of an epoch, by the event's past.
    fn reads_from(&self, dag: &Dag, node: &Node, epoch: &EpochId) -> Option<u32> {
        let (_, rotate) = dag.epoch(epoch)?;
        let recipients = &self.info(epoch)?.recipients;
        let known = |no: &usize| dag.account_in(*no, &node.past) == Some(node.author);
        let mut devices = dag.devices_of(&node.author).iter().filter(|no| known(no));
        let by_history = |g| self.history_reaches(dag, g, rotate.share_history, epoch, |at| node.past.has(at));
        if devices.any(|no| recipients.has(*no)) || node.auth.is_some_and(by_history) {
            return Some(0);
        }
        let into = |admit: &Admit| (admit.epoch == *epoch).then_some(admit.slice);
        let own = dag.grants_of(&node.author).iter().map(|g| dag.grants()[*g].op);
        let opened = own.filter(|op| node.past.has(*op) && self.opens(*op));
        opened.filter_map(|op| if let Control::Admit(admit) = &dag.node(op).control { into(admit) } else { None }).min()
    }
}
