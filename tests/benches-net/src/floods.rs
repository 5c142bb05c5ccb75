//! Floods of a relay, each from many sources: addresses of this machine's own network, of which Linux has sixteen million.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use parlor_net::{Address, LineKind};
use parlor_proto::codec;
use parlor_proto::directory::{Ask, Request};
use parlor_proto::name::Name;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::boxes::{self, Client};

/// Puts of one line unanswered at once: the window of the mailbox protocol.
const WINDOW: usize = 64;
/// Streams of one connection that ask at once.
const STREAMS: usize = 8;

/// What a relay is flooded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// Blobs put, a line from each source.
    Puts,
    /// Connections that begin a handshake and go.
    Connections,
    /// Reservations, and circuits to nobody.
    Circuits,
    /// Records put into the DHT and looked for.
    Records,
    /// Names looked up.
    Names,
}

impl Flood {
    /// All, with their names.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Puts, "puts"),
        (Self::Connections, "connections"),
        (Self::Circuits, "circuits and reservations"),
        (Self::Records, "DHT records"),
        (Self::Names, "names"),
    ];

    /// Floods the relay from so many sources, until this process is ended.
    ///
    /// # Errors
    /// The address names no TCP port or no peer.
    pub async fn run(self, relay: &Address, sources: u8) -> Result<()> {
        let (peer, endpoint) = (relay.peer().context("no peer")?, relay.endpoint().context("no port")?);
        let socket = SocketAddr::from(([127, 0, 0, 1], endpoint.port));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..sources {
            let source = IpAddr::from([127, 0, 1, n + 1]);
            let relay: Address = format!("/ip4/127.0.0.1/tcp/{}/p2p/{peer}", tunnel(socket, source).await?).parse()?;
            let to: Multiaddr = relay.to_string().parse()?;
            tasks.spawn(async move {
                loop {
                    // What is refused or ended begins anew: a flood does not give up.
                    let _ = match self {
                        Self::Puts => puts(&relay, n).await,
                        Self::Connections => connection(socket, source).await,
                        Self::Circuits => streams(&to, "/libp2p/circuit/relay/0.2.0/hop", circuits).await,
                        Self::Records => streams(&to, "/parlor/kad/1", records).await,
                        Self::Names => names(&relay, n).await,
                    };
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        while tasks.join_next().await.is_some() {}
        Ok(())
    }
}

/// A port of this machine that leads to the relay, which sees who comes through it at this address: libp2p does not let its users
/// choose where they dial from.
async fn tunnel(to: SocketAddr, source: IpAddr) -> Result<u16> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut here, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut there = from(to, source).await?;
                tokio::io::copy_bidirectional(&mut here, &mut there).await
            });
        }
    });
    Ok(port)
}

async fn from(to: SocketAddr, source: IpAddr) -> std::io::Result<tokio::net::TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((source, 0)))?;
    socket.connect(to).await
}

async fn puts(relay: &Address, n: u8) -> Result<()> {
    let mut client = Client::connect(relay, 1_000 + u32::from(n)).await?;
    let number = 1_000 + u16::from(n);
    client.open(number).await?;
    client.flood(number, WINDOW).await
}

/// Makes the relay work for the first message of a handshake, and leaves.
async fn connection(to: SocketAddr, source: IpAddr) -> Result<()> {
    let mut stream = from(to, source).await?;
    let mut hello = b"\x13/multistream/1.0.0\n\x07/noise\n\x00\x20".to_vec();
    hello.extend([9; 32]);
    stream.write_all(&hello).await?;
    // Both greetings, and the beginning of the answer to the handshake; nothing when it is refused.
    tokio::time::timeout(Duration::from_secs(1), stream.read_exact(&mut [0; 60])).await??;
    Ok(())
}

async fn names(relay: &Address, n: u8) -> Result<()> {
    let (_network, mut line) = boxes::line(relay, 2_000 + u32::from(n), LineKind::Directory).await?;
    line.recv().await.context("no greeting")?;
    for id in 0_u32.. {
        let ask = Ask::Lookup(Name::parse(&format!("somebody{n}x{id}"))?);
        line.send(codec::encode(&Request { id, ask }).into()).await?;
        line.recv().await.context("the line is over")?;
    }
    Ok(())
}

/// A connection on which so many streams of a protocol say what `say` makes, with numbers that count up, as fast
/// as it is answered.
async fn streams(to: &Multiaddr, protocol: &'static str, say: fn(PeerId, u64) -> Vec<u8>) -> Result<()> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_| libp2p_stream::Behaviour::new())?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build();
    let relay = to.iter().find_map(|part| match part {
        libp2p::multiaddr::Protocol::P2p(peer) => Some(peer),
        _ => None,
    });
    let (relay, us) = (relay.context("an address without a peer")?, *swarm.local_peer_id());
    swarm.dial(to.clone())?;
    let control = swarm.behaviour().new_control();
    let mut asking = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            event = swarm.select_next_some() => match event {
                SwarmEvent::ConnectionEstablished { .. } => for n in 0..STREAMS as u64 {
                    asking.spawn(ask(control.clone(), relay, us, StreamProtocol::new(protocol), n << 32, say));
                },
                SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => return Ok(()),
                _ => {}
            },
            Some(_) = asking.join_next() => return Ok(()),
        }
    }
}

/// Asks on stream after stream, for a relay of circuits answers one question on each.
async fn ask(
    mut control: libp2p_stream::Control,
    relay: PeerId,
    us: PeerId,
    protocol: StreamProtocol,
    first: u64,
    say: fn(PeerId, u64) -> Vec<u8>,
) {
    for number in first.. {
        let Ok(mut stream) = control.open_stream(relay, protocol.clone()).await else { return };
        if stream.write_all(&say(us, number)).await.is_err() || stream.flush().await.is_err() {
            continue;
        }
        // An answer, or the end of the stream: either is one.
        let _ = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut [0; 512])).await;
    }
}

/// `RESERVE`, or `CONNECT` to somebody who is not there, by turns: messages of circuit relay v2.
fn circuits(us: PeerId, number: u64) -> Vec<u8> {
    if number.is_multiple_of(2) {
        return with_length(vec![0x08, 0x00]);
    }
    let peer = field(0x0a, &us.to_bytes());
    with_length([vec![0x08, 0x01], field(0x12, &peer)].concat())
}

/// `ADD_PROVIDER` under a key of its own, and with it `GET_PROVIDERS`, which is answered: messages of Kademlia.
fn records(us: PeerId, number: u64) -> Vec<u8> {
    let mut key = [0x33; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    let address: Multiaddr = libp2p::multiaddr::multiaddr!(Ip4([127, 0, 0, 1]), Tcp(4001_u16));
    let provider = [field(0x0a, &us.to_bytes()), field(0x12, &address.to_vec())].concat();
    let add = [vec![0x08, 0x02], field(0x12, &key), field(0x4a, &provider)].concat();
    let get = [vec![0x08, 0x03], field(0x12, &key)].concat();
    [with_length(add), with_length(get)].concat()
}

/// A field of bytes with this tag, shorter than 128.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag, bytes.len() as u8], bytes].concat()
}

fn with_length(message: Vec<u8>) -> Vec<u8> {
    [vec![message.len() as u8], message].concat()
}
