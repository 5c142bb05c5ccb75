//! Files: taken from clients, given to them, fetched from members.

use axum::Json;
use axum::body::{Body as HttpBody, BodyDataStream};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use parlor_api::{Code, File, Problem, UploadedFile};
use parlor_proto::file::safe_name;
use parlor_proto::limits::MAX_FILE;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::http::error::{ApiError, Params, Reply, Segments};
use crate::services::files::{Incoming, shown_type};

/// What the body is.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadQuery {
    /// What the file is called: a name, no path.
    name: String,
    /// Its media type; found out when not said. What is a picture by its first bytes is taken for one in any case.
    mime: Option<String>,
    /// Leave in a picture where and when it was taken, with what, and what else it says beside the picture.
    #[serde(default)]
    keep_metadata: bool,
}

/// Seal a file for a message: the body is its bytes. It is durable on this device when the answer comes; a message names it by
/// `file` within a week.
#[utoipa::path(post, path = "/files", operation_id = "upload", params(UploadQuery), request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 201, body = UploadedFile)))]
pub(crate) async fn upload(
    State(app): State<App>,
    Params(query): Params<UploadQuery>,
    request: Request,
) -> Result<(StatusCode, Json<UploadedFile>), ApiError> {
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|bytes| bytes > MAX_FILE) {
        return Err(Problem::new(Code::TooLong, format!("a file has at most {MAX_FILE} bytes")).into());
    }
    let incoming = Incoming { name: query.name, mime: query.mime, keep_metadata: query.keep_metadata };
    let body: BodyDataStream = request.into_body().into_data_stream();
    let body = body.map(|piece| piece.map_err(|_| Problem::new(Code::BadRequest, "the body broke off")));
    Ok((StatusCode::CREATED, Json(app.upload(incoming, body).await?)))
}

/// The bytes of a file of a message that is here; of `Range: bytes=A-B` only those.
#[utoipa::path(get, path = "/rooms/{room}/messages/{message}/files/{index}", operation_id = "download", params(("room" = String, Path), ("message" = String, Path), ("index" = u32, Path)), responses((status = 200, content_type = "application/octet-stream"), (status = 206, content_type = "application/octet-stream")))]
pub(crate) async fn download(
    State(app): State<App>,
    Segments((room, message, index)): Segments<(String, String, u32)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let download = app.download(&room, &message, index).await?;
    let file = download.file();
    let (size, name, mime) = (file.size, safe_name(&file.name), shown_type(&file.mime));
    let tag = format!("\"{}\"", file.id());
    let mut answer = HeaderMap::new();
    let value = |text: String| HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"));
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
    answer.insert(header::CONTENT_DISPOSITION, value(format!("attachment; filename*=UTF-8''{}", percent(&name))));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(header::ETAG, value(tag.clone()));
    // Ranges of another version than the client has would not fit; a file never changes, so the tag is its id.
    let same = headers.get(header::IF_RANGE).is_none_or(|wanted| wanted.as_bytes() == tag.as_bytes());
    let range = headers.get(header::RANGE).filter(|_| same).and_then(|it| it.to_str().ok());
    let (status, range) = match range.map(|range| parse_range(range, size)) {
        None | Some(Wanted::All) => (StatusCode::OK, 0..size),
        Some(Wanted::Part(range)) => {
            let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            answer.insert(header::CONTENT_RANGE, value(told));
            (StatusCode::PARTIAL_CONTENT, range)
        }
        Some(Wanted::Nothing) => {
            answer.insert(header::CONTENT_RANGE, value(format!("bytes */{size}")));
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, answer).into_response());
        }
    };
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    Ok((status, answer, HttpBody::from_stream(download.within(range).bytes())).into_response())
}

/// Fetch a file of a message from members, now or when one is there who has it; also after a restart of the node. `file` events tell
/// how it goes.
#[utoipa::path(post, path = "/rooms/{room}/messages/{message}/files/{index}", operation_id = "fetch_file", params(("room" = String, Path), ("message" = String, Path), ("index" = u32, Path)), responses((status = 200, body = File)))]
pub(crate) async fn fetch(
    State(app): State<App>,
    Segments((room, message, index)): Segments<(String, String, u32)>,
) -> Reply<File> {
    Ok(Json(app.fetch_file(&room, &message, index).await?))
}

/// Fetch a file no more, and remove what is here of it. One that was sent from here stays.
#[utoipa::path(delete, path = "/rooms/{room}/messages/{message}/files/{index}", operation_id = "remove_file", params(("room" = String, Path), ("message" = String, Path), ("index" = u32, Path)), responses((status = 200, body = File)))]
pub(crate) async fn remove(
    State(app): State<App>,
    Segments((room, message, index)): Segments<(String, String, u32)>,
) -> Reply<File> {
    Ok(Json(app.remove_file(&room, &message, index).await?))
}

/// The small picture that came with a file, made anew here.
#[utoipa::path(get, path = "/rooms/{room}/messages/{message}/files/{index}/preview", operation_id = "preview", params(("room" = String, Path), ("message" = String, Path), ("index" = u32, Path)), responses((status = 200, content_type = "image/jpeg")))]
pub(crate) async fn preview(
    State(app): State<App>,
    Segments((room, message, index)): Segments<(String, String, u32)>,
) -> Result<Response, ApiError> {
    let picture = app.preview(&room, &message, index).await?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], picture).into_response())
}

/// What a range asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// Not one range of bytes: everything is given.
    All,
    Part(std::ops::Range<u64>),
    /// Nothing that is there.
    Nothing,
}

/// One range of bytes (RFC 9110, 14.1.2).
fn parse_range(text: &str, size: u64) -> Wanted {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-')) else {
        return Wanted::All;
    };
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok());
    let (Some(first), Some(last)) = (number(first), number(last)) else { return Wanted::All };
    let range = match (first, last) {
        (Some(first), Some(last)) if first > last => return Wanted::All,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(size),
        (Some(first), None) => first..size,
        (None, Some(last)) => size.saturating_sub(last)..size,
        (None, None) => return Wanted::All,
    };
    if range.is_empty() { Wanted::Nothing } else { Wanted::Part(range) }
}

/// A name as a header carries it (RFC 8187).
fn percent(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let cases = [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=5-", Wanted::Part(5..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=2-99", Wanted::Part(2..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=3-2", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("items=0-1", Wanted::All),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_range(text, 10), wanted, "{text}");
        }
        assert_eq!(parse_range("bytes=0-18446744073709551615", 10), Wanted::Part(0..10));
        assert_eq!(parse_range("bytes=0-", 0), Wanted::Nothing);
    }

    #[test]
    fn a_name_in_a_header_is_ascii_and_ends_nothing() {
        assert_eq!(percent("a b\"\r\n;é.txt"), "a%20b%22%0D%0A%3B%C3%A9.txt");
    }
}
