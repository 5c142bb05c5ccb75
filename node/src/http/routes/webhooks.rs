//! Webhooks: programs of the owner that the node calls when messages come.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_api::{CreateWebhook, Webhook};

use crate::app::App;
use crate::http::error::{ApiError, Body, Reply, Segments};

/// The webhooks, and how they do.
#[utoipa::path(get, path = "/webhooks", operation_id = "list_webhooks", responses((status = 200, body = Vec<Webhook>)))]
pub(crate) async fn list(State(app): State<App>) -> Reply<Vec<Webhook>> {
    Ok(Json(app.list_webhooks().await?))
}

/// Make a webhook: every message that comes from now on, or looks otherwise, is sent to its address as a
/// [`WebhookDelivery`](parlor_api::WebhookDelivery), signed, until the receiver answers with a status of 200 to 299. The secret is told once.
#[utoipa::path(post, path = "/webhooks", operation_id = "create_webhook", request_body = CreateWebhook, responses((status = 201, body = Webhook)))]
pub(crate) async fn create(
    State(app): State<App>,
    Body(request): Body<CreateWebhook>,
) -> Result<(StatusCode, Json<Webhook>), ApiError> {
    Ok((StatusCode::CREATED, Json(app.create_webhook(request).await?)))
}

/// Remove a webhook, with what waits for it.
#[utoipa::path(delete, path = "/webhooks/{id}", operation_id = "remove_webhook", params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn remove(State(app): State<App>, Segments(id): Segments<String>) -> Result<StatusCode, ApiError> {
    app.remove_webhook(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a webhook another secret, told once. The one before signs as well for a day.
#[utoipa::path(post, path = "/webhooks/{id}/secret", operation_id = "rotate_webhook", params(("id" = String, Path)), responses((status = 200, body = Webhook)))]
pub(crate) async fn rotate(State(app): State<App>, Segments(id): Segments<String>) -> Reply<Webhook> {
    Ok(Json(app.rotate_webhook(&id).await?))
}

/// Deliver again to a webhook that was given up, or try one at once that fails.
#[utoipa::path(post, path = "/webhooks/{id}/enable", operation_id = "enable_webhook", params(("id" = String, Path)), responses((status = 200, body = Webhook)))]
pub(crate) async fn enable(State(app): State<App>, Segments(id): Segments<String>) -> Reply<Webhook> {
    Ok(Json(app.enable_webhook(&id).await?))
}
