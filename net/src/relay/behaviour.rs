//! The libp2p behaviours a relay is made of, and their settings.
//!
//! Behaviours that refuse connections stand first.

use libp2p::{
    allow_block_list, autonat, connection_limits, identify, identity::Keypair, kad, memory_connection_limits, relay,
    swarm::NetworkBehaviour,
};

use super::{
    RelayConfig,
    admission::{Admission, Permits},
    circuits::Circuits,
    records::Records,
};
use crate::{dht, gate, guarded::Guarded, limits::*, line, ping};

/// Everything that a relay speaks on a connection.
#[derive(NetworkBehaviour)]
pub(super) struct Server {
    pub(super) gate: gate::Behaviour,
    pub(super) limits: connection_limits::Behaviour,
    pub(super) memory: memory_connection_limits::Behaviour,
    pub(super) banned: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) circuits: Guarded<relay::Behaviour>,
    pub(super) dht: Guarded<kad::Behaviour<Records>>,
    pub(super) probes: Guarded<autonat::v2::server::Behaviour>,
    pub(super) lines: line::Behaviour,
}

impl Server {
    pub(super) fn new(config: &RelayConfig, key: &Keypair, permits: &Permits, standing: &Circuits) -> Self {
        let tuning = &config.tuning;
        let peer = key.public().to_peer_id();
        let connections = connection_limits::ConnectionLimits::default()
            .with_max_established_per_peer(Some(RELAY_CONNECTIONS_PER_PEER))
            .with_max_established(Some(tuning.connections))
            .with_max_pending_incoming(Some(tuning.pending))
            .with_max_pending_outgoing(Some(RELAY_CONNECTIONS_PENDING));
        let identify = identify::Config::new("/parlor/1".to_owned(), key.public())
            .with_agent_version("parlor-relay".to_owned())
            .with_hide_listen_addrs(true)
            .with_interval(IDENTIFY_AGAIN)
            .with_cache_size(0);
        let permits = (!config.open).then(|| permits.clone());
        let admission = || Box::new(Admission::new(permits.clone(), tuning.gate_loopback));
        let circuits = relay::Config {
            max_reservations: tuning.reservations,
            // Of one peer there are no more connections; the old one of a client that came back holds one too.
            max_reservations_per_peer: RELAY_CONNECTIONS_PER_PEER as usize,
            reservation_duration: RELAY_RESERVATION,
            reservation_rate_limiters: vec![admission()],
            max_circuits: tuning.circuits,
            // It would count what others open to a peer as his; `standing` counts what he asked for.
            max_circuits_per_peer: tuning.circuits,
            max_circuit_duration: RELAY_CIRCUIT,
            max_circuit_bytes: tuning.circuit_bytes,
            circuit_src_rate_limiters: vec![admission(), Box::new(standing.clone())],
        };
        let records = Records::new(tuning.records, tuning.records_per_peer, tuning.records_per_source);
        let lenient = tuning.private_addresses;
        Self {
            gate: gate::Behaviour::new(tuning.gate_loopback, tuning.connections_per_source),
            limits: connection_limits::Behaviour::new(connections),
            memory: memory_connection_limits::Behaviour::with_max_bytes(tuning.memory_max),
            banned: allow_block_list::Behaviour::default(),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(PING_DEADLINE),
            circuits: Guarded::new(relay::Behaviour::new(peer, circuits), lenient),
            dht: Guarded::new(dht::behaviour(peer, records, kad::Mode::Server), lenient),
            probes: Guarded::new(autonat::v2::server::Behaviour::default(), lenient),
            lines: line::Behaviour::new(&line::LineKind::OF_RELAYS),
        }
    }
}
