//! Joining a room by a link.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Role;

/// Join by a link: `POST /join`. The answer comes when the room can be read and posted to, or the time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// `parlor://join/1/…` or `https://HOST/join#1/…`.
    pub link: String,
    /// How long to wait, in seconds; 60 when not said, 600 at most.
    #[serde(default = "JoinRequest::default_timeout")]
    pub timeout: u64,
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
}
