//! Nodes, a proxy and waiting, for all tests.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use parlor_net::{
    Address, Carriers, DownReason, NetworkConfig, NetworkEvent, NetworkHandle, PeerId, PublishFailure, RelayState,
    Topic, Verdict, spawn,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
};

/// Far longer than anything here takes, because the machine may be busy; a node is probed from outside after 5 to 60 s, by chance.
const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until the condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Everything a node was told.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) listening: Vec<Address>,
    pub(crate) up: HashMap<PeerId, [u8; 16]>,
    pub(crate) ups: usize,
    pub(crate) downs: Vec<(PeerId, DownReason)>,
    pub(crate) frames: HashMap<PeerId, Vec<Bytes>>,
    pub(crate) gossip: Vec<(Topic, Bytes)>,
    pub(crate) in_topic: HashSet<(Topic, PeerId)>,
    pub(crate) unpublished: Vec<PublishFailure>,
    pub(crate) dials_failed: Vec<(Option<PeerId>, String)>,
    pub(crate) banned: Vec<PeerId>,
    pub(crate) congested: Vec<(PeerId, bool)>,
    pub(crate) relays: HashMap<PeerId, RelayState>,
    pub(crate) reachable: Vec<Address>,
}

/// A node whose events are read, until it is paused.
pub(crate) struct TestNode {
    pub(crate) peer: PeerId,
    pub(crate) handle: NetworkHandle,
    seen: Arc<Mutex<Seen>>,
    reading: watch::Sender<bool>,
    pump: JoinHandle<()>,
}

pub(crate) fn config(seed: u8, listen: &str) -> NetworkConfig {
    let mut config = NetworkConfig::new([seed; 32]);
    config.listen = vec![listen.parse().unwrap()];
    if listen.starts_with("/memory") {
        config.carriers = Carriers::Memory;
    }
    config
}

pub(crate) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub(crate) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
pub(crate) const MEMORY: &str = "/memory/0";

impl TestNode {
    pub(crate) async fn start(seed: u8, listen: &str) -> Self {
        Self::with(config(seed, listen)).await
    }

    /// Gossip that begins with `bad` is rejected; a request is answered by its bytes reversed, one that begins with `?` is not.
    pub(crate) async fn with(config: NetworkConfig) -> Self {
        let listens = !config.listen.is_empty();
        let network = spawn(config).await.unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (reading, may_read) = watch::channel(true);
        let pump = tokio::spawn(pump(network.events, network.handle.clone(), seen.clone(), may_read));
        let node = Self { peer: network.peer, handle: network.handle, seen, reading, pump };
        eventually("listening", || !listens || !node.seen().listening.is_empty()).await;
        node
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub(crate) fn address(&self) -> Address {
        self.seen().listening[0].clone()
    }

    pub(crate) fn is_up(&self, other: &Self) -> bool {
        self.seen().up.contains_key(&other.peer)
    }

    pub(crate) fn frames_from(&self, other: &Self) -> Vec<Bytes> {
        self.seen().frames.get(&other.peer).cloned().unwrap_or_default()
    }

    pub(crate) fn heard(&self, data: &[u8]) -> bool {
        self.seen().gossip.iter().any(|(_, it)| it == data)
    }

    pub(crate) fn sees_in(&self, name: &Topic, other: &Self) -> bool {
        self.seen().in_topic.contains(&(name.clone(), other.peer))
    }

    /// Reads events, or no more.
    pub(crate) fn read(&self, on: bool) {
        self.reading.send_replace(on);
    }

    /// Keeps the other node connected, and waits until both are up.
    pub(crate) async fn connect(&self, other: &Self) {
        self.connect_at(other, other.address()).await;
    }

    pub(crate) async fn connect_at(&self, other: &Self, address: Address) {
        self.handle.keep(other.peer, vec![address]).await.unwrap();
        eventually("both up", || self.is_up(other) && other.is_up(self)).await;
    }

    pub(crate) async fn publish(&self, name: &Topic, data: impl Into<Bytes>) {
        self.handle.publish(name.clone(), data.into()).await.unwrap();
    }

    pub(crate) async fn stop(self) {
        self.handle.shutdown().await;
        self.reading.send_replace(true);
        self.pump.await.unwrap();
    }
}

async fn pump(
    mut events: mpsc::Receiver<NetworkEvent>,
    handle: NetworkHandle,
    seen: Arc<Mutex<Seen>>,
    mut may_read: watch::Receiver<bool>,
) {
    loop {
        if may_read.wait_for(|it| *it).await.is_err() {
            return;
        }
        let Some(event) = events.recv().await else { return };
        match event {
            NetworkEvent::Gossip { token, data, topic, .. } => {
                let bad = data.starts_with(b"bad");
                if !bad {
                    seen.lock().unwrap().gossip.push((topic, data));
                }
                let verdict = if bad { Verdict::Reject } else { Verdict::Accept };
                let _ = handle.verdict(token, verdict).await;
            }
            NetworkEvent::Request { data, token, .. } => {
                if !data.starts_with(b"?") {
                    let answer: Vec<u8> = data.iter().rev().copied().collect();
                    let _ = handle.respond(token, answer.into()).await;
                }
            }
            NetworkEvent::Line { mut line } => {
                // Whoever opened it is answered every frame backwards.
                tokio::spawn(async move {
                    while let Some(frame) = line.recv().await {
                        let answer: Vec<u8> = frame.iter().rev().copied().collect();
                        if line.send(answer.into()).await.is_err() {
                            return;
                        }
                    }
                });
            }
            event => note(&mut seen.lock().unwrap(), event),
        }
    }
}

fn note(seen: &mut Seen, event: NetworkEvent) {
    match event {
        NetworkEvent::Listening { address } => seen.listening.push(address),
        NetworkEvent::PeerUp { peer, boot, .. } => {
            assert_eq!(seen.up.insert(peer, boot), None, "up twice");
            seen.ups += 1;
        }
        NetworkEvent::PeerDown { peer, reason } => {
            assert!(seen.up.remove(&peer).is_some(), "down without up");
            seen.in_topic.retain(|(_, it)| *it != peer);
            seen.downs.push((peer, reason));
        }
        NetworkEvent::Frame { peer, data } => {
            assert!(seen.up.contains_key(&peer), "frame of a peer that is not up");
            seen.frames.entry(peer).or_default().push(data);
        }
        NetworkEvent::TopicPeer { topic, peer, joined } => {
            assert!(seen.up.contains_key(&peer), "topic of a peer that is not up");
            if joined {
                seen.in_topic.insert((topic, peer));
            } else {
                seen.in_topic.remove(&(topic, peer));
            }
        }
        NetworkEvent::Unpublished { reason, .. } => seen.unpublished.push(reason),
        NetworkEvent::DialFailed { peer, reason } => seen.dials_failed.push((peer, reason)),
        NetworkEvent::Banned { peer, .. } => seen.banned.push(peer),
        NetworkEvent::Relay { peer, state } => {
            seen.relays.insert(peer, state);
        }
        NetworkEvent::Reachable { addresses } => seen.reachable = addresses,
        NetworkEvent::Congested { peer, congested } => seen.congested.push((peer, congested)),
        _ => {}
    }
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// All nodes in one topic, each seeing all others there.
pub(crate) async fn gather(nodes: &[TestNode], name: &Topic) {
    for node in nodes {
        node.handle.subscribe(name.clone()).await.unwrap();
    }
    for (at, node) in nodes.iter().enumerate() {
        for other in &nodes[at + 1..] {
            node.connect(other).await;
        }
    }
    for node in nodes {
        for other in nodes.iter().filter(|it| it.peer != node.peer) {
            eventually("all in the topic", || node.sees_in(name, other)).await;
        }
    }
}

/// Two nodes of which the first has the lower id, so that it leads, if `leads`; else the higher.
pub(crate) fn seeds(leads: bool) -> (u8, u8) {
    let (one, other) = (1, 2);
    if (PeerId::from_seed(&[one; 32]) < PeerId::from_seed(&[other; 32])) == leads { (one, other) } else { (other, one) }
}

/// A TCP proxy that can go silent: it then forwards nothing, not even that a side closed.
pub(crate) struct Proxy {
    pub(crate) address: Address,
    mode: Arc<AtomicU8>,
    captured: Arc<Mutex<Vec<u8>>>,
    _tasks: JoinSet<()>,
}

const FORWARD: u8 = 0;
const SILENT: u8 = 1;

impl Proxy {
    pub(crate) async fn before(node: &TestNode) -> Self {
        Self::to(&node.address()).await
    }

    pub(crate) async fn to(address: &Address) -> Self {
        let address = address.to_string();
        let port: u16 = address.rsplit('/').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port()).parse().unwrap();
        let mode = Arc::new(AtomicU8::new(FORWARD));
        let captured = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let (its_mode, its_captured) = (mode.clone(), captured.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((inbound, _)) = listener.accept().await {
                let outbound = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (from_in, to_in) = inbound.into_split();
                let (from_out, to_out) = outbound.into_split();
                connections.spawn(forward(from_in, to_out, its_mode.clone(), its_captured.clone()));
                connections.spawn(forward(from_out, to_in, its_mode.clone(), its_captured.clone()));
            }
        });
        Self { address, mode, captured, _tasks: tasks }
    }

    /// Holds all connections open, new ones too, and forwards nothing any more.
    pub(crate) fn go_silent(&self) {
        self.mode.store(SILENT, Ordering::SeqCst);
    }

    pub(crate) fn captured(&self) -> Vec<u8> {
        self.captured.lock().unwrap().clone()
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mode: Arc<AtomicU8>,
    captured: Arc<Mutex<Vec<u8>>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let result = from.read(&mut buffer).await;
        if mode.load(Ordering::SeqCst) == SILENT {
            // Both halves stay open until the proxy is dropped.
            return std::future::pending().await;
        }
        let Ok(len @ 1..) = result else { return };
        captured.lock().unwrap().extend_from_slice(&buffer[..len]);
        if to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}
