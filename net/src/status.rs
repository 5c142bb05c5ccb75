//! A snapshot of the network for `parlor status`.

use std::time::Duration;

use crate::{Address, Nat, PeerId, RelayStatus, Topic};

/// The network at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NetworkStatus {
    /// Our own peer id.
    pub peer: PeerId,
    /// Where we listen.
    pub listening: Vec<Address>,
    /// Where others say they see us; unproven.
    pub observed: Vec<Address>,
    /// Addresses at which others reach us from outside: see [`crate::NetworkEvent::Reachable`].
    pub reachable: Vec<Address>,
    /// What is known about the way in from the internet.
    pub nat: Nat,
    /// An address of ours was mapped by the router (UPnP).
    pub upnp: Option<Address>,
    /// The relays at which we keep reservations.
    pub relays: Vec<RelayStatus>,
    /// Attempts to turn a relayed connection into a direct one that succeeded, and that failed.
    pub punched: (u64, u64),
    /// All connected peers but relays, also those that are not up yet.
    pub peers: Vec<PeerStatus>,
    /// The topics we subscribe to.
    pub topics: Vec<TopicStatus>,
    /// Peers we try to stay connected to, and are not.
    pub redialling: Vec<PeerId>,
    /// Peers that are refused for now.
    pub banned: Vec<PeerId>,
    /// Gossip messages that were dropped because the node, or the rate limit, could not take them; sync brings them.
    pub gossip_dropped: u64,
    /// Gossip messages that gossipsub could not hand to slow peers.
    pub gossip_unsent: u64,
}

/// One connected peer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Who.
    pub peer: PeerId,
    /// Where, of the connection in use.
    pub address: Address,
    /// We dialled it.
    pub outbound: bool,
    /// Its way leads through a relay.
    pub relayed: bool,
    /// Its sync stream stands.
    pub up: bool,
    /// Time since the connection was established.
    pub connected_for: Duration,
    /// Connections that stand; more than one only for moments.
    pub connections: usize,
    /// Round trip of the last ping.
    pub rtt: Option<Duration>,
    /// Bytes of frames and gossip payloads received.
    pub bytes_in: u64,
    /// Bytes of frames sent.
    pub bytes_out: u64,
    /// Bytes of frames waiting to be sent.
    pub queued: usize,
    /// Its score: 0 is clean, [`crate::limits::BAN_AT`] is a ban.
    pub score: u32,
}

/// One topic of ours.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TopicStatus {
    /// The topic.
    pub topic: Topic,
    /// Connected peers in it.
    pub peers: usize,
    /// Those of them we forward everything to.
    pub mesh: usize,
}
