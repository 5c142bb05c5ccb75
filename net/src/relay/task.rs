//! The relay's task: chooses the next event, counts it, passes lines on.
//!
//! It owns the swarm and every table, and waits for nothing but its inputs.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    Swarm, autonat, identify,
    identity::Keypair,
    kad,
    multiaddr::Protocol,
    relay,
    swarm::{
        self, ConnectionId, DialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    RelayConfig, RelayEvent, RelayTuning, Status, Traffic,
    admission::{Buckets, Permits},
    behaviour::{Server, ServerEvent},
    circuits::Circuits,
    handle::RelayCommand,
    names,
};
use crate::{
    Address, Carriers, Line, NetworkError, PeerId, dht,
    gate::{Source, source},
    guarded::is_public,
    limits::*,
    line, listen,
    pace::Pace,
    ping::Heard,
    rate::Bucket,
    redial::Kept,
    transport,
};

/// Period of housekeeping.
const TURN: Duration = Duration::from_secs(1);
/// Turns between two sweeps of records and permits.
const SWEEP: u32 = 60;
/// Records taken from one peer in one burst, and a second.
const RECORD_BURST: u32 = 2 * RELAY_RECORDS_PER_PEER as u32;
const RECORD_RATE: u32 = 16;

/// The state of the relay's task.
struct RelayTask {
    us: PeerId,
    tuning: RelayTuning,
    swarm: Swarm<Server>,
    commands: mpsc::Receiver<RelayCommand>,
    events: mpsc::Sender<RelayEvent>,
    connections: HashMap<ConnectionId, Connection>,
    /// The connections of each peer.
    peers: HashMap<libp2p::PeerId, Vec<ConnectionId>>,
    /// Records taken from each source.
    records: Buckets<IpAddr>,
    /// Who made the circuits that stand.
    standing: Circuits,
    pace: Pace,
    reserved: HashSet<libp2p::PeerId>,
    /// The tasks of lines, each with its connection.
    lines: JoinSet<ConnectionId>,
    /// Other relays.
    kept: Kept,
    /// Where each of them is said to be by the operator, and where it stands in the table.
    named: HashMap<PeerId, Vec<Address>>,
    known: HashMap<PeerId, Vec<libp2p::Multiaddr>>,
    /// Names of other relays that are being looked up.
    asking: JoinSet<(PeerId, Vec<libp2p::Multiaddr>)>,
    permits: Permits,
    /// Bans that end.
    bans: HashMap<PeerId, Option<Instant>>,
    listening: Vec<Address>,
    /// Nobody said where we are reached, so it is where we listen.
    guess_external: bool,
    traffic: Traffic,
    turns: u32,
}

/// One connection.
struct Connection {
    peer: libp2p::PeerId,
    source: Option<IpAddr>,
    heard: Instant,
    asked: bool,
    silences: u8,
    records: Bucket,
    /// Ends the lines of the connection when it is dropped.
    lines: watch::Sender<()>,
}

/// Sets a relay up and spawns its task.
pub(super) fn start(
    config: RelayConfig,
    commands: mpsc::Receiver<RelayCommand>,
    events: mpsc::Sender<RelayEvent>,
) -> Result<(PeerId, JoinHandle<()>), NetworkError> {
    if config.carriers == Carriers::Internet && std::env::var_os("SSLKEYLOGFILE").is_some() {
        return Err(NetworkError::KeyLog);
    }
    let mut seed = config.key.clone();
    let key = Keypair::ed25519_from_bytes(seed.as_mut_slice())
        .map_err(|error| NetworkError::Setup { part: "transport key", reason: error.to_string() })?;
    let us = PeerId::from_seed(&config.key);
    let permits = Permits::default();
    let pace = Pace::new(config.tuning.gate_loopback);
    let transport = transport::build(config.carriers, &key, transport::For::Relay(pace.clone()))?;
    let settings = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_DEADLINE)
        .with_max_negotiating_inbound_streams(STREAMS_NEGOTIATING);
    let tuning = &config.tuning;
    let standing = Circuits::new(tuning.circuits_per_peer, tuning.circuits_per_source, tuning.gate_loopback);
    let server = Server::new(&config, &key, &permits, &standing);
    let mut swarm = Swarm::new(transport, server, key.public().to_peer_id(), settings);
    for address in &config.listen {
        listen::listen(&mut swarm, address)?;
    }
    for address in &config.external {
        swarm.add_external_address(address.without_peer().as_multiaddr().clone());
    }
    let mut kept = Kept::new(REDIAL_FIRST, REDIAL_LAST);
    let mut named: HashMap<PeerId, Vec<Address>> = HashMap::new();
    for address in &config.peers {
        let peer = address.peer().ok_or_else(|| NetworkError::Setup {
            part: "other relays",
            reason: format!("{address} does not end in a peer id"),
        })?;
        named.entry(peer).or_default().push(address.without_peer());
    }
    for (peer, addresses) in &named {
        swarm.behaviour_mut().limits.bypass_peer_id(&peer.to_libp2p());
        kept.keep(*peer, addresses.clone(), Instant::now());
    }
    let mut task = RelayTask {
        us,
        swarm,
        commands,
        events,
        connections: HashMap::new(),
        peers: HashMap::new(),
        records: Buckets::new(RELAY_RECORDS_ASKED),
        standing,
        pace,
        reserved: HashSet::new(),
        lines: JoinSet::new(),
        kept,
        known: HashMap::new(),
        asking: JoinSet::new(),
        permits,
        bans: HashMap::new(),
        listening: Vec::new(),
        guess_external: config.external.is_empty(),
        traffic: Traffic::default(),
        turns: 0,
        tuning: config.tuning,
        named,
    };
    let peers: Vec<_> = task.named.keys().copied().collect();
    for peer in peers {
        task.look_up(peer);
    }
    Ok((us, tokio::spawn(task.run())))
}

impl RelayTask {
    async fn run(mut self) {
        let mut tick = interval(TURN);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(RelayCommand::Shutdown { reply }) => break Some(reply),
                    Some(command) => self.on_command(command),
                    None => break None,
                },
                () = self.events.closed() => break None,
                event = self.swarm.select_next_some() => self.on_swarm(event),
                Some(ended) = self.lines.join_next() => {
                    if let Ok(connection) = ended {
                        self.swarm.behaviour_mut().lines.ended(connection);
                    }
                }
                Some(Ok((peer, found))) = self.asking.join_next() => self.on_found(peer, found),
                _ = tick.tick() => self.on_tick(Instant::now()),
            }
        };
        // The state of the task is large, and is moved once more here.
        Box::pin(self.stop(stopped)).await;
    }

    fn on_swarm(&mut self, event: SwarmEvent<ServerEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.traffic.connections += 1;
                let source = match source(&libp2p::Multiaddr::empty(), endpoint.get_remote_address()) {
                    Some(Source::Ip(ip)) => Some(ip),
                    _ => None,
                };
                let now = Instant::now();
                let records = Bucket::new(RECORD_RATE, RECORD_BURST, now);
                let lines = watch::Sender::new(());
                let connection =
                    Connection { peer: peer_id, source, heard: now, asked: false, silences: 0, records, lines };
                self.connections.insert(connection_id, connection);
                self.peers.entry(peer_id).or_default().push(connection_id);
                if let Ok(peer) = PeerId::from_libp2p(&peer_id) {
                    self.look_up(peer);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                self.connections.remove(&connection_id);
                if let Some(connections) = self.peers.get_mut(&peer_id) {
                    connections.retain(|it| *it != connection_id);
                    if connections.is_empty() {
                        self.peers.remove(&peer_id);
                    }
                }
                if num_established == 0 {
                    self.reserved.remove(&peer_id);
                    self.standing.gone(&peer_id);
                    if let Ok(peer) = PeerId::from_libp2p(&peer_id) {
                        self.kept.lost(&peer, None, Instant::now(), rand::random());
                    }
                }
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                self.traffic.connections_refused += 1;
                tracing::debug!(%error, "inbound connection failed");
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => self.on_dial_error(peer, &error),
            SwarmEvent::NewListenAddr { address, .. } => {
                let address = Address::from_multiaddr(address);
                self.listening.push(address.clone());
                self.tell_external();
                self.emit(RelayEvent::Listening { address });
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_expired(Address::from_multiaddr(address)),
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                for address in addresses {
                    self.on_expired(Address::from_multiaddr(address));
                }
                if let Err(error) = reason {
                    self.emit(RelayEvent::ListenFailed { reason: error.to_string() });
                }
            }
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Lines(event) => self.on_line(event),
            ServerEvent::Circuits(event) => self.on_circuits(&event),
            ServerEvent::Dht(kad::Event::InboundRequest { request }) => self.on_question(request),
            ServerEvent::Dht(_) => {}
            ServerEvent::Probes(autonat::v2::server::Event { .. }) => self.traffic.probes += 1,
            ServerEvent::Ping(event) => self.on_ping(event.connection, &event.what),
            ServerEvent::Identify(identify::Event::Received { peer_id, info, .. }) => self.on_identify(peer_id, &info),
            ServerEvent::Identify(_) => {}
            ServerEvent::Gate(never)
            | ServerEvent::Limits(never)
            | ServerEvent::Memory(never)
            | ServerEvent::Banned(never) => match never {},
        }
    }

    fn on_line(&mut self, event: line::BehaviourEvent) {
        let line::BehaviourEvent::Inbound { peer, connection, kind, stream } = event else { return };
        let known = self.connections.get_mut(&connection).zip(PeerId::from_libp2p(&peer).ok());
        let Some((entry, peer)) = known else { return self.swarm.behaviour_mut().lines.ended(connection) };
        entry.heard = Instant::now();
        let (line, ends) = Line::new(peer, kind);
        let gone = entry.lines.subscribe();
        // The program takes lines at once, or is in trouble: then clients had better try elsewhere.
        if self.events.try_send(RelayEvent::Line { line, source: entry.source }).is_err() {
            self.traffic.lines_refused += 1;
            return self.swarm.behaviour_mut().lines.ended(connection);
        }
        self.traffic.lines += 1;
        let deadline = self.tuning.frame_deadline;
        self.lines.spawn(async move {
            line::run(stream, ends, gone, deadline).await;
            connection
        });
    }

    fn on_circuits(&mut self, event: &relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { src_peer_id, .. } => {
                self.traffic.reservations += 1;
                self.reserved.insert(*src_peer_id);
            }
            relay::Event::ReservationReqDenied { .. } => self.traffic.reservations_refused += 1,
            relay::Event::ReservationTimedOut { src_peer_id } => {
                self.reserved.remove(src_peer_id);
            }
            relay::Event::CircuitReqAccepted { src_peer_id, .. } => {
                self.traffic.circuits += 1;
                let from = self.peers.get(src_peer_id).and_then(|ids| self.connections.get(ids.first()?)?.source);
                self.standing.accepted(src_peer_id, from);
            }
            relay::Event::CircuitReqDenied { src_peer_id, status, .. } => {
                self.traffic.circuits_refused += 1;
                // What a limit refused was never counted.
                if !matches!(status, relay::StatusCode::ResourceLimitExceeded) {
                    self.standing.failed(src_peer_id);
                }
            }
            // Of a circuit whose other end lost its connection this is said twice: of the connection, and when the copying ends, which is
            // up to who asked for it. Until then it costs what it did.
            relay::Event::CircuitClosed { error: Some(error), .. }
                if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            relay::Event::CircuitClosed { src_peer_id, .. } => self.standing.closed(src_peer_id),
            _ => {}
        }
    }

    fn on_question(&mut self, request: kad::InboundRequest) {
        match request {
            kad::InboundRequest::AddProvider { record: Some(record) } => self.on_record(record),
            kad::InboundRequest::GetProvider { .. } => self.traffic.finds += 1,
            _ => {}
        }
    }

    /// Takes a record in, if it looks like one of ours and neither its source nor its peer is too fast.
    fn on_record(&mut self, mut record: kad::ProviderRecord) {
        let now = Instant::now();
        let connection = self.peers.get(&record.provider).and_then(|ids| ids.first());
        let connection = connection.and_then(|id| self.connections.get_mut(id));
        let loopback = self.tuning.gate_loopback;
        let source = connection.as_ref().and_then(|it| it.source).filter(|ip| loopback || !ip.is_loopback());
        // Records are small and cheap to send, so the rates come before anything that costs more.
        let in_rate =
            source.is_none_or(|ip| self.records.take(ip, now)) && connection.is_some_and(|it| it.records.take(1, now));
        record.addresses.truncate(ADDRESSES_MAX);
        let fits = record.key.as_ref().len() == 32 && !record.addresses.is_empty();
        if in_rate && fits && self.swarm.behaviour_mut().dht.store_mut().add(record, source) {
            self.traffic.records += 1;
        } else {
            self.traffic.records_refused += 1;
        }
    }

    fn on_ping(&mut self, id: ConnectionId, what: &Heard) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match what {
            Heard::Question => connection.heard = Instant::now(),
            Heard::Answer(_) => {
                connection.heard = Instant::now();
                connection.asked = false;
                connection.silences = 0;
            }
            Heard::Silence => {
                connection.asked = false;
                connection.silences = connection.silences.saturating_add(1);
                if connection.silences > 1 {
                    self.swarm.close_connection(id);
                }
            }
        }
    }

    /// Another relay of ours answers for the DHT at the address where it was reached.
    fn on_identify(&mut self, peer: libp2p::PeerId, info: &identify::Info) {
        let ours = PeerId::from_libp2p(&peer).is_ok_and(|it| self.kept.peers().any(|kept| *kept == it));
        if ours && info.protocols.contains(&dht::PROTOCOL) {
            // Walks to our own key, so that the others' neighbours are known too. `Err`: nobody is known yet.
            let _ = self.swarm.behaviour_mut().dht.bootstrap();
        }
    }

    /// Looks up where another relay of ours is: names may stand for other addresses by now.
    fn look_up(&mut self, peer: PeerId) {
        let Some(addresses) = self.named.get(&peer).cloned() else { return };
        self.asking.spawn(async move {
            let mut found = Vec::new();
            for address in addresses {
                found.extend(names::by_ip(&address).await);
            }
            (peer, found)
        });
    }

    /// Puts another relay of ours into the table of the DHT, by what is public only, or anything where strangers may name
    /// anything. A name that is not found just now leaves what is known.
    fn on_found(&mut self, peer: PeerId, mut found: Vec<libp2p::Multiaddr>) {
        found.retain(|it| self.tuning.private_addresses || is_public(it));
        if found.is_empty() {
            return;
        }
        let dht = &mut self.swarm.behaviour_mut().dht;
        let old = self.known.remove(&peer).unwrap_or_default();
        for address in &found {
            dht.add_address(&peer.to_libp2p(), address.clone());
        }
        for address in old.iter().filter(|it| !found.contains(it)) {
            dht.remove_address(&peer.to_libp2p(), address);
        }
        self.known.insert(peer, found);
        if old.is_empty() && self.swarm.is_connected(&peer.to_libp2p()) {
            // As in `on_identify`, which may have come before the answer about the name.
            let _ = self.swarm.behaviour_mut().dht.bootstrap();
        }
    }

    fn on_dial_error(&mut self, peer: libp2p::PeerId, error: &DialError) {
        if let Ok(peer) = PeerId::from_libp2p(&peer) {
            tracing::debug!(peer = peer.short(), %error, "dial failed");
            self.kept.failed(&peer, Instant::now(), rand::random());
        }
    }

    fn on_expired(&mut self, address: Address) {
        if let Some(at) = self.listening.iter().position(|it| *it == address) {
            self.listening.swap_remove(at);
            if self.guess_external {
                self.swarm.remove_external_address(address.as_multiaddr());
            }
            self.tell_external();
            self.emit(RelayEvent::Expired { address });
        }
    }

    /// Where nobody said how we are reached: our public addresses, or all of them where none is public.
    fn tell_external(&mut self) {
        if !self.guess_external {
            return;
        }
        let any_public = self.listening.iter().any(|it| is_public(it.as_multiaddr()));
        for address in &self.listening {
            if any_public && !is_public(address.as_multiaddr()) {
                self.swarm.remove_external_address(address.as_multiaddr());
            } else {
                self.swarm.add_external_address(address.as_multiaddr().clone());
            }
        }
    }

    /// Tells the program, unless it is far behind: then it misses news of listeners, which it can ask for.
    fn emit(&self, event: RelayEvent) {
        if self.events.try_send(event).is_err() {
            tracing::warn!("the program does not take the relay's events");
        }
    }

    fn on_tick(&mut self, now: Instant) {
        let Self { kept, swarm, .. } = self;
        let due = kept.due(now, DIALS_PER_TURN, &mut rand::random, |it| !swarm.is_connected(&it.to_libp2p()));
        for (peer, addresses) in due {
            let addresses = addresses.iter().map(|it| it.as_multiaddr().clone()).collect();
            let options = DialOpts::peer_id(peer.to_libp2p())
                .addresses(addresses)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .build();
            if let Err(error) = self.swarm.dial(options) {
                tracing::debug!(peer = peer.short(), %error, "dial failed");
            }
        }
        self.ping_silent(now);
        self.standing.expire(now);
        let ended: Vec<_> =
            self.bans.iter().filter(|(_, until)| until.is_some_and(|it| it <= now)).map(|(peer, _)| *peer).collect();
        for peer in ended {
            self.unban(&peer);
        }
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(SWEEP) {
            self.permits.expire(now);
            self.swarm.behaviour_mut().dht.store_mut().expire(now);
        }
    }

    fn ping_silent(&mut self, now: Instant) {
        let silence = self.tuning.silence;
        let silent = |it: &Connection| now.saturating_duration_since(it.heard) >= silence || it.silences > 0;
        for (id, connection) in self.connections.iter_mut().filter(|(_, it)| !it.asked && silent(it)) {
            connection.asked = true;
            self.swarm.behaviour_mut().ping.ask(connection.peer, *id);
        }
    }

    fn unban(&mut self, peer: &PeerId) {
        self.bans.remove(peer);
        self.swarm.behaviour_mut().banned.unblock_peer(peer.to_libp2p());
    }

    fn on_command(&mut self, command: RelayCommand) {
        match command {
            RelayCommand::Ban { peer, duration } => {
                let first = self.bans.iter().min_by_key(|(_, it)| (it.is_none(), **it)).map(|(peer, _)| *peer);
                if self.bans.len() >= RELAY_LIST_MAX
                    && !self.bans.contains_key(&peer)
                    && let Some(first) = first
                {
                    self.unban(&first);
                }
                self.bans.insert(peer, duration.map(|it| Instant::now() + it));
                self.swarm.behaviour_mut().banned.block_peer(peer.to_libp2p());
            }
            RelayCommand::Unban { peer } => self.unban(&peer),
            RelayCommand::BanSource { source } => {
                if !self.swarm.behaviour_mut().gate.ban(source) {
                    tracing::warn!("too many banned sources");
                }
                for id in self.swarm.behaviour().gate.standing_from(source) {
                    self.swarm.close_connection(id);
                }
            }
            RelayCommand::UnbanSource { source } => self.swarm.behaviour_mut().gate.unban(source),
            RelayCommand::Permit { peer, until } => {
                self.permits.permit(peer.to_libp2p(), until.map(|it| Instant::now() + it));
            }
            RelayCommand::Forbid { peer } => self.permits.forbid(&peer.to_libp2p()),
            RelayCommand::AddExternal { address } => {
                self.swarm.add_external_address(address.without_peer().as_multiaddr().clone());
            }
            RelayCommand::Disconnect { peer } => {
                // `Err`: it is not connected.
                let _ = self.swarm.disconnect_peer_id(peer.to_libp2p());
            }
            RelayCommand::Status { reply } => {
                let _ = reply.send(self.status());
            }
            RelayCommand::Shutdown { .. } => {}
        }
    }

    fn status(&mut self) -> Status {
        let (peers, peers_away) = self.kept.peers().partition(|it| self.swarm.is_connected(&it.to_libp2p()));
        let external = self.swarm.external_addresses().map(|it| {
            let mut address = it.clone();
            if !matches!(address.iter().last(), Some(Protocol::P2p(_))) {
                address.push(Protocol::P2p(self.us.to_libp2p()));
            }
            Address::from_multiaddr(address)
        });
        Status {
            peer: self.us,
            listening: self.listening.clone(),
            external: external.collect(),
            peers,
            peers_away,
            peers_known: self.known.keys().copied().collect(),
            banned: self.bans.keys().copied().collect(),
            banned_sources: self.swarm.behaviour().gate.banned().copied().collect(),
            connections: self.connections.len(),
            sources: self.swarm.behaviour().gate.sources_standing(),
            reservations: self.reserved.len(),
            circuits: self.standing.standing(),
            lines: self.lines.len(),
            records: self.swarm.behaviour_mut().dht.store_mut().len(),
            traffic: Traffic { streams_paced: self.pace.late(), ..self.traffic },
        }
    }

    /// Says goodbye to all peers. Lines whose owners are gone write what they have first.
    async fn stop(self, reply: Option<oneshot::Sender<()>>) {
        let Self { mut swarm, mut lines, events, .. } = self;
        drop(events);
        let goodbye = async {
            let connected: Vec<_> = swarm.connected_peers().copied().collect();
            for peer in connected {
                let _ = swarm.disconnect_peer_id(peer);
            }
            while swarm.network_info().num_peers() > 0 {
                swarm.select_next_some().await;
            }
        };
        if timeout(SHUTDOWN_DEADLINE, goodbye).await.is_err() {
            tracing::debug!("some peers did not take the goodbye in time");
        }
        lines.shutdown().await;
        // Listeners are closed before the answer, so that the ports are free when it arrives.
        drop(swarm);
        if let Some(stopped) = reply {
            let _ = stopped.send(());
        }
    }
}
