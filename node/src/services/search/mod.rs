//! Search: the index of all messages, kept up to date behind the store.
//!
//! The [`actor`] follows the store's list of changes, asks the rooms what each message says now, and puts that into the index;
//! while the index is new it walks the store besides. [`finds`] answers: the index proposes, the rooms say what is there now.
//! The rules are in `docs/spec/search.md`.

mod actor;
mod finds;
mod handle;
mod snippet;
#[cfg(test)]
mod tests;

pub(crate) use actor::{Parts, run};
pub(crate) use finds::Wanted;
pub(crate) use handle::{Pace, Search};

use parlor_api::{Message, MessageKind};

/// What of a message is searched: its text, the options of a poll, the names of its files. Nothing of one that is deleted.
fn parts(message: &Message) -> Vec<&str> {
    if message.deleted || message.kind == MessageKind::Unknown {
        return Vec::new();
    }
    let options = message.poll.iter().flat_map(|poll| &poll.options).map(|option| option.text.as_str());
    let files = message.files.iter().map(|file| file.name.as_str());
    std::iter::once(message.text.as_str()).chain(options).chain(files).collect()
}
