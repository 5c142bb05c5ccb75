//! What two nodes must agree on: ids, events, room state, sync, wire frames, links; no I/O.
//!
//! Everything here is a value or a state machine: inputs are events, time and random bytes as arguments, outputs are
//! effects. The simulator drives the same machines as the node. No clock, thread, file or socket is named.

pub mod body;
pub mod codec;
pub mod control;
pub mod epoch;
pub mod event;
pub mod hlc;
pub mod identity;
pub mod ids;
pub mod limits;
pub mod room;
pub mod validity;

pub use ids::{AccountId, DeviceId, EpochId, EventId, RoomId};
