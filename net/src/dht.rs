//! Settings of the DHT that nodes and relays share.
//!
//! Nodes only ask and announce (client mode); relays answer and hold records. A record says that a peer can be reached at some addresses,
//! under a key that tells nothing to who does not know it. The protocol's name is our own: nobody is looked up in, or
//! joins, the DHT of another network.

use std::num::NonZeroUsize;

use libp2p::{PeerId, StreamProtocol, kad};

use crate::limits::{FIND_DEADLINE, PROVIDE_AGAIN, PROVIDED_FOR};

/// The protocol's name.
pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/parlor/kad/1");
/// Relays that hold a record, and that are asked: fewer than the usual 20, since relays stay.
const REPLICAS: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

/// Makes the behaviour with a store, in one mode for good: by itself it would turn a node that is reachable through a relay into a
/// server (libp2p finding 5.2).
pub(crate) fn behaviour<S: kad::store::RecordStore + Send + 'static>(
    peer: PeerId,
    store: S,
    mode: kad::Mode,
) -> kad::Behaviour<S> {
    let mut config = kad::Config::new(PROTOCOL);
    config
        .set_query_timeout(FIND_DEADLINE)
        .set_replication_factor(REPLICAS)
        .disjoint_query_paths(true)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_record_ttl(Some(PROVIDED_FOR))
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_record_ttl(Some(PROVIDED_FOR))
        .set_provider_publication_interval(Some(PROVIDE_AGAIN))
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_caching(kad::Caching::Disabled)
        .set_periodic_bootstrap_interval(None);
    let mut behaviour = kad::Behaviour::with_config(peer, store, config);
    behaviour.set_mode(Some(mode));
    behaviour
}
