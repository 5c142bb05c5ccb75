//! Where a peer can be reached.
//!
//! [`Address`] is a multiaddr such as `/ip4/192.0.2.7/udp/4001/quic-v1`, optionally ending in `/p2p/<peer id>`.
//! [`Endpoint`] is the compact form (host, port, carrier) that invite links carry, so that the crate that encodes links
//! need not know libp2p.

use std::{fmt, net::IpAddr, str::FromStr};

use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::PeerId;

/// A peer's address: a multiaddr of a kind this node can use.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Multiaddr);

/// A host and port with what is spoken there: the compact form of an [`Address`] without peer id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The machine.
    pub host: Host,
    /// The TCP or UDP port.
    pub port: u16,
    /// TCP with Noise, or QUIC.
    pub carrier: Carrier,
}

/// The machine in an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// By IP address.
    Ip(IpAddr),
    /// By name; resolved when dialled.
    Dns(String),
}

/// What carries a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// TCP, Noise, Yamux.
    Tcp,
    /// QUIC version 1 over UDP.
    Quic,
}

/// Why text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseAddressError {
    /// Not a multiaddr.
    #[error("not a multiaddr such as /ip4/192.0.2.7/tcp/4001")]
    Malformed,
    /// The peer id at its end is not one of Parlor's.
    #[error("the peer id in the address is not of an ed25519 key")]
    PeerId,
}

impl Address {
    /// The address without a final `/p2p/<peer id>`.
    pub fn without_peer(&self) -> Self {
        let mut addr = self.0.clone();
        if matches!(addr.iter().last(), Some(Protocol::P2p(_))) {
            addr.pop();
        }
        Self(addr)
    }

    /// The address ending in `/p2p/<peer>`.
    pub fn with_peer(&self, peer: PeerId) -> Self {
        let Self(addr) = self.without_peer();
        Self(addr.with(Protocol::P2p(peer.to_libp2p())))
    }

    /// The peer id at the end, if there is one.
    pub fn peer(&self) -> Option<PeerId> {
        match self.0.iter().last() {
            Some(Protocol::P2p(id)) => PeerId::from_libp2p(&id).ok(),
            _ => None,
        }
    }

    /// The compact form, if the address is a plain host and port over TCP or QUIC.
    pub fn endpoint(&self) -> Option<Endpoint> {
        let Self(addr) = self.without_peer();
        let mut parts = addr.iter();
        let host = match parts.next()? {
            Protocol::Ip4(ip) => Host::Ip(ip.into()),
            Protocol::Ip6(ip) => Host::Ip(ip.into()),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Host::Dns(name.into_owned()),
            _ => return None,
        };
        let (port, carrier) = match (parts.next()?, parts.next()) {
            (Protocol::Tcp(port), None) => (port, Carrier::Tcp),
            (Protocol::Udp(port), Some(Protocol::QuicV1)) => (port, Carrier::Quic),
            _ => return None,
        };
        parts.next().is_none().then_some(Endpoint { host, port, carrier })
    }

    /// The machine that is dialled: of a way through a relay, the relay.
    pub fn host(&self) -> Option<Host> {
        match self.0.iter().next()? {
            Protocol::Ip4(ip) => Some(Host::Ip(ip.into())),
            Protocol::Ip6(ip) => Some(Host::Ip(ip.into())),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Some(Host::Dns(name.into_owned())),
            _ => None,
        }
    }

    /// The port that is dialled.
    pub fn port(&self) -> Option<u16> {
        match self.0.iter().nth(1)? {
            Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
            _ => None,
        }
    }

    /// The way leads through a relay.
    pub fn is_relayed(&self) -> bool {
        self.0.iter().any(|it| it == Protocol::P2pCircuit)
    }

    /// The relay on the way, if the way leads through one.
    pub fn relay(&self) -> Option<PeerId> {
        let before = self.0.iter().take_while(|it| *it != Protocol::P2pCircuit);
        match before.last() {
            Some(Protocol::P2p(id)) if self.is_relayed() => PeerId::from_libp2p(&id).ok(),
            _ => None,
        }
    }

    /// The relay's own address, of an address that leads through one: what comes before `/p2p-circuit`, ending in the relay's peer
    /// id.
    pub fn relay_address(&self) -> Option<Self> {
        let before = self.0.iter().take_while(|it| *it != Protocol::P2pCircuit);
        self.is_relayed().then(|| Self(before.collect()))
    }

    /// The address of `peer` through `relay`, which is reached at this address:
    /// `<this>/p2p/<relay>/p2p-circuit/p2p/<peer>`.
    pub fn through(&self, relay: PeerId, peer: PeerId) -> Self {
        let Self(addr) = self.with_peer(relay);
        Self(addr.with(Protocol::P2pCircuit).with(Protocol::P2p(peer.to_libp2p())))
    }

    /// The address is by IP and can be one of the public internet. Ranges for documentation count as such.
    pub fn is_public(&self) -> bool {
        crate::guarded::is_public(&self.0)
    }

    /// The address is of this machine only (loopback, or the in-process transport of tests).
    pub fn is_loopback(&self) -> bool {
        match self.0.iter().next() {
            Some(Protocol::Ip4(ip)) => ip.is_loopback(),
            Some(Protocol::Ip6(ip)) => ip.is_loopback(),
            Some(Protocol::Memory(_)) => true,
            _ => false,
        }
    }

    /// The address stands for every address of this machine (`0.0.0.0`, `::`): to listen on, not to dial.
    pub fn is_unspecified(&self) -> bool {
        match self.0.iter().next() {
            Some(Protocol::Ip4(ip)) => ip.is_unspecified(),
            Some(Protocol::Ip6(ip)) => ip.is_unspecified(),
            _ => false,
        }
    }

    /// An address of the in-process transport of tests; port 0 picks a free one.
    pub fn memory(port: u64) -> Self {
        Self(Multiaddr::empty().with(Protocol::Memory(port)))
    }

    pub(crate) fn from_multiaddr(addr: Multiaddr) -> Self {
        Self(addr)
    }

    pub(crate) fn as_multiaddr(&self) -> &Multiaddr {
        &self.0
    }
}

impl From<Endpoint> for Address {
    fn from(Endpoint { host, port, carrier }: Endpoint) -> Self {
        let host = match host {
            Host::Ip(IpAddr::V4(ip)) => Protocol::Ip4(ip),
            Host::Ip(IpAddr::V6(ip)) => Protocol::Ip6(ip),
            Host::Dns(name) => Protocol::Dns(name.into()),
        };
        let addr = Multiaddr::empty().with(host);
        Self(match carrier {
            Carrier::Tcp => addr.with(Protocol::Tcp(port)),
            Carrier::Quic => addr.with(Protocol::Udp(port)).with(Protocol::QuicV1),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.0)
    }
}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let addr: Multiaddr = text.parse().map_err(|_| ParseAddressError::Malformed)?;
        if addr.is_empty() {
            return Err(ParseAddressError::Malformed);
        }
        for part in &addr {
            if let Protocol::P2p(id) = part {
                PeerId::from_libp2p(&id).map_err(|_| ParseAddressError::PeerId)?;
            }
        }
        Ok(Self(addr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_forms_come_back_unchanged() {
        for text in [
            "/ip4/192.0.2.7/tcp/4001",
            "/ip4/192.0.2.7/udp/4001/quic-v1",
            "/ip6/2001:db8::1/udp/9/quic-v1",
            "/dns/relay.example.org/tcp/443",
        ] {
            let address: Address = text.parse().unwrap();
            let endpoint = address.endpoint().unwrap();
            assert_eq!(Address::from(endpoint), address);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn a_peer_id_is_put_on_and_taken_off() {
        let peer = PeerId::from_seed(&[1; 32]);
        let plain: Address = "/ip4/192.0.2.7/tcp/4001".parse().unwrap();
        let full = plain.with_peer(peer);
        assert_eq!(full.peer(), Some(peer));
        assert_eq!(full.without_peer(), plain);
        assert_eq!(full.with_peer(peer), full);
        assert_eq!(full.endpoint(), plain.endpoint());
        assert_eq!(full.to_string().parse(), Ok(full));
    }

    #[test]
    fn a_way_through_a_relay_names_the_relay_and_the_peer() {
        let (relay, peer) = (PeerId::from_seed(&[1; 32]), PeerId::from_seed(&[2; 32]));
        let direct: Address = "/ip4/192.0.2.7/tcp/4001".parse().unwrap();
        let circuit = direct.through(relay, peer);
        assert_eq!(circuit.to_string(), format!("/ip4/192.0.2.7/tcp/4001/p2p/{relay}/p2p-circuit/p2p/{peer}"));
        assert_eq!((circuit.relay(), circuit.peer(), circuit.is_relayed()), (Some(relay), Some(peer), true));
        assert_eq!(circuit.relay_address(), Some(direct.with_peer(relay)));
        assert_eq!((direct.with_peer(peer).relay(), direct.relay_address(), circuit.endpoint()), (None, None, None));
        assert_eq!(circuit.without_peer().with_peer(peer), circuit);
    }

    #[test]
    fn other_ways_have_no_compact_form() {
        for text in ["/memory/7", "/ip4/192.0.2.7/tcp/1/ws", "/ip4/192.0.2.7/udp/1", "/ip4/192.0.2.7"] {
            assert_eq!(text.parse::<Address>().unwrap().endpoint(), None, "{text}");
        }
        for text in ["", "192.0.2.7:4001", "/ip4/999.0.0.1/tcp/1"] {
            assert_eq!(text.parse::<Address>(), Err(ParseAddressError::Malformed), "{text}");
        }
    }
}
