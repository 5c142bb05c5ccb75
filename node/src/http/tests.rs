//! What the API promises to those who must stay out, over real sockets: attack 54, and pages of other sites.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Path;
use axum::extract::ws::WebSocketUpgrade;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Extension, Router};
use parlor_api::{Code, EventBody, PeerChanged, Scope};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot, watch};
use zeroize::Zeroizing;

use super::error::Body as Json;
use super::guard::Gate;
use super::server::{Switch, Times, serve_within};
use super::socket::Feed;
use super::tokens::{Grant, Tokens};
use super::{bind, guard, limits, openapi, page, routes};
use crate::bus::Bus;

const TOKEN: &str = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";

/// The real server with the real guards before three small routes.
struct Server {
    address: SocketAddr,
    tokens: Tokens,
    bus: Bus,
    places: Arc<Semaphore>,
    stop: Option<oneshot::Sender<()>>,
    ended: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(times: Times) -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tokens = Tokens::new(Zeroizing::new(TOKEN.into()));
        let (stop, stopping) = oneshot::channel();
        let shutdown = async { drop(stopping.await) };
        let (ending, ended) = watch::channel(false);
        let bus = Bus::new(1);
        let router = small(tokens.clone(), address.port(), bus.clone(), ended);
        let places = Arc::new(Semaphore::new(limits::CONNECTIONS));
        let serving = serve_within(listener, Switch::new(router), times, places.clone(), shutdown, ending);
        let ended = tokio::spawn(serving);
        Self { address, tokens, bus, places, stop: Some(stop), ended }
    }

    /// What the token allows.
    fn grant(&self) -> Grant {
        self.tokens.check(Some(TOKEN)).unwrap()
    }

    async fn patient() -> Self {
        Self::start(Times { head: limits::HEAD_TIME, write: limits::WRITE_TIME }).await
    }

    /// Sends a request with the right host and token and these headers; answers status and head.
    async fn ask(&self, request: &str, headers: &str) -> (u16, String) {
        let host = format!("Host: {}\r\nAuthorization: Bearer {TOKEN}\r\n{headers}", self.address);
        self.ask_bare(request, &host, "").await
    }

    async fn ask_bare(&self, request: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let text = format!("{request} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n{body}");
        // The server may refuse and close before it has read everything.
        let _ = stream.write_all(text.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        (status, answer)
    }
}

fn small(tokens: Tokens, port: u16, bus: Bus, stopped: watch::Receiver<bool>) -> Router {
    let places = tokens.clone();
    let events = move |Extension(grant): Extension<Grant>, Extension(connection), upgrade: WebSocketUpgrade| async move {
        let place = places.place(&grant).unwrap();
        Feed::new(bus.subscribe(Some(1000)), None, stopped, grant, place).upgrade(upgrade, connection)
    };
    let manage = Router::new().route("/manage", get(|| async { "done" }));
    let read = Router::new().route("/read", get(|| async { "read" })).route("/echo", post(echo));
    let endless = Router::new().route("/endless/{port}", get(endless));
    let routes = read
        .route_layer(from_fn_with_state(Gate::of(Scope::Read), guard::scope))
        .merge(manage.route_layer(from_fn_with_state(Gate::of(Scope::Manage), guard::scope)))
        .merge(endless)
        .layer(from_fn_with_state(tokens.clone(), guard::token));
    let socket = Router::new()
        .route("/socket", get(|| async { "open" }))
        .route("/events", get(events))
        .layer(from_fn_with_state(tokens, guard::token_or_ticket));
    let page = Router::new().fallback(page::page).with_state(page::Files::of(&[]));
    routes::protect(routes.merge(socket).merge(page), port)
}

/// An answer without end, which holds a connection to the test as long as it is being written.
async fn endless(Path(port): Path<u16>) -> Body {
    let held = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let chunk = axum::body::Bytes::from(vec![7; 64 * 1024]);
    Body::from_stream(futures::stream::unfold(held, move |held| {
        let chunk = chunk.clone();
        async move { Some((Ok::<_, std::convert::Infallible>(chunk), held)) }
    }))
}

async fn echo(Json(text): Json<String>) -> String {
    text
}

#[tokio::test]
async fn a_program_with_the_token_is_served() {
    let server = Server::patient().await;
    let (status, answer) = server.ask("GET /read", "").await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.ends_with("read"));
    assert!(!answer.to_lowercase().contains("access-control"), "no CORS header ever: {answer}");
}

#[tokio::test]
async fn a_foreign_host_is_refused_even_with_the_token() {
    let server = Server::patient().await;
    let port = server.address.port();
    let auth = format!("Authorization: Bearer {TOKEN}\r\n");
    let none = String::new();
    let foreign = format!("Host: evil.example:{port}\r\n");
    let other_port = "Host: 127.0.0.1:1\r\n".to_owned();
    let two = format!("Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n");
    for host in [none, foreign, other_port, two] {
        let (status, answer) = server.ask_bare("GET /read", &format!("{host}{auth}"), "").await;
        assert_eq!(status, 421, "{host}: {answer}");
        assert!(answer.contains("application/problem+json") && answer.contains(Code::ForeignHost.as_str()));
    }
    let (status, _) = server.ask(&format!("GET http://evil.example:{port}/read"), "").await;
    assert_eq!(status, 421, "a whole URL in the request line says something else than the header");
}

#[tokio::test]
async fn another_web_page_is_refused_even_with_the_token() {
    let server = Server::patient().await;
    let ours = format!("Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n", server.address);
    assert_eq!(server.ask("GET /read", &ours).await.0, 200);
    assert_eq!(server.ask("GET /read", "Sec-Fetch-Site: none\r\n").await.0, 200);
    let foreign = [
        "Origin: https://evil.example\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        "Origin: http://127.0.0.1\r\n".to_owned(),
        "Origin: http://127.0.0.1:1\r\n".to_owned(),
        format!("Origin: https://{}\r\n", server.address),
        format!("Origin: http://localhost:{}\r\n", server.address.port()),
        format!("Origin: http://{}.evil.example\r\n", server.address),
        format!("{ours}Origin: http://evil.example\r\n"),
        "Sec-Fetch-Site: cross-site\r\n".to_owned(),
        "Sec-Fetch-Site: same-site\r\n".to_owned(),
    ];
    for headers in foreign {
        let (status, answer) = server.ask("GET /read", &headers).await;
        assert_eq!(status, 403, "{headers}");
        assert!(answer.contains(Code::ForeignOrigin.as_str()), "{answer}");
    }
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://evil.example\r\n";
    assert_eq!(server.ask("GET /socket", upgrade).await.0, 403);
}

#[tokio::test]
async fn another_web_page_may_lead_a_window_to_the_page_and_nothing_more() {
    let server = Server::patient().await;
    let host = format!("Host: {}\r\n", server.address);
    let leads = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    let status = |request: &'static str, headers: String| {
        let (server, host) = (&server, &host);
        async move { server.ask_bare(request, &format!("{host}{headers}"), "").await.0 }
    };
    assert_eq!(status("GET /", leads.to_owned()).await, 200);
    assert_eq!(status("GET /rooms/abc", leads.to_owned()).await, 200);
    for request in ["GET /api/v1/rooms", "GET //api/v1/rooms", "GET /api", "POST /"] {
        assert_eq!(status(request, leads.to_owned()).await, 403, "{request}");
    }
    for other in [
        leads.replace("document", "iframe"),
        leads.replace("document", "script"),
        leads.replace("navigate", "no-cors"),
        leads.replace("Sec-Fetch-Dest: document\r\n", ""),
        format!("{leads}Sec-Fetch-Dest: iframe\r\n"),
        format!("{leads}Origin: https://evil.example\r\n"),
    ] {
        assert_eq!(status("GET /", other.clone()).await, 403, "{other}");
    }
    let rebound = format!("Host: evil.example:{}\r\n{leads}", server.address.port());
    assert_eq!(server.ask_bare("GET /", &rebound, "").await.0, 421, "the page, too, is served to this host only");
}

#[tokio::test]
async fn nothing_is_done_without_the_right_token() {
    let server = Server::patient().await;
    let host = format!("Host: {}\r\n", server.address);
    let wrong = [
        String::new(),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: Bearer {}\r\n", &TOKEN[..63]),
        format!("Authorization: Bearer {TOKEN}0\r\n"),
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("Cookie: token={TOKEN}\r\n"),
    ];
    for headers in wrong {
        let (status, answer) = server.ask_bare("GET /read", &format!("{host}{headers}"), "").await;
        assert_eq!(status, 401, "{headers}");
        assert!(answer.contains(Code::Unauthorized.as_str()), "{answer}");
    }
    let (status, _) = server.ask_bare(&format!("GET /read?token={TOKEN}"), &host, "").await;
    assert_eq!(status, 401, "tokens in URLs are not accepted: they end up in histories");
}

#[tokio::test]
async fn a_ticket_opens_one_socket_and_nothing_else() {
    let server = Server::patient().await;
    let host = format!("Host: {}\r\n", server.address);
    let ticket = server.tokens.ticket(&server.grant()).unwrap();
    assert_eq!(server.ask_bare(&format!("GET /read?ticket={ticket}"), &host, "").await.0, 401);
    assert_eq!(server.ask_bare(&format!("GET /socket?ticket={ticket}"), &host, "").await.0, 200);
    assert_eq!(server.ask_bare(&format!("GET /socket?ticket={ticket}"), &host, "").await.0, 401);
}

#[tokio::test]
async fn a_scope_that_is_too_small_and_a_room_of_others_are_refused() {
    let gated = |path: &str, gate: Gate| {
        Router::new().route(path, get(|| async { "done" })).route_layer(from_fn_with_state(gate, guard::scope))
    };
    let routes = gated("/manage", Gate::of(Scope::Manage))
        .merge(gated("/rooms/{room}/x", Gate::of(Scope::Read)))
        .merge(gated("/list", Gate::for_all(Scope::Read)))
        .merge(gated("/status", Gate::of(Scope::Read)));
    let routes = Router::new().nest("/api", routes);
    let status = |path: &str, grant: Option<Grant>| {
        let mut request = axum::extract::Request::get(format!("/api{path}")).body(Body::empty()).unwrap();
        grant.map(|grant| request.extensions_mut().insert(grant));
        let answer = tower::ServiceExt::oneshot(routes.clone(), request);
        async move { answer.await.unwrap().status().as_u16() }
    };
    let grant = |scope, rooms: &[&str]| Some(Grant::of_script(scope, rooms));
    assert_eq!(status("/manage", None).await, 403, "nobody who passed no token guard");
    assert_eq!(status("/manage", grant(Scope::Send, &[])).await, 403);
    assert_eq!(status("/manage", grant(Scope::Manage, &[])).await, 200);
    assert_eq!(status("/rooms/anything/x", grant(Scope::Read, &[])).await, 200);
    let narrow = || grant(Scope::Manage, &["aa"]);
    assert_eq!(status("/rooms/aa/x", narrow()).await, 200);
    for path in ["/rooms/ab/x", "/rooms/a/x", "/rooms/AA/x", "/rooms/aa%20/x", "/status", "/manage"] {
        assert_eq!(status(path, narrow()).await, 403, "{path}");
    }
    assert_eq!(status("/list", narrow()).await, 200);
}

#[tokio::test]
async fn a_body_that_is_too_long_or_no_json_is_refused() {
    let server = Server::patient().await;
    let head = |more: &str| format!("Host: {}\r\nAuthorization: Bearer {TOKEN}\r\n{more}", server.address);
    let json = "Content-Type: application/json\r\n";
    let fits = head(&format!("{json}Content-Length: 4\r\n"));
    assert_eq!(server.ask_bare("POST /echo", &fits, "\"hi\"").await.0, 200);
    // A form of another page could send this without asking first.
    let form = head("Content-Type: text/plain\r\nContent-Length: 4\r\n");
    assert_eq!(server.ask_bare("POST /echo", &form, "\"hi\"").await.0, 400);
    let claimed = head(&format!("{json}Content-Length: 10485760\r\n"));
    let (status, answer) = server.ask_bare("POST /echo", &claimed, "").await;
    assert!(status == 413 && answer.contains(Code::TooLong.as_str()), "{answer}");
    let chunked = head(&format!("{json}Transfer-Encoding: chunked\r\n"));
    let chunk = format!("40000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x40000));
    let (status, answer) = server.ask_bare("POST /echo", &chunked, &chunk).await;
    // The server may close before the client has written everything, and then the answer is lost on the way.
    assert!(matches!(status, 413 | 0), "{answer}");
}

#[tokio::test]
async fn a_client_that_sends_its_head_slowly_loses_its_place() {
    let times = Times { head: Duration::from_millis(50), write: limits::WRITE_TIME };
    let server = Server::start(times).await;
    for begun in ["", "GET /read HT", "GET /read HTTP/1.1\r\nHost: a\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    }
    assert_eq!(server.ask("GET /read", "").await.0, 200);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let times = Times { head: limits::HEAD_TIME, write: Duration::from_millis(50) };
    let server = Server::start(times).await;
    let told = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("Host: {}\r\nAuthorization: Bearer {TOKEN}\r\n", server.address);
    let path = format!("/endless/{}", told.local_addr().unwrap().port());
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{head}\r\n").as_bytes()).await.unwrap();
    let (mut answering, _) = told.accept().await.unwrap();
    // It ends when the server gives up the answer.
    assert_eq!(answering.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn stopping_finishes_what_was_begun_and_closes_what_is_idle() {
    let server = Server::patient().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let head = format!("Host: {}\r\nAuthorization: Bearer {TOKEN}\r\n", server.address);
    idle.write_all(format!("GET /read HTTP/1.1\r\n{head}\r\n").as_bytes()).await.unwrap();
    let mut first = [0; 4096];
    assert!(idle.read(&mut first).await.unwrap() > 0);
    stop(server).await;
    assert_eq!(idle.read(&mut first).await.unwrap(), 0);
}

/// A WebSocket that has carried an event.
async fn open_socket(server: &Server) -> TcpStream {
    let published = EventBody::Peer(PeerChanged { peer_id: "p".into(), connected: true, peers: 1 });
    server.bus.publish(1, published);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let ticket = server.tokens.ticket(&server.grant()).unwrap();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let head = format!("GET /events?ticket={ticket} HTTP/1.1\r\nHost: {}\r\n{upgrade}\r\n", server.address);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(8).any(|w| w == b"\"peers\":") {
        assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "{}", String::from_utf8_lossy(&seen));
    }
    assert!(seen.starts_with(b"HTTP/1.1 101"));
    stream
}

#[tokio::test]
async fn a_socket_holds_the_place_of_its_connection_until_it_ends() {
    let server = Server::patient().await;
    let sockets = [open_socket(&server).await, open_socket(&server).await];
    // Another connection is answered meanwhile, so the server has seen that both are sockets now. It waits for the next with a place.
    assert_eq!(server.ask("GET /read", "").await.0, 200);
    while server.places.available_permits() + 3 > limits::CONNECTIONS {
        tokio::task::yield_now().await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
        assert!(server.places.available_permits() + 3 <= limits::CONNECTIONS, "a socket gave its place away");
    }
    drop(sockets);
    while server.places.available_permits() + 1 < limits::CONNECTIONS {
        tokio::task::yield_now().await;
    }
    stop(server).await;
}

#[tokio::test]
async fn a_socket_carries_events_and_is_closed_when_the_node_stops() {
    let server = Server::patient().await;
    let mut stream = open_socket(&server).await;
    stop(server).await;
    let mut seen = Vec::new();
    stream.read_to_end(&mut seen).await.unwrap();
    // A close frame with the code 1001, going away.
    assert!(seen.windows(4).any(|w| w[0] == 0x88 && w[2..] == 1001_u16.to_be_bytes()), "{seen:?}");
}

#[tokio::test]
async fn a_port_in_use_is_told_with_a_way_out() {
    let server = Server::patient().await;
    let problem = bind(server.address).await.unwrap_err();
    assert_eq!(problem.code, Code::PortInUse);
    assert!(problem.hint.unwrap().contains("--api"));
}

#[test]
fn the_description_of_the_api_is_the_one_that_is_published() {
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec/openapi.json");
    let now = openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("PARLOR_UPDATE_OPENAPI").is_some() {
        std::fs::write(published, &now).unwrap();
    }
    let then = std::fs::read_to_string(published).unwrap_or_default();
    assert!(
        then == now,
        "routes or types changed: run the test with PARLOR_UPDATE_OPENAPI=1 and commit docs/spec/openapi.json"
    );
}

#[test]
fn the_description_of_the_api_describes_all_that_it_names() {
    let description = serde_json::to_value(openapi()).unwrap();
    let mut named = Vec::new();
    references(&description, &mut named);
    assert!(!named.is_empty());
    let missing: Vec<_> = named.iter().filter(|name| description.pointer(&name[1..]).is_none()).collect();
    assert!(missing.is_empty(), "named and not described: {missing:?}");

    for (path, routes) in description["paths"].as_object().unwrap() {
        for (method, route) in routes.as_object().unwrap() {
            for parameter in route["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                let in_path = path.contains(&format!("{{{name}}}"));
                assert_eq!(parameter["in"] == "path", in_path, "{method} {path}: {name}");
            }
        }
    }
}

/// Every `$ref` in a description: `#/components/schemas/NAME`.
fn references(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            into.extend(fields.get("$ref").and_then(|name| name.as_str()).map(str::to_owned));
            fields.values().for_each(|inner| references(inner, into));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|inner| references(inner, into)),
        _ => {}
    }
}

async fn stop(mut server: Server) {
    server.stop.take().unwrap().send(()).unwrap();
    server.ended.await.unwrap();
}
