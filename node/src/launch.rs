//! From a folder to a running node: making the account of a home, starting its node, stopping it.
//!
//! This is what a program that hosts a node needs; everything else goes through [`App`].

mod front;
mod waiting;

use std::sync::Arc;

use parlor_api::{Code, Problem, WebCode};
use parlor_net::{Address, Carriers, Network, NetworkConfig, NetworkError};
use parlor_storage::{OpenError, OpenOptions, Store, private};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use zeroize::Zeroizing;

use self::front::Front;
pub use self::waiting::{Waiting, wait};
use crate::account::{Account, Me, Origin};
use crate::app::{App, Node};
use crate::bus::Bus;
use crate::clock::now_ms;
use crate::config::{Config, Passphrase};
use crate::door::Door;
use crate::home::Home;
use crate::limits::STOP_DEADLINE;
use crate::listen;
use crate::services::attention::{self, Attention};
use crate::services::contacts::{self, Contacts};
use crate::services::fading::{self, Fading};
use crate::services::files::{self, Files};
use crate::services::groups::{self, Groups};
use crate::services::joins::Joins;
use crate::services::leafs;
use crate::services::mailboxes::{self, Mailboxes, Relay};
use crate::services::names::{self, Names};
use crate::services::own::OwnDevices;
use crate::services::peers::{self, Peers};
use crate::services::profiles::{self, Profiles};
use crate::services::rooms::{self, Context, Directory, Rooms};
use crate::services::search::{self, Pace, Search};
use crate::services::webhooks::{self, Floor, Webhooks};

/// An account that was just made.
pub struct NewAccount {
    /// Account id.
    pub account: String,
    /// Id of this first device.
    pub device: String,
    /// Name of the account.
    pub name: String,
    /// The 24 words that restore the account: shown once, stored nowhere.
    pub recovery_phrase: Zeroizing<String>,
}

/// Makes the account of a home, and the home if it does not exist. Blocks for the time of Argon2id (about a second) when
/// there is a passphrase. Whoever fails half way finds the home without account again, never with half of one.
///
/// # Errors
/// `already_exists`, `home_locked`, `home_denied`, `disk_full`, `bad_request` for a name that is empty or too long.
pub fn init_account(home: &Home, name: &str, passphrase: &Passphrase) -> Result<NewAccount, Problem> {
    home.create()?;
    let _lock = home.lock()?;
    Account::make(home, name, passphrase, Origin::New, now_ms())
}

/// As [`init_account`], of an account that exists: a new device of it, by its recovery phrase. It is in no room yet; an invite
/// brings it into one, as the same member.
///
/// # Errors
/// As [`init_account`]; `bad_request` for what is no recovery phrase.
pub fn recover_account(
    home: &Home,
    name: &str,
    passphrase: &Passphrase,
    recovery: &str,
) -> Result<NewAccount, Problem> {
    home.create()?;
    let _lock = home.lock()?;
    let recovery = Zeroizing::new(recovery.to_owned());
    Account::make(home, name, passphrase, Origin::Recovered(recovery), now_ms())
}

/// A running node.
pub struct Running {
    /// What clients can ask of it.
    pub app: App,
    home: Home,
    door: Door,
    stopping: watch::Receiver<bool>,
    network: JoinHandle<()>,
    api: JoinHandle<()>,
    tasks: JoinSet<()>,
    lock: private::Lock,
}

/// What runs behind the front.
struct Parts {
    app: App,
    network: JoinHandle<()>,
    tasks: JoinSet<()>,
}

/// Starts the node of a home: takes its lock, opens the vault and the store, listens, serves the API, and writes the
/// home's `api.json` and `token`. It is ready when this returns.
///
/// # Errors
/// `no_account`, `home_locked`, `home_denied`, `home_damaged`, `wrong_passphrase`, `passphrase_needed`, `port_in_use`.
pub async fn start(config: Config) -> Result<Running, Problem> {
    Relay::parse(&config.relays, Code::BadConfig)?;
    if !config.home.has_account() {
        // Says so before anything is made in a folder that may not be a home.
        return Err(Account::open(&config.home, &Passphrase::None)
            .err()
            .unwrap_or_else(|| Problem::of(Code::NoAccount)));
    }
    let lock = config.home.lock()?;
    let (account, store) = open(&config).await?;
    let mut front = Front::bind(&config, lock).await?;
    let parts = run(&config, &mut front, account, store).await?;
    Ok(Running::new(parts, config.home, front))
}

/// Starts what is behind the front, and has it served.
async fn run(config: &Config, front: &mut Front, account: Account, store: Store) -> Result<Parts, Problem> {
    let relays = Relay::parse(&config.relays, Code::BadConfig)?;
    let locked = Account::wants_passphrase(&config.home)?;
    let Network { peer, handle: net, events, task: network } = network(config, &account, &store).await?;
    tokio::task::block_in_place(|| front.door.tokens().load(&store))?;

    let (bus, peers, mailboxes) = (Bus::new(now_ms()), Peers::new(), Mailboxes::new(relays));
    let relays = names::own_relays(&config.relays);
    let names = Names::new(net.clone(), relays.clone(), account.root_key(), account.identity().entrant().account);
    let (contacts, letters) = Contacts::load(&store, account.contact_keys())?;
    let (profiles, wishes) = Profiles::load(&store, (account.identity().account(), account.name()), &contacts, &bus)?;
    let (attention, settings) = Attention::load(&store, config.attention.clone(), config.desktop)?;
    let (directory, joins) = (Directory::default(), Joins::new());
    let ((groups, told), (webhooks, hooks)) = (Groups::load(&store)?, Webhooks::load(&store)?);
    let files = load_files(config, &account, (store.clone(), bus.clone(), directory.clone()))?;
    let search = Search::new(&config.home.search_dir(), account.vault(), store.clone());
    let context = Arc::new(Context {
        identity: Me::new(&account),
        name: account.name().to_owned(),
        peer,
        store: store.clone(),
        net: net.clone(),
        bus: bus.clone(),
        directory,
        peers: peers.clone(),
        mailboxes: mailboxes.clone(),
        contacts: contacts.clone(),
        own: OwnDevices::load(&store, &bus),
        attention,
        files: files.clone(),
        fading: Fading::default(),
        profiles: profiles.clone(),
        groups: groups.clone(),
        early_places: Arc::new(tokio::sync::Semaphore::new(crate::limits::EARLY_ROOMS)),
    });
    let mut tasks = JoinSet::new();
    let (rooms, begun) = tokio::task::block_in_place(|| rooms::start(context.clone(), &mut tasks))?;
    tasks.spawn(attention::run(attention::Parts::new(&context, &rooms, settings)));
    let parts = peers::Parts {
        me: peer,
        net,
        events,
        peers: peers.clone(),
        rooms: rooms.clone(),
        joins: joins.clone(),
        contacts: contacts.clone(),
        files: files.clone(),
        store: store.clone(),
        bus: bus.clone(),
    };
    tasks.spawn(peers::run(parts));
    carry(&mut tasks, mailboxes, &context, &rooms);
    let parts = contacts::Parts { context: context.clone(), rooms: rooms.clone(), relays: relays.clone() };
    tasks.spawn(contacts::run(parts, letters));
    tasks.spawn(leafs::run(account, config.home.clone(), context.clone(), rooms.clone()));
    tasks.spawn(files::run(files::Parts { files, net: context.net.clone(), rooms: rooms.clone() }));
    tasks.spawn(profiles::run(profiles::Parts { profiles, rooms: rooms.clone(), store: store.clone() }, wishes));
    tasks.spawn(fading::run(context.fading.clone(), store.clone(), rooms.clone()));
    begun.wait().await;
    follow(&mut tasks, (&context, &rooms, &joins), search.clone(), (told, hooks));
    listen::settled(&config.listen, &peers, &store).await;

    let node = Node {
        context,
        rooms,
        joins,
        groups,
        webhooks,
        bus: bus.clone(),
        api: format!("http://{}", front.api),
        started_ms: now_ms(),
        home: config.home.dir().to_owned(),
        names,
        search,
        locked,
        backups: Arc::new(tokio::sync::Semaphore::new(1)),
        stopping: front.stop.clone(),
    };
    served(App { node: Arc::new(node) }, (front, &config.home), network, tasks).await
}

/// Has the node served, and says that it is ready.
async fn served(
    app: App,
    (front, home): (&mut Front, &Home),
    network: JoinHandle<()>,
    tasks: JoinSet<()>,
) -> Result<Parts, Problem> {
    let ready = app.ready().await;
    match ready.and_then(|ready| front.serve_node(app.clone(), home).map(|()| ready)) {
        Ok(ready) => drop(app.node.bus.publish(now_ms(), parlor_api::EventBody::Ready(ready))),
        Err(problem) => {
            // What runs by now would keep the home from whoever tries again.
            let _ = tokio::time::timeout(STOP_DEADLINE, quiet(&app)).await;
            close(app, tasks).await;
            return Err(problem);
        }
    }
    Ok(Parts { app, network, tasks })
}

/// Ends what is under way: the rooms finish what was handed to the disk, then friends are told goodbye.
async fn quiet(app: &App) {
    app.node.context.mailboxes.stop().await;
    app.node.rooms.stop().await;
    app.node.context.net.shutdown().await;
}

/// Ends the services, and gives the store back. Whether it could be closed.
async fn close(app: App, mut tasks: JoinSet<()>) -> bool {
    tasks.shutdown().await;
    let store = app.node.context.store.clone();
    drop(app);
    tokio::task::spawn_blocking(move || store.close()).await.is_ok()
}

/// Starts the lines to relays. They end well by themselves when the node stops, so nothing ends them before.
fn carry(tasks: &mut JoinSet<()>, handle: Mailboxes, context: &Arc<Context>, rooms: &Rooms) {
    let (net, store, context) = (context.net.clone(), context.store.clone(), context.clone());
    let parts = mailboxes::Parts { handle, net, rooms: rooms.clone(), store, context };
    let mailboxes = tokio::spawn(mailboxes::run(parts));
    tasks.spawn(async move { drop(mailboxes.await) });
}

/// Starts what follows the rooms, when all of them are there.
fn follow(
    tasks: &mut JoinSet<()>,
    (context, rooms, joins): (&Arc<Context>, &Rooms, &Joins),
    search: Search,
    (told, hooks): (groups::Inbox, webhooks::Inbox),
) {
    let floor = Floor::default();
    let parts = webhooks::Parts { context: context.clone(), rooms: rooms.clone(), floor: floor.clone() };
    tasks.spawn(webhooks::run(parts, hooks));
    let (rooms_of, bus) = (rooms.clone(), context.bus.clone());
    tasks.spawn(search::run(search::Parts { search, rooms: rooms_of, bus, pace: Pace::default(), floor }));
    joins.resume(context, rooms);
    let parts = groups::Parts { context: context.clone(), rooms: rooms.clone(), joins: joins.clone() };
    tasks.spawn(groups::run(parts, told));
}

/// What the store and the folder of files say of files. Blocks.
fn load_files(config: &Config, account: &Account, beside: (Store, Bus, Directory)) -> Result<Files, Problem> {
    let limits = files::Limits { auto: config.files_auto, cache: config.files_cache };
    tokio::task::block_in_place(|| Files::load(&config.home.blobs_dir(), account.vault(), limits, beside))
}

impl Running {
    fn new(parts: Parts, home: Home, mut front: Front) -> Self {
        let api = front.server();
        let Parts { app, network, tasks } = parts;
        let Front { lock, door, stop, .. } = front;
        Self { app, home, door, stopping: stop.subscribe(), network, api, tasks, lock }
    }

    /// A link that opens the page, once, within a minute.
    ///
    /// # Errors
    /// `busy`.
    pub fn web(&self) -> Result<WebCode, Problem> {
        self.door.link()
    }

    /// Waits until the node ends: by a client's `stop`, or because something it can not live without failed. Cancel safe.
    ///
    /// # Errors
    /// Why it could not go on.
    pub async fn ended(&mut self) -> Result<(), Problem> {
        let broke = |what: &str| {
            Problem::new(Code::Internal, format!("{what} ended by itself"))
                .hint("start the node again; if it happens twice, report it with the log")
        };
        tokio::select! {
            _ = self.stopping.wait_for(|stopping| *stopping) => Ok(()),
            _ = &mut self.network => Err(broke("the network")),
            Some(_) = self.tasks.join_next() => Err(broke("a part of the node")),
        }
    }

    /// Stops it and waits until everything is on disk and the lock is free.
    ///
    /// # Errors
    /// What could not be saved.
    pub async fn stop(self) -> Result<(), Problem> {
        let Self { app, home, api, tasks, lock, .. } = self;
        app.node.stopping.send_replace(true);
        let stop = async {
            // The API finishes what was begun.
            let _ = api.await;
            home.remove_api();
            quiet(&app).await;
        };
        let in_time = tokio::time::timeout(STOP_DEADLINE, stop).await.is_ok();
        let closed = close(app, tasks).await;
        drop(lock);
        match (in_time, closed) {
            (true, true) => Ok(()),
            _ => Err(Problem::new(Code::Internal, "the node did not stop in time; what it acknowledged is on disk")),
        }
    }
}

async fn open(config: &Config) -> Result<(Account, Store), Problem> {
    let (home, passphrase) = (config.home.clone(), config.passphrase.clone());
    let opening = tokio::task::spawn_blocking(move || {
        let mut account = Account::open(&home, &passphrase)?;
        // A disk that is full or read only is no reason not to start.
        if let Err(problem) = account.renew_leaf(&home, now_ms()) {
            tracing::warn!(%problem, "the leaf key could not be replaced");
        }
        let store = open_store(&home, &account)?;
        Ok((account, store))
    });
    opening.await.map_err(|e| Problem::new(Code::Internal, e.to_string()))?
}

/// What helps without the history. Not an empty one: with that a device would give numbers again that others hold of it already.
const LOST: &str = "restore a backup in a new home; if there is none, make a new device of the account in a new home: parlor init --name NAME --recover FILE";

/// Opens the history of the home, or makes it the first time. A history that was there and is gone is not begun anew: the
/// node would show empty rooms, and number its messages from one again.
fn open_store(home: &Home, account: &Account) -> Result<Store, Problem> {
    let (dir, made) = (home.store_dir(), home.store_made_file());
    let empty = std::fs::read_dir(&dir).map_or(true, |mut entries| entries.next().is_none());
    if made.exists() && empty {
        let problem = Problem::new(Code::HomeDamaged, format!("the history in {} is gone", dir.display()));
        return Err(problem.hint(LOST));
    }
    let store = Store::open(&dir, account.vault(), OpenOptions::default()).map_err(store_problem)?;
    if !made.exists() {
        crate::home::write_private(&made, b"")?;
    }
    Ok(store)
}

async fn network(config: &Config, account: &Account, store: &Store) -> Result<Network, Problem> {
    let wanted = listen::parse(&config.listen)?;
    let remembered = listen::remembered(&wanted, store);
    let settings = |listen: Vec<Address>| {
        let mut settings = NetworkConfig::new(account.transport_seed());
        settings.listen = listen;
        settings.mdns = config.mdns;
        settings.carriers = config.carriers;
        // A node that keeps to this machine meets others there, as a relay that does.
        settings.tuning.private_addresses = settings.listen.iter().all(Address::is_loopback);
        if config.carriers == Carriers::Memory {
            // The memory of the process is that of all the nodes in it.
            settings.tuning.memory_max = usize::MAX;
        }
        settings
    };
    match parlor_net::spawn(settings(remembered.clone())).await {
        // Somebody took the port since last time: any free one will do where any was asked for.
        Err(NetworkError::AddressInUse { .. }) if remembered != wanted => {
            parlor_net::spawn(settings(wanted)).await.map_err(network_problem)
        }
        other => other.map_err(network_problem),
    }
}

fn network_problem(error: NetworkError) -> Problem {
    match error {
        NetworkError::AddressInUse { .. } => Problem::new(Code::PortInUse, error.to_string())
            .hint("stop it, or name another port with --listen; port 0 takes a free one"),
        NetworkError::Listen { .. } => Problem::new(Code::BadConfig, error.to_string())
            .hint("name an address of this machine, such as --listen /ip4/0.0.0.0/udp/0/quic-v1"),
        NetworkError::KeyLog => Problem::new(Code::BadConfig, error.to_string()),
        other => Problem::new(Code::Internal, other.to_string()),
    }
}

pub(crate) fn store_problem(error: OpenError) -> Problem {
    let detail = error.to_string();
    match error {
        OpenError::Locked { .. } => Problem::new(Code::HomeLocked, detail),
        OpenError::Permission { .. } | OpenError::ReadOnly { .. } => Problem::new(Code::HomeDenied, detail),
        OpenError::DiskFull { .. } => Problem::new(Code::DiskFull, detail),
        OpenError::Io { .. } => Problem::new(Code::Internal, detail),
        _ => crate::home_damaged(detail).hint(LOST),
    }
}
