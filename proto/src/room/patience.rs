//! How long members are waited for who hold other control events, before an epoch is made that is missing.
//!
//! Whoever is elected waits to be equal with all who are connected ([`super::Company`]), so that one epoch sees all removals. A member
//! who says that it holds something else each time would hold up the room each time: so each account is waited for only so long an
//! hour, all together only so long, and whoever has not proved who it is counts as one.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::AccountId;
use crate::limits;

/// An account, or everybody who has not proved yet who it is.
pub(super) type Who = Option<AccountId>;

/// Whom we wait for, and how long we did lately.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Who is waited for,
    waiting: BTreeSet<Who>,
    /// since when that was counted last.
    since_ms: u64,
    /// How long each was waited for; nothing of who was not in the last hour.
    waited: BTreeMap<Who, Waited>,
    /// How long anybody was.
    all: Waited,
}

/// How long was waited in the hour that began with it.
#[derive(Debug, Clone, Copy, Default)]
struct Waited {
    ms: u64,
    first_ms: u64,
}

impl Waited {
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.first_ms.saturating_add(limits::PATIENCE_MS)
    }

    /// What is left of `most_ms` an hour.
    fn left_ms(&self, most_ms: u64, now_ms: u64) -> u64 {
        if self.is_over(now_ms) { most_ms } else { most_ms.saturating_sub(self.ms) }
    }

    /// Adds what ended now.
    fn add(&mut self, ms: u64, now_ms: u64) {
        if self.is_over(now_ms) {
            *self = Self { ms: 0, first_ms: now_ms.saturating_sub(ms) };
        }
        self.ms = self.ms.saturating_add(ms);
    }
}

impl Patience {
    /// Counts how long was waited until now. From now on who is `apart` is waited for, unless it was long enough lately.
    pub(super) fn wait_for(&mut self, apart: BTreeSet<Who>, now_ms: u64) {
        let ms = now_ms.saturating_sub(self.since_ms);
        if !self.waiting.is_empty() {
            self.all.add(ms, now_ms);
        }
        for who in std::mem::take(&mut self.waiting) {
            self.waited.entry(who).or_default().add(ms, now_ms);
        }
        self.waited.retain(|_, waited| !waited.is_over(now_ms));
        self.since_ms = now_ms;
        if self.all.left_ms(limits::PATIENCE_ALL_MS, now_ms) > 0 {
            self.waiting = apart.into_iter().filter(|who| self.left_of(who, now_ms) > 0).collect();
        }
    }

    /// Whether anybody is waited for.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How much longer who is waited for now may be.
    pub(super) fn left_ms(&self, now_ms: u64) -> u64 {
        let longest = self.waiting.iter().map(|who| self.left_of(who, now_ms)).max().unwrap_or(0);
        longest.min(self.all.left_ms(limits::PATIENCE_ALL_MS, now_ms))
    }

    fn left_of(&self, who: &Who, now_ms: u64) -> u64 {
        let waited = self.waited.get(who).copied().unwrap_or_default();
        waited.left_ms(limits::ELECTION_APART_MS, now_ms)
    }
}
