//! The history on disk: the only crate that names sled and tantivy.
//!
//! [`Store`] is a handle to one store in one folder. Changes come as [`Batch`]es, which are applied wholly or not at
//! all; one writer thread applies them in order, many waiting batches share one durable flush, and the answer comes
//! after it. Reads run beside the writer, cost what they return, and block: call them off the async threads.
//!
//! What is promised, and tested by killing the process at random moments:
//! - an answered commit is there after kill -9 and after power loss; an unanswered one is there wholly or not at all;
//! - events, tips and everything derived from them are shown to readers only when they are durable, so no sequence
//!   number that was seen by anybody is ever given twice;
//! - nothing on disk shows content, names or ids: values are sealed, keys are short numbers and keyed hashes;
//! - a damaged, foreign or newer store gives an error that names the file, never a panic or wrong data.
//!
//! The layout, byte by byte, is in `docs/spec/storage.md`. Left to others: what events mean, whether they are valid,
//! and where keys come from. Files of the chat are too large for a database: [`Blobs`] keeps them beside it.

pub mod limits;
pub mod private;
pub mod search;

mod audit;
mod ballast;
mod batch;
mod blobs;
mod changes;
mod closing;
mod directory;
mod engine;
mod error;
mod examine;
mod fault;
mod faults;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod group;
mod in_order;
mod journal;
mod keyring;
mod log;
mod mail;
mod mark;
mod opened;
mod opening;
mod outcome;
mod pages;
mod read;
mod recover;
mod remarks;
mod rows;
mod schema;
mod seal;
mod stamp;
mod store;
mod timeline;
mod value;
mod write;
mod writer;

pub use batch::{Batch, Chain, Namespace};
pub use blobs::{Blob, BlobError, Blobs, Held, Usage};
pub use changes::{Changed, Changes};
pub use error::{CommitError, OpenError, ReadError};
pub use in_order::InOrder;
pub use mail::{MailListing, MailOptions, MailStore, MailUsage, PutError, Told};
pub use outcome::HEADS;
pub use rows::{ControlRow, Due, KeyValue, LogKind, LogRow, MessageKey, MessageRow, RemarkRow, Tip, Tips, Want};
pub use store::{OpenOptions, Store};
pub use timeline::{Cursor, Page, ParsePositionError, Position, TimelineRow};
