//! The node itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_api::{Diagnosis, Status};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::http::error::{ApiError, Params, Reply};

/// How the node does.
#[utoipa::path(get, path = "/status", responses((status = 200, body = Status)))]
pub(crate) async fn status(State(app): State<App>) -> Reply<Status> {
    Ok(Json(app.status().await?))
}

/// What is asked of the doctor.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DoctorQuery {
    /// Leave out who and where, so that the answer can be handed on.
    #[serde(default)]
    report: bool,
}

/// What is wrong, in words, and what to do about it.
#[utoipa::path(get, path = "/doctor", params(DoctorQuery), responses((status = 200, body = Diagnosis)))]
pub(crate) async fn doctor(State(app): State<App>, Params(query): Params<DoctorQuery>) -> Reply<Diagnosis> {
    Ok(Json(app.doctor(query.report).await?))
}

/// Stop the node. The answer comes before it stops.
#[utoipa::path(post, path = "/stop", responses((status = 202)))]
pub(crate) async fn stop(State(app): State<App>) -> Result<StatusCode, ApiError> {
    app.stop().await?;
    Ok(StatusCode::ACCEPTED)
}
