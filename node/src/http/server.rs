//! The server: accepts connections, gives each its deadlines, stops gracefully.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parlor_api::{Code, Problem};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::limits;
use super::stall::Stall;

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

/// What is served now: first what is there while the node does not run, then the node. Clones are the same.
#[derive(Clone)]
pub(crate) struct Switch(Arc<RwLock<Router>>);

impl Switch {
    /// Serves this.
    pub(crate) fn new(router: Router) -> Self {
        Self(Arc::new(RwLock::new(router)))
    }

    /// Serves this from now on; what was begun goes on as it was.
    pub(crate) fn set(&self, router: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = router;
    }

    fn now(&self) -> Router {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves the API until `shutdown` is done, then tells `stop`, with which event streams end, finishes what was begun (at most
/// [`limits::STOP_TIME`]), and returns.
pub(crate) async fn serve(
    listener: TcpListener,
    switch: Switch,
    shutdown: impl Future<Output = ()> + Send,
    stop: watch::Sender<bool>,
) {
    let times = Times { head: limits::HEAD_TIME, write: limits::WRITE_TIME };
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS));
    serve_within(listener, switch, times, places, shutdown, stop).await;
}

/// [`serve`] with other deadlines and places for connections.
pub(super) async fn serve_within(
    listener: TcpListener,
    switch: Switch,
    times: Times,
    places: Arc<Semaphore>,
    shutdown: impl Future<Output = ()> + Send,
    stop: watch::Sender<bool>,
) {
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
        connections.spawn(converse(stream, Connection(Arc::new(place)), switch.clone(), times, stop.subscribe()));
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

/// The place of a connection, with each of its requests. Free again when all of them have dropped it.
#[derive(Clone)]
pub(super) struct Connection(#[allow(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

/// Answers the requests of one connection until its client or the node ends it, or it is a WebSocket.
async fn converse(
    stream: TcpStream,
    place: Connection,
    switch: Switch,
    times: Times,
    mut stopped: watch::Receiver<bool>,
) {
    let io = TokioIo::new(Stall::new(stream, times.write));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(times.head).max_buf_size(limits::HEAD_MAX);
    let answer = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(place.clone());
        TowerToHyperService::new(switch.now()).call(request)
    });
    let connection = http.serve_connection(io, answer).with_upgrades();
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
