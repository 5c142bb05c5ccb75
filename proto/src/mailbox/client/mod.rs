//! Our side of all relays: boxes kept at several of them, written to all, read as a union.
//!
//! [`Mailboxes`] is told what happens (a line stands, a frame came, a blob is to be put) and gives [`Out`]s in order: lines
//! to open and close, frames to send, blobs that came, and what is to be remembered. It reads no clock and no disk.
//!
//! **Reading.** A box that is read is subscribed at each of its relays and listed from where we were. A blob that several
//! relays list is asked of one, of the next if that one does not give it, and handed over once ([`Out::Got`]). When the
//! owner has it durably he says [`Mailboxes::taken`]; only then the cursors of the relays move ([`Out::Cursor`]), so that a
//! crash loses nothing. After a crash a blob may be handed over again.
//!
//! **Writing.** A blob goes to every relay of its box, again and again, until each has it durably ([`Out::Stored`] for each,
//! [`Out::Settled`] at the end). Who needs it to survive a crash keeps it on disk until then.
//!
//! **Lies.** A relay that gives other bytes than it named, lists out of order, goes back to an older state, or lost what
//! it had promised to keep is noticed ([`Out::Fault`]), loses its line after some of that, and rests. Whatever it does, the
//! others are read and written as if it were not there. What no relay of a box gives is not missed here: gaps are noticed in
//! logs of authors, and healed by sync.

mod line;
mod puts;
mod reads;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use parlor_crypto::SigningKey;
use serde::{Deserialize, Serialize};

use self::line::Relay;
use super::blob::is_class;
use super::frame::Refusal;
use super::limits;
use super::name::{BlobId, BoxName, RelayId, StoreId};
use crate::access::AccessToken;

/// A box that we use.
#[derive(Debug, Clone)]
pub struct BoxSetup {
    /// Its name.
    pub name: BoxName,
    /// The key that proves it; `None` to put in somebody's inbox.
    pub key: Option<SigningKey>,
    /// Whether to read it. Needs the key.
    pub read: bool,
    /// The relays that keep it, at most [`limits::MAX_BOX_RELAYS`], and how far we have taken what is there.
    pub relays: Vec<(RelayId, Cursor)>,
}

/// How far we have taken what a relay holds in a box: everything up to this number of this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// The store; `None` before the first line.
    pub store: Option<StoreId>,
    /// The number of the last entry.
    pub at: u64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// Open a line to this relay, then say [`Mailboxes::connected`] or [`Mailboxes::disconnected`].
    Connect {
        /// Relay.
        relay: RelayId,
    },
    /// Close the line, and say nothing: the machine knows.
    HangUp {
        /// Relay.
        relay: RelayId,
    },
    /// Send this frame on the line.
    Send {
        /// Relay.
        relay: RelayId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// A blob came. Open it, take what is good in it, and say [`Mailboxes::taken`] when that is durable, also if nothing was.
    Got {
        /// Box.
        name: BoxName,
        /// Blob.
        id: BlobId,
        /// Its bytes, which have this name.
        blob: Vec<u8>,
    },
    /// A relay says that it keeps a blob durably.
    Stored {
        /// Box.
        name: BoxName,
        /// Blob.
        id: BlobId,
        /// Relay.
        relay: RelayId,
    },
    /// A blob is at all relays that will ever take it; the machine has forgotten it.
    Settled {
        /// Box.
        name: BoxName,
        /// Blob.
        id: BlobId,
    },
    /// A relay refuses a blob, a box, or us. It is tried again later by itself where that may help.
    Refused {
        /// Relay.
        relay: RelayId,
        /// Box, if it is about one.
        name: Option<BoxName>,
        /// Why.
        refusal: Refusal,
    },
    /// Remember this, when convenient: what is before it will not be asked for again.
    Cursor {
        /// Box.
        name: BoxName,
        /// Relay.
        relay: RelayId,
        /// How far.
        cursor: Cursor,
    },
    /// A relay reached the end of what it holds in a box: what follows is live.
    CaughtUp {
        /// Box.
        name: BoxName,
        /// Relay.
        relay: RelayId,
    },
    /// A relay behaved as no honest one does, or failed.
    Fault {
        /// Relay.
        relay: RelayId,
        /// Box, if it is about one.
        name: Option<BoxName>,
        /// What.
        fault: Fault,
    },
}

/// What a relay did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No line, or the line ended.
    #[error("it can not be reached")]
    Unreachable,
    /// It did not answer in time.
    #[error("it does not answer")]
    Slow,
    /// It speaks another version.
    #[error("it speaks another version of the protocol")]
    Version,
    /// Its store is another than before: what was put there is gone.
    #[error("its store is another than before")]
    NewStore,
    /// A frame that no honest relay sends.
    #[error("it sends what no relay sends")]
    Malformed,
    /// Other bytes than it named.
    #[error("it gave other bytes than it named")]
    Forged,
    /// It listed a blob and did not give it. May be an accident: blobs expire.
    #[error("it does not give what it lists")]
    Withheld,
    /// Entries out of order, or one blob at two places.
    #[error("its list is out of order")]
    Disorder,
    /// It went back to an older state.
    #[error("it went back to an older state")]
    Rewound,
    /// It said that it keeps our blob and does not. Put the blob again.
    #[error("it lost what it had promised to keep")]
    Dropped(BlobId),
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// More boxes, relays, or bytes of blobs than the machine holds.
    #[error("too much at once")]
    Full,
    /// The box is not open.
    #[error("the box is not open")]
    NoBox,
    /// Not a blob for this box.
    #[error("not a blob for this box")]
    BadBlob,
}

/// All relays and boxes of one client.
#[derive(Debug, Default)]
pub struct Mailboxes {
    relays: BTreeMap<RelayId, Relay>,
    boxes: BTreeMap<BoxName, Mailbox>,
    tokens: BTreeMap<RelayId, AccessToken>,
    /// What is to be tried at a time.
    due: BTreeSet<(u64, Due)>,
    /// Blobs that are wanted and not asked for.
    unasked: BTreeSet<(BoxName, BlobId)>,
    n_wanted: usize,
    /// How many boxes were opened at relays.
    lives: u64,
    put_bytes: usize,
    /// Bytes of blobs asked for or handed over, and not taken.
    handed_bytes: usize,
}

/// What is tried at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Put(RelayId, BoxName, BlobId),
    Want(BoxName, BlobId),
    List(RelayId, BoxName),
}

/// One box.
#[derive(Debug)]
struct Mailbox {
    key: Option<SigningKey>,
    read: bool,
    at: BTreeMap<RelayId, At>,
    wanted: BTreeMap<BlobId, Want>,
    taken: Taken,
    puts: BTreeMap<BlobId, Put>,
}

/// One box at one relay.
#[derive(Debug)]
struct At {
    /// Which time it is open there: what was asked before says nothing of it.
    life: u64,
    cursor: Cursor,
    open: bool,
    subscribed: Option<bool>,
    /// Up to where the entries are known.
    listed: u64,
    /// The highest number that was pushed.
    pushed: u64,
    /// A listing is under way, of what follows this.
    listing: Option<u64>,
    /// Whether a listing waits to be asked for.
    queued: bool,
    /// Whether to list again as soon as that may be.
    again: bool,
    /// Whether a time to list again is set.
    relist: bool,
    /// Known entries that are not taken.
    pending: BTreeMap<u64, BlobId>,
    /// Our blobs that it said it keeps and that were not seen in the box yet.
    promises: BTreeMap<u64, BlobId>,
    /// How often in a row it put off what it lists.
    put_off: u32,
}

/// A blob that is in the box and not taken.
#[derive(Debug)]
struct Want {
    /// The relays that list it and may give it.
    holders: BTreeMap<RelayId, Holder>,
    stage: Stage,
    /// Bytes that it counts for: none before it is asked for.
    held: usize,
}

/// What a relay lists of a blob.
#[derive(Debug, Clone, Copy)]
struct Holder {
    at: u64,
    size: usize,
    /// It put us off: it is not asked before.
    not_before_ms: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// To be asked for.
    Unasked,
    /// To be asked for later: nobody who has it gives it now.
    Later,
    /// Asked of this relay.
    Asked(RelayId),
    /// Handed over.
    Handed,
}

/// A blob of ours.
#[derive(Debug)]
struct Put {
    blob: Arc<[u8]>,
    at: BTreeMap<RelayId, PutAt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PutAt {
    Waiting,
    Asked,
    /// It is there, or never will be.
    Settled,
}

/// The newest names of a box that need not be asked for.
#[derive(Debug, Default)]
struct Taken {
    order: VecDeque<BlobId>,
    names: BTreeSet<BlobId>,
}

impl Taken {
    fn add(&mut self, id: BlobId) {
        if !self.names.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > limits::MAX_TAKEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }

    fn has(&self, id: &BlobId) -> bool {
        self.names.contains(id)
    }
}

impl At {
    fn new(life: u64, cursor: Cursor) -> Self {
        Self {
            life,
            cursor,
            open: false,
            subscribed: None,
            listed: cursor.at,
            pushed: 0,
            listing: None,
            queued: false,
            again: false,
            relist: false,
            pending: BTreeMap::new(),
            promises: BTreeMap::new(),
            put_off: 0,
        }
    }

    /// The line is gone: what was known beyond the cursor is listed again on the next.
    fn reset(&mut self) {
        *self = Self {
            promises: std::mem::take(&mut self.promises),
            relist: self.relist,
            put_off: self.put_off,
            ..Self::new(self.life, self.cursor)
        };
    }
}

impl Mailboxes {
    /// No relays, no boxes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The token to show to a relay, or none any more. Counts from the next line on; a relay that rests because it wanted another
    /// one gets that line at the next [`tick`](Self::tick).
    pub fn token(&mut self, relay: RelayId, token: Option<AccessToken>) {
        if self.tokens.get(&relay) == token.as_ref() {
            return;
        }
        if let Some(known) = self.relays.get_mut(&relay) {
            known.try_token();
        }
        match token {
            Some(token) => self.tokens.insert(relay, token),
            None => self.tokens.remove(&relay),
        };
    }

    /// Opens a box, or changes the relays of an open one; key and reading of an open box stay.
    ///
    /// # Errors
    /// [`ClientError::Full`]: too many boxes or relays; nothing is changed.
    pub fn open(&mut self, setup: BoxSetup, now_ms: u64) -> Result<Vec<Out>, ClientError> {
        let BoxSetup { name, key, read, relays } = setup;
        let relays: BTreeMap<RelayId, Cursor> = relays.into_iter().collect();
        let strangers = relays.keys().filter(|relay| !self.relays.contains_key(*relay)).count();
        let full = (!self.boxes.contains_key(&name) && self.boxes.len() >= limits::MAX_BOXES)
            || self.relays.len() + strangers > limits::MAX_RELAYS
            || relays.len() > limits::MAX_BOX_RELAYS;
        if full {
            return Err(ClientError::Full);
        }
        let mailbox = self.boxes.entry(name).or_insert_with(|| Mailbox {
            read: read && key.is_some(),
            key,
            at: BTreeMap::new(),
            wanted: BTreeMap::new(),
            taken: Taken::default(),
            puts: BTreeMap::new(),
        });
        let left: Vec<RelayId> = mailbox.at.keys().filter(|relay| !relays.contains_key(*relay)).cloned().collect();
        let mut new = Vec::new();
        for (relay, cursor) in relays {
            if !mailbox.at.contains_key(&relay) {
                self.lives += 1;
                mailbox.at.insert(relay.clone(), At::new(self.lives, cursor));
                for put in mailbox.puts.values_mut() {
                    put.at.insert(relay.clone(), PutAt::Waiting);
                }
                new.push(relay);
            }
        }
        let mut out = Vec::new();
        for relay in left {
            self.leave(&relay, &name, &mut out);
        }
        for relay in new {
            self.use_relay(&relay, &name, now_ms);
        }
        self.settle(name, &mut out);
        self.run(now_ms, &mut out);
        Ok(out)
    }

    /// Closes a box: what waits in it is forgotten, and relays that no box needs lose their lines.
    pub fn close(&mut self, name: &BoxName, now_ms: u64) -> Vec<Out> {
        let mut out = Vec::new();
        let Some(mailbox) = self.boxes.get(name) else { return out };
        for relay in mailbox.at.keys().cloned().collect::<Vec<_>>() {
            self.leave(&relay, name, &mut out);
        }
        if let Some(mailbox) = self.boxes.remove(name) {
            self.put_bytes -= mailbox.puts.values().map(|put| put.blob.len()).sum::<usize>();
            self.handed_bytes -= mailbox.wanted.values().map(|want| want.held).sum::<usize>();
            self.n_wanted -= mailbox.wanted.len();
            for id in mailbox.wanted.keys() {
                self.unasked.remove(&(*name, *id));
            }
        }
        self.run(now_ms, &mut out);
        out
    }

    /// Puts a blob in an open box, at all its relays. The same blob again changes nothing.
    ///
    /// # Errors
    /// [`ClientError`]: nothing is put.
    pub fn put(&mut self, name: BoxName, blob: Arc<[u8]>, now_ms: u64) -> Result<(BlobId, Vec<Out>), ClientError> {
        self.put_where(name, blob, |_| true, now_ms)
    }

    /// Puts a blob in an open box, at some of its relays. The same blob again is put where it was not to go before.
    ///
    /// # Errors
    /// [`ClientError`]: nothing is put.
    pub fn put_where(
        &mut self,
        name: BoxName,
        blob: Arc<[u8]>,
        wanted: impl Fn(&RelayId) -> bool,
        now_ms: u64,
    ) -> Result<(BlobId, Vec<Out>), ClientError> {
        if !is_class(blob.len()) || blob.len() > name.kind.max_blob() {
            return Err(ClientError::BadBlob);
        }
        let mailbox = self.boxes.get_mut(&name).ok_or(ClientError::NoBox)?;
        let id = BlobId::of(&blob);
        let mut out = Vec::new();
        if !mailbox.puts.contains_key(&id) {
            let own = || mailbox.puts.values().map(|put| put.blob.len()).sum::<usize>();
            if self.put_bytes + blob.len() > limits::MAX_PUT_BYTES && own() + blob.len() > limits::PUT_SHARE {
                return Err(ClientError::Full);
            }
            self.put_bytes += blob.len();
            mailbox.puts.insert(id, Put { blob, at: BTreeMap::new() });
            mailbox.taken.add(id);
        }
        if let Some(put) = mailbox.puts.get_mut(&id) {
            let new = mailbox.at.keys().filter(|relay| wanted(relay) && !put.at.contains_key(*relay));
            let new: Vec<RelayId> = new.cloned().collect();
            put.at.extend(new.iter().map(|relay| (relay.clone(), PutAt::Waiting)));
            new.iter().for_each(|relay| self.queue_put(relay, name, id));
        }
        self.settle(name, &mut out);
        self.run(now_ms, &mut out);
        Ok((id, out))
    }

    /// Gives up a blob that was to be put.
    pub fn unput(&mut self, name: &BoxName, id: &BlobId) {
        if let Some(put) = self.boxes.get_mut(name).and_then(|mailbox| mailbox.puts.remove(id)) {
            self.put_bytes -= put.blob.len();
        }
    }

    /// What was handed over is durable here, or was worth nothing.
    pub fn taken(&mut self, name: BoxName, id: BlobId, now_ms: u64) -> Vec<Out> {
        let mut out = Vec::new();
        self.take(name, id, &mut out);
        self.run(now_ms, &mut out);
        out
    }

    /// Takes a blob out of a box at the relays that are connected now; elsewhere it expires.
    pub fn drop_blob(&mut self, name: BoxName, id: BlobId, now_ms: u64) -> Vec<Out> {
        let mut out = Vec::new();
        self.queue_drop(name, id);
        self.run(now_ms, &mut out);
        out
    }

    /// A line to the relay stands.
    pub fn connected(&mut self, relay: &RelayId, now_ms: u64) {
        self.greet(relay, now_ms);
    }

    /// The line to the relay ended, or none could be opened.
    pub fn disconnected(&mut self, relay: &RelayId, now_ms: u64) -> Vec<Out> {
        let mut out = Vec::new();
        self.line_ended(relay, now_ms, &mut out);
        self.run(now_ms, &mut out);
        out
    }

    /// A frame came on the line to the relay.
    pub fn frame(&mut self, relay: &RelayId, bytes: &[u8], now_ms: u64) -> Vec<Out> {
        let mut out = Vec::new();
        self.on_frame(relay, bytes, now_ms, &mut out);
        self.run(now_ms, &mut out);
        out
    }

    /// Time passed. To be called at [`Self::next_ms`], and may be called at any time.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Out> {
        let mut out = Vec::new();
        self.look_at_deadlines(now_ms, &mut out);
        while let Some((due_ms, _)) = self.due.first()
            && *due_ms <= now_ms
            && let Some((_, due)) = self.due.pop_first()
        {
            match due {
                Due::Put(relay, name, id) => self.queue_put(&relay, name, id),
                Due::Want(name, id) => self.want_again(name, id),
                Due::List(relay, name) => self.list_again(&relay, name),
            }
        }
        self.run(now_ms, &mut out);
        out
    }

    /// When [`Self::tick`] has something to do next, if nothing else happens.
    pub fn next_ms(&self) -> Option<u64> {
        let due = self.due.first().map(|(due_ms, _)| *due_ms);
        self.relays.values().filter_map(Relay::next_ms).chain(due).min()
    }

    /// Whether the line to a relay is greeted and in use.
    pub fn is_up(&self, relay: &RelayId) -> bool {
        self.relays.get(relay).is_some_and(Relay::is_up)
    }

    /// Blobs that are not at all relays of their boxes yet.
    pub fn waiting_puts(&self) -> usize {
        self.boxes.values().map(|mailbox| mailbox.puts.len()).sum()
    }
}
