//! Split views: a member whose node holds the same control events as ours and sees another room in them.
//!
//! That does not happen between two honest nodes of one version, so people are told: one of both is wrong, or lies.

use parlor_api::{Code, EventBody, Problem, SplitView};
use parlor_proto::DeviceId;

use super::entry::Turn;

impl Turn<'_> {
    /// A member's device sees another room than we in the same events, or does so no longer.
    pub(super) fn on_view(&mut self, device: DeviceId, split: bool) {
        if !split {
            self.entry.split.remove(&device);
            return;
        }
        // Bounded: only live members' devices get here, and each is named once.
        if self.entry.split.insert(device) {
            let message = format!("{}: {}", self.room_name(), self.split_view(&device).text);
            tracing::warn!(room = %self.id().short(), device = %device.short(), "a member sees another room in the same events");
            self.publish(EventBody::Error(Problem::new(Code::SplitView, message).into()));
        }
    }

    /// Members who see another room in the same events.
    pub(super) fn split_views(&self) -> Vec<SplitView> {
        let members = self.entry.split.iter().filter(|device| self.is_live(device));
        members.map(|device| self.split_view(device)).collect()
    }

    fn split_view(&self, device: &DeviceId) -> SplitView {
        let who = self.author(device);
        let text = format!(
            "the node of {} ({}) holds the same events and sees other members or rights in them: one of both nodes is wrong, or lies",
            who.name,
            device.short()
        );
        SplitView { who, device: device.to_string(), text }
    }

    fn room_name(&self) -> String {
        self.entry.room.info().map(|info| info.name).unwrap_or_default()
    }
}
