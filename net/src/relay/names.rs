//! Other relays that are named by DNS: where they are.
//!
//! Nodes and relays that ask the DHT take addresses by IP only, since a name could lead anywhere, so a name in the table would
//! be no answer. What the operator's name stands for is looked up each time the relay is connected.

use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::{net::lookup_host, time::timeout};

use crate::{Address, limits::CONNECT_DEADLINE};

/// The addresses by IP that an address stands for; itself if it has no name.
pub(super) async fn by_ip(address: &Address) -> Vec<Multiaddr> {
    let mut parts = address.as_multiaddr().iter();
    let (name, four, six) = match parts.next() {
        Some(Protocol::Ip4(_) | Protocol::Ip6(_)) => return vec![address.as_multiaddr().clone()],
        Some(Protocol::Dns(name)) => (name, true, true),
        Some(Protocol::Dns4(name)) => (name, true, false),
        Some(Protocol::Dns6(name)) => (name, false, true),
        _ => return Vec::new(),
    };
    let rest: Vec<_> = parts.collect();
    // The port is of no matter to the question.
    let Ok(Ok(found)) = timeout(CONNECT_DEADLINE, lookup_host((name.as_ref(), 0))).await else { return Vec::new() };
    let mut ips: Vec<_> = found.map(|it| it.ip()).filter(|ip| if ip.is_ipv4() { four } else { six }).collect();
    ips.sort_unstable();
    ips.dedup();
    let with = |ip| rest.iter().fold(Multiaddr::from(ip), |address, part| address.with(part.clone()));
    ips.into_iter().map(with).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_becomes_addresses_of_its_kind_with_everything_behind_it() {
        let of = async |text: &str| -> Vec<String> {
            by_ip(&text.parse().unwrap()).await.iter().map(ToString::to_string).collect()
        };
        assert_eq!(of("/ip4/192.0.2.1/udp/1/quic-v1").await, ["/ip4/192.0.2.1/udp/1/quic-v1"]);
        assert_eq!(of("/dns4/localhost/udp/4001/quic-v1").await, ["/ip4/127.0.0.1/udp/4001/quic-v1"]);
        assert!(of("/dns/localhost/tcp/1").await.contains(&"/ip4/127.0.0.1/tcp/1".to_owned()));
        assert!(of("/dns4/no-such-name.invalid/tcp/1").await.is_empty());
    }
}
