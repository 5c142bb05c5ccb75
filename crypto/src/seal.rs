//! Sealed message payloads.
//!
//! ```text
//! digest   BLAKE3(room_id || header with payload_len and payload_hash zeroed)
//! mk       KDF(c_gen, "msg", digest, 32)                                  epoch::SenderChain::message_key
//! payload  ChaCha20-Poly1305(mk, nonce 0, aad = room_id || that header, pad(body))
//! salt     H("salt", device seed || 16 random bytes || body)[..16]
//! ```
//! The header holds the salt, the author, its place in the log and the generation, so no two headers share a key, even
//! from a cloned device: the constant nonce is used once. A receiver derives the one key that the header names and tries
//! no other, so there is nothing to learn from which key opens (attack 23).

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Nonce, Tag};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::hash::SALT;
use crate::secret::{Secret, SecretBytes};
use crate::sign::SigningKey;
use crate::{OpenError, padme};

/// Bytes of the authentication tag at the end of a sealed payload.
pub const TAG: usize = 16;

/// The key of one message. Wiped when dropped; may be kept beside the message for as long as it shall be readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageKey(Secret);

impl MessageKey {
    /// The key of stored bytes.
    pub const fn from_secret(secret: Secret) -> Self {
        Self(secret)
    }

    /// The bytes, to be stored.
    pub const fn secret(&self) -> &Secret {
        &self.0
    }
}

/// What a message key is bound to: the room and the header with its payload fields zeroed.
pub fn header_digest(room_id: &[u8; 32], header: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new().update(room_id).update(header).finalize().as_bytes()
}

/// Length of the sealed form of a body, known before the header is final.
pub const fn sealed_len(body_len: usize) -> usize {
    padme::padded_len(body_len) + TAG
}

/// A message salt that cannot repeat for another body, even when the randomness is cloned or broken.
pub fn salt(rng: &mut impl CryptoRng, device: &SigningKey, body: &[u8]) -> [u8; 16] {
    let random = SecretBytes::<16>::random(rng);
    SALT.hash_prefix(&[device.to_seed().expose(), random.expose(), body])
}

/// Seals a body under the key of its header (payload fields zeroed). One key seals one body, ever.
pub fn seal(key: &MessageKey, room_id: &[u8; 32], header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(sealed_len(body.len()));
    padme::pad_into(body, &mut payload);
    let aad = aad(room_id, header);
    #[allow(clippy::expect_used, reason = "the cipher refuses only more than 256 GiB")]
    let tag = cipher(key)
        .encrypt_inout_detached(&Nonce::default(), &aad, payload.as_mut_slice().into())
        .expect("a payload in memory is short enough");
    payload.extend_from_slice(&tag);
    payload
}

/// Opens a payload with the one key of its header (payload fields zeroed). The body is wiped when dropped.
///
/// # Errors
/// [`OpenError`] if key, room, header or payload differ from what was sealed, or the padding is not the canonical one.
pub fn open(
    key: &MessageKey,
    room_id: &[u8; 32],
    header: &[u8],
    payload: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (sealed, tag) = payload.split_last_chunk::<TAG>().ok_or(OpenError)?;
    let mut body = Zeroizing::new(sealed.to_vec());
    let aad = aad(room_id, header);
    cipher(key)
        .decrypt_inout_detached(&Nonce::default(), &aad, body.as_mut_slice().into(), &Tag::from(*tag))
        .map_err(|_| OpenError)?;
    let len = padme::unpadded_len(&body).ok_or(OpenError)?;
    body.truncate(len);
    Ok(body)
}

fn cipher(key: &MessageKey) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.0.expose().into())
}

fn aad(room_id: &[u8; 32], header: &[u8]) -> Vec<u8> {
    [room_id.as_slice(), header].concat()
}
