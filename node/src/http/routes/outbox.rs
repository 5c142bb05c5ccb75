//! The outbox: own messages that nobody else holds yet.

use axum::Json;
use axum::extract::State;
use parlor_api::{OutboxAnswer, OutboxEntry};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::http::error::{Body, Reply};

/// Which message.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutboxTarget {
    /// Its id or a unique prefix; all when absent.
    #[serde(default)]
    message: Option<String>,
}

/// What waits, oldest first.
#[utoipa::path(get, path = "/outbox", operation_id = "list_outbox", responses((status = 200, body = Vec<OutboxEntry>)))]
pub(crate) async fn list(State(app): State<App>) -> Reply<Vec<OutboxEntry>> {
    Ok(Json(app.outbox().await?))
}

/// Try now.
#[utoipa::path(post, path = "/outbox/retry", operation_id = "retry_outbox", request_body = OutboxTarget, responses((status = 200, body = OutboxAnswer)))]
pub(crate) async fn retry(State(app): State<App>, Body(target): Body<OutboxTarget>) -> Reply<OutboxAnswer> {
    Ok(Json(app.retry(target.message.as_deref()).await?))
}

/// Take out what is not written into its room yet, or failed. What is written goes out by itself.
#[utoipa::path(post, path = "/outbox/discard", operation_id = "discard_outbox", request_body = OutboxTarget, responses((status = 200, body = OutboxAnswer)))]
pub(crate) async fn discard(State(app): State<App>, Body(target): Body<OutboxTarget>) -> Reply<OutboxAnswer> {
    Ok(Json(app.discard(target.message.as_deref()).await?))
}
