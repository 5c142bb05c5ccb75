//! Export of a room.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Message;

/// The version of exports that this program writes and reads.
pub const EXPORT_VERSION: u32 = 1;

/// A stretch of an export: `GET /rooms/{room}/export`. Control events come first, then messages, each in an order in which nothing
/// stands before what it follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExportPage {
    /// What it is of.
    pub about: ExportHead,
    /// Control events, as their authors signed them, in base64 (URL alphabet, without padding).
    pub control: Vec<String>,
    /// Messages and what was said about them.
    pub events: Vec<ExportedEvent>,
    /// Where the next stretch begins; nothing behind the last.
    pub next: Option<String>,
}

/// What an export is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportHead {
    /// The version of the form: [`EXPORT_VERSION`].
    pub parlor_export: u32,
    /// The room.
    pub room: String,
    /// As this account calls it.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Whose export it is.
    pub account: String,
    /// His name.
    pub by: String,
    /// When it was made.
    pub exported_at: String,
}

/// An event of a message log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExportedEvent {
    /// As its author signed it, in base64.
    pub event: String,
    /// The key that opens it, in base64; missing if it is not known, or the message was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What windows show of it, if it is a message that is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
}
