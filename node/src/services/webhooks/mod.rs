//! The webhooks service: calls programs of the owner when messages come, until they take them.
//!
//! The queue of a webhook is the store's own list of changes, in which every message stands with the commit that stored it; a webhook
//! has a place in it ([`book`]), which moves on when the receiver took what stands there. So nothing is stored twice, nothing is lost
//! with a crash, and what was taken just before one is delivered once more, under the same name.

mod actor;
mod book;
mod client;
mod handle;
#[cfg(test)]
mod tests;
mod url;

pub(crate) use actor::{Parts, run};
pub(crate) use handle::{Floor, Inbox, NewHook, Webhooks};
