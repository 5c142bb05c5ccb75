//! Instant invites: what their maker leaves at the door for who comes while nobody is online.
//!
//! The sealed parts are stored in one batch with the invite, and kept until the relays of the room said that they have them;
//! the seed of the link is kept nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlor_api::{Code, Problem};
use parlor_crypto::mailbox::BoxKeys;
use parlor_proto::control::InviteId;
use parlor_proto::mailbox::BoxKind;
use parlor_proto::room::{InstantInvite, InstantLimit, Outcome};
use parlor_storage::{Batch, Namespace};

use super::entry::Turn;
use super::settle::Settle;
use crate::account::rng;
use crate::count::count;
use crate::services::mailboxes::Left;

/// How the names of these values begin; then the invite and the number of the part.
pub(super) const PREFIX: &[u8] = b"part";

/// What is left at the doors of our instant invites, and is not at the relays yet.
pub(super) type Parts = BTreeMap<InviteId, Arc<[Vec<u8>]>>;

fn key(invite: &InviteId, number: usize) -> Vec<u8> {
    let number = u16::try_from(number).unwrap_or(u16::MAX);
    [PREFIX, invite.as_bytes(), &number.to_be_bytes()].concat()
}

/// The parts as they were stored, ascending by name.
pub(super) fn decode(rows: Vec<(Vec<u8>, Vec<u8>)>) -> Parts {
    let mut parts: BTreeMap<InviteId, Vec<Vec<u8>>> = BTreeMap::new();
    for (name, part) in rows {
        let id = name.get(PREFIX.len()..PREFIX.len() + 32).and_then(|id| id.try_into().ok());
        if let Some(id) = id {
            parts.entry(parlor_proto::EventId(id)).or_default().push(part);
        }
    }
    parts.into_iter().map(|(invite, parts)| (invite, parts.into())).collect()
}

impl Turn<'_> {
    /// The rows that are stored with an instant invite; from then on they are for its door.
    pub(super) fn leave_at_door(&mut self, made: &InstantInvite) -> Batch {
        let device = self.context.identity.signing_key();
        let parts = made.package.seal(&self.id(), &made.seed, device, &mut rng());
        let mut batch = Batch::new(Some(self.id()));
        for (number, part) in parts.iter().enumerate() {
            batch.put(Namespace::Invite, &key(&made.id, number), part.clone());
        }
        self.entry.parts.insert(made.id, parts.into());
        batch
    }

    /// What is to be put at doors: of invites that are open still. Of the others it is forgotten.
    pub(super) fn left_at_doors(&mut self) -> Vec<Left> {
        let (room, now_ms) = (&self.entry.room, self.now_ms);
        let mut left = Vec::new();
        let mut over = Vec::new();
        for (invite, parts) in &self.entry.parts {
            match room.open_door(invite, now_ms) {
                Some(door) => {
                    let door = super::mail::shared(BoxKind::Door, BoxKeys::of_door(&door));
                    left.push(Left { invite: *invite, door, parts: Arc::clone(parts) });
                }
                None => over.push(*invite),
            }
        }
        over.iter().for_each(|invite| self.forget_parts(invite));
        left
    }

    /// The relays of the room have what belongs at the door of an invite, or it is of no use any more.
    pub(super) fn forget_parts(&mut self, invite: &InviteId) {
        let Some(parts) = self.entry.parts.remove(invite) else { return };
        let mut batch = Batch::new(Some(self.id()));
        for number in 0..parts.len() {
            batch.delete(Namespace::Invite, &key(invite, number));
        }
        self.commit_with(batch, Outcome::default(), Settle::default());
    }
}

/// Why an invite can not be instant, for people; `may_set` for somebody who may change the room's settings.
pub(super) fn not_instant(why: InstantLimit, may_set: bool) -> Problem {
    let plain = "make one without --instant";
    match why {
        InstantLimit::NoMailboxes => Problem::new(
            Code::Conflict,
            "an instant invite needs a relay that keeps mail for the room, and the room has none",
        )
        .hint(match may_set {
            true => "give it one: parlor room set ROOM --mailbox MULTIADDR",
            false => "an owner or admin can give it one (the permission `policy`): parlor room set ROOM --mailbox MULTIADDR",
        }),
        InstantLimit::NoPost => {
            Problem::new(Code::BadRequest, "in a channel nobody comes in by the link alone").hint(plain)
        }
        InstantLimit::NotPlain => Problem::new(
            Code::BadRequest,
            "an instant invite is for plain members whom any member lets in: without --role, --approve, --sponsor, --delegate",
        )
        .hint(plain),
        InstantLimit::Uses(most) => {
            Problem::new(Code::BadRequest, format!("an instant invite is for at most {most} people"))
                .hint(format!("with --uses {most} or fewer, or without --instant"))
        }
        InstantLimit::Lasts(ms) => {
            let days = ms / (24 * 60 * 60 * 1000);
            Problem::new(Code::BadRequest, format!("an instant invite works for at most {}", count(days, "day", "days")))
                .hint(format!("with --expires {days}d or less, or without --instant"))
        }
        InstantLimit::TooLarge => {
            Problem::new(Code::Conflict, "the log of this room is longer than what a relay keeps for a newcomer").hint(plain)
        }
    }
}
