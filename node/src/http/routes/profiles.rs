//! Profiles. `{who}` is a contact, an account, a unique beginning of one, or `@name`.

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use parlor_api::{OwnProfile, Profile, UpdateProfile, Visible};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::http::error::{ApiError, Body, Params, Reply, Segments, read_body};
use crate::http::tokens::{Grant, Who};

/// Who may see a picture.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PictureQuery {
    /// Who may see it; as before when not said, and everybody in our rooms if there was never one.
    visible: Option<Visible>,
}

/// Our own profile: what it says, and who may see what.
#[utoipa::path(get, path = "/profile", operation_id = "show_own_profile", responses((status = 200, body = OwnProfile)))]
pub(crate) async fn own(State(app): State<App>) -> Reply<OwnProfile> {
    Ok(Json(app.own_profile().await?))
}

/// Change it. What is said for fewer people than before is told to the others no more: no later version opens for them.
#[utoipa::path(patch, path = "/profile", operation_id = "update_profile", request_body = UpdateProfile, responses((status = 200, body = OwnProfile)))]
pub(crate) async fn update(State(app): State<App>, Body(request): Body<UpdateProfile>) -> Reply<OwnProfile> {
    Ok(Json(app.update_profile(request).await?))
}

/// Set our picture: the body is a PNG or JPEG of up to 16 MiB. Its middle is made small; nothing beside the picture is kept.
#[utoipa::path(put, path = "/profile/picture", operation_id = "set_profile_picture", params(PictureQuery), request_body(content = Vec<u8>, content_type = "image/jpeg"), responses((status = 200, body = OwnProfile)))]
pub(crate) async fn set_picture(
    State(app): State<App>,
    Params(query): Params<PictureQuery>,
    request: Request,
) -> Reply<OwnProfile> {
    let bytes = read_body(request, parlor_api::PICTURE_MAX).await?;
    Ok(Json(app.set_profile_picture(Some(bytes.to_vec()), query.visible).await?))
}

/// Take our picture away.
#[utoipa::path(delete, path = "/profile/picture", operation_id = "remove_profile_picture", responses((status = 200, body = OwnProfile)))]
pub(crate) async fn remove_picture(State(app): State<App>) -> Reply<OwnProfile> {
    Ok(Json(app.set_profile_picture(None, None).await?))
}

/// Ours, and those of everybody who tells us something of himself. Changes come as events `profile`.
#[utoipa::path(get, path = "/profiles", operation_id = "list_profiles", responses((status = 200, body = Vec<Profile>)))]
pub(crate) async fn list(State(app): State<App>) -> Reply<Vec<Profile>> {
    Ok(Json(app.profiles().await?))
}

/// What somebody tells us of himself.
#[utoipa::path(get, path = "/profiles/{who}", operation_id = "show_profile", params(("who" = String, Path)), responses((status = 200, body = Profile)))]
pub(crate) async fn show(State(app): State<App>, Segments(who): Segments<String>) -> Reply<Profile> {
    Ok(Json(app.profile(&who).await?))
}

/// A picture of somebody, by the hash that profiles and members name: checked, and made anew here. The bytes of a hash never change.
#[utoipa::path(get, path = "/pictures/{hash}", operation_id = "show_picture", params(("hash" = String, Path)), responses((status = 200, content_type = "image/jpeg")))]
pub(crate) async fn picture(State(app): State<App>, Segments(hash): Segments<String>) -> Result<Response, ApiError> {
    let picture = app.picture(hash).await?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], picture).into_response())
}

/// Notes that a person does something; what scripts do says nothing of whoever runs them.
pub(super) async fn act(
    State(app): State<App>,
    Extension(grant): Extension<Grant>,
    request: Request,
    next: Next,
) -> Response {
    if !matches!(grant.who, Who::Script(_)) {
        app.act();
    }
    next.run(request).await
}
