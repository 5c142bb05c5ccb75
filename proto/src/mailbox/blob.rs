//! Blobs: what is put in a box. Padded to one of eight lengths, then sealed, so that a relay tells little from sizes.
//!
//! ```text
//! classes     512, 1,024, .. 65,536 bytes: the length of a blob is one of them
//! padded      content || 0x80 || 0x00 ...
//! room, door  nonce[24] || XChaCha20-Poly1305(seal key, nonce, aad = kind u8 || box key[32], padded)
//! inbox       HPKE box "inbox" to the inbox's X25519 key, context = kind u8 || box key[32], of padded
//! bundle      postcard list of Mail: 0 record (kind, bytes) | 1 page of epoch rows
//! ```
//! Who can open a room's blob could have made it: what is inside is signed by its authors and checked like any other copy.

use parlor_crypto::CryptoRng;
use parlor_crypto::envelope::{self, EnvelopeKey};
use parlor_crypto::hpke;
use parlor_crypto::leaf::{LeafPublic, LeafSecret};
use serde::{Deserialize, Serialize};

use super::limits::{MAX_BLOB, MIN_BLOB};
use super::name::BoxName;
use crate::codec;
use crate::wire::{Blob, Item};

/// Most records and pages in one bundle: with the smallest ones the length alone would allow more, and each costs its
/// reader a signature check.
pub const MAX_MAILS: usize = 128;
/// Bytes that an HPKE box adds: an encapsulated key and a tag.
const HPKE_OVERHEAD: usize = 32 + 16;
/// Longest content that fits a blob of a room or a door.
pub const MAX_CONTENT: usize = MAX_BLOB - envelope::OVERHEAD - 1;
const MARK: u8 = 0x80;
const INBOX_LABEL: &str = "inbox";

/// What several records or pages are carried in: the content of a blob in a room's box.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bundle(pub Vec<Mail>);

/// One thing in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mail {
    /// An event, marker, leaf record or binding, as its author signed it.
    Record(Item),
    /// A page of epoch rows; named by its hash, as a Rotate names it.
    Page(Blob),
}

/// Why bytes are not what belongs in a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// The content is longer than the longest blob of the box holds.
    #[error("too long for a blob")]
    TooLong,
    /// Not the length of a class.
    #[error("not the length of a blob")]
    Size,
    /// Sealed under another key or for another box, or damaged.
    #[error("the blob does not open")]
    Sealed,
    /// Opens, but is padded or encoded as nobody honest does.
    #[error("the blob's content is malformed")]
    Content,
}

/// Whether a blob may have this length.
pub const fn is_class(len: usize) -> bool {
    len.is_power_of_two() && len >= MIN_BLOB && len <= MAX_BLOB
}

/// Seals content for the box of a room or a door.
///
/// # Errors
/// [`BlobError::TooLong`].
pub fn seal_blob(
    rng: &mut impl CryptoRng,
    name: &BoxName,
    key: &EnvelopeKey,
    content: &[u8],
) -> Result<Vec<u8>, BlobError> {
    let padded = pad(name, content, envelope::OVERHEAD)?;
    Ok(key.seal(rng, &name.to_bytes(), &padded))
}

/// Opens a blob of the box of a room or a door.
///
/// # Errors
/// All of [`BlobError`] but `TooLong`. Anybody can make a relay serve bytes that do not open, so this proves nothing
/// against anybody.
pub fn open_blob(name: &BoxName, key: &EnvelopeKey, blob: &[u8]) -> Result<Vec<u8>, BlobError> {
    check_size(name, blob)?;
    let padded = key.open(&name.to_bytes(), blob).map_err(|_| BlobError::Sealed)?;
    unpad(padded)
}

/// Seals a request for an inbox, of which `name` and `to` stand in the account's card.
///
/// # Errors
/// [`BlobError::TooLong`].
pub fn seal_inbox_blob(
    rng: &mut impl CryptoRng,
    name: &BoxName,
    to: &LeafPublic,
    content: &[u8],
) -> Result<Vec<u8>, BlobError> {
    let padded = pad(name, content, HPKE_OVERHEAD)?;
    Ok(hpke::seal_box(rng, INBOX_LABEL, &name.to_bytes(), to, b"", &padded))
}

/// Opens a blob of our inbox.
///
/// # Errors
/// As for [`open_blob`].
pub fn open_inbox_blob(name: &BoxName, leaf: &LeafSecret, blob: &[u8]) -> Result<Vec<u8>, BlobError> {
    check_size(name, blob)?;
    let padded = hpke::open_box(INBOX_LABEL, &name.to_bytes(), leaf, b"", blob).map_err(|_| BlobError::Sealed)?;
    unpad(padded.to_vec())
}

fn pad(name: &BoxName, content: &[u8], overhead: usize) -> Result<Vec<u8>, BlobError> {
    let len = (content.len() + 1 + overhead).max(MIN_BLOB).checked_next_power_of_two().ok_or(BlobError::TooLong)?;
    if len > name.kind.max_blob() {
        return Err(BlobError::TooLong);
    }
    let mut padded = Vec::with_capacity(len - overhead);
    padded.extend_from_slice(content);
    padded.push(MARK);
    padded.resize(len - overhead, 0);
    Ok(padded)
}

fn check_size(name: &BoxName, blob: &[u8]) -> Result<(), BlobError> {
    if is_class(blob.len()) && blob.len() <= name.kind.max_blob() { Ok(()) } else { Err(BlobError::Size) }
}

fn unpad(mut padded: Vec<u8>) -> Result<Vec<u8>, BlobError> {
    let end = padded.iter().rposition(|byte| *byte != 0).filter(|end| padded.get(*end) == Some(&MARK));
    padded.truncate(end.ok_or(BlobError::Content)?);
    Ok(padded)
}

impl Bundle {
    /// Encodes the bundle, as the content of a blob.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes the content of a blob of a room's box.
    ///
    /// # Errors
    /// [`BlobError::Content`].
    pub fn decode(content: &[u8]) -> Result<Self, BlobError> {
        let bundle: Self = codec::decode(content, MAX_CONTENT).map_err(|_| BlobError::Content)?;
        if bundle.0.is_empty() || bundle.0.len() > MAX_MAILS { Err(BlobError::Content) } else { Ok(bundle) }
    }

    /// Packs records and pages, in this order, into as few bundles as fit. A page stands behind the Rotate that it is of, and a
    /// bundle that would begin with one begins with that Rotate, so that who reads it knows what it is for. What fits no blob is
    /// left out; no event or page is so long.
    pub fn pack(mails: impl IntoIterator<Item = Mail>) -> Vec<Self> {
        Self::pack_within(mails, MAX_CONTENT)
    }

    /// As [`Self::pack`], into bundles of at most so many bytes.
    pub fn pack_within(mails: impl IntoIterator<Item = Mail>, most: usize) -> Vec<Self> {
        let mut bundles = Vec::new();
        let (mut waiting, mut bytes) = (Vec::new(), LIST);
        for mail in mails {
            let len = codec::encode(&mail).len();
            if len + LIST > most {
                continue;
            }
            if bytes + len > most || waiting.len() == MAX_MAILS {
                let full = Self(std::mem::take(&mut waiting));
                bytes = LIST;
                if let Some((rotate, rotate_len)) = full.rotate_of(&mail).filter(|(_, of)| LIST + of + len <= most) {
                    waiting.push(rotate);
                    bytes += rotate_len;
                }
                bundles.push(full);
            }
            bytes += len;
            waiting.push(mail);
        }
        if !waiting.is_empty() {
            bundles.push(Self(waiting));
        }
        bundles
    }

    /// The record that a page is of which comes behind this bundle, and its length.
    fn rotate_of(&self, next: &Mail) -> Option<(Mail, usize)> {
        let record = self.0.iter().rev().find(|mail| matches!(mail, Mail::Record(_)));
        let record = record.filter(|_| matches!(next, Mail::Page(_)))?;
        Some((record.clone(), codec::encode(record).len()))
    }
}

/// The length of a list: at most [`MAX_MAILS`], a varint of two bytes.
const LIST: usize = 2;

#[cfg(test)]
mod tests;
