//! Who may reserve and dial through a relay, and how often.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, relay::RateLimiter};

use crate::{
    gate::{Source, source},
    limits::{RELAY_ASKS_PER_PEER, RELAY_ASKS_PER_SOURCE, RELAY_LIST_MAX, SOURCES_MAX},
    rate::Bucket,
};

/// The peers that may use a relay that is not open. Shared between the relay's task and its limiters; held only for a look.
#[derive(Debug, Clone, Default)]
pub(super) struct Permits(Arc<Mutex<HashMap<PeerId, Option<Instant>>>>);

impl Permits {
    /// Permits a peer, until then or for good. The one that ends first makes room.
    pub(super) fn permit(&self, peer: PeerId, until: Option<Instant>) {
        let mut permits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if permits.len() >= RELAY_LIST_MAX
            && !permits.contains_key(&peer)
            && let Some(first) = permits.iter().min_by_key(|(_, it)| (it.is_none(), **it)).map(|(peer, _)| *peer)
        {
            permits.remove(&first);
        }
        permits.insert(peer, until);
    }

    pub(super) fn forbid(&self, peer: &PeerId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(peer);
    }

    /// Forgets what has ended.
    pub(super) fn expire(&self, now: Instant) {
        let mut permits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        permits.retain(|_, until| until.is_none_or(|it| it > now));
    }

    fn holds(&self, peer: &PeerId, now: Instant) -> bool {
        let permits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        permits.get(peer).is_some_and(|until| until.is_none_or(|it| it > now))
    }
}

/// Decides over reservations, or over circuits.
pub(super) struct Admission {
    /// `None`: everybody.
    permits: Option<Permits>,
    /// This machine's own addresses count too.
    loopback: bool,
    peers: Buckets<PeerId>,
    sources: Buckets<IpAddr>,
}

impl Admission {
    pub(super) fn new(permits: Option<Permits>, loopback: bool) -> Self {
        Self {
            permits,
            loopback,
            peers: Buckets::new(RELAY_ASKS_PER_PEER),
            sources: Buckets::new(RELAY_ASKS_PER_SOURCE),
        }
    }
}

impl RateLimiter for Admission {
    fn try_next(&mut self, peer: PeerId, address: &Multiaddr, now: Instant) -> bool {
        if self.permits.as_ref().is_some_and(|it| !it.holds(&peer, now)) {
            return false;
        }
        let by_source = match source(&Multiaddr::empty(), address) {
            Some(Source::Ip(ip)) if self.loopback || !ip.is_loopback() => self.sources.take(ip, now),
            _ => true,
        };
        by_source && self.peers.take(peer, now)
    }
}

/// A bucket for each of the newest askers.
pub(super) struct Buckets<K> {
    burst: u32,
    per_minute: u32,
    /// Minutes are the bucket's seconds, so that slow rates are whole numbers.
    entries: HashMap<K, (Bucket, Instant)>,
}

impl<K: Eq + Hash + Copy> Buckets<K> {
    pub(super) fn new((burst, per_minute): (u32, u32)) -> Self {
        Self { burst, per_minute, entries: HashMap::new() }
    }

    pub(super) fn take(&mut self, key: K, now: Instant) -> bool {
        if self.entries.len() >= SOURCES_MAX && !self.entries.contains_key(&key) {
            let refilled = Duration::from_secs(u64::from(60 * self.burst / self.per_minute.max(1)));
            self.entries.retain(|_, (_, seen)| now.saturating_duration_since(*seen) < refilled);
            if self.entries.len() >= SOURCES_MAX
                && let Some(quiet) = self.entries.iter().min_by_key(|(_, (_, seen))| *seen).map(|(key, _)| *key)
            {
                self.entries.remove(&quiet);
            }
        }
        let fresh = || (Bucket::new(self.per_minute, self.burst.saturating_mul(60), now), now);
        let (bucket, seen) = self.entries.entry(key).or_insert_with(fresh);
        *seen = now;
        bucket.take(60, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> PeerId {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        crate::PeerId::from_key(key).to_libp2p()
    }

    #[test]
    fn asks_are_bounded_by_peer_and_by_source_and_come_back_with_time() {
        let now = Instant::now();
        let mut admission = Admission::new(None, false);
        let here: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let taken = (0..100).filter(|_| admission.try_next(peer(0), &here, now)).count();
        assert_eq!(taken, RELAY_ASKS_PER_PEER.0 as usize);
        let later = now + Duration::from_secs(60);
        let taken = (0..100).filter(|_| admission.try_next(peer(0), &here, later)).count();
        assert_eq!(taken, RELAY_ASKS_PER_PEER.1 as usize);
        // Many peers at one address share its bucket; another address has its own.
        let mut admission = Admission::new(None, false);
        let taken = (0..2000).filter(|it| admission.try_next(peer(*it), &here, now)).count();
        assert_eq!(taken, RELAY_ASKS_PER_SOURCE.0 as usize);
        assert!(admission.try_next(peer(1), &"/ip4/192.0.2.2/tcp/1".parse().unwrap(), now));
    }

    #[test]
    fn the_tables_of_askers_are_bounded() {
        let now = Instant::now();
        let mut admission = Admission::new(None, false);
        for number in 0..(SOURCES_MAX as u32 + 100) {
            let address = Multiaddr::empty().with(libp2p::multiaddr::Protocol::Ip4(number.to_be_bytes().into()));
            admission.try_next(peer(number), &address, now);
        }
        assert!(admission.peers.entries.len() <= SOURCES_MAX && admission.sources.entries.len() <= SOURCES_MAX);
    }

    #[test]
    fn a_relay_that_is_not_open_serves_whom_it_permits_until_that_ends() {
        let (now, here) = (Instant::now(), "/ip4/192.0.2.1/tcp/1".parse().unwrap());
        let permits = Permits::default();
        let mut admission = Admission::new(Some(permits.clone()), false);
        assert!(!admission.try_next(peer(1), &here, now));
        permits.permit(peer(1), Some(now + Duration::from_secs(60)));
        permits.permit(peer(2), None);
        assert!(admission.try_next(peer(1), &here, now) && admission.try_next(peer(2), &here, now));
        let later = now + Duration::from_secs(61);
        permits.expire(later);
        assert!(!admission.try_next(peer(1), &here, later) && admission.try_next(peer(2), &here, later));
        permits.forbid(&peer(2));
        assert!(!admission.try_next(peer(2), &here, later));
    }
}
