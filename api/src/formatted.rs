//! Formatted text: a small tree that windows make elements of, so that no client parses Markdown or makes HTML of a text.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A block of a formatted text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Block {
    /// Some text.
    Paragraph {
        /// What it says.
        spans: Vec<Span>,
    },
    /// Code on lines of its own.
    Code {
        /// Which language it claims to be: letters, digits and `+#._-`, or empty.
        language: String,
        /// The code, with line ends between its lines.
        text: String,
    },
    /// What somebody else said.
    Quote {
        /// What it says.
        #[schema(no_recursion)]
        blocks: Vec<Block>,
    },
    /// A list.
    List {
        /// Whether its items have numbers.
        ordered: bool,
        /// Number of the first.
        start: u64,
        /// The items.
        #[schema(no_recursion)]
        items: Vec<Vec<Block>>,
    },
}

/// A piece of text in a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Span {
    /// As it stands there; a line end is one.
    Text {
        /// The text.
        text: String,
    },
    /// Stands out.
    Bold {
        /// What does.
        #[schema(no_recursion)]
        spans: Vec<Span>,
    },
    /// Is stressed.
    Italic {
        /// What is.
        #[schema(no_recursion)]
        spans: Vec<Span>,
    },
    /// Is struck out.
    Strike {
        /// What is.
        #[schema(no_recursion)]
        spans: Vec<Span>,
    },
    /// Code in a line.
    Code {
        /// The code.
        text: String,
    },
    /// Leads somewhere. What it shows may say something else than where it leads.
    Link {
        /// Where: `http:`, `https:` or `mailto:`, at most 2,048 bytes.
        url: String,
        /// What it shows.
        #[schema(no_recursion)]
        spans: Vec<Span>,
    },
    /// Names somebody.
    Mention {
        /// Who.
        account: String,
        /// As this node knows him, without the `@`.
        name: String,
    },
}
