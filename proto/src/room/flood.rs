//! Former members who go on writing.
//!
//! What they write counts for nothing, but somebody may have built on it before he knew, so it can not simply be refused:
//! whatever a member hands on is taken. From others, and from gossip, which says nothing about who sent it, only so much
//! of it is taken, ever: what he wrote before he heard of his end is less. So a flood does not enter a room, whoever starts it,
//! and all members keep the same.

use std::collections::HashMap;

use super::Room;
use crate::control::Control;
use crate::dag::Set;
use crate::event::Event;
use crate::ids::AccountId;
use crate::limits;

/// How many events of former members are here or come in one batch. Nothing of it is kept: what is here says it.
pub(super) type Flood = HashMap<AccountId, usize>;

impl Room {
    /// Counts a control event that no member vouches for; answers whether it is one too many of somebody who is no member.
    /// Who is no member himself, yet or any more, can not tell and takes all.
    pub(super) fn floods(&self, event: &Event, flood: &mut Flood) -> bool {
        if !self.is_member() {
            return false;
        }
        let Some(author) = self.author_of(event).filter(|author| !self.resolved.members().contains_key(author)) else {
            return false;
        };
        let taken = flood.entry(author).or_insert_with(|| self.written_after(&author));
        *taken += 1;
        *taken > limits::MAX_FORMER_EVENTS
    }

    /// How many control events of an account are here that nothing which ended a grant of it knew.
    fn written_after(&self, account: &AccountId) -> usize {
        let mut known = Set::default();
        let ends = self.dag.grants_of(account).iter().flat_map(|g| self.resolved.kills(*g));
        ends.for_each(|end| known.put_all(&self.dag.node(*end).past));
        let devices = self.dag.devices_of(account).iter().filter_map(|no| self.dag.devices().get(*no));
        let logs = devices.filter_map(|entry| self.dag.logs().get(&entry.device));
        logs.flatten().filter(|at| !known.has(**at)).count()
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
        // Of accounts that nobody knows nothing is taken.
        .filter(|account| self.dag.inception(account).is_some())
    }
}
