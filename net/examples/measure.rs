//! Measures the network on this machine: frames between two nodes, and gossip among ten.
//!
//! `cargo run --release -p parlor-net --example measure`

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "a program that prints")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parlor_net::{Network, NetworkConfig, NetworkEvent, NetworkHandle, PeerId, Topic, Verdict, limits, spawn};
use tokio::{sync::mpsc, task::JoinSet};

const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

#[tokio::main]
async fn main() {
    for (name, listen) in [("tcp", TCP), ("quic", QUIC)] {
        frames(name, listen).await;
        small_frames(name, listen).await;
        round_trips(name, listen).await;
    }
    for (name, listen) in [("tcp", TCP), ("quic", QUIC)] {
        for rate in [50, 600] {
            gossip(name, listen, 10, rate, Duration::from_secs(5)).await;
        }
    }
}

async fn start(seed: u8, listen: &str) -> (NetworkHandle, PeerId, mpsc::Receiver<NetworkEvent>, parlor_net::Address) {
    let mut config = NetworkConfig::new([seed; 32]);
    config.listen = vec![listen.parse().unwrap()];
    let Network { handle, peer, mut events, .. } = spawn(config).await.unwrap();
    loop {
        if let Some(NetworkEvent::Listening { address }) = events.recv().await {
            return (handle, peer, events, address);
        }
    }
}

async fn wait_up(events: &mut mpsc::Receiver<NetworkEvent>) {
    while !matches!(events.recv().await.unwrap(), NetworkEvent::PeerUp { .. }) {}
}

async fn pair(
    listen: &str,
) -> (NetworkHandle, mpsc::Receiver<NetworkEvent>, PeerId, NetworkHandle, mpsc::Receiver<NetworkEvent>, PeerId) {
    let (a, a_peer, mut a_events, _) = start(1, listen).await;
    let (b, b_peer, mut b_events, address) = start(2, listen).await;
    a.keep(b_peer, vec![address]).await.unwrap();
    wait_up(&mut a_events).await;
    wait_up(&mut b_events).await;
    (a, a_events, a_peer, b, b_events, b_peer)
}

/// Sends with a window, as sync does: the receiver answers each frame with a small one.
async fn windowed(listen: &str, size: usize, count: usize, window: usize) -> Duration {
    let (a, mut a_events, a_peer, b, mut b_events, b_peer) = pair(listen).await;
    let answering = tokio::spawn(async move {
        let mut got = 0;
        while got < count {
            if let NetworkEvent::Frame { .. } = b_events.recv().await.unwrap() {
                got += 1;
                b.send(a_peer, Bytes::from_static(b"ok")).await.unwrap();
            }
        }
        (b, b_events)
    });
    let frame = Bytes::from(vec![7; size]);
    let start = Instant::now();
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        while sent < count && sent - answered < window {
            a.send(b_peer, frame.clone()).await.unwrap();
            sent += 1;
        }
        if let NetworkEvent::Frame { .. } = a_events.recv().await.unwrap() {
            answered += 1;
        }
    }
    let took = start.elapsed();
    let (b, _) = answering.await.unwrap();
    a.shutdown().await;
    b.shutdown().await;
    took
}

async fn frames(name: &str, listen: &str) {
    let count = 2000;
    let took = windowed(listen, limits::FRAME_MAX, count, 8).await;
    let rate = (count * limits::FRAME_MAX) as f64 / took.as_secs_f64() / 1e6;
    println!("{name}: frames of 256 KiB, window of 8: {rate:.0} MB/s");
}

async fn small_frames(name: &str, listen: &str) {
    let count = 100_000;
    let took = windowed(listen, 300, count, 256).await;
    println!("{name}: frames of 300 bytes, window of 256: {:.0} a second", count as f64 / took.as_secs_f64());
}

async fn round_trips(name: &str, listen: &str) {
    let count = 5000;
    let took = windowed(listen, 300, count, 1).await;
    println!("{name}: round trip of a frame of 300 bytes: {:.0} us on average", took.as_micros() as f64 / count as f64);
}

fn now_us() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

async fn gossip(name: &str, listen: &str, nodes: u8, rate: u32, length: Duration) {
    let topic = Topic::new("measure").unwrap();
    let mut all = Vec::new();
    for seed in 1..=nodes {
        let node = start(seed, listen).await;
        node.0.subscribe(topic.clone()).await.unwrap();
        all.push(node);
    }
    for at in 0..all.len() {
        for to in at + 1..all.len() {
            let (peer, address) = (all[to].1, all[to].3.clone());
            all[at].0.keep(peer, vec![address]).await.unwrap();
        }
    }
    let total = (rate * u32::try_from(length.as_secs()).unwrap()) as usize;
    let (ready, mut readies) = mpsc::channel(nodes.into());
    let mut readers = JoinSet::new();
    let publisher = all[0].0.clone();
    let handles: Vec<_> = all.iter().map(|it| it.0.clone()).collect();
    for (at, (handle, _, mut events, _)) in all.into_iter().enumerate() {
        let ready = ready.clone();
        readers.spawn(async move {
            let (mut members, mut late) = (0, Vec::new());
            let deadline = tokio::time::sleep(length + Duration::from_secs(15));
            tokio::pin!(deadline);
            while at == 0 || late.len() < total {
                let event = tokio::select! {
                    event = events.recv() => event,
                    () = &mut deadline => None,
                };
                match event {
                    Some(NetworkEvent::TopicPeer { joined: true, .. }) => {
                        members += 1;
                        if members == usize::from(nodes) - 1 {
                            ready.send(()).await.unwrap();
                        }
                    }
                    Some(NetworkEvent::Gossip { data, token, .. }) => {
                        let (sent, _) = data.split_first_chunk().unwrap();
                        late.push(now_us().saturating_sub(u64::from_be_bytes(*sent)));
                        handle.verdict(token, Verdict::Accept).await.unwrap();
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            late
        });
    }
    for _ in 0..nodes {
        readies.recv().await.unwrap();
    }
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
    for number in 0..total {
        tick.tick().await;
        let data = [&now_us().to_be_bytes()[..], &number.to_be_bytes(), &[7; 284]].concat();
        publisher.publish(topic.clone(), data.into()).await.unwrap();
    }
    let mut late = Vec::new();
    // The publisher's own reader ends with its network.
    while readers.len() > 1 {
        late.extend(readers.join_next().await.unwrap().unwrap());
    }
    for handle in handles {
        handle.shutdown().await;
    }
    late.sort_unstable();
    let at = |part: f64| late.get((late.len() as f64 * part) as usize).copied().unwrap_or_default() as f64 / 1000.0;
    let expected = total * (usize::from(nodes) - 1);
    println!(
        "{name}: gossip, {nodes} nodes, {rate}/s of 300 bytes: {} of {expected} delivered, p50 {:.2} ms, p99 {:.2} ms",
        late.len(),
        at(0.5),
        at(0.99)
    );
}
