//! A token must allow what a route does, and in which room: 403 otherwise.

use axum::RequestExt;
use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use parlor_api::{Code, Problem, Scope};

use crate::http::error::ApiError;
use crate::http::tokens::Grant;

/// What a route asks of a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate {
    /// At least this scope.
    pub(crate) scope: Scope,
    /// It is about no room, and shows by itself only what the token may see: tokens for some rooms may use it.
    pub(crate) for_all: bool,
}

impl Gate {
    /// A route about the room in its path, or about everything.
    pub(crate) fn of(scope: Scope) -> Self {
        Self { scope, for_all: false }
    }

    /// A route that looks at the grant by itself.
    pub(crate) fn for_all(scope: Scope) -> Self {
        Self { scope, for_all: true }
    }
}

/// Passes requests whose token allows what the route asks, in the room of its path.
///
/// # Errors
/// `scope_missing`.
pub(crate) async fn scope(State(gate): State<Gate>, mut request: Request, next: Next) -> Result<Response, ApiError> {
    // Without the token guard before this one nothing passes.
    let grant = request.extensions().get::<Grant>().cloned().ok_or_else(|| Problem::of(Code::ScopeMissing))?;
    grant.needs(gate.scope)?;
    if grant.is_narrow() && !gate.for_all {
        let params = request.extract_parts::<RawPathParams>().await.map_err(|_| Problem::of(Code::NotFound))?;
        grant.needs_room(params.iter().find_map(|(name, value)| (name == "room").then_some(value)))?;
    }
    Ok(next.run(request).await)
}
