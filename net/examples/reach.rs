//! Tries how nodes reach each other through a relay, one process each: for network namespaces and for measuring.
//!
//! ```text
//! reach relay LISTEN [EXTERNAL]   a relay; prints its address, then its status every second
//! reach listen SEED RELAY         a node with a reservation; prints its addresses, answers every frame
//! reach dial SEED ADDRESS RELAY   dials a node, says how it got there and how long it took
//! reach crowd N RELAY             N clients of a relay, each with one idle line
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "a tool for people who try things")]

use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::{StreamProtocol, SwarmBuilder, identity::Keypair, noise, swarm::SwarmEvent, tcp, yamux};
use parlor_net::{
    Address, NetworkConfig, NetworkEvent, relay,
    relay::{RelayConfig, RelayEvent},
};

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["relay", listen, external @ ..] => relay(listen, external).await,
        ["listen", seed, relay] => listen(seed, relay).await,
        ["dial", seed, address, relay] => dial(seed, address, relay).await,
        ["crowd", number, relay] => crowd(number.parse().unwrap(), relay).await,
        _ => panic!("see the beginning of the file"),
    }
}

async fn relay(listen: &str, external: &[&str]) {
    let mut config = RelayConfig::new([9; 32]);
    config.listen = listen.split(',').map(|it| it.parse().unwrap()).collect();
    config.external = external.iter().flat_map(|it| it.split(',')).map(|it| it.parse().unwrap()).collect();
    let mut started = relay::spawn(config).await.unwrap();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut lines = Vec::new();
    loop {
        tokio::select! {
            Some(event) = started.events.recv() => match event {
                RelayEvent::Listening { address } => println!("listening {}", address.with_peer(started.peer)),
                RelayEvent::Line { line, .. } => lines.push(line),
                _ => {}
            },
            _ = tick.tick() => {
                let status = started.handle.status().await.unwrap();
                println!(
                    "connections {} lines {} reservations {} circuits {} resident {} kB {:?}",
                    status.connections, status.lines, status.reservations, status.circuits, resident(), status.traffic
                );
            }
        }
    }
}

/// Resident memory in kB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|it| it.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).unwrap_or(0)
}

async fn node(seed: &str, relay: &str) -> parlor_net::Network {
    let mut config = NetworkConfig::new([seed.parse().unwrap(); 32]);
    config.listen = vec!["/ip4/0.0.0.0/udp/4001/quic-v1".parse().unwrap(), "/ip4/0.0.0.0/tcp/4001".parse().unwrap()];
    let network = parlor_net::spawn(config).await.unwrap();
    let addresses: Vec<Address> = relay.split(',').map(|it| it.parse().unwrap()).collect();
    let peer = addresses[0].peer().unwrap();
    network.handle.relay(peer, addresses.iter().map(Address::without_peer).collect()).await.unwrap();
    network
}

async fn listen(seed: &str, relay: &str) {
    let mut network = node(seed, relay).await;
    while let Some(event) = network.events.recv().await {
        match event {
            NetworkEvent::Reachable { addresses } => {
                println!("reachable {}", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            }
            NetworkEvent::PeerUp { peer, address, .. } => println!("up {peer} {address}"),
            NetworkEvent::PeerDown { peer, reason } => println!("down {peer} {reason}"),
            NetworkEvent::Frame { peer, data } => network.handle.send(peer, data).await.unwrap(),
            other => println!("{other:?}"),
        }
    }
}

async fn dial(seed: &str, address: &str, relay: &str) {
    let mut network = node(seed, relay).await;
    while let Some(event) = network.events.recv().await {
        if matches!(event, NetworkEvent::Relay { state: parlor_net::RelayState::Reserved { .. }, .. }) {
            break;
        }
        println!("{event:?}");
    }
    let addresses: Vec<Address> = address.split(',').map(|it| it.parse().unwrap()).collect();
    let peer = addresses[0].peer().unwrap();
    let start = Instant::now();
    network.handle.keep(peer, addresses).await.unwrap();
    let patience = tokio::time::sleep(Duration::from_secs(45));
    tokio::pin!(patience);
    loop {
        let event = tokio::select! {
            event = network.events.recv() => event.unwrap(),
            () = &mut patience => break,
        };
        let passed = start.elapsed().as_millis();
        match event {
            NetworkEvent::PeerUp { address, .. } => {
                println!("{passed} ms up {}", if address.is_relayed() { "relayed" } else { "direct" });
                network.handle.send(peer, "hello".into()).await.unwrap();
            }
            NetworkEvent::Frame { .. } => {
                println!("{passed} ms answered");
                let status = network.handle.status().await.unwrap();
                if status.peers.iter().any(|it| it.up && !it.relayed) || status.punched.1 > 0 {
                    break;
                }
            }
            other => println!("{passed} ms {other:?}"),
        }
    }
    let status = network.handle.status().await.unwrap();
    let way = status.peers.first().map_or("none", |it| if it.relayed { "relayed" } else { "direct" });
    println!("result {way} nat {:?} punched {:?} reachable {:?}", status.nat, status.punched, status.reachable);
}

async fn crowd(number: u32, relay: &str) {
    let address: libp2p::Multiaddr = relay.parse().unwrap();
    let mut clients = tokio::task::JoinSet::new();
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(32));
    for index in 0..number {
        let mut seed = [1; 32];
        seed[..4].copy_from_slice(&index.to_be_bytes());
        let (address, gate) = (address.clone(), gate.clone());
        clients.spawn(async move {
            let mut permit = Some(gate.acquire_owned().await.unwrap());
            let mut swarm = SwarmBuilder::with_existing_identity(Keypair::ed25519_from_bytes(seed).unwrap())
                .with_tokio()
                .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
                .unwrap()
                .with_behaviour(|_| libp2p_stream::Behaviour::new())
                .unwrap()
                .build();
            let mut control = swarm.behaviour().new_control();
            swarm.dial(address).unwrap();
            let (opened, mut stand) = tokio::sync::mpsc::channel(1);
            let mut line = None;
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => match event {
                        SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                            let (mut control, opened) = (control.clone(), opened.clone());
                            tokio::spawn(async move {
                                let mailbox = StreamProtocol::new("/parlor/mailbox/1");
                                let _ = opened.send(control.open_stream(peer_id, mailbox).await.unwrap()).await;
                            });
                        }
                        SwarmEvent::ConnectionClosed { .. } => println!("closed"),
                        SwarmEvent::OutgoingConnectionError { error, .. } => println!("{error}"),
                        _ => {}
                    },
                    Some(stream) = stand.recv() => {
                        line = Some(stream);
                        permit = None;
                    }
                }
                let _ = (&line, &permit, &mut control);
            }
        });
    }
    clients.join_all().await;
}
