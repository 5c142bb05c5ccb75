//! How much of the right to invite is handed on with a grant, beside its depth: until when, for how many, and with how much
//! of the past. Like all that is delegated it only ever becomes less.

use serde::{Deserialize, Serialize};

use super::InviteHistory;

/// What the invites made under a grant may say at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InviteBounds {
    /// They end at this time at the latest, milliseconds since the epoch; `u64::MAX` for no end.
    pub until_ms: u64,
    /// Each is for so many accounts at most; `u32::MAX` for any number.
    pub uses: u32,
    /// They let read no more of the past than this.
    pub history: InviteHistory,
}

impl InviteBounds {
    /// No bound: what the first owners have.
    pub const NONE: Self = Self { until_ms: u64::MAX, uses: u32::MAX, history: InviteHistory::Full };

    /// Whether this gives no more than `other`; `since` says whether the first epoch is the second or a later one.
    pub fn within(&self, other: &Self, since: impl Fn(&crate::ids::EpochId, &crate::ids::EpochId) -> bool) -> bool {
        self.until_ms <= other.until_ms && self.uses <= other.uses && self.history.within(&other.history, since)
    }
}

impl InviteHistory {
    /// Whether this shows no more of the past than `other`; `since` says whether the first epoch is the second or a later one.
    pub fn within(&self, other: &Self, since: impl Fn(&crate::ids::EpochId, &crate::ids::EpochId) -> bool) -> bool {
        match (self, other) {
            (Self::None, _) | (_, Self::Full) => true,
            (Self::Since(first), Self::Since(bound)) => since(first, bound),
            (Self::Full | Self::Since(_), _) => false,
        }
    }
}
