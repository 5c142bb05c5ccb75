//! Live delivery: ten nodes in one room, one writes 100 messages a second. Measured from the call of the client to the
//! moment when each of the others has stored the message durably and shown it, beside mosquitto QoS 1 with nine subscribers
//! that store each message in SQLite (WAL, synchronous FULL) before they count it.
//!
//! `MESSAGES` and `ROUNDS` in the environment make it smaller, `RATE` slower: at 10 a second each message is alone, whatever else
//! the machine does.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use parlor_benches::{Goal, Pair, Row, median};
use parlor_benches_net::report::{percentile, say, setting};
use parlor_benches_net::{gauge, mqtt, nodes};
use tokio::sync::mpsc;

const NODES: usize = 10;
/// Messages a second.
const RATE: usize = 100;
/// Bytes of a text; with it an event of ours has some 350, and so has what goes through the broker.
const TEXT: usize = 100;
/// Bytes of a message through the broker.
const BLOB: usize = 300;
/// After the last message was written nothing may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Milliseconds, sorted, of all deliveries of a round.
type Delays = Vec<f64>;

#[tokio::main]
async fn main() -> Result<()> {
    let (n, rounds) = (setting("MESSAGES", 600), setting("ROUNDS", parlor_benches::ROUNDS));
    let cluster = nodes::Cluster::start(NODES).await?;
    for at in 0..NODES {
        let state = cluster.sync(at).await?;
        say(format!("node {at}: connected to {} of the room", state.peers));
    }
    let mut shown = nodes::watch(&cluster)?;
    let dir = tempfile::tempdir()?;
    let broker = mqtt::Broker::start(dir.path())?;
    let mut stored = broker.subscribers(NODES - 1, dir.path())?;
    let publisher = broker.publisher()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let first = round * n;
        let cpu = gauge::cpu_seconds(std::process::id());
        let mine = our_round(&cluster, &mut shown, first, n).await?;
        let cpu = gauge::cpu_seconds(std::process::id()) - cpu;
        let other = their_round(&publisher, &mut stored, first, n).await?;
        say(format!(
            "round {round}: ours p50 {:.2} p99 {:.2} max {:.2} ms, {:.0} us of CPU a delivery; mosquitto p50 {:.2} p99 {:.2} max {:.2} ms",
            percentile(&mine, 0.5),
            percentile(&mine, 0.99),
            percentile(&mine, 1.0),
            cpu / (n * (NODES - 1)) as f64 * 1e6,
            percentile(&other, 0.5),
            percentile(&other, 0.99),
            percentile(&other, 1.0)
        ));
        // The first round warms both up.
        if round > 0 {
            ours.push(mine);
            theirs.push(other);
        }
    }
    for (what, share, goal) in [
        ("live delivery, 10 nodes, 100 messages/s, written to durable and shown: p50", 0.5, 1.5),
        ("the same: p99", 0.99, 2.0),
    ] {
        let of = |delays: &Delays| percentile(delays, share);
        let pair = Pair {
            ours: median(ours.iter().map(of)),
            theirs: median(theirs.iter().map(of)),
            ratio: median(ours.iter().zip(&theirs).map(|(ours, theirs)| of(ours) / of(theirs))),
        };
        let beside = "mosquitto QoS 1, stored in SQLite FULL";
        Row { what, beside, unit: "ms", pair, goal: Goal::AtMost(goal) }.print();
    }
    cluster.stop().await
}

fn pace() -> tokio::time::Interval {
    tokio::time::interval(Duration::from_secs(1) / setting("RATE", RATE).clamp(1, 1000) as u32)
}

async fn our_round(
    cluster: &nodes::Cluster,
    shown: &mut mpsc::UnboundedReceiver<Result<nodes::Shown>>,
    first: usize,
    n: usize,
) -> Result<Delays> {
    let mut sent = Vec::new();
    let mut sends = tokio::task::JoinSet::new();
    let mut pace = pace();
    for number in first..first + n {
        pace.tick().await;
        sent.push(Instant::now());
        let (app, room) = (cluster.app(0)?.clone(), cluster.room.clone());
        sends.spawn(async move { app.send(&room, vec![nodes::text(number, TEXT)]).await });
    }
    while let Some(done) = sends.join_next().await {
        done?.map_err(nodes::problem)?;
    }
    let mut seen = Seen::new(first, &sent);
    while !seen.complete() {
        let told = tokio::time::timeout(PATIENCE, shown.recv()).await;
        let Ok(told) = told else { bail!("lost: {}", seen.missing()) };
        seen.add(told.context("no node is left")??)?;
    }
    Ok(seen.sorted())
}

async fn their_round(
    publisher: &mqtt::Publisher,
    stored: &mut mpsc::UnboundedReceiver<nodes::Shown>,
    first: usize,
    n: usize,
) -> Result<Delays> {
    let mut sent = Vec::new();
    let mut pace = pace();
    for number in first..first + n {
        pace.tick().await;
        let message = nodes::text(number, BLOB).text.into_bytes();
        sent.push(Instant::now());
        publisher.publish(message)?;
    }
    let mut seen = Seen::new(first, &sent);
    while !seen.complete() {
        let told = tokio::time::timeout(PATIENCE, stored.recv()).await;
        let Ok(told) = told else { bail!("mosquitto lost: {}", seen.missing()) };
        let (number, at, when) = told.context("no subscriber is left")?;
        seen.add((number, at + 1, when))?;
    }
    Ok(seen.sorted())
}

/// The deliveries of a round.
struct Seen<'a> {
    first: usize,
    sent: &'a [Instant],
    at: Vec<bool>,
    delays: Delays,
}

impl<'a> Seen<'a> {
    fn new(first: usize, sent: &'a [Instant]) -> Self {
        Self { first, sent, at: vec![false; sent.len() * NODES], delays: Vec::new() }
    }

    fn add(&mut self, (number, at, when): nodes::Shown) -> Result<()> {
        // Of an earlier round: told twice, which only a broker may do.
        let Some(index) = number.checked_sub(self.first) else { return Ok(()) };
        let sent = self.sent.get(index).context("a message that nobody wrote")?;
        let seen = self.at.get_mut(index * NODES + at).context("a node that does not exist")?;
        if !std::mem::replace(seen, true) {
            self.delays.push(when.duration_since(*sent).as_secs_f64() * 1e3);
        }
        Ok(())
    }

    fn complete(&self) -> bool {
        self.delays.len() == self.sent.len() * (NODES - 1)
    }

    fn missing(&self) -> String {
        let lacks = |at: usize| (0..self.sent.len()).filter(|index| !self.at[index * NODES + at]).count();
        (1..NODES).map(|at| format!("{} at node {at}", lacks(at))).collect::<Vec<_>>().join(", ")
    }

    fn sorted(mut self) -> Delays {
        self.delays.sort_by(f64::total_cmp);
        self.delays
    }
}
