//! Rooms and their members. `{room}` is an id, a unique id prefix or a unique name.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use parlor_api::{CreateRoom, Member, Room, RoomItem, UpdateRoom};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::http::error::{ApiError, Body, Params, Reply, Segments};
use crate::http::tokens::Grant;

/// The rooms of this account that the token may see, that with the newest message first.
#[utoipa::path(get, path = "/rooms", operation_id = "list_rooms", responses((status = 200, body = Vec<RoomItem>)))]
pub(crate) async fn list(State(app): State<App>, Extension(grant): Extension<Grant>) -> Reply<Vec<RoomItem>> {
    let mut rooms = app.list_rooms().await?;
    rooms.retain(|room| grant.is_for(&room.room));
    Ok(Json(rooms))
}

/// Make a room.
#[utoipa::path(post, path = "/rooms", operation_id = "create_room", request_body = CreateRoom, responses((status = 201, body = Room)))]
pub(crate) async fn create(
    State(app): State<App>,
    Body(request): Body<CreateRoom>,
) -> Result<(StatusCode, Json<Room>), ApiError> {
    Ok((StatusCode::CREATED, Json(app.create_room(request).await?)))
}

/// One room.
#[utoipa::path(get, path = "/rooms/{room}", operation_id = "show_room", params(("room" = String, Path)), responses((status = 200, body = Room)))]
pub(crate) async fn show(State(app): State<App>, Segments(room): Segments<String>) -> Reply<Room> {
    Ok(Json(app.room(&room).await?))
}

/// Change name, description or settings.
#[utoipa::path(patch, path = "/rooms/{room}", operation_id = "update_room", params(("room" = String, Path)), request_body = UpdateRoom, responses((status = 200, body = Room)))]
pub(crate) async fn update(
    State(app): State<App>,
    Segments(room): Segments<String>,
    Body(request): Body<UpdateRoom>,
) -> Reply<Room> {
    Ok(Json(app.update_room(&room, request).await?))
}

/// How to leave.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaveQuery {
    /// Leave although no owner would be left.
    #[serde(default)]
    force: bool,
}

/// Leave a room. The only owner is refused while there are other members, unless `force` is said.
#[utoipa::path(post, path = "/rooms/{room}/leave", operation_id = "leave_room", params(("room" = String, Path), LeaveQuery), responses((status = 204)))]
pub(crate) async fn leave(
    State(app): State<App>,
    Segments(room): Segments<String>,
    Params(query): Params<LeaveQuery>,
) -> Result<StatusCode, ApiError> {
    app.leave_room(&room, query.force).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The members of a room, strongest role first.
#[utoipa::path(get, path = "/rooms/{room}/members", operation_id = "list_members", params(("room" = String, Path)), responses((status = 200, body = Vec<Member>)))]
pub(crate) async fn members(State(app): State<App>, Segments(room): Segments<String>) -> Reply<Vec<Member>> {
    Ok(Json(app.members(&room).await?))
}
