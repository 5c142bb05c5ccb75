//! What calls somebody and what he shows of himself: unread counts, levels, drafts, receipts, typing, notifications, settings.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is known of one message and every other member: `GET /rooms/{room}/messages/{message}/receipts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipts {
    /// The message.
    pub message: String,
    /// Its room.
    pub room: String,
    /// The other members, by name.
    pub people: Vec<Receipt>,
}

/// How far a message came with one other member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// Account id.
    pub account: String,
    /// Name, as written by the member: neutralise before showing it on a terminal.
    pub name: String,
    /// Whether a device of his has stored it durably.
    pub delivered: bool,
    /// At the latest then; after a restart of this node that may be later than it was.
    pub delivered_at: Option<String>,
    /// Whether he read it and lets others know.
    pub read: bool,
    /// At the latest then.
    pub read_at: Option<String>,
}

/// Which messages of a room call somebody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Calls {
    /// Every message of others.
    #[default]
    All,
    /// Those that mention this account.
    Mentions,
    /// None.
    None,
}

impl Calls {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Mentions => "mentions",
            Self::None => "none",
        }
    }
}

/// How this account wants to hear of a room. Nobody else learns of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attention {
    /// Which messages call.
    pub level: Calls,
    /// Whether it is muted now: then none do.
    pub muted: bool,
    /// When that ends; absent when it does not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<String>,
    /// Whether it was put away from the list.
    pub archived: bool,
    /// Whether it stands at the head of the list.
    pub pinned: bool,
}

/// A change of that: `PATCH /rooms/{room}/attention`. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAttention {
    /// Which messages call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Calls>,
    /// Mute it, or end that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<bool>,
    /// With `muted`: for so many seconds; for good when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute_for: Option<u64>,
    /// Put it away from the list, or take it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Put it at the head of the list, or take it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
}

/// What waits to be read in a room: in the list, in the room, and as the event `unread` whenever it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unread {
    /// The room.
    pub room: String,
    /// Messages of others that were not read.
    pub unread: u64,
    /// Those of them that mention this account.
    pub mentions: u64,
    /// The oldest of them.
    pub first_unread: Option<String>,
    /// Its place, as a cursor for the history.
    pub first_unread_order: Option<String>,
    /// The message the read marker stands on.
    pub read_up_to: Option<String>,
    /// How this account wants to hear of the room.
    pub attention: Attention,
}

/// What was written and not sent: `GET /rooms/{room}/draft`, and the event `draft` whenever it changes. Empty when there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Draft {
    /// The room.
    pub room: String,
    /// The text; empty when there is no draft.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<String>,
    /// Files that would go with it: `hash` names each for `files` of a message to send. One that was forgotten is not among them.
    pub files: Vec<crate::File>,
    /// When it was written; absent when there is none.
    pub updated_at: Option<String>,
}

/// A draft to keep: `PUT /rooms/{room}/draft`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetDraft {
    /// The text, at most [`TEXT_MAX`](crate::TEXT_MAX) bytes; an empty one without files takes the draft away.
    pub text: String,
    /// Files taken by `POST /files`, at most eight, as their answers name them. Kept for as long as a draft has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
}

/// "I type": `POST /rooms/{room}/typing`, again every few seconds while it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTyping {
    /// Whether the user types.
    pub typing: bool,
}

/// Whether somebody is there, as far as he lets others know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Connected to us.
    Online,
    /// Connected, and says that he is away.
    Away,
    /// Not connected to us, or does not want to be shown.
    #[default]
    Offline,
}

/// How others see this account while its node is connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stance {
    /// As online.
    #[default]
    Here,
    /// As away.
    Away,
    /// As offline.
    Hidden,
}

impl Stance {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Away => "away",
            Self::Hidden => "hidden",
        }
    }
}

/// What a notification tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Notify {
    /// There are none.
    Off,
    /// How many messages came, and nothing else.
    #[default]
    Count,
    /// Also in which room, and of whom.
    Names,
    /// Also what they say.
    Text,
}

impl Notify {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Count => "count",
            Self::Names => "names",
            Self::Text => "text",
        }
    }
}

/// What this account shows of itself, and how it wants to be called: `GET /settings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// Whether authors learn that we read their messages.
    pub receipts: bool,
    /// Whether others see that we type.
    pub typing: bool,
    /// How others see us while we are connected.
    pub presence: Stance,
    /// What notifications tell.
    pub notify: Notify,
    /// Hours without notifications, `22:00-07:00` by the clock of this machine; absent when there are none.
    pub quiet: Option<String>,
}

/// A change of settings: `PATCH /settings`. What is absent stays. It holds for this home, over what `config.toml` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSettings {
    /// Whether authors learn that we read their messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<bool>,
    /// Whether others see that we type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typing: Option<bool>,
    /// How others see us while we are connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Stance>,
    /// What notifications tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// Hours without notifications, `22:00-07:00`; `off` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<String>,
}

/// Something calls: messages that nobody read yet, gathered. What is in it goes as far as the settings let it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notification {
    /// The room, when all are of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The newest message, when all are of one room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How many messages.
    pub count: u64,
    /// How many of them mention this account.
    pub mentions: u64,
    /// The first line, neutral.
    pub title: String,
    /// The rest, neutral; may be empty.
    pub body: String,
}
