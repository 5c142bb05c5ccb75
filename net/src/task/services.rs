//! Relays: reservations at them, lines to them, and what they tell about how we are reached.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use libp2p::{
    autonat,
    core::transport::ListenerId,
    dcutr, identify,
    multiaddr::Protocol,
    relay,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
    upnp,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
};

use super::NetworkTask;
use crate::{
    Address, Carrier, DownReason, Line, LineError, LineKind, Nat, NetworkEvent, PeerId, RelayError, RelayStatus,
    RelayTrouble, dht,
    limits::*,
    line,
    relays::{Need, translation},
};

/// Confirmed direct addresses of ours that are remembered, the newest.
const CONFIRMED_MAX: usize = 8;
/// Observations of relays that are remembered: of ours, and of those walked to in the DHT.
const SEEN_MAX: usize = 64;

/// Lines that stand and that are being opened.
#[derive(Debug, Default)]
pub(super) struct Lines {
    opening: HashMap<u64, Opening>,
    last_id: u64,
    /// Their tasks, and those of the lines of others.
    pub(super) tasks: JoinSet<Over>,
    standing: HashMap<PeerId, usize>,
    /// How many of the tasks are of lines of others.
    served: usize,
}

/// A line that is over.
#[derive(Debug, Clone, Copy)]
pub(super) enum Over {
    /// Ours, to this peer.
    Ours(PeerId),
    /// One of another's, on this connection.
    Theirs(ConnectionId),
}

/// A line that is being opened.
#[derive(Debug)]
struct Opening {
    peer: PeerId,
    kind: LineKind,
    reply: oneshot::Sender<Result<Line, LineError>>,
    deadline: Instant,
    /// The connection on which it was asked for.
    connection: Option<ConnectionId>,
}

/// What is known about how we are reached.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Direct addresses that were tried from outside or mapped by the router, the newest first.
    confirmed: VecDeque<Address>,
    upnp: Option<Address>,
    /// Where relays see us, over each transport.
    seen: HashMap<(PeerId, Option<Carrier>), Address>,
    /// What was told last.
    told: Vec<Address>,
    pub(super) punched: (u64, u64),
}

impl NetworkTask {
    pub(super) fn relay(&mut self, peer: PeerId, addresses: Vec<Address>) {
        if peer == self.us || !self.relays.keep(peer, addresses, Instant::now()) {
            let reason = if peer == self.us { "that is this node itself" } else { "too many relays" };
            return self.emit(NetworkEvent::DialFailed { peer: Some(peer), reason: reason.to_owned() });
        }
        self.swarm.behaviour_mut().limits.bypass_peer_id(&peer.to_libp2p());
        self.serve_relays(Instant::now());
    }

    /// Gives up a relay with its connections: a reservation cannot be handed back otherwise.
    pub(super) fn unrelay(&mut self, peer: PeerId) {
        if self.relays.forget(&peer) {
            self.reach.seen.retain(|(it, _), _| *it != peer);
            self.swarm.behaviour_mut().limits.remove_peer_id(&peer.to_libp2p());
            self.drop_peer(peer, DownReason::Requested);
            self.tell_reachable();
        }
    }

    /// Dials relays and asks for reservations, where that is due.
    pub(super) fn serve_relays(&mut self, now: Instant) {
        let Self { relays, peers, .. } = self;
        for (peer, need) in relays.needs(now, &mut rand::random, |it| peers.service(it).is_some()) {
            match need {
                Need::Dial(addresses) => self.dial(peer, addresses),
                Need::Reserve => {
                    if let Some((_, connection)) = self.peers.service(&peer) {
                        let address = connection.address.without_peer();
                        self.relays.reached(&peer, address);
                        self.reserve(peer);
                    }
                }
                Need::GiveUp(listener) => {
                    self.swarm.remove_listener(listener);
                    self.on_reservation_lost(
                        listener,
                        RelayError::new(RelayTrouble::Down, "the relay did not answer in time"),
                    );
                }
            }
        }
    }

    /// A connection to a relay stands: lines that wait for it are opened.
    pub(super) fn on_service(&mut self, peer: PeerId, id: ConnectionId) {
        let waiting = self.lines.opening.iter_mut().filter(|(_, it)| it.peer == peer && it.connection.is_none());
        for (line, opening) in waiting {
            opening.connection = Some(id);
            self.swarm.behaviour_mut().lines.open(peer.to_libp2p(), id, *line, opening.kind);
        }
    }

    fn reserve(&mut self, peer: PeerId) {
        let Some(address) = self.relays.reached_at(&peer) else { return };
        let circuit = address.with_peer(peer).as_multiaddr().clone().with(Protocol::P2pCircuit);
        match self.swarm.listen_on(circuit) {
            Ok(listener) => self.relays.asked(&peer, listener, Instant::now()),
            Err(error) => self.on_relay_failed(peer, RelayError::new(RelayTrouble::Other, error.to_string())),
        }
    }

    /// A relay says that we are reached there through it.
    pub(super) fn on_reservation(&mut self, listener: ListenerId, address: &Address) {
        let lenient = self.tuning.private_addresses;
        let believes = |it: &Address| lenient || it.is_public();
        if let Some(peer) = self.relays.granted(self.us, listener, address, believes) {
            self.tell_relay(peer);
        }
    }

    /// A reservation is over, or was refused.
    pub(super) fn on_reservation_lost(&mut self, listener: ListenerId, error: RelayError) {
        if let Some(peer) = self.relays.lost(listener, error, Instant::now(), rand::random()) {
            self.tell_relay(peer);
        }
    }

    /// A relay could not be reached, or its connection is gone.
    pub(super) fn on_relay_failed(&mut self, peer: PeerId, error: RelayError) {
        let unreachable = |it: &Opening| it.peer == peer && it.connection.is_none();
        self.lines.fail(unreachable, &LineError::Unreachable(error.words.clone()));
        if self.relays.failed(&peer, error, Instant::now(), rand::random()) {
            self.tell_relay(peer);
        }
    }

    /// The connection to a relay is gone, and what was asked for on it.
    pub(super) fn on_service_closed(&mut self, peer: PeerId, id: ConnectionId) {
        // It stood, and ended before the answer: a node does so, which has no use for the connection, as soon as it has said no.
        self.lines_closed(peer, id);
        if self.peers.service(&peer).is_none() && self.relays.keeps(&peer) {
            let error = RelayError::new(RelayTrouble::Down, "the connection to the relay ended");
            self.on_relay_failed(peer, error);
        }
    }

    /// A connection is gone, and the lines that were to stand on it with it.
    pub(super) fn lines_closed(&mut self, peer: PeerId, id: ConnectionId) {
        self.lines.fail(|it| it.peer == peer && it.connection == Some(id), &LineError::Refused);
    }

    fn tell_relay(&mut self, peer: PeerId) {
        let state = self.relays.iter().find(|(it, _)| **it == peer).map(|(_, it)| it.state.clone());
        if let Some(state) = state {
            tracing::debug!(relay = peer.short(), ?state, "relay");
            self.emit(NetworkEvent::Relay { peer, state });
        }
        self.tell_reachable();
    }

    /// Tells the node when it is reached elsewhere, and the DHT.
    fn tell_reachable(&mut self) {
        let addresses = self.reachable();
        if self.reach.told != addresses {
            self.reach.told.clone_from(&addresses);
            self.announce_all();
            self.emit(NetworkEvent::Reachable { addresses });
        }
    }

    pub(super) fn reachable(&self) -> Vec<Address> {
        let direct = self.reach.confirmed.iter().map(|it| it.with_peer(self.us));
        direct.chain(self.relays.addresses().cloned()).collect()
    }

    /// An address of ours works from outside; those through relays are told by their reservations.
    pub(super) fn on_confirmed(&mut self, address: &Address) {
        let address = address.without_peer();
        if !address.is_relayed() && !self.reach.confirmed.contains(&address) {
            self.reach.confirmed.push_front(address);
            self.reach.confirmed.truncate(CONFIRMED_MAX);
            self.tell_reachable();
        }
    }

    /// An address of ours works no longer.
    pub(super) fn on_unconfirmed(&mut self, address: &Address) {
        let address = address.without_peer();
        self.reach.confirmed.retain(|it| *it != address);
        self.tell_reachable();
    }

    pub(super) fn on_identified(&mut self, peer: libp2p::PeerId, id: ConnectionId, info: &identify::Info) {
        let Ok(peer) = PeerId::from_libp2p(&peer) else { return };
        let serves = info.protocols.contains(&dht::PROTOCOL);
        let Some(connection) = self.peers.connection_mut(&peer, id) else { return };
        let first = !std::mem::replace(&mut connection.identified, true);
        // Who was walked to in the DHT is a relay too. Inbound it could be anybody who wants to stay without a hello.
        connection.service |= serves && connection.outbound && connection.stream.is_none() && first;
        let (service, refused, address) = (connection.service, connection.refused, connection.address.without_peer());
        if service {
            if connection.outbound && !connection.relayed && self.reach.seen.len() < SEEN_MAX {
                let seen = Address::from_multiaddr(info.observed_addr.clone());
                self.reach.seen.insert((peer, seen.endpoint().map(|it| it.carrier)), seen);
            }
            if serves && self.relays.knows(&peer) {
                let known = (peer.to_libp2p(), address.as_multiaddr().clone());
                self.swarm.behaviour_mut().dht.add_address(&known.0, known.1);
                self.announce_all();
            }
            if first {
                self.on_relay_identified(peer, id);
            }
        } else if refused && first {
            self.never_up(peer, id, DownReason::Incompatible);
        }
    }

    /// A relay said where it sees us. Circuits through it come and go from now on, not before: hole punching names to the other side what
    /// is known of our addresses when the circuit is made. Over the other transport a kept relay is asked where it sees us too, and that
    /// connection closed again.
    fn on_relay_identified(&mut self, peer: PeerId, id: ConnectionId) {
        self.relay_decided(&peer);
        if !self.relays.keeps(&peer) {
            return;
        }
        let service = self
            .peers
            .service(&peer)
            .map(|(it, connection)| (it, connection.outbound, connection.address.without_peer()));
        let Some((first, outbound, address)) = service else { return };
        if first != id {
            // One that the relay opened is its probe from outside: closed before it has its answer, it says that we can not be dialled.
            if self.peers.connection_mut(&peer, id).is_some_and(|it| it.outbound) {
                self.close_connection(peer, id, DownReason::Moved);
            }
            return;
        }
        if outbound && self.relays.reached(&peer, address) {
            self.reserve(peer);
        }
        let others: Vec<_> =
            self.relays.other_transport(&peer).iter().map(|it| it.without_peer().as_multiaddr().clone()).collect();
        if others.is_empty() {
            return;
        }
        let options =
            DialOpts::peer_id(peer.to_libp2p()).addresses(others).condition(PeerCondition::NotDialing).build();
        if let Err(error) = self.swarm.dial(options) {
            tracing::debug!(relay = peer.short(), %error, "not tried over the other transport");
        }
    }

    pub(super) fn on_circuit(&mut self, event: &relay::client::Event) {
        tracing::debug!(?event, "circuit");
    }

    /// A direct connection was tried from a relayed one. If it stands, its sync stream decides when the relayed one goes.
    pub(super) fn on_punch(&mut self, event: &dcutr::Event) {
        let (worked, failed) = &mut self.reach.punched;
        match &event.result {
            Ok(_) => *worked += 1,
            Err(error) => {
                *failed += 1;
                tracing::debug!(%error, "no direct way");
            }
        }
    }

    pub(super) fn on_probe(&mut self, event: &autonat::v2::client::Event) {
        tracing::debug!(address = %event.tested_addr, reached = event.result.is_ok(), "probed from outside");
    }

    pub(super) fn on_upnp(&mut self, event: upnp::Event) {
        match event {
            upnp::Event::NewExternalAddr { external_addr, .. } => {
                self.reach.upnp = Some(Address::from_multiaddr(external_addr));
            }
            upnp::Event::ExpiredExternalAddr { .. } => self.reach.upnp = None,
            upnp::Event::GatewayNotFound => tracing::debug!("no router that maps ports"),
            upnp::Event::NonRoutableGateway => tracing::debug!("the router is itself behind another"),
        }
    }

    pub(super) fn open_line(
        &mut self,
        peer: PeerId,
        addresses: Vec<Address>,
        kind: LineKind,
        reply: oneshot::Sender<Result<Line, LineError>>,
    ) {
        if self.lines.opening.len() + self.lines.tasks.len().saturating_sub(self.lines.served) >= LINES_OPEN {
            let _ = reply.send(Err(LineError::TooMany("lines")));
            return;
        }
        let connection = if LineKind::OF_NODES.contains(&kind) {
            let up = self.peers.get(&peer).and_then(|it| it.up);
            let Some((connection, _)) = up else {
                let _ = reply.send(Err(LineError::Unreachable("the peer is not up".to_owned())));
                return;
            };
            Some(connection)
        } else {
            self.relays.name(peer);
            self.peers.service(&peer).map(|(connection, _)| connection)
        };
        self.lines.last_id += 1;
        let id = self.lines.last_id;
        let deadline = Instant::now() + LINE_OPEN_DEADLINE;
        self.lines.opening.insert(id, Opening { peer, kind, reply, deadline, connection });
        match connection {
            Some(connection) => self.swarm.behaviour_mut().lines.open(peer.to_libp2p(), connection, id, kind),
            None => self.dial(peer, addresses),
        }
    }

    pub(super) fn on_line_stream(&mut self, event: line::BehaviourEvent) {
        match event {
            line::BehaviourEvent::Opened { id, stream } => {
                let Some(Opening { peer, kind, reply, connection, .. }) = self.lines.opening.remove(&id) else {
                    return;
                };
                let connection = connection.and_then(|it| self.peers.connection_mut(&peer, it));
                let Some(connection) = connection else {
                    let _ = reply.send(Err(LineError::Unreachable("the connection ended".to_owned())));
                    return;
                };
                let gone = connection.lines.get_or_insert_with(|| watch::Sender::new(())).subscribe();
                let (line, ends) = Line::new(peer, kind);
                let deadline = self.tuning.frame_deadline;
                *self.lines.standing.entry(peer).or_insert(0) += 1;
                self.lines.tasks.spawn(async move {
                    line::run(stream, ends, gone, deadline).await;
                    Over::Ours(peer)
                });
                // Who asked may have given up; then the line ends at once.
                let _ = reply.send(Ok(line));
            }
            line::BehaviourEvent::Refused { id } => {
                if let Some(opening) = self.lines.opening.remove(&id) {
                    let _ = opening.reply.send(Err(LineError::Refused));
                }
            }
            line::BehaviourEvent::Inbound { peer, connection, kind, stream } => {
                if !self.serve_line(peer, connection, kind, stream) {
                    self.swarm.behaviour_mut().lines.ended(connection);
                }
            }
        }
    }

    /// Takes a line that another node opened, if it is up, and there is a place for it.
    fn serve_line(&mut self, peer: libp2p::PeerId, id: ConnectionId, kind: LineKind, stream: libp2p::Stream) -> bool {
        let Ok(peer) = PeerId::from_libp2p(&peer) else { return false };
        let full = self.lines.served >= LINES_SERVED || self.outbox.len() >= OUTBOX_GOSSIP;
        let Some(entry) = self.peers.get_mut(&peer).filter(|it| it.up.is_some() && !full) else { return false };
        let Some(connection) = entry.connections.get_mut(&id).filter(|it| it.is_open()) else { return false };
        let gone = connection.lines.get_or_insert_with(|| watch::Sender::new(())).subscribe();
        let (line, ends) = Line::new(peer, kind);
        let deadline = self.tuning.frame_deadline;
        self.lines.served += 1;
        self.lines.tasks.spawn(async move {
            line::run(stream, ends, gone, deadline).await;
            Over::Theirs(id)
        });
        self.emit(NetworkEvent::Line { line });
        true
    }

    pub(super) fn on_line_over(&mut self, over: Result<Over, tokio::task::JoinError>) {
        let peer = match over {
            Ok(Over::Ours(peer)) => peer,
            Ok(Over::Theirs(connection)) => {
                self.lines.served = self.lines.served.saturating_sub(1);
                return self.swarm.behaviour_mut().lines.ended(connection);
            }
            Err(_) => return,
        };
        if let Some(standing) = self.lines.standing.get_mut(&peer) {
            *standing -= 1;
            if *standing == 0 {
                self.lines.standing.remove(&peer);
            }
        }
    }

    /// Gives up lines that nobody waits for, or that do not come.
    pub(super) fn expire_lines(&mut self, now: Instant) {
        self.lines.opening.retain(|_, it| !it.reply.is_closed());
        self.lines.fail(|it| it.deadline <= now, &LineError::Timeout);
    }

    /// What is known about the way in.
    pub(super) fn nat(&self) -> Nat {
        let open = self.reach.confirmed.iter().any(|it| !it.is_relayed());
        if open { Nat::Open } else { translation(self.reach.seen.values()).unwrap_or(Nat::Unknown) }
    }

    pub(super) fn upnp(&self) -> Option<Address> {
        self.reach.upnp.clone()
    }

    pub(super) fn relay_statuses(&self) -> Vec<RelayStatus> {
        let status = |(peer, entry): (&PeerId, &crate::relays::Entry)| {
            let connection = self.peers.service(peer).map(|(_, it)| it);
            RelayStatus {
                peer: *peer,
                addresses: entry.addresses.clone(),
                state: entry.state.clone(),
                connected: connection.map(|it| it.address.clone()),
                seen_at: self.reach.seen.iter().filter(|((it, _), _)| it == peer).map(|(_, it)| it.clone()).collect(),
                rtt: connection.and_then(|it| it.rtt),
                lines: self.lines.standing.get(peer).copied().unwrap_or(0),
            }
        };
        self.relays.iter().map(status).collect()
    }
}

impl Lines {
    fn fail(&mut self, which: impl Fn(&Opening) -> bool, error: &LineError) {
        for (_, opening) in self.opening.extract_if(|_, it| which(it)) {
            // Who asked may have given up.
            let _ = opening.reply.send(Err(error.clone()));
        }
    }
}
