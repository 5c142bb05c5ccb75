//! A symmetric key for many values: XChaCha20-Poly1305 with a random nonce, `nonce[24] || ciphertext || tag[16]`.
//!
//! For keys that seal more than once: gossip wrap, sync proofs, knocks, values at rest. Nonces of 24 random bytes do not
//! repeat. The associated data says where the value belongs; a value moved elsewhere does not open.

use std::fmt;

use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand::CryptoRng;

use crate::OpenError;
use crate::secret::Secret;

const NONCE: usize = 24;
const TAG: usize = 16;

/// Bytes that sealing adds: nonce and tag.
pub const OVERHEAD: usize = NONCE + TAG;

/// A key that seals many values. Made once, kept, wiped when dropped.
#[derive(Clone)]
pub struct EnvelopeKey(XChaCha20Poly1305);

impl EnvelopeKey {
    /// The key of 32 secret bytes.
    pub fn new(secret: &Secret) -> Self {
        Self(XChaCha20Poly1305::new(secret.expose().into()))
    }

    /// Seals a value; the one allocation is the output.
    pub fn seal(&self, rng: &mut impl CryptoRng, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
        self.seal_into(rng, aad, plaintext, &mut out);
        out
    }

    /// Appends the sealed value to `out`.
    pub fn seal_into(&self, rng: &mut impl CryptoRng, aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) {
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        out.reserve(plaintext.len() + OVERHEAD);
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(plaintext);
        #[allow(clippy::expect_used, reason = "the cipher refuses only more than 256 GiB")]
        let tag = self
            .0
            .encrypt_inout_detached(&XNonce::from(nonce), aad, out[start..].as_mut().into())
            .expect("a value in memory is short enough");
        out.extend_from_slice(&tag);
    }

    /// Opens a sealed value; the one allocation is the output.
    ///
    /// # Errors
    /// [`OpenError`] if key or `aad` differ from what was sealed, or the bytes are damaged.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or(OpenError)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG>().ok_or(OpenError)?;
        let mut plaintext = ciphertext.to_vec();
        self.0
            .decrypt_inout_detached(&XNonce::from(*nonce), aad, plaintext.as_mut_slice().into(), &Tag::from(*tag))
            .map_err(|_| OpenError)?;
        Ok(plaintext)
    }

    /// Opens a sealed value where it lies: on success the plaintext is the returned part of `sealed`.
    ///
    /// # Errors
    /// [`OpenError`] as for [`Self::open`]; `sealed` is then unchanged.
    pub fn open_in_place<'a>(&self, aad: &[u8], sealed: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        let (nonce, rest) = sealed.split_first_chunk_mut::<NONCE>().ok_or(OpenError)?;
        let (text, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(OpenError)?;
        self.0
            .decrypt_inout_detached(&XNonce::from(*nonce), aad, (&mut *text).into(), &Tag::from(*tag))
            .map_err(|_| OpenError)?;
        Ok(text)
    }
}

impl fmt::Debug for EnvelopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvelopeKey")
    }
}
