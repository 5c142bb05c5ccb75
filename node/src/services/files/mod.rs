//! The files service: what messages name is sealed here, kept as chunks, fetched from members and served to them.
//!
//! | part | does |
//! |---|---|
//! | [`table`] | what is known of every file, for windows and for those who serve; read by anybody |
//! | [`actor`] | owns what is to be fetched: begins and ends fetches, keeps the cache small |
//! | [`cache`] | what of the files of others has to go |
//! | [`named`] | which files something names: the others go |
//! | [`fetch`] | one file on its way: lines to its sources, chunks to the disk |
//! | [`serve`] | lines of other nodes that ask |
//! | [`upload`] | a file of a client, sealed as its bytes come |
//! | [`download`] | a file to a client, opened as it reads |
//! | [`metadata`], [`preview`] | what pictures say beside the picture, and what they look like |
//!
//! A file is named by messages; a row beside each such message, in its batch, says so, and is what a start reads. What is wanted
//! and not here is a row of its own, so fetching goes on after a restart. What is held of a file on its way is found on the disk.
//! Formats are in `docs/spec/files.md`.

mod actor;
mod cache;
mod download;
mod fetch;
mod handle;
mod metadata;
mod named;
mod preview;
mod serve;
mod table;
#[cfg(test)]
mod tests;
mod upload;

pub(crate) use actor::{Parts, run};
pub(crate) use download::{Download, shown_type};
pub(crate) use handle::{Files, Limits};
#[cfg(test)]
pub(crate) use metadata::tests::photo;
pub(crate) use preview::{PIXELS_MAX, are_many, checked as checked_preview, portrait, sides};
pub(crate) use table::{Place, row_key, row_value};
pub(crate) use upload::{Incoming, take as take_upload};

use parlor_api::{Code, Problem};
use parlor_storage::BlobError;

/// What a failed blob means to the user.
fn blob_problem(error: &BlobError) -> Problem {
    match error {
        BlobError::DiskFull => Problem::of(Code::DiskFull).hint("make room on the disk and try again: nothing is lost"),
        BlobError::Missing => Problem::of(Code::FileNotHere),
        other => Problem::new(Code::Internal, other.to_string()),
    }
}

/// Work on the disk or the processor, off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::of(Code::Internal))
}
