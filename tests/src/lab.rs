//! A small internet of network namespaces on one machine, so that relays, hole punching and bad links are tried with real programs.
//!
//! ```text
//!              "the internet" 203.0.113.0/24, one segment
//!    ____________|______________|______________|___________
//!   |            |              |              |           |
//!  relay .10    second .11     natA .1        natB .2     open hosts .20 and up
//!                               |              |
//!                              (carrier)      (carrier)    with carrier-grade NAT one more box
//!                               |              |
//!                              hostA          hostB        10.0.SIDE.2
//! ```
//!
//! Every address, route and rule lives in a namespace of this process and goes away with the [`Lab`]; none has a way out. It needs root,
//! `ip` and `nft`. Delay and loss need either netem in the kernel (`tc`) or `python3` with `/dev/net/tun`, for `lab/switch.py`.
//!
//! Two details matter: a box drops unknown packets silently, because an answer would spoil a simultaneous open in a way that no
//! real router does; and plain masquerade keeps ports, so it is a port-restricted cone, while a symmetric NAT needs
//! `fully-random`.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::program::{Ended, at};
use crate::{Relay, eventually};

/// The kind of address translation that a host is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatKind {
    /// None: the host is on the internet.
    Open,
    /// Whoever knows the mapped port gets in.
    FullCone,
    /// Whoever was sent to gets in, from any of its ports.
    AddressRestricted,
    /// Only the very address and port that was sent to gets in: the common home router.
    PortRestricted,
    /// A fresh outside port for each destination.
    Symmetric,
    /// Port-restricted twice: at home, and at the carrier.
    Carrier,
    /// Port-restricted, and no UDP gets out: a strict office.
    UdpBlocked,
}

impl NatKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::FullCone,
        Self::AddressRestricted,
        Self::PortRestricted,
        Self::Symmetric,
        Self::Carrier,
        Self::UdpBlocked,
    ];
}

impl fmt::Display for NatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "none",
            Self::FullCone => "full cone",
            Self::AddressRestricted => "address-restricted",
            Self::PortRestricted => "port-restricted",
            Self::Symmetric => "symmetric",
            Self::Carrier => "carrier-grade twice",
            Self::UdpBlocked => "UDP blocked",
        })
    }
}

/// What a link to the internet does to packets, each way.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Link {
    /// Milliseconds one way.
    pub delay: u32,
    /// More milliseconds, at random up to this.
    pub jitter: u32,
    /// Percent of packets.
    pub loss: f32,
}

/// How the segment is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    /// Pairs of virtual cables into a bridge, with netem on both ends.
    Netem,
    /// TAP devices joined by `lab/switch.py`.
    Switch,
    /// Cables into a bridge, without delay or loss.
    Plain,
}

/// A host with its way to the internet.
#[derive(Debug, Clone)]
struct Wired {
    namespace: String,
    interface: &'static str,
    link: Link,
}

/// The small internet. Everything in it ends with it.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    wire: Wire,
    folder: tempfile::TempDir,
    namespaces: Vec<String>,
    wired: Vec<Wired>,
    switch: Option<Ended>,
}

/// Labs of this process, for their names.
static LABS: AtomicU32 = AtomicU32::new(0);

/// The address of the first relay's host.
pub const RELAY: &str = "203.0.113.10";
/// The address of the second relay's host.
pub const SECOND: &str = "203.0.113.11";

#[allow(clippy::expect_used, clippy::panic, reason = "the harness of tests fails by panicking")]
impl Lab {
    /// Builds it, with two hosts behind such boxes. `Err` says in words what this machine lacks.
    ///
    /// # Panics
    /// If a command fails that should work here.
    pub fn build(a: NatKind, b: NatKind, link: Link) -> Result<Self, String> {
        able()?;
        let wire = wire(link)?;
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("pl{}-{number}-", std::process::id());
        let folder = tempfile::Builder::new().prefix("parlor-lab-").tempdir().expect("a temporary folder");
        let mut lab = Self { prefix, wire, folder, namespaces: Vec::new(), wired: Vec::new(), switch: None };
        lab.add("inet");
        if wire != Wire::Switch {
            lab.ip("inet", "link add br0 type bridge stp_state 0 forward_delay 0");
            lab.ip("inet", "link set br0 up");
        }
        lab.host_on_internet("relay", RELAY, link);
        lab.host_on_internet("second", SECOND, link);
        lab.side('A', a, link);
        lab.side('B', b, link);
        lab.connect();
        Ok(lab)
    }

    /// The namespace of a host: `relay`, `second`, `hostA`, `hostB`.
    pub fn namespace(&self, host: &str) -> String {
        format!("{}{host}", self.prefix)
    }

    /// A command inside a host's namespace.
    fn command(&self, host: &str, program: &str) -> Command {
        inside(&self.namespace(host), program)
    }

    /// Starts a relay that is open to all on the host with this address, over both transports, and waits until it is ready.
    ///
    /// # Panics
    /// If it does not become ready.
    #[track_caller]
    pub fn relay(&self, host: &str, address: &str) -> Relay {
        let listen = ["udp/4001/quic-v1", "tcp/4001"].map(|port| format!("/ip4/{address}/{port}"));
        Relay::start_at(Some(self.namespace(host)), listen.into(), &["--open"])
    }

    /// Gives both sides IPv6, which nobody translates and nobody filters; the relays have none. For sides with one box.
    pub fn give_ipv6(&self) {
        for (side, n, other) in [('A', 1, 2), ('B', 2, 1)] {
            let (host, nat) = (format!("host{side}"), format!("nat{side}"));
            self.ip(&nat, &format!("addr add 2001:db8:{n}::1/64 dev lan0 nodad"));
            self.ip(&nat, &format!("addr add 2001:db8:ff::{n}/64 dev wan0 nodad"));
            run(self.command(&nat, "sysctl").args(["-qw", "net.ipv6.conf.all.forwarding=1"]));
            self.ip(&nat, &format!("route add 2001:db8:{other}::/64 via 2001:db8:ff::{other}"));
            self.ip(&host, &format!("addr add 2001:db8:{n}::2/64 dev eth0 nodad"));
            self.ip(&host, &format!("route add default via 2001:db8:{n}::1"));
        }
    }

    /// Changes the link of a side's box, or of the host itself if it is on the internet.
    ///
    /// # Panics
    /// If this wire has no settings.
    pub fn set_link(&mut self, side: char, link: Link) {
        let namespaces = [self.namespace(&format!("nat{side}")), self.namespace(&format!("host{side}"))];
        let wired = self
            .wired
            .iter_mut()
            .rev()
            .find(|it| namespaces.contains(&it.namespace) || it.namespace.ends_with(&format!("carrier{side}")));
        wired.expect("the side has a link").link = link;
        self.apply_links();
    }

    /// Cuts a side's link without a word, or heals it: packets vanish, and nobody is told.
    pub fn cut(&self, side: char, off: bool) {
        // In the host's own namespace: the cable stays plugged in.
        let rules = if off {
            "table ip cut {\n chain in { type filter hook input priority -500; policy drop; iif lo accept\n }\n chain out { type filter hook output priority -500; policy drop; oif lo accept\n }\n}\n"
        } else {
            "delete table ip cut\n"
        };
        self.nft(&format!("host{side}"), rules);
    }

    /// Gives a host another address, as when it moves to another network behind the same box.
    pub fn readdress(&self, side: char) {
        let (host, n) = (format!("host{side}"), number(side));
        self.ip(&host, "addr flush dev eth0");
        self.ip(&host, &format!("addr add 10.0.{n}.77/24 dev eth0"));
        self.ip(&host, &format!("route add default via 10.0.{n}.1"));
        // The box's mappings to the old address are of no more use; those by rule follow.
    }

    fn add(&mut self, host: &str) {
        let name = self.namespace(host);
        run(Command::new("ip").args(["netns", "add", &name]));
        self.namespaces.push(name);
        self.ip(host, "link set lo up");
    }

    fn host_on_internet(&mut self, host: &str, address: &str, link: Link) {
        self.add(host);
        self.wire_up(host, "eth0", address, link);
    }

    /// A host with what stands between it and the internet.
    fn side(&mut self, side: char, kind: NatKind, link: Link) {
        let (n, host) = (number(side), format!("host{side}"));
        if kind == NatKind::Open {
            return self.host_on_internet(&host, &format!("203.0.113.{}", 19 + n), link);
        }
        self.add(&host);
        let nat = format!("nat{side}");
        self.add(&nat);
        self.cable(&nat, "lan0", &format!("10.0.{n}.1/24"), &host, "eth0", &format!("10.0.{n}.2/24"));
        self.ip(&host, &format!("route add default via 10.0.{n}.1"));
        if kind == NatKind::Carrier {
            let carrier = format!("carrier{side}");
            self.add(&carrier);
            self.cable(&carrier, "lan0", &format!("100.64.{n}.1/24"), &nat, "wan0", &format!("100.64.{n}.2/24"));
            self.ip(&nat, &format!("route add default via 100.64.{n}.1"));
            self.wire_up(&carrier, "wan0", &format!("203.0.113.{n}"), link);
            self.translate(&carrier, NatKind::PortRestricted, n);
        } else {
            self.wire_up(&nat, "wan0", &format!("203.0.113.{n}"), link);
        }
        self.translate(&nat, kind, n);
    }

    fn cable(&self, one: &str, its: &str, address: &str, other: &str, others: &str, other_address: &str) {
        let (a, b) = (self.namespace(one), self.namespace(other));
        let pair = ["link", "add", its, "netns", &a, "type", "veth", "peer", "name", others, "netns", &b];
        run(Command::new("ip").args(pair));
        for (host, interface, address) in [(one, its, address), (other, others, other_address)] {
            self.ip(host, &format!("addr add {address} dev {interface}"));
            self.ip(host, &format!("link set {interface} up"));
        }
    }

    /// Connects a host's interface to the segment.
    fn wire_up(&mut self, host: &str, interface: &'static str, address: &str, link: Link) {
        if self.wire == Wire::Switch {
            self.ip(host, &format!("tuntap add dev {interface} mode tap"));
        } else {
            let (port, inet, name) = (format!("p{}", self.wired.len()), self.namespace("inet"), self.namespace(host));
            let pair =
                ["link", "add", &port, "netns", &inet, "type", "veth", "peer", "name", interface, "netns", &name];
            run(Command::new("ip").args(pair));
            self.ip("inet", &format!("link set {port} master br0 up"));
        }
        self.ip(host, &format!("addr add {address}/24 dev {interface}"));
        self.ip(host, &format!("link set {interface} up"));
        self.wired.push(Wired { namespace: self.namespace(host), interface, link });
    }

    /// The rules of a box.
    fn translate(&self, host: &str, kind: NatKind, n: u32) {
        let inside = format!("10.0.{n}.2");
        let (mut masquerade, mut before, mut forward, mut remember) = ("masquerade", String::new(), "", "");
        match kind {
            NatKind::Symmetric => masquerade = "masquerade fully-random",
            NatKind::FullCone => before = format!("iifname \"wan0\" meta l4proto {{ tcp, udp }} dnat to {inside}"),
            NatKind::AddressRestricted => {
                before = format!("iifname \"wan0\" ip saddr @contacted meta l4proto {{ tcp, udp }} dnat to {inside}");
                remember = "iifname \"lan0\" update @contacted { ip daddr }";
            }
            NatKind::UdpBlocked => forward = "iifname \"lan0\" meta l4proto udp drop",
            NatKind::Open | NatKind::PortRestricted | NatKind::Carrier => {}
        }
        let rules = format!(
            r#"table ip nat {{
  set contacted {{
    type ipv4_addr; flags dynamic, timeout; timeout 2m; size 1024
  }}
  chain pre {{
    type nat hook prerouting priority dstnat; policy accept
    {before}
  }}
  chain post {{
    type nat hook postrouting priority srcnat; policy accept
    oifname "wan0" {masquerade}
  }}
  chain seen {{
    type filter hook forward priority -10; policy accept
    {remember}
  }}
}}
table ip filter {{
  chain input {{
    type filter hook input priority filter; policy accept
    iifname "wan0" ct state established,related accept
    iifname "wan0" drop
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop
    {forward}
    iifname "lan0" accept
    iifname "wan0" ct state established,related accept
    iifname "wan0" ct status dnat accept
  }}
}}
"#
        );
        run(self.command(host, "sysctl").args(["-qw", "net.ipv4.ip_forward=1"]));
        self.nft(host, &rules);
    }

    fn nft(&self, host: &str, rules: &str) {
        let file = self.folder.path().join("rules");
        fs::write(&file, rules).expect("the rules are written");
        run(self.command(host, "nft").arg("-f").arg(file));
    }

    fn ip(&self, host: &str, words: &str) {
        run(self.command(host, "ip").args(words.split_whitespace()));
    }

    /// Gives every link its settings and, with the switch, starts it.
    fn connect(&mut self) {
        self.apply_links();
        if self.wire != Wire::Switch {
            return;
        }
        let out = self.folder.path().join("switch.out");
        let mut command = Command::new("python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/lab/switch.py")).arg(self.settings());
        command.stdin(Stdio::null()).stdout(fs::File::create(&out).expect("a temporary file"));
        let child: Child = command.spawn().expect("python3 starts");
        self.switch = Some(Ended(child));
        eventually("the switch is ready", || fs::read_to_string(&out).ok().filter(|it| it.contains("ready")));
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("links")
    }

    fn apply_links(&self) {
        match self.wire {
            Wire::Plain => {}
            Wire::Netem => {
                for (at, wired) in self.wired.iter().enumerate() {
                    let Link { delay, jitter, loss } = wired.link;
                    let settings = format!("limit 20000 delay {delay}ms {jitter}ms loss {loss}%");
                    let ends = [
                        (wired.namespace.clone(), wired.interface.to_owned()),
                        (self.namespace("inet"), format!("p{at}")),
                    ];
                    for (namespace, interface) in ends {
                        let words = format!("qdisc replace dev {interface} root netem {settings}");
                        run(inside(&namespace, "tc").args(words.split_whitespace()));
                    }
                }
            }
            Wire::Switch => {
                let line = |it: &Wired| {
                    let Link { delay, jitter, loss } = it.link;
                    format!("{} {} {delay} {jitter} {loss}\n", it.namespace, it.interface)
                };
                let text: String = self.wired.iter().map(line).collect();
                fs::write(self.settings(), text).expect("the settings are written");
                if let Some(switch) = &self.switch {
                    run(Command::new("kill").args(["-HUP", &switch.0.id().to_string()]));
                }
            }
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.switch.take());
        for namespace in &self.namespaces {
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

fn number(side: char) -> u32 {
    if side == 'A' { 1 } else { 2 }
}

fn inside(namespace: &str, program: &str) -> Command {
    at(Some(namespace), program.as_ref())
}

#[allow(clippy::expect_used, reason = "the harness of tests fails by panicking")]
fn run(command: &mut Command) {
    let output = command.output().expect("the command starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn works(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|it| it.success())
}

/// A namespace that nobody else in this process has.
fn probe_name() -> String {
    format!("pl{}-{}-probe", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed))
}

/// Whether namespaces and their tools can be had here.
fn able() -> Result<(), String> {
    for (tool, flag) in [("ip", "-V"), ("nft", "--version")] {
        if !works(Command::new(tool).arg(flag)) {
            return Err(format!("there is no `{tool}`"));
        }
    }
    let probe = probe_name();
    if !works(Command::new("ip").args(["netns", "add", &probe])) {
        return Err("network namespaces can not be made (it needs root)".to_owned());
    }
    let translates = works(inside(&probe, "nft").args(["add", "table", "ip", "nat"]));
    let _ = Command::new("ip").args(["netns", "del", &probe]).status();
    if translates { Ok(()) } else { Err("the kernel has no nftables".to_owned()) }
}

/// How a segment with such links can be made here.
fn wire(link: Link) -> Result<Wire, String> {
    let probe = probe_name();
    let _ = works(Command::new("ip").args(["netns", "add", &probe]));
    let netem = works(inside(&probe, "tc").args(["qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]));
    let _ = Command::new("ip").args(["netns", "del", &probe]).status();
    let switch = || works(Command::new("python3").arg("--version")) && fs::metadata("/dev/net/tun").is_ok();
    if netem {
        Ok(Wire::Netem)
    } else if switch() {
        Ok(Wire::Switch)
    } else if link == Link::default() {
        Ok(Wire::Plain)
    } else {
        Err("links with delay and loss need netem in the kernel, or python3 and /dev/net/tun".to_owned())
    }
}
