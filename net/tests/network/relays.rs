//! Relays: reached through them, lines to them, their DHT, and what becomes of all that when they go.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use parlor_net::{
    Address, Carriers, Line, LineError, LineKind, NetworkConfig, PeerId, RelayState, RelayTrouble,
    relay::{self, RelayConfig, RelayEvent, RelayHandle},
};
use tokio::task::{JoinHandle, JoinSet};

use crate::harness::*;

/// A relay that sends back every frame of every line.
pub(crate) struct TestRelay {
    pub(crate) peer: PeerId,
    pub(crate) handle: RelayHandle,
    listening: Arc<Mutex<Vec<Address>>>,
    pump: JoinHandle<()>,
}

pub(crate) fn relay_config(seed: u8, listen: &str) -> RelayConfig {
    let mut config = RelayConfig::new([seed; 32]);
    config.listen = vec![listen.parse().unwrap()];
    if listen.starts_with("/memory") {
        config.carriers = Carriers::Memory;
    }
    config.tuning.private_addresses = true;
    config
}

/// A node on this machine that believes relays' private addresses.
pub(crate) fn node_config(seed: u8, listen: &str) -> NetworkConfig {
    let mut config = config(seed, listen);
    config.tuning.private_addresses = true;
    config
}

impl TestRelay {
    pub(crate) async fn start(seed: u8, listen: &str) -> Self {
        Self::with(relay_config(seed, listen)).await
    }

    pub(crate) async fn with(config: RelayConfig) -> Self {
        let mut started = relay::spawn(config).await.unwrap();
        let listening = Arc::new(Mutex::new(Vec::new()));
        let heard = listening.clone();
        let pump = tokio::spawn(async move {
            let mut lines = JoinSet::new();
            while let Some(event) = started.events.recv().await {
                match event {
                    RelayEvent::Listening { address } => heard.lock().unwrap().push(address),
                    RelayEvent::Line { line, .. } => {
                        lines.spawn(echo(line));
                    }
                    _ => {}
                }
            }
        });
        let relay = Self { peer: started.peer, handle: started.handle, listening, pump };
        eventually("listening", || !relay.listening().is_empty()).await;
        relay
    }

    fn listening(&self) -> MutexGuard<'_, Vec<Address>> {
        self.listening.lock().unwrap()
    }

    pub(crate) fn address(&self) -> Address {
        self.listening()[0].clone()
    }

    pub(crate) async fn stop(self) {
        self.handle.shutdown().await;
        self.pump.await.unwrap();
    }
}

async fn echo(mut line: Line) {
    while let Some(frame) = line.recv().await {
        if line.send(frame).await.is_err() {
            return;
        }
    }
}

impl TestNode {
    /// A node with a reservation at the relay.
    pub(crate) async fn at(config: NetworkConfig, relay: &TestRelay) -> Self {
        let node = Self::with(config).await;
        node.handle.relay(relay.peer, vec![relay.address()]).await.unwrap();
        node.reserved(relay).await;
        node
    }

    pub(crate) async fn reserved(&self, relay: &TestRelay) {
        eventually("reserved", || {
            let seen = self.seen();
            let reached = seen.reachable.iter().any(|it| it.relay() == Some(relay.peer));
            reached && matches!(seen.relays.get(&relay.peer), Some(RelayState::Reserved { .. }))
        })
        .await;
    }

    pub(crate) fn circuit(&self) -> Address {
        self.seen().reachable.iter().find(|it| it.is_relayed()).cloned().unwrap()
    }
}

/// A node that nobody can dial directly: it listens nowhere. Only outbound connections, as behind a NAT that nothing punches.
pub(crate) fn hidden(seed: u8, like: &str) -> NetworkConfig {
    let mut config = node_config(seed, like);
    config.listen.clear();
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_meet_through_a_relay_and_all_that_they_say_goes_that_way() {
    for listen in [MEMORY, TCP, QUIC] {
        let relay = TestRelay::start(9, listen).await;
        let bob = TestNode::at(hidden(2, listen), &relay).await;
        let alice = TestNode::with(hidden(1, listen)).await;
        let (circuit, room) = (bob.circuit(), topic("room"));
        assert_eq!((circuit.relay(), circuit.peer()), (Some(relay.peer), Some(bob.peer)));
        for node in [&alice, &bob] {
            node.handle.subscribe(room.clone()).await.unwrap();
        }
        let answer = alice.handle.request(bob.peer, vec![circuit.clone()], "join".into()).await.unwrap();
        assert_eq!(answer, "nioj", "a request goes through the relay");
        alice.connect_at(&bob, circuit).await;
        eventually("in the topic", || alice.sees_in(&room, &bob) && bob.sees_in(&room, &alice)).await;
        alice.publish(&room, "gossip").await;
        let large = bytes::Bytes::from(vec![7; 200_000]);
        for _ in 0..10 {
            alice.handle.send(bob.peer, large.clone()).await.unwrap();
        }
        bob.handle.send(alice.peer, "frame".into()).await.unwrap();
        eventually("frames and gossip arrive", || {
            bob.frames_from(&alice).len() == 10 && alice.frames_from(&bob).len() == 1 && bob.heard(b"gossip")
        })
        .await;
        let (one, other) = (alice.handle.status().await.unwrap(), bob.handle.status().await.unwrap());
        assert!(one.peers[0].relayed && other.peers[0].relayed, "both know that it is relayed");
        assert_eq!((one.peers.len(), other.peers.len()), (1, 1), "the relay is no peer");
        assert_eq!(other.relays.len(), 1);
        let carried = relay.handle.status().await.unwrap();
        assert_eq!((carried.reservations, carried.circuits), (1, 1), "{carried:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_way_is_preferred_and_taken_as_soon_as_there_is_one() {
    let relay = TestRelay::start(9, TCP).await;
    let bob = TestNode::at(node_config(2, TCP), &relay).await;
    let alice = TestNode::with(node_config(1, TCP)).await;
    alice.handle.keep(bob.peer, vec![bob.circuit()]).await.unwrap();
    // Both listen where the other's observed address leads, so that a punch succeeds at once.
    loop {
        let (one, other) = (alice.handle.status().await.unwrap(), bob.handle.status().await.unwrap());
        let direct = |it: &parlor_net::NetworkStatus| {
            it.peers.len() == 1 && it.peers[0].up && !it.peers[0].relayed && it.peers[0].connections == 1
        };
        if direct(&one) && direct(&other) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    alice.handle.send(bob.peer, "direct".into()).await.unwrap();
    eventually("frames flow", || bob.frames_from(&alice).last().is_some_and(|it| it == "direct")).await;
    loop {
        if relay.handle.status().await.unwrap().circuits == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_goes_is_a_line_in_the_status_and_is_used_again_when_it_is_back() {
    let relay = TestRelay::start(9, TCP).await;
    let (bob, other) = (TestNode::at(node_config(2, TCP), &relay).await, TestNode::start(3, TCP).await);
    other.connect(&bob).await;
    let address = relay.address();
    relay.stop().await;
    eventually("not reachable", || bob.seen().reachable.is_empty()).await;
    let gone = |it: &RelayState| match it {
        RelayState::Connecting { error: Some(error), .. } => error.trouble == RelayTrouble::Down,
        _ => false,
    };
    eventually("said why", || bob.seen().relays.values().all(gone)).await;
    assert!(bob.is_up(&other) && bob.seen().dials_failed.is_empty() && bob.seen().downs.is_empty());
    let relay = TestRelay::start(9, &address.to_string()).await;
    bob.reserved(&relay).await;
    eventually("reachable", || !bob.seen().reachable.is_empty()).await;
    let alice = TestNode::with(hidden(1, TCP)).await;
    alice.connect_at(&bob, bob.circuit()).await;
    bob.handle.unrelay(relay.peer).await.unwrap();
    eventually("given up", || bob.seen().reachable.is_empty()).await;
    assert!(bob.handle.status().await.unwrap().relays.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_carry_frames_in_order_and_end_with_their_relay() {
    for listen in [MEMORY, TCP, QUIC] {
        let relay = TestRelay::start(9, listen).await;
        let node = TestNode::with(hidden(1, listen)).await;
        let (peer, addresses) = (relay.peer, vec![relay.address()]);
        let mut mailbox = node.handle.open_line(peer, addresses.clone(), LineKind::Mailbox).await.unwrap();
        let mut directory = node.handle.open_line(peer, addresses, LineKind::Directory).await.unwrap();
        assert_eq!((mailbox.peer(), mailbox.kind(), directory.kind()), (peer, LineKind::Mailbox, LineKind::Directory));
        let largest = bytes::Bytes::from(vec![1; parlor_net::limits::LINE_FRAME_MAX]);
        for line in [&mut mailbox, &mut directory] {
            line.send(largest.clone()).await.unwrap();
            assert_eq!(line.recv().await.unwrap(), largest);
            let (sender, mut receiver) = Line::split(std::mem::replace(line, Line::pair(line.kind(), peer, peer).0));
            let sending = tokio::spawn(async move {
                for number in 0..1000u32 {
                    sender.send(number.to_be_bytes().to_vec().into()).await.unwrap();
                }
                sender
            });
            for number in 0..1000u32 {
                assert_eq!(receiver.recv().await.unwrap(), number.to_be_bytes().as_slice());
            }
            sending.await.unwrap();
        }
        let mut last = node.handle.open_line(peer, vec![relay.address()], LineKind::Mailbox).await.unwrap();
        relay.stop().await;
        assert_eq!(last.recv().await, None, "the relay is gone");
        last_error(&last).await;
    }
}

/// Sending ends with an error once the end is known here too.
async fn last_error(line: &Line) {
    let sending = async { while line.send("late".into()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(60), sending).await.expect("still sending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_to_nobody_or_to_a_node_says_what_is_wrong() {
    let (alice, bob) = (TestNode::start(1, TCP).await, TestNode::start(2, TCP).await);
    let nobody = PeerId::from_seed(&[9; 32]);
    let dead = alice.handle.open_line(nobody, vec!["/ip4/127.0.0.1/tcp/9".parse().unwrap()], LineKind::Mailbox).await;
    assert!(matches!(dead, Err(LineError::Unreachable(_))), "{dead:?}");
    let node = alice.handle.open_line(bob.peer, vec![bob.address()], LineKind::Mailbox).await;
    assert_eq!(node.map(|_| ()), Err(LineError::Refused), "nodes take no lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_announced_under_a_key_is_found_with_addresses_that_work() {
    found_at_another_relay(|address| address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_that_know_each_other_by_name_share_who_is_where() {
    // A name in the table would be no answer to nodes: what it stands for is.
    found_at_another_relay(|address| address.replace("/ip4/127.0.0.1/", "/dns4/localhost/")).await;
}

/// Bob announces himself at a relay, and Alice asks another one, which the first knows by this text.
async fn found_at_another_relay(named: impl Fn(String) -> String) {
    let first = TestRelay::start(8, TCP).await;
    let mut second = relay_config(9, TCP);
    second.peers = vec![named(first.address().with_peer(first.peer).to_string()).parse().unwrap()];
    let second = TestRelay::with(second).await;
    loop {
        let status = second.handle.status().await.unwrap();
        if status.peers == [first.peer] && status.peers_known == [first.peer] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Bob knows one relay and Alice the other.
    let bob = TestNode::at(node_config(2, TCP), &second).await;
    let alice = TestNode::at(hidden(1, TCP), &first).await;
    let key = [7; 32];
    bob.handle.provide(key).await.unwrap();
    let found = loop {
        let found = alice.handle.find(key).await.unwrap_or_default();
        if !found.is_empty() {
            break found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].peer, bob.peer);
    assert!(found[0].addresses.iter().any(Address::is_relayed), "{found:?}");
    assert!(alice.handle.find([8; 32]).await.unwrap().is_empty(), "nobody announced that");
    alice.connect_at(&bob, found[0].addresses.iter().find(|it| it.is_relayed()).cloned().unwrap()).await;
    let lonely = TestNode::start(3, TCP).await;
    assert_eq!(lonely.handle.find(key).await, Err(parlor_net::FindError::NoRelay));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_can_be_dialled_learns_that_it_can() {
    let relay = TestRelay::start(9, TCP).await;
    let bob = TestNode::at(node_config(2, TCP), &relay).await;
    eventually("probed from outside", || bob.seen().reachable.iter().any(|it| !it.is_relayed())).await;
    let status = bob.handle.status().await.unwrap();
    assert_eq!(status.nat, parlor_net::Nat::Open);
    assert_eq!(status.reachable[0], bob.address().with_peer(bob.peer), "direct ways come first");
    // The probe's own connection is not closed before it has its answer, so that the first one is enough.
    let probes = loop {
        match relay.handle.status().await.unwrap().traffic.probes {
            0 => tokio::time::sleep(Duration::from_millis(20)).await,
            probes => break probes,
        }
    };
    assert_eq!(probes, 1);
}
