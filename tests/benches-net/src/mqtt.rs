//! Mosquitto, started for a bench: QoS 1 on a free port of loopback. Subscribers store each message in SQLite, durably, before they
//! count it, or only count it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rumqttc::{Client, Connection, Event, MqttOptions, NetworkOptions, Packet, QoS};
use tokio::sync::mpsc;

const TOPIC: &str = "room";
/// Messages on their way at once at most.
const IN_FLIGHT: u16 = 1_000;

/// A broker that ends with this.
pub struct Broker {
    child: Child,
    port: u16,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Broker {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// Mosquitto is not installed (`apt-get install mosquitto`), or does not start.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::start_with(dir, "persistence false\n")
    }

    /// As [`start`](Self::start), with persistence in `dir`: it writes its database every second. It has no setting to write before
    /// it acknowledges.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_persistent(dir: &Path) -> Result<Self> {
        let place = format!("persistence true\npersistence_location {}/\nautosave_interval 1\n", dir.display());
        Self::start_with(dir, &place)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    fn start_with(dir: &Path, persistence: &str) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = dir.join("mosquitto.conf");
        let lines = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\n{persistence}max_queued_messages 0\n\
             max_inflight_messages {IN_FLIGHT}\nlog_type none\nset_tcp_nodelay true\n"
        );
        std::fs::write(&config, lines)?;
        let program = ["/usr/sbin/mosquitto", "mosquitto"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("mosquitto"));
        let child = command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let broker = Self { child: child.spawn().context("mosquitto does not start: is it installed?")?, port };
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                bail!("mosquitto does not answer");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(broker)
    }

    fn options(&self, name: &str) -> MqttOptions {
        let mut options = MqttOptions::new(name, "127.0.0.1", self.port);
        options.set_inflight(IN_FLIGHT).set_keep_alive(Duration::from_secs(30));
        options
    }

    /// A client that publishes.
    ///
    /// # Errors
    /// It can not connect.
    pub fn publisher(&self) -> Result<Publisher> {
        let (client, mut connection) = connect(self.options("publisher"));
        std::thread::spawn(move || for _ in connection.iter().take_while(Result::is_ok) {});
        Ok(Publisher { client })
    }

    /// Subscribes `n` clients, each with its database in `dir`; answers when all are subscribed. Each message is told as
    /// (number, client, when it was durable).
    ///
    /// # Errors
    /// A client can not subscribe.
    pub fn subscribers(&self, n: usize, dir: &Path) -> Result<mpsc::UnboundedReceiver<(usize, usize, Instant)>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        for at in 0..n {
            let (options, sender, ready) = (self.options(&format!("subscriber-{at}")), sender.clone(), ready.clone());
            let path = dir.join(format!("subscriber-{at}.sqlite"));
            std::thread::spawn(move || subscriber(at, options, path, &sender, &ready));
        }
        for _ in 0..n {
            is_ready.recv_timeout(Duration::from_secs(20)).context("a subscriber did not come up")?;
        }
        Ok(receiver)
    }
}

impl Broker {
    /// Publishes `n` messages of these bytes, `at_once` of them unacknowledged at most; when the last one was acknowledged.
    ///
    /// # Errors
    /// The broker is gone, or does not acknowledge.
    pub fn publish_acknowledged(&self, n: usize, at_once: u16, data: &[u8]) -> Result<Duration> {
        let mut options = self.options("durable-publisher");
        options.set_inflight(at_once);
        let (client, mut connection) = connect(options);
        let (data, start) = (data.to_vec(), Instant::now());
        let writer = std::thread::spawn(move || {
            (0..n).all(|_| client.publish(TOPIC, QoS::AtLeastOnce, false, data.clone()).is_ok()).then_some(client)
        });
        let mut acknowledged = 0;
        for event in connection.iter() {
            if let Event::Incoming(Packet::PubAck(_)) = event? {
                acknowledged += 1;
            }
            if acknowledged == n {
                break;
            }
        }
        let took = start.elapsed();
        drop(writer.join());
        Ok(took)
    }

    /// Subscribes `n` clients that count what comes; answers when all are subscribed.
    ///
    /// # Errors
    /// A client can not subscribe.
    pub fn counters(&self, n: usize) -> Result<Arc<AtomicUsize>> {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let count = Arc::new(AtomicUsize::new(0));
        for at in 0..n {
            let (options, count, ready) = (self.options(&format!("counter-{n}-{at}")), count.clone(), ready.clone());
            std::thread::spawn(move || {
                let (client, mut connection) = connect(options);
                client.subscribe(TOPIC, QoS::AtLeastOnce).ok()?;
                for event in connection.iter().map_while(Result::ok) {
                    match event {
                        Event::Incoming(Packet::SubAck(_)) => ready.send(()).ok()?,
                        Event::Incoming(Packet::Publish(_)) => drop(count.fetch_add(1, Ordering::Relaxed)),
                        _ => {}
                    }
                }
                Some(())
            });
        }
        for _ in 0..n {
            is_ready.recv_timeout(Duration::from_secs(60)).context("a subscriber did not come up")?;
        }
        Ok(count)
    }
}

/// A client that publishes.
pub struct Publisher {
    client: Client,
}

impl Publisher {
    /// Publishes once, at least once.
    ///
    /// # Errors
    /// The client has ended.
    pub fn publish(&self, data: Vec<u8>) -> Result<()> {
        Ok(self.client.publish(TOPIC, QoS::AtLeastOnce, false, data)?)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.client.disconnect();
    }
}

fn connect(options: MqttOptions) -> (Client, Connection) {
    let (client, mut connection) = Client::new(options, 1_000);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    connection.eventloop.set_network_options(network);
    (client, connection)
}

fn subscriber(
    at: usize,
    options: MqttOptions,
    path: PathBuf,
    sender: &mpsc::UnboundedSender<(usize, usize, Instant)>,
    ready: &std::sync::mpsc::Sender<()>,
) -> Option<()> {
    let base = rusqlite::Connection::open(path).ok()?;
    base.pragma_update(None, "journal_mode", "WAL").ok()?;
    base.pragma_update(None, "synchronous", "FULL").ok()?;
    base.execute("CREATE TABLE message (number INTEGER PRIMARY KEY, data BLOB)", []).ok()?;
    let (client, mut connection) = connect(options);
    client.subscribe(TOPIC, QoS::AtLeastOnce).ok()?;
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::SubAck(_))) => ready.send(()).ok()?,
            Ok(Event::Incoming(Packet::Publish(message))) => {
                let number: usize = std::str::from_utf8(&message.payload).ok()?.split(' ').next()?.parse().ok()?;
                let row = (i64::try_from(number).ok()?, message.payload.as_ref());
                base.prepare_cached("INSERT OR REPLACE INTO message VALUES (?, ?)").ok()?.execute(row).ok()?;
                sender.send((number, at, Instant::now())).ok()?;
            }
            Ok(_) => {}
            Err(_) => return None,
        }
    }
    Some(())
}
