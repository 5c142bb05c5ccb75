//! A relay with mailboxes in memory, on the real network and with the real protocol, that can be told to misbehave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use parlor_net::relay::{RelayConfig, RelayEvent, RelayHandle};
use parlor_net::{Line, PeerId};
use parlor_proto::mailbox::{
    Answer, BlobId, BoxKind, BoxName, Call, Entry, RelayId, Session, Step, StoreId, Terms, limits,
};
use tokio::sync::broadcast;

/// How a relay behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    Honest,
    /// Says that it stored, and did not.
    Drops,
    /// Gives other bytes than were put.
    Forges,
    /// Shows nothing of what it has.
    Withholds,
}

type Boxes = BTreeMap<BoxName, Vec<(u64, BlobId, Vec<u8>)>>;

/// What a relay keeps.
pub(super) struct Disk {
    pub(super) boxes: Mutex<Boxes>,
    /// Which peers asked for which boxes.
    pub(super) readers: Mutex<BTreeSet<(PeerId, BoxName)>>,
    /// How many blobs of each box were given, or pushed.
    given: Mutex<BTreeMap<BoxName, usize>>,
    manners: Manners,
    news: broadcast::Sender<(BoxName, Entry, Vec<u8>)>,
}

/// A running relay.
pub(super) struct TestRelay {
    pub(super) address: String,
    pub(super) disk: Arc<Disk>,
    handle: RelayHandle,
}

impl TestRelay {
    pub(super) async fn start(seed: u8, manners: Manners) -> Self {
        let (news, _) = broadcast::channel(1_024);
        let disk = Disk { boxes: Mutex::default(), readers: Mutex::default(), given: Mutex::default(), manners, news };
        Self::start_on(seed, Arc::new(disk), "/ip4/127.0.0.1/tcp/0").await
    }

    /// The same relay again, on the same disk and port, after [`kill`](Self::kill).
    pub(super) async fn again(seed: u8, old: Self) -> Self {
        let listen = old.address.split("/p2p/").next().unwrap().to_owned();
        Self::start_on(seed, old.disk, &listen).await
    }

    async fn start_on(seed: u8, disk: Arc<Disk>, listen: &str) -> Self {
        let mut config = RelayConfig::new([seed; 32]);
        config.listen = vec![listen.parse().unwrap()];
        config.tuning.private_addresses = true;
        let mut relay = parlor_net::relay::spawn(config).await.unwrap();
        let address = loop {
            if let Some(RelayEvent::Listening { address }) = relay.events.recv().await {
                break address.with_peer(relay.peer).to_string();
            }
        };
        let (served, peer) = (disk.clone(), relay.peer);
        tokio::spawn(async move {
            while let Some(event) = relay.events.recv().await {
                if let RelayEvent::Line { line, .. } = event {
                    tokio::spawn(serve(served.clone(), line, peer));
                }
            }
        });
        Self { address, disk, handle: relay.handle }
    }

    /// Puts a blob, as somebody whose line is not of interest.
    pub(super) fn put(&self, name: BoxName, blob: Vec<u8>) -> BlobId {
        let id = BlobId::of(&blob);
        let _ = self.disk.put(name, id, blob);
        id
    }

    /// How many blobs of a box were given so far.
    pub(super) fn given(&self, name: &BoxName) -> usize {
        self.disk.given.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    /// The number of the newest blob in boxes of this kind.
    pub(super) fn count(&self, kind: BoxKind) -> u64 {
        let boxes = self.disk.boxes.lock().unwrap();
        let of_kind = boxes.iter().filter(|(name, _)| name.kind == kind).flat_map(|(_, held)| held);
        of_kind.map(|(at, ..)| *at).max().unwrap_or(0)
    }

    /// Takes out what came after a number into boxes of this kind.
    pub(super) fn take_after(&self, kind: BoxKind, after: u64) -> Vec<(BoxName, Vec<u8>)> {
        let mut boxes = self.disk.boxes.lock().unwrap();
        let of_kind = boxes.iter_mut().filter(|(name, _)| name.kind == kind);
        let taken =
            of_kind.flat_map(|(name, held)| held.extract_if(.., |(at, ..)| *at > after).map(|it| (*name, it.2)));
        taken.collect()
    }

    pub(super) async fn kill(&self) {
        self.handle.shutdown().await;
    }
}

impl Disk {
    /// Puts a blob; the number it has.
    fn put(&self, name: BoxName, id: BlobId, blob: Vec<u8>) -> u64 {
        let mut boxes = self.boxes.lock().unwrap();
        let end = boxes.values().flatten().map(|(at, ..)| *at).max().unwrap_or(0);
        let held = boxes.entry(name).or_default();
        if let Some((at, ..)) = held.iter().find(|(_, known, _)| *known == id) {
            return *at;
        }
        if self.manners != Manners::Drops {
            held.push((end + 1, id, blob.clone()));
            if self.manners == Manners::Honest {
                let _ = self.news.send((name, Entry { at: end + 1, id, size: blob.len() as u32 }, blob));
            }
        }
        end + 1
    }

    fn gave(&self, name: &BoxName) {
        *self.given.lock().unwrap().entry(*name).or_default() += 1;
    }
}

async fn serve(disk: Arc<Disk>, line: Line, me: PeerId) {
    let (store, relay) = (StoreId([7; 16]), RelayId::new(me.as_key()).unwrap());
    let terms = Terms { token: false, keep_ms: limits::KEEP_MS, slots: limits::MAX_SLOTS, window: limits::WINDOW };
    let (mut session, hello) = Session::begin([9; 32], relay, store, terms);
    let mut news = disk.news.subscribe();
    let peer = line.peer();
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
                let Ok(mut steps) = session.frame(&frame) else { return };
                while !steps.is_empty() {
                    let mut more = Vec::new();
                    for step in steps {
                        match step {
                            Step::Send(frame) => out.push(frame),
                            Step::Call(call) => more.extend(answer(&disk, peer, call).map(|(n, a)| session.answer(n, a))),
                        }
                    }
                    steps = more.into_iter().flatten().collect();
                }
            }
            Ok((name, entry, blob)) = news.recv() => {
                let pushed = session.push(&name, entry, &blob);
                pushed.iter().for_each(|_| disk.gave(&name));
                out.extend(pushed);
            }
        }
    }
}

fn answer(disk: &Disk, peer: PeerId, call: Call) -> Option<(u32, Answer)> {
    if let Call::Put { number, name, id, blob } = call {
        return Some((number, Answer::Stored(disk.put(name, id, blob))));
    }
    let mut boxes = disk.boxes.lock().unwrap();
    let end = boxes.values().flatten().map(|(at, ..)| *at).max().unwrap_or(0);
    let entry = |(at, id, blob): &(u64, BlobId, Vec<u8>)| Entry { at: *at, id: *id, size: blob.len() as u32 };
    Some(match call {
        Call::List { number, name, after, limit } => {
            disk.readers.lock().unwrap().insert((peer, name));
            let held = boxes.entry(name).or_default().iter().filter(|(at, ..)| *at > after);
            let shown = if disk.manners == Manners::Withholds { 0 } else { limit };
            let entries: Vec<_> = held.clone().take(shown).map(entry).collect();
            let more = shown > 0 && held.count() > entries.len();
            (number, Answer::Listed { entries, more, end })
        }
        Call::Get { number, name, id } => {
            let found = boxes.get(&name).and_then(|held| held.iter().find(|(_, known, _)| *known == id));
            let mut blob = found.map(|(.., blob)| blob.clone());
            disk.gave(&name);
            if disk.manners == Manners::Forges {
                blob.iter_mut().for_each(|blob| blob[40] ^= 1);
            }
            (number, Answer::Blob(blob))
        }
        Call::Token { number, .. } | Call::Subscribe { number, .. } | Call::Drop { number, .. } => {
            (number, Answer::Done)
        }
        Call::Put { .. } | Call::Unsubscribe { .. } => return None,
    })
}
