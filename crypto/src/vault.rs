//! Keys at rest: one random storage key, wrapped in a small file by a passphrase or by a key file.
//!
//! ```text
//! magic    "parlor vault" 0x00
//! version  u8 = 1
//! lock     u8: 1 passphrase, 2 key file
//! memory   u32 KiB   passes u32   lanes u32      Argon2id (RFC 9106), zero for a key file
//! salt     [16]
//! nonce    [24]
//! wrapped  [48]      XChaCha20-Poly1305(wrap key, nonce, aad = all before, storage key)
//! check    [16]      H("vault", all before)[..16]
//! ```
//! The wrap key is `Argon2id(passphrase, salt)` or `HKDF-Extract(salt, key file)`. The check is no secret: it tells a
//! damaged file from a wrong passphrase. From the storage key come sealing keys and blinding keys, one a purpose.
//! Changing the passphrase wraps the same storage key anew. A vault forgotten, or its file erased, makes all it sealed
//! unreadable; parts that must expire alone are sealed under keys of their own, kept sealed by a purpose of the vault.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use rand::CryptoRng;

use crate::envelope::EnvelopeKey;
use crate::hash::VAULT;
use crate::limits::{MAX_ARGON2_LANES, MAX_ARGON2_MEMORY_KIB, MAX_ARGON2_PASSES, MAX_PASSPHRASE};
use crate::secret::Secret;
use crate::{kdf, label};

const MAGIC: &[u8; 13] = b"parlor vault\0";
const VERSION: u8 = 1;
const LOCK_PASSPHRASE: u8 = 1;
const LOCK_KEY_FILE: u8 = 2;
const HEAD: usize = MAGIC.len() + 2 + 12 + 16;
const BODY: usize = HEAD + 24 + 48;

/// Length of a vault file in bytes.
pub const FILE_LEN: usize = BODY + 16;

/// Why a vault does not open or cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Not a vault file, cut short, or changed.
    #[error("the vault file is damaged or no vault file")]
    Damaged,
    /// Made by a newer version.
    #[error("the vault file has version {found}, this program knows up to {VERSION}")]
    Version {
        /// Its version.
        found: u8,
    },
    /// The file is whole, but the passphrase or key file is not the right one.
    #[error("wrong passphrase or key file")]
    WrongKey,
    /// The vault wants a passphrase and was given a key file.
    #[error("the vault is locked with a passphrase")]
    WantsPassphrase,
    /// The vault wants a key file and was given a passphrase.
    #[error("the vault is locked with a key file")]
    WantsKeyFile,
    /// An empty passphrase, or one longer than [`MAX_PASSPHRASE`].
    #[error("a passphrase has 1 to {MAX_PASSPHRASE} bytes")]
    PassphraseLength,
    /// Argon2id parameters outside what is allowed.
    #[error("stretching parameters out of range")]
    Parameters,
}

/// What opens a vault.
#[derive(Clone, Copy)]
pub enum Unlock<'a> {
    /// A passphrase, stretched with Argon2id. Bytes as typed: the caller normalises text if it wants to.
    Passphrase(&'a str),
    /// The content of a key file.
    KeyFile(&'a Secret),
}

impl fmt::Debug for Unlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase",
            Self::KeyFile(_) => "KeyFile",
        })
    }
}

/// What a vault file says it wants, without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// A passphrase.
    Passphrase,
    /// A key file.
    KeyFile,
}

/// How hard a passphrase is stretched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Stretch {
    /// The second recommendation of RFC 9106 section 4, with one lane as it runs in one thread: 64 MiB, three passes,
    /// about 0.1 s.
    pub const RECOMMENDED: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };

    /// As cheap as Argon2id allows: for tests only.
    pub const CHEAPEST_FOR_TESTS: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    fn params(self) -> Result<Params, VaultError> {
        let in_range = self.memory_kib <= MAX_ARGON2_MEMORY_KIB
            && self.passes <= MAX_ARGON2_PASSES
            && self.lanes <= MAX_ARGON2_LANES;
        if !in_range {
            return Err(VaultError::Parameters);
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| VaultError::Parameters)
    }
}

impl Default for Stretch {
    fn default() -> Self {
        Self::RECOMMENDED
    }
}

/// An open vault. Wiped when dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vault(Secret);

impl Vault {
    /// A vault with a fresh storage key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::random(rng))
    }

    /// The vault of a storage key that is kept elsewhere, or that hides nothing.
    pub const fn from_secret(key: Secret) -> Self {
        Self(key)
    }

    /// The file that locks this vault. `stretch` matters only for a passphrase. Writing it again with something else to
    /// unlock changes the passphrase.
    ///
    /// # Errors
    /// [`VaultError::PassphraseLength`] and [`VaultError::Parameters`].
    pub fn lock(&self, rng: &mut impl CryptoRng, with: Unlock<'_>, stretch: Stretch) -> Result<Vec<u8>, VaultError> {
        let (lock, stretch) = match with {
            Unlock::Passphrase(_) => (LOCK_PASSPHRASE, stretch),
            Unlock::KeyFile(_) => (LOCK_KEY_FILE, Stretch { memory_kib: 0, passes: 0, lanes: 0 }),
        };
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let wrap = EnvelopeKey::new(&wrap_key(with, stretch, &salt)?);
        let mut file = Vec::with_capacity(FILE_LEN);
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&[VERSION, lock]);
        for number in [stretch.memory_kib, stretch.passes, stretch.lanes] {
            file.extend_from_slice(&number.to_be_bytes());
        }
        file.extend_from_slice(&salt);
        let head = file.clone();
        wrap.seal_into(rng, &head, self.0.expose(), &mut file);
        let check: [u8; 16] = VAULT.hash_prefix(&[&file]);
        file.extend_from_slice(&check);
        Ok(file)
    }

    /// Opens a vault file.
    ///
    /// # Errors
    /// [`VaultError`]: a damaged file, a newer version and a wrong passphrase are told apart.
    pub fn unlock(file: &[u8], with: Unlock<'_>) -> Result<Self, VaultError> {
        let file = File::parse(file)?;
        match (file.lock, with) {
            (Lock::Passphrase, Unlock::KeyFile(_)) => return Err(VaultError::WantsPassphrase),
            (Lock::KeyFile, Unlock::Passphrase(_)) => return Err(VaultError::WantsKeyFile),
            _ => {}
        }
        let wrap = EnvelopeKey::new(&wrap_key(with, file.stretch, &file.salt)?);
        let mut sealed = zeroize::Zeroizing::new(file.sealed.to_vec());
        let plain = wrap.open_in_place(file.head, &mut sealed).map_err(|_| VaultError::WrongKey)?;
        let key: &[u8; 32] = (&*plain).try_into().map_err(|_| VaultError::Damaged)?;
        Ok(Self(Secret::new(*key)))
    }

    /// What a vault file wants, without opening it.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] and [`VaultError::Version`].
    pub fn wants(file: &[u8]) -> Result<Lock, VaultError> {
        File::parse(file).map(|file| file.lock)
    }

    /// The sealing key of a purpose, such as one kind of stored value.
    pub fn sealing_key(&self, purpose: &str) -> EnvelopeKey {
        EnvelopeKey::new(&kdf::derive(&self.0, label::KDF_VAULT, &[purpose.as_bytes()]))
    }

    /// The blinding key of a purpose, so that names on disk tell nothing.
    pub fn blinding_key(&self, purpose: &str) -> BlindingKey {
        BlindingKey(kdf::derive(&self.0, label::KDF_VAULT_BLIND, &[purpose.as_bytes()]))
    }
}

/// Turns an id into a name on disk that says nothing without the vault: keyed BLAKE3. Wiped when dropped.
#[derive(Debug, Clone)]
pub struct BlindingKey(Secret);

impl BlindingKey {
    /// The blind name of the parts in a row; all but the last have a fixed size. Equal parts give equal names.
    pub fn blind(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(self.0.expose());
        for part in parts {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }
}

struct File<'a> {
    head: &'a [u8],
    lock: Lock,
    stretch: Stretch,
    salt: [u8; 16],
    sealed: &'a [u8],
}

impl<'a> File<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, VaultError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(VaultError::Damaged)?;
        let (version, rest) = rest.split_first().ok_or(VaultError::Damaged)?;
        if *version > VERSION {
            return Err(VaultError::Version { found: *version });
        }
        let (body, check) = bytes.split_at_checked(BODY).ok_or(VaultError::Damaged)?;
        if *version != VERSION || VAULT.hash_prefix::<16>(&[body]) != check {
            return Err(VaultError::Damaged);
        }
        let (lock, rest) = rest.split_first().ok_or(VaultError::Damaged)?;
        let lock = match *lock {
            LOCK_PASSPHRASE => Lock::Passphrase,
            LOCK_KEY_FILE => Lock::KeyFile,
            _ => return Err(VaultError::Damaged),
        };
        let (memory_kib, rest) = number(rest)?;
        let (passes, rest) = number(rest)?;
        let (lanes, rest) = number(rest)?;
        let (salt, _) = rest.split_first_chunk().ok_or(VaultError::Damaged)?;
        let (head, sealed) = body.split_at_checked(HEAD).ok_or(VaultError::Damaged)?;
        Ok(Self { head, lock, stretch: Stretch { memory_kib, passes, lanes }, salt: *salt, sealed })
    }
}

fn number(bytes: &[u8]) -> Result<(u32, &[u8]), VaultError> {
    let (number, rest) = bytes.split_first_chunk().ok_or(VaultError::Damaged)?;
    Ok((u32::from_be_bytes(*number), rest))
}

fn wrap_key(with: Unlock<'_>, stretch: Stretch, salt: &[u8; 16]) -> Result<Secret, VaultError> {
    let passphrase = match with {
        Unlock::KeyFile(key) => return Ok(kdf::extract(salt, key.expose())),
        Unlock::Passphrase(passphrase) => passphrase,
    };
    if passphrase.is_empty() || passphrase.len() > MAX_PASSPHRASE {
        return Err(VaultError::PassphraseLength);
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, stretch.params()?);
    let mut stretched = Ok(());
    let key = Secret::fill(|out| stretched = argon2.hash_password_into(passphrase.as_bytes(), salt, out));
    stretched.map(|()| key).map_err(|_| VaultError::Parameters)
}
