//! Search.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Message;

/// Most messages of one page of a search.
pub const SEARCH_MAX: u32 = 50;

/// Messages of a page of a search when the client does not say.
pub const SEARCH_DEFAULT: u32 = 20;

/// A page of what was found, newest first: `GET /search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchPage {
    /// What was found; may be none although there is more.
    pub items: Vec<SearchHit>,
    /// Where the next page begins, if there may be more.
    pub next: Option<String>,
    /// Whether all messages are in the index.
    pub complete: bool,
    /// Messages looked at for the index.
    pub indexed: u64,
    /// Messages there are.
    pub total: u64,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchHit {
    /// The message.
    #[serde(flatten)]
    pub message: Message,
    /// A part of it around what was found, on one line.
    pub snippet: String,
    /// What was found in the snippet: from and to, in characters (Unicode scalar values), ascending.
    pub marks: Vec<[u32; 2]>,
    /// How well the words fit, to be compared with others of the same answer.
    pub score: f32,
}

/// How far the index of the search is: in `GET /status`, and an event while it is being built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchState {
    /// Messages looked at.
    pub indexed: u64,
    /// Messages there are.
    pub total: u64,
    /// Whether all are in it.
    pub complete: bool,
}
