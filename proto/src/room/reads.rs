//! How much of the past somebody could read when he was given another role: no change of role shows him more.

use super::Room;
use crate::control::{Control, InviteHistory};
use crate::dag::{Dag, GrantIdx, NodeIdx, Set};
use crate::ids::AccountId;
use crate::resolve::Resolved;

impl Room {
    /// Cuts what the Grant at `at`, which was inserted just now and is not resolved yet, lets read to what its subject could read by
    /// its past. Of that only what counts there is looked at: a void grant gave nobody anything.
    pub(super) fn cut_reads(&mut self, at: NodeIdx) {
        let node = self.dag.node(at);
        let Control::Grant(grant) = &node.control else { return };
        let (subject, past) = (grant.subject, node.past.clone());
        let could = if past.len() + 1 == self.dag.len() {
            could_read(&self.dag, &subject, &past, &self.resolved)
        } else {
            let resolved = self.views.of(&self.dag, &past);
            could_read(&self.dag, &subject, &past, &resolved)
        };
        self.dag.cut_reads(at, could);
    }

    /// Cuts a history to what an account may read now, or could when it was in last: no change of role shows it more.
    pub(super) fn no_wider(&self, account: &AccountId, history: InviteHistory) -> InviteHistory {
        let could = could_read(&self.dag, account, &self.everything, &self.resolved);
        self.dag.narrower(history, could, &self.everything)
    }
}

/// The most that an account could read by its grants that count in `view`, which `resolved` is of: by those that stand, or else by
/// those with which it was in last, of which no other knew an end. All are looked at, however many there are: whoever may choose which
/// are left out chooses what comes of it.
fn could_read(dag: &Dag, account: &AccountId, view: &Set, resolved: &Resolved) -> InviteHistory {
    // Nor by one that was over before it was given: whoever writes it would choose what its subject once read.
    let counts = |g: &GrantIdx| view.has(dag.grants()[*g].op) && resolved.began(dag, *g);
    let grants: Vec<GrantIdx> = dag.grants_of(account).iter().copied().filter(counts).collect();
    let mut standing = grants.iter().copied().filter(|g| resolved.kills(*g).is_empty()).peekable();
    if standing.peek().is_some() {
        return dag.widest(standing, view);
    }
    let knew = dag.known_by(grants.iter().map(|g| dag.grants()[*g].op));
    let last = grants.iter().copied().filter(|g| !resolved.kills(*g).iter().any(|end| knew.has(*end)));
    dag.widest(last, view)
}
