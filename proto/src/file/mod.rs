//! Files: what a message says of one, how it is cut into chunks, and how it is fetched from several at once.
//!
//! A file is sealed once by its sender, chunk by chunk ([`FileWriter`]); the message carries its key and the names of the chunks
//! that hold all other names ([`FileRef`]). Every chunk has a number, its **slot**: 0 and 1 are kept for chunks of names, content
//! begins at [`NAMES_MAX`]. Members serve chunks to each other over `/parlor/blob/1` ([`Ask`], [`Told`], [`Server`]); [`Fetch`]
//! says whom to ask for which. All of it without I/O: time, bytes and randomness come from outside.
//!
//! The formats are in `docs/spec/files.md`.

mod bits;
mod fetch;
mod layout;
mod message;
mod reference;
mod safe;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

pub use bits::Bits;
pub use fetch::{Drop, Fetch, Given};
pub use layout::{Layout, NAMES_MAX};
pub use message::{Files, FilesError};
pub use reference::{FileRef, FileRefError};
pub use safe::safe_name;
pub use wire::{Ask, BLOB_FRAME_MAX, FrameError, Served, Server, Told};
pub use writer::{FileWriter, Sealed, Written};
