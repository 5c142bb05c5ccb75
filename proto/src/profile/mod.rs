//! Profiles: what people tell of themselves (name, picture, text, last seen), to whom they want to tell it.
//!
//! ```text
//! profile   device[32] | counter varint | epoch[16] | slice varint | sealed bytes | sig[64]
//! sealed    Env(KDF(k_slice, "profile", "", 32), aad = room_id || device, content)
//! content   version u8 = 1 | name | about | picture | seen      each: stamp varint | option value
//! portrait  device[32] | counter varint | sealed bytes | sig[64]         sealed: empty, or Env(key of the content, aad as above, JPEG)
//! sig       by the device, labels "profile" and "portrait", over room_id || the fields before it
//! ```
//! Who may see a field is decided by what is sealed where: a field for contacts is in no record but those of direct chats with
//! contacts. Each device writes one record a room, anew whenever it says something else or the slice in use is another, so
//! only the members of now open the newest. Both stand outside the logs; of one device the highest counter wins. They travel
//! in sync as the series [`Profile`](crate::wire::SeriesKind::Profile) and [`Portrait`](crate::wire::SeriesKind::Portrait).
//!
//! Whether somebody may see what, and what of several copies is true, is in [`Own`] and [`Field`]. The format is in
//! `docs/spec/profiles.md`.

mod content;
mod own;
mod text;

#[cfg(test)]
mod tests;

use parlor_crypto::envelope::{self, EnvelopeKey};
use parlor_crypto::hash::Domain;
use parlor_crypto::{CryptoRng, Secret, Signature, SigningKey, domain, label};
use serde::{Deserialize, Serialize};

pub use self::content::{Content, ContentError, Field, MAX_STAMP, PictureKey};
pub use self::own::{Audience, Mine, Own, Reach, round_seen};
pub use self::text::{TextError, about, name};
use crate::codec::{self, CodecError};
use crate::ids::{DeviceId, EpochId, RoomId};
use crate::limits::{MAX_PORTRAIT, MAX_PROFILE_CONTENT};
use crate::signed;
use crate::wire::Blob;

/// Longest record in bytes.
pub const MAX_PROFILE: usize = 32 + 10 + 16 + 5 + 2 + envelope::OVERHEAD + MAX_PROFILE_CONTENT + 64;
/// Longest portrait in bytes.
pub const MAX_PORTRAIT_RECORD: usize = 32 + 10 + 3 + envelope::OVERHEAD + MAX_PORTRAIT + 64;

static PICTURE: Domain = domain!("profile picture");

/// What a picture is named by.
pub fn picture_hash(picture: &[u8]) -> [u8; 32] {
    PICTURE.hash(&[picture])
}

/// What a device tells the members of a room, sealed to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The device.
    pub device: DeviceId,
    /// Counts up from 1; the highest wins.
    pub counter: u64,
    /// The epoch under whose key it is sealed,
    pub epoch: EpochId,
    /// and the slice of it.
    pub slice: u32,
    sealed: Blob,
    sig: Signature,
}

/// The picture that a device's [`Profile`] names, sealed under a key that stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portrait {
    /// The device.
    pub device: DeviceId,
    /// Counts up from 1; the highest wins.
    pub counter: u64,
    sealed: Blob,
    sig: Signature,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Not the encoding of one.
    #[error("profile record: {0}")]
    Codec(#[from] CodecError),
    /// A counter of 0.
    #[error("profile record breaks a limit")]
    Limit,
    /// Not signed by the device it names, for this room.
    #[error("bad signature of a profile record")]
    Signature,
}

/// Why a record says nothing that is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unopened {
    /// Sealed under another key, or damaged before it was signed.
    #[error("a profile does not open")]
    Sealed,
    /// It opens, and says what no honest node says.
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// Where a record is sealed.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Room.
    pub room: &'a RoomId,
    /// Epoch and slice in use there: exactly the members hold its key.
    pub slice: (EpochId, u32),
    /// The profile key of that slice ([`crate::room::Room::profile_key`]).
    pub key: &'a EnvelopeKey,
}

impl Profile {
    /// Seals and signs what is told.
    pub fn seal(at: Place<'_>, device: &SigningKey, counter: u64, content: &Content, rng: &mut impl CryptoRng) -> Self {
        let id = DeviceId(device.public_bytes());
        let sealed = Blob(at.key.seal(rng, &aad(at.room, &id), &content.encode()));
        let (epoch, slice) = at.slice;
        let mut record = Self { device: id, counter, epoch, slice, sealed, sig: Signature([0; 64]) };
        record.sig = signed::sign(&record, at.room, device, label::SIGN_PROFILE);
        record
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a record of `room` and checks its signature. Whether the device is a member's is for the room to say.
    ///
    /// # Errors
    /// See [`ProfileError`]; the sender of such bytes is at fault.
    pub fn decode(room: &RoomId, bytes: &[u8]) -> Result<Self, ProfileError> {
        let record: Self = codec::decode(bytes, MAX_PROFILE)?;
        if record.counter == 0 {
            return Err(ProfileError::Limit);
        }
        let by = (&record.device, &record.sig);
        if signed::is_of(&record, room, by, label::SIGN_PROFILE) { Ok(record) } else { Err(ProfileError::Signature) }
    }

    /// Opens it with the profile key of its slice.
    ///
    /// # Errors
    /// See [`Unopened`]; its author is at fault.
    pub fn open(&self, room: &RoomId, key: &EnvelopeKey) -> Result<Content, Unopened> {
        let plain = key.open(&aad(room, &self.device), &self.sealed.0).map_err(|_| Unopened::Sealed)?;
        Ok(Content::decode(&zeroize::Zeroizing::new(plain))?)
    }

    /// Whether this record takes the place of one with this counter, of the same device.
    pub fn replaces(&self, held: Option<u64>) -> bool {
        held.is_none_or(|held| self.counter > held)
    }
}

impl Portrait {
    /// Seals and signs a picture, of at most [`MAX_PORTRAIT`] bytes; of a longer one, and without any, that there is none.
    pub fn seal(
        room: &RoomId,
        device: &SigningKey,
        counter: u64,
        picture: Option<(&[u8], &Secret)>,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let id = DeviceId(device.public_bytes());
        let picture = picture.filter(|(picture, _)| picture.len() <= MAX_PORTRAIT);
        let sealed = picture.map(|(picture, key)| EnvelopeKey::new(key).seal(rng, &aad(room, &id), picture));
        let sealed = Blob(sealed.unwrap_or_default());
        let mut record = Self { device: id, counter, sealed, sig: Signature([0; 64]) };
        record.sig = signed::sign(&record, room, device, label::SIGN_PORTRAIT);
        record
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a portrait of `room` and checks its signature. Whether the device is a member's is for the room to say.
    ///
    /// # Errors
    /// See [`ProfileError`]; the sender of such bytes is at fault.
    pub fn decode(room: &RoomId, bytes: &[u8]) -> Result<Self, ProfileError> {
        let record: Self = codec::decode(bytes, MAX_PORTRAIT_RECORD)?;
        if record.counter == 0 {
            return Err(ProfileError::Limit);
        }
        let by = (&record.device, &record.sig);
        if signed::is_of(&record, room, by, label::SIGN_PORTRAIT) { Ok(record) } else { Err(ProfileError::Signature) }
    }

    /// The picture, if it is the one that the device's profile names. Whether it is a picture at all is for its reader to find out.
    pub fn open(&self, room: &RoomId, named: &PictureKey) -> Option<Vec<u8>> {
        let key = EnvelopeKey::new(&named.key);
        let picture = key.open(&aad(room, &self.device), &self.sealed.0).ok()?;
        (picture_hash(&picture) == named.hash).then_some(picture)
    }

    /// Whether this portrait takes the place of one with this counter, of the same device.
    pub fn replaces(&self, held: Option<u64>) -> bool {
        held.is_none_or(|held| self.counter > held)
    }
}

/// What a record is sealed for: its room and its device, so that nobody passes a copy off as another's.
fn aad(room: &RoomId, device: &DeviceId) -> [u8; 64] {
    let mut aad = [0; 64];
    aad[..32].copy_from_slice(room.as_bytes());
    aad[32..].copy_from_slice(device.as_bytes());
    aad
}
