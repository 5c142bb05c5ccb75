//! Whole nodes of ours in this process.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use parlor_api::{CreateInvite, CreateRoom, EventBody, JoinRequest, Role, SendRequest};
use parlor_node::{App, Config, Home, Passphrase, launch::Running};
use tokio::sync::mpsc;

/// How long anything may take before a bench gives up.
const PATIENCE: Duration = Duration::from_secs(300);
/// Gossip meshes need some heartbeats to be whole.
pub const MESH: Duration = Duration::from_secs(8);

/// Makes the account of a home.
///
/// # Errors
/// What the node says.
pub fn init(home: &Path, name: &str) -> Result<()> {
    parlor_node::init_account(&Home::at(home), name, &Passphrase::None).map_err(problem)?;
    Ok(())
}

/// Starts the node of a home: over TCP on loopback, on any free port or the one it had before, without mDNS.
///
/// # Errors
/// What the node says.
pub async fn start(home: &Path) -> Result<Running> {
    let mut config = Config::new(Home::at(home));
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    config.mdns = false;
    parlor_node::start(config).await.map_err(problem)
}

/// Stops a node and waits until its home is free.
///
/// # Errors
/// What could not be saved.
pub async fn stop(node: Running) -> Result<()> {
    node.stop().await.map_err(problem)
}

/// An error of the node as one of this program.
pub fn problem(problem: parlor_api::Problem) -> anyhow::Error {
    anyhow!("{:?}: {}", problem.code, problem.detail)
}

/// The port on which the node listens.
///
/// # Errors
/// It listens nowhere.
pub async fn port(app: &App) -> Result<u16> {
    let ready = app.ready().await.map_err(problem)?;
    let address = ready.listen.first().context("the node listens nowhere")?;
    let mut parts = address.split('/').skip_while(|part| *part != "tcp");
    Ok(parts.nth(1).context("no TCP port")?.parse()?)
}

/// Makes a room; answers its id.
///
/// # Errors
/// What the node says.
pub async fn room(owner: &App, name: &str) -> Result<String> {
    Ok(owner.create_room(CreateRoom::named(name)).await.map_err(problem)?.room)
}

/// Has the nodes join a room by one invite, one after the other.
///
/// # Errors
/// What a node says.
pub async fn join(owner: &App, room: &str, nodes: impl IntoIterator<Item = &App>) -> Result<()> {
    let nodes: Vec<_> = nodes.into_iter().collect();
    let invite =
        CreateInvite { role: Role::Member, uses: Some(u32::try_from(nodes.len().max(1))?), ..CreateInvite::default() };
    let invite = owner.create_invite(room, invite).await.map_err(problem)?;
    let link = invite.link.context("an invite without link")?;
    for node in nodes {
        let request = JoinRequest { link: link.clone(), timeout: JoinRequest::TIMEOUT, once_asked: false };
        let answer = node.join(request).await.map_err(problem)?;
        if answer.name.is_empty() {
            bail!("the join is pending");
        }
    }
    Ok(())
}

/// Nodes in one room, the owner first.
pub struct Cluster {
    /// Where their homes are.
    pub dir: tempfile::TempDir,
    /// The nodes.
    pub nodes: Vec<Running>,
    /// The room.
    pub room: String,
}

impl Cluster {
    /// Starts `n` nodes in one room and waits until every one is connected to all that it will be connected to.
    ///
    /// # Errors
    /// What a node says.
    pub async fn start(n: usize) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut nodes = Vec::new();
        for at in 0..n {
            let home = dir.path().join(format!("home-{at}"));
            init(&home, &format!("node {at}"))?;
            nodes.push(start(&home).await?);
        }
        let owner = &nodes.first().context("no node")?.app;
        let room = room(owner, "bench").await?;
        join(owner, &room, nodes.iter().skip(1).map(|node| &node.app)).await?;
        let cluster = Self { dir, nodes, room };
        tokio::time::sleep(MESH).await;
        for at in 0..n {
            let state = cluster.sync(at).await?;
            if state.peers == 0 || cluster.app(at)?.members(&cluster.room).await.map_err(problem)?.len() != n {
                bail!("node {at} is not part of the room yet");
            }
        }
        Ok(cluster)
    }

    /// A node's handle.
    ///
    /// # Errors
    /// There is no such node.
    pub fn app(&self, at: usize) -> Result<&App> {
        Ok(&self.nodes.get(at).context("no such node")?.app)
    }

    /// How far a node is.
    ///
    /// # Errors
    /// What the node says.
    pub async fn sync(&self, at: usize) -> Result<parlor_api::SyncState> {
        state(self.app(at)?, &self.room).await
    }

    /// Stops all.
    ///
    /// # Errors
    /// What could not be saved.
    pub async fn stop(self) -> Result<()> {
        for node in self.nodes {
            stop(node).await?;
        }
        Ok(())
    }
}

/// How far a node is in a room.
///
/// # Errors
/// What the node says.
pub async fn state(app: &App, room: &str) -> Result<parlor_api::SyncState> {
    let status = app.status().await.map_err(problem)?;
    status.rooms.into_iter().find(|state| state.room == room).context("the node does not have the room")
}

/// Waits until the node holds `n` messages of the room; answers when it did.
///
/// # Errors
/// It took too long.
pub async fn holds(app: &App, room: &str, n: u64) -> Result<Instant> {
    let start = Instant::now();
    loop {
        let state = state(app, room).await?;
        if state.have >= n {
            return Ok(Instant::now());
        }
        if start.elapsed() > PATIENCE {
            bail!("{} of {n} messages after {PATIENCE:?}", state.have);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A message with a number, of `len` bytes.
pub fn text(number: usize, len: usize) -> SendRequest {
    let mut text = format!("{number} ");
    while text.len() < len {
        text.push_str("a quick brown fox ");
    }
    text.truncate(len.max(1));
    SendRequest { text, ..SendRequest::default() }
}

/// A message as it was shown: its number, at which node, when.
pub type Shown = (usize, usize, Instant);

/// Tells of each message that the nodes `1..` show. A node that fell behind ends with an error.
pub fn watch(cluster: &Cluster) -> Result<mpsc::UnboundedReceiver<Result<Shown>>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    for at in 1..cluster.nodes.len() {
        let mut events = cluster.app(at)?.subscribe(None).map_err(problem)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let now = Instant::now();
                let told = match event {
                    Ok(event) => match &event.body {
                        EventBody::Message(message) => match number(&message.text) {
                            Some(number) => Ok((number, at, now)),
                            None => continue,
                        },
                        _ => continue,
                    },
                    Err(behind) => Err(anyhow!("node {at}: {behind}")),
                };
                if sender.send(told).is_err() {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}

fn number(text: &str) -> Option<usize> {
    text.split(' ').next()?.parse().ok()
}

/// The ports of nodes.
///
/// # Errors
/// One listens nowhere.
pub async fn ports(nodes: &[Running]) -> Result<HashSet<u16>> {
    let mut ports = HashSet::new();
    for node in nodes {
        ports.insert(port(&node.app).await?);
    }
    Ok(ports)
}

/// Copies a home of a node that does not run.
///
/// # Errors
/// Input and output.
pub fn copy_home(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_home(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
