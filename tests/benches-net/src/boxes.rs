//! `parlor-bootstrap`, started for a bench on a free port of loopback, and clients of its mailboxes: the real line over the real
//! network.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use parlor_crypto::{Secret, SigningKey};
use parlor_net::{Address, Line, LineKind, NetworkConfig, NetworkHandle};
use parlor_proto::mailbox::proof::{name_of, prove};
use parlor_proto::mailbox::{Ask, BoxKind, ClientFrame, RelayId, Reply, ServerFrame};
use parlor_proto::wire::Blob;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A relay that ends with this.
pub struct Relay {
    child: Child,
    address: Address,
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Relay {
    /// Starts one with its data in `dir`, open to all, over TCP. `mailbox` is `sled`, or the address of a NATS server.
    ///
    /// # Errors
    /// It does not start: `cargo xtask bench` builds it beside this program.
    pub fn start(dir: &Path, mailbox: &str) -> Result<Self> {
        Self::start_with(dir, mailbox, "")
    }

    /// As [`start`](Self::start), with these lines in its config file.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(dir: &Path, mailbox: &str, config: &str) -> Result<Self> {
        std::fs::create_dir_all(dir.join("relay"))?;
        std::fs::write(dir.join("relay").join("config.toml"), config)?;
        let program = std::env::current_exe()?.with_file_name("parlor-bootstrap");
        let mut command = Command::new(program);
        command.arg("--data").arg(dir.join("relay")).args(["--json", "run", "--open", "--mailbox", mailbox]);
        command.args(["--listen", "/ip4/127.0.0.1/tcp/0", "--metrics", "127.0.0.1:0"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.context("parlor-bootstrap does not start: is it built?")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let ready: serde_json::Value = serde_json::from_str(&line).context("the relay ended at once")?;
        let address: Address = ready["listen"][0].as_str().context("it listens nowhere")?.parse()?;
        Ok(Self { child, address })
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it is, with its peer id.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// A client of its mailboxes, with a network of its own.
    ///
    /// # Errors
    /// The relay does not take the line.
    pub async fn client(&self, number: u32) -> Result<Client> {
        Client::connect(&self.address, number).await
    }

    /// `n` clients that count what is pushed into the box with this number.
    ///
    /// # Errors
    /// One of them can not subscribe.
    pub async fn counters(&self, first: u32, n: u32) -> Result<Vec<Client>> {
        let mut clients = Vec::new();
        for at in 0..n {
            clients.push(self.client(first + at).await?);
        }
        Ok(clients)
    }
}

/// A line to the mailboxes of a relay.
pub struct Client {
    _network: NetworkHandle,
    line: Line,
    nonce: [u8; 32],
    relay: RelayId,
    number: u32,
    /// Blobs made so far: no two are alike.
    made: u64,
}

async fn receive(line: &mut Line) -> Result<ServerFrame> {
    let frame = tokio::time::timeout(PATIENCE, line.recv()).await.context("the relay is silent")?;
    Ok(ServerFrame::decode(&frame.context("the relay closed the line")?)?)
}

/// A line of this kind to the relay at this address, from a network of its own.
///
/// # Errors
/// The relay does not take it.
pub async fn line(relay: &Address, number: u32, kind: LineKind) -> Result<(NetworkHandle, Line)> {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    let mut config = NetworkConfig::new(seed);
    // Thousands of clients are in this process.
    config.tuning.memory_max = usize::MAX;
    let mut network = parlor_net::spawn(config).await?;
    // Nothing that happens is of interest, but nobody may wait.
    tokio::spawn(async move { while network.events.recv().await.is_some() {} });
    let peer = relay.peer().context("an address without a peer")?;
    let line = network.handle.open_line(peer, vec![relay.without_peer()], kind).await?;
    Ok((network.handle, line))
}

impl Client {
    /// A client of the relay at this address.
    ///
    /// # Errors
    /// The relay does not take the line.
    pub async fn connect(relay: &Address, number: u32) -> Result<Self> {
        let (network, mut line) = line(relay, number, LineKind::Mailbox).await?;
        let ServerFrame::Hello { nonce, .. } = receive(&mut line).await? else { bail!("no hello") };
        let relay = RelayId::new(line.peer().as_key()).context("no relay")?;
        Ok(Self { _network: network, line, nonce, relay, number: 0, made: 0 })
    }

    /// Puts blobs as fast as they are answered, whatever is answered, until the line ends.
    ///
    /// # Errors
    /// It always does in the end.
    pub async fn flood(&mut self, number: u16, at_once: usize) -> Result<()> {
        for n in 0_u64.. {
            let mut blob = vec![0x5a; 512];
            blob[..2].copy_from_slice(&number.to_be_bytes());
            blob[2..10].copy_from_slice(&n.to_be_bytes());
            self.send(Ask::Put { slot: number, blob: Blob(blob) }).await?;
            if n >= at_once as u64 {
                receive(&mut self.line).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, ask: Ask) -> Result<u32> {
        self.number += 1;
        self.line.send(ClientFrame { number: self.number, ask }.encode().into()).await?;
        Ok(self.number)
    }

    async fn ask(&mut self, ask: Ask) -> Result<Reply> {
        self.send(ask).await?;
        loop {
            if let ServerFrame::Reply { reply, .. } = receive(&mut self.line).await? {
                return Ok(reply);
            }
        }
    }

    /// Opens the box with this number in the slot of this number.
    ///
    /// # Errors
    /// The relay refuses.
    pub async fn open(&mut self, number: u16) -> Result<()> {
        let mut seed = [9; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        let key = SigningKey::from_seed(&Secret::new(seed));
        let proof = Some(prove(BoxKind::Room, &key, &self.nonce, &self.relay));
        match self.ask(Ask::Open { slot: number, name: name_of(BoxKind::Room, &key), proof }).await? {
            Reply::Done => Ok(()),
            other => bail!("the box is not opened: {other:?}"),
        }
    }

    /// Opens a box and has what comes pushed.
    ///
    /// # Errors
    /// The relay refuses.
    pub async fn subscribe(&mut self, number: u16) -> Result<()> {
        self.open(number).await?;
        match self.ask(Ask::Subscribe { slot: number, inline: true }).await? {
            Reply::Done => Ok(()),
            other => bail!("not subscribed: {other:?}"),
        }
    }

    /// Puts `n` blobs of 512 bytes into an open box, `at_once` of them unanswered at most; when the last one was stored.
    ///
    /// # Errors
    /// The relay refuses one.
    pub async fn put(&mut self, number: u16, n: usize, at_once: usize) -> Result<Duration> {
        let (mut asked, mut open, mut stored) = (0, BTreeSet::new(), 0);
        let start = Instant::now();
        while stored < n {
            while asked < n && open.len() < at_once {
                let mut blob = vec![0xb7; 512];
                blob[..2].copy_from_slice(&number.to_be_bytes());
                blob[2..10].copy_from_slice(&self.made.to_be_bytes());
                self.made += 1;
                open.insert(self.send(Ask::Put { slot: number, blob: Blob(blob) }).await?);
                asked += 1;
            }
            match receive(&mut self.line).await? {
                ServerFrame::Reply { number, reply: Reply::Stored { .. } } => {
                    stored += usize::from(open.remove(&number))
                }
                ServerFrame::Reply { reply, .. } => bail!("not stored: {reply:?}"),
                _ => {}
            }
        }
        Ok(start.elapsed())
    }

    /// Counts `n` pushes.
    ///
    /// # Errors
    /// They do not come.
    pub async fn count(&mut self, n: usize, total: &Arc<AtomicUsize>) -> Result<()> {
        let mut come = 0;
        while come < n {
            match receive(&mut self.line).await? {
                ServerFrame::Push { blob: Some(_), .. } => {
                    come += 1;
                    total.fetch_add(1, Ordering::Relaxed);
                }
                ServerFrame::Behind { .. } => bail!("the relay left pushes out"),
                _ => {}
            }
        }
        Ok(())
    }
}
