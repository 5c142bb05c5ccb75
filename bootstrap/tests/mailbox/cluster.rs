//! Real `nats-server` processes on loopback, in folders of their own, ended with the test.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures::TryStreamExt as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Some servers that make one cluster.
pub(crate) struct Cluster {
    dir: TempDir,
    clients: Vec<u16>,
    routes: Vec<u16>,
    /// Where each server says how it is, over HTTP.
    monitors: Vec<u16>,
    servers: Vec<Option<Child>>,
}

impl Cluster {
    /// Starts the servers; `None`, after saying so, where `nats-server` is not installed.
    pub(crate) fn start(n: usize) -> Option<Self> {
        let installed = Command::new("nats-server").arg("--version").stdout(Stdio::null()).status();
        if installed.is_err() {
            println!("SKIPPED: nats-server is not installed (Debian: apt-get install nats-server)");
            return None;
        }
        let ports = free_ports(3 * n);
        let mut cluster = Self {
            dir: tempfile::tempdir().unwrap(),
            clients: ports[..n].to_vec(),
            routes: ports[n..2 * n].to_vec(),
            monitors: ports[2 * n..].to_vec(),
            servers: (0..n).map(|_| None).collect(),
        };
        (0..n).for_each(|server| cluster.restart(server));
        Some(cluster)
    }

    /// The addresses of all servers, as a relay is given them.
    pub(crate) fn addresses(&self) -> String {
        (0..self.clients.len()).map(|server| self.address(server)).collect::<Vec<_>>().join(",")
    }

    /// Kills a server with SIGKILL.
    pub(crate) fn kill(&mut self, server: usize) {
        if let Some(mut child) = self.servers[server].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops a server for a while, as a machine that is too busy does, until [`Cluster::thaw`].
    pub(crate) fn freeze(&self, server: usize) {
        self.signal(server, "-STOP");
    }

    pub(crate) fn thaw(&self, server: usize) {
        self.signal(server, "-CONT");
    }

    fn signal(&self, server: usize, signal: &str) {
        let pid = self.servers[server].as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// The server that leads `stream`, if one does.
    pub(crate) async fn leader(&self, stream: &str) -> Option<usize> {
        let client = async_nats::connect(self.addresses().split(',').collect::<Vec<_>>()).await.ok()?;
        let stream = async_nats::jetstream::new(client).get_stream(stream).await.ok()?;
        let leader = stream.cached_info().cluster.as_ref()?.leader.as_ref()?;
        leader.strip_prefix('s')?.parse().ok()
    }

    /// Streams of the cluster, if it answers.
    pub(crate) async fn jetstream(&self) -> Option<async_nats::jetstream::Context> {
        let client = async_nats::connect(self.addresses().split(',').collect::<Vec<_>>()).await.ok()?;
        Some(async_nats::jetstream::new(client))
    }

    /// The consumers of `stream`, each with the server at which it is.
    pub(crate) async fn consumers(&self, stream: &str) -> Option<Vec<(String, usize)>> {
        let stream = self.jetstream().await?.get_stream(stream).await.ok()?;
        let consumers: Vec<_> = stream.consumers().try_collect().await.ok()?;
        let at = |leader: String| leader.strip_prefix('s')?.parse().ok();
        Some(consumers.into_iter().filter_map(|it| Some((it.name, at(it.cluster?.leader?)?))).collect())
    }

    /// The address of one server.
    pub(crate) fn address(&self, server: usize) -> String {
        format!("nats://127.0.0.1:{}", self.clients[server])
    }

    /// Starts a server where it was.
    pub(crate) fn restart(&mut self, server: usize) {
        let config = self.dir.path().join(format!("{server}.conf"));
        std::fs::write(&config, self.config(server)).unwrap();
        let child =
            Command::new("nats-server").arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.servers[server] = Some(child.unwrap());
    }

    /// Whether every server is up and well, and holds all of `stream`: only then another one may go. A cluster that loses
    /// a second server of three while one is behind has no majority that holds everything, and must not go on.
    pub(crate) async fn is_whole(&self, stream: &str) -> bool {
        for port in &self.monitors {
            if !is_well(*port).await {
                return false;
            }
        }
        let Ok(client) = async_nats::connect(self.addresses().split(',').collect::<Vec<_>>()).await else {
            return false;
        };
        let context = async_nats::jetstream::new(client);
        let Ok(stream) = context.get_stream(stream).await else { return false };
        let Some(cluster) = &stream.cached_info().cluster else { return false };
        let all = cluster.replicas.len() + 1 == self.servers.len();
        all && cluster.replicas.iter().all(|one| one.current && !one.offline && one.lag.unwrap_or(0) == 0)
    }

    fn config(&self, server: usize) -> String {
        let store = self.dir.path().join(format!("store-{server}"));
        let mut config = format!(
            "server_name: s{server}\nlisten: 127.0.0.1:{}\nhttp: 127.0.0.1:{}\n\
             jetstream {{ store_dir: {:?}, max_file_store: 1G }}\n",
            self.clients[server],
            self.monitors[server],
            <Path as AsRef<Path>>::as_ref(&store),
        );
        if self.servers.len() > 1 {
            let routes: Vec<String> = self.routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
            config += &format!(
                "cluster {{ name: parlor, listen: 127.0.0.1:{}, routes: [{}] }}\n",
                self.routes[server],
                routes.join(", ")
            );
        }
        config
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..self.servers.len()).for_each(|server| self.kill(server));
    }
}

/// Whether the server behind this port says that it is up, with all that it keeps.
async fn is_well(port: u16) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    asked.await.is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}

/// Ports that were free just now.
fn free_ports(n: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..n).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
