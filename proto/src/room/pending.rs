//! Control events that wait for their ancestors.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::types::Reject;
use crate::event::Event;
use crate::ids::{DeviceId, EventId};
use crate::limits;

/// Bounded in number, bytes, and number from one device. When full, nothing is pushed out: what does not fit comes again
/// by sync, in order.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// By the ancestor each waits for next, with whether a member vouches for it.
    by_missing: HashMap<EventId, Vec<(Event, bool)>>,
    ids: HashSet<EventId>,
    of_device: HashMap<DeviceId, usize>,
    bytes: usize,
}

impl Pending {
    /// `known` says which devices the room knows: what others wrote, which anybody can make up, takes only a part of the place.
    pub(super) fn put(
        &mut self,
        missing: EventId,
        event: Event,
        vouched: bool,
        known: impl Fn(&DeviceId) -> bool,
    ) -> Result<(), Reject> {
        if self.ids.contains(&event.id()) {
            let same =
                self.by_missing.get_mut(&missing).into_iter().flatten().find(|(held, _)| held.id() == event.id());
            same.into_iter().for_each(|(_, held)| *held |= vouched);
            return Ok(());
        }
        let of_device = self.of_device.get(&event.device()).copied().unwrap_or(0);
        let bytes = self.bytes + event.bytes().len();
        let full = self.ids.len() >= limits::MAX_PENDING || bytes > limits::MAX_PENDING_BYTES;
        if full || of_device >= limits::MAX_PENDING_PER_DEVICE {
            return Err(Reject::Full);
        }
        if !known(&event.device()) {
            let strange = self.of_device.iter().filter(|(device, _)| !known(device)).map(|(_, count)| count);
            if strange.sum::<usize>() >= limits::MAX_WAITING_STRANGE {
                return Err(Reject::Full);
            }
        }
        self.bytes = bytes;
        self.ids.insert(event.id());
        self.of_device.insert(event.device(), of_device + 1);
        self.by_missing.entry(missing).or_default().push((event, vouched));
        Ok(())
    }

    /// Takes what waited for `id`, each with whether a member vouches for it.
    pub(super) fn take(&mut self, id: &EventId) -> Vec<(Event, bool)> {
        let events = self.by_missing.remove(id).unwrap_or_default();
        for (event, _) in &events {
            self.ids.remove(&event.id());
            self.bytes -= event.bytes().len();
            if let Some(count) = self.of_device.get_mut(&event.device()) {
                *count -= 1;
                if *count == 0 {
                    self.of_device.remove(&event.device());
                }
            }
        }
        events
    }

    /// Whether an event that waits names this one as the one before it in its log.
    pub(super) fn vouches_for(&self, event: &Event) -> bool {
        let mut waiting = self.by_missing.values().flatten();
        waiting.any(|(after, _)| after.log() == event.log() && after.prev() == event.id())
    }

    /// What is waited for and does not wait itself.
    pub(super) fn missing(&self) -> BTreeSet<EventId> {
        self.by_missing.keys().filter(|id| !self.ids.contains(*id)).copied().collect()
    }
}
