//! A token on every request: 401 without.
//!
//! It comes in `Authorization: Bearer TOKEN`. Cookies are not used: browsers send them to every port of a host, so other
//! programs of this machine would receive them. What it allows is left in the request as a [`Grant`](crate::http::tokens::Grant),
//! for [`scope`](super::scope()) and for handlers.

use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::http::error::ApiError;
use crate::http::tokens::Tokens;

/// Passes requests with a right token.
///
/// # Errors
/// `unauthorized`, `rate_limited`, `passphrase_needed`.
pub(crate) async fn token(
    State(tokens): State<Tokens>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let grant = tokens.check(bearer(request.headers()))?;
    request.extensions_mut().insert(grant);
    Ok(next.run(request).await)
}

/// Passes requests with a right token, also those of sessions that are locked.
///
/// # Errors
/// `unauthorized`, `rate_limited`.
pub(crate) async fn token_locked_too(
    State(tokens): State<Tokens>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let grant = tokens.check_locked_too(bearer(request.headers()))?;
    request.extensions_mut().insert(grant);
    Ok(next.run(request).await)
}

/// Passes requests with a right token or with an unused ticket in `?ticket=`.
///
/// # Errors
/// As [`token`].
pub(crate) async fn token_or_ticket(
    State(tokens): State<Tokens>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let grant = match parameter(&request, "ticket=") {
        Some(ticket) => tokens.redeem(ticket)?,
        None => tokens.check(bearer(request.headers()))?,
    };
    request.extensions_mut().insert(grant);
    Ok(next.run(request).await)
}

/// Passes requests with a right token or to a signed link.
///
/// # Errors
/// As [`token`].
pub(crate) async fn token_or_link(
    State(tokens): State<Tokens>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let grant = match parameter(&request, "signed=") {
        // A link is for looking only.
        Some(signed) if matches!(*request.method(), Method::GET | Method::HEAD) => {
            let whole = request.extensions().get::<OriginalUri>().map_or(request.uri(), |uri| &uri.0);
            tokens.open_link(whole.path(), signed)?
        }
        _ => tokens.check(bearer(request.headers()))?,
    };
    request.extensions_mut().insert(grant);
    Ok(next.run(request).await)
}

fn parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.uri().query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix(name)))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
