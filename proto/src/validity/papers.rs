//! What an event says about keys: newcomers, new devices, revocations, epochs and proofs.

use super::{Invalid, Papers};
use crate::control::{
    AccountUpdate, Admit, Control, DeviceFence, EquivProof, Permission, RevokeFence, Rotate, Setting, Sponsor,
};
use crate::dag::{Dag, Grant, GrantIdx, NodeIdx, Set};
use crate::ids::{AccountId, DeviceId};

/// What the rules of a kind look at.
pub(super) struct Facts<'a> {
    pub(super) dag: &'a Dag,
    pub(super) past: &'a Set,
    pub(super) ts_ms: u64,
    pub(super) papers: Papers,
    pub(super) author: AccountId,
    pub(super) device: DeviceId,
}

/// Whether a device of the account is certified in the past.
pub(super) fn known_account(dag: &Dag, account: &AccountId, past: &Set) -> bool {
    let owner = dag.direct().is_some_and(|direct| direct.ids().contains(account));
    owner || dag.devices_of(account).iter().any(|no| dag.account_in(*no, past) == Some(*account))
}

pub(super) fn permitted(grant: &Grant, permission: Permission) -> Result<(), Invalid> {
    if grant.perms.has(permission) { Ok(()) } else { Err(Invalid::Permission) }
}

impl Facts<'_> {
    pub(super) fn check(&self, control: &Control, auth: Option<GrantIdx>) -> Result<(), Invalid> {
        match control {
            Control::AccountUpdate(update) => return self.account_update(update),
            Control::EquivProof(proof) => return self.proof(proof),
            _ => {}
        }
        let Some(auth) = auth else { return Ok(()) };
        let grant = &self.dag.grants()[auth];
        match control {
            Control::Invite(invite) => self.invite(invite, grant),
            Control::InviteRevoke(revoke) => {
                self.closes(&revoke.invite, auth)?;
                self.first_closing(&revoke.invite, auth)
            }
            Control::Grant(new) => self.grant(new, grant),
            Control::Remove(remove) => self.remove(remove, auth),
            Control::Unban(unban) => self.unban(unban, auth),
            Control::Admit(admit) => self.admit(admit, grant),
            Control::State(state) => {
                state.writes.iter().try_for_each(|(number, _)| permitted(grant, Setting::permission(*number)))
            }
            Control::Policy(_) => permitted(grant, Permission::Policy),
            Control::Rotate(rotate) => {
                permitted(grant, Permission::Post)?;
                self.rotate(rotate)
            }
            Control::KeyComplaint(complaint) => {
                let (epoch, _) = self.dag.epoch(&complaint.epoch).ok_or(Invalid::Reference)?;
                self.known(epoch)?;
                let mut before = self.dag.complaints(&complaint.epoch);
                let again = before.any(|(at, node)| self.past.has(at) && node.event.device() == self.device);
                if again { Err(Invalid::Repeated) } else { Ok(()) }
            }
            Control::Decline(decline) => self.decline(decline, auth),
            // Nobody could be taken back.
            Control::Leave(_) if self.dag.direct().is_some() => Err(Invalid::Permission),
            Control::Leave(_) => {
                let again = self.dag.leaves_of(&self.author).iter().any(|at| self.is_again(*at, auth));
                if again { Err(Invalid::Repeated) } else { Ok(()) }
            }
            Control::Genesis(_)
            | Control::Direct(_)
            | Control::Unknown(_)
            | Control::AccountUpdate(_)
            | Control::EquivProof(_) => Ok(()),
        }
    }

    fn admit(&self, admit: &Admit, sponsor: &Grant) -> Result<(), Invalid> {
        let (at, invite) = self.dag.invite(&admit.invite).ok_or(Invalid::Reference)?;
        self.known(at)?;
        let (epoch, _) = self.dag.epoch(&admit.epoch).ok_or(Invalid::Reference)?;
        self.known(epoch)?;
        if !(invite.not_before_ms..=invite.expires_ms).contains(&self.ts_ms) {
            return Err(Invalid::Window);
        }
        if self.dag.came_after(sponsor, self.ts_ms) {
            return Err(Invalid::Window);
        }
        if self.dag.let_in_often(&self.device, &admit.join.entrant.account(), self.past) {
            return Err(Invalid::Repeated);
        }
        if !self.dag.slice_in_reach(&admit.epoch, admit.slice, self.past) {
            return Err(Invalid::Generation);
        }
        if sponsor.power > invite.sponsor.weakest() || sponsor.power > invite.power {
            return Err(Invalid::Permission);
        }
        // A guest that was put out would come back, by anybody who has its link.
        if invite.sponsor == Sponsor::Instant && self.dag.node(at).author != self.author {
            return Err(Invalid::Permission);
        }
        if admit.join.invite_pk != invite.invite_pk {
            return Err(Invalid::Papers);
        }
        if self.left_since(admit) {
            return Err(Invalid::Repeated);
        }
        let entrant = &admit.join.entrant;
        self.keys_free(&entrant.account(), entrant.device(), &entrant.leaf.leaf_pk)?;
        match self.papers {
            Papers::Check => admit.join.verify(&self.dag.room()).map_err(|_| Invalid::Papers),
            Papers::Known => Ok(()),
        }
    }

    /// Whether who asks has left since he was let in by the same request: it lies in the log, for everybody to let him in again with.
    fn left_since(&self, admit: &Admit) -> bool {
        let mut leaves = self.dag.leaves_of(&admit.join.entrant.account()).iter();
        leaves.any(|leave| self.past.has(*leave) && self.dag.knew_request(*leave, admit))
    }

    fn account_update(&self, update: &AccountUpdate) -> Result<(), Invalid> {
        let inception = self.dag.inception(&self.author).ok_or(Invalid::Author)?;
        let of_author = |account: &[u8; 32]| if *account == self.author.0 { Ok(()) } else { Err(Invalid::Papers) };
        for (at, new) in update.devices.iter().enumerate() {
            // In a direct chat who begins brings the other's devices too: their papers speak for themselves.
            let account = AccountId(new.cert.account);
            let direct = self.dag.direct().is_some_and(|direct| direct.ids().contains(&account));
            if !direct {
                of_author(&account.0)?;
            }
            let inception = self.dag.inception(&account).ok_or(Invalid::Papers)?;
            let device = new.device();
            if self.dag.device_no(&device).is_some_and(|no| self.dag.account_in(no, self.past).is_some())
                || update.devices[..at].iter().any(|other| other.leaf.leaf_pk == new.leaf.leaf_pk)
            {
                return Err(Invalid::KeyTaken);
            }
            self.keys_free(&account, device, &new.leaf.leaf_pk)?;
            if self.papers == Papers::Check {
                new.verify(inception).map_err(|_| Invalid::Papers)?;
            }
        }
        for revoke in &update.revokes {
            of_author(&revoke.account)?;
            let device = DeviceId(revoke.device_pk);
            let no = self.dag.device_no(&device).ok_or(Invalid::Reference)?;
            if self.dag.account_in(no, self.past) != Some(self.author) {
                return Err(Invalid::Reference);
            }
            if self.is_revoked(&device) {
                return Err(Invalid::Repeated);
            }
            self.fence(&RevokeFence::of(revoke, &self.dag.room()).ok_or(Invalid::Papers)?)?;
            if self.papers == Papers::Check {
                revoke.verify(inception).map_err(|_| Invalid::Papers)?;
            }
        }
        Ok(())
    }

    fn proof(&self, proof: &EquivProof) -> Result<(), Invalid> {
        if !known_account(self.dag, &self.author, self.past) {
            return Err(Invalid::Author);
        }
        if self.papers == Papers::Check {
            proof.verify(&self.dag.room()).map_err(|_| Invalid::Papers)?;
        }
        let shown = proof.shows(&self.dag.room()).ok_or(Invalid::Papers)?;
        let certified = self.dag.device_no(&shown.log.device).and_then(|no| self.dag.account_in(no, self.past));
        certified.ok_or(Invalid::Reference)?;
        if self.dag.is_proved(&shown, |at| self.past.has(at)) { Err(Invalid::Repeated) } else { Ok(()) }
    }

    fn rotate(&self, rotate: &Rotate) -> Result<(), Invalid> {
        for parent in &rotate.parents {
            let (at, _) = self.dag.epoch(parent).ok_or(Invalid::Reference)?;
            self.known(at)?;
        }
        Ok(())
    }

    /// Whether the device can come to the account with this leaf key: nobody else has either, and it was not revoked.
    fn keys_free(&self, account: &AccountId, device: DeviceId, leaf_pk: &[u8; 32]) -> Result<(), Invalid> {
        let owner = self.dag.device_no(&device).and_then(|no| self.dag.account_in(no, self.past));
        let taken = |(at, owner): &(NodeIdx, DeviceId)| *owner != device && self.past.has(*at);
        if owner.is_some_and(|owner| owner != *account) || self.dag.leaf_owners(leaf_pk).iter().any(taken) {
            return Err(Invalid::KeyTaken);
        }
        if self.is_revoked(&device) { Err(Invalid::Revoked) } else { Ok(()) }
    }

    fn is_revoked(&self, device: &DeviceId) -> bool {
        self.dag.device_revokes(device).iter().any(|(at, _)| self.past.has(*at))
    }

    /// Whether a fence names a control event of its device in the past.
    pub(super) fn fence(&self, fence: &DeviceFence) -> Result<(), Invalid> {
        let Some(position) = fence.control else { return Ok(()) };
        let at = self.dag.find(&position.id).ok_or(Invalid::Reference)?;
        self.known(at)?;
        let event = &self.dag.node(at).event;
        let fits = event.device() == fence.device && event.seq() == position.seq;
        if fits { Ok(()) } else { Err(Invalid::Reference) }
    }

    pub(super) fn known(&self, at: NodeIdx) -> Result<(), Invalid> {
        if self.past.has(at) { Ok(()) } else { Err(Invalid::Reference) }
    }
}
