//! Invites: signed capabilities to join a room, handed on as links and QR codes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Author, History, Role};

/// An invite to make: `POST /rooms/{room}/invites`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInvite {
    /// What those who join become; a member when not said.
    #[serde(default = "CreateInvite::default_role")]
    pub role: Role,
    /// It can be used for so many seconds; 7 days when not said, or as long as the own right to invite reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// How many accounts may join by it; one when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// A moderator must approve each who joins.
    #[serde(default)]
    pub approve: bool,
    /// The link alone reads and posts with nobody online.
    #[serde(default)]
    pub instant: bool,
    /// What those who join may read of the past; as the room allows when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// Those who join read of the past what was written since this time (RFC 3339) only, as exactly as the keys of the room
    /// allow: the answer says from when on. Not together with `history`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Whose node may let them in, at least: `member`, `moderator` or `admin`. Any member's when not said, a moderator's with
    /// `approve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sponsor: Option<Role>,
    /// Those who join may invite too: so many steps, 1 if those they invite may not. Their invites end no later than this one,
    /// and none is for more people. As the role says when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<u8>,
}

impl CreateInvite {
    /// Seconds an invite lasts when nothing else is said: 7 days.
    pub const EXPIRES_IN: u64 = 7 * 24 * 3600;

    fn default_role() -> Role {
        Role::Member
    }
}

impl Default for CreateInvite {
    fn default() -> Self {
        Self {
            role: Role::Member,
            expires_in: None,
            uses: None,
            approve: false,
            instant: false,
            history: None,
            since: None,
            sponsor: None,
            delegate: None,
        }
    }
}

/// What is said of every instant invite when it is made.
pub const INSTANT_NOTICE: &str =
    "whoever has the link can read the room, with nobody noticing, until it is used, revoked or expires";

/// An invite: answer of its creation (with `link`) and item of `GET /rooms/{room}/invites`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invite {
    /// Id.
    pub invite: String,
    /// The room it leads to.
    pub room: String,
    /// The link, only in the answer of the creation: who has it can join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// What those who join become.
    pub role: Role,
    /// When it stops working.
    pub expires_at: String,
    /// How many accounts may join by it.
    pub uses: u32,
    /// How many joined by it.
    pub used: u32,
    /// How many still may: 0 once it is revoked, expired or used up.
    pub uses_left: u32,
    /// Whether it was revoked, or ended with what its maker was.
    pub revoked: bool,
    /// Why, if it is `revoked`, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_ended: Option<String>,
    /// The same as a code that never changes, for windows in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_ended_code: Option<String>,
    /// Who revoked it, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<Author>,
    /// What those who come by it read of the time before they came.
    #[serde(default)]
    pub past: Past,
    /// Account that made it.
    pub created_by: String,
    /// Name of that account: neutralise before showing it on a terminal.
    #[serde(default)]
    pub created_by_name: String,
    /// When it was made.
    pub created_at: String,
    /// Whether somebody must say yes to each who comes by it.
    #[serde(default)]
    pub approve: bool,
    /// Whether the link alone lets in, with nobody online.
    #[serde(default)]
    pub instant: bool,
    /// What whoever hands on the link has to know; only in the answer of the creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// How many steps those who come may hand on the right to invite; absent if they may not invite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<u8>,
    /// Who came by it, also those who are out again.
    #[serde(default)]
    pub joined: Vec<Joined>,
}

/// What newcomers read of the time before they came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Past {
    /// Everything.
    pub everything: bool,
    /// Everything since then; absent when they read only what is written after they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Also parts of what was before that: the room was closed to newcomers for a while.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parts: bool,
}

/// Somebody who came by an invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Joined {
    /// Who.
    #[serde(flatten)]
    pub account: Author,
    /// Whether he is in the room still.
    pub member: bool,
}

/// Somebody asks to come in by an invite with approval: item of `GET /rooms/{room}/requests`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Request {
    /// Account that asks.
    pub account: String,
    /// What it calls itself; nobody has checked that.
    pub name: String,
    /// The device it asks by.
    pub device: String,
    /// The room.
    pub room: String,
    /// The invite it came with.
    pub invite: String,
    /// What it would become.
    pub role: Role,
    /// When it asked first.
    pub asked_at: String,
    /// Who had refused it before it was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<Author>,
}
