//! The keys of a room: an epoch's secret, its slices, and in each slice a chain a sender.
//!
//! ```text
//! k_0              HKDF-Extract(salt = H("prev", sorted parent secrets), ikm = 32 random bytes)
//! commit           KDF(k_0, "epoch commit", room_id, 32)
//! k_{i+1}          KDF(k_i, "slice", "", 32)
//! c_0(device)      KDF(k_slice, "sender", device, 32)
//! c_{j+1}          KDF(c_j, "chain", "", 32)
//! message key      KDF(c_gen, "msg", BLAKE3(room_id || header with payload fields zeroed), 32)
//! ```
//! Each step is one way: who has a slice or a chain has everything after it and nothing before. All types go forward
//! only, up to a bound, and are wiped when dropped; how long one is kept is the deletion policy of the room
//! (`docs/spec/epochs.md`). [`SliceSecret`] and [`SenderChain`] are `Clone`, so that a reader of old messages can keep
//! a point to start from.

use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::envelope::EnvelopeKey;
use crate::hash::PREV;
use crate::limits::{MAX_GENERATION, MAX_SLICE};
use crate::mailbox::BoxKeys;
use crate::seal::MessageKey;
use crate::secret::Secret;
use crate::work::{self, Work};
use crate::wrap::GossipKey;
use crate::{kdf, label};

/// Why a chain cannot be moved to an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The index lies before the one the chain is at: its key is gone.
    #[error("the key before this point is gone")]
    Gone,
    /// The index is beyond the bound.
    #[error("beyond the longest chain allowed")]
    TooFar,
}

/// The secret `k_0` of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochSecret(Secret);

impl EpochSecret {
    /// A fresh epoch after its `parents`. Their secrets are mixed in, so that an epoch made with bad randomness is still
    /// closed to those who never were members (attack 34).
    pub fn generate(rng: &mut impl CryptoRng, parents: &[&Self]) -> Self {
        let mut secrets: Vec<&[u8]> = parents.iter().map(|parent| parent.0.expose().as_slice()).collect();
        secrets.sort_unstable();
        let salt = Zeroizing::new(PREV.hash(&secrets));
        Self(kdf::extract(salt.as_slice(), Secret::random(rng).expose()))
    }

    /// The epoch of a stored secret.
    pub const fn from_secret(secret: Secret) -> Self {
        Self(secret)
    }

    /// The secret, to be stored or handed on.
    pub const fn secret(&self) -> &Secret {
        &self.0
    }

    /// The public commitment in the Rotate.
    pub fn commit(&self, room_id: &[u8; 32]) -> [u8; 32] {
        kdf::derive_public(&self.0, label::KDF_EPOCH_COMMIT, &[room_id])
    }

    /// The first slice.
    pub fn first_slice(&self) -> SliceSecret {
        SliceSecret { index: 0, key: self.0.clone() }
    }

    /// The slice of an index.
    ///
    /// # Errors
    /// [`ChainError::TooFar`] beyond [`MAX_SLICE`].
    pub fn slice(&self, index: u32) -> Result<SliceSecret, ChainError> {
        let mut slice = self.first_slice();
        slice.advance_to(index)?;
        Ok(slice)
    }
}

/// The secret of one slice of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceSecret {
    index: u32,
    key: Secret,
}

impl SliceSecret {
    /// The slice of a stored or received secret.
    ///
    /// # Errors
    /// [`ChainError::TooFar`] beyond [`MAX_SLICE`].
    pub fn from_secret(index: u32, secret: Secret) -> Result<Self, ChainError> {
        if index > MAX_SLICE {
            return Err(ChainError::TooFar);
        }
        Ok(Self { index, key: secret })
    }

    /// Its index in the epoch.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The secret, to be stored or handed on.
    pub const fn secret(&self) -> &Secret {
        &self.key
    }

    /// The public commitment in an Admit.
    pub fn commit(&self, room_id: &[u8; 32]) -> [u8; 32] {
        kdf::derive_public(&self.key, label::KDF_SLICE_COMMIT, &[room_id])
    }

    /// Moves on to a later slice; the keys before it are gone. Nothing changes on error.
    ///
    /// # Errors
    /// [`ChainError`] for an earlier slice or one beyond [`MAX_SLICE`].
    pub fn advance_to(&mut self, index: u32) -> Result<(), ChainError> {
        step(&mut self.key, &mut self.index, index, MAX_SLICE, label::KDF_SLICE)
    }

    /// The chain of a device's messages in this slice, at generation 0.
    pub fn sender(&self, device: &[u8; 32]) -> SenderChain {
        SenderChain { generation: 0, key: kdf::derive(&self.key, label::KDF_SENDER, &[device]) }
    }

    /// The keys of the mailbox of this slice: who is given a slice reaches its box and the later ones.
    pub fn mailbox(&self) -> BoxKeys {
        BoxKeys::of(&self.key)
    }

    /// The key that members' profiles are sealed under while this slice lasts.
    pub fn profile(&self) -> EnvelopeKey {
        EnvelopeKey::new(&kdf::derive(&self.key, label::KDF_PROFILE, &[]))
    }

    /// The key that hides events on gossip while this slice lasts.
    pub fn gossip(&self) -> GossipKey {
        GossipKey::new(&kdf::derive(&self.key, label::KDF_GOSSIP, &[]))
    }
}

/// The chain of one device's message keys in one slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderChain {
    generation: u32,
    key: Secret,
}

impl SenderChain {
    /// The chain at a stored point.
    ///
    /// # Errors
    /// [`ChainError::TooFar`] beyond [`MAX_GENERATION`].
    pub fn from_secret(generation: u32, secret: Secret) -> Result<Self, ChainError> {
        if generation > MAX_GENERATION {
            return Err(ChainError::TooFar);
        }
        Ok(Self { generation, key: secret })
    }

    /// The generation it is at.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The chain key, to be stored.
    pub const fn secret(&self) -> &Secret {
        &self.key
    }

    /// Moves on to a later generation; the keys before it are gone. Nothing changes on error. Check the signature of the
    /// event first: a step costs 0.2 us, and a jump to the bound 15 ms.
    ///
    /// # Errors
    /// [`ChainError`] for an earlier generation or one beyond [`MAX_GENERATION`].
    pub fn advance_to(&mut self, generation: u32) -> Result<(), ChainError> {
        step(&mut self.key, &mut self.generation, generation, MAX_GENERATION, label::KDF_CHAIN)
    }

    /// The key of one message: of this generation, and of the header whose [`crate::seal::header_digest`] is given.
    pub fn message_key(&self, header_digest: &[u8; 32]) -> MessageKey {
        MessageKey::from_secret(kdf::derive(&self.key, label::KDF_MESSAGE, &[header_digest]))
    }
}

fn step(key: &mut Secret, at: &mut u32, to: u32, max: u32, label: &'static str) -> Result<(), ChainError> {
    if to > max {
        return Err(ChainError::TooFar);
    }
    if to < *at {
        return Err(ChainError::Gone);
    }
    work::note(Work { steps: u64::from(to - *at), ..Work::default() });
    while *at < to {
        *key = kdf::derive(key, label, &[]);
        *at += 1;
    }
    Ok(())
}
