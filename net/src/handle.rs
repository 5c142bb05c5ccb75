//! What others may ask of the network.
//!
//! A [`NetworkHandle`] hides the channel to the network task. The task never waits for anything but its inputs, so the
//! methods return quickly; none of them waits for a peer, except [`NetworkHandle::request`], which has a deadline.
//! The task ends when [`NetworkHandle::shutdown`] is called, when the last handle is dropped, or when the event receiver is.

use bytes::Bytes;
use libp2p::{Swarm, identity::Keypair, swarm};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    Address, Carriers, FindError, GossipToken, Line, LineError, LineKind, NetworkConfig, NetworkError, NetworkEvent,
    NetworkStatus, PeerId, Provider, RequestError, RequestToken, SendError, Topic, Verdict, behaviour::Node, limits,
    listen, task::NetworkTask, transport,
};

/// A running network.
#[derive(Debug)]
pub struct Network {
    /// Our own peer id.
    pub peer: PeerId,
    /// To give commands.
    pub handle: NetworkHandle,
    /// What happens. When it is not read, gossip is dropped first, then peers are slowed down.
    pub events: mpsc::Receiver<NetworkEvent>,
    /// The network task. Its end before a shutdown, or a panic in it, is fatal for the node.
    pub task: JoinHandle<()>,
}

/// Gives commands to a running network. Cheap to clone.
#[derive(Debug, Clone)]
pub struct NetworkHandle {
    commands: mpsc::Sender<NetworkCommand>,
}

/// Starts the network: makes the transports, listens everywhere asked for, and spawns its task on the current runtime.
///
/// # Errors
/// A listening address in use or not ours, `SSLKEYLOGFILE` set, or a part that cannot be set up. Nothing runs then.
pub async fn spawn(config: NetworkConfig) -> Result<Network, NetworkError> {
    if config.carriers == Carriers::Internet && std::env::var_os("SSLKEYLOGFILE").is_some() {
        return Err(NetworkError::KeyLog);
    }
    let mut seed = config.key.clone();
    let key = Keypair::ed25519_from_bytes(seed.as_mut_slice())
        .map_err(|error| NetworkError::Setup { part: "transport key", reason: error.to_string() })?;
    let peer = PeerId::from_seed(&config.key);
    let (relayed, relay_client) = libp2p::relay::client::new(key.public().to_peer_id());
    let transport = transport::build(config.carriers, &key, transport::For::Node(relayed))?;
    let node = Node::new(&config, &key, relay_client)?;
    let settings =
        swarm::Config::with_tokio_executor().with_idle_connection_timeout(limits::IDLE_DEADLINE).with_smart_dial();
    let mut swarm = Swarm::new(transport, node, key.public().to_peer_id(), settings);
    for address in &config.listen {
        listen::listen(&mut swarm, address)?;
    }
    let (command_sender, commands) = mpsc::channel(limits::COMMAND_QUEUE);
    let (event_sender, events) = mpsc::channel(limits::EVENT_QUEUE);
    let task = NetworkTask::new(peer, config.tuning, swarm, commands, event_sender);
    let task = tokio::spawn(task.run());
    Ok(Network { peer, handle: NetworkHandle::new(command_sender), events, task })
}

/// What the handle asks of the task.
#[derive(Debug)]
pub(crate) enum NetworkCommand {
    Listen { address: Address, reply: oneshot::Sender<Result<(), NetworkError>> },
    Dial { peer: Option<PeerId>, addresses: Vec<Address> },
    Keep { peer: PeerId, addresses: Vec<Address> },
    Forget { peer: PeerId },
    Disconnect { peer: PeerId },
    Subscribe { topic: Topic },
    Unsubscribe { topic: Topic },
    Publish { topic: Topic, data: Bytes },
    Verdict { token: GossipToken, verdict: Verdict },
    Send { peer: PeerId, frame: Bytes },
    Request { peer: PeerId, addresses: Vec<Address>, data: Bytes, reply: oneshot::Sender<Result<Bytes, RequestError>> },
    Respond { token: RequestToken, data: Bytes },
    Punish { peer: PeerId, weight: u32 },
    Relay { peer: PeerId, addresses: Vec<Address> },
    Unrelay { peer: PeerId },
    OpenLine { peer: PeerId, addresses: Vec<Address>, kind: LineKind, reply: oneshot::Sender<Result<Line, LineError>> },
    Provide { key: [u8; 32] },
    Unprovide { key: [u8; 32] },
    Find { key: [u8; 32], reply: oneshot::Sender<Result<Vec<Provider>, FindError>> },
    Status { reply: oneshot::Sender<NetworkStatus> },
    Shutdown { reply: oneshot::Sender<()> },
}

impl NetworkHandle {
    pub(crate) fn new(commands: mpsc::Sender<NetworkCommand>) -> Self {
        Self { commands }
    }

    async fn command(&self, command: NetworkCommand) -> Result<(), SendError> {
        self.commands.send(command).await.map_err(|_| SendError::Stopped)
    }

    /// Listens on one more address. [`NetworkEvent::Listening`] tells the real one.
    ///
    /// # Errors
    /// The address is in use, or not one to listen on.
    pub async fn listen(&self, address: Address) -> Result<(), NetworkError> {
        let (reply, answer) = oneshot::channel();
        self.command(NetworkCommand::Listen { address, reply }).await.map_err(|_| NetworkError::Stopped)?;
        answer.await.map_err(|_| NetworkError::Stopped)?
    }

    /// Connects once. With a peer id nothing happens if it is connected or being dialled; without one, whoever answers is
    /// taken. The outcome is [`NetworkEvent::PeerUp`] or [`NetworkEvent::DialFailed`].
    ///
    /// # Errors
    /// More than [`limits::ADDRESSES_MAX`] addresses.
    pub async fn dial(&self, peer: Option<PeerId>, addresses: Vec<Address>) -> Result<(), SendError> {
        bounded(&addresses)?;
        self.command(NetworkCommand::Dial { peer, addresses }).await
    }

    /// Stays connected to this peer from now on: dials, and dials again with jittered, growing pauses whenever the
    /// connection is gone. Direct addresses are tried before relayed ones. Called again, it replaces the addresses and tries at once. Without
    /// addresses, it is only waited for. Limits on the number of connections do not apply to it.
    ///
    /// # Errors
    /// More than [`limits::ADDRESSES_MAX`] addresses. Above [`limits::KEPT_MAX`] peers, the call is reported as
    /// [`NetworkEvent::DialFailed`].
    pub async fn keep(&self, peer: PeerId, addresses: Vec<Address>) -> Result<(), SendError> {
        bounded(&addresses)?;
        self.command(NetworkCommand::Keep { peer, addresses }).await
    }

    /// No longer redials this peer. A standing connection stays.
    pub async fn forget(&self, peer: PeerId) -> Result<(), SendError> {
        self.command(NetworkCommand::Forget { peer }).await
    }

    /// Drops all connections to this peer. If it is kept, it is dialled again after a short pause: the cure for a link
    /// whose gossip went silent.
    pub async fn disconnect(&self, peer: PeerId) -> Result<(), SendError> {
        self.command(NetworkCommand::Disconnect { peer }).await
    }

    /// Takes part in a topic. At most [`limits::TOPICS_MAX`]; above, it is reported as [`NetworkEvent::Unpublished`] with
    /// [`crate::PublishFailure::Refused`].
    pub async fn subscribe(&self, topic: Topic) -> Result<(), SendError> {
        self.command(NetworkCommand::Subscribe { topic }).await
    }

    /// Leaves a topic.
    pub async fn unsubscribe(&self, topic: Topic) -> Result<(), SendError> {
        self.command(NetworkCommand::Unsubscribe { topic }).await
    }

    /// Publishes on a topic. `Ok` means nothing about arrival: gossip is a hint. [`NetworkEvent::Unpublished`] says when
    /// surely nobody was told.
    ///
    /// # Errors
    /// The payload is empty or above [`limits::GOSSIP_PAYLOAD_MAX`].
    pub async fn publish(&self, topic: Topic, data: Bytes) -> Result<(), SendError> {
        if data.is_empty() || data.len() > limits::GOSSIP_PAYLOAD_MAX {
            return Err(SendError::PayloadSize(data.len()));
        }
        self.command(NetworkCommand::Publish { topic, data }).await
    }

    /// Says what a gossip message was worth. A reject counts [`limits::WEIGHT_REJECT`] against the neighbour it came from.
    pub async fn verdict(&self, token: GossipToken, verdict: Verdict) -> Result<(), SendError> {
        self.command(NetworkCommand::Verdict { token, verdict }).await
    }

    /// Puts a frame on the peer's sync stream. Never waits for the peer: frames queue up to [`limits::SEND_QUEUE_BYTES`], and above that
    /// the peer is disconnected. For a peer that is not up the frame is dropped silently: `PeerDown` is on its way or was seen.
    ///
    /// # Errors
    /// The frame is empty or above [`limits::FRAME_MAX`].
    pub async fn send(&self, peer: PeerId, frame: Bytes) -> Result<(), SendError> {
        if frame.is_empty() || frame.len() > limits::FRAME_MAX {
            return Err(SendError::Size(frame.len()));
        }
        self.command(NetworkCommand::Send { peer, frame }).await
    }

    /// Asks a question on `/parlor/join/1` and waits for the answer, at most [`limits::REQUEST_DEADLINE`] and the time to connect.
    /// The peer is dialled at the given addresses if it is not connected. Dropping the future gives up the answer, not the question.
    ///
    /// # Errors
    /// The peer cannot be reached, does not answer in time, or breaks the protocol.
    pub async fn request(&self, peer: PeerId, addresses: Vec<Address>, data: Bytes) -> Result<Bytes, RequestError> {
        if data.len() > limits::REQUEST_MAX {
            return Err(RequestError::Size(data.len()));
        }
        let (reply, answer) = oneshot::channel();
        let command = NetworkCommand::Request { peer, addresses, data, reply };
        self.command(command).await.map_err(|_| RequestError::Stopped)?;
        answer.await.map_err(|_| RequestError::Stopped)?
    }

    /// Answers a request. A late answer is dropped.
    ///
    /// # Errors
    /// The answer is above [`limits::RESPONSE_MAX`].
    pub async fn respond(&self, token: RequestToken, data: Bytes) -> Result<(), SendError> {
        if data.len() > limits::RESPONSE_MAX {
            return Err(SendError::ResponseSize(data.len()));
        }
        self.command(NetworkCommand::Respond { token, data }).await
    }

    /// Counts `weight` against a peer, for what only the node can see. At [`limits::BAN_AT`] it is banned.
    pub async fn punish(&self, peer: PeerId, weight: u32) -> Result<(), SendError> {
        self.command(NetworkCommand::Punish { peer, weight }).await
    }

    /// Keeps a connection and a reservation at this relay from now on, so that others reach us through it. Both are renewed, and
    /// tried again with growing pauses while the relay is away. [`NetworkEvent::Relay`] tells how it stands and
    /// [`NetworkEvent::Reachable`] our addresses. Called again, it replaces the relay's addresses and tries at once.
    ///
    /// # Errors
    /// More than [`limits::ADDRESSES_MAX`] addresses. Above [`limits::RELAYS_MAX`] relays, the call is reported as
    /// [`NetworkEvent::DialFailed`].
    pub async fn relay(&self, peer: PeerId, addresses: Vec<Address>) -> Result<(), SendError> {
        bounded(&addresses)?;
        self.command(NetworkCommand::Relay { peer, addresses }).await
    }

    /// Gives up the reservation at this relay, with its connection and the lines on it.
    pub async fn unrelay(&self, peer: PeerId) -> Result<(), SendError> {
        self.command(NetworkCommand::Unrelay { peer }).await
    }

    /// Opens a line to a relay, over its connection or a new one to these addresses, and waits until it stands, at most
    /// [`limits::LINE_OPEN_DEADLINE`]. Dropping the future gives the line up. The relay need not be one of
    /// [`NetworkHandle::relay`]; without a reservation its connection ends some time after the last line.
    ///
    /// A line of a kind that nodes accept ([`LineKind::OF_NODES`]) goes to a peer that is up, over that connection; nobody is
    /// dialled for it.
    ///
    /// # Errors
    /// The other side cannot be reached, does not take such a line, or there are too many.
    pub async fn open_line(&self, peer: PeerId, addresses: Vec<Address>, kind: LineKind) -> Result<Line, LineError> {
        if addresses.len() > limits::ADDRESSES_MAX {
            return Err(LineError::TooMany("addresses"));
        }
        let (reply, answer) = oneshot::channel();
        let command = NetworkCommand::OpenLine { peer, addresses, kind, reply };
        self.command(command).await.map_err(|_| LineError::Stopped)?;
        answer.await.map_err(|_| LineError::Stopped)?
    }

    /// Announces under this key in the DHT of the relays where we can be reached, now, whenever that changes, and every
    /// [`limits::PROVIDE_AGAIN`]. The relays near the key see it together with our peer id and addresses, so it must be blinded and
    /// change with time. Without a relay or a confirmed address nothing is announced until there is one. At most
    /// [`limits::PROVIDED_MAX`] keys; above, the oldest is given up.
    pub async fn provide(&self, key: [u8; 32]) -> Result<(), SendError> {
        self.command(NetworkCommand::Provide { key }).await
    }

    /// No longer announces this key. Relays forget it after [`limits::PROVIDED_FOR`] at the latest.
    pub async fn unprovide(&self, key: [u8; 32]) -> Result<(), SendError> {
        self.command(NetworkCommand::Unprovide { key }).await
    }

    /// Asks the DHT who announced this key, at most [`limits::FIND_DEADLINE`]. All of it are claims of strangers. Dropping the
    /// future gives up the answer, not the question.
    ///
    /// # Errors
    /// No relay is connected, or too many questions wait. Nobody found is no error.
    pub async fn find(&self, key: [u8; 32]) -> Result<Vec<Provider>, FindError> {
        let (reply, answer) = oneshot::channel();
        self.command(NetworkCommand::Find { key, reply }).await.map_err(|_| FindError::Stopped)?;
        answer.await.map_err(|_| FindError::Stopped)?
    }

    /// The network at this moment.
    ///
    /// # Errors
    /// The network has stopped.
    pub async fn status(&self) -> Result<NetworkStatus, NetworkError> {
        let (reply, answer) = oneshot::channel();
        self.command(NetworkCommand::Status { reply }).await.map_err(|_| NetworkError::Stopped)?;
        answer.await.map_err(|_| NetworkError::Stopped)
    }

    /// Says goodbye to all peers and ends the task, within [`limits::SHUTDOWN_DEADLINE`]. Returns when it has ended.
    pub async fn shutdown(&self) {
        let (reply, answer) = oneshot::channel();
        if self.command(NetworkCommand::Shutdown { reply }).await.is_ok() {
            // An error means that the task is gone, which is what was asked for.
            let _ = answer.await;
        }
    }
}

fn bounded(addresses: &[Address]) -> Result<(), SendError> {
    if addresses.len() > limits::ADDRESSES_MAX { Err(SendError::TooMany("addresses")) } else { Ok(()) }
}
