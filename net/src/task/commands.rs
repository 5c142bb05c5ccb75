//! What the node asks for.

use std::time::Instant;

use super::NetworkTask;
use crate::{
    Address, DownReason, NetworkError, NetworkEvent, NetworkStatus, PeerId, PeerStatus, TopicStatus,
    handle::NetworkCommand, listen, peers::Peer,
};

impl NetworkTask {
    pub(super) fn on_command(&mut self, command: NetworkCommand) {
        match command {
            NetworkCommand::Listen { address, reply } => {
                let result = self.listen(&address);
                let _ = reply.send(result);
            }
            NetworkCommand::Dial { peer: Some(peer), addresses } => self.dial(peer, addresses),
            NetworkCommand::Dial { peer: None, addresses } => addresses.into_iter().for_each(|it| self.dial_anyone(it)),
            NetworkCommand::Keep { peer, addresses } => self.keep(peer, addresses),
            NetworkCommand::Forget { peer } => {
                self.kept.forget(&peer);
                self.swarm.behaviour_mut().limits.remove_peer_id(&peer.to_libp2p());
            }
            NetworkCommand::Disconnect { peer } => self.drop_peer(peer, DownReason::Requested),
            NetworkCommand::Subscribe { topic } => self.subscribe(topic),
            NetworkCommand::Unsubscribe { topic } => self.unsubscribe(&topic),
            NetworkCommand::Publish { topic, data } => self.publish(topic, data),
            NetworkCommand::Verdict { token, verdict } => self.verdict(&token, verdict),
            NetworkCommand::Send { peer, frame } => self.send(peer, frame),
            NetworkCommand::Request { peer, addresses, data, reply } => self.request(peer, addresses, data, reply),
            NetworkCommand::Respond { token, data } => self.respond(&token, data),
            NetworkCommand::Punish { peer, weight } => self.punish(peer, weight),
            NetworkCommand::Relay { peer, addresses } => self.relay(peer, addresses),
            NetworkCommand::Unrelay { peer } => self.unrelay(peer),
            NetworkCommand::OpenLine { peer, addresses, kind, reply } => self.open_line(peer, addresses, kind, reply),
            NetworkCommand::Provide { key } => self.provide(key),
            NetworkCommand::Unprovide { key } => self.unprovide(&key),
            NetworkCommand::Find { key, reply } => self.find(&key, reply),
            NetworkCommand::Status { reply } => {
                let _ = reply.send(self.status());
            }
            NetworkCommand::Shutdown { reply } => self.stopping = Some(reply),
        }
    }

    fn listen(&mut self, address: &Address) -> Result<(), NetworkError> {
        listen::listen(&mut self.swarm, address)
    }

    fn keep(&mut self, peer: PeerId, addresses: Vec<Address>) {
        if peer == self.us || !self.kept.keep(peer, addresses, Instant::now()) {
            let reason = if peer == self.us { "that is this node itself" } else { "too many kept peers" };
            return self.emit(NetworkEvent::DialFailed { peer: Some(peer), reason: reason.to_owned() });
        }
        // A crowd of strangers must not lock out those we want.
        self.swarm.behaviour_mut().limits.bypass_peer_id(&peer.to_libp2p());
        self.redial(Instant::now());
    }

    fn status(&self) -> NetworkStatus {
        let now = Instant::now();
        let gossip = &self.swarm.behaviour().gossip;
        let in_topic = |topic: &crate::Topic| {
            let hash = topic.hash();
            gossip.all_peers().filter(|(_, topics)| topics.contains(&&hash)).count()
        };
        NetworkStatus {
            peer: self.us,
            listening: self.listening.clone(),
            observed: self.observed.iter().cloned().collect(),
            reachable: self.reachable(),
            nat: self.nat(),
            upnp: self.upnp(),
            relays: self.relay_statuses(),
            punched: self.reach.punched,
            peers: self.peers.iter().filter_map(|(peer, entry)| self.peer_status(*peer, entry, now)).collect(),
            topics: self
                .topics
                .iter()
                .map(|topic| TopicStatus {
                    topic: topic.clone(),
                    peers: in_topic(topic),
                    mesh: gossip.mesh_peers(&topic.hash()).count(),
                })
                .collect(),
            redialling: self.kept.peers().filter(|it| !self.peers.is_open(it)).copied().collect(),
            banned: self.scores.banned(),
            gossip_dropped: self.gossip_dropped,
            gossip_unsent: self.gossip_unsent,
        }
    }

    fn peer_status(&self, peer: PeerId, entry: &Peer, now: Instant) -> Option<PeerStatus> {
        let open = || entry.connections.values().find(|it| it.is_open() && !it.service);
        let connection = entry.active().or_else(open)?;
        Some(PeerStatus {
            peer,
            address: connection.address.clone(),
            outbound: connection.outbound,
            relayed: connection.relayed,
            up: entry.up.is_some(),
            connected_for: now.saturating_duration_since(connection.since),
            connections: entry.connections.values().filter(|it| it.is_open()).count(),
            rtt: connection.rtt,
            bytes_in: entry.bytes_in,
            bytes_out: entry.bytes_out,
            queued: connection.stream.as_ref().map_or(0, |it| it.queue.own()),
            score: self.scores.of(&peer, now),
        })
    }
}
