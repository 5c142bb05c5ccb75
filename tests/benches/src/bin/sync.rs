//! Comparing rooms of a million messages, beside negentropy on the same set.
//!
//! Counted are the frames of the comparison until both sides know what is missing where, without the proof of a new
//! connection and without the events themselves; and the time both sides compute. Ours compares tables of how far each
//! log reaches, which a node keeps anyway; negentropy compares sorted ids, which it has to build first.
//!
//! *Tail*: the newest messages are missing, as after a moment without connection. *Spread*: the last messages of authors who wrote
//! at quite different times.
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::collections::VecDeque;
use std::time::Instant;

use negentropy::{Id, Negentropy, NegentropyStorageVector};
use parlor_benches::{Goal, Pair, ROUNDS, Row, size};
use parlor_crypto::topic::TopicSecret;
use parlor_crypto::{Secret, SigningKey};
use parlor_proto::sync::{
    In, LinkIn, LinkOut, LinkSetup, Out, PeerLink, Series, Session, SessionSetup, Side, Standing, Tables, Tip,
};
use parlor_proto::wire::RoomFrame;
use parlor_proto::{DeviceId, RoomId};
use rand::SeedableRng;
use rand::rngs::StdRng;

const ROOM: RoomId = RoomId([42; 32]);
const NOW: u64 = 1_700_000_000_000;

/// The set: who wrote which message.
#[derive(Clone, Copy)]
struct Shape {
    messages: u64,
    authors: u64,
    /// Authors write one after the other, not in turn.
    spread: bool,
}

impl Shape {
    /// Author and number in its log of message `n`.
    fn place(self, n: u64) -> (u64, u64) {
        let each = self.messages / self.authors;
        if self.spread { (n / each, n % each + 1) } else { (n % self.authors, n / self.authors + 1) }
    }

    /// Which messages are missing: the newest, or the last ones of as many authors as there are.
    fn missing(self, count: u64) -> Vec<u64> {
        if !self.spread {
            return (self.messages - count..self.messages).collect();
        }
        let each = self.messages / self.authors;
        let missed = |n: u64| {
            let (author, back) =
                (n % count.min(self.authors) * (self.authors / count.min(self.authors)), n / self.authors);
            author * each + each - 1 - back
        };
        (0..count).map(missed).collect()
    }
}

fn id(n: u64) -> [u8; 32] {
    *blake3::hash(&n.to_be_bytes()).as_bytes()
}

fn device(n: u64) -> DeviceId {
    DeviceId(*blake3::hash(&[b"device".as_slice(), &n.to_be_bytes()].concat()).as_bytes())
}

/// The tables of one who lacks some messages: every author has a control log, a leaf and a marker too.
fn tables(shape: Shape, missing: &[u64]) -> Tables {
    let each = shape.messages / shape.authors;
    let mut tables = Tables::new();
    for author in 0..shape.authors {
        let lacks = missing.iter().filter(|n| shape.place(**n).0 == author).count() as u64;
        let seq = each - lacks;
        let last = if shape.spread { author * each + seq - 1 } else { (seq - 1) * shape.authors + author };
        tables.advance(Series::messages(device(author)), Tip { seq, id: id(last) });
        tables.advance(Series::control(device(author)), Tip { seq: 1, id: id(author) });
        tables.advance(Series::leaf(device(author)), Tip { seq: 1, id: [0; 32] });
        tables.advance(Series::marker(device(author)), Tip { seq: 7, id: [0; 32] });
    }
    tables
}

/// What a comparison cost.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    bytes: usize,
    seconds: f64,
    turns: usize,
    missing: u64,
}

/// Two nodes on a connection, in memory.
struct Meeting<'a> {
    tables: [&'a Tables; 2],
    links: Vec<PeerLink>,
    sessions: [Option<(u16, Session)>; 2],
    wire: VecDeque<(usize, Vec<u8>)>,
    cost: Cost,
}

impl<'a> Meeting<'a> {
    fn compare(tables: [&'a Tables; 2]) -> Cost {
        let mut meeting =
            Self { tables, links: Vec::new(), sessions: [None, None], wire: VecDeque::new(), cost: Cost::default() };
        let topic = TopicSecret::from_secret(Secret::new([9; 32]));
        for end in 0..2 {
            let peers = [b"peer a".to_vec(), b"peer b".to_vec()];
            let setup = LinkSetup {
                side: if end == 0 { Side::Dialer } else { Side::Listener },
                our_peer: peers[end].clone(),
                their_peer: peers[1 - end].clone(),
                nonce: [end as u8; 32],
            };
            let (mut link, out) = PeerLink::start(setup, NOW);
            let more = link.handle(LinkIn::AddRoom { room: ROOM, topic_secret: &topic }, NOW);
            meeting.links.push(link);
            out.into_iter().chain(more).for_each(|out| meeting.link_out(end, out));
        }
        while let Some((to, bytes)) = meeting.wire.pop_front() {
            let out = meeting.links[to].handle(LinkIn::Frame(&bytes), NOW);
            out.into_iter().for_each(|out| meeting.link_out(to, out));
        }
        meeting.cost
    }

    fn link_out(&mut self, end: usize, out: LinkOut) {
        match out {
            LinkOut::Send(bytes) => self.wire.push_back((1 - end, bytes)),
            LinkOut::Opened { room, channel, connection, version } => {
                let topic_secret = &TopicSecret::from_secret(Secret::new([9; 32]));
                let device = &SigningKey::from_seed(&Secret::new([end as u8; 32]));
                let side = self.links[end].side();
                let setup = SessionSetup { room, topic_secret, connection, version, side, device };
                let (session, out) = Session::start(setup, NOW, &mut StdRng::seed_from_u64(7));
                self.sessions[end] = Some((channel, session));
                out.into_iter().for_each(|out| self.session_out(end, out));
            }
            LinkOut::Frame { bytes, .. } => self.tell(end, In::Frame(bytes)),
            LinkOut::Closed { .. } => self.sessions[end] = None,
            LinkOut::Misbehaved(why) => unreachable!("{why}"),
        }
    }

    fn tell(&mut self, end: usize, input: In) {
        let proof = matches!(&input, In::Frame(bytes) if matches!(RoomFrame::decode(bytes), Ok(RoomFrame::Proof(_))));
        let Some((channel, mut session)) = self.sessions[end].take() else { return };
        let start = Instant::now();
        let out = session.handle(input, self.tables[end], NOW);
        if !proof {
            self.cost.seconds += start.elapsed().as_secs_f64();
        }
        self.sessions[end] = Some((channel, session));
        out.into_iter().for_each(|out| self.session_out(end, out));
    }

    fn session_out(&mut self, end: usize, out: Out) {
        match out {
            Out::Send(bytes) => {
                let proof = matches!(RoomFrame::decode(&bytes), Ok(RoomFrame::Proof(_)));
                let channel = self.sessions[end].as_ref().map_or(0, |(channel, _)| *channel);
                let bytes = PeerLink::wrap(channel, bytes);
                if !proof {
                    self.cost.bytes += bytes.len();
                    self.cost.turns += 1;
                }
                self.wire.push_back((1 - end, bytes));
            }
            Out::Proved { .. } => self.tell(end, In::Standing(Standing::Live)),
            // Nothing is sent: what is counted is comparing.
            Out::Read { wanted, ticket, .. } => {
                self.cost.missing += wanted.iter().map(|range| range.to + 1 - range.from).sum::<u64>();
                self.tell(end, In::Read { ticket, events: Vec::new() });
            }
            Out::Misbehaved(why) => unreachable!("{why}"),
            _ => {}
        }
    }
}

fn sorted(shape: Shape, missing: &[u64]) -> NegentropyStorageVector {
    let mut storage = NegentropyStorageVector::with_capacity(shape.messages as usize);
    for n in (0..shape.messages).filter(|n| !missing.contains(n)) {
        storage.insert(NOW + n, Id::from_byte_array(id(n))).unwrap();
    }
    storage.seal().unwrap();
    storage
}

fn negentropy(sets: [&NegentropyStorageVector; 2]) -> Cost {
    let mut cost = Cost::default();
    let start = Instant::now();
    let mut whole = Negentropy::borrowed(sets[0], 0).unwrap();
    let mut lacking = Negentropy::borrowed(sets[1], 0).unwrap();
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let mut next = Some(lacking.initiate().unwrap());
    while let Some(query) = next {
        let answer = whole.reconcile(&query).unwrap();
        cost.bytes += query.len() + answer.len();
        cost.turns += 2;
        next = lacking.reconcile_with_ids(&answer, &mut have, &mut need).unwrap();
    }
    cost.seconds = start.elapsed().as_secs_f64();
    cost.missing = need.len() as u64;
    cost
}

/// A case: which set, and how many are missing on one side.
fn case(shape: Shape, whole: &NegentropyStorageVector, count: u64) {
    let missing = shape.missing(count);
    let lacking = sorted(shape, &missing);
    let mut rounds: [Vec<(f64, f64)>; 2] = Default::default();
    let mut last = (Cost::default(), Cost::default());
    for round in 0..=ROUNDS {
        // Fresh tables: what is remembered of the last comparison does not count.
        let (all, some) = (tables(shape, &[]), tables(shape, &missing));
        let (ours, theirs) = (Meeting::compare([&some, &all]), negentropy([whole, &lacking]));
        assert_eq!((ours.missing, theirs.missing), (count, count));
        if round > 0 {
            rounds[0].push((ours.bytes as f64, theirs.bytes as f64));
            rounds[1].push((ours.seconds * 1e6, theirs.seconds * 1e6));
        }
        last = (ours, theirs);
    }
    let kind = if count == 0 {
        ""
    } else if shape.spread {
        ", spread"
    } else {
        ", tail"
    };
    let what = format!("{} authors, {count} missing{kind}", shape.authors);
    eprintln!("{what}: {} frames, negentropy {}", last.0.turns, last.1.turns);
    let [bytes, time] = rounds;
    let bytes = Pair::of(&bytes);
    let goal = if count == 0 { Goal::UpTo(200.0) } else { Goal::AtMost(1.0) };
    Row { what: &what, beside: "negentropy", unit: "B", pair: bytes, goal }.print();
    Row {
        what: &what,
        beside: "negentropy, already built",
        unit: "us",
        pair: Pair::of(&time),
        goal: Goal::AtMost(1.0),
    }
    .print();
    if shape.spread && count == 100 && shape.authors >= 1_000 {
        let each = |figure: f64| figure / count as f64;
        let pair = Pair { ours: each(bytes.ours), theirs: each(bytes.theirs), ..bytes };
        Row { what: &format!("{what}: each"), beside: "negentropy", unit: "B", pair, goal: Goal::UpTo(60.0) }.print();
    }
}

fn main() {
    let messages = size(1_000_000);
    let shape = Shape { messages, authors: 10, spread: false };
    let mut built = Vec::new();
    for _ in 0..ROUNDS {
        // What a node does at its start, for the table of tips that it has read anyway.
        let start = Instant::now();
        let tables = tables(shape, &[]);
        let ours = start.elapsed().as_secs_f64() * 1e3;
        let start = Instant::now();
        let storage = sorted(shape, &[]);
        built.push((ours, start.elapsed().as_secs_f64() * 1e3));
        drop((tables, storage));
    }
    let what = "building what is compared, 10 authors";
    Row { what, beside: "negentropy", unit: "ms", pair: Pair::of(&built), goal: Goal::AtMost(1.0) }.print();
    let whole = sorted(shape, &[]);
    for authors in [10, 200, 1_000] {
        for (count, spread) in [(0, false), (1, false), (100, false), (100, true)] {
            case(Shape { messages, authors, spread }, &whole, count);
        }
    }
}
