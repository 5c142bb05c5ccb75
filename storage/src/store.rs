//! The handle: opening, committing, closing, reading.

use std::fmt;
use std::path::Path;

use parlor_proto::ids::{EventId, RoomId};
use zeroize::Zeroizing;

use crate::limits;
use crate::{
    Batch, CommitError, ControlRow, Cursor, LogKind, LogRow, MessageRow, Namespace, OpenError, Page, Position,
    ReadError, TimelineRow, Tips, Want,
};

/// The secret under which a store is sealed. The vault makes and keeps it.
#[derive(Clone)]
pub struct StoreKey(Zeroizing<[u8; 32]>);

impl StoreKey {
    /// The key with these bytes.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(<redacted>)")
    }
}

/// How to open a store. The defaults are right for a node.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Free bytes below which commits are refused as [`CommitError::DiskFull`].
    pub reserve_bytes: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { reserve_bytes: limits::RESERVE_BYTES }
    }
}

/// A handle to an open store. Clones are the same store; it closes when the last one is dropped, or by [`close`](Self::close).
#[derive(Debug, Clone)]
pub struct Store {}

impl Store {
    /// Opens the store in the folder `dir`, or makes it when the folder is missing or empty. Blocks: for milliseconds
    /// usually, seconds after a crash of a large store, up to five seconds while another handle still holds the lock.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing is removed or overwritten when opening fails.
    pub fn open(dir: &Path, key: &StoreKey, options: OpenOptions) -> Result<Self, OpenError> {
        let _ = (dir, key, options);
        Ok(Self {})
    }

    /// Applies `batch` and answers when it is durable.
    ///
    /// # Errors
    /// See [`CommitError`], also for what holds after each.
    ///
    /// # Cancel safety
    /// Dropped while it waits for a place in the queue, nothing happened. Dropped later, the batch is applied all the
    /// same, only the answer is lost.
    pub async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        let _ = batch;
        Err(CommitError::Closed)
    }

    /// As [`commit`](Self::commit), for threads that may block.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit_blocking(&self, batch: Batch) -> Result<(), CommitError> {
        let _ = batch;
        Err(CommitError::Closed)
    }

    /// Finishes the commits that wait, stops the writer and gives the files back. Later calls on any clone answer
    /// `Closed`. Blocks until the lock is released.
    pub fn close(&self) {}

    /// The rooms with their records, in the order in which they were made.
    ///
    /// # Errors
    /// See [`ReadError`]; so for every read below.
    pub fn rooms(&self) -> Result<Vec<(RoomId, Vec<u8>)>, ReadError> {
        Err(ReadError::Closed)
    }

    /// All control events of `room` in the order of arrival, which is a topological one.
    pub fn control(&self, room: &RoomId) -> Result<Vec<ControlRow>, ReadError> {
        let _ = room;
        Err(ReadError::Closed)
    }

    /// The last event of every log of `room`.
    pub fn tips(&self, room: &RoomId) -> Result<Tips, ReadError> {
        let _ = room;
        Err(ReadError::Closed)
    }

    /// The message with this id.
    pub fn message(&self, room: &RoomId, id: &EventId) -> Result<Option<MessageRow>, ReadError> {
        let _ = (room, id);
        Err(ReadError::Closed)
    }

    /// Where the message with this id stands in the timeline: for [`Cursor::Around`].
    pub fn position(&self, room: &RoomId, id: &EventId) -> Result<Option<Position>, ReadError> {
        let _ = (room, id);
        Err(ReadError::Closed)
    }

    /// Whether the event with this id, control or message, is stored.
    pub fn has(&self, room: &RoomId, id: &EventId) -> Result<bool, ReadError> {
        let _ = (room, id);
        Err(ReadError::Closed)
    }

    /// The events of the wanted stretches, merged: messages ascending by (hlc, device, seq), control events in the order of arrival.
    /// Stops before the event that would pass `max_bytes` of event bytes, but returns at least one if there is any; a stretch that
    /// reaches beyond what is stored ends at the tip. The cost follows what is returned and the number of wants, not the size of the room.
    pub fn missing(
        &self,
        room: &RoomId,
        kind: LogKind,
        wants: &[Want],
        max_bytes: usize,
    ) -> Result<Vec<LogRow>, ReadError> {
        let _ = (room, kind, wants, max_bytes);
        Err(ReadError::Closed)
    }

    /// A page of the timeline, at most `limit` rows ([`limits::MAX_PAGE_ROWS`] at most), newest first.
    pub fn page(&self, room: &RoomId, cursor: Cursor, limit: usize) -> Result<Page, ReadError> {
        let _ = (room, cursor, limit);
        Err(ReadError::Closed)
    }

    /// Messages whose key is not known, oldest first, after the position `after`: to try again when a key arrives.
    pub fn unreadable(
        &self,
        room: &RoomId,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<TimelineRow>, ReadError> {
        let _ = (room, after, limit);
        Err(ReadError::Closed)
    }

    /// How many messages `room` holds. Costs nothing: the logs have no gaps.
    pub fn count(&self, room: &RoomId) -> Result<u64, ReadError> {
        let _ = room;
        Err(ReadError::Closed)
    }

    /// The page of epoch rows with this hash.
    pub fn page_blob(&self, room: &RoomId, hash: &[u8; 32]) -> Result<Option<Vec<u8>>, ReadError> {
        let _ = (room, hash);
        Err(ReadError::Closed)
    }

    /// A small value of `room`, or of none.
    pub fn get(&self, room: Option<&RoomId>, namespace: Namespace, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let _ = (room, namespace, key);
        Err(ReadError::Closed)
    }

    /// The small values whose keys begin with `prefix`, ascending by key. Keys are hashes on disk, so this opens every value of the
    /// namespace of that room: keep namespaces small, or remember the keys.
    pub fn scan(
        &self,
        room: Option<&RoomId>,
        namespace: Namespace,
        prefix: &[u8],
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, ReadError> {
        let _ = (room, namespace, prefix);
        Err(ReadError::Closed)
    }

    /// Bytes of the store on disk.
    pub fn disk_bytes(&self) -> Result<u64, ReadError> {
        Err(ReadError::Closed)
    }
}
