//! The network task: chooses the next event, translates it, flushes.
//!
//! It owns the swarm and every table, and waits for nothing but its inputs: it never awaits a send, reads no disk, and no peer's
//! bytes end it. What happens is translated in one file a subject: [`connections`], [`lines`] (sync streams), [`gossip`],
//! [`join`], [`services`] (relays and lines to them), [`deferred`], [`dht`], [`commands`], [`housekeeping`].
//!
//! Events for the node go through an outbox. When the node does not read: from [`OUTBOX_FRAMES`] on frames wait in their
//! streams, so that their senders slow down; from [`OUTBOX_GOSSIP`] on gossip is ignored; at [`OUTBOX_HARD`] the network is
//! not read at all.

mod commands;
mod connections;
mod deferred;
mod dht;
mod gossip;
mod housekeeping;
mod join;
mod lines;
mod services;

pub(crate) use connections::root;

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, atomic::AtomicUsize},
    time::Instant,
};

use futures::StreamExt;
use libp2p::{Swarm, swarm::SwarmEvent};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    Address, NetworkEvent, PeerId, Topic, Tuning,
    behaviour::{Node, NodeEvent},
    handle::NetworkCommand,
    limits::*,
    peers::Peers,
    rate::Bucket,
    redial::Kept,
    relays::Relays,
    score::Scores,
    stream::{StreamEvent, StreamKey},
};

/// The state of the network task.
pub(crate) struct NetworkTask {
    us: PeerId,
    boot: [u8; 16],
    tuning: Tuning,
    swarm: Swarm<Node>,
    commands: mpsc::Receiver<NetworkCommand>,
    events: mpsc::Sender<NetworkEvent>,
    outbox: VecDeque<NetworkEvent>,
    /// What sync streams tell, and the end they are given.
    inbox: mpsc::Receiver<(StreamKey, StreamEvent)>,
    inbox_sender: mpsc::Sender<(StreamKey, StreamEvent)>,
    streams: JoinSet<()>,
    /// Bytes of frames waiting for all peers.
    queued: Arc<AtomicUsize>,
    peers: Peers,
    kept: Kept,
    scores: Scores,
    requests: join::Requests,
    relays: Relays,
    lines: services::Lines,
    reach: services::Reach,
    dht: dht::Dht,
    deferred: Vec<deferred::Deferred>,
    topics: HashSet<Topic>,
    publish_rate: Bucket,
    publish_bytes: Bucket,
    /// When something was published last.
    published: Instant,
    listening: Vec<Address>,
    observed: VecDeque<Address>,
    gossip_dropped: u64,
    gossip_unsent: u64,
    /// Set when we are to stop; answered when we have.
    stopping: Option<oneshot::Sender<()>>,
}

/// What the loop chose.
#[allow(clippy::large_enum_variant, reason = "lives on the stack for one turn of the loop")]
enum Step {
    Stop,
    Command(NetworkCommand),
    Line(StreamKey, StreamEvent),
    Swarm(SwarmEvent<NodeEvent>),
    Room,
    LineEnded(Result<(), tokio::task::JoinError>),
    ServiceEnded(Result<services::Over, tokio::task::JoinError>),
    Tick,
}

impl NetworkTask {
    pub(crate) fn new(
        us: PeerId,
        tuning: Tuning,
        swarm: Swarm<Node>,
        commands: mpsc::Receiver<NetworkCommand>,
        events: mpsc::Sender<NetworkEvent>,
    ) -> Self {
        let now = Instant::now();
        let (inbox_sender, inbox) = mpsc::channel(STREAM_INBOX);
        Self {
            us,
            boot: rand::random(),
            swarm,
            commands,
            events,
            outbox: VecDeque::new(),
            inbox,
            inbox_sender,
            streams: JoinSet::new(),
            queued: Arc::default(),
            peers: Peers::default(),
            kept: Kept::new(tuning.redial_first, tuning.redial_last),
            scores: Scores::new(tuning.ban_for),
            requests: join::Requests::default(),
            relays: Relays::new(tuning.redial_first, tuning.redial_last),
            lines: services::Lines::default(),
            reach: services::Reach::default(),
            dht: dht::Dht::default(),
            deferred: Vec::new(),
            topics: HashSet::new(),
            publish_rate: Bucket::new(PUBLISH_RATE, PUBLISH_BURST, now),
            publish_bytes: Bucket::new(PUBLISH_BYTE_RATE, PUBLISH_BURST_BYTES, now),
            published: now,
            listening: Vec::new(),
            observed: VecDeque::new(),
            gossip_dropped: 0,
            gossip_unsent: 0,
            stopping: None,
            tuning,
        }
    }

    /// Runs until told to stop, until nobody can give commands, or until nobody reads events.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(HOUSEKEEPING);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let waiting = self.outbox.len();
            let step = tokio::select! {
                command = self.commands.recv() => command.map_or(Step::Stop, Step::Command),
                room = self.events.reserve(), if waiting > 0 => room.map_or(Step::Stop, |_| Step::Room),
                () = self.events.closed(), if waiting == 0 => Step::Stop,
                Some((key, event)) = self.inbox.recv(), if waiting < OUTBOX_FRAMES => Step::Line(key, event),
                event = self.swarm.select_next_some(), if waiting < OUTBOX_HARD => Step::Swarm(event),
                Some(end) = self.streams.join_next() => Step::LineEnded(end),
                Some(end) = self.lines.tasks.join_next() => Step::ServiceEnded(end),
                _ = tick.tick() => Step::Tick,
            };
            match step {
                Step::Stop => break,
                Step::Command(command) => self.on_command(command),
                Step::Line(key, event) => self.on_line(key, event),
                Step::Swarm(event) => self.on_swarm(event),
                Step::Room => {}
                Step::LineEnded(end) => self.on_line_ended(end),
                Step::ServiceEnded(end) => self.on_line_over(end),
                Step::Tick => self.on_tick(Instant::now()),
            }
            if self.stopping.is_some() {
                break;
            }
            self.flush();
        }
        Box::pin(self.stop()).await;
    }

    fn on_swarm(&mut self, event: SwarmEvent<NodeEvent>) {
        let SwarmEvent::Behaviour(event) = event else { return self.on_connection(event) };
        match event {
            NodeEvent::Gossip(event) => self.on_gossip(event),
            NodeEvent::Streams(event) => self.on_stream(event),
            NodeEvent::Join(event) => self.on_join(event),
            NodeEvent::Ping(event) => self.on_ping(&event),
            NodeEvent::Identify(event) => self.on_identify(event),
            NodeEvent::Mdns(event) => self.on_mdns(event),
            NodeEvent::Lines(event) => self.on_line_stream(event),
            NodeEvent::Circuits(event) => self.on_circuit(&event),
            NodeEvent::Punch(event) => self.on_punch(&event),
            NodeEvent::Dht(event) => self.on_dht(event),
            NodeEvent::Probes(event) => self.on_probe(&event),
            NodeEvent::Upnp(event) => self.on_upnp(event),
            NodeEvent::Gate(never) | NodeEvent::Limits(never) | NodeEvent::Memory(never) | NodeEvent::Banned(never) => {
                match never {}
            }
        }
    }

    /// Queues an event that the node must see.
    fn emit(&mut self, event: NetworkEvent) {
        self.outbox.push_back(event);
    }

    /// Queues an event that the node can do without, unless it is behind.
    fn emit_lossy(&mut self, event: NetworkEvent) {
        if self.outbox.len() < OUTBOX_GOSSIP {
            self.outbox.push_back(event);
        }
    }

    fn flush(&mut self) {
        while let Some(event) = self.outbox.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.outbox.push_front(event);
                break;
            }
        }
    }

    /// We open streams and decide; the other side follows.
    fn leads(&self, peer: &PeerId) -> bool {
        self.us < *peer
    }

    /// Says goodbye: what is queued is written, then all connections are closed.
    async fn stop(mut self) {
        // Streams that are told that nobody listens end after writing what they have.
        drop(self.inbox);
        for (_, peer) in self.peers.iter_mut() {
            for connection in peer.connections.values_mut() {
                connection.stream = None;
            }
        }
        let swarm = &mut self.swarm;
        let goodbye = async {
            while !self.streams.is_empty() {
                tokio::select! {
                    _ = self.streams.join_next() => {}
                    _ = swarm.select_next_some() => {}
                }
            }
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
        // Streams and listeners are closed before the answer, so that the ports are free when it arrives.
        self.streams.shutdown().await;
        drop(self.swarm);
        if let Some(stopped) = self.stopping {
            let _ = stopped.send(());
        }
    }
}
