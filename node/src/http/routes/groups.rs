//! Group chats with several people at once, and invitations into such groups.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_api::{Code, GroupChat, GroupInvitation, JoinAnswer, OpenGroup, Problem};

use crate::app::App;
use crate::http::error::{ApiError, Body, Reply, Segments};
use crate::http::limits;
use crate::limits::CONTACT_KEY_WAIT;
use crate::services::names::PATIENCE;

/// Open the group chat with several people, and write into it: the first one of the same people, or a new one. Each is invited in
/// the direct chat with him, and his node comes in by itself.
#[utoipa::path(post, path = "/groups", operation_id = "open_group", request_body = OpenGroup, responses((status = 200, body = GroupChat)))]
pub(crate) async fn open(State(app): State<App>, Body(request): Body<OpenGroup>) -> Reply<GroupChat> {
    let limit: Duration = PATIENCE + CONTACT_KEY_WAIT + limits::HANDLE_TIME;
    let opened = tokio::time::timeout(limit, app.open_group(request)).await;
    Ok(Json(opened.map_err(|_| Problem::of(Code::TimedOut))??))
}

/// The invitations into groups that wait for a word, newest first. Those of contacts are taken without.
#[utoipa::path(get, path = "/groups", operation_id = "list_group_invitations", responses((status = 200, body = Vec<GroupInvitation>)))]
pub(crate) async fn list(State(app): State<App>) -> Reply<Vec<GroupInvitation>> {
    Ok(Json(app.group_invitations().await?))
}

/// Come in by an invitation that waits. The answer does not wait for that: a `room` event tells of it.
#[utoipa::path(post, path = "/groups/{invitation}/accept", operation_id = "accept_group", params(("invitation" = String, Path)), responses((status = 200, body = JoinAnswer)))]
pub(crate) async fn accept(State(app): State<App>, Segments(invitation): Segments<String>) -> Reply<JoinAnswer> {
    Ok(Json(app.accept_group(&invitation).await?))
}

/// Forget an invitation that waits. Nobody is told.
#[utoipa::path(post, path = "/groups/{invitation}/refuse", operation_id = "refuse_group", params(("invitation" = String, Path)), responses((status = 204)))]
pub(crate) async fn refuse(
    State(app): State<App>,
    Segments(invitation): Segments<String>,
) -> Result<StatusCode, ApiError> {
    app.refuse_group(&invitation).await?;
    Ok(StatusCode::NO_CONTENT)
}
