//! What comes to a node from the network: sync streams and gossip.

use std::collections::HashSet;

use parlor_crypto::wrap;
use parlor_proto::EventId;
use parlor_proto::codec;
use parlor_proto::event::{Event, LogKind};
use parlor_proto::gossip::{GossipError, GossipFrame};
use parlor_proto::marker::Marker;
use parlor_proto::room::{Company, KeyShare, Missing, Received, Room, Standing as RoomStanding};
use parlor_proto::sync::{
    In, LinkIn, LinkOut, LinkSetup, Out, PeerLink, Series, Session, SessionSetup, Side, Standing, Tip,
};
use parlor_proto::wire::{Asked, Item, SeriesKind};
use rand::RngExt as _;

use crate::knowledge::Hand;
use crate::node::{Commit, Effect, Node, Peer};

impl Node {
    pub(crate) fn peer_ids(&mut self) -> Vec<usize> {
        self.running().peers.keys().copied().collect()
    }

    /// A connection stands.
    pub(crate) fn connected(&mut self, to: usize, dials: bool, now_ms: u64) {
        let now = self.clock(now_ms);
        let setup = LinkSetup {
            side: if dials { Side::Dialer } else { Side::Listener },
            our_peer: vec![self.index as u8],
            their_peer: vec![to as u8],
            nonce: self.rng.random(),
        };
        let (link, out) = PeerLink::start(setup, now);
        self.running().peers.insert(to, Peer { link, session: None, asked_newest: false });
        self.do_link(to, out, now);
        self.add_room_to_links(now);
        self.count_connected(now);
    }

    /// A connection is gone.
    pub(crate) fn disconnected(&mut self, peer: usize, now_ms: u64) {
        let now = self.clock(now_ms);
        self.running().peers.remove(&peer);
        self.count_connected(now);
    }

    /// Offers our room on every connection.
    pub(crate) fn add_room_to_links(&mut self, now: u64) {
        let Some((room, secret)) = self.room().map(|room| (room.id(), room.topic_secret().clone())) else { return };
        for peer in self.peer_ids() {
            let Some(linked) = self.running().peers.get_mut(&peer) else { continue };
            let out = linked.link.handle(LinkIn::AddRoom { room, topic_secret: &secret }, now);
            self.do_link(peer, out, now);
        }
    }

    fn count_connected(&mut self, now: u64) {
        let Some(room) = self.room().map(parlor_proto::room::Room::id) else { return };
        let sessions = self.running().peers.values().filter_map(|peer| peer.session.as_ref());
        let n = sessions.filter(|(_, session)| session.standing() == Some(Standing::Live)).count();
        self.tell_outbox(parlor_proto::outbox::In::Connected { room, n }, now);
    }

    pub(crate) fn on_stream(&mut self, from: usize, bytes: &[u8], now_ms: u64) {
        let now = self.clock(now_ms);
        let Some(peer) = self.running().peers.get_mut(&from) else { return };
        let out = peer.link.handle(LinkIn::Frame(bytes), now);
        self.do_link(from, out, now);
    }

    fn do_link(&mut self, peer: usize, out: Vec<LinkOut>, now: u64) {
        for out in out {
            match out {
                LinkOut::Send(bytes) => self.out.push(Effect::Stream { to: peer, bytes }),
                LinkOut::Opened { room, channel, connection, version } => {
                    let me = std::sync::Arc::clone(&self.me);
                    let mut rng = self.fork_rng();
                    let Some(secret) = self.room().map(|room| room.topic_secret().clone()) else { continue };
                    let Some(linked) = self.running().peers.get_mut(&peer) else { continue };
                    let side = linked.link.side();
                    let device = me.signing_key();
                    let setup = SessionSetup { room, topic_secret: &secret, connection, version, side, device };
                    let (session, out) = Session::start(setup, now, &mut rng);
                    linked.session = Some((channel, session));
                    self.do_session(peer, out, now);
                }
                LinkOut::Frame { bytes, .. } => self.tell_session(peer, In::Frame(bytes), now),
                LinkOut::Closed { .. } => {
                    if let Some(peer) = self.running().peers.get_mut(&peer) {
                        peer.session = None;
                    }
                }
                LinkOut::Misbehaved(why) => self.out.push(Effect::Blame { peer, why: format!("link: {why}") }),
            }
        }
    }

    pub(crate) fn tell_session(&mut self, peer: usize, input: In, now: u64) {
        let running = self.running();
        let Some((_, session)) = running.peers.get_mut(&peer).and_then(|peer| peer.session.as_mut()) else { return };
        let removed = session.peer().and_then(|device| Some((device, running.cuts.get_mut(&device)?)));
        let tables = match removed {
            Some((device, cut)) => {
                let theirs = Series::messages(device);
                running.tables.tip(&theirs).map(|tip| cut.advance(theirs, tip));
                cut
            }
            None => &running.tables,
        };
        let out = session.handle(input, tables, now);
        self.do_session(peer, out, now);
        self.meet(now);
    }

    /// As in a node: whoever waits for its turn to make an epoch waits to be equal with all that are connected.
    pub(crate) fn meet(&mut self, now: u64) {
        if !self.room().is_some_and(Room::awaits_turn) {
            return;
        }
        let company = self.company();
        if self.running().room.as_mut().is_some_and(|room| room.meet(company, now)) {
            self.running().maintain_ms = Some(now);
        }
    }

    pub(crate) fn company(&mut self) -> Company {
        let running = self.running();
        let mut company = Company::default();
        for (_, session) in running.peers.values().filter_map(|peer| peer.session.as_ref()) {
            let live = session.standing() == Some(Standing::Live);
            company.connected.extend(session.peer().filter(|_| live));
            let differs = live && !session.holds_same_control(&running.tables);
            company.apart.extend(session.peer().filter(|_| differs));
            company.unproved |= session.peer().is_none();
        }
        company
    }

    pub(crate) fn tell_standing(&mut self, peer: usize, now: u64) {
        let session = self.running().peers.get(&peer).and_then(|peer| peer.session.as_ref());
        let Some(device) = session.and_then(|(_, session)| session.peer()) else { return };
        let standing = self.standing_of(&device);
        let running = self.running();
        if standing == Standing::Removed {
            let ends = running.room.as_ref().map(|room| room.control_for(&device)).unwrap_or_default();
            let mut cut = running.tables.cut_for(device);
            cut.limit_control(ends.iter().map(|end| (end.log.device, Tip { seq: end.seq, id: end.id.0 })));
            running.cuts.entry(device).and_modify(|before| before.take_control(&cut)).or_insert(cut);
        } else {
            running.cuts.remove(&device);
        }
        if standing == Standing::Live {
            running.guard.met(now);
            self.hold(now);
        }
        self.tell_session(peer, In::Standing(standing), now);
        self.count_connected(now);
    }

    fn do_session(&mut self, peer: usize, out: Vec<Out>, now: u64) {
        for out in out {
            match out {
                Out::Send(bytes) => {
                    let channel = self.running().peers.get(&peer).and_then(|peer| peer.session.as_ref());
                    let Some(channel) = channel.map(|(channel, _)| *channel) else { continue };
                    self.out.push(Effect::Stream { to: peer, bytes: PeerLink::wrap(channel, bytes) });
                }
                Out::Proved { .. } => self.tell_standing(peer, now),
                Out::Read { ticket, kind, wanted, max_bytes, max_items } => {
                    let room = self.room().expect("a session has a room");
                    let mut events = self.disk.read(room, kind, &wanted, max_bytes, max_items);
                    if let Some(villain) = &self.villain {
                        events.retain(|event| !villain.withholds(&event.series.device, now));
                    }
                    self.tell_session(peer, In::Read { ticket, events }, now);
                }
                Out::Deliver { batch, items, .. } => self.deliver(peer, batch, items, now),
                Out::PeerHas { device, seq } => {
                    let room = self.room().expect("a session has a room").id();
                    self.tell_outbox(parlor_proto::outbox::In::PeerHas { room, device, seq }, now);
                }
                Out::OwnLogs => {
                    self.running().guard.compared();
                    self.hold(now);
                }
                Out::Equal => {
                    self.early_equal(peer);
                    self.give_up_missing(now);
                }
                Out::View { split, .. } => self.out.extend(split.then_some(Effect::Split { peer })),
                Out::Forked { series, seq } => assert!(self.forks, "an honest log forked: {series:?} at {seq}"),
                Out::Asked { id, device, what } => {
                    let bytes = self.answer_ask(&device, what);
                    self.tell_session(peer, In::Answer { id, bytes }, now);
                }
                Out::Answered { what, bytes } => self.on_answered(peer, what, bytes, now),
                Out::Misbehaved(why) => self.out.push(Effect::Blame { peer, why: format!("session: {why}") }),
            }
        }
    }

    fn give_up_missing(&mut self, now: u64) {
        let Some(room) = self.running().room.as_mut() else { return };
        if room.missing_parents() > 0 {
            let Received { outcome, covers_corrected: covers, .. } = room.give_up_missing();
            self.commit(Commit { outcome, covers, ..Commit::default() }, now);
            self.running().throttle.touch();
        }
    }

    fn answer_ask(&mut self, device: &parlor_proto::DeviceId, what: Asked) -> Option<Vec<u8>> {
        let mut rng = self.fork_rng();
        if what == Asked::Newest {
            return self.newest_page(device);
        }
        let room = self.running().room.as_ref()?;
        match what {
            Asked::Newest => None,
            Asked::Page(hash) => room.page(&hash).map(<[u8]>::to_vec),
            Asked::Event(id) => room.control_event(&id).map(|event| event.bytes().to_vec()),
            Asked::Key(epoch) => {
                let share = room.key_share_for(device, &epoch, &mut rng).ok()?;
                let knew = room.control_frontier();
                self.handed.push(Hand { to: *device, epoch: share.epoch, slice: share.slice, knew });
                Some(codec::encode(&share))
            }
        }
    }

    fn on_answered(&mut self, peer: usize, what: Asked, bytes: Option<Vec<u8>>, now: u64) {
        if let (Asked::Newest, Some(bytes)) = (what, &bytes) {
            return self.on_newest(peer, bytes, now);
        }
        let (Some(bytes), Some(room)) = (bytes, self.running().room.as_mut()) else { return };
        let outcome = match what {
            Asked::Newest => return,
            Asked::Page(_) => room.accept_page(bytes),
            Asked::Key(_) => {
                let Ok(share) = codec::decode::<KeyShare>(&bytes, 4_096) else {
                    return assert!(self.hostile, "an honest share");
                };
                room.accept_key_share(&share)
            }
            Asked::Event(_) => {
                let Ok(event) = Event::decode(&room.id(), &bytes) else {
                    return assert!(self.hostile, "an honest event");
                };
                let received = room.receive(vec![event], now);
                return self.take(received, Vec::new(), None, now);
            }
        };
        if let Ok(outcome) = outcome {
            self.commit(Commit { outcome, ..Commit::default() }, now);
        }
    }

    pub(crate) fn ask_for_keys(&mut self, now: u64) {
        let Some(room) = self.running().room.as_mut() else { return };
        let (wanted, _) = room.lacks_now(parlor_proto::sync::MAX_ASKS);
        for what in wanted {
            for peer in self.peer_ids() {
                self.tell_session(peer, In::Ask(what), now);
            }
        }
    }

    /// A batch of a session.
    fn deliver(&mut self, peer: usize, batch: u32, items: Vec<Item>, now: u64) {
        let (events, markers) = self.sort(Some(peer), items);
        let ids: Vec<Event> = events.clone();
        let heard = events.clone();
        let received = self.running().room.as_mut().expect("a session has a room").receive(events, now);
        self.blame(Some(peer), &received);
        let room = self.room().expect("a session has a room");
        let complete = ids.iter().all(|event| room.seen(event));
        self.take(received, markers, Some((peer, batch, complete)), now);
        self.hear_early(heard, now);
        self.ask_for_newest(now);
    }

    /// A frame of the topic.
    pub(crate) fn on_gossip(&mut self, topic: &str, bytes: &[u8], now_ms: u64) {
        let now = self.clock(now_ms);
        let Some(room) = self.running().room.as_mut() else { return };
        if !room.topic_names().iter().any(|name| name == topic) {
            return;
        }
        let key = wrap::hint(bytes).and_then(|hint| room.gossip_key_for(&hint));
        let items = match GossipFrame::unwrap(bytes, |_| key.as_ref()) {
            Ok((GossipFrame::Events(list), _)) => items(list, SeriesKind::Message),
            Ok((GossipFrame::Markers(list), _)) => items(list, SeriesKind::Marker),
            Ok((other, _)) => panic!("nobody sends {other:?}"),
            Err(GossipError::UnknownKey) => return,
            Err(why) => return assert!(self.hostile, "honest gossip: {why}"),
        };
        let (events, markers) = self.sort(None, items);
        let heard = events.clone();
        let received = self.running().room.as_mut().expect("checked").receive(events, now);
        self.blame(None, &received);
        self.take(received, markers, None, now);
        self.hear_early(heard, now);
    }

    /// Finds fault with whoever sent what breaks the rules.
    fn blame(&mut self, peer: Option<usize>, received: &Received) {
        let Some(rejected) = received.rejected.iter().find(|rejected| rejected.blames_sender()) else { return };
        assert!(self.hostile, "{rejected:?}");
        let why = format!("event: {rejected:?}");
        self.out.extend(peer.map(|peer| Effect::Blame { peer, why }));
    }

    fn sort(&mut self, from: Option<usize>, items: Vec<Item>) -> (Vec<Event>, Vec<Marker>) {
        let room = self.room().expect("a room");
        let (mut events, mut markers) = (Vec::new(), Vec::new());
        let mut bad = Vec::new();
        for item in items {
            match item.kind {
                SeriesKind::Control | SeriesKind::Message => match Event::decode(&room.id(), &item.bytes.0) {
                    Ok(event) => events.push(event),
                    Err(why) => bad.push(why.to_string()),
                },
                SeriesKind::Marker => {
                    let marker = match Marker::decode(&room.id(), &item.bytes.0) {
                        Ok(marker) => marker,
                        Err(why) => {
                            bad.push(why.to_string());
                            continue;
                        }
                    };
                    let live = room.standing(&marker.device) == RoomStanding::Live;
                    if live && marker.replaces(self.disk.markers.get(&marker.device)) {
                        markers.push(marker);
                    }
                }
                _ => assert!(self.hostile, "nobody sends other records"),
            }
        }
        assert!(self.hostile || bad.is_empty(), "{bad:?}");
        let blamed = from.zip(bad.pop());
        self.out.extend(blamed.map(|(peer, why)| Effect::Blame { peer, why }));
        (events, markers)
    }

    pub(crate) fn take(
        &mut self,
        received: Received,
        markers: Vec<Marker>,
        delivered: Option<(usize, u32, bool)>,
        now: u64,
    ) {
        let Received { outcome, waiting, unknown_parents, unsure, covers_corrected: covers, .. } = received;
        let nothing =
            outcome.accepted.is_empty() && outcome.persist.is_empty() && markers.is_empty() && covers.is_empty();
        if !nothing || delivered.is_some() {
            self.commit(Commit { outcome, delivered, markers, covers, ..Commit::default() }, now);
        }
        if !unsure.is_empty() {
            self.take_unsure(unsure, now);
        }
        let gaps: HashSet<Series> = waiting.iter().filter_map(gap).collect();
        let mut gaps: Vec<Series> = gaps.into_iter().collect();
        gaps.sort();
        if let Some((peer, ..)) = delivered {
            for missing in &waiting {
                if let Missing::Control(id) = missing {
                    self.tell_session(peer, In::Ask(Asked::Event(*id)), now);
                }
            }
        }
        for series in gaps {
            for peer in self.peer_ids() {
                self.tell_session(peer, In::Gap(series), now);
            }
        }
        if !unknown_parents.is_empty() {
            let stored = |id: &EventId| self.disk.messages.values().find(|stored| stored.event.id() == *id);
            let held: Vec<_> = unknown_parents.iter().filter_map(|id| Some((*id, stored(id)?.covers_own))).collect();
            let room = self.running().room.as_mut().expect("a room");
            let Received { outcome, covers_corrected: covers, .. } = room.parents_held(&held);
            self.commit(Commit { outcome, covers, ..Commit::default() }, now);
            self.running().throttle.touch();
        }
    }

    /// Messages that are neither next nor known: what the disk does not hold is a fork.
    fn take_unsure(&mut self, unsure: Vec<Event>, now: u64) {
        let mut outcome = parlor_proto::room::Outcome::default();
        let mut lost: Vec<Series> = Vec::new();
        // What is accepted here is on the disk only later.
        let mut taken: Vec<EventId> =
            self.running().commits.iter().flat_map(|c| c.outcome.events().map(Event::id)).collect();
        for event in unsure {
            if self.disk.ids.contains(&event.id()) || taken.contains(&event.id()) {
                continue;
            }
            assert!(self.forks, "an honest log forked");
            let sibling = self.disk.sibling(&event);
            let room = self.running().room.as_mut().expect("a room");
            let mut received = room.receive(vec![event.clone()], now);
            if let (Some(_), Some(sibling)) = (received.unsure.pop(), sibling) {
                received = room.receive_fork(event.clone(), &sibling, now);
            }
            if received.outcome.accepted.is_empty() && !lost.contains(&Series::messages(event.device())) {
                lost.push(Series::messages(event.device()));
            }
            taken.extend(received.outcome.events().map(Event::id));
            outcome.merge(received.outcome);
        }
        if !outcome.accepted.is_empty() {
            self.commit(Commit { outcome, ..Commit::default() }, now);
        }
        for series in lost {
            for peer in self.peer_ids() {
                self.tell_session(peer, In::Fork(series), now);
            }
        }
    }

    pub(crate) fn tick_peers(&mut self, now: u64) {
        for peer in self.peer_ids() {
            self.tell_session(peer, In::Tick, now);
            let Some(linked) = self.running().peers.get_mut(&peer) else { continue };
            let out = linked.link.handle(LinkIn::Tick, now);
            self.do_link(peer, out, now);
        }
    }
}

fn items(list: Vec<parlor_proto::wire::Blob>, kind: SeriesKind) -> Vec<Item> {
    list.into_iter().map(|bytes| Item { kind, bytes }).collect()
}

/// The series to ask for. Whose a missing control event is nobody knows: rounds find it.
fn gap(missing: &Missing) -> Option<Series> {
    match missing {
        Missing::Log { log, .. } if log.kind == LogKind::Message => Some(Series::messages(log.device)),
        Missing::Log { log, .. } => Some(Series::control(log.device)),
        Missing::Control(_) => None,
    }
}
