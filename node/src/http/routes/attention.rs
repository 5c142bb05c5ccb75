//! What calls the user, and what of him others see: receipts, typing, levels, drafts, settings.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_api::{Draft, Receipts, Room, SetDraft, SetTyping, Settings, UpdateAttention, UpdateSettings};

use crate::app::App;
use crate::http::error::{ApiError, Body, Reply, Segments};

/// Who has a message of this device, and who read it.
#[utoipa::path(get, path = "/rooms/{room}/messages/{message}/receipts", operation_id = "show_receipts", params(("room" = String, Path), ("message" = String, Path)), responses((status = 200, body = Receipts)))]
pub(crate) async fn receipts(
    State(app): State<App>,
    Segments((room, message)): Segments<(String, String)>,
) -> Reply<Receipts> {
    Ok(Json(app.receipts(&room, &message).await?))
}

/// Say that the user types, or stopped.
#[utoipa::path(post, path = "/rooms/{room}/typing", operation_id = "set_typing", params(("room" = String, Path)), request_body = SetTyping, responses((status = 204)))]
pub(crate) async fn typing(
    State(app): State<App>,
    Segments(room): Segments<String>,
    Body(request): Body<SetTyping>,
) -> Result<StatusCode, ApiError> {
    app.set_typing(&room, request.typing).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change when a room calls, and where it stands in the list. Nobody else learns of it.
#[utoipa::path(patch, path = "/rooms/{room}/attention", operation_id = "update_attention", params(("room" = String, Path)), request_body = UpdateAttention, responses((status = 200, body = Room)))]
pub(crate) async fn attend(
    State(app): State<App>,
    Segments(room): Segments<String>,
    Body(request): Body<UpdateAttention>,
) -> Reply<Room> {
    Ok(Json(app.attend(&room, request).await?))
}

/// What was written and not sent; empty when there is nothing.
#[utoipa::path(get, path = "/rooms/{room}/draft", operation_id = "show_draft", params(("room" = String, Path)), responses((status = 200, body = Draft)))]
pub(crate) async fn draft(State(app): State<App>, Segments(room): Segments<String>) -> Reply<Draft> {
    Ok(Json(app.draft(&room).await?))
}

/// Keep what was written and not sent: durable on this device when the answer comes.
#[utoipa::path(put, path = "/rooms/{room}/draft", operation_id = "set_draft", params(("room" = String, Path)), request_body = SetDraft, responses((status = 200, body = Draft)))]
pub(crate) async fn set_draft(
    State(app): State<App>,
    Segments(room): Segments<String>,
    Body(request): Body<SetDraft>,
) -> Reply<Draft> {
    Ok(Json(app.set_draft(&room, request).await?))
}

/// Take a draft away.
#[utoipa::path(delete, path = "/rooms/{room}/draft", operation_id = "clear_draft", params(("room" = String, Path)), responses((status = 204)))]
pub(crate) async fn clear_draft(
    State(app): State<App>,
    Segments(room): Segments<String>,
) -> Result<StatusCode, ApiError> {
    app.set_draft(&room, SetDraft::default()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What this account shows of itself, and how it wants to be called.
#[utoipa::path(get, path = "/settings", operation_id = "show_settings", responses((status = 200, body = Settings)))]
pub(crate) async fn settings(State(app): State<App>) -> Reply<Settings> {
    Ok(Json(app.settings().await?))
}

/// Change that. It holds for this home, over what its `config.toml` says.
#[utoipa::path(patch, path = "/settings", operation_id = "update_settings", request_body = UpdateSettings, responses((status = 200, body = Settings)))]
pub(crate) async fn update_settings(State(app): State<App>, Body(request): Body<UpdateSettings>) -> Reply<Settings> {
    Ok(Json(app.update_settings(request).await?))
}
