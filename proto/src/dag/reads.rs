//! How much of the past a grant lets its subject read: a fact of its own past, that no change of role ever widens.
//!
//! What an invite or a grant says is an upper bound only. What it comes to is cut to what its giver may read himself, and a
//! change of role to what its subject could read before (`room/reads.rs`), whoever wrote it and whatever it says.

use std::cmp::Reverse;

use super::{Dag, GrantIdx, Node, NodeIdx, Set};
use crate::control::{Control, GrantRole, InviteHistory};
use crate::ids::EventId;

/// Orders what histories show: nothing, since a later epoch, since an earlier one, everything.
type Breadth = (u8, Option<Reverse<(u64, Reverse<EventId>)>>);

impl Dag {
    /// How much of the past newcomers by an invite may read: what it says, and no more than who made it.
    pub fn lets_read(&self, invite: NodeIdx) -> InviteHistory {
        let node = self.node(invite);
        match (&node.control, node.auth) {
            (Control::Invite(invite), Some(auth)) => {
                self.narrower(invite.history, self.grants()[auth].reads, &node.past)
            }
            _ => InviteHistory::None,
        }
    }

    /// The less of two histories, by the epochs of a view; an epoch that is not in it shows nothing.
    pub fn narrower(&self, one: InviteHistory, other: InviteHistory, view: &Set) -> InviteHistory {
        let known = |history: InviteHistory| self.known_in(history, view);
        [one, other].map(known).into_iter().min_by_key(|history| self.breadth(history)).unwrap_or(InviteHistory::None)
    }

    /// The most that any of these grants lets read, by the epochs of a view.
    pub fn widest(&self, grants: impl Iterator<Item = GrantIdx>, view: &Set) -> InviteHistory {
        let reads = grants.map(|g| self.known_in(self.grants()[g].reads, view));
        reads.max_by_key(|history| self.breadth(history)).unwrap_or(InviteHistory::None)
    }

    /// What a change of role, at `node`, may let its subject read at most: what it says, and no more than its giver may read. It is cut
    /// to what its subject could read before once that is known ([`Self::cut_reads`]).
    pub(super) fn reads_on(&self, grant: &GrantRole, node: &Node) -> InviteHistory {
        let giver = node.auth.map_or(InviteHistory::None, |auth| self.grants()[auth].reads);
        self.narrower(grant.invites.history, giver, &node.past)
    }

    /// Cuts what the grants made by an event let read. To be called before anything is built on them.
    pub fn cut_reads(&mut self, op: NodeIdx, could: InviteHistory) {
        for g in self.grants_by(op) {
            let reads = self.narrower(self.grants()[g].reads, could, &self.node(op).past);
            self.set_reads(g, reads);
        }
    }

    /// What the authors of these events knew, together. What is in the past of one that was looked at adds nothing.
    pub fn known_by(&self, events: impl Iterator<Item = NodeIdx>) -> Set {
        let mut events: Vec<NodeIdx> = events.collect();
        events.sort_unstable_by_key(|at| Reverse(self.node(*at).lamport));
        let mut knew = Set::default();
        for at in events {
            if !knew.has(at) {
                knew.put_all(&self.node(at).past);
            }
        }
        knew
    }

    fn known_in(&self, history: InviteHistory, view: &Set) -> InviteHistory {
        match history {
            InviteHistory::Since(first) if !self.epoch(&first).is_some_and(|(at, _)| view.has(at)) => {
                InviteHistory::None
            }
            _ => history,
        }
    }

    fn breadth(&self, history: &InviteHistory) -> Breadth {
        let order = |at: NodeIdx| Reverse((self.node(at).lamport, Reverse(self.node(at).event.id())));
        match history {
            InviteHistory::None => (0, None),
            InviteHistory::Since(first) => (1, self.epoch(first).map(|(at, _)| order(at))),
            InviteHistory::Full => (2, None),
        }
    }
}
