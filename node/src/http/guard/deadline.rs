//! Requests that do not wait for other people end in time: 504.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use parlor_api::{Code, Problem};

use crate::http::error::ApiError;
use crate::http::limits;

/// Gives the handler [`limits::HANDLE_TIME`].
///
/// # Errors
/// `timed_out`.
pub(crate) async fn deadline(request: Request, next: Next) -> Result<Response, ApiError> {
    let answer = tokio::time::timeout(limits::HANDLE_TIME, next.run(request)).await;
    answer.map_err(|_| Problem::new(Code::TimedOut, "the node took too long to answer").into())
}
