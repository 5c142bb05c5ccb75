//! Addresses as links, bindings and settings carry them, and as the network dials them: direct ones, and ways through a relay.

use std::net::IpAddr;

use parlor_net::{Address, Carrier, Endpoint, Host, PeerId};
use parlor_proto::link;

/// What stands at the end of the address of a way through a relay.
const CIRCUIT: &str = "/p2p-circuit";

/// An address of a link as the network dials it.
pub(crate) fn to_address(address: &link::Address) -> Address {
    let host = match &address.host {
        link::Host::Ip4(ip) | link::Host::ViaIp4(_, ip) => Host::Ip(IpAddr::from(*ip)),
        link::Host::Ip6(ip) | link::Host::ViaIp6(_, ip) => Host::Ip(IpAddr::from(*ip)),
        link::Host::Name(name) | link::Host::ViaName(_, name) => Host::Dns(name.clone()),
    };
    let carrier = match address.transport {
        link::Transport::Tcp => Carrier::Tcp,
        link::Transport::Quic => Carrier::Quic,
    };
    let direct: Address = Endpoint { host, port: address.port, carrier }.into();
    let Some(relay) = address.relay() else { return direct };
    // An address with a peer and this behind it is one again.
    format!("{}{CIRCUIT}", direct.with_peer(PeerId::from_key(*relay))).parse().unwrap_or(direct)
}

/// An address of ours as a link carries it; `None` for one that has no compact form.
pub(crate) fn to_link(address: &Address) -> Option<link::Address> {
    if !address.is_relayed() {
        return direct(address);
    }
    let text = address.without_peer().to_string();
    let relay: Address = text.strip_suffix(CIRCUIT)?.parse().ok()?;
    direct(&relay)?.via(*relay.peer()?.as_key())
}

fn direct(address: &Address) -> Option<link::Address> {
    let Endpoint { host, port, carrier } = address.endpoint()?;
    let host = match host {
        Host::Ip(IpAddr::V4(ip)) => link::Host::Ip4(ip.octets()),
        Host::Ip(IpAddr::V6(ip)) => link::Host::Ip6(ip.octets()),
        Host::Dns(name) => link::Host::Name(name),
    };
    let transport = match carrier {
        Carrier::Tcp => link::Transport::Tcp,
        Carrier::Quic => link::Transport::Quic,
    };
    Some(link::Address { host, transport, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_comes_back_unchanged() {
        let relay = PeerId::from_seed(&[3; 32]);
        let us = PeerId::from_seed(&[4; 32]);
        for text in ["/ip4/192.0.2.7/udp/4001/quic-v1", "/ip6/2001:db8::1/tcp/9", "/dns/relay.example/tcp/443"] {
            let plain: Address = text.parse().unwrap();
            assert_eq!(to_address(&to_link(&plain).unwrap()), plain);
            let way: Address = format!("{text}/p2p/{relay}{CIRCUIT}/p2p/{us}").parse().unwrap();
            let link = to_link(&way).unwrap();
            assert_eq!(link.relay(), Some(relay.as_key()));
            assert_eq!(to_address(&link).with_peer(us), way);
        }
        assert_eq!(to_link(&"/memory/7".parse().unwrap()), None);
    }
}
