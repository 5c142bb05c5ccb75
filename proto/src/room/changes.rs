//! What is different in a room since the caller was told last.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Room;
use super::types::Change;
use crate::control::{Policy, Power};
use crate::dag::{NodeIdx, Set};
use crate::ids::{AccountId, DeviceId, EpochId};

/// What the caller was told last.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    members: HashMap<AccountId, Power>,
    joined: bool,
    /// The devices of the members.
    live: Set,
    settings: BTreeMap<u8, Vec<u8>>,
    policy: Option<Policy>,
    /// Of every invite how many came by it, and whether it is closed.
    invites: HashMap<NodeIdx, (usize, bool)>,
    pub(super) best: Option<EpochId>,
    forked: BTreeSet<DeviceId>,
}

impl Room {
    /// Says what changed, looking only at what may have.
    pub(super) fn compare(&mut self, changes: &mut Vec<Change>) {
        let delta = std::mem::take(&mut self.delta);
        let mut gone = Vec::new();
        let was_live = if delta.accounts.is_empty() {
            Set::default()
        } else {
            std::mem::replace(&mut self.last.live, self.live.clone())
        };
        for account in delta.accounts {
            let now = self.resolved.members().get(&account).map(|g| self.dag.grants()[*g].power);
            let before = match now {
                Some(power) => self.last.members.insert(account, power),
                None => self.last.members.remove(&account),
            };
            if self.is_guest(&account) {
                continue;
            }
            match (before, now) {
                (None, Some(_)) => changes.push(Change::MemberIn(account)),
                (Some(_), None) => gone.push(Change::MemberOut(account)),
                (Some(before), Some(now)) if before != now => changes.push(Change::MemberRole(account)),
                (Some(_), Some(_)) => {
                    let theirs = self.dag.devices_of(&account);
                    if theirs.iter().any(|no| was_live.has(*no) != self.live.has(*no)) {
                        changes.push(Change::Devices(account));
                    }
                }
                _ => {}
            }
        }
        changes.extend(gone);
        for invite in delta.invites {
            if self.dag.kinds().instant.contains_key(&invite) {
                continue;
            }
            let now = (self.resolved.uses(invite), self.resolved.is_closed(&self.dag, invite));
            if self.last.invites.insert(invite, now) != Some(now) {
                changes.push(Change::Invite(self.dag.node(invite).event.id()));
            }
        }
        if delta.settings {
            self.compare_settings(changes);
        }
        let joined = self.is_member();
        match (std::mem::replace(&mut self.last.joined, joined), joined) {
            (false, true) => changes.push(Change::Joined),
            (true, false) => changes.push(Change::Out),
            _ => {}
        }
        let forked = self.dag.forked();
        if forked.len() != self.last.forked.len() {
            changes.extend(forked.difference(&self.last.forked).map(|device| Change::Fork(*device)));
            self.last.forked.clone_from(forked);
        }
        if self.last.best != self.best {
            self.last.best = self.best;
            changes.push(Change::Epoch);
        }
    }

    fn compare_settings(&mut self, changes: &mut Vec<Change>) {
        let policy = self.policy();
        if self.last.settings != *self.resolved.settings() || self.last.policy != policy {
            self.last.settings.clone_from(self.resolved.settings());
            self.last.policy = policy;
            changes.push(Change::State);
        }
    }
}
