//! Sealing a file whose bytes come one after the other.

use parlor_crypto::file::{CHUNK_LEN, FileKey, Part, Place, chunk_name, padded_size};

use super::{FileRefError, Layout, NAMES_MAX};
use crate::limits::MAX_FILE;

/// Seals the bytes of a file as they come. Holds two chunks at most.
#[derive(Debug)]
pub struct FileWriter {
    key: FileKey,
    size: u64,
    /// What is not sealed yet: at least one byte of it belongs to the last chunk, or to the padding.
    waiting: Vec<u8>,
    names: Vec<[u8; 32]>,
    /// Names of the chunks of names.
    tops: Vec<[u8; 32]>,
}

/// Names in a whole chunk.
const NAMES_PER_CHUNK: usize = CHUNK_LEN / 32;

/// A sealed chunk and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Its slot.
    pub slot: u32,
    /// The sealed bytes.
    pub bytes: Vec<u8>,
}

/// A file that was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its size in bytes.
    pub size: u64,
    /// The names of its chunks of names.
    pub names: Vec<[u8; 32]>,
}

impl FileWriter {
    /// Begins a file under a fresh key.
    pub fn new(key: FileKey) -> Self {
        Self { key, size: 0, waiting: Vec::new(), names: Vec::new(), tops: Vec::new() }
    }

    /// Takes the next bytes, as many as there are, and gives the chunks that are whole.
    ///
    /// # Errors
    /// The file is larger than [`MAX_FILE`].
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Sealed>, FileRefError> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > MAX_FILE {
            return Err(FileRefError::Size);
        }
        let mut sealed = Vec::new();
        while !bytes.is_empty() {
            // Only when more follows is a full chunk not the last one.
            if self.waiting.len() == CHUNK_LEN {
                sealed.push(self.seal(false));
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_LEN - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            bytes = later;
        }
        Ok(sealed)
    }

    /// The file is whole: gives the chunks that are left, one a call, until there are none. Nothing is pushed any more then.
    pub fn finish(&mut self) -> Option<Sealed> {
        let sealed = (self.names.len() * CHUNK_LEN) as u64;
        let left = padded_size(self.size).saturating_sub(sealed).min(CHUNK_LEN as u64);
        if left > 0 {
            // At most CHUNK_LEN.
            self.waiting.resize(left as usize, 0);
            return Some(self.seal(sealed + left == padded_size(self.size)));
        }
        let n = self.names.len().div_ceil(NAMES_PER_CHUNK);
        let index = self.tops.len();
        let part = self.names.chunks(NAMES_PER_CHUNK).nth(index)?;
        // Two chunks of names at most.
        let place = Place { part: Part::Names, index: index as u32, last: index + 1 == n };
        let bytes = self.key.seal(place, part.concat());
        self.tops.push(chunk_name(&bytes));
        Some(Sealed { slot: place.index, bytes })
    }

    /// What the message has to say; `None` before the last of [`finish`](Self::finish).
    pub fn written(&self) -> Option<Written> {
        let layout = Layout::of(self.size)?;
        let whole = self.names.len() == layout.n_content() as usize && self.tops.len() == layout.n_names() as usize;
        whole.then(|| Written { size: self.size, names: self.tops.clone() })
    }

    fn seal(&mut self, last: bool) -> Sealed {
        // At most 2^14 chunks.
        let index = self.names.len() as u32;
        let plain = std::mem::take(&mut self.waiting);
        let bytes = self.key.seal(Place { part: Part::Content, index, last }, plain);
        self.names.push(chunk_name(&bytes));
        Sealed { slot: NAMES_MAX + index, bytes }
    }
}
