//! What the maker of an instant invite leaves at its door: how far that is on its way. Without I/O.

use std::collections::{BTreeMap, BTreeSet};

use parlor_proto::EventId;
use parlor_proto::mailbox::BlobId;

/// What is on its way to the doors of a room's instant invites.
#[derive(Default)]
pub(super) struct AtDoors {
    invites: BTreeMap<EventId, Parts>,
}

#[derive(Default)]
struct Parts {
    /// Which no relay has yet,
    unstored: BTreeSet<BlobId>,
    /// and which not all relays have.
    unsettled: BTreeSet<BlobId>,
}

impl AtDoors {
    /// Whether the parts of an invite were put already.
    pub(super) fn has(&self, invite: &EventId) -> bool {
        self.invites.contains_key(invite)
    }

    /// The parts of an invite were put.
    pub(super) fn put(&mut self, invite: EventId, blobs: BTreeSet<BlobId>) {
        self.invites.insert(invite, Parts { unstored: blobs.clone(), unsettled: blobs });
    }

    /// Forgets invites that are not among these.
    pub(super) fn retain(&mut self, keep: impl Fn(&EventId) -> bool) {
        self.invites.retain(|invite, _| keep(invite));
    }

    /// A relay has a blob.
    pub(super) fn stored(&mut self, id: &BlobId) {
        for parts in self.invites.values_mut() {
            parts.unstored.remove(id);
        }
    }

    /// Nothing is tried any more with a blob. The invites of which everything is at the relays now. What every relay refused is
    /// put again after the next start.
    pub(super) fn settled(&mut self, id: &BlobId) -> Vec<EventId> {
        let mut done = Vec::new();
        for (invite, parts) in &mut self.invites {
            let was = parts.unsettled.remove(id);
            if was && parts.unsettled.is_empty() && parts.unstored.is_empty() {
                done.push(*invite);
            }
        }
        done
    }

    /// How many parts are on their way.
    pub(super) fn lacks(&self) -> u64 {
        self.invites.values().map(|parts| parts.unsettled.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_done_when_relays_have_them_and_not_when_all_refused() {
        let (one, two) = (BlobId([1; 32]), BlobId([2; 32]));
        let (fair, refused) = (EventId([7; 32]), EventId([8; 32]));
        let mut doors = AtDoors::default();
        doors.put(fair, BTreeSet::from([one]));
        doors.put(refused, BTreeSet::from([two]));
        assert_eq!(doors.lacks(), 2);
        doors.stored(&one);
        assert_eq!(doors.settled(&one), [fair]);
        assert!(doors.settled(&two).is_empty(), "no relay took it");
        assert!(doors.has(&refused) && doors.lacks() == 0);
    }
}
