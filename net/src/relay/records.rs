//! The records of the DHT that a relay holds: who announced which key, where, until when.
//!
//! Only such records: relays keep no values. Bounded in all, by source, by peer and by key. Peer ids are free, so a flood is told by its
//! source: when the table is full, the source with the most records loses one to a source with fewer, and within it the peer
//! with the most. Sizes are kept in order, so that this costs no walk.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
    iter,
    net::IpAddr,
    time::Instant,
};

use libp2p::{
    PeerId,
    kad::{
        ProviderRecord, Record, RecordKey,
        store::{Error, RecordStore, Result},
    },
};

use crate::limits::RELAY_PROVIDERS;

/// The records.
#[derive(Debug)]
pub(super) struct Records {
    max: usize,
    max_per_peer: usize,
    max_per_source: usize,
    keys: HashMap<RecordKey, Vec<ProviderRecord>>,
    by_peer: HashMap<PeerId, Held>,
    owners: HashMap<Owner, Share>,
    /// Owners by how many records they have.
    sizes: BTreeSet<(usize, Owner)>,
    len: usize,
}

/// What a peer has.
#[derive(Debug)]
struct Held {
    keys: HashSet<RecordKey>,
    /// Whom they count for: where he was when he brought the first of them.
    owner: Owner,
}

/// Whom records count for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Owner {
    /// All peers there.
    Source(IpAddr),
    /// One whose source does not count: on this machine.
    Peer(PeerId),
}

#[derive(Debug, Default)]
struct Share {
    len: usize,
    /// Its peers by how many records they have.
    peers: BTreeSet<(usize, PeerId)>,
}

impl Records {
    pub(super) fn new(max: usize, max_per_peer: usize, max_per_source: usize) -> Self {
        Self {
            max,
            max_per_peer,
            max_per_source,
            keys: HashMap::new(),
            by_peer: HashMap::new(),
            owners: HashMap::new(),
            sizes: BTreeSet::new(),
            len: 0,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Forgets what has expired.
    pub(super) fn expire(&mut self, now: Instant) {
        let expired = |it: &ProviderRecord| it.expires.is_some_and(|at| at <= now);
        let gone: Vec<_> =
            self.keys.values().flatten().filter(|it| expired(it)).map(|it| (it.key.clone(), it.provider)).collect();
        for (key, peer) in gone {
            self.remove_provider(&key, &peer);
        }
    }

    /// Takes a record in that came from this source, or renews it. Whether it is there now.
    pub(super) fn add(&mut self, record: ProviderRecord, source: Option<IpAddr>) -> bool {
        if let Some(known) =
            self.keys.get_mut(&record.key).and_then(|it| it.iter_mut().find(|it| it.provider == record.provider))
        {
            *known = record;
            return true;
        }
        let peer = record.provider;
        let crowded = self.keys.get(&record.key).is_some_and(|it| it.len() >= RELAY_PROVIDERS);
        if crowded || self.held_by(&peer) >= self.max_per_peer {
            return false;
        }
        let owner = self.by_peer.get(&peer).map_or(source.map_or(Owner::Peer(peer), Owner::Source), |held| held.owner);
        let of_owner = self.owners.get(&owner).map_or(0, |share| share.len);
        if of_owner >= self.max_per_source && !self.make_room_within(owner, &peer)
            || self.len >= self.max && !self.make_room(owner, &peer)
        {
            return false;
        }
        self.by_peer
            .entry(peer)
            .or_insert_with(|| Held { keys: HashSet::new(), owner })
            .keys
            .insert(record.key.clone());
        self.keys.entry(record.key.clone()).or_default().push(record);
        self.len += 1;
        let held = self.held_by(&peer);
        self.resize(owner, peer, held - 1, held);
        true
    }

    fn held_by(&self, peer: &PeerId) -> usize {
        self.by_peer.get(peer).map_or(0, |held| held.keys.len())
    }

    /// A peer has so many now, and had so many before.
    fn resize(&mut self, owner: Owner, peer: PeerId, before: usize, now: usize) {
        let share = self.owners.entry(owner).or_default();
        self.sizes.remove(&(share.len, owner));
        share.peers.remove(&(before, peer));
        share.len = share.len + now - before;
        if now > 0 {
            share.peers.insert((now, peer));
        }
        if share.len > 0 {
            self.sizes.insert((share.len, owner));
        } else {
            self.owners.remove(&owner);
        }
    }

    /// Takes a record of the owner that has the most, if that is more than the newcomer's has; if it is the same, of its peers.
    fn make_room(&mut self, newcomer: Owner, peer: &PeerId) -> bool {
        let of_owner = self.owners.get(&newcomer).map_or(0, |share| share.len);
        let Some((most, owner)) = self.sizes.last().copied() else { return false };
        if owner == newcomer || most <= of_owner + 1 {
            return self.make_room_within(newcomer, peer);
        }
        let Some((_, loser)) = self.owners.get(&owner).and_then(|share| share.peers.last()).copied() else {
            return false;
        };
        self.take_one(&loser)
    }

    /// Takes a record of the peer that has the most there, if that is more than the newcomer has.
    fn make_room_within(&mut self, owner: Owner, newcomer: &PeerId) -> bool {
        let held = self.held_by(newcomer);
        let most = self.owners.get(&owner).and_then(|share| share.peers.last()).copied();
        let Some((_, loser)) = most.filter(|(many, _)| *many > held + 1) else { return false };
        self.take_one(&loser)
    }

    fn take_one(&mut self, peer: &PeerId) -> bool {
        let Some(key) = self.by_peer.get(peer).and_then(|held| held.keys.iter().next().cloned()) else { return false };
        self.remove_provider(&key, peer);
        true
    }
}

impl RecordStore for Records {
    type RecordsIter<'a> = iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, _: &RecordKey) -> Option<Cow<'_, Record>> {
        None
    }

    fn put(&mut self, _: Record) -> Result<()> {
        Err(Error::MaxRecords)
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        iter::empty()
    }

    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        if self.add(record, None) { Ok(()) } else { Err(Error::MaxProvidedKeys) }
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        self.keys.get(key).cloned().unwrap_or_default()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        iter::empty()
    }

    fn remove_provider(&mut self, key: &RecordKey, peer: &PeerId) {
        let Some(providers) = self.keys.get_mut(key) else { return };
        let before = providers.len();
        providers.retain(|it| it.provider != *peer);
        self.len -= before - providers.len();
        if providers.is_empty() {
            self.keys.remove(key);
        }
        let Some(held) = self.by_peer.get_mut(peer) else { return };
        let owner = held.owner;
        if held.keys.remove(key) {
            let now = held.keys.len();
            if now == 0 {
                self.by_peer.remove(peer);
            }
            self.resize(owner, *peer, now + 1, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn record(key: u32, peer: u8) -> ProviderRecord {
        let provider = crate::PeerId::from_seed(&[peer; 32]).to_libp2p();
        ProviderRecord::new(key.to_be_bytes().to_vec(), provider, Vec::new())
    }

    #[test]
    fn a_flood_of_one_peer_evicts_itself_and_not_others() {
        let mut records = Records::new(100, 90, 1_000);
        assert!(records.add_provider(record(0, 1)).is_ok());
        let flood = (1..200).filter(|it| records.add_provider(record(*it, 2)).is_ok()).count();
        assert_eq!((flood, records.len()), (90, 91));
        for key in 500..600 {
            // A third peer takes from the flood until it has as many.
            let _ = records.add_provider(record(key, 3));
        }
        assert_eq!(records.len(), 100);
        assert_eq!(records.providers(&record(0, 1).key).len(), 1, "the quiet one keeps its record");
        let of = |peer| records.held_by(&record(0, peer).provider);
        assert!(of(2).abs_diff(of(3)) <= 1, "{} and {}", of(2), of(3));
    }

    #[test]
    fn a_key_has_few_providers_and_records_are_renewed_and_expire() {
        let now = Instant::now();
        let mut records = Records::new(1000, 1000, 1000);
        let taken = (0..100).filter(|it| records.add_provider(record(7, *it)).is_ok()).count();
        assert_eq!((taken, records.len()), (RELAY_PROVIDERS, RELAY_PROVIDERS));
        let mut renewed = record(7, 0);
        renewed.expires = Some(now + Duration::from_secs(9));
        assert!(records.add_provider(renewed).is_ok());
        assert_eq!(records.len(), RELAY_PROVIDERS);
        records.expire(now + Duration::from_secs(9));
        assert_eq!(records.len(), RELAY_PROVIDERS - 1);
        for peer in 1..100 {
            records.remove_provider(&record(7, peer).key, &record(7, peer).provider);
        }
        assert!(records.len() == 0 && records.keys.is_empty() && records.by_peer.is_empty());
        assert!(records.owners.is_empty() && records.sizes.is_empty());
    }

    /// A record of the `n`th of many peers.
    fn of_many(key: u32, n: u32) -> ProviderRecord {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&n.to_be_bytes());
        let provider = crate::PeerId::from_key(seed).to_libp2p();
        ProviderRecord::new(key.to_be_bytes().to_vec(), provider, Vec::new())
    }

    #[test]
    fn a_flood_of_one_source_under_many_names_evicts_itself_and_nobody_else() {
        let mut records = Records::new(5_000, 200, 4_000);
        let ip = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        for n in 0..100 {
            assert!(records.add(of_many(n, 9_999), ip(1)), "the quiet one's are there before");
        }
        let flood = |records: &mut Records, from: u32, source| {
            (0..1_000)
                .flat_map(|n| (0..7).map(move |k| of_many(1_000_000 + (from + n) * 7 + k, from + n)))
                .filter(|record| records.add(record.clone(), source))
                .count()
        };
        flood(&mut records, 10_000, ip(2));
        assert_eq!(records.len(), 4_100, "one source has its bound");
        flood(&mut records, 20_000, ip(3));
        assert_eq!(records.len(), 5_000);
        for n in 0..100 {
            assert!(records.add(of_many(50_000 + n, 9_998), ip(4)), "{n}: another source has its place");
        }
        assert_eq!(records.held_by(&of_many(0, 9_999).provider), 100, "and who was there keeps it");
        assert_eq!(records.held_by(&of_many(0, 9_998).provider), 100);
        let sum: usize = records.owners.values().map(|share| share.len).sum();
        assert_eq!((sum, records.sizes.len()), (records.len(), 4));
    }
}
