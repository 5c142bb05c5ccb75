//! What newcomers read of the time before they came, in words a person can check: from when on, and whether that is all.

use super::Room;
use super::epochs::EpochInfo;
use crate::control::{History, InviteHistory};
use crate::ids::EpochId;

/// What newcomers read of the time before they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// From this time on everything, milliseconds since the epoch by the clock of whoever made the keys of then; `None`: only
    /// what is written after they came.
    pub since_ms: Option<u64>,
    /// That is from the beginning of the room.
    pub everything: bool,
    /// Also parts of what was before: the room was closed to newcomers for a while.
    pub parts: bool,
}

impl Room {
    /// What newcomers read of the past who come by an invite that gives `history`, as the keys of the room are now.
    pub fn past_for(&self, history: &InviteHistory) -> Past {
        let mut newest_first = self.epochs.all().filter(|epoch| self.resolved.is_admissible(&self.dag, epoch.at));
        let mut past = Past { everything: true, ..Past::default() };
        for epoch in newest_first.by_ref() {
            if !self.is_shared(epoch, history) {
                past.everything = false;
                break;
            }
            past.since_ms = Some(self.dag.node(epoch.at).ts_ms);
        }
        past.parts = newest_first.any(|epoch| self.is_shared(epoch, history));
        past.everything &= past.since_ms.is_some();
        past
    }

    /// The first keys that were made at this time or later, with nothing older after them, and when they were made: what an invite
    /// for the time since then names.
    ///
    /// # Errors
    /// The keys did not change since: when they did last, if there are any.
    pub fn epoch_since(&self, from_ms: u64) -> Result<(EpochId, u64), Option<u64>> {
        let newest_first = self.epochs.all().filter(|epoch| self.resolved.is_admissible(&self.dag, epoch.at));
        let mut made = newest_first.map(|epoch| (epoch.id, self.dag.node(epoch.at).ts_ms)).peekable();
        let newest = made.peek().map(|(_, made_ms)| *made_ms);
        made.take_while(|(_, made_ms)| *made_ms >= from_ms).last().ok_or(newest)
    }

    fn is_shared(&self, epoch: &EpochInfo, history: &InviteHistory) -> bool {
        let shared = self.dag.epoch(&epoch.id).is_some_and(|(_, rotate)| rotate.share_history == History::Full);
        shared && self.invite_reaches(history, &epoch.id)
    }
}
