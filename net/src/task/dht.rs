//! The DHT of the relays: what we announce there, and what we ask.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Instant,
};

use libp2p::{
    core::Endpoint,
    kad::{self, GetProvidersOk, QueryId, QueryResult, RecordKey},
    swarm::{ConnectionId, NetworkBehaviour},
};
use tokio::sync::oneshot;

use super::NetworkTask;
use crate::{Address, FindError, PeerId, Provider, limits::*};

/// Announcements begun in one housekeeping turn: each is a question to some relays.
const ANNOUNCED_PER_TURN: usize = 8;
/// Providers in one answer.
const PROVIDERS_MAX: usize = 64;

/// What is announced and what is asked.
#[derive(Debug, Default)]
pub(super) struct Dht {
    /// The newest last.
    provided: VecDeque<[u8; 32]>,
    /// To be announced, now that we are reached elsewhere or another relay is there.
    due: VecDeque<[u8; 32]>,
    asked: HashMap<QueryId, Asked>,
}

#[derive(Debug)]
struct Asked {
    reply: oneshot::Sender<Result<Vec<Provider>, FindError>>,
    found: BTreeMap<PeerId, Vec<Address>>,
    deadline: Instant,
}

impl NetworkTask {
    pub(super) fn provide(&mut self, key: [u8; 32]) {
        if self.dht.provided.contains(&key) {
            return;
        }
        if self.dht.provided.len() >= PROVIDED_MAX
            && let Some(oldest) = self.dht.provided.front().copied()
        {
            self.unprovide(&oldest);
        }
        self.dht.provided.push_back(key);
        self.dht.due.push_back(key);
    }

    pub(super) fn unprovide(&mut self, key: &[u8; 32]) {
        self.dht.provided.retain(|it| it != key);
        self.dht.due.retain(|it| it != key);
        self.swarm.behaviour_mut().dht.stop_providing(&RecordKey::new(key));
    }

    /// Announces everything again: we are reached elsewhere.
    pub(super) fn announce_all(&mut self) {
        self.dht.due.clone_from(&self.dht.provided);
    }

    /// Announces what is due, if we are reached at all and there is a relay to tell.
    pub(super) fn announce(&mut self, now: Instant) {
        if self.dht.due.is_empty() || self.reachable().is_empty() || !self.has_dht() {
            return self.expire_finds(now);
        }
        for _ in 0..ANNOUNCED_PER_TURN {
            let Some(key) = self.dht.due.pop_front() else { break };
            // `Err`: the store is as large as `provided`, so there is room.
            if let Err(error) = self.swarm.behaviour_mut().dht.start_providing(RecordKey::new(&key)) {
                tracing::warn!(%error, "a key is not announced");
            }
        }
        self.expire_finds(now);
    }

    /// A relay that takes part in the DHT is connected.
    fn has_dht(&mut self) -> bool {
        let Self { swarm, peers, .. } = self;
        let mut known = swarm.behaviour_mut().dht.kbuckets();
        known.any(|bucket| {
            bucket.iter().any(|entry| {
                PeerId::from_libp2p(entry.node.key.preimage()).is_ok_and(|it| peers.service(&it).is_some())
            })
        })
    }

    pub(super) fn find(&mut self, key: &[u8; 32], reply: oneshot::Sender<Result<Vec<Provider>, FindError>>) {
        let error = if self.dht.asked.len() >= FINDS_ASKED {
            FindError::TooMany
        } else if !self.has_dht() {
            FindError::NoRelay
        } else {
            let query = self.swarm.behaviour_mut().dht.get_providers(RecordKey::new(key));
            let deadline = Instant::now() + FIND_DEADLINE;
            self.dht.asked.insert(query, Asked { reply, found: BTreeMap::new(), deadline });
            return;
        };
        let _ = reply.send(Err(error));
    }

    pub(super) fn on_dht(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed { id, result: QueryResult::GetProviders(result), step, .. } = event
        else {
            return;
        };
        if let Ok(GetProvidersOk::FoundProviders { providers, .. }) = &result {
            for provider in providers {
                self.on_provider(id, provider);
            }
        }
        if step.last {
            self.answer(id, Err(FindError::Timeout), result.is_ok());
        }
    }

    /// Somebody announced what is asked for. The behaviour tells the addresses only to who would dial.
    fn on_provider(&mut self, query: QueryId, provider: &libp2p::PeerId) {
        let Ok(peer) = PeerId::from_libp2p(provider) else { return };
        let lenient = self.tuning.private_addresses;
        let dht: &mut kad::Behaviour<_> = &mut self.swarm.behaviour_mut().dht;
        let nobody = ConnectionId::new_unchecked(0);
        let told = dht.handle_pending_outbound_connection(nobody, Some(*provider), &[], Endpoint::Dialer);
        let Some(asked) = self.dht.asked.get_mut(&query) else { return };
        if peer == self.us || asked.found.len() >= PROVIDERS_MAX && !asked.found.contains_key(&peer) {
            return;
        }
        let known = asked.found.entry(peer).or_default();
        for address in told.into_iter().flatten().map(Address::from_multiaddr) {
            let address = address.with_peer(peer);
            if known.len() < ADDRESSES_MAX && !known.contains(&address) && (lenient || address.is_public()) {
                known.push(address);
            }
        }
    }

    /// Ends a question. It is answered by what was found, and with nothing if all relays were asked.
    fn answer(&mut self, query: QueryId, otherwise: Result<Vec<Provider>, FindError>, complete: bool) {
        let Some(asked) = self.dht.asked.remove(&query) else { return };
        let found: Vec<_> = asked.found.into_iter().map(|(peer, addresses)| Provider { peer, addresses }).collect();
        // Who asked may have given up.
        let _ = asked.reply.send(if complete || !found.is_empty() { Ok(found) } else { otherwise });
    }

    fn expire_finds(&mut self, now: Instant) {
        let over = |it: &Asked| it.deadline <= now || it.reply.is_closed();
        let over: Vec<_> = self.dht.asked.iter().filter(|(_, it)| over(it)).map(|(query, _)| *query).collect();
        for query in over {
            if let Some(mut query) = self.swarm.behaviour_mut().dht.query_mut(&query) {
                query.finish();
            }
            self.answer(query, Err(FindError::Timeout), false);
        }
    }
}
