//! Making epochs when they are needed, and by whom.

use parlor_crypto::CryptoRng;
use parlor_crypto::epoch::EpochSecret;
use parlor_crypto::hedge::Hedged;
use parlor_crypto::hpke::RowContext;
use parlor_crypto::leaf::LeafPublic;

use super::Room;
use super::types::{Outcome, Refusal};
use crate::control::{Control, Permission, ROTATE_KIND, Rotate, RotateReason};
use crate::dag::Set;
use crate::epoch::{member_root, page_rows, seal_rows};
use crate::event::Header;
use crate::ids::{DeviceId, EpochId};
use crate::limits;

impl Room {
    /// Makes an epoch if one is needed and it is this device's turn. Answers what it did, and when to be called again at the
    /// latest (milliseconds since the epoch); call it also after every outcome.
    ///
    /// An epoch is needed when none is safe (T1; the turn is drawn among the members so that usually one makes it), when the
    /// current one is a week old or carried 10,000 of our messages (T2; in direct chats otherwise: [`freshen`](Self::freshen)), when the rules of the room for newcomers changed (T3),
    /// and when the key of a better one does not come within a minute, the one that we wrote under is not safe any more and
    /// an older one is, or somebody was let into it with a false key (T4).
    ///
    /// It also destroys keys whose time has come ([`super::slices`]).
    pub fn maintain_epochs(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> (Outcome, Option<u64>) {
        let mut outcome = Outcome::default();
        let keys = self.tend_lacking(now_ms, &mut outcome);
        let (made, epochs) = self.tend_epochs(now_ms, rng);
        outcome.merge(made);
        let slices = self.tend_slices(now_ms, &mut outcome);
        (outcome, [keys, epochs, slices].into_iter().flatten().min())
    }

    fn tend_epochs(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> (Outcome, Option<u64>) {
        self.look_for_false_keys();
        let needed = self.rotation_needed(now_ms);
        self.missing_ms = (needed == Some(RotateReason::NoSafeEpoch)).then(|| self.missing_ms.unwrap_or(now_ms));
        self.mind_company(now_ms);
        let Some(reason) = needed else {
            self.turn = None;
            return (Outcome::default(), self.next_age_ms());
        };
        if let Some(at_ms) = self.waits_for_turn(reason, now_ms) {
            return (Outcome::default(), Some(at_ms));
        }
        let mut outcome = Outcome::default();
        if reason == RotateReason::Hand {
            self.complain_before_answer(now_ms, &mut outcome);
        }
        match self.make_epoch(reason, now_ms, rng) {
            // With more than eight control heads one Rotate does not see all: another follows.
            Ok(made) => {
                outcome.merge(made);
                let again = self.rotation_needed(now_ms).map(|_| now_ms.saturating_add(limits::ELECTION_BASE_MS));
                (outcome, again.or_else(|| self.next_age_ms()))
            }
            Err(_) => (outcome, Some(now_ms.saturating_add(limits::ROW_WAIT_MS))),
        }
    }

    /// Makes an epoch because somebody wants it: without waiting for a turn if none is safe (T1), by hand otherwise (T4).
    ///
    /// # Errors
    /// [`Refusal::RotatedLately`] if one by hand would not count, for we made one within the hour; others as [`Refusal`] says.
    pub fn rotate(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> Result<Outcome, Refusal> {
        let reason = match self.rotation_needed(now_ms) {
            Some(RotateReason::NoSafeEpoch) => RotateReason::NoSafeEpoch,
            needed => {
                let rested = now_ms >= self.last_own_rotation_ms().saturating_add(limits::ROTATE_EVERY_MS);
                if !rested && needed != Some(RotateReason::Hand) {
                    return Err(Refusal::RotatedLately);
                }
                RotateReason::Hand
            }
        };
        self.make_epoch(reason, now_ms, rng)
    }

    /// After a change of ours that may have put somebody out: makes the epoch it calls for and adds it to `outcome`, so that
    /// both are stored and sent as one batch. Of several within two seconds all but the first share one epoch, which
    /// [`maintain`](Self::maintain) makes. Does nothing while an epoch is safe.
    pub(crate) fn rotate_at_once(&mut self, outcome: &mut Outcome, now_ms: u64, rng: &mut impl CryptoRng) {
        let Some(reason @ (RotateReason::NoSafeEpoch | RotateReason::History)) = self.rotation_needed(now_ms) else {
            return;
        };
        let next_ms = self.rotated_ms.saturating_add(limits::REMOVALS_MS);
        if (self.rotated_ms..next_ms).contains(&now_ms) {
            self.turn = Some(self.turn_at(reason, next_ms));
        } else if let Ok(made) = self.make_epoch(reason, now_ms, rng) {
            self.rotated_ms = now_ms;
            outcome.merge(made);
        }
    }

    /// Why an epoch is needed now, if we are one who may make it.
    fn rotation_needed(&self, now_ms: u64) -> Option<RotateReason> {
        self.permitted(Permission::Post).ok()?;
        if self.waits_for_other() {
            return None;
        }
        let mut safe = self.epochs.safe_in(&self.dag, &self.resolved, &self.live, &self.everything);
        if self.best.is_none() && safe.next().is_none() {
            return Some(RotateReason::NoSafeEpoch);
        }
        if self.owes_answer().is_some() || self.is_stranded() {
            return Some(RotateReason::Hand);
        }
        if now_ms < self.last_own_rotation_ms().saturating_add(limits::ROTATE_EVERY_MS) {
            return None;
        }
        // One is better but we lack its key: it may still come; after a minute `draw` lets us make our own.
        if self.best.is_none() || self.lacks_better().is_some() {
            return Some(RotateReason::Hand);
        }
        let best = self.best?;
        if self.somebody_holds_a_false_key() {
            return Some(RotateReason::Hand);
        }
        let (_, rotate) = self.dag.epoch(&best)?;
        if self.policy().is_some_and(|policy| policy.history != rotate.share_history) {
            return Some(RotateReason::History);
        }
        let end = self.messages.end(&self.me.device()).filter(|end| end.epoch == best);
        let used = end.is_some_and(|end| end.generation >= limits::EPOCH_MESSAGES);
        let used = used || self.slices_used_up(&best);
        let old = self.goes_by_itself(&best) && self.is_old(&best, now_ms);
        (used || old).then_some(RotateReason::Age)
    }

    /// Whether an epoch has had its time.
    pub(super) fn is_old(&self, epoch: &EpochId, now_ms: u64) -> bool {
        let made = self.epochs.info(epoch).map(|info| self.dag.node(info.at).ts_ms);
        // One that says it was made far ahead of now would never grow old. Once a week: the clock that is wrong may be ours.
        let rested = now_ms >= self.last_own_rotation_ms().saturating_add(limits::EPOCH_MS);
        made.is_some_and(|made_ms| {
            let ahead = made_ms > now_ms.saturating_add(limits::CLOCK_ERROR_MS);
            now_ms >= made_ms.saturating_add(limits::EPOCH_MS) || (ahead && rested)
        })
    }

    pub(super) fn is_live_device(&self, device: &DeviceId) -> bool {
        self.dag.device_no(device).is_some_and(|no| self.live.has(no))
    }

    /// When the current epoch will be old.
    fn next_age_ms(&self) -> Option<u64> {
        self.permitted(Permission::Post).ok()?;
        let best = self.best.filter(|best| self.goes_by_itself(best))?;
        let made_ms = self.dag.node(self.epochs.info(&best)?.at).ts_ms;
        let rested = self.last_own_rotation_ms().saturating_add(limits::ROTATE_EVERY_MS);
        Some(made_ms.saturating_add(limits::EPOCH_MS).max(rested))
    }

    /// When we last made an epoch that nothing missing called for; 0 if never.
    pub(super) fn last_own_rotation_ms(&self) -> u64 {
        let own = self.epochs.idle_of(&self.me.device()).iter();
        own.map(|at| self.dag.node(*at).ts_ms).max().unwrap_or(0)
    }

    /// Makes an epoch for the members as our next control event sees them.
    pub(super) fn make_epoch(
        &mut self,
        reason: RotateReason,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Outcome, Refusal> {
        self.permitted(Permission::Post)?;
        if self.waits_for_other() {
            return Err(Refusal::NoSafeEpoch);
        }
        let auth = self.grant_id(self.grant().ok_or(Refusal::NotMember)?);
        let grant = self.dag.grants()[self.grant().ok_or(Refusal::NotMember)?].op;
        let header = self.control_header(ROTATE_KIND, &[grant], now_ms)?;
        let before = header.parents.iter().chain([&header.prev]).filter_map(|id| self.dag.find(id));
        let view = self.dag.past_of(before);
        let recipients = self.live_in(&view);
        let leafs: Vec<(DeviceId, LeafPublic)> = recipients
            .iter()
            .filter_map(|no| {
                let device = self.dag.devices()[no].device;
                Some((device, LeafPublic::parse(&self.leaf_of(&device)?.leaf_pk).ok()?))
            })
            .collect();
        let rng = &mut self.hedged(rng, &[&Header::Control(header.clone()).encode()]);
        let (parents, secret) = self.mix_epochs(&view, rng);
        let share_history = self.policy().ok_or(Refusal::NotMember)?.history;
        let commit = secret.commit(self.id.as_bytes());
        let root = member_root(leafs.iter().map(|(device, _)| *device));
        let context = RowContext { room_id: self.id.0, commit, member_root: root };
        let rows = seal_rows(&context, &secret, &leafs, self.spread, rng);
        let n_rows = u32::try_from(rows.len()).map_err(|_| Refusal::Limit)?;
        let (rows, pages) = page_rows(rows);
        let rotate = Rotate { auth, reason, parents, commit, share_history, member_root: root, n_rows, rows };
        pages.iter().for_each(|(hash, bytes)| self.keep_page(*hash, bytes.clone()));
        let mut outcome = self.write_under(header, &Control::Rotate(rotate))?;
        // Our own row opens like any other when the rows are in the Rotate; with pages we need not fetch our own.
        if let Some(made) = outcome.events().last().map(|event| EpochId::of(&event.id())) {
            self.hold_secret(made, &secret, &mut outcome);
            self.choose_epoch_noting(&mut outcome);
        }
        outcome.persist.pages.extend(pages);
        self.turn = None;
        Ok(outcome)
    }

    /// The live devices in a view.
    fn live_in(&mut self, view: &Set) -> Set {
        if view.len() == self.dag.len() {
            return self.live.clone();
        }
        self.views.of(&self.dag, view).live().clone()
    }

    /// A fresh secret, into which those of the newest epochs of the view are mixed, as far as they are held.
    fn mix_epochs(&self, view: &Set, rng: &mut impl CryptoRng) -> (Vec<EpochId>, EpochSecret) {
        let seen = self.epochs.all().filter(|epoch| view.has(epoch.at));
        let held = seen.filter_map(|epoch| Some((epoch.id, self.epochs.secret(&epoch.id)?)));
        let mut parents: Vec<(EpochId, EpochSecret)> = held.take(limits::MAX_EPOCH_PARENTS).collect();
        parents.sort_unstable_by_key(|(epoch, _)| *epoch);
        let secrets: Vec<&EpochSecret> = parents.iter().map(|(_, secret)| secret).collect();
        let secret = EpochSecret::generate(rng, &secrets);
        (parents.into_iter().map(|(epoch, _)| epoch).collect(), secret)
    }

    /// Randomness that is secret as long as our device key or the key of the present epoch is, whatever `rng` gives (attack
    /// 34). `what` tells one use from another, so that a broken generator does not repeat itself either.
    pub(super) fn hedged(&self, rng: &mut impl CryptoRng, what: &[&[u8]]) -> Hedged {
        let seed = self.me.signing_key().to_seed();
        let held = self.best.and_then(|epoch| self.epochs.held().get(&epoch)).map(|held| held.key.clone());
        let mut parts: Vec<&[u8]> = vec![self.id.as_bytes(), seed.expose()];
        parts.extend(held.iter().map(|key| key.expose().as_slice()));
        parts.extend(what);
        Hedged::new(rng, &parts)
    }

    pub(super) fn live_device_ids(&self) -> impl Iterator<Item = DeviceId> {
        self.live.iter().map(|no| self.dag.devices()[no].device)
    }
}
