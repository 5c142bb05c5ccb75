//! Sync streams ("lines" here): opened, greeted, chosen, and the frames on them.

use std::time::Instant;

use bytes::Bytes;
use libp2p::{Stream, swarm::ConnectionId};
use tokio::sync::{mpsc, oneshot};

use super::NetworkTask;
use crate::{
    DownReason, NetworkEvent, PeerId,
    limits::*,
    peers::{Decision, Line},
    stream::{BehaviourEvent, Deadlines, Hello, Queue, StreamEnd, StreamEvent, StreamKey, StreamTask},
};

impl NetworkTask {
    pub(super) fn on_stream(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Opened { peer, connection, stream, outbound } => {
                if let Ok(peer) = PeerId::from_libp2p(&peer) {
                    self.on_opened(peer, connection, stream, outbound);
                }
            }
            BehaviourEvent::Refused { peer, connection } => {
                if let Ok(peer) = PeerId::from_libp2p(&peer) {
                    self.on_refused(peer, connection);
                }
            }
        }
    }

    /// The other side takes no sync stream: it speaks another version, or it is a relay that was met in the DHT. What it says of
    /// itself may come later.
    fn on_refused(&mut self, peer: PeerId, id: ConnectionId) {
        let Some(connection) = self.peers.connection_mut(&peer, id) else { return };
        connection.refused = true;
        let undecided = connection.outbound && !connection.identified;
        if !connection.service && !undecided {
            self.never_up(peer, id, DownReason::Incompatible);
        }
    }

    fn on_opened(&mut self, peer: PeerId, id: ConnectionId, stream: Stream, outbound: bool) {
        let leads = self.leads(&peer);
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let link = entry.link;
        let Some(connection) = entry.connections.get_mut(&id) else { return };
        // Only the leader opens, and once a connection; anything else is dropped unread.
        if outbound != leads || !connection.is_open() || connection.service || connection.stream.is_some() {
            return;
        }
        let (frames, queued) = mpsc::channel(SEND_QUEUE_FRAMES);
        let (go, chosen) = oneshot::channel();
        let task = StreamTask {
            key: StreamKey { peer, connection: id },
            hello: Hello { boot: self.boot, link },
            inbox: self.inbox_sender.clone(),
            go: leads.then_some(chosen),
            frames: queued,
            deadlines: Deadlines {
                hello: self.tuning.hello_deadline,
                go: self.tuning.hello_deadline + SURPLUS_GRACE,
                frame: self.tuning.frame_deadline,
            },
        };
        let task = self.streams.spawn(task.run(stream));
        let queue = Queue::new(self.queued.clone());
        connection.stream = Some(Line { task, frames, queue, ready: false, go: leads.then_some(go), congested: false });
    }

    pub(super) fn on_line(&mut self, key: StreamKey, event: StreamEvent) {
        match event {
            StreamEvent::Hello(hello) => self.on_hello(key, hello),
            StreamEvent::Up(choice) => self.on_up(key, choice),
            StreamEvent::Frame(data) => self.on_frame(key, data),
            StreamEvent::End(end) => self.on_end(key, end),
        }
    }

    fn on_hello(&mut self, StreamKey { peer, connection }: StreamKey, hello: Hello) {
        let leads = self.leads(&peer);
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        // A stream that was hung up may have told this before.
        if !entry.connections.get(&connection).is_some_and(|it| it.is_open()) {
            return;
        }
        match entry.on_hello(connection, hello, leads) {
            Decision::Restarted => {
                tracing::debug!(peer = peer.short(), "peer came back after losing sight of us");
                self.drop_peer(peer, DownReason::Restarted);
            }
            Decision::Close(surplus) => self.close_surplus(peer, surplus),
            Decision::Stay => {}
        }
    }

    fn on_up(&mut self, StreamKey { peer, connection: id }: StreamKey, choice: u32) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let boot = entry.remote.map(|it| it.boot).unwrap_or_default();
        let Some(connection) = entry.connections.get(&id).filter(|it| it.stream.is_some()) else { return };
        let (address, outbound) = (connection.address.clone(), connection.outbound);
        if !entry.takes(id, choice) {
            tracing::debug!(peer = peer.short(), "another connection was chosen since");
            return self.close_connection(peer, id, DownReason::Moved);
        }
        if let Some((before, _)) = entry.up.filter(|(before, _)| *before != id) {
            self.down(peer, before, DownReason::Moved);
        }
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.up = Some((id, Instant::now()));
        }
        tracing::debug!(peer = peer.short(), "peer up");
        self.emit(NetworkEvent::PeerUp { peer, address, outbound, boot });
        self.tell_topics_of(peer);
    }

    fn on_frame(&mut self, StreamKey { peer, connection }: StreamKey, data: Bytes) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if entry.up.is_some_and(|(active, _)| active == connection) {
            entry.bytes_in += data.len() as u64;
            if let Some(connection) = entry.connections.get_mut(&connection) {
                connection.hear(Instant::now());
            }
            self.emit(NetworkEvent::Frame { peer, data });
        }
    }

    fn on_end(&mut self, StreamKey { peer, connection: id }: StreamKey, end: StreamEnd) {
        let Some(connection) = self.peers.connection_mut(&peer, id) else { return };
        if connection.stream.take().is_none() {
            return;
        }
        let (reason, weight) = match end {
            StreamEnd::Closed | StreamEnd::Finished => (DownReason::Closed, 0),
            StreamEnd::Late => (DownReason::Stalled, WEIGHT_STALLED),
            StreamEnd::Malformed => (DownReason::Malformed, WEIGHT_MALFORMED),
            StreamEnd::Incompatible => (DownReason::Incompatible, 0),
        };
        tracing::debug!(peer = peer.short(), %reason, "stream ended");
        if self.peers.get(&peer).is_some_and(|it| it.up.is_some_and(|(active, _)| active == id)) {
            self.close_connection(peer, id, reason);
        } else {
            self.never_up(peer, id, reason);
        }
        if weight > 0 {
            self.punish(peer, weight);
        }
    }

    /// Closes a connection that never came into use.
    pub(super) fn never_up(&mut self, peer: PeerId, id: ConnectionId, reason: DownReason) {
        if !self.peers.connection_mut(&peer, id).is_some_and(|it| it.is_open()) {
            return self.close_connection(peer, id, reason);
        }
        if reason == DownReason::Incompatible {
            self.kept.hopeless(&peer);
        }
        self.emit_lossy(NetworkEvent::DialFailed { peer: Some(peer), reason: reason.to_string() });
        self.close_connection(peer, id, reason);
    }

    /// Queues a frame for a peer that is up.
    pub(super) fn send(&mut self, peer: PeerId, frame: Bytes) {
        let max = self.tuning.send_queue_bytes;
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let len = frame.len();
        let Some(line) = entry.active_line() else { return };
        let fits = line.queue.own() + len <= max && line.queue.all() + len <= SEND_TOTAL_BYTES;
        if line.frames.is_closed() {
            // The stream has ended, and its `End` is on the way.
            return;
        }
        if !fits || line.frames.try_send(line.queue.enter(frame)).is_err() {
            // A frame left out would be a hole in a stream that both ends believe whole.
            return self.drop_peer(peer, DownReason::Overflow);
        }
        let congests = !line.congested && line.queue.own() > SEND_CONGESTED_BYTES.min(max / 2);
        line.congested |= congests;
        entry.bytes_out += len as u64;
        entry.spoken = Instant::now();
        if congests {
            self.emit(NetworkEvent::Congested { peer, congested: true });
        }
    }

    pub(super) fn on_line_ended(&mut self, end: Result<(), tokio::task::JoinError>) {
        if let Err(error) = end
            && error.is_panic()
        {
            // A bug of ours: the stream's `End` will not come, so housekeeping closes its connection.
            tracing::error!(%error, "a sync stream's task failed");
        }
    }
}
