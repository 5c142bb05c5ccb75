//! Governing a room: roles, removals, bans, rules, devices. Every refusal comes before anything is written, and names what
//! is missing; the same rule refuses the event on every other node.

use std::collections::BTreeSet;

use parlor_crypto::{CryptoRng, SigningKey};

use super::Room;
use super::invites::{Delegation, InviteLimit};
use super::types::{Accepted, Outcome, Refusal};
use crate::control::{
    ACCOUNT_UPDATE_KIND, AccountUpdate, Complaint, Control, DeviceFence, DeviceRevoke, EquivProof, GrantRole,
    InviteBounds, InviteId, KeyComplaint, MessageFate, NewDevice, Permission, Permissions, Policy, PolicyChange, Power,
    REMOVE_KIND, Remove, RevokeFence, Role, Target, Unban,
};
use crate::dag::{DeviceEntry, DeviceNo, Grant, GrantIdx, NodeIdx};
use crate::event::{ControlHeader, Event};
use crate::ids::{AccountId, DeviceId, EpochId, EventId};
use crate::limits;

/// Whom to remove, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    /// An account; or all who came by an invite, with the invite; or one grant of an account.
    pub target: Target,
    /// Nobody junior to us may take the account back.
    pub ban: bool,
    /// With all whom the removed invited or gave a role, and so on.
    pub cascade: bool,
    /// Hide all messages of the removed, also old ones.
    pub purge: bool,
}

/// A role that is not one of the five.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewGrant {
    /// How strong; not stronger than ours.
    pub power: Power,
    /// A subset of what we may do.
    pub perms: Permissions,
    /// How far it can be delegated; less than ours.
    pub max_depth: u8,
    /// What its invites may say at most; `None` as ours.
    pub invites: Option<InviteBounds>,
}

/// Somebody who is banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub account: AccountId,
    /// By whom.
    pub by: AccountId,
    /// When, by that one's clock.
    pub at_ms: u64,
    /// The Remove that says so.
    pub removal: EventId,
}

/// A device of an account of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Which.
    pub device: DeviceId,
    /// What its owner calls it.
    pub name: String,
    /// When it came, by the clock of whoever wrote so.
    pub since_ms: u64,
    /// Whether it came when this device was there already, or beside it: what the room knew when this device came is not among it.
    pub came_after_us: bool,
    /// Whether its account revoked it.
    pub revoked: bool,
    /// Whether it wrote two events with one number (attack 12).
    pub contradicts_itself: bool,
}

impl Room {
    /// Gives a known account a role: another one to a member, a new one to a former member who is taken back. What it had ends
    /// but for grants that are weaker and give nothing more: those change nothing.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`] without GRANT (and REMOVE, where something ends); [`Refusal::TooStrong`] for a role above ours
    /// or a member we may not touch; [`Refusal::NoAccount`] for an account never heard of; [`Refusal::Banned`].
    pub fn grant_role(&mut self, account: &AccountId, role: Role, now_ms: u64) -> Result<Outcome, Refusal> {
        let kind = self.info().ok_or(Refusal::NotMember)?.kind;
        let new =
            NewGrant { power: role.power(), perms: role.permissions(kind), max_depth: role.max_depth(), invites: None };
        self.grant_to(account, new, now_ms)
    }

    /// As [`grant_role`](Self::grant_role), with the right to invite, which may be handed on in turn: a step less each time, and
    /// never for longer or for more people at once than here.
    ///
    /// # Errors
    /// As [`grant_role`](Self::grant_role), and [`Refusal::Invite`] for more than our own right reaches to.
    pub fn delegate(
        &mut self,
        account: &AccountId,
        role: Role,
        right: Delegation,
        now_ms: u64,
    ) -> Result<Outcome, Refusal> {
        let kind = self.info().ok_or(Refusal::NotMember)?.kind;
        let mine = self.permitted(Permission::Grant)?.clone();
        let most = mine.max_depth.saturating_sub(1);
        let until_ms = right.until_ms.unwrap_or(mine.invites.until_ms);
        let uses = right.uses.unwrap_or(mine.invites.uses);
        let perms = role.permissions(kind).with(Permission::Invite);
        if right.depth == 0 || right.depth > most {
            return Err(Refusal::Invite(InviteLimit::Depth(most)));
        }
        if until_ms > mine.invites.until_ms {
            return Err(Refusal::Invite(InviteLimit::Until(mine.invites.until_ms)));
        }
        if uses > mine.invites.uses {
            return Err(Refusal::Invite(InviteLimit::Uses(mine.invites.uses)));
        }
        let invites = InviteBounds { until_ms, uses, history: mine.invites.history };
        let new = NewGrant { power: role.power(), perms, max_depth: right.depth, invites: Some(invites) };
        self.grant_to(account, new, now_ms)
    }

    /// As [`grant_role`](Self::grant_role), with power, permissions and depth of one's own choice. Depth is cut to what we may
    /// hand on, and the history of its invites to what both of us may read.
    ///
    /// # Errors
    /// As [`grant_role`](Self::grant_role).
    pub fn grant_to(&mut self, account: &AccountId, new: NewGrant, now_ms: u64) -> Result<Outcome, Refusal> {
        let mine = self.permitted(Permission::Grant)?.clone();
        let below = mine.max_depth.checked_sub(1).ok_or(Refusal::TooStrong)?;
        if new.power < mine.power || !new.perms.within(mine.perms) {
            return Err(Refusal::TooStrong);
        }
        if self.dag.devices_of(account).is_empty() {
            return Err(Refusal::NoAccount);
        }
        self.not_banned(account)?;
        let max_depth = new.max_depth.min(below);
        let mut invites = new.invites.unwrap_or(mine.invites);
        invites.history = self.no_wider(account, self.dag.narrower(invites.history, mine.reads, &self.everything));
        let new = NewGrant { max_depth, invites: Some(invites), ..new };
        let replaced = self.replaced_grants(account, &new)?;
        let is_new = |g: &GrantIdx| {
            let had = &self.dag.grants()[*g];
            (had.power, had.perms, had.max_depth, had.invites) == (new.power, new.perms, max_depth, invites)
        };
        // Beside anything else it is said anew: the end of that may end it too, if it came by a link.
        if !replaced.is_empty() && replaced.iter().all(is_new) {
            return Ok(Outcome::default());
        }
        let auth = self.grant_id(self.grant().ok_or(Refusal::NotMember)?);
        let grant = GrantRole { auth, subject: *account, power: new.power, perms: new.perms, max_depth, invites };
        let mut outcome = self.write_control(Control::Grant(grant), now_ms)?;
        let messages = if new.perms.has(Permission::Post) { MessageFate::Kept } else { MessageFate::Fenced };
        for old in replaced {
            let target = Target::Grant(self.grant_id(old), *account);
            let removal = Removal { target, ban: false, cascade: false, purge: false };
            let (header, control) = self.removal_of(&removal, messages, now_ms)?;
            outcome.accepted.push(Accepted::Control(self.write_event(header, &control)?));
        }
        if outcome.accepted.len() > 1 {
            // Once for all of them, whoever piled them up.
            self.settle(&mut outcome);
        }
        Ok(outcome)
    }

    /// Removes, and makes the next epoch in the same outcome: nobody removed can read what is written after it. The guests of
    /// the instant invites of the removed go with them, for they know the links. Either all targets are removed or none.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`] without REMOVE; [`Refusal::TooStrong`] for somebody as senior as we; [`Refusal::NoAccount`]
    /// for one who is no member, unless he is banned, which keeps out who is out already; [`Refusal::NoInvite`].
    pub fn remove(&mut self, removals: &[Removal], now_ms: u64, rng: &mut impl CryptoRng) -> Result<Outcome, Refusal> {
        for removal in removals {
            match removal.target {
                Target::Account(account) if removal.ban && self.is_out(&account) => self.may_ban(&account)?,
                _ => self.may_remove(&removal.target)?,
            }
        }
        let anybody =
            removals.iter().any(|removal| !matches!(removal.target, Target::Account(account) if self.is_out(&account)));
        let before: BTreeSet<AccountId> = self.resolved.members().keys().copied().collect();
        let mut outcome = Outcome::default();
        for removal in removals {
            let messages = if removal.purge { MessageFate::Purged } else { MessageFate::Fenced };
            outcome.merge(self.write_removal(removal, messages, now_ms)?);
        }
        let guests = self.guests_behind(removals);
        let written: Vec<NodeIdx> = outcome.events().filter_map(|event| self.dag.find(&event.id())).collect();
        outcome.merge(self.remove_behind(removals, &before, &written, now_ms)?);
        outcome.merge(self.put_out(&guests, now_ms));
        // Who was out already holds no keys.
        if anybody {
            self.rotate_at_once(&mut outcome, now_ms, rng);
        }
        Ok(outcome)
    }

    /// Removes by name those of `before` whom the removals that were `written` ended with an invite or with who let them in: they would
    /// come back by any other link that they have, for these say nothing of them.
    fn remove_behind(
        &mut self,
        removals: &[Removal],
        before: &BTreeSet<AccountId>,
        written: &[NodeIdx],
        now_ms: u64,
    ) -> Result<Outcome, Refusal> {
        let ended = |g: &GrantIdx| self.resolved.kills(*g).iter().any(|kill| written.contains(kill));
        let hit = removals.iter().flat_map(|removal| match removal.cascade {
            true => self.dag.subtree(&removal.target),
            false => self.dag.targets(&removal.target).to_vec(),
        });
        let people = hit.filter(|g| ended(g) && self.guest_by(*g).is_none());
        let mut behind: BTreeSet<AccountId> = people.map(|g| self.dag.grants()[g].subject).collect();
        let named = |account: &AccountId| removals.iter().any(|removal| removal.target == Target::Account(*account));
        let gone = |account: &AccountId| before.contains(account) && !self.resolved.members().contains_key(account);
        behind.retain(|account| gone(account) && !named(account));
        let mut outcome = Outcome::default();
        for account in behind {
            let removal = Removal { target: Target::Account(account), ban: false, cascade: false, purge: false };
            let (header, control) = self.removal_of(&removal, MessageFate::Fenced, now_ms)?;
            outcome.accepted.push(Accepted::Control(self.write_event(header, &control)?));
        }
        // Once for all of them, who may be thousands.
        self.settle(&mut outcome);
        Ok(outcome)
    }

    /// Whether an account was in by a grant that counted, and is out.
    fn is_out(&self, account: &AccountId) -> bool {
        let mut theirs = self.dag.grants_of(account).iter();
        !self.resolved.members().contains_key(account) && theirs.any(|g| self.resolved.is_ok(*g))
    }

    /// Whether we may ban somebody who is out, so that no invite lets him in again.
    fn may_ban(&self, account: &AccountId) -> Result<(), Refusal> {
        self.permitted(Permission::Remove)?;
        let mine = self.grant().ok_or(Refusal::NotMember)?;
        let mut theirs = self.dag.grants_of(account).iter().filter(|g| self.resolved.is_ok(**g));
        let touchable = theirs.all(|g| self.dag.seniority(mine, *g).is_lt());
        if touchable { Ok(()) } else { Err(Refusal::TooStrong) }
    }

    /// Whether we may remove `target` now.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn may_remove(&self, target: &Target) -> Result<(), Refusal> {
        self.permitted(Permission::Remove)?;
        let mine = self.grant().ok_or(Refusal::NotMember)?;
        if let Target::Invite(invite) = target {
            let (at, _) = self.dag.invite(invite).ok_or(Refusal::NoInvite)?;
            let inviter = self.dag.node(at).auth.ok_or(Refusal::NoInvite)?;
            return if self.dag.seniority(mine, inviter).is_gt() { Err(Refusal::TooStrong) } else { Ok(()) };
        }
        let live: Vec<GrantIdx> =
            self.dag.targets(target).iter().copied().filter(|g| self.resolved.is_live(*g)).collect();
        if live.is_empty() {
            return Err(Refusal::NoAccount);
        }
        let touchable = live.iter().all(|g| self.dag.seniority(mine, *g).is_lt());
        if touchable { Ok(()) } else { Err(Refusal::TooStrong) }
    }

    /// Ends the bans of an account, as far as they are ours or those of our juniors. Does not bring it back.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`]; [`Refusal::NoAccount`] for one who is not banned; [`Refusal::TooStrong`] if a senior banned it.
    pub fn unban(&mut self, account: &AccountId, now_ms: u64) -> Result<Outcome, Refusal> {
        self.permitted(Permission::Remove)?;
        let mine = self.grant().ok_or(Refusal::NotMember)?;
        let bans = self.resolved.bans(&self.dag, account);
        if bans.is_empty() {
            return Err(Refusal::NoAccount);
        }
        let senior = |op: &NodeIdx| self.dag.node(*op).auth.is_none_or(|auth| self.dag.seniority(mine, auth).is_gt());
        if bans.iter().any(senior) {
            return Err(Refusal::TooStrong);
        }
        let mut outcome = Outcome::default();
        for ban in bans {
            let unban = Unban { auth: self.grant_id(mine), removal: self.dag.node(ban).event.id() };
            outcome.merge(self.write_control(Control::Unban(unban), now_ms)?);
        }
        Ok(outcome)
    }

    /// Everybody who is banned, ascending by account.
    pub fn banned(&self) -> Vec<Ban> {
        let accounts: BTreeSet<AccountId> = self.dag.banned_ever().collect();
        let bans = accounts.into_iter().filter_map(|account| {
            let op = self.resolved.bans(&self.dag, &account).into_iter().next()?;
            let node = self.dag.node(op);
            Some(Ban { account, by: node.author, at_ms: node.ts_ms, removal: node.event.id() })
        });
        bans.collect()
    }

    /// Changes the rules of the room, for later epochs.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`] without POLICY.
    pub fn set_policy(&mut self, policy: Policy, now_ms: u64) -> Result<Outcome, Refusal> {
        self.permitted(Permission::Policy)?;
        if self.policy().as_ref() == Some(&policy) {
            return Ok(Outcome::default());
        }
        let auth = self.grant_id(self.grant().ok_or(Refusal::NotMember)?);
        self.write_control(Control::Policy(PolicyChange { auth, policy }), now_ms)
    }

    /// The rules of the room now; `None` until the genesis is here. Frozen into the epochs made from now on.
    pub fn policy(&self) -> Option<Policy> {
        let changed = self.resolved.policy(&self.dag).cloned();
        changed.or_else(|| self.dag.policy().cloned())
    }

    /// Tells the room of new and revoked devices of our account. For the fence of a revocation see
    /// [`revoke_fence`](Self::revoke_fence).
    ///
    /// # Errors
    /// [`Refusal::NotMember`]; [`Refusal::Limit`] if the papers do not hold, or for more than [`limits::MAX_DEVICES`] live ones.
    pub fn update_account(&mut self, update: AccountUpdate, now_ms: u64) -> Result<Outcome, Refusal> {
        if !self.is_member() {
            return Err(Refusal::NotMember);
        }
        let live = self.dag.devices_of(&self.me.account()).iter().filter(|no| self.live.has(**no)).count();
        let goes = |revoke: &DeviceRevoke| self.is_live_device(&DeviceId(revoke.device_pk));
        let stay = live - update.revokes.iter().filter(|revoke| goes(revoke)).count();
        if !update.devices.is_empty() && stay + update.devices.len() > limits::MAX_DEVICES {
            return Err(Refusal::Limit);
        }
        self.write_control(Control::AccountUpdate(update), now_ms)
    }

    /// Brings this device into a room of our account that it was not in, with its own word and the root's: a device that was restored
    /// from a backup and knows the room from there. Nothing if it is known here, or the account is not in. The epoch with it in is
    /// made as after every change of devices.
    ///
    /// # Errors
    /// [`Refusal::Limit`] for more than [`limits::MAX_DEVICES`] live devices; [`Refusal::Held`] while nothing may be written.
    pub fn come_back(&mut self, now_ms: u64) -> Result<Outcome, Refusal> {
        let (known, account) = (self.dag.device_no(&self.me.device()).is_some(), self.me.account());
        if known || !self.resolved.members().contains_key(&account) {
            return Ok(Outcome::default());
        }
        self.may_write()?;
        if self.dag.devices_of(&account).iter().filter(|no| self.live.has(**no)).count() >= limits::MAX_DEVICES {
            return Err(Refusal::Limit);
        }
        let own = NewDevice::sign(self.me.signing_key(), self.me.entrant());
        let update = AccountUpdate { devices: vec![own], revokes: Vec::new() };
        self.write_control(Control::AccountUpdate(update), now_ms)
    }

    /// Revokes another device of our account with its root key: what it wrote up to now counts, and the next epoch is made without
    /// it in the same outcome. Nothing if it is revoked.
    ///
    /// # Errors
    /// [`Refusal::NotMember`]; [`Refusal::NoAccount`] for a device that is not our account's; [`Refusal::OwnDevice`].
    pub fn revoke_device(
        &mut self,
        device: &DeviceId,
        root: &SigningKey,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Outcome, Refusal> {
        let me = self.me.account();
        if *device == self.me.device() {
            return Err(Refusal::OwnDevice);
        }
        if self.account_of(device) != Some(me) {
            return Err(Refusal::NoAccount);
        }
        if self.resolved.is_revoked(device) {
            return Ok(Outcome::default());
        }
        if !self.is_member() {
            return Err(Refusal::NotMember);
        }
        let header = self.control_header(ACCOUNT_UPDATE_KIND, &[], now_ms)?;
        let before = header.parents.iter().chain([&header.prev]).filter_map(|id| self.dag.find(id));
        let view = self.dag.past_of(before);
        let fence = self.device_fence(device, &view);
        let revoke = RevokeFence::revoke(root, me, self.id, fence).map_err(|_| Refusal::Limit)?;
        let update = AccountUpdate { devices: Vec::new(), revokes: vec![revoke] };
        let mut outcome = self.write_under(header, &Control::AccountUpdate(update))?;
        self.rotate_at_once(&mut outcome, now_ms, rng);
        Ok(outcome)
    }

    /// The devices of an account, in order of certification.
    pub fn devices(&self, account: &AccountId) -> Vec<DeviceInfo> {
        let describe = |no: &DeviceNo| {
            let entry = self.dag.devices().get(*no)?;
            let since_ms = entry.certs.first().map(|(at, _)| self.dag.node(*at).ts_ms)?;
            Some(DeviceInfo {
                device: entry.device,
                name: entry.name.clone(),
                since_ms,
                came_after_us: self.came_after_us(entry),
                revoked: self.resolved.is_revoked(&entry.device),
                contradicts_itself: self.dag.forked().contains(&entry.device),
            })
        };
        self.dag.devices_of(account).iter().filter_map(describe).collect()
    }

    /// Whether nothing by which a device came was known to whoever brought this one.
    fn came_after_us(&self, device: &DeviceEntry) -> bool {
        let ours = self.dag.device_no(&self.me.device()).and_then(|no| self.dag.devices().get(no));
        let came = ours.map_or(&[][..], |ours| &ours.certs);
        let before = |(at, _): &(NodeIdx, AccountId)| came.iter().any(|(us, _)| at == us || self.dag.in_past(*at, *us));
        !came.is_empty() && !device.certs.iter().any(before)
    }

    /// Writes the proof that a device contradicts itself, from two signed events of one number. Nothing if the room knows.
    ///
    /// # Errors
    /// [`Refusal::NotMember`]; [`Refusal::Limit`] if the two are no proof.
    pub fn report_fork(&mut self, one: &Event, other: &Event, now_ms: u64) -> Result<Outcome, Refusal> {
        if !self.is_member() {
            return Err(Refusal::NotMember);
        }
        if self.dag.proof_of(&one.log()).is_some() {
            return Ok(Outcome::default());
        }
        let proof = EquivProof::new(&self.id, one, other).ok_or(Refusal::Limit)?;
        self.write_control(Control::EquivProof(Box::new(proof)), now_ms)
    }

    /// Complains about the key of an epoch. At most once an epoch and device counts; asking again writes nothing.
    ///
    /// # Errors
    /// [`Refusal::NotMember`]; [`Refusal::Limit`] for an unknown epoch.
    pub fn complain(&mut self, epoch: &EpochId, what: Complaint, now_ms: u64) -> Result<Outcome, Refusal> {
        let auth = self.grant_id(self.grant().ok_or(Refusal::NotMember)?);
        let device = self.me.device();
        if self.dag.complaints(epoch).any(|(_, node)| node.event.device() == device) {
            return Ok(Outcome::default());
        }
        self.write_control(Control::KeyComplaint(KeyComplaint { auth, epoch: *epoch, what }), now_ms)
    }

    /// The accounts that came by an invite, ascending, with whether each is a member still.
    pub fn came_by(&self, invite: &InviteId) -> Vec<(AccountId, bool)> {
        let Some((at, _)) = self.dag.invite(invite) else { return Vec::new() };
        let came = self.resolved.came_by(at);
        came.map(|account| (*account, self.resolved.members().contains_key(account))).collect()
    }

    /// The live grants of `account` that end when it is given another one, if we may end them all: those that are as strong, of which
    /// the earlier one would go on counting, and those that give anything else. Whoever is to lose a role may have written himself all
    /// its rights under the name of a weaker one, where nobody sees them.
    fn replaced_grants(&self, account: &AccountId, new: &NewGrant) -> Result<Vec<GrantIdx>, Refusal> {
        let mine = self.grant().ok_or(Refusal::NotMember)?;
        let theirs = self.dag.grants_of(account).iter().copied();
        let replaced: Vec<GrantIdx> =
            theirs.filter(|g| self.resolved.is_live(*g) && !self.adds_nothing(&self.dag.grants()[*g], new)).collect();
        if !replaced.is_empty() {
            self.permitted(Permission::Remove)?;
        }
        let touchable = replaced.iter().all(|g| self.dag.seniority(mine, *g).is_lt());
        if touchable { Ok(replaced) } else { Err(Refusal::TooStrong) }
    }

    /// Whether a grant is weaker than a new one and gives nothing that this does not give.
    fn adds_nothing(&self, old: &Grant, new: &NewGrant) -> bool {
        let narrower = |one, other| self.dag.narrower(one, other, &self.everything);
        let invites = |bounds: InviteBounds| {
            let history = narrower(old.invites.history, old.reads);
            let fewer = old.invites.until_ms <= bounds.until_ms && old.invites.uses <= bounds.uses;
            fewer && narrower(history, bounds.history) == history
        };
        let hands_on = old.max_depth > 0 && !new.invites.is_none_or(invites);
        old.power > new.power && old.perms.within(new.perms) && old.max_depth <= new.max_depth && !hands_on
    }

    /// Refuses to take back whom a senior has banned.
    fn not_banned(&self, account: &AccountId) -> Result<(), Refusal> {
        let mine = self.grant().ok_or(Refusal::NotMember)?;
        let bans = self.resolved.bans(&self.dag, account);
        let binds = |op: &NodeIdx| self.dag.node(*op).auth.is_none_or(|auth| self.dag.seniority(mine, auth).is_gt());
        if bans.iter().any(binds) { Err(Refusal::Banned) } else { Ok(()) }
    }

    /// Writes the Remove, and settles what follows from it.
    pub(super) fn write_removal(
        &mut self,
        removal: &Removal,
        messages: MessageFate,
        now_ms: u64,
    ) -> Result<Outcome, Refusal> {
        let (header, control) = self.removal_of(removal, messages, now_ms)?;
        self.write_under(header, &control)
    }

    /// The Remove with its fence: all that we hold of the logs of those it hits. Of the control logs what our event
    /// sees: with more than eight control heads that may be less.
    fn removal_of(
        &self,
        removal: &Removal,
        messages: MessageFate,
        now_ms: u64,
    ) -> Result<(ControlHeader, Control), Refusal> {
        let mine = self.grant().ok_or(Refusal::NotMember)?;
        let Removal { target, ban, cascade, .. } = *removal;
        let hit = if cascade { self.dag.subtree(&target) } else { self.dag.targets(&target).to_vec() };
        let accounts: BTreeSet<AccountId> = hit.iter().map(|g| self.dag.grants()[*g].subject).collect();
        // Before all what the Remove can not count without, for an event has few parents: our own grant, and what ended the grants by
        // which they stood above us. Who is not said to know of that can not remove them.
        let theirs = accounts.iter().flat_map(|account| self.dag.grants_of(account));
        let ends = theirs.filter(|g| self.resolved.is_ok(**g)).flat_map(|g| self.resolved.kills(*g)).copied();
        let (live, over): (Vec<GrantIdx>, Vec<GrantIdx>) = hit.iter().partition(|g| self.resolved.is_live(**g));
        let op = |g: &GrantIdx| self.dag.grants()[*g].op;
        let named =
            [mine].iter().map(op).chain(ends).chain(live.iter().map(op)).chain(over.iter().map(op)).collect::<Vec<_>>();
        let header = self.control_header(REMOVE_KIND, &named, now_ms)?;
        let before = header.parents.iter().chain([&header.prev]).filter_map(|id| self.dag.find(id));
        let view = self.dag.past_of(before);
        let devices = accounts.iter().flat_map(|account| self.dag.devices_of(account));
        let devices = devices.filter_map(|no| self.dag.devices().get(*no));
        let mut fence: Vec<DeviceFence> = devices.map(|entry| self.device_fence(&entry.device, &view)).collect();
        fence.retain(|fence| fence.control.is_some() || fence.message.is_some());
        // Of more than fit those who wrote most: nothing of the others counts.
        fence.sort_by_key(|fence| std::cmp::Reverse(fence.message.map_or(0, |at| at.seq)));
        fence.truncate(limits::MAX_REMOVE_FENCE);
        fence.sort_unstable_by_key(|fence| fence.device);
        fence.dedup_by_key(|fence| fence.device);
        let remove = Remove { auth: self.grant_id(mine), target, ban, cascade, messages, fence };
        Ok((header, Control::Remove(remove)))
    }
}
