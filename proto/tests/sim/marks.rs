//! Markers of a node: its own, and what those of others say about its messages.

use std::sync::Arc;

use parlor_proto::EventId;
use parlor_proto::hlc::Hlc;
use parlor_proto::marker::Marker;
use parlor_proto::outbox;
use parlor_proto::room::Room;

use crate::node::{Commit, Node};

impl Node {
    /// Our marker, when it is due.
    pub(crate) fn mark(&mut self, now: u64) {
        let me = Arc::clone(&self.me);
        let held = self.disk.markers.get(&me.device()).map_or(0, |marker| marker.counter);
        let queued = self.running().commits.iter().any(|commit| !commit.markers.is_empty());
        let running = self.running();
        let Some(room) = &running.room else { return };
        if queued || !room.is_member() || !running.throttle.take(room.members().len(), now) {
            return;
        }
        let heads = room.marker_heads();
        if heads.is_empty() {
            return;
        }
        let marker = Marker::sign(&room.id(), me.signing_key(), held + 1, heads, Hlc(0), now);
        // Committed after everything it speaks of, and shown to others only then.
        self.commit(Commit { markers: vec![marker], ..Commit::default() }, now);
    }

    /// What a marker says about our messages.
    pub(super) fn resolve(&self, room: parlor_proto::RoomId, marker: &Marker) -> Option<outbox::In> {
        if marker.device == self.me.device() {
            return None;
        }
        let stored = |head: &EventId| self.disk.messages.values().find(|stored| stored.event.id() == *head);
        let delivered = marker.heads.iter().filter_map(stored).map(|stored| stored.covers_own).max()?;
        Some(outbox::In::Marked { room, device: marker.device, delivered, read: 0, at_ms: marker.ts_ms })
    }

    pub(super) fn resolve_markers(&mut self, now: u64) {
        let Some(room) = self.room().map(Room::id) else { return };
        let inputs: Vec<_> = self.disk.markers.values().filter_map(|marker| self.resolve(room, marker)).collect();
        for input in inputs {
            self.tell_outbox(input, now);
        }
    }
}
