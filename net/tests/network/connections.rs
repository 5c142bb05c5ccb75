//! One good connection a peer: duplicates, restarts, dead and slow peers.

use std::time::Duration;

use bytes::Bytes;
use parlor_net::DownReason;

use crate::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn surplus_connections_are_closed_and_both_sides_keep_the_same() {
    for round in 0..5 {
        let (alice, bob) = (TestNode::start(10 + round, TCP).await, TestNode::start(20 + round, TCP).await);
        // Each dials the other at once, and then once more without naming whom.
        let dials =
            [alice.handle.keep(bob.peer, vec![bob.address()]), bob.handle.keep(alice.peer, vec![alice.address()])];
        futures::future::join_all(dials).await.into_iter().for_each(|it| it.unwrap());
        alice.handle.dial(None, vec![bob.address()]).await.unwrap();
        bob.handle.dial(None, vec![alice.address()]).await.unwrap();
        eventually("both up", || alice.is_up(&bob) && bob.is_up(&alice)).await;
        // The surplus may come later than the first.
        loop {
            let (one, other) = (alice.handle.status().await.unwrap(), bob.handle.status().await.unwrap());
            let single = |it: &parlor_net::NetworkStatus| it.peers.len() == 1 && it.peers[0].connections == 1;
            if single(&one) && single(&other) {
                assert_ne!(one.peers[0].outbound, other.peers[0].outbound, "the same connection");
                break;
            }
            tokio::task::yield_now().await;
        }
        alice.handle.send(bob.peer, "one".into()).await.unwrap();
        bob.handle.send(alice.peer, "other".into()).await.unwrap();
        eventually("frames flow", || {
            alice.frames_from(&bob).last().is_some_and(|it| it == "other")
                && bob.frames_from(&alice).last().is_some_and(|it| it == "one")
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_peer_comes_back_after_a_disconnect_and_after_a_restart() {
    let (alice, bob) = (TestNode::start(1, TCP).await, TestNode::start(2, TCP).await);
    alice.connect(&bob).await;
    let boot = alice.seen().up[&bob.peer];
    alice.handle.disconnect(bob.peer).await.unwrap();
    eventually("down and up again", || alice.seen().ups == 2 && bob.seen().ups == 2 && alice.is_up(&bob)).await;
    assert_eq!(alice.seen().downs, [(bob.peer, DownReason::Requested)]);
    assert_eq!(alice.seen().up[&bob.peer], boot, "the same process");
    let (peer, address) = (bob.peer, bob.address());
    bob.stop().await;
    eventually("down", || alice.seen().downs.len() == 2).await;
    let bob = TestNode::start(2, &address.to_string()).await;
    eventually("up again", || alice.is_up(&bob)).await;
    assert_ne!(alice.seen().up[&peer], boot, "another process");
    alice.handle.forget(peer).await.unwrap();
    bob.stop().await;
    eventually("down", || alice.seen().up.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_tcp_peer_is_noticed_by_ping_and_let_go_and_can_come_back() {
    let bob = TestNode::start(2, TCP).await;
    let mut impatient = config(1, TCP);
    impatient.tuning.ping_interval = Duration::from_secs(1);
    impatient.tuning.ping_deadline = Duration::from_secs(1);
    let alice = TestNode::with(impatient).await;
    let room = topic("room");
    for node in [&alice, &bob] {
        node.handle.subscribe(room.clone()).await.unwrap();
    }
    let proxy = Proxy::before(&bob).await;
    alice.connect_at(&bob, proxy.address.clone()).await;
    proxy.go_silent();
    // More than Yamux lets out unacknowledged.
    for _ in 0..8 {
        alice.handle.send(bob.peer, Bytes::from(vec![0; 256 * 1024])).await.unwrap();
    }
    eventually("bob is found dead", || alice.seen().downs.contains(&(bob.peer, DownReason::Dead))).await;
    assert_eq!(alice.handle.status().await.unwrap().redialling, [bob.peer]);
    alice.connect(&bob).await;
    eventually("in the topic again", || alice.sees_in(&room, &bob) && bob.sees_in(&room, &alice)).await;
    alice.publish(&room, "hello").await;
    bob.publish(&room, "hi").await;
    eventually("gossip flows both ways", || bob.heard(b"hello") && alice.heard(b"hi")).await;
}

/// Nothing is sent, so nothing but a ping can tell.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_tcp_peer_that_died_is_noticed_by_whoever_leads_and_by_who_follows() {
    for leads in [true, false] {
        let (ours, theirs) = seeds(leads);
        let bob = TestNode::start(theirs, TCP).await;
        let mut impatient = config(ours, TCP);
        impatient.tuning.ping_idle = Duration::from_secs(1);
        impatient.tuning.ping_deadline = Duration::from_secs(1);
        let alice = TestNode::with(impatient).await;
        let proxy = Proxy::before(&bob).await;
        alice.connect_at(&bob, proxy.address.clone()).await;
        proxy.go_silent();
        eventually("bob is found dead", || alice.seen().downs.contains(&(bob.peer, DownReason::Dead))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_stops_nobody_else() {
    let mut small = config(1, TCP);
    small.tuning.send_queue_bytes = 2 * 1024 * 1024;
    let alice = TestNode::with(small).await;
    let (bob, sleepy) = (TestNode::start(2, TCP).await, TestNode::start(3, TCP).await);
    alice.connect(&bob).await;
    alice.connect(&sleepy).await;
    sleepy.read(false);
    let mut sent = 0;
    while !alice.seen().downs.contains(&(sleepy.peer, DownReason::Overflow)) {
        let frame = Bytes::from(vec![0; 128 * 1024]);
        alice.handle.send(sleepy.peer, frame).await.unwrap();
        alice.handle.send(bob.peer, "meanwhile".into()).await.unwrap();
        sent += 1;
        eventually("bob got it", || bob.frames_from(&alice).len() == sent).await;
    }
    assert!(alice.seen().congested.contains(&(sleepy.peer, true)), "it was said before");
    assert!(alice.is_up(&bob) && alice.seen().banned.is_empty());
    sleepy.read(true);
    eventually("the sleeper is back", || alice.is_up(&sleepy)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_reads_no_events_slows_its_peers_and_loses_no_frame() {
    let unlimited = |seed| {
        let mut config = config(seed, TCP);
        config.tuning.rate_limits = false;
        config
    };
    let (alice, bob) = (TestNode::with(unlimited(1)).await, TestNode::with(unlimited(2)).await);
    let room = topic("room");
    for node in [&alice, &bob] {
        node.handle.subscribe(room.clone()).await.unwrap();
    }
    alice.connect(&bob).await;
    eventually("in the topic", || alice.sees_in(&room, &bob)).await;
    bob.read(false);
    for number in 0..500u32 {
        alice.handle.send(bob.peer, Bytes::from(number.to_be_bytes().to_vec())).await.unwrap();
    }
    let mut number = 0u32;
    while bob.handle.status().await.unwrap().gossip_dropped == 0 {
        number += 1;
        alice.publish(&room, number.to_be_bytes().to_vec()).await;
    }
    bob.read(true);
    eventually("all frames", || bob.frames_from(&alice).len() == 500).await;
    assert!((0..500u32).all(|it| bob.frames_from(&alice)[it as usize] == it.to_be_bytes().as_slice()));
    alice.publish(&room, "after").await;
    eventually("gossip goes on", || bob.heard(b"after")).await;
}
