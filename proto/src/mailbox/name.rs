//! Names: of boxes, of blobs, of relays and of their stores. None says anything about a room or a person.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::limits;

/// What a box is for; decides who may do what in it and how much fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BoxKind {
    /// Of one slice of an epoch of a room: its members put and read.
    Room,
    /// Of an account: anybody puts, the account reads and takes out.
    Inbox,
    /// Of an invite: members and holders of the link put and read.
    Door,
}

/// A box: what it is for, and the Ed25519 key that proves it. The same key under two kinds names two boxes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BoxName {
    /// What it is for.
    pub kind: BoxKind,
    /// The public key. Checked when a proof is.
    pub key: [u8; 32],
}

/// A blob: `H("blob", its bytes)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlobId(pub [u8; 32]);

/// A relay: the bytes of its transport peer id, as the network proved it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId(Box<[u8]>);

/// The store of a relay, or of several that share one. Random; another one means that numbers begin anew.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(pub [u8; 16]);

impl BoxKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Room, Self::Inbox, Self::Door];

    /// The byte that stands for it in signatures and seals.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Room => 0,
            Self::Inbox => 1,
            Self::Door => 2,
        }
    }

    /// Whether putting needs a proof.
    pub const fn proves_puts(self) -> bool {
        !matches!(self, Self::Inbox)
    }

    /// Whether whoever proves the box may take blobs out.
    pub const fn allows_drops(self) -> bool {
        matches!(self, Self::Inbox)
    }

    /// Longest blob.
    pub const fn max_blob(self) -> usize {
        match self {
            Self::Inbox => limits::MAX_INBOX_BLOB,
            Self::Room | Self::Door => limits::MAX_BLOB,
        }
    }

    /// Most blobs in one box.
    pub const fn max_blobs(self) -> u64 {
        match self {
            Self::Room => limits::ROOM_BLOBS,
            Self::Inbox => limits::INBOX_BLOBS,
            Self::Door => limits::DOOR_BLOBS,
        }
    }

    /// Most bytes in one box.
    pub const fn max_bytes(self) -> u64 {
        match self {
            Self::Room => limits::ROOM_BYTES,
            Self::Inbox => limits::INBOX_BYTES,
            Self::Door => limits::DOOR_BYTES,
        }
    }
}

impl BoxName {
    /// The bytes that stand for it in signatures, seals and stores: kind and key.
    pub fn to_bytes(&self) -> [u8; 33] {
        let mut bytes = [0; 33];
        bytes[0] = self.kind.byte();
        bytes[1..].copy_from_slice(&self.key);
        bytes
    }

    /// The box of [`Self::to_bytes`]; `None` for an unknown kind.
    pub fn from_bytes(bytes: &[u8; 33]) -> Option<Self> {
        let [kind, key @ ..] = *bytes;
        let kind = BoxKind::ALL.into_iter().find(|known| known.byte() == kind)?;
        Some(Self { kind, key })
    }
}

impl BlobId {
    /// The name of these bytes.
    pub fn of(blob: &[u8]) -> Self {
        Self(parlor_crypto::hash::BLOB.hash(&[blob]))
    }
}

impl RelayId {
    /// The relay of these peer id bytes; `None` if they are empty or longer than [`limits::MAX_RELAY_ID`].
    pub fn new(peer: &[u8]) -> Option<Self> {
        (!peer.is_empty() && peer.len() <= limits::MAX_RELAY_ID).then(|| Self(peer.into()))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn short(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, "{name}(")?;
    bytes.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
    f.write_str(")")
}

impl fmt::Debug for BoxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            BoxKind::Room => "RoomBox",
            BoxKind::Inbox => "Inbox",
            BoxKind::Door => "Door",
        };
        short(f, kind, &self.key)
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short(f, "Blob", &self.0)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short(f, "Store", &self.0)
    }
}

impl fmt::Debug for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first bytes of all peer ids of one kind of key are the same.
        let end = self.0.len().saturating_sub(4);
        short(f, "Relay", self.0.get(end..).unwrap_or_default())
    }
}
