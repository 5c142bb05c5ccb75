//! The log of a room: who did what to whom. Its notes stand in the history as messages of kind `system`
//! (`GET /rooms/{room}/messages?system=true`), and come as `system` events as they happen.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Author, Role, UpdateRoom};

/// What happened. New ones may appear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// The room was made.
    Created,
    /// `who` came in by `invite`, which `inviter` made; `by` let him in.
    Joined,
    /// `who` left.
    Left,
    /// `by` removed `who`.
    Removed,
    /// `by` lifted the ban of `who`.
    Unbanned,
    /// `by` gave `who` a `role`.
    Role,
    /// `by` gave `who` the right to invite.
    MayInvite,
    /// `by` took the right to invite from `who`.
    MayNotInvite,
    /// `by` ended the `role` of `who` that he was given once.
    RoleEnded,
    /// `by` made `invite`, which gives `role`.
    Invited,
    /// `by` made `invite` instant: its link alone reads and lets in, with nobody online.
    InviteInstant,
    /// `by` revoked `invite`, which `inviter` made.
    InviteRevoked,
    /// `by` refused `who`, who asked to come in by `invite`.
    Declined,
    /// By another role or right for `who`, `by` ended invites of theirs that were open: so many, `invites`.
    InvitesEnded,
    /// `by` changed `settings`.
    Settings,
    /// The keys changed; `by` made the new ones.
    Keys,
    /// `by` has new devices (`added`), or `revoked` some.
    Devices,
    /// A `device` of `who` wrote two different things in one place: it was copied, or it cheats.
    Contradiction,
    /// `by` could not take the keys that `who` made.
    KeysMissing,
    /// Something this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A note of the log, for programs; `text` of the message says the same for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Note {
    /// What happened.
    pub what: NoteKind,
    /// Whose word it is.
    pub by: Author,
    /// Whom it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub who: Vec<Author>,
    /// Which role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Which invite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
    /// Who made that invite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inviter: Option<Author>,
    /// How many invites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invites: Option<u32>,
    /// Which device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// New devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Revoked devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<String>,
    /// What was set; nothing else of the room changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<UpdateRoom>,
    /// A removal that forbids to come back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ban: bool,
    /// A removal of all whom they brought, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cascade: bool,
    /// A removal that hides their messages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purge: bool,
    /// Whether it holds: false for what somebody did who was removed by a more senior member before it counted.
    pub counts: bool,
}
