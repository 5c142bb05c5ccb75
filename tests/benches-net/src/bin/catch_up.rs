//! Catching up: a node that missed 100,000 messages fetches them from another over loopback TCP, beside a plain copy of the
//! same bytes over a libp2p stream. Each round starts both nodes from the same two homes, the receiver's from before the
//! messages. While they are written a third node is online, so that they are not the writer's only copies.
//!
//! `MESSAGES` and `ROUNDS` in the environment make it smaller.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use parlor_benches::{Goal, Pair, Row, figure, median};
use parlor_benches_net::report::{Line, say, setting};
use parlor_benches_net::{gauge, libp2p, nodes};

/// Bytes of text in a message: what people write, with the padding an event of some 350 bytes.
const TEXT: usize = 100;
/// Messages of the writer on their way to the third node.
const AHEAD: u64 = 5_000;
/// Messages in one request, the most that the API takes.
const BATCH: usize = 100;

/// What one round showed of ours.
struct Round {
    seconds: f64,
    data: f64,
    grown: f64,
    cpu: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let (n, rounds) = (setting("MESSAGES", 100_000), setting("ROUNDS", parlor_benches::ROUNDS));
    let dir = tempfile::tempdir()?;
    let room = fill(dir.path(), n).await?;
    let stored = event_bytes()? * n;
    say(format!("{n} messages, {} bytes each, {stored} in all", stored / n));
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for round in 0..rounds {
        let ran = catch_up(dir.path(), &room, n).await?;
        let copied = copy(dir.path(), stored).await?;
        say(format!(
            "round {round}: {:.2} s ({:.0} msg/s), {:.2} bytes a byte, {:.0} MB more, {:.1} s of CPU; copy {copied:.3} s",
            ran.seconds,
            n as f64 / ran.seconds,
            ran.data / stored as f64,
            ran.grown / 1e6,
            ran.cpu
        ));
        ours.push(ran);
        theirs.push(copied);
    }
    let rate = |seconds: f64| n as f64 / seconds;
    let speed = median(ours.iter().map(|round| rate(round.seconds)));
    let copied = median(theirs.iter().map(|seconds| rate(*seconds)));
    let wire = median(ours.iter().map(|round| round.data / stored as f64));
    let grown = median(ours.iter().map(|round| round.grown / 1e6));
    let what = format!("catch up {n} missed messages, both nodes and the copy on this machine");
    Line {
        what: &what,
        ours: format!("{} msg/s", figure(speed)),
        beside: "plain copy over a libp2p stream",
        theirs: format!("{} msg/s", figure(copied)),
        ratio: Some(median(ours.iter().zip(&theirs).map(|(ours, theirs)| rate(ours.seconds) / rate(*theirs)))),
        goal: ">= 15000 msg/s",
        reached: Some(speed >= 15_000.0),
    }
    .print();
    let pair = Pair { ours: wire * stored as f64 / 1e6, theirs: stored as f64 / 1e6, ratio: wire };
    Row {
        what: "the same: bytes on the wire",
        beside: "the stored events",
        unit: "MB",
        pair,
        goal: Goal::AtMost(1.25),
    }
    .print();
    Line {
        what: "the same: most memory beyond that at the start, both nodes",
        ours: format!("{} MB", figure(grown)),
        goal: "flat: told",
        ..Line::default()
    }
    .print();
    let cpu = median(ours.iter().map(|round| round.cpu / n as f64 * 1e6));
    Line { what: "the same: CPU a message, both nodes", ours: format!("{} us", figure(cpu)), ..Line::default() }
        .print();
    Ok(())
}

/// Makes three homes of one room, keeps a copy of the second, and has the first write while the third is online.
async fn fill(dir: &Path, n: usize) -> Result<String> {
    let homes = ["writer", "reader", "third"].map(|name| dir.join(name));
    for home in &homes {
        nodes::init(home, "bench")?;
    }
    let [writer, reader, third] = &homes;
    let (writer, reader) = (nodes::start(writer).await?, nodes::start(reader).await?);
    let third = nodes::start(third).await?;
    let room = nodes::room(&writer.app, "bench").await?;
    nodes::join(&writer.app, &room, [&reader.app, &third.app]).await?;
    tokio::time::sleep(nodes::MESH).await;
    nodes::stop(reader).await?;
    let start = Instant::now();
    let mut written = 0;
    while written < n {
        let batch = (written..n.min(written + BATCH)).map(|number| nodes::text(number, TEXT)).collect::<Vec<_>>();
        written += batch.len();
        writer.app.send(&room, batch).await.map_err(nodes::problem)?;
        if written % 1_000 == 0 {
            nodes::holds(&third.app, &room, (written as u64).saturating_sub(AHEAD)).await?;
        }
        if written % 10_000 == 0 {
            say(format!("{written} written after {:.1} s", start.elapsed().as_secs_f64()));
        }
    }
    nodes::holds(&third.app, &room, n as u64).await?;
    say(format!("the third node holds all after {:.1} s", start.elapsed().as_secs_f64()));
    nodes::stop(third).await?;
    nodes::stop(writer).await?;
    Ok(room)
}

async fn catch_up(dir: &Path, room: &str, n: usize) -> Result<Round> {
    let run = tempfile::tempdir_in(dir)?;
    for name in ["writer", "reader"] {
        nodes::copy_home(&dir.join(name), &run.path().join(name))?;
    }
    let me = std::process::id();
    let writer = nodes::start(&run.path().join("writer")).await?;
    let (before, _) = gauge::memory(me);
    gauge::forget_peak();
    let cpu = gauge::cpu_seconds(me);
    // The reader knows the writer's address from before: it dials by itself.
    let reader = nodes::start(&run.path().join("reader")).await?;
    let start = begun(&reader.app, room).await?;
    let end = nodes::holds(&reader.app, room, n as u64).await?;
    let cpu = gauge::cpu_seconds(me) - cpu;
    let (_, peak) = gauge::memory(me);
    let ports: HashSet<u16> = [nodes::port(&writer.app).await?, nodes::port(&reader.app).await?].into();
    let carried = gauge::tcp(&gauge::Which::Ports(&ports));
    let newest = reader.app.history(room, parlor_node::app::Anchor::Newest, 1, false).await.map_err(nodes::problem)?;
    let text = newest.items.first().map(|message| message.text.clone()).context("nothing to read")?;
    anyhow::ensure!(text == nodes::text(n - 1, TEXT).text, "the newest message is `{text}`");
    nodes::stop(reader).await?;
    nodes::stop(writer).await?;
    Ok(Round {
        seconds: end.duration_since(start).as_secs_f64(),
        data: carried.data as f64,
        grown: peak.saturating_sub(before) as f64,
        cpu,
    })
}

/// When the two nodes are connected: from then on it counts.
async fn begun(app: &parlor_node::App, room: &str) -> Result<Instant> {
    loop {
        let status = app.status().await.map_err(nodes::problem)?;
        let holds = status.rooms.iter().any(|state| state.room == room && (state.peers > 0 || state.have > 0));
        if !status.peers.is_empty() || holds {
            return Ok(Instant::now());
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

async fn copy(dir: &Path, bytes: usize) -> Result<f64> {
    let mut copy = libp2p::Copy::start(dir.join("copy")).await?;
    let start = Instant::now();
    copy.copy(bytes).await?;
    let seconds = start.elapsed().as_secs_f64();
    copy.stop().await;
    Ok(seconds)
}

/// Bytes of one event as it is stored and sent: a message that follows another of the same author.
fn event_bytes() -> Result<usize> {
    use parlor_proto::body::{Body, Text};
    use parlor_proto::identity::Identity;
    use parlor_proto::room::{NewRoom, Room};
    let now_ms = 1_700_000_000_000;
    let mut rng = rand::rng();
    let (_, identity) = Identity::create("bench", now_ms, &mut rng)?;
    let new = NewRoom::group("bench", parlor_proto::control::History::Full);
    let (mut room, _) = Room::create(std::sync::Arc::new(identity), new, now_ms, &mut rng)?;
    let mut len = 0;
    for number in [10_000, 10_001] {
        let text = Text { text: nodes::text(number, TEXT).text, reply_to: None, ..Text::default() };
        let written = room.write(&Body::Text(text), now_ms, &mut rng)?;
        len = written.message.event.bytes().len();
    }
    Ok(len)
}
