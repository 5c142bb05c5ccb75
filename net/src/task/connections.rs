//! Connections come and go; listeners too. Keeps one good connection a peer.

use std::time::Instant;

use libp2p::{
    core::ConnectedPoint,
    identify, mdns, relay,
    swarm::{
        ConnectionId, DialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{NetworkTask, deferred::Dialling};
use crate::{
    Address, DownReason, NetworkEvent, PeerId, RelayError, RelayTrouble,
    behaviour::NodeEvent,
    limits::*,
    peers::{Connection, Decision, Peer},
    ping::{self, Heard},
};

/// Observed addresses of ours that are remembered, the newest.
const OBSERVED_MAX: usize = 8;

impl NetworkTask {
    pub(super) fn on_connection(&mut self, event: SwarmEvent<NodeEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => self.on_closed(peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => self.on_dial_error(peer_id, &error),
            SwarmEvent::NewListenAddr { listener_id, address } => {
                let address = Address::from_multiaddr(address);
                if address.is_relayed() {
                    return self.on_reservation(listener_id, &address);
                }
                self.listening.push(address.clone());
                self.emit(NetworkEvent::Listening { address });
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_expired(Address::from_multiaddr(address)),
            SwarmEvent::ListenerClosed { listener_id, reason, .. } if self.relays.holds(listener_id) => {
                let over = || RelayError::new(RelayTrouble::Down, "the reservation ended");
                let error = reason.err().map_or_else(over, |it| RelayError::new(not_reserved(&it), root(&it)));
                self.on_reservation_lost(listener_id, error);
            }
            SwarmEvent::ExternalAddrConfirmed { address } => self.on_confirmed(&Address::from_multiaddr(address)),
            SwarmEvent::ExternalAddrExpired { address } => self.on_unconfirmed(&Address::from_multiaddr(address)),
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                let address = addresses.first().cloned().map(Address::from_multiaddr);
                for expired in addresses {
                    self.on_expired(Address::from_multiaddr(expired));
                }
                if let Err(error) = reason {
                    self.emit(NetworkEvent::ListenFailed { address, reason: error.to_string() });
                }
            }
            SwarmEvent::ListenerError { error, .. } => tracing::debug!(%error, "listener"),
            SwarmEvent::IncomingConnectionError { error, .. } => tracing::debug!(%error, "inbound connection failed"),
            _ => {}
        }
    }

    fn on_established(&mut self, peer: libp2p::PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let Ok(ours) = PeerId::from_libp2p(&peer) else {
            self.swarm.close_connection(id);
            return;
        };
        let relayed = endpoint.is_relayed();
        let address = match endpoint {
            // Of a circuit that comes in, the remote address is the peer's id only: the way is in the local one.
            ConnectedPoint::Listener { local_addr, .. } if relayed => {
                Address::from_multiaddr(local_addr.clone()).without_peer().with_peer(ours)
            }
            _ => Address::from_multiaddr(endpoint.get_remote_address().clone()),
        };
        let service = !relayed && self.relays.knows(&ours);
        tracing::debug!(peer = ours.short(), outbound = endpoint.is_dialer(), relayed, service, "connected");
        let connection = Connection::new(address, endpoint.is_dialer(), relayed, service, Instant::now());
        self.peers.connected(ours, id, connection, rand::random());
        if service {
            self.on_service(ours, id);
        } else if self.leads(&ours) {
            self.swarm.behaviour_mut().streams.open(peer, id);
        }
    }

    fn on_closed(&mut self, peer: libp2p::PeerId, id: ConnectionId) {
        let Ok(peer) = PeerId::from_libp2p(&peer) else { return };
        let now = Instant::now();
        let Some(connection) = self.peers.connection_mut(&peer, id) else { return };
        connection.gone = Some(now);
        let awaited = connection.stream.is_some();
        if connection.service {
            self.on_service_closed(peer, id);
        } else {
            self.lines_closed(peer, id);
        }
        if let Some(entry) = self.peers.get(&peer).filter(|it| !it.is_connected()) {
            let up_for = entry.up.map(|(_, since)| now - since).max(entry.was_up_for);
            self.kept.lost(&peer, up_for, now, rand::random());
        }
        // Frames that arrived before the end are still on their way from the stream's task; its `End` follows them.
        if !awaited {
            self.peers.remove(&peer, id);
        }
        self.apply_choice(peer);
    }

    fn on_expired(&mut self, address: Address) {
        if let Some(at) = self.listening.iter().position(|it| *it == address) {
            self.listening.swap_remove(at);
            self.emit(NetworkEvent::Expired { address });
        }
    }

    fn on_dial_error(&mut self, peer: Option<libp2p::PeerId>, error: &DialError) {
        let peer = peer.and_then(|it| PeerId::from_libp2p(&it).ok());
        let reason = explain(error);
        if let Some(peer) = peer.filter(|it| self.peers.is_open(it) && !self.relays.knows(it)) {
            // A second way, such as a hole that was not punched.
            tracing::debug!(peer = peer.short(), reason, "no other way");
            return self.requests.dial_failed(&peer, &reason);
        }
        if let Some(peer) = peer {
            if matches!(error, DialError::LocalPeerId { .. }) {
                self.kept.hopeless(&peer);
            }
            self.kept.failed(&peer, Instant::now(), rand::random());
            self.requests.dial_failed(&peer, &reason);
            tracing::debug!(peer = peer.short(), reason, "dial failed");
            if self.relays.knows(&peer) {
                // A hole that was not punched is no relay that failed.
                if self.peers.service(&peer).is_none() {
                    self.on_relay_failed(peer, RelayError::new(not_reached(error), reason));
                    self.relay_decided(&peer);
                }
                return;
            }
        }
        self.emit_lossy(NetworkEvent::DialFailed { peer, reason });
    }

    /// Dials a peer, unless it is connected or being dialled.
    pub(super) fn dial(&mut self, peer: PeerId, addresses: Vec<Address>) {
        if !self.peers.is_connected(&peer) {
            self.dial_when_relays_stand(Dialling::Peer { peer, addresses });
        }
    }

    /// As [`Self::dial`], at once.
    pub(super) fn dial_peer(&mut self, peer: PeerId, addresses: &[Address]) {
        let addresses = addresses
            .iter()
            .filter(|it| it.peer().is_none_or(|named| named == peer || it.is_relayed()))
            .map(|it| it.without_peer().as_multiaddr().clone())
            .collect();
        let options = DialOpts::peer_id(peer.to_libp2p())
            .addresses(addresses)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .build();
        match self.swarm.dial(options) {
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => self.on_dial_error(Some(peer.to_libp2p()), &error),
        }
    }

    /// Dials an address, whoever answers.
    pub(super) fn dial_anyone(&mut self, address: Address) {
        self.dial_when_relays_stand(Dialling::Anyone { address });
    }

    /// As [`Self::dial_anyone`], at once.
    pub(super) fn dial_address(&mut self, address: &Address) {
        let options = DialOpts::unknown_peer_id().address(address.as_multiaddr().clone()).build();
        if let Err(error) = self.swarm.dial(options) {
            self.on_dial_error(None, &error);
        }
    }

    /// Drops a peer: at once for the node, and as fast as libp2p can for the network.
    pub(super) fn drop_peer(&mut self, peer: PeerId, reason: DownReason) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let ids: Vec<_> = entry.connections.keys().copied().collect();
        for id in ids {
            self.hang_up(peer, id, reason.clone());
        }
        // `Err` means that no connection was left.
        let _ = self.swarm.disconnect_peer_id(peer.to_libp2p());
    }

    /// Closes one connection of a peer; another may take its place.
    pub(super) fn close_connection(&mut self, peer: PeerId, id: ConnectionId, reason: DownReason) {
        self.hang_up(peer, id, reason);
        self.swarm.close_connection(id);
        self.apply_choice(peer);
    }

    /// Ends the stream of a connection that is to be closed.
    fn hang_up(&mut self, peer: PeerId, id: ConnectionId, reason: DownReason) {
        let Some(connection) = self.peers.connection_mut(&peer, id) else { return };
        let reason = connection.closing.get_or_insert(reason).clone();
        if let Some(line) = connection.stream.take() {
            line.task.abort();
        }
        let gone = connection.gone.is_some();
        self.down(peer, id, reason);
        if gone {
            self.peers.remove(&peer, id);
        }
    }

    /// Tells that the peer is down, if this connection was the one in use.
    pub(super) fn down(&mut self, peer: PeerId, id: ConnectionId, reason: DownReason) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if let Some((_, since)) = entry.up.take_if(|(active, _)| *active == id) {
            entry.was_up_for = entry.was_up_for.max(Some(since.elapsed()));
            tracing::debug!(peer = peer.short(), %reason, "peer down");
            self.emit(NetworkEvent::PeerDown { peer, reason });
        }
    }

    /// On the leading side: takes the best connection into use and closes the surplus.
    pub(super) fn apply_choice(&mut self, peer: PeerId) {
        if !self.leads(&peer) {
            return;
        }
        if let Some(Decision::Close(surplus)) = self.peers.get_mut(&peer).map(Peer::choose) {
            self.close_surplus(peer, surplus);
        }
    }

    pub(super) fn close_surplus(&mut self, peer: PeerId, surplus: Vec<ConnectionId>) {
        for id in surplus {
            self.hang_up(peer, id, DownReason::Moved);
            self.swarm.close_connection(id);
        }
    }

    /// Pings that found an answer, or none: the second in a row without one closes the connection.
    pub(super) fn on_ping(&mut self, event: &ping::Event) {
        let Ok(peer) = PeerId::from_libp2p(&event.peer) else { return };
        let Some(connection) = self.peers.connection_mut(&peer, event.connection) else { return };
        match event.what {
            Heard::Question => connection.hear(Instant::now()),
            Heard::Answer(after) => {
                connection.asked = false;
                connection.rtt = Some(after);
                connection.hear(Instant::now());
            }
            Heard::Silence => {
                connection.asked = false;
                connection.silences = connection.silences.saturating_add(1);
                tracing::debug!(peer = peer.short(), silences = connection.silences, "no answer to a ping");
                if connection.silences > 1 {
                    self.close_connection(peer, event.connection, DownReason::Dead);
                }
            }
        }
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, connection_id, info } = event else { return };
        self.on_identified(peer_id, connection_id, &info);
        let address = Address::from_multiaddr(info.observed_addr);
        if !self.observed.contains(&address) {
            self.observed.push_front(address);
            self.observed.truncate(OBSERVED_MAX);
        }
    }

    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        let mdns::Event::Discovered(mut found) = event else { return };
        found.sort();
        for group in found.chunk_by(|(one, _), (other, _)| one == other) {
            let Some(peer) = group.first().and_then(|(id, _)| PeerId::from_libp2p(id).ok()) else { continue };
            let address = |(_, addr): &(_, libp2p::Multiaddr)| Address::from_multiaddr(addr.clone()).without_peer();
            let addresses = group.iter().take(ADDRESSES_MAX).map(address).collect();
            if peer != self.us {
                self.emit_lossy(NetworkEvent::Discovered { peer, addresses });
            }
        }
    }

    /// Counts a misdeed, and bans when it is one too many.
    pub(super) fn punish(&mut self, peer: PeerId, weight: u32) {
        if self.scores.add(peer, weight, Instant::now()) {
            tracing::info!(peer = peer.short(), "peer banned for a while");
            self.drop_peer(peer, DownReason::Banned);
            self.swarm.behaviour_mut().banned.block_peer(peer.to_libp2p());
            self.emit(NetworkEvent::Banned { peer, duration: self.scores.ban_for() });
        }
    }
}

/// A dial error in one line, with the root cause of each address.
fn explain(error: &DialError) -> String {
    match error {
        DialError::Transport(attempts) => {
            let attempts: Vec<_> = attempts.iter().map(|(addr, error)| format!("{addr}: {}", root(error))).collect();
            attempts.join("; ")
        }
        DialError::WrongPeerId { address, .. } => format!("{address}: another peer answers there"),
        DialError::NoAddresses => "no address known".to_owned(),
        DialError::LocalPeerId { .. } => "that is this node itself".to_owned(),
        DialError::Denied { cause } => root(cause),
        DialError::Aborted | DialError::DialPeerConditionFalse(_) => "given up".to_owned(),
    }
}

/// What it means that a relay could not be dialled.
fn not_reached(error: &DialError) -> RelayTrouble {
    match error {
        DialError::Transport(_) | DialError::NoAddresses => RelayTrouble::Down,
        DialError::WrongPeerId { .. } => RelayTrouble::OtherKey,
        _ => RelayTrouble::Other,
    }
}

/// What it means that a relay gave no reservation.
fn not_reserved(error: &(dyn std::error::Error + 'static)) -> RelayTrouble {
    use relay::outbound::hop::{ProtocolViolation, ReserveError};
    let causes = std::iter::successors(Some(error), |error| error.source());
    match causes.filter_map(|error| error.downcast_ref::<ReserveError>()).next() {
        Some(ReserveError::ResourceLimitExceeded) => RelayTrouble::Full,
        Some(ReserveError::Refused) => RelayTrouble::Refused,
        Some(ReserveError::Io(_)) => RelayTrouble::Down,
        Some(ReserveError::Protocol(ProtocolViolation::InvalidReservationExpiration)) => RelayTrouble::Clock,
        Some(ReserveError::Unsupported | ReserveError::Protocol(_)) | None => RelayTrouble::Other,
    }
}

/// The text of the innermost cause.
pub(crate) fn root(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use std::io;

    use libp2p::relay::client::transport;
    use libp2p::relay::outbound::hop::{ProtocolViolation, ReserveError};

    use super::*;

    #[test]
    fn why_a_relay_is_of_no_use_is_told_by_what_happened_and_not_by_words() {
        let here: libp2p::Multiaddr = "/ip4/192.0.2.7/tcp/1".parse().unwrap();
        let failed = |kind: io::ErrorKind| {
            let error = libp2p::TransportError::Other(io::Error::new(kind, "token full denied"));
            DialError::Transport(vec![(here.clone(), error)])
        };
        // What a firewall of this machine says.
        assert_eq!(not_reached(&failed(io::ErrorKind::PermissionDenied)), RelayTrouble::Down);
        assert_eq!(not_reached(&failed(io::ErrorKind::ConnectionRefused)), RelayTrouble::Down);
        let other = DialError::WrongPeerId { obtained: libp2p::PeerId::random(), address: here };
        assert_eq!(not_reached(&other), RelayTrouble::OtherKey);
        let said = |error| io::Error::other(io::Error::other(transport::Error::Reservation(error)));
        assert_eq!(not_reserved(&said(ReserveError::ResourceLimitExceeded)), RelayTrouble::Full);
        assert_eq!(not_reserved(&said(ReserveError::Refused)), RelayTrouble::Refused);
        assert_eq!(not_reserved(&said(ReserveError::Unsupported)), RelayTrouble::Other);
        let over = ReserveError::Protocol(ProtocolViolation::InvalidReservationExpiration);
        assert_eq!(not_reserved(&said(over)), RelayTrouble::Clock);
        assert_eq!(not_reserved(&said(ReserveError::Io(io::ErrorKind::TimedOut.into()))), RelayTrouble::Down);
        assert_eq!(not_reserved(&io::Error::other("resource limit exceeded")), RelayTrouble::Other);
    }
}
