//! The admissions into an epoch whose commitment is to another key than the epoch's: who came by one holds nothing that opens, and can
//! not know it from who holds the true key.

use std::collections::BTreeSet;

use super::Room;
use super::openings::Opened;
use super::walk::Walk;
use crate::control::{Admit, Control};
use crate::dag::NodeIdx;
use crate::ids::EpochId;

/// What is known of them in one epoch: the one that we write under, or did last.
#[derive(Debug, Default)]
pub(super) struct FalseKeys {
    epoch: Option<EpochId>,
    /// How many admissions into the epoch were looked at.
    looked: usize,
    found: BTreeSet<NodeIdx>,
    /// The slices on the way to what they commit to.
    walk: Walk,
}

impl FalseKeys {
    /// Forgets the keys of the epoch's slices before this one.
    pub(super) fn forget_before(&mut self, epoch: &EpochId, slice: u32) {
        if self.epoch == Some(*epoch) {
            self.walk.forget_before(slice);
        }
    }
}

#[cfg(test)]
impl FalseKeys {
    /// Whether the key of a slice can be worked out of what is kept here.
    pub(super) fn gives(&self, (epoch, slice): (EpochId, u32)) -> bool {
        self.epoch == Some(epoch) && self.walk.gives(slice)
    }
}

impl Room {
    /// Looks at the admissions into the epoch we write under that came since.
    pub(super) fn look_for_false_keys(&mut self) {
        let Some(best) = self.best else { return };
        let Some(held) = self.epochs.held().get(&best).filter(|held| held.checked).cloned() else { return };
        let mut known = std::mem::take(&mut self.epochs.false_keys);
        if known.epoch != Some(best) {
            known = FalseKeys { epoch: Some(best), ..FalseKeys::default() };
        }
        known.walk.begin(&held);
        let admissions = self.dag.kinds().slices.get(&best).map_or(&[][..], Vec::as_slice);
        for (at, _) in admissions.iter().skip(known.looked).filter(|(_, slice)| *slice >= held.slice) {
            if let Control::Admit(admit) = &self.dag.node(*at).control
                && !known.walk.leads_to(&self.id, admit)
            {
                known.found.insert(*at);
            }
        }
        known.looked = admissions.len();
        self.epochs.false_keys = known;
    }

    /// Whether somebody is in who was let into the epoch we write under with a false key alone: only another epoch helps him.
    pub(super) fn somebody_holds_a_false_key(&self) -> bool {
        let known = &self.epochs.false_keys;
        let Some(best) = self.best.filter(|best| known.epoch == Some(*best)) else { return false };
        let mut opened = Opened::new();
        let holds = |at: &&NodeIdx| {
            let Control::Admit(admit) = &self.dag.node(**at).control else { return false };
            let device = admit.join.entrant.device();
            let truly = |(other, _): &(NodeIdx, &Admit)| !known.found.contains(other);
            self.is_live_device(&device)
                && !self.was_recipient(&device, &best)
                && !self.admits_of(&device, &best).iter().any(truly)
                && self.epochs.opens_beside(&self.dag, **at, &self.resolved, &mut opened)
        };
        known.found.iter().find(holds).is_some()
    }
}
