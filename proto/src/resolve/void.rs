//! What put somebody out: what ended a grant, or made it void.

use std::collections::BTreeSet;

use super::Resolved;
use super::decide::{fence_holds, inside};
use crate::dag::{Dag, GrantIdx, NodeIdx};

impl Resolved {
    /// What put out the subject of a grant. Of a grant that counts what ended it; of another what made it void: the ends of the
    /// grants that it or its invite was made under, and the revocations of the devices that made them, what closed the invite,
    /// and the admissions that used it up.
    ///
    /// Only the first of them: what was said knowing another one is left out. Whoever knows these events and their pasts knows
    /// that he is out, unless he knows of something that undoes them.
    pub fn put_out_by(&self, dag: &Dag, g: GrantIdx) -> BTreeSet<NodeIdx> {
        let all = if self.is_ok(g) { self.kills(g).iter().copied().collect() } else { self.voided_by(dag, g) };
        let later = |end: &NodeIdx| all.iter().any(|first| first != end && dag.in_past(*first, *end));
        all.iter().copied().filter(|end| !later(end)).collect()
    }

    fn voided_by(&self, dag: &Dag, g: GrantIdx) -> BTreeSet<NodeIdx> {
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
            found.extend(self.closings(dag, invite).filter(|close| !dag.in_past(op, *close)));
            let ended = dag.node(invite).auth.map_or(&[][..], |inviter| self.kills(inviter));
            found.extend(ended.iter().filter(|kill| !dag.in_past(op, **kill)));
            if self.fit.get(g).copied().unwrap_or(false) {
                let takers = self.by_uses(dag, invite).into_iter().filter(|(_, takes)| *takes);
                found.extend(takers.map(|(taker, _)| dag.grants()[taker].op));
            }
        }
        found
    }

    /// Adds to `found` what keeps an event from counting whose grant counts. Answers the grant it was made under if that one does
    /// not: what made that one void is the reason then.
    fn excluded_by(&self, dag: &Dag, op: NodeIdx, found: &mut BTreeSet<NodeIdx>) -> Option<GrantIdx> {
        let auth = dag.node(op).auth?;
        if !self.is_ok(auth) {
            return Some(auth);
        }
        let (device, author) = (dag.node(op).event.device(), dag.grants()[auth].subject);
        found.extend(self.kills(auth).iter().filter(|kill| !inside(dag, **kill, op)));
        let revokes = self.revoked.get(&device).into_iter().flatten();
        let binds = |(at, fence): &&(NodeIdx, _)| dag.node(*at).author == author && !fence_holds(dag, fence, op);
        found.extend(revokes.filter(binds).map(|(at, _)| *at));
        None
    }
}
