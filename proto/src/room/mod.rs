//! A room: the machine that a node holds one of for every room it is in.
//!
//! It holds the control DAG with its resolution, the keys, and the ends of all message logs; messages themselves are in
//! storage. Inputs are events from peers and wishes of the user; every change comes back as an [`Outcome`] that names the
//! new events and what to write beside them.
//!
//! **One batch.** The caller commits an outcome (events, keys, heads, pages) as one durable batch, and only then hands
//! events to the network and shows them. The machine already stands behind the change: **if the commit fails, drop the
//! `Room` and [`restore`](Room::restore) it.** What a device has written is then either durable or was never seen by
//! anybody, so no sequence number is used twice.
//!
//! **Any order.** [`receive`](Room::receive) takes events of both logs in any order and any number of times. What lacks
//! ancestors waits in bounded buffers and is named in [`Received::waiting`]. Two rooms that accepted the same control
//! events answer every query alike.
//!
//! **Who may be served** is decided by [`standing`](Room::standing): only a live member's device gets events; anybody who
//! proves knowledge of the topic secret may hand us control events, for a newcomer's own Admit is what makes him live.
//!
//! **Writing waits for a safe epoch.** [`write`](Room::write) refuses with [`Refusal::NoSafeEpoch`] while no epoch reaches
//! exactly the members; [`maintain`](Room::maintain) makes one when it is this device's turn. Call `maintain` after every
//! outcome and at the time it asks for.

mod stub;
mod types;

pub use stub::Room;
pub use types::*;
