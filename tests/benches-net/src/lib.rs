//! What the benches of whole nodes share: nodes of ours in one process, the systems beside them, and gauges of this
//! process.
//!
//! Each bench is a program of `src/bin` that prints rows as those of `parlor-benches` do. Everything talks over loopback
//! TCP or UDP of this machine, in homes of a temporary folder; nothing stays behind. No figure is asserted anywhere.

pub mod boxes;
pub mod floods;
pub mod gauge;
pub mod iroh_gossip;
pub mod libp2p;
pub mod mqtt;
pub mod nats;
pub mod nodes;
pub mod report;
