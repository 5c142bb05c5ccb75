//! Resolution: what the control events of a view mean together. A pure function of a set.
//!
//! Grants are decided in the order of seniority, the most senior first; every grant is junior to all that its validity
//! depends on, so whatever a decision asks for is decided already (C2). A grant is
//!
//! - **ok** if what made it counts: it is of the genesis, or its event and its invite are *admissible*, no revocation the
//!   sponsor had not seen voids it, and the invite is not used up;
//! - **killed** by every event that ends it: a Leave of its subject, unless the grant was made knowing the Leave: that is
//!   a return. (A Remove by a more senior grant will end it likewise.)
//! - **live** if it is ok and nobody killed it.
//!
//! An event is *admissible* if the grant it was made under is ok, and it lies inside the *fence* of everything that
//! killed that grant. The fence of a Leave is its past. A member is an account with a live grant; its most senior one
//! counts.
//!
//! From scratch this is `O(n log n)` for the order and about one step for every grant, event and kill.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::control::{Control, LogPoint};
use crate::dag::{Dag, GrantIdx, NodeIdx, Set};
use crate::ids::AccountId;

/// Something that ends a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    /// The event.
    pub op: NodeIdx,
    /// What of the subject's control events still counts.
    pub fence: Fence,
}

/// Up to where events of a killed grant count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// What the event that killed had seen: of a Leave.
    Past,
}

/// What a view of the control events means.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// Every grant: whether what made it counts.
    ok: Vec<bool>,
    /// Every grant: what ended it.
    kills: Vec<Vec<Kill>>,
    /// Every live account with its most senior live grant.
    members: BTreeMap<AccountId, GrantIdx>,
    /// The accounts that came by an invite.
    uses: HashMap<NodeIdx, BTreeSet<AccountId>>,
    /// The settings: number to value.
    settings: BTreeMap<u8, Vec<u8>>,
}

/// Resolves the events of `view`, which holds the ancestors of all its events.
pub fn resolve(dag: &Dag, view: &Set) -> Resolved {
    let n = dag.grants().len();
    let mut resolved = Resolved { ok: vec![false; n], kills: vec![Vec::new(); n], ..Resolved::default() };
    let order = dag.by_seniority();
    let mut decided = Set::default();
    for g in order.iter().copied().filter(|g| view.has(dag.grants()[*g].op)) {
        let grant = &dag.grants()[g];
        debug_assert!(grant.parent.is_none_or(|parent| decided.has(parent)), "a grant is junior to its parent");
        resolved.ok[g] = resolved.counts(dag, view, g);
        resolved.kills[g] = resolved.kills_of(dag, view, g);
        decided.put(g);
        if resolved.is_live(g) {
            resolved.members.entry(grant.subject).or_insert(g);
        }
    }
    resolved.play_settings(dag, view, &order);
    resolved
}

impl Resolved {
    /// The live accounts with their most senior live grants.
    pub fn members(&self) -> &BTreeMap<AccountId, GrantIdx> {
        &self.members
    }

    /// The settings: number to value.
    pub fn settings(&self) -> &BTreeMap<u8, Vec<u8>> {
        &self.settings
    }

    /// The accounts that came by an invite.
    pub fn uses(&self, invite: NodeIdx) -> usize {
        self.uses.get(&invite).map_or(0, BTreeSet::len)
    }

    /// Whether `account` came by an invite.
    pub fn used_by(&self, invite: NodeIdx, account: &AccountId) -> bool {
        self.uses.get(&invite).is_some_and(|accounts| accounts.contains(account))
    }

    /// Whether what made the grant counts.
    pub fn is_ok(&self, g: GrantIdx) -> bool {
        self.ok.get(g).copied().unwrap_or(false)
    }

    /// What ended the grant.
    pub fn kills(&self, g: GrantIdx) -> &[Kill] {
        self.kills.get(g).map_or(&[], Vec::as_slice)
    }

    /// Whether the grant is ok and nobody ended it.
    pub fn is_live(&self, g: GrantIdx) -> bool {
        self.is_ok(g) && self.kills(g).is_empty()
    }

    /// Whether the event counts.
    pub fn is_admissible(&self, dag: &Dag, op: NodeIdx) -> bool {
        let Some(auth) = dag.node(op).auth else { return true };
        self.is_ok(auth) && self.kills(auth).iter().all(|kill| kill.fence.holds(dag, kill.op, op))
    }

    /// Whether an invite takes nobody any more: revoked in `view`, or its maker is out.
    pub fn is_closed(&self, dag: &Dag, view: &Set, invite: NodeIdx) -> bool {
        let maker_out = dag.node(invite).auth.is_some_and(|auth| !self.is_live(auth));
        maker_out || !self.is_admissible(dag, invite) || self.revokes(dag, view, invite).next().is_some()
    }

    /// Whether a message of `author` at `point` counts that was written under the grant `g`: inside the message fences
    /// of all that ended it.
    pub fn admits_message(&self, dag: &Dag, g: GrantIdx, point: &LogPoint) -> bool {
        self.kills(g).iter().all(|kill| message_fence_holds(dag, kill.op, point))
    }

    /// The devices of the live members by the certificates in `view`.
    pub fn live_devices(&self, dag: &Dag, view: &Set) -> Set {
        let mut live = Set::default();
        for no in 0..dag.devices().len() {
            if dag.account_in(no, view).is_some_and(|account| self.members.contains_key(&account)) {
                live.put(no);
            }
        }
        live
    }

    /// Whether what made the grant counts; all more senior grants are decided.
    fn counts(&mut self, dag: &Dag, view: &Set, g: GrantIdx) -> bool {
        let grant = &dag.grants()[g];
        let Control::Admit(admit) = &dag.node(grant.op).control else {
            return grant.parent.is_none();
        };
        let Some((invite_at, invite)) = dag.invite(&admit.invite) else { return false };
        if !self.is_admissible(dag, grant.op) || !self.is_admissible(dag, invite_at) {
            return false;
        }
        if self.revokes(dag, view, invite_at).any(|revoke| !dag.in_past(grant.op, revoke)) {
            return false;
        }
        let inviter_kills = dag.node(invite_at).auth.map_or(&[][..], |inviter| self.kills(inviter));
        if inviter_kills.iter().any(|kill| !dag.in_past(grant.op, kill.op)) {
            return false;
        }
        let accounts = self.uses.entry(invite_at).or_default();
        let room = invite.max_uses == u32::MAX || accounts.len() < invite.max_uses as usize;
        let counts = room || accounts.contains(&grant.subject);
        if counts {
            accounts.insert(grant.subject);
        }
        counts
    }

    /// What ends the grant; its own `ok` and all more senior grants are decided.
    fn kills_of(&self, dag: &Dag, view: &Set, g: GrantIdx) -> Vec<Kill> {
        let grant = &dag.grants()[g];
        let leaves = dag.kinds().leaves.get(&grant.subject).map_or(&[][..], Vec::as_slice);
        let hits = |leave: &NodeIdx| {
            let Some(auth) = dag.node(*leave).auth else { return false };
            // Under this grant, or a more senior one of the same account. A grant made knowing the Leave is a return.
            view.has(*leave)
                && self.is_ok(auth)
                && (auth == g || dag.seniority(auth, g).is_lt())
                && !dag.in_past(*leave, grant.op)
        };
        leaves.iter().copied().filter(hits).map(|op| Kill { op, fence: Fence::Past }).collect()
    }

    /// The revocations of an invite that count. That the author may revoke it is static.
    fn revokes<'a>(&'a self, dag: &'a Dag, view: &'a Set, invite: NodeIdx) -> impl Iterator<Item = NodeIdx> + 'a {
        let revokes = dag.kinds().revokes.get(&invite).map_or(&[][..], Vec::as_slice);
        revokes.iter().copied().filter(move |revoke| view.has(*revoke) && self.is_admissible(dag, *revoke))
    }

    /// Plays the admissible writes in causal order, the most junior first among those that are ready, then by lamport
    /// and id; of every setting the last write counts.
    fn play_settings(&mut self, dag: &Dag, view: &Set, order: &[GrantIdx]) {
        let states = dag.kinds().states.iter().copied();
        let writes: Vec<NodeIdx> = states.filter(|at| view.has(*at) && self.is_admissible(dag, *at)).collect();
        let mut rank = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, g)| rank[*g] = place);
        let key = |at: NodeIdx| {
            let node = dag.node(at);
            let junior = std::cmp::Reverse(node.auth.map_or(0, |auth| rank[auth]));
            (junior, node.lamport, node.event.id())
        };
        let mut waits_for: Vec<usize> =
            writes.iter().map(|at| writes.iter().filter(|other| dag.node(*at).past.has(**other)).count()).collect();
        let ready_of = |at: usize| (key(writes[at]), at);
        let mut ready: BTreeSet<_> = (0..writes.len()).filter(|at| waits_for[*at] == 0).map(ready_of).collect();
        while let Some((_, at)) = ready.pop_first() {
            if let Control::State(state) = &dag.node(writes[at]).control {
                self.settings.extend(state.writes.iter().cloned());
            }
            for later in 0..writes.len() {
                if dag.node(writes[later]).past.has(writes[at]) {
                    waits_for[later] -= 1;
                    if waits_for[later] == 0 {
                        ready.insert(ready_of(later));
                    }
                }
            }
        }
    }
}

impl Fence {
    /// Whether `op` lies inside the fence of the kill `killer`.
    fn holds(self, dag: &Dag, killer: NodeIdx, op: NodeIdx) -> bool {
        match self {
            Self::Past => dag.in_past(op, killer),
        }
    }
}

fn message_fence_holds(dag: &Dag, killer: NodeIdx, point: &LogPoint) -> bool {
    let Control::Leave(leave) = &dag.node(killer).control else { return false };
    let fence = leave.fence.iter().find(|fence| fence.device == point.device);
    fence.is_some_and(|fence| point.seq < fence.seq || (point.seq == fence.seq && point.id == fence.id))
}
