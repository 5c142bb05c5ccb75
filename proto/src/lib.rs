//! What two nodes must agree on: ids, events, room state, sync, wire frames, links; no I/O.
//!
//! Everything here is a value or a state machine: inputs are events, time and random bytes as arguments, outputs are
//! effects. The simulator drives the same machines as the node. No clock, thread, file or socket is named.

pub mod access;
pub mod annotation;
pub mod binding;
pub mod body;
pub mod codec;
pub mod contact;
pub mod control;
pub mod dag;
pub mod directory;
pub mod epoch;
pub mod event;
pub mod file;
pub mod gossip;
pub mod hlc;
pub mod identity;
pub mod ids;
pub mod join;
pub mod limits;
pub mod link;
pub mod mailbox;
pub mod marker;
pub mod name;
pub mod outbox;
pub mod presence;
pub mod profile;
pub mod resolve;
pub mod room;
mod signed;
#[cfg(test)]
mod steps;
pub mod sync;
pub mod validity;
pub mod wire;

pub use ids::{AccountId, DeviceId, EpochId, EventId, FileId, RoomId};
