//! What somebody feels who puts a blob now and then while others flood the relay: with puts, connections, circuits, records and names,
//! each from sources of their own, beside the same with nobody else there, in the same run. The limits by source are those that a relay
//! comes with, and hold for this machine's own addresses.
//!
//! Those who flood are a process of lower priority (`nice`): elsewhere they would have processors of their own, here they have what the
//! relay and its honest client leave. How much memory the relay had at its peak is told as well.
//!
//! `SOURCES` and `PUTS` (of the honest client, each time) in the environment make it smaller or larger.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use parlor_benches::{figure, median};
use parlor_benches_net::boxes::{Client, Relay};
use parlor_benches_net::floods::Flood;
use parlor_benches_net::gauge;
use parlor_benches_net::report::{Line, percentile, say, setting};

/// Between two puts of the honest client.
const PACE: Duration = Duration::from_millis(20);
/// The flood has begun after this time: its clients are connected, and have used up what they may ask at once.
const BEGUN: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<()> {
    if let [_, flood, relay, sources] = std::env::args().collect::<Vec<_>>().as_slice() {
        let flood = Flood::ALL.iter().find(|(_, name)| name == flood).context("no such flood")?.0;
        return flood.run(&relay.parse()?, sources.parse()?).await;
    }
    for (_, name) in Flood::ALL {
        beside(name).await?;
    }
    Ok(())
}

/// Measures beside one flood.
async fn beside(name: &str) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let relay = Relay::start_with(dir.path(), "sled", "[limits]\nloopback = true\n")?;
    let mut honest = relay.client(0).await?;
    honest.open(0).await?;
    // One put warms up.
    honest.put(0, 1, 1).await?;
    let mut rounds = Vec::new();
    for round in 0..3 {
        let alone = delays(&mut honest).await?;
        let flooders = Flooders::start(name, &relay)?;
        tokio::time::sleep(BEGUN).await;
        let flooded = delays(&mut honest).await?;
        drop(flooders);
        let of = |share| (percentile(&alone, share), percentile(&flooded, share));
        say(format!("{name}, round {round}: alone and beside, p50 {:?} ms, p99 {:?} ms", of(0.5), of(0.99)));
        rounds.push([of(0.5), of(0.99)]);
    }
    for (at, what) in ["p50", "p99"].into_iter().enumerate() {
        let of =
            |pick: fn((f64, f64)) -> f64| median(rounds.iter().filter_map(|round| round.get(at).copied().map(pick)));
        let ratio = of(|(alone, flooded)| flooded / alone);
        Line {
            what: &format!("a put now and then, beside a flood of {name}: {what}"),
            ours: format!("{} ms", figure(of(|(_, flooded)| flooded))),
            beside: "the same alone",
            theirs: format!("{} ms", figure(of(|(alone, _)| alone))),
            ratio: Some(ratio),
            goal: if what == "p99" { "<= 2x" } else { "" },
            reached: (what == "p99").then_some(ratio <= 2.0),
        }
        .print();
    }
    let what = format!("memory of the relay at its peak, beside a flood of {name}");
    let peak = gauge::memory(relay.pid()).1 as f64 / 1e6;
    Line { what: &what, ours: format!("{} MB", figure(peak)), ..Line::default() }.print();
    Ok(())
}

/// How long each of some puts took, in milliseconds, sorted.
async fn delays(client: &mut Client) -> Result<Vec<f64>> {
    let mut delays = Vec::new();
    let mut pace = tokio::time::interval(PACE);
    for _ in 0..setting("PUTS", 300) {
        pace.tick().await;
        delays.push(client.put(0, 1, 1).await?.as_secs_f64() * 1e3);
    }
    delays.sort_by(f64::total_cmp);
    Ok(delays)
}

/// A process that floods, until this is dropped.
struct Flooders(Child);

impl Flooders {
    fn start(name: &str, relay: &Relay) -> Result<Self> {
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(std::env::current_exe()?);
        command.args([name, &relay.address().to_string(), &setting("SOURCES", 16).to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self(child.context("nice does not start")?))
    }
}

impl Drop for Flooders {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
