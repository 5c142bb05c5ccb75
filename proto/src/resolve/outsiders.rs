//! Who was brought in and is out.

use std::collections::{BTreeSet, HashMap};

use super::Resolved;
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
        let member = self.members.contains_key(account);
        let grants = dag.grants_of(account).iter().map(|g| (dag.grants()[*g].op, member));
        let devices = dag.devices_of(account).iter().filter_map(|no| Some((*no, dag.devices().get(*no)?)));
        let certs = devices.flat_map(|(no, entry)| {
            let of_account = entry.certs.iter().filter(|(_, of)| of == account);
            of_account.map(move |(at, _)| (*at, no))
        });
        let certs = certs.map(|(at, no)| (at, self.live.has(no)));
        // One event may bring in several devices: it counts if one of them is out.
        let mut inside: HashMap<NodeIdx, bool> = HashMap::new();
        for (op, live) in grants.chain(certs).filter(|(op, _)| self.view.has(*op)) {
            *inside.entry(op).or_insert(true) &= live;
        }
        for (op, inside) in inside {
            if inside { self.outsiders.take(op) } else { self.outsiders.put(op) }
        }
    }
}
