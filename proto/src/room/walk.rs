//! The way along the slices of an epoch: whoever asks for many of them, in whatever order, walks it once.

use std::collections::BTreeMap;

use parlor_crypto::epoch::SliceSecret;

use super::epochs::Held;
use crate::control::Admit;
use crate::ids::RoomId;

/// So many slices apart are those that are kept.
const STRIDE: u32 = 64;

/// The slices of an epoch from one that is held on, each [`STRIDE`]th as far as somebody asked for one behind it.
#[derive(Debug, Default)]
pub(super) struct Walk(BTreeMap<u32, SliceSecret>);

impl Walk {
    /// From a key that is held.
    pub(super) fn from(held: &Held) -> Self {
        let mut walk = Self::default();
        walk.begin(held);
        walk
    }

    /// Goes on from a key of the same epoch that is held.
    pub(super) fn begin(&mut self, held: &Held) {
        if let Ok(slice) = SliceSecret::from_secret(held.slice, held.key.clone()) {
            self.0.entry(held.slice).or_insert(slice);
        }
    }

    /// Forgets the slices before this one.
    pub(super) fn forget_before(&mut self, slice: u32) {
        self.0.retain(|at, _| *at >= slice);
    }

    /// Whether it leads to what an Admit commits to.
    pub(super) fn leads_to(&mut self, room: &RoomId, admit: &Admit) -> bool {
        self.slice(admit.slice).is_some_and(|slice| slice.commit(room.as_bytes()) == admit.slice_commit)
    }

    #[cfg(test)]
    pub(super) fn gives(&self, slice: u32) -> bool {
        self.0.range(..=slice).next().is_some()
    }

    fn slice(&mut self, index: u32) -> Option<SliceSecret> {
        let mut slice = self.0.range(..=index).next_back()?.1.clone();
        loop {
            let next = (slice.index() / STRIDE + 1).saturating_mul(STRIDE);
            slice.advance_to(next.min(index)).ok()?;
            if next > index {
                return Some(slice);
            }
            self.0.insert(next, slice.clone());
        }
    }
}
