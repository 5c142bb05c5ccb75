//! The network of a relay: what `parlor-bootstrap` runs.
//!
//! A relay carries circuits between nodes that cannot reach each other (circuit relay v2), tells nodes whether they can be reached
//! (AutoNAT v2), keeps a distributed table of who is where (Kademlia, under blinded keys), and accepts **lines** ([`crate::Line`]) for
//! what is built on top: mailboxes, the directory. It takes no part in gossip or sync, and what it carries is encrypted
//! between the nodes.
//!
//! What it promises:
//! - **Everything is bounded**: connections in all and by source, reservations, circuits, records, lines, and their rates; see
//!   [`RelayTuning`] and [`crate::limits`]. A flood costs its sender its own requests.
//! - **An idle connection is cheap**: nothing is buffered for it.
//! - **The dead are let go**: who says nothing for long is pinged, and closed when there is no answer.
//!
//! What it leaves to others: what is said on lines, who may do so, and the bookkeeping of quotas. A relay that is not open lets only those
//! peers reserve and dial through it that were [permitted](RelayHandle::permit).

mod admission;
mod behaviour;
mod circuits;
mod config;
mod handle;
mod names;
mod records;
mod task;

pub use config::{RelayConfig, RelayTuning};
pub use handle::{Relay, RelayEvent, RelayHandle, Status, Traffic, spawn};
