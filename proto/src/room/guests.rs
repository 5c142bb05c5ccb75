//! Guests: accounts whose keys follow from the link of an instant invite, who let people in while nobody is online.
//!
//! An instant invite is two Invite events of one maker with one door. By the one in the link people come, by the other, of the
//! sponsor class Instant, the maker lets in guests, one for each use, in the same batch. A guest is a member like any other to
//! every rule; whoever has the link can be it: let a person in, and leave. Its keys are known to all who have the link, so it
//! is put out as soon as it is of no more use: with its invite, with its maker, and when it has let somebody in, so that nobody
//! can unsay that by a second branch of its log.

use std::collections::BTreeMap;

use parlor_crypto::CryptoRng;

use super::Room;
use super::govern::Removal;
use super::invites::{InstantInvite, InstantLimit, NewInvite};
use super::types::{Outcome, Refusal};
use crate::control::{Control, Invite, JoinRequest, MessageFate, Permission, Permissions, Role, Sponsor, Target};
use crate::dag::{GrantIdx, Node, NodeIdx};
use crate::epoch::election_delay_ms;
use crate::identity::Identity;
use crate::ids::{AccountId, DeviceId, EventId};
use crate::join::instant::Package;
use crate::limits;
use crate::wire::Blob;

/// When each guest that is not needed any more is put out by us.
pub(super) type Turns = BTreeMap<AccountId, u64>;

impl Room {
    /// Makes an instant invite: the link alone reads and lets in, with nobody online. What the outcome holds and the package,
    /// sealed for the door, are to be stored in one batch.
    ///
    /// # Errors
    /// See [`Refusal`], before anything is written: [`Refusal::NotPermitted`] without INVITE and REMOVE,
    /// [`Refusal::Instant`], [`Refusal::NoSafeEpoch`].
    pub fn invite_instant(
        &mut self,
        new: &NewInvite,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<InstantInvite, Refusal> {
        let guests = self.may_be_instant(new, now_ms)?;
        let (seed, mut outcome) = self.invite(new, now_ms, rng)?;
        let invite_pk = seed.keys().sign.public_bytes();
        let made = outcome.events().last().map(crate::event::Event::id).ok_or(Refusal::NoInvite)?;
        let people = self.invites_with_key(&invite_pk).find_map(|at| self.invite_at(at)).cloned();
        // From here on nothing is refused, for something is written: whatever fails leaves an invite without guests.
        let mut welcomes = Vec::new();
        if let Some(people) = people {
            let key = seed.instant().guests;
            let sponsor = Sponsor::Instant;
            let invite = Invite { invite_pk: key.public_bytes(), sponsor, max_depth: 0, ..people };
            outcome.merge(self.write_control(Control::Invite(invite), now_ms).unwrap_or_default());
            for number in 0..u8::try_from(guests).unwrap_or(u8::MAX) {
                let Ok(guest) = Identity::guest(seed.guest(number)) else { break };
                let mut nonce = [0; 16];
                rng.fill_bytes(&mut nonce);
                let join = JoinRequest::sign(&self.id, &key, guest.signing_key(), guest.entrant(), nonce);
                let Ok(admission) = self.admit(join, false, now_ms, rng) else { break };
                outcome.merge(admission.outcome);
                welcomes.push(Blob(admission.welcome));
            }
        }
        let control = self.control_events().map(|event| Blob(event.bytes().to_vec())).collect();
        Ok(InstantInvite { seed, id: made, outcome, package: Package { welcomes, control } })
    }

    /// Whether we may make this invite an instant one now; if so, for how many.
    fn may_be_instant(&self, new: &NewInvite, now_ms: u64) -> Result<u32, Refusal> {
        let grant = self.permitted(Permission::Invite)?;
        self.permitted(Permission::Remove)?;
        let info = self.info().ok_or(Refusal::NotMember)?;
        let plain = new.role == Role::Member && new.sponsor == Sponsor::AnyMember && new.delegate.is_none();
        if !plain || new.approval {
            return Err(InstantLimit::NotPlain.into());
        }
        if new.role.permissions(info.kind) != Permissions::NONE.with(Permission::Post) {
            return Err(InstantLimit::NoPost.into());
        }
        if grant.max_depth == 0 {
            return Err(Refusal::TooStrong);
        }
        let uses = new.uses.unwrap_or(u32::MAX);
        if !(1..=limits::MAX_GUESTS).contains(&uses) {
            return Err(InstantLimit::Uses(limits::MAX_GUESTS).into());
        }
        let lasts = new.expires_ms.unwrap_or(u64::MAX).saturating_sub(now_ms);
        if lasts > limits::INSTANT_MS {
            return Err(InstantLimit::Lasts(limits::INSTANT_MS).into());
        }
        if info.mailboxes.list().is_empty() {
            return Err(InstantLimit::NoMailboxes.into());
        }
        let epoch = self.best.ok_or(Refusal::NoSafeEpoch)?;
        let slices = self.current_slice(&epoch).saturating_add(uses + 1);
        if slices > limits::MAX_SLICE {
            return Err(Refusal::NoSafeEpoch);
        }
        // Two invites and the admissions come to it, and a Welcome for each guest with a key for each epoch.
        let welcome = 512 + 64 * self.epochs.held().len().min(limits::MAX_WELCOME_KEYS);
        let coming = (uses as usize + 2) * (2_048 + welcome);
        let control: usize = self.control_events().map(|event| event.bytes().len() + 4).sum();
        if control + coming > limits::MAX_PACKAGE {
            return Err(InstantLimit::TooLarge.into());
        }
        Ok(uses)
    }

    /// The invite behind a grant, if that is a guest's: of the class Instant, and its maker let the guest in himself.
    pub(super) fn guest_by(&self, g: GrantIdx) -> Option<NodeIdx> {
        let op = self.dag.node(self.dag.grants()[g].op);
        let Control::Admit(admit) = &op.control else { return None };
        let (at, invite) = self.dag.invite(&admit.invite)?;
        (invite.sponsor == Sponsor::Instant && self.dag.node(at).author == op.author).then_some(at)
    }

    /// Whether the account is a guest: by the grant it has, or of a former one by all it had.
    pub fn is_guest(&self, account: &AccountId) -> bool {
        match self.resolved.members().get(account) {
            Some(g) => self.guest_by(*g).is_some(),
            None => {
                let mut grants = self.dag.grants_of(account).iter().peekable();
                grants.peek().is_some() && grants.all(|g| self.guest_by(*g).is_some())
            }
        }
    }

    /// How many guests are members.
    pub(super) fn n_guests(&self) -> usize {
        let invites = self.dag.kinds().instant.iter();
        let grants = invites.flat_map(|at| self.dag.grants_by_invite(*at)).filter(|g| self.guest_by(**g).is_some());
        grants.filter(|g| self.resolved.members().get(&self.dag.grants()[**g].subject) == Some(*g)).count()
    }

    /// The invite by which the guests of an invite for people come.
    pub(super) fn guests_of(&self, people: NodeIdx) -> Option<NodeIdx> {
        let (door, author) = (self.invite_at(people)?.door, self.dag.node(people).author);
        let of = |at: &NodeIdx| {
            self.dag.node(*at).author == author && self.invite_at(*at).is_some_and(|invite| invite.door == door)
        };
        self.dag.kinds().instant.iter().copied().find(|at| *at != people && of(at))
    }

    /// The invite for people beside one by which guests come.
    pub(super) fn people_of(&self, node: &Node) -> Option<NodeIdx> {
        let Control::Invite(guests) = &node.control else { return None };
        let of = |at: &NodeIdx| {
            let other = self.dag.node(*at);
            let invite = self.invite_at(*at);
            let people = invite.is_some_and(|it| it.door == guests.door && it.sponsor != Sponsor::Instant);
            people && other.author == node.author
        };
        self.dag.kinds().invites.iter().copied().find(of)
    }

    /// The guests of an invite whom nobody put out yet, by their grants: also those that left, if `left`.
    fn guests_there(&self, instant: NodeIdx) -> impl Iterator<Item = GrantIdx> {
        let grants = self.dag.grants_by_invite(instant).iter().copied();
        grants.filter(|g| {
            let removed = |kill: &NodeIdx| matches!(self.dag.node(*kill).control, Control::Remove(_));
            self.guest_by(*g).is_some() && self.resolved.is_ok(*g) && !self.resolved.kills(*g).iter().any(removed)
        })
    }

    /// The guests of an invite whom nobody put out yet.
    pub(super) fn guests_left(&self, instant: NodeIdx) -> Vec<AccountId> {
        self.guests_there(instant).map(|g| self.dag.grants()[g].subject).collect()
    }

    /// The guests of all instant invites of these accounts.
    pub(super) fn guests_made_by(&self, makers: &[AccountId]) -> Vec<AccountId> {
        let theirs = self.dag.kinds().instant.iter().filter(|at| makers.contains(&self.dag.node(**at).author));
        theirs.flat_map(|at| self.guests_left(*at)).collect()
    }

    /// The guests that go with those who are removed: of their instant invites, and of one that all go of who came by it.
    pub(super) fn guests_behind(&self, removals: &[Removal]) -> Vec<AccountId> {
        let mut guests = Vec::new();
        for removal in removals {
            let hit = match removal.cascade {
                true => self.dag.subtree(&removal.target),
                false => self.dag.targets(&removal.target).to_vec(),
            };
            let makers: Vec<AccountId> = hit.iter().map(|g| self.dag.grants()[*g].subject).collect();
            guests.extend(self.guests_made_by(&makers));
            if let Target::Invite(invite) = &removal.target
                && let Some(instant) = self.dag.find(invite).and_then(|at| self.guests_of(at))
            {
                guests.extend(self.guests_left(instant));
            }
        }
        guests.sort_unstable();
        guests.dedup();
        guests
    }

    /// Puts out guests, as far as we may. What they wrote up to here counts, and nothing that comes later.
    pub(super) fn put_out(&mut self, guests: &[AccountId], now_ms: u64) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome::default();
        for guest in guests {
            let Some(mine) = self.grant().filter(|_| self.permitted(Permission::Remove).is_ok()) else { break };
            let target = Target::Account(*guest);
            if self.dag.targets(&target).iter().all(|g| self.dag.seniority(mine, *g).is_lt()) {
                let removal = Removal { target, ban: false, cascade: false, purge: false };
                outcome.merge(self.write_removal(&removal, MessageFate::Fenced, now_ms)?);
            }
        }
        Ok(outcome)
    }

    /// Puts out guests that are not needed any more, when it is our turn. Answers also when to be called again.
    pub(super) fn tend_guests(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> (Outcome, Option<u64>) {
        if self.dag.kinds().instant.is_empty() || self.permitted(Permission::Remove).is_err() {
            self.guests.clear();
            return (Outcome::default(), None);
        }
        let (over, next_ms) = self.guests_over(now_ms);
        let mut turns = std::mem::take(&mut self.guests);
        turns.retain(|guest, _| over.contains_key(guest));
        for (guest, delay_ms) in over {
            let at_ms = now_ms.saturating_add(delay_ms);
            turns.entry(guest).and_modify(|turn| *turn = at_ms.min(*turn)).or_insert(at_ms);
        }
        let due: Vec<AccountId> =
            turns.iter().filter(|(_, at_ms)| **at_ms <= now_ms).map(|(guest, _)| *guest).collect();
        turns.retain(|guest, _| !due.contains(guest));
        let next_ms = turns.values().copied().chain(next_ms).min();
        self.guests = turns;
        let mut outcome = self.put_out(&due, now_ms).unwrap_or_default();
        if !outcome.accepted.is_empty() {
            self.rotate_at_once(&mut outcome, now_ms, rng);
        }
        (outcome, next_ms)
    }

    /// The guests that are not needed any more and whom we may put out, with how long we wait before we do; and when the next
    /// invite ends.
    fn guests_over(&self, now_ms: u64) -> (BTreeMap<AccountId, u64>, Option<u64>) {
        let (mut over, mut next_ms) = (BTreeMap::new(), None::<u64>);
        let Some(mine) = self.grant() else { return (over, None) };
        let heads: Vec<EventId> = self.dag.frontier().iter().copied().collect();
        let devices: Vec<DeviceId> = self.live_device_ids().collect();
        for at in &self.dag.kinds().instant {
            let (node, Some(invite)) = (self.dag.node(*at), self.invite_at(*at)) else { continue };
            let people = self.people_of(node);
            let closed = [Some(*at), people].into_iter().flatten().any(|at| self.resolved.is_closed(&self.dag, at));
            let expired = now_ms > invite.expires_ms;
            let used_up = people.is_none_or(|people| self.resolved.uses(people) >= invite.max_uses as usize);
            let there: Vec<GrantIdx> =
                self.guests_there(*at).filter(|g| self.dag.seniority(mine, *g).is_lt()).collect();
            if !there.is_empty() && !expired {
                let end = invite.expires_ms.saturating_add(1);
                next_ms = Some(next_ms.map_or(end, |next| next.min(end)));
            }
            for g in there {
                let account = self.dag.grants()[g].subject;
                let wrote = self.dag.devices_of(&account).iter().any(|no| {
                    let log = self.dag.logs().get(&self.dag.devices()[*no].device);
                    log.is_some_and(|log| !log.is_empty())
                });
                let wait_ms = match node.author == self.me.account() {
                    _ if closed => 0,
                    _ if !(expired || used_up || wrote) => continue,
                    true => limits::GUEST_GRACE_MS,
                    false => limits::GUEST_OTHERS_MS,
                };
                let delay_ms = wait_ms + election_delay_ms(&heads, &self.me.device(), &devices);
                over.insert(account, delay_ms);
            }
        }
        (over, next_ms)
    }

    /// Whether an event says nothing to people, because it is about guests: how they came and went.
    pub(super) fn is_of_guests(&self, node: &Node) -> bool {
        match &node.control {
            Control::Admit(admit) => self.is_guest(&admit.join.entrant.account()),
            Control::Leave(_) => self.is_guest(&node.author),
            Control::Remove(remove) => matches!(&remove.target, Target::Account(account) if self.is_guest(account)),
            _ => false,
        }
    }
}
