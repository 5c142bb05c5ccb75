//! Invites, and joining by one.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_api::{
    Code, CreateInvite, Invite, JoinAnswer, JoinProgress, JoinRequest, Problem, RemoveMembers, Removed, Request,
};

use crate::app::App;
use crate::http::error::{ApiError, Body, Reply, Segments};
use crate::http::limits;

/// The invites of a room, newest first, without their links.
#[utoipa::path(get, path = "/rooms/{room}/invites", operation_id = "list_invites", params(("room" = String, Path)), responses((status = 200, body = Vec<Invite>)))]
pub(crate) async fn list(State(app): State<App>, Segments(room): Segments<String>) -> Reply<Vec<Invite>> {
    Ok(Json(app.list_invites(&room).await?))
}

/// Make an invite. Who has its link can join.
#[utoipa::path(post, path = "/rooms/{room}/invites", operation_id = "create_invite", params(("room" = String, Path)), request_body = CreateInvite, responses((status = 201, body = Invite)))]
pub(crate) async fn create(
    State(app): State<App>,
    Segments(room): Segments<String>,
    Body(request): Body<CreateInvite>,
) -> Result<(StatusCode, Json<Invite>), ApiError> {
    Ok((StatusCode::CREATED, Json(app.create_invite(&room, request).await?)))
}

/// Revoke an invite.
#[utoipa::path(delete, path = "/rooms/{room}/invites/{invite}", operation_id = "revoke_invite", params(("room" = String, Path), ("invite" = String, Path)), responses((status = 200, body = Invite)))]
pub(crate) async fn revoke(
    State(app): State<App>,
    Segments((room, invite)): Segments<(String, String)>,
) -> Reply<Invite> {
    Ok(Json(app.revoke_invite(&room, &invite).await?))
}

/// Remove all who came by an invite, and close it.
#[utoipa::path(post, path = "/rooms/{room}/invites/{invite}/remove", operation_id = "remove_joined", params(("room" = String, Path), ("invite" = String, Path)), request_body = RemoveMembers, responses((status = 200, body = Removed)))]
pub(crate) async fn remove_joined(
    State(app): State<App>,
    Segments((room, invite)): Segments<(String, String)>,
    Body(how): Body<RemoveMembers>,
) -> Reply<Removed> {
    Ok(Json(app.remove_joined(&room, &invite, how).await?))
}

/// Who asks to come in and was not answered, the oldest first.
#[utoipa::path(get, path = "/rooms/{room}/requests", operation_id = "list_requests", params(("room" = String, Path)), responses((status = 200, body = Vec<Request>)))]
pub(crate) async fn requests(State(app): State<App>, Segments(room): Segments<String>) -> Reply<Vec<Request>> {
    Ok(Json(app.requests(&room).await?))
}

/// Let somebody in who asked: an account, a unique beginning of one, or `@name`.
#[utoipa::path(post, path = "/rooms/{room}/requests/{who}/approve", operation_id = "approve_request", params(("room" = String, Path), ("who" = String, Path)), responses((status = 200, body = Request)))]
pub(crate) async fn approve(
    State(app): State<App>,
    Segments((room, who)): Segments<(String, String)>,
) -> Reply<Request> {
    Ok(Json(app.approve(&room, &who).await?))
}

/// Say no to somebody who asked.
#[utoipa::path(post, path = "/rooms/{room}/requests/{who}/refuse", operation_id = "refuse_request", params(("room" = String, Path), ("who" = String, Path)), responses((status = 200, body = Request)))]
pub(crate) async fn refuse(
    State(app): State<App>,
    Segments((room, who)): Segments<(String, String)>,
) -> Reply<Request> {
    Ok(Json(app.refuse(&room, &who).await?))
}

/// Join by a link. Answers when the room can be read and posted to, or when the time is over.
#[utoipa::path(post, path = "/join", operation_id = "join", request_body = JoinRequest, responses((status = 200, body = JoinAnswer)))]
pub(crate) async fn join(State(app): State<App>, Body(mut request): Body<JoinRequest>) -> Reply<JoinAnswer> {
    request.timeout = request.timeout.clamp(1, JoinRequest::TIMEOUT_MAX);
    // The node keeps the time itself; this only makes sure that a client gets an answer.
    let limit = Duration::from_secs(request.timeout) + limits::HANDLE_TIME;
    let joined = tokio::time::timeout(limit, app.join(request)).await;
    Ok(Json(joined.map_err(|_| Problem::of(Code::TimedOut))??))
}

/// Cancel a join that waits, or clear how one ended. Answers what was told of it before.
#[utoipa::path(delete, path = "/joins/{room}", operation_id = "cancel_join", params(("room" = String, Path)), responses((status = 200, body = JoinProgress)))]
pub(crate) async fn cancel_join(State(app): State<App>, Segments(room): Segments<String>) -> Reply<JoinProgress> {
    Ok(Json(app.cancel_join(&room).await?))
}
