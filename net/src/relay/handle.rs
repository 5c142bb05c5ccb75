//! What a program may ask of its relay, and what it is told.

use std::{net::IpAddr, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{Address, Line, NetworkError, PeerId, limits, relay::RelayConfig};

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    /// Its own peer id.
    pub peer: PeerId,
    /// To give commands.
    pub handle: RelayHandle,
    /// What happens. When it is not read, new lines are refused.
    pub events: mpsc::Receiver<RelayEvent>,
    /// The relay's task. Its end before a shutdown, or a panic in it, is fatal for the program.
    pub task: JoinHandle<()>,
}

/// Something that happened at a relay.
#[derive(Debug)]
#[non_exhaustive]
pub enum RelayEvent {
    /// The relay listens on this address now, with the real port and interface.
    Listening {
        /// The address.
        address: Address,
    },
    /// A listener failed after it had started.
    ListenFailed {
        /// What the system said.
        reason: String,
    },
    /// The relay no longer listens on this address.
    Expired {
        /// The address.
        address: Address,
    },
    /// A peer opened a line. Dropping it closes it.
    Line {
        /// The line; it names the peer and the kind.
        line: Line,
        /// Where the peer's connection comes from, for quotas: identities are free, addresses are dearer. IPv6 by its /64. None for
        /// connections of this machine's own tests.
        source: Option<IpAddr>,
    },
}

/// Gives commands to a running relay. Cheap to clone. The relay ends when [`RelayHandle::shutdown`] is called, when the last handle is
/// dropped, or when the event receiver is.
#[derive(Debug, Clone)]
pub struct RelayHandle {
    commands: mpsc::Sender<RelayCommand>,
}

/// What the handle asks of the task.
#[derive(Debug)]
pub(crate) enum RelayCommand {
    Ban { peer: PeerId, duration: Option<Duration> },
    Unban { peer: PeerId },
    BanSource { source: IpAddr },
    UnbanSource { source: IpAddr },
    Permit { peer: PeerId, until: Option<Duration> },
    Forbid { peer: PeerId },
    AddExternal { address: Address },
    Disconnect { peer: PeerId },
    Status { reply: oneshot::Sender<Status> },
    Shutdown { reply: oneshot::Sender<()> },
}

/// A relay at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// Its own peer id.
    pub peer: PeerId,
    /// Where it listens.
    pub listening: Vec<Address>,
    /// What it tells nodes in reservations.
    pub external: Vec<Address>,
    /// Other relays that are connected, of those it was started with.
    pub peers: Vec<PeerId>,
    /// Other relays that are not.
    pub peers_away: Vec<PeerId>,
    /// Other relays that are in the table of the DHT by an address: nodes hear of them here.
    pub peers_known: Vec<PeerId>,
    /// Peers that are refused.
    pub banned: Vec<PeerId>,
    /// Sources that are refused.
    pub banned_sources: Vec<IpAddr>,
    /// Connections that stand.
    pub connections: usize,
    /// Sources with a connection that stands.
    pub sources: usize,
    /// Reservations that stand.
    pub reservations: usize,
    /// Circuits that stand.
    pub circuits: usize,
    /// Lines that stand.
    pub lines: usize,
    /// Records of the DHT that are held.
    pub records: usize,
    /// What happened since the start.
    pub traffic: Traffic,
}

/// What a relay counted since its start: for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Connections that were established.
    pub connections: u64,
    /// Inbound connections that were refused or failed in their handshake.
    pub connections_refused: u64,
    /// Reservations that were made or renewed.
    pub reservations: u64,
    /// Reservations that were refused.
    pub reservations_refused: u64,
    /// Circuits that were made.
    pub circuits: u64,
    /// Circuits that were refused.
    pub circuits_refused: u64,
    /// Lines that were accepted.
    pub lines: u64,
    /// Lines that were refused because there were too many, or the program did not take them.
    pub lines_refused: u64,
    /// Records that were taken in.
    pub records: u64,
    /// Records that were refused.
    pub records_refused: u64,
    /// Questions to the DHT that were answered.
    pub finds: u64,
    /// Streams after which a connection was not listened to for a while: it, or its source, opens too many.
    pub streams_paced: u64,
    /// Addresses of nodes that were tried from outside, with success or without.
    pub probes: u64,
}

/// Starts a relay: makes the transports, listens everywhere asked for, and spawns its task on the current runtime.
///
/// # Errors
/// A listening address in use or not ours, `SSLKEYLOGFILE` set, an address of a peer without a peer id, or a part that cannot be set up.
/// Nothing runs then.
pub async fn spawn(config: RelayConfig) -> Result<Relay, NetworkError> {
    let (command_sender, commands) = mpsc::channel(limits::COMMAND_QUEUE);
    let (event_sender, events) = mpsc::channel(limits::RELAY_EVENTS);
    let (peer, task) = super::task::start(config, commands, event_sender)?;
    Ok(Relay { peer, handle: RelayHandle { commands: command_sender }, events, task })
}

impl RelayHandle {
    async fn command(&self, command: RelayCommand) -> Result<(), NetworkError> {
        self.commands.send(command).await.map_err(|_| NetworkError::Stopped)
    }

    /// Disconnects a peer and refuses it, for so long or until [`RelayHandle::unban`]. At most [`limits::RELAY_LIST_MAX`]; the oldest is
    /// forgotten first. The program keeps the list over restarts.
    ///
    /// # Errors
    /// The relay has stopped.
    pub async fn ban(&self, peer: PeerId, duration: Option<Duration>) -> Result<(), NetworkError> {
        self.command(RelayCommand::Ban { peer, duration }).await
    }

    /// Lets a peer in again.
    ///
    /// # Errors
    /// The relay has stopped.
    pub async fn unban(&self, peer: PeerId) -> Result<(), NetworkError> {
        self.command(RelayCommand::Unban { peer }).await
    }

    /// Refuses new connections from a source (an IPv4 address, the /64 of an IPv6 one) until [`RelayHandle::unban_source`], and closes
    /// those that stand. At most [`limits::RELAY_LIST_MAX`].
    ///
    /// # Errors
    /// The relay has stopped.
    pub async fn ban_source(&self, source: IpAddr) -> Result<(), NetworkError> {
        self.command(RelayCommand::BanSource { source }).await
    }

    /// Lets a source in again.
    ///
    /// # Errors
    /// The relay has stopped.
    pub async fn unban_source(&self, source: IpAddr) -> Result<(), NetworkError> {
        self.command(RelayCommand::UnbanSource { source }).await
    }

    /// Lets a peer reserve and dial through this relay although it is not open, for so long or for good: it showed a token.
    ///
    /// # Errors
    /// The relay has stopped.
    pub async fn permit(&self, peer: PeerId, duration: Option<Duration>) -> Result<(), NetworkError> {
        self.command(RelayCommand::Permit { peer, until: duration }).await
    }

    /// Takes a permission back. What stands, stays until it is to be renewed.
    ///
    /// # Errors
    /// The relay has stopped.
    pub async fn forbid(&self, peer: PeerId) -> Result<(), NetworkError> {
        self.command(RelayCommand::Forbid { peer }).await
    }

    /// One more address at which nodes reach this relay.
    ///
    /// # Errors
    /// The relay has stopped.
    pub async fn add_external(&self, address: Address) -> Result<(), NetworkError> {
        self.command(RelayCommand::AddExternal { address }).await
    }

    /// Closes all connections of a peer. It may come back.
    ///
    /// # Errors
    /// The relay has stopped.
    pub async fn disconnect(&self, peer: PeerId) -> Result<(), NetworkError> {
        self.command(RelayCommand::Disconnect { peer }).await
    }

    /// The relay at this moment.
    ///
    /// # Errors
    /// The relay has stopped.
    pub async fn status(&self) -> Result<Status, NetworkError> {
        let (reply, answer) = oneshot::channel();
        self.command(RelayCommand::Status { reply }).await?;
        answer.await.map_err(|_| NetworkError::Stopped)
    }

    /// Says goodbye and ends the task, within [`limits::SHUTDOWN_DEADLINE`]. Returns when it has ended. Lines end; what their owners still
    /// want to send must be sent before.
    pub async fn shutdown(&self) {
        let (reply, answer) = oneshot::channel();
        if self.command(RelayCommand::Shutdown { reply }).await.is_ok() {
            // An error means that the task is gone, which is what was asked for.
            let _ = answer.await;
        }
    }
}
