//! The address book: which peers are members of our rooms, and where they were reached.
//!
//! Stored under the peer's key: after a restart the node finds its friends again without anybody's help.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};

use parlor_net::{Address, PeerId};
use parlor_proto::{DeviceId, RoomId, codec};
use parlor_storage::{Batch, Namespace, ReadError, Store};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use super::near::may_dial;
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
    /// Where members say it can be reached, the last one first.
    told: Vec<String>,
    /// Rooms in which devices say that they are there, and how many: the word of members, which the rooms keep.
    #[serde(skip)]
    named: BTreeMap<RoomId, usize>,
}

/// [`Known`] as it was stored before what was told stood apart.
#[derive(Serialize, Deserialize)]
struct KnownOnce {
    rooms: BTreeSet<RoomId>,
    addresses: Vec<String>,
}

impl Known {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let once = |bytes| codec::decode::<KnownOnce>(bytes, MAX_ENTRY);
        let before = || once(bytes).map(|it| Self { rooms: it.rooms, told: it.addresses, ..Self::default() });
        codec::decode(bytes, MAX_ENTRY).or_else(|_| before()).ok()
    }

    fn is_of(&self, room: &RoomId) -> bool {
        self.rooms.contains(room) || self.named.contains_key(room)
    }

    fn of(&self) -> impl Iterator<Item = &RoomId> {
        self.rooms.iter().chain(self.named.keys())
    }

    /// Whether it was reached and proved to be a member of the room, so that nobody made it up.
    fn is_sure(&self, room: &RoomId) -> bool {
        self.rooms.contains(room) && !self.addresses.is_empty()
    }
}

/// The address book.
#[derive(Default)]
pub(super) struct Book {
    peers: BTreeMap<PeerId, Known>,
    /// Where each device of a room says that it is: one place, so that nobody fills the book with his word.
    named: BTreeMap<(RoomId, DeviceId), PeerId>,
    /// The order in which this node prefers peers: random, so that nobody knows it or makes keys that come first.
    order: RandomState,
    /// Rooms that we are out of: nobody is dialled for them.
    parted: BTreeSet<RoomId>,
}

impl Book {
    /// The book as stored. Blocks.
    pub(super) fn load(store: &Store) -> Result<Self, ReadError> {
        let mut peers = BTreeMap::new();
        for (key, bytes) in store.scan(None, Namespace::Peer, &[])? {
            if let (Ok(key), Some(known)) = (<[u8; 32]>::try_from(key.as_slice()), Known::decode(&bytes)) {
                peers.insert(PeerId::from_key(key), known);
            }
        }
        Ok(Self { peers, ..Self::default() })
    }

    /// The peer was reached there, or is there by somebody's word whom we asked ourselves. Returns whether that is news.
    pub(super) fn reached(&mut self, peer: PeerId, address: &Address) -> bool {
        let known = self.peers.entry(peer).or_default();
        let text = address.without_peer().to_string();
        known.told.retain(|held| *held != text);
        put_first(&mut known.addresses, text)
    }

    /// The peer can be reached there, a member says. Returns whether that is news.
    pub(super) fn told(&mut self, peer: PeerId, address: &Address) -> bool {
        let known = self.peers.entry(peer).or_default();
        let text = address.without_peer().to_string();
        !known.addresses.contains(&text) && put_first(&mut known.told, text)
    }

    /// The peer proved to be a member of the room, or let us in. Returns whether that is news.
    pub(super) fn member(&mut self, peer: PeerId, room: RoomId) -> bool {
        self.peers.entry(peer).or_default().rooms.insert(room)
    }

    /// A device of the room says that it is this peer: the one that it named before is no member's by its word any more. Whether that
    /// is taken.
    pub(super) fn name(&mut self, room: RoomId, device: DeviceId, peer: PeerId) -> bool {
        let of_room = (room, DeviceId([0; 32]))..=(room, DeviceId([255; 32]));
        match self.named.get(&(room, device)).copied() {
            Some(same) if same == peer => return true,
            Some(former) => self.unname(former, &room),
            None if self.named.range(of_room).count() >= TOLD_PER_ROOM => return false,
            None => {}
        }
        self.named.insert((room, device), peer);
        *self.peers.entry(peer).or_default().named.entry(room).or_default() += 1;
        true
    }

    fn unname(&mut self, peer: PeerId, room: &RoomId) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        if let Some(devices) = known.named.get_mut(room) {
            *devices = devices.saturating_sub(1);
        }
        known.named.retain(|_, devices| *devices > 0);
        if known.of().next().is_none() {
            self.peers.remove(&peer);
        }
    }

    /// Whether the peer proved to be a member of any room.
    pub(super) fn is_proved(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|known| !known.rooms.is_empty())
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
        self.peers.get(peer).is_some_and(|known| known.of().any(|room| !self.parted.contains(room)))
    }

    /// Where the peer may be reached, from a node that listens on `ours`: where it was before all, then what members say, if that
    /// is to be dialled on their word.
    pub(super) fn addresses(&self, peer: &PeerId, ours: &[Address]) -> Vec<Address> {
        let Some(known) = self.peers.get(peer) else { return Vec::new() };
        let told = known.told.iter().filter_map(|text| text.parse().ok()).filter(|told| may_dial(told, ours));
        let reached = known.addresses.iter().filter_map(|text| text.parse().ok());
        reached.chain(told).take(ADDRESSES_PER_PEER).collect()
    }

    /// Members of the room with an address, as far as known.
    pub(super) fn of_room(&self, room: &RoomId) -> Vec<PeerId> {
        let of = |known: &Known| known.is_of(room) && !(known.addresses.is_empty() && known.told.is_empty());
        self.peers.iter().filter(|(_, known)| of(known)).map(|(peer, _)| *peer).collect()
    }

    /// Whom to dial when nobody of the room is connected: some at a time, others each time. Where they are is members' word, who
    /// could name anybody.
    pub(super) fn sought(&self, room: &RoomId, rng: &mut impl rand::Rng) -> Vec<PeerId> {
        let mut members = self.of_room(room);
        members.shuffle(rng);
        self.some(room, members, SOUGHT_AT_ONCE)
    }

    /// So many of these members, the first ones, but half of them of those who were reached and proved to be members, as far as there
    /// are such: the others may be made up.
    fn some(&self, room: &RoomId, members: Vec<PeerId>, most: usize) -> Vec<PeerId> {
        let is_sure = |peer: &PeerId| self.peers.get(peer).is_some_and(|known| known.is_sure(room));
        let first: BTreeSet<_> = members.iter().filter(|peer| is_sure(peer)).take(most / 2).copied().collect();
        let rest = members.iter().filter(|peer| !first.contains(peer));
        first.iter().chain(rest).take(most).copied().collect()
    }

    /// Those to stay connected to: of every room a few, chosen by every node at random, so that the rooms hang together without
    /// everybody dialling everybody. Not those whose keys are near to ours: whole quarters of a room would choose only each
    /// other, and after everybody had been away at once the room would fall apart into them.
    pub(super) fn chosen(&self) -> BTreeSet<PeerId> {
        let rooms: BTreeSet<_> = self.peers.values().flat_map(|known| known.of().copied()).collect();
        let mut chosen = BTreeSet::new();
        for room in rooms.difference(&self.parted) {
            let mut members = self.of_room(room);
            members.sort_by_key(|peer| self.order.hash_one(peer.as_key()));
            chosen.extend(self.some(room, members, KEPT_PER_ROOM));
        }
        chosen
    }

    /// The change that stores what is known of these peers.
    pub(super) fn store(&self, peers: &[PeerId]) -> Batch {
        let mut batch = Batch::new(None);
        for peer in peers {
            if let Some(known) = self.peers.get(peer).filter(|known| !known.rooms.is_empty()) {
                batch.put(Namespace::Peer, peer.as_key(), codec::encode(known));
            }
        }
        batch
    }
}

/// Puts `text` first, if it is not there; only so many stay.
fn put_first(list: &mut Vec<String>, text: String) -> bool {
    if list.first() == Some(&text) {
        return false;
    }
    list.retain(|held| *held != text);
    list.insert(0, text);
    list.truncate(ADDRESSES_PER_PEER);
    true
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
        let mine = book.chosen();
        assert_eq!(mine.len(), 2 * KEPT_PER_ROOM);
        assert_eq!(mine, book.chosen(), "and stay chosen");
        book.order = RandomState::new();
        assert_ne!(mine, book.chosen());
    }

    #[test]
    fn whoever_each_node_chooses_a_room_hangs_together() {
        let address: Address = "/ip4/192.0.2.7/tcp/4001".parse().unwrap();
        let mut rng = crate::account::rng();
        for n in [20, 50, 200] {
            let peers: Vec<PeerId> = (0..n).map(|_| PeerId::from_key(rand::RngExt::random(&mut rng))).collect();
            let choice = |me: &PeerId| {
                let mut book = Book::default();
                for peer in peers.iter().filter(|peer| *peer != me) {
                    book.reached(*peer, &address);
                    book.member(*peer, RoomId([1; 32]));
                }
                book.chosen()
            };
            let lines: Vec<(PeerId, PeerId)> =
                peers.iter().flat_map(|me| choice(me).into_iter().map(|peer| (*me, peer))).collect();
            let mut reached = BTreeSet::from([peers[0]]);
            while let Some(next) = lines
                .iter()
                .flat_map(|(one, other)| [(one, other), (other, one)])
                .find(|(from, to)| reached.contains(from) && !reached.contains(to))
            {
                reached.insert(*next.1);
            }
            assert_eq!(reached.len(), n, "the room falls apart");
        }
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
        assert_eq!(book.chosen(), BTreeSet::from([peer(3)]));
        assert!(!book.knows(&peer(1)) && book.knows(&peer(3)));
        book.want(RoomId([1; 32]), true);
        assert_eq!(book.chosen().len(), 3);
    }

    #[test]
    fn what_members_tell_is_bounded() {
        let mut book = Book::default();
        let named = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_be_bytes());
            PeerId::from_key(key)
        };
        let device = |n| DeviceId(*named(n).as_key());
        for n in 0..TOLD_PER_ROOM {
            assert!(book.name(RoomId([1; 32]), device(n), named(n)));
        }
        assert!(!book.name(RoomId([1; 32]), device(TOLD_PER_ROOM), named(0)));
        assert!(book.name(RoomId([1; 32]), device(0), named(9)) && book.name(RoomId([2; 32]), device(9), peer(9)));
    }

    #[test]
    fn a_device_that_names_thousands_takes_one_place_and_nobody_elses() {
        let (mut book, room) = (Book::default(), RoomId([1; 32]));
        let address: Address = "/ip4/192.0.2.7/tcp/4001".parse().unwrap();
        for n in 1..=3 {
            book.name(room, DeviceId([n; 32]), peer(n));
            book.told(peer(n), &address);
        }
        book.reached(peer(1), &address);
        book.member(peer(1), room);
        for n in 0..5_000_u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_be_bytes());
            assert!(book.name(room, DeviceId([9; 32]), PeerId::from_key(key)));
            book.told(PeerId::from_key(key), &address);
        }
        assert_eq!((book.peers.len(), book.named.len()), (4, 4));
        // Neither does it take a place from who is there by another's word, or proved it.
        for n in 1..=3 {
            book.name(room, DeviceId([9; 32]), peer(n));
        }
        book.name(room, DeviceId([9; 32]), peer(4));
        book.name(room, DeviceId([1; 32]), peer(5));
        assert_eq!(book.peers.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5].map(peer));
        assert!(book.knows(&peer(1)) && book.is_proved(&peer(1)) && !book.is_proved(&peer(2)));
    }

    #[test]
    fn half_of_the_places_are_of_those_who_are_not_made_up() {
        let (mut book, room) = (Book::default(), RoomId([1; 32]));
        let address: Address = "/ip4/192.0.2.7/tcp/4001".parse().unwrap();
        for n in 1..=4 {
            book.reached(peer(n), &address);
            book.member(peer(n), room);
        }
        for n in 5..=250 {
            book.name(room, DeviceId([n; 32]), peer(n));
            book.told(peer(n), &address);
        }
        let sure = [1, 2, 3, 4].map(peer);
        let sought = book.sought(&room, &mut crate::account::rng());
        let chosen = book.chosen();
        assert!(sure.iter().all(|peer| chosen.contains(peer) && sought.contains(peer)));
        assert_eq!((chosen.len(), sought.len()), (KEPT_PER_ROOM, SOUGHT_AT_ONCE));
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
    fn what_members_say_is_judged_by_where_we_are_and_what_worked_is_not() {
        let mut book = Book::default();
        let [private, public] = ["/ip4/10.0.0.9/tcp/4001", "/ip4/203.0.113.9/tcp/4001"].map(|it| it.parse().unwrap());
        assert!(book.told(peer(1), &private) && book.told(peer(1), &public) && !book.told(peer(1), &public));
        let here: Address = "/ip4/192.168.1.7/tcp/4001".parse().unwrap();
        let there: Address = "/ip4/10.0.3.7/tcp/4001".parse().unwrap();
        let near = std::slice::from_ref(&here);
        assert_eq!(book.addresses(&peer(1), near), std::slice::from_ref(&public));
        assert_eq!(book.addresses(&peer(1), &[there]), [public.clone(), private.clone()]);
        // Who was reached there is looked for there again, and members' word does not move that.
        assert!(book.reached(peer(1), &private) && !book.told(peer(1), &private));
        assert_eq!(book.addresses(&peer(1), &[here]), [private, public]);
    }

    #[test]
    fn an_entry_of_before_is_read_as_what_was_told() {
        let once = (BTreeSet::from([RoomId([1; 32])]), vec!["/ip4/203.0.113.9/tcp/4001".to_owned()]);
        let known = Known::decode(&codec::encode(&once)).unwrap();
        assert_eq!((known.rooms, known.told, known.addresses), (once.0, once.1, Vec::new()));
        let now = Known { told: vec!["/dns/a.example/tcp/1".into()], ..Known::default() };
        assert_eq!(Known::decode(&codec::encode(&now)), Some(now));
        assert_eq!(Known::decode(&[9; 40]), None);
    }

    #[test]
    fn addresses_are_few_and_the_last_that_worked_comes_first() {
        let mut book = Book::default();
        for port in 0..20 {
            book.reached(peer(1), &format!("/ip4/192.0.2.7/tcp/{port}").parse().unwrap());
        }
        let addresses = book.addresses(&peer(1), &[]);
        assert_eq!(addresses.len(), ADDRESSES_PER_PEER);
        assert_eq!(addresses[0].to_string(), "/ip4/192.0.2.7/tcp/19");
    }
}
