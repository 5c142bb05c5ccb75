//! Why a join came to nothing, as people are told.

use parlor_api::{Code, Problem};
use parlor_proto::join::Refusal;
use parlor_proto::link::LinkError;

use crate::bus::rfc3339;

/// Why somebody is not let in.
pub(super) fn refused(refusal: Refusal) -> Problem {
    let ask = "ask the one who invited you for a new link";
    let why = |code: &str| Problem::new(Code::JoinRefused, refusal.to_string()).reason(code);
    match refusal {
        Refusal::Expired => Problem::of(Code::InviteExpired).hint(ask),
        Refusal::UsedUp => Problem::of(Code::InviteExhausted).hint(ask),
        Refusal::Revoked => Problem::of(Code::InviteRevoked).hint(ask),
        Refusal::Banned => Problem::new(Code::Banned, "you are banned from this room, so no invite lets you in")
            .hint("whoever banned you can lift the ban"),
        Refusal::DeviceRevoked => {
            why("device_revoked").hint("join with another device of yours, or make a new one from the recovery phrase")
        }
        Refusal::RemovedSince => why("removed_since").hint("ask somebody who is in for a new link"),
        Refusal::NotSponsor => {
            let detail = "nobody who answered may let you in by this invite: who made it may be out, or it wants a moderator or admin";
            let problem = Problem::new(Code::JoinRefused, detail).reason("not_sponsor");
            problem.hint("try again when others are online, or ask for a new link")
        }
        Refusal::NotYet => why("not_yet").hint("try again in a moment"),
        Refusal::Later => why("later").hint("try again in a moment"),
        Refusal::Declined => why("declined").hint(ask),
        Refusal::Invalid => why("invalid").hint(ask),
        _ => Problem::new(Code::JoinRefused, refusal.to_string()).hint(ask),
    }
}

/// Nobody wants it any more.
pub(super) fn cancelled() -> Problem {
    Problem::of(Code::JoinCancelled).hint("the link can be used again: parlor join LINK")
}

/// Why a link is followed nowhere.
pub(super) fn link_problem(error: &LinkError) -> Problem {
    let again = "copy the whole link again, or ask for a new one";
    match error {
        LinkError::Expired(at) => Problem::new(Code::InviteExpired, format!("the invite expired at {}", rfc3339(*at)))
            .hint("ask the one who invited you for a new link"),
        LinkError::NewerVersion(_) => Problem::new(Code::LinkDamaged, error.to_string()).hint("update parlor"),
        other => Problem::new(Code::LinkDamaged, other.to_string()).hint(again),
    }
}
