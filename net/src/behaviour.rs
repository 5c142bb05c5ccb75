//! The libp2p behaviours a node is made of, and their settings.
//!
//! Behaviours that refuse connections stand first. The reasons of the gossipsub settings are in `docs/spec/network.md`.

use std::time::Duration;

use libp2p::{
    allow_block_list, autonat, connection_limits, dcutr,
    gossipsub::{self, MessageAuthenticity, MessageId, ValidationMode},
    identify,
    identity::Keypair,
    kad, mdns, memory_connection_limits, relay,
    request_response::{self, ProtocolSupport},
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    upnp,
};

use crate::{NetworkConfig, NetworkError, Tuning, dht, gate, guarded::Guarded, join, limits::*, line, ping, stream};

/// Everything that speaks on a connection.
#[derive(NetworkBehaviour)]
pub(crate) struct Node {
    pub(crate) gate: gate::Behaviour,
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) memory: memory_connection_limits::Behaviour,
    pub(crate) banned: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) gossip: Gossip,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(crate) join: request_response::Behaviour<join::JoinCodec>,
    pub(crate) streams: stream::Behaviour,
    pub(crate) lines: line::Behaviour,
    pub(crate) circuits: Guarded<relay::client::Behaviour>,
    pub(crate) punch: Guarded<dcutr::Behaviour>,
    pub(crate) dht: Guarded<kad::Behaviour<kad::store::MemoryStore>>,
    pub(crate) probes: autonat::v2::client::Behaviour,
    pub(crate) upnp: Toggle<upnp::tokio::Behaviour>,
}

type Gossip = gossipsub::Behaviour<gossipsub::IdentityTransform, TopicFilter>;
type TopicFilter = gossipsub::MaxCountSubscriptionFilter<gossipsub::AllowAllSubscriptionFilter>;

impl Node {
    pub(crate) fn new(
        config: &NetworkConfig,
        key: &Keypair,
        circuits: relay::client::Behaviour,
    ) -> Result<Self, NetworkError> {
        let tuning = &config.tuning;
        let peer = key.public().to_peer_id();
        let connections = connection_limits::ConnectionLimits::default()
            .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER))
            .with_max_established_incoming(Some(tuning.connections_in))
            .with_max_established_outgoing(Some(CONNECTIONS_OUT))
            .with_max_pending_incoming(Some(CONNECTIONS_PENDING_IN));
        let mdns = if config.mdns {
            let behaviour = mdns::tokio::Behaviour::new(mdns::Config::default(), peer);
            Some(behaviour.map_err(|error| NetworkError::Setup { part: "mdns", reason: error.to_string() })?)
        } else {
            None
        };
        // Nothing in it tells the program, its version or where else it listens; the address cache is off because anybody
        // could fill it with addresses to make us dial into our own network.
        let identify = identify::Config::new("/parlor/1".to_owned(), key.public())
            .with_agent_version("parlor".to_owned())
            .with_hide_listen_addrs(true)
            .with_interval(IDENTIFY_AGAIN)
            .with_cache_size(0);
        let join = request_response::Config::default()
            .with_request_timeout(tuning.request_deadline)
            .with_max_concurrent_streams(REQUEST_STREAMS);
        // Our own announcements only, each once; nobody else's are ever held here.
        let provided =
            kad::store::MemoryStoreConfig { max_records: 0, max_provided_keys: PROVIDED_MAX, ..Default::default() };
        let store = kad::store::MemoryStore::with_config(peer, provided);
        Ok(Self {
            gate: gate::Behaviour::new(tuning.gate_loopback, u32::MAX),
            limits: connection_limits::Behaviour::new(connections),
            memory: memory_connection_limits::Behaviour::with_max_bytes(tuning.memory_max),
            banned: allow_block_list::Behaviour::default(),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(tuning.ping_deadline),
            gossip: gossip(tuning).map_err(|reason| NetworkError::Setup { part: "gossip", reason })?,
            mdns: mdns.into(),
            join: request_response::Behaviour::new([(join::PROTOCOL, ProtocolSupport::Full)], join),
            streams: stream::Behaviour::default(),
            lines: line::Behaviour::new(&line::LineKind::OF_NODES),
            circuits: Guarded::new(circuits, true),
            punch: Guarded::new(dcutr::Behaviour::new(peer), tuning.private_addresses),
            dht: Guarded::new(dht::behaviour(peer, store, kad::Mode::Client), tuning.private_addresses),
            probes: autonat::v2::client::Behaviour::default(),
            upnp: config.upnp.then(upnp::tokio::Behaviour::default).into(),
        })
    }
}

fn gossip(tuning: &Tuning) -> Result<Gossip, String> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| message_id(message.topic.as_str(), &message.data))
        .max_transmit_size(tuning.gossip_transmit_max)
        .max_control_message_size(GOSSIP_CONTROL_MAX.min(tuning.gossip_transmit_max))
        .max_control_messages_sent(GOSSIP_IDS_MAX)
        .mesh_n(4)
        .mesh_n_low(3)
        .mesh_n_high(8)
        .mesh_outbound_min(1)
        .flood_publish(true)
        .heartbeat_interval(Duration::from_secs(1))
        .heartbeat_initial_delay(Duration::from_secs(1))
        .history_length(10)
        .history_gossip(5)
        .duplicate_cache_time(Duration::from_secs(300))
        .connection_handler_queue_len(tuning.gossip_queue)
        .publish_queue_duration(Duration::from_secs(20))
        .forward_queue_duration(Duration::from_secs(10))
        .idontwant_message_size_threshold(4096)
        .build()
        .map_err(|error| error.to_string())?;
    let filter = TopicFilter {
        filter: gossipsub::AllowAllSubscriptionFilter {},
        max_subscribed_topics: TOPICS_MAX,
        max_subscriptions_per_request: TOPICS_MAX,
    };
    Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter).map_err(str::to_owned)
}

/// First 20 bytes of `BLAKE3 derive_key("parlor/1 gossip id")` over `u64(length of topic) || topic || data`: short, because the
/// ids of five heartbeats travel in one IHAVE.
fn message_id(topic: &str, data: &[u8]) -> MessageId {
    let mut hasher = blake3::Hasher::new_derive_key("parlor/1 gossip id");
    hasher.update(&(topic.len() as u64).to_be_bytes()).update(topic.as_bytes()).update(data);
    let mut id = [0; 20];
    hasher.finalize_xof().fill(&mut id);
    MessageId::new(&id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_are_20_bytes_over_topic_and_data() {
        let id = message_id("topic", b"data");
        assert_eq!(id.0.len(), 20);
        assert_ne!(id, message_id("topi", b"cdata"));
        assert_eq!(id, message_id("topic", b"data"));
    }

    #[test]
    fn the_hello_of_all_topics_and_a_full_ihave_fit_the_control_limit() {
        // Field and length bytes around each name (at most 8) and each id (2).
        const { assert!(TOPICS_MAX * (TOPIC_NAME_MAX + 8) < GOSSIP_CONTROL_MAX) };
        const { assert!(GOSSIP_IDS_MAX * (20 + 2) + 64 < GOSSIP_CONTROL_MAX) };
        const { assert!(GOSSIP_PAYLOAD_MAX + 9 * 1024 <= GOSSIP_TRANSMIT_MAX) };
    }
}
