//! Problems as HTTP answers, and extractors whose refusals are problems too.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parlor_api::{Code, Problem};
use serde::de::DeserializeOwned;

use super::limits;

/// A [`Problem`] on its way out.
#[derive(Debug)]
pub(crate) struct ApiError(pub(crate) Problem);

/// What a handler answers.
pub(crate) type Reply<T> = Result<Json<T>, ApiError>;

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// A JSON body of at most `MAX` bytes, read within a deadline.
pub(crate) struct Body<T, const MAX: usize = { limits::BODY_MAX }>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned, const MAX: usize> FromRequest<S> for Body<T, MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
            kind.to_str()
                .is_ok_and(|k| k.split(';').next().is_some_and(|k| k.trim().eq_ignore_ascii_case("application/json")))
        });
        if !json {
            // A form of another page can send text/plain without asking first, but never this type.
            return Err(Problem::new(Code::BadRequest, "the body must have the type application/json").into());
        }
        let bytes = read_body(request, MAX).await?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|e| Problem::new(Code::BadRequest, format!("the body does not fit: {e}")))?;
        Ok(Self(value))
    }
}

/// The whole body, at most `max` bytes, within [`limits::BODY_TIME`].
///
/// # Errors
/// `too_long`, `timed_out`, `bad_request` when the connection broke.
pub(crate) async fn read_body(request: Request, max: usize) -> Result<bytes::Bytes, Problem> {
    let too_long = || Problem::new(Code::TooLong, format!("the body is longer than {max} bytes"));
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|n| n > max as u64) {
        return Err(too_long());
    }
    let reading = axum::body::to_bytes(request.into_body(), max);
    match tokio::time::timeout(limits::BODY_TIME, reading).await {
        Err(_) => Err(Problem::new(Code::TimedOut, "the body came too slowly")),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(e)) => {
            let limit = std::error::Error::source(&e).is_some_and(|s| s.to_string().contains("length limit"));
            Err(if limit { too_long() } else { Problem::new(Code::BadRequest, "the body broke off") })
        }
    }
}

/// Parameters after the question mark.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let Query(value) = query.map_err(|e| Problem::new(Code::BadRequest, e.body_text()))?;
        Ok(Self(value))
    }
}

/// Segments of the path.
pub(crate) struct Segments<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        let Path(value) = path.map_err(|e| Problem::new(Code::BadRequest, e.body_text()))?;
        Ok(Self(value))
    }
}
