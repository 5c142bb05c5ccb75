//! Tokens of scripts, and links for what can send no header.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use parlor_api::{ApiToken, Code, CreateToken, PREFIX, Problem, Scope, SignLinks, SignedLinks, WhoAsks};

use super::Api;
use crate::http::error::{ApiError, Body, Reply, Segments};
use crate::http::limits;
use crate::http::tokens::{Grant, NewToken, Who, with_those_below};

/// The tokens of scripts, the oldest first.
#[utoipa::path(get, path = "/tokens", operation_id = "list_tokens", responses((status = 200, body = Vec<ApiToken>)))]
pub(crate) async fn list(State(api): State<Api>) -> Json<Vec<ApiToken>> {
    Json(api.tokens.scripts())
}

/// Make a token for a script or bot. The token itself is in this answer only; it is kept as its hash.
#[utoipa::path(post, path = "/tokens", operation_id = "create_token", request_body = CreateToken, responses((status = 201, body = ApiToken)))]
pub(crate) async fn create(
    State(api): State<Api>,
    Body(request): Body<CreateToken>,
) -> Result<(StatusCode, Json<ApiToken>), ApiError> {
    let scope = request.scope.iter().copied().max().unwrap_or(Scope::Read);
    // A list that came out empty by mistake is not to mean all.
    if request.rooms.as_ref().is_some_and(|rooms| rooms.is_empty() || rooms.len() > limits::TOKEN_ROOMS) {
        return Err(Problem::new(Code::BadRequest, "a token is for 1 to 64 rooms, or without `rooms` for all").into());
    }
    let mut rooms = BTreeSet::new();
    for room in request.rooms.iter().flatten() {
        rooms.insert(api.app.find_room(room).await?.to_string());
    }
    let new = NewToken { name: request.name, scope, rooms: rooms.into_iter().collect() };
    Ok((StatusCode::CREATED, Json(api.tokens.make(api.app.store(), new).await?)))
}

/// Revoke a token: it is refused from now on, and what it follows ends.
#[utoipa::path(delete, path = "/tokens/{id}", operation_id = "revoke_token", params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn revoke(State(api): State<Api>, Segments(id): Segments<String>) -> Result<StatusCode, ApiError> {
    api.tokens.revoke(api.app.store(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who asks: what the token allows that this is asked with, and whose node it is.
#[utoipa::path(get, path = "/tokens/self", operation_id = "show_own_token", responses((status = 200, body = WhoAsks)))]
pub(crate) async fn own(State(api): State<Api>, Extension(grant): Extension<Grant>) -> Reply<WhoAsks> {
    let ready = api.app.ready().await?;
    let id = match &grant.who {
        Who::Home => "home".to_owned(),
        Who::Session(id) | Who::Script(id) => id.clone(),
    };
    let (scope, rooms) = (with_those_below(grant.scope), grant.rooms());
    Ok(Json(WhoAsks { id, scope, rooms, account: ready.account, account_name: ready.name }))
}

/// Links for images, films and downloads, which can send no token: each path with a signature behind that opens it for a quarter of
/// an hour, as long as whoever asked may see it.
#[utoipa::path(post, path = "/links", operation_id = "sign_links", request_body = SignLinks, responses((status = 200, body = SignedLinks)))]
pub(crate) async fn sign(
    State(api): State<Api>,
    Extension(grant): Extension<Grant>,
    Body(request): Body<SignLinks>,
) -> Reply<SignedLinks> {
    if request.paths.len() > limits::LINKS_MAX {
        let detail = format!("at most {} links are signed at once", limits::LINKS_MAX);
        return Err(Problem::new(Code::BadRequest, detail).into());
    }
    let mut links = Vec::with_capacity(request.paths.len());
    for path in &request.paths {
        let room = room_of_file(path);
        if room.is_none() && !is_picture(path) {
            let detail = "only the path of a file of a message, of its preview, or of a picture of somebody is signed";
            return Err(Problem::new(Code::BadRequest, detail).into());
        }
        grant.needs_room(room)?;
        links.push(api.tokens.sign(&grant, path));
    }
    Ok(Json(SignedLinks { links, expires_in: limits::LINK_TIME.as_secs() }))
}

/// Whether it is the path of a picture of a profile.
fn is_picture(path: &str) -> bool {
    let hash = path.strip_prefix(PREFIX).and_then(|path| path.strip_prefix("/pictures/"));
    hash.is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The room in the path of a file or preview; `None` for every other path.
fn room_of_file(path: &str) -> Option<&str> {
    let mut parts = path.strip_prefix(PREFIX)?.split('/');
    let plain = |part: &&str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte))
    };
    let mut next = || parts.next();
    let (empty, rooms, room) = (next()?, next()?, next().filter(plain)?);
    let (messages, message, files, index) = (next()?, next().filter(plain)?, next()?, next()?);
    let end = next();
    let known = empty.is_empty() && (rooms, messages, files) == ("rooms", "messages", "files");
    let number = !message.contains('%') && index.len() <= 3 && index.bytes().all(|byte| byte.is_ascii_digit());
    let ends = matches!(end, None | Some("preview")) && next().is_none();
    (known && number && !index.is_empty() && ends).then_some(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_previews_are_signed_and_nothing_else() {
        for good in ["/rooms/ab/messages/cd/files/0", "/rooms/a%20b/messages/cd/files/7/preview"] {
            assert!(room_of_file(&format!("{PREFIX}{good}")).is_some(), "{good}");
        }
        let bad = [
            "/rooms/ab/messages/cd/files/0/",
            "/rooms/ab/messages/cd/files/0/preview/x",
            "/rooms/ab/messages/cd/files/",
            "/rooms/ab/messages/cd/files/-1",
            "/rooms/ab/messages/cd/files/0?x=1",
            "/rooms/ab/messages/cd/files/0#x",
            "/rooms//messages/cd/files/0",
            "/rooms/ab/messages/cd/files/0/other",
            "/rooms/ab/messages/cd",
            "/rooms/ab/messages",
            "/status",
            "//rooms/ab/messages/cd/files/0",
            "/rooms/a b/messages/cd/files/0",
        ];
        for bad in bad {
            assert!(room_of_file(&format!("{PREFIX}{bad}")).is_none(), "{bad}");
        }
        assert!(room_of_file("/rooms/ab/messages/cd/files/0").is_none());
        assert!(room_of_file("http://evil.example/api/v1/rooms/ab/messages/cd/files/0").is_none());
    }
}
