//! The page's own affairs: sessions, the first account, the lock.

use axum::extract::{FromRef, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::{Extension, Json};
use futures::StreamExt;
use parlor_api::{
    Code, OpenSession, OpenedSession, Problem, RecoveryPhrase, RestoreBackup, Restoring, Session, Setup, Unlock, Web,
    WebCode,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use crate::door::{Door, needs_all};
use crate::http::error::{ApiError, Body, Reply, Segments};
use crate::http::tokens::{Grant, Who};

/// Bytes of a body here: a passphrase and a recovery phrase with every byte escaped.
const SMALL: usize = 16 * 1024;

/// The route without a token: the code is one.
pub(super) fn open<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S>
where
    Door: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(open_session))
}

/// Routes of the home's token and of sessions, whether or not they are locked and whether or not a node runs.
pub(super) fn locked_too<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S>
where
    Door: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(make_code))
        .routes(routes!(end_own_session))
        .routes(routes!(unlock))
        .routes(routes!(phrase))
        .routes(routes!(setup))
        .routes(routes!(restoring, take_backup))
        .routes(routes!(restore))
}

/// Routes of the home's token and of sessions that are not locked.
pub(super) fn unlocked<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S>
where
    Door: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(sessions)).routes(routes!(end_session)).routes(routes!(lock))
}

/// How far the page gets now: there is no account yet, it is locked, or everything can be asked.
#[utoipa::path(get, path = "/web", operation_id = "show_web", responses((status = 200, body = Web)))]
async fn show(State(door): State<Door>, Extension(grant): Extension<Grant>) -> Reply<Web> {
    needs_all(&grant)?;
    Ok(Json(door.view(&grant)))
}

/// A code that opens one session of a browser, once, within a minute. For the home's own token only.
#[utoipa::path(post, path = "/web/codes", operation_id = "create_web_code", responses((status = 201, body = WebCode)))]
async fn make_code(
    State(door): State<Door>,
    Extension(grant): Extension<Grant>,
) -> Result<(StatusCode, Json<WebCode>), ApiError> {
    Ok((StatusCode::CREATED, Json(door.code(&grant)?)))
}

/// Trade a code for a session. Needs no token.
#[utoipa::path(post, path = "/web/session", operation_id = "open_session", security(()), request_body = OpenSession, responses((status = 201, body = OpenedSession)))]
async fn open_session(
    State(door): State<Door>,
    headers: HeaderMap,
    Body(request): Body<OpenSession, SMALL>,
) -> Result<(StatusCode, Json<OpenedSession>), ApiError> {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let opened = door.tokens().open_session(&request.code, agent)?;
    let state = door.state();
    let answer = OpenedSession { token: opened.token, session: opened.session, expires_at: opened.expires_at, state };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// End the session that asks.
#[utoipa::path(delete, path = "/web/session", operation_id = "end_own_session", responses((status = 204)))]
async fn end_own_session(State(door): State<Door>, Extension(grant): Extension<Grant>) -> Result<StatusCode, ApiError> {
    if let Who::Session(id) = &grant.who {
        door.tokens().end_session(id)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The sessions that are open, the one used last first.
#[utoipa::path(get, path = "/web/sessions", operation_id = "list_sessions", responses((status = 200, body = Vec<Session>)))]
async fn sessions(State(door): State<Door>, Extension(grant): Extension<Grant>) -> Reply<Vec<Session>> {
    needs_all(&grant)?;
    Ok(Json(door.tokens().sessions(&grant)))
}

/// End a session, or all (`all`): what it follows ends at once, and its links open nothing.
#[utoipa::path(delete, path = "/web/sessions/{session}", operation_id = "end_session", params(("session" = String, Path)), responses((status = 204)))]
async fn end_session(
    State(door): State<Door>,
    Extension(grant): Extension<Grant>,
    Segments(session): Segments<String>,
) -> Result<StatusCode, ApiError> {
    needs_all(&grant)?;
    door.tokens().end_session(&session)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lock all sessions until one of them gives the passphrase. The node goes on.
#[utoipa::path(post, path = "/web/lock", operation_id = "lock_web", responses((status = 204)))]
async fn lock(State(door): State<Door>, Extension(grant): Extension<Grant>) -> Result<StatusCode, ApiError> {
    needs_all(&grant)?;
    door.lock()?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unlock the sessions, or an account whose node waits for its passphrase. Answers when everything can be asked.
#[utoipa::path(post, path = "/web/unlock", operation_id = "unlock_web", request_body = Unlock, responses((status = 200, body = Web)))]
async fn unlock(
    State(door): State<Door>,
    Extension(grant): Extension<Grant>,
    Body(request): Body<Unlock, SMALL>,
) -> Reply<Web> {
    needs_all(&grant)?;
    door.unlock(Zeroizing::new(request.passphrase)).await?;
    Ok(Json(door.view(&grant)))
}

/// The recovery phrase that the account will have; the same when it is asked again. Nothing is stored before it was checked.
#[utoipa::path(post, path = "/web/setup/phrase", operation_id = "setup_phrase", responses((status = 200, body = RecoveryPhrase)))]
async fn phrase(State(door): State<Door>, Extension(grant): Extension<Grant>) -> Reply<RecoveryPhrase> {
    needs_all(&grant)?;
    Ok(Json(door.phrase()?))
}

/// Make the account and start its node. Answers when everything can be asked.
#[utoipa::path(post, path = "/web/setup", operation_id = "setup", request_body = Setup, responses((status = 200, body = Web)))]
async fn setup(
    State(door): State<Door>,
    Extension(grant): Extension<Grant>,
    Body(request): Body<Setup, SMALL>,
) -> Reply<Web> {
    needs_all(&grant)?;
    door.setup(request).await?;
    Ok(Json(door.view(&grant)))
}

/// How far a backup is restored.
#[utoipa::path(get, path = "/web/setup/backup", operation_id = "show_restoring", responses((status = 200, body = Restoring)))]
async fn restoring(State(door): State<Door>, Extension(grant): Extension<Grant>) -> Reply<Restoring> {
    needs_all(&grant)?;
    Ok(Json(door.restoring()))
}

/// Take a backup to restore: the body is its bytes. For a home without an account only; what was taken before goes.
#[utoipa::path(put, path = "/web/setup/backup", operation_id = "take_backup", request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 200, body = Restoring)))]
async fn take_backup(
    State(door): State<Door>,
    Extension(grant): Extension<Grant>,
    request: Request,
) -> Reply<Restoring> {
    needs_all(&grant)?;
    let body = request.into_body().into_data_stream();
    let body = body.map(|piece| piece.map_err(|_| Problem::new(Code::BadRequest, "the body broke off")));
    Ok(Json(door.take_backup(body).await?))
}

/// Begin to restore the backup that was taken, and to start its node; `GET /web/setup/backup` tells how it goes.
#[utoipa::path(post, path = "/web/setup/restore", operation_id = "restore_backup", request_body = RestoreBackup, responses((status = 202, body = Restoring)))]
async fn restore(
    State(door): State<Door>,
    Extension(grant): Extension<Grant>,
    Body(request): Body<RestoreBackup, SMALL>,
) -> Result<(StatusCode, Json<Restoring>), ApiError> {
    needs_all(&grant)?;
    Ok((StatusCode::ACCEPTED, Json(door.restore(request)?)))
}
