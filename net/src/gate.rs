//! Refuses inbound connections of a source that makes too many, before the handshake costs anything.
//!
//! Identities are free, so limits by peer do not stop a flood; addresses are dearer. A source is an IPv4 address or an IPv6 /64.
//! What comes through a relay has no source and is left to the relay and to the total limits.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
    task::{Context, Poll},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm, dummy,
    },
};

use crate::{
    limits::{SOURCE_BURST, SOURCE_PENDING, SOURCE_RATE, SOURCES_MAX},
    rate::Bucket,
};

/// Counts inbound connections by source.
#[derive(Debug)]
pub(crate) struct Behaviour {
    loopback: bool,
    sources: HashMap<IpAddr, Source>,
    pending: HashMap<ConnectionId, IpAddr>,
}

#[derive(Debug)]
struct Source {
    rate: Bucket,
    pending: usize,
    seen: Instant,
}

/// The source made too many connections.
#[derive(Debug, thiserror::Error)]
#[error("too many connections from {0}")]
struct TooMany(IpAddr);

impl Behaviour {
    /// Counts this machine's own addresses too, if `loopback`.
    pub(crate) fn new(loopback: bool) -> Self {
        Self { loopback, sources: HashMap::new(), pending: HashMap::new() }
    }

    fn enter(&mut self, connection: ConnectionId, source: IpAddr, now: Instant) -> Result<(), TooMany> {
        if !self.sources.contains_key(&source) && self.sources.len() >= SOURCES_MAX {
            self.make_room();
        }
        let rate = || Bucket::new(SOURCE_RATE, SOURCE_BURST, now);
        let entry = self.sources.entry(source).or_insert_with(|| Source { rate: rate(), pending: 0, seen: now });
        entry.seen = now;
        if entry.pending >= SOURCE_PENDING || !entry.rate.take(1, now) {
            return Err(TooMany(source));
        }
        entry.pending += 1;
        self.pending.insert(connection, source);
        Ok(())
    }

    /// The handshake is over, one way or the other.
    fn leave(&mut self, connection: ConnectionId) {
        if let Some(entry) = self.pending.remove(&connection).and_then(|source| self.sources.get_mut(&source)) {
            entry.pending = entry.pending.saturating_sub(1);
        }
    }

    /// Forgets the source that was quiet for longest.
    fn make_room(&mut self) {
        let quiet = self.sources.iter().filter(|(_, it)| it.pending == 0).min_by_key(|(_, it)| it.seen);
        if let Some(source) = quiet.map(|(source, _)| *source) {
            self.sources.remove(&source);
        }
    }
}

/// The source of an address, unless it comes through a relay or has none.
fn source(remote: &Multiaddr) -> Option<IpAddr> {
    if remote.iter().any(|it| it == Protocol::P2pCircuit) {
        return None;
    }
    match remote.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => match ip.to_ipv4_mapped() {
            Some(mapped) => Some(mapped.into()),
            None => {
                let [a, b, c, d, ..] = ip.segments();
                Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, u16::from(ip.is_loopback())).into())
            }
        },
        _ => None,
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        match source(remote) {
            Some(source) if self.loopback || !source.is_loopback() => {
                self.enter(connection, source, Instant::now()).map_err(ConnectionDenied::new)
            }
            _ => Ok(()),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => self.leave(event.connection_id),
            FromSwarm::ListenFailure(event) => self.leave(event.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, never: THandlerOutEvent<Self>) {
        match never {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_network_and_never_a_relay() {
        let of = |text: &str| source(&text.parse().unwrap()).map(|it| it.to_string());
        assert_eq!(of("/ip4/192.0.2.7/tcp/1").as_deref(), Some("192.0.2.7"));
        assert_eq!(of("/ip6/2001:db8:1:2:3:4:5:6/udp/1/quic-v1").as_deref(), Some("2001:db8:1:2::"));
        assert_eq!(of("/ip6/::ffff:192.0.2.7/tcp/1").as_deref(), Some("192.0.2.7"));
        assert_eq!(of("/ip6/::1/tcp/1").as_deref(), Some("::1"));
        assert_eq!(of("/memory/1"), None);
        let relay = crate::PeerId::from_seed(&[1; 32]);
        assert_eq!(of(&format!("/ip4/192.0.2.7/tcp/1/p2p/{relay}/p2p-circuit")), None);
    }

    #[test]
    fn pending_connections_and_their_rate_are_bounded_by_source() {
        let now = Instant::now();
        let mut gate = Behaviour::new(true);
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let id = ConnectionId::new_unchecked;
        let entered = (0..100).filter(|it| gate.enter(id(*it), one, now).is_ok()).count();
        assert_eq!(entered, SOURCE_PENDING);
        assert!(gate.enter(id(100), other, now).is_ok());
        (0..100).for_each(|it| gate.leave(id(it)));
        let more = (200..400).filter(|it| gate.enter(id(*it), one, now).map(|()| gate.leave(id(*it))).is_ok()).count();
        // Refused ones cost tokens only when the rate was asked.
        assert_eq!(entered + more, SOURCE_BURST as usize);
    }

    #[test]
    fn the_table_of_sources_is_bounded() {
        let now = Instant::now();
        let mut gate = Behaviour::new(true);
        for number in 0..(SOURCES_MAX as u32 + 10) {
            let id = ConnectionId::new_unchecked(number as usize);
            assert!(gate.enter(id, IpAddr::from(number.to_be_bytes()), now).is_ok());
            gate.leave(id);
        }
        assert!(gate.sources.len() <= SOURCES_MAX && gate.pending.is_empty());
    }
}
