//! What somebody sees who reads the wire: a packet socket on loopback, kept to the ports of the nodes.
//!
//! Opening one needs the right to do so (root, or CAP_NET_RAW) and Linux. Only packets from or to the given ports are
//! kept, so that the local APIs and other tests on the same machine stay out.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A capture that runs until [`stop`](Self::stop).
#[derive(Debug)]
pub struct Capture {
    done: Arc<AtomicBool>,
    reader: JoinHandle<Flows>,
}

/// Bytes of each direction of each connection or pair of ports, in the order seen.
type Flows = BTreeMap<(u16, u16), Vec<u8>>;

impl Capture {
    /// Captures what goes from or to the ports in these addresses (`/ip4/.../tcp/PORT`, `/ip4/.../udp/PORT/...`).
    ///
    /// # Errors
    /// When this process may not, or this system can not.
    pub fn start<'a>(addresses: impl IntoIterator<Item = &'a String>) -> io::Result<Self> {
        let ports: BTreeSet<u16> = addresses.into_iter().filter_map(|address| port(address)).collect();
        let done = Arc::new(AtomicBool::new(false));
        let reader = linux::reader(ports, Arc::clone(&done))?;
        Ok(Self { done, reader })
    }

    /// Ends the capture: the bytes of every flow.
    ///
    /// # Panics
    /// If the reader failed.
    #[allow(clippy::expect_used, reason = "the harness of tests fails by panicking")]
    pub fn stop(self) -> Vec<Vec<u8>> {
        self.done.store(true, Ordering::Relaxed);
        self.reader.join().expect("the reader of the capture does not fail").into_values().collect()
    }
}

fn port(address: &str) -> Option<u16> {
    let mut parts = address.split('/').skip_while(|part| *part != "tcp" && *part != "udp");
    parts.nth(1)?.parse().ok()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeSet;
    use std::io::{self, Read};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::JoinHandle;
    use std::time::{Duration, Instant};

    use socket2::{Domain, Protocol, Socket, Type};

    use super::Flows;

    /// All protocols (`ETH_P_ALL`), in network order.
    const ALL: u16 = 3u16.to_be();

    /// Asked of the kernel, which gives what it allows: packets wait here while the reader does not run.
    const BUFFER: usize = 32 << 20;

    /// How long at most the packets that wait at the end are read: others may be talking on loopback without pause.
    const REST: Duration = Duration::from_secs(2);

    /// Largest packet on loopback.
    const PACKET_MAX: usize = 1 << 17;

    pub(super) fn reader(ports: BTreeSet<u16>, done: Arc<AtomicBool>) -> io::Result<JoinHandle<Flows>> {
        let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ALL))))?;
        socket.set_recv_buffer_size(BUFFER)?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        Ok(std::thread::spawn(move || {
            let mut flows = Flows::new();
            let mut packet = vec![0; PACKET_MAX];
            let mut previous = Vec::new();
            let mut end = None;
            loop {
                // What came before the end is still read: until the first quiet moment, or for a little while.
                if end.is_none() && done.load(Ordering::Relaxed) {
                    end = Some(Instant::now() + REST);
                }
                let length = match socket.read(&mut packet) {
                    Ok(length) if end.is_none_or(|end| Instant::now() < end) => length,
                    Err(_) if end.is_none() => continue,
                    _ => break,
                };
                let packet = &packet[..length];
                // Loopback shows every packet twice, going out and coming in.
                if previous == packet {
                    continue;
                }
                if let Some((source, target, bytes)) = parse(packet)
                    && (ports.contains(&source) || ports.contains(&target))
                {
                    flows.entry((source, target)).or_default().extend_from_slice(bytes);
                }
                packet.clone_into(&mut previous);
            }
            flows
        }))
    }

    /// Ports and payload of a TCP or UDP packet over IPv4 behind an Ethernet header.
    fn parse(packet: &[u8]) -> Option<(u16, u16, &[u8])> {
        let short = |bytes: &[u8], at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        if short(packet, 12)? != 0x0800 {
            return None;
        }
        let ip = packet.get(14..)?;
        let transport = ip.get(usize::from(ip.first()? & 15) * 4..)?;
        let head = match ip.get(9)? {
            6 => usize::from(transport.get(12)? >> 4) * 4,
            17 => 8,
            _ => return None,
        };
        Some((short(transport, 0)?, short(transport, 2)?, transport.get(head..)?))
    }
}

#[cfg(not(target_os = "linux"))]
mod linux {
    use std::collections::BTreeSet;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::thread::JoinHandle;

    use super::Flows;

    pub(super) fn reader(_: BTreeSet<u16>, _: Arc<AtomicBool>) -> io::Result<JoinHandle<Flows>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_goes_over_loopback_is_captured_and_what_goes_elsewhere_is_not() {
        let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (watched, other) = (listen(), listen());
        let address = format!("/ip4/127.0.0.1/tcp/{}", watched.local_addr().unwrap().port());
        let capture = match Capture::start([&address]) {
            Ok(capture) => capture,
            Err(error) => return crate::left_out("a capture", error),
        };
        for (listener, text) in [(&watched, "watched canary"), (&other, "other canary")] {
            let mut stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut accepted, _) = listener.accept().unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            accepted.read_exact(&mut vec![0; text.len()]).unwrap();
        }
        let flows = capture.stop();
        assert!(flows.contains(&b"watched canary".to_vec()), "{flows:?}");
        assert!(!flows.contains(&b"other canary".to_vec()));
    }

    #[test]
    fn ports_are_read_from_addresses() {
        assert_eq!(port("/ip4/127.0.0.1/tcp/4001"), Some(4001));
        assert_eq!(port("/ip4/127.0.0.1/udp/4002/quic-v1"), Some(4002));
        assert_eq!(port("/dns/example.org"), None);
    }
}
