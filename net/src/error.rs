//! What can go wrong, by operation.

use crate::{
    Address,
    limits::{FRAME_MAX, GOSSIP_PAYLOAD_MAX, REQUEST_MAX, RESPONSE_MAX},
};

/// Why the network did not start, or cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// Another program, or another node, listens there.
    #[error("{address} is in use by another program")]
    AddressInUse {
        /// The address asked for.
        address: Address,
    },
    /// The address is not one to listen on, or not of this machine.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address asked for.
        address: Address,
        /// What the system or the transport said.
        reason: String,
    },
    /// `SSLKEYLOGFILE` is set: the keys of QUIC connections would be written to that file.
    #[error("SSLKEYLOGFILE is set, so keys of connections would be written to a file; unset it and start again")]
    KeyLog,
    /// A part of the network could not be set up.
    #[error("cannot set up {part}: {reason}")]
    Setup {
        /// Which part.
        part: &'static str,
        /// What it said.
        reason: String,
    },
    /// The network task has ended.
    #[error("the network has stopped")]
    Stopped,
}

/// Why a frame was not taken. Whether a taken frame arrives is another matter: the peer may go down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The frame is empty or larger than [`crate::limits::FRAME_MAX`].
    #[error("a frame is 1 to {FRAME_MAX} bytes, this one has {0}")]
    Size(usize),
    /// The gossip payload is empty or larger than [`crate::limits::GOSSIP_PAYLOAD_MAX`].
    #[error("a gossip payload is 1 to {GOSSIP_PAYLOAD_MAX} bytes, this one has {0}")]
    PayloadSize(usize),
    /// The answer is larger than [`crate::limits::RESPONSE_MAX`].
    #[error("an answer has at most {RESPONSE_MAX} bytes, this one has {0}")]
    ResponseSize(usize),
    /// More than [`crate::limits::TOPICS_MAX`] topics, [`crate::limits::KEPT_MAX`] kept peers, or [`crate::limits::ADDRESSES_MAX`] addresses.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// The network task has ended.
    #[error("the network has stopped")]
    Stopped,
}

/// Why a published message went to nobody. Never try it again over gossip: its id is known by now (libp2p finding 3.6); sync
/// brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishFailure {
    /// No connected peer is known to subscribe to the topic (yet).
    #[error("nobody connected is in the topic")]
    Nobody,
    /// The same bytes were published on this topic a short while ago.
    #[error("the same bytes were published before")]
    Duplicate,
    /// The queues of all peers in the topic are full. Some may still get it.
    #[error("the queues of all peers are full")]
    QueuesFull,
    /// We publish faster than [`crate::limits::PUBLISH_RATE`] or [`crate::limits::PUBLISH_BYTE_RATE`].
    #[error("publishing too fast")]
    TooFast,
    /// Gossipsub refused it for another reason.
    #[error("refused by gossipsub")]
    Refused,
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request is larger than [`crate::limits::REQUEST_MAX`].
    #[error("a request has at most {REQUEST_MAX} bytes, this one has {0}")]
    Size(usize),
    /// More than [`crate::limits::REQUESTS_ASKED`] requests are in flight, or [`crate::limits::REQUEST_STREAMS`] to this peer.
    #[error("too many requests at once")]
    TooMany,
    /// No connection to the peer could be made.
    #[error("cannot reach the peer: {0}")]
    Unreachable(String),
    /// No answer within [`crate::limits::REQUEST_DEADLINE`].
    #[error("the peer did not answer in time")]
    Timeout,
    /// The connection ended before the answer.
    #[error("the connection ended before the answer")]
    Closed,
    /// The peer does not speak the protocol, or broke it.
    #[error("the peer does not speak the protocol")]
    Protocol,
    /// The network task has ended.
    #[error("the network has stopped")]
    Stopped,
}

/// Why a relay is of no use now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RelayTrouble {
    /// No connection to it can be made, it ended, or nothing is answered on it.
    Down,
    /// It says that it has no room for us. So do relays that let in their own users only and do not say it.
    Full,
    /// It refuses us.
    Refused,
    /// Another peer answers at its addresses.
    OtherKey,
    /// What it gives is over already: our clock is ahead of its, or its clock is wrong.
    Clock,
    /// It is no relay, or something else went wrong.
    Other,
}

/// Why an attempt to be reached through a relay failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct RelayError {
    /// What it means.
    pub trouble: RelayTrouble,
    /// In words, for diagnosis. They may name addresses.
    pub words: String,
}

impl RelayError {
    pub(crate) fn new(trouble: RelayTrouble, words: impl Into<String>) -> Self {
        Self { trouble, words: words.into() }
    }
}

/// Why the DHT could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// No relay that takes part in the DHT is known.
    #[error("no relay to ask is connected")]
    NoRelay,
    /// More than [`crate::limits::FINDS_ASKED`] questions wait.
    #[error("too many questions at once")]
    TooMany,
    /// No relay answered in time.
    #[error("no relay answered in time")]
    Timeout,
    /// The network task has ended.
    #[error("the network has stopped")]
    Stopped,
}

/// Why a peer went down, or never came up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DownReason {
    /// We were told to disconnect.
    #[error("disconnected on request")]
    Requested,
    /// The other side closed, or the network between broke.
    #[error("connection closed")]
    Closed,
    /// Two pings in a row had no answer.
    #[error("no answer to two pings")]
    Dead,
    /// A frame could not be moved within [`crate::limits::FRAME_DEADLINE`], or a hello within [`crate::limits::HELLO_DEADLINE`].
    #[error("too slow")]
    Stalled,
    /// Frames for it piled up above [`crate::limits::SEND_QUEUE_BYTES`].
    #[error("too many frames waiting")]
    Overflow,
    /// It came back after losing sight of us (a restart, a change of network): dropped so that both start afresh.
    #[error("came back after losing sight of us")]
    Restarted,
    /// Its sync stream moved to a better connection.
    #[error("moved to another connection")]
    Moved,
    /// It speaks another version of the hello or of the limits.
    #[error("incompatible version")]
    Incompatible,
    /// It broke the framing or the hello.
    #[error("broke the protocol")]
    Malformed,
    /// Its score reached [`crate::limits::BAN_AT`].
    #[error("banned for a while")]
    Banned,
    /// We are stopping.
    #[error("stopping")]
    Stopping,
}
