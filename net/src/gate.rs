//! Refuses inbound connections of a source that makes too many, before the handshake costs anything.
//!
//! Identities are free, so limits by peer do not stop a flood; addresses are dearer. A source is an IPv4 address, an IPv6 /64, or the
//! relay through which a circuit comes: a flood through one takes no room of what comes directly.

use std::{
    collections::{HashMap, HashSet},
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
    limits::{RELAY_LIST_MAX, SOURCE_BURST, SOURCE_PENDING, SOURCE_RATE, SOURCES_MAX},
    rate::Bucket,
};

/// Counts inbound connections by source.
#[derive(Debug)]
pub(crate) struct Behaviour {
    loopback: bool,
    /// Inbound connections that may stand from one IP source.
    standing_max: u32,
    banned: HashSet<IpAddr>,
    sources: HashMap<Source, Entry>,
    pending: HashMap<ConnectionId, Source>,
    standing: HashMap<ConnectionId, Source>,
}

/// Where an inbound connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// An IPv4 address, or an IPv6 network by its /64.
    Ip(IpAddr),
    /// A relay.
    Relay(PeerId),
}

#[derive(Debug)]
struct Entry {
    rate: Bucket,
    pending: usize,
    standing: u32,
    seen: Instant,
}

/// Why an inbound connection is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// The source made too many connections.
    #[error("too many connections from one source")]
    TooMany,
    /// The source was banned.
    #[error("the source is banned")]
    Banned,
}

impl Behaviour {
    /// Counts this machine's own addresses too, if `loopback`.
    pub(crate) fn new(loopback: bool, standing_max: u32) -> Self {
        Self {
            loopback,
            standing_max,
            banned: HashSet::new(),
            sources: HashMap::new(),
            pending: HashMap::new(),
            standing: HashMap::new(),
        }
    }

    /// Refuses new connections of this source. False when there are too many such.
    pub(crate) fn ban(&mut self, source: IpAddr) -> bool {
        self.banned.len() < RELAY_LIST_MAX && self.banned.insert(network(source))
            || self.banned.contains(&network(source))
    }

    pub(crate) fn unban(&mut self, source: IpAddr) {
        self.banned.remove(&network(source));
    }

    pub(crate) fn banned(&self) -> impl Iterator<Item = &IpAddr> {
        self.banned.iter()
    }

    /// The standing inbound connections from this source.
    pub(crate) fn standing_from(&self, source: IpAddr) -> Vec<ConnectionId> {
        let source = Source::Ip(network(source));
        self.standing.iter().filter(|(_, it)| **it == source).map(|(id, _)| *id).collect()
    }

    /// IP sources with a standing inbound connection.
    pub(crate) fn sources_standing(&self) -> usize {
        self.sources.iter().filter(|(source, it)| matches!(source, Source::Ip(_)) && it.standing > 0).count()
    }

    fn enter(&mut self, connection: ConnectionId, source: Source, now: Instant) -> Result<(), Refusal> {
        if matches!(source, Source::Ip(ip) if self.banned.contains(&ip)) {
            return Err(Refusal::Banned);
        }
        if !self.sources.contains_key(&source) && self.sources.len() >= SOURCES_MAX {
            self.make_room();
        }
        let entry = self.sources.entry(source).or_insert_with(|| Entry {
            rate: Bucket::new(SOURCE_RATE, SOURCE_BURST, now),
            pending: 0,
            standing: 0,
            seen: now,
        });
        entry.seen = now;
        if entry.pending >= SOURCE_PENDING || entry.standing >= self.standing_max || !entry.rate.take(1, now) {
            return Err(Refusal::TooMany);
        }
        entry.pending += 1;
        self.pending.insert(connection, source);
        Ok(())
    }

    /// The handshake is over, one way or the other.
    fn leave(&mut self, connection: ConnectionId, stands: bool) {
        let Some(source) = self.pending.remove(&connection) else { return };
        let Some(entry) = self.sources.get_mut(&source) else { return };
        entry.pending = entry.pending.saturating_sub(1);
        if stands {
            entry.standing += 1;
            self.standing.insert(connection, source);
        }
    }

    /// A standing connection is closed.
    fn closed(&mut self, connection: ConnectionId) {
        if let Some(entry) = self.standing.remove(&connection).and_then(|source| self.sources.get_mut(&source)) {
            entry.standing = entry.standing.saturating_sub(1);
        }
    }

    /// Forgets the source that was quiet for longest. Those with connections stay: they are bounded by the connections.
    fn make_room(&mut self) {
        let idle = |it: &Entry| it.pending == 0 && it.standing == 0;
        let quiet = self.sources.iter().filter(|(_, it)| idle(it)).min_by_key(|(_, it)| it.seen);
        if let Some(source) = quiet.map(|(source, _)| *source) {
            self.sources.remove(&source);
        }
    }
}

/// The source of an inbound connection, unless it has none (memory).
pub(crate) fn source(local: &Multiaddr, remote: &Multiaddr) -> Option<Source> {
    if local.iter().any(|it| it == Protocol::P2pCircuit) {
        return local.iter().find_map(|it| match it {
            Protocol::P2p(relay) => Some(Source::Relay(relay)),
            _ => None,
        });
    }
    match remote.iter().next()? {
        Protocol::Ip4(ip) => Some(Source::Ip(ip.into())),
        Protocol::Ip6(ip) => Some(Source::Ip(network(ip.into()))),
        _ => None,
    }
}

/// What counts as one: an IPv4 address, the /64 of an IPv6 one.
fn network(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = ip else { return ip };
    match six.to_ipv4_mapped() {
        Some(mapped) => mapped.into(),
        None => {
            let [a, b, c, d, ..] = six.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, u16::from(six.is_loopback())).into()
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        match source(local, remote) {
            Some(Source::Ip(ip)) if !self.loopback && ip.is_loopback() => Ok(()),
            Some(source) => self.enter(connection, source, Instant::now()).map_err(ConnectionDenied::new),
            None => Ok(()),
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
            FromSwarm::ConnectionEstablished(event) => self.leave(event.connection_id, true),
            FromSwarm::ListenFailure(event) => self.leave(event.connection_id, false),
            FromSwarm::ConnectionClosed(event) => self.closed(event.connection_id),
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
    fn a_source_is_an_ipv4_address_or_an_ipv6_network_or_a_relay() {
        let here: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let of = |text: &str| match source(&here, &text.parse().unwrap()) {
            Some(Source::Ip(ip)) => Some(ip.to_string()),
            _ => None,
        };
        assert_eq!(of("/ip4/192.0.2.7/tcp/1").as_deref(), Some("192.0.2.7"));
        assert_eq!(of("/ip6/2001:db8:1:2:3:4:5:6/udp/1/quic-v1").as_deref(), Some("2001:db8:1:2::"));
        assert_eq!(of("/ip6/::ffff:192.0.2.7/tcp/1").as_deref(), Some("192.0.2.7"));
        assert_eq!(of("/ip6/::1/tcp/1").as_deref(), Some("::1"));
        assert_eq!(of("/memory/1"), None);
        let relay = crate::PeerId::from_seed(&[1; 32]);
        let through: Multiaddr = format!("/ip4/192.0.2.7/tcp/1/p2p/{relay}/p2p-circuit").parse().unwrap();
        let who: Multiaddr = format!("/p2p/{}", crate::PeerId::from_seed(&[2; 32])).parse().unwrap();
        assert_eq!(source(&through, &who), Some(Source::Relay(relay.to_libp2p())));
    }

    #[test]
    fn pending_connections_and_their_rate_are_bounded_by_source() {
        let now = Instant::now();
        let mut gate = Behaviour::new(true, u32::MAX);
        let (one, other) = (Source::Ip([192, 0, 2, 1].into()), Source::Ip([192, 0, 2, 2].into()));
        let id = ConnectionId::new_unchecked;
        let entered = (0..100).filter(|it| gate.enter(id(*it), one, now).is_ok()).count();
        assert_eq!(entered, SOURCE_PENDING);
        assert!(gate.enter(id(100), other, now).is_ok());
        (0..100).for_each(|it| gate.leave(id(it), false));
        let mut enters = |it| gate.enter(id(it), one, now).map(|()| gate.leave(id(it), false)).is_ok();
        let more = (200..400).filter(|it| enters(*it)).count();
        // Refused ones cost tokens only when the rate was asked.
        assert_eq!(entered + more, SOURCE_BURST as usize);
    }

    #[test]
    fn the_table_of_sources_is_bounded() {
        let now = Instant::now();
        let mut gate = Behaviour::new(true, u32::MAX);
        for number in 0..(SOURCES_MAX as u32 + 10) {
            let id = ConnectionId::new_unchecked(number as usize);
            assert!(gate.enter(id, Source::Ip(number.to_be_bytes().into()), now).is_ok());
            gate.leave(id, false);
        }
        assert!(gate.sources.len() <= SOURCES_MAX && gate.pending.is_empty());
    }

    #[test]
    fn standing_connections_are_bounded_by_source_and_a_banned_source_gets_none() {
        let now = Instant::now();
        let mut gate = Behaviour::new(true, 2);
        let ip = IpAddr::from([192, 0, 2, 1]);
        let id = ConnectionId::new_unchecked;
        for number in 0..2 {
            assert!(gate.enter(id(number), Source::Ip(ip), now).is_ok());
            gate.leave(id(number), true);
        }
        assert!(gate.enter(id(2), Source::Ip(ip), now).is_err());
        gate.closed(id(0));
        assert!(gate.enter(id(3), Source::Ip(ip), now).is_ok());
        gate.leave(id(3), true);
        assert_eq!((gate.sources_standing(), gate.standing_from(ip).len()), (1, 2));
        (0..4).for_each(|it| gate.closed(id(it)));
        assert!(gate.ban(ip));
        assert!(gate.enter(id(4), Source::Ip(ip), now).is_err());
        gate.unban(ip);
        assert!(gate.enter(id(4), Source::Ip(ip), now).is_ok());
    }
}
