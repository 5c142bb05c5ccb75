//! The sync stream, `/parlor/sync/1`: one on each connection, frames both ways.
//!
//! Of two peers the one with the lower id **leads**: it opens the stream on every connection between them, and chooses the one
//! connection that is used. So both ends always agree which stream counts, also when they dialled each other at once.
//!
//! ```text
//! leader                            follower
//!   hello  ------------------------->          u32(len) || "parlor" || u16 version || u16 limits || boot[16] || link[8]
//!          <-------------------------  hello
//!   go     ------------------------->          on the chosen stream only: u32(5) || 0x01 || u32 choice
//!   frames <------------------------>  frames  u32(len) || 1 ..= 262,144 bytes
//! ```
//!
//! `choice` counts the leader's choices from 1. When it moves to another connection, the second *go* may be read before the first:
//! the higher one counts.
//!
//! `boot` is random for each start of the process. `link` is random for each stretch of being connected to this peer: it
//! changes when the last connection to the peer goes. A second connection whose hello shows another boot or link than the
//! first says that the peer lost sight of us in between; then both start afresh (libp2p finding 3.4).
//!
//! [`behaviour`] opens and accepts streams (libp2p-stream cannot say which connection carries one, and drops inbound streams
//! while another waits), [`frame`] and [`hello`] are the formats, [`task`] moves frames with deadlines.

mod behaviour;
pub(crate) mod frame;
mod hello;
mod task;

pub(crate) use behaviour::{Behaviour, Event as BehaviourEvent};
pub(crate) use hello::Hello;
pub(crate) use task::{Deadlines, Queue, Queued, StreamEnd, StreamEvent, StreamKey, StreamTask};

/// The protocol's name.
pub(crate) const PROTOCOL: libp2p::StreamProtocol = libp2p::StreamProtocol::new("/parlor/sync/1");
