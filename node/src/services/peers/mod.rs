//! The peers service: connections, the sync links on them, and whom to stay connected to.
//!
//! It reads what the network tells, keeps one [`parlor_proto::sync::PeerLink`] a connection, and hands what belongs to a
//! room to the rooms service. It remembers addresses of members ([`book`]) and has the network stay connected to some
//! members of every room. The rooms service talks to it through [`Slots`](handle::Slots) that never block, since this
//! service waits for the rooms service: two bounded channels in a circle could stop both for ever.

mod actor;
mod book;
mod discovery;
mod handle;
mod near;

pub(crate) use actor::{Parts, run};
pub(crate) use handle::Peers;
