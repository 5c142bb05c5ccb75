//! What an event says about membership: roles given, people removed, invites made and closed. Nobody gives more than he
//! has, and nobody touches a senior.

use std::cmp::Reverse;

use super::Invalid;
use super::papers::{Facts, known_account, permitted};
use crate::control::{
    Control, Decline, GrantRole, History, Invite, InviteBounds, InviteHistory, InviteId, Permission, Permissions,
    Power, Remove, Sponsor, Target, Unban,
};
use crate::dag::{Grant, GrantIdx, NodeIdx};
use crate::ids::EpochId;

impl Facts<'_> {
    pub(super) fn invite(&self, invite: &Invite, giver: &Grant) -> Result<(), Invalid> {
        permitted(giver, Permission::Invite)?;
        let shared = invite.history == InviteHistory::None || self.history_ever_shared();
        let says = InviteBounds { until_ms: invite.expires_ms, uses: invite.max_uses, history: invite.history };
        let onward = self.bounded(&invite.onward, &giver.invites)
            && invite.onward.history.within(&invite.history, |first, bound| self.not_before(first, bound));
        if shared && onward && plain_if_instant(invite) && self.bounded(&says, &giver.invites) {
            attenuated(giver, invite.power, invite.perms, invite.max_depth)
        } else {
            Err(Invalid::Attenuation)
        }
    }

    pub(super) fn grant(&self, new: &GrantRole, giver: &Grant) -> Result<(), Invalid> {
        permitted(giver, Permission::Grant)?;
        if !known_account(self.dag, &new.subject, self.past) {
            return Err(Invalid::Reference);
        }
        if !self.bounded(&new.invites, &giver.invites) {
            return Err(Invalid::Attenuation);
        }
        if self.dag.given_often(&self.device, &new.subject, self.past) {
            return Err(Invalid::Repeated);
        }
        attenuated(giver, new.power, new.perms, new.max_depth)
    }

    /// Whether bounds let hand on no more than those of the giver.
    fn bounded(&self, bounds: &InviteBounds, giver: &InviteBounds) -> bool {
        bounds.within(giver, |first, bound| self.not_before(first, bound))
    }

    /// Whether an epoch is `bound` or a later one, both in the past.
    fn not_before(&self, epoch: &EpochId, bound: &EpochId) -> bool {
        let order = |epoch: &EpochId| {
            let (at, _) = self.dag.epoch(epoch).filter(|(at, _)| self.past.has(*at))?;
            Some((self.dag.node(at).lamport, Reverse(self.dag.node(at).event.id())))
        };
        epoch == bound || order(bound).is_some_and(|bound| order(epoch) >= Some(bound))
    }

    /// A removal names something in its past that its author may end, and fences with what lies in its past.
    pub(super) fn remove(&self, remove: &Remove, auth: GrantIdx) -> Result<(), Invalid> {
        permitted(&self.dag.grants()[auth], Permission::Remove)?;
        remove.fence.iter().try_for_each(|fence| self.fence(fence))?;
        if let Target::Invite(invite) = &remove.target {
            return self.closes(invite, auth);
        }
        let known = |g: &&GrantIdx| self.past.has(self.dag.grants()[**g].op);
        let mut named = self.dag.targets(&remove.target).iter().filter(known).peekable();
        if named.peek().is_none() {
            return Err(Invalid::Reference);
        }
        let may = named.any(|g| self.dag.seniority(auth, *g).is_lt());
        if may { Ok(()) } else { Err(Invalid::Permission) }
    }

    /// A ban ends by who made it, under that very grant, or by somebody more senior.
    pub(super) fn unban(&self, unban: &Unban, auth: GrantIdx) -> Result<(), Invalid> {
        permitted(&self.dag.grants()[auth], Permission::Remove)?;
        let at = self.dag.find(&unban.removal).ok_or(Invalid::Reference)?;
        self.known(at)?;
        let removal = self.dag.node(at);
        let bans = matches!(&removal.control, Control::Remove(remove) if remove.ban);
        let banner = removal.auth.filter(|_| bans).ok_or(Invalid::Reference)?;
        let before = self.dag.kinds().unbans.get(&at);
        if before.is_some_and(|before| before.iter().any(|other| self.is_again(*other, auth))) {
            return Err(Invalid::Repeated);
        }
        if self.dag.seniority(auth, banner).is_le() { Ok(()) } else { Err(Invalid::Permission) }
    }

    /// An invite is closed by who made it, under that very grant, or by somebody more senior: so it is decided before those
    /// whom the invite let in.
    pub(super) fn closes(&self, invite: &InviteId, auth: GrantIdx) -> Result<(), Invalid> {
        let (at, _) = self.dag.invite(invite).ok_or(Invalid::Reference)?;
        self.known(at)?;
        let inviter = self.dag.node(at).auth.ok_or(Invalid::Reference)?;
        if self.dag.seniority(auth, inviter).is_le() { Ok(()) } else { Err(Invalid::Permission) }
    }

    /// An invite is closed once under one grant by one device.
    pub(super) fn first_closing(&self, invite: &InviteId, auth: GrantIdx) -> Result<(), Invalid> {
        let before = self.dag.find(invite).and_then(|at| self.dag.kinds().revokes.get(&at));
        let again = before.is_some_and(|before| before.iter().any(|at| self.is_again(*at, auth)));
        if again { Err(Invalid::Repeated) } else { Ok(()) }
    }

    /// Whether the device did this before, under the same grant. Another one of its account may be revoked, and what it did undone.
    pub(super) fn is_again(&self, before: NodeIdx, auth: GrantIdx) -> bool {
        let node = self.dag.node(before);
        self.past.has(before) && node.auth == Some(auth) && node.event.device() == self.device
    }

    /// A no to somebody who asks, by who may let him in: once a device under one grant, unless he was let in since.
    pub(super) fn decline(&self, decline: &Decline, auth: GrantIdx) -> Result<(), Invalid> {
        let sponsor = &self.dag.grants()[auth];
        let (at, invite) = self.dag.invite(&decline.invite).ok_or(Invalid::Reference)?;
        self.known(at)?;
        if !invite.approval || sponsor.power > invite.sponsor.weakest() || sponsor.power > invite.power {
            return Err(Invalid::Permission);
        }
        let came_since = |no: NodeIdx| {
            let mut grants = self.dag.let_in_beside(no, at, &decline.account);
            grants.any(|g| self.past.has(self.dag.grants()[g].op))
        };
        let mut before = self.dag.declines(at, &decline.account).iter();
        let again = before.any(|no| self.is_again(*no, auth) && !came_since(*no));
        if again { Err(Invalid::Repeated) } else { Ok(()) }
    }

    /// Whether the room ever shared its history, as far as the past knows. What a newcomer may read of each epoch is frozen
    /// into that epoch.
    fn history_ever_shared(&self) -> bool {
        let shares = |at: &usize| match &self.dag.node(*at).control {
            Control::Policy(change) => self.past.has(*at) && change.policy.history == History::Full,
            _ => false,
        };
        let began = self.dag.policy().is_some_and(|policy| policy.history == History::Full);
        began || self.dag.kinds().policies.iter().any(shares)
    }
}

/// Whether an invite that needs no member's word is for a plain member, who hands on nothing.
fn plain_if_instant(invite: &Invite) -> bool {
    let plain = invite.power == Power::MEMBER && invite.perms.within(Permissions::NONE.with(Permission::Post));
    invite.sponsor != Sponsor::Instant || (plain && invite.max_depth == 0 && !invite.approval)
}

/// Power not stronger, permissions a subset, and one step less to delegate.
fn attenuated(giver: &Grant, power: Power, perms: Permissions, max_depth: u8) -> Result<(), Invalid> {
    let fits = power >= giver.power && perms.within(giver.perms) && max_depth < giver.max_depth;
    if fits { Ok(()) } else { Err(Invalid::Attenuation) }
}
