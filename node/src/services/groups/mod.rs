//! The groups service: group chats made with several contacts at once, and what contacts invite us into.
//!
//! One task owns the book of groups ([`book`]). Who makes a group makes a room, an invite of one use for each, and tells each in the
//! direct chat with him: so it waits at mailboxes for who is away. What a contact invites us into is taken without asking, within
//! bounds; anything else waits for the user's word. An invitation that came is in the direct chat's batch on disk before it is looked
//! at, so none is lost with a crash and none is looked at twice.

mod actor;
mod book;
mod handle;
mod hearing;
mod telling;
#[cfg(test)]
mod tests;
mod views;

pub(crate) use actor::{Parts, run};
pub(crate) use book::{Told, restored};
pub(crate) use handle::{Groups, Inbox, Wanted};
pub(crate) use views::person;
