//! The harness of the tests: two nodes with fake stores, joined by one connection, in virtual time.

use std::collections::{BTreeMap, VecDeque};

use parlor_crypto::topic::TopicSecret;
use parlor_crypto::{CryptoRng, Secret, SigningKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::ids::{DeviceId, RoomId};
use crate::wire::{Asked, Item, SeriesKind};

pub(super) const ROOM: RoomId = RoomId([42; 32]);

pub(super) fn key(n: u64) -> SigningKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&n.to_be_bytes());
    SigningKey::from_seed(&Secret::new(seed))
}

pub(super) fn device_id(n: u64) -> DeviceId {
    if n < 10 {
        return DeviceId(key(n).public_bytes());
    }
    let mut id = [0; 32];
    id[..8].copy_from_slice(&(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes());
    DeviceId(id)
}

pub(super) fn topic() -> TopicSecret {
    TopicSecret::from_secret(Secret::new([9; 32]))
}

pub(super) fn rng() -> impl CryptoRng {
    StdRng::seed_from_u64(7)
}

/// A fake event: kind, device, number, salt. Its id is itself, hashed by nothing: the first 32 bytes that differ.
fn event(series: &Series, seq: u64, salt: u8) -> Vec<u8> {
    let mut bytes = vec![series.kind as u8, salt];
    bytes.extend_from_slice(&series.device.0);
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes.resize(250, 0x55);
    bytes
}

fn parse(item: &Item) -> (Series, u64, [u8; 32]) {
    let bytes = &item.bytes.0;
    let device = DeviceId(bytes[2..34].try_into().unwrap());
    let seq = u64::from_be_bytes(bytes[34..42].try_into().unwrap());
    (Series { kind: item.kind, device }, seq, id(bytes))
}

fn id(bytes: &[u8]) -> [u8; 32] {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&bytes[34..42]);
    id[8] = bytes[1];
    id
}

/// A node: a fake store that takes events of a log in their order only.
#[derive(Clone)]
pub(super) struct Node {
    n: u64,
    pub(super) tables: Tables,
    events: BTreeMap<(Series, u64), Vec<u8>>,
    pub(super) standing_of_peer: Standing,
    pub(super) holds_commits: bool,
    /// Takes such things and does not keep them.
    pub(super) drops: Option<SeriesKind>,
    pub(super) held: Vec<(u32, Vec<Item>)>,
    pub(super) advances: Vec<Advance>,
    pub(super) equal: bool,
    pub(super) splits: Vec<bool>,
    pub(super) own_logs: bool,
    pub(super) forked: bool,
    pub(super) peer_has: u64,
    pub(super) stored_bytes: usize,
    pub(super) out_of_order: usize,
    pub(super) misbehaved: Option<Misbehaviour>,
    pub(super) answers: Vec<(Asked, Option<Vec<u8>>)>,
}

impl Node {
    pub(super) fn new(n: u64) -> Self {
        Self {
            n,
            tables: Tables::new(),
            events: BTreeMap::new(),
            standing_of_peer: Standing::Live,
            holds_commits: false,
            drops: None,
            held: Vec::new(),
            advances: Vec::new(),
            equal: false,
            splits: Vec::new(),
            own_logs: false,
            forked: false,
            peer_has: 0,
            stored_bytes: 0,
            out_of_order: 0,
            misbehaved: None,
            answers: Vec::new(),
        }
    }

    fn put(&mut self, series: Series, seq: u64, salt: u8) {
        let bytes = event(&series, seq, salt);
        self.tables.advance(series, Tip { seq, id: id(&bytes) });
        self.events.insert((series, seq), bytes);
    }

    /// `author` writes `n` more.
    pub(super) fn write(&mut self, author: u64, kind: SeriesKind, n: u64) {
        let series = Series { kind, device: device_id(author) };
        for _ in 0..n {
            self.put(series, self.tables.seq(&series) + 1, 0);
        }
    }

    /// As it was when the author had written `n` messages.
    pub(super) fn back_to(&mut self, author: u64, n: u64) {
        let series = Series::messages(device_id(author));
        self.events.retain(|(other, seq), _| *other != series || *seq <= n);
        let tips = std::mem::take(&mut self.tables);
        self.tables = tips.iter().filter(|(other, _)| **other != series).map(|(series, tip)| (*series, *tip)).collect();
        let last = self.events.get(&(series, n)).map(|bytes| id(bytes));
        last.map(|id| self.tables.advance(series, Tip { seq: n, id }));
    }

    /// `author` writes one more message, on a branch of its own.
    pub(super) fn write_other(&mut self, author: u64, salt: u8) {
        let series = Series::messages(device_id(author));
        self.put(series, self.tables.seq(&series) + 1, salt);
    }

    /// A message that the session will be told of.
    pub(super) fn write_live(&mut self, author: u64, with_bytes: bool) {
        let series = Series::messages(device_id(author));
        self.write(author, SeriesKind::Message, 1);
        let seq = self.tables.seq(&series);
        let bytes = with_bytes.then(|| event(&series, seq, 0));
        self.advances.push(Advance { series, seq, bytes, from: None });
    }

    pub(super) fn copy_from(&mut self, other: &Self) {
        self.tables = other.tables.clone();
        self.events.clone_from(&other.events);
    }

    fn read(&self, wanted: &[Wanted], max_bytes: usize, max_items: usize) -> Vec<Outgoing> {
        let mut out: Vec<Outgoing> = Vec::new();
        let mut n_bytes = 0;
        for Wanted { series, from, to } in wanted {
            let latest = !matches!(series.kind, SeriesKind::Control | SeriesKind::Message);
            for seq in if latest { *to..=*to } else { *from..=*to } {
                let Some(bytes) = self.events.get(&(*series, seq)) else { continue };
                if !out.is_empty() && (n_bytes + bytes.len() > max_bytes || out.len() >= max_items) {
                    return out;
                }
                n_bytes += bytes.len();
                out.push(Outgoing { series: *series, seq, bytes: bytes.clone() });
            }
        }
        out
    }

    fn store(&mut self, items: &[Item], from: DeviceId) -> bool {
        let mut complete = true;
        let drops = self.drops;
        for item in items.iter().filter(|item| drops != Some(item.kind)) {
            let (series, seq, _) = parse(item);
            let held = self.tables.seq(&series);
            if matches!(series.kind, SeriesKind::Control | SeriesKind::Message) && seq > held + 1 {
                self.out_of_order += 1;
                complete = false;
            } else if seq > held {
                self.stored_bytes += item.bytes.0.len();
                self.put(series, seq, item.bytes.0[1]);
                self.advances.push(Advance { series, seq, bytes: None, from: Some(from) });
            }
        }
        complete
    }
}

/// Which end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    A,
    B,
}

/// Two nodes on one connection.
pub(super) struct Pair {
    pub(super) a: Node,
    pub(super) b: Node,
    links: Vec<PeerLink>,
    sessions: Vec<Option<(u16, Session)>>,
    wire: VecDeque<(End, Vec<u8>)>,
    flipped: bool,
    pub(super) n_bytes: usize,
    pub(super) now_ms: u64,
}

impl Pair {
    pub(super) fn new(a: Node, b: Node) -> Self {
        Self::with(a, b, false)
    }

    /// `flipped`: b dials.
    pub(super) fn with(a: Node, b: Node, flipped: bool) -> Self {
        let sessions = vec![None, None];
        Self { a, b, links: Vec::new(), sessions, wire: VecDeque::new(), flipped, n_bytes: 0, now_ms: 1_000_000 }
    }

    /// Two connected nodes with the same 30 events.
    pub(super) fn equal() -> Self {
        let (mut a, mut b) = (Node::new(1), Node::new(2));
        a.write(20, SeriesKind::Message, 30);
        b.copy_from(&a);
        let mut pair = Self::new(a, b);
        pair.connect();
        pair.run_ms(100);
        assert!(pair.a.equal && pair.b.equal);
        pair
    }

    /// Connects and runs until both have proved themselves; gives the bytes this took.
    pub(super) fn connect(&mut self) -> usize {
        for end in [End::A, End::B] {
            let dials = (end == End::A) != self.flipped;
            let peers: [&[u8]; 2] = [b"peer a", b"peer b"];
            let (our_peer, their_peer) = if end == End::A { (peers[0], peers[1]) } else { (peers[1], peers[0]) };
            let setup = LinkSetup {
                side: if dials { Side::Dialer } else { Side::Listener },
                our_peer: our_peer.to_vec(),
                their_peer: their_peer.to_vec(),
                nonce: [end as u8; 32],
            };
            let (mut link, out) = PeerLink::start(setup, self.now_ms);
            let more = link.handle(LinkIn::AddRoom { room: ROOM, topic_secret: &topic() }, self.now_ms);
            self.links.push(link);
            self.carry_out_link(end, out);
            self.carry_out_link(end, more);
        }
        let proof_and_less = 2 * (4 * 16 + 130 + 40);
        while self.n_bytes < proof_and_less && self.deliver_one() {
            if self.sessions.iter().flatten().filter(|(_, session)| session.peer().is_some()).count() == 2 {
                break;
            }
        }
        // Summaries may be under way already: they do not count as connecting.
        let under_way: usize = self.wire.iter().map(|(_, bytes)| bytes.len()).sum();
        self.n_bytes - under_way
    }

    /// Lets the time pass, with all that happens meanwhile.
    pub(super) fn run_ms(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        loop {
            while self.deliver_one() || self.flush_advances() {}
            let sessions = self.sessions.iter().flatten().filter_map(|(_, session)| session.next_deadline());
            let Some(due) = sessions.chain(self.links.iter().filter_map(PeerLink::next_deadline)).min() else { break };
            if due > end {
                break;
            }
            self.now_ms = self.now_ms.max(due);
            for end in [End::A, End::B] {
                self.tell(end, In::Tick);
                let out = self.links[end as usize].handle(LinkIn::Tick, self.now_ms);
                self.carry_out_link(end, out);
            }
        }
        self.now_ms = end;
    }

    /// When a's next round is due; nothing else is due before.
    pub(super) fn next_round_ms(&self) -> u64 {
        self.sessions[0].as_ref().and_then(|(_, session)| session.next_deadline()).unwrap()
    }

    pub(super) fn tick_a_at(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.tell(End::A, In::Tick);
    }

    pub(super) fn deliver_all(&mut self) {
        while self.deliver_one() {}
    }

    pub(super) fn advance_a(&mut self) {
        self.flush_advances();
    }

    pub(super) fn advance_b(&mut self) {
        self.flush_advances();
    }

    pub(super) fn stand_b(&mut self, standing: Standing) {
        self.b.standing_of_peer = standing;
        self.tell(End::B, In::Standing(standing));
    }

    pub(super) fn gap_b(&mut self, series: Series) {
        self.tell(End::B, In::Gap(series));
    }

    /// How many messages of an author a told b of that b does not hold.
    pub(super) fn owed_b(&self, author: u64) -> u64 {
        let session = self.sessions[End::B as usize].as_ref();
        session.map_or(0, |(_, session)| session.owes_messages([&device_id(author)], &self.b.tables))
    }

    pub(super) fn ask_a(&mut self, what: Asked) {
        self.tell(End::A, In::Ask(what));
    }

    /// Commits what b held back, or says that it is not stored.
    pub(super) fn release_b(&mut self, stored: bool) {
        for (batch, items) in std::mem::take(&mut self.b.held) {
            let complete = stored && self.b.store(&items, device_id(1));
            self.tell(End::B, In::Stored { batch, complete });
        }
    }

    /// Commits what a held back, or says that it is not stored.
    pub(super) fn release_a(&mut self, stored: bool) {
        for (batch, items) in std::mem::take(&mut self.a.held) {
            let complete = stored && self.a.store(&items, device_id(2));
            self.tell(End::A, In::Stored { batch, complete });
        }
    }

    pub(super) fn assert_same(&self) {
        assert_eq!((self.a.misbehaved, self.b.misbehaved), (None, None));
        assert!(self.a.tables.digests().same_content(&self.b.tables.digests()));
        let logs = |node: &Node| {
            let is_log = |series: &Series| matches!(series.kind, SeriesKind::Control | SeriesKind::Message);
            node.events.iter().filter(|((s, _), _)| is_log(s)).map(|(k, v)| (*k, v.clone())).collect::<Vec<_>>()
        };
        assert_eq!(logs(&self.a), logs(&self.b));
    }

    pub(super) fn n_stored(&self) -> usize {
        self.a.stored_bytes + self.b.stored_bytes
    }

    fn node(&mut self, end: End) -> &mut Node {
        match end {
            End::A => &mut self.a,
            End::B => &mut self.b,
        }
    }

    fn flush_advances(&mut self) -> bool {
        let mut any = false;
        for end in [End::A, End::B] {
            let advances = std::mem::take(&mut self.node(end).advances);
            if !advances.is_empty() {
                any = true;
                self.tell(end, In::Advanced(advances));
            }
        }
        any
    }

    fn deliver_one(&mut self) -> bool {
        let Some((to, bytes)) = self.wire.pop_front() else { return false };
        let out = self.links[to as usize].handle(LinkIn::Frame(&bytes), self.now_ms);
        self.carry_out_link(to, out);
        true
    }

    fn tell(&mut self, end: End, input: In) {
        let Some((channel, mut session)) = self.sessions[end as usize].take() else { return };
        let now_ms = self.now_ms;
        let out = session.handle(input, &self.node(end).tables, now_ms);
        self.sessions[end as usize] = Some((channel, session));
        for out in out {
            self.carry_out(end, channel, out);
        }
    }

    fn send(&mut self, from: End, bytes: Vec<u8>) {
        self.n_bytes += bytes.len();
        self.wire.push_back((if from == End::A { End::B } else { End::A }, bytes));
    }

    fn carry_out_link(&mut self, end: End, out: Vec<LinkOut>) {
        for out in out {
            match out {
                LinkOut::Send(bytes) => self.send(end, bytes),
                LinkOut::Opened { room, channel, connection, version } => {
                    let side = self.links[end as usize].side();
                    let device = key(self.node(end).n);
                    let setup =
                        SessionSetup { room, topic_secret: &topic(), connection, version, side, device: &device };
                    let (session, out) = Session::start(setup, self.now_ms, &mut rng());
                    self.sessions[end as usize] = Some((channel, session));
                    for out in out {
                        self.carry_out(end, channel, out);
                    }
                }
                LinkOut::Frame { bytes, .. } => self.tell(end, In::Frame(bytes)),
                LinkOut::Closed { .. } => self.sessions[end as usize] = None,
                LinkOut::Misbehaved(why) => self.node(end).misbehaved = Some(why),
            }
        }
    }

    fn carry_out(&mut self, end: End, channel: u16, out: Out) {
        match out {
            Out::Send(bytes) => self.send(end, PeerLink::wrap(channel, bytes)),
            Out::Proved { device } => {
                assert_eq!(device, device_id(if end == End::A { 2 } else { 1 }));
                let standing = self.node(end).standing_of_peer;
                self.tell(end, In::Standing(standing));
            }
            Out::Read { ticket, wanted, max_bytes, max_items, .. } => {
                let events = self.node(end).read(&wanted, max_bytes, max_items);
                self.tell(end, In::Read { ticket, events });
            }
            Out::Deliver { batch, from, items } => {
                if self.node(end).holds_commits {
                    self.node(end).held.push((batch, items));
                    return;
                }
                let complete = self.node(end).store(&items, from);
                self.tell(end, In::Stored { batch, complete });
            }
            Out::PeerHas { seq, .. } => self.node(end).peer_has = seq,
            Out::OwnLogs => self.node(end).own_logs = true,
            Out::Equal => self.node(end).equal = true,
            Out::View { split, .. } => self.node(end).splits.push(split),
            Out::Forked { .. } => self.node(end).forked = true,
            Out::Asked { id, what, .. } => {
                let bytes = match what {
                    Asked::Page([7, ..]) => Some(vec![7]),
                    Asked::Newest => Some(vec![9]),
                    _ => None,
                };
                self.tell(end, In::Answer { id, bytes });
            }
            Out::Answered { what, bytes } => self.node(end).answers.push((what, bytes)),
            Out::Misbehaved(why) => self.node(end).misbehaved = Some(why),
        }
    }
}
