//! The web page: its files out of the binary, to whoever asks on this machine.
//!
//! Nothing of it is secret and it is the same for everybody, so it needs no token. What the page then asks for goes through
//! the API, with one. Its headers let a browser run nothing but its own files: no inline script or style, no other host,
//! no frame around it, and no text that becomes script (Trusted Types). See `docs/spec/web.md`.

mod files;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use parlor_api::{Code, Problem};

pub(crate) use files::{Asset, Files};

use crate::http::error::ApiError;

/// What a browser may do with the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
    media-src 'self' blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
    trusted-types svelte-trusted-html parlor-worker";

/// What of the machine the page may ask for: the camera for QR codes, the microphone for voice messages.
const FEATURES: &str = "camera=(self), microphone=(self), display-capture=(), geolocation=(), usb=(), serial=(), hid=(), \
    bluetooth=(), midi=(), payment=(), publickey-credentials-get=()";

/// The page without a page: the node was built without one.
const PLAIN: Asset = Asset {
    name: INDEX,
    kind: "text/html; charset=utf-8",
    tag: "plain",
    plain: include_bytes!("plain.html"),
    brotli: None,
};

const INDEX: &str = "index.html";

/// Answers everything that is no route of the API: a file of the page, or its beginning for the places in it.
pub(crate) async fn page(State(files): State<Files>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    match respond(&files, &method, uri.path(), &headers) {
        Ok(response) => response,
        Err(problem) => ApiError(problem).into_response(),
    }
}

fn respond(files: &Files, method: &Method, path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let path = path.trim_start_matches('/');
    if path == "api" || path.starts_with("api/") {
        return Err(Problem::new(Code::NotFound, "there is no such route"));
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Problem::of(Code::MethodNotAllowed));
    }
    // Places in the page (`/rooms/…`) are its own affair; what has an ending is a file.
    let is_file = path.rsplit('/').next().is_some_and(|last| last.contains('.'));
    let name = if is_file { path } else { INDEX };
    let found = files.find(name).or_else(|| (name == INDEX).then(|| PLAIN.into()));
    let found = found.ok_or_else(|| Problem::new(Code::NotFound, "the page has no such file"))?;
    let brotli = found.brotli.filter(|_| takes_brotli(headers));
    let tag = format!("\"{}{}\"", found.tag, if brotli.is_some() { "-br" } else { "" });
    // Names under assets hold a hash of their content, so they never change.
    let cache = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut answer = HeaderMap::new();
    let mut put = |name: HeaderName, value: &str| {
        HeaderValue::from_str(value).map(|value| answer.insert(name, value)).ok();
    };
    put(header::CACHE_CONTROL, cache);
    put(header::ETAG, &tag);
    put(header::VARY, "accept-encoding");
    put(header::CONTENT_SECURITY_POLICY, POLICY);
    put(HeaderName::from_static("permissions-policy"), FEATURES);
    put(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    if is_known(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }
    put(header::CONTENT_TYPE, found.kind);
    if brotli.is_some() {
        put(header::CONTENT_ENCODING, "br");
    }
    let body: Bytes = brotli.unwrap_or(found.plain);
    Ok((answer, body).into_response())
}

/// Whether the client said that it takes Brotli.
fn takes_brotli(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|value| value.split(',')).any(|offer| {
        let (coding, weight) = offer.split_once(';').unwrap_or((offer, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>() == Ok(0.0));
        coding.trim().eq_ignore_ascii_case("br") && !refused
    })
}

/// Whether the client has the version with this tag.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|value| value.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static FILES: &[Asset] = &[
        Asset {
            name: "assets/app-1a2b.js",
            kind: "text/javascript; charset=utf-8",
            tag: "a",
            plain: b"alert",
            brotli: Some(b"br"),
        },
        Asset {
            name: "index.html",
            kind: "text/html; charset=utf-8",
            tag: "i",
            plain: b"<!doctype html>",
            brotli: None,
        },
    ];

    async fn get(path: &str, headers: &[(HeaderName, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let response = page(State(Files::of(FILES)), Method::GET, path.parse().unwrap(), headers).await;
        let (head, body) = response.into_parts();
        (head.status, head.headers, axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn every_place_in_the_page_is_answered_with_its_beginning() {
        for path in ["/", "/rooms/abc", "/rooms/abc/?x=1", "/settings/", "/apiary"] {
            let (status, headers, body) = get(path, &[]).await;
            assert_eq!((status, body.as_slice()), (StatusCode::OK, FILES[1].plain), "{path}");
            assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
            assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
        }
    }

    #[tokio::test]
    async fn what_is_no_file_of_the_page_is_not_found_and_no_beginning() {
        for path in ["/assets/gone.js", "/../etc/passwd.txt", "/favicon.ico", "/api", "/api/v2/rooms", "/index.html.br"]
        {
            let (status, headers, body) = get(path, &[]).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{path}");
            assert!(!body.starts_with(b"<"), "{path}");
        }
    }

    #[tokio::test]
    async fn a_browser_is_told_to_run_nothing_but_the_files_of_the_page() {
        let wanted = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' \
            blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action \
            'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html parlor-worker";
        for path in ["/", "/assets/app-1a2b.js"] {
            let (_, headers, _) = get(path, &[]).await;
            assert_eq!(headers[header::CONTENT_SECURITY_POLICY], wanted);
            assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
            assert!(headers["permissions-policy"].to_str().unwrap().starts_with("camera=(self), microphone=(self)"));
        }
    }

    #[tokio::test]
    async fn what_is_packed_goes_to_those_who_can_unpack_it() {
        let path = "/assets/app-1a2b.js";
        for accepted in ["gzip, deflate, br, zstd", "br;q=0.5", "BR"] {
            let (_, headers, body) = get(path, &[(header::ACCEPT_ENCODING, accepted)]).await;
            assert_eq!((headers[header::CONTENT_ENCODING].as_bytes(), body.as_slice()), (&b"br"[..], &b"br"[..]));
            assert_eq!(headers[header::VARY], "accept-encoding");
            assert_eq!(headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        }
        for accepted in ["gzip", "br;q=0", "br; q=0.0", "", "brotli"] {
            let (_, headers, body) = get(path, &[(header::ACCEPT_ENCODING, accepted)]).await;
            assert!(headers.get(header::CONTENT_ENCODING).is_none(), "{accepted}");
            assert_eq!(body, b"alert");
        }
    }

    #[tokio::test]
    async fn who_has_the_page_is_not_sent_it_again() {
        let (status, headers, body) = get("/", &[(header::IF_NONE_MATCH, "\"x\", W/\"i\"")]).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
        assert!(headers.contains_key(header::CONTENT_SECURITY_POLICY));
        assert_eq!(get("/", &[(header::IF_NONE_MATCH, "\"x\"")]).await.0, StatusCode::OK);
        let packed = [(header::IF_NONE_MATCH, "\"a\""), (header::ACCEPT_ENCODING, "br")];
        assert_eq!(get("/assets/app-1a2b.js", &packed).await.0, StatusCode::OK, "the tag of the other form");
    }

    #[tokio::test]
    async fn a_node_built_without_the_page_says_so() {
        let response = page(State(Files::of(&[])), Method::GET, "/".parse().unwrap(), HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("built without"));
    }

    #[tokio::test]
    async fn the_page_is_read_and_nothing_else() {
        let response = page(State(Files::of(FILES)), Method::POST, "/".parse().unwrap(), HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
