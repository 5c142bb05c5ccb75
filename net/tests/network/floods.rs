//! Floods at a relay are bounded, cost their sender only, and leave honest users what they had.

use std::time::{Duration, Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt, StreamExt};
use libp2p::{StreamProtocol, SwarmBuilder, identity::Keypair, noise, swarm::SwarmEvent, tcp, yamux};
use parlor_net::{
    LineKind, RelayState, RelayTrouble, limits,
    relay::{RelayHandle, Status},
};

use crate::{
    harness::*,
    relays::{TestRelay, hidden, node_config, relay_config},
};

/// Waits until the relay's status is so.
async fn until(relay: &RelayHandle, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
    for _ in 0..6000 {
        let status = relay.status().await.unwrap();
        if holds(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still not so: {what}: {:?}", relay.status().await);
}

/// A line on which the relay still answers.
async fn answers(line: &mut parlor_net::Line) {
    line.send("still there?".into()).await.unwrap();
    assert_eq!(line.recv().await.unwrap(), "still there?");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_in_all_and_who_was_there_stays_served() {
    let mut config = relay_config(9, MEMORY);
    config.tuning.connections = 5;
    let relay = TestRelay::with(config).await;
    let honest = TestNode::with(hidden(1, MEMORY)).await;
    let mut line = honest.handle.open_line(relay.peer, vec![relay.address()], LineKind::Mailbox).await.unwrap();
    let mut crowd = Vec::new();
    for seed in 20..32 {
        crowd.push(TestNode::with(hidden(seed, MEMORY)).await);
    }
    let asks = crowd.iter().map(|it| it.handle.open_line(relay.peer, vec![relay.address()], LineKind::Mailbox));
    let opened = futures::future::join_all(asks).await;
    assert_eq!(opened.iter().filter(|it| it.is_ok()).count(), 4, "{opened:?}");
    let status = relay.handle.status().await.unwrap();
    assert_eq!((status.connections, status.lines), (5, 5));
    assert!(status.traffic.connections_refused >= 8);
    answers(&mut line).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_one_source_are_bounded_and_a_banned_source_is_thrown_out() {
    let mut config = relay_config(9, TCP);
    config.tuning.gate_loopback = true;
    config.tuning.connections_per_source = 3;
    let relay = TestRelay::with(config).await;
    let mut crowd = Vec::new();
    for seed in 20..26 {
        crowd.push(TestNode::with(hidden(seed, TCP)).await);
    }
    let asks = crowd.iter().map(|it| it.handle.open_line(relay.peer, vec![relay.address()], LineKind::Mailbox));
    let opened = futures::future::join_all(asks).await;
    let stand = opened.iter().filter(|it| it.is_ok()).count();
    // Those that shake hands at once may pass together, before any of them stands.
    assert!(stand >= 3, "{stand}");
    let late = TestNode::with(hidden(40, TCP)).await;
    let refused = late.handle.open_line(relay.peer, vec![relay.address()], LineKind::Mailbox).await;
    assert!(refused.is_err(), "the source has its connections");
    relay.handle.ban_source("127.0.0.1".parse().unwrap()).await.unwrap();
    until(&relay.handle, "thrown out", |it| it.connections == 0 && it.lines == 0).await;
    relay.handle.unban_source("127.0.0.1".parse().unwrap()).await.unwrap();
    let mut line = late.handle.open_line(relay.peer, vec![relay.address()], LineKind::Mailbox).await.unwrap();
    answers(&mut line).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_peer_is_thrown_out_and_comes_back_when_the_ban_ends() {
    let relay = TestRelay::start(9, TCP).await;
    let node = TestNode::with(hidden(1, TCP)).await;
    let mut line = node.handle.open_line(relay.peer, vec![relay.address()], LineKind::Mailbox).await.unwrap();
    relay.handle.ban(node.peer, None).await.unwrap();
    assert_eq!(line.recv().await, None);
    assert!(node.handle.open_line(relay.peer, vec![relay.address()], LineKind::Mailbox).await.is_err());
    assert_eq!(relay.handle.status().await.unwrap().banned, [node.peer]);
    relay.handle.ban(node.peer, Some(Duration::from_millis(1))).await.unwrap();
    until(&relay.handle, "the ban is over", |it| it.banned.is_empty()).await;
    let mut line = node.handle.open_line(relay.peer, vec![relay.address()], LineKind::Mailbox).await.unwrap();
    answers(&mut line).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_are_bounded_and_who_gets_none_is_told() {
    let mut config = relay_config(9, MEMORY);
    config.tuning.reservations = 2;
    let relay = TestRelay::with(config).await;
    let mut nodes = Vec::new();
    for seed in 1..6 {
        let node = TestNode::with(hidden(seed, MEMORY)).await;
        node.handle.relay(relay.peer, vec![relay.address()]).await.unwrap();
        nodes.push(node);
    }
    let refused = |it: &&TestNode| match it.seen().relays.get(&relay.peer) {
        Some(RelayState::Connecting { error: Some(error), .. }) => error.trouble == RelayTrouble::Full,
        _ => false,
    };
    let reserved = |it: &&TestNode| matches!(it.seen().relays.get(&relay.peer), Some(RelayState::Reserved { .. }));
    eventually("all know", || nodes.iter().filter(reserved).count() == 2 && nodes.iter().filter(refused).count() == 3)
        .await;
    let status = until(&relay.handle, "counted", |it| it.traffic.reservations_refused >= 3).await;
    assert_eq!(status.reservations, 2);
    let (one, other) = (nodes.iter().find(reserved).unwrap(), nodes.iter().find(refused).unwrap());
    other.connect_at(one, one.circuit()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn circuits_of_one_peer_are_bounded_and_others_still_meet() {
    let mut config = relay_config(9, MEMORY);
    config.tuning.circuits_per_peer = 2;
    let relay = TestRelay::with(config).await;
    let mut targets = Vec::new();
    for seed in 10..16 {
        targets.push(TestNode::at(hidden(seed, MEMORY), &relay).await);
    }
    let greedy = TestNode::with(hidden(1, MEMORY)).await;
    for target in &targets {
        greedy.handle.dial(Some(target.peer), vec![target.circuit()]).await.unwrap();
    }
    let status = until(&relay.handle, "refused", |it| it.traffic.circuits_refused >= 3).await;
    assert!(status.circuits <= 2, "{status:?}");
    let (alice, bob) = (TestNode::with(hidden(2, MEMORY)).await, &targets[5]);
    alice.connect_at(bob, bob.circuit()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn circuits_that_others_open_to_a_peer_do_not_keep_him_from_opening_his() {
    let mut config = relay_config(9, MEMORY);
    config.tuning.circuits_per_peer = 1;
    let relay = TestRelay::with(config).await;
    let victim = TestNode::at(hidden(1, MEMORY), &relay).await;
    let mut strangers = Vec::new();
    for seed in 10..14 {
        let stranger = TestNode::with(hidden(seed, MEMORY)).await;
        stranger.connect_at(&victim, victim.circuit()).await;
        strangers.push(stranger);
    }
    assert_eq!(relay.handle.status().await.unwrap().circuits, strangers.len());
    let friend = TestNode::at(hidden(2, MEMORY), &relay).await;
    victim.connect_at(&friend, friend.circuit()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn circuits_of_one_address_are_bounded_with_however_many_peers() {
    let mut config = relay_config(9, TCP);
    config.tuning.circuits_per_source = 2;
    config.tuning.gate_loopback = true;
    let relay = TestRelay::with(config).await;
    let target = TestNode::at(hidden(2, TCP), &relay).await;
    let mut askers = Vec::new();
    for seed in 10..15 {
        let asker = TestNode::with(hidden(seed, TCP)).await;
        asker.handle.dial(Some(target.peer), vec![target.circuit()]).await.unwrap();
        askers.push(asker);
    }
    let status = until(&relay.handle, "refused", |it| it.traffic.circuits_refused >= 3).await;
    assert!(status.circuits <= 2, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_not_open_carries_only_whom_it_permits() {
    let mut config = relay_config(9, MEMORY);
    config.open = false;
    let relay = TestRelay::with(config).await;
    let bob = TestNode::with(hidden(2, MEMORY)).await;
    bob.handle.relay(relay.peer, vec![relay.address()]).await.unwrap();
    until(&relay.handle, "refused", |it| it.traffic.reservations_refused > 0).await;
    // Lines are for showing a token, so they are open to all.
    let mut line = bob.handle.open_line(relay.peer, vec![relay.address()], LineKind::Mailbox).await.unwrap();
    answers(&mut line).await;
    relay.handle.permit(bob.peer, None).await.unwrap();
    bob.reserved(&relay).await;
    let alice = TestNode::with(hidden(1, MEMORY)).await;
    alice.handle.keep(bob.peer, vec![bob.circuit()]).await.unwrap();
    until(&relay.handle, "refused", |it| it.traffic.circuits_refused > 0).await;
    relay.handle.permit(alice.peer, None).await.unwrap();
    eventually("met", || alice.is_up(&bob)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_one_connection_are_bounded_and_one_that_is_not_read_holds_up_nobody() {
    let relay = TestRelay::start(9, MEMORY).await;
    let (greedy, honest) = (TestNode::with(hidden(1, MEMORY)).await, TestNode::with(hidden(2, MEMORY)).await);
    let addresses = vec![relay.address()];
    let mut lines = Vec::new();
    for _ in 0..limits::LINES_PER_CONNECTION + 4 {
        lines.push(greedy.handle.open_line(relay.peer, addresses.clone(), LineKind::Mailbox).await.unwrap());
    }
    let status = until(&relay.handle, "bounded", |it| it.lines >= limits::LINES_PER_CONNECTION).await;
    assert_eq!(status.lines, limits::LINES_PER_CONNECTION);
    for line in lines.iter_mut().skip(limits::LINES_PER_CONNECTION) {
        assert_eq!(line.recv().await, None, "dropped unread");
    }
    let mut line = honest.handle.open_line(relay.peer, addresses, LineKind::Mailbox).await.unwrap();
    let flood = bytes::Bytes::from(vec![0; limits::LINE_FRAME_MAX]);
    // Nobody reads what comes back, so after the queues and windows are full nothing more is taken.
    let mut taken = 0;
    while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(500), lines[0].send(flood.clone())).await {
        taken += 1;
        assert!(taken < 1000, "no end to what a line takes");
    }
    answers(&mut line).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_does_not_end_and_one_that_is_too_long_end_the_line() {
    for bytes in [vec![0, 0, 1, 0, 7], u32::MAX.to_be_bytes().to_vec(), vec![0; 4]] {
        let mut config = relay_config(9, TCP);
        config.tuning.frame_deadline = Duration::from_secs(1);
        let relay = TestRelay::with(config).await;
        let mut swarm = SwarmBuilder::with_existing_identity(Keypair::ed25519_from_bytes([7; 32]).unwrap())
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .unwrap()
            .build();
        let control = swarm.behaviour().new_control();
        swarm.dial(relay.address().to_string().parse::<libp2p::Multiaddr>().unwrap()).unwrap();
        let mut said = None;
        loop {
            tokio::select! {
                event = swarm.select_next_some() => if let SwarmEvent::ConnectionEstablished { peer_id, .. } = event {
                    let (mut control, bytes) = (control.clone(), bytes.clone());
                    said = Some(tokio::spawn(async move {
                        let protocol = StreamProtocol::new("/parlor/mailbox/1");
                        let mut stream = control.open_stream(peer_id, protocol).await.unwrap();
                        stream.write_all(&bytes).await.unwrap();
                        stream.flush().await.unwrap();
                        stream
                    }));
                },
                status = relay.handle.status() => {
                    let status = status.unwrap();
                    if status.traffic.lines == 1 && status.lines == 0 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        assert!(said.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_one_peer_are_bounded_and_those_of_others_are_found() {
    let mut config = relay_config(9, TCP);
    config.tuning.records = 12;
    config.tuning.records_per_peer = 10;
    let relay = TestRelay::with(config).await;
    let (flooder, honest) = (TestNode::at(hidden(1, TCP), &relay).await, TestNode::at(hidden(2, TCP), &relay).await);
    let key = |number: u8| [number; 32];
    for number in 0..40 {
        flooder.handle.provide(key(number)).await.unwrap();
    }
    until(&relay.handle, "some are refused", |it| it.traffic.records_refused >= 20).await;
    for number in 100..104 {
        honest.handle.provide(key(number)).await.unwrap();
    }
    let seeker = TestNode::at(node_config(3, TCP), &relay).await;
    for number in 100..104 {
        loop {
            let found = seeker.handle.find(key(number)).await.unwrap_or_default();
            if found.iter().any(|it| it.peer == honest.peer) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(relay.handle.status().await.unwrap().records <= 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_stream_after_stream_is_listened_to_at_a_pace_and_keeps_his_connection() {
    let mut config = relay_config(9, TCP);
    config.tuning.gate_loopback = true;
    let relay = TestRelay::with(config).await;
    let mut swarm = SwarmBuilder::with_existing_identity(Keypair::ed25519_from_bytes([7; 32]).unwrap())
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build();
    let control = swarm.behaviour().new_control();
    swarm.dial(relay.address().to_string().parse::<libp2p::Multiaddr>().unwrap()).unwrap();
    let begun = Instant::now();
    tokio::spawn(async move {
        loop {
            if let SwarmEvent::ConnectionEstablished { peer_id, .. } = swarm.select_next_some().await {
                for _ in 0..8 {
                    tokio::spawn(ask_for_ever(control.clone(), peer_id));
                }
            }
        }
    });
    let (burst, per_second) = limits::RELAY_STREAMS_PER_CONNECTION;
    let more = u64::from(burst + 4 * per_second);
    let status = until(&relay.handle, "the burst is used up, and it goes on", |it| it.traffic.finds >= more).await;
    // One is taken before each wait.
    let paced = 2.0 + begun.elapsed().as_secs_f64() * f64::from(per_second);
    assert!(status.traffic.finds as f64 <= f64::from(burst) + paced, "{:?} in {:?}", status.traffic, begun.elapsed());
    assert!(status.traffic.streams_paced > 0 && status.connections == 1, "{status:?}");
}

/// Asks the DHT for a key on stream after stream, as fast as it is answered.
async fn ask_for_ever(mut control: libp2p_stream::Control, relay: libp2p::PeerId) {
    // `GET_PROVIDERS` of 32 bytes, with its length before it.
    let question = [&[36, 0x08, 0x03, 0x12, 32][..], &[7; 32]].concat();
    while let Ok(mut stream) = control.open_stream(relay, StreamProtocol::new("/parlor/kad/1")).await {
        if stream.write_all(&question).await.is_ok() && stream.flush().await.is_ok() {
            let _ = stream.read(&mut [0; 512]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_lets_go_of_clients_that_died() {
    let mut config = relay_config(9, TCP);
    config.tuning.silence = Duration::from_secs(1);
    let relay = TestRelay::with(config).await;
    let node = TestNode::with(hidden(1, TCP)).await;
    let proxy = Proxy::to(&relay.address()).await;
    let _line = node.handle.open_line(relay.peer, vec![proxy.address.clone()], LineKind::Mailbox).await.unwrap();
    until(&relay.handle, "connected", |it| it.connections == 1).await;
    proxy.go_silent();
    until(&relay.handle, "let go", |it| it.connections == 0).await;
}
