//! A relay in this process, on loopback, with a folder of its own.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use parlor_bootstrap::config::{Config, Overrides};
use parlor_bootstrap::host;
use parlor_bootstrap::relay::Relay;
use parlor_net::{Line, LineKind, PeerId};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Long enough for a loaded machine: reached only when something is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A running relay. It ends with the test's runtime.
pub(crate) struct TestRelay {
    pub(crate) relay: Arc<Relay>,
    pub(crate) dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
    /// Lines that were laid by hand are stopped by this.
    pub(crate) stopped: watch::Sender<bool>,
}

/// A relay with these settings beside the usual ones of tests.
pub(crate) async fn relay(settings: &str) -> TestRelay {
    let dir = tempfile::tempdir().unwrap();
    relay_in(dir, settings).await
}

/// A relay on this folder.
pub(crate) async fn relay_in(dir: tempfile::TempDir, settings: &str) -> TestRelay {
    let file = dir.path().join("test.toml");
    std::fs::write(&file, format!("listen = ['/ip4/127.0.0.1/tcp/0']\nmetrics = '127.0.0.1:0'\n{settings}")).unwrap();
    let data = Some(dir.path().join("data"));
    let config = Config::load(Overrides { config: Some(file), data, ..Overrides::default() }).unwrap();
    let running = host::start(config).await.unwrap();
    let relay = running.relay().clone();
    let (stop, told) = oneshot::channel();
    let running = tokio::spawn(async move {
        running.run(async move { drop(told.await) }).await.unwrap();
    });
    TestRelay { relay, dir, stop: Some(stop), running, stopped: watch::channel(false).0 }
}

impl TestRelay {
    /// A line of a client at this address, laid without a network.
    pub(crate) fn line(&self, kind: LineKind, client: u8, source: &str) -> Line {
        let peer = PeerId::from_seed(&[client; 32]);
        let (here, there) = Line::pair(kind, peer, self.relay.peer);
        let (relay, stopped) = (self.relay.clone(), self.stopped.subscribe());
        let source: Option<IpAddr> = Some(source.parse().unwrap());
        tokio::spawn(async move {
            match kind {
                LineKind::Directory => {
                    parlor_bootstrap::directory::line::serve(&relay, there, source, stopped).await;
                }
                _ => {
                    let nonce = std::array::from_fn(|_| rand::random());
                    parlor_bootstrap::post::serve(&relay, there, source, nonce, stopped).await;
                }
            }
        });
        here
    }

    /// Stops it as SIGTERM does, and gives its folder back.
    pub(crate) async fn stop(mut self) -> tempfile::TempDir {
        self.stop.take().unwrap().send(()).unwrap();
        drop(self.relay);
        tokio::time::timeout(DEADLINE, self.running).await.unwrap().unwrap();
        self.dir
    }
}

/// The next frame of a line, which must come.
pub(crate) async fn frame(line: &mut Line) -> Bytes {
    tokio::time::timeout(DEADLINE, line.recv()).await.unwrap().expect("the line is over")
}

/// Waits for the end of a line.
pub(crate) async fn over(line: &mut Line) {
    while tokio::time::timeout(DEADLINE, line.recv()).await.unwrap().is_some() {}
}
