//! The devices of this account. `{device}` is an id, a unique prefix of one, or a name.

use axum::Json;
use axum::extract::State;
use parlor_api::{OwnDevice, RevokedDevice};

use crate::app::App;
use crate::http::error::{Reply, Segments};

/// The devices, this one first.
#[utoipa::path(get, path = "/devices", operation_id = "list_devices", responses((status = 200, body = Vec<OwnDevice>)))]
pub(crate) async fn list(State(app): State<App>) -> Reply<Vec<OwnDevice>> {
    Ok(Json(app.devices().await?))
}

/// A device that came is the user's: no warning about it any more.
#[utoipa::path(post, path = "/devices/{device}/confirm", operation_id = "confirm_device", params(("device" = String, Path)), responses((status = 200, body = OwnDevice)))]
pub(crate) async fn confirm(State(app): State<App>, Segments(device): Segments<String>) -> Reply<OwnDevice> {
    Ok(Json(app.confirm_device(&device).await?))
}

/// Revoke a device in all rooms. Nothing that is written after the answer can be read with it.
#[utoipa::path(post, path = "/devices/{device}/revoke", operation_id = "revoke_device", params(("device" = String, Path)), responses((status = 200, body = RevokedDevice)))]
pub(crate) async fn revoke(State(app): State<App>, Segments(device): Segments<String>) -> Reply<RevokedDevice> {
    Ok(Json(app.revoke_device(&device).await?))
}
