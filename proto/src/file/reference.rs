//! What a message says of a file.

use parlor_crypto::Secret;
use parlor_crypto::file::FileKey;
use serde::{Deserialize, Serialize};

use super::Layout;
use crate::ids::FileId;
use crate::limits::{MAX_FILE, MAX_FILE_NAME, MAX_FILE_TYPE, MAX_PREVIEW};

/// A file as a message carries it: all that is needed to fetch, check and open it. All of it is the author's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// Its key.
    #[serde(with = "parlor_crypto::secret::exposed")]
    pub key: Secret,
    /// The names of the chunks that hold the names of its content.
    pub names: Vec<[u8; 32]>,
    /// Its size in bytes.
    pub size: u64,
    /// What it is called, 1 to [`MAX_FILE_NAME`] bytes: never a path. See [`safe_name`](super::safe_name).
    pub name: String,
    /// Its media type, at most [`MAX_FILE_TYPE`] printable ASCII characters.
    pub mime: String,
    /// Width and height in pixels, of a picture.
    pub pixels: Option<(u32, u32)>,
    /// A small JPEG of a picture, at most [`MAX_PREVIEW`] bytes; may be empty.
    pub preview: Vec<u8>,
}

/// Why something can not be the reference to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileRefError {
    /// Larger than [`MAX_FILE`].
    #[error("a file has at most {MAX_FILE} bytes")]
    Size,
    /// Not as many names as a file of this size has.
    #[error("the names do not fit the size")]
    Names,
    /// No name, or a long one.
    #[error("the name of a file has 1 to {MAX_FILE_NAME} bytes")]
    Name,
    /// A type that is long or not printable.
    #[error("the type of a file has at most {MAX_FILE_TYPE} printable characters")]
    Type,
    /// A preview that is too large.
    #[error("the preview of a file has at most {MAX_PREVIEW} bytes")]
    Preview,
}

impl FileRef {
    /// Whether it can be one.
    ///
    /// # Errors
    /// See [`FileRefError`].
    pub fn check(&self) -> Result<(), FileRefError> {
        let layout = Layout::of(self.size).ok_or(FileRefError::Size)?;
        if self.names.len() != layout.n_names() as usize {
            return Err(FileRefError::Names);
        }
        if self.name.is_empty() || self.name.len() > MAX_FILE_NAME {
            return Err(FileRefError::Name);
        }
        if self.mime.len() > MAX_FILE_TYPE || !self.mime.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(FileRefError::Type);
        }
        if self.preview.len() > MAX_PREVIEW {
            return Err(FileRefError::Preview);
        }
        Ok(())
    }

    /// Its key.
    pub fn file_key(&self) -> FileKey {
        FileKey::from_secret(self.key.clone())
    }

    /// What it is named by.
    pub fn id(&self) -> FileId {
        FileId(self.file_key().id(self.size, &self.names))
    }

    /// How it is cut; `None` of what [`check`](Self::check) refuses for its size.
    pub fn layout(&self) -> Option<Layout> {
        Layout::of(self.size)
    }
}
