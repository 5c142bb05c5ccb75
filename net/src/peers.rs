//! The connected peers: their connections, the stream of each, and which one is used.
//!
//! A table without I/O: the network task tells it what happened and carries out what it decides. The rules:
//! - Of two peers the one with the lower id leads. The leader uses the first connection whose hello is complete, moves from a relayed
//!   to a direct one, and closes the others. The follower follows the leader's *go*; it closes surplus connections
//!   itself only when the leader did not within [`crate::limits::SURPLUS_GRACE`].
//! - A hello that shows another boot or link than an earlier one of a connection that still stands means that the peer lost
//!   sight of us: all its connections are dropped.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use libp2p::swarm::ConnectionId;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
};

use crate::{
    Address, DownReason, PeerId,
    limits::*,
    rate::Bucket,
    stream::{Hello, Queue, Queued},
};

/// A connected peer.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Ours for this stretch of being connected.
    pub(crate) link: [u8; 8],
    /// What its first hello of this stretch said.
    pub(crate) remote: Option<Hello>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    /// The connection in use and since when: `PeerUp` was told and `PeerDown` was not.
    pub(crate) up: Option<(ConnectionId, Instant)>,
    /// The last choice of this stretch that is known.
    choice: u32,
    /// The longest it was up in this stretch, for the redial pause.
    pub(crate) was_up_for: Option<Duration>,
    /// When something was sent to it last.
    pub(crate) spoken: Instant,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) gossip_rate: Bucket,
    pub(crate) request_rate: Bucket,
    pub(crate) topic_changes: Bucket,
}

/// One connection of a peer.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) address: Address,
    pub(crate) outbound: bool,
    /// The way leads through a relay.
    pub(crate) relayed: bool,
    /// The other side is a relay: no sync stream is expected on it.
    pub(crate) service: bool,
    /// What the other side speaks is known.
    pub(crate) identified: bool,
    /// It does not take a sync stream.
    pub(crate) refused: bool,
    /// Ends the lines of the connection when it is dropped.
    pub(crate) lines: Option<watch::Sender<()>>,
    pub(crate) since: Instant,
    pub(crate) rtt: Option<Duration>,
    /// When something was heard on it last.
    pub(crate) heard: Instant,
    /// A ping is under way.
    pub(crate) asked: bool,
    /// Pings in a row that were not answered.
    pub(crate) silences: u8,
    pub(crate) stream: Option<Line>,
    /// Why we are closing it.
    pub(crate) closing: Option<DownReason>,
    /// libp2p closed it; only the last events of its stream are still awaited.
    pub(crate) gone: Option<Instant>,
}

/// Our end of a connection's stream.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) task: AbortHandle,
    pub(crate) frames: mpsc::Sender<Queued>,
    pub(crate) queue: Queue,
    /// Its hello is complete.
    pub(crate) ready: bool,
    /// On the leading side: unspent while it is not chosen.
    pub(crate) go: Option<oneshot::Sender<u32>>,
    pub(crate) congested: bool,
}

/// All connected peers.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    peers: HashMap<PeerId, Peer>,
}

/// What follows from a hello.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The peer lost sight of us: drop all its connections.
    Restarted,
    /// Nothing to do.
    Stay,
    /// Close these surplus connections.
    Close(Vec<ConnectionId>),
}

impl Peers {
    pub(crate) fn get(&self, peer: &PeerId) -> Option<&Peer> {
        self.peers.get(peer)
    }

    pub(crate) fn get_mut(&mut self, peer: &PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(peer)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.peers.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&PeerId, &mut Peer)> {
        self.peers.iter_mut()
    }

    pub(crate) fn connection_mut(&mut self, peer: &PeerId, id: ConnectionId) -> Option<&mut Connection> {
        self.peers.get_mut(peer)?.connections.get_mut(&id)
    }

    /// libp2p holds a connection to the peer.
    pub(crate) fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(Peer::is_connected)
    }

    /// A connection to the peer stands and nobody is closing it: to a dead peer that takes a while.
    pub(crate) fn is_open(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|it| it.connections.values().any(Connection::is_open))
    }

    /// The open direct connection to a relay that is used for it, the oldest.
    pub(crate) fn service(&self, peer: &PeerId) -> Option<(ConnectionId, &Connection)> {
        let mut connections = self.peers.get(peer)?.connections.iter();
        connections.find(|(_, it)| it.is_open() && it.service && !it.relayed).map(|(id, it)| (*id, it))
    }

    /// A connection was established. Begins a new stretch, named `link`, if the peer had none.
    pub(crate) fn connected(&mut self, peer: PeerId, id: ConnectionId, connection: Connection, link: [u8; 8]) {
        let now = connection.since;
        let entry = self.peers.entry(peer).or_insert_with(|| Peer::new(link, now));
        if !entry.is_connected() {
            entry.link = link;
            entry.remote = None;
            entry.choice = 0;
        }
        entry.connections.insert(id, connection);
    }

    /// Removes a connection, and the peer with its last one. Returns the peer's entry in that case.
    pub(crate) fn remove(&mut self, peer: &PeerId, id: ConnectionId) -> Option<Peer> {
        let entry = self.peers.get_mut(peer)?;
        entry.connections.remove(&id);
        if entry.connections.is_empty() { self.peers.remove(peer) } else { None }
    }
}

impl Peer {
    fn new(link: [u8; 8], now: Instant) -> Self {
        Self {
            link,
            remote: None,
            connections: BTreeMap::new(),
            up: None,
            choice: 0,
            was_up_for: None,
            spoken: now,
            bytes_in: 0,
            bytes_out: 0,
            gossip_rate: Bucket::new(GOSSIP_PEER_RATE, GOSSIP_PEER_BURST, now),
            request_rate: Bucket::new(REQUEST_RATE, REQUEST_BURST, now),
            topic_changes: Bucket::new(TOPIC_CHANGES_PER_MINUTE / 60, TOPIC_CHANGES_PER_MINUTE, now),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connections.values().any(|it| it.gone.is_none())
    }

    /// The connection in use.
    pub(crate) fn active(&self) -> Option<&Connection> {
        self.connections.get(&self.up?.0)
    }

    /// The connection in use and our end of its stream.
    pub(crate) fn active_line(&mut self) -> Option<&mut Line> {
        self.connections.get_mut(&self.up?.0)?.stream.as_mut()
    }

    pub(crate) fn line_mut(&mut self, id: ConnectionId) -> Option<&mut Line> {
        self.connections.get_mut(&id)?.stream.as_mut()
    }

    /// A hello came in on a connection.
    pub(crate) fn on_hello(&mut self, id: ConnectionId, hello: Hello, leads: bool) -> Decision {
        if *self.remote.get_or_insert(hello) != hello {
            return Decision::Restarted;
        }
        match self.line_mut(id) {
            Some(line) => line.ready = true,
            None => return Decision::Stay,
        }
        if leads { self.choose() } else { Decision::Stay }
    }

    /// On the leading side: says *go* on the best connection whose hello is complete, unless that was said before, and names
    /// the complete ones that are not needed.
    pub(crate) fn choose(&mut self) -> Decision {
        let ready = |it: &Connection| it.is_open() && it.stream.as_ref().is_some_and(|line| line.ready);
        // Direct before relayed, then what is in use, then the older.
        let best = self
            .connections
            .iter()
            .filter(|(_, it)| ready(it))
            .min_by_key(|(id, it)| (it.relayed, it.stream.as_ref().is_some_and(|it| it.go.is_some()), **id))
            .map(|(id, _)| *id);
        let Some(best) = best else { return Decision::Stay };
        if let Some(go) = self.line_mut(best).and_then(|it| it.go.take()) {
            self.choice = self.choice.saturating_add(1);
            // If its task has ended, its `End` is on the way and leads here again.
            let _ = go.send(self.choice);
        }
        let surplus: Vec<_> =
            self.connections.iter().filter(|(id, it)| **id != best && ready(it)).map(|(id, _)| *id).collect();
        if surplus.is_empty() { Decision::Stay } else { Decision::Close(surplus) }
    }

    /// Whether a choice counts: none that was said before one that is known, for what two streams say is not read in the order in which
    /// it was said; and none of an earlier stretch of being connected, whose end is known.
    pub(crate) fn takes(&mut self, id: ConnectionId, choice: u32) -> bool {
        let over = self.connections.get(&id).is_none_or(|it| it.gone.is_some()) && self.is_connected();
        if over || choice < self.choice {
            return false;
        }
        self.choice = choice;
        true
    }

    /// On the following side: connections that the leader should have closed by now.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<ConnectionId> {
        let Some((active, _)) = self.up else { return Vec::new() };
        let overdue = |it: &Connection| it.is_open() && now.saturating_duration_since(it.since) > SURPLUS_GRACE;
        self.connections.iter().filter(|(id, it)| **id != active && overdue(it)).map(|(id, _)| *id).collect()
    }
}

impl Connection {
    /// A new connection.
    pub(crate) fn new(address: Address, outbound: bool, relayed: bool, service: bool, since: Instant) -> Self {
        Self {
            address,
            outbound,
            relayed,
            service,
            identified: false,
            refused: false,
            lines: None,
            since,
            rtt: None,
            heard: since,
            asked: false,
            silences: 0,
            stream: None,
            closing: None,
            gone: None,
        }
    }

    /// Something came on it.
    pub(crate) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.silences = 0;
    }

    /// Whether it is to be pinged: for the first round trip time, after silence, and again after no answer.
    pub(crate) fn is_doubtful(&self, now: Instant, patience: Duration) -> bool {
        let silent = now.saturating_duration_since(self.heard) >= patience;
        self.is_open() && !self.asked && (silent || self.silences > 0 || self.rtt.is_none())
    }

    /// It stands, and nobody is closing it.
    pub(crate) fn is_open(&self) -> bool {
        self.gone.is_none() && self.closing.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(relayed: bool, leads: bool) -> (Connection, Option<oneshot::Receiver<u32>>) {
        let address = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let mut connection = Connection::new(address, true, relayed, false, Instant::now());
        let (go, said) = oneshot::channel();
        let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
        let (frames, queue) = (mpsc::channel(1).0, Queue::new(std::sync::Arc::default()));
        connection.stream = Some(Line { task, frames, queue, ready: true, go: leads.then_some(go), congested: false });
        (connection, leads.then_some(said))
    }

    #[tokio::test]
    async fn of_two_choices_the_later_one_counts_in_whichever_order_they_are_read() {
        let [relayed, direct] = [1, 2].map(ConnectionId::new_unchecked);
        let now = Instant::now();
        let mut leader = Peer::new([0; 8], now);
        let (connection, first) = ready(true, true);
        leader.connections.insert(relayed, connection);
        assert_eq!(leader.choose(), Decision::Stay);
        let (connection, second) = ready(false, true);
        leader.connections.insert(direct, connection);
        assert_eq!(leader.choose(), Decision::Close(vec![relayed]), "a direct one is better");
        let (first, second) = (first.unwrap().await.unwrap(), second.unwrap().await.unwrap());
        for in_order in [true, false] {
            let mut follower = Peer::new([0; 8], now);
            follower.connections.extend([(relayed, ready(true, false).0), (direct, ready(false, false).0)]);
            let mut said = [(relayed, first), (direct, second)];
            if !in_order {
                said.reverse();
            }
            for (id, choice) in said {
                if follower.takes(id, choice) {
                    follower.up = Some((id, now));
                }
            }
            assert_eq!(follower.up.map(|(id, _)| id), Some(direct), "in order: {in_order}");
        }
    }

    #[tokio::test]
    async fn a_choice_from_before_the_peer_was_lost_does_not_outdate_those_after() {
        let [before, after] = [1, 2].map(ConnectionId::new_unchecked);
        let (mut peers, peer, now) = (Peers::default(), PeerId::from_seed(&[1; 32]), Instant::now());
        peers.connected(peer, before, ready(false, false).0, [1; 8]);
        peers.connection_mut(&peer, before).unwrap().gone = Some(now);
        peers.connected(peer, after, ready(false, false).0, [2; 8]);
        let entry = peers.get_mut(&peer).unwrap();
        assert!(!entry.takes(before, 2), "its end was heard of before what it said");
        assert!(entry.takes(after, 1));
    }
}
