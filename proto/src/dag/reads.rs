//! How much of the past a grant lets its subject read: a static fact that no change of role ever widens.
//!
//! What an invite or a grant says is an upper bound only. What it comes to is cut to what its giver may read himself, and a
//! change of role to what its subject could read before, whoever wrote it and whatever it says.

use std::cmp::Reverse;

use super::{Dag, GrantIdx, Node, NodeIdx, Set};
use crate::control::{Control, GrantRole, InviteHistory};
use crate::ids::{AccountId, EventId};

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
    /// it was in last, of which no other knew an end. Whether an end counts is not asked, for that is no static fact: one
    /// that does not can only make this less. All are looked at, however many there are: whoever may choose which are left out
    /// chooses what comes of it.
    pub fn could_read(&self, account: &AccountId, view: &Set) -> InviteHistory {
        let grants = || self.grants_of(account).iter().copied().filter(|g| view.has(self.grants()[*g].op));
        let ended = Ends::of(self, account, |end| view.has(end));
        let mut standing = grants().filter(|g| !ended.any(*g)).peekable();
        if standing.peek().is_some() {
            return self.widest(standing, view);
        }
        let knew = self.known_by(grants());
        let known = Ends::of(self, account, |end| knew.has(end));
        self.widest(grants().filter(|g| !known.any(*g)), view)
    }

    /// What these grants were made knowing, together. What is in the past of one that was looked at adds nothing.
    fn known_by(&self, grants: impl Iterator<Item = GrantIdx>) -> Set {
        let mut ops: Vec<NodeIdx> = grants.map(|g| self.grants()[g].op).collect();
        ops.sort_unstable_by_key(|op| Reverse(self.node(*op).lamport));
        let mut knew = Set::default();
        for op in ops {
            if !knew.has(op) {
                knew.put_all(&self.node(op).past);
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

/// What ends grants of one account, whatever it knew of them: its subject left, or somebody removed it, or cascading somebody it hangs
/// below. Not what the grant itself was made knowing.
struct Ends<'a, F> {
    dag: &'a Dag,
    /// Which ends are looked at.
    counts: F,
    /// Those that name the account: one comparison of sets a grant, for there may be thousands of both.
    account: Set,
}

impl<'a, F: Fn(NodeIdx) -> bool> Ends<'a, F> {
    fn of(dag: &'a Dag, account: &AccountId, counts: F) -> Self {
        let mut set = Set::default();
        let left = dag.kinds.leaves.get(account).into_iter().flatten().copied();
        left.chain(dag.removes_of(account)).filter(|at| counts(*at)).for_each(|at| set.put(at));
        Self { dag, counts, account: set }
    }

    fn any(&self, g: GrantIdx) -> bool {
        let Self { dag, counts, account } = self;
        let past = &dag.node(dag.grants()[g].op).past;
        let cascades = |at: &NodeIdx| matches!(&dag.node(*at).control, Control::Remove(remove) if remove.cascade);
        let above = std::iter::successors(dag.grants()[g].giver, |g| dag.grants()[*g].giver);
        let above = above.filter(|_| dag.kinds.cascades > 0).flat_map(|g| dag.removes_naming(g).filter(cascades));
        !account.within(past) || dag.removes_beside(g).chain(above).any(|at| counts(at) && !past.has(at))
    }
}
