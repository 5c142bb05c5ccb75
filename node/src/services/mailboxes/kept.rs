//! What is remembered on disk of the mailboxes of a room: one small row, written some time after it changed.
//!
//! ```text
//! version = 2 | put: list of (relay peer[32], seven numbers) | taken: list of (box name, relay peer[32], cursor)      postcard
//! ```
//! It may be behind: then some of ours is put once more, which changes nothing, and some blobs are read once more.

use std::collections::BTreeMap;

use parlor_net::PeerId;
use parlor_proto::mailbox::{BoxName, Cursor};
use parlor_proto::{RoomId, codec};
use parlor_storage::{Batch, Namespace, Store};
use serde::{Deserialize, Serialize};

use super::plan::Tips;

/// The name of the row.
pub(crate) const NAME: &[u8] = b"mail";
/// Longest row: a few dozen boxes at four relays.
const MAX_ROW: usize = 256 * 1024;

#[derive(Serialize, Deserialize)]
struct Row {
    version: u8,
    put: Vec<([u8; 32], Tips)>,
    taken: Vec<(BoxName, [u8; 32], Cursor)>,
}

/// What is remembered of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Of ours is at this relay everything up to here.
    pub(super) put: BTreeMap<PeerId, Tips>,
    /// Of a box at a relay is taken everything up to here.
    pub(super) taken: BTreeMap<(BoxName, PeerId), Cursor>,
}

impl Kept {
    /// Reads the row; nothing if there is none. Blocks.
    pub(super) fn load(store: &Store, room: &RoomId) -> Self {
        let bytes = store.get(Some(room), Namespace::Meta, NAME).ok().flatten().unwrap_or_default();
        let Some(row) = codec::decode::<Row>(&bytes, MAX_ROW).ok().filter(|row| row.version == 2) else {
            return Self::default();
        };
        let peer = PeerId::from_key;
        Self {
            put: row.put.into_iter().map(|(key, tips)| (peer(key), tips)).collect(),
            taken: row.taken.into_iter().map(|(name, key, cursor)| ((name, peer(key)), cursor)).collect(),
        }
    }

    /// The change that stores it.
    pub(super) fn store(&self, room: RoomId) -> Batch {
        let row = Row {
            version: 2,
            put: self.put.iter().map(|(peer, tips)| (*peer.as_key(), *tips)).collect(),
            taken: self.taken.iter().map(|((name, peer), cursor)| (*name, *peer.as_key(), *cursor)).collect(),
        };
        let mut batch = Batch::new(Some(room));
        batch.put(Namespace::Meta, NAME, codec::encode(&row));
        batch
    }

    /// Forgets boxes that are not read any more.
    pub(super) fn retain(&mut self, reads: impl Fn(&BoxName) -> bool) {
        self.taken.retain(|(name, _), _| reads(name));
    }
}
