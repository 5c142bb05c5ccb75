//! nats-server with JetStream, started for a bench on a free port of loopback: file storage, one server.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use futures::StreamExt as _;

const STREAM: &str = "bench";
const SUBJECT: &str = "bench.room";

/// A server that ends with this.
pub struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts one that keeps its streams in `dir`, and waits until it answers. What it acknowledges it has written; it syncs its files
    /// every two minutes, and Debian's 2.9 knows no other way.
    ///
    /// # Errors
    /// nats-server is not installed (`apt-get install nats-server`), or does not start.
    pub fn start(dir: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = dir.join("nats.conf");
        // A relay reserves what its mailboxes may grow to, whatever disk there is.
        let lines = format!(
            "listen: 127.0.0.1:{port}\nmax_connections: 100000\njetstream {{ max_file_store: 100G, store_dir: {:?} }}\n",
            dir.join("store")
        );
        std::fs::write(&config, lines)?;
        let mut command = Command::new("nats-server");
        let child = command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { child: child.spawn().context("nats-server does not start: is it installed?")?, port };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                bail!("nats-server does not answer");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Publishes `n` messages of these bytes into a stream, `at_once` of them unacknowledged at most; when the last one was acknowledged.
    ///
    /// # Errors
    /// The server is gone, or refuses.
    pub async fn publish_acknowledged(&self, n: usize, at_once: usize, data: &[u8]) -> Result<Duration> {
        let context = jetstream::new(async_nats::connect(self.address()).await?);
        let config = stream::Config {
            name: STREAM.to_owned(),
            subjects: vec![SUBJECT.to_owned()],
            storage: stream::StorageType::File,
            ..stream::Config::default()
        };
        context.get_or_create_stream(config).await?;
        let data = Bytes::copy_from_slice(data);
        let start = Instant::now();
        let mut acknowledged = futures::stream::iter(0..n)
            .map(|_| {
                let (context, data) = (&context, data.clone());
                async move { Ok::<_, anyhow::Error>(context.publish(SUBJECT, data).await?.await?) }
            })
            .buffer_unordered(at_once);
        while let Some(one) = acknowledged.next().await {
            one?;
        }
        Ok(start.elapsed())
    }

    /// Subscribes `n` clients that count what comes; answers when all are subscribed.
    ///
    /// # Errors
    /// A client can not subscribe.
    pub async fn counters(&self, n: usize) -> Result<Arc<AtomicUsize>> {
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..n {
            let client = async_nats::connect(self.address()).await?;
            let mut messages = client.subscribe(SUBJECT).await?;
            client.flush().await?;
            let count = count.clone();
            tokio::spawn(async move {
                while messages.next().await.is_some() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                // Lives as long as its subscription.
                drop(client);
            });
        }
        Ok(count)
    }
}
