//! Ed25519 (RFC 8032): our own [`SigningKey`] and the [`PublicKey`] of somebody else.
//!
//! What is signed is `"parlor/1 " label 0x00 || parts`, so a signature for one use is never one for another (attack 29).
//! A public key is parsed only from the one canonical encoding of a point that is not of low order, and signatures are
//! checked with the strict equation: plain `verify` accepts the identity point as a key that signs everything (finding
//! F1). There is no batch verification: its equation differs, so replicas could disagree.

use std::fmt;

use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::array;
use crate::secret::Secret;
use crate::work::{self, Work};

const PREFIX: &[u8] = b"parlor/1 ";

/// Bytes that are no acceptable public key: not on the curve, a second encoding of a point, or of low order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an acceptable public key")]
pub struct KeyError;

/// A signature that is not by this key, for this use, over these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signature does not verify")]
pub struct SignatureError;

/// An Ed25519 signature, unchecked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(#[serde(with = "array")] pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Signature({a:02x}{b:02x}{c:02x}{d:02x})")
    }
}

/// An own key that signs: of a root, a device, an invite or a mailbox. Wiped when dropped.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A fresh key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_seed(&Secret::random(rng))
    }

    /// The key of an RFC 8032 seed.
    pub fn from_seed(seed: &Secret) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed.expose()))
    }

    /// The seed, to be stored.
    pub fn to_seed(&self) -> Secret {
        Secret::fill(|out| out.copy_from_slice(self.0.as_bytes()))
    }

    /// The secret scalar: of an X25519 key whose public half is [`PublicKey::to_montgomery`].
    pub(crate) fn to_scalar(&self) -> Secret {
        Secret::fill(|out| out.copy_from_slice(&self.0.to_scalar_bytes()))
    }

    /// The key others verify with.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The bytes of the public key: the id of a device.
    pub fn public_bytes(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs the parts in a row, for the use that `label` names. All parts but the last have a fixed size.
    pub fn sign(&self, label: &'static str, parts: &[&[u8]]) -> Signature {
        use ed25519_dalek::Signer as _;
        Signature(self.0.sign(&message(label, parts)).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {:?})", self.public())
    }
}

/// A checked public key, kept unpacked: parse once and keep it, unpacking costs a tenth of a verification.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// Parses the only allowed encoding of a key.
    ///
    /// # Errors
    /// [`KeyError`] for bytes off the curve, a second encoding of a point, or a point of low order.
    pub fn parse(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_reduced(bytes) {
            return Err(KeyError);
        }
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError)?;
        if key.is_weak() { Err(KeyError) } else { Ok(Self(key)) }
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The same point as an X25519 public key (RFC 7748 section 4.1). Never of low order, since this key is not.
    pub(crate) fn to_montgomery(self) -> [u8; 32] {
        self.0.to_montgomery().to_bytes()
    }

    /// Checks a signature over the parts in a row for the use that `label` names, with the strict equation.
    ///
    /// # Errors
    /// [`SignatureError`] if the signature is not by this key, for this label, over these bytes, or not canonical.
    pub fn verify(&self, label: &'static str, parts: &[&[u8]], signature: &Signature) -> Result<(), SignatureError> {
        work::note(Work { signatures: 1, ..Work::default() });
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(&message(label, parts), &signature).map_err(|_| SignatureError)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0.to_bytes();
        write!(f, "PublicKey({a:02x}{b:02x}{c:02x}{d:02x})")
    }
}

fn message(label: &'static str, parts: &[&[u8]]) -> Vec<u8> {
    let len = PREFIX.len() + label.len() + 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut message = Vec::with_capacity(len);
    message.extend_from_slice(PREFIX);
    message.extend_from_slice(label.as_bytes());
    message.push(0);
    for part in parts {
        message.extend_from_slice(part);
    }
    message
}

/// Whether a coordinate (the lower 255 bits, little-endian) is below p = 2^255 - 19.
pub(crate) fn is_reduced(bytes: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = bytes;
    last & 0x7f != 0x7f || middle.iter().any(|b| *b != 0xff) || *first < 0xed
}
