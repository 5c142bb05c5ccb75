//! Listening, with errors that say what is wrong.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use libp2p::{Swarm, swarm::NetworkBehaviour};

use crate::{Address, Carrier, Endpoint, Host, NetworkError, task::root};

/// Listens on an address.
///
/// libp2p lets TCP listeners share a port, so a second node would start and get half of the first one's connections. So the
/// port is first taken without sharing, as a test.
pub(crate) fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>, address: &Address) -> Result<(), NetworkError> {
    let failed = |reason: String| NetworkError::Listen { address: address.clone(), reason };
    if let Some(Endpoint { host: Host::Ip(ip), port, carrier }) = address.endpoint() {
        let socket = SocketAddr::new(ip, port);
        let free = match carrier {
            Carrier::Tcp => TcpListener::bind(socket).map(drop),
            Carrier::Quic => UdpSocket::bind(socket).map(drop),
        };
        free.map_err(|error| match error.kind() {
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
