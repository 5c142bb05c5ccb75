//! Full-text search: an index beside the store, sealed as everything is. The only module that names tantivy.
//!
//! The index proposes places of messages ([`SearchIndex::candidates`]); what a message says now, and whether the query fits it, is
//! looked at by whoever asks ([`Query::find`]). So an index that is behind shows nothing that is gone, and one that is lost is
//! built again. How it is kept up to date is in `docs/spec/search.md`. All calls block.

mod columns;
mod find;
mod index;
mod query;
mod sealed;
mod shelf;
mod splitter;
mod squeeze;
#[cfg(test)]
mod tests;
mod words;

pub use find::{Ask, Candidate, Mark};
pub use index::{Build, Entry, Key, Progress, SearchError, SearchIndex};
pub use query::{Found, MAX_QUERY, MAX_QUERY_WORDS, Query, TooLong};
pub use shelf::Shelf;
