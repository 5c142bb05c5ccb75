//! A node that does nothing: 100 rooms, 20 connected peers who are members of some of them. Memory, processor time and bytes of
//! the node, which runs in a process of its own, over a minute in which nobody writes.
//!
//! `ROOMS`, `PEERS`, `MEMBERS` (peers in each room) and `SECONDS` in the environment make it smaller or larger; `SETTLE` are the
//! seconds before that, in which everything is compared at growing intervals.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use parlor_benches::figure;
use parlor_benches_net::report::{Line, say, setting};
use parlor_benches_net::{gauge, nodes};
use parlor_node::launch::Running;

/// After the start everything is compared and acknowledged; the pauses between comparisons then double up to five minutes.
const SETTLE_SECONDS: usize = 60;

#[tokio::main]
async fn main() -> Result<()> {
    if let [_, role, home] = std::env::args().collect::<Vec<_>>().as_slice()
        && role == "node"
    {
        return alone(Path::new(home)).await;
    }
    let (n_rooms, n_peers) = (setting("ROOMS", 100), setting("PEERS", 20));
    let (n_members, seconds) = (setting("MEMBERS", 4).min(n_peers), setting("SECONDS", 60));
    let dir = tempfile::tempdir()?;
    let home = dir.path().join("node");
    let peers = prepare(dir.path(), &home, n_rooms, n_peers, n_members).await?;
    let mut node = Process::start(&home)?;
    connected(&peers).await?;
    say("connected; waiting until everything is compared");
    tokio::time::sleep(Duration::from_secs(setting("SETTLE", SETTLE_SECONDS) as u64)).await;
    let before = (gauge::cpu_seconds(node.pid()), gauge::tcp(&gauge::Which::Process(node.pid())), Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    let elapsed = before.2.elapsed().as_secs_f64();
    let cpu = (gauge::cpu_seconds(node.pid()) - before.0) / elapsed * 100.0;
    let carried = gauge::tcp(&gauge::Which::Process(node.pid()));
    let (memory, peak) = gauge::memory(node.pid());
    let an_hour = |now: u64, then: u64| now.saturating_sub(then) as f64 / elapsed * 3600.0 / 1000.0;
    let (data, wire) = (an_hour(carried.data, before.1.data), an_hour(carried.wire, before.1.wire));
    connected(&peers).await?;
    node.end()?;
    for peer in peers {
        nodes::stop(peer).await?;
    }
    let what = format!("idle, {n_rooms} rooms, {n_peers} peers, {n_members} of them in each room: memory");
    let line = |what: &str, value: f64, unit: &str, goal: &str, most: f64| {
        Line { what, ours: format!("{} {unit}", figure(value)), goal, reached: Some(value <= most), ..Line::default() }
            .print();
    };
    say(format!("peak {:.1} MB", peak as f64 / 1e6));
    line(&what, memory as f64 / 1e6, "MB", "<= 60 MB", 60.0);
    line("the same: CPU of one core", cpu, "%", "<= 0.5 %", 0.5);
    line("the same: bytes on TCP connections, both ways, without headers", data, "kB/h", "<= 200 kB/h", 200.0);
    Line { what: "the same: with headers of TCP and IP", ours: format!("{} kB/h", figure(wire)), ..Line::default() }
        .print();
    Ok(())
}

/// A node in a process of its own, until its standard input ends.
#[allow(clippy::print_stdout, reason = "tells the process that started it that it is ready")]
async fn alone(home: &Path) -> Result<()> {
    let node = nodes::start(home).await?;
    println!("ready");
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    nodes::stop(node).await
}

/// The measured node as a child, ended by its id if it does not end by itself.
struct Process {
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, unless the bench failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(home: &Path) -> Result<Self> {
        let program: PathBuf = std::env::current_exe()?;
        let mut command = Command::new(program);
        let command = command.arg("node").arg(home).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Self { child: command.spawn()? };
        let stdout = process.child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.trim() != "ready" {
            bail!("the node did not start");
        }
        Ok(process)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn end(&mut self) -> Result<()> {
        if let Some(mut stdin) = self.child.stdin.take() {
            stdin.flush()?;
        }
        self.child.wait()?;
        Ok(())
    }
}

/// Makes the homes and the rooms, each joined by `n_members` of the peers in turn; stops the node to be measured.
async fn prepare(dir: &Path, home: &Path, n_rooms: usize, n_peers: usize, n_members: usize) -> Result<Vec<Running>> {
    nodes::init(home, "idle")?;
    let node = nodes::start(home).await?;
    let mut peers = Vec::new();
    for at in 0..n_peers {
        let home = dir.join(format!("peer-{at}"));
        nodes::init(&home, &format!("peer {at}"))?;
        peers.push(nodes::start(&home).await?);
    }
    let start = Instant::now();
    for at in 0..n_rooms {
        let room = nodes::room(&node.app, &format!("room {at}")).await?;
        let chosen = (0..n_members).filter_map(|k| peers.get((at * n_members + k) % n_peers));
        nodes::join(&node.app, &room, chosen.map(|peer| &peer.app)).await?;
        if (at + 1) % 10 == 0 {
            say(format!("{} rooms after {:.1} s", at + 1, start.elapsed().as_secs_f64()));
        }
    }
    tokio::time::sleep(nodes::MESH).await;
    nodes::stop(node).await?;
    Ok(peers)
}

/// Waits until every room of every peer is connected to somebody.
async fn connected(peers: &[Running]) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(120);
    for peer in peers {
        loop {
            let status = peer.app.status().await.map_err(nodes::problem)?;
            if status.rooms.iter().all(|room| room.peers > 0) {
                break;
            }
            if Instant::now() > deadline {
                bail!("a peer is not connected");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}
