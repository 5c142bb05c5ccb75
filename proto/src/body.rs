//! What is inside an encrypted message: one byte for the kind, then the postcard encoding of its content.
//!
//! Outsiders and the header do not tell the kinds apart. A kind of a newer version is kept as it is and shown as such.

use parlor_crypto::seal;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::ids::{AccountId, EventId};
use crate::limits::{self, MAX_MENTIONS};

pub use crate::limits::MAX_TEXT;

const TEXT: u8 = 1;

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Kind 1.
    Text(Text),
    /// Made by a newer version.
    Unknown {
        /// The kind's number.
        kind: u8,
        /// The content as received.
        content: Vec<u8>,
    },
}

/// Something said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// 1 to [`MAX_TEXT`] bytes of UTF-8.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<EventId>,
    /// Whose attention it wants, at most [`MAX_MENTIONS`].
    pub mentions: Vec<AccountId>,
}

/// Why a body can not be sent, or decrypted bytes are not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// A text without a character.
    #[error("the text is empty")]
    Empty,
    /// More than fits into one message.
    #[error("the text is {len} bytes long, at most {max} fit into a message")]
    TooLong {
        /// How long it is.
        len: usize,
        /// How long it may be.
        max: usize,
    },
    /// More mentions than [`MAX_MENTIONS`].
    #[error("too many mentions")]
    Mentions,
    /// Not the encoding of its kind.
    #[error("not the content of a message")]
    Malformed,
}

impl Body {
    /// A text and nothing else.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text { text: text.into(), reply_to: None, mentions: Vec::new() })
    }

    /// Whether it can be sent. To be asked early: before a body is queued.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub fn check(&self) -> Result<(), BodyError> {
        match self {
            Self::Text(text) if text.text.is_empty() => Err(BodyError::Empty),
            Self::Text(text) if text.text.len() > MAX_TEXT => {
                Err(BodyError::TooLong { len: text.text.len(), max: MAX_TEXT })
            }
            Self::Text(text) if text.mentions.len() > MAX_MENTIONS => Err(BodyError::Mentions),
            Self::Text(_) => Ok(()),
            Self::Unknown { kind: TEXT, .. } => Err(BodyError::Malformed),
            Self::Unknown { content, .. } if seal::sealed_len(content.len() + 1) > limits::MAX_PAYLOAD => {
                Err(BodyError::TooLong { len: content.len(), max: MAX_TEXT })
            }
            Self::Unknown { .. } => Ok(()),
        }
    }

    /// The bytes that are sealed.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => {
                let mut bytes = vec![TEXT];
                bytes.extend(codec::encode(text));
                bytes
            }
            Self::Unknown { kind, content } => {
                let mut bytes = vec![*kind];
                bytes.extend_from_slice(content);
                bytes
            }
        }
    }

    /// The body of opened bytes.
    ///
    /// # Errors
    /// See [`BodyError`]; the author is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, BodyError> {
        let (kind, content) = bytes.split_first().ok_or(BodyError::Malformed)?;
        let body = match *kind {
            TEXT => Self::Text(codec::decode(content, limits::MAX_PAYLOAD).map_err(|_| BodyError::Malformed)?),
            kind => Self::Unknown { kind, content: content.to_vec() },
        };
        body.check()?;
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_with_all_mentions_fits_into_a_payload() {
        let body = Body::Text(Text {
            text: "x".repeat(MAX_TEXT),
            reply_to: Some(EventId([1; 32])),
            mentions: vec![AccountId([2; 32]); MAX_MENTIONS],
        });
        assert_eq!(body.check(), Ok(()));
        assert!(seal::sealed_len(body.encode().len()) <= limits::MAX_PAYLOAD);
        assert_eq!(Body::decode(&body.encode()), Ok(body));
    }

    #[test]
    fn empty_and_long_texts_are_refused_with_their_length() {
        assert_eq!(Body::text("").check(), Err(BodyError::Empty));
        let long = Body::text("x".repeat(24 * 1024));
        assert_eq!(long.check(), Err(BodyError::TooLong { len: 24 * 1024, max: MAX_TEXT }));
        assert!(Body::decode(&long.encode()).is_err());
    }

    #[test]
    fn a_kind_of_a_newer_version_is_kept() {
        let bytes = [200, 1, 2, 3];
        let body = Body::decode(&bytes).unwrap();
        assert_eq!(body, Body::Unknown { kind: 200, content: vec![1, 2, 3] });
        assert_eq!(body.encode(), bytes);
    }
}
