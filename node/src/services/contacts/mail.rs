//! Letters through inbox mailboxes: ours at our relays, which we read, and those of others, in which we put.
//!
//! An inbox is for whoever is not online. Anybody puts, the account alone reads and takes out. What is on its way is not
//! stored: a letter that a crash loses is written again, since the book says what is owed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use parlor_crypto::leaf::LeafPublic;
use parlor_net::{Address, LineKind, NetworkHandle, PeerId};
use parlor_proto::contact::RelayAt;
use parlor_proto::mailbox::{
    BlobId, BoxKind, BoxName, BoxSetup, Cursor, Mailboxes, Out, RelayId, open_inbox_blob, seal_inbox_blob,
};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::handle::Keys;
use crate::account::rng;
use crate::clock::{now_ms, until};
use crate::limits::{CONTACT_RELAYS, LETTERS_MAILED};
use crate::services::joins::to_address;
use crate::services::names::OwnRelay;

/// Frames that wait on a line in either direction: a window of the protocol.
const LINE_FRAMES: usize = 64;

/// A letter that lay in our inbox.
pub(super) struct Mailed {
    pub(super) id: BlobId,
    pub(super) bytes: Vec<u8>,
}

/// The inboxes.
pub(super) struct Mail {
    net: NetworkHandle,
    keys: std::sync::Arc<Keys>,
    machine: Mailboxes,
    lines: HashMap<RelayId, Line>,
    addresses: BTreeMap<RelayId, Vec<Address>>,
    /// Boxes of others that are open for a letter.
    put: Vec<BoxName>,
    /// Inboxes of others in which a letter of ours lies, as a relay says.
    stored: BTreeSet<[u8; 32]>,
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

impl Mail {
    /// Begins to read our inbox at our relays.
    pub(super) fn new(net: NetworkHandle, keys: std::sync::Arc<Keys>, own: &[OwnRelay]) -> Self {
        let (told, news) = mpsc::channel(LINE_FRAMES);
        let mut mail = Self {
            net,
            machine: Mailboxes::new(),
            lines: HashMap::new(),
            addresses: BTreeMap::new(),
            put: Vec::new(),
            stored: BTreeSet::new(),
            news,
            told,
            next_line: 0,
            got: Vec::new(),
            keys,
        };
        let mut relays = Vec::new();
        for own in own {
            let Some(relay) = RelayId::new(own.peer.as_key()) else { continue };
            mail.addresses.insert(relay.clone(), own.addresses.clone());
            mail.machine.token(relay.clone(), own.token.clone());
            relays.push((relay, Cursor::default()));
        }
        if !relays.is_empty() {
            let key = Some(mail.keys.secret.signing_key().clone());
            let setup = BoxSetup { name: mail.own(), key, read: true, relays };
            mail.open(setup);
        }
        mail
    }

    fn own(&self) -> BoxName {
        BoxName { kind: BoxKind::Inbox, key: self.keys.public.key }
    }

    /// Puts a letter into somebody's inbox at his relays. Whether there is one and room for it.
    pub(super) fn put(&mut self, key: [u8; 32], to: &LeafPublic, relays: &[RelayAt], letter: &[u8]) -> bool {
        let name = BoxName { kind: BoxKind::Inbox, key };
        let mut at = Vec::new();
        for relay in relays.iter().take(CONTACT_RELAYS) {
            let Some(id) = RelayId::new(&relay.peer) else { continue };
            self.addresses.entry(id.clone()).or_insert_with(|| vec![to_address(&relay.address)]);
            at.push((id, Cursor::default()));
        }
        if at.is_empty() || self.put.len() >= LETTERS_MAILED {
            return false;
        }
        let Ok(blob) = seal_inbox_blob(&mut rng(), &name, to, letter) else { return false };
        if !self.put.contains(&name) {
            self.put.push(name);
            self.open(BoxSetup { name, key: None, read: false, relays: at });
        }
        match self.machine.put(name, blob.into(), now_ms()) {
            Ok((_, out)) => {
                self.carry_out(out);
                true
            }
            Err(_) => false,
        }
    }

    /// Whether a letter of ours lies in the inbox with this key, as a relay says.
    pub(super) fn lies(&self, key: &[u8; 32]) -> bool {
        self.stored.contains(key)
    }

    /// A letter was taken, durably, or is worth nothing: it is taken out of the inbox.
    pub(super) fn taken(&mut self, id: BlobId) {
        let name = self.own();
        let mut out = self.machine.taken(name, id, now_ms());
        out.extend(self.machine.drop_blob(name, id, now_ms()));
        self.carry_out(out);
    }

    /// Waits for something to happen; what came into our inbox meanwhile. Cancel safe.
    pub(super) async fn next(&mut self) -> Vec<Mailed> {
        let due = self.machine.next_ms();
        let wait = async {
            match due {
                Some(due) => tokio::time::sleep(until(due)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(news) = self.news.recv() => self.on_news(news),
            () = wait => {
                let out = self.machine.tick(now_ms());
                self.carry_out(out);
            }
        }
        std::mem::take(&mut self.got)
    }

    fn open(&mut self, setup: BoxSetup) {
        match self.machine.open(setup, now_ms()) {
            Ok(out) => self.carry_out(out),
            Err(error) => tracing::warn!(%error, "an inbox could not be opened"),
        }
    }

    fn on_news(&mut self, news: News) {
        let News { relay, number, what } = news;
        if self.lines.get(&relay).is_none_or(|line| line.number != number) {
            return;
        }
        let out = match what {
            What::Open => {
                self.machine.connected(&relay, now_ms());
                Vec::new()
            }
            What::Frame(bytes) => self.machine.frame(&relay, &bytes, now_ms()),
            What::Over => {
                self.lines.remove(&relay);
                self.machine.disconnected(&relay, now_ms())
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
                        todo.extend(self.machine.disconnected(&relay, now_ms()));
                    }
                }
                Out::Got { name, id, blob } if name == self.own() => {
                    match open_inbox_blob(&name, self.keys.secret.leaf(), &blob) {
                        Ok(bytes) => self.got.push(Mailed { id, bytes }),
                        Err(_) => {
                            todo.extend(self.machine.taken(name, id, now_ms()));
                            todo.extend(self.machine.drop_blob(name, id, now_ms()));
                        }
                    }
                }
                Out::Settled { name, .. } => {
                    self.put.retain(|open| *open != name);
                    todo.extend(self.machine.close(&name, now_ms()));
                }
                Out::Refused { relay, refusal, .. } => {
                    tracing::debug!(?relay, ?refusal, "a relay refuses an inbox");
                }
                Out::Fault { relay, fault, .. } => tracing::debug!(?relay, %fault, "a relay with an inbox"),
                Out::Stored { name, .. } => {
                    self.stored.insert(name.key);
                }
                Out::Got { .. } | Out::Cursor { .. } | Out::CaughtUp { .. } => {}
            }
        }
    }

    fn connect(&mut self, relay: RelayId) {
        let Ok(key) = <[u8; 32]>::try_from(relay.as_bytes()) else { return };
        self.next_line += 1;
        let (frames, outgoing) = mpsc::channel(LINE_FRAMES);
        let addresses = self.addresses.get(&relay).cloned().unwrap_or_default();
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
