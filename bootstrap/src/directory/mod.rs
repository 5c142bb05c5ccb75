//! The directory: who goes by which name at this relay.
//!
//! [`Book`] is its owner: one thread that decides (by [`parlor_proto::directory::decide`]) and writes, in the order of asking;
//! what it answers is durable. [`line`] speaks with one client.

mod book;
pub mod line;

pub use book::{Book, BookError, Listed};
