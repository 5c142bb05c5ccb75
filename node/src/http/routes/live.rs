//! Events, as they happen.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use parlor_api::{Code, Problem, Ticket};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use crate::http::error::{ApiError, Params};
use crate::http::limits;
use crate::http::server::Connection;
use crate::http::socket::Feed;
use crate::http::tokens::Grant;

/// Where to begin.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    /// `seq` of the last event seen: continues without a gap; from now when absent.
    since: Option<u64>,
    /// Only events of this room: an id, a unique id prefix or a unique name.
    room: Option<String>,
    /// A ticket instead of a token; only for the WebSocket.
    #[allow(
        dead_code,
        reason = "the guard before this route reads it; named here so that it is described and accepted"
    )]
    ticket: Option<String>,
}

/// A ticket that opens one WebSocket, for clients that can not set headers on it.
#[utoipa::path(post, path = "/tickets", operation_id = "create_ticket", responses((status = 201, body = Ticket)))]
pub(crate) async fn ticket(
    State(api): State<Api>,
    Extension(grant): Extension<Grant>,
) -> Result<(StatusCode, Json<Ticket>), ApiError> {
    let ticket = api.tokens.ticket(&grant)?;
    Ok((StatusCode::CREATED, Json(Ticket { ticket, expires_in: limits::TICKET_TIME.as_secs() })))
}

/// Events over a WebSocket, a JSON object a message. Opens with the token in `Authorization` or with `?ticket=`.
#[utoipa::path(get, path = "/events", operation_id = "events", params(EventsQuery), responses((status = 101)))]
pub(crate) async fn socket(
    State(api): State<Api>,
    Extension(grant): Extension<Grant>,
    Extension(connection): Extension<Connection>,
    Params(query): Params<EventsQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|_| {
        Problem::new(Code::BadRequest, "this route is a WebSocket").hint("events as lines are at /api/v1/events/stream")
    })?;
    let feed = feed(&api, query, grant).await?;
    let upgrade = upgrade.max_message_size(limits::SOCKET_MESSAGE_MAX).max_frame_size(limits::SOCKET_MESSAGE_MAX);
    Ok(feed.upgrade(upgrade, connection))
}

/// Events as JSON objects, one a line, until the client closes the connection.
#[utoipa::path(get, path = "/events/stream", operation_id = "events_stream", params(EventsQuery), responses((status = 200, body = parlor_api::Event, content_type = "application/x-ndjson")))]
pub(crate) async fn lines(
    State(api): State<Api>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<EventsQuery>,
) -> Result<Response, ApiError> {
    let feed = feed(&api, query, grant).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], feed.into_lines()).into_response())
}

async fn feed(api: &Api, query: EventsQuery, grant: Grant) -> Result<Feed, ApiError> {
    let room = match &query.room {
        Some(room) => {
            grant.needs_room(Some(room))?;
            Some(api.app.find_room(room).await?.to_string())
        }
        None => None,
    };
    let place = api.tokens.place(&grant)?;
    Ok(Feed::new(api.app.subscribe(query.since)?, room, api.stopped.clone(), grant, place))
}
