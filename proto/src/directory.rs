//! `/parlor/directory/1`: claiming and looking up names at a relay, frame by frame over one line.
//!
//! ```text
//! relay  ->  Greeting
//! client ->  Request   id counts up from 0, answers come in the same order
//! relay  ->  Reply     the same id
//! ```
//! Frames are postcard, at most [`MAX_FRAME`] bytes. [`Client`] makes and reads them on the client's side and believes
//! nothing that is not signed; [`decide`] is the rule by which a relay gives out names. Both are values without I/O. The
//! frames and the rule are in `docs/spec/directory.md`.

use serde::{Deserialize, Serialize};

use crate::access::AccessToken;
use crate::codec::{self, CodecError};
use crate::ids::AccountId;
use crate::name::{Handover, Held, MAX_HELD, Name, NameRecord, RecordError};

/// Longest frame: a claim with its handover, the longest of all.
pub const MAX_FRAME: usize = MAX_HELD + 512;
/// Names of one account at one relay: a person's, and one or two more for bots or a shop.
pub const MAX_NAMES: usize = 3;
/// How far an account's clock may be from the relay's. A record from further ahead could be replaced by nothing for as long.
pub const MAX_SKEW_MS: u64 = 24 * 3_600_000;

/// What a relay says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// Whether claiming needs the relay's access token. Looking up never does.
    pub token: bool,
    /// The relay's clock, milliseconds since the epoch: records must be within [`MAX_SKEW_MS`] of it.
    pub now_ms: u64,
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Counts up from 0.
    pub id: u32,
    /// What is asked.
    pub ask: Ask,
}

/// What can be asked. The numbers of the variants are the protocol: never reorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "made one at a time and encoded at once")]
pub enum Ask {
    /// The relay's access token.
    Unlock(AccessToken),
    /// A new name, or a new card for one's own; with a handover, somebody else's.
    Claim {
        /// The account's record.
        record: NameRecord,
        /// The word of the account that has the name, if another one gets it.
        handover: Option<Handover>,
    },
    /// Gives a name up.
    Release(Handover),
    /// Who goes by this name.
    Lookup(Name),
}

/// What a relay answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's.
    pub id: u32,
    /// The answer.
    pub answer: Answer,
}

/// An answer. The numbers of the variants are the protocol: never reorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "made one at a time and encoded at once")]
pub enum Answer {
    /// The token is right.
    Unlocked,
    /// Who holds the name: after a claim the claimant, durably.
    Held(Held),
    /// The name is free again, durably.
    Released,
    /// Nobody goes by this name.
    Unknown,
    /// No, and why.
    Refused(Refusal),
}

/// Why a relay says no. The numbers of the variants are the protocol: never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Another account has it.
    #[error("the name is taken")]
    Taken,
    /// Another name looks the same.
    #[error("the name looks like one that is taken")]
    Confusable,
    /// A newer record of the account is held.
    #[error("a newer card is held for this name")]
    Stale,
    /// The clocks are further apart than [`MAX_SKEW_MS`].
    #[error("the clocks of the account and the relay are more than a day apart")]
    Clock,
    /// The account has [`MAX_NAMES`] already.
    #[error("the account has {MAX_NAMES} names at this relay already")]
    TooMany,
    /// The handover is not by the account that has the name, or not to the one that claims it.
    #[error("only the account that has the name can hand it on")]
    NotYours,
    /// A signature or a limit does not hold.
    #[error("the record does not hold")]
    Invalid,
    /// The access token is needed for this, or wrong.
    #[error("the relay wants its access token")]
    Locked,
    /// Too many requests; after some time more are taken.
    #[error("too many requests, try again later")]
    Later,
    /// The relay holds as many names as it will.
    #[error("the relay takes no more names")]
    Full,
    /// The relay can not write.
    #[error("the relay can not store it now")]
    Failed,
}

/// What a relay knows that decides over a claim.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Who holds the name.
    pub held: Option<&'a Held>,
    /// When the name was given up, if it was, by the clock of the account that had it, with the account.
    pub released: Option<(AccountId, u64)>,
    /// A name that looks the same as the claimed one, and who holds it.
    pub alike: Option<(&'a Name, AccountId)>,
    /// How many names the claiming account has.
    pub names: usize,
}

/// Whether a relay gives out a name: answers since when the account has it. First come, first served; only its account
/// changes, gives up or hands on a name. Signatures are checked here.
///
/// # Errors
/// Why not.
pub fn decide(
    relay: &[u8; 32],
    known: Known<'_>,
    record: &NameRecord,
    handover: Option<&Handover>,
    now_ms: u64,
) -> Result<u64, Refusal> {
    record.verify(relay).map_err(|_| Refusal::Invalid)?;
    if record.ts_ms.abs_diff(now_ms) > MAX_SKEW_MS {
        return Err(Refusal::Clock);
    }
    let account = record.account();
    if let Some(held) = known.held {
        let holder = held.record.account();
        if holder == account {
            return match record.ts_ms.cmp(&held.record.ts_ms) {
                std::cmp::Ordering::Greater => Ok(held.since_ms),
                // The same record again: its answer was lost.
                std::cmp::Ordering::Equal if *record == held.record => Ok(held.since_ms),
                _ => Err(Refusal::Stale),
            };
        }
        let Some(handover) = handover else { return Err(Refusal::Taken) };
        may_go(relay, held, handover, now_ms)?;
        if handover.to != Some(account) {
            return Err(Refusal::NotYours);
        }
    } else if known.released.is_some_and(|(who, ts_ms)| who == account && record.ts_ms <= ts_ms) {
        return Err(Refusal::Stale);
    }
    if known.alike.is_some_and(|(name, _)| *name != record.name) {
        return Err(Refusal::Confusable);
    }
    if known.names >= MAX_NAMES { Err(Refusal::TooMany) } else { Ok(now_ms) }
}

/// Whether a handover holds for the name that is held.
///
/// # Errors
/// Why not.
pub fn may_go(relay: &[u8; 32], held: &Held, handover: &Handover, now_ms: u64) -> Result<(), Refusal> {
    handover.verify(relay).map_err(|_| Refusal::Invalid)?;
    if handover.name != held.record.name || handover.account() != held.record.account() {
        return Err(Refusal::NotYours);
    }
    if handover.ts_ms.abs_diff(now_ms) > MAX_SKEW_MS {
        return Err(Refusal::Clock);
    }
    if handover.ts_ms < held.record.ts_ms { Err(Refusal::Stale) } else { Ok(()) }
}

/// The client's side of a line: makes requests, matches answers, checks signatures.
#[derive(Debug)]
pub struct Client {
    relay: [u8; 32],
    greeting: Option<Greeting>,
    next: u32,
    /// What was asked and not answered, oldest first.
    open: std::collections::VecDeque<(u32, Ask)>,
}

/// What a relay must not have said. The line is to be closed, and the relay not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not a frame of this protocol.
    #[error("directory frame: {0}")]
    Codec(#[from] CodecError),
    /// An answer to nothing that was asked, or of another kind.
    #[error("an answer that fits no question")]
    Unasked,
    /// A record that is not signed, or of another name.
    #[error("the relay gave a record that does not hold: {0}")]
    Record(#[from] RecordError),
    /// A record of another name or account than the one asked about.
    #[error("the relay gave the record of another name")]
    OtherName,
    /// Something was asked before the relay's greeting.
    #[error("the relay has not greeted yet")]
    NotGreeted,
}

/// Requests of one client that may be unanswered at once.
pub const MAX_OPEN: usize = 16;

impl Client {
    /// The client of a line to the relay with this transport key.
    pub fn new(relay: [u8; 32]) -> Self {
        Self { relay, greeting: None, next: 0, open: std::collections::VecDeque::new() }
    }

    /// Takes a frame of the relay: the greeting (`None`), or an answer that holds, with the number of its request.
    ///
    /// # Errors
    /// See [`ClientError`]: the relay is broken or lies.
    pub fn hear(&mut self, frame: &[u8]) -> Result<Option<(u32, Answer)>, ClientError> {
        if self.greeting.is_none() {
            self.greeting = Some(codec::decode(frame, MAX_FRAME)?);
            return Ok(None);
        }
        let reply: Reply = codec::decode(frame, MAX_FRAME)?;
        let (id, ask) = self.open.pop_front().ok_or(ClientError::Unasked)?;
        if id != reply.id {
            return Err(ClientError::Unasked);
        }
        check_answer(&self.relay, &ask, &reply.answer)?;
        Ok(Some((id, reply.answer)))
    }

    /// What the relay said first, once it did.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.greeting.as_ref()
    }

    /// A question as a frame, and its number.
    ///
    /// # Errors
    /// [`ClientError::NotGreeted`]; [`ClientError::Unasked`] with [`MAX_OPEN`] questions open.
    pub fn ask(&mut self, ask: Ask) -> Result<(u32, Vec<u8>), ClientError> {
        if self.greeting.is_none() {
            return Err(ClientError::NotGreeted);
        }
        if self.open.len() >= MAX_OPEN {
            return Err(ClientError::Unasked);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        let request = Request { id, ask };
        let frame = codec::encode(&request);
        self.open.push_back((id, request.ask));
        Ok((id, frame))
    }
}

/// Whether an answer fits what was asked, and is signed.
fn check_answer(relay: &[u8; 32], ask: &Ask, answer: &Answer) -> Result<(), ClientError> {
    match (ask, answer) {
        (_, Answer::Refused(_))
        | (Ask::Unlock(_), Answer::Unlocked)
        | (Ask::Release(_), Answer::Released | Answer::Unknown)
        | (Ask::Lookup(_), Answer::Unknown) => Ok(()),
        (Ask::Lookup(name), Answer::Held(held)) => {
            held.verify(relay)?;
            if held.record.name == *name { Ok(()) } else { Err(ClientError::OtherName) }
        }
        (Ask::Claim { record, .. }, Answer::Held(held)) => {
            held.verify(relay)?;
            if held.record == *record { Ok(()) } else { Err(ClientError::OtherName) }
        }
        _ => Err(ClientError::Unasked),
    }
}

#[cfg(test)]
mod tests;
