//! The gossip wrap: events on gossip and in mailboxes show outsiders only a hint and a length.
//!
//! `hint[8] || nonce[24] || XChaCha20-Poly1305(w, nonce, aad = hint, frame)`, `w = KDF(k_slice, "gossip", "", 32)`,
//! `hint = KDF(w, "gossip hint", "", 8)`. The hint is the same as long as the slice lasts and picks the key, so a
//! receiver tries one key a frame. The wrap says nothing about the author: every event in it is signed.

use rand::CryptoRng;

use crate::envelope::{self, EnvelopeKey};
use crate::secret::Secret;
use crate::{OpenError, kdf, label};

/// Bytes that wrapping adds.
pub const OVERHEAD: usize = 8 + envelope::OVERHEAD;

/// The wrap key of one slice.
#[derive(Debug, Clone)]
pub struct GossipKey {
    hint: [u8; 8],
    key: EnvelopeKey,
}

impl GossipKey {
    /// The wrap key of the secret `w`.
    pub fn new(secret: &Secret) -> Self {
        Self { hint: kdf::derive_public(secret, label::KDF_GOSSIP_HINT, &[]), key: EnvelopeKey::new(secret) }
    }

    /// What frames under this key begin with.
    pub const fn hint(&self) -> [u8; 8] {
        self.hint
    }

    /// Wraps a frame.
    pub fn wrap(&self, rng: &mut impl CryptoRng, frame: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(frame.len() + OVERHEAD);
        out.extend_from_slice(&self.hint);
        self.key.seal_into(rng, &self.hint, frame, &mut out);
        out
    }

    /// Unwraps a frame.
    ///
    /// # Errors
    /// [`OpenError`] if it was wrapped under another key or is damaged.
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<Vec<u8>, OpenError> {
        match wrapped.split_first_chunk() {
            Some((hint, sealed)) if *hint == self.hint => self.key.open(hint, sealed),
            _ => Err(OpenError),
        }
    }
}

/// The hint of a wrapped frame: which key to try. `None` for bytes too short to be a frame.
pub fn hint(wrapped: &[u8]) -> Option<[u8; 8]> {
    if wrapped.len() < OVERHEAD { None } else { wrapped.first_chunk().copied() }
}
