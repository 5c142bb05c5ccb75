//! The name of a gossip topic: short, printable, blinded by whoever makes it.
//!
//! Every connected peer sees every topic name we subscribe to. So a name must tell nothing: `parlor-proto` derives it from
//! the room's topic secret. This type only bounds its length, because all names together must fit one control message.

use std::fmt;

use crate::limits::TOPIC_NAME_MAX;

/// Gossip topic: 1 to 40 printable ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(String);

/// Why text is not a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a topic is 1 to {TOPIC_NAME_MAX} printable ASCII characters")]
pub struct TopicError;

impl Topic {
    /// Checks and takes a name.
    pub fn new(name: impl Into<String>) -> Result<Self, TopicError> {
        let name = name.into();
        let fits = !name.is_empty() && name.len() <= TOPIC_NAME_MAX && name.bytes().all(|it| it.is_ascii_graphic());
        if fits { Ok(Self(name)) } else { Err(TopicError) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> libp2p::gossipsub::TopicHash {
        libp2p::gossipsub::TopicHash::from_raw(self.0.clone())
    }

    pub(crate) fn ident(&self) -> libp2p::gossipsub::IdentTopic {
        libp2p::gossipsub::IdentTopic::new(self.0.clone())
    }

    pub(crate) fn from_hash(hash: &libp2p::gossipsub::TopicHash) -> Result<Self, TopicError> {
        Self::new(hash.as_str())
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({}..)", self.0.get(..6).unwrap_or(&self.0))
    }
}
