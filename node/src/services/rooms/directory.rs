//! The directory: what is known of every room at a glance, for lists and for finding a room by name.
//!
//! Workers write the line of a room after every change; anybody reads. The lock is held for a few lines, never over an
//! await.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use parlor_api::{Code, Problem, RoomItem, SyncState};
use parlor_proto::RoomId;

use crate::limits::ID_PREFIX_MIN;

/// One room at a glance.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    /// The line of the list.
    pub(crate) item: RoomItem,
    /// How far it is synchronised.
    pub(crate) sync: SyncState,
    /// Whether it can be read and posted to: false while joining and after leaving.
    pub(crate) writable: bool,
    /// Whether this device was copied: two of it wrote into the room.
    pub(crate) cloned: bool,
    /// Whether a relay keeps what is written while all are away.
    pub(crate) has_mailbox: bool,
    /// Who may be reached through which connection.
    pub(crate) online: Vec<Online>,
}

/// A member who may be reached.
#[derive(Debug, Clone)]
pub(crate) struct Online {
    /// Whose device.
    pub(crate) account: String,
    /// As the room calls him.
    pub(crate) name: String,
    /// Through which connection.
    pub(crate) peer: parlor_net::PeerId,
}

/// All rooms at a glance. Clones are the same directory.
#[derive(Clone, Default)]
pub(crate) struct Directory {
    rooms: Arc<RwLock<BTreeMap<RoomId, Summary>>>,
    changed: Arc<tokio::sync::Notify>,
}

impl Directory {
    /// Writes the line of a room.
    pub(crate) fn put(&self, room: RoomId, summary: Summary) {
        self.rooms.write().unwrap_or_else(PoisonError::into_inner).insert(room, summary);
        self.changed.notify_waiters();
    }

    /// Takes the line of a room out.
    pub(super) fn remove(&self, room: &RoomId) {
        self.rooms.write().unwrap_or_else(PoisonError::into_inner).remove(room);
        self.changed.notify_waiters();
    }

    /// The line of a room.
    pub(crate) fn get(&self, room: &RoomId) -> Option<Summary> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner).get(room).cloned()
    }

    /// The peers behind which there is a member of a room, as their sessions proved.
    pub(crate) fn online(&self, room: &RoomId) -> Vec<parlor_net::PeerId> {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        rooms.get(room).map_or(Vec::new(), |summary| summary.online.iter().map(|online| online.peer).collect())
    }

    /// Whether a member of a room is behind this peer, as its session proved.
    pub(crate) fn is_online(&self, room: &RoomId, peer: &parlor_net::PeerId) -> bool {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        rooms.get(room).is_some_and(|summary| summary.online.iter().any(|online| online.peer == *peer))
    }

    /// Whether a member of any room is behind this peer, as a session proved.
    pub(crate) fn is_online_anywhere(&self, peer: &parlor_net::PeerId) -> bool {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        rooms.values().any(|summary| summary.online.iter().any(|online| online.peer == *peer))
    }

    /// All rooms.
    pub(crate) fn all(&self) -> Vec<(RoomId, Summary)> {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        rooms.iter().map(|(room, summary)| (*room, summary.clone())).collect()
    }

    /// Waits until the line of a room fulfils a condition. Cancel safe.
    pub(crate) async fn wait(&self, room: &RoomId, mut ready: impl FnMut(&Summary) -> bool) -> Summary {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if let Some(summary) = self.get(room).filter(|summary| ready(summary)) {
                return summary;
            }
            changed.await;
        }
    }

    /// The room that `text` names: by id, or else by a name or a prefix of the id that fits one room only. Members choose the names of
    /// rooms, so a name that another room's id begins with must not stand before it: what is written would reach the wrong people.
    pub(crate) fn find(&self, text: &str) -> Result<RoomId, Problem> {
        if let Some(id) = text.parse().ok().filter(|id| self.get(id).is_some()) {
            return Ok(id);
        }
        let all = self.all();
        let mut named: Vec<_> = all.iter().filter(|(_, summary)| summary.item.name == text).collect();
        if named.len() > 1 && named.iter().any(|(_, summary)| summary.item.role.role().is_some()) {
            // Rooms that we left stay readable by id, and do not stand in the way of one of the same name.
            named.retain(|(_, summary)| summary.item.role.role().is_some());
        }
        let prefixed: Vec<_> = all
            .iter()
            .filter(|(room, _)| text.len() >= ID_PREFIX_MIN && room.to_string().starts_with(&text.to_ascii_lowercase()))
            .collect();
        let other = |room: &RoomId| !named.iter().any(|(one, _)| one == room);
        let fitting: Vec<_> = named.iter().chain(prefixed.iter().filter(|(room, _)| other(room))).copied().collect();
        match fitting.as_slice() {
            [] => Err(Problem::new(Code::RoomNotFound, "there is no such room").hint(format!(
                "parlor room list shows the rooms of this account; of an id the first {ID_PREFIX_MIN} digits are enough"
            ))),
            [(room, _)] => Ok(*room),
            several => Err(ambiguous(several)),
        }
    }
}

fn ambiguous(rooms: &[&(RoomId, Summary)]) -> Problem {
    let lines: Vec<_> =
        rooms.iter().map(|(room, s)| format!("{} ({})", &room.to_string()[..16], s.item.name)).collect();
    Problem::new(Code::Ambiguous, "more than one room fits").hint(format!("name it by id: {}", lines.join(", ")))
}
