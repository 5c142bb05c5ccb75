//! Which files something names, as the store says: messages, those that wait in an outbox, drafts, and uploads.
//!
//! What nothing names is removed for good, and of what was sealed here there may be no other copy: a row that does not decode, of a
//! newer version or damaged, may name anything.

use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

use parlor_proto::body::Body;
use parlor_proto::file::FileRef;
use parlor_proto::{FileId, codec, outbox};
use parlor_storage::{Blobs, Namespace, ReadError, Store};
use serde::{Deserialize, Serialize};

use crate::clock::now_ms;
use crate::limits::FILE_SPARED_MS;
use crate::services::rooms::{DRAFT, files_of_draft};

/// Keys of rows of no room, before the id of the file: what is to be fetched,
pub(super) const WANT: &[u8] = b"want";
/// and what was sealed and waits to be sent.
pub(super) const UPLOAD: &[u8] = b"upload";

/// Longest row of an upload in bytes.
const MAX_UPLOAD: usize = 16 * 1_024;

/// A file that was sealed and waits to be sent.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) made_ms: u64,
    pub(super) file: FileRef,
}

impl Upload {
    /// As stored; `None` for what is none.
    pub(super) fn decode(stored: &[u8]) -> Option<Self> {
        codec::decode(stored, MAX_UPLOAD).ok()
    }
}

/// Files that no row names.
pub(super) struct Unnamed {
    pub(super) files: HashSet<FileId>,
    /// How many rows do not decode: these may name some of them.
    unread: usize,
}

impl Unnamed {
    /// Those that surely nothing names.
    pub(super) fn certain(self) -> HashSet<FileId> {
        if self.unread == 0 { self.files } else { HashSet::new() }
    }
}

/// Those of these files that no message names: none in an outbox that may be written some day, none in a draft, and none that is
/// written. Blocks.
///
/// # Errors
/// The store can not be read.
pub(super) fn unnamed(store: &Store, mut files: HashSet<FileId>) -> Result<Unnamed, ReadError> {
    let unread = each_named(store, |id| {
        files.remove(&id);
    })?;
    Ok(Unnamed { files, unread })
}

/// Goes through the files that messages name; see [`unnamed`]. Answers how many rows do not decode. Blocks.
fn each_named(store: &Store, mut each: impl FnMut(FileId)) -> Result<usize, ReadError> {
    let mut unread = 0;
    for (room, _) in store.rooms()? {
        for (_, value) in store.scan(Some(&room), Namespace::Outbox, &[])? {
            match waiting(&value) {
                Some(files) => files.iter().for_each(|file| each(file.id())),
                None => unread += 1,
            }
        }
        match files_of_draft(store.get(Some(&room), Namespace::Meta, DRAFT)?) {
            Some(files) => files.into_iter().for_each(&mut each),
            None => unread += 1,
        }
        // After the outbox: what was written meanwhile is found here.
        for (key, _) in store.scan(Some(&room), Namespace::File, &[])? {
            match key.split_first_chunk() {
                Some((id, message)) if message.len() == 32 => each(FileId(*id)),
                _ => unread += 1,
            }
        }
    }
    Ok(unread)
}

/// The files of an entry of an outbox; `None` if it can not be read, or is of a kind that may have some.
fn waiting(entry: &[u8]) -> Option<Vec<FileRef>> {
    let entry: outbox::Entry = codec::decode(entry, usize::MAX).ok()?;
    if entry.body.is_empty() {
        // It is written: a row of its own says what it names.
        return Some(Vec::new());
    }
    match Body::decode(&entry.body).ok()? {
        Body::File(message) => Some(message.files),
        Body::Unknown { .. } => None,
        _ => Some(Vec::new()),
    }
}

/// Goes through the files that rows of no room name: uploads. Answers how many rows do not decode. Blocks.
fn each_uploaded(store: &Store, mut each: impl FnMut(FileId)) -> Result<usize, ReadError> {
    let mut unread = 0;
    for (key, value) in store.scan(None, Namespace::File, &[])? {
        match Upload::decode(&value).filter(|_| key.starts_with(UPLOAD)) {
            Some(upload) => each(upload.file.id()),
            // Of what is to be fetched the message says that it is.
            None if key.starts_with(WANT) => {}
            None => unread += 1,
        }
    }
    Ok(unread)
}

/// Removes what nothing names: of messages that disappeared the chunks may be left, if the process ended in that moment. What was
/// written lately is spared, and all of it when a row can not be read. For the start. Blocks.
pub(super) fn keep_only_named(store: &Store, blobs: &Blobs) {
    let mut named = HashSet::new();
    let mut name = |id| {
        named.insert(id);
    };
    let unread = each_uploaded(store, &mut name).and_then(|unread| Ok(unread + each_named(store, &mut name)?));
    let before = UNIX_EPOCH + Duration::from_millis(now_ms().saturating_sub(FILE_SPARED_MS));
    let removed = match unread {
        Ok(0) => blobs.keep_only(&named, before).map_err(|error| error.to_string()),
        Ok(rows) => Err(format!("{rows} rows that may name some can not be read: nothing is removed")),
        Err(error) => Err(error.to_string()),
    };
    match removed {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, "files that no message names were removed"),
        Err(error) => tracing::warn!(%error, "whether there are files that no message names is not known"),
    }
}
