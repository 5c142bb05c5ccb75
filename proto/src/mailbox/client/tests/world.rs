//! Relays in memory, each with the real session machine and one way to lie, and lines that keep their order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use parlor_crypto::epoch::EpochSecret;
use parlor_crypto::{Secret, SigningKey};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::super::*;
use crate::mailbox::frame::{Entry, Terms};
use crate::mailbox::name::BoxKind;
use crate::mailbox::proof::name_of;
use crate::mailbox::session::{Answer, Call, Session, Step};

/// How a relay lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evil {
    None,
    /// Says that it stored, and does not.
    DropsPuts,
    /// Sends every push and every reply to a listing as if it were the first, again and again.
    Repeats,
    /// Lists everything at two numbers.
    Twice,
    /// Lists backwards.
    Reorders,
    /// Shows nothing of others.
    Withholds,
    /// Lists, and gives nothing.
    ListsOnly,
    /// Lists, and puts off who asks for what it lists.
    PutsOff,
    /// Lists, and says that it can not read what it lists.
    Fails,
    /// Goes back to its beginnings when a line begins.
    GoesBack,
    /// Gives other bytes.
    Forges,
    /// Lists blobs that nobody put.
    MakesUp,
    /// Sends bytes that are no frames.
    Nonsense,
    /// Answers nothing.
    Silent,
}

#[derive(Debug)]
struct Relay {
    id: RelayId,
    evil: Evil,
    store: StoreId,
    entries: Vec<(Entry, Arc<[u8]>)>,
    ours: BTreeSet<BlobId>,
    end: u64,
    session: Option<Session>,
    subscribed: bool,
    reachable: bool,
    refusal: Option<Refusal>,
    /// Frames under way to the client.
    frames: VecDeque<Vec<u8>>,
}

/// A client, its relays, and what became of everything.
pub(super) struct World {
    pub(super) client: Mailboxes,
    relays: Vec<Relay>,
    rng: StdRng,
    now_ms: u64,
    name: BoxName,
    key: SigningKey,
    at: Vec<usize>,
    cursors: BTreeMap<RelayId, Cursor>,
    faults: BTreeMap<RelayId, Vec<Fault>>,
    hung_up: BTreeMap<RelayId, usize>,
    /// How often each blob was handed over.
    pub(super) got: BTreeMap<BlobId, u32>,
    /// What the reader has on disk.
    pub(super) durable: BTreeSet<BlobId>,
    waiting: Vec<BlobId>,
    /// Take what comes some time later.
    pub(super) delay_takes: bool,
    /// Take nothing.
    pub(super) holds_back: bool,
    own: Vec<Arc<[u8]>>,
}

pub(super) fn relay_id(n: usize) -> RelayId {
    RelayId::new(&[n as u8 + 1; 38]).unwrap()
}

/// The `n`th blob. What is in it means nothing here.
pub(super) fn blob(n: u64) -> Arc<[u8]> {
    let mut bytes = vec![0; if n.is_multiple_of(7) { 4_096 } else { 512 }];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes.into()
}

impl World {
    pub(super) fn new(seed: u64, evils: &[Evil]) -> Self {
        let relay = |(n, evil): (usize, &Evil)| Relay {
            id: relay_id(n),
            evil: *evil,
            store: StoreId([n as u8; 16]),
            entries: Vec::new(),
            ours: BTreeSet::new(),
            end: 0,
            session: None,
            subscribed: false,
            reachable: true,
            refusal: None,
            frames: VecDeque::new(),
        };
        let key = EpochSecret::from_secret(Secret::new([1; 32])).first_slice().mailbox().sign;
        Self {
            client: Mailboxes::new(),
            relays: evils.iter().enumerate().map(relay).collect(),
            rng: StdRng::seed_from_u64(seed),
            now_ms: 1_000,
            name: name_of(BoxKind::Room, &key),
            key,
            at: (0..evils.len()).collect(),
            cursors: BTreeMap::new(),
            faults: BTreeMap::new(),
            hung_up: BTreeMap::new(),
            got: BTreeMap::new(),
            durable: BTreeSet::new(),
            waiting: Vec::new(),
            delay_takes: false,
            holds_back: false,
            own: Vec::new(),
        }
    }

    pub(super) fn open(&mut self) {
        self.open_at(&self.at.clone());
    }

    pub(super) fn open_at(&mut self, relays: &[usize]) {
        self.at = relays.to_vec();
        let cursor = |n: &usize| (relay_id(*n), self.cursors.get(&relay_id(*n)).copied().unwrap_or_default());
        let relays = relays.iter().map(cursor).collect();
        let setup = BoxSetup { name: self.name, key: Some(self.key.clone()), read: true, relays };
        let out = self.client.open(setup, self.now_ms).unwrap();
        self.act(out);
    }

    pub(super) fn close(&mut self) {
        let out = self.client.close(&self.name, self.now_ms);
        self.act(out);
    }

    pub(super) fn put(&mut self, blob: Arc<[u8]>) {
        self.own.push(Arc::clone(&blob));
        let (_, out) = self.client.put(self.name, blob, self.now_ms).unwrap();
        self.act(out);
    }

    /// Somebody else puts a blob at these relays.
    pub(super) fn others_put(&mut self, blob: &Arc<[u8]>, relays: &[usize]) {
        for n in relays {
            self.relays[*n].store(blob);
        }
    }

    pub(super) fn lose_store(&mut self, n: usize) {
        let relay = &mut self.relays[n];
        relay.entries.clear();
        relay.end = 0;
        relay.store = StoreId([200; 16]);
        self.cut(n);
    }

    pub(super) fn unreachable(&mut self, n: usize) {
        self.relays[n].reachable = false;
        self.cut(n);
    }

    pub(super) fn reachable(&mut self, n: usize) {
        self.relays[n].reachable = true;
    }

    pub(super) fn refuse_puts(&mut self, n: usize, refusal: Option<Refusal>) {
        self.relays[n].refusal = refusal;
    }

    /// The line is cut; what was under way on it is lost.
    pub(super) fn cut(&mut self, n: usize) {
        if self.relays[n].end_line() {
            let out = self.client.disconnected(&relay_id(n), self.now_ms);
            self.act(out);
        }
    }

    /// The client is killed and begins anew with what is on disk: cursors, what it took, what it had to put.
    pub(super) fn crash(&mut self) {
        self.client = Mailboxes::new();
        self.waiting.clear();
        for relay in &mut self.relays {
            relay.end_line();
        }
        self.open();
        for blob in self.own.clone() {
            let (_, out) = self.client.put(self.name, blob, self.now_ms).unwrap();
            self.act(out);
        }
    }

    /// The relay sends this.
    pub(super) fn says(&mut self, n: usize, frame: &[u8]) {
        let out = self.client.frame(&relay_id(n), frame, self.now_ms);
        self.act(out);
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_ratio(percent, 100)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.rng.random_range(0..n)
    }

    pub(super) fn faults(&self, n: usize) -> &[Fault] {
        self.faults.get(&relay_id(n)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn hung_up(&self, n: usize) -> usize {
        self.hung_up.get(&relay_id(n)).copied().unwrap_or(0)
    }

    pub(super) fn cursor(&self, n: usize) -> u64 {
        self.cursors.get(&relay_id(n)).map_or(0, |cursor| cursor.at)
    }

    pub(super) fn end(&self, n: usize) -> u64 {
        self.relays[n].end
    }

    pub(super) fn is_kept_by(&self, n: usize, blob: &[u8]) -> bool {
        self.relays[n].entries.iter().any(|(entry, _)| entry.id == BlobId::of(blob))
    }

    pub(super) fn take_all(&mut self) {
        for id in std::mem::take(&mut self.waiting) {
            self.durable.insert(id);
            let out = self.client.taken(self.name, id, self.now_ms);
            self.act(out);
        }
    }

    /// Frames go to and fro, in random turns, until nothing is under way and so much time has passed.
    pub(super) fn run_for(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        loop {
            let busy: Vec<usize> = (0..self.relays.len()).filter(|n| !self.relays[*n].frames.is_empty()).collect();
            if !busy.is_empty() {
                let n = busy[self.below(busy.len())];
                if let Some(frame) = self.relays[n].frames.pop_front() {
                    let out = self.client.frame(&relay_id(n), &frame, self.now_ms);
                    self.act(out);
                }
                if self.delay_takes && self.chance(30) {
                    self.take_all();
                }
                continue;
            }
            if !self.holds_back && !self.waiting.is_empty() {
                self.take_all();
                continue;
            }
            match self.client.next_ms().filter(|next_ms| *next_ms <= until) {
                Some(next_ms) => {
                    self.now_ms = self.now_ms.max(next_ms);
                    let out = self.client.tick(self.now_ms);
                    self.act(out);
                }
                None => {
                    self.now_ms = until;
                    return;
                }
            }
        }
    }

    fn act(&mut self, out: Vec<Out>) {
        let mut todo: VecDeque<Out> = out.into();
        while let Some(out) = todo.pop_front() {
            match out {
                Out::Connect { relay } => {
                    let n = self.number(&relay);
                    if self.relays[n].reachable {
                        let nonce = self.rng.random();
                        self.relays[n].begin(nonce);
                        self.client.connected(&relay, self.now_ms);
                    } else {
                        todo.extend(self.client.disconnected(&relay, self.now_ms));
                    }
                }
                Out::HangUp { relay } => {
                    let n = self.number(&relay);
                    self.relays[n].end_line();
                    *self.hung_up.entry(relay).or_default() += 1;
                }
                Out::Send { relay, bytes } => {
                    let (n, own) = (self.number(&relay), self.own.iter().map(|blob| BlobId::of(blob)).collect());
                    self.relays[n].ours = own;
                    self.relays[n].take(&bytes);
                }
                Out::Got { name, id, blob } => {
                    assert_eq!((name, id), (self.name, BlobId::of(&blob)));
                    *self.got.entry(id).or_default() += 1;
                    if self.holds_back || self.delay_takes {
                        self.waiting.push(id);
                    } else {
                        self.durable.insert(id);
                        todo.extend(self.client.taken(name, id, self.now_ms));
                    }
                }
                Out::Cursor { relay, cursor, .. } => drop(self.cursors.insert(relay, cursor)),
                Out::Fault { relay, fault, .. } => {
                    // Lines are cut by the tests themselves.
                    if fault != Fault::Unreachable || self.delay_takes {
                        self.faults.entry(relay).or_default().push(fault);
                    }
                }
                Out::Stored { .. } | Out::Settled { .. } | Out::Refused { .. } | Out::CaughtUp { .. } => {}
            }
        }
    }

    fn number(&self, relay: &RelayId) -> usize {
        (0..self.relays.len()).find(|n| relay_id(*n) == *relay).unwrap()
    }
}

impl Relay {
    fn begin(&mut self, nonce: [u8; 32]) {
        if self.evil == Evil::GoesBack && self.entries.len() > 10 {
            self.entries.truncate(5);
            self.end = 5;
        }
        let terms = Terms { token: false, keep_ms: 1, slots: 16, window: 8 };
        let (session, hello) = Session::begin(nonce, self.id.clone(), self.store, terms);
        self.session = Some(session);
        self.frames.clear();
        self.frames.push_back(hello);
        if self.evil == Evil::Nonsense {
            self.frames.push_back(vec![255; 40]);
        }
    }

    fn end_line(&mut self) -> bool {
        self.frames.clear();
        self.subscribed = false;
        self.session.take().is_some()
    }

    fn store(&mut self, blob: &Arc<[u8]>) -> u64 {
        let id = BlobId::of(blob);
        if let Some((entry, _)) = self.entries.iter().find(|(entry, _)| entry.id == id) {
            return entry.at;
        }
        self.end += 1;
        let entry = Entry { at: self.end, id, size: blob.len() as u32 };
        self.entries.push((entry, Arc::clone(blob)));
        let hidden = self.evil == Evil::Withholds && !self.ours.contains(&id);
        if self.subscribed && !hidden && self.evil != Evil::Silent {
            self.push(entry, blob);
        }
        self.end
    }

    fn push(&mut self, entry: Entry, blob: &[u8]) {
        let name = self.session.as_ref().and_then(|session| session.subscribed().first().copied());
        let Some((session, name)) = self.session.as_ref().zip(name) else { return };
        let forged;
        let blob = if self.evil == Evil::Forges {
            forged = vec![9; blob.len()];
            forged.as_slice()
        } else {
            blob
        };
        for _ in 0..if self.evil == Evil::Repeats { 5 } else { 1 } {
            self.frames.extend(session.push(&name, entry, blob));
        }
        if self.evil == Evil::Repeats
            && let Some((first, old)) = self.entries.first()
        {
            self.frames.extend(session.push(&name, *first, old));
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let Some(session) = &mut self.session else { return };
        let mut steps: VecDeque<Step> = session.frame(bytes).expect("the client keeps to the protocol").into();
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Send(frame) if self.evil != Evil::Silent => self.frames.push_back(frame),
                Step::Send(_) => {}
                Step::Call(call) => {
                    let Some((number, answer)) = self.call(call) else { continue };
                    let Some(session) = &mut self.session else { return };
                    steps.extend(session.answer(number, answer));
                }
            }
        }
    }

    fn call(&mut self, call: Call) -> Option<(u32, Answer)> {
        Some(match call {
            Call::Token { number, .. } | Call::Drop { number, .. } => (number, Answer::Done),
            Call::Put { number, .. } if self.refusal.is_some() => (number, Answer::Refused(self.refusal?)),
            Call::Put { number, .. } if self.evil == Evil::DropsPuts => {
                self.end += 1;
                (number, Answer::Stored(self.end))
            }
            Call::Put { number, blob, .. } => (number, Answer::Stored(self.store(&blob.into()))),
            Call::List { number, after, limit, .. } => (number, self.list(after, limit)),
            Call::Get { number, id, .. } => {
                let found = self.entries.iter().find(|(entry, _)| entry.id == id).map(|(_, blob)| blob.to_vec());
                (
                    number,
                    match self.evil {
                        Evil::ListsOnly => Answer::Blob(None),
                        Evil::PutsOff => Answer::Refused(Refusal::Busy { retry_ms: 3_600_000 }),
                        Evil::Fails => Answer::Refused(Refusal::Failed),
                        Evil::Forges => Answer::Blob(found.map(|blob| vec![7; blob.len()])),
                        _ => Answer::Blob(found),
                    },
                )
            }
            Call::Subscribe { number, .. } => {
                self.subscribed = !matches!(self.evil, Evil::ListsOnly | Evil::Withholds | Evil::PutsOff | Evil::Fails);
                (number, Answer::Done)
            }
            Call::Unsubscribe { .. } => {
                self.subscribed = false;
                return None;
            }
        })
    }

    fn list(&mut self, after: u64, limit: usize) -> Answer {
        let shown = |entry: &Entry| self.evil != Evil::Withholds || self.ours.contains(&entry.id);
        let (each, end) = match self.evil {
            Evil::Twice => (2, 2 * self.end + 1),
            _ => (1, self.end),
        };
        let places = |entry: Entry| (0..each).map(move |n| Entry { at: each * entry.at + n, ..entry });
        let known = self.entries.iter().map(|(entry, _)| *entry).filter(shown).flat_map(places);
        let mut entries: Vec<Entry> = known.filter(|entry| entry.at > after).collect();
        let more = entries.len() > limit;
        entries.truncate(limit);
        match self.evil {
            Evil::Reorders => entries.reverse(),
            Evil::MakesUp => {
                for n in 1..=20 {
                    self.end += 1;
                    let id = BlobId::of(&[self.end.to_be_bytes().as_slice(), &[n; 8]].concat());
                    entries.push(Entry { at: self.end, id, size: 512 });
                }
            }
            _ => {}
        }
        Answer::Listed { entries, more, end: end.max(self.end) }
    }
}
