//! A relay's mailboxes: blobs put and acknowledged durably, pushed to 10 and 100 subscribers, and the memory of idle connections; beside
//! mosquitto (QoS 1, persistence) and nats-server (JetStream on files) in the same run. Then the relay's own JetStream store beside
//! a bare publisher to such a server.
//!
//! What each acknowledges: the relay, what is on the disk; JetStream, what is written, and synced within two minutes; mosquitto, what it
//! writes down every second. The clients of all three are in this process.
//!
//! Then what somebody feels who writes now and then while others flood the relay, its limits by source left out.
//!
//! `PUTS`, `ROUNDS`, `SUBSCRIBERS` (the larger number), `FLOODERS` and `CONNECTIONS` in the environment make it smaller or larger.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::StreamExt as _;
use parlor_benches::{Goal, Pair, Row, figure, median};
use parlor_benches_net::boxes::{Client, Relay};
use parlor_benches_net::report::{Line, percentile, say, setting};
use parlor_benches_net::{gauge, mqtt, nats};
use parlor_bootstrap::mailbox::{MailboxStore as _, NatsOptions, NatsStore};
use parlor_proto::mailbox::{BlobId, BoxKind, BoxName};

/// Bytes of a blob: a chat message in its class.
const BLOB: usize = 512;
/// Puts unanswered at once: the window of the mailbox protocol.
const AT_ONCE: usize = 64;
/// After the last one was put, a push may take this long.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let (n, rounds) = (setting("PUTS", 4_096), setting("ROUNDS", parlor_benches::ROUNDS));
    puts(n, rounds).await?;
    for (subscribers, n) in [(10, n), (setting("SUBSCRIBERS", 100), n / 8)] {
        fan_out(subscribers, n.max(1), rounds).await?;
    }
    jetstream(n, rounds).await?;
    beside_a_flood(setting("FLOODERS", 16)).await?;
    idle(setting("CONNECTIONS", 5_000)).await
}

/// A figure of each round, of ours and of others beside it; the first round, which warms up, is left out.
type Rounds = Vec<(f64, f64)>;

fn row(what: &str, beside: &str, unit: &str, rounds: &Rounds, goal: Goal) {
    Row { what, beside, unit, pair: Pair::of(rounds), goal }.print();
}

async fn puts(n: usize, rounds: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let place = Places::new(dir.path())?;
    let relay = Relay::start(&place.ours, "sled")?;
    let broker = mqtt::Broker::start_persistent(&place.mosquitto)?;
    let server = nats::Server::start(&place.nats)?;
    let mut client = relay.client(0).await?;
    let data = vec![0xb7; BLOB];
    let rate = |took: Duration| n as f64 / took.as_secs_f64();
    let mut all: [Rounds; 2] = Default::default();
    for round in 0..=rounds {
        let number = u16::try_from(round)?;
        client.open(number).await?;
        let ours = rate(client.put(number, n, AT_ONCE).await?);
        let mosquitto = rate(tokio::task::block_in_place(|| broker.publish_acknowledged(n, AT_ONCE as u16, &data))?);
        let nats = rate(server.publish_acknowledged(n, AT_ONCE, &data).await?);
        say(format!("puts, round {round}: ours {ours:.0}/s, mosquitto {mosquitto:.0}, nats {nats:.0}"));
        if round > 0 {
            all[0].push((ours, mosquitto));
            all[1].push((ours, nats));
        }
    }
    let bytes = gauge::disk(&place.ours)? as f64 / (n * (rounds + 1)) as f64;
    let what = "disk that a 512-byte blob takes";
    Line { what, ours: format!("{} B", figure(bytes)), ..Line::default() }.print();
    let what = "512-byte blobs put and acknowledged durably, 64 at a time";
    row(what, "mosquitto QoS 1, written every second", "puts/s", &all[0], Goal::None);
    row(what, "JetStream, synced every two minutes", "puts/s", &all[1], Goal::None);
    Ok(())
}

async fn fan_out(subscribers: usize, n: usize, rounds: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let place = Places::new(dir.path())?;
    let relay = Relay::start(&place.ours, "sled")?;
    let broker = mqtt::Broker::start_persistent(&place.mosquitto)?;
    let server = nats::Server::start(&place.nats)?;
    let mut writer = relay.client(0).await?;
    let mut readers = relay.counters(1, u32::try_from(subscribers)?).await?;
    let of_broker = tokio::task::block_in_place(|| broker.counters(subscribers))?;
    let of_server = server.counters(subscribers).await?;
    let data = vec![0xb7; BLOB];
    let deliveries = (n * subscribers) as f64;
    let mut all: [Rounds; 2] = Default::default();
    for round in 0..=rounds {
        let ours = deliveries / our_fan_out(&mut writer, &mut readers, u16::try_from(round)?, n).await?;
        let start = (Instant::now(), of_broker.load(Ordering::Relaxed));
        tokio::task::block_in_place(|| broker.publish_acknowledged(n, AT_ONCE as u16, &data))?;
        let mosquitto = deliveries / counted(&of_broker, start.1 + n * subscribers, start.0).await?;
        let start = (Instant::now(), of_server.load(Ordering::Relaxed));
        server.publish_acknowledged(n, AT_ONCE, &data).await?;
        let nats = deliveries / counted(&of_server, start.1 + n * subscribers, start.0).await?;
        say(format!(
            "{subscribers} subscribers, round {round}: ours {ours:.0}/s, mosquitto {mosquitto:.0}, nats {nats:.0}"
        ));
        if round > 0 {
            all[0].push((ours, mosquitto));
            all[1].push((ours, nats));
        }
    }
    let what = format!("512-byte blobs put durably and pushed to {subscribers} subscribers");
    row(&what, "mosquitto QoS 1, written every second", "deliveries/s", &all[0], Goal::AtLeast(1.5));
    row(&what, "JetStream and plain subscribers", "deliveries/s", &all[1], Goal::None);
    Ok(())
}

/// Seconds from the first put to the last push.
async fn our_fan_out(writer: &mut Client, readers: &mut Vec<Client>, round: u16, n: usize) -> Result<f64> {
    writer.open(round).await?;
    for reader in readers.iter_mut() {
        reader.subscribe(round).await?;
    }
    let total = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for mut reader in readers.drain(..) {
        let total = total.clone();
        tasks.spawn(async move { reader.count(n, &total).await.map(|()| (reader, Instant::now())) });
    }
    writer.put(round, n, AT_ONCE).await?;
    let mut last = start;
    while let Some(done) = tasks.join_next().await {
        let (reader, at) = done??;
        last = last.max(at);
        readers.push(reader);
    }
    Ok(last.duration_since(start).as_secs_f64())
}

/// Seconds since `start` until so many were counted.
async fn counted(count: &AtomicUsize, goal: usize, start: Instant) -> Result<f64> {
    let until = Instant::now() + PATIENCE;
    while count.load(Ordering::Relaxed) < goal {
        if Instant::now() > until {
            bail!("{} of {goal} were delivered", count.load(Ordering::Relaxed));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// The relay's JetStream store beside who publishes into such a stream without a relay.
async fn jetstream(n: usize, rounds: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let place = Places::new(dir.path())?;
    let server = nats::Server::start(&place.nats)?;
    let relay = Relay::start(&place.ours, &server.address())?;
    let mut client = relay.client(0).await?;
    let store = NatsStore::connect(&server.address(), NatsOptions::default()).await?;
    let data = vec![0xb7; BLOB];
    let mut all: [Rounds; 2] = Default::default();
    for round in 0..=rounds {
        let number = u16::try_from(round)?;
        client.open(number).await?;
        let ours = n as f64 / client.put(number, n, AT_ONCE).await?.as_secs_f64();
        let alone = n as f64 / into_store(&store, round as u8, n).await?.as_secs_f64();
        let theirs = n as f64 / server.publish_acknowledged(n, AT_ONCE, &data).await?.as_secs_f64();
        say(format!("JetStream store, round {round}: ours {ours:.0}/s, the store alone {alone:.0}, bare {theirs:.0}"));
        if round > 0 {
            all[0].push((ours, theirs));
            all[1].push((alone, theirs));
        }
    }
    let what = ["the same into the relay's JetStream store", "of that, what the store takes without a line"];
    for ((what, rounds), goal) in what.into_iter().zip(&all).zip([Goal::AtLeast(0.7), Goal::None]) {
        row(what, "a bare JetStream publisher", "puts/s", rounds, goal);
    }
    Ok(())
}

/// Puts into the store as a relay does, in this process; when the last one was stored.
async fn into_store(store: &NatsStore, round: u8, n: usize) -> Result<Duration> {
    let name = BoxName { kind: BoxKind::Room, key: [round; 32] };
    let start = Instant::now();
    let mut stored = futures::stream::iter(0..n)
        .map(|number| {
            let mut blob = vec![0xb7; BLOB];
            blob[..8].copy_from_slice(&number.to_be_bytes());
            store.put(name, BlobId::of(&blob), blob.into())
        })
        .buffer_unordered(AT_ONCE);
    while let Some(one) = stored.next().await {
        one?;
    }
    Ok(start.elapsed())
}

/// Puts of somebody who writes one every 20 ms, alone and beside others who put as fast as they are answered.
async fn beside_a_flood(flooders: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let place = Places::new(dir.path())?;
    let relay = Relay::start(&place.ours, "sled")?;
    let mut honest = relay.client(0).await?;
    honest.open(0).await?;
    let alone = delays(&mut honest).await?;
    let mut flood = tokio::task::JoinSet::new();
    for number in 1..=u16::try_from(flooders)? {
        let mut client = relay.client(u32::from(number)).await?;
        flood.spawn(async move {
            // A box takes so many blobs; then the next one.
            for box_number in (number..).step_by(flooders + 1) {
                client.open(box_number).await?;
                client.put(box_number, 8_192, AT_ONCE).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    let beside = delays(&mut honest).await?;
    if let Some(ended) = flood.try_join_next() {
        bail!("a flooder ended: {:?}", ended?);
    }
    flood.shutdown().await;
    for (what, share) in [("p50", 0.5), ("p99", 0.99)] {
        let (alone, beside) = (percentile(&alone, share), percentile(&beside, share));
        Line {
            what: &format!("a put now and then, beside {flooders} who put all they can: {what}"),
            ours: format!("{} ms", figure(beside)),
            beside: "the same alone",
            theirs: format!("{} ms", figure(alone)),
            ratio: Some(beside / alone),
            ..Line::default()
        }
        .print();
    }
    Ok(())
}

/// How long each of some puts took, in milliseconds, sorted.
async fn delays(client: &mut Client) -> Result<Vec<f64>> {
    let mut delays = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..400 {
        pace.tick().await;
        delays.push(client.put(0, 1, 1).await?.as_secs_f64() * 1e3);
    }
    delays.sort_by(f64::total_cmp);
    Ok(delays)
}

/// Memory of connections on which nothing happens: ours with a line to the mailboxes, others' after their greeting.
async fn idle(n: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let place = Places::new(dir.path())?;
    let relay = Relay::start(&place.ours, "sled")?;
    let broker = mqtt::Broker::start(&place.mosquitto)?;
    let server = nats::Server::start(&place.nats)?;
    let grown = |pid: u32, before: u64| (gauge::memory(pid).0.saturating_sub(before)) as f64 / n as f64 / 1e3;
    let resident = |pid: u32| gauge::memory(pid).0;

    let before = resident(relay.pid());
    let mut clients = Vec::new();
    for at in 0..n {
        clients.push(relay.client(u32::try_from(at)?).await?);
        if (at + 1) % 1_000 == 0 {
            say(format!(
                "{} connections, {:.1} kB each",
                at + 1,
                grown(relay.pid(), before) * n as f64 / (at + 1) as f64
            ));
        }
    }
    let ours = grown(relay.pid(), before);
    drop(clients);

    let before = resident(broker.pid());
    let lines = (0..n).map(|at| greeted(broker.port(), &mqtt_connect(at))).collect::<Result<Vec<_>>>()?;
    let mosquitto = grown(broker.pid(), before);
    drop(lines);
    let before = resident(server.pid());
    let hello = b"CONNECT {\"verbose\":false}\r\nPING\r\n";
    let lines = (0..n).map(|_| greeted(server.port(), hello)).collect::<Result<Vec<_>>>()?;
    let nats = grown(server.pid(), before);
    drop(lines);
    say(format!("{n} idle connections: ours {ours:.1} kB each, mosquitto {mosquitto:.1}, nats {nats:.1}"));
    let what = format!("memory of an idle connection, of {n}: encrypted, with a line");
    let pair = |theirs: f64| Pair { ours, theirs, ratio: median([ours / theirs].into_iter()) };
    let row = |beside, theirs, goal| Row { what: &what, beside, unit: "kB", pair: pair(theirs), goal }.print();
    row("mosquitto, in the clear", mosquitto, Goal::UpTo(40.0));
    row("nats-server, in the clear", nats, Goal::None);
    Ok(())
}

/// A connection that said hello and was answered.
fn greeted(port: u16, hello: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("too many open files? see ulimit -n")?;
    stream.write_all(hello)?;
    stream.read_exact(&mut [0; 4])?;
    Ok(stream)
}

/// CONNECT of MQTT 3.1.1 with a clean session and no keep-alive.
fn mqtt_connect(at: usize) -> Vec<u8> {
    let name = format!("{at:08}");
    let mut packet =
        vec![0x10, 10 + 2 + name.len() as u8, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, name.len() as u8];
    packet.extend_from_slice(name.as_bytes());
    packet
}

/// A folder for each.
struct Places {
    ours: std::path::PathBuf,
    mosquitto: std::path::PathBuf,
    nats: std::path::PathBuf,
}

impl Places {
    fn new(dir: &Path) -> Result<Self> {
        let make = |name: &str| {
            let path = dir.join(name);
            std::fs::create_dir(&path).map(|()| path)
        };
        Ok(Self { ours: make("ours")?, mosquitto: make("mosquitto")?, nats: make("nats")? })
    }
}
