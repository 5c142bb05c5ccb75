//! Bare libp2p, the same version as in the node: gossipsub as it comes, with signed messages, and a plain copy of bytes over
//! one stream.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use tokio::sync::mpsc;

use crate::nodes::Shown;

const COPY: StreamProtocol = StreamProtocol::new("/bench/copy/1");
/// Read and written at once.
const CHUNK: usize = 128 * 1024;

/// Nodes with gossipsub in one topic, each connected to each.
pub struct Gossip {
    publish: mpsc::Sender<Vec<u8>>,
    /// What the nodes `1..` received.
    pub deliveries: mpsc::UnboundedReceiver<Shown>,
    tasks: tokio::task::JoinSet<()>,
}

impl Gossip {
    /// Starts `n` nodes with default settings; waits for the mesh.
    ///
    /// # Errors
    /// They do not come up.
    pub async fn start(n: usize) -> Result<Self> {
        let (sender, deliveries) = mpsc::unbounded_channel();
        let (publish, mut commands) = mpsc::channel(1);
        let mut tasks = tokio::task::JoinSet::new();
        let mut addresses: Vec<Multiaddr> = Vec::new();
        for at in 0..n {
            let mut swarm: Swarm<gossipsub::Behaviour> = swarm(|key| {
                let config = gossipsub::ConfigBuilder::default().build().map_err(Box::new)?;
                Ok(gossipsub::Behaviour::new(MessageAuthenticity::Signed(key.clone()), config)?)
            })?;
            let topic = IdentTopic::new("bench");
            swarm.behaviour_mut().subscribe(&topic)?;
            let address = listen(&mut swarm).await?;
            for other in &addresses {
                swarm.dial(other.clone())?;
            }
            addresses.push(address);
            let (_, none) = mpsc::channel(1);
            let commands = if at == 0 { std::mem::replace(&mut commands, none) } else { none };
            tasks.spawn(gossip_node(at, swarm, topic, commands, sender.clone()));
        }
        tokio::time::sleep(crate::nodes::MESH).await;
        Ok(Self { publish, deliveries, tasks })
    }

    /// Has the first node publish. Waits while its queues are full.
    ///
    /// # Errors
    /// The node has ended.
    pub async fn publish(&self, data: Vec<u8>) -> Result<()> {
        Ok(self.publish.send(data).await?)
    }

    /// Ends all nodes.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn gossip_node(
    at: usize,
    mut swarm: Swarm<gossipsub::Behaviour>,
    topic: IdentTopic,
    mut commands: mpsc::Receiver<Vec<u8>>,
    deliveries: mpsc::UnboundedSender<Shown>,
) {
    let mut waiting: Option<Vec<u8>> = None;
    let mut retry = tokio::time::interval(Duration::from_millis(1));
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let SwarmEvent::Behaviour(gossipsub::Event::Message { message, .. }) = event
                    && let Some(number) = number(&message.data)
                    && deliveries.send((number, at, Instant::now())).is_err()
                {
                    return;
                }
            }
            Some(data) = commands.recv(), if waiting.is_none() => waiting = Some(data),
            _ = retry.tick(), if waiting.is_some() => {}
        }
        if let Some(data) = waiting.take()
            && swarm.behaviour_mut().publish(topic.clone(), data.clone()).is_err()
        {
            waiting = Some(data);
        }
    }
}

/// The number at the beginning of a message.
pub fn number(data: &[u8]) -> Option<usize> {
    let digits = data.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn swarm<B: NetworkBehaviour>(
    behaviour: impl FnOnce(&libp2p::identity::Keypair) -> Result<B, Box<dyn std::error::Error + Send + Sync>>,
) -> Result<Swarm<B>> {
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(behaviour)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build())
}

async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> Result<Multiaddr> {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok(address);
        }
    }
}

/// Two peers, one stream.
pub struct Copy {
    control: libp2p_stream::Control,
    to: PeerId,
    tasks: tokio::task::JoinSet<()>,
}

impl Copy {
    /// Connects two peers over TCP; what comes is written to the file, on disk at the end.
    ///
    /// # Errors
    /// They do not come up.
    pub async fn start(file: std::path::PathBuf) -> Result<Self> {
        let mut receiver = swarm(|_| Ok(libp2p_stream::Behaviour::new()))?;
        let mut sender = swarm(|_| Ok(libp2p_stream::Behaviour::new()))?;
        let address = listen(&mut receiver).await?;
        let to = *receiver.local_peer_id();
        let mut incoming = receiver.behaviour().new_control().accept(COPY)?;
        let control = sender.behaviour().new_control();
        sender.dial(address)?;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { while receiver.next().await.is_some() {} });
        let (connected, is_connected) = tokio::sync::oneshot::channel();
        tasks.spawn(async move {
            let mut connected = Some(connected);
            while let Some(event) = sender.next().await {
                if let (SwarmEvent::ConnectionEstablished { .. }, Some(connected)) = (event, connected.take()) {
                    // Nobody waits any more when the bench has ended.
                    let _ = connected.send(());
                }
            }
        });
        tasks.spawn(async move {
            while let Some((_, stream)) = incoming.next().await {
                // A copy that fails is not answered, and the sender says so.
                let _ = receive(stream, &file).await;
            }
        });
        is_connected.await?;
        Ok(Self { control, to, tasks })
    }

    /// Copies `bytes` bytes; answers when they are on the other side's disk.
    ///
    /// # Errors
    /// The stream broke.
    pub async fn copy(&mut self, bytes: usize) -> Result<()> {
        let mut stream = self.control.open_stream(self.to, COPY).await.context("no stream")?;
        let chunk = vec![7; CHUNK];
        let mut left = bytes;
        while left > 0 {
            let part = chunk.get(..left.min(CHUNK)).unwrap_or(&chunk);
            stream.write_all(part).await?;
            left -= part.len();
        }
        stream.close().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        if answer != bytes.to_be_bytes() {
            bail!("the copy is not whole");
        }
        Ok(())
    }

    /// Ends both peers.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn receive(mut stream: libp2p::Stream, file: &std::path::Path) -> Result<()> {
    use tokio::io::AsyncWriteExt as _;
    let mut file = tokio::fs::File::create(file).await?;
    let mut buffer = vec![0; CHUNK];
    let mut total = 0usize;
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            break;
        }
        file.write_all(buffer.get(..n).unwrap_or_default()).await?;
        total += n;
    }
    file.flush().await?;
    file.sync_data().await?;
    stream.write_all(&total.to_be_bytes()).await?;
    stream.close().await?;
    Ok(())
}
