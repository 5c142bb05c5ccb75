//! The schema: which trees there are and how their keys are made. Drawn byte by byte in `docs/spec/storage.md`.
//!
//! Numbers are big-endian, so that keys sort as numbers do. Keys hold short numbers and blind names only.

use crate::fault::Fault;
use crate::rows::LogKind;
use crate::timeline::Position;

/// The schema that this program writes. Raise it with a migration in `stamp.rs`.
pub(crate) const SCHEMA: u32 = 5;

/// The room number of what belongs to no room.
pub(crate) const NO_ROOM: u32 = 0;

/// The key of the only row of [`TreeId::Applied`].
pub(crate) const APPLIED_KEY: [u8; 1] = [0];

/// A tree. The number is part of what values are sealed for: never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum TreeId {
    Rooms = 1,
    Authors = 2,
    Control = 3,
    Timeline = 4,
    Log = 5,
    Ids = 6,
    Unread = 7,
    Tips = 8,
    Pages = 9,
    Values = 10,
    Pieces = 11,
    Applied = 12,
    /// Of the mailboxes of a relay (`mail/rows.rs`), as those below.
    MailBlobs = 13,
    MailArrivals = 14,
    MailEntries = 15,
    MailNames = 16,
    MailState = 17,
    /// Messages that are no lines of the timeline, under the same keys.
    Asides = 18,
    Remarks = 19,
    /// What the search still has to look at.
    Changes = 20,
    /// Messages that disappear, by when.
    Fading = 21,
}

impl TreeId {
    /// All, in the order of their numbers.
    pub(crate) const ALL: [Self; 21] = [
        Self::Rooms,
        Self::Authors,
        Self::Control,
        Self::Timeline,
        Self::Log,
        Self::Ids,
        Self::Unread,
        Self::Tips,
        Self::Pages,
        Self::Values,
        Self::Pieces,
        Self::Applied,
        Self::MailBlobs,
        Self::MailArrivals,
        Self::MailEntries,
        Self::MailNames,
        Self::MailState,
        Self::Asides,
        Self::Remarks,
        Self::Changes,
        Self::Fading,
    ];

    /// Trees whose keys begin with a room number: what forgetting a room empties.
    pub(crate) const OF_ROOMS: [Self; 10] = [
        Self::Timeline,
        Self::Asides,
        Self::Remarks,
        Self::Control,
        Self::Log,
        Self::Ids,
        Self::Unread,
        Self::Tips,
        Self::Pages,
        Self::Values,
    ];

    /// The tree with this number.
    pub(crate) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|tree| *tree as u8 == number)
    }

    /// Whether its values are cells.
    pub(crate) fn holds_cells(self) -> bool {
        let index = matches!(self, Self::Log | Self::Ids | Self::Unread | Self::Changes | Self::Fading);
        let plain = index || matches!(self, Self::Pieces | Self::Applied);
        let of_mail = (Self::MailBlobs as u8..=Self::MailState as u8).contains(&(self as u8));
        !plain && !of_mail
    }

    /// Its name on disk.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rooms => "rooms",
            Self::Authors => "authors",
            Self::Control => "control",
            Self::Timeline => "timeline",
            Self::Log => "log",
            Self::Ids => "ids",
            Self::Unread => "unread",
            Self::Tips => "tips",
            Self::Pages => "pages",
            Self::Values => "values",
            Self::Pieces => "pieces",
            Self::Applied => "applied",
            Self::MailBlobs => "mail blobs",
            Self::MailArrivals => "mail arrivals",
            Self::MailEntries => "mail entries",
            Self::MailNames => "mail names",
            Self::MailState => "mail state",
            Self::Asides => "asides",
            Self::Remarks => "remarks",
            Self::Changes => "changes",
            Self::Fading => "fading",
        }
    }
}

/// The open trees.
#[derive(Debug, Clone)]
pub(crate) struct Trees([sled::Tree; TreeId::ALL.len()]);

impl Trees {
    pub(crate) fn open(db: &sled::Db) -> Result<Self, Fault> {
        let open = |id: TreeId| db.open_tree(id.name());
        let trees = TreeId::ALL.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
        trees.try_into().map(Self).map_err(|_| Fault::Damaged("a tree is missing".to_owned()))
    }

    pub(crate) fn get(&self, id: TreeId) -> &sled::Tree {
        // Numbers run from 1 in the order of ALL.
        &self.0[id as usize - 1]
    }
}

/// `room` or `author`: u32.
pub(crate) fn number_key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// `room u32 | arrival u32`.
pub(crate) fn control_key(room: u32, arrival: u32) -> [u8; 8] {
    concat(&[&room.to_be_bytes(), &arrival.to_be_bytes()])
}

/// `room u32 | order u64 | tie u32 | author u32 | seq u32`.
pub(crate) fn timeline_key(room: u32, position: Position) -> [u8; 24] {
    concat(&[&room.to_be_bytes(), &position.to_bytes()])
}

/// `room u32 | kind u8 | author u32 | chunk u32`.
pub(crate) fn log_key(room: u32, kind: LogKind, author: u32, chunk: u32) -> [u8; 13] {
    concat(&[&room.to_be_bytes(), &[kind_byte(kind)], &author.to_be_bytes(), &chunk.to_be_bytes()])
}

/// `room u32 | kind u8 | author u32`.
pub(crate) fn tip_key(room: u32, kind: LogKind, author: u32) -> [u8; 9] {
    concat(&[&room.to_be_bytes(), &[kind_byte(kind)], &author.to_be_bytes()])
}

/// `room u32 | blind name [16]`: of ids and pages.
pub(crate) fn blind_key(room: u32, name: [u8; 16]) -> [u8; 20] {
    concat(&[&room.to_be_bytes(), &name])
}

/// `room u32 | namespace u8 | blind name [16]`.
pub(crate) fn value_key(room: u32, namespace: u8, name: [u8; 16]) -> [u8; 21] {
    concat(&[&room.to_be_bytes(), &[namespace], &name])
}

/// `until u64 | key of the message [24]`.
pub(crate) fn fading_key(until_ms: u64, message: &[u8; 24]) -> [u8; 32] {
    concat(&[&until_ms.to_be_bytes(), message])
}

/// `generation u64 | piece u16`.
pub(crate) fn piece_key(generation: u64, piece: u16) -> [u8; 10] {
    concat(&[&generation.to_be_bytes(), &piece.to_be_bytes()])
}

/// `group u64 | part u16`.
pub(crate) fn change_key(group: u64, part: u16) -> [u8; 10] {
    concat(&[&group.to_be_bytes(), &part.to_be_bytes()])
}

/// `room u32 | blind name of a list [16] | place in it [16]`.
pub(crate) fn remark_key(room: u32, list: [u8; 16], place: [u8; 16]) -> [u8; 36] {
    concat(&[&room.to_be_bytes(), &list, &place])
}

/// The kind and author of a key of [`TreeId::Tips`].
pub(crate) fn parse_tip_key(key: &[u8]) -> Option<(LogKind, u32)> {
    let kind = match key.get(4)? {
        0 => LogKind::Control,
        1 => LogKind::Message,
        _ => return None,
    };
    Some((kind, number_at(key, 5)?))
}

/// The position in a key of [`TreeId::Timeline`] or [`TreeId::Unread`].
pub(crate) fn parse_timeline_key(key: &[u8]) -> Option<Position> {
    key.get(4..)?.try_into().ok().map(Position::from_bytes)
}

/// The u32 at `at`.
pub(crate) fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

fn kind_byte(kind: LogKind) -> u8 {
    match kind {
        LogKind::Control => 0,
        LogKind::Message => 1,
    }
}

/// The parts in a row. The caller's array type says how long that is.
fn concat<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut key = [0; N];
    let mut rest = &mut key[..];
    for part in parts {
        let (head, tail) = rest.split_at_mut(part.len());
        head.copy_from_slice(part);
        rest = tail;
    }
    key
}
