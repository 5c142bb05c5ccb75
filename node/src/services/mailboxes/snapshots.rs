//! The events of a room that are left at its doors for newcomers: for each of them once, and at each door for one after the other.
//! Without I/O.
//!
//! Whoever has read the log of a room can make new knocks of the requests in it, and a door holds little.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parlor_net::PeerId;
use parlor_proto::mailbox::{BlobId, BoxName};

use crate::limits::{DOOR_FULL_MS, SNAPSHOT_PATIENCE_MS};

/// What is left at the doors of one room.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    doors: HashMap<BoxName, AtDoor>,
}

#[derive(Debug, Default)]
struct AtDoor {
    /// The leaf keys of those for whom it was left. As many as there are members, at most.
    had: BTreeSet<[u8; 32]>,
    /// What not all relays have yet.
    on_way: BTreeSet<BlobId>,
    /// For whom that is.
    of: Option<[u8; 32]>,
    /// Since when it is on its way.
    since_ms: u64,
    /// The relays that have no room here, and until when that is believed.
    full: BTreeMap<PeerId, u64>,
    /// Until when nothing is left here, because all of them have none.
    full_until_ms: u64,
}

/// Whether to leave the events for somebody.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Yes; what is on its way there for so long gives way.
    Now(Vec<BlobId>),
    /// When those before it are at the relays.
    Later,
    /// No: he has them, or there is no room.
    No,
}

impl Snapshots {
    /// Somebody was let in who knocked at this door.
    pub(super) fn leave(&mut self, door: &BoxName, leaf: &[u8; 32], now_ms: u64) -> Leave {
        let Some(at) = self.doors.get_mut(door) else { return Leave::Now(Vec::new()) };
        if at.had.contains(leaf) || now_ms < at.full_until_ms {
            return Leave::No;
        }
        if !at.on_way.is_empty() && now_ms < at.since_ms.saturating_add(SNAPSHOT_PATIENCE_MS) {
            return Leave::Later;
        }
        if !at.on_way.is_empty() {
            at.missed();
        }
        Leave::Now(std::mem::take(&mut at.on_way).into_iter().collect())
    }

    /// These blobs are on their way to a door for somebody.
    pub(super) fn put(&mut self, door: BoxName, leaf: [u8; 32], blobs: BTreeSet<BlobId>, now_ms: u64) {
        let at = self.doors.entry(door).or_default();
        if !blobs.is_empty() {
            at.had.insert(leaf);
        }
        (at.on_way, at.of, at.since_ms) = (blobs, Some(leaf), now_ms);
    }

    /// Nothing is tried any more with a blob.
    pub(super) fn settled(&mut self, door: &BoxName, id: &BlobId) {
        if let Some(at) = self.doors.get_mut(door) {
            at.on_way.remove(id);
        }
    }

    /// A relay says that it has no more room for what is at a door. It counts when all `others` that are up say so: one that lies, or
    /// that somebody filled, keeps nothing out of the rest.
    pub(super) fn full(&mut self, door: &BoxName, relay: PeerId, others: &[PeerId], now_ms: u64) {
        let Some(at) = self.doors.get_mut(door) else { return };
        at.full.retain(|_, until| now_ms < *until);
        at.full.insert(relay, now_ms.saturating_add(DOOR_FULL_MS));
        let until: Option<Vec<u64>> = others.iter().chain([&relay]).map(|it| at.full.get(it).copied()).collect();
        if let Some(until) = until.into_iter().flatten().min() {
            at.full_until_ms = until;
            at.missed();
        }
    }

    /// A relay lost all it had: who asks again gets it again.
    pub(super) fn lost(&mut self) {
        self.doors.values_mut().for_each(|at| at.had.clear());
    }

    /// Forgets doors that are not watched any more.
    pub(super) fn retain(&mut self, is_watched: impl Fn(&BoxName) -> bool) {
        self.doors.retain(|name, _| is_watched(name));
    }
}

impl AtDoor {
    /// Whoever what is on its way is for gets it when he asks again.
    fn missed(&mut self) {
        if let Some(leaf) = self.of.take() {
            self.had.remove(&leaf);
        }
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::mailbox::BoxKind;

    use super::*;

    const DOOR: BoxName = BoxName { kind: BoxKind::Door, key: [1; 32] };

    #[test]
    fn everybody_is_left_the_events_once_and_one_after_the_other() {
        let mut snapshots = Snapshots::default();
        let blobs = |n| BTreeSet::from([BlobId([n; 32])]);
        assert_eq!(snapshots.leave(&DOOR, &[1; 32], 0), Leave::Now(Vec::new()));
        snapshots.put(DOOR, [1; 32], blobs(1), 0);
        assert_eq!(snapshots.leave(&DOOR, &[1; 32], 0), Leave::No, "however often he knocks");
        assert_eq!(snapshots.leave(&DOOR, &[2; 32], 0), Leave::Later);
        snapshots.settled(&DOOR, &BlobId([1; 32]));
        assert_eq!(snapshots.leave(&DOOR, &[2; 32], 0), Leave::Now(Vec::new()));
        snapshots.put(DOOR, [2; 32], blobs(2), 0);
        let gives_way = snapshots.leave(&DOOR, &[3; 32], SNAPSHOT_PATIENCE_MS);
        assert_eq!(gives_way, Leave::Now(vec![BlobId([2; 32])]), "a relay that takes nothing holds up nobody");
        snapshots.put(DOOR, [3; 32], blobs(3), SNAPSHOT_PATIENCE_MS);
        let [one, other] = [1, 2].map(|n| PeerId::from_key([n; 32]));
        snapshots.full(&DOOR, one, &[one, other], SNAPSHOT_PATIENCE_MS);
        assert!(
            matches!(snapshots.leave(&DOOR, &[4; 32], 2 * SNAPSHOT_PATIENCE_MS), Leave::Now(_)),
            "the other has room"
        );
        snapshots.put(DOOR, [3; 32], blobs(3), SNAPSHOT_PATIENCE_MS);
        snapshots.full(&DOOR, other, &[one, other], SNAPSHOT_PATIENCE_MS);
        let later = 2 * SNAPSHOT_PATIENCE_MS;
        assert_eq!(snapshots.leave(&DOOR, &[4; 32], later), Leave::No, "there is no room");
        // Who had nothing of it is left it when he asks again.
        for n in [2, 3, 4] {
            assert!(matches!(snapshots.leave(&DOOR, &[n; 32], later + DOOR_FULL_MS), Leave::Now(_)));
        }
        assert_eq!(snapshots.leave(&DOOR, &[1; 32], later + DOOR_FULL_MS), Leave::No);
        snapshots.lost();
        assert!(matches!(snapshots.leave(&DOOR, &[1; 32], later + DOOR_FULL_MS), Leave::Now(_)));
    }
}
