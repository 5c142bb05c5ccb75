//! iroh-gossip (Plumtree over QUIC), nodes in this process. It authenticates no author, so each message carries one Ed25519
//! signature, of the kind that ours carry, and each delivery verifies it once.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use ed25519_dalek::{SIGNATURE_LENGTH, Signature, Signer, SigningKey};
use futures::StreamExt;
use iroh::address_lookup::memory::MemoryLookup;
use iroh::endpoint::presets;
use iroh::protocol::Router;
use iroh::{Endpoint, RelayMode};
use iroh_gossip::api::{Event, GossipSender};
use iroh_gossip::net::{GOSSIP_ALPN, Gossip};
use iroh_gossip::proto::TopicId;
use tokio::sync::mpsc;

use crate::nodes::Shown;

/// Nodes in one topic.
pub struct Nodes {
    sender: GossipSender,
    key: SigningKey,
    /// What the nodes `1..` received and verified.
    pub deliveries: mpsc::UnboundedReceiver<Shown>,
    routers: Vec<Router>,
    tasks: tokio::task::JoinSet<()>,
}

impl Nodes {
    /// Starts `n` nodes without relays, each knowing all before it; waits for the trees.
    ///
    /// # Errors
    /// They do not come up.
    pub async fn start(n: usize) -> Result<Self> {
        let (told, deliveries) = mpsc::unbounded_channel();
        let lookup = MemoryLookup::new();
        let key = SigningKey::from_bytes(&rand::random());
        let topic = TopicId::from_bytes([7; 32]);
        let (mut routers, mut known, mut sender) = (Vec::new(), Vec::new(), None);
        let mut tasks = tokio::task::JoinSet::new();
        for at in 0..n {
            let endpoint = Endpoint::builder(presets::Minimal)
                .relay_mode(RelayMode::Disabled)
                .clear_ip_transports()
                .bind_addr(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?
                .address_lookup(lookup.clone())
                .bind()
                .await?;
            lookup.add_endpoint_info(endpoint.addr());
            let gossip = Gossip::builder().spawn(endpoint.clone());
            let id = endpoint.id();
            routers.push(Router::builder(endpoint).accept(GOSSIP_ALPN, gossip.clone()).spawn());
            let (out, mut events) = gossip.subscribe(topic, known.clone()).await?.split();
            known.push(id);
            let (told, verifying) = (told.clone(), key.verifying_key());
            // The first one's sender is used; the others' keep them in the topic.
            let kept = if at == 0 { sender.insert(out).clone() } else { out };
            tasks.spawn(async move {
                let _kept = kept;
                while let Some(Ok(event)) = events.next().await {
                    let Event::Received(message) = event else { continue };
                    let Some((signature, data)) = message.content.split_first_chunk::<SIGNATURE_LENGTH>() else {
                        continue;
                    };
                    let valid = verifying.verify_strict(data, &Signature::from_bytes(signature)).is_ok();
                    let Some(number) = crate::libp2p::number(data).filter(|_| valid) else { continue };
                    if told.send((number, at, Instant::now())).is_err() {
                        return;
                    }
                }
            });
        }
        tokio::time::sleep(crate::nodes::MESH).await;
        let sender = sender.context("no node")?;
        Ok(Self { sender, key, deliveries, routers, tasks })
    }

    /// Has the first node sign and publish.
    ///
    /// # Errors
    /// The node has ended.
    pub async fn publish(&self, data: &[u8]) -> Result<()> {
        let mut message = self.key.sign(data).to_bytes().to_vec();
        message.extend_from_slice(data);
        self.sender.broadcast(Bytes::from(message)).await?;
        Ok(())
    }

    /// Ends all nodes.
    ///
    /// # Errors
    /// A task of one failed.
    pub async fn stop(mut self) -> Result<()> {
        for router in self.routers {
            router.shutdown().await?;
        }
        self.tasks.shutdown().await;
        Ok(())
    }
}
