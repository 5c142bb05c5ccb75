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

/// What we know of when guests may be put out.
#[derive(Debug, Default)]
pub(super) struct Tending {
    /// When each guest that is not needed any more is put out by us.
    turns: BTreeMap<AccountId, u64>,
    /// Whether a mailbox of the room was read to its end since we run: who came in by a guest is known.
    caught_up: bool,
}

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
                let Some(welcome) = admission.welcome else { break };
                welcomes.push(Blob(welcome));
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

    /// The invite behind a grant, if that is a guest's: one for guests, and its maker let the guest in himself.
    pub(super) fn guest_by(&self, g: GrantIdx) -> Option<NodeIdx> {
        let op = self.dag.node(self.dag.grants()[g].op);
        let Control::Admit(admit) = &op.control else { return None };
        let at = self.dag.find(&admit.invite).filter(|at| self.dag.kinds().instant.contains_key(at))?;
        (self.dag.node(at).author == op.author).then_some(at)
    }

    /// Whether the account is a guest: by the grant it has, or of a former one by all it had.
    pub fn is_guest(&self, account: &AccountId) -> bool {
        match self.resolved.members().get(account) {
            Some(g) => self.guest_by(*g).is_some(),
            None => {
                // By those that counted: whoever finds the link can write void ones in a guest's name.
                let all = self.dag.grants_of(account);
                let mut grants = all.iter().filter(|g| self.resolved.began(&self.dag, **g)).peekable();
                match grants.peek() {
                    Some(_) => grants.all(|g| self.guest_by(*g).is_some()),
                    None => !all.is_empty() && all.iter().all(|g| self.guest_by(*g).is_some()),
                }
            }
        }
    }

    /// Whether the device is a guest's that is out. Nothing is owed to it: who came by it has a grant of his own, and its keys follow
    /// from a link that may lie anywhere.
    pub(super) fn was_guest(&self, device: &DeviceId) -> bool {
        let out = |account: &AccountId| !self.resolved.members().contains_key(account) && self.is_guest(account);
        self.account_of(device).is_some_and(|account| out(&account))
    }

    /// How many guests there are: with the members they hold the keys, and so does whoever has the link of their invite.
    pub fn n_guests(&self) -> usize {
        let invites = self.dag.kinds().instant.keys();
        let grants = invites.flat_map(|at| self.dag.grants_by_invite(*at)).filter(|g| self.guest_by(**g).is_some());
        grants.filter(|g| self.resolved.members().get(&self.dag.grants()[**g].subject) == Some(*g)).count()
    }

    /// The invite by which the guests of an invite for people come.
    pub(super) fn guests_of(&self, people: NodeIdx) -> Option<NodeIdx> {
        self.dag.kinds().instant.iter().find(|(_, beside)| **beside == people).map(|(at, _)| *at)
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
        let theirs = self.dag.kinds().instant.keys().filter(|at| makers.contains(&self.dag.node(**at).author));
        theirs.flat_map(|at| self.guests_left(*at)).collect()
    }

    /// The guests that go with those who are removed: of instant invites that they made, for they have the links, of the one that
    /// they came by, for they have that link too, and of one that all go of who came by it.
    pub(super) fn guests_behind(&self, removals: &[Removal]) -> Vec<AccountId> {
        let mut guests = Vec::new();
        for removal in removals {
            let hit = match removal.cascade {
                true => self.dag.subtree(&removal.target),
                false => self.dag.targets(&removal.target).to_vec(),
            };
            let makers: Vec<AccountId> = hit.iter().map(|g| self.dag.grants()[*g].subject).collect();
            guests.extend(self.guests_made_by(&makers));
            let came_by = hit.iter().filter_map(|g| self.guests_of(self.dag.invite_behind(*g)?));
            guests.extend(came_by.flat_map(|instant| self.guests_left(instant)));
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

    /// Puts out guests, as far as we may and can: what was done before a failure is in the outcome. What they wrote up to here
    /// counts, and nothing that comes later.
    pub(super) fn put_out(&mut self, guests: &[AccountId], now_ms: u64) -> Outcome {
        let mut outcome = Outcome::default();
        for guest in guests {
            let Some(mine) = self.grant().filter(|_| self.permitted(Permission::Remove).is_ok()) else { break };
            let target = Target::Account(*guest);
            let junior = |g: &GrantIdx| self.dag.seniority(mine, *g).is_lt();
            let mut theirs = self.dag.targets(&target).iter();
            // Whoever has the link can give a guest roles that come to nothing, as strong as he likes.
            if theirs.clone().any(junior) && theirs.all(|g| junior(g) || !self.resolved.is_live(*g)) {
                let removal = Removal { target, ban: false, cascade: false, purge: false };
                let Ok(removed) = self.write_removal(&removal, MessageFate::Fenced, now_ms) else { break };
                outcome.merge(removed);
            }
        }
        outcome
    }

    /// Notes that a mailbox of the room was read to its end: guests that are not needed any more may go soon, for whom they let in
    /// is known. `true` if this changes when [`maintain`](Self::maintain) is to be called.
    pub fn caught_up(&mut self) -> bool {
        let news = !std::mem::replace(&mut self.guests.caught_up, true);
        news && !self.dag.kinds().instant.is_empty()
    }

    /// Lets in once more, by our own word, whom guests of ours let in: the guests' keys are in many hands, and what we let in
    /// ourselves comes before anything that a guest does.
    fn vouch(&mut self, now_ms: u64) -> Outcome {
        let mut outcome = Outcome::default();
        for (at, join) in self.unvouched(now_ms) {
            let Ok((admitted, ..)) = self.write_admit(at, join, now_ms) else { break };
            outcome.merge(admitted);
        }
        outcome
    }

    /// Who came by instant invites of ours that are open, let in by guests alone.
    fn unvouched(&self, now_ms: u64) -> Vec<(NodeIdx, JoinRequest)> {
        let me = self.me.account();
        let ours = self.dag.kinds().instant.values().filter(|at| self.dag.node(**at).author == me);
        let open = ours.filter(|at| self.invite_at(**at).is_some_and(|invite| now_ms <= invite.expires_ms));
        let mut found = BTreeMap::new();
        for at in open {
            let grants = self.dag.grants_by_invite(*at);
            let by_us = |account: &AccountId| {
                let theirs = grants.iter().filter(|g| self.dag.grants()[**g].subject == *account);
                theirs.into_iter().any(|g| self.dag.node(self.dag.grants()[*g].op).author == me)
            };
            for g in grants.iter().filter(|g| self.resolved.is_live(**g)) {
                let grant = &self.dag.grants()[*g];
                let Control::Admit(admit) = &self.dag.node(grant.op).control else { continue };
                if !by_us(&grant.subject) {
                    found.entry(grant.subject).or_insert_with(|| (*at, admit.join.clone()));
                }
            }
        }
        found.into_values().collect()
    }

    /// Vouches for whom our guests let in, and puts out guests that are not needed any more, when it is our turn. Answers also
    /// when to be called again.
    pub(super) fn tend_guests(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> (Outcome, Option<u64>) {
        if self.dag.kinds().instant.is_empty() || self.permitted(Permission::Remove).is_err() {
            self.guests.turns.clear();
            return (Outcome::default(), None);
        }
        let mut outcome = self.vouch(now_ms);
        let (over, next_ms) = self.guests_over(now_ms);
        let mut turns = std::mem::take(&mut self.guests.turns);
        turns.retain(|guest, _| over.contains_key(guest));
        for (guest, delay_ms) in over {
            let at_ms = now_ms.saturating_add(delay_ms);
            turns.entry(guest).and_modify(|turn| *turn = at_ms.min(*turn)).or_insert(at_ms);
        }
        let due: Vec<AccountId> =
            turns.iter().filter(|(_, at_ms)| **at_ms <= now_ms).map(|(guest, _)| *guest).collect();
        turns.retain(|guest, _| !due.contains(guest));
        let next_ms = turns.values().copied().chain(next_ms).min();
        self.guests.turns = turns;
        let out = self.put_out(&due, now_ms);
        if !out.accepted.is_empty() {
            outcome.merge(out);
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
        for (at, people) in &self.dag.kinds().instant {
            let (node, Some(invite)) = (self.dag.node(*at), self.invite_at(*at)) else { continue };
            let gone = |g: &GrantIdx| self.resolved.is_ok(*g) && !self.resolved.is_live(*g);
            let closed = [at, people].into_iter().any(|at| self.resolved.is_closed(&self.dag, *at))
                // Who came by the link and went, or was removed by somebody who could not put them out, has it still.
                || self.dag.grants_by_invite(*people).iter().any(gone);
            let expired = now_ms > invite.expires_ms;
            let used_up = self.resolved.uses(*people) >= invite.max_uses as usize;
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
                    _ if !self.guests.caught_up => limits::GUEST_UNREAD_MS,
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
