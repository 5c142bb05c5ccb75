//! Governing a room: roles, removals, bans.
//!
//! Who may do it is decided by the room: by permission (`not_permitted` names the one that is missing) and by seniority,
//! which no setting changes. A removal is answered when it is durable here, together with the keys that follow from it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Author, History, Role};

/// Give somebody a role: `PUT /rooms/{room}/members/{who}/role`. Somebody who is out and is named by his whole account id
/// is taken back by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRole {
    /// What he is from now on.
    pub role: Role,
    /// He may invite others, also if the role alone does not let him.
    #[serde(default)]
    pub may_invite: bool,
    /// With `may_invite`: how many steps the right goes on. 1, when not said: those he invites may not invite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite_depth: Option<u8>,
    /// With `may_invite`: his invites, and those of whom he hands the right on to, work for so many seconds from now at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite_expires_in: Option<u64>,
    /// With `may_invite`: each of them is for so many people at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite_uses: Option<u32>,
}

/// The right to invite, as somebody has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MayInvite {
    /// How many steps it can be handed on; 1: those who are invited may not invite.
    pub depth: u8,
    /// When invites end at the latest; absent for no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// For how many people an invite can be; absent for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
}

/// Remove or ban somebody: `POST /rooms/{room}/members/{who}/remove` and `.../ban`; or all who came by an invite:
/// `POST /rooms/{room}/invites/{invite}/remove`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveMembers {
    /// With all whom they invited or gave a role, and so on.
    #[serde(default)]
    pub cascade: bool,
    /// Hide all their messages, also old ones.
    #[serde(default)]
    pub purge: bool,
}

/// Answer of a removal: it is durable here, and nobody removed can read what is written from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Removed {
    /// The room.
    pub room: String,
    /// Who is out by it.
    pub removed: Vec<Author>,
    /// Whether they may not come back.
    pub banned: bool,
    /// The epoch that is written under now; absent while there is none.
    pub epoch: Option<String>,
}

/// An account that may not come back until its ban is lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Banned {
    /// Account id.
    pub account: String,
    /// Name, as last known here.
    pub name: String,
    /// Who banned it.
    pub by: Author,
    /// When.
    pub at: String,
}

/// The rules of a room beside its roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// What newcomers may read.
    pub history: History,
    /// The weakest role that may write.
    pub post: Role,
}

/// What we are in a room: a role; or that we are out; or not in yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// See [`Role::Owner`].
    Owner,
    /// See [`Role::Admin`].
    Admin,
    /// See [`Role::Moderator`].
    Moderator,
    /// See [`Role::Member`].
    Member,
    /// See [`Role::Observer`].
    Observer,
    /// Let in, but the room is still being fetched.
    Joining,
    /// We left. What is held stays readable.
    Left,
    /// We were removed: `gone` says by whom. What is held stays readable.
    Removed,
}

impl Standing {
    /// The role, of a member.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Owner => Some(Role::Owner),
            Self::Admin => Some(Role::Admin),
            Self::Moderator => Some(Role::Moderator),
            Self::Member => Some(Role::Member),
            Self::Observer => Some(Role::Observer),
            Self::Joining | Self::Left | Self::Removed => None,
        }
    }
}

impl From<Role> for Standing {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => Self::Owner,
            Role::Admin => Self::Admin,
            Role::Moderator => Self::Moderator,
            Role::Member => Self::Member,
            Role::Observer => Self::Observer,
        }
    }
}

/// How this account came out of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gone {
    /// Who removed us; we ourselves, if we left.
    pub by: Author,
    /// When, by that one's clock.
    pub at: String,
    /// Whether we may not come back.
    pub banned: bool,
    /// The same for people, as a whole sentence without full stop.
    pub text: String,
}
