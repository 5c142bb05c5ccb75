//! What a node says about its relays, and the table of them.
//!
//! A relay is a peer that carries connections to us ("circuits") while we hold a **reservation** there. The table is without I/O:
//! the network task tells it what happened and carries out what it decides.

use crate::{Address, PeerId};

/// Where a reservation at a relay stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayState {
    /// The relay is being dialled, or the reservation asked for. `error` is why the last attempt failed, if one did.
    Connecting {
        /// Attempts that failed in a row.
        attempts: u32,
        /// In words, for diagnosis.
        error: Option<String>,
    },
    /// We can be reached through it at these addresses.
    Reserved {
        /// Our addresses through this relay, each ending in our peer id.
        addresses: Vec<Address>,
    },
}

/// A relay in [`crate::NetworkStatus::relays`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RelayStatus {
    /// Which.
    pub peer: PeerId,
    /// Where it was said to be.
    pub addresses: Vec<Address>,
    /// The reservation.
    pub state: RelayState,
    /// The address of the connection to it, if one stands: over TCP although QUIC addresses are known means that UDP is
    /// probably blocked.
    pub connected: Option<Address>,
    /// The address at which it sees us.
    pub seen_at: Option<Address>,
    /// Round trip of the last ping.
    pub rtt: Option<std::time::Duration>,
    /// Lines to it that stand.
    pub lines: usize,
}

/// What is known about the way in from the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nat {
    /// Nothing yet: fewer than one confirmed address and fewer than two observations.
    Unknown,
    /// Strangers can connect to us: an address of ours was tried from outside, or mapped by the router.
    Open,
    /// Not reachable, but two observers see us at the same port: hole punching is likely to work.
    Cone,
    /// Two observers see us at different ports: hole punching is unlikely to work, circuits carry the traffic.
    Symmetric,
}

/// Somebody who provides a key in the DHT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Who claims to; a connection proves it.
    pub peer: PeerId,
    /// Where it claims to be reachable, at most [`crate::limits::ADDRESSES_MAX`].
    pub addresses: Vec<Address>,
}
