//! Leaf keys: the X25519 key a device is sealed to, and the record that announces it.
//!
//! A public leaf key is parsed only from its one canonical encoding and never of low order, so that two devices cannot
//! share one key under two spellings and every agreement is contributory (RFC 7748 section 6.1, attack 24).
//! Signed bytes of a record: `device[32] || counter u64 || leaf_pk[32] || ts u64`, numbers big-endian.
//! Highest counter wins, rotation and refusal of a key certified for two devices are the room's business.

use std::fmt;

use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use x25519_dalek::StaticSecret;

use crate::label;
use crate::secret::Secret;
use crate::sign::{KeyError, PublicKey, Signature, SignatureError, SigningKey, is_reduced};

/// An own X25519 secret key, with its public half at hand. Wiped when dropped.
#[derive(Clone)]
pub struct LeafSecret {
    secret: StaticSecret,
    public: LeafPublic,
}

impl LeafSecret {
    /// A fresh key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_secret(&Secret::random(rng))
    }

    /// The key of stored or derived bytes.
    pub fn from_secret(secret: &Secret) -> Self {
        let secret = StaticSecret::from(*secret.expose());
        let public = LeafPublic(x25519_dalek::PublicKey::from(&secret).to_bytes());
        Self { secret, public }
    }

    /// The bytes, to be stored.
    pub fn to_secret(&self) -> Secret {
        Secret::fill(|out| out.copy_from_slice(self.secret.as_bytes()))
    }

    /// The key others seal to.
    pub const fn public(&self) -> LeafPublic {
        self.public
    }

    /// Diffie-Hellman with somebody's key: raw output, to be fed to a KDF.
    ///
    /// # Errors
    /// [`KeyError`] if the result is all zeros, which no parsed key gives.
    pub fn agree(&self, theirs: &LeafPublic) -> Result<Secret, KeyError> {
        let shared = self.secret.diffie_hellman(&x25519_dalek::PublicKey::from(theirs.0));
        if shared.was_contributory() { Ok(Secret::new(*shared.as_bytes())) } else { Err(KeyError) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.secret.as_bytes()
    }
}

impl fmt::Debug for LeafSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeafSecret(of {:?})", self.public)
    }
}

/// A checked X25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeafPublic([u8; 32]);

impl LeafPublic {
    /// Parses the only allowed encoding of a key.
    ///
    /// # Errors
    /// [`KeyError`] for a number not below p = 2^255 - 19 or a point of low order.
    pub fn parse(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let canonical = bytes[31] & 0x80 == 0 && is_reduced(bytes);
        if canonical && !LOW_ORDER.contains(bytes) { Ok(Self(*bytes)) } else { Err(KeyError) }
    }

    /// The bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for LeafPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "LeafPublic({a:02x}{b:02x}{c:02x}{d:02x})")
    }
}

/// A device's word which key it is sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeafRecord {
    /// The device.
    pub device: [u8; 32],
    /// Counts up at every rotation; the highest wins.
    pub counter: u64,
    /// The key.
    pub leaf_pk: [u8; 32],
    /// When it was made, in milliseconds since the epoch; for people.
    pub ts: u64,
    /// The device's signature.
    pub sig: Signature,
}

impl LeafRecord {
    /// Announces a key.
    pub fn issue(device: &SigningKey, counter: u64, leaf: &LeafPublic, ts: u64) -> Self {
        let (id, leaf_pk) = (device.public_bytes(), leaf.0);
        let sig = device.sign(label::SIGN_LEAF, &[&id, &counter.to_be_bytes(), &leaf_pk, &ts.to_be_bytes()]);
        Self { device: id, counter, leaf_pk, ts, sig }
    }

    /// Checks the signature by the device it names and the key; answers the key.
    ///
    /// # Errors
    /// [`LeafError`] says what does not hold.
    pub fn verify(&self) -> Result<LeafPublic, LeafError> {
        let device = PublicKey::parse(&self.device)?;
        let parts: [&[u8]; 4] = [&self.device, &self.counter.to_be_bytes(), &self.leaf_pk, &self.ts.to_be_bytes()];
        device.verify(label::SIGN_LEAF, &parts, &self.sig)?;
        Ok(LeafPublic::parse(&self.leaf_pk)?)
    }
}

/// Why a leaf record does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// The device's or the leaf's key is not an acceptable public key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not signed by the device it names.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// The points of order 1, 2, 4 and 8 on the curve and its twist, below p: 0, 1, two of order 8, and p - 1.
/// (<https://cr.yp.to/ecdh.html#validate>; the other encodings on that list are not below p.)
const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];
