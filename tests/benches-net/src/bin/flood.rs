//! Flood: ten nodes in one room, one writes as fast as the slowest of the others receives. Ours stores each message durably
//! at every node; beside it bare gossipsub with signed messages, and iroh-gossip with one signature verified a delivery,
//! which store nothing.
//!
//! Everyone has at most [`WINDOW`] messages on their way. `MESSAGES` and `ROUNDS` in the environment make it smaller.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use parlor_benches::{Goal, Pair, Row, figure, median};
use parlor_benches_net::report::{Line, say, setting};
use parlor_benches_net::{gauge, iroh_gossip, libp2p, nodes};
use tokio::sync::mpsc;

const NODES: usize = 10;
/// Messages that the slowest node may lack when the next is written: as many as gossipsub takes without dropping any.
const WINDOW: usize = 1_000;
/// Messages in one request of ours.
const BATCH: usize = 100;
/// Bytes of a text of ours, and of a message of the others.
const TEXT: usize = 100;
const BLOB: usize = 300;
/// Without any delivery for so long the rest is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one round showed.
#[derive(Clone, Copy)]
struct Round {
    /// Messages a second, each at all nodes.
    rate: f64,
    /// Processor time a delivery in microseconds.
    cpu: f64,
    lost: usize,
}

/// How far each node is.
struct Count {
    first: usize,
    n: usize,
    at: Vec<usize>,
    start: Instant,
    last: Instant,
    cpu: f64,
}

impl Count {
    fn new(first: usize, n: usize) -> Self {
        let cpu = gauge::cpu_seconds(std::process::id());
        Self { first, n, at: vec![0; NODES - 1], start: Instant::now(), last: Instant::now(), cpu }
    }

    fn slowest(&self) -> usize {
        self.at.iter().copied().min().unwrap_or(0)
    }

    fn add(&mut self, (number, at, when): nodes::Shown) {
        if let Some(count) = self.at.get_mut(at.wrapping_sub(1)).filter(|_| number >= self.first) {
            *count += 1;
            self.last = self.last.max(when);
        }
    }

    fn done(self) -> Round {
        let delivered: usize = self.at.iter().sum();
        let cpu = gauge::cpu_seconds(std::process::id()) - self.cpu;
        let seconds = self.last.duration_since(self.start).as_secs_f64();
        let rate = delivered as f64 / (NODES - 1) as f64 / seconds;
        Round { rate, cpu: cpu / delivered as f64 * 1e6, lost: self.n * (NODES - 1) - delivered }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let (n, rounds) = (setting("MESSAGES", 5_000), setting("ROUNDS", parlor_benches::ROUNDS));
    let mut all: Vec<[Round; 3]> = Vec::new();
    for round in 0..rounds {
        let three = [ours(n).await?, gossipsub(n).await?, plumtree(n).await?];
        for (name, ran) in ["ours", "gossipsub", "iroh-gossip"].iter().zip(&three) {
            say(format!(
                "round {round}: {name} {:.0} msg/s, {:.0} us a delivery, {} lost",
                ran.rate, ran.cpu, ran.lost
            ));
        }
        all.push(three);
    }
    let lost: Vec<usize> =
        (0..3).map(|at| all.iter().filter_map(|three| three.get(at)).map(|ran| ran.lost).sum()).collect();
    say(format!("lost in all rounds: {lost:?}"));
    let pair = |at: usize, of: fn(&Round) -> f64| {
        let mine = |three: &[Round; 3]| of(&three[0]);
        let theirs = |three: &[Round; 3]| three.get(at).map_or(f64::NAN, of);
        Pair {
            ours: median(all.iter().map(mine)),
            theirs: median(all.iter().map(theirs)),
            ratio: median(all.iter().map(|three| mine(three) / theirs(three))),
        }
    };
    let others = [(1, "gossipsub, signed messages", 4.0), (2, "iroh-gossip, one signature verified", 1.0)];
    for (at, beside, goal) in others {
        let what = "flood, 10 nodes, messages at all of them";
        Row { what, beside, unit: "msg/s", pair: pair(at, |ran| ran.rate), goal: Goal::AtLeast(goal) }.print();
    }
    for (at, beside, _) in others {
        let cpu = pair(at, |ran| ran.cpu);
        Line {
            what: "the same: CPU a delivery",
            ours: format!("{} us", figure(cpu.ours)),
            beside,
            theirs: format!("{} us", figure(cpu.theirs)),
            ratio: Some(cpu.ratio),
            goal: "<= 60 us",
            reached: Some(cpu.ours <= 60.0),
        }
        .print();
    }
    Ok(())
}

async fn ours(n: usize) -> Result<Round> {
    let cluster = nodes::Cluster::start(NODES).await?;
    let mut shown = nodes::watch(&cluster)?;
    // One message each way first, so that no key has to be made while it counts.
    cluster.app(0)?.send(&cluster.room, vec![nodes::text(0, TEXT)]).await.map_err(nodes::problem)?;
    for _ in 1..NODES {
        shown.recv().await.context("no node is left")??;
    }
    let mut count = Count::new(1, n);
    let mut written = 0;
    while count.slowest() < n {
        if written < n && written - count.slowest() < WINDOW {
            let batch: Vec<_> = (written..n.min(written + BATCH)).map(|at| nodes::text(at + 1, TEXT)).collect();
            written += batch.len();
            cluster.app(0)?.send(&cluster.room, batch).await.map_err(nodes::problem)?;
            while let Ok(told) = shown.try_recv() {
                count.add(told?);
            }
            continue;
        }
        match tokio::time::timeout(6 * PATIENCE, shown.recv()).await {
            Ok(told) => count.add(told.context("no node is left")??),
            Err(_) => {
                say(format!("messages at nodes after {} were written: {:?}", written, count.at));
                break;
            }
        }
    }
    let round = count.done();
    cluster.stop().await?;
    Ok(round)
}

async fn gossipsub(n: usize) -> Result<Round> {
    let mut nodes = libp2p::Gossip::start(NODES).await?;
    let mut count = Count::new(0, n);
    let mut written = 0;
    while count.slowest() < n {
        if written < n && written - count.slowest() < WINDOW {
            nodes.publish(blob(written)).await?;
            written += 1;
            drain(&mut nodes.deliveries, &mut count);
        } else if !next(&mut nodes.deliveries, &mut count).await? {
            break;
        }
    }
    let round = count.done();
    nodes.stop().await;
    Ok(round)
}

async fn plumtree(n: usize) -> Result<Round> {
    let mut nodes = iroh_gossip::Nodes::start(NODES).await?;
    let mut count = Count::new(0, n);
    let mut written = 0;
    while count.slowest() < n {
        if written < n && written - count.slowest() < WINDOW {
            nodes.publish(&blob(written)).await?;
            written += 1;
            drain(&mut nodes.deliveries, &mut count);
        } else if !next(&mut nodes.deliveries, &mut count).await? {
            break;
        }
    }
    let round = count.done();
    nodes.stop().await?;
    Ok(round)
}

fn blob(number: usize) -> Vec<u8> {
    nodes::text(number, BLOB).text.into_bytes()
}

fn drain(deliveries: &mut mpsc::UnboundedReceiver<nodes::Shown>, count: &mut Count) {
    while let Ok(told) = deliveries.try_recv() {
        count.add(told);
    }
}

/// Waits for a delivery; false when no more come.
async fn next(deliveries: &mut mpsc::UnboundedReceiver<nodes::Shown>, count: &mut Count) -> Result<bool> {
    match tokio::time::timeout(PATIENCE, deliveries.recv()).await {
        Ok(told) => count.add(told.context("no node is left")?),
        Err(_) => return Ok(false),
    }
    Ok(true)
}
