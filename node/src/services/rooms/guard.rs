//! The clone guard of a room: nothing is written before this device's own logs were compared with a member's.
//!
//! What clients want written meanwhile waits here, a bounded number of wishes, so that the answer to it names the event; what
//! waits in the outbox already stays there. See [`parlor_proto::sync::Guard`].

use parlor_proto::outbox::In as OutboxIn;
use parlor_proto::sync::{Guard, Series};

use super::entry::Turn;
use super::message::Wish;
use super::settle::Settle;
use crate::limits::HELD_WISHES_MAX;

impl Turn<'_> {
    /// The program has started with this room on its disk. A device that the room has never heard of, for its home was restored from a
    /// backup, says that it is there: of its logs nothing can be anywhere, so there is nothing to compare.
    pub(super) fn guard(&mut self) {
        match self.entry.room.come_back(self.now_ms) {
            Ok(outcome) if outcome.accepted.is_empty() => {}
            Ok(outcome) => {
                tracing::info!(room = %self.id().short(), "this device comes into a room that it knows from a backup");
                return self.commit(outcome, Settle::default());
            }
            Err(why) => {
                tracing::warn!(room = %self.id().short(), %why, "this device can not come into a room of its account");
            }
        }
        let me = self.context.identity.device();
        let others = self.entry.room.members().into_iter().flat_map(|member| member.devices);
        if others.into_iter().any(|(device, _)| device != me) {
            if !self.entry.guard.is_firm() {
                self.entry.guard = Guard::start(self.now_ms);
            }
            self.hold();
        }
    }

    /// The room was read from the disk once more while the program runs: it begins, and waits for what it waited for.
    pub(super) fn begin_again(&mut self) {
        let held = self.guards();
        self.entry.room.hold(held);
        self.begin();
        self.hold();
    }

    /// A member's device is connected.
    pub(super) fn guard_met(&mut self) {
        let before = self.entry.guard.due();
        self.entry.guard.met(self.now_ms);
        if self.entry.guard.due() != before {
            self.hold();
        }
    }

    /// All that a member holds of our logs is here.
    pub(super) fn guard_compared(&mut self) {
        if !self.entry.guard.waits() {
            return;
        }
        if self.entry.guard.is_firm() {
            // Who met us may have less of our logs than there is.
            let me = self.context.identity.device();
            let here = [Series::control(me), Series::messages(me)].map(|series| self.entry.tables.seq(&series));
            let wanted = super::damaged::reached(&self.context.store, &self.id());
            if wanted.is_some_and(|(control, message)| here[0] < control || here[1] < message) {
                if self.entry.room.other().is_some() {
                    self.entry.guard.lacks(self.now_ms);
                }
                return;
            }
            let note = super::damaged::compared(&self.id());
            self.hand_over(note, Settle::default());
        }
        self.entry.guard.compared();
        self.hold();
    }

    /// Time passed.
    pub(super) fn tick_guard(&mut self) {
        let was_firm = self.entry.guard.is_firm();
        if !self.entry.guard.tick(self.now_ms) {
            return;
        }
        tracing::debug!(room = %self.id().short(), "no member said what it holds of our logs: going on");
        if was_firm {
            let note = super::damaged::compared(&self.id());
            self.hand_over(note, Settle::default());
        }
        self.hold();
        if was_firm {
            // Nobody has what said that this device is there: it says so again.
            let (reply, _) = tokio::sync::oneshot::channel();
            self.introduce(&[], reply);
        }
    }

    /// Keeps a wish that would write until the guard lets it; answers it otherwise. Who waits for a member that may come in a week is told
    /// so: messages stand in the outbox until then.
    pub(super) fn when_free(&mut self, wish: Wish) -> Option<Wish> {
        let soon = self.guards() && !self.entry.guard.is_firm();
        if !(soon && wish.writes()) || self.entry.held.len() >= HELD_WISHES_MAX {
            return Some(wish);
        }
        self.entry.held.push(wish);
        None
    }

    /// Whether the guard waits. A device that is known to be copied has nothing to wait for: it writes nothing any more, and its
    /// logs are never the same as a member's. Nor has one that is out: nobody answers it, and it writes nothing.
    fn guards(&self) -> bool {
        let inside = self.entry.room.is_member() || self.begins_again();
        self.entry.guard.holds(self.now_ms) && !self.entry.room.is_cloned() && inside
    }

    /// Whether this is a direct chat that was thrown away and begins again: this device is in it by what it wrote before.
    pub(super) fn begins_again(&self) -> bool {
        self.entry.guard.is_firm() && self.entry.room.other().is_some()
    }

    /// We are a member now, or are none any more: what waits may have nothing to wait for, or again.
    pub(super) fn guard_again(&mut self) {
        if self.entry.guard.waits() {
            self.hold();
        }
    }

    /// Writes nothing, or may write from now on, as the guard says.
    pub(super) fn hold(&mut self) {
        let held = self.guards();
        self.entry.room.hold(held);
        if held {
            return;
        }
        self.entry.maintain_ms = Some(self.now_ms.max(self.entry.rest_until_ms));
        if self.entry.room.epoch_status().epoch.is_some() {
            self.tell_outbox(OutboxIn::Writable(self.id()));
        }
        for wish in std::mem::take(&mut self.entry.held) {
            self.wish(wish);
        }
    }
}

#[cfg(test)]
mod tests;
