//! `Host` must name this machine with our port: 421 otherwise.
//!
//! This stops DNS rebinding: a page of evil.example whose name suddenly resolves to 127.0.0.1 is of the same origin as
//! its requests to us, but its browser still writes `Host: evil.example`.

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use parlor_api::{Code, Problem};

use crate::http::error::ApiError;

/// Passes requests to `127.0.0.1`, `localhost`, `[::1]` or `NAME.localhost` with our port.
///
/// # Errors
/// `foreign_host`, also when there is no `Host`, or two.
pub(crate) async fn host(State(port): State<u16>, request: Request, next: Next) -> Result<Response, ApiError> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let first = hosts.next().and_then(|h| h.to_str().ok());
    let ours = first.is_some_and(|h| is_ours(h, port)) && hosts.next().is_none();
    // A request line with a whole URL, as for a proxy, may say something else than the header.
    let target = request.uri().authority().is_none_or(|a| is_ours(a.as_str(), port));
    if ours && target {
        return Ok(next.run(request).await);
    }
    Err(Problem::of(Code::ForeignHost).hint(format!("use http://127.0.0.1:{port}")).into())
}

/// Whether a `Host` header names this machine with our port.
fn is_ours(host: &str, port: u16) -> bool {
    let (name, given) = match host.rsplit_once(':') {
        // The last colon of `[::1]` is inside the brackets.
        Some((_, rest)) if rest.ends_with(']') => (host, "80"),
        Some((name, given)) => (name, given),
        None => (host, "80"),
    };
    let digits = !given.is_empty() && given.bytes().all(|b| b.is_ascii_digit());
    if !digits || given.parse() != Ok(port) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    let label = |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    matches!(name.as_str(), "127.0.0.1" | "localhost" | "[::1]") || name.strip_suffix(".localhost").is_some_and(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_ours() {
        for host in ["127.0.0.1:7077", "localhost:7077", "LOCALHOST:7077", "[::1]:7077", "alice.localhost:7077"] {
            assert!(is_ours(host, 7077), "{host}");
        }
        assert!(is_ours("localhost", 80) && is_ours("[::1]", 80));
    }

    #[test]
    fn other_names_and_ports_are_foreign() {
        let foreign = [
            "",
            "evil.example:7077",
            "127.0.0.1",
            "127.0.0.1:7078",
            "127.0.0.1:",
            "127.0.0.1:+7077",
            "127.0.0.1.evil.example:7077",
            "localhost.evil.example:7077",
            "evillocalhost:7077",
            ".localhost:7077",
            "a.b.localhost:7077",
            "user@127.0.0.1:7077",
            "[::1:7077",
            "0.0.0.0:7077",
            "127.0.0.2:7077",
        ];
        for host in foreign {
            assert!(!is_ours(host, 7077), "{host}");
        }
    }
}
