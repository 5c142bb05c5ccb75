//! Hostile bytes cost their sender, and nobody else.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    StreamProtocol, SwarmBuilder,
    identity::Keypair,
    noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use parlor_net::{PeerId, RequestError};
use tokio::task::JoinHandle;

use crate::harness::*;

const SYNC: StreamProtocol = StreamProtocol::new("/parlor/sync/1");

/// What a stranger speaks; without ping it would be thrown out for that.
#[derive(NetworkBehaviour)]
struct Tongue {
    stream: libp2p_stream::Behaviour,
    ping: ping::Behaviour,
}

/// A bare libp2p node that says what it likes on the sync stream.
struct Stranger {
    peer: PeerId,
    /// Ends when the connection is closed.
    connection: JoinHandle<()>,
}

impl Stranger {
    /// Connects to the node, opens or accepts the sync stream, writes these bytes and then is quiet.
    async fn attack(seed: u8, target: &TestNode, bytes: Vec<u8>) -> Self {
        let peer = PeerId::from_seed(&[seed; 32]);
        let leads = peer < target.peer;
        let mut swarm = SwarmBuilder::with_existing_identity(Keypair::ed25519_from_bytes([seed; 32]).unwrap())
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| Tongue { stream: libp2p_stream::Behaviour::new(), ping: ping::Behaviour::default() })
            .unwrap()
            .with_swarm_config(|it| it.with_idle_connection_timeout(Duration::from_secs(600)))
            .build();
        let mut control = swarm.behaviour().stream.new_control();
        let mut inbound = control.accept(SYNC).unwrap();
        swarm.dial(target.address().to_string().parse::<libp2p::Multiaddr>().unwrap()).unwrap();
        let connection = tokio::spawn(async move {
            let mut streams = Vec::new();
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => match event {
                        SwarmEvent::ConnectionEstablished { peer_id, .. } if leads => {
                            let mut control = control.clone();
                            let bytes = bytes.clone();
                            streams.push(tokio::spawn(async move {
                                // Fails only when it was thrown out already.
                                if let Ok(stream) = control.open_stream(peer_id, SYNC).await {
                                    say(stream, bytes).await;
                                }
                            }));
                        }
                        SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => return,
                        _ => {}
                    },
                    Some((_, stream)) = inbound.next() => {
                        streams.push(tokio::spawn(say(stream, bytes.clone())));
                    }
                }
            }
        });
        Self { peer, connection }
    }

    /// Waits until the node closes the connection.
    async fn thrown_out(self) {
        tokio::time::timeout(Duration::from_secs(60), self.connection).await.expect("still connected").unwrap();
    }
}

async fn say(mut stream: libp2p::Stream, bytes: Vec<u8>) {
    let _ = stream.write_all(&bytes).await;
    let _ = stream.flush().await;
    let mut sink = Vec::new();
    let _ = stream.read_to_end(&mut sink).await;
}

fn framed(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u32).to_be_bytes(), data].concat()
}

fn hello() -> Vec<u8> {
    framed(&[b"parlor".as_slice(), &[0, 1], &[0, 1], &[7; 16], &[8; 8]].concat())
}

/// Everything a bad peer may say in place of frames, with or without leading.
fn bad_speeches() -> Vec<(&'static str, Vec<u8>)> {
    let go = framed(&[1]);
    vec![
        ("nothing", Vec::new()),
        ("an endless hello", u32::MAX.to_be_bytes().to_vec()),
        ("no hello", framed(b"GET / HTTP/1.1\r\n")),
        ("another version", framed(&[b"parlor".as_slice(), &[0, 9], &[0, 1], &[7; 24]].concat())),
        ("a cut hello", hello()[..20].to_vec()),
        ("a wrong go or an oversize frame", [hello(), framed(&[2]), u32::MAX.to_be_bytes().to_vec()].concat()),
        ("an oversize frame", [hello(), go.clone(), (256 * 1024 + 1u32).to_be_bytes().to_vec()].concat()),
        ("an empty frame", [hello(), go.clone(), vec![0; 4]].concat()),
        ("a frame that does not end", [hello(), go, vec![0, 0, 1, 0, 7]].concat()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bytes_on_the_sync_stream_cost_only_their_sender() {
    let mut strict = config(1, TCP);
    // Short, and longer than an honest node ever waits for its turn on a busy machine.
    strict.tuning.hello_deadline = Duration::from_secs(8);
    strict.tuning.frame_deadline = Duration::from_secs(8);
    let alice = TestNode::with(strict).await;
    let bob = TestNode::start(2, TCP).await;
    alice.connect(&bob).await;
    let mut strangers = Vec::new();
    let mut seed = 100;
    for (name, bytes) in bad_speeches() {
        for leads in [true, false] {
            // The next seed whose id leads, or follows.
            seed += 1;
            while (PeerId::from_seed(&[seed; 32]) < alice.peer) != leads {
                seed += 1;
            }
            println!("{name}, leading: {leads}");
            strangers.push(Stranger::attack(seed, &alice, bytes.clone()).await);
        }
    }
    for number in 0..100 {
        alice.handle.send(bob.peer, "meanwhile".into()).await.unwrap();
        eventually("bob got it", || bob.frames_from(&alice).len() == number + 1).await;
    }
    for stranger in strangers {
        stranger.thrown_out().await;
    }
    assert!(alice.is_up(&bob) && alice.seen().downs.iter().all(|(peer, _)| *peer != bob.peer));
}

#[tokio::test(flavor = "multi_thread")]
async fn breaking_the_format_twice_bans_and_the_ban_ends() {
    let mut lenient = config(1, TCP);
    // Long enough to be seen on a busy machine.
    lenient.tuning.ban_for = Duration::from_secs(8);
    let alice = TestNode::with(lenient).await;
    let mut tries = 0;
    while alice.seen().banned.is_empty() {
        let stranger = Stranger::attack(50, &alice, framed(b"rubbish")).await;
        let peer = stranger.peer;
        stranger.thrown_out().await;
        tries += 1;
        assert!(tries < 5, "{peer} is not banned");
    }
    let peer = PeerId::from_seed(&[50; 32]);
    assert_eq!(alice.seen().banned, [peer]);
    assert_eq!(alice.handle.status().await.unwrap().banned, [peer]);
    while !alice.handle.status().await.unwrap().banned.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let reformed = TestNode::start(50, TCP).await;
    reformed.connect(&alice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_gossip_bans_its_sender_and_goes_no_further() {
    let (alice, bob, mallory) =
        (TestNode::start(1, TCP).await, TestNode::start(2, TCP).await, TestNode::start(3, TCP).await);
    let room = topic("room");
    for node in [&alice, &bob, &mallory] {
        node.handle.subscribe(room.clone()).await.unwrap();
    }
    alice.connect(&bob).await;
    mallory.connect(&alice).await;
    eventually("in the topic", || mallory.sees_in(&room, &alice) && bob.sees_in(&room, &alice)).await;
    for number in 0..20 {
        mallory.publish(&room, format!("bad {number}")).await;
    }
    eventually("mallory is banned", || alice.seen().banned == [mallory.peer]).await;
    eventually("and gone", || !alice.is_up(&mallory)).await;
    alice.publish(&room, "good").await;
    eventually("bob hears alice", || bob.heard(b"good")).await;
    assert!(alice.is_up(&bob) && bob.seen().banned.is_empty(), "nothing bad was passed on");
    assert_eq!(bob.seen().gossip.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_requests_bans_its_sender_while_others_are_answered() {
    let (alice, bob, mallory) =
        (TestNode::start(1, TCP).await, TestNode::start(2, TCP).await, TestNode::start(3, TCP).await);
    bob.connect(&alice).await;
    mallory.connect(&alice).await;
    let (handle, target) = (mallory.handle.clone(), alice.peer);
    let flood = tokio::spawn(async move {
        while handle.request(target, Vec::new(), "x".into()).await != Err(RequestError::Closed) {}
    });
    assert_eq!(bob.handle.request(alice.peer, Vec::new(), "abc".into()).await, Ok("cba".into()));
    eventually("mallory is banned", || alice.seen().banned == [mallory.peer]).await;
    flood.abort();
    assert_eq!(bob.handle.request(alice.peer, Vec::new(), "abc".into()).await, Ok("cba".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_above_the_limit_are_refused_but_standing_ones_and_friends_stay() {
    let mut small = config(1, TCP);
    small.tuning.connections_in = 3;
    let alice = TestNode::with(small).await;
    let mut peers = Vec::new();
    for seed in 2..=4 {
        let node = TestNode::start(seed, TCP).await;
        node.connect(&alice).await;
        peers.push(node);
    }
    let late = TestNode::start(9, TCP).await;
    late.handle.keep(alice.peer, vec![alice.address()]).await.unwrap();
    for node in &peers {
        alice.handle.send(node.peer, "still here".into()).await.unwrap();
        eventually("it arrives", || !node.frames_from(&alice).is_empty()).await;
    }
    assert!(!alice.is_up(&late));
    let friend = TestNode::start(10, TCP).await;
    alice.handle.keep(friend.peer, Vec::new()).await.unwrap();
    friend.connect(&alice).await;
    alice.handle.forget(friend.peer).await.unwrap();
    friend.stop().await;
    assert!(!alice.is_up(&late));
    peers.pop().unwrap().stop().await;
    eventually("there is room now", || late.is_up(&alice)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_connections_leaves_standing_ones_and_memory_alone() {
    let mut strict = config(1, TCP);
    strict.tuning.gate_loopback = true;
    let alice = TestNode::with(strict).await;
    let bob = TestNode::start(2, TCP).await;
    alice.connect(&bob).await;
    let address = alice.address().to_string();
    let port: u16 = address.rsplit('/').next().unwrap().parse().unwrap();
    // Half-open ones: none of them ever says a word.
    let mut flood = Vec::new();
    for number in 0..300 {
        flood.push(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        alice.handle.send(bob.peer, "meanwhile".into()).await.unwrap();
        eventually("bob got it", || bob.frames_from(&alice).len() == number + 1).await;
    }
    let mut flood: Vec<_> = flood.into_iter().map(|stream| stream.into_std().unwrap()).collect();
    eventually("those above the share of one source are closed unheard", || {
        flood.retain_mut(|stream| match std::io::Read::read(stream, &mut [0]) {
            Ok(n) => n > 0,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        });
        flood.len() <= parlor_net::limits::SOURCE_PENDING
    })
    .await;
    assert!(alice.is_up(&bob));
}
