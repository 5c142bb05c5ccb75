//! What put somebody out: what ended a grant, or made it void.

use std::collections::BTreeSet;

use super::Resolved;
use super::decide::{fence_holds, inside};
use crate::dag::{Dag, GrantIdx, NodeIdx};
use crate::ids::{AccountId, DeviceId};

impl Resolved {
    /// What put out the subject of a grant: reasons, each enough by itself. Of a grant that counts what ended it; of another what made it
    /// void: the ends of the grants that it or its invite was made under, and the revocations of the devices that made them, what
    /// closed the invite, and the admissions that used it up.
    ///
    /// Only the first of them: what was said knowing another one is left out. Whoever knows these events and their pasts knows
    /// that he is out, unless he knows of something that undoes them.
    pub(crate) fn put_out_by(&self, dag: &Dag, g: GrantIdx) -> Vec<Reason> {
        let all = if self.is_ok(g) { alone(self.kills(g).iter().copied()).collect() } else { self.voided_by(dag, g) };
        let reasons: Vec<Reason> = all.into_iter().map(|reason| ends_of(dag, &reason)).collect();
        let follows = |later: &Reason, first: &Reason| first.iter().all(|at| is_known(dag, *at, later));
        let later = |reason: &Reason| reasons.iter().any(|first| follows(reason, first) && !follows(first, reason));
        reasons.iter().filter(|reason| !later(reason)).cloned().collect()
    }

    /// The revocations of a device by its account that count, the first of them.
    pub(crate) fn revoked_by_its_account(&self, dag: &Dag, device: &DeviceId, account: &AccountId) -> Vec<Reason> {
        let all = self.revoked.get(device).into_iter().flatten().map(|(at, _)| *at);
        let all: Vec<NodeIdx> =
            all.filter(|at| dag.node(*at).author == *account && self.is_admissible(dag, *at)).collect();
        let later = |at: &NodeIdx| all.iter().any(|first| first != at && dag.in_past(*first, *at));
        alone(all.iter().copied().filter(|at| !later(at))).collect()
    }

    fn voided_by(&self, dag: &Dag, g: GrantIdx) -> BTreeSet<Reason> {
        let (mut found, mut seen, mut todo) = (BTreeSet::new(), BTreeSet::new(), vec![g]);
        while let Some(g) = todo.pop() {
            if !seen.insert(g) {
                continue;
            }
            let op = dag.grants()[g].op;
            let invite = dag.invite_behind(g);
            for made in [Some(op), invite].into_iter().flatten() {
                todo.extend(self.excluded_by(dag, made, &mut found));
            }
            let Some(invite) = invite else { continue };
            found.extend(alone(self.closings(dag, invite).filter(|close| !dag.in_past(op, *close))));
            let ended = dag.node(invite).auth.map_or(&[][..], |inviter| self.kills(inviter));
            found.extend(alone(ended.iter().copied().filter(|kill| !dag.in_past(op, *kill))));
            if self.fit.get(g).copied().unwrap_or(false) {
                found.extend(Some(self.users_of(dag, invite)).filter(|users| !users.is_empty()));
            }
        }
        found
    }

    /// The admissions that took the uses of an invite: none of them alone used it up.
    fn users_of(&self, dag: &Dag, invite: NodeIdx) -> Reason {
        let mut subjects = BTreeSet::new();
        let takers =
            self.by_uses(dag, invite).into_iter().filter(|(_, takes)| *takes).map(|(taker, _)| &dag.grants()[taker]);
        takers.filter(|taker| subjects.insert(taker.subject)).map(|taker| taker.op).collect()
    }

    /// Adds to `found` what keeps an event from counting whose grant counts. Answers the grant it was made under if that one does
    /// not: what made that one void is the reason then.
    fn excluded_by(&self, dag: &Dag, op: NodeIdx, found: &mut BTreeSet<Reason>) -> Option<GrantIdx> {
        let auth = dag.node(op).auth?;
        if !self.is_ok(auth) {
            return Some(auth);
        }
        let (device, author) = (dag.node(op).event.device(), dag.grants()[auth].subject);
        found.extend(alone(self.kills(auth).iter().copied().filter(|kill| !inside(dag, *kill, op))));
        let revokes = self.revoked.get(&device).into_iter().flatten();
        let binds = |(at, fence): &&(NodeIdx, _)| dag.node(*at).author == author && !fence_holds(dag, fence, op);
        found.extend(alone(revokes.filter(binds).map(|(at, _)| *at)));
        None
    }
}

/// Events that put somebody out together.
pub(crate) type Reason = BTreeSet<NodeIdx>;

/// Reasons of one event each.
fn alone(events: impl Iterator<Item = NodeIdx>) -> impl Iterator<Item = Reason> {
    events.map(|at| Reason::from([at]))
}

/// Those of `reason` that no other one of it knows.
fn ends_of(dag: &Dag, reason: &Reason) -> Reason {
    let known = |at: &NodeIdx| reason.iter().any(|end| end != at && dag.in_past(*at, *end));
    reason.iter().copied().filter(|at| !known(at)).collect()
}

/// Whether an event is one of `ends`, or in the past of one.
pub(crate) fn is_known(dag: &Dag, at: NodeIdx, ends: &Reason) -> bool {
    ends.iter().any(|end| dag.in_past(at, *end))
}
