//! Rooms and their members.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Attention, Banned, Gone, Message, Past, Policy, Presence, Standing};

/// What kind of room it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoomKind {
    /// Every member may write.
    Group,
    /// Only owners, admins and moderators write.
    Channel,
    /// Two accounts.
    Direct,
}

/// What somebody who joins gets to read of the time before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// Everything from the beginning.
    Shared,
    /// Nothing: only what is written after joining.
    FromJoin,
}

/// What a member is in a room; stronger first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May do everything, and can be removed by no junior.
    Owner,
    /// Manages members and settings.
    Admin,
    /// Keeps order.
    Moderator,
    /// Writes and reads.
    Member,
    /// Reads.
    Observer,
}

impl Role {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Moderator => "moderator",
            Self::Member => "member",
            Self::Observer => "observer",
        }
    }
}

/// A room to make: `POST /rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRoom {
    /// Its name, 1 to 128 bytes without control characters.
    pub name: String,
    /// What kind; a group when not said.
    #[serde(default = "CreateRoom::default_kind")]
    pub kind: RoomKind,
    /// What newcomers read; everything when not said.
    #[serde(default = "CreateRoom::default_history")]
    pub history: History,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Messages disappear after so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Relays that keep mailboxes for it, as multiaddresses with a peer id, at most four; when not said, the relays of the
    /// node that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailboxes: Option<Vec<String>>,
}

impl CreateRoom {
    /// A group of this name with shared history.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: RoomKind::Group,
            history: History::Shared,
            about: None,
            ttl: None,
            mailboxes: None,
        }
    }

    fn default_kind() -> RoomKind {
        RoomKind::Group
    }

    fn default_history() -> History {
        History::Shared
    }
}

/// What to change of a room; what is absent stays: `PATCH /rooms/{room}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateRoom {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New description; empty text takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Messages disappear after so many seconds; 0 switches that off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// What newcomers read, of what is written from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// Relays that keep mailboxes for it from now on, as multiaddresses with a peer id, at most four; an empty list takes
    /// all away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailboxes: Option<Vec<String>>,
}

/// A room of the list: `GET /rooms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RoomItem {
    /// Id.
    pub room: String,
    /// Name, as written by a member: neutralise before showing it on a terminal.
    pub name: String,
    /// What kind.
    pub kind: RoomKind,
    /// What we are in it.
    pub role: Standing,
    /// How we came out of it, if we did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Gone>,
    /// Messages of others that were not read.
    pub unread: u64,
    /// Those of them that mention this account.
    #[serde(default)]
    pub mentions: u64,
    /// The oldest message that was not read.
    #[serde(default)]
    pub first_unread: Option<String>,
    /// Its place, as a cursor for the history.
    #[serde(default)]
    pub first_unread_order: Option<String>,
    /// How this account wants to hear of the room.
    #[serde(default)]
    pub attention: Attention,
    /// Whether something was written and not sent.
    #[serde(default)]
    pub draft: bool,
    /// How many accounts are members.
    pub members: u32,
    /// The newest message we hold.
    pub last_message: Option<Message>,
    /// Why the room can not be read, if something of it on the disk is damaged: nothing of it is here then, and of the other fields
    /// only the id is sure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged: Option<String>,
}

/// One room in full: `GET /rooms/{room}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Room {
    /// Id.
    pub room: String,
    /// Name, as written by a member: neutralise before showing it on a terminal.
    pub name: String,
    /// What it is about; may be empty.
    pub about: String,
    /// What kind.
    pub kind: RoomKind,
    /// What newcomers read.
    pub history: History,
    /// What newcomers read of the time before they came, by an invite that says nothing else.
    #[serde(default)]
    pub past: Past,
    /// Messages disappear after so many seconds.
    pub ttl: Option<u64>,
    /// What we are in it.
    pub role: Standing,
    /// How we came out of it, if we did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Gone>,
    /// How many accounts are members.
    pub members: u32,
    /// How many of them have a device connected to us now, without us.
    pub online: u32,
    /// Messages of others that were not read.
    pub unread: u64,
    /// Those of them that mention this account.
    #[serde(default)]
    pub mentions: u64,
    /// The oldest message that was not read.
    #[serde(default)]
    pub first_unread: Option<String>,
    /// Its place, as a cursor for the history.
    #[serde(default)]
    pub first_unread_order: Option<String>,
    /// How this account wants to hear of the room.
    #[serde(default)]
    pub attention: Attention,
    /// Whether something was written and not sent.
    #[serde(default)]
    pub draft: bool,
    /// Messages we know of and do not hold.
    #[serde(default)]
    pub missing: u64,
    /// Of the newest messages so many are shown early, before those between are here.
    #[serde(default)]
    pub early: u32,
    /// The message our read marker stands on.
    pub read_up_to: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// The newest message we hold.
    pub last_message: Option<Message>,
    /// The rules beside the roles.
    pub policy: Policy,
    /// Who may not come back.
    pub banned: Vec<Banned>,
    /// The epoch that is written under: the beginning of its id; absent while there is none.
    pub epoch: Option<String>,
    /// Whether what is written now can be read by exactly the members.
    pub safe: bool,
    /// Why not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// The same as a code that never changes, for windows in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not_code: Option<String>,
    /// The relays that keep mailboxes for it, as multiaddresses with a peer id.
    #[serde(default)]
    pub mailboxes: Vec<String>,
    /// The members with their devices, strongest role first.
    pub people: Vec<Member>,
    /// How many guests of instant invites hold the keys too: whoever has the link of such an invite reads as one of them, until
    /// it is used up, over or revoked.
    #[serde(default)]
    pub guests: u32,
    /// Ids of the last events about who may do what, and keys: those nothing is built on yet.
    pub control_frontier: Vec<String>,
    /// Equal on all nodes that see the same members and events: compare it when in doubt. Connected members do so by themselves.
    pub fingerprint: String,
    /// Members whose node holds the same events and sees another room in them: one of both is wrong, or lies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split_views: Vec<SplitView>,
}

/// A member's device that sees another room in the same events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SplitView {
    /// Whose.
    pub who: crate::Author,
    /// Which device.
    pub device: String,
    /// The same for people, as a whole sentence without full stop.
    pub text: String,
}

/// A member of a room: `GET /rooms/{room}/members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Account id.
    pub account: String,
    /// Name, as written by the member: neutralise before showing it on a terminal.
    pub name: String,
    /// What he is in the room.
    pub role: Role,
    /// When he became a member.
    pub joined_at: String,
    /// Whether one of his devices is connected to us now, or it is we.
    pub online: bool,
    /// The same with more words, as far as he lets others know.
    #[serde(default)]
    pub presence: Presence,
    /// His devices that count.
    pub devices: Vec<Device>,
    /// Nothing was ever heard of a device of his in this room: he was given his role, or let in, and his node has not come. It gets the
    /// room when he uses a link.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_here_yet: bool,
    /// Whether his safety number was compared.
    pub verified: bool,
    /// His picture, if he lets us see one: `GET /pictures/{hash}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// What he says about himself, if he lets us see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// When he did something last, rounded down to ten minutes, if he lets us see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Whether this is the account of this home.
    pub me: bool,
    /// Whether he may invite, and how far; absent if he may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_invite: Option<crate::MayInvite>,
    /// Who invited him, or gave him his role; absent for the first owners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<crate::Author>,
    /// The invite he came by, if he came by one and has no other role since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// A device of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// Device id.
    pub device: String,
    /// Its name; may be empty.
    pub name: String,
    /// Whether it is connected to us now, or it is ours.
    pub online: bool,
    /// Whether it wrote two different things in one place: it was copied, or it cheats.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub contradicts_itself: bool,
}
