//! A token on every request: 401 without.
//!
//! It comes in `Authorization: Bearer TOKEN`. Cookies are not used: browsers send them to every port of a host, so other
//! programs of this machine would receive them. The scope it allows is left in the request for [`scope`](super::scope()).

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::http::error::ApiError;
use crate::http::tokens::Tokens;

/// Passes requests with a right token.
///
/// # Errors
/// `unauthorized`, `rate_limited`.
pub(crate) async fn token(
    State(tokens): State<Tokens>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let scope = tokens.check(bearer(request.headers()))?;
    request.extensions_mut().insert(scope);
    Ok(next.run(request).await)
}

/// Passes requests with a right token or with an unused ticket in `?ticket=`.
///
/// # Errors
/// `unauthorized`, `rate_limited`.
pub(crate) async fn token_or_ticket(
    State(tokens): State<Tokens>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let ticket = request.uri().query().and_then(|q| q.split('&').find_map(|pair| pair.strip_prefix("ticket=")));
    let scope = match ticket {
        Some(ticket) => tokens.redeem(ticket)?,
        None => tokens.check(bearer(request.headers()))?,
    };
    request.extensions_mut().insert(scope);
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
