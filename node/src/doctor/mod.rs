//! The doctor: says in words why others can not be reached, what was tried, and what to do.
//!
//! [`Facts`] are what a node observes of itself; [`findings`] are what follows from them, by rules without I/O. Each finding
//! has a code that stays.

mod devices;
mod facts;
mod gather;
mod rooms;
mod rules;

pub(crate) use facts::{Clock, Facts, MailboxFact, NatKind, RelayFact, RoomFact, Udp, observe_clock};
pub(crate) use rules::findings;
