//! Resolution: what the control events of a view mean together. A pure function of a set.
//!
//! Grants are decided in the order of seniority, the most senior first; every grant is junior to all that its validity
//! depends on, so whatever a decision asks for is decided already (C2). A grant is
//!
//! - **ok** if what made it counts: it is of the genesis, or its event is *admissible*; for an admission the invite is too,
//!   nothing that the sponsor had not seen closed the invite, and it is not used up;
//! - **killed** by every event that ends it: a Remove by somebody more senior, or a Leave of its subject, unless the grant
//!   was made knowing that: then it is a return, which only a ban by a senior forbids. Of what one device says again the
//!   first counts;
//! - **live** if it is ok and nothing killed it.
//!
//! An event is *admissible* if the grant it was made under is ok, and it lies inside the *fence* of everything that
//! killed that grant: of a Remove what the remover pinned of each log, of a Leave its past. What a device wrote beyond the
//! fence of its own revocation counts as little, unless the revocation itself lies beyond a fence. A member is an account
//! with a live grant; its most senior one counts.
//!
//! [`resolve`] decides everything from scratch, `O(n log n)`; it is the reference. [`Resolved::advance`] decides again
//! only what one more event may change, which for the usual event is itself. Both give the same for every set.

mod advance;
mod between;
mod decide;
mod outsiders;
mod settings;
mod void;

use std::collections::{BTreeMap, HashMap};

pub use self::advance::Delta;
use self::settings::Settings;
pub(crate) use self::void::{Reason, is_known};
use crate::control::{Control, DeviceFence, LogPosition, MessageFate, Policy, Remove};
use crate::dag::{Dag, DeviceNo, GrantIdx, NodeIdx, Set};
use crate::ids::{AccountId, DeviceId};
use crate::limits;

/// What a view of the control events means.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    view: Set,
    /// Every grant: whether what made it counts, leaving aside how often its invite was used,
    fit: Vec<bool>,
    /// and with that.
    ok: Vec<bool>,
    /// Every grant: what ended it, ascending.
    kills: Vec<Vec<NodeIdx>>,
    /// Every live account with its most senior live grant.
    members: BTreeMap<AccountId, GrantIdx>,
    /// The accounts that came by an invite, with how many of their grants count.
    uses: HashMap<NodeIdx, BTreeMap<AccountId, u32>>,
    /// The revocations of devices.
    revoked: HashMap<DeviceId, Vec<(NodeIdx, DeviceFence)>>,
    /// The devices of the members, without those revoked, and no more of each than [`limits::MAX_DEVICES`].
    live: Set,
    /// What brought in those who are out.
    outsiders: Set,
    settings: Settings,
}

/// What the end of a grant means for what was written under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// A change of role bounds it like a removal: it counts as far as whoever changed the role had seen it.
    pub role_changes: bool,
    /// A purge hides it wholly: for all but who wrote it.
    pub purges: bool,
}

/// Resolves the events of `view`, which holds the ancestors of all its events.
pub fn resolve(dag: &Dag, view: &Set) -> Resolved {
    #[cfg(test)]
    FROM_SCRATCH.set(FROM_SCRATCH.get() + 1);
    let mut resolved = Resolved { view: view.clone(), ..Resolved::default() };
    resolved.make_room(dag.grants().len());
    resolved.find_revoked(dag);
    let mut decided = Set::default();
    for g in dag.by_seniority().iter().copied().filter(|g| view.has(dag.grants()[*g].op)) {
        let grant = &dag.grants()[g];
        debug_assert!(grant.parent.is_none_or(|parent| decided.has(parent)), "a grant is junior to its parent");
        resolved.fit[g] = resolved.fits(dag, g);
        resolved.ok[g] = resolved.fit[g] && resolved.takes_use(dag, g);
        resolved.kills[g] = resolved.kills_of(dag, g);
        decided.put(g);
        if resolved.is_live(g) {
            resolved.members.entry(grant.subject).or_insert(g);
        }
    }
    let accounts: Vec<AccountId> = resolved.members.keys().copied().collect();
    accounts.iter().for_each(|account| resolved.refresh_devices(dag, account));
    resolved.find_outsiders(dag);
    resolved.play_settings(dag);
    resolved
}

#[cfg(test)]
thread_local! {
    static FROM_SCRATCH: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How often this thread resolved a view from scratch.
#[cfg(test)]
pub(crate) fn from_scratch() -> u64 {
    FROM_SCRATCH.get()
}

impl Resolved {
    /// The events it is about.
    pub fn view(&self) -> &Set {
        &self.view
    }

    /// The live accounts with their most senior live grants.
    pub fn members(&self) -> &BTreeMap<AccountId, GrantIdx> {
        &self.members
    }

    /// The settings: number to value.
    pub fn settings(&self) -> &BTreeMap<u8, Vec<u8>> {
        self.settings.values()
    }

    /// The rules of the room as last changed; `None` if they still are those of the genesis.
    pub fn policy<'a>(&self, dag: &'a Dag) -> Option<&'a Policy> {
        match &dag.node(self.settings.policy()?).control {
            Control::Policy(change) => Some(&change.policy),
            _ => None,
        }
    }

    /// How many accounts came by an invite.
    pub fn uses(&self, invite: NodeIdx) -> usize {
        self.uses.get(&invite).map_or(0, BTreeMap::len)
    }

    /// The accounts that came by an invite, ascending.
    pub fn came_by(&self, invite: NodeIdx) -> impl Iterator<Item = &AccountId> {
        self.uses.get(&invite).into_iter().flat_map(BTreeMap::keys)
    }

    /// Whether `account` came by an invite.
    pub fn used_by(&self, invite: NodeIdx, account: &AccountId) -> bool {
        self.uses.get(&invite).is_some_and(|accounts| accounts.contains_key(account))
    }

    /// Whether what made the grant counts.
    pub fn is_ok(&self, g: GrantIdx) -> bool {
        self.ok.get(g).copied().unwrap_or(false)
    }

    /// The events that ended the grant, ascending; without what says again what its author said before.
    pub fn kills(&self, g: GrantIdx) -> &[NodeIdx] {
        self.kills.get(g).map_or(&[], Vec::as_slice)
    }

    /// Whether the grant is ok, and was not over before it was given: by a ban, or a removal that its invite did not know of.
    pub fn began(&self, dag: &Dag, g: GrantIdx) -> bool {
        let op = dag.grants()[g].op;
        self.is_ok(g) && !self.kills(g).iter().any(|kill| dag.in_past(*kill, op))
    }

    /// Whether the grant is ok and nobody ended it.
    pub fn is_live(&self, g: GrantIdx) -> bool {
        self.is_ok(g) && self.kills(g).is_empty()
    }

    /// Whether the event counts.
    pub fn is_admissible(&self, dag: &Dag, op: NodeIdx) -> bool {
        let Some(auth) = dag.node(op).auth else { return true };
        self.admits(dag, op, auth, self.is_ok(auth), self.kills(auth))
    }

    /// Whether an invite takes nobody any more: closed, or its maker is out.
    pub fn is_closed(&self, dag: &Dag, invite: NodeIdx) -> bool {
        let maker_out = dag.node(invite).auth.is_some_and(|auth| !self.is_live(auth));
        maker_out || !self.is_admissible(dag, invite) || self.closings(dag, invite).next().is_some()
    }

    /// Whether a message that `device` wrote under the grant `g` counts: inside the message fences of all that ended it, and of the
    /// revocation of the device. Whether it is inside a fence `inside` says, for that may take knowing branches of logs.
    pub fn admits_message(
        &self,
        dag: &Dag,
        g: GrantIdx,
        device: &DeviceId,
        ends: Ends,
        inside: impl Fn(&LogPosition) -> bool,
    ) -> bool {
        let cut_off = self.revocations(dag, g, device, self.kills(g));
        self.kills(g).iter().all(|kill| message_inside(dag, *kill, device, ends, &inside))
            && cut_off.into_iter().all(|fence| fence.message.is_some_and(|end| inside(&end)))
    }

    /// Whether somebody who has the grant `g` was in all the while since he had `before`, as far as whoever gave it knew: only his role
    /// changed.
    pub fn goes_on(&self, dag: &Dag, g: GrantIdx, before: GrantIdx) -> bool {
        let (now, then) = (dag.grants()[g].op, dag.grants()[before].op);
        let mut kills = dag.grants_of(&dag.grants()[g].subject).iter().flat_map(|h| self.kills(*h));
        !kills.any(|kill| dag.in_past(*kill, now) && !dag.in_past(*kill, then) && !is_role_change(dag, *kill))
    }

    /// What removed an account from any grant it has had, whether or not that counted.
    pub fn removals<'a>(&'a self, dag: &'a Dag, account: &AccountId) -> impl Iterator<Item = NodeIdx> + 'a {
        let kills = dag.grants_of(account).iter().flat_map(|g| self.kills(*g)).copied();
        kills.filter(|kill| matches!(dag.node(*kill).control, Control::Remove(_)))
    }

    /// The devices of the members, without those revoked; of an account the first [`limits::MAX_DEVICES`].
    pub fn live(&self) -> &Set {
        &self.live
    }

    /// Whether a device was revoked by its account.
    pub fn is_revoked(&self, device: &DeviceId) -> bool {
        self.revoked.contains_key(device)
    }

    /// The Removes that ban an account still, in order of acceptance.
    pub fn bans(&self, dag: &Dag, account: &AccountId) -> Vec<NodeIdx> {
        let removes = dag.kinds().account_removes.get(account).map_or(&[][..], Vec::as_slice);
        let bans = |op: &NodeIdx| matches!(&dag.node(*op).control, Control::Remove(remove) if remove.ban);
        let lifted = |op: NodeIdx| self.unbans(dag, op).next().is_some();
        let holds = |op: &NodeIdx| bans(op) && self.ends_any(dag, account, *op) && !lifted(*op);
        removes.iter().copied().filter(holds).collect()
    }

    /// Whether a Remove, or a Leave of the account, ends a grant of it, or says again what ended one.
    pub fn ends_any(&self, dag: &Dag, account: &AccountId, end: NodeIdx) -> bool {
        dag.grants_of(account).iter().any(|g| self.would_end(dag, end, *g))
    }

    fn make_room(&mut self, grants: usize) {
        self.fit.resize(grants, false);
        self.ok.resize(grants, false);
        self.kills.resize(grants, Vec::new());
    }

    fn find_revoked(&mut self, dag: &Dag) {
        for (device, revokes) in &dag.kinds().device_revokes {
            let seen: Vec<_> = revokes.iter().filter(|(at, _)| self.view.has(*at)).copied().collect();
            if !seen.is_empty() {
                self.revoked.insert(*device, seen);
            }
        }
    }

    /// Works out which devices of an account are live: if it is a member, those it has not revoked, and of more than
    /// [`limits::MAX_DEVICES`] those that came first.
    fn refresh_devices(&mut self, dag: &Dag, account: &AccountId) {
        let member = self.members.contains_key(account);
        let theirs = dag.devices_of(account).iter().copied();
        let theirs: Vec<DeviceNo> = theirs.filter(|no| dag.account_in(*no, &self.view) == Some(*account)).collect();
        let mut live = Vec::new();
        for no in theirs {
            if member && !self.revoked_by(dag, no, account) {
                live.push((dag.came_in(no, |at| self.view.has(at)), no));
            } else {
                self.live.take(no);
            }
        }
        live.sort_unstable();
        for (n, (_, no)) in live.into_iter().enumerate() {
            if n < limits::MAX_DEVICES {
                self.live.put(no);
            } else {
                self.live.take(no);
            }
        }
    }

    /// Whether the account has revoked the device.
    fn revoked_by(&self, dag: &Dag, no: DeviceNo, account: &AccountId) -> bool {
        let revokes = self.revoked.get(&dag.devices()[no].device).map_or(&[][..], Vec::as_slice);
        revokes.iter().any(|(at, _)| dag.node(*at).author == *account)
    }
}

/// Whether whoever removed had seen a message of a device.
fn fenced(remove: &Remove, device: &DeviceId, inside: impl Fn(&LogPosition) -> bool) -> bool {
    let end = remove.fence_of(device).and_then(|fence| fence.message);
    end.is_some_and(|end| inside(&end))
}

/// Whether an event ends a grant of somebody for another role, with which he goes on writing.
fn is_role_change(dag: &Dag, kill: NodeIdx) -> bool {
    matches!(&dag.node(kill).control, Control::Remove(remove) if remove.messages == MessageFate::Kept)
}

/// Whether a message of a device lies inside the fence of the event that ended its grant.
fn message_inside(
    dag: &Dag,
    kill: NodeIdx,
    device: &DeviceId,
    ends: Ends,
    inside: impl Fn(&LogPosition) -> bool,
) -> bool {
    match &dag.node(kill).control {
        Control::Leave(leave) => {
            let fence = leave.fence.iter().find(|fence| fence.device == *device);
            fence.is_some_and(|fence| inside(&LogPosition { seq: fence.seq, id: fence.id }))
        }
        Control::Remove(remove) => match remove.messages {
            MessageFate::Kept => !ends.role_changes || fenced(remove, device, inside),
            MessageFate::Purged => !ends.purges && fenced(remove, device, inside),
            MessageFate::Fenced => fenced(remove, device, inside),
        },
        _ => false,
    }
}
