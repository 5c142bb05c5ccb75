//! What all parts of a running relay share: its network, its stores, its limits and its counts.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parlor_net::relay::{RelayHandle, Status as RelayStatus};
use parlor_net::{NetworkError, PeerId};
use parlor_proto::access::{self, AccessToken};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::ban::Bans;
use crate::data::DataDir;
use crate::directory::Book;
use crate::guard::Guard;
use crate::limits;
use crate::mailbox::{MailboxStore, Usage};
use crate::metrics::{Levels, Metrics};
use crate::post::Boxes;
use crate::turns::Turns;

/// A running relay. Shared by its lines, the metrics and the operator's commands.
pub struct Relay {
    /// The network.
    pub network: RelayHandle,
    /// Its peer id.
    pub peer: PeerId,
    /// The data folder.
    pub data: DataDir,
    /// What whoever uses it must know; `None` when it is open.
    pub token: Option<AccessToken>,
    /// Names.
    pub book: Book,
    /// Whom it refuses.
    pub bans: Bans,
    /// What sources use.
    pub guard: Guard,
    /// Whose put is next.
    pub turns: Turns,
    /// Counts.
    pub metrics: Metrics,
    /// Mailboxes.
    pub mailboxes: Arc<dyn MailboxStore>,
    /// Boxes that are known to be there.
    pub(crate) boxes: Boxes,
    /// When it started.
    pub started: Instant,
    /// What all mailboxes may count.
    mailbox_bytes: u64,
    /// Files that may be open.
    files: u64,
    key: [u8; 32],
    look: tokio::sync::Mutex<Option<(Instant, Arc<Look>)>>,
}

/// The relay at one moment.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// What is measured.
    pub levels: Levels,
    /// What is wrong, for people; empty when all is well.
    pub faults: Vec<String>,
}

/// What `parlor-bootstrap stats` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// The relay's peer id.
    pub peer_id: String,
    /// Version of the program.
    pub version: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Whether everybody may use it.
    pub open: bool,
    /// `ok`, or `failing`.
    pub status: String,
    /// What is wrong.
    pub faults: Vec<String>,
    /// Where it listens, with its peer id.
    pub listen: Vec<String>,
    /// Where nodes are told to reach it, with its peer id.
    pub external: Vec<String>,
    /// Other relays that are connected.
    pub peers: Vec<String>,
    /// Other relays that are not.
    pub peers_away: Vec<String>,
    /// Other relays of which nodes hear here.
    #[serde(default)]
    pub peers_known: Vec<String>,
    /// Connections that stand.
    pub connections: u64,
    /// Reservations that stand.
    pub reservations: u64,
    /// Circuits that stand.
    pub circuits: u64,
    /// Lines that stand.
    pub lines: u64,
    /// Blobs in the mailboxes.
    pub mailbox_blobs: u64,
    /// Bytes in the mailboxes.
    pub mailbox_bytes: u64,
    /// The same with what each blob takes of the disk beside: what is bounded.
    #[serde(default)]
    pub mailbox_counted_bytes: u64,
    /// The bound.
    #[serde(default)]
    pub mailbox_max_bytes: u64,
    /// Open files.
    #[serde(default)]
    pub open_files: u64,
    /// Files that may be open.
    #[serde(default)]
    pub open_files_max: u64,
    /// Names in the directory.
    pub names: u64,
    /// Peers and addresses that are refused.
    pub bans: u64,
    /// Bytes of the data folder.
    pub data_bytes: u64,
    /// Free bytes of its disk.
    pub disk_free_bytes: u64,
    /// Resident memory of the process.
    pub memory_bytes: u64,
}

/// The parts of a relay.
pub(crate) struct Parts {
    pub(crate) network: RelayHandle,
    pub(crate) peer: PeerId,
    pub(crate) data: DataDir,
    pub(crate) token: Option<AccessToken>,
    pub(crate) book: Book,
    pub(crate) bans: Bans,
    pub(crate) guard: Guard,
    pub(crate) mailboxes: Arc<dyn MailboxStore>,
    pub(crate) mailbox_bytes: u64,
    pub(crate) files: u64,
}

impl Relay {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { network, peer, data, token, book, bans, guard, mailboxes, mailbox_bytes, files } = parts;
        Self {
            network,
            peer,
            data,
            token,
            book,
            bans,
            guard,
            turns: Turns::default(),
            metrics: Metrics::new(),
            mailboxes,
            boxes: Boxes::default(),
            started: Instant::now(),
            mailbox_bytes,
            files,
            key: peer.to_key(),
            look: tokio::sync::Mutex::new(None),
        }
    }

    /// The relay's transport key.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Whether this is the token. If so, the peer may reserve and dial through the relay for a while; if not, it is noted
    /// against the source.
    pub async fn admit(&self, peer: PeerId, source: Option<IpAddr>, shown: &[u8]) -> bool {
        let Some(token) = &self.token else { return true };
        if !token.is(shown) {
            self.guard.wrong_token(source, Instant::now());
            self.metrics.wrong_token();
            return false;
        }
        self.permit(peer).await;
        true
    }

    /// The peer, which showed the token, may reserve and dial through the relay for a while from now.
    pub async fn permit(&self, peer: PeerId) {
        // It fails when the network has stopped, and the line with it.
        let _ = self.network.permit(peer, Some(limits::PERMIT_TIME)).await;
    }

    /// The texts by which people name this relay: its addresses with its peer id and, if it has one, its token. For the
    /// operator's eyes.
    ///
    /// # Errors
    /// The network has ended.
    pub async fn address(&self) -> Result<Vec<String>, NetworkError> {
        let status = self.network.status().await?;
        let addresses = if status.external.is_empty() { status.listening } else { status.external };
        Ok(addresses.iter().map(|it| access::join(&it.with_peer(self.peer).to_string(), self.token.as_ref())).collect())
    }

    /// The same for logs, which others read too: a token is not in it, only that there is one.
    pub fn names(&self, addresses: &[parlor_net::Address]) -> Vec<String> {
        let hidden = if self.token.is_some() { "?token=..." } else { "" };
        addresses.iter().map(|address| format!("{}{hidden}", address.with_peer(self.peer))).collect()
    }

    /// The relay at this moment, or a second ago.
    pub async fn look(&self) -> Arc<Look> {
        // Held over the look on purpose: many who ask at once wait for one look.
        let mut kept = self.look.lock().await;
        if let Some((at, look)) = kept.as_ref()
            && at.elapsed() < limits::LOOK_AGAIN
        {
            return look.clone();
        }
        let look = Arc::new(self.look_now().await);
        *kept = Some((Instant::now(), look.clone()));
        look
    }

    async fn look_now(&self) -> Look {
        let mut faults = Vec::new();
        let network = match timeout(limits::STORE_DEADLINE, self.network.status()).await {
            Ok(Ok(status)) => Some(status),
            _ => {
                faults.push("the network does not answer".to_owned());
                None
            }
        };
        if network.as_ref().is_some_and(|network| network.listening.is_empty()) {
            faults.push("it listens nowhere".to_owned());
        }
        let usage = match timeout(limits::STORE_DEADLINE, self.mailboxes.total()).await {
            Ok(Ok(usage)) => usage,
            Ok(Err(error)) => {
                faults.push(format!("the mailboxes can not be read: {error}"));
                Usage::default()
            }
            Err(_) => {
                faults.push("the mailboxes do not answer".to_owned());
                Usage::default()
            }
        };
        match timeout(limits::STORE_DEADLINE, self.mailboxes.check()).await {
            Ok(wrong) => faults.extend(wrong),
            Err(_) => faults.push("the mailboxes do not store".to_owned()),
        }
        let counted = self.mailboxes.counted(usage);
        // The longest blob finds no room any more.
        if counted + limits::MAIL_FULL > self.mailbox_bytes {
            faults.push("the mailboxes are full (limits.mailbox_bytes): nobody can put anything".to_owned());
        }
        let files = crate::files::open();
        if files > self.files / 10 * 9 {
            faults.push(format!("{files} of {} files are open: raise the limit of open files", self.files));
        }
        let data = self.data.clone();
        let disk = move || (data.bytes(), fs4::available_space(data.dir()).unwrap_or(0));
        let (disk, disk_free) = tokio::task::spawn_blocking(disk).await.unwrap_or_default();
        if disk_free < limits::DISK_LOW {
            faults.push("the disk is full".to_owned());
        }
        let levels = Levels {
            network,
            mailbox: (usage.blobs, usage.bytes),
            mailbox_counted: (counted, self.mailbox_bytes),
            files: (files, self.files),
            names: self.book.count(),
            bans: self.bans.count() as u64,
            disk,
            disk_free,
            memory: resident(),
            sources: self.guard.sources() as u64,
        };
        Look { levels, faults }
    }

    /// What `stats` shows.
    pub async fn stats(&self) -> Stats {
        let look = self.look().await;
        let Look { levels, faults } = &*look;
        let network = levels.network.as_ref();
        let texts = |list: fn(&RelayStatus) -> &Vec<parlor_net::Address>| {
            let with_peer = |it: &parlor_net::Address| it.with_peer(self.peer).to_string();
            network.map(|network| list(network).iter().map(with_peer).collect()).unwrap_or_default()
        };
        let ids = |list: fn(&RelayStatus) -> &Vec<PeerId>| {
            network.map(|network| list(network).iter().map(ToString::to_string).collect()).unwrap_or_default()
        };
        let number = |of: fn(&RelayStatus) -> usize| network.map_or(0, |network| of(network) as u64);
        Stats {
            peer_id: self.peer.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: self.started.elapsed().as_secs(),
            open: self.token.is_none(),
            status: if faults.is_empty() { "ok" } else { "failing" }.to_owned(),
            faults: faults.clone(),
            listen: texts(|it| &it.listening),
            external: texts(|it| &it.external),
            peers: ids(|it| &it.peers),
            peers_away: ids(|it| &it.peers_away),
            peers_known: ids(|it| &it.peers_known),
            connections: number(|it| it.connections),
            reservations: number(|it| it.reservations),
            circuits: number(|it| it.circuits),
            lines: number(|it| it.lines),
            mailbox_blobs: levels.mailbox.0,
            mailbox_bytes: levels.mailbox.1,
            mailbox_counted_bytes: levels.mailbox_counted.0,
            mailbox_max_bytes: levels.mailbox_counted.1,
            open_files: levels.files.0,
            open_files_max: levels.files.1,
            names: levels.names,
            bans: levels.bans,
            data_bytes: levels.disk,
            disk_free_bytes: levels.disk_free,
            memory_bytes: levels.memory,
        }
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Done when the relay is told to stop.
pub(crate) async fn told(stopped: &mut tokio::sync::watch::Receiver<bool>) {
    // An error means that nobody can tell any more, which is as good.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Resident memory of this process in bytes; 0 where it is not told.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}
