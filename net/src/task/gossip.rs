//! Gossip: in, out, and who is in which topic.

use std::time::Instant;

use bytes::Bytes;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId, PublishError};

use super::NetworkTask;
use crate::{GossipToken, NetworkEvent, PeerId, PublishFailure, Topic, Verdict, limits::*};

impl NetworkTask {
    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(propagation_source, message_id, message);
            }
            gossipsub::Event::Subscribed { peer_id, topic } => self.on_topic_peer(&peer_id, &topic, true),
            gossipsub::Event::Unsubscribed { peer_id, topic } => self.on_topic_peer(&peer_id, &topic, false),
            gossipsub::Event::SlowPeer { failed_messages, .. } => {
                let unsent = failed_messages.priority + failed_messages.non_priority;
                self.gossip_unsent = self.gossip_unsent.saturating_add(unsent as u64);
            }
            // Every Parlor node speaks it; one that does not fails at the hello of the sync stream.
            gossipsub::Event::GossipsubNotSupported { .. } => {}
        }
    }

    fn on_message(&mut self, source: libp2p::PeerId, id: MessageId, message: gossipsub::Message) {
        let Ok(source) = PeerId::from_libp2p(&source) else { return };
        let token = GossipToken { id, source };
        let Ok(topic) = Topic::from_hash(&message.topic) else { return self.verdict(&token, Verdict::Reject) };
        if message.data.is_empty() || message.data.len() > GOSSIP_PAYLOAD_MAX {
            return self.verdict(&token, Verdict::Reject);
        }
        let rate_limits = self.tuning.rate_limits;
        let in_rate = self.peers.get_mut(&source).is_some_and(|entry| {
            entry.bytes_in += message.data.len() as u64;
            let mut connections = entry.connections.values_mut();
            if let (Some(only), None) = (connections.next(), connections.next()) {
                // Of several nobody says which it was.
                only.hear(Instant::now());
            }
            !rate_limits || entry.gossip_rate.take(1, Instant::now())
        });
        if !in_rate || self.outbox.len() >= OUTBOX_GOSSIP || !self.topics.contains(&topic) {
            self.gossip_dropped += 1;
            return self.verdict(&token, Verdict::Ignore);
        }
        self.emit(NetworkEvent::Gossip { topic, data: message.data.into(), source, token });
    }

    pub(super) fn verdict(&mut self, token: &GossipToken, verdict: Verdict) {
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        let source = token.source.to_libp2p();
        self.swarm.behaviour_mut().gossip.report_message_validation_result(&token.id, &source, acceptance);
        if verdict == Verdict::Reject {
            self.punish(token.source, WEIGHT_REJECT);
        }
    }

    pub(super) fn publish(&mut self, topic: Topic, data: Bytes) {
        let now = Instant::now();
        self.published = now;
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let in_rate = !self.tuning.rate_limits || (self.publish_rate.take(1, now) && self.publish_bytes.take(len, now));
        let result = if in_rate {
            self.swarm.behaviour_mut().gossip.publish(topic.hash(), data).map(|_| ()).map_err(|error| match error {
                PublishError::NoPeersSubscribedToTopic => PublishFailure::Nobody,
                PublishError::Duplicate => PublishFailure::Duplicate,
                PublishError::AllQueuesFull(_) => PublishFailure::QueuesFull,
                _ => PublishFailure::Refused,
            })
        } else {
            Err(PublishFailure::TooFast)
        };
        if let Err(reason) = result {
            self.emit_lossy(NetworkEvent::Unpublished { topic, reason });
        }
    }

    pub(super) fn subscribe(&mut self, topic: Topic) {
        let known = self.topics.contains(&topic);
        let fits = known || self.topics.len() < TOPICS_MAX;
        if !fits || self.swarm.behaviour_mut().gossip.subscribe(&topic.ident()).is_err() {
            return self.emit(NetworkEvent::Unpublished { topic, reason: PublishFailure::Refused });
        }
        if known {
            return;
        }
        self.topics.insert(topic.clone());
        let hash = topic.hash();
        let members: Vec<_> = self
            .swarm
            .behaviour()
            .gossip
            .all_peers()
            .filter(|(_, topics)| topics.contains(&&hash))
            .filter_map(|(peer, _)| PeerId::from_libp2p(peer).ok())
            .collect();
        for peer in members {
            self.tell_topic_peer(topic.clone(), peer, true);
        }
    }

    pub(super) fn unsubscribe(&mut self, topic: &Topic) {
        if self.topics.remove(topic) {
            self.swarm.behaviour_mut().gossip.unsubscribe(&topic.ident());
        }
    }

    fn on_topic_peer(&mut self, peer: &libp2p::PeerId, topic: &gossipsub::TopicHash, joined: bool) {
        let Ok(peer) = PeerId::from_libp2p(peer) else { return };
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if !entry.topic_changes.take(1, Instant::now()) {
            return self.punish(peer, WEIGHT_FLOOD);
        }
        if let Ok(topic) = Topic::from_hash(topic) {
            self.tell_topic_peer(topic, peer, joined);
        }
    }

    fn tell_topic_peer(&mut self, topic: Topic, peer: PeerId, joined: bool) {
        let up = self.peers.get(&peer).is_some_and(|it| it.up.is_some());
        if up && self.topics.contains(&topic) {
            self.emit(NetworkEvent::TopicPeer { topic, peer, joined });
        }
    }

    /// After a peer came up: which of our topics it is in already.
    pub(super) fn tell_topics_of(&mut self, peer: PeerId) {
        let id = peer.to_libp2p();
        let gossip = &self.swarm.behaviour().gossip;
        let theirs = gossip.all_peers().find(|(other, _)| **other == id).map(|(_, topics)| topics).unwrap_or_default();
        let topics: Vec<_> = theirs.into_iter().filter_map(|it| Topic::from_hash(it).ok()).collect();
        for topic in topics {
            self.tell_topic_peer(topic, peer, true);
        }
    }
}
