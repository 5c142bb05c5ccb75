//! Frames of a line between a client and a relay, `/parlor/mailbox/1`. Canonical postcard; tags are positions, new
//! variants go to the end.
//!
//! The relay begins with [`ServerFrame::Hello`]. The client sends numbered requests, at most [`Terms::window`] of them
//! without an answer; answers come in any order, each once. A box is opened into a slot, a small number of the client's
//! choice, and named by it from then on.

use parlor_crypto::Signature;
use serde::{Deserialize, Serialize};

use super::limits::{MAX_BLOB, MAX_FRAME, MAX_LISTED};
use super::name::{BlobId, BoxName, StoreId};
use crate::access::MAX_TOKEN;
use crate::codec::{self, CodecError};
use crate::wire::Blob;

/// What a client sends: a request with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientFrame {
    /// Chosen by the client; not one that is still unanswered.
    pub number: u32,
    /// What for.
    pub ask: Ask,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// "I may use this relay": where [`Terms::token`] says that it is needed, before anything else. Answered by `Done`.
    Token(Blob),
    /// Opens a box. Without proof only what anybody may do is allowed. Answered by `Done`.
    Open {
        /// Slot, free, below [`Terms::slots`].
        slot: u16,
        /// Box, not open in another slot.
        name: BoxName,
        /// See [`super::proof`].
        proof: Option<Signature>,
    },
    /// Frees a slot, whatever was subscribed. Answered by `Done`.
    Close {
        /// Slot.
        slot: u16,
    },
    /// Puts a blob. Answered by `Stored` when it is durable. The same blob again is the same entry.
    Put {
        /// Slot.
        slot: u16,
        /// The sealed bytes, of the length of a class.
        blob: Blob,
    },
    /// Asks what is in the box after a number. Answered by `Listed`.
    List {
        /// Slot.
        slot: u16,
        /// Entries after this number; 0 for all.
        after: u64,
        /// At most so many, from 1 to [`MAX_LISTED`].
        limit: u16,
    },
    /// Asks for a blob. Answered by `Blob`.
    Get {
        /// Slot.
        slot: u16,
        /// Blob.
        id: BlobId,
    },
    /// "Push what comes from now on." Answered by `Done`.
    Subscribe {
        /// Slot.
        slot: u16,
        /// Whether with the content.
        inline: bool,
    },
    /// Takes a blob out, where the kind of box allows it. Answered by `Done`, also when it is not there.
    Drop {
        /// Slot.
        slot: u16,
        /// Blob.
        id: BlobId,
    },
}

/// What a relay sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerFrame {
    /// First frame, sent at once.
    Hello {
        /// [`super::limits::VERSION`] of the relay.
        version: u16,
        /// Fresh random bytes, for proofs.
        nonce: [u8; 32],
        /// Which store the numbers of entries are of.
        store: StoreId,
        /// What the relay allows.
        terms: Terms,
    },
    /// The answer to a request.
    Reply {
        /// Its number.
        number: u32,
        /// The answer.
        reply: Reply,
    },
    /// Something came into a box that is subscribed.
    Push {
        /// Slot.
        slot: u16,
        /// What.
        entry: Entry,
        /// Its content, if it was asked for.
        blob: Option<Blob>,
    },
    /// Pushes of this box were left out, because the line was too slow: list again.
    Behind {
        /// Slot.
        slot: u16,
    },
}

/// What a relay allows a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Whether a token is needed.
    pub token: bool,
    /// How long blobs are kept, in milliseconds.
    pub keep_ms: u64,
    /// Open boxes.
    pub slots: u16,
    /// Requests without an answer.
    pub window: u16,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// The blob is durable.
    Stored {
        /// Number of its entry.
        at: u64,
    },
    /// Entries of the box, ascending.
    Listed {
        /// They.
        entries: Vec<Entry>,
        /// Whether there are more.
        more: bool,
        /// The highest number that the store has given to anything. Never goes back.
        end: u64,
    },
    /// The blob, or that it is not there.
    Blob(Option<Blob>),
    /// No.
    Refused(Refusal),
}

/// One blob in a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1: grows in the order in which blobs came, with gaps.
    pub at: u64,
    /// Its name.
    pub id: BlobId,
    /// Its length in bytes.
    pub size: u32,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// No token, or not one of this relay.
    #[error("this relay wants a token")]
    Token,
    /// The proof does not hold.
    #[error("the proof of the box does not hold")]
    Proof,
    /// The slot is free, or taken, or beyond the bound, or the box is open in another.
    #[error("no such slot, or it is taken")]
    Slot,
    /// Not allowed in this box, or not without a proof.
    #[error("not allowed in this box")]
    NotAllowed,
    /// Not of the length of a class, or too long for this kind of box.
    #[error("not a blob for this box")]
    BadBlob,
    /// The box is full until something in it expires.
    #[error("the box is full")]
    BoxFull,
    /// This client has put enough for now.
    #[error("too much from this client; again in {retry_ms} ms")]
    Quota {
        /// When to try again.
        retry_ms: u64,
    },
    /// Too much to do, or the disk is full.
    #[error("the relay is busy; again in {retry_ms} ms")]
    Busy {
        /// When to try again.
        retry_ms: u64,
    },
    /// The store failed. It may have taken a blob all the same.
    #[error("the relay's store failed")]
    Failed,
}

/// Bytes that are no frame, or break a bound that every frame keeps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not the canonical encoding of a frame.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A list, token or blob beyond its bound.
    #[error("beyond the bounds of a frame")]
    Bounds,
}

impl ClientFrame {
    /// Encodes the frame.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a frame.
    ///
    /// # Errors
    /// [`FrameError`]: no honest client sends this.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let frame: Self = codec::decode(bytes, MAX_FRAME)?;
        let bounded = match &frame.ask {
            Ask::Token(token) => token.0.len() <= MAX_TOKEN,
            Ask::Put { blob, .. } => blob.0.len() <= MAX_BLOB,
            Ask::List { limit, .. } => (1..=MAX_LISTED).contains(&usize::from(*limit)),
            Ask::Open { .. } | Ask::Close { .. } | Ask::Get { .. } | Ask::Subscribe { .. } | Ask::Drop { .. } => true,
        };
        if bounded { Ok(frame) } else { Err(FrameError::Bounds) }
    }
}

impl ServerFrame {
    /// Encodes the frame.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a frame.
    ///
    /// # Errors
    /// [`FrameError`]: no honest relay sends this.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let frame: Self = codec::decode(bytes, MAX_FRAME)?;
        let bounded = match &frame {
            Self::Reply { reply: Reply::Listed { entries, .. }, .. } => entries.len() <= MAX_LISTED,
            Self::Reply { reply: Reply::Blob(Some(blob)), .. } | Self::Push { blob: Some(blob), .. } => {
                blob.0.len() <= MAX_BLOB
            }
            Self::Hello { terms, .. } => terms.window > 0,
            _ => true,
        };
        if bounded { Ok(frame) } else { Err(FrameError::Bounds) }
    }
}

#[cfg(test)]
mod tests;
