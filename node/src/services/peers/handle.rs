//! What others may tell and ask the peers service.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_crypto::topic::TopicSecret;
use parlor_net::{Address, PeerId, Topic};
use parlor_proto::{DeviceId, RoomId};
use tokio::sync::{Notify, watch};

use super::near::{dialable, may_dial, used};

/// Ways through relays that are given to others, if there are so many.
const WAYS: usize = 2;

/// A handle on the peers service. Its methods never wait: what is told lies in a slot until the service looks.
#[derive(Clone)]
pub(crate) struct Peers {
    slots: Arc<Mutex<Slots>>,
    told: Arc<Notify>,
    listening: watch::Sender<Vec<Address>>,
    reachable: watch::Sender<Vec<Address>>,
}

/// What was told and not looked at yet. Each kind is bounded by what it is about: rooms, sessions, peers.
#[derive(Default)]
pub(super) struct Slots {
    /// Rooms with their topic secrets and topics.
    pub(super) rooms: BTreeMap<RoomId, (TopicSecret, Vec<Topic>)>,
    /// Rooms that are offered to nobody any more.
    pub(super) hidden: BTreeSet<RoomId>,
    /// A member of the room is behind this connection.
    pub(super) proved: BTreeSet<(RoomId, PeerId)>,
    /// Rooms of which nobody is connected.
    pub(super) sought: BTreeSet<RoomId>,
    /// Whether a member of the room is connected, where that changed.
    pub(super) company: BTreeMap<RoomId, bool>,
    /// Rooms whose members are dialled on our own account, or are no more.
    pub(super) wanted: BTreeMap<RoomId, bool>,
    /// Peers to stay connected to, with addresses known to work.
    pub(super) kept: BTreeMap<(RoomId, PeerId), Vec<Address>>,
    /// Where devices of a room say they are.
    pub(super) named: BTreeMap<(RoomId, DeviceId), (PeerId, Vec<Address>)>,
    /// Peers whose gossip is silent.
    pub(super) mute: BTreeSet<PeerId>,
}

impl Peers {
    pub(crate) fn new() -> Self {
        Self {
            slots: Arc::new(Mutex::new(Slots::default())),
            told: Arc::new(Notify::new()),
            listening: watch::Sender::new(Vec::new()),
            reachable: watch::Sender::new(Vec::new()),
        }
    }

    /// We hold this room: offer it on every connection, take part in its topics.
    pub(crate) fn have_room(&self, room: RoomId, secret: TopicSecret, topics: Vec<Topic>) {
        self.tell(|slots| {
            slots.hidden.remove(&room);
            slots.rooms.insert(room, (secret, topics));
        });
    }

    /// We hold this room and offer it to nobody: the other of a direct chat is blocked.
    pub(crate) fn hide_room(&self, room: RoomId) {
        self.tell(|slots| {
            slots.rooms.remove(&room);
            slots.hidden.insert(room);
        });
    }

    /// A member of the room is behind this connection.
    pub(crate) fn proved(&self, room: RoomId, peer: PeerId) {
        self.tell(|slots| {
            slots.proved.insert((room, peer));
        });
    }

    /// Whether a member of the room is connected now, and proved to be one.
    pub(crate) fn company(&self, room: RoomId, any: bool) {
        self.tell(|slots| {
            slots.company.insert(room, any);
        });
    }

    /// Nobody of the room is connected: dial whoever is known.
    pub(crate) fn seek(&self, room: RoomId) {
        self.tell(|slots| {
            slots.sought.insert(room);
        });
    }

    /// Whether members of the room are dialled on our own account: not for long when we are out of it.
    pub(crate) fn want(&self, room: RoomId, wanted: bool) {
        self.tell(|slots| {
            slots.wanted.insert(room, wanted);
        });
    }

    /// Stay connected to this member of the room, who can be reached there.
    pub(crate) fn keep(&self, room: RoomId, peer: PeerId, addresses: Vec<Address>) {
        self.tell(|slots| drop(slots.kept.insert((room, peer), addresses)));
    }

    /// A device of the room says that it is behind this peer, which can be reached there. What it said before counts no more.
    pub(crate) fn named(&self, room: RoomId, device: DeviceId, peer: PeerId, addresses: Vec<Address>) {
        self.tell(|slots| drop(slots.named.insert((room, device), (peer, addresses))));
    }

    /// Gossip of this peer is silent while its stream is not: begin a new connection.
    pub(crate) fn mute(&self, peer: PeerId) {
        self.tell(|slots| {
            slots.mute.insert(peer);
        });
    }

    /// The addresses we listen on, now and whenever they change.
    pub(crate) fn listening(&self) -> watch::Receiver<Vec<Address>> {
        self.listening.subscribe()
    }

    /// Whether an address is dialled on the word of a member or contact: see [`near`](super::near).
    pub(crate) fn may_dial(&self, told: &Address) -> bool {
        may_dial(told, &self.listening.borrow())
    }

    /// The addresses to give to others, at most `most`, best first: confirmed ones, those we listen on, and ways through
    /// relays, for which two places are kept.
    pub(crate) fn to_give(&self, most: usize) -> Vec<Address> {
        let reachable = self.reachable.borrow().clone();
        let (ways, mut direct): (Vec<_>, Vec<_>) = reachable.into_iter().partition(Address::is_relayed);
        direct.iter_mut().for_each(|address| *address = address.without_peer());
        for address in dialable(&self.listening.borrow(), &used()) {
            if !direct.contains(&address) {
                direct.push(address);
            }
        }
        direct.truncate(most - ways.len().min(WAYS).min(most));
        let left = most - direct.len();
        direct.into_iter().chain(ways.into_iter().take(left)).collect()
    }

    pub(super) fn set_reachable(&self, addresses: Vec<Address>) {
        self.reachable.send_replace(addresses);
    }

    pub(super) fn set_listening(&self, change: impl FnOnce(&mut Vec<Address>)) {
        self.listening.send_modify(change);
    }

    /// Waits until something is told. Cancel safe.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }

    pub(super) fn take(&self) -> Slots {
        std::mem::take(&mut self.slots())
    }

    fn tell(&self, change: impl FnOnce(&mut Slots)) {
        change(&mut self.slots());
        self.told.notify_one();
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Held for a few lines that do not panic; the data is whole in any case.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
