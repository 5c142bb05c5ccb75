//! Former members who go on writing.
//!
//! What they write counts for nothing, but somebody may have built on it before he knew, so it can not simply be refused:
//! whatever a member hands on is taken. From others, and from gossip, which says nothing about who sent it, only so much
//! of it is taken a day. So a flood enters a room slowly, whoever starts it, and all members keep the same.

use std::collections::HashMap;

use super::Room;
use crate::control::Control;
use crate::event::Event;
use crate::ids::AccountId;
use crate::limits;

/// How many events of former members were taken from others than members.
#[derive(Debug, Default)]
pub(super) struct Flood {
    day: u64,
    taken: HashMap<AccountId, usize>,
}

impl Room {
    /// Counts a control event that no member vouches for; answers whether it is one too many of somebody who is no member.
    /// Who is no member himself, yet or any more, can not tell and takes all.
    pub(super) fn floods(&mut self, event: &Event, now_ms: u64) -> bool {
        if !self.is_member() {
            return false;
        }
        let Some(author) = self.author_of(event).filter(|author| !self.resolved.members().contains_key(author)) else {
            return false;
        };
        let day = now_ms / limits::DAY_MS;
        if day != self.flood.day {
            self.flood = Flood { day, taken: HashMap::new() };
        }
        let taken = self.flood.taken.entry(author).or_default();
        *taken += 1;
        *taken > limits::MAX_FORMER_EVENTS
    }

    /// Whose event it is, if the device or its account is known.
    fn author_of(&self, event: &Event) -> Option<AccountId> {
        if let Some(account) = self.account_of(&event.device()) {
            return Some(account);
        }
        let kind = event.control()?.kind;
        match Control::decode(kind, event.payload()).ok()? {
            Control::AccountUpdate(update) => update.devices.first().map(|new| AccountId(new.cert.account)),
            _ => None,
        }
        // Of accounts that nobody knows nothing is taken, and nothing is to be remembered.
        .filter(|account| self.dag.inception(account).is_some())
    }
}

#[cfg(test)]
impl Room {
    pub(super) fn counted_former(&self) -> usize {
        self.flood.taken.len()
    }
}
