//! The records of the DHT that a relay holds: who announced which key, where, until when.
//!
//! Only such records: relays keep no values. Bounded in all, by peer and by key. When it is full, the peer with the most records loses
//! one to a peer with fewer, so that a flood evicts itself first.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    iter,
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
    keys: HashMap<RecordKey, Vec<ProviderRecord>>,
    by_peer: HashMap<PeerId, HashSet<RecordKey>>,
    len: usize,
}

impl Records {
    pub(super) fn new(max: usize, max_per_peer: usize) -> Self {
        Self { max, max_per_peer, keys: HashMap::new(), by_peer: HashMap::new(), len: 0 }
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

    fn held_by(&self, peer: &PeerId) -> usize {
        self.by_peer.get(peer).map_or(0, HashSet::len)
    }

    /// Takes a record of the peer that has the most, if that is more than the newcomer has.
    fn make_room(&mut self, newcomer: &PeerId) -> bool {
        let held = self.held_by(newcomer);
        let most = self.by_peer.iter().max_by_key(|(_, keys)| keys.len());
        let Some((peer, keys)) = most.filter(|(_, keys)| keys.len() > held + 1) else { return false };
        let Some((peer, key)) = keys.iter().next().map(|key| (*peer, key.clone())) else { return false };
        self.remove_provider(&key, &peer);
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
        if let Some(known) =
            self.keys.get_mut(&record.key).and_then(|it| it.iter_mut().find(|it| it.provider == record.provider))
        {
            *known = record;
            return Ok(());
        }
        let crowded = self.keys.get(&record.key).is_some_and(|it| it.len() >= RELAY_PROVIDERS);
        if crowded
            || self.held_by(&record.provider) >= self.max_per_peer
            || self.len >= self.max && !self.make_room(&record.provider)
        {
            return Err(Error::MaxProvidedKeys);
        }
        self.by_peer.entry(record.provider).or_default().insert(record.key.clone());
        self.keys.entry(record.key.clone()).or_default().push(record);
        self.len += 1;
        Ok(())
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
        if let Some(keys) = self.by_peer.get_mut(peer) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_peer.remove(peer);
            }
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
        let mut records = Records::new(100, 90);
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
        let mut records = Records::new(1000, 1000);
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
    }
}
