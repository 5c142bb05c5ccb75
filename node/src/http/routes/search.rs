//! Search.

use axum::Json;
use axum::extract::State;
use parlor_api::SearchPage;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::{App, SearchFor};
use crate::http::error::{Params, Reply};

/// What is searched for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchQuery {
    /// Words that must all occur; `word*` and the last one for all that begin so; `"words next to each other"`.
    #[serde(default)]
    q: String,
    /// In this room only.
    room: Option<String>,
    /// Written by somebody: an account, a unique beginning of one, `@name`, or `me`.
    from: Option<String>,
    /// Sent at this time or later: RFC 3339, or a day such as 2026-05-01.
    since: Option<String>,
    /// Sent at this time or earlier; a day is taken in.
    until: Option<String>,
    /// With something: `file`.
    has: Option<String>,
    /// Messages on the page, 1 to 50; 20 when not said.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Search all messages; a page of what was found, newest first.
#[utoipa::path(get, path = "/search", operation_id = "search", params(SearchQuery), responses((status = 200, body = SearchPage)))]
pub(crate) async fn search(State(app): State<App>, Params(query): Params<SearchQuery>) -> Reply<SearchPage> {
    let SearchQuery { q: words, room, from, since, until, has, limit, cursor } = query;
    Ok(Json(app.search(SearchFor { words, room, from, since, until, has, limit, cursor }).await?))
}
