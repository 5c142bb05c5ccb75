//! The relay's side of one line: what a client may do on it, without I/O.
//!
//! [`Session::frame`] takes what the client sent and gives [`Step`]s in order: frames to send, and [`Call`]s for the store
//! of the relay. A call with a number wants an [`Answer`] by [`Session::answer`], which gives the frame to send. The
//! session keeps the client within its terms; quotas of clients are the owner's, who may answer any call with a
//! [`Refusal`]. After a [`SessionError`] the line is to be closed: no honest client does this.

use std::collections::{BTreeMap, BTreeSet};

use parlor_crypto::Signature;

use super::blob::is_class;
use super::frame::{Ask, ClientFrame, Entry, FrameError, Refusal, Reply, ServerFrame, Terms};
use super::limits::VERSION;
use super::name::{BlobId, BoxName, RelayId, StoreId};
use super::proof::is_proved;
use crate::wire::Blob;

/// One line, as the relay sees it.
#[derive(Debug)]
pub struct Session {
    nonce: [u8; 32],
    relay: RelayId,
    terms: Terms,
    admitted: bool,
    slots: BTreeMap<u16, Slot>,
    /// Slots by box, to find the slot of a push.
    names: BTreeMap<BoxName, u16>,
    /// Requests whose call was not answered yet.
    waiting: BTreeMap<u32, Waiting>,
}

#[derive(Debug)]
struct Slot {
    name: BoxName,
    proved: bool,
    /// `Some(inline)` when it is subscribed.
    subscribed: Option<bool>,
}

#[derive(Debug)]
enum Waiting {
    Token,
    Put,
    List,
    Get,
    Subscribe { slot: u16, name: BoxName, inline: bool },
    Drop,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this frame to the client.
    Send(Vec<u8>),
    /// Do this.
    Call(Call),
}

/// What a session wants of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Whether this token is good. Answer `Done` or a refusal.
    Token {
        /// Number to answer.
        number: u32,
        /// The token.
        token: Blob,
    },
    /// Store a blob. Answer `Stored` when it is durable.
    Put {
        /// Number to answer.
        number: u32,
        /// Box.
        name: BoxName,
        /// Name of the blob, computed from it.
        id: BlobId,
        /// The blob, of a right length for the box.
        blob: Vec<u8>,
    },
    /// List a box. Answer `Listed`.
    List {
        /// Number to answer.
        number: u32,
        /// Box.
        name: BoxName,
        /// Entries after this number.
        after: u64,
        /// At most so many.
        limit: usize,
    },
    /// Read a blob. Answer `Blob`.
    Get {
        /// Number to answer.
        number: u32,
        /// Box.
        name: BoxName,
        /// Blob.
        id: BlobId,
    },
    /// Tell the session by [`Session::push`] of everything that comes into this box from now on. Answer `Done` when that is
    /// sure.
    Subscribe {
        /// Number to answer.
        number: u32,
        /// Box.
        name: BoxName,
    },
    /// Stop telling of this box.
    Unsubscribe {
        /// Box.
        name: BoxName,
    },
    /// Take a blob out of a box. Answer `Done`.
    Drop {
        /// Number to answer.
        number: u32,
        /// Box.
        name: BoxName,
        /// Blob.
        id: BlobId,
    },
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Done,
    /// The blob is durable under this number.
    Stored(u64),
    /// What is in the box.
    Listed {
        /// Entries, ascending, at most as many as asked for.
        entries: Vec<Entry>,
        /// Whether there are more.
        more: bool,
        /// The highest number the store has given.
        end: u64,
    },
    /// The blob, or that it is not there.
    Blob(Option<Vec<u8>>),
    /// No.
    Refused(Refusal),
}

/// What no honest client does: close the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The number of a request that is not answered yet.
    #[error("a number in use")]
    Number,
    /// More requests than the window allows.
    #[error("more requests at once than allowed")]
    Window,
}

impl Session {
    /// Begins a line. Send the frame at once.
    pub fn begin(nonce: [u8; 32], relay: RelayId, store: StoreId, terms: Terms) -> (Self, Vec<u8>) {
        let hello = ServerFrame::Hello { version: VERSION, nonce, store, terms };
        let session = Self {
            nonce,
            relay,
            terms,
            admitted: !terms.token,
            slots: BTreeMap::new(),
            names: BTreeMap::new(),
            waiting: BTreeMap::new(),
        };
        (session, hello.encode())
    }

    /// Takes a frame of the client.
    ///
    /// # Errors
    /// [`SessionError`]: the line is to be closed.
    pub fn frame(&mut self, bytes: &[u8]) -> Result<Vec<Step>, SessionError> {
        let ClientFrame { number, ask } = ClientFrame::decode(bytes)?;
        if self.waiting.contains_key(&number) {
            return Err(SessionError::Number);
        }
        if self.waiting.len() >= usize::from(self.terms.window) {
            return Err(SessionError::Window);
        }
        if let Ask::Token(token) = ask {
            self.waiting.insert(number, Waiting::Token);
            return Ok(vec![Step::Call(Call::Token { number, token })]);
        }
        if !self.admitted {
            return Ok(vec![reply(number, Reply::Refused(Refusal::Token))]);
        }
        Ok(self.ask(number, ask).unwrap_or_else(|refusal| vec![reply(number, Reply::Refused(refusal))]))
    }

    fn ask(&mut self, number: u32, ask: Ask) -> Result<Vec<Step>, Refusal> {
        let (waiting, call) = match ask {
            Ask::Token(_) => return Err(Refusal::Token),
            Ask::Open { slot, name, proof } => {
                self.open(slot, name, proof.as_ref())?;
                return Ok(vec![reply(number, Reply::Done)]);
            }
            Ask::Close { slot } => return self.close(number, slot),
            Ask::Put { slot, blob: Blob(blob) } => {
                let name = self.slot(slot, |slot| slot.proved || !slot.name.kind.proves_puts())?.name;
                if !is_class(blob.len()) || blob.len() > name.kind.max_blob() {
                    return Err(Refusal::BadBlob);
                }
                (Waiting::Put, Call::Put { number, name, id: BlobId::of(&blob), blob })
            }
            Ask::List { slot, after, limit } => {
                let name = self.slot(slot, |slot| slot.proved)?.name;
                (Waiting::List, Call::List { number, name, after, limit: usize::from(limit) })
            }
            Ask::Get { slot, id } => {
                let name = self.slot(slot, |slot| slot.proved)?.name;
                (Waiting::Get, Call::Get { number, name, id })
            }
            Ask::Subscribe { slot, inline } => {
                let name = self.slot(slot, |slot| slot.proved)?.name;
                (Waiting::Subscribe { slot, name, inline }, Call::Subscribe { number, name })
            }
            Ask::Drop { slot, id } => {
                let name = self.slot(slot, |slot| slot.proved && slot.name.kind.allows_drops())?.name;
                (Waiting::Drop, Call::Drop { number, name, id })
            }
        };
        self.waiting.insert(number, waiting);
        Ok(vec![Step::Call(call)])
    }

    fn open(&mut self, slot: u16, name: BoxName, proof: Option<&Signature>) -> Result<(), Refusal> {
        if slot >= self.terms.slots || self.slots.contains_key(&slot) || self.names.contains_key(&name) {
            return Err(Refusal::Slot);
        }
        let proved = match proof {
            Some(proof) if is_proved(&name, proof, &self.nonce, &self.relay) => true,
            Some(_) => return Err(Refusal::Proof),
            None if name.kind.proves_puts() => return Err(Refusal::NotAllowed),
            None => false,
        };
        self.slots.insert(slot, Slot { name, proved, subscribed: None });
        self.names.insert(name, slot);
        Ok(())
    }

    fn close(&mut self, number: u32, slot: u16) -> Result<Vec<Step>, Refusal> {
        let closed = self.slots.remove(&slot).ok_or(Refusal::Slot)?;
        self.names.remove(&closed.name);
        let mut steps = vec![reply(number, Reply::Done)];
        if closed.subscribed.is_some() {
            steps.push(Step::Call(Call::Unsubscribe { name: closed.name }));
        }
        Ok(steps)
    }

    fn slot(&self, slot: u16, allowed: impl Fn(&Slot) -> bool) -> Result<&Slot, Refusal> {
        let slot = self.slots.get(&slot).ok_or(Refusal::Slot)?;
        if allowed(slot) { Ok(slot) } else { Err(Refusal::NotAllowed) }
    }

    /// Takes the answer to a call. Gives the frame to send and, when the box was closed meanwhile, the call that takes a
    /// subscription back. Nothing for a number that waits for nothing, or an answer of another sort than its call's.
    pub fn answer(&mut self, number: u32, answer: Answer) -> Vec<Step> {
        let Some(waiting) = self.waiting.remove(&number) else { return Vec::new() };
        let mut after = None;
        let answered = match (waiting, answer) {
            (_, Answer::Refused(refusal)) => Reply::Refused(refusal),
            (Waiting::Token, Answer::Done) => {
                self.admitted = true;
                Reply::Done
            }
            (Waiting::Put, Answer::Stored(at)) => Reply::Stored { at },
            (Waiting::List, Answer::Listed { entries, more, end }) => Reply::Listed { entries, more, end },
            (Waiting::Get, Answer::Blob(blob)) => Reply::Blob(blob.map(Blob)),
            (Waiting::Subscribe { slot, name, inline }, Answer::Done) => {
                match self.slots.get_mut(&slot).filter(|slot| slot.name == name) {
                    Some(slot) => slot.subscribed = Some(inline),
                    None if self.names.contains_key(&name) => {}
                    None => after = Some(Step::Call(Call::Unsubscribe { name })),
                }
                Reply::Done
            }
            (Waiting::Drop, Answer::Done) => Reply::Done,
            _ => Reply::Refused(Refusal::Failed),
        };
        [Some(reply(number, answered)), after].into_iter().flatten().collect()
    }

    /// The frame that tells the client of something new in a box, if it subscribed to it.
    pub fn push(&self, name: &BoxName, entry: Entry, blob: &[u8]) -> Option<Vec<u8>> {
        let (slot, inline) = self.subscription(name)?;
        let blob = inline.then(|| Blob(blob.to_vec()));
        Some(ServerFrame::Push { slot, entry, blob }.encode())
    }

    /// The frame that tells the client that pushes of a box were left out, if it subscribed to it.
    pub fn behind(&self, name: &BoxName) -> Option<Vec<u8>> {
        let (slot, _) = self.subscription(name)?;
        Some(ServerFrame::Behind { slot }.encode())
    }

    /// The boxes that are subscribed: to be unsubscribed when the line ends.
    pub fn subscribed(&self) -> BTreeSet<BoxName> {
        let subscribed = self.slots.values().filter(|slot| slot.subscribed.is_some());
        subscribed.map(|slot| slot.name).collect()
    }

    /// Whether the client showed a token, or needs none.
    pub const fn is_admitted(&self) -> bool {
        self.admitted
    }

    /// Requests that wait for an answer.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn subscription(&self, name: &BoxName) -> Option<(u16, bool)> {
        let slot = *self.names.get(name)?;
        Some((slot, self.slots.get(&slot)?.subscribed?))
    }
}

fn reply(number: u32, reply: Reply) -> Step {
    Step::Send(ServerFrame::Reply { number, reply }.encode())
}

#[cfg(test)]
mod tests;
