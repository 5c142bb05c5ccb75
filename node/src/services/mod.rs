//! The services: each owns one state in one task, others hold a handle.
//!
//! | service | owns |
//! |---|---|
//! | [`rooms`] | the rooms: state machines, sync sessions, outbox, delivery; a small pool of workers, by room |
//! | [`peers`] | the connections: sync links, whom to stay connected to, known addresses |
//! | [`joins`] | joins under way, and strangers who knock |
//! | [`mailboxes`] | lines to relays: what is written for members who are away, and read of them |
//! | [`leafs`] | the account's file: replaces the leaf key every week |

pub(crate) mod joins;
pub(crate) mod leafs;
pub(crate) mod mailboxes;
pub(crate) mod peers;
pub(crate) mod rooms;
