//! Joining a room by a link.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ErrorNote, Role};

/// Join by a link: `POST /join`. The answer comes when the room can be read and posted to, or the time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// `parlor://join/1/…` or `https://HOST/join#1/…`.
    pub link: String,
    /// How long to wait, in seconds; 60 when not said, 600 at most.
    #[serde(default = "JoinRequest::default_timeout")]
    pub timeout: u64,
    /// Do not wait until a person approves: the answer comes as soon as a member who may has the request.
    #[serde(default)]
    pub once_asked: bool,
}

impl JoinRequest {
    /// Seconds to wait when nothing else is said.
    pub const TIMEOUT: u64 = 60;

    /// Most seconds a client may ask to wait.
    pub const TIMEOUT_MAX: u64 = 600;

    fn default_timeout() -> u64 {
        Self::TIMEOUT
    }
}

/// How far a join came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JoinState {
    /// The room can be read and posted to.
    Joined,
    /// The request is out and waits for somebody; it goes on by itself, also after a restart.
    Pending,
}

/// What a join waits for. New ones may appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JoinStep {
    /// Somebody of the room is looked for.
    Looking,
    /// A relay keeps the request until a member comes by.
    Relay,
    /// Members who may approve have the request.
    Approval,
    /// The room is being fetched.
    Fetching,
    /// It ended without the room.
    Ended,
    /// Nothing is told of it any more: the room is here, the join was cancelled, or how it ended was cleared. In events only.
    Over,
    /// Something this version does not know.
    #[serde(other)]
    Unknown,
}

/// A join that is under way, or ended after its client was answered: item of `joins` in `GET /status`, and event `join`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinProgress {
    /// The room, whose name nobody knows before he is in.
    pub room: String,
    /// What it waits for.
    pub step: JoinStep,
    /// So many members who may approve have the request, as far as is known.
    #[serde(default)]
    pub members: u32,
    /// Since when it does.
    pub since: String,
    /// Why it ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ErrorNote>,
}

/// Answer of a join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinAnswer {
    /// The room.
    pub room: String,
    /// Its name; empty while pending.
    pub name: String,
    /// What we are in it, or will be.
    pub role: Role,
    /// How far it came.
    pub state: JoinState,
    /// What it waits for, for people, while pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// The same for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<JoinStep>,
    /// So many members who may approve have the request, while pending.
    #[serde(default)]
    pub members: u32,
}

impl JoinAnswer {
    /// That somebody waits for this, who is going to be a member.
    pub fn pending(room: String, waits_for: &str) -> Self {
        Self {
            room,
            name: String::new(),
            role: Role::Member,
            state: JoinState::Pending,
            waits_for: Some(waits_for.to_owned()),
            step: None,
            members: 0,
        }
    }
}
