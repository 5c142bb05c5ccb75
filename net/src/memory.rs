//! The in-process transport of tests, with addresses like those of real machines.
//!
//! libp2p's memory transport knows `/memory/N` only, which has no compact form for links and bindings. Here an address of the
//! kind `/ip4/A/tcp/P` is a place in memory too: one to one, so that whole nodes run in one process without a socket and
//! without knowing it. `/memory/N` goes on working. Nothing leaves the process.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};

use libp2p::Multiaddr;
use libp2p::core::transport::{DialOpts, ListenerId, MemoryTransport, Transport, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;

/// Set in the places that stand for an IP address and port.
const NAMED: u64 = 1 << 48;
/// How often a free port is tried when any will do: of 65,535, so that a thousand nodes on one address find theirs.
const TRIES: u64 = 64;

/// The memory transport under the addresses of machines. Its places are free again when it is dropped.
#[derive(Default)]
pub(crate) struct InProcess {
    inner: MemoryTransport,
    listeners: HashSet<ListenerId>,
}

/// The place of an address; a port of 0 becomes `port`. Other kinds stay as they are.
fn place(address: &Multiaddr, port: u16) -> Multiaddr {
    let mut parts = address.iter();
    let (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(asked))) = (parts.next(), parts.next()) else {
        return address.clone();
    };
    let chosen = if asked == 0 { port } else { asked };
    let place = NAMED | u64::from(u32::from(ip)) << 16 | u64::from(chosen);
    parts.fold(Multiaddr::empty().with(Protocol::Memory(place)), Multiaddr::with)
}

/// The address that stands for a place, if one does.
fn address(place: Multiaddr) -> Multiaddr {
    match place.iter().next() {
        Some(Protocol::Memory(at)) if at & !(NAMED - 1) == NAMED => {
            let (ip, port) = (((at & (NAMED - 1)) >> 16) as u32, (at & 0xFFFF) as u16);
            Multiaddr::empty().with(Protocol::Ip4(Ipv4Addr::from(ip))).with(Protocol::Tcp(port))
        }
        _ => place,
    }
}

fn any_port(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::Tcp(0))
}

impl Transport for InProcess {
    type Output = <MemoryTransport as Transport>::Output;
    type Error = <MemoryTransport as Transport>::Error;
    type ListenerUpgrade = <MemoryTransport as Transport>::ListenerUpgrade;
    type Dial = <MemoryTransport as Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        let tries = if any_port(&address) { TRIES } else { 1 };
        let mut last = Ok(());
        for _ in 0..tries {
            last = self.inner.listen_on(id, place(&address, rand::random_range(1..=u16::MAX)));
            if last.is_ok() {
                self.listeners.insert(id);
                break;
            }
        }
        last
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.listeners.remove(&id);
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Self::Error>> {
        self.inner.dial(place(&address, 0), options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx).map(|event| match event {
            TransportEvent::NewAddress { listener_id, listen_addr } => {
                TransportEvent::NewAddress { listener_id, listen_addr: address(listen_addr) }
            }
            TransportEvent::AddressExpired { listener_id, listen_addr } => {
                TransportEvent::AddressExpired { listener_id, listen_addr: address(listen_addr) }
            }
            TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr } => {
                TransportEvent::Incoming { listener_id, upgrade, local_addr: address(local_addr), send_back_addr }
            }
            other => other,
        })
    }
}

impl Drop for InProcess {
    /// libp2p's own leaves the places of its listeners taken.
    fn drop(&mut self) {
        for id in std::mem::take(&mut self.listeners) {
            self.inner.remove_listener(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_node_is_gone() {
        let address: Multiaddr = "/ip4/127.9.9.9/tcp/9".parse().unwrap();
        let mut first = InProcess::default();
        first.listen_on(ListenerId::next(), address.clone()).unwrap();
        assert!(InProcess::default().listen_on(ListenerId::next(), address.clone()).is_err());
        drop(first);
        InProcess::default().listen_on(ListenerId::next(), address).unwrap();
    }

    #[test]
    fn an_address_of_a_machine_is_a_place_and_comes_back() {
        for text in ["/ip4/127.0.0.1/tcp/1", "/ip4/255.255.255.255/tcp/65535", "/ip4/0.0.0.1/tcp/80"] {
            let given: Multiaddr = text.parse().unwrap();
            let place = place(&given, 9);
            assert!(matches!(place.iter().next(), Some(Protocol::Memory(_))), "{place}");
            assert_eq!(address(place), given);
        }
        let given: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        assert_eq!(address(place(&given, 77)).to_string(), "/ip4/127.0.0.1/tcp/77");
        for text in ["/memory/7", "/ip4/127.0.0.1/udp/1/quic-v1"] {
            let given: Multiaddr = text.parse().unwrap();
            assert_eq!(address(place(&given, 9)), given);
        }
    }
}
