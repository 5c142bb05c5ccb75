//! Keys, signatures, sealing, epoch keys and ratchets, vault at rest: bytes and keys in, bytes and keys out.
//!
//! This crate promises that every secret is wiped when dropped and never printed, that no two uses of a key share a
//! label ([`label`]), that remote keys are checked when they are parsed (no weak, low-order or second encoding of one
//! key), and that bytes from a peer give an error and never a panic. It knows no clock, disk, network or runtime: time
//! and randomness are arguments. Which key may be used when, and by whom, is decided in `parlor-proto`.
//!
//! | module | noun |
//! |---|---|
//! | [`hash`], [`kdf`], [`label`] | labelled BLAKE3 and HKDF |
//! | [`secret`] | secret bytes |
//! | [`sign`], [`account`], [`leaf`], [`contact`] | Ed25519 keys, certificates, X25519 leaf keys, contact keys |
//! | [`phrase`] | recovery phrase |
//! | [`hpke`] | sealing to a leaf key: rows, welcomes, boxes |
//! | [`epoch`], [`seal`], [`padme`] | epoch, slice, sender and message keys; sealed messages |
//! | [`file`] | sealed chunks of files |
//! | [`envelope`], [`wrap`], [`topic`], [`invite`], [`mailbox`] | keys shared by a room or a link |
//! | [`vault`], [`backup`] | keys at rest, sealed backups |
//! | [`work`] | what the dear operations were, counted for tests |
//!
//! The formats are in `docs/spec/crypto.md`, their vectors in `docs/spec/vectors/crypto.json`.

pub mod account;
pub mod array;
pub mod backup;
pub mod contact;
pub mod envelope;
pub mod epoch;
pub mod file;
pub mod hash;
pub mod hedge;
pub mod hpke;
pub mod invite;
pub mod kdf;
pub mod label;
pub mod leaf;
pub mod limits;
pub mod mailbox;
pub mod padme;
pub mod phrase;
pub mod seal;
pub mod secret;
pub mod sign;
pub mod topic;
pub mod vault;
pub mod work;
pub mod wrap;

pub use rand::CryptoRng;

pub use crate::secret::Secret;
pub use crate::sign::{PublicKey, Signature, SigningKey};

/// Sealed bytes that do not open: made with another key, for another place, or changed on the way. Which of these
/// cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed bytes do not open")]
pub struct OpenError;
