//! The contacts service: the book of contacts, letters from strangers, and the direct chats that follow from both.
//!
//! One task owns the book ([`parlor_proto::contact::Book`]) and changes it; whoever shows names reads it through the
//! [`Contacts`] handle. A change is answered when it is on disk. Letters go out ([`owed`]) and come in over the network's
//! question-and-answer protocol, or lie in inboxes at relays ([`inboxes`]) while nobody is online; when both sides want, the
//! direct chat is made, or completed, as a room like any other.

mod actor;
mod handle;
mod inbox_lines;
mod inboxes;
mod letters;
mod owed;
mod views;
mod who;

pub(crate) use actor::{Parts, run};
pub(crate) use handle::{Contacts, Keys};
pub(crate) use who::Acquaintance;
