//! What is known of every file that a message names.

use std::collections::HashMap;

use parlor_api::FileState;
use parlor_proto::file::{Bits, FileRef, Layout};
use parlor_proto::{EventId, FileId, RoomId, codec};
use serde::{Deserialize, Serialize};

use crate::services::why::Why;

/// A message that names a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The room.
    pub(crate) room: RoomId,
    /// The message.
    pub(crate) message: EventId,
    /// Which of its files.
    pub(crate) index: u32,
}

/// That a file is to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Want {
    pub(super) place: Place,
    /// Somebody asked for it; if not, it comes by itself.
    pub(super) wished: bool,
}

/// What is known of a file.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) layout: Layout,
    /// The messages that name it.
    pub(super) places: Vec<Place>,
    /// Sealed by this device.
    pub(super) own: bool,
    /// Somebody here asked for it.
    pub(super) wished: bool,
    pub(super) state: FileState,
    /// Bytes of it that are here.
    pub(super) bytes: u64,
    /// Its chunks that are here, while it is on its way.
    pub(super) have: Option<Bits>,
    /// Why it does not come.
    pub(super) reason: Option<Why>,
}

/// All files. Bounded by the messages there are.
#[derive(Debug, Default)]
pub(super) struct Table {
    files: HashMap<FileId, Known>,
}

/// The value of a row that says that a message names a file.
#[derive(Serialize, Deserialize)]
struct Row {
    index: u32,
    size: u64,
    own: bool,
}

/// The key of the row that says that a message names a file.
pub(crate) fn row_key(file: &FileId, message: &EventId) -> Vec<u8> {
    [file.0, message.0].concat()
}

/// Its value.
pub(crate) fn row_value(index: usize, file: &FileRef, own: bool) -> Vec<u8> {
    codec::encode(&Row { index: u32::try_from(index).unwrap_or(u32::MAX), size: file.size, own })
}

impl Known {
    /// Nothing of it is here any more, and it is not wanted.
    pub(super) fn gone(&mut self, reason: Option<Why>) {
        (self.state, self.bytes, self.have, self.wished) = (FileState::Remote, 0, None, false);
        self.reason = reason;
    }
}

impl Table {
    /// Takes a row as it was stored; `None` for one that is none.
    pub(super) fn restore(&mut self, room: RoomId, key: &[u8], value: &[u8]) -> Option<FileId> {
        let (file, message) = key.split_at_checked(32)?;
        let (file, message) = (FileId(file.try_into().ok()?), EventId(message.try_into().ok()?));
        let row: Row = codec::decode(value, 64).ok()?;
        self.name(file, Layout::of(row.size)?, Place { room, message, index: row.index }, row.own);
        Some(file)
    }

    /// A message names a file.
    pub(super) fn name(&mut self, file: FileId, layout: Layout, place: Place, own: bool) {
        let known = self.files.entry(file).or_insert_with(|| Known {
            layout,
            places: Vec::new(),
            own,
            wished: false,
            state: FileState::Remote,
            bytes: 0,
            have: None,
            reason: None,
        });
        known.own |= own;
        if !known.places.contains(&place) {
            known.places.push(place);
        }
    }

    /// No message names it any more.
    pub(super) fn forget(&mut self, file: &FileId) {
        self.files.remove(file);
    }

    pub(super) fn get(&self, file: &FileId) -> Option<&Known> {
        self.files.get(file)
    }

    pub(super) fn get_mut(&mut self, file: &FileId) -> Option<&mut Known> {
        self.files.get_mut(file)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&FileId, &Known)> {
        self.files.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_and_what_is_none_is_passed_over() {
        let mut table = Table::default();
        let (file, message, room) = (FileId([1; 32]), EventId([2; 32]), RoomId([3; 32]));
        let reference = FileRef {
            key: parlor_crypto::Secret::new([0; 32]),
            names: Vec::new(),
            size: 1_000_000,
            name: String::new(),
            mime: String::new(),
            pixels: None,
            preview: Vec::new(),
        };
        let (key, value) = (row_key(&file, &message), row_value(2, &reference, true));
        for _ in 0..2 {
            assert_eq!(table.restore(room, &key, &value), Some(file));
        }
        let known = table.get(&file).unwrap();
        assert_eq!((known.layout.size(), known.own), (1_000_000, true));
        assert_eq!(known.places, [Place { room, message, index: 2 }]);
        assert_eq!(table.restore(room, b"want", &value), None);
        assert_eq!(table.restore(room, &key, b"x"), None);
    }
}
