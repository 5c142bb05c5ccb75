//! Dials that wait for a relay on their way.
//!
//! libp2p dials a relay for the first circuit that needs it and fails every other that needs it meanwhile. So where an address leads
//! through a relay that is not connected, that relay is dialled first, and what needs it waits: until it said where it sees us (which hole
//! punching wants to know beforehand), fails, or
//! [`PATIENCE`] is over, since other addresses may work.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::NetworkTask;
use crate::{Address, PeerId, RequestError};

/// Longest wait for relays.
const PATIENCE: Duration = Duration::from_secs(2);
/// Dials that wait; more go at once.
const WAITING_MAX: usize = 1024;

/// Something that dials.
#[derive(Debug)]
pub(super) enum Dialling {
    Peer { peer: PeerId, addresses: Vec<Address> },
    Anyone { address: Address },
    Request { peer: PeerId, addresses: Vec<Address>, data: Bytes, reply: oneshot::Sender<Result<Bytes, RequestError>> },
}

/// What waits, for whom, until when.
#[derive(Debug)]
pub(super) struct Deferred {
    what: Dialling,
    relays: Vec<PeerId>,
    until: Instant,
}

impl NetworkTask {
    /// Dials, after the relays on the way are connected and said where they see us.
    pub(super) fn dial_when_relays_stand(&mut self, what: Dialling) {
        let addresses = match &what {
            Dialling::Peer { addresses, .. } | Dialling::Request { addresses, .. } => addresses.as_slice(),
            Dialling::Anyone { address } => std::slice::from_ref(address),
        };
        let mut missing: Vec<(PeerId, Vec<Address>)> = Vec::new();
        for (relay, address) in addresses.iter().filter_map(|it| Some((it.relay()?, it.relay_address()?))) {
            if relay == self.us || self.peers.service(&relay).is_some_and(|(_, it)| it.identified) {
                continue;
            }
            match missing.iter_mut().find(|(it, _)| *it == relay) {
                Some((_, known)) => known.push(address),
                None => missing.push((relay, vec![address])),
            }
        }
        if missing.is_empty() || self.deferred.len() >= WAITING_MAX {
            return self.dial_now(what);
        }
        let relays = missing.iter().map(|(relay, _)| *relay).collect();
        self.deferred.push(Deferred { what, relays, until: Instant::now() + PATIENCE });
        for (relay, addresses) in missing {
            self.relays.name(relay);
            self.dial_peer(relay, &addresses);
        }
    }

    fn dial_now(&mut self, what: Dialling) {
        match what {
            Dialling::Peer { peer, addresses } => self.dial_peer(peer, &addresses),
            Dialling::Anyone { address } => self.dial_address(&address),
            Dialling::Request { peer, addresses, data, reply } => self.send_request(peer, &addresses, data, reply),
        }
    }

    /// A relay said where it sees us, or is not to be had: what waited for it goes on.
    pub(super) fn relay_decided(&mut self, relay: &PeerId) {
        for waiting in &mut self.deferred {
            waiting.relays.retain(|it| it != relay);
        }
        self.dial_deferred(Instant::now());
    }

    /// Dials what waits no longer.
    pub(super) fn dial_deferred(&mut self, now: Instant) {
        let over = |it: &mut Deferred| it.relays.is_empty() || it.until <= now;
        let due: Vec<_> = self.deferred.extract_if(.., over).collect();
        for Deferred { what, .. } in due {
            self.dial_now(what);
        }
    }
}
