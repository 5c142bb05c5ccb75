//! A relay that lies: the real protocols over real sockets, and mailboxes that do not do what they say. The program
//! `parlor-bootstrap` has no way to lie, and is to have none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_net::relay::{RelayConfig, RelayEvent, spawn};
use parlor_net::{Line, LineKind, PeerId};
use parlor_proto::mailbox::{Answer, BlobId, BoxName, Call, Entry, RelayId, Session, Step, StoreId, Terms, limits};
use parlor_tests::eventually;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;

/// What a relay does that an honest one does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// Says `Stored` to all, and keeps one blob of three.
    Drops,
    /// Gives other bytes than were put; and beside each blob two that nobody put, one of bytes that have its name and one that has
    /// not.
    Forges,
    /// Shows nothing of what it has.
    Withholds,
    /// Gives each blob once more under another number, and in every other box.
    Replays,
    /// Lists the newest first, and pushes the second of two before the first.
    Reorders,
    /// Gives what comes later the lower number.
    Renumbers,
    /// Says `Stored` at a number without end, and false lengths, and that it holds less than before.
    Miscounts,
    /// Sends what is no frame, as soon as something is asked of it.
    Babbles,
}

/// Numbers of what is put between two changes of the lies.
const ERA: u64 = 1_000_000;

/// One entry of a box.
struct Held {
    entry: Entry,
    /// What is given for it.
    blob: Vec<u8>,
}

/// What the relay keeps, and how it behaves.
#[derive(Default)]
struct Desk {
    lies: Vec<Lie>,
    boxes: BTreeMap<BoxName, Vec<Held>>,
    /// How often the lies changed: numbers go on above all that were given.
    era: u64,
    /// Entries made.
    made: u64,
    /// What was put, whatever became of it.
    put: BTreeSet<BlobId>,
    /// Pushes that wait for the next one.
    kept_back: Vec<News>,
    /// How many lists were asked for.
    n_lists: u64,
}

type News = (BoxName, Entry, Vec<u8>);

/// What all lines share.
struct Shared {
    desk: Mutex<Desk>,
    news: broadcast::Sender<News>,
}

/// A relay that runs in this process until it is dropped.
pub(super) struct Liar {
    pub(super) address: String,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

impl Liar {
    /// Starts one on loopback that lies so, and waits until it listens.
    #[track_caller]
    pub(super) fn start(lies: &[Lie]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let desk = Desk { lies: lies.to_vec(), ..Desk::default() };
        let shared = Arc::new(Shared { desk: Mutex::new(desk), news: broadcast::channel(1_024).0 });
        let (address, told) = std::sync::mpsc::channel();
        runtime.spawn(run(shared.clone(), address));
        let address = eventually("a relay that lies listens", || told.try_recv().ok());
        Self { address, shared, _runtime: runtime }
    }

    /// Lies so from now on.
    pub(super) fn lie(&self, lies: &[Lie]) {
        let mut desk = self.shared.desk();
        desk.lies = lies.to_vec();
        desk.era += 1;
    }

    /// How many blobs were put here, whatever became of them.
    pub(super) fn put(&self) -> usize {
        self.shared.desk().put.len()
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(shared: Arc<Shared>, told: std::sync::mpsc::Sender<String>) {
    let mut config = RelayConfig::new(rand::random());
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    config.tuning.private_addresses = true;
    let mut relay = spawn(config).await.unwrap();
    while let Some(event) = relay.events.recv().await {
        match event {
            RelayEvent::Listening { address } => {
                let _ = told.send(address.with_peer(relay.peer).to_string());
            }
            RelayEvent::Line { line, .. } if line.kind() == LineKind::Mailbox => {
                tokio::spawn(serve(shared.clone(), line, relay.peer));
            }
            _ => {}
        }
    }
}

/// Serves a line by the rules of the protocol, but for what the lies change.
async fn serve(shared: Arc<Shared>, line: Line, me: PeerId) {
    let (store, relay) = (StoreId([7; 16]), RelayId::new(me.as_key()).unwrap());
    let terms = Terms { token: false, keep_ms: limits::KEEP_MS, slots: limits::MAX_SLOTS, window: limits::WINDOW };
    let (mut session, hello) = Session::begin(rand::random(), relay, store, terms);
    let mut news = shared.news.subscribe();
    let (sender, mut receiver) = line.split();
    let mut out = vec![hello];
    loop {
        for frame in out.drain(..) {
            if sender.send(frame.into()).await.is_err() {
                return;
            }
        }
        tokio::select! {
            frame = receiver.recv() => {
                let Some(frame) = frame else { return };
                let Ok(steps) = session.frame(&frame) else { return };
                carry_out(&shared, &mut session, steps, &mut out);
            }
            Ok((name, entry, blob)) = news.recv() => out.extend(session.push(&name, entry, &blob)),
        }
    }
}

fn carry_out(shared: &Shared, session: &mut Session, steps: Vec<Step>, out: &mut Vec<Vec<u8>>) {
    for step in steps {
        match step {
            Step::Send(frame) => out.push(frame),
            Step::Call(call) => {
                let mut desk = shared.desk();
                if desk.lies.contains(&Lie::Babbles) {
                    out.push(vec![0xff; 40]);
                }
                let answered = desk.answer(call, &mut |news| _ = shared.news.send(news));
                drop(desk);
                if let Some((number, answer)) = answered {
                    let steps = session.answer(number, answer);
                    carry_out(shared, session, steps, out);
                }
            }
        }
    }
}

impl Desk {
    fn lies(&self, lie: Lie) -> bool {
        self.lies.contains(&lie)
    }

    fn answer(&mut self, call: Call, tell: &mut dyn FnMut(News)) -> Option<(u32, Answer)> {
        Some(match call {
            Call::Put { number, name, id, blob } => (number, Answer::Stored(self.put(name, id, blob, tell))),
            Call::List { number, name, after, limit } => (number, self.list(&name, after, limit)),
            Call::Get { number, name, id } => {
                let held = self.boxes.get(&name).and_then(|held| held.iter().find(|it| it.entry.id == id));
                (number, Answer::Blob(held.map(|held| held.blob.clone())))
            }
            Call::Token { number, .. } | Call::Subscribe { number, .. } | Call::Drop { number, .. } => {
                (number, Answer::Done)
            }
            Call::Unsubscribe { .. } => return None,
        })
    }

    /// The number of what was made last.
    fn number(&self) -> u64 {
        self.era * ERA + if self.lies(Lie::Renumbers) { ERA - self.made } else { self.made }
    }

    /// Takes a blob, or says so; the number it has.
    fn put(&mut self, name: BoxName, id: BlobId, blob: Vec<u8>, tell: &mut dyn FnMut(News)) -> u64 {
        if let Some(held) = self.boxes.entry(name).or_default().iter().find(|held| held.entry.id == id) {
            return held.entry.at;
        }
        self.put.insert(id);
        let size = blob.len() as u32;
        let mut kept = Vec::new();
        if self.lies(Lie::Forges) {
            let (mut ours, nothing) = (blob.clone(), vec![0x5a; blob.len()]);
            ours.iter_mut().zip(id.0).for_each(|(byte, other)| *byte = other);
            kept.extend([(name, BlobId::of(&ours), ours), (name, BlobId(rand::random()), nothing)]);
            let mut flipped = blob;
            flipped.iter_mut().skip(40).take(1).for_each(|byte| *byte ^= 1);
            kept.push((name, id, flipped));
        } else if self.lies(Lie::Replays) {
            let others = self.boxes.keys().filter(|other| **other != name && size as usize <= other.kind.max_blob());
            kept.extend(others.map(|other| (*other, id, blob.clone())));
            kept.extend([(name, id, blob.clone()), (name, id, blob)]);
        } else {
            kept.push((name, id, blob));
        }
        for (name, id, blob) in kept {
            self.made += 1;
            let at = self.number();
            if !self.lies(Lie::Drops) || at.is_multiple_of(3) {
                let entry = Entry { at, id, size };
                self.boxes.entry(name).or_default().push(Held { entry, blob: blob.clone() });
                self.push((name, entry, blob), tell);
            }
        }
        if self.lies(Lie::Miscounts) { u64::MAX } else { self.number() }
    }

    fn push(&mut self, news: News, tell: &mut dyn FnMut(News)) {
        if self.lies(Lie::Withholds) {
            return;
        }
        self.kept_back.push(news);
        if !self.lies(Lie::Reorders) || self.kept_back.len() > 1 {
            self.kept_back.drain(..).rev().for_each(tell);
        }
    }

    fn list(&mut self, name: &BoxName, after: u64, limit: usize) -> Answer {
        self.n_lists += 1;
        let mut entries: Vec<_> = self.boxes.entry(*name).or_default().iter().map(|held| held.entry).collect();
        entries.retain(|entry| entry.at > after && !self.lies.contains(&Lie::Withholds));
        entries.sort_unstable_by_key(|entry| entry.at);
        let more = entries.len() > limit;
        entries.truncate(limit);
        let mut end = if self.lies(Lie::Renumbers) { (self.era + 1) * ERA } else { self.number() };
        if self.lies(Lie::Reorders) {
            entries.reverse();
        }
        if self.lies(Lie::Miscounts) {
            entries.iter_mut().for_each(|entry| entry.size += 1);
            end = if self.n_lists.is_multiple_of(2) { 0 } else { u64::MAX };
        }
        Answer::Listed { entries, more, end }
    }
}
