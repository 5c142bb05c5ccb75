//! Letting somebody in.

use parlor_crypto::CryptoRng;
use parlor_crypto::epoch::SliceSecret;
use parlor_crypto::leaf::LeafPublic;

use zeroize::Zeroizing;

use super::Room;
use super::types::{Admission, JoinRefusal, Outcome, Refusal};
use crate::control::{Admit, Control, EntrantError, Invite, InviteHistory, JoinRequest, JoinRequestError, Power};
use crate::dag::NodeIdx;
use crate::epoch::{Welcome, WelcomeKey};
use crate::ids::{AccountId, EpochId};
use crate::limits;

impl Room {
    /// Lets the author of `join` in, if an invite with its key is open and we may admit on it; `approved` says that a person
    /// of this node said yes. A device that is in already gets its Welcome again and nothing is written.
    ///
    /// # Errors
    /// See [`JoinRefusal`]: what the joiner is told.
    pub fn admit(
        &mut self,
        join: JoinRequest,
        approved: bool,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Admission, JoinRefusal> {
        join.verify(&self.id)?;
        let me = self.grant().ok_or(JoinRefusal::NotSponsor)?;
        let power = self.dag.grants()[me].power;
        let invites: Vec<NodeIdx> = self.invites_with_key(&join.invite_pk).collect();
        if let Some(welcome) = self.welcome_again(&join, &invites, rng) {
            return Ok(Admission { outcome: Outcome::default(), welcome: Some(welcome) });
        }
        // Somebody may have made a second invite with the same key: any that is open will do.
        let mut refusal = JoinRefusal::Unknown;
        let mut open = None;
        for at in invites {
            match self.check_invite(at, power, &join, approved, now_ms) {
                Ok(()) => {
                    open = Some(at);
                    break;
                }
                Err(why) => refusal = why,
            }
        }
        let at = open.ok_or(refusal)?;
        self.admit_on(at, join, now_ms, rng)
    }

    fn admit_on(
        &mut self,
        at: NodeIdx,
        join: JoinRequest,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Admission, JoinRefusal> {
        let (outcome, epoch, slice) = self.write_admit(at, join.clone(), now_ms)?;
        let keys = self.keys_for(&self.reads_by(at, &join.entrant.account()), epoch, &slice);
        // No keys for whom the Admit does not bring in, whatever the reason: nobody would see that he reads.
        let is_in = self.is_live_device(&join.entrant.device());
        let welcome = if is_in { self.seal_welcome(&join, keys, rng) } else { None };
        Ok(Admission { outcome, welcome })
    }

    /// How much of the past an account that was let in by an invite reads for it: what it says, and no more than the account may read by
    /// what it has. Another device of a member comes in also by a link that gives him nothing any more.
    fn reads_by(&self, invite: NodeIdx, account: &AccountId) -> InviteHistory {
        let theirs = self.dag.grants_of(account).iter().copied().filter(|g| self.resolved.is_live(*g));
        let may = self.dag.widest(theirs, &self.everything);
        self.dag.narrower(self.dag.lets_read(invite), may, &self.everything)
    }

    /// Writes the Admit, and tells the epoch and slice from which on the newcomer reads.
    pub(super) fn write_admit(
        &mut self,
        at: NodeIdx,
        join: JoinRequest,
        now_ms: u64,
    ) -> Result<(Outcome, EpochId, SliceSecret), JoinRefusal> {
        self.may_write().map_err(unwritten)?;
        let epoch = self.best.ok_or(JoinRefusal::NoSafeEpoch)?;
        let slice = self.slice_for(&epoch, &self.dag.lets_read(at)).ok_or(JoinRefusal::NoSafeEpoch)?;
        let me = self.grant().ok_or(JoinRefusal::NotSponsor)?;
        if self.has_keys_of_others(&join) {
            return Err(TAKEN);
        }
        let admit = Admit {
            auth: self.grant_id(me),
            invite: self.dag.node(at).event.id(),
            join,
            epoch,
            slice: slice.index(),
            slice_commit: slice.commit(self.id.as_bytes()),
        };
        let outcome = self.write_control(Control::Admit(Box::new(admit)), now_ms).map_err(unwritten)?;
        Ok((outcome, epoch, slice))
    }

    /// Whether the invite takes this joiner now.
    pub(super) fn check_invite(
        &self,
        at: NodeIdx,
        power: Power,
        join: &JoinRequest,
        approved: bool,
        now_ms: u64,
    ) -> Result<(), JoinRefusal> {
        let invite = self.invite_at(at).ok_or(JoinRefusal::Unknown)?;
        if self.resolved.is_closed(&self.dag, at) {
            return Err(JoinRefusal::Revoked);
        }
        // Also of who may take the account back: that is said by a role, never by an invite that anybody may hold.
        if !self.resolved.bans(&self.dag, &join.entrant.account()).is_empty() {
            return Err(JoinRefusal::Banned);
        }
        if self.removed_since(at, invite.power, &join.entrant.account()) {
            return Err(JoinRefusal::RemovedSince);
        }
        if !self.dag.device_revokes(&join.entrant.device()).is_empty() {
            return Err(JoinRefusal::DeviceRevoked);
        }
        if now_ms > invite.expires_ms {
            return Err(JoinRefusal::Expired);
        }
        if now_ms < invite.not_before_ms {
            return Err(JoinRefusal::NotYet);
        }
        let known = self.resolved.used_by(at, &join.entrant.account());
        if !known && invite.max_uses != u32::MAX && self.resolved.uses(at) >= invite.max_uses as usize {
            return Err(JoinRefusal::UsesExhausted);
        }
        // Before the question of approval: who may not admit has nobody to ask.
        let late = self.grant().is_some_and(|me| self.dag.came_after(&self.dag.grants()[me], now_ms));
        let often = self.dag.let_in_often(&self.me.device(), &join.entrant.account(), &self.everything);
        if power > invite.sponsor.weakest() || power > invite.power || late || often {
            return Err(JoinRefusal::NotSponsor);
        }
        if !invite.approval || approved {
            return Ok(());
        }
        let declined = self.decline_of(at, &join.entrant.account());
        Err(declined.map_or(JoinRefusal::Approval, |_| JoinRefusal::Declined))
    }

    /// Whether the account was removed by somebody who counts, after the invite was made, or given another role in place of one no
    /// stronger than the invite's: a link that it kept lets it back in no more.
    fn removed_since(&self, invite: NodeIdx, power: Power, account: &AccountId) -> bool {
        let since = |removal: &NodeIdx| !self.dag.in_past(*removal, invite);
        // Of a member it is asked for another device of his, and that comes in whatever becomes of the grant.
        let is_in = self.resolved.members().contains_key(account);
        let mut roles = self.dag.role_removes_since(invite, account, power);
        if !is_in && roles.any(|removal| self.resolved.ends_any(&self.dag, account, removal)) {
            return true;
        }
        let removals = self.dag.kinds().account_removes.get(account).map_or(&[][..], Vec::as_slice);
        let holds = |removal: &NodeIdx| {
            self.resolved.ends_any(&self.dag, account, *removal)
                && self.resolved.unbans(&self.dag, *removal).next().is_none()
        };
        removals.iter().filter(|at| since(at)).any(holds)
    }

    /// Whether the device is another account's in this room, or its leaf key another device's: such an Admit counts nowhere.
    pub(super) fn has_keys_of_others(&self, join: &JoinRequest) -> bool {
        let device = join.entrant.device();
        let owner = self.dag.device_no(&device).and_then(|no| self.dag.account_in(no, &self.everything));
        owner.is_some_and(|owner| owner != join.entrant.account())
            || self.dag.leaf_owners(&join.entrant.leaf.leaf_pk).iter().any(|(_, owner)| *owner != device)
    }

    /// The Welcome for a live device that was admitted with this invite before: the first one may have been lost.
    fn welcome_again(&self, join: &JoinRequest, invites: &[NodeIdx], rng: &mut impl CryptoRng) -> Option<Vec<u8>> {
        let device = join.entrant.device();
        self.dag.device_no(&device).filter(|no| self.live.has(*no))?;
        let grants = self.dag.grants_of(&join.entrant.account()).iter();
        let live = grants.map(|g| (*g, self.dag.grants()[*g].op)).filter(|(g, _)| self.resolved.is_live(*g));
        let mut admits = live.filter_map(|(_, op)| match &self.dag.node(op).control {
            Control::Admit(admit) if admit.join.entrant.device() == device => Some((op, admit)),
            _ => None,
        });
        let keys = admits.find_map(|(op, admit)| {
            let (at, _) = self.dag.invite(&admit.invite).filter(|(at, _)| invites.contains(at))?;
            let slice = self.opened_by_admit(op, admit)?;
            Some(self.keys_for(&self.dag.lets_read(at), admit.epoch, &slice))
        })?;
        self.seal_welcome(join, keys, rng)
    }

    /// The slice that an admission opened, if it counts, opens what it says, and the key is held.
    fn opened_by_admit(&self, op: NodeIdx, admit: &Admit) -> Option<SliceSecret> {
        self.epochs.opens(&self.dag, op, &self.resolved).then_some(())?;
        let held = self.epochs.held().get(&admit.epoch).filter(|held| held.checked && held.slice <= admit.slice)?;
        let mut slice = SliceSecret::from_secret(held.slice, held.key.clone()).ok()?;
        slice.advance_to(admit.slice).ok()?;
        Some(slice)
    }

    fn seal_welcome(&self, join: &JoinRequest, keys: Vec<WelcomeKey>, rng: &mut impl CryptoRng) -> Option<Vec<u8>> {
        let mut welcome = Welcome {
            topic_secret: self.topic.clone(),
            generation: self.topic_generation(),
            keys,
            frontier: self.dag.frontier().iter().take(limits::MAX_PENDING).copied().collect(),
        };
        welcome.frontier.truncate(limits::MAX_WELCOME / 64);
        let device = join.entrant.device();
        let leaf = LeafPublic::parse(&self.leaf_for(join)).ok()?;
        let plain = Zeroizing::new(crate::codec::encode(&welcome));
        let rng = &mut self.hedged(rng, &[&plain]);
        Some(welcome.seal(&self.id, &join.invite_pk, &device, &leaf, rng))
    }

    /// The leaf key that what is for the author of a request is sealed to: the newest one of his device. The request may be an old one,
    /// out of the log, and its key in the hands of a thief.
    pub fn leaf_for(&self, join: &JoinRequest) -> [u8; 32] {
        self.leaf_of(&join.entrant.device()).map_or(join.entrant.leaf.leaf_pk, |leaf| leaf.leaf_pk)
    }

    /// The slice a newcomer is let in at: a new one if it may not read what was written before, otherwise the current one.
    fn slice_for(&mut self, epoch: &EpochId, history: &InviteHistory) -> Option<SliceSecret> {
        let current = self.current_slice(epoch).max(self.epochs.used_slice(epoch));
        let index = if self.reaches_all_of(epoch, history) { current } else { current.checked_add(1)? };
        self.epochs.slice(epoch, index)
    }

    /// Whether newcomers by an invite with this history may read the epoch from its beginning.
    fn reaches_all_of(&self, epoch: &EpochId, history: &InviteHistory) -> bool {
        let shared = self.dag.epoch(epoch).map(|(_, rotate)| rotate.share_history);
        shared == Some(crate::control::History::Full) && self.invite_reaches(history, epoch)
    }

    /// The keys that go into a Welcome, ascending by epoch, one an epoch.
    fn keys_for(&self, history: &InviteHistory, epoch: EpochId, slice: &SliceSecret) -> Vec<WelcomeKey> {
        let mut keys = self.all_keys(history, &epoch);
        if !keys.iter().any(|key| key.epoch == epoch) {
            keys.push(WelcomeKey { epoch, slice: slice.index(), key: slice.secret().clone() });
        }
        keys.sort_unstable_by_key(|key| key.epoch);
        keys
    }

    /// The invites with this public key, in order of acceptance.
    pub(super) fn invites_with_key(&self, invite_pk: &[u8; 32]) -> impl Iterator<Item = NodeIdx> {
        let invites = self.dag.kinds().invites.iter().copied();
        invites.filter(move |at| self.invite_at(*at).is_some_and(|invite| invite.invite_pk == *invite_pk))
    }

    pub(super) fn invite_at(&self, at: NodeIdx) -> Option<&Invite> {
        match &self.dag.node(at).control {
            Control::Invite(invite) => Some(invite),
            _ => None,
        }
    }
}

/// The answer to papers that another's in the room contradict.
const TAKEN: JoinRefusal = JoinRefusal::Request(JoinRequestError::Entrant(EntrantError));

/// What a joiner is told if his Admit can not be written: that is no fault of his.
pub(super) fn unwritten(why: Refusal) -> JoinRefusal {
    match why {
        Refusal::Cloned => JoinRefusal::Cloned,
        Refusal::NotMember | Refusal::NotPermitted(_) => JoinRefusal::NotSponsor,
        // He asks again.
        _ => JoinRefusal::NoSafeEpoch,
    }
}
