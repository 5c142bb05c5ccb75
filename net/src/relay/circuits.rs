//! How many circuits somebody made and keeps, by peer and by source.
//!
//! libp2p counts circuits in all, and of a peer also those that others opened to him, which is nothing of his doing: strangers
//! would keep him from dialling. Peer ids are free, so what counts is the source of who asked: without a bound one address
//! takes all circuits of a relay in some minutes and keeps them for a day.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, relay::RateLimiter};

use crate::gate::{Source, source};

/// An ask of which nothing was heard for so long came to nothing.
const ASKED_FOR: Duration = Duration::from_secs(180);

/// Circuits by who asked for them. Shared between the relay's task and its limiter; held only for a look.
#[derive(Debug, Clone)]
pub(super) struct Circuits {
    per_peer: usize,
    per_source: usize,
    /// This machine's own addresses count too.
    loopback: bool,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    peers: HashMap<PeerId, Asker>,
    /// What stands or was asked for.
    sources: HashMap<IpAddr, usize>,
}

#[derive(Debug, Default)]
struct Asker {
    /// Where he asked from first, of those that stand.
    source: Option<IpAddr>,
    standing: usize,
    asked: VecDeque<Instant>,
}

impl Circuits {
    pub(super) fn new(per_peer: usize, per_source: usize, loopback: bool) -> Self {
        Self { per_peer, per_source, loopback, table: Arc::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A circuit stands that a peer asked for, who is at `source`.
    pub(super) fn accepted(&self, peer: &PeerId, from: Option<IpAddr>) {
        let mut table = self.table();
        let Table { peers, sources } = &mut *table;
        let from = from.filter(|ip| self.loopback || !ip.is_loopback());
        let asker = peers.entry(*peer).or_insert_with(|| Asker { source: from, ..Asker::default() });
        asker.standing += 1;
        // One that took very long was given up, and counts again.
        if asker.asked.pop_front().is_none()
            && let Some(source) = asker.source
        {
            *sources.entry(source).or_default() += 1;
        }
    }

    /// What a peer asked for came to nothing.
    pub(super) fn failed(&self, peer: &PeerId) {
        let mut table = self.table();
        let gone = table.peers.get_mut(peer).is_some_and(|asker| asker.asked.pop_front().is_some());
        table.less(peer, usize::from(gone));
    }

    /// A circuit that a peer asked for has ended.
    pub(super) fn closed(&self, peer: &PeerId) {
        let mut table = self.table();
        let Some(asker) = table.peers.get_mut(peer) else { return };
        let stood = usize::from(asker.standing > 0);
        asker.standing -= stood;
        table.less(peer, stood);
    }

    /// A peer is gone, and with it all that it asked for.
    pub(super) fn gone(&self, peer: &PeerId) {
        let mut table = self.table();
        let Some(asker) = table.peers.get_mut(peer) else { return };
        let many = std::mem::take(&mut asker.standing) + std::mem::take(&mut asker.asked).len();
        table.less(peer, many);
    }

    /// Circuits that stand.
    pub(super) fn standing(&self) -> usize {
        self.table().peers.values().map(|asker| asker.standing).sum()
    }

    /// Gives up asks of which nothing was heard.
    pub(super) fn expire(&self, now: Instant) {
        let mut table = self.table();
        let mut gone = Vec::new();
        for (peer, asker) in table.peers.iter_mut() {
            let before = asker.asked.len();
            asker.asked.retain(|at| now.saturating_duration_since(*at) < ASKED_FOR);
            if asker.asked.len() < before {
                gone.push((*peer, before - asker.asked.len()));
            }
        }
        for (peer, many) in gone {
            table.less(&peer, many);
        }
    }
}

impl Table {
    /// So many of a peer count no more.
    fn less(&mut self, peer: &PeerId, many: usize) {
        let Some(asker) = self.peers.get(peer) else { return };
        if let Some(source) = asker.source
            && let Some(count) = self.sources.get_mut(&source)
        {
            *count = count.saturating_sub(many);
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
        if asker.standing == 0 && asker.asked.is_empty() {
            self.peers.remove(peer);
        }
    }
}

impl RateLimiter for Circuits {
    fn try_next(&mut self, peer: PeerId, address: &Multiaddr, now: Instant) -> bool {
        let asks_from = match source(&Multiaddr::empty(), address) {
            Some(Source::Ip(ip)) if self.loopback || !ip.is_loopback() => Some(ip),
            _ => None,
        };
        let (per_peer, per_source) = (self.per_peer, self.per_source);
        let mut table = self.table();
        let known = table.peers.get(&peer);
        // Who moved is counted where he began, until all of that has ended.
        let counted = known.map_or(asks_from, |asker| asker.source);
        let of_peer = known.map_or(0, |asker| asker.standing + asker.asked.len());
        let of_source = counted.and_then(|source| table.sources.get(&source)).copied().unwrap_or(0);
        if of_peer >= per_peer || counted.is_some() && of_source >= per_source {
            return false;
        }
        let asker = table.peers.entry(peer).or_insert_with(|| Asker { source: counted, ..Asker::default() });
        asker.asked.push_back(now);
        if let Some(source) = counted {
            *table.sources.entry(source).or_default() += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        crate::PeerId::from_seed(&[number; 32]).to_libp2p()
    }

    fn at(address: &str) -> Multiaddr {
        address.parse().unwrap()
    }

    #[test]
    fn an_ask_that_took_very_long_counts_where_its_peer_is() {
        let now = Instant::now();
        let mut circuits = Circuits::new(64, 2, false);
        let (here, ip) = (at("/ip4/192.0.2.1/tcp/1"), "192.0.2.1".parse().unwrap());
        assert!(circuits.try_next(peer(1), &here, now));
        circuits.expire(now + ASKED_FOR);
        circuits.accepted(&peer(1), Some(ip));
        assert!(circuits.try_next(peer(2), &here, now));
        assert!(!circuits.try_next(peer(3), &here, now) && !circuits.try_next(peer(1), &here, now));
        circuits.gone(&peer(1));
        assert!(circuits.try_next(peer(3), &here, now), "who is gone keeps nothing");
        assert_eq!(circuits.standing(), 0);
    }

    #[test]
    fn one_source_takes_its_share_with_however_many_peers_and_another_has_its_own() {
        let now = Instant::now();
        let mut circuits = Circuits::new(4, 10, false);
        let (here, there) = (at("/ip4/192.0.2.1/tcp/1"), at("/ip4/192.0.2.2/tcp/1"));
        let mut made = 0;
        for number in 0..100 {
            while circuits.try_next(peer(number), &here, now) {
                circuits.accepted(&peer(number), None);
                made += 1;
            }
        }
        assert_eq!(made, 10);
        assert!(circuits.try_next(peer(200), &there, now));
        circuits.closed(&peer(0));
        assert!(circuits.try_next(peer(99), &here, now), "one that ended makes room");
        assert!(!circuits.try_next(peer(98), &here, now));
    }

    #[test]
    fn a_peer_has_what_he_asked_for_counted_and_nothing_else() {
        let now = Instant::now();
        let here = at("/ip4/192.0.2.1/tcp/1");
        let mut circuits = Circuits::new(2, 100, false);
        assert!(circuits.try_next(peer(1), &here, now) && circuits.try_next(peer(1), &here, now));
        assert!(!circuits.try_next(peer(1), &here, now), "asked for is as good as there");
        circuits.failed(&peer(1));
        assert!(circuits.try_next(peer(1), &here, now));
        circuits.accepted(&peer(1), None);
        // The other one is never heard of again; the one that stands goes on to count.
        circuits.expire(now + ASKED_FOR);
        assert!(circuits.try_next(peer(1), &here, now + ASKED_FOR));
        assert!(!circuits.try_next(peer(1), &here, now + ASKED_FOR));
        circuits.closed(&peer(1));
        circuits.closed(&peer(1));
        circuits.expire(now + 2 * ASKED_FOR);
        let table = circuits.table();
        assert!(table.peers.is_empty() && table.sources.is_empty(), "{table:?}");
    }
}
