//! Groups made with several people at once, and invitations into such groups.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Author;
use crate::message::MessageStatus;

/// A group chat with several people: `POST /groups`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenGroup {
    /// Whom, 2 to 31: each as in [`OpenDirect`](crate::OpenDirect).
    pub who: Vec<String>,
    /// What a new group is called; when not said, after those who are in it, as they call themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A group chat: answer of `POST /groups`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupChat {
    /// The room.
    pub room: String,
    /// Its name.
    pub name: String,
    /// Whether it was made now; else it is the first chat of the same people.
    pub made: bool,
    /// The others.
    pub people: Vec<GroupPerson>,
    /// The message that was sent with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How far that message is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<MessageStatus>,
}

/// Somebody in a group, or invited into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupPerson {
    /// Account id.
    pub account: String,
    /// What we call it; empty for somebody nobody told us of.
    pub name: String,
    /// How far it is.
    pub state: GroupState,
    /// Whether it is in the own book as a contact.
    pub contact: bool,
    /// Whether it is blocked.
    pub blocked: bool,
}

/// How far somebody is with a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupState {
    /// In it.
    In,
    /// The invitation is in the direct chat, or on its way there: the node of who is invited comes in by itself.
    Invited,
    /// Has not answered yet whether we may write: the invitation waits for that.
    Asked,
    /// Left it, or was removed.
    Out,
}

/// Why an invitation waits for a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupAsks {
    /// Who invites is no contact.
    NoContact,
    /// Somebody who is blocked is to be in it.
    Blocked,
    /// We were in it, and left or were removed; or we refused an invitation of somebody else into it.
    Left,
    /// The same account brought us into many lately.
    Many,
}

/// An invitation into a group that waits for a word: item of `GET /groups`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupInvitation {
    /// The room, and the name of the invitation: `POST /groups/{room}/accept`, `/refuse`.
    pub room: String,
    /// What the one who invites calls it.
    pub name: String,
    /// Who invites.
    pub by: Author,
    /// Who is to be in it besides us, as he says.
    pub people: Vec<GroupPerson>,
    /// Why it was not taken by itself.
    pub why: GroupAsks,
    /// When it came.
    pub at: String,
}
