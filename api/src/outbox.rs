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

/// What a retry or discard touched: `POST /outbox/retry`, `POST /outbox/discard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutboxAnswer {
    /// Ids of the messages.
    pub messages: Vec<String>,
}
