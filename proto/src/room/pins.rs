//! Which branch of a forked message log each fence means.
//!
//! A fence pins one message. Of a log that forked, inside is that message and what it was built on: the room has to know on which
//! path it stands. It holds the ends of message logs only, so it notes the path when a pinned message comes, and of one that came
//! before somebody pinned it, or before the log forked, storage is asked ([`Outcome::unplaced`](super::Outcome::unplaced)). While that
//! is not known what all branches share is inside. Fences of logs that never forked are not in here.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::Room;
use super::types::Change;
use crate::control::{Control, LogPoint, LogPosition, RevokeFence};
use crate::dag::NodeIdx;
use crate::ids::{DeviceId, EventId};

/// The messages that fences of forked logs pin: as many as fences name.
#[derive(Debug, Default)]
pub(super) struct Pins {
    /// By the device whose log it is, each with its path and its number in the log, which a fence may say otherwise; `None` while
    /// that is not known, or it is not here.
    logs: BTreeMap<DeviceId, HashMap<EventId, Option<(DeviceId, u64)>>>,
    /// Those that storage was not asked about yet.
    unplaced: Vec<EventId>,
}

impl Pins {
    /// Hands what storage is to be asked about to an outcome.
    pub(super) fn take_unplaced(&mut self) -> Vec<EventId> {
        std::mem::take(&mut self.unplaced)
    }

    fn place(&self, device: &DeviceId, id: &EventId) -> Option<(&DeviceId, u64)> {
        self.logs.get(device)?.get(id)?.as_ref().map(|(path, seq)| (path, *seq))
    }
}

impl Room {
    /// Whether what this device wrote is judged by the branch that it stands on: its message log forked, and a fence pins one of them.
    pub fn is_judged_by_branch(&self, device: &DeviceId) -> bool {
        self.pins.logs.contains_key(device)
    }

    /// All messages that fences of forked logs pin, and of which it is not known on which path they stand. To be asked of a room that
    /// was restored; later ones stand in [`Outcome::unplaced`](super::Outcome::unplaced).
    pub fn unplaced(&self) -> Vec<EventId> {
        let pins = self.pins.logs.values().flatten();
        pins.filter(|(_, path)| path.is_none()).map(|(id, _)| *id).collect()
    }

    /// Storage holds these pinned messages, each on this path and with this number there. Answers of whom other messages are shown now.
    pub fn pins_found(&mut self, found: &[(EventId, DeviceId, u64)]) -> Vec<Change> {
        let mut changes = Vec::new();
        for (id, path, at) in found {
            let Some((device, seq)) = self.messages.branches().numbered(path, *at) else { continue };
            changes.extend(self.note_pinned(&device, id, (*path, seq)));
        }
        changes.dedup();
        changes
    }

    /// Whether a message lies inside a fence: of a log that did not fork by its number. Of one that did, iff it is what the fence pins,
    /// or that was built on it; as long as it is not known where that stands, or the message itself, iff all branches share it.
    pub(super) fn is_inside(&self, fence: &LogPosition, point: &LogPoint, path: Option<&DeviceId>) -> bool {
        let (branches, device) = (self.messages.branches(), &point.device);
        let Some(common) = branches.common(device) else { return fence.covers(point) };
        let leads = || branches.leads_to(device, (path?, point.seq), self.pins.place(device, &fence.id)?);
        fence.covers(point) && (point.seq <= common || point.id == fence.id || leads() == Some(true))
    }

    /// A control event came: notes what its fences pin in logs that forked.
    pub(super) fn note_pins(&mut self, at: NodeIdx) {
        let forked: Vec<DeviceId> = self.messages.branches().devices().copied().collect();
        forked.iter().for_each(|device| self.note_pin(at, device));
    }

    /// A message log forked for the first time: notes what fences pin in it.
    pub(super) fn note_pins_of(&mut self, device: &DeviceId) {
        let ends = self.dag.kinds().ends.clone();
        ends.into_iter().for_each(|at| self.note_pin(at, device));
    }

    /// The room was restored: notes what fences pin in logs that forked.
    pub(super) fn restore_pins(&mut self) {
        let forked: Vec<DeviceId> = self.messages.branches().devices().copied().collect();
        forked.iter().for_each(|device| self.note_pins_of(device));
        self.pins.unplaced.clear();
    }

    /// A message stands on this path, with this number in its log: it may be a pinned one.
    pub(super) fn note_pinned(&mut self, device: &DeviceId, id: &EventId, place: (DeviceId, u64)) -> Option<Change> {
        let pin = self.pins.logs.get_mut(device)?.get_mut(id).filter(|pin| pin.is_none())?;
        *pin = Some(place);
        Some(Change::Branches(*device))
    }

    /// What the fence of a control event pins in the message log of a device.
    fn pinned_by(&self, at: NodeIdx, device: &DeviceId) -> Option<EventId> {
        match &self.dag.node(at).control {
            Control::Remove(remove) => Some(remove.fence_of(device)?.message?.id),
            Control::Leave(leave) => leave.fence.iter().find(|fence| fence.device == *device).map(|fence| fence.id),
            Control::AccountUpdate(update) => {
                let revoke = update.revokes.iter().find(|revoke| revoke.device_pk == device.0)?;
                Some(RevokeFence::of(revoke, &self.id)?.message?.id)
            }
            _ => None,
        }
    }

    fn note_pin(&mut self, at: NodeIdx, device: &DeviceId) {
        let Some(id) = self.pinned_by(at, device) else { return };
        let paths = self.messages.branches().paths(device).copied();
        let mut ends = paths.filter_map(|path| self.messages.path_end(&path).map(|end| (path, end)));
        let place = ends.find(|(_, end)| end.id == id).map(|(path, end)| (path, end.seq));
        if let Entry::Vacant(pin) = self.pins.logs.entry(*device).or_default().entry(id) {
            pin.insert(place);
            self.pins.unplaced.extend(place.is_none().then_some(id));
        }
    }
}
