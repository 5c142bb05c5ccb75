//! The address book: which peers are members of our rooms, and where they were reached.
//!
//! Stored under the peer's key: after a restart the node finds its friends again without anybody's help.

use std::collections::{BTreeMap, BTreeSet};

use parlor_net::{Address, PeerId};
use parlor_proto::{RoomId, codec};
use parlor_storage::{Batch, Namespace, ReadError, Store};
use rand::seq::IteratorRandom as _;
use serde::{Deserialize, Serialize};

use crate::limits::{ADDRESSES_PER_PEER, KEPT_PER_ROOM, SOUGHT_AT_ONCE, TOLD_PER_ROOM};

/// Longest entry in bytes.
const MAX_ENTRY: usize = 64 * 1024;

/// What is known of a peer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// Rooms of which it proved to be a member.
    rooms: BTreeSet<RoomId>,
    /// Where it was reached, the last one first.
    addresses: Vec<String>,
}

/// The address book.
#[derive(Default)]
pub(super) struct Book {
    peers: BTreeMap<PeerId, Known>,
    /// Rooms that we are out of: nobody is dialled for them.
    parted: BTreeSet<RoomId>,
}

impl Book {
    /// The book as stored. Blocks.
    pub(super) fn load(store: &Store) -> Result<Self, ReadError> {
        let mut peers = BTreeMap::new();
        for (key, bytes) in store.scan(None, Namespace::Peer, &[])? {
            let known = codec::decode::<Known>(&bytes, MAX_ENTRY).ok();
            if let (Ok(key), Some(known)) = (<[u8; 32]>::try_from(key.as_slice()), known) {
                peers.insert(PeerId::from_key(key), known);
            }
        }
        Ok(Self { peers, parted: BTreeSet::new() })
    }

    /// The peer was reached there, or is said to be. Returns whether that is news.
    pub(super) fn reached(&mut self, peer: PeerId, address: &Address) -> bool {
        let known = self.peers.entry(peer).or_default();
        let text = address.without_peer().to_string();
        if known.addresses.first() == Some(&text) {
            return false;
        }
        known.addresses.retain(|held| *held != text);
        known.addresses.insert(0, text);
        known.addresses.truncate(ADDRESSES_PER_PEER);
        true
    }

    /// The peer proved to be a member of the room. Returns whether that is news.
    pub(super) fn member(&mut self, peer: PeerId, room: RoomId) -> bool {
        self.peers.entry(peer).or_default().rooms.insert(room)
    }

    /// Whether one more peer is taken for a member's on somebody's word: a member may name any number of them.
    pub(super) fn may_learn(&self, peer: &PeerId, room: &RoomId) -> bool {
        let of = |known: &&Known| known.rooms.contains(room);
        self.peers.contains_key(peer) || self.peers.values().filter(of).count() < TOLD_PER_ROOM
    }

    /// Whether members of the room are to be dialled.
    pub(super) fn want(&mut self, room: RoomId, wanted: bool) {
        if wanted {
            self.parted.remove(&room);
        } else {
            self.parted.insert(room);
        }
    }

    /// Whether the peer is a member of one of our rooms.
    pub(super) fn knows(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|known| !known.rooms.is_subset(&self.parted))
    }

    /// Where the peer may be reached.
    pub(super) fn addresses(&self, peer: &PeerId) -> Vec<Address> {
        let known = self.peers.get(peer);
        known.into_iter().flat_map(|known| &known.addresses).filter_map(|text| text.parse().ok()).collect()
    }

    /// Members of the room with an address, as far as known.
    pub(super) fn of_room(&self, room: &RoomId) -> Vec<PeerId> {
        let of = |known: &Known| known.rooms.contains(room) && !known.addresses.is_empty();
        self.peers.iter().filter(|(_, known)| of(known)).map(|(peer, _)| *peer).collect()
    }

    /// Whom to dial when nobody of the room is connected: some at a time, others each time. Where they are is members' word, who
    /// could name anybody.
    pub(super) fn sought(&self, room: &RoomId, rng: &mut impl rand::Rng) -> Vec<PeerId> {
        self.of_room(room).into_iter().sample(rng, SOUGHT_AT_ONCE)
    }

    /// Those to stay connected to: of every room a few, chosen differently by every node (`me`), so that the rooms hang
    /// together without everybody dialling everybody.
    pub(super) fn chosen(&self, me: &PeerId) -> BTreeSet<PeerId> {
        let rooms: BTreeSet<_> = self.peers.values().flat_map(|known| known.rooms.iter().copied()).collect();
        let mut chosen = BTreeSet::new();
        for room in rooms.difference(&self.parted) {
            let mut members = self.of_room(room);
            members.sort_by_key(|peer| distance(me, peer));
            chosen.extend(members.into_iter().take(KEPT_PER_ROOM));
        }
        chosen
    }

    /// The change that stores what is known of these peers.
    pub(super) fn store(&self, peers: &[PeerId]) -> Batch {
        let mut batch = Batch::new(None);
        for peer in peers {
            if let Some(known) = self.peers.get(peer) {
                batch.put(Namespace::Peer, peer.as_key(), codec::encode(known));
            }
        }
        batch
    }
}

fn distance(me: &PeerId, peer: &PeerId) -> [u8; 32] {
    let mut distance = *peer.as_key();
    distance.iter_mut().zip(me.as_key()).for_each(|(byte, mine)| *byte ^= mine);
    distance
}

/// The addresses of ours that others can dial, best first: global ones, then those of local networks, loopback only when
/// there is nothing else (two nodes on one machine). QUIC before TCP.
pub(crate) fn dialable(listening: &[Address]) -> Vec<Address> {
    let rank = |address: &Address| {
        let quic = address.endpoint().is_some_and(|endpoint| endpoint.carrier == parlor_net::Carrier::Quic);
        (address.is_loopback(), !quic)
    };
    let mut addresses: Vec<_> = listening.iter().filter(|address| !address.is_unspecified()).cloned().collect();
    addresses.sort_by_key(rank);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> PeerId {
        PeerId::from_key([n; 32])
    }

    #[test]
    fn a_few_members_of_every_room_are_chosen_and_others_by_others() {
        let mut book = Book::default();
        let address: Address = "/ip4/192.0.2.7/tcp/4001".parse().unwrap();
        for n in 1..=40 {
            book.reached(peer(n), &address);
            book.member(peer(n), RoomId([n % 2; 32]));
        }
        let mine = book.chosen(&peer(100));
        assert_eq!(mine.len(), 2 * KEPT_PER_ROOM);
        assert_ne!(mine, book.chosen(&peer(77)));
    }

    #[test]
    fn nobody_is_dialled_for_a_room_that_we_are_out_of() {
        let mut book = Book::default();
        for n in 1..=3 {
            book.reached(peer(n), &"/ip4/192.0.2.7/tcp/4001".parse().unwrap());
            book.member(peer(n), RoomId([1; 32]));
        }
        book.member(peer(3), RoomId([2; 32]));
        book.want(RoomId([1; 32]), false);
        assert_eq!(book.chosen(&peer(100)), BTreeSet::from([peer(3)]));
        assert!(!book.knows(&peer(1)) && book.knows(&peer(3)));
        book.want(RoomId([1; 32]), true);
        assert_eq!(book.chosen(&peer(100)).len(), 3);
    }

    #[test]
    fn what_members_tell_is_bounded() {
        let mut book = Book::default();
        let named = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_be_bytes());
            PeerId::from_key(key)
        };
        for n in 0..TOLD_PER_ROOM {
            assert!(book.may_learn(&named(n), &RoomId([1; 32])));
            book.member(named(n), RoomId([1; 32]));
        }
        assert!(!book.may_learn(&named(TOLD_PER_ROOM), &RoomId([1; 32])));
        assert!(book.may_learn(&named(0), &RoomId([1; 32])) && book.may_learn(&peer(9), &RoomId([2; 32])));
    }

    #[test]
    fn a_search_dials_some_and_others_the_next_time() {
        let mut book = Book::default();
        let address: Address = "/ip4/192.0.2.7/tcp/4001".parse().unwrap();
        for n in 1..=200 {
            book.reached(peer(n), &address);
            book.member(peer(n), RoomId([1; 32]));
        }
        let mut rng = crate::account::rng();
        let mut dialled = BTreeSet::new();
        while dialled.len() < 200 {
            let now = book.sought(&RoomId([1; 32]), &mut rng);
            assert_eq!(now.len(), SOUGHT_AT_ONCE);
            dialled.extend(now);
        }
        assert!(book.sought(&RoomId([2; 32]), &mut rng).is_empty());
    }

    #[test]
    fn addresses_are_few_and_the_last_that_worked_comes_first() {
        let mut book = Book::default();
        for port in 0..20 {
            book.reached(peer(1), &format!("/ip4/192.0.2.7/tcp/{port}").parse().unwrap());
        }
        let addresses = book.addresses(&peer(1));
        assert_eq!(addresses.len(), ADDRESSES_PER_PEER);
        assert_eq!(addresses[0].to_string(), "/ip4/192.0.2.7/tcp/19");
    }
}
