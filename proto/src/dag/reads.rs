//! How much of the past a grant lets its subject read: a static fact that no change of role ever widens.
//!
//! What an invite or a grant says is an upper bound only. What it comes to is cut to what its giver may read himself, and a
//! change of role to what its subject could read before, whoever wrote it and whatever it says.

use std::cmp::Reverse;

use super::{Dag, GrantIdx, Node, NodeIdx, Set};
use crate::control::{Control, GrantRole, InviteHistory};
use crate::ids::{AccountId, EventId};

/// The newest grants of an account that tell what it could read. A fixed number, for somebody may give it thousands.
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

    /// The most that an account could read by its grants in `view`: by those that nothing in it ends, or else by those under which
    /// it was in last. Whether an end counts is not asked, for that is no static fact: one that does not can only make this less.
    pub fn could_read(&self, account: &AccountId, view: &Set) -> InviteHistory {
        let mut known: Vec<GrantIdx> =
            self.grants_of(account).iter().copied().filter(|g| view.has(self.grants()[*g].op)).collect();
        let age = |g: &GrantIdx| Reverse((self.lamport_of(*g), *g));
        known.sort_unstable_by_key(age);
        known.truncate(LOOKED_AT);
        let standing: Vec<GrantIdx> = known.iter().copied().filter(|g| !self.is_ended(*g, view)).collect();
        if !standing.is_empty() {
            return self.widest(standing.into_iter(), view);
        }
        let op = |g: &GrantIdx| self.grants()[*g].op;
        let followed = |g: &&GrantIdx| known.iter().any(|later| op(later) != op(g) && self.in_past(op(g), op(later)));
        let last: Vec<GrantIdx> = known.iter().filter(|g| !followed(g)).copied().collect();
        // Who was let in while he was in, as one comes who brings another device, had what he had before as well.
        let beside = |last: &GrantIdx| {
            let past = &self.node(op(last)).past;
            let stood = |g: &GrantIdx| g == last || past.has(op(g)) && !self.is_ended(*g, past);
            known.iter().copied().filter(stood).collect::<Vec<_>>()
        };
        self.widest(last.iter().flat_map(beside), view)
    }

    /// Whether something in `view` ends a grant: its subject left, or somebody removed it, or cascading somebody it hangs below.
    fn is_ended(&self, g: GrantIdx, view: &Set) -> bool {
        let ends = |at: NodeIdx, g: GrantIdx| view.has(at) && self.in_past(self.grants()[g].op, at);
        let left = self.kinds.leaves.get(&self.grants()[g].subject);
        if left.into_iter().flatten().any(|at| ends(*at, g)) || self.removes_naming(g).any(|at| ends(at, g)) {
            return true;
        }
        let cascades = |at: &NodeIdx| matches!(&self.node(*at).control, Control::Remove(remove) if remove.cascade);
        let givers = std::iter::successors(self.grants()[g].giver, |g| self.grants()[*g].giver);
        self.kinds.cascades > 0
            && givers.into_iter().any(|above| self.removes_naming(above).filter(cascades).any(|at| ends(at, g)))
    }

    fn lamport_of(&self, g: GrantIdx) -> (u64, EventId) {
        let node = self.node(self.grants()[g].op);
        (node.lamport, node.event.id())
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
