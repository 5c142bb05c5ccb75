//! What the network is for: frames, gossip, requests, and refusals that say why.

use std::time::Duration;

use bytes::Bytes;
use parlor_net::{Address, LineError, LineKind, NetworkError, NetworkEvent, RequestError, SendError, limits, spawn};

use crate::harness::*;

async fn frames_flow_both_ways(listen: &str) {
    let (alice, bob) = (TestNode::start(1, listen).await, TestNode::start(2, listen).await);
    alice.connect(&bob).await;
    let sizes = [1, 100, 20_000, limits::FRAME_MAX, 3];
    let frame = |number: usize| Bytes::from(vec![number as u8; sizes[number % sizes.len()]]);
    for number in 0..50 {
        alice.handle.send(bob.peer, frame(number)).await.unwrap();
        bob.handle.send(alice.peer, frame(number + 1)).await.unwrap();
    }
    eventually("50 frames each", || alice.frames_from(&bob).len() == 50 && bob.frames_from(&alice).len() == 50).await;
    assert!((0..50).all(|it| bob.frames_from(&alice)[it] == frame(it)));
    assert!((0..50).all(|it| alice.frames_from(&bob)[it] == frame(it + 1)));
    let status = alice.handle.status().await.unwrap();
    assert_eq!(status.peers.len(), 1);
    assert!(status.peers[0].up && status.peers[0].bytes_out > 0 && status.peers[0].bytes_in > 0);
    bob.stop().await;
    eventually("bob is down", || !alice.seen().up.contains_key(&status.peers[0].peer)).await;
    alice.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_arrive_whole_and_in_order_over_tcp() {
    frames_flow_both_ways(TCP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_arrive_whole_and_in_order_over_quic() {
    frames_flow_both_ways(QUIC).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_arrive_whole_and_in_order_in_memory() {
    frames_flow_both_ways(MEMORY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gossip_reaches_all_of_five_nodes_once() {
    let mut nodes = Vec::new();
    for seed in 1..=5 {
        nodes.push(TestNode::start(seed, TCP).await);
    }
    let room = topic("room");
    gather(&nodes, &room).await;
    for (at, node) in nodes.iter().enumerate() {
        node.publish(&room, format!("from {at}")).await;
    }
    for node in &nodes {
        eventually("four messages", || node.seen().gossip.len() >= 4).await;
    }
    for node in &nodes {
        assert_eq!(node.seen().gossip.len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gossip_goes_through_a_node_between() {
    let mut nodes = Vec::new();
    for seed in 1..=3 {
        nodes.push(TestNode::start(seed, MEMORY).await);
    }
    let room = topic("room");
    for node in &nodes {
        node.handle.subscribe(room.clone()).await.unwrap();
    }
    nodes[0].connect(&nodes[1]).await;
    nodes[1].connect(&nodes[2]).await;
    eventually("the middle sees both", || nodes[1].sees_in(&room, &nodes[0]) && nodes[1].sees_in(&room, &nodes[2]))
        .await;
    eventually("the ends see the middle", || nodes[0].sees_in(&room, &nodes[1]) && nodes[2].sees_in(&room, &nodes[1]))
        .await;
    nodes[0].publish(&room, "hello").await;
    eventually("the far end hears it", || nodes[2].heard(b"hello")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_by_a_peer_that_was_not_connected() {
    let (alice, bob) = (TestNode::start(1, TCP).await, TestNode::start(2, TCP).await);
    let answer = alice.handle.request(bob.peer, vec![bob.address()], "abc".into()).await;
    assert_eq!(answer, Ok("cba".into()));
    let largest = Bytes::from(vec![7; limits::REQUEST_MAX]);
    assert_eq!(alice.handle.request(bob.peer, Vec::new(), largest.clone()).await, Ok(largest));
    let larger = Bytes::from(vec![7; limits::REQUEST_MAX + 1]);
    assert_eq!(
        alice.handle.request(bob.peer, Vec::new(), larger).await,
        Err(RequestError::Size(limits::REQUEST_MAX + 1))
    );
    let nobody = parlor_net::PeerId::from_seed(&[9; 32]);
    let closed_port: Address = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    let refused = alice.handle.request(nobody, vec![closed_port], "abc".into()).await;
    assert!(matches!(refused, Err(RequestError::Unreachable(_))), "{refused:?}");
    let asked = alice.handle.request(nobody, vec![bob.address()], "abc".into()).await;
    assert!(matches!(&asked, Err(RequestError::Unreachable(why)) if why.contains("another peer")), "{asked:?}");
}

async fn lines_carry_chunks(listen: &str) {
    let (alice, bob) = (TestNode::start(1, listen).await, TestNode::start(2, listen).await);
    let early = alice.handle.open_line(bob.peer, vec![bob.address()], LineKind::Blob).await;
    assert!(matches!(early, Err(LineError::Unreachable(_))), "nobody is dialled for it: {early:?}");
    alice.connect(&bob).await;
    for (from, to) in [(&alice, &bob), (&bob, &alice)] {
        let mut line = from.handle.open_line(to.peer, Vec::new(), LineKind::Blob).await.unwrap();
        assert_eq!((line.peer(), line.kind()), (to.peer, LineKind::Blob));
        for len in [1, 5, limits::BLOB_FRAME_MAX, 3] {
            let frame: Vec<u8> = (0..len).map(|at| (at / 7) as u8).collect();
            line.send(frame.clone().into()).await.unwrap();
            assert!(line.recv().await.unwrap().iter().rev().eq(&frame), "{len}");
        }
        let oversize = Bytes::from(vec![0; limits::BLOB_FRAME_MAX + 1]);
        assert_eq!(line.send(oversize).await, Err(LineError::Size(limits::BLOB_FRAME_MAX + 1)));
    }
    // A node is no relay.
    let mailbox = alice.handle.open_line(bob.peer, vec![bob.address()], LineKind::Mailbox);
    assert!(tokio::time::timeout(Duration::from_secs(40), mailbox).await.unwrap().is_err());
    let mut line = alice.handle.open_line(bob.peer, Vec::new(), LineKind::Blob).await.unwrap();
    bob.stop().await;
    assert_eq!(line.recv().await, None, "it ends with the connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_between_nodes_carry_chunks_over_tcp() {
    lines_carry_chunks(TCP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_between_nodes_carry_chunks_over_quic() {
    lines_carry_chunks(QUIC).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_has_four_lines_and_no_more_until_one_ends() {
    let (alice, bob) = (TestNode::start(1, MEMORY).await, TestNode::start(2, MEMORY).await);
    alice.connect(&bob).await;
    let mut lines = Vec::new();
    for _ in 0..limits::LINES_PER_CONNECTION {
        let mut line = alice.handle.open_line(bob.peer, Vec::new(), LineKind::Blob).await.unwrap();
        line.send("abc".into()).await.unwrap();
        assert_eq!(line.recv().await.unwrap(), "cba");
        lines.push(line);
    }
    let mut fifth = alice.handle.open_line(bob.peer, Vec::new(), LineKind::Blob).await.unwrap();
    let _ = fifth.send("abc".into()).await;
    assert_eq!(fifth.recv().await, None, "dropped unread");
    lines.clear();
    loop {
        let mut line = alice.handle.open_line(bob.peer, Vec::new(), LineKind::Blob).await.unwrap();
        let _ = line.send("abc".into()).await;
        if line.recv().await.is_some() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_is_listened_on_by_quic_and_tcp_and_by_both_families_as_relays_do_it() {
    let has_ipv6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
    let families: &[&str] = if has_ipv6 { &["/ip4/0.0.0.0", "/ip6/::"] } else { &["/ip4/0.0.0.0"] };
    for _ in 0..20 {
        let port = std::net::TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let all = families.iter().flat_map(|host| [format!("{host}/udp/{port}/quic-v1"), format!("{host}/tcp/{port}")]);
        let mut several = config(1, TCP);
        several.listen = all.map(|text| text.parse().unwrap()).collect();
        match spawn(several).await {
            Ok(node) => return node.handle.shutdown().await,
            Err(NetworkError::AddressInUse { .. }) => continue,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no port of twenty is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_a_clear_error() {
    for listen in [TCP, QUIC] {
        let first = TestNode::start(1, listen).await;
        let mut second = config(2, TCP);
        second.listen = vec![first.address()];
        let error = spawn(second).await.unwrap_err();
        assert!(matches!(error, NetworkError::AddressInUse { .. }), "{error}");
        assert_eq!(error.to_string(), format!("{} is in use by another program", first.address()));
        let again = first.handle.listen(first.address()).await;
        assert!(matches!(again, Err(NetworkError::AddressInUse { .. })));
        let address = first.address();
        first.stop().await;
        // The endpoint of QUIC gives its socket back in a task of its own, which a busy machine may run a moment later.
        let mut third = spawn(config(3, &address.to_string())).await;
        for _ in 0..100 {
            if !matches!(third, Err(NetworkError::AddressInUse { .. })) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            third = spawn(config(3, &address.to_string())).await;
        }
        let mut third = third.unwrap();
        let listens = loop {
            if let NetworkEvent::Listening { address } = third.events.recv().await.unwrap() {
                break address;
            }
        };
        assert_eq!(listens, address);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_cannot_be_listened_on_are_clear_errors() {
    for listen in ["/ip4/192.0.2.1/tcp/0", "/memory/7", "/ip4/127.0.0.1/udp/1", "/dns/example.org/tcp/1"] {
        let mut config = config(1, TCP);
        config.listen = vec![listen.parse().unwrap()];
        let error = spawn(config).await.unwrap_err();
        assert!(matches!(error, NetworkError::Listen { .. }), "{listen}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oversize_and_empty_bytes_are_refused() {
    let alice = TestNode::start(1, MEMORY).await;
    let bob = parlor_net::PeerId::from_seed(&[2; 32]);
    let zeros = |len: usize| Bytes::from(vec![0; len]);
    for len in [0, limits::GOSSIP_PAYLOAD_MAX + 1] {
        let refused = alice.handle.publish(topic("room"), zeros(len)).await;
        assert_eq!(refused, Err(SendError::PayloadSize(len)));
    }
    for len in [0, limits::FRAME_MAX + 1] {
        assert_eq!(alice.handle.send(bob, zeros(len)).await, Err(SendError::Size(len)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_readable_is_on_the_wire() {
    let (alice, bob) = (TestNode::start(1, TCP).await, TestNode::start(2, TCP).await);
    let proxy = Proxy::before(&bob).await;
    let room = topic("canarytopic");
    for node in [&alice, &bob] {
        node.handle.subscribe(room.clone()).await.unwrap();
    }
    alice.connect_at(&bob, proxy.address.clone()).await;
    eventually("in the topic", || alice.sees_in(&room, &bob)).await;
    alice.handle.send(bob.peer, "canaryframe".into()).await.unwrap();
    alice.publish(&room, "canarygossip").await;
    assert!(alice.handle.request(bob.peer, Vec::new(), "canaryrequest".into()).await.is_ok());
    eventually("all arrived", || bob.heard(b"canarygossip") && !bob.frames_from(&alice).is_empty()).await;
    let wire = proxy.captured();
    assert!(wire.len() > 1000);
    // Also nothing of our own protocols' names: they are negotiated inside Noise.
    for word in ["canary", "tseuqer", "parlor"] {
        assert!(!wire.windows(word.len()).any(|it| it == word.as_bytes()), "{word} is readable");
    }
}

/// TLS would write the keys of QUIC connections to the file that the variable names. The environment cannot be changed inside a
/// process without danger, so the test runs itself again.
#[tokio::test]
async fn a_node_does_not_start_while_keys_would_be_logged() {
    if std::env::var_os("SSLKEYLOGFILE").is_some() {
        let refused = spawn(config(1, TCP)).await;
        assert!(matches!(refused, Err(NetworkError::KeyLog)));
        return;
    }
    let again = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "basics::a_node_does_not_start_while_keys_would_be_logged"])
        .env("SSLKEYLOGFILE", "keys.log")
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
    assert!(String::from_utf8_lossy(&again.stdout).contains("1 passed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_answered_ends() {
    let mut impatient = config(1, MEMORY);
    impatient.tuning.request_deadline = std::time::Duration::from_secs(1);
    let (alice, bob) = (TestNode::with(impatient).await, TestNode::start(2, MEMORY).await);
    let silence = alice.handle.request(bob.peer, vec![bob.address()], "?".into()).await;
    assert!(
        matches!(silence, Err(RequestError::Timeout | RequestError::Protocol | RequestError::Closed)),
        "{silence:?}"
    );
}
