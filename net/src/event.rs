//! What the network tells the node.

use bytes::Bytes;

use crate::{Address, DownReason, Line, PeerId, PublishFailure, Topic};

/// Something that happened on the network. All bytes in it are a peer's and not yet trusted.
///
/// For one peer the order is `PeerUp`, any `Frame`s, `PeerDown`, again `PeerUp`, and so on; frames of an earlier stretch
/// never come in a later one, and both ends cut their stretches at the same place.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetworkEvent {
    /// We listen on this address now. One listening order may give several.
    Listening {
        /// The address, with the real port and interface.
        address: Address,
    },
    /// A listener failed after it had started, or [`crate::NetworkHandle::listen`] could not start it.
    ListenFailed {
        /// The address asked for, where known.
        address: Option<Address>,
        /// What the system said.
        reason: String,
    },
    /// We no longer listen on this address.
    Expired {
        /// The address.
        address: Address,
    },
    /// The peer's sync stream stands both ways.
    PeerUp {
        /// Who.
        peer: PeerId,
        /// Where it is, as far as this connection tells; for inbound ones the port is not one to dial.
        address: Address,
        /// We dialled.
        outbound: bool,
        /// Random for each start of the peer's process.
        boot: [u8; 16],
    },
    /// The peer that was up is no more. Kept peers are redialled by themselves.
    PeerDown {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: DownReason,
    },
    /// An attempt to reach a peer failed. Kept peers are tried again by themselves.
    DialFailed {
        /// Who, if it was known.
        peer: Option<PeerId>,
        /// What went wrong, for logs and diagnosis.
        reason: String,
    },
    /// A frame of the peer's sync stream, in order.
    Frame {
        /// Who sent it.
        peer: PeerId,
        /// The frame.
        data: Bytes,
    },
    /// A gossip message. Answer with [`crate::NetworkHandle::verdict`] soon: until then it is not forwarded.
    Gossip {
        /// Topic it came on, one that we subscribe to.
        topic: Topic,
        /// The payload, at most [`crate::limits::GOSSIP_PAYLOAD_MAX`] bytes.
        data: Bytes,
        /// The neighbour that handed it to us: not the author.
        source: PeerId,
        /// To answer with.
        token: GossipToken,
    },
    /// A connected peer joined or left a topic that we subscribe to.
    TopicPeer {
        /// The topic.
        topic: Topic,
        /// Who.
        peer: PeerId,
        /// Joined, or left.
        joined: bool,
    },
    /// A published message went to nobody; sync must bring it.
    Unpublished {
        /// The topic.
        topic: Topic,
        /// Why.
        reason: PublishFailure,
    },
    /// A request on `/parlor/join/1`. Answer with [`crate::NetworkHandle::respond`] within
    /// [`crate::limits::REQUEST_DEADLINE`].
    Request {
        /// Who asks.
        peer: PeerId,
        /// The request, at most [`crate::limits::REQUEST_MAX`] bytes.
        data: Bytes,
        /// To answer with.
        token: RequestToken,
    },
    /// A peer that is up opened a line of a kind that nodes accept. Dropping it ends it.
    Line {
        /// The line.
        line: Line,
    },
    /// A peer on the local network, found by mDNS. It is not dialled unless the node says so.
    Discovered {
        /// Who it claims to be; a connection proves it.
        peer: PeerId,
        /// Where.
        addresses: Vec<Address>,
    },
    /// Frames for this peer pile up (above [`crate::limits::SEND_CONGESTED_BYTES`]), or the pile is gone. While it lasts,
    /// hold back: at [`crate::limits::SEND_QUEUE_BYTES`] the peer is disconnected.
    Congested {
        /// Who.
        peer: PeerId,
        /// Begins, or is over.
        congested: bool,
    },
    /// The reservation at a relay changed its state.
    Relay {
        /// Which.
        peer: PeerId,
        /// How it stands now.
        state: crate::RelayState,
    },
    /// The addresses at which others can reach us from outside changed: through relays where we hold a reservation, and
    /// confirmed direct ones. All of them, direct first; none means that only those who know where we listen reach us. Given to
    /// others in links and bindings, they are what [`crate::NetworkHandle::keep`] and others dial.
    Reachable {
        /// The addresses, each ending in our peer id.
        addresses: Vec<Address>,
    },
    /// The peer's score reached the limit: it was disconnected and is refused for a while.
    Banned {
        /// Who.
        peer: PeerId,
        /// For how long.
        duration: std::time::Duration,
    },
}

/// Names one received gossip message, to give a verdict on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipToken {
    pub(crate) id: libp2p::gossipsub::MessageId,
    pub(crate) source: PeerId,
}

/// Names one received request, to answer.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RequestToken(pub(crate) u64);

/// What the node found out about a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Good: forward it.
    Accept,
    /// Not for us to judge, or known: do not forward it, blame nobody.
    Ignore,
    /// Bad in a way that every honest node sees: do not forward it, and count it against the neighbour that did.
    Reject,
}
