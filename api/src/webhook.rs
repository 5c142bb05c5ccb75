//! Webhooks: the node calls a program of its owner.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Message;

/// A webhook to make: `POST /webhooks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWebhook {
    /// What it is for, 1 to 64 bytes.
    pub name: String,
    /// Where to: `https://…` or `http://…`, at most 2,048 bytes, without a name and password in it.
    pub url: String,
    /// Only messages of these rooms, 1 to 64; of all when absent. An id, a unique beginning of one, or a unique name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rooms: Option<Vec<String>>,
}

/// How a webhook does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebhookState {
    /// What was delivered last was taken, or nothing was yet.
    Working,
    /// The receiver does not take what is delivered: it is tried again.
    Failing,
    /// It failed for so long, or the receiver said that it is gone: nothing is delivered until it is enabled.
    Disabled,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    /// Its short id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// Where to.
    pub url: String,
    /// The ids of the rooms it is for; empty for all.
    pub rooms: Vec<String>,
    /// What deliveries are signed with: only in the answer to making it, and to changing the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// How it does.
    pub state: WebhookState,
    /// How many messages wait to be delivered, as far as they are counted.
    pub pending: u64,
    /// Whether more wait than were counted.
    #[serde(default)]
    pub pending_more: bool,
    /// How many were delivered since it was made.
    pub delivered: u64,
    /// How often the delivery that is due failed in a row.
    pub failures: u32,
    /// Why the last one failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Since when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<String>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<String>,
    /// When it was made.
    pub made_at: String,
}

/// What happened in a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WebhookDelivery {
    /// Names the delivery: the same when it is repeated, so that a receiver can drop what it had. Also in the header
    /// `Parlor-Delivery`.
    pub delivery: String,
    /// Which webhook.
    pub webhook: String,
    /// `message`, `message.updated`, or `gap`: some messages were not kept for this webhook, read the history.
    pub event: String,
    /// The message as it is now; none of a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<Message>>,
}

/// A webhook does otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookChanged {
    /// Which.
    pub webhook: String,
    /// What it is for.
    pub name: String,
    /// How it does now.
    pub state: WebhookState,
    /// Why, if it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}
