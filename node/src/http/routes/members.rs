//! Roles, removals and bans. `{who}` is an account, a unique prefix of one, or `@name` in the room.

use axum::Json;
use axum::extract::State;
use parlor_api::{Banned, Member, RemoveMembers, Removed, SetRole};

use crate::app::App;
use crate::http::error::{Body, Reply, Segments};

/// Give somebody a role.
#[utoipa::path(put, path = "/rooms/{room}/members/{who}/role", operation_id = "set_role", params(("room" = String, Path), ("who" = String, Path)), request_body = SetRole, responses((status = 200, body = Member)))]
pub(crate) async fn set_role(
    State(app): State<App>,
    Segments((room, who)): Segments<(String, String)>,
    Body(wanted): Body<SetRole>,
) -> Reply<Member> {
    Ok(Json(app.set_role(&room, &who, wanted).await?))
}

/// Remove a member. Nothing that is written after the answer can be read by him.
#[utoipa::path(post, path = "/rooms/{room}/members/{who}/remove", operation_id = "remove_member", params(("room" = String, Path), ("who" = String, Path)), request_body = RemoveMembers, responses((status = 200, body = Removed)))]
pub(crate) async fn remove(
    State(app): State<App>,
    Segments((room, who)): Segments<(String, String)>,
    Body(how): Body<RemoveMembers>,
) -> Reply<Removed> {
    Ok(Json(app.remove_member(&room, &who, how, false).await?))
}

/// Remove a member, who may not come back until the ban is lifted.
#[utoipa::path(post, path = "/rooms/{room}/members/{who}/ban", operation_id = "ban_member", params(("room" = String, Path), ("who" = String, Path)), request_body = RemoveMembers, responses((status = 200, body = Removed)))]
pub(crate) async fn ban(
    State(app): State<App>,
    Segments((room, who)): Segments<(String, String)>,
    Body(how): Body<RemoveMembers>,
) -> Reply<Removed> {
    Ok(Json(app.remove_member(&room, &who, how, true).await?))
}

/// Lift a ban. Whoever was banned needs an invite or a role to come back.
#[utoipa::path(post, path = "/rooms/{room}/members/{who}/unban", operation_id = "unban_member", params(("room" = String, Path), ("who" = String, Path)), responses((status = 200, body = Banned)))]
pub(crate) async fn unban(State(app): State<App>, Segments((room, who)): Segments<(String, String)>) -> Reply<Banned> {
    Ok(Json(app.unban(&room, &who).await?))
}
