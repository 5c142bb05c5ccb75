//! Who was brought in and is out.

use std::collections::BTreeSet;

use super::Resolved;
use super::between::brought_by;
use crate::dag::{Dag, NodeIdx, Set};
use crate::ids::AccountId;

impl Resolved {
    /// The events (grants, admissions, certificates) that brought in an account that is no member now, or a device that is not
    /// live. Whoever came by one of them after an epoch was made may have been handed its key, whether or not that counts.
    pub fn outsiders(&self) -> &Set {
        &self.outsiders
    }

    pub(super) fn find_outsiders(&mut self, dag: &Dag) {
        let subjects = dag.grants().iter().map(|grant| grant.subject);
        let certified = dag.devices().iter().flat_map(|entry| entry.certs.iter().map(|(_, account)| *account));
        let accounts: BTreeSet<AccountId> = subjects.chain(certified).collect();
        accounts.iter().for_each(|account| self.refresh_outsiders(dag, account));
    }

    /// Looks again at what brought in this account and its devices.
    pub(super) fn refresh_outsiders(&mut self, dag: &Dag, account: &AccountId) {
        let grants = dag.grants_of(account).iter().map(|g| dag.grants()[*g].op);
        let devices = dag.devices_of(account).iter().filter_map(|no| dag.devices().get(*no));
        let certs = devices.flat_map(|entry| entry.certs.iter().filter(|(_, of)| of == account).map(|(at, _)| *at));
        let ops: BTreeSet<NodeIdx> = grants.chain(certs).filter(|op| self.view.has(*op)).collect();
        for op in ops {
            // One event may bring in several accounts and devices: it counts if one of them is out, whichever was looked at last.
            let members = dag.grants_by(op).all(|g| self.members.contains_key(&dag.grants()[g].subject));
            let inside = members && brought_by(dag, op).iter().all(|(no, _)| self.live.has(*no));
            if inside { self.outsiders.take(op) } else { self.outsiders.put(op) }
        }
    }
}
