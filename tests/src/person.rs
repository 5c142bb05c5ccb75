//! A person: an account in a temporary home, and its node.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ended, at};
use crate::relay::free_port;
use crate::{Answer, eventually, program, run_to_end};

/// How a node is started, where it differs from the usual.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder for the home, made by the test; a temporary one if none.
    pub home: Option<PathBuf>,
    /// Where its node listens; over both transports if nothing is said.
    pub listen: Vec<String>,
    /// More arguments of `parlor run`.
    pub run_args: Vec<String>,
    /// File that holds the passphrase of the home.
    pub passphrase_file: Option<PathBuf>,
    /// The network namespace of its machine: see `lab`.
    pub namespace: Option<String>,
    /// Address of the session bus of its desktop; without one, no notification is shown anywhere.
    pub session_bus: Option<String>,
    /// Finds others by what the local network announces. Only in a namespace: elsewhere it would be heard outside.
    pub mdns: bool,
}

/// A person with a home, whose node runs or not.
#[derive(Debug)]
pub struct Person {
    /// The name of the account.
    pub name: String,
    folder: TempDir,
    options: Options,
    node: Option<Ended>,
    /// Addresses of the first run, kept over restarts like a machine keeps its own.
    listen: Vec<String>,
    /// Address of the local API in the present run, `HOST:PORT`.
    api: String,
    n_runs: u32,
}

/// How much of a log is shown when a test fails.
const SHOWN_LINES: usize = 60;

#[allow(clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "the harness of tests fails by panicking")]
impl Person {
    /// Makes an account with this name and starts its node.
    ///
    /// # Panics
    /// If either fails.
    #[track_caller]
    pub fn start(name: &str) -> Self {
        Self::start_with(name, Options::default())
    }

    /// As [`start`](Self::start), with options.
    ///
    /// # Panics
    /// If either fails.
    #[track_caller]
    pub fn start_with(name: &str, options: Options) -> Self {
        let mut person = Self::new(name, options);
        person.init().done();
        person.run();
        person
    }

    /// Two devices of one account that both run, the second made of the recovery phrase under this name; and what `init` answered of
    /// each.
    ///
    /// # Panics
    /// If one fails.
    #[track_caller]
    pub fn two_devices(name: &str, second: &str) -> [(Self, Value); 2] {
        let mut first = Self::new(name, Options::default());
        let made = first.cli(&["init", "--name", name, "--show-recovery"]).done().object();
        first.run();
        let (other, made_too) = Self::further_device(&made, second);
        [(first, made), (other, made_too)]
    }

    /// One more device of the account that `init` `made`, which runs.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn further_device(made: &Value, name: &str) -> (Self, Value) {
        let mut other = Self::new(name, Options::default());
        let phrase = other.scratch().join("phrase");
        std::fs::write(&phrase, made["recovery_phrase"].as_str().expect("the phrase")).expect("it is written");
        let made_too = other.cli(&["init", "--name", name, "--recover", &phrase.to_string_lossy()]).done().object();
        other.run();
        (other, made_too)
    }

    /// A person with an empty home and no node.
    ///
    /// # Panics
    /// If there is no temporary folder.
    pub fn new(name: &str, options: Options) -> Self {
        let folder = tempfile::Builder::new().prefix("parlor-").tempdir().expect("a temporary folder");
        Self { name: name.to_owned(), folder, options, node: None, listen: Vec::new(), api: String::new(), n_runs: 0 }
    }

    /// Makes the account.
    #[track_caller]
    pub fn init(&self) -> Answer {
        let mut args: Vec<&OsStr> = vec!["init".as_ref(), "--name".as_ref(), self.name.as_ref()];
        if let Some(file) = &self.options.passphrase_file {
            args.extend(["--passphrase-file".as_ref(), file.as_os_str()]);
        }
        self.cli(&args)
    }

    /// Starts the node and waits until it is ready.
    ///
    /// # Panics
    /// If it ends before, or one runs already.
    #[track_caller]
    pub fn run(&mut self) {
        assert!(self.node.is_none(), "{} runs already", self.name);
        self.n_runs += 1;
        let mut command = self.run_command();
        command.stdin(Stdio::null()).stdout(self.log("out")).stderr(self.log("err"));
        let mut node = Ended(command.spawn().expect("the program starts"));
        let out = self.log_path("out");
        let what = format!("{} is ready", self.name);
        let ready = eventually(&what, || {
            let text = std::fs::read_to_string(&out).unwrap_or_default();
            if let Some((first, _)) = text.split_once('\n') {
                return Some(serde_json::from_str::<Value>(first).expect("the first line is JSON"));
            }
            if let Some(status) = node.0.try_wait().expect("a child can be waited for") {
                self.show_logs();
                panic!("the node of {} ended at once: {status}", self.name);
            }
            None
        });
        self.node = Some(node);
        assert_eq!(ready["event"], "ready", "the first line is the ready event");
        self.api = ready["api"].as_str().unwrap_or_default().trim_start_matches("http://").to_owned();
        if self.listen.is_empty() {
            let all = ready["listen"].as_array().cloned().unwrap_or_default();
            let plain = |address: &Value| Some(address.as_str()?.split("/p2p/").next()?.to_owned());
            self.listen = all.iter().filter_map(plain).collect();
            assert!(!self.listen.is_empty(), "the ready event names no address: {ready}");
        }
    }

    /// Runs a node until it ends by itself: for what must be refused.
    #[track_caller]
    pub fn run_to_end(&self) -> Answer {
        run_to_end(&mut self.run_command(), b"")
    }

    /// Types a command.
    #[track_caller]
    pub fn cli<S: AsRef<OsStr>>(&self, args: &[S]) -> Answer {
        self.cli_with(args, b"")
    }

    /// Types a command as people do, and answers what they read: no JSON.
    #[track_caller]
    pub fn plain<S: AsRef<OsStr>>(&self, args: &[S]) -> Answer {
        run_to_end(self.plain_command().args(args), b"")
    }

    /// Types a command that reads `input`.
    #[track_caller]
    pub fn cli_with<S: AsRef<OsStr>>(&self, args: &[S], input: &[u8]) -> Answer {
        run_to_end(self.command().args(args), input)
    }

    /// Opens a window, on one room or (`None`) on everything, and waits until it shows what happens from then on. It
    /// closes with this person.
    ///
    /// # Panics
    /// If it can not open.
    #[track_caller]
    pub fn listen_to(&self, room: Option<&str>) -> Stream {
        let file = |kind: &str| self.folder.path().join(format!("listen-{}.{kind}", room.unwrap_or("all")));
        let (out, err) = (file("out"), file("err"));
        let create = |path: &Path| File::create(path).expect("a temporary file");
        let mut command = self.command();
        command.arg("listen").args(room).stdin(Stdio::null()).stdout(create(&out)).stderr(create(&err));
        let mut child = Ended(command.spawn().expect("the program starts"));
        eventually(&format!("the window of {} is open", self.name), || {
            let said = std::fs::read_to_string(&err).unwrap_or_default();
            if said.lines().any(|line| line == r#"{"event":"listening"}"#) {
                return Some(());
            }
            if let Some(status) = child.0.try_wait().expect("a child can be waited for") {
                panic!("the window of {} closed at once: {status}: {said}", self.name);
            }
            None
        });
        Stream { path: out, _child: child }
    }

    /// Ends the node as a crash does.
    ///
    /// # Panics
    /// If none runs.
    pub fn kill9(&mut self) {
        drop(self.node.take().expect("a node runs"));
    }

    /// Ends the node as a user does, and waits until it has ended well.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn stop(&mut self) {
        self.cli(&["stop"]).done();
        self.ended_well();
    }

    /// Waits until the node has ended by itself, without an error.
    ///
    /// # Panics
    /// If it does not, or with an error.
    #[track_caller]
    pub fn ended_well(&mut self) {
        let mut node = self.node.take().expect("a node runs");
        let what = format!("the node of {} ends", self.name);
        let status = eventually(&what, || node.0.try_wait().expect("a child can be waited for"));
        assert!(status.success(), "the node of {} ended with {status}", self.name);
    }

    /// Stops the node and starts it again.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// Process of the node.
    ///
    /// # Panics
    /// If none runs.
    pub fn pid(&self) -> u32 {
        self.node.as_ref().expect("a node runs").0.id()
    }

    /// The home.
    pub fn home(&self) -> PathBuf {
        self.options.home.clone().unwrap_or_else(|| self.folder.path().join("home"))
    }

    /// A folder of the test that is not in the home.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Addresses of the node, without its peer id.
    pub fn listen(&self) -> &[String] {
        &self.listen
    }

    /// Address of the local API, `HOST:PORT`.
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Changes how the next run starts.
    pub fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    /// The machine has other addresses from the next run on.
    pub fn moved(&mut self) {
        self.listen.clear();
    }

    fn command(&self) -> Command {
        let mut command = self.plain_command();
        command.arg("--json");
        command
    }

    fn plain_command(&self) -> Command {
        let mut command = at(self.options.namespace.as_deref(), program());
        command.arg("--home").arg(self.home());
        command.env_remove("PARLOR_HOME").env("HOME", self.folder.path()).env("XDG_RUNTIME_DIR", self.folder.path());
        // No notification of a test reaches the desktop of who runs it.
        command.env_remove("DBUS_SESSION_BUS_ADDRESS");
        if let Some(bus) = &self.options.session_bus {
            command.env("DBUS_SESSION_BUS_ADDRESS", bus);
        }
        command
    }

    fn run_command(&self) -> Command {
        let mut command = self.command();
        assert!(self.options.namespace.is_some() || !self.options.mdns, "announcements stay in a namespace");
        command.arg("run").args((!self.options.mdns).then_some("--no-mdns"));
        if !self.options.run_args.iter().any(|arg| arg == "--api") {
            command.args(["--api", "127.0.0.1:0"]);
        }
        // Over both transports, on loopback only. At a port that no connection of somebody else takes while the node is stopped.
        let port = free_port();
        let usual = [format!("/ip4/127.0.0.1/tcp/{port}"), format!("/ip4/127.0.0.1/udp/{port}/quic-v1")];
        let said = [&self.listen[..], &self.options.listen[..], &usual[..]];
        let listen = said.into_iter().find(|listen| !listen.is_empty()).unwrap_or_default();
        listen.iter().for_each(|address| _ = command.args(["--listen", address]));
        if let Some(file) = &self.options.passphrase_file {
            command.arg("--passphrase-file").arg(file);
        }
        command.args(&self.options.run_args);
        command
    }

    fn log_path(&self, kind: &str) -> PathBuf {
        self.folder.path().join(format!("run-{}.{kind}", self.n_runs))
    }

    fn log(&self, kind: &str) -> File {
        File::create(self.log_path(kind)).expect("a temporary file")
    }

    fn show_logs(&self) {
        for run in 1..=self.n_runs {
            let text = std::fs::read(self.folder.path().join(format!("run-{run}.err"))).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let skipped = text.lines().count().saturating_sub(SHOWN_LINES);
            eprintln!("---- {}, run {run} ({skipped} lines before)", self.name);
            text.lines().skip(skipped).for_each(|line| eprintln!("{line}"));
        }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // Before its logs are shown, so that they are complete.
        drop(self.node.take());
        if std::thread::panicking() {
            self.show_logs();
        }
    }
}

/// An open window: `parlor listen`.
#[derive(Debug)]
pub struct Stream {
    path: PathBuf,
    _child: Ended,
}

impl Stream {
    /// The objects printed so far; a line still being written is left out.
    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
