//! Where a webhook leads to.

use std::fmt;

use axum::http::Uri;
use parlor_api::{Code, Problem};

use crate::limits::WEBHOOK_URL_MAX;

/// An address of http or https that the owner named. Loopback and private networks are allowed, for he named them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) tls: bool,
    /// Without brackets around an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    /// As it stands in the `Host` header.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
}

impl Target {
    /// # Errors
    /// `bad_request`.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |what: &str| {
            Problem::new(Code::BadRequest, format!("the address of the webhook {what}")).hint(
                "it looks like https://host.example/path, or http://127.0.0.1:8080/path for a program on this machine",
            )
        };
        if text.len() > WEBHOOK_URL_MAX {
            return Err(wrong("is too long"));
        }
        if text.contains('#') {
            return Err(wrong("has a fragment, which no server sees"));
        }
        let uri: Uri = text.parse().map_err(|_| wrong("can not be read"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("is neither https nor http")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("holds a name or password: the signature says who calls"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong("names no host"));
        }
        let named = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, after)| after);
        if named.contains(':') && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(wrong("has a port that there is not"));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { tls, host, port, authority: authority.as_str().to_owned(), path })
    }
}

impl fmt::Display for Target {
    /// Without path and query: these may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_and_https_are_understood_and_nothing_else() {
        let target = Target::parse("https://hooks.example/a/b?c=d").unwrap();
        assert_eq!(
            (target.tls, target.host.as_str(), target.port, target.path.as_str()),
            (true, "hooks.example", 443, "/a/b?c=d")
        );
        let local = Target::parse("http://127.0.0.1:8080").unwrap();
        assert_eq!(
            (local.tls, local.port, local.path.as_str(), local.to_string().as_str()),
            (false, 8080, "/", "http://127.0.0.1:8080")
        );
        let six = Target::parse("http://[::1]:9/x").unwrap();
        assert_eq!((six.host.as_str(), six.port, six.authority.as_str()), ("::1", 9, "[::1]:9"));
        for wrong in [
            "ftp://host/x",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "host.example/x",
            "https://",
            "https://me:secret@host/x",
            "https://host/x#y",
            "http://host:0/",
            "http://host:99999/",
            "http://ho st/",
            "",
            "unix:/run/x",
            "http://host\r\nX: y/",
        ] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Target::parse(&format!("https://host/{}", "x".repeat(WEBHOOK_URL_MAX))).is_err());
    }
}
