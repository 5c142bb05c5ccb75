//! How much of the past a grant lets its subject read: a static fact that no change of role ever widens.
//!
//! What an invite or a grant says is an upper bound only. What it comes to is cut to what its giver may read himself, and a
//! change of role to what its subject could read before, whoever wrote it and whatever it says.

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

    /// What a change of role, at `node`, lets its subject read: what it says, no more than its giver may read, and no more
    /// than its subject could before by one of the grants in its past.
    pub(super) fn reads_on(&self, grant: &GrantRole, node: &Node) -> InviteHistory {
        let giver = node.auth.map_or(InviteHistory::None, |auth| self.grants()[auth].reads);
        let before = self.grants_of(&grant.subject).iter().copied().filter(|g| node.past.has(self.grants()[*g].op));
        let own = self.widest(before, &node.past);
        let given = self.narrower(grant.invites.history, giver, &node.past);
        self.narrower(given, own, &node.past)
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
