//! The relay that anyone can host.

pub mod mailbox;
