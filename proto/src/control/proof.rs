//! What members say about the misdeeds of others: keys that do not fit, and devices that contradict themselves.

use parlor_crypto::{PublicKey, Signature, hash, label};
use serde::{Deserialize, Serialize};

use super::GrantId;
use crate::event::{Event, Header, LogId};
use crate::ids::{EpochId, EventId, RoomId};
use crate::limits;

/// The key of an epoch can not be had or does not fit. Says so to those who can make another; no proof of anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyComplaint {
    /// The grant it is made under.
    pub auth: GrantId,
    /// Which epoch.
    pub epoch: EpochId,
    /// What failed.
    pub what: Complaint,
}

/// What is wrong with the key of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Complaint {
    /// A page is nowhere to be had.
    NoPage,
    /// There is no row for our leaf key.
    NoRow,
    /// Our row does not open.
    Sealed,
    /// What is in our row is not what the epoch commits to (attack 22).
    Commit,
}

/// Two signed events of one log with one number: anyone can check it for ever. It flags the device and changes nothing
/// else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EquivProof {
    /// The one with the smaller id,
    pub first: SignedHeader,
    /// and the other.
    pub second: SignedHeader,
}

/// The header of an event as it was received, with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHeader {
    /// The header.
    pub header: Vec<u8>,
    /// By its device.
    pub sig: Signature,
}

/// What two events that contradict each other show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contradiction {
    /// Of which log.
    pub log: LogId,
    /// The event that both follow: a branch begins there. `None` if they follow different ones: then it began further down.
    pub after: Option<EventId>,
    /// Both, ascending.
    pub events: [EventId; 2],
}

/// What is shown to contradict itself is no contradiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not two signed events of one log and number")]
pub struct NoContradiction;

impl SignedHeader {
    fn of(event: &Event) -> Self {
        Self { header: event.header_bytes().to_vec(), sig: event.signature() }
    }

    fn decode(&self, room: &RoomId) -> Option<(Header, EventId)> {
        let header = Header::parse(&self.header).ok()?;
        (!header.is_genesis()).then(|| (header, EventId(hash::EVENT.hash(&[room.as_bytes(), &self.header]))))
    }

    fn verify(&self, room: &RoomId, key: &PublicKey) -> Result<(), NoContradiction> {
        key.verify(label::SIGN_EVENT, &[room.as_bytes(), &self.header], &self.sig).map_err(|_| NoContradiction)
    }
}

impl EquivProof {
    /// The proof that these two contradict each other; `None` if they do not, or one of these copies is not signed by the
    /// device itself. Costs two signature checks.
    pub fn new(room: &RoomId, one: &Event, other: &Event) -> Option<Self> {
        let (first, second) = if one.id() < other.id() { (one, other) } else { (other, one) };
        let proof = Self { first: SignedHeader::of(first), second: SignedHeader::of(second) };
        proof.verify(room).ok().map(|_| proof)
    }

    /// Checks all of it and answers which log contradicts itself.
    ///
    /// # Errors
    /// [`NoContradiction`]: whoever made it lies.
    pub fn verify(&self, room: &RoomId) -> Result<LogId, NoContradiction> {
        let log = self.log(room).ok_or(NoContradiction)?;
        let key = PublicKey::parse(log.device.as_bytes()).map_err(|_| NoContradiction)?;
        self.first.verify(room, &key)?;
        self.second.verify(room, &key)?;
        Ok(log)
    }

    /// The log that it says contradicts itself, without looking at the signatures.
    pub fn log(&self, room: &RoomId) -> Option<LogId> {
        self.shows(room).map(|shown| shown.log)
    }

    /// What it shows, without looking at the signatures.
    pub fn shows(&self, room: &RoomId) -> Option<Contradiction> {
        let (first, first_id) = self.first.decode(room)?;
        let (second, second_id) = self.second.decode(room)?;
        let same = first.log() == second.log() && first.seq() == second.seq();
        let after = (first.prev() == second.prev()).then(|| first.prev());
        (same && first_id < second_id).then(|| Contradiction { log: first.log(), after, events: [first_id, second_id] })
    }

    pub(super) fn keeps_limits(&self) -> bool {
        [&self.first, &self.second].iter().all(|signed| signed.header.len() <= limits::MAX_HEADER)
    }
}
