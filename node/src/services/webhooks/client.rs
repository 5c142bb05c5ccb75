//! One request to a receiver: HTTP/1.1, over TLS if the address says so, on a connection of its own.
//!
//! Redirects are not followed, and of the answer nothing is read but its head: what a receiver says beyond yes or no is of no use
//! here, and can neither fill memory nor hold anything up.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::url::Target;
use crate::limits::{WEBHOOK_ADDRESSES, WEBHOOK_CONNECT_TIME, WEBHOOK_HEAD_MAX, WEBHOOK_TIME};

/// Why a delivery was not taken, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) why: String,
    /// The receiver says that it is gone for good.
    pub(super) gone: bool,
}

impl Refused {
    fn new(why: impl fmt::Display) -> Self {
        Self { why: why.to_string(), gone: false }
    }
}

/// A delivery.
pub(super) struct Post {
    pub(super) body: Vec<u8>,
    pub(super) webhook: String,
    pub(super) delivery: String,
    pub(super) signature: String,
}

/// Speaks with receivers.
#[derive(Clone)]
pub(super) struct Client {
    tls: Option<TlsConnector>,
}

impl Client {
    /// With the authorities that this machine trusts. Blocks while they are read; without any, https fails and says so.
    pub(super) fn new() -> Self {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::debug!(%error, "some certificates of this machine can not be read");
        }
        roots.add_parsable_certificates(found.certs);
        Self { tls: if roots.is_empty() { None } else { connector(roots) } }
    }

    /// Delivers; done when the receiver said yes.
    ///
    /// # Errors
    /// Everything else. Dropping the future gives the delivery up: the receiver may have had it.
    pub(super) async fn deliver(&self, target: &Target, post: Post) -> Result<(), Refused> {
        match tokio::time::timeout(WEBHOOK_TIME, self.post(target, post)).await {
            Ok(done) => done,
            Err(_) => Err(Refused::new(format!("no answer within {} s", WEBHOOK_TIME.as_secs()))),
        }
    }

    async fn post(&self, target: &Target, post: Post) -> Result<(), Refused> {
        let stream = connect(target).await?;
        if !target.tls {
            return exchange(stream, target, post).await;
        }
        let tls = self.tls.as_ref().ok_or_else(|| Refused::new("this machine trusts no certificates"))?;
        let name = ServerName::try_from(target.host.clone()).map_err(|_| Refused::new("the host is no name"))?;
        let stream = tls.connect(name, stream).await;
        exchange(stream.map_err(|error| Refused::new(format!("TLS: {error}")))?, target, post).await
    }
}

fn connector(roots: RootCertStore) -> Option<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

/// Connects to the first address of the host that answers.
async fn connect(target: &Target) -> Result<TcpStream, Refused> {
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
    let found = found.map_err(|error| Refused::new(format!("the host was not found: {error}")))?;
    let addresses: Vec<SocketAddr> = found.take(WEBHOOK_ADDRESSES).collect();
    let mut why = Refused::new("the host has no address");
    for address in addresses {
        match tokio::time::timeout(WEBHOOK_CONNECT_TIME, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => why = Refused::new(format!("{address}: {error}")),
            Err(_) => {
                why = Refused::new(format!("{address}: no connection within {} s", WEBHOOK_CONNECT_TIME.as_secs()))
            }
        }
    }
    Err(why)
}

/// Ends the task of a connection with whoever waits for it.
struct Ends(tokio::task::JoinHandle<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &Target,
    post: Post,
) -> Result<(), Refused> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(WEBHOOK_HEAD_MAX).max_headers(64);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| Refused::new(format!("HTTP: {error}")))?;
    let _ends = Ends(tokio::spawn(async move { drop(connection.await) }));
    let length = post.body.len();
    let request = Request::builder()
        .method(Method::POST)
        .uri(target.path.as_str())
        .header(header::HOST, target.authority.as_str())
        .header(header::USER_AGENT, concat!("parlor/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, length)
        .header(header::CONNECTION, "close")
        .header("parlor-webhook", post.webhook)
        .header("parlor-delivery", post.delivery)
        .header("parlor-signature", post.signature)
        .body(Body::from(post.body))
        .map_err(|error| Refused::new(format!("the request can not be made: {error}")))?;
    let answer = sender.send_request(request).await.map_err(|error| Refused::new(format!("HTTP: {error}")))?;
    let status = answer.status();
    match status.as_u16() {
        200..=299 => Ok(()),
        300..=399 => Err(Refused::new(format!("it answered {}: redirects are not followed", status.as_u16()))),
        410 => Err(Refused { why: "it answered 410: it is gone".to_owned(), gone: true }),
        other => Err(Refused::new(format!("it answered {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A receiver that answers one request with these bytes; and what it was sent.
    async fn answered(with: &'static [u8]) -> (Result<(), Refused>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::parse(&format!("http://{}/hook?a=b", listener.local_addr().unwrap())).unwrap();
        let receiver = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut got = Vec::new();
            while !got.ends_with(b"{\"a\":1}") {
                let mut some = [0; 1024];
                let n = stream.read(&mut some).await.unwrap();
                assert!(n > 0, "the request is whole");
                got.extend_from_slice(&some[..n]);
            }
            stream.write_all(with).await.unwrap();
            // What follows is never read: the connection is closed on us.
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            String::from_utf8(got).unwrap()
        });
        let post = Post {
            body: b"{\"a\":1}".to_vec(),
            webhook: "w".into(),
            delivery: "d".into(),
            signature: "t=1,v1=ab".into(),
        };
        let done = Client { tls: None }.deliver(&target, post).await;
        (done, receiver.await.unwrap())
    }

    #[tokio::test]
    async fn a_receiver_that_says_yes_was_sent_everything_and_its_endless_answer_is_not_read() {
        let (done, sent) = answered(b"HTTP/1.1 204 No Content\r\ncontent-length: 100000000\r\n\r\n").await;
        assert_eq!(done, Ok(()));
        let sent = sent.to_ascii_lowercase();
        assert!(sent.starts_with("post /hook?a=b http/1.1\r\n"), "{sent}");
        for header in ["parlor-signature: t=1,v1=ab", "parlor-delivery: d", "parlor-webhook: w", "content-length: 7"] {
            assert!(sent.contains(&format!("{header}\r\n")), "{header}: {sent}");
        }
    }

    #[tokio::test]
    async fn redirects_are_not_followed_and_errors_are_told() {
        let (moved, _) = answered(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n").await;
        assert!(moved.unwrap_err().why.contains("redirects are not followed"));
        let (broken, _) = answered(b"HTTP/1.1 500 Oops\r\n\r\n").await;
        assert_eq!(broken.unwrap_err(), Refused { why: "it answered 500".into(), gone: false });
        let (gone, _) = answered(b"HTTP/1.1 410 Gone\r\n\r\n").await;
        assert!(gone.unwrap_err().gone);
        let (nonsense, _) = answered(b"220 mail.example ESMTP\r\n\r\n").await;
        assert!(nonsense.is_err());
    }

    #[tokio::test]
    async fn a_head_without_end_fills_no_memory() {
        let (endless, _) = answered(b"HTTP/1.1 200 OK\r\nx: ").await;
        assert!(endless.is_err(), "{endless:?}");
    }

    #[tokio::test]
    async fn nobody_there_and_a_certificate_that_nobody_vouches_for_are_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let post = || Post { body: vec![], webhook: String::new(), delivery: String::new(), signature: String::new() };
        let target = Target::parse(&format!("http://{address}/")).unwrap();
        assert!(Client { tls: None }.deliver(&target, post()).await.is_err());
        let target = Target::parse(&format!("https://{address}/")).unwrap();
        assert!(Client { tls: connector(RootCertStore::empty()) }.deliver(&target, post()).await.is_err());
    }
}
