//! Backups of the home.

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use parlor_api::MakeBackup;

use crate::app::App;
use crate::http::error::{ApiError, Body};

/// Make a backup of the home: the answer is the file, sealed. A connection that ends before the last byte was no backup.
#[utoipa::path(post, path = "/backup", operation_id = "make_backup", request_body = MakeBackup, responses((status = 200, content_type = "application/octet-stream")))]
pub(crate) async fn create(State(app): State<App>, Body(request): Body<MakeBackup>) -> Result<Response, ApiError> {
    let pieces = app.backup(request).await?;
    let named = HeaderValue::from_static("attachment; filename=\"parlor.backup\"");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, named),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, HttpBody::from_stream(pieces)).into_response())
}
