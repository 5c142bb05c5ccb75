//! Sealed chunks of files.
//!
//! ```text
//! content   the file's bytes, then zeros up to padded_size(size), cut into chunks of 262,144 bytes, the last one shorter
//! names     the names of the content's chunks in order, 32 bytes each, cut the same way
//! ck        KDF(file key, "file chunk", part u8 || index u32 || last u8, 32)          part: 0 content, 1 names
//! chunk     ChaCha20-Poly1305(ck, nonce 0, aad = "", plain)
//! name      H("chunk", chunk)
//! id        KDF(file key, "file id", size u64 || names of the chunks of names, 32)
//! ```
//! A file key is fresh for every file and seals each place once, so the constant nonce is used once. The place is in the key:
//! a chunk opens nowhere else, and a file can be neither cut nor continued. Whoever has no key can check a chunk against its
//! name, and learns of the size what padding leaves; the id commits to key, size and content, so one id is one file.

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Nonce, Tag};

use crate::hash::CHUNK;
use crate::secret::{Secret, key_of_secret};
use crate::{OpenError, kdf, label};

pub use crate::seal::TAG;

/// Bytes of a whole chunk before it is sealed.
pub const CHUNK_LEN: usize = 256 * 1024;

/// Shortest padded size of a file.
const MIN_SIZE: u64 = 32;

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Part {
    /// Bytes of the file.
    Content = 0,
    /// Names of chunks of the content.
    Names = 1,
}

/// Where a chunk stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Of what it is a chunk.
    pub part: Part,
    /// Which, from 0.
    pub index: u32,
    /// Whether it is the last of its part.
    pub last: bool,
}

/// The key of one file. Wiped when dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileKey(Secret);

key_of_secret!(FileKey);

impl FileKey {
    /// Seals the chunk of a place, in its own memory. A place is sealed once.
    pub fn seal(&self, place: Place, mut plain: Vec<u8>) -> Vec<u8> {
        plain.reserve_exact(TAG);
        #[allow(clippy::expect_used, reason = "the cipher refuses only more than 256 GiB")]
        let tag = self
            .cipher(place)
            .encrypt_inout_detached(&Nonce::default(), &[], plain.as_mut_slice().into())
            .expect("a chunk in memory is short enough");
        plain.extend_from_slice(&tag);
        plain
    }

    /// Opens the chunk of a place, in its own memory.
    ///
    /// # Errors
    /// [`OpenError`] if it was sealed under another key or for another place, or changed.
    pub fn open(&self, place: Place, mut sealed: Vec<u8>) -> Result<Vec<u8>, OpenError> {
        let len = sealed.len().checked_sub(TAG).ok_or(OpenError)?;
        let tag: [u8; TAG] = *sealed.last_chunk().ok_or(OpenError)?;
        sealed.truncate(len);
        self.cipher(place)
            .decrypt_inout_detached(&Nonce::default(), &[], sealed.as_mut_slice().into(), &Tag::from(tag))
            .map_err(|_| OpenError)?;
        Ok(sealed)
    }

    /// What the file of this key is named by, given its size and the names of the chunks of names.
    pub fn id(&self, size: u64, names: &[[u8; 32]]) -> [u8; 32] {
        kdf::derive_public(&self.0, label::KDF_FILE_ID, &[&size.to_be_bytes(), &names.concat()])
    }

    fn cipher(&self, place: Place) -> ChaCha20Poly1305 {
        let Place { part, index, last } = place;
        let key: Secret =
            kdf::derive(&self.0, label::KDF_FILE_CHUNK, &[&[part as u8], &index.to_be_bytes(), &[u8::from(last)]]);
        ChaCha20Poly1305::new(key.expose().into())
    }
}

/// The name of a sealed chunk.
pub fn chunk_name(sealed: &[u8]) -> [u8; 32] {
    CHUNK.hash(&[sealed])
}

/// What a file of `size` bytes is filled up to with zeros: the Padmé length (see [`padme`](crate::padme)), at least 32. That is
/// 12 % more at most, 3 % from 256 KiB on, and nothing for what does not fit a `u64` any more.
pub const fn padded_size(size: u64) -> u64 {
    if size <= MIN_SIZE {
        return MIN_SIZE;
    }
    let exponent = size.ilog2();
    let mask = (1_u64 << (exponent - (exponent.ilog2() + 1))) - 1;
    match size.checked_add(mask) {
        Some(sum) => sum & !mask,
        None => size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Place = Place { part: Part::Content, index: 0, last: false };

    fn key() -> FileKey {
        FileKey::from_secret(Secret::new([7; 32]))
    }

    #[test]
    fn a_chunk_opens_at_its_place_and_nowhere_else() {
        let sealed = key().seal(FIRST, b"content".to_vec());
        assert_eq!(key().open(FIRST, sealed.clone()).unwrap(), b"content");
        let others = [Place { part: Part::Names, ..FIRST }, Place { index: 1, ..FIRST }, Place { last: true, ..FIRST }];
        for other in others {
            assert_eq!(key().open(other, sealed.clone()), Err(OpenError));
        }
        let stranger = FileKey::from_secret(Secret::new([8; 32]));
        assert_eq!(stranger.open(FIRST, sealed.clone()), Err(OpenError));
        for at in [0, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_ne!(chunk_name(&changed), chunk_name(&sealed));
            assert_eq!(key().open(FIRST, changed), Err(OpenError));
        }
        assert_eq!(key().open(FIRST, sealed[..TAG - 1].to_vec()), Err(OpenError));
    }

    #[test]
    fn an_id_is_of_one_key_one_size_and_one_content() {
        let id = key().id(5, &[[1; 32]]);
        let stranger = FileKey::from_secret(Secret::new([8; 32]));
        let others = [
            stranger.id(5, &[[1; 32]]),
            key().id(6, &[[1; 32]]),
            key().id(5, &[[2; 32]]),
            key().id(5, &[[1; 32], [1; 32]]),
        ];
        assert!(others.iter().all(|other| *other != id));
    }

    #[test]
    fn padded_sizes_are_few_and_never_smaller() {
        for size in (0..200_000).step_by(7).chain([u64::MAX, u64::MAX - 1, 1 << 32, (1 << 32) - 1]) {
            let padded = padded_size(size);
            assert!(padded >= size, "{size}");
            assert!(!(MIN_SIZE..=u64::MAX / 2).contains(&size) || padded <= size + size * 12 / 100, "{size}: {padded}");
        }
        assert_eq!(padded_size(1 << 32), 1 << 32);
        let few: std::collections::HashSet<_> = (1_000_000..2_000_000_u64).map(padded_size).collect();
        assert!(few.len() < 64, "{}", few.len());
    }
}
