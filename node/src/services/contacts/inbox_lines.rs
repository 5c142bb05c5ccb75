//! Letters through inbox mailboxes: ours at our relays, which we read, and those of others, in which we put.
//!
//! An inbox is for whoever is not online. Anybody puts, the account alone reads and takes out. What is on its way is not
//! stored: a letter that a crash loses is written again, since the book says what is owed.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use parlor_crypto::leaf::LeafPublic;
use parlor_net::{LineKind, NetworkHandle, PeerId};
use parlor_proto::contact::RelayAt;
use parlor_proto::mailbox::{BlobId, BoxName, BoxSetup, Cursor, Out, RelayId, open_inbox_blob, seal_inbox_blob};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::handle::Keys;
use super::inboxes::{Inboxes, inbox};
use crate::account::rng;
use crate::clock::{now_ms, until};
use crate::services::names::OwnRelay;
use crate::services::peers::Peers;

/// Frames that wait on a line in either direction: a window of the protocol.
const LINE_FRAMES: usize = 64;

/// A letter that lay in our inbox.
pub(super) struct Mailed {
    pub(super) id: BlobId,
    pub(super) bytes: Vec<u8>,
}

/// The inboxes.
pub(super) struct InboxLines {
    net: NetworkHandle,
    peers: Peers,
    keys: std::sync::Arc<Keys>,
    inboxes: Inboxes,
    lines: HashMap<RelayId, Line>,
    news: mpsc::Receiver<News>,
    told: mpsc::Sender<News>,
    next_line: u64,
    got: Vec<Mailed>,
}

struct Line {
    number: u64,
    frames: mpsc::Sender<Bytes>,
    task: AbortHandle,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Something happened on a line.
struct News {
    relay: RelayId,
    number: u64,
    what: What,
}

enum What {
    Open,
    Frame(Bytes),
    Over,
}

impl InboxLines {
    /// Begins to read our inbox at our relays.
    pub(super) fn new(net: NetworkHandle, peers: Peers, keys: std::sync::Arc<Keys>, own: &[OwnRelay]) -> Self {
        let (told, news) = mpsc::channel(LINE_FRAMES);
        let places = own.iter().filter_map(|own| Some((RelayId::new(own.peer.as_key())?, own.addresses.clone())));
        let places: BTreeMap<_, _> = places.collect();
        let relays: Vec<_> = places.keys().map(|relay| (relay.clone(), Cursor::default())).collect();
        let inboxes = Inboxes::new(places);
        let mut lines =
            Self { net, peers, inboxes, lines: HashMap::new(), news, told, next_line: 0, got: Vec::new(), keys };
        for own in own {
            if let Some(relay) = RelayId::new(own.peer.as_key()) {
                lines.inboxes.machine.token(relay, own.token.clone());
            }
        }
        if !relays.is_empty() {
            let key = Some(lines.keys.secret.signing_key().clone());
            let setup = BoxSetup { name: lines.own(), key, read: true, relays };
            match lines.inboxes.machine.open(setup, now_ms()) {
                Ok(out) => lines.carry_out(out),
                Err(error) => tracing::warn!(%error, "our inbox could not be opened"),
            }
        }
        lines
    }

    fn own(&self) -> BoxName {
        inbox(self.keys.public.key)
    }

    /// Puts a letter into somebody's inbox at his relays, unless one is on its way there.
    pub(super) fn put(&mut self, key: [u8; 32], to: &LeafPublic, relays: &[RelayAt], letter: impl FnOnce() -> Vec<u8>) {
        let mut out = Vec::new();
        if !self.inboxes.is_under_way(key, relays, now_ms(), &mut out)
            && let Ok(blob) = seal_inbox_blob(&mut rng(), &inbox(key), to, &letter())
        {
            self.inboxes.put(key, relays, blob, now_ms(), &mut out);
        }
        self.carry_out(out);
    }

    /// When a relay took a letter of ours into the inbox with this key, as it says; nothing if none did.
    pub(super) fn stored_ms(&self, key: &[u8; 32]) -> Option<u64> {
        self.inboxes.stored_ms(key)
    }

    /// What was written to the inbox with this key is of no interest any more.
    pub(super) fn forget(&mut self, key: [u8; 32]) {
        let out = self.inboxes.forget(key, now_ms());
        self.carry_out(out);
    }

    /// A letter was taken, durably, or is worth nothing: it is taken out of the inbox.
    pub(super) fn taken(&mut self, id: BlobId) {
        let name = self.own();
        let mut out = self.inboxes.machine.taken(name, id, now_ms());
        out.extend(self.inboxes.machine.drop_blob(name, id, now_ms()));
        self.carry_out(out);
    }

    /// Waits for something to happen; what came into our inbox meanwhile. Cancel safe.
    pub(super) async fn next(&mut self) -> Vec<Mailed> {
        let due = self.inboxes.machine.next_ms();
        let wait = async {
            match due {
                Some(due) => tokio::time::sleep(until(due)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(news) = self.news.recv() => self.on_news(news),
            () = wait => {
                let out = self.inboxes.machine.tick(now_ms());
                self.carry_out(out);
            }
        }
        std::mem::take(&mut self.got)
    }

    fn on_news(&mut self, news: News) {
        let News { relay, number, what } = news;
        if self.lines.get(&relay).is_none_or(|line| line.number != number) {
            return;
        }
        let out = match what {
            What::Open => {
                self.inboxes.machine.connected(&relay, now_ms());
                Vec::new()
            }
            What::Frame(bytes) => self.inboxes.machine.frame(&relay, &bytes, now_ms()),
            What::Over => {
                self.lines.remove(&relay);
                self.inboxes.machine.disconnected(&relay, now_ms())
            }
        };
        self.carry_out(out);
    }

    fn carry_out(&mut self, out: Vec<Out>) {
        let mut todo: std::collections::VecDeque<Out> = out.into();
        while let Some(out) = todo.pop_front() {
            match out {
                Out::Connect { relay } => self.connect(relay),
                Out::HangUp { relay } => drop(self.lines.remove(&relay)),
                Out::Send { relay, bytes } => {
                    let sent = self.lines.get(&relay).is_some_and(|line| line.frames.try_send(bytes.into()).is_ok());
                    if !sent && self.lines.remove(&relay).is_some() {
                        todo.extend(self.inboxes.machine.disconnected(&relay, now_ms()));
                    }
                }
                Out::Got { name, id, blob } if name == self.own() => {
                    match open_inbox_blob(&name, self.keys.secret.leaf(), &blob) {
                        Ok(bytes) => self.got.push(Mailed { id, bytes }),
                        Err(_) => {
                            todo.extend(self.inboxes.machine.taken(name, id, now_ms()));
                            todo.extend(self.inboxes.machine.drop_blob(name, id, now_ms()));
                        }
                    }
                }
                Out::Settled { name, .. } => todo.extend(self.inboxes.settled(&name, now_ms())),
                Out::Refused { relay, refusal, .. } => {
                    tracing::debug!(?relay, ?refusal, "a relay refuses an inbox");
                }
                Out::Fault { relay, fault, .. } => tracing::debug!(?relay, %fault, "a relay with an inbox"),
                Out::Stored { name, .. } => self.inboxes.stored(&name, now_ms()),
                Out::Got { .. } | Out::Cursor { .. } | Out::CaughtUp { .. } => {}
            }
        }
    }

    fn connect(&mut self, relay: RelayId) {
        let Ok(key) = <[u8; 32]>::try_from(relay.as_bytes()) else { return };
        self.next_line += 1;
        let (frames, outgoing) = mpsc::channel(LINE_FRAMES);
        let addresses = self.inboxes.addresses(&relay, |told| self.peers.may_dial(told));
        let (net, told, number) = (self.net.clone(), self.told.clone(), self.next_line);
        let tag = relay.clone();
        let task = tokio::spawn(async move {
            let tell = async |what| drop(told.send(News { relay: tag.clone(), number, what }).await);
            if let Ok(line) = net.open_line(PeerId::from_key(key), addresses, LineKind::Mailbox).await {
                tell(What::Open).await;
                let (sender, mut receiver) = line.split();
                let mut outgoing = outgoing;
                loop {
                    tokio::select! {
                        frame = outgoing.recv() => match frame {
                            Some(frame) => {
                                if sender.send(frame).await.is_err() {
                                    break;
                                }
                            }
                            None => break,
                        },
                        frame = receiver.recv() => match frame {
                            Some(frame) => tell(What::Frame(frame)).await,
                            None => break,
                        },
                    }
                }
            }
            tell(What::Over).await;
        });
        self.lines.insert(relay, Line { number, frames, task: task.abort_handle() });
    }
}
