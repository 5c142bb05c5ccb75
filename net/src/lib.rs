//! The network: the only crate that names libp2p.
//!
//! It connects peers, carries gossip, sync frames and join requests as opaque bytes, and knows nothing of rooms, events or
//! accounts. Others give it commands through a [`NetworkHandle`] and receive [`NetworkEvent`]s from one bounded channel.
//!
//! What it promises:
//! - **One good connection a peer.** Surplus connections are closed, dead ones are noticed by ping, kept peers are redialled
//!   with jittered back-off, and a peer that restarted is dropped entirely and let in again ([`NetworkEvent::PeerUp`] is the
//!   word that both sides stand).
//! - **Frames** ([`NetworkHandle::send`]) arrive in order and whole, or the peer goes down. Nothing is skipped in between.
//! - **Gossip is a hint.** Anything published may be lost without a word; whoever needs it must repair over frames.
//! - **Hostile bytes cost their sender only**: score, then a ban for a while. Slow peers cost only themselves.
//! - **Everything is bounded**, see [`limits`].
//!
//! What it leaves to others: who may know what (the node decides to whom it sends), whether gossip was good
//! ([`NetworkHandle::verdict`]), and the link check that drops a peer whose gossip went silent
//! ([`NetworkHandle::disconnect`] on a kept peer redials it).
//!
//! The wire formats and every setting are described in `docs/spec/network.md`.

mod address;
mod behaviour;
mod config;
mod dht;
mod error;
mod event;
mod gate;
mod guarded;
mod handle;
mod join;
pub mod limits;
mod line;
mod listen;
mod memory;
mod message;
mod pace;
mod peer_id;
mod peers;
mod ping;
mod rate;
mod redial;
pub mod relay;
mod relays;
mod score;
mod status;
mod stream;
mod task;
mod topic;
mod transport;

pub use address::{Address, Carrier, Endpoint, Host, ParseAddressError};
pub use config::{Carriers, NetworkConfig, Tuning};
pub use error::{
    DownReason, FindError, NetworkError, PublishFailure, RelayError, RelayTrouble, RequestError, SendError,
};
pub use event::{GossipToken, NetworkEvent, RequestToken, Verdict};
pub use handle::{Network, NetworkHandle, spawn};
pub use line::{Line, LineError, LineKind, LineReceiver, LineSender};
pub use peer_id::{ParsePeerIdError, PeerId};
pub use relays::{Nat, Provider, RelayState, RelayStatus};
pub use status::{NetworkStatus, PeerStatus, TopicStatus};
pub use topic::{Topic, TopicError};
