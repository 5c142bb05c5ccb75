//! What a direct chat begins with: no event that somebody made, but what both accounts know.
//!
//! ```text
//! room id   H("dm", lower account || higher account)
//! genesis   control header { device 0^32, kind 20, seq 1, no prev, no parents, lamport 1, ts 0 }, payload Direct, sig 0^64
//! ```
//! Both sides make the same bytes, so both may begin at once and hold one room. It is never sent and never taken from
//! anybody: no signature verifies under its device, which is no key.

use parlor_crypto::account::Inception;
use parlor_crypto::hash::DM_ROOM;
use serde::{Deserialize, Serialize};

use super::{History, Permission, Permissions, Policy};
use crate::ids::{AccountId, RoomId};

/// The kind of the virtual genesis of a direct chat.
pub const DIRECT_KIND: u8 = 20;

/// What both may do in a direct chat: nobody invites, removes or gives roles.
pub const DIRECT_PERMS: [Permission; 3] = [Permission::Post, Permission::Moderate, Permission::Policy];

/// The rules that every direct chat begins with. Both may read all: nobody comes later but further devices of the two.
pub static DIRECT_POLICY: Policy = Policy { history: History::Full };

/// The two of a direct chat, ascending by account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Direct {
    /// What the two accounts began with.
    pub accounts: [Inception; 2],
}

impl Direct {
    /// The chat of two accounts; `None` for one account with itself.
    pub fn of(one: Inception, other: Inception) -> Option<Self> {
        let accounts = match one.account().cmp(&other.account()) {
            std::cmp::Ordering::Less => [one, other],
            std::cmp::Ordering::Greater => [other, one],
            std::cmp::Ordering::Equal => return None,
        };
        Some(Self { accounts })
    }

    /// The two accounts, ascending.
    pub fn ids(&self) -> [AccountId; 2] {
        self.accounts.each_ref().map(|account| AccountId(account.account()))
    }

    /// The id of the room.
    pub fn room(&self) -> RoomId {
        let [lower, higher] = self.ids();
        Self::room_of(&lower, &higher)
    }

    /// The id of the room of two accounts, in any order.
    pub fn room_of(one: &AccountId, other: &AccountId) -> RoomId {
        RoomId(DM_ROOM.hash(&[&one.min(other).0, &one.max(other).0]))
    }

    /// Whether it is the beginning of this room, in its one form.
    pub fn begins(&self, room: &RoomId) -> bool {
        let [lower, higher] = self.ids();
        lower < higher && self.room() == *room
    }

    pub(crate) fn perms() -> Permissions {
        DIRECT_PERMS.into_iter().fold(Permissions::NONE, Permissions::with)
    }
}
