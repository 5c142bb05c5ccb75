//! `/health` and `/metrics`, for the operator's machines. No secret and nothing about clients is in them, so there is no token;
//! the address is loopback unless the operator says otherwise.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::accept;
use crate::limits;
use crate::problem::{Code, Problem};
use crate::relay::Relay;

/// The media type of the metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Listens for whoever wants the metrics. Without a wish of the operator (`asked`) any free port does when the usual one is
/// taken: several relays on one machine then need no settings.
///
/// # Errors
/// `port_in_use`, `bad_config`.
pub async fn bind(address: SocketAddr, asked: bool) -> Result<TcpListener, Problem> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(_) if !asked => {
            let free = SocketAddr::new(address.ip(), 0);
            TcpListener::bind(free).await.map_err(|e| refused(free, &e))
        }
        Err(e) => Err(refused(address, &e)),
    }
}

fn refused(address: SocketAddr, error: &std::io::Error) -> Problem {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        return Problem::new(Code::PortInUse, format!("another program listens on {address}"))
            .hint("stop it, or name another address with --metrics ADDR:PORT");
    }
    Problem::new(Code::BadConfig, format!("could not listen on {address}: {error}"))
        .hint("use --metrics 127.0.0.1:PORT, with a port above 1023")
}

/// Serves until `shutdown` is done.
pub async fn serve(listener: TcpListener, relay: Arc<Relay>, shutdown: impl Future<Output = ()>) {
    let router = Router::new().route("/health", get(health)).route("/metrics", get(metrics)).with_state(relay);
    let accept = || async { Ok(listener.accept().await?.0) };
    accept::each(limits::HTTP_CONNECTIONS, shutdown, accept, |stream| converse(stream, router.clone())).await;
}

/// Answers the requests of one connection, within its time.
async fn converse(stream: TcpStream, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits::HTTP_HEAD_TIME).max_buf_size(limits::HTTP_HEAD);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Ok(Err(error)) = timeout(limits::HTTP_TIME, connection).await {
        tracing::debug!(%error, "a connection for metrics ended");
    }
}

async fn health(State(relay): State<Arc<Relay>>) -> Response {
    let look = relay.look().await;
    let well = look.faults.is_empty();
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::json!({
        "status": if well { "ok" } else { "failing" },
        "faults": look.faults,
        "peer_id": relay.peer.to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": relay.started.elapsed().as_secs(),
    });
    (status, Json(body)).into_response()
}

async fn metrics(State(relay): State<Arc<Relay>>) -> Response {
    let look = relay.look().await;
    ([(header::CONTENT_TYPE, OPEN_METRICS)], relay.metrics.text(&look.levels)).into_response()
}
