//! What a record says when it is opened: four fields, each with the stamp that orders it.

use parlor_crypto::Secret;
use parlor_crypto::secret::exposed;
use serde::{Deserialize, Serialize};

use super::text::{TextError, check_about, check_name};
use crate::codec::{self, CodecError};
use crate::limits::MAX_PROFILE_CONTENT;

/// The version of the content that this code writes and reads.
const VERSION: u8 = 1;
/// Highest stamp: the hybrid clock's 48 bits of milliseconds.
pub const MAX_STAMP: u64 = (1 << 48) - 1;

/// A field as it is told to some: what it is since when, or that it is not for them.
///
/// Of two the greater wins: the later stamp; of one stamp what says something, and of two that say something the greater
/// value. So any order of any copies gives one result ([`Field::take`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Field<T> {
    /// Milliseconds since the epoch by the clock of who set it, and later than what it replaced. 0 for never.
    pub stamp: u64,
    /// What it says; nothing if it was taken away, or is not for those who read this.
    pub value: Option<T>,
}

impl<T> Default for Field<T> {
    fn default() -> Self {
        Self { stamp: 0, value: None }
    }
}

impl<T: Ord> Field<T> {
    /// Takes what another copy says, if that wins; says whether it did.
    pub fn take(&mut self, other: Self) -> bool {
        let wins = other > *self;
        if wins {
            *self = other;
        }
        wins
    }
}

/// Where the picture is and what opens it: the [`Portrait`](super::Portrait) of the same device in the same room.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureKey {
    /// [`super::picture_hash`] of the picture.
    pub hash: [u8; 32],
    /// What the portrait is sealed under: another for each picture, room and audience.
    #[serde(with = "exposed")]
    pub key: Secret,
}

impl std::fmt::Debug for PictureKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PictureKey").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Field<PictureKey> {
    /// The same of the picture's hash alone, which is the same in every room.
    pub fn hashed(&self) -> Field<[u8; 32]> {
        Field { stamp: self.stamp, value: self.value.as_ref().map(|key| key.hash) }
    }
}

impl PartialOrd for PictureKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PictureKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&self.hash, self.key.expose()).cmp(&(&other.hash, other.key.expose()))
    }
}

/// What a device tells some of its account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The name.
    pub name: Field<String>,
    /// The text about oneself.
    pub about: Field<String>,
    /// The picture.
    pub picture: Field<PictureKey>,
    /// When the user did something last, milliseconds since the epoch, rounded ([`super::round_seen`]).
    pub seen: Field<u64>,
}

/// Why what was opened says nothing that is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Not the encoding of a content.
    #[error("profile: {0}")]
    Codec(#[from] CodecError),
    /// Of a version that this code does not know.
    #[error("profile of version {0}")]
    Version(u8),
    /// A text that no honest node writes.
    #[error("text of a profile: {0}")]
    Text(#[from] TextError),
    /// A stamp, a time or a value without stamp that no honest node writes.
    #[error("profile breaks a limit")]
    Limit,
}

impl Content {
    /// Encodes it, with its version before it.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&(VERSION, self))
    }

    /// Decodes and checks it. Whoever wrote it is at fault for what is refused; whoever handed it on could not see it.
    ///
    /// # Errors
    /// See [`ContentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        if let Some(version) = bytes.first().filter(|version| **version != VERSION) {
            return Err(ContentError::Version(*version));
        }
        let (_, content): (u8, Self) = codec::decode(bytes, MAX_PROFILE_CONTENT)?;
        let Self { name, about, picture, seen } = &content;
        name.value.as_deref().map_or(Ok(()), check_name)?;
        about.value.as_deref().map_or(Ok(()), check_about)?;
        let fields = [
            (name.stamp, name.value.is_some()),
            (about.stamp, about.value.is_some()),
            (picture.stamp, picture.value.is_some()),
            (seen.stamp, seen.value.is_some()),
        ];
        let sound = |(stamp, says): &(u64, bool)| *stamp <= MAX_STAMP && (*stamp > 0 || !says);
        let is_round = seen.value.is_none_or(|ms| ms <= MAX_STAMP && super::round_seen(ms) == ms);
        if fields.iter().all(sound) && is_round { Ok(content) } else { Err(ContentError::Limit) }
    }

    /// Takes what another copy says, field by field.
    pub fn take(&mut self, other: Self) {
        self.name.take(other.name);
        self.about.take(other.about);
        self.picture.take(other.picture);
        self.seen.take(other.seen);
    }

    /// Whether nothing was ever set.
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }
}
