//! Joining by link: the knock, the answer, and both sides' machines. `/parlor/join/1`, one request and one answer.
//!
//! ```text
//! knock    nonce[16] | probe[16] | EnvelopeKey::seal(aad = "knock" || nonce, JoinRequest)
//! answer   EnvelopeKey::seal(aad = "answer" || nonce, Answer)      or empty: "I know no such invite"
//! key      H("knock", invite_pk): known to holders of the link and to members, who have the Invite event
//! probe    H("knock probe", invite_pk || nonce)[..16]
//! ```
//! A stranger who is knocked at learns neither room nor invite; a member finds the invite by the probe, at the cost of one
//! hash an invite, and only then opens anything. The JoinRequest is bound to the joiner's keys, so a copy of a knock is
//! worth nothing to whoever took it: the Welcome is sealed to the joiner's leaf.
//!
//! [`Joiner`] is the joiner's machine: it dials the addresses of the link one after the other, knocks wherever somebody
//! answers, waits when a member must approve, and ends in [`Out::Joined`] or with a reason. [`Doorkeeper`] is the
//! sponsor's side: it matches a knock to an invite with bounded work for each stranger. Whether the joiner is let in is
//! the room's decision; all that is said here is how it is asked. The format is in `docs/spec/invites.md`.

mod door;
mod door_mail;
pub mod instant;
mod joiner;
#[cfg(test)]
mod tests;

use parlor_crypto::hash::Domain;
use parlor_crypto::invite::knock_key;
use parlor_crypto::{CryptoRng, domain};
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::control::JoinRequest;
use crate::wire::Blob;

pub use door::{Doorkeeper, KnockError, Knocker};
pub use door_mail::DoorMail;
pub use joiner::{
    ASK_TIMEOUT_MS, DIAL_TIMEOUT_MS, Door, FIRST_PAUSE_MS, Failure, In, Joiner, LONGEST_PAUSE_MS, Out,
    PENDING_PAUSE_MS, SYNC_TIMEOUT_MS, State,
};

/// Largest knock in bytes: a JoinRequest has less than 1 KiB.
pub const MAX_KNOCK: usize = 4 * 1024;
/// Largest answer in bytes: a Welcome with all keys of a long-lived room.
pub const MAX_ANSWER: usize = 64 * 1024;

static PROBE: Domain = domain!("knock probe");

/// What a sponsor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// You are in: a sealed Welcome. The control log comes by sync from the same peer.
    Welcome(Blob),
    /// You are not, and why.
    Refused(Refusal),
    /// Somebody has to approve; ask again later.
    Pending {
        /// So many members who may approve have the request, as far as who answers knows.
        held_by: u16,
    },
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The invite's time is over.
    #[error("the invite has expired")]
    Expired,
    /// Its time has not begun.
    #[error("the invite is not valid yet")]
    NotYet,
    /// As many as it allows have joined.
    #[error("the invite has been used up")]
    UsedUp,
    /// It was revoked, or its author may not invite any more.
    #[error("the invite has been revoked")]
    Revoked,
    /// This account is banned from the room.
    #[error("you are banned from this room")]
    Banned,
    /// A member who may let in looked at the request and said no.
    #[error("refused by a moderator")]
    Declined,
    /// The request does not verify.
    #[error("the request is not valid")]
    Invalid,
    /// This member may not let people in by this invite; another may.
    #[error("this member may not let you in")]
    NotSponsor,
    /// This member can not right now (no key, still opening); another may, or later.
    #[error("this member can not let you in right now")]
    Later,
    /// The account of the one who asks has revoked this device.
    #[error("your account has revoked this device")]
    DeviceRevoked,
    /// The account was removed from the room after the invite was made.
    #[error("you were removed from this room after the invite was made")]
    RemovedSince,
}

impl Refusal {
    /// Whether another member, or the same one later, may answer otherwise.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::NotYet | Self::NotSponsor | Self::Later)
    }
}

/// Seals a knock of the holder of the invite's key.
pub fn knock(invite_pk: &[u8; 32], request: &JoinRequest, rng: &mut impl CryptoRng) -> (Knock, Vec<u8>) {
    let mut nonce = [0; 16];
    rng.fill_bytes(&mut nonce);
    let knock = Knock { invite_pk: *invite_pk, nonce };
    let mut bytes = nonce.to_vec();
    bytes.extend_from_slice(&knock.probe());
    bytes.extend(knock_key(invite_pk).seal(rng, &knock.aad(b"knock"), &codec::encode(request)));
    (knock, bytes)
}

/// One knock as both sides know it: opens and seals the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knock {
    invite_pk: [u8; 32],
    nonce: [u8; 16],
}

impl Knock {
    /// Seals an answer to this knock.
    pub fn seal(&self, answer: &Answer, rng: &mut impl CryptoRng) -> Vec<u8> {
        knock_key(&self.invite_pk).seal(rng, &self.aad(b"answer"), &codec::encode(answer))
    }

    /// Opens the answer to this knock; `None` when it is empty, too large, damaged or of somebody without the invite.
    pub fn open(&self, bytes: &[u8]) -> Option<Answer> {
        if bytes.is_empty() || bytes.len() > MAX_ANSWER {
            return None;
        }
        let plain = knock_key(&self.invite_pk).open(&self.aad(b"answer"), bytes).ok()?;
        codec::decode(&plain, MAX_ANSWER).ok()
    }

    fn probe(&self) -> [u8; 16] {
        PROBE.hash_prefix(&[&self.invite_pk, &self.nonce])
    }

    fn aad(&self, what: &[u8]) -> Vec<u8> {
        [what, &self.nonce].concat()
    }
}
