//! A fence around behaviours of libp2p that act on what strangers say.
//!
//! Some dial addresses that a stranger named: hole punching, walks of the DHT, probes of AutoNAT. [`Guarded`] wraps one and refuses its
//! dials unless every address is public; addresses that it adds to others' dials are dropped unless public. Relayed
//! addresses never pass: such a dial is for direct ways.
//!
//! Some hold `expect`s that a peer can reach by good timing (a reservation renewed in the moment it ends, libp2p-relay 0.22): a
//! panic while an event of a connection is taken in loses that event and nothing else.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, Ipv6Addr},
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
    },
};

/// A behaviour whose dials are checked.
pub(crate) struct Guarded<B> {
    inner: B,
    /// Private addresses may be dialled: tests and closed networks.
    lenient: bool,
    /// Dials of the inner behaviour that have not been decided.
    dials: HashSet<ConnectionId>,
}

/// A stranger named an address of a private network.
#[derive(Debug, thiserror::Error)]
#[error("the address is not a public one")]
struct Private;

impl<B> Guarded<B> {
    pub(crate) fn new(inner: B, lenient: bool) -> Self {
        Self { inner, lenient, dials: HashSet::new() }
    }

    fn passes(&self, address: &Multiaddr) -> bool {
        is_direct(address) && (self.lenient || is_public(address))
    }
}

impl<B> Deref for Guarded<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B> DerefMut for Guarded<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

fn is_direct(address: &Multiaddr) -> bool {
    address.iter().all(|it| it != Protocol::P2pCircuit)
}

/// The address is by IP and can be one of the public internet. Ranges for documentation count as public: nothing is behind them
/// that could be harmed, and test networks use them.
pub(crate) fn is_public(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => is_public_v4(ip),
        Some(Protocol::Ip6(ip)) => is_public_v6(ip),
        _ => false,
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    // 100.64/10 is between a carrier's address translators (RFC 6598), 0/8 is this network.
    let shared = a == 100 && (64..128).contains(&b);
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || a == 0
        || shared
        || a >= 240)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(mapped) = ip.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    // 2000::/3 is what is given out; within it, 2002::/16 leads to the IPv4 address inside.
    let [first, second, third, ..] = ip.segments();
    let inside = || {
        let ([a, b], [c, d]) = (second.to_be_bytes(), third.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    first & 0xe000 == 0x2000 && (first != 0x2002 || inside())
}

impl<B: NetworkBehaviour> NetworkBehaviour for Guarded<B> {
    type ConnectionHandler = B::ConnectionHandler;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if self.dials.remove(&id) && !addresses.iter().all(|it| self.passes(it)) {
            return Err(ConnectionDenied::new(Private));
        }
        let mut more = self.inner.handle_pending_outbound_connection(id, peer, addresses, role)?;
        more.retain(|it| self.passes(it));
        Ok(more)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::DialFailure(failure) = &event {
            self.dials.remove(&failure.connection_id);
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        // The known ones look something up before they change anything, so what is left behind is whole.
        let taken = catch_unwind(AssertUnwindSafe(|| self.inner.on_connection_handler_event(peer, id, event)));
        if taken.is_err() {
            tracing::error!(
                behaviour = std::any::type_name::<B>(),
                "an event of a connection was lost to a bug of libp2p"
            );
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<B::ToSwarm, THandlerInEvent<Self>>> {
        let action = self.inner.poll(cx);
        if let Poll::Ready(ToSwarm::Dial { opts }) = &action {
            self.dials.insert(opts.connection_id());
        }
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_networks_are_told_from_the_internet() {
        for public in ["/ip4/8.8.8.8/tcp/1", "/ip4/203.0.113.9/udp/1/quic-v1", "/ip6/2a00:1450::1/tcp/1"] {
            assert!(is_public(&public.parse().unwrap()), "{public}");
        }
        for private in [
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/172.31.0.1/tcp/1",
            "/ip4/192.168.1.1/tcp/1",
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/169.254.1.1/tcp/1",
            "/ip4/100.64.0.1/tcp/1",
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/224.0.0.1/tcp/1",
            "/ip4/255.255.255.255/tcp/1",
            "/ip6/::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/::ffff:192.168.1.1/tcp/1",
            "/ip6/2002:c0a8:101::1/tcp/1",
            "/dns/localhost/tcp/1",
            "/memory/1",
        ] {
            assert!(!is_public(&private.parse().unwrap()), "{private}");
        }
    }
}
