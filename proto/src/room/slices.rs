//! Slices: stretches of an epoch with a key each, and when those keys are destroyed.
//!
//! In rooms that forget (without history, or with a time to live) a slice ends when somebody is let in and a day after it
//! began; whoever writes next begins another, and the others follow when they see it. Some time after a slice ended its
//! key is replaced by that of the next, so that nothing here gives back the keys of its messages; for what did not come yet
//! see [`super::late`]. A message keeps its own
//! key beside it for as long as it is kept itself.
//!
//! Clocks say when a key is destroyed and when a writer moves on; no rule for others depends on one.

use super::Room;
use super::epochs::Epochs;
use super::types::Outcome;
use crate::control::History;
use crate::ids::EpochId;
use crate::limits;

impl Room {
    /// How long after a slice of the epoch ended its key is kept; `None` for ever.
    pub(super) fn key_lifetime_ms(&self, epoch: &EpochId) -> Option<u64> {
        let (_, rotate) = self.dag.epoch(epoch)?;
        if rotate.share_history == History::None {
            return Some(limits::SLICE_GRACE_MS);
        }
        let ttl_ms = self.info()?.ttl_ms?;
        Some(ttl_ms.max(limits::SLICE_GRACE_MS))
    }

    /// The slice that is written in: the latest that an admission opened or that somebody was seen to write in.
    pub(super) fn current_slice(&self, epoch: &EpochId) -> u32 {
        let own = self.messages.end(&self.me.device()).filter(|end| end.epoch == *epoch).map_or(0, |end| end.slice);
        self.epochs.admitted_slice(epoch).max(own).max(self.epochs.used_slice(epoch))
    }

    /// The slice that our next message goes in: the current one, or the next if that is a day old and its key shall go.
    pub(super) fn slice_to_write(&self, epoch: &EpochId, now_ms: u64) -> u32 {
        let current = self.current_slice(epoch);
        let began_ms = self.epochs.began(epoch).last().filter(|(slice, _)| *slice == current).map(|(_, ms)| *ms);
        let old = began_ms.is_some_and(|began_ms| now_ms >= began_ms.saturating_add(limits::SLICE_MS));
        let next = old && current < self.last_slice(epoch) && self.key_lifetime_ms(epoch).is_some();
        if next { current + 1 } else { current }
    }

    /// The last slice of the epoch that may be written in until somebody is let in.
    pub(super) fn last_slice(&self, epoch: &EpochId) -> u32 {
        self.epochs.admitted_slice(epoch).saturating_add(limits::SLICE_REACH).min(limits::MAX_SLICE)
    }

    /// Whether the slices of the epoch are used up: none can be begun, though keys are to go, or few are left for newcomers.
    pub(super) fn slices_used_up(&self, epoch: &EpochId) -> bool {
        let current = self.current_slice(epoch);
        let forgets = self.key_lifetime_ms(epoch).is_some();
        (forgets && current >= self.last_slice(epoch)) || current >= limits::MAX_SLICE - 2 * limits::SLICE_REACH
    }

    /// Notes which slices began, destroys the keys of those that ended long enough ago, and answers when to look again.
    pub(super) fn tend_slices(&mut self, now_ms: u64, outcome: &mut Outcome) -> Option<u64> {
        let lifetime = |epoch: &EpochId| Some((*epoch, self.key_lifetime_ms(epoch)?));
        let held: Vec<(EpochId, u64)> = self.epochs.held().keys().filter_map(lifetime).collect();
        let forgets = !held.is_empty();
        if let Some(best) = self.best.filter(|_| forgets) {
            self.epochs.forget_later(&best);
            self.epochs.note_slice(best, self.current_slice(&best), now_ms);
        }
        for (epoch, lifetime_ms) in held {
            if self.overtaken_ms(&epoch).is_some_and(|ms| now_ms >= ms.saturating_add(lifetime_ms)) {
                // Who is away begins another slice each day.
                let ahead = self.current_slice(&epoch).saturating_add(limits::LATE_AHEAD).min(self.last_slice(&epoch));
                self.keep_late(&epoch, ahead.saturating_add(1), now_ms);
                self.epochs.destroy(epoch);
            } else if let Some(first) = self.epochs.ended_before(&epoch, now_ms.saturating_sub(lifetime_ms)) {
                self.keep_late(&epoch, first, now_ms);
                self.epochs.destroy_before(epoch, first);
            }
        }
        self.epochs.late.expire(now_ms);
        self.note_rows(outcome);
        forgets.then(|| now_ms.saturating_add(limits::SLICE_LOOK_MS))
    }

    /// When a later epoch than this one began to be used here, if one is in use. That may be another one by now: who makes new keys
    /// every day keeps nobody from forgetting the old ones.
    fn overtaken_ms(&self, epoch: &EpochId) -> Option<u64> {
        let order = self.epochs.order(epoch);
        self.best.filter(|best| self.epochs.order(best) > order)?;
        self.epochs
            .all()
            .take_while(|later| Some(later.order) > order)
            .filter_map(|later| self.epochs.first_began(&later.id))
            .min()
    }
}

impl Epochs {
    /// An epoch is in use, maybe again: the later ones were no longer in use when it is replaced next.
    fn forget_later(&mut self, used: &EpochId) {
        let order = self.order(used);
        let later = self.all().take_while(|epoch| Some(epoch.order) > order).map(|epoch| epoch.id);
        for epoch in later.filter(|epoch| !self.began(epoch).is_empty()).collect::<Vec<_>>() {
            self.began_mut(epoch).clear();
            self.change(epoch);
        }
    }

    /// When the epoch began to be used here, as far as that is noted.
    fn first_began(&self, epoch: &EpochId) -> Option<u64> {
        self.began(epoch).first().map(|(_, ms)| *ms)
    }

    /// A slice of the epoch in use is known to have begun. Noted at most once in [`limits::SLICE_LOOK_MS`], so that there
    /// are few entries; a slice that is not noted goes together with the one before it.
    fn note_slice(&mut self, epoch: EpochId, slice: u32, now_ms: u64) {
        let began = self.began_mut(epoch);
        let news = match began.last() {
            None => true,
            Some((last, ms)) => slice > *last && (now_ms >= ms.saturating_add(limits::SLICE_LOOK_MS) || now_ms < *ms),
        };
        if news {
            began.push((slice, now_ms));
            self.change(epoch);
        }
    }

    /// The latest slice that began before `before_ms`, if keys of earlier ones are held: also of such as were over before it was
    /// noted that any began, for who was away heard of all at once.
    fn ended_before(&self, epoch: &EpochId, before_ms: u64) -> Option<u32> {
        let (slice, _) = self.began(epoch).iter().rfind(|(_, ms)| *ms <= before_ms)?;
        self.held().get(epoch).filter(|held| held.slice < *slice).map(|_| *slice)
    }

    /// Goes on to a slice that began: the keys of those before it can not be had any more.
    fn destroy_before(&mut self, epoch: EpochId, first: u32) {
        self.began_mut(epoch).retain(|(slice, _)| *slice >= first);
        self.advance_held(&epoch, first);
        self.change(epoch);
    }
}
