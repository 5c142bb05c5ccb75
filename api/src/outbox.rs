//! The outbox: own messages that nobody else holds yet.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::MessageStatus;

/// A message that waits: `GET /outbox`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutboxEntry {
    /// Id of the message.
    pub message: String,
    /// The room it is for.
    pub room: String,
    /// What it is.
    #[serde(default)]
    pub kind: OutboxKind,
    /// What it says: the beginning of a text, names of files, a question, an emoji. Empty where it says nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The message that it is about, such as the one that an edit changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next; absent when it waits for somebody to come.
    pub next_attempt: Option<String>,
    /// Why it waits or failed, for people.
    pub reason: Option<String>,
    /// The same as a code that never changes, for windows in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// `queued` or `failed`.
    pub status: MessageStatus,
    /// When it was written.
    pub queued_at: String,
}

/// What waits in the outbox. New ones may appear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutboxKind {
    /// A message.
    Text,
    /// A message with files.
    File,
    /// A poll.
    Poll,
    /// An invitation into a group.
    Invitation,
    /// Another text for a message.
    Edit,
    /// That a message is taken back.
    Deletion,
    /// An emoji is put on a message,
    Reaction,
    /// or taken off.
    ReactionOff,
    /// Answers chosen in a poll.
    Vote,
    /// A message is pinned,
    Pin,
    /// or not any more.
    PinOff,
    /// Something this version does not know, or that can not be read.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What a retry or discard touched: `POST /outbox/retry`, `POST /outbox/discard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutboxAnswer {
    /// Ids of the messages.
    pub messages: Vec<String>,
}
