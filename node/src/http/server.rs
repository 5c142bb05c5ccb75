//! The server: accepts connections, gives each its deadlines, stops gracefully.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parlor_api::{Code, Problem};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::stall::Stall;
use super::tokens::Tokens;
use super::{limits, routes};
use crate::app::App;

/// Time before trying again when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens for the local API.
///
/// # Errors
/// `port_in_use`, `bad_config`.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Problem> {
    TcpListener::bind(address).await.map_err(|e| match e.kind() {
        ErrorKind::AddrInUse => Problem::new(Code::PortInUse, format!("another program listens on {address}"))
            .hint("stop it, name another port with --api 127.0.0.1:PORT, or leave --api out to take a free one"),
        _ => Problem::new(Code::BadConfig, format!("could not listen on {address}: {e}"))
            .hint("use --api 127.0.0.1:PORT, with a port above 1023"),
    })
}

/// Serves the API until `shutdown` is done, then finishes what was begun (at most [`limits::STOP_TIME`]) and returns.
/// Event streams end with the shutdown.
pub async fn serve(listener: TcpListener, app: App, tokens: Tokens, shutdown: impl Future<Output = ()> + Send) {
    let port = listener.local_addr().map_or(0, |a| a.port());
    let (stop, stopped) = watch::channel(false);
    let router = routes::router(app, tokens, port, stopped);
    let times = Times { head: limits::HEAD_TIME, write: limits::WRITE_TIME };
    serve_router(listener, router, times, shutdown, stop).await;
}

/// [`serve`] for any router, with its deadlines.
pub(super) async fn serve_router(
    listener: TcpListener,
    router: Router,
    times: Times,
    shutdown: impl Future<Output = ()> + Send,
    stop: watch::Sender<bool>,
) {
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let connection = converse(stream, router.clone(), times, stop.subscribe());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = stop.send(true);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits::STOP_TIME, finish).await.is_err() {
        tracing::warn!("connections of the local API were cut off at the end");
    }
}

/// Deadlines of a connection.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// For the head of each request.
    pub(super) head: Duration,
    /// For each write.
    pub(super) write: Duration,
}

/// Answers the requests of one connection until its client or the node ends it.
async fn converse(stream: TcpStream, router: Router, times: Times, mut stopped: watch::Receiver<bool>) {
    let io = TokioIo::new(Stall::new(stream, times.write));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(times.head).max_buf_size(limits::HEAD_MAX);
    let connection = http.serve_connection(io, TowerToHyperService::new(router)).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let stop = async { drop(stopped.wait_for(|stopped| *stopped).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the local API ended");
    }
}

/// The next connection, once there is a place for it. Cancel safe: only one of both waits holds anything, and accepting
/// is cancel safe.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Answers are small and waited for.
            let _ = stream.set_nodelay(true);
            Some((stream, place))
        }
        Err(error) => {
            tracing::warn!(%error, "could not accept a connection of the local API");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
