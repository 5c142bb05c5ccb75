//! What a relay is started with.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::{Address, Carriers, limits};

/// What [`super::spawn`] needs.
pub struct RelayConfig {
    /// Seed of the transport's Ed25519 key. Cleared when dropped.
    pub key: Zeroizing<[u8; 32]>,
    /// Where to listen. Failing to listen on one of them fails the start.
    pub listen: Vec<Address>,
    /// Where nodes reach this relay from outside: told to them in reservations. Empty: where it listens, public addresses only if
    /// there are any.
    pub external: Vec<Address>,
    /// Other relays to stay connected to, each address with a peer id: together they keep the records of the DHT.
    pub peers: Vec<Address>,
    /// Which transports exist.
    pub carriers: Carriers,
    /// Everybody may reserve and dial through it; else only peers that were [permitted](super::RelayHandle::permit).
    pub open: bool,
    /// Times and sizes that operators and tests change.
    pub tuning: RelayTuning,
}

/// Times and sizes with defaults from [`limits`]; the documentation of each is there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RelayTuning {
    /// [`limits::RELAY_CONNECTIONS`].
    pub connections: u32,
    /// [`limits::RELAY_CONNECTIONS_PER_SOURCE`].
    pub connections_per_source: u32,
    /// Connections that are still shaking hands: [`limits::RELAY_CONNECTIONS_PENDING`].
    pub pending: u32,
    /// [`limits::RELAY_RESERVATIONS`].
    pub reservations: usize,
    /// [`limits::RELAY_CIRCUITS`].
    pub circuits: usize,
    /// [`limits::RELAY_CIRCUITS_PER_PEER`].
    pub circuits_per_peer: usize,
    /// [`limits::RELAY_CIRCUITS_PER_SOURCE`].
    pub circuits_per_source: usize,
    /// [`limits::RELAY_CIRCUIT_BYTES`]; 0 is no limit.
    pub circuit_bytes: u64,
    /// [`limits::RELAY_RECORDS`].
    pub records: usize,
    /// [`limits::RELAY_RECORDS_PER_PEER`].
    pub records_per_peer: usize,
    /// [`limits::RELAY_RECORDS_PER_SOURCE`].
    pub records_per_source: usize,
    /// [`limits::RELAY_SILENCE`].
    pub silence: Duration,
    /// [`limits::FRAME_DEADLINE`].
    pub frame_deadline: Duration,
    /// Resident memory of the process, in bytes, above which new connections are refused: [`limits::MEMORY_MAX`].
    pub memory_max: usize,
    /// The limits by source address hold for this machine's own addresses too; off, because several nodes on one machine are
    /// nobody's attack.
    pub gate_loopback: bool,
    /// Private and loopback addresses may be dialled when a stranger names them, and be kept in the table of peers; off, because
    /// strangers must not make a relay dial into its operator's network. For tests and closed networks.
    pub private_addresses: bool,
}

impl RelayConfig {
    /// An open relay with this key seed that listens nowhere yet, on the real network.
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            key: Zeroizing::new(key),
            listen: Vec::new(),
            external: Vec::new(),
            peers: Vec::new(),
            carriers: Carriers::Internet,
            open: true,
            tuning: RelayTuning::default(),
        }
    }
}

impl Default for RelayTuning {
    fn default() -> Self {
        Self {
            connections: limits::RELAY_CONNECTIONS,
            connections_per_source: limits::RELAY_CONNECTIONS_PER_SOURCE,
            pending: limits::RELAY_CONNECTIONS_PENDING,
            reservations: limits::RELAY_RESERVATIONS,
            circuits: limits::RELAY_CIRCUITS,
            circuits_per_peer: limits::RELAY_CIRCUITS_PER_PEER,
            circuits_per_source: limits::RELAY_CIRCUITS_PER_SOURCE,
            circuit_bytes: limits::RELAY_CIRCUIT_BYTES,
            records: limits::RELAY_RECORDS,
            records_per_peer: limits::RELAY_RECORDS_PER_PEER,
            records_per_source: limits::RELAY_RECORDS_PER_SOURCE,
            silence: limits::RELAY_SILENCE,
            frame_deadline: limits::FRAME_DEADLINE,
            memory_max: limits::MEMORY_MAX,
            gate_loopback: false,
            private_addresses: false,
        }
    }
}

impl std::fmt::Debug for RelayConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayConfig")
            .field("key", &"..")
            .field("listen", &self.listen)
            .field("external", &self.external)
            .field("peers", &self.peers)
            .field("carriers", &self.carriers)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
