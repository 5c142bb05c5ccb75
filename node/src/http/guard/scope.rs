//! A token must allow what a route does: 403 otherwise.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use parlor_api::{Code, Problem};

use crate::http::error::ApiError;
use crate::http::tokens::Scope;

/// Passes requests whose token allows at least `needed`.
///
/// # Errors
/// `scope_missing`.
pub(crate) async fn scope(State(needed): State<Scope>, request: Request, next: Next) -> Result<Response, ApiError> {
    // Without the token guard before this one nothing passes.
    if request.extensions().get::<Scope>().is_some_and(|&has| has >= needed) {
        return Ok(next.run(request).await);
    }
    Err(Problem::of(Code::ScopeMissing).into())
}
