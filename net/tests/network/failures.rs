//! The failures of gossipsub that were reproduced before (libp2p findings 3.1 to 3.6): what our settings and handling make of them.
//!
//! When libp2p is upgraded, these show what changed.

use bytes::Bytes;
use parlor_net::{DownReason, PublishFailure, limits};

use crate::harness::*;

/// 3.1: an RPC above the receiver's limit kills that direction for the life of the connection, without a word. The node finds it out
/// by its link check; dropping the kept peer cures it.
#[tokio::test(flavor = "multi_thread")]
async fn a_direction_killed_by_a_rejected_rpc_lives_again_after_a_redial() {
    let alice = TestNode::start(1, TCP).await;
    let mut small = config(2, TCP);
    small.tuning.gossip_transmit_max = 16 * 1024;
    let bob = TestNode::with(small).await;
    let room = topic("room");
    for node in [&alice, &bob] {
        node.handle.subscribe(room.clone()).await.unwrap();
    }
    alice.connect(&bob).await;
    eventually("in the topic", || alice.sees_in(&room, &bob)).await;
    alice.publish(&room, "before").await;
    eventually("gossip flows", || bob.heard(b"before")).await;
    alice.publish(&room, vec![1; 30 * 1024]).await;
    alice.publish(&room, "lost").await;
    alice.handle.send(bob.peer, "the stream shows what gossip missed".into()).await.unwrap();
    eventually("the stream still works", || !bob.frames_from(&alice).is_empty()).await;
    bob.handle.disconnect(alice.peer).await.unwrap();
    eventually("up again", || alice.seen().ups == 2 && alice.sees_in(&room, &bob)).await;
    alice.publish(&room, "after").await;
    eventually("gossip flows again", || bob.heard(b"after")).await;
}

/// 3.2: the receive limit counts what was read ahead, so a large message followed at once by others was rejected.
async fn large_messages_in_bursts_arrive(listen: &str) {
    let nodes = [TestNode::start(1, listen).await, TestNode::start(2, listen).await];
    let [alice, bob] = &nodes;
    let room = topic("room");
    gather(&nodes, &room).await;
    let mut expected = 0;
    for round in 0..5u8 {
        alice.publish(&room, vec![round; limits::GOSSIP_PAYLOAD_MAX]).await;
        for number in 0..150u8 {
            alice.publish(&room, [&[round, number][..], &[7; 300]].concat()).await;
        }
        expected += 151;
        eventually("the whole burst", || bob.seen().gossip.len() == expected).await;
    }
    assert!(alice.seen().unpublished.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_payload_followed_by_a_burst_arrives_over_tcp() {
    large_messages_in_bursts_arrive(TCP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_payload_followed_by_a_burst_arrives_over_quic() {
    large_messages_in_bursts_arrive(QUIC).await;
}

/// 3.3: more than 100 topics, and more than about 230 in the hello of a reconnect, were lost whole.
#[tokio::test(flavor = "multi_thread")]
async fn as_many_topics_as_allowed_survive_a_reconnect() {
    let (alice, bob) = (TestNode::start(1, TCP).await, TestNode::start(2, TCP).await);
    let topics: Vec<_> = (0..limits::TOPICS_MAX).map(|it| topic(&format!("{it:0>40}"))).collect();
    for name in &topics {
        alice.handle.subscribe(name.clone()).await.unwrap();
        bob.handle.subscribe(name.clone()).await.unwrap();
    }
    alice.connect(&bob).await;
    for round in 1..=2 {
        eventually("all topics known", || {
            alice.seen().in_topic.len() == topics.len() && bob.seen().in_topic.len() == topics.len()
        })
        .await;
        for name in topics.iter().step_by(99) {
            alice.publish(name, format!("round {round} on {name}")).await;
        }
        let last = topics.iter().step_by(99).next_back().unwrap();
        eventually("they work", || bob.heard(format!("round {round} on {last}").as_bytes())).await;
        if round == 1 {
            alice.handle.disconnect(bob.peer).await.unwrap();
            eventually("up again", || alice.seen().ups == 2 && bob.seen().ups == 2).await;
        }
    }
    alice.handle.subscribe(topic("one-too-many")).await.unwrap();
    eventually("refused", || alice.seen().unpublished.contains(&PublishFailure::Refused)).await;
}

/// 3.4: a peer that restarts with its id and returns while its old connection is believed alive was mute for good.
async fn a_restarted_peer_is_heard(leads: bool) {
    let (ours, theirs) = seeds(leads);
    let alice = TestNode::start(ours, TCP).await;
    let proxy = Proxy::before(&alice).await;
    let room = topic("room");
    alice.handle.subscribe(room.clone()).await.unwrap();
    let bob = TestNode::start(theirs, TCP).await;
    bob.handle.subscribe(room.clone()).await.unwrap();
    bob.connect_at(&alice, proxy.address.clone()).await;
    eventually("in the topic", || alice.sees_in(&room, &bob) && bob.sees_in(&room, &alice)).await;
    // The crash: alice hears nothing of it.
    proxy.go_silent();
    bob.stop().await;
    let bob = TestNode::start(theirs, TCP).await;
    assert!(alice.is_up(&bob), "believed alive");
    bob.handle.subscribe(room.clone()).await.unwrap();
    bob.handle.keep(alice.peer, vec![alice.address()]).await.unwrap();
    eventually("up afresh", || alice.seen().ups == 2 && alice.is_up(&bob) && bob.is_up(&alice)).await;
    assert_eq!(alice.seen().downs, [(bob.peer, DownReason::Restarted)]);
    eventually("in the topic again", || alice.sees_in(&room, &bob) && bob.sees_in(&room, &alice)).await;
    for number in 0..20 {
        alice.publish(&room, format!("alice {number}")).await;
        bob.publish(&room, format!("bob {number}")).await;
    }
    eventually("20 of 20 both ways", || alice.seen().gossip.len() == 20 && bob.seen().gossip.len() == 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_peer_is_heard_by_a_leader() {
    a_restarted_peer_is_heard(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_peer_is_heard_by_a_follower() {
    a_restarted_peer_is_heard(false).await;
}

/// The same trap without a restart: the peer's side alone lost the connection, for example by a change of network.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_lost_sight_of_us_is_heard() {
    for leads in [true, false] {
        let (ours, theirs) = seeds(leads);
        let (alice, bob) = (TestNode::start(ours, TCP).await, TestNode::start(theirs, TCP).await);
        let room = topic("room");
        for node in [&alice, &bob] {
            node.handle.subscribe(room.clone()).await.unwrap();
        }
        let proxy = Proxy::before(&alice).await;
        bob.connect_at(&alice, proxy.address.clone()).await;
        proxy.go_silent();
        bob.handle.disconnect(alice.peer).await.unwrap();
        eventually("bob sees it", || !bob.is_up(&alice)).await;
        bob.handle.keep(alice.peer, vec![alice.address()]).await.unwrap();
        eventually("up afresh", || alice.seen().ups == 2 && alice.is_up(&bob) && bob.is_up(&alice)).await;
        assert_eq!(alice.seen().downs, [(bob.peer, DownReason::Restarted)]);
        eventually("in the topic again", || alice.sees_in(&room, &bob) && bob.sees_in(&room, &alice)).await;
        alice.publish(&room, "hello").await;
        bob.publish(&room, "hi").await;
        eventually("gossip flows both ways", || bob.heard(b"hello") && alice.heard(b"hi")).await;
    }
}

/// 3.5: at high rates the IHAVE for peers outside the mesh grew past the control limit and killed their links.
#[tokio::test(flavor = "multi_thread")]
async fn links_outside_the_mesh_survive_a_high_rate() {
    let mut nodes = Vec::new();
    for seed in 1..=12 {
        nodes.push(TestNode::start(seed, MEMORY).await);
    }
    let room = topic("room");
    gather(&nodes, &room).await;
    // 20 bytes an id and five heartbeats in one IHAVE: the default control limit of 16 KiB holds 740.
    const MESSAGES: usize = 1500;
    for number in 0..MESSAGES {
        nodes[number % 2].publish(&room, format!("message {number}")).await;
    }
    for (at, node) in nodes.iter().enumerate() {
        let own = if at < 2 { MESSAGES / 2 } else { 0 };
        eventually("all messages", || node.seen().gossip.len() == MESSAGES - own).await;
    }
    // A topic for each pair shows whether its own link lives, both ways.
    for (at, one) in nodes.iter().enumerate() {
        for (to, other) in nodes.iter().enumerate().skip(at + 1) {
            let pair = topic(&format!("pair-{at}-{to}"));
            one.handle.subscribe(pair.clone()).await.unwrap();
            other.handle.subscribe(pair.clone()).await.unwrap();
            eventually("the link lives", || one.sees_in(&pair, other) && other.sees_in(&pair, one)).await;
        }
    }
}

/// 3.6: when all queues are full the message is known but not sent, and can never be sent again over gossip.
#[tokio::test(flavor = "multi_thread")]
async fn full_queues_are_reported_and_later_messages_arrive() {
    let mut tight = config(1, TCP);
    tight.tuning.gossip_queue = 5;
    tight.tuning.rate_limits = false;
    let nodes = [TestNode::with(tight).await, TestNode::start(2, TCP).await];
    let [alice, bob] = &nodes;
    let room = topic("room");
    gather(&nodes, &room).await;
    let mut number = 0;
    while !alice.seen().unpublished.contains(&PublishFailure::QueuesFull) {
        alice.publish(&room, Bytes::from(format!("{number} {}", "x".repeat(20_000)))).await;
        number += 1;
    }
    // Trying again is useless, and said to be.
    alice.publish(&room, "marker").await;
    alice.publish(&room, "marker").await;
    eventually("a duplicate", || alice.seen().unpublished.contains(&PublishFailure::Duplicate)).await;
    let mut probe = 0;
    while !bob.heard(format!("probe {probe}").as_bytes()) {
        probe += 1;
        alice.publish(&room, format!("probe {probe}")).await;
        eventually("sent or refused", || {
            bob.heard(format!("probe {probe}").as_bytes())
                || alice.seen().unpublished.last() == Some(&PublishFailure::QueuesFull)
        })
        .await;
    }
}

/// Publishing before anybody is there is told, not failed.
#[tokio::test(flavor = "multi_thread")]
async fn publishing_to_nobody_is_reported() {
    let alice = TestNode::start(1, MEMORY).await;
    let room = topic("room");
    alice.handle.subscribe(room.clone()).await.unwrap();
    alice.publish(&room, "anybody?").await;
    eventually("nobody", || alice.seen().unpublished == [PublishFailure::Nobody]).await;
}
