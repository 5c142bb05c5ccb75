//! Requests of other web pages are refused: 403.
//!
//! `Origin`, when sent, must be ours with the port; `Sec-Fetch-Site`, when sent, `same-origin` or `none`. Programs send
//! neither. This holds for WebSocket upgrades too, to which browsers apply no CORS.
//!
//! One thing other pages may do: lead a window to our page, as a link does and the file that opens the browser. Nothing of the
//! person is in the page, it can not be framed, and its window is cut off from the one it was opened by.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use parlor_api::{Code, Problem};

use crate::http::error::ApiError;

/// Passes requests of programs and of our own page. Stands inside [`host`](super::host()), which proved `Host` ours.
///
/// # Errors
/// `foreign_origin`.
pub(crate) async fn origin(request: Request, next: Next) -> Result<Response, ApiError> {
    let headers = request.headers();
    let host = headers.get(header::HOST).map(|h| h.as_bytes()).unwrap_or_default();
    let same = |origin: &[u8]| origin.strip_prefix(b"http://").is_some_and(|o| o.eq_ignore_ascii_case(host));
    let origins = headers.get_all(header::ORIGIN).iter().all(|o| same(o.as_bytes()));
    let sites = headers.get_all("sec-fetch-site").iter().all(|s| matches!(s.as_bytes(), b"same-origin" | b"none"));
    let sites = sites || leads_to_the_page(&request);
    if origins && sites {
        return Ok(next.run(request).await);
    }
    Err(Problem::of(Code::ForeignOrigin).into())
}

/// Whether a whole window is led to the page, and not to the API.
fn leads_to_the_page(request: &Request) -> bool {
    let one = |headers: &HeaderMap, name: &str, wanted: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().is_some_and(|value| value == wanted) && values.next().is_none()
    };
    let (path, headers) = (request.uri().path(), request.headers());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let api = path.trim_start_matches('/').starts_with("api");
    reads && !api && one(headers, "sec-fetch-mode", "navigate") && one(headers, "sec-fetch-dest", "document")
}
