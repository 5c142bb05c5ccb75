//! How much of the past a grant lets its subject read: a static fact that no change of role ever widens.
//!
//! What an invite or a grant says is an upper bound only. What it comes to is cut to what its giver may read himself, and a
//! change of role to what its subject could read before, whoever wrote it and whatever it says.

use std::cmp::Reverse;

use super::{Dag, GrantIdx, Node, NodeIdx, Set};
use crate::control::{Control, GrantRole, InviteHistory};
use crate::ids::{AccountId, EventId};

/// The newest grants of an account that tell what it could read, and the ends of each that are looked at; one with more than that is
/// ended for every later one. A fixed number, for somebody may write thousands.
const LOOKED_AT: usize = 64;

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
    /// than its subject could before.
    pub(super) fn reads_on(&self, grant: &GrantRole, node: &Node) -> InviteHistory {
        let giver = node.auth.map_or(InviteHistory::None, |auth| self.grants()[auth].reads);
        let given = self.narrower(grant.invites.history, giver, &node.past);
        self.narrower(given, self.could_read(&grant.subject, &node.past), &node.past)
    }

    /// The most that an account could read by its grants in `view`: by those that nothing in it ends, or else by those with which
    /// it was in last, of which no later one knew an end. Whether an end counts is not asked, for that is no static fact: one
    /// that does not can only make this less.
    pub fn could_read(&self, account: &AccountId, view: &Set) -> InviteHistory {
        let mut known: Vec<GrantIdx> =
            self.grants_of(account).iter().copied().filter(|g| view.has(self.grants()[*g].op)).collect();
        if known.len() > LOOKED_AT {
            let age = |g: &GrantIdx| Reverse((self.node(self.grants()[*g].op).lamport, self.grants()[*g].rank));
            known.select_nth_unstable_by_key(LOOKED_AT, age);
            known.truncate(LOOKED_AT);
        }
        let ends: Vec<Vec<NodeIdx>> = known.iter().map(|g| self.ends_of(*g, view)).collect();
        let each = || known.iter().copied().zip(&ends);
        let mut standing = each().filter(|(_, ends)| ends.is_empty()).map(|(g, _)| g).peekable();
        if standing.peek().is_some() {
            return self.widest(standing, view);
        }
        let later_knew = |ends: &[NodeIdx]| {
            let knew = |g: &GrantIdx| ends.iter().any(|end| self.in_past(*end, self.grants()[*g].op));
            ends.len() > LOOKED_AT || known.iter().any(knew)
        };
        self.widest(each().filter(|(_, ends)| !later_knew(ends)).map(|(g, _)| g), view)
    }

    /// What ends a grant in `view`, whatever it knew of the grant: its subject left, or somebody removed it, or cascading somebody
    /// it hangs below. Not what the grant was made knowing. At most one more than are looked at.
    fn ends_of(&self, g: GrantIdx, view: &Set) -> Vec<NodeIdx> {
        let left = self.kinds.leaves.get(&self.grants()[g].subject).into_iter().flatten().copied();
        let cascades = |at: &NodeIdx| matches!(&self.node(*at).control, Control::Remove(remove) if remove.cascade);
        let above = std::iter::successors(self.grants()[g].giver, |g| self.grants()[*g].giver);
        let above = above.filter(|_| self.kinds.cascades > 0).flat_map(|g| self.removes_naming(g).filter(cascades));
        let all = left.chain(self.removes_naming(g)).chain(above);
        all.filter(|at| view.has(*at) && !self.in_past(*at, self.grants()[g].op)).take(LOOKED_AT + 1).collect()
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
