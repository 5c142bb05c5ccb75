//! Listening, with errors that say what is wrong.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use libp2p::{Swarm, swarm::NetworkBehaviour};
use socket2::{Domain, Socket, Type};

use crate::{Address, Carrier, Endpoint, Host, NetworkError, task::root};

/// Listens on an address.
///
/// libp2p lets TCP listeners share a port, so a second node would start and get half of the first one's connections. So the
/// port is first taken without sharing, as a test.
pub(crate) fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>, address: &Address) -> Result<(), NetworkError> {
    let failed = |reason: String| NetworkError::Listen { address: address.clone(), reason };
    if let Some(Endpoint { host: Host::Ip(ip), port, carrier }) = address.endpoint() {
        take(SocketAddr::new(ip, port), carrier).map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => NetworkError::AddressInUse { address: address.clone() },
            _ => failed(error.to_string()),
        })?;
    }
    match swarm.listen_on(address.without_peer().as_multiaddr().clone()) {
        Ok(_) => Ok(()),
        Err(libp2p::TransportError::MultiaddrNotSupported(_)) => Err(failed("no transport for such an address".into())),
        Err(libp2p::TransportError::Other(error)) => Err(failed(root(&error))),
    }
}

/// Takes a port and gives it back. As libp2p does it a socket of IPv6 takes that of IPv6 alone: `[::]` stands beside `0.0.0.0`.
fn take(at: SocketAddr, carrier: Carrier) -> io::Result<()> {
    let kind = match carrier {
        Carrier::Tcp => Type::STREAM,
        Carrier::Quic => Type::DGRAM,
    };
    let socket = Socket::new(Domain::for_address(at), kind, None)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if carrier == Carrier::Quic {
        return socket.bind(&at.into());
    }
    // Connections of a process before that are not quite over are nobody's; on Windows the option would share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(1)
}
