//! A message with files.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{FileRef, FileRefError};
use crate::ids::{AccountId, EventId};
use crate::limits::{MAX_CAPTION, MAX_FILES, MAX_MENTIONS, MAX_PREVIEWS};

/// Files, with or without a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// At most [`MAX_CAPTION`] bytes of UTF-8; may be empty.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<EventId>,
    /// Whose attention it wants, at most [`MAX_MENTIONS`].
    pub mentions: Vec<AccountId>,
    /// The message that began the thread it belongs to.
    pub thread: Option<EventId>,
    /// 1 to [`MAX_FILES`].
    pub files: Vec<FileRef>,
}

/// Why something can not be a message with files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// No file, or more than [`MAX_FILES`].
    #[error("a message has 1 to {MAX_FILES} files")]
    Count,
    /// A text longer than [`MAX_CAPTION`].
    #[error("the text beside files has at most {MAX_CAPTION} bytes")]
    Text,
    /// More than [`MAX_MENTIONS`].
    #[error("too many mentions")]
    Mentions,
    /// The same file several times.
    #[error("a message names a file once")]
    Twice,
    /// Previews of more than [`MAX_PREVIEWS`] bytes.
    #[error("the previews of a message have at most {MAX_PREVIEWS} bytes together")]
    Previews,
    /// One of the files.
    #[error(transparent)]
    File(#[from] FileRefError),
}

impl Files {
    /// Whether it can be sent.
    ///
    /// # Errors
    /// See [`FilesError`].
    pub fn check(&self) -> Result<(), FilesError> {
        if self.files.is_empty() || self.files.len() > MAX_FILES {
            return Err(FilesError::Count);
        }
        if self.text.len() > MAX_CAPTION {
            return Err(FilesError::Text);
        }
        if self.mentions.len() > MAX_MENTIONS {
            return Err(FilesError::Mentions);
        }
        if self.files.iter().map(|file| file.preview.len()).sum::<usize>() > MAX_PREVIEWS {
            return Err(FilesError::Previews);
        }
        self.files.iter().try_for_each(FileRef::check)?;
        let ids: BTreeSet<_> = self.files.iter().map(FileRef::id).collect();
        if ids.len() < self.files.len() {
            return Err(FilesError::Twice);
        }
        Ok(())
    }

    /// Takes out previews, the last first, until what is left may be sent.
    pub fn trim_previews(&mut self) {
        let mut all: usize = self.files.iter().map(|file| file.preview.len()).sum();
        for file in self.files.iter_mut().rev() {
            if all <= MAX_PREVIEWS {
                return;
            }
            all -= std::mem::take(&mut file.preview).len();
        }
    }
}

#[cfg(test)]
mod tests {
    use parlor_crypto::{Secret, seal};

    use super::*;
    use crate::body::Body;
    use crate::limits::{MAX_FILE, MAX_FILE_NAME, MAX_FILE_TYPE, MAX_PAYLOAD, MAX_PREVIEW};

    fn largest() -> Files {
        let file = |n: usize, preview| FileRef {
            key: Secret::new([n as u8; 32]),
            names: vec![[8; 32]; 2],
            size: MAX_FILE,
            name: "é".repeat(MAX_FILE_NAME / 2),
            mime: "x".repeat(MAX_FILE_TYPE),
            pixels: Some((u32::MAX, u32::MAX)),
            preview: vec![9; preview],
        };
        Files {
            text: "x".repeat(MAX_CAPTION),
            reply_to: Some(EventId([1; 32])),
            mentions: vec![AccountId([2; 32]); MAX_MENTIONS],
            thread: Some(EventId([3; 32])),
            files: (0..MAX_FILES)
                .map(|n| file(n, if n < MAX_PREVIEWS / MAX_PREVIEW { MAX_PREVIEW } else { 0 }))
                .collect(),
        }
    }

    #[test]
    fn the_largest_message_with_files_fits_into_a_payload() {
        let body = Body::File(Box::new(largest()));
        assert_eq!(body.check(), Ok(()));
        assert!(seal::sealed_len(body.encode().len()) <= MAX_PAYLOAD, "{}", body.encode().len());
        assert_eq!(Body::decode(&body.encode()), Ok(body));
    }

    #[test]
    fn too_much_of_anything_is_refused_and_previews_are_what_can_be_spared() {
        let refused = |change: fn(&mut Files)| {
            let mut files = largest();
            change(&mut files);
            assert!(Body::decode(&Body::File(Box::new(files.clone())).encode()).is_err());
            files.check().unwrap_err()
        };
        assert_eq!(refused(|it| it.files.clear()), FilesError::Count);
        assert_eq!(refused(|it| it.files.push(it.files[0].clone())), FilesError::Count);
        assert_eq!(refused(|it| it.text.push('x')), FilesError::Text);
        assert_eq!(refused(|it| it.mentions.push(AccountId([2; 32]))), FilesError::Mentions);
        assert_eq!(refused(|it| it.files[7].preview = vec![1]), FilesError::Previews);
        assert_eq!(refused(|it| it.files[7].key = it.files[0].key.clone()), FilesError::Twice);
        assert_eq!(refused(|it| it.files[0].name.clear()), FilesError::File(FileRefError::Name));
        let mut files = largest();
        files.files[7].preview = vec![1];
        files.trim_previews();
        assert_eq!((files.check(), files.files[7].preview.len()), (Ok(()), 0));
        assert!(format!("{files:?}").contains("Secret(32 bytes)"), "no key is printed");
    }
}
