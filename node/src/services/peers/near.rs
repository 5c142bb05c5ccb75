//! Which addresses are dialled on a member's word, and which of ours are told.
//!
//! Members tell where their devices can be reached, and could name anything: the printer next to us, the router, a port of
//! this machine. What anybody may reach is dialled. What means something only in a certain network is dialled only if we are
//! in such a network too, by the addresses we listen on; and there no port below 1024, where other services listen and
//! Parlor does not. So it is with relays that a room's settings or a contact's letter names. Where we were connected before, what
//! our own settings and a person's link or card say, and what the local network itself announces is not judged by this.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use parlor_net::{Address, Carrier, Host};

/// Ports below this are of other services.
const FIRST_PORT: u16 = 1024;

/// Where an address means the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Everywhere.
    Everywhere,
    /// In the networks whose addresses begin with these bits.
    Network(u128, u32),
    /// On one machine.
    Machine,
    /// Nowhere: it stands for no machine, or for many.
    Nowhere,
}

/// How far an address is good, the farthest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Spread {
    /// For everybody.
    World,
    /// For a private network.
    Network,
    /// For this machine.
    Machine,
}

/// Whether an address that a member told is dialled, by a node that listens on `ours`.
pub(super) fn may_dial(told: &Address, ours: &[Address]) -> bool {
    let scope = scope(told);
    if matches!(scope, Scope::Network(..) | Scope::Machine) && told.port().is_some_and(|port| port < FIRST_PORT) {
        return false;
    }
    match scope {
        Scope::Everywhere => true,
        Scope::Nowhere => false,
        Scope::Network(..) => ours.iter().any(|own| self::scope(own) == scope),
        // A node that is on a network does not look for members on its own machine: they are on the network as well.
        Scope::Machine => ours.iter().all(|own| self::scope(own) == Scope::Machine),
    }
}

/// The addresses of ours that others can dial, best first. Only few are told, so one of each sort comes first: a global one, which by
/// IPv4 is told by TCP too before any of a local network, for whoever has neither UDP nor IPv6; then the second ones of each sort. First
/// of its sort is the one that is `used`, by which this machine reaches others: beside it stand those of virtual networks,
/// and older ones by IPv6. Loopback is for two nodes on one machine, and last.
pub(super) fn dialable(listening: &[Address], used: &[IpAddr]) -> Vec<Address> {
    let is_used = |address: &Address| matches!(address.host(), Some(Host::Ip(ip)) if used.contains(&ip));
    let mut all: Vec<&Address> = listening.iter().collect();
    all.sort_by_key(|address| !is_used(address));
    let mut counts: HashMap<_, usize> = HashMap::new();
    let ranked = |address: &&Address| {
        let spread = spread(address)?;
        let is_tcp = address.endpoint().is_none_or(|endpoint| endpoint.carrier != Carrier::Quic);
        let is_v6 = matches!(address.host(), Some(Host::Ip(IpAddr::V6(_))));
        let count = counts.entry((spread, is_tcp, is_v6)).or_default();
        *count += 1;
        let for_all = spread == Spread::World && !is_v6;
        Some(((spread == Spread::Machine, *count, is_tcp && !for_all, spread, is_v6, is_tcp), (*address).clone()))
    };
    let mut addresses: Vec<_> = all.iter().filter_map(ranked).collect();
    addresses.sort_by_key(|(rank, _)| *rank);
    addresses.into_iter().map(|(_, address)| address).collect()
}

/// The addresses by which this machine reaches others, as its tables of routes say. Nothing is sent.
pub(super) fn used() -> Vec<IpAddr> {
    let of = |from: &str, to: &str| {
        let socket = UdpSocket::bind(from).ok()?;
        // Of ranges for documentation (RFC 5737, RFC 3849): routed like any other.
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    [of("0.0.0.0:0", "198.51.100.1:9"), of("[::]:0", "[2001:db8::1]:9")].into_iter().flatten().collect()
}

/// How far an address of ours is good, for those it is told to; `None` if it means nothing to anybody else.
fn spread(address: &Address) -> Option<Spread> {
    // One without a host leads to somebody in this process.
    if address.host().is_none() {
        return Some(Spread::World);
    }
    match scope(address) {
        Scope::Everywhere => Some(Spread::World),
        Scope::Network(..) => Some(Spread::Network),
        Scope::Machine => Some(Spread::Machine),
        Scope::Nowhere => None,
    }
}

fn scope(address: &Address) -> Scope {
    match address.host() {
        Some(Host::Ip(IpAddr::V4(ip))) => scope_v4(ip),
        Some(Host::Ip(IpAddr::V6(ip))) => match ip.to_ipv4_mapped() {
            Some(ip) => scope_v4(ip),
            None => scope_v6(ip),
        },
        Some(Host::Dns(name)) => scope_of_name(&name),
        None => Scope::Nowhere,
    }
}

fn scope_v4(ip: Ipv4Addr) -> Scope {
    let network = |bits| Scope::Network(u128::from(u32::from(ip) >> (32 - bits)), bits);
    let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0b1100_0000 == 64;
    match ip {
        _ if ip.is_loopback() => Scope::Machine,
        _ if ip.octets()[0] == 0 || ip.is_multicast() || ip.octets()[0] >= 240 => Scope::Nowhere,
        // 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and 169.254.0.0/16 are used in parts: whoever shares the first half.
        _ if ip.is_private() || ip.is_link_local() => network(16),
        // 100.64.0.0/10, of providers and overlays, as one.
        _ if shared => network(10),
        _ => Scope::Everywhere,
    }
}

fn scope_v6(ip: Ipv6Addr) -> Scope {
    let bits = u128::from(ip);
    match ip {
        _ if ip.is_loopback() => Scope::Machine,
        _ if ip.is_unspecified() || ip.is_multicast() => Scope::Nowhere,
        // fe80::/10 means something only with an interface, which is not told.
        _ if bits >> 118 == 0xfe80 >> 6 => Scope::Nowhere,
        // fc00::/7: a site has 48 bits of its own.
        _ if bits >> 121 == 0xfc >> 1 => Scope::Network(bits >> 80, 48),
        _ => Scope::Everywhere,
    }
}

/// Names that mean something only in a network lead there; nobody's node is known by one.
fn scope_of_name(name: &str) -> Scope {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let local = ["localhost", "local", "lan", "internal", "intranet", "home", "corp", "home.arpa"];
    let ends = |with: &&str| name == **with || name.strip_suffix(*with).is_some_and(|rest| rest.ends_with('.'));
    if !name.contains('.') || local.iter().any(ends) || name.parse::<IpAddr>().is_ok() {
        return Scope::Nowhere;
    }
    Scope::Everywhere
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<Address> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[track_caller]
    fn check(ours: &[&str], told: &str, dialled: bool) {
        let all = addresses(ours);
        assert_eq!(may_dial(&told.parse().unwrap(), &all), dialled, "{told} by {ours:?}");
    }

    const HOME: [&str; 3] =
        ["/ip4/127.0.0.1/tcp/4001", "/ip4/192.168.1.7/udp/4001/quic-v1", "/ip6/fd12:3456:789a::7/tcp/4001"];

    #[test]
    fn what_anybody_may_reach_is_dialled_by_all() {
        for ours in [&HOME[..], &[], &["/ip4/127.0.0.1/tcp/4001"]] {
            check(ours, "/ip4/203.0.113.9/tcp/80", true);
            check(ours, "/ip6/2001:db8::1/udp/443/quic-v1", true);
            check(ours, "/dns/node.example.org/tcp/443", true);
            check(ours, "/ip4/100.128.0.1/tcp/4001", true);
            check(ours, "/ip4/172.32.0.1/tcp/4001", true);
        }
    }

    #[test]
    fn members_on_our_own_network_are_dialled_and_those_of_other_private_networks_are_not() {
        check(&HOME, "/ip4/192.168.77.9/tcp/5001", true);
        check(&HOME, "/ip6/fd12:3456:789a:1::9/tcp/5001", true);
        for foreign in [
            "/ip4/10.0.0.1/tcp/5001",
            "/ip4/172.16.0.1/udp/5001/quic-v1",
            "/ip4/169.254.169.254/tcp/5001",
            "/ip4/100.64.0.1/tcp/5001",
            "/ip6/fd00::9/tcp/5001",
            "/ip6/fe80::9/tcp/5001",
            "/ip6/::ffff:10.0.0.1/tcp/5001",
        ] {
            check(&HOME, foreign, false);
        }
        check(&["/ip4/10.1.2.3/tcp/9"], "/ip4/10.1.200.3/tcp/5001", true);
        check(&["/ip4/10.1.2.3/tcp/9"], "/ip4/10.2.2.3/tcp/5001", false);
        check(&["/ip4/100.64.0.1/tcp/9"], "/ip4/100.127.0.1/tcp/5001", true);
        check(&["/ip4/203.0.113.9/tcp/9"], "/ip4/192.168.1.1/tcp/5001", false);
    }

    #[test]
    fn other_services_of_our_network_and_machine_are_left_alone() {
        for port in ["22", "53", "80", "443", "445", "631", "1023"] {
            check(&HOME, &format!("/ip4/192.168.1.1/tcp/{port}"), false);
            check(&["/ip4/127.0.0.1/tcp/4001"], &format!("/ip4/127.0.0.1/tcp/{port}"), false);
        }
        check(&HOME, "/ip4/127.0.0.1/tcp/6379", false);
        check(&HOME, "/ip6/::1/tcp/6379", false);
        check(&["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/tcp/4001"], "/ip4/127.0.0.1/tcp/5001", true);
    }

    #[test]
    fn what_is_no_machine_and_names_of_local_networks_are_never_dialled() {
        for nothing in [
            "/ip4/0.0.0.0/tcp/5001",
            "/ip4/0.1.2.3/tcp/5001",
            "/ip4/224.0.0.251/udp/5353/quic-v1",
            "/ip4/255.255.255.255/udp/5001/quic-v1",
            "/ip6/::/tcp/5001",
            "/ip6/ff02::fb/udp/5353/quic-v1",
            "/dns/localhost/tcp/5001",
            "/dns/printer/tcp/9100",
            "/dns/printer.local/tcp/9100",
            "/dns/Printer.LAN./tcp/9100",
            "/dns/db.corp/tcp/5432",
            "/dns/10.0.0.1/tcp/5001",
        ] {
            check(&HOME, nothing, false);
            check(&["/ip4/127.0.0.1/tcp/4001"], nothing, false);
        }
        check(&HOME, "/dns/thelocal.example/tcp/443", true);
    }

    #[test]
    fn a_relay_is_judged_by_where_it_is_too() {
        let relayed = |at: &str| format!("{at}/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit");
        check(&HOME, &relayed("/ip4/203.0.113.9/tcp/4001"), true);
        check(&HOME, &relayed("/ip4/10.0.0.1/tcp/4001"), false);
    }

    #[test]
    fn of_many_own_addresses_one_of_each_sort_is_told_first_and_the_one_that_is_used_before_others() {
        let of = |host: &str| [format!("{host}/tcp/5001"), format!("{host}/udp/5001/quic-v1")];
        let all = |hosts: &[&str]| -> Vec<Address> {
            hosts.iter().flat_map(|host| of(host)).map(|text| text.parse().unwrap()).collect()
        };
        let used = ["2001:db8::8".parse().unwrap(), "192.168.1.7".parse().unwrap(), "203.0.113.9".parse().unwrap()];
        let home =
            ["/ip6/::1", "/ip4/127.0.0.1", "/ip6/fe80::7", "/ip4/172.17.0.1", "/ip6/2001:db8::7", "/ip6/2001:db8::8"];
        let told = [
            "/ip6/2001:db8::8/udp/5001/quic-v1",
            "/ip4/192.168.1.7/udp/5001/quic-v1",
            "/ip6/2001:db8::8/tcp/5001",
            "/ip4/192.168.1.7/tcp/5001",
            "/ip6/2001:db8::7/udp/5001/quic-v1",
            "/ip4/172.17.0.1/udp/5001/quic-v1",
            "/ip6/2001:db8::7/tcp/5001",
            "/ip4/172.17.0.1/tcp/5001",
            "/ip4/127.0.0.1/udp/5001/quic-v1",
            "/ip6/::1/udp/5001/quic-v1",
            "/ip4/127.0.0.1/tcp/5001",
            "/ip6/::1/tcp/5001",
        ];
        let home = [&home[..], &["/ip4/192.168.1.7"]].concat();
        assert_eq!(dialable(&all(&home), &used), addresses(&told), "and none that means nothing elsewhere");
        let server = ["/ip4/172.17.0.1", "/ip4/203.0.113.9", "/ip6/2001:db8::7"];
        let told =
            ["/ip4/203.0.113.9/udp/5001/quic-v1", "/ip4/203.0.113.9/tcp/5001", "/ip6/2001:db8::7/udp/5001/quic-v1"];
        assert_eq!(dialable(&all(&server), &used)[..3], addresses(&told), "also for who has no UDP");
        assert_eq!(dialable(&addresses(&["/ip4/0.0.0.0/tcp/5001", "/ip6/::/tcp/5001"]), &used), []);
    }
}
