//! Where the node listens, and keeping its ports over restarts: invites and friends remember them.
//!
//! A port 0 of the settings takes any free port the first time; the port it got is stored under the address as it was
//! asked for, and tried first from then on.

use std::collections::BTreeMap;
use std::time::Duration;

use parlor_api::{Code, Problem};
use parlor_net::{Address, Carrier, Endpoint};
use parlor_proto::codec;
use parlor_storage::{Batch, Namespace, Store};

use crate::services::peers::Peers;

/// Where the ports are stored.
const KEY: &[u8] = b"ports";
/// Longest stored value.
const MAX_BYTES: usize = 4096;
/// How long the start waits for the addresses of its listeners.
const SETTLE: Duration = Duration::from_secs(3);

/// The addresses of the settings.
pub(crate) fn parse(listen: &[String]) -> Result<Vec<Address>, Problem> {
    let parse = |text: &String| {
        text.parse().map_err(|e| {
            Problem::new(Code::BadConfig, format!("can not listen on {text}: {e}"))
                .hint("an address looks like /ip4/0.0.0.0/udp/0/quic-v1 or /ip4/0.0.0.0/tcp/4001")
        })
    };
    listen.iter().map(parse).collect()
}

/// The addresses with the ports of the last run in place of port 0. Blocks for a lookup.
pub(crate) fn remembered(wanted: &[Address], store: &Store) -> Vec<Address> {
    let ports = load(store);
    let with_port = |address: &Address| match (address.endpoint(), ports.get(&address.to_string())) {
        (Some(Endpoint { host, port: 0, carrier }), Some(port)) => Endpoint { host, port: *port, carrier }.into(),
        _ => address.clone(),
    };
    wanted.iter().map(with_port).collect()
}

/// Waits until every listener has an address, and stores the ports.
pub(crate) async fn settled(wanted: &[String], peers: &Peers, store: &Store) {
    let mut listening = peers.listening();
    let n = wanted.len();
    let carriers = |list: &Vec<Address>| list.iter().filter(|address| address.endpoint().is_some()).count();
    let enough = tokio::time::timeout(SETTLE, listening.wait_for(|list| carriers(list) >= n)).await;
    drop(enough);
    let list = peers.listening().borrow().clone();
    let mut ports = load(store);
    for text in wanted {
        let Some(asked) = text.parse::<Address>().ok().and_then(|address| address.endpoint()) else { continue };
        let got = list.iter().filter_map(Address::endpoint).find(|got| same_listener(&asked, got));
        if let Some(got) = got.filter(|_| asked.port == 0) {
            ports.insert(text.clone(), got.port);
        }
    }
    let mut batch = Batch::new(None);
    batch.put(Namespace::Meta, KEY, codec::encode(&ports));
    if let Err(error) = store.commit(batch).await {
        tracing::warn!(%error, "the ports could not be remembered");
    }
}

fn same_listener(asked: &Endpoint, got: &Endpoint) -> bool {
    let carrier: (Carrier, Carrier) = (asked.carrier, got.carrier);
    carrier.0 == carrier.1
}

fn load(store: &Store) -> BTreeMap<String, u16> {
    let bytes = store.get(None, Namespace::Meta, KEY).ok().flatten().unwrap_or_default();
    codec::decode(&bytes, MAX_BYTES).unwrap_or_default()
}
