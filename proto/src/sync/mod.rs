//! Sync between two nodes: how any two members come to hold the same events.
//!
//! Gossip is the fast path; this is the truth. Two machines, both without I/O:
//!
//! - [`PeerLink`], one a connection: hello, then blinded probes find the rooms that both sides know without naming any;
//!   each shared room gets a channel number, and frames are routed by it.
//! - [`Session`], one a peer and room: both prove their device, compare [`Tables`] by digests (equal rooms: one round
//!   trip of under 200 bytes; else the cost follows what differs), and stream what the other lacks in acknowledged
//!   batches. It stays open: new tips are told every few seconds, so that lost gossip heals without a reconnect.
//!
//! How a node drives them: bytes of a stream go to `PeerLink` as [`LinkIn::Frame`]; its [`LinkOut::Frame`] goes to the
//! session of that room as [`In::Frame`]; a session's [`Out::Send`] goes back through [`PeerLink::wrap`]. All outputs
//! must be carried out in order. Call with `Tick` at [`PeerLink::next_deadline`] and [`Session::next_deadline`].
//!
//! What it leaves to others: whether an event is valid (the room says so after [`Out::Deliver`]), who is a member
//! ([`In::Standing`]), reading and writing events, and what an equivocation means.

mod guard;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod pair;
mod peer_link;
mod session;
mod sketch;
mod tables;
#[cfg(test)]
mod tests;

pub use parlor_crypto::topic::{Connection, Side};

pub use guard::{ALONE_MS, ANSWER_MS, Guard};
pub use peer_link::{HELLO_TIMEOUT_MS, LinkIn, LinkOut, LinkSetup, PeerLink};
pub use session::{
    ACK_TIMEOUT_MS, ASK_TIMEOUT_MS, Advance, COMPARE_TIMEOUT_MS, In, MAX_ASKS, Misbehaviour, OWED_TIMEOUT_MS, Out,
    Outgoing, PROOF_TIMEOUT_MS, Session, SessionSetup, Standing, TIPS_MS, WINDOW, Wanted,
};
pub use tables::{Series, Tables, Tip};
