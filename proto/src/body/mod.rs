//! What is inside an encrypted message: one byte for the kind, then the postcard encoding of its content.
//!
//! Outsiders and the header do not tell the kinds apart. A kind of a newer version is kept as it is and shown as such.
//! Edits, deletions, reactions, votes and pins are *annotations*: they say something about another message, their target,
//! and are no lines of the history; what they make of it is [`crate::annotation`].

use parlor_crypto::seal;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::file::{Files, FilesError};
use crate::ids::{AccountId, EventId};
use crate::limits::{self, MAX_MENTIONS};

pub mod mention;

mod emoji;
mod group;
mod poll;
#[cfg(test)]
mod tests;

pub use self::emoji::check_emoji;
pub(crate) use self::emoji::is_hidden;
pub use self::group::{Group, is_title};
pub use self::poll::{Poll, Vote};
pub use crate::limits::MAX_TEXT;

/// The numbers of the kinds. 9 is for notes of a room.
mod kind {
    pub(super) const TEXT: u8 = 1;
    pub(super) const EDIT: u8 = 2;
    pub(super) const REDACT: u8 = 3;
    pub(super) const REACT: u8 = 4;
    pub(super) const FILE: u8 = 5;
    pub(super) const POLL: u8 = 6;
    pub(super) const VOTE: u8 = 7;
    pub(super) const PIN: u8 = 8;
    pub(super) const THREADED: u8 = 10;
    pub(super) const GROUP: u8 = 11;
    /// All that this version decodes.
    pub(super) const KNOWN: [u8; 10] = [TEXT, EDIT, REDACT, REACT, FILE, POLL, VOTE, PIN, THREADED, GROUP];
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Kind 1; in a thread kind 10.
    Text(Text),
    /// Kind 2: another text for a message of the same account.
    Edit(Edit),
    /// Kind 3: takes a message back, the own one or, with the permission to moderate, somebody else's.
    Redact(Redact),
    /// Kind 4: puts an emoji on a message, or takes it off.
    React(React),
    /// Kind 5: files, with or without a text.
    File(Box<Files>),
    /// Kind 6: a question with answers to choose from.
    Poll(Poll),
    /// Kind 7: the answers that an account chooses.
    Vote(Vote),
    /// Kind 8: pins a message, or takes the pin out.
    Pin(Pin),
    /// Kind 11: come into a group.
    Group(Box<Group>),
    /// Made by a newer version.
    Unknown {
        /// The kind's number.
        kind: u8,
        /// The content as received.
        content: Vec<u8>,
    },
}

/// Something said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// 1 to [`MAX_TEXT`] bytes of UTF-8; where somebody is named stands a token of [`mention`].
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<EventId>,
    /// Whose attention it wants, at most [`MAX_MENTIONS`].
    pub mentions: Vec<AccountId>,
    /// The message that began the thread it belongs to. Stands before the others in the encoding of kind 10, and not in that
    /// of kind 1.
    #[serde(skip)]
    pub thread: Option<EventId>,
}

/// Another text for a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Which.
    pub target: EventId,
    /// As in [`Text`].
    pub text: String,
    /// As in [`Text`]: all of the new text.
    pub mentions: Vec<AccountId>,
}

/// Takes a message back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redact {
    /// Which.
    pub target: EventId,
}

/// Puts an emoji on a message, or takes it off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct React {
    /// Which message.
    pub target: EventId,
    /// What, as [`check_emoji`] allows.
    pub emoji: String,
    /// Whether it is put on.
    pub on: bool,
}

/// Pins a message, or takes the pin out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Which message.
    pub target: EventId,
    /// Whether it is pinned.
    pub on: bool,
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
    /// Not an emoji: empty, long, or with characters that are not seen.
    #[error("not an emoji")]
    Emoji,
    /// Too few or too many answers, or one that is empty or too long.
    #[error(
        "a poll has {} to {} answers of 1 to {} bytes",
        limits::MIN_OPTIONS,
        limits::MAX_OPTIONS,
        limits::MAX_OPTION
    )]
    Options,
    /// Choices that are not ascending, or that no poll has.
    #[error("not the choices of a vote")]
    Choices,
    /// Not an invitation into a group: too few people or too many, no link, no name.
    #[error("not an invitation into a group")]
    Group,
    /// Not a message with files.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Not the encoding of its kind.
    #[error("not the content of a message")]
    Malformed,
}

impl Body {
    /// A text and nothing else.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text { text: text.into(), ..Text::default() })
    }

    /// The message that this says something about, if it is an annotation.
    pub fn target(&self) -> Option<EventId> {
        match self {
            Self::Edit(Edit { target, .. })
            | Self::Redact(Redact { target })
            | Self::React(React { target, .. })
            | Self::Vote(Vote { poll: target, .. })
            | Self::Pin(Pin { target, .. }) => Some(*target),
            Self::Text(_) | Self::File(_) | Self::Poll(_) | Self::Group(_) | Self::Unknown { .. } => None,
        }
    }

    /// Whether it can be sent. To be asked early: before a body is queued.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub fn check(&self) -> Result<(), BodyError> {
        match self {
            Self::Text(Text { text, mentions, .. }) | Self::Edit(Edit { text, mentions, .. }) => {
                check_text(text, MAX_TEXT)?;
                if mentions.len() > MAX_MENTIONS { Err(BodyError::Mentions) } else { Ok(()) }
            }
            Self::React(React { emoji, .. }) => check_emoji(emoji),
            Self::File(files) => Ok(files.check()?),
            Self::Poll(poll) => poll.check(),
            Self::Vote(vote) => vote.check(),
            Self::Group(group) => group.check(),
            Self::Redact(_) | Self::Pin(_) => Ok(()),
            Self::Unknown { kind, .. } if kind::KNOWN.contains(kind) => Err(BodyError::Malformed),
            Self::Unknown { content, .. } if seal::sealed_len(content.len() + 1) > limits::MAX_PAYLOAD => {
                Err(BodyError::TooLong { len: content.len(), max: MAX_TEXT })
            }
            Self::Unknown { .. } => Ok(()),
        }
    }

    /// The bytes that are sealed.
    pub fn encode(&self) -> Vec<u8> {
        let of = |kind: u8, content: Vec<u8>| {
            let mut bytes = Vec::with_capacity(1 + content.len());
            bytes.push(kind);
            bytes.extend(content);
            bytes
        };
        match self {
            Self::Text(text) => match &text.thread {
                None => of(kind::TEXT, codec::encode(text)),
                Some(root) => of(kind::THREADED, codec::encode(&(root, text))),
            },
            Self::Edit(edit) => of(kind::EDIT, codec::encode(edit)),
            Self::Redact(redact) => of(kind::REDACT, codec::encode(redact)),
            Self::React(react) => of(kind::REACT, codec::encode(react)),
            Self::File(files) => of(kind::FILE, codec::encode(&**files)),
            Self::Poll(poll) => of(kind::POLL, codec::encode(poll)),
            Self::Vote(vote) => of(kind::VOTE, codec::encode(vote)),
            Self::Pin(pin) => of(kind::PIN, codec::encode(pin)),
            Self::Group(group) => of(kind::GROUP, codec::encode(&**group)),
            Self::Unknown { kind, content } => of(*kind, content.clone()),
        }
    }

    /// The body of opened bytes.
    ///
    /// # Errors
    /// See [`BodyError`]; the author is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, BodyError> {
        let (kind, content) = bytes.split_first().ok_or(BodyError::Malformed)?;
        let body = match *kind {
            kind::TEXT => Self::Text(read(content)?),
            kind::THREADED => {
                let (root, text): (EventId, Text) = read(content)?;
                Self::Text(Text { thread: Some(root), ..text })
            }
            kind::EDIT => Self::Edit(read(content)?),
            kind::REDACT => Self::Redact(read(content)?),
            kind::REACT => Self::React(read(content)?),
            kind::FILE => Self::File(Box::new(read(content)?)),
            kind::POLL => Self::Poll(read(content)?),
            kind::VOTE => Self::Vote(read(content)?),
            kind::PIN => Self::Pin(read(content)?),
            kind::GROUP => Self::Group(Box::new(read(content)?)),
            kind => Self::Unknown { kind, content: content.to_vec() },
        };
        body.check()?;
        Ok(body)
    }
}

/// The content of a kind.
fn read<T: Serialize + serde::de::DeserializeOwned>(content: &[u8]) -> Result<T, BodyError> {
    codec::decode(content, limits::MAX_PAYLOAD).map_err(|_| BodyError::Malformed)
}

/// Whether a text is there, and not too long.
fn check_text(text: &str, max: usize) -> Result<(), BodyError> {
    match text.len() {
        0 => Err(BodyError::Empty),
        len if len > max => Err(BodyError::TooLong { len, max }),
        _ => Ok(()),
    }
}
