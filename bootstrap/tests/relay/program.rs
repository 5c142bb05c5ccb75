//! The program itself: how it starts, what it says, how it is administered, how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::relay::DEADLINE;

fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor-bootstrap"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PARLOR_")) {
        command.env_remove(name);
    }
    command.arg("--data").arg(data);
    command
}

/// A running relay; killed at the end of the test at the latest.
struct Running {
    child: Child,
    ready: Value,
    _stdout: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(data: &Path, args: &[&str]) -> Running {
    start_by(program(data), args)
}

fn start_by(mut command: Command, args: &[&str]) -> Running {
    command.args(["--json", "run", "--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"]);
    let mut child = command.args(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let ready = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
    Running { child, ready, _stdout: stdout }
}

impl Running {
    /// Sends a signal and waits for the end.
    fn end(mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "it does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the metrics address answers.
    fn get(&self, path: &str) -> (u16, String) {
        let url = self.ready["metrics"].as_str().unwrap();
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

/// Runs a command to its end: exit code, standard output, standard error.
fn run(command: &mut Command) -> (i32, String, String) {
    let answer = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (answer.status.code().unwrap(), text(answer.stdout), text(answer.stderr))
}

fn json(command: &mut Command) -> Value {
    let (code, stdout, stderr) = run(command);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}"))
}

#[test]
fn a_relay_says_where_it_is_keeps_its_name_and_stops_on_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let first = start(&data, &[]);
    assert_eq!(first.ready["event"], "ready");
    let peer = first.ready["peer_id"].as_str().unwrap().to_owned();
    let listen = first.ready["listen"].as_array().unwrap();
    assert_eq!(listen.len(), 2);
    assert!(listen.iter().all(|it| it.as_str().unwrap().ends_with(&format!("/p2p/{peer}"))), "{listen:?}");
    let mode = std::fs::metadata(data.join("key")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(first.end("-TERM"), Some(0));
    let second = start(&data, &["--token", "correct-horse"]);
    assert_eq!(second.ready["peer_id"], peer.as_str());
    // That line stands in journals.
    assert!(!second.ready.to_string().contains("correct-horse"), "{}", second.ready);
    assert!(second.ready["relay"][0].as_str().unwrap().ends_with("?token=..."), "{}", second.ready);
    let address = json(program(&data).args(["--json", "address"]));
    assert!(address["relay"][0].as_str().unwrap().ends_with(&format!("/p2p/{peer}?token=correct-horse")), "{address}");
    let (code, stdout, _) = run(program(&data).arg("address"));
    assert!(code == 0 && stdout.contains("?token=correct-horse"), "{stdout}");
    assert_eq!(second.end("-INT"), Some(0));
    let third = start(&data, &[]);
    assert_eq!(third.ready["peer_id"], peer.as_str());
    assert_eq!(third.end("-KILL"), None);
    assert_eq!(start(&data, &[]).ready["peer_id"], peer.as_str(), "also after it was killed");
}

#[test]
fn health_and_metrics_are_served_to_the_operator_only_where_he_says() {
    let dir = tempfile::tempdir().unwrap();
    let relay = start(&dir.path().join("data"), &["--metrics", "127.0.0.1:0"]);
    assert!(relay.ready["metrics"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    let (status, health) = relay.get("/health");
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!((status, &health["status"]), (200, &Value::from("ok")), "{health}");
    let (status, metrics) = relay.get("/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("parlor_relay_connections 0"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
    assert_eq!(relay.get("/admin").0, 404);
    let _stalled: Vec<_> =
        (0..8).map(|_| TcpStream::connect(&relay.ready["metrics"].as_str().unwrap()[7..]).unwrap()).collect();
    assert_eq!(relay.get("/health").0, 200, "who says nothing keeps nobody from being answered");
}

#[test]
fn the_operator_sees_how_it_does_and_refuses_whom_he_wants_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    // Longer than the path of a socket may be.
    let data = dir.path().join("a".repeat(90)).join("data");
    let relay = start(&data, &[]);
    let stats = json(program(&data).args(["--json", "stats"]));
    assert_eq!((&stats["status"], &stats["open"], &stats["names"]), (&"ok".into(), &true.into(), &0.into()), "{stats}");
    let (code, stdout, _) = run(program(&data).arg("stats"));
    assert!(code == 0 && stdout.contains("connections"), "{stdout}");
    assert_eq!(run(program(&data).arg("names")), (0, String::new(), String::new()));
    assert_eq!(run(program(&data).args(["names", "remove", "alice"])).0, 5);
    let ban = json(program(&data).args(["--json", "ban", "add", "2001:db8::7", "--for", "7d", "--reason", "floods"]));
    assert_eq!(ban["who"], "2001:db8::/64");
    json(program(&data).args(["--json", "ban", "add", "192.0.2.7", "--for", "1s"]));
    let peer = "12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD";
    assert!(ban["until"].is_string());
    json(program(&data).args(["--json", "ban", "add", peer]));
    assert_eq!(run(program(&data).args(["ban", "add", "relay.example"])).0, 2);
    assert_eq!(relay.end("-TERM"), Some(0));

    let _relay = start(&data, &[]);
    let (_, list, _) = run(program(&data).args(["ban", "list"]));
    assert!(list.contains("2001:db8::/64") && list.contains("floods") && list.contains(peer), "{list}");
    assert_eq!(run(program(&data).args(["ban", "remove", peer])).0, 0);
    assert_eq!(run(program(&data).args(["ban", "remove", peer])).0, 5);
    let (_, list, _) = run(program(&data).arg("ban"));
    assert!(!list.contains(peer), "{list}");
}

#[test]
fn what_is_wrong_is_said_with_a_code_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (code, stdout, stderr) = run(program(&data).args(["--json", "stats"]));
    let error: Value = serde_json::from_str(&stderr).unwrap();
    assert_eq!((code, stdout.as_str(), &error["error"]["code"]), (3, "", &"not_running".into()));
    assert!(error["error"]["hint"].as_str().unwrap().contains("run"));
    let relay = start(&data, &[]);
    let (code, _, stderr) = run(program(&data).args(["run", "--listen", "/ip4/127.0.0.1/tcp/0"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("another relay is running") && stderr.contains("hint:"), "{stderr}");
    let metrics = relay.ready["metrics"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let other = dir.path().join("other");
    let (code, _, stderr) =
        run(program(&other).args(["run", "--listen", "/ip4/127.0.0.1/tcp/0", "--metrics", &metrics]));
    assert!(code == 1 && stderr.contains("another program listens"), "{code} {stderr}");
    for wrong in
        [&["run", "--listen", "127.0.0.1:1"][..], &["run", "--token", "short"], &["run", "--mailbox", "x"], &["fly"]]
    {
        let (code, stdout, stderr) = run(program(&other).args(wrong));
        assert_eq!((code, stdout.as_str()), (2, ""), "{wrong:?}: {stderr}");
    }
    std::fs::write(other.join("config.toml"), "listen = ['/ip4/127.0.0.1/tcp/0']\nmailboxes = 1\n").unwrap();
    let (code, _, stderr) = run(program(&other).arg("run"));
    assert!(code == 2 && stderr.contains("line 2"), "{stderr}");
}

#[test]
fn an_empty_variable_of_the_environment_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let empty = |data: &Path| {
        let mut command = program(data);
        for name in ["TOKEN", "EXTERNAL", "MAILBOX", "PEER", "METRICS", "CONFIG"] {
            command.env(format!("PARLOR_BOOTSTRAP_{name}"), "");
        }
        command
    };
    let data = dir.path().join("data");
    let relay = start_by(empty(&data), &[]);
    assert_eq!(relay.ready["open"], true);
    assert_eq!(relay.end("-TERM"), Some(0));
    // The flag is another thing: who types it means it.
    assert_eq!(run(empty(&data).args(["run", "--token", ""])).0, 2);
    let mut told = program(&data);
    told.env("PARLOR_BOOTSTRAP_TOKEN", "correct-horse");
    assert_eq!(start_by(told, &["--open"]).ready["open"], true, "the flag wins over the environment");
    assert_eq!(run(program(&data).args(["run", "--open", "--token", "correct-horse"])).0, 2);
}

#[test]
fn who_opens_more_connections_than_files_may_be_open_does_not_take_the_operators_door() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_parlor-bootstrap"), "--data"])
        .arg(&data);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PARLOR_")) {
        limited.env_remove(name);
    }
    let relay = start_by(limited, &[]);
    let listen = relay.ready["listen"].as_array().unwrap();
    let tcp = listen.iter().filter_map(Value::as_str).find(|it| it.contains("/tcp/")).unwrap();
    let port: u16 = tcp.split('/').nth(4).unwrap().parse().unwrap();
    // They say nothing, and stay as long as the relay lets them.
    let _silent: Vec<_> = (0..400).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok()).collect();
    let stats = json(program(&data).args(["--json", "stats"]));
    assert_eq!(stats["open_files_max"], 256);
    assert!(stats["open_files"].as_u64().unwrap() < 256, "{stats}");
    json(program(&data).args(["--json", "ban", "add", "192.0.2.7"]));
    assert_ne!(relay.get("/metrics").0, 0);
}

#[test]
fn a_relay_that_is_not_well_ends_the_check_of_its_health_with_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let relay = start(&data, &[]);
    let (code, _, stderr) = run(program(&data).args(["--quiet", "stats", "--healthy"]));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(relay.end("-TERM"), Some(0));
    // Less than one blob takes.
    std::fs::write(data.join("config.toml"), "[limits]\nmailbox_bytes = 1024\n").unwrap();
    let relay = start(&data, &[]);
    let (code, _, stderr) = run(program(&data).args(["--quiet", "stats", "--healthy"]));
    assert!(code == 1 && stderr.contains("mailboxes are full"), "{code} {stderr}");
    assert_eq!(run(program(&data).arg("stats")).0, 0, "who only asks is answered");
    assert_eq!(relay.get("/health").0, 503);
}

#[test]
fn completions_and_manual_pages_are_in_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let (code, stdout, _) = run(program(dir.path()).args(["completions", "bash"]));
    assert!(code == 0 && stdout.contains("parlor-bootstrap"));
    let pages = dir.path().join("pages");
    assert_eq!(run(program(dir.path()).arg("man").arg(&pages)).0, 0);
    assert!(pages.join("parlor-bootstrap-run.1").exists());
}
