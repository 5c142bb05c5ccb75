//! The sponsor's side of a knock: which invite is meant, at a bounded cost for each stranger.

use std::collections::BTreeMap;

use parlor_crypto::invite::knock_key;

use crate::codec;
use crate::control::{InviteId, JoinRequest};
use crate::ids::RoomId;

use super::{Knock, MAX_KNOCK, PROBE};

/// Knocks that one peer may make in a burst: a link with a few rooms, retried.
const BURST: u32 = 8;
/// One more after each of these.
const REFILL_MS: u64 = 2_000;
/// Peers remembered; beyond that the one that knocked longest ago is forgotten.
const MAX_PEERS: usize = 1_024;
/// Invites looked through for one knock: about 2 ms of hashing.
const MAX_INVITES: usize = 8_192;

/// Matches knocks to invites.
#[derive(Debug, Default)]
pub struct Doorkeeper {
    peers: BTreeMap<Vec<u8>, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u32,
    at_ms: u64,
}

/// A knock that was matched: who wants in where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knocker {
    /// Room.
    pub room: RoomId,
    /// Invite.
    pub invite: InviteId,
    /// The request, decoded; its signatures are not checked yet.
    pub request: JoinRequest,
    /// Seals the answer.
    pub knock: Knock,
}

/// Why a knock gets no sealed answer. The wire answer is empty in each case, so that strangers learn nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KnockError {
    /// Not the size of a knock.
    #[error("malformed knock")]
    Malformed,
    /// This peer knocks too often.
    #[error("too many knocks")]
    TooOften,
    /// No invite of our rooms is meant.
    #[error("no invite matches")]
    NoMatch,
    /// The probe matches an invite, the rest does not open: a replayed probe or damage.
    #[error("the knock does not open")]
    Damaged,
}

impl Doorkeeper {
    /// Looks which of `invites` the knock of `peer` is for. Give all invites of all rooms, also those that are used up,
    /// expired or revoked, so that the joiner can be told; newest first, since the search is bounded. Nothing is taken of them
    /// for who knocks too often, so they may be worked out as they are taken.
    ///
    /// # Errors
    /// See [`KnockError`]. Answer with no bytes.
    pub fn open(
        &mut self,
        peer: &[u8],
        bytes: &[u8],
        invites: impl IntoIterator<Item = (RoomId, InviteId, [u8; 32])>,
        now_ms: u64,
    ) -> Result<Knocker, KnockError> {
        let form = Form::of(bytes)?;
        if !self.admit(peer, now_ms) {
            return Err(KnockError::TooOften);
        }
        form.open(invites)
    }

    /// The same for a knock that lay at a door, where whoever knows it can leave anything: only what opens counts, so that what
    /// does not keeps nobody waiting.
    ///
    /// # Errors
    /// See [`KnockError`]. Answer with no bytes; what knocks too often may be looked at again.
    pub fn open_at_door(
        &mut self,
        door: &[u8],
        bytes: &[u8],
        invites: impl IntoIterator<Item = (RoomId, InviteId, [u8; 32])>,
        now_ms: u64,
    ) -> Result<Knocker, KnockError> {
        let knocker = Form::of(bytes)?.open(invites)?;
        if self.admit(door, now_ms) { Ok(knocker) } else { Err(KnockError::TooOften) }
    }

    /// Whether this peer may knock now; if so, it is counted.
    fn admit(&mut self, peer: &[u8], now_ms: u64) -> bool {
        if !self.peers.contains_key(peer) && self.peers.len() >= MAX_PEERS {
            let oldest = self.peers.iter().min_by_key(|(_, bucket)| bucket.at_ms).map(|(peer, _)| peer.clone());
            oldest.map(|peer| self.peers.remove(&peer));
        }
        let bucket = self.peers.entry(peer.to_vec()).or_insert(Bucket { left: BURST, at_ms: now_ms });
        let refill = now_ms.saturating_sub(bucket.at_ms) / REFILL_MS;
        if refill > 0 {
            bucket.left = BURST.min(bucket.left.saturating_add(u32::try_from(refill).unwrap_or(BURST)));
            bucket.at_ms = now_ms;
        }
        let allowed = bucket.left > 0;
        bucket.left = bucket.left.saturating_sub(1);
        allowed
    }
}

/// A knock before it is opened.
struct Form<'a> {
    nonce: &'a [u8; 16],
    probe: &'a [u8; 16],
    sealed: &'a [u8],
}

impl<'a> Form<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, KnockError> {
        if bytes.len() > MAX_KNOCK {
            return Err(KnockError::Malformed);
        }
        let (nonce, rest) = bytes.split_first_chunk().ok_or(KnockError::Malformed)?;
        let (probe, sealed) = rest.split_first_chunk().ok_or(KnockError::Malformed)?;
        Ok(Self { nonce, probe, sealed })
    }

    fn open(&self, invites: impl IntoIterator<Item = (RoomId, InviteId, [u8; 32])>) -> Result<Knocker, KnockError> {
        let Self { nonce, probe, sealed } = *self;
        let meant =
            |(_, _, invite_pk): &(RoomId, InviteId, [u8; 32])| PROBE.hash_prefix::<16>(&[invite_pk, nonce]) == *probe;
        let found = invites.into_iter().take(MAX_INVITES).find(meant);
        let (room, invite, invite_pk) = found.ok_or(KnockError::NoMatch)?;
        let knock = Knock { invite_pk, nonce: *nonce };
        let plain = knock_key(&invite_pk).open(&knock.aad(b"knock"), sealed).map_err(|_| KnockError::Damaged)?;
        let request: JoinRequest = codec::decode(&plain, MAX_KNOCK).map_err(|_| KnockError::Damaged)?;
        if request.invite_pk != invite_pk {
            return Err(KnockError::Damaged);
        }
        Ok(Knocker { room, invite, request, knock })
    }
}
