//! The owner of the connections.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use parlor_api::{EventBody, PeerChanged};
use parlor_crypto::topic::TopicSecret;
use parlor_net::{Address, FindError, NetworkEvent, NetworkHandle, PeerId, Provider, Topic, Verdict};
use parlor_proto::RoomId;
use parlor_proto::contact::LETTER_MAGIC;
use parlor_proto::sync::{LinkIn, LinkOut, LinkSetup, PeerLink, Side};
use parlor_storage::{CommitError, Store};
use rand::seq::SliceRandom as _;
use tokio::sync::mpsc;

use super::book::Book;
use super::discovery::{Discovery, Search};
use super::handle::{Peers, Slots};
use super::near::may_dial;
use crate::account::rng;
use crate::bus::Bus;
use crate::clock::now_ms;
use crate::limits::MUTE_PAUSE_MS;
use crate::services::contacts::Contacts;
use crate::services::files::Files;
use crate::services::joins::Joins;
use crate::services::rooms::{Opened, Rooms};

/// How often links are looked at that wait for a hello, and strangers that share no room.
const LOOK: Duration = Duration::from_secs(1);
/// A found peer that shares no room with us after this time is let go.
const STRANGER_MS: u64 = 30_000;
/// Found peers that are dialled at a time: on a large network we do not dial everybody.
const FOUND_MAX: usize = 32;
/// A stranger of the local network is not dialled again for so long; then his place is another's.
const FOUND_AGAIN_MS: u64 = 10 * 60 * 1_000;
/// Peers remembered in one commit: at most 64 KiB each.
const STORED_AT_ONCE: usize = 16;
/// What a broken rule of a link counts against a peer.
const WEIGHT: u32 = 50;

/// What the service is made of.
pub(crate) struct Parts {
    pub(crate) me: PeerId,
    pub(crate) net: NetworkHandle,
    pub(crate) events: mpsc::Receiver<NetworkEvent>,
    pub(crate) peers: Peers,
    pub(crate) rooms: Rooms,
    pub(crate) joins: Joins,
    pub(crate) contacts: Contacts,
    pub(crate) files: Files,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
}

struct Actor {
    parts: Parts,
    book: Book,
    links: HashMap<PeerId, Linked>,
    rooms: BTreeMap<RoomId, TopicSecret>,
    topics: HashMap<Topic, RoomId>,
    /// Rooms that were offered and are offered to nobody now.
    hidden: BTreeSet<RoomId>,
    kept: BTreeSet<PeerId>,
    /// Found on the local network and dialled to see whether they are friends, and when.
    found: BTreeMap<PeerId, u64>,
    /// Members found by the DHT of relays.
    discovery: Discovery,
    /// Rooms of which a member is connected, as the rooms service says: who may only know the topic secret is no company.
    company: BTreeSet<RoomId>,
    /// Questions to it under way.
    finds: FuturesUnordered<Find>,
    /// The addresses changed since members were told.
    moved: bool,
    /// Peers that were dropped because their gossip was silent, and when: not again so soon.
    muted: BTreeMap<PeerId, u64>,
    /// Peers of which something is to be remembered.
    unstored: BTreeSet<PeerId>,
    /// The commit under way, if any: frames do not wait for the disk.
    storing: Option<Storing>,
}

/// The answer for a room; not, if there was nobody to ask.
type Find = Pin<Box<dyn Future<Output = (RoomId, Option<Vec<Provider>>)> + Send>>;
type Storing = Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send>>;

struct Linked {
    link: PeerLink,
    address: Address,
    outbound: bool,
    since_ms: u64,
}

/// Runs the service until the network ends.
pub(crate) async fn run(mut parts: Parts) {
    let store = parts.store.clone();
    let book = tokio::task::spawn_blocking(move || Book::load(&store)).await;
    let book = book.map_err(|error| error.to_string()).and_then(|book| book.map_err(|error| error.to_string()));
    let book = book.unwrap_or_else(|error| {
        tracing::error!(error, "the address book can not be read: members are found by what rooms and relays say");
        Book::default()
    });
    let (_, closed) = mpsc::channel(1);
    let mut events = std::mem::replace(&mut parts.events, closed);
    let mut actor = Actor {
        parts,
        book,
        links: HashMap::new(),
        rooms: BTreeMap::new(),
        topics: HashMap::new(),
        hidden: BTreeSet::new(),
        kept: BTreeSet::new(),
        found: BTreeMap::new(),
        discovery: Discovery::default(),
        company: BTreeSet::new(),
        finds: FuturesUnordered::new(),
        moved: false,
        muted: BTreeMap::new(),
        unstored: BTreeSet::new(),
        storing: None,
    };
    actor.keep_chosen().await;
    let mut look = tokio::time::interval(LOOK);
    let peers = actor.parts.peers.clone();
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => actor.on_event(event).await,
                None => return,
            },
            () = peers.told() => actor.on_told(peers.take()).await,
            _ = look.tick() => actor.on_look().await,
            Some((room, found)) = actor.finds.next(), if !actor.finds.is_empty() => actor.on_providers(room, found).await,
            stored = stored(&mut actor.storing) => actor.on_stored(stored),
        }
    }
}

/// The end of the commit under way; never, if there is none. Cancel safe.
async fn stored(storing: &mut Option<Storing>) -> Result<(), CommitError> {
    match storing {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

impl Actor {
    async fn on_event(&mut self, event: NetworkEvent) {
        match event {
            NetworkEvent::Listening { address } => {
                self.moved = true;
                self.parts.peers.set_listening(|list| {
                    if !list.contains(&address) {
                        list.push(address);
                    }
                });
            }
            NetworkEvent::Expired { address } => {
                self.moved = true;
                self.parts.peers.set_listening(|list| list.retain(|a| *a != address));
            }
            NetworkEvent::Reachable { addresses } => {
                self.moved = true;
                self.parts.peers.set_reachable(addresses);
            }
            NetworkEvent::PeerUp { peer, address, outbound, .. } => self.on_up(peer, address, outbound).await,
            NetworkEvent::PeerDown { peer, .. } => self.on_down(peer).await,
            NetworkEvent::Frame { peer, data } => self.link(peer, LinkIn::Frame(&data)).await,
            NetworkEvent::Gossip { topic, data, source, token } => match self.topics.get(&topic) {
                Some(room) => self.parts.rooms.gossip(*room, data, source, token).await,
                None => {
                    let _ = self.parts.net.verdict(token, Verdict::Ignore).await;
                }
            },
            NetworkEvent::Line { line } => self.parts.files.line(line),
            NetworkEvent::Request { peer, data, token } => self.on_request(peer, data, token),
            NetworkEvent::Discovered { peer, addresses } => self.on_found(peer, addresses).await,
            NetworkEvent::Banned { peer, .. } => {
                tracing::info!(peer = %peer.short(), "a peer broke rules and is refused for a while")
            }
            NetworkEvent::ListenFailed { reason, .. } => tracing::warn!(reason, "could not listen on an address"),
            other => tracing::trace!(?other, "network"),
        }
    }

    async fn on_up(&mut self, peer: PeerId, address: Address, outbound: bool) {
        let mut nonce = [0; 32];
        rand::Rng::fill_bytes(&mut rng(), &mut nonce);
        let setup = LinkSetup {
            side: if outbound { Side::Dialer } else { Side::Listener },
            our_peer: self.parts.me.as_key().to_vec(),
            their_peer: peer.as_key().to_vec(),
            nonce,
        };
        let (link, out) = PeerLink::start(setup, now_ms());
        self.links.insert(peer, Linked { link, address, outbound, since_ms: now_ms() });
        self.on_link(peer, out).await;
        let rooms: Vec<_> = self.rooms.iter().map(|(room, secret)| (*room, secret.clone())).collect();
        for (room, secret) in rooms {
            self.link(peer, LinkIn::AddRoom { room, topic_secret: &secret }).await;
        }
        self.tell_peer(peer, true);
        self.parts.joins.candidate(peer);
        self.parts.contacts.peer_up(peer);
    }

    async fn on_down(&mut self, peer: PeerId) {
        let Some(linked) = self.links.remove(&peer) else { return };
        for room in linked.link.open_rooms() {
            self.parts.rooms.closed(room, peer).await;
        }
        self.tell_peer(peer, false);
    }

    fn tell_peer(&self, peer: PeerId, connected: bool) {
        let peers = u32::try_from(self.links.len()).unwrap_or(u32::MAX);
        let event = PeerChanged { peer_id: peer.to_string(), connected, peers };
        self.parts.bus.publish(now_ms(), EventBody::Peer(event));
    }

    async fn link(&mut self, peer: PeerId, input: LinkIn<'_>) {
        let Some(linked) = self.links.get_mut(&peer) else { return };
        let out = linked.link.handle(input, now_ms());
        self.on_link(peer, out).await;
    }

    async fn on_link(&mut self, peer: PeerId, out: Vec<LinkOut>) {
        for out in out {
            match out {
                LinkOut::Send(frame) => {
                    let _ = self.parts.net.send(peer, frame.into()).await;
                }
                LinkOut::Opened { room, channel, connection, version } => {
                    let Some(side) = self.links.get(&peer).map(|linked| linked.link.side()) else { return };
                    let opened = Opened { room, peer, channel, connection, version, side };
                    self.parts.rooms.opened(opened).await;
                }
                LinkOut::Frame { room, bytes } => self.parts.rooms.frame(room, peer, bytes).await,
                LinkOut::Closed { room } => self.parts.rooms.closed(room, peer).await,
                LinkOut::Misbehaved(why) => {
                    tracing::debug!(peer = %peer.short(), %why, "a peer broke a rule of the link");
                    let _ = self.parts.net.punish(peer, WEIGHT).await;
                    let _ = self.parts.net.disconnect(peer).await;
                }
            }
        }
    }

    /// A stranger knocks. The rooms look at it in a task of its own; how many there are is bounded by the network.
    fn on_request(&self, peer: PeerId, data: bytes::Bytes, token: parlor_net::RequestToken) {
        let (rooms, net, contacts) = (self.parts.rooms.clone(), self.parts.net.clone(), self.parts.contacts.clone());
        tokio::spawn(async move {
            let answer = if data.starts_with(LETTER_MAGIC) {
                contacts.letter(peer, data).await.unwrap_or_default()
            } else {
                rooms.knock(peer, data).await.unwrap_or_default()
            };
            let _ = net.respond(token, answer.into()).await;
        });
    }

    async fn on_found(&mut self, peer: PeerId, addresses: Vec<Address>) {
        if self.links.contains_key(&peer) || peer == self.parts.me {
            return;
        }
        if self.book.knows(&peer) {
            for address in &addresses {
                self.book.reached(peer, address);
            }
            let _ = self.parts.net.keep(peer, self.addresses(&peer)).await;
        } else if may_try(&mut self.found, peer, now_ms()) {
            let _ = self.parts.net.dial(Some(peer), addresses).await;
        }
    }

    async fn on_told(&mut self, slots: Slots) {
        for (room, (secret, topics)) in slots.rooms {
            self.have_room(room, secret, topics).await;
        }
        for room in slots.hidden {
            self.hide_room(room).await;
        }
        for (room, wanted) in slots.wanted {
            self.book.want(room, wanted);
            match self.rooms.get(&room).filter(|_| wanted) {
                Some(secret) => self.discovery.have(room, secret.clone(), now_ms()),
                None => self.withdraw(&room).await,
            }
        }
        for ((room, peer), addresses) in slots.kept {
            self.book.member(peer, room);
            for address in addresses.iter().rev() {
                self.book.told(peer, address);
            }
            self.store(peer);
        }
        for ((room, device), (peer, addresses)) in slots.named {
            if !self.book.name(room, device, peer) {
                continue;
            }
            // All of them are noted, whichever is news.
            let news: Vec<bool> = addresses.iter().rev().map(|address| self.book.told(peer, address)).collect();
            let news = news.contains(&true);
            // Of others the room keeps it, and says it again after a start.
            if news && self.book.is_proved(&peer) {
                self.store(peer);
            }
        }
        for (room, peer) in slots.proved {
            self.on_proved(room, peer).await;
        }
        for peer in slots.mute {
            self.on_mute(peer).await;
        }
        for (room, any) in slots.company {
            if any {
                self.company.insert(room);
            } else {
                self.company.remove(&room);
            }
        }
        for room in slots.sought {
            for peer in self.book.sought(&room, &mut rng()) {
                if !self.links.contains_key(&peer) {
                    let _ = self.parts.net.dial(Some(peer), self.addresses(&peer)).await;
                }
            }
        }
        self.keep_chosen().await;
    }

    /// Drops a peer whose gossip is silent. Whoever keeps the other dials anew.
    async fn on_mute(&mut self, peer: PeerId) {
        let now = now_ms();
        self.muted.retain(|_, since| now.saturating_sub(*since) < MUTE_PAUSE_MS);
        if !self.links.contains_key(&peer) || self.muted.contains_key(&peer) {
            return;
        }
        tracing::info!(peer = %peer.short(), "gossip of a peer is silent while its stream is not: connecting anew");
        self.muted.insert(peer, now);
        let _ = self.parts.net.disconnect(peer).await;
    }

    async fn have_room(&mut self, room: RoomId, secret: TopicSecret, topics: Vec<Topic>) {
        let gone: Vec<_> = self
            .topics
            .iter()
            .filter(|(topic, of)| **of == room && !topics.contains(topic))
            .map(|(t, _)| t.clone())
            .collect();
        for topic in gone {
            self.topics.remove(&topic);
            let _ = self.parts.net.unsubscribe(topic).await;
        }
        for topic in topics {
            if self.topics.insert(topic.clone(), room).is_none() {
                let _ = self.parts.net.subscribe(topic).await;
            }
        }
        if self.rooms.insert(room, secret.clone()).is_some() {
            return;
        }
        self.book.want(room, true);
        self.discovery.have(room, secret.clone(), now_ms());
        if self.hidden.remove(&room) {
            // A probe is used once, so coming back to a room needs new connections to those who have it.
            for peer in self.book.of_room(&room) {
                if self.links.contains_key(&peer) {
                    let _ = self.parts.net.disconnect(peer).await;
                }
            }
        }
        let peers: Vec<_> = self.links.keys().copied().collect();
        for peer in peers {
            self.link(peer, LinkIn::AddRoom { room, topic_secret: &secret }).await;
        }
    }

    /// Takes back the offer of a room, and leaves its topics.
    async fn hide_room(&mut self, room: RoomId) {
        let topics: Vec<_> =
            self.topics.iter().filter(|(_, of)| **of == room).map(|(topic, _)| topic.clone()).collect();
        for topic in topics {
            self.topics.remove(&topic);
            let _ = self.parts.net.unsubscribe(topic).await;
        }
        self.book.want(room, false);
        self.withdraw(&room).await;
        self.hidden.insert(room);
        if self.rooms.remove(&room).is_some() {
            let peers: Vec<_> = self.links.keys().copied().collect();
            for peer in peers {
                self.link(peer, LinkIn::RemoveRoom { room }).await;
            }
        }
    }

    /// Nobody is to find us by this room any more.
    async fn withdraw(&mut self, room: &RoomId) {
        if let Some(Search::Withdraw(key)) = self.discovery.leave(room) {
            // The network has stopped; so below.
            let _ = self.parts.net.unprovide(key).await;
        }
    }

    /// Announces us where members look for us, and asks for those of rooms of which no member is connected.
    async fn search(&mut self) {
        for act in self.discovery.look(&self.company, now_ms()) {
            match act {
                Search::Announce(key) => drop(self.parts.net.provide(key).await),
                Search::Withdraw(key) => drop(self.parts.net.unprovide(key).await),
                Search::Ask(room, keys) => {
                    let net = self.parts.net.clone();
                    self.finds.push(Box::pin(async move { (room, find(&net, keys).await) }));
                }
            }
        }
    }

    /// Those who announced themselves for a room, as relays say: dialled, and let go if they are no members.
    async fn on_providers(&mut self, room: RoomId, found: Option<Vec<Provider>>) {
        let now = now_ms();
        self.discovery.asked(&room, found.is_some(), now);
        let ours = self.parts.peers.listening().borrow().clone();
        let mut found = found.unwrap_or_default();
        // Nobody is first because a relay named him first.
        found.shuffle(&mut rng());
        for Provider { peer, mut addresses } in found {
            addresses.retain(|address| may_dial(address, &ours));
            let unknown = !self.book.knows(&peer);
            if addresses.is_empty()
                || self.links.contains_key(&peer)
                || unknown && !self.discovery.may_try(room, peer, now)
            {
                continue;
            }
            tracing::debug!(peer = %peer.short(), room = %room.short(), "somebody announced itself for a room");
            let _ = self.parts.net.dial(Some(peer), addresses).await;
        }
    }

    async fn on_proved(&mut self, room: RoomId, peer: PeerId) {
        self.found.remove(&peer);
        let mut news = self.book.member(peer, room);
        if let Some(linked) = self.links.get(&peer).filter(|linked| linked.outbound) {
            news |= self.book.reached(peer, &linked.address);
        }
        if news {
            self.store(peer);
        }
    }

    /// Has what is known of a peer stored, with all that waits for it while the disk is busy.
    fn store(&mut self, peer: PeerId) {
        self.unstored.insert(peer);
        self.store_next();
    }

    fn store_next(&mut self) {
        if self.storing.is_some() || self.unstored.is_empty() {
            return;
        }
        let now: Vec<_> = self.unstored.iter().take(STORED_AT_ONCE).copied().collect();
        self.unstored.retain(|peer| !now.contains(peer));
        let (store, batch) = (self.parts.store.clone(), self.book.store(&now));
        self.storing = Some(Box::pin(async move { store.commit(batch).await }));
    }

    fn on_stored(&mut self, stored: Result<(), CommitError>) {
        self.storing = None;
        if let Err(error) = stored {
            tracing::warn!(%error, "addresses could not be remembered");
        }
        self.store_next();
    }

    /// Has the network stay connected to those that the book chooses.
    async fn keep_chosen(&mut self) {
        let chosen = self.book.chosen();
        for peer in self.kept.difference(&chosen) {
            let _ = self.parts.net.forget(*peer).await;
        }
        for peer in chosen.difference(&self.kept) {
            let _ = self.parts.net.keep(*peer, self.addresses(peer)).await;
        }
        self.kept = chosen;
    }

    /// Where a peer is dialled from where we are.
    fn addresses(&self, peer: &PeerId) -> Vec<Address> {
        self.book.addresses(peer, &self.parts.peers.listening().borrow())
    }

    async fn on_look(&mut self) {
        self.search().await;
        if std::mem::take(&mut self.moved) {
            self.parts.rooms.moved().await;
            // What members told of the network where we are now is dialled from now on, and of others no more.
            for peer in self.kept.clone() {
                let _ = self.parts.net.keep(peer, self.addresses(&peer)).await;
            }
        }
        let now = now_ms();
        let due = |linked: &Linked| linked.link.next_deadline().is_some_and(|due| due <= now);
        let waiting: Vec<_> = self.links.iter().filter(|(_, linked)| due(linked)).map(|(peer, _)| *peer).collect();
        for peer in waiting {
            self.link(peer, LinkIn::Tick).await;
        }
        let strange = |peer: &PeerId| {
            self.links
                .get(peer)
                .is_some_and(|l| now - l.since_ms.min(now) > STRANGER_MS && l.link.open_rooms().next().is_none())
        };
        let dialled = self.found.keys().chain(self.discovery.tried());
        let strangers: Vec<_> = dialled.filter(|peer| strange(peer)).copied().collect();
        for peer in strangers {
            // Stays in the list of those found, so that it is not dialled at every announcement.
            let _ = self.parts.net.disconnect(peer).await;
        }
    }
}

/// Whether somebody whom no room knows is dialled: once in a while each, and not all at once.
fn may_try(found: &mut BTreeMap<PeerId, u64>, peer: PeerId, now_ms: u64) -> bool {
    // A clock that was set back keeps nobody for good.
    found.retain(|_, since| now_ms.abs_diff(*since) < FOUND_AGAIN_MS);
    let tries = found.len() < FOUND_MAX && !found.contains_key(&peer);
    if tries {
        found.insert(peer, now_ms);
    }
    tries
}

/// Who is under these keys; nothing if there is nobody to ask.
async fn find(net: &NetworkHandle, keys: Vec<[u8; 32]>) -> Option<Vec<Provider>> {
    let mut found = Vec::new();
    for key in keys {
        match net.find(key).await {
            Ok(providers) => found.extend(providers),
            // What the first key gave is as good.
            Err(FindError::Timeout) => {}
            Err(_) => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_of_the_local_network_take_all_places_for_a_while_only() {
        let mut found = BTreeMap::new();
        let peer = |n| PeerId::from_key([n; 32]);
        for n in 0..u8::try_from(FOUND_MAX).unwrap() {
            assert!(may_try(&mut found, peer(n), 1_000));
        }
        assert!(!may_try(&mut found, peer(200), 1_001) && !may_try(&mut found, peer(0), 1_001));
        assert!(may_try(&mut found, peer(200), 1_000 + FOUND_AGAIN_MS));
        assert!(!may_try(&mut found, peer(200), 1_001 + FOUND_AGAIN_MS), "not at every announcement");
    }
}
