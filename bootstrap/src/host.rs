//! Runs a relay: opens what it keeps, starts its network, gives each line its task, and stops without losing what was
//! acknowledged.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_crypto::{Secret, SigningKey};
use parlor_net::relay::{self as network, RelayConfig, RelayEvent};
use parlor_net::{Address, Line, LineKind, NetworkError};
use parlor_storage::{MailOptions, OpenError, OpenOptions, Store, private};
use rand::Rng;
use serde::Serialize;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::ban::Bans;
use crate::config::{Config, MailboxPlace};
use crate::data::DataDir;
use crate::directory::{self, Book};
use crate::guard::Guard;
use crate::mailbox::{MailboxStore, NatsError, NatsOptions, NatsStore, SledStore};
use crate::problem::{Code, Problem};
use crate::relay::{Parts, Relay, now_ms};
use crate::{admin, files, http, limits, post};

/// How long the start waits for the addresses of its listeners.
const SETTLE: Duration = Duration::from_secs(5);

/// What a relay says when it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// `ready`.
    pub event: &'static str,
    /// Its peer id.
    pub peer_id: String,
    /// Where it listens, each with its peer id.
    pub listen: Vec<String>,
    /// Where `/health` and `/metrics` are.
    pub metrics: String,
    /// How people name it: its addresses from outside, or where it listens. Logs keep this line, so that there is a token is
    /// said and not which.
    pub relay: Vec<String>,
    /// Whether everybody may use it.
    pub open: bool,
}

/// A running relay.
pub struct Running {
    relay: Arc<Relay>,
    ready: Ready,
    network: network::Relay,
    store: Store,
    stop: watch::Sender<bool>,
    helpers: JoinSet<()>,
    lines: JoinSet<()>,
    _lock: private::Lock,
}

/// Starts a relay. It takes no lines before [`Running::run`].
///
/// # Errors
/// Why it could not start; nothing runs then.
pub async fn start(config: Config) -> Result<Running, Problem> {
    let files = files::raise();
    let data = config.data.clone();
    data.create()?;
    let lock = data.lock()?;
    let key = data.key(&mut rand::rng())?;
    let store = open_store(&data, &key).await?;
    let listener = http::bind(config.metrics.0, config.metrics.1).await?;
    let commands = admin::bind(&data)?;
    let mailboxes = open_mailboxes(&config).await?;
    let network = network::spawn(network_config(&config, &key, files)).await.map_err(network_problem)?;
    let signing = SigningKey::from_seed(&Secret::new(*key));
    let (books, names) = (store.clone(), config.numbers.names);
    let book = tokio::task::spawn_blocking(move || Book::open(books, signing, names)).await;
    let book = book.map_err(Problem::internal)?.map_err(|e| Problem::new(Code::DataDamaged, e.to_string()))?;
    let bans = Bans::load(store.clone(), network.handle.clone(), now_ms()).await?;
    let relay = Arc::new(Relay::new(Parts {
        network: network.handle.clone(),
        peer: network.peer,
        data,
        token: config.token,
        book,
        bans,
        guard: Guard::new(&config.numbers),
        mailboxes,
        mailbox_bytes: config.numbers.mailbox_bytes,
        files,
    }));
    let metrics = listener.local_addr().unwrap_or(config.metrics.0);
    let (stop, _) = watch::channel(false);
    let helpers = help(&relay, listener, commands, &stop);
    let mut running = Running {
        ready: Ready {
            event: "ready",
            peer_id: network.peer.to_string(),
            listen: Vec::new(),
            metrics: format!("http://{metrics}"),
            relay: Vec::new(),
            open: relay.token.is_none(),
        },
        relay,
        network,
        store,
        stop,
        helpers,
        lines: JoinSet::new(),
        _lock: lock,
    };
    running.settle(config.listen.len(), &config.external).await;
    Ok(running)
}

/// Starts what serves the operator, and housekeeping.
fn help(relay: &Arc<Relay>, listener: TcpListener, commands: UnixListener, stop: &watch::Sender<bool>) -> JoinSet<()> {
    let stopped = || {
        let mut stopped = stop.subscribe();
        async move { drop(stopped.wait_for(|stopped| *stopped).await) }
    };
    let mut helpers = JoinSet::new();
    helpers.spawn(http::serve(listener, relay.clone(), stopped()));
    helpers.spawn(admin::serve(commands, relay.clone(), stopped()));
    let (relay, stopped) = (relay.clone(), stopped());
    helpers.spawn(async move {
        tokio::select! {
            () = stopped => {}
            () = keep_house(&relay) => {}
        }
    });
    helpers
}

/// Lets go what has had its time. Never ends.
async fn keep_house(relay: &Relay) {
    let mut clock = tokio::time::interval(limits::HOUSEKEEPING);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        if let Err(error) = relay.bans.expire(now_ms()).await {
            tracing::warn!(%error, "bans that ended could not be taken out");
        }
        match relay.mailboxes.expire(now_ms()).await {
            Ok(0) => {}
            Ok(blobs) => tracing::info!(blobs, "blobs have had their time"),
            Err(error) => tracing::warn!(%error, "old blobs could not be taken out"),
        }
    }
}

impl Running {
    /// What to tell whoever started it.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The relay itself.
    pub fn relay(&self) -> &Arc<Relay> {
        &self.relay
    }

    /// Waits until every listener has an address.
    async fn settle(&mut self, wanted: usize, external: &[Address]) {
        let mut listening: Vec<Address> = Vec::new();
        let until = tokio::time::Instant::now() + SETTLE;
        let carriers = |list: &[Address]| {
            let mut kinds: Vec<_> = list.iter().filter_map(Address::endpoint).map(|it| (it.port, it.carrier)).collect();
            kinds.sort_unstable();
            kinds.dedup();
            kinds.len()
        };
        while carriers(&listening) < wanted {
            match tokio::time::timeout_at(until, self.network.events.recv()).await {
                Ok(Some(RelayEvent::Listening { address })) => listening.push(address),
                Ok(Some(RelayEvent::Line { line, source })) => self.take(line, source),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        let peer = self.relay.peer;
        self.ready.listen = listening.iter().map(|address| address.with_peer(peer).to_string()).collect();
        self.ready.relay = self.relay.names(if external.is_empty() { &listening } else { external });
    }

    /// Serves until `interrupted` is done, then stops.
    ///
    /// # Errors
    /// What made it stop before.
    pub async fn run(mut self, interrupted: impl Future<Output = ()>) -> Result<(), Problem> {
        let mut interrupted = std::pin::pin!(interrupted);
        let ended = loop {
            tokio::select! {
                biased;
                () = &mut interrupted => break Ok(()),
                ended = &mut self.network.task => {
                    tracing::error!(?ended, "the network has ended");
                    break Err(Problem::internal("the network has ended"));
                }
                Some(_) = self.lines.join_next() => {}
                event = self.network.events.recv() => match event {
                    Some(RelayEvent::Line { line, source }) => self.take(line, source),
                    Some(RelayEvent::Listening { address }) => tracing::info!(%address, "listening"),
                    Some(RelayEvent::Expired { address }) => tracing::warn!(%address, "no longer listening"),
                    Some(RelayEvent::ListenFailed { reason }) => tracing::error!(reason, "a listener failed"),
                    Some(_) => {}
                    None => break Err(Problem::internal("the network has ended")),
                },
            }
        };
        self.stop().await;
        ended
    }

    /// Gives a line its task, if its source may have one more.
    fn take(&mut self, line: Line, source: Option<IpAddr>) {
        if self.lines.len() >= limits::LINES {
            self.relay.metrics.refused_line();
            return;
        }
        let (relay, stopped) = (self.relay.clone(), self.stop.subscribe());
        self.lines.spawn(async move {
            let Some(_place) = relay.guard.line(source, Instant::now()) else {
                relay.metrics.refused_line();
                return;
            };
            match line.kind() {
                LineKind::Mailbox => {
                    let mut nonce = [0; 32];
                    rand::rng().fill_bytes(&mut nonce);
                    post::serve(&relay, line, source, nonce, stopped).await;
                }
                LineKind::Directory => directory::line::serve(&relay, line, source, stopped).await,
                _ => {}
            }
        });
    }

    /// Lets lines finish what they were asked, then closes everything.
    async fn stop(mut self) {
        self.stop.send_replace(true);
        let finish = async { while self.lines.join_next().await.is_some() {} };
        if timeout(limits::STOP_TIME, finish).await.is_err() {
            tracing::warn!("some lines were cut off at the end");
        }
        self.lines.shutdown().await;
        self.network.handle.shutdown().await;
        while self.helpers.join_next().await.is_some() {}
        let _ = std::fs::remove_file(self.relay.data.admin_socket());
        self.relay.mailboxes.close().await;
        drop(self.relay);
        let store = self.store;
        // It fails only when the runtime ends, and everything acknowledged is durable already.
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

async fn open_store(data: &DataDir, key: &[u8; 32]) -> Result<Store, Problem> {
    let vault = data.vault(key, &mut rand::rng())?;
    let dir = data.store_dir();
    let opened = tokio::task::spawn_blocking(move || Store::open(&dir, &vault, OpenOptions::default())).await;
    opened.map_err(Problem::internal)?.map_err(|error| store_problem(&error))
}

async fn open_mailboxes(config: &Config) -> Result<Arc<dyn MailboxStore>, Problem> {
    let max_bytes = config.numbers.mailbox_bytes;
    match &config.mailbox {
        MailboxPlace::Sled => {
            let dir = config.data.mailbox_dir();
            let options = MailOptions { max_bytes, ..MailOptions::default() };
            let opened = tokio::task::spawn_blocking(move || SledStore::open(&dir, options)).await;
            let store = opened.map_err(Problem::internal)?.map_err(|error| store_problem(&error))?;
            Ok(Arc::new(store))
        }
        MailboxPlace::Nats(servers) => {
            let options = NatsOptions { max_bytes: Some(max_bytes), ..NatsOptions::default() };
            let store = NatsStore::connect(&servers.join(","), options).await;
            Ok(Arc::new(store.map_err(|error| nats_problem(&error))?))
        }
    }
}

fn nats_problem(error: &NatsError) -> Problem {
    let (code, hint) = match error {
        NatsError::NoSpace { .. } => (
            Code::NoSpace,
            "give its servers so much (max_file_store in their jetstream block), three servers or one, or ask for less with mailbox_bytes under [limits]",
        ),
        NatsError::BadStream(_) => {
            (Code::BadStream, "edit the stream or remove it, with the nats tool: a relay makes one as it needs it")
        }
        _ => (
            Code::Unreachable,
            "start nats-server with JetStream (-js) there, or name it with --mailbox nats://HOST:PORT",
        ),
    };
    Problem::new(code, format!("the mailboxes in NATS: {error}")).hint(hint)
}

fn store_problem(error: &OpenError) -> Problem {
    let code = match error {
        OpenError::Locked { .. } => Code::DataLocked,
        OpenError::Permission { .. } | OpenError::ReadOnly { .. } => Code::DataDenied,
        OpenError::DiskFull { .. } => Code::DiskFull,
        OpenError::Io { .. } => Code::Internal,
        _ => Code::DataDamaged,
    };
    // The message says what to do.
    Problem::new(code, error.to_string())
}

fn network_config(config: &Config, key: &[u8; 32], files: u64) -> RelayConfig {
    let numbers = &config.numbers;
    let mut network = RelayConfig::new(*key);
    network.listen.clone_from(&config.listen);
    network.external.clone_from(&config.external);
    network.peers.clone_from(&config.peers);
    network.open = config.token.is_none();
    let tuning = &mut network.tuning;
    (tuning.connections, tuning.pending) = files::connections(numbers.connections, files);
    if tuning.connections < numbers.connections {
        tracing::warn!(
            connections = tuning.connections,
            wanted = numbers.connections,
            open_files = files,
            "the limit of open files allows fewer connections; raise it (ulimit -n, LimitNOFILE, ulimits)"
        );
    }
    tuning.connections_per_source = numbers.connections_per_source;
    tuning.circuits = numbers.circuits;
    tuning.circuits_per_peer = numbers.circuits_per_peer;
    tuning.circuits_per_source = numbers.circuits_per_source;
    tuning.circuit_bytes = numbers.circuit_bytes;
    tuning.memory_max = numbers.memory;
    tuning.gate_loopback = numbers.loopback;
    // A relay that listens on this machine only is somebody's test or a closed network.
    tuning.private_addresses = config.listen.iter().all(Address::is_loopback);
    network
}

fn network_problem(error: NetworkError) -> Problem {
    let text = error.to_string();
    if text.contains("in use") {
        return Problem::new(Code::PortInUse, text).hint("stop the other program, or listen elsewhere with --listen");
    }
    Problem::new(Code::BadConfig, text)
        .hint("use --listen with addresses of this machine, and --peer with a peer id at the end")
}
