//! Real `nats-server` processes on loopback, in folders of their own, ended with the test.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Some servers that make one cluster.
pub(crate) struct Cluster {
    dir: TempDir,
    clients: Vec<u16>,
    routes: Vec<u16>,
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
        let ports = free_ports(2 * n);
        let (clients, routes) = ports.split_at(n);
        let mut cluster = Self {
            dir: tempfile::tempdir().unwrap(),
            clients: clients.to_vec(),
            routes: routes.to_vec(),
            servers: (0..n).map(|_| None).collect(),
        };
        (0..n).for_each(|server| cluster.restart(server));
        Some(cluster)
    }

    /// The addresses of all servers, as a relay is given them.
    pub(crate) fn addresses(&self) -> String {
        self.clients.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }

    /// Kills a server with SIGKILL.
    pub(crate) fn kill(&mut self, server: usize) {
        if let Some(mut child) = self.servers[server].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts a server where it was.
    pub(crate) fn restart(&mut self, server: usize) {
        let config = self.dir.path().join(format!("{server}.conf"));
        std::fs::write(&config, self.config(server)).unwrap();
        let child =
            Command::new("nats-server").arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.servers[server] = Some(child.unwrap());
    }

    fn config(&self, server: usize) -> String {
        let store = self.dir.path().join(format!("store-{server}"));
        let mut config = format!(
            "server_name: s{server}\nlisten: 127.0.0.1:{}\njetstream {{ store_dir: {:?}, max_file_store: 1G }}\n",
            self.clients[server],
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

/// Ports that were free just now.
fn free_ports(n: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..n).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
