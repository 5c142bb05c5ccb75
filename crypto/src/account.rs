//! An account: root keys from one seed, its inception, and what its root signs about devices.
//!
//! The seed is what the recovery phrase spells; the root key of each generation is derived from it. The account id
//! commits to the first root key and to the hash of the next, so a stolen root key cannot rotate itself away. A device
//! holds at most the current root key, never the seed.
//!
//! Signed bytes (numbers big-endian):
//! `DeviceCert`: `account[32] || device_pk[32] || created u64 || seq u64 || name`;
//! `DeviceRevoke`: `account[32] || device_pk[32] || fence`.
//! Which certificate counts, revocation and order are the room's business.

use serde::{Deserialize, Serialize};

use crate::hash::{ACCOUNT, NEXT_ROOT};
use crate::limits::{MAX_DEVICE_NAME, MAX_FENCE};
use crate::secret::Secret;
use crate::sign::{KeyError, PublicKey, Signature, SignatureError, SigningKey};
use crate::{kdf, label};

/// Why something signed by an account's root does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertError {
    /// It names another account than the one it is checked against.
    #[error("names another account")]
    OtherAccount,
    /// The root or device key is not an acceptable public key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not signed by the account's root.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The device name or fence is longer than allowed.
    #[error("longer than allowed")]
    TooLong,
}

/// The seed of an account's root keys: what the recovery phrase spells. Wiped when dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootSeed(Secret);

impl RootSeed {
    /// A fresh account.
    pub fn generate(rng: &mut impl rand::CryptoRng) -> Self {
        Self(Secret::random(rng))
    }

    /// The account of known seed bytes.
    pub const fn from_secret(seed: Secret) -> Self {
        Self(seed)
    }

    /// The seed bytes.
    pub const fn secret(&self) -> &Secret {
        &self.0
    }

    /// The root key of a generation: 0 is the first, each rotation counts one up.
    pub fn root_key(&self, generation: u32) -> SigningKey {
        SigningKey::from_seed(&kdf::derive(&self.0, label::KDF_ROOT, &[&generation.to_be_bytes()]))
    }

    /// The account that begins with this seed.
    pub fn inception(&self) -> Inception {
        Inception { root_pk: self.root_key(0).public_bytes(), next_root_commit: self.next_root_commit(0) }
    }

    /// The commitment that the root of `generation` makes to the one after it.
    pub fn next_root_commit(&self, generation: u32) -> [u8; 32] {
        next_root_commit(self.root_key(generation.wrapping_add(1)).public().as_bytes())
    }
}

/// Commitment to a next root key.
pub fn next_root_commit(next_root_pk: &[u8; 32]) -> [u8; 32] {
    NEXT_ROOT.hash(&[next_root_pk])
}

/// What an account begins with; its id is the hash of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Inception {
    /// The first root key.
    pub root_pk: [u8; 32],
    /// Commitment to the second.
    pub next_root_commit: [u8; 32],
}

impl Inception {
    /// The account id.
    pub fn account(&self) -> [u8; 32] {
        ACCOUNT.hash(&[&self.root_pk, &self.next_root_commit])
    }

    /// The first root key, checked.
    ///
    /// # Errors
    /// [`KeyError`] if it is no acceptable key.
    pub fn root(&self) -> Result<PublicKey, KeyError> {
        PublicKey::parse(&self.root_pk)
    }
}

/// A root's word that a device belongs to its account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceCert {
    /// The account.
    pub account: [u8; 32],
    /// The device's Ed25519 key: its id.
    pub device_pk: [u8; 32],
    /// What its owner calls it, at most [`MAX_DEVICE_NAME`] bytes.
    pub name: String,
    /// When it was certified, in milliseconds since the epoch; for people.
    pub created: u64,
    /// Number of this certificate in the account's own count.
    pub seq: u64,
    /// The root's signature.
    pub sig: Signature,
}

impl DeviceCert {
    /// Certifies a device.
    ///
    /// # Errors
    /// [`CertError::TooLong`] for a name over [`MAX_DEVICE_NAME`] bytes.
    pub fn issue(
        root: &SigningKey,
        account: [u8; 32],
        device: &PublicKey,
        name: &str,
        created: u64,
        seq: u64,
    ) -> Result<Self, CertError> {
        if name.len() > MAX_DEVICE_NAME {
            return Err(CertError::TooLong);
        }
        let device_pk = *device.as_bytes();
        let unsigned = Self { account, device_pk, name: name.to_owned(), created, seq, sig: Signature([0; 64]) };
        let sig = root.sign(label::SIGN_DEVICE_CERT, &unsigned.parts().each_ref().map(AsRef::as_ref));
        Ok(Self { sig, ..unsigned })
    }

    /// Checks it against the inception of its account; answers the device's key.
    ///
    /// # Errors
    /// [`CertError`] says what does not hold.
    pub fn verify(&self, inception: &Inception) -> Result<PublicKey, CertError> {
        if inception.account() != self.account {
            return Err(CertError::OtherAccount);
        }
        self.verify_by(&inception.root()?)
    }

    /// Checks it against a root key that the caller knows to be the account's.
    ///
    /// # Errors
    /// [`CertError`] says what does not hold.
    pub fn verify_by(&self, root: &PublicKey) -> Result<PublicKey, CertError> {
        if self.name.len() > MAX_DEVICE_NAME {
            return Err(CertError::TooLong);
        }
        root.verify(label::SIGN_DEVICE_CERT, &self.parts().each_ref().map(AsRef::as_ref), &self.sig)?;
        Ok(PublicKey::parse(&self.device_pk)?)
    }

    fn parts(&self) -> [Part<'_>; 5] {
        [
            Part::Bytes(&self.account),
            Part::Bytes(&self.device_pk),
            Part::Number(self.created.to_be_bytes()),
            Part::Number(self.seq.to_be_bytes()),
            Part::Bytes(self.name.as_bytes()),
        ]
    }
}

/// A root's word that a device no longer belongs to its account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceRevoke {
    /// The account.
    pub account: [u8; 32],
    /// The device.
    pub device_pk: [u8; 32],
    /// The last events of the device that still count, as `parlor-proto` encodes them; at most [`MAX_FENCE`] bytes.
    pub fence: Vec<u8>,
    /// The root's signature.
    pub sig: Signature,
}

impl DeviceRevoke {
    /// Revokes a device.
    ///
    /// # Errors
    /// [`CertError::TooLong`] for a fence over [`MAX_FENCE`] bytes.
    pub fn issue(root: &SigningKey, account: [u8; 32], device_pk: [u8; 32], fence: Vec<u8>) -> Result<Self, CertError> {
        if fence.len() > MAX_FENCE {
            return Err(CertError::TooLong);
        }
        let sig = root.sign(label::SIGN_DEVICE_REVOKE, &[&account, &device_pk, &fence]);
        Ok(Self { account, device_pk, fence, sig })
    }

    /// Checks it against the inception of its account.
    ///
    /// # Errors
    /// [`CertError`] says what does not hold.
    pub fn verify(&self, inception: &Inception) -> Result<(), CertError> {
        if inception.account() != self.account {
            return Err(CertError::OtherAccount);
        }
        self.verify_by(&inception.root()?)
    }

    /// Checks it against a root key that the caller knows to be the account's.
    ///
    /// # Errors
    /// [`CertError`] says what does not hold.
    pub fn verify_by(&self, root: &PublicKey) -> Result<(), CertError> {
        if self.fence.len() > MAX_FENCE {
            return Err(CertError::TooLong);
        }
        let parts: [&[u8]; 3] = [&self.account, &self.device_pk, &self.fence];
        Ok(root.verify(label::SIGN_DEVICE_REVOKE, &parts, &self.sig)?)
    }
}

enum Part<'a> {
    Bytes(&'a [u8]),
    Number([u8; 8]),
}

impl AsRef<[u8]> for Part<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(bytes) => bytes,
        }
    }
}
