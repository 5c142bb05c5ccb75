//! The node itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_api::Status;

use crate::app::App;
use crate::http::error::{ApiError, Reply};

/// How the node does.
#[utoipa::path(get, path = "/status", responses((status = 200, body = Status)))]
pub(crate) async fn status(State(app): State<App>) -> Reply<Status> {
    Ok(Json(app.status().await?))
}

/// Stop the node. The answer comes before it stops.
#[utoipa::path(post, path = "/stop", responses((status = 202)))]
pub(crate) async fn stop(State(app): State<App>) -> Result<StatusCode, ApiError> {
    app.stop().await?;
    Ok(StatusCode::ACCEPTED)
}
