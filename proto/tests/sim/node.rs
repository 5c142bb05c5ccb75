//! A node: the machines of one device, joined as `parlor-node` joins them, on a disk that commits late.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parlor_crypto::account::RootSeed;
use parlor_crypto::seal::MessageKey;
use parlor_proto::body::Body;
use parlor_proto::event::Event;
use parlor_proto::gossip::{Coalescer, GossipFrame, Unreached};
use parlor_proto::identity::Identity;
use parlor_proto::join::{Doorkeeper, Joiner};
use parlor_proto::link::{Address, Host, Link, Transport};
use parlor_proto::marker::{Marker, Throttle};
use parlor_proto::outbox::{self, Entry, Nonce, Outbox};
use parlor_proto::room::{Accepted, Change, Early, NewRoom, Outcome, Refusal, Room, Standing as RoomStanding};
use parlor_proto::sync::{Advance, Guard, In, PeerLink, Series, Session, Standing, Tables, Tip};
use parlor_proto::{DeviceId, EventId};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

use crate::disk::{Disk, series};
use crate::knowledge::Hand;
use crate::villain::Villain;

/// What a node wants of the network.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Bytes on the sync stream to a peer.
    Stream { to: usize, bytes: Vec<u8> },
    /// A frame on the room's topic.
    Gossip { topic: String, bytes: Vec<u8>, to: Option<usize> },
    /// Connect to a door.
    Dial { to: usize },
    /// A knock.
    Knock { to: usize, bytes: Vec<u8> },
    /// The answer to a knock.
    Answer { to: usize, bytes: Vec<u8> },
    /// Honest nodes never find each other at fault.
    Blame { peer: usize, why: String },
    /// The peer says that it holds the same control events and sees another room.
    Split { peer: usize },
}

/// A change on its way to the disk, and what follows when it is there.
#[derive(Default)]
pub(crate) struct Commit {
    pub due_ms: u64,
    pub room: Option<parlor_proto::RoomId>,
    pub outcome: Outcome,
    pub entries: Vec<Entry>,
    pub removed: Vec<Nonce>,
    pub markers: Vec<Marker>,
    /// Messages that cover more of our own than was known when they were stored.
    pub covers: Vec<(EventId, u64)>,
    pub opened: Vec<(EventId, MessageKey, Option<Body>)>,
    pub delivered: Option<(usize, u32, bool)>,
    pub answer: Option<(usize, Vec<u8>)>,
    pub submitted: Option<Nonce>,
}

/// A connection to another node.
pub(crate) struct Peer {
    pub link: PeerLink,
    pub session: Option<(u16, Session)>,
    /// It was asked for its newest page.
    pub asked_newest: bool,
}

/// What a running node holds in memory.
pub(crate) struct Running {
    pub room: Option<Room>,
    pub tables: Tables,
    pub outbox: Outbox,
    pub throttle: Throttle,
    pub coalescer: Coalescer,
    pub peers: BTreeMap<usize, Peer>,
    pub commits: VecDeque<Commit>,
    pub joiner: Option<Joiner>,
    pub door: Doorkeeper,
    pub maintain_ms: Option<u64>,
    /// What former members may know, from when they were put out.
    pub cuts: BTreeMap<DeviceId, Tables>,
    /// Whether it may write yet.
    pub guard: Guard,
    pub early: Early,
}

/// One person's device.
pub(crate) struct Node {
    pub index: usize,
    pub me: Arc<Identity>,
    pub disk: Disk,
    pub running: Option<Running>,
    pub rng: StdRng,
    pub skew_ms: i64,
    pub commit_ms: u64,
    pub out: Vec<Effect>,
    /// Requests whose writing was promised.
    pub promised: Vec<Nonce>,
    /// Keys that were handed out here or came by a Welcome.
    pub handed: Vec<Hand>,
    pub link: Option<Link>,
    /// Forks are part of the history.
    pub forks: bool,
    /// Some of the others are hostile.
    pub hostile: bool,
    /// What makes this one hostile.
    pub villain: Option<Villain>,
    pub root: Option<RootSeed>,
    /// Further devices of its account that it brought into the room; they are never there.
    pub pads: Vec<Identity>,
    /// It compares its own logs with others before it writes.
    pub guarded: bool,
    /// A copy of the disk, with what was promised then.
    pub copy: Option<(Disk, Vec<Nonce>)>,
    /// It went on from a copy.
    pub restored: bool,
}

impl Node {
    pub(crate) fn new(index: usize, seed: u64, skew_ms: i64, commit_ms: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let (root, me) = Identity::create("laptop", 1_700_000_000_000, &mut rng).expect("a short name");
        let mut node = Self {
            index,
            me: Arc::new(me),
            disk: Disk::default(),
            running: None,
            rng,
            skew_ms,
            commit_ms,
            out: Vec::new(),
            promised: Vec::new(),
            handed: Vec::new(),
            link: None,
            forks: false,
            hostile: false,
            villain: None,
            root: Some(root),
            pads: Vec::new(),
            guarded: true,
            copy: None,
            restored: false,
        };
        node.start(0);
        node
    }

    /// From now on it follows no rule.
    pub(crate) fn turn_evil(&mut self) {
        let mut rng = self.fork_rng();
        self.villain = self.root.take().map(|root| Villain::new(root, &mut rng));
        self.guarded = false;
    }

    /// The node's own clock.
    pub(crate) fn clock(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.skew_ms)
    }

    /// Starts with what is on the disk.
    pub(crate) fn start(&mut self, now_ms: u64) {
        let room = self.disk.restore(&self.me);
        let mut tables = self.disk.tables(room.as_ref());
        if let Some(room) = &room {
            tables.mean(room.n_control(), &room.fingerprint());
        }
        let mut outbox = Outbox::restore(self.disk.outbox.values().cloned());
        let now = self.clock(now_ms);
        if let Some(room) = &room {
            for marker in self.disk.markers.values() {
                if let Some(input) = self.resolve(room.id(), marker) {
                    outbox.handle(input, now, &mut self.rng);
                }
            }
        }
        self.running = Some(Running {
            room,
            tables,
            outbox,
            throttle: Throttle::default(),
            coalescer: Coalescer::default(),
            peers: BTreeMap::new(),
            commits: VecDeque::new(),
            joiner: None,
            door: Doorkeeper::default(),
            maintain_ms: Some(now),
            cuts: BTreeMap::new(),
            guard: Guard::open(),
            early: Early::default(),
        });
        if let Some(room) = self.running.as_ref().and_then(|running| running.room.as_ref()) {
            let closed = !room.control_frontier().is_empty() && !room.is_member();
            let id = room.id();
            let failure = outbox::Failure::NoMember;
            if closed {
                self.tell_outbox(outbox::In::Closed(id, failure), now);
            }
            self.tell_members(now);
            self.tell_writable(now);
            if self.guarded && self.room().is_some_and(|room| room.members().len() > 1) {
                self.running().guard = Guard::start(now);
                self.hold(now);
            }
            // What was stored just before the crash may not have been acknowledged by a marker.
            self.running().throttle.touch();
        }
    }

    /// Writes nothing, or may write from now on, as the guard says.
    pub(crate) fn hold(&mut self, now: u64) {
        let running = self.running();
        let held = running.guard.holds(now);
        let Some(room) = running.room.as_mut() else { return };
        room.hold(held);
        if !held {
            running.maintain_ms = Some(now);
            self.tell_writable(now);
        }
    }

    /// Stops at once: what was not committed is lost.
    pub(crate) fn crash(&mut self) {
        self.running = None;
        self.out.clear();
    }

    pub(crate) fn room(&self) -> Option<&Room> {
        self.running.as_ref()?.room.as_ref()
    }

    pub(crate) fn is_member(&self) -> bool {
        self.room().is_some_and(Room::is_member)
    }

    /// Makes the room.
    pub(crate) fn found(&mut self, new: NewRoom, now_ms: u64) {
        let now = self.clock(now_ms);
        let (room, outcome) = Room::create(Arc::clone(&self.me), new, now, &mut self.rng).expect("a room");
        let id = room.id();
        self.running().room = Some(room);
        self.commit(Commit { room: Some(id), outcome, ..Commit::default() }, now);
        self.add_room_to_links(now);
    }

    /// A client sends a text. The same nonce may come again.
    pub(crate) fn submit(&mut self, nonce: Nonce, text: &str, now_ms: u64) {
        let now = self.clock(now_ms);
        let Some(room) = self.room().map(Room::id) else { return };
        let body = text.as_bytes().to_vec();
        let out = self.running().outbox.submit(nonce, room, body, now).expect("the outbox takes it");
        self.do_outbox(out, now, Some(nonce));
    }

    /// Puts a change on its way to the disk.
    pub(crate) fn commit(&mut self, mut commit: Commit, now: u64) {
        let delay = if self.commit_ms == 0 { 0 } else { self.rng.random_range(0..self.commit_ms) };
        let last = self.running().commits.back().map_or(0, |commit| commit.due_ms);
        commit.due_ms = last.max(now + delay);
        self.running().commits.push_back(commit);
    }

    /// The disk has taken a change.
    pub(crate) fn committed(&mut self, commit: Commit, now: u64) {
        let Commit { room, outcome, entries, removed, markers, covers, opened, delivered, answer, submitted, .. } =
            commit;
        if room.is_some() {
            self.disk.room = room;
        }
        for accepted in &outcome.accepted {
            let placed = outcome.placed.iter().find(|placed| placed.event == accepted.event().id());
            self.disk.accept(accepted, placed.map(|placed| &placed.place));
        }
        self.disk.persist(&outcome.persist);
        for entry in &entries {
            self.disk.outbox.insert(entry.nonce, entry.clone());
        }
        for nonce in &removed {
            self.disk.outbox.remove(nonce);
        }
        for stored in self.disk.messages.values_mut() {
            let covered = covers.iter().find(|(id, _)| *id == stored.event.id());
            stored.covers_own = covered.map_or(stored.covers_own, |(_, covers)| *covers);
        }
        for marker in &markers {
            if marker.replaces(self.disk.markers.get(&marker.device)) {
                self.disk.markers.insert(marker.device, marker.clone());
            }
        }
        for (id, key, body) in opened {
            if let Some(stored) = self.disk.messages.values_mut().find(|stored| stored.event.id() == id) {
                stored.key = Some(key);
                stored.text = body.as_ref().map(text);
            }
        }
        let pinned = self.disk.places(&outcome.unplaced);
        if let Some(room) = &mut self.running().room {
            room.pins_found(&pinned);
        }
        self.promised.extend(submitted);
        self.early_landed(&outcome, now);
        let advances = self.advance(&outcome, &markers, delivered);
        if let Some((peer, batch, complete)) = delivered {
            self.tell_session(peer, In::Stored { batch, complete }, now);
        }
        if !advances.is_empty() {
            for peer in self.peer_ids() {
                self.tell_session(peer, In::Advanced(advances.clone()), now);
            }
        }
        let me = self.me.device();
        for accepted in outcome.accepted.iter().filter(|accepted| accepted.event().device() == me) {
            let frames = self.running().coalescer.push(accepted.event().bytes().to_vec(), now);
            frames.iter().for_each(|frame| self.gossip(frame));
        }
        for marker in markers.iter().filter(|marker| marker.device == me) {
            self.gossip(&GossipFrame::Markers(vec![marker.encode().into()]));
        }
        for entry in &entries {
            if let outbox::Stage::Written { event, seq } = entry.stage {
                self.tell_outbox(outbox::In::Written { nonce: entry.nonce, event, seq }, now);
            }
        }
        if outcome.accepted.iter().any(|accepted| matches!(accepted, Accepted::Message(_))) {
            self.running().throttle.touch();
            self.resolve_markers(now);
        } else if !covers.is_empty() {
            self.resolve_markers(now);
        }
        for marker in &markers {
            if let Some(input) = self.room().map(Room::id).and_then(|room| self.resolve(room, marker)) {
                self.tell_outbox(input, now);
            }
        }
        if let Some((to, bytes)) = answer {
            self.out.push(Effect::Answer { to, bytes });
        }
        self.changed(&outcome.changes, now);
    }

    fn advance(
        &mut self,
        outcome: &Outcome,
        markers: &[Marker],
        delivered: Option<(usize, u32, bool)>,
    ) -> Vec<Advance> {
        let me = self.me.device();
        let Some(running) = self.running.as_mut() else { return Vec::new() };
        let session = delivered.and_then(|(peer, ..)| running.peers.get(&peer)?.session.as_ref());
        let from = session.and_then(|(_, session)| session.peer());
        let mut advances = Vec::new();
        for event in outcome.accepted.iter().map(Accepted::event) {
            let (mut series, mut seq) = (series(event), event.seq());
            if let Some(placed) = outcome.placed.iter().find(|placed| placed.event == event.id()) {
                if let Some(cut) = placed.cut {
                    // What former members may know is told in the same stretches.
                    for tables in running.cuts.values_mut().chain([&mut running.tables]) {
                        tables.cut(Series { device: cut.stretch, ..series }, cut.end, cut.id.0, cut.rest);
                    }
                }
                (series.device, seq) = (placed.place.stretch, placed.place.number);
            }
            running.tables.advance(series, Tip { seq, id: event.id().0 });
            let bytes = (event.device() == me).then(|| event.bytes().to_vec());
            advances.push(Advance { series, seq, bytes, from });
        }
        let live =
            |device: &DeviceId| running.room.as_ref().is_some_and(|room| room.standing(device) == RoomStanding::Live);
        // Of somebody who left meanwhile nothing is told.
        let markers: Vec<_> = markers.iter().filter(|marker| live(&marker.device)).collect();
        running.tables.retain_records(live);
        if let Some(room) = &running.room {
            running.tables.mean(room.n_control(), &room.fingerprint());
            if room.leaves_out() {
                running.tables.leave_out(|series| room.tells(series));
            }
        }
        for marker in markers {
            let series = Series::marker(marker.device);
            running.tables.advance(series, Tip { seq: marker.counter, id: [0; 32] });
            advances.push(Advance { series, seq: marker.counter, bytes: None, from });
        }
        advances
    }

    fn changed(&mut self, changes: &[Change], now: u64) {
        if changes.is_empty() {
            return;
        }
        for change in changes {
            match change {
                Change::Out => {
                    if let Some(room) = self.room().map(Room::id) {
                        self.tell_outbox(outbox::In::Closed(room, outbox::Failure::NoMember), now);
                    }
                }
                Change::Keys(_) => self.open_unreadable(now),
                _ => {}
            }
        }
        self.tell_members(now);
        self.tell_writable(now);
        for peer in self.peer_ids() {
            self.tell_standing(peer, now);
        }
        self.running().maintain_ms = Some(now);
        self.check_joined(now);
    }

    fn open_unreadable(&mut self, now: u64) {
        let unread: Vec<Event> =
            self.disk.messages.values().filter(|s| s.key.is_none()).map(|s| s.event.clone()).collect();
        let Some(room) = self.running().room.as_mut() else { return };
        let opened = unread.iter().filter_map(|event| Some((event.id(), room.open_later(event)?)));
        let opened: Vec<_> = opened.map(|(id, opened)| (id, opened.key, opened.body)).collect();
        if !opened.is_empty() {
            self.commit(Commit { opened, ..Commit::default() }, now);
        }
    }

    pub(crate) fn tell_members(&mut self, now: u64) {
        let Some(room) = self.room() else { return };
        let members = room.members();
        let devices = members.iter().flat_map(|m| m.devices.iter().map(|(device, _)| (*device, m.account))).collect();
        let input = outbox::In::Members { room: room.id(), me: self.me.account(), devices };
        self.tell_outbox(input, now);
    }

    pub(crate) fn tell_writable(&mut self, now: u64) {
        let Some(room) = self.room() else { return };
        if room.may_post().is_ok() && room.epoch_status().epoch.is_some() {
            let id = room.id();
            self.tell_outbox(outbox::In::Writable(id), now);
        }
    }

    pub(crate) fn tell_outbox(&mut self, input: outbox::In, now: u64) {
        let mut rng = self.fork_rng();
        let out = self.running().outbox.handle(input, now, &mut rng);
        self.do_outbox(out, now, None);
    }

    pub(crate) fn do_outbox(&mut self, out: Vec<outbox::Out>, now: u64, mut submitted: Option<Nonce>) {
        for out in out {
            match out {
                outbox::Out::Write(entry) => self.write(&entry, submitted.take(), now),
                outbox::Out::Store(entry) => {
                    self.commit(Commit { entries: vec![entry], submitted: submitted.take(), ..Commit::default() }, now);
                }
                outbox::Out::Remove(_, nonce) => self.commit(Commit { removed: vec![nonce], ..Commit::default() }, now),
                outbox::Out::Publish { from, to, .. } => {
                    let me = self.me.device();
                    let stored = self.disk.messages.range((me, from)..=(me, to)).take(16);
                    let events: Vec<_> = stored.map(|(_, stored)| stored.event.bytes().to_vec().into()).collect();
                    if !events.is_empty() {
                        self.gossip(&GossipFrame::Events(events));
                    }
                }
                outbox::Out::Seek(_) | outbox::Out::Changed { .. } | outbox::Out::ChangedUnwritten { .. } => {}
            }
        }
    }

    fn write(&mut self, entry: &Entry, submitted: Option<Nonce>, now: u64) {
        let mut rng = self.fork_rng();
        let body = Body::text(String::from_utf8_lossy(&entry.body));
        let Some(room) = self.running().room.as_mut() else { return };
        let nonce = entry.nonce;
        match room.write(&body, now, &mut rng) {
            Ok(written) => {
                let event = &written.message.event;
                let entries = vec![entry.written(event.id(), event.seq())];
                let accepted = vec![Accepted::Message(written.message)];
                let outcome = Outcome { accepted, persist: written.persist, ..Outcome::default() };
                self.commit(Commit { outcome, entries, submitted, ..Commit::default() }, now);
            }
            Err(why @ (Refusal::NoSafeEpoch | Refusal::Held)) => {
                let waiting = match why {
                    Refusal::Held => outbox::Waiting::Comparing,
                    _ => outbox::Waiting::NoSafeEpoch,
                };
                let mut rng = self.fork_rng();
                let out = self.running().outbox.handle(outbox::In::NotNow { nonce, waiting }, now, &mut rng);
                self.do_outbox(out, now, submitted);
            }
            Err(Refusal::NotMember | Refusal::NotPermitted(_) | Refusal::Cloned) => {
                self.tell_outbox(outbox::In::Never { nonce, failure: outbox::Failure::NoMember }, now);
            }
            Err(why) => panic!("write: {why}"),
        }
    }

    pub(crate) fn gossip(&mut self, frame: &GossipFrame) {
        self.gossip_to(frame, None);
    }

    /// Publishes a frame to all, or shows it to one peer only.
    pub(crate) fn gossip_to(&mut self, frame: &GossipFrame, to: Option<usize>) {
        let mut rng = self.fork_rng();
        let Some(room) = self.running().room.as_mut() else { return };
        let topic = room.topic_names().first().cloned().unwrap_or_default();
        let Some(key) = room.gossip_key() else { return };
        let bytes = frame.wrap(&Unreached::default(), &key, &mut rng).expect("a frame of the coalescer fits");
        self.out.push(Effect::Gossip { topic, bytes, to });
    }

    /// When something is to be done, by the node's own clock.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let running = self.running.as_ref()?;
        let n_members = running.room.as_ref().map_or(0, |room| room.members().len());
        let marks = running.commits.iter().any(|commit| !commit.markers.is_empty());
        let may_mark = !marks && running.room.as_ref().is_some_and(Room::is_member);
        let sessions = running.peers.values().filter_map(|peer| peer.session.as_ref());
        let links = running.peers.values().filter_map(|peer| peer.link.next_deadline());
        let ours = [
            running.commits.front().map(|commit| commit.due_ms),
            running.outbox.next_deadline(),
            running.throttle.due(n_members).filter(|_| may_mark),
            running.coalescer.next_deadline(),
            running.joiner.as_ref().and_then(Joiner::next_deadline),
            running.maintain_ms,
            running.guard.due(),
        ];
        let sessions = sessions.filter_map(|(_, session)| session.next_deadline());
        ours.into_iter().flatten().chain(sessions).chain(links).min()
    }

    /// Does what is due.
    pub(crate) fn wake(&mut self, now_ms: u64) {
        let now = self.clock(now_ms);
        while self.running().commits.front().is_some_and(|commit| commit.due_ms <= now) {
            if let Some(commit) = self.running().commits.pop_front() {
                self.committed(commit, now);
            }
        }
        if self.running().guard.tick(now) {
            self.hold(now);
        }
        if self.running().maintain_ms.is_some_and(|due| due <= now) {
            self.maintain(now);
        }
        if let Some(frame) = self.running().coalescer.tick(now) {
            self.gossip(&frame);
        }
        self.tell_outbox(outbox::In::Tick, now);
        self.mark(now);
        self.running().early.expire(now);
        self.ask_for_newest(now);
        self.tick_peers(now);
        self.tick_joiner(now);
    }

    fn maintain(&mut self, now: u64) {
        let mut rng = self.fork_rng();
        self.running().maintain_ms = None;
        let company = self.company();
        let Some(room) = self.running().room.as_mut() else { return };
        room.meet(company, now);
        let (outcome, wake) = room.maintain(now, &mut rng);
        self.running().maintain_ms = wake.map(|at| at.max(now + 1));
        if !outcome.accepted.is_empty() || !outcome.persist.is_empty() || !outcome.changes.is_empty() {
            self.commit(Commit { outcome, ..Commit::default() }, now);
        }
        self.ask_for_keys(now);
    }

    pub(crate) fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("only running nodes are driven")
    }

    /// Randomness for one call, so that the node itself stays borrowable.
    pub(crate) fn fork_rng(&mut self) -> StdRng {
        StdRng::seed_from_u64(self.rng.random())
    }

    pub(crate) fn standing_of(&self, device: &DeviceId) -> Standing {
        let room = self.room().expect("a session has a room");
        match room.standing(device) {
            parlor_proto::room::Standing::Live => Standing::Live,
            parlor_proto::room::Standing::Removed => Standing::Removed,
            parlor_proto::room::Standing::Stranger => Standing::Stranger,
        }
    }
}

/// The text of a body.
pub(crate) fn text(body: &Body) -> String {
    match body {
        Body::Text(text) => text.text.clone(),
        _ => panic!("only texts are written here"),
    }
}

/// The address of a node, in a link.
pub(crate) fn address(index: usize) -> Address {
    Address { host: Host::Ip4([10, 0, 0, 1]), transport: Transport::Tcp, port: index as u16 }
}
