//! A relay: the program `parlor-bootstrap`, on loopback or on a host of the lab.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ended, at};
use crate::{Options, eventually, program, run_to_end};

/// A relay that runs or not, with a folder of its own.
#[derive(Debug)]
pub struct Relay {
    folder: TempDir,
    /// Who may use it: arguments.
    args: Vec<String>,
    /// The network namespace of its machine: see `lab`.
    namespace: Option<String>,
    /// Where it listens; from the first run on where it listened then.
    listen: Vec<String>,
    process: Option<Ended>,
    /// Its addresses with its peer id, as nodes name it with `--relay`; the same over restarts.
    pub addresses: Vec<String>,
}

/// The relay program beside the `parlor` under test.
fn relay_program() -> PathBuf {
    let name = format!("parlor-bootstrap{}", std::env::consts::EXE_SUFFIX);
    program().parent().unwrap_or(Path::new(".")).join(name)
}

/// A free port of those that no program is given by chance: whoever comes back is where he was, and while he is gone others are started.
pub(crate) fn free_port() -> u16 {
    loop {
        // Another number each time, whoever else asks.
        let drawn = RandomState::new().build_hasher().finish() % 20_000;
        let port = 10_240 + u16::try_from(drawn).unwrap_or_default();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

#[allow(clippy::expect_used, clippy::panic, reason = "the harness of tests fails by panicking")]
impl Relay {
    /// Starts a relay that is open to all on a port of its own choosing, and waits until it is ready.
    ///
    /// # Panics
    /// If it ends before.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(&["--open"])
    }

    /// As [`start`](Self::start), with these arguments in place of `--open`.
    ///
    /// # Panics
    /// If it ends before.
    #[track_caller]
    pub fn start_with(args: &[&str]) -> Self {
        Self::start_at(None, vec![format!("/ip4/127.0.0.1/tcp/{}", free_port())], args)
    }

    /// As [`start_with`](Self::start_with), where these addresses are.
    #[track_caller]
    pub(crate) fn start_at(namespace: Option<String>, listen: Vec<String>, args: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("parlor-relay-").tempdir().expect("a temporary folder");
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut relay = Self { folder, args, namespace, listen, process: None, addresses: Vec::new() };
        relay.run();
        relay
    }

    /// Starts it again, where it was, and waits until it is ready.
    ///
    /// # Panics
    /// If it runs already, or ends before.
    #[track_caller]
    pub fn run(&mut self) {
        assert!(self.process.is_none(), "the relay runs already");
        let out = self.folder.path().join("out");
        let file = |name: &str| File::create(self.folder.path().join(name)).expect("a temporary file");
        let mut command = at(self.namespace.as_deref(), &relay_program());
        command.arg("--data").arg(self.data()).args(["--json", "run", "--metrics", "127.0.0.1:0"]).args(&self.args);
        self.listen.iter().for_each(|address| _ = command.args(["--listen", address]));
        let child = command
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .expect("parlor-bootstrap is built");
        let mut process = Ended(child);
        let ready = eventually("the relay is ready", || {
            let text = std::fs::read_to_string(&out).unwrap_or_default();
            if let Some((first, _)) = text.split_once('\n') {
                return Some(serde_json::from_str::<Value>(first).expect("the first line is JSON"));
            }
            if let Some(status) = process.0.try_wait().expect("a child can be waited for") {
                let log = std::fs::read_to_string(self.folder.path().join("err")).unwrap_or_default();
                panic!("the relay ended at once: {status}: {log}");
            }
            None
        });
        self.process = Some(process);
        let peer = ready["peer_id"].as_str().unwrap_or_default().to_owned();
        let listen = ready["listen"].as_array().cloned().unwrap_or_default();
        let whole = |text: &str| if text.contains("/p2p/") { text.to_owned() } else { format!("{text}/p2p/{peer}") };
        self.addresses = listen.iter().filter_map(Value::as_str).map(whole).collect();
        assert!(!self.addresses.is_empty(), "the relay names no address: {ready}");
        let plain = |address: &String| Some(address.split("/p2p/").next()?.to_owned());
        self.listen = self.addresses.iter().filter_map(plain).collect();
    }

    /// Ends it as a crash does.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill9(&mut self) {
        drop(self.process.take().expect("the relay runs"));
    }

    /// Its process.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the relay runs").0.id()
    }

    /// How the node of somebody is started who uses these relays.
    pub fn used(relays: &[&Self]) -> Options {
        let run_args = relays.iter().flat_map(|relay| ["--relay".to_owned(), relay.address().to_owned()]).collect();
        Options { run_args, ..Options::default() }
    }

    /// The address to name it by, without its token if it has one.
    ///
    /// # Panics
    /// If it said none.
    pub fn address(&self) -> &str {
        self.addresses.first().expect("a relay listens somewhere")
    }

    /// How many blobs its mailboxes hold, as its operator is told.
    pub fn n_blobs(&self) -> u64 {
        let mut command = at(self.namespace.as_deref(), &relay_program());
        command.arg("--data").arg(self.data()).args(["--json", "stats"]);
        run_to_end(&mut command, b"").done().object()["mailbox_blobs"].as_u64().unwrap_or(0)
    }

    /// What it stores.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything it wrote: what it stores, and what it printed and logged.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
