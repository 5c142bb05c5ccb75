//! What a network is started with.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::{Address, limits};

/// What [`crate::spawn`] needs.
pub struct NetworkConfig {
    /// Seed of the transport's Ed25519 key. Cleared when dropped.
    pub key: Zeroizing<[u8; 32]>,
    /// Where to listen; may be empty. Failing to listen on one of them fails the start.
    pub listen: Vec<Address>,
    /// Announce and find peers on the local network. It shows the peer id in clear on every LAN, so: off unless chosen.
    pub mdns: bool,
    /// Ask the router to map our listening ports (UPnP). Off unless chosen; useless on loopback.
    pub upnp: bool,
    /// Which transports exist.
    pub carriers: Carriers,
    /// Times and sizes that tests and special programs change.
    pub tuning: Tuning,
}

/// The transports of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriers {
    /// TCP and QUIC, names resolved.
    Internet,
    /// The in-process transport, for tests: addresses are [`Address::memory`], or `/ip4/A/tcp/P`, which stands for a place in memory.
    Memory,
}

/// Times and sizes with defaults from [`limits`]; the documentation of each is there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tuning {
    /// [`limits::PING_INTERVAL`].
    pub ping_interval: Duration,
    /// [`limits::PING_IDLE`].
    pub ping_idle: Duration,
    /// [`limits::PING_DEADLINE`].
    pub ping_deadline: Duration,
    /// [`limits::HELLO_DEADLINE`].
    pub hello_deadline: Duration,
    /// [`limits::FRAME_DEADLINE`].
    pub frame_deadline: Duration,
    /// [`limits::REQUEST_DEADLINE`].
    pub request_deadline: Duration,
    /// [`limits::REDIAL_FIRST`].
    pub redial_first: Duration,
    /// [`limits::REDIAL_LAST`].
    pub redial_last: Duration,
    /// [`limits::SEND_QUEUE_BYTES`].
    pub send_queue_bytes: usize,
    /// [`limits::GOSSIP_TRANSMIT_MAX`]. Belongs to [`limits::LIMITS_VERSION`]: for tests of what happens when it differs.
    pub gossip_transmit_max: usize,
    /// [`limits::GOSSIP_QUEUE`].
    pub gossip_queue: usize,
    /// [`limits::PUBLISH_RATE`] and [`limits::GOSSIP_PEER_RATE`] hold; off only to test what lies behind them.
    pub rate_limits: bool,
    /// The limits by source address hold for this machine's own addresses too; off, because several nodes on one machine are
    /// nobody's attack.
    pub gate_loopback: bool,
    /// Private and loopback addresses may be dialled when strangers name them, for hole punching and in the DHT; off, because
    /// strangers must not make us dial into our own network. For tests and closed networks.
    pub private_addresses: bool,
    /// [`limits::CONNECTIONS_IN`].
    pub connections_in: u32,
    /// [`limits::MEMORY_MAX`].
    pub memory_max: usize,
    /// [`limits::BAN_FOR`].
    pub ban_for: Duration,
}

impl NetworkConfig {
    /// A node with this key seed that listens nowhere yet, on the real network, without mDNS.
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            key: Zeroizing::new(key),
            listen: Vec::new(),
            mdns: false,
            upnp: false,
            carriers: Carriers::Internet,
            tuning: Tuning::default(),
        }
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            ping_interval: limits::PING_INTERVAL,
            ping_idle: limits::PING_IDLE,
            ping_deadline: limits::PING_DEADLINE,
            hello_deadline: limits::HELLO_DEADLINE,
            frame_deadline: limits::FRAME_DEADLINE,
            request_deadline: limits::REQUEST_DEADLINE,
            redial_first: limits::REDIAL_FIRST,
            redial_last: limits::REDIAL_LAST,
            send_queue_bytes: limits::SEND_QUEUE_BYTES,
            gossip_transmit_max: limits::GOSSIP_TRANSMIT_MAX,
            gossip_queue: limits::GOSSIP_QUEUE,
            rate_limits: true,
            gate_loopback: false,
            private_addresses: false,
            connections_in: limits::CONNECTIONS_IN,
            memory_max: limits::MEMORY_MAX,
            ban_for: limits::BAN_FOR,
        }
    }
}

impl std::fmt::Debug for NetworkConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetworkConfig")
            .field("key", &"..")
            .field("listen", &self.listen)
            .field("mdns", &self.mdns)
            .field("upnp", &self.upnp)
            .field("carriers", &self.carriers)
            .finish_non_exhaustive()
    }
}
