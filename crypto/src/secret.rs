//! Secret bytes: wiped when dropped, never printed, compared in constant time, read only by name.
//!
//! There is no `Deref`, `AsRef` or serde on it: whoever wants the bytes writes [`SecretBytes::expose`], and a struct that
//! must carry a secret over the wire or to disk says `#[serde(with = "parlor_crypto::secret::exposed")]`.

use std::fmt;

use rand::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32 secret bytes: the size of every symmetric key and seed here.
pub type Secret = SecretBytes<32>;

/// `N` secret bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes<const N: usize>([u8; N]);

impl<const N: usize> SecretBytes<N> {
    /// Takes the bytes. The caller's own copy, if it keeps one, is the caller's to wipe.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Fresh random bytes.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        Self::fill(|bytes| rng.fill_bytes(bytes))
    }

    /// Bytes written in place by `write`, so that no second copy is left on the stack.
    pub(crate) fn fill(write: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self([0; N]);
        write(&mut secret.0);
        secret
    }

    /// The bytes, in the open.
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> PartialEq for SecretBytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for SecretBytes<N> {}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({N} bytes)")
    }
}

/// The doors of a key that is 32 secret bytes and nothing else: made at random, taken from stored bytes, and given back as such.
macro_rules! key_of_secret {
    ($key:ident) => {
        impl $key {
            /// A fresh one.
            pub fn generate(rng: &mut impl rand::CryptoRng) -> Self {
                Self($crate::secret::Secret::random(rng))
            }

            /// The one of these bytes: stored ones, or what a message carries.
            pub const fn from_secret(secret: $crate::secret::Secret) -> Self {
                Self(secret)
            }

            /// The bytes, to be stored or handed on.
            pub const fn secret(&self) -> &$crate::secret::Secret {
                &self.0
            }
        }
    };
}
pub(crate) use key_of_secret;

/// Serde for a secret that is meant to leave memory, for `#[serde(with = "parlor_crypto::secret::exposed")]`.
///
/// The output holds the bytes in the open: seal it, and wipe it.
pub mod exposed {
    use serde::{Deserializer, Serializer};

    use super::SecretBytes;

    /// Writes the bytes, without a length.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer, const N: usize>(secret: &SecretBytes<N>, serializer: S) -> Result<S::Ok, S::Error> {
        crate::array::serialize(secret.expose(), serializer)
    }

    /// Reads exactly `N` bytes.
    ///
    /// # Errors
    /// Fewer or more than `N` bytes, and those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<SecretBytes<N>, D::Error> {
        crate::array::deserialize(deserializer).map(SecretBytes::new)
    }
}
