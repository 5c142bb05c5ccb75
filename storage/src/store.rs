//! The handle: opening, committing, closing, reading.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use parlor_crypto::vault::Vault;
use parlor_proto::ids::{DeviceId, EventId, RoomId};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::ballast::Ballast;
use crate::batch::Batch;
use crate::changes::{self, Changes};
use crate::directory::Room;
use crate::fault::{Fault, guarded};
use crate::limits::{self, MAX_BATCH_BYTES, QUEUE_BATCHES, QUEUE_BYTES};
use crate::opening::{Core, Folder};
use crate::rows::{ControlRow, Due, KeyValue, LogKind, LogRow, MessageRow, RemarkRow, Tips, Want};
use crate::schema::timeline_key;
use crate::seal::Sealer;
use crate::timeline::{Cursor, Page, Position, TimelineRow};
use crate::value::Place;
use crate::writer::{Job, Request, Shared, Writer};
use crate::{CommitError, Namespace, OpenError, ReadError, audit, closing, pages, read, remarks};

/// How to open a store. The defaults are right for a node.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Free bytes below which commits are refused as [`CommitError::DiskFull`]; as many are taken in advance, to be
    /// given back when the disk is full all the same. Zero for neither.
    pub reserve_bytes: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { reserve_bytes: limits::RESERVE_BYTES }
    }
}

/// A handle to an open store. Clones are the same store; it closes when the last one is dropped, or by
/// [`close`](Self::close).
#[derive(Debug, Clone)]
pub struct Store {
    requests: mpsc::Sender<Request>,
    /// Bytes of batches that may still wait.
    queue: Arc<Semaphore>,
    shared: Arc<Shared>,
}

/// A batch in the queue of the writer.
pub(crate) struct Submitted(oneshot::Receiver<Result<(), CommitError>>);

impl Submitted {
    /// Whether it is durable, once that is known.
    pub(crate) async fn stored(self) -> Result<(), CommitError> {
        self.0.await.unwrap_or(Err(CommitError::Closed))
    }
}

impl Store {
    /// Opens the store in the folder `dir`, or makes it when the folder is missing or empty. Blocks: for milliseconds
    /// usually, seconds after a crash of a large store, up to five seconds while another handle still holds the lock.
    ///
    /// # Errors
    /// See [`OpenError`]. What the store holds is not removed or overwritten when opening fails.
    pub fn open(dir: &Path, vault: &Vault, options: OpenOptions) -> Result<Self, OpenError> {
        let sealer = Sealer::new(vault);
        let folder = Folder::enter(dir, &sealer)?;
        let (core, next, notes) = folder.open(&sealer)?;
        let shared = Arc::new(Shared::new(core, next.group - 1));
        let (requests, receiver) = mpsc::channel(QUEUE_BATCHES);
        let ballast = Ballast::new(dir, options.reserve_bytes);
        let writer = Writer { shared: Arc::clone(&shared), folder, sealer, notes, next, ballast, failed: false };
        let thread = std::thread::Builder::new().name("store writer".to_owned());
        thread.spawn(move || writer.run(receiver)).map_err(|error| Fault::Io(error).opening(dir))?;
        Ok(Self { requests, queue: Arc::new(Semaphore::new(QUEUE_BYTES)), shared })
    }

    /// Applies `batch` and answers when it is durable. Waits while [`QUEUE_BYTES`](limits) of batches are ahead.
    ///
    /// # Errors
    /// See [`CommitError`], also for what holds after each.
    ///
    /// # Cancel safety
    /// Dropped while it waits for a place in the queue, nothing happened. Dropped later, the batch is applied all the
    /// same, only the answer is lost.
    pub async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        self.submit(batch).await?.stored().await
    }

    /// Puts a batch into the queue of the writer.
    pub(crate) async fn submit(&self, batch: Batch) -> Result<Submitted, CommitError> {
        let bytes = batch.bytes();
        if bytes > MAX_BATCH_BYTES {
            batch.chain.break_off();
            return Err(CommitError::TooLarge { bytes, limit: MAX_BATCH_BYTES });
        }
        // MAX_BATCH_BYTES fits a u32, and the queue holds several.
        let share = Arc::clone(&self.queue).acquire_many_owned(bytes as u32).await;
        let share = share.map_err(|_| CommitError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let request = Request::Commit(Job { batch, answer, _share: share });
        self.requests.send(request).await.map_err(|_| CommitError::Closed)?;
        Ok(Submitted(answered))
    }

    /// As [`commit`](Self::commit), for threads that may block: not from an async task.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit_blocking(&self, batch: Batch) -> Result<(), CommitError> {
        futures::executor::block_on(self.commit(batch))
    }

    /// Finishes the commits that wait, stops the writer and gives the files back. Later calls on any clone answer
    /// `Closed`. Blocks until the lock is released: not from an async task.
    pub fn close(&self) {
        closing::close(&self.requests, Request::Close);
    }

    /// The rooms with their records, in the order in which they were made.
    ///
    /// # Errors
    /// See [`ReadError`]; so for every read below.
    pub fn rooms(&self) -> Result<Vec<(RoomId, Vec<u8>)>, ReadError> {
        self.read(read::rooms)
    }

    /// All control events of `room` in the order of arrival, which is a topological one.
    pub fn control(&self, room: &RoomId) -> Result<Vec<ControlRow>, ReadError> {
        self.in_room(room, |core, room| read::control(core, room))
    }

    /// The last event of every log of `room`, by device.
    pub fn tips(&self, room: &RoomId) -> Result<Tips, ReadError> {
        self.in_room(room, |core, room| read::tips(core, room))
    }

    /// The message with this id.
    pub fn message(&self, room: &RoomId, id: &EventId) -> Result<Option<MessageRow>, ReadError> {
        self.in_room(room, |core, room| read::message(core, room, id))
    }

    /// Where the message with this id stands in the timeline: for [`Cursor::Around`].
    pub fn position(&self, room: &RoomId, id: &EventId) -> Result<Option<Position>, ReadError> {
        self.in_room(room, |core, room| {
            Ok(match read::locate(core, room, id)? {
                Some(Place::Message(position)) => Some(position),
                _ => None,
            })
        })
    }

    /// Whether the event with this id, control or message, is stored.
    pub fn has(&self, room: &RoomId, id: &EventId) -> Result<bool, ReadError> {
        self.in_room(room, |core, room| Ok(read::locate(core, room, id)?.is_some()))
    }

    /// The events of the wanted stretches, merged: messages ascending by (hlc, device, seq), control events in the
    /// order of arrival. Stops before the event that would pass `max_bytes` of event bytes, but returns at least one if
    /// there is any; a stretch that reaches beyond what is stored ends at the tip. The cost follows what is returned
    /// and the number of wants, not the size of the room.
    pub fn missing(
        &self,
        room: &RoomId,
        kind: LogKind,
        wants: &[Want],
        max_bytes: usize,
    ) -> Result<Vec<LogRow>, ReadError> {
        self.in_room(room, |core, room| read::missing(core, room, kind, wants, max_bytes))
    }

    /// All messages after a place, oldest first, those that are no lines of the timeline among them; without those that do not open.
    pub fn walk(&self, room: &RoomId, after: Option<Position>, limit: usize) -> Result<Vec<TimelineRow>, ReadError> {
        self.in_room(room, |core, room| pages::walk(core, room, after, limit))
    }

    /// The messages of a log from a number on, at most `limit` ([`limits::MAX_PAGE_ROWS`] at most), in the order of the log, with
    /// whether each is an [aside](Batch::aside).
    pub fn walk_log(
        &self,
        room: &RoomId,
        device: &DeviceId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(MessageRow, bool)>, ReadError> {
        self.in_room(room, |core, room| read::log(core, room, device, from, limit))
    }

    /// A page of the timeline, at most `limit` rows ([`limits::MAX_PAGE_ROWS`] at most), newest first.
    pub fn page(&self, room: &RoomId, cursor: Cursor, limit: usize) -> Result<Page, ReadError> {
        self.in_room(room, |core, room| pages::page(core, room, cursor, limit, pages::Damaged::Fail))
    }

    /// As [`page`](Self::page), without those messages that do not open: a damaged one keeps no other from being read.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn page_readable(&self, room: &RoomId, cursor: Cursor, limit: usize) -> Result<Page, ReadError> {
        self.in_room(room, |core, room| pages::page(core, room, cursor, limit, pages::Damaged::PassOver))
    }

    /// Entries of a list, at most `limit` ([`limits::MAX_REMARKS`] at most): of a list by name in no order, of one by time the
    /// oldest first. May already show a commit that is not yet answered.
    pub fn remarks(&self, room: &RoomId, list: &[u8], limit: usize) -> Result<Vec<RemarkRow>, ReadError> {
        self.in_room(room, |core, room| remarks::all(core, room.number, list, limit))
    }

    /// Entries of a list by time, the newest first, up to the time `up_to` if that is said.
    pub fn newest_remarks(
        &self,
        room: &RoomId,
        list: &[u8],
        up_to: Option<u64>,
        limit: usize,
    ) -> Result<Vec<RemarkRow>, ReadError> {
        self.in_room(room, |core, room| remarks::newest(core, room.number, list, up_to, limit))
    }

    /// Messages whose key is not known, oldest first, after the position `after`, without those that do not open: to try again when a
    /// key arrives.
    pub fn unreadable(
        &self,
        room: &RoomId,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<TimelineRow>, ReadError> {
        self.in_room(room, |core, room| pages::unreadable(core, room, after, limit))
    }

    /// What changed after this group, in the order of the groups, of whole groups and until there are `limit`; up to a group that
    /// is durable. Of what is asked too late (it was [trimmed](Batch::trim_changes)) nothing is told.
    pub fn changes(&self, after: u64, limit: usize) -> Result<Changes, ReadError> {
        let up_to = *self.shared.published.borrow();
        self.read(|core| changes::read(core, after, up_to, limit))
    }

    /// Tells when there may be more [`changes`](Self::changes): holds the number of the last group.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.published.subscribe()
    }

    /// The short number of a room in this store, by which [`Changed`](crate::Changed) names it.
    pub fn room_number(&self, room: &RoomId) -> Result<Option<u32>, ReadError> {
        self.read(|core| Ok(core.directory.room(room).map(|room| room.number)))
    }

    /// The rooms with their numbers, ascending.
    pub fn room_numbers(&self) -> Result<Vec<(u32, RoomId)>, ReadError> {
        self.read(|core| Ok(core.directory.rooms().iter().map(|room| (room.number, room.id)).collect()))
    }

    /// The message at this place, if it is there and durable.
    pub fn message_at(&self, room: &RoomId, position: Position) -> Result<Option<TimelineRow>, ReadError> {
        self.in_room(room, |core, room| {
            let seq = room.logs(&core.trees, &core.sealer, |logs| logs.seq(LogKind::Message, position.author))?;
            if position.seq > seq {
                return Ok(None);
            }
            let found = read::message_cell(core, &timeline_key(room.number, position))?;
            let row = found.map(|(_, plain)| read::message_of(core, position, &plain)).transpose()?;
            Ok(row.map(|row| TimelineRow { position, row }))
        })
    }

    /// How many messages `room` holds. Costs nothing: the logs have no gaps.
    pub fn count(&self, room: &RoomId) -> Result<u64, ReadError> {
        self.in_room(room, |core, room| read::count(core, room))
    }

    /// The page of epoch rows with this hash.
    pub fn page_blob(&self, room: &RoomId, hash: &[u8; 32]) -> Result<Option<Vec<u8>>, ReadError> {
        self.in_room(room, |core, room| read::page_blob(core, room.number, hash))
    }

    /// A small value of `room`, or of none. May already show a commit that is not yet answered.
    pub fn get(&self, room: Option<&RoomId>, namespace: Namespace, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.read(|core| match read::room_number(core, room) {
            Some(number) => read::value(core, number, namespace as u8, key),
            None => Ok(None),
        })
    }

    /// The small values whose keys begin with `prefix`, ascending by key. Keys are hashes on disk, so this opens every
    /// value of the namespace of that room: keep namespaces small, or remember the keys.
    pub fn scan(&self, room: Option<&RoomId>, namespace: Namespace, prefix: &[u8]) -> Result<Vec<KeyValue>, ReadError> {
        self.read(|core| match read::room_number(core, room) {
            Some(number) => read::scan(core, number, namespace as u8, prefix),
            None => Ok(Vec::new()),
        })
    }

    /// As [`scan`](Self::scan), all of them, without those that do not open: for lists of which each entry stands for itself.
    pub fn scan_readable(&self, room: Option<&RoomId>, namespace: Namespace) -> Result<Vec<KeyValue>, ReadError> {
        self.read(|core| match read::room_number(core, room) {
            Some(number) => read::scan_readable(core, number, namespace as u8),
            None => Ok(Vec::new()),
        })
    }

    /// Messages whose time is over at `now_ms` and that were not taken away yet, at most `limit`, those that were over first before
    /// the others, of all rooms `but` these; and when the next one is over, if all are told.
    pub fn due(&self, now_ms: u64, limit: usize, but: &BTreeSet<RoomId>) -> Result<(Vec<Due>, Option<u64>), ReadError> {
        self.read(|core| read::due(core, now_ms, limit, but))
    }

    /// Destroys the keys of what is over at `now_ms`: nothing on the disk gives its content back from then on. Answers when the next
    /// one is over.
    pub fn destroy_keys(&self, now_ms: u64) -> Result<Option<u64>, ReadError> {
        self.read(|core| {
            core.keyring.destroy_until(now_ms)?;
            Ok(core.keyring.next())
        })
    }

    /// Whether all indexes agree with each other: walks the whole store, some seconds for a million messages.
    pub fn audit(&self) -> Result<(), ReadError> {
        self.read(audit::audit)
    }

    /// For tests: the next group reaches the disk, but the writer is told that it did not, and opening the log again then
    /// fails `openings` times.
    #[cfg(any(test, feature = "faults"))]
    pub fn break_disk(&self, openings: u32) {
        self.shared.faults.arm(openings);
    }

    /// For tests: the row of a message is gone, as after a disk that lost it.
    #[cfg(any(test, feature = "faults"))]
    pub fn lose_message(&self, room: &RoomId, position: Position) -> Result<(), ReadError> {
        self.in_room(room, |core, room| {
            let key = timeline_key(room.number, position);
            core.trees.get(crate::schema::TreeId::Timeline).remove(key)?;
            Ok(())
        })
    }

    /// For tests: the row of a message does not open any more, as after a disk that changed it.
    #[cfg(any(test, feature = "faults"))]
    pub fn damage_message(&self, room: &RoomId, position: Position) -> Result<(), ReadError> {
        self.in_room(room, |core, room| {
            let key = timeline_key(room.number, position);
            core.trees.get(crate::schema::TreeId::Timeline).insert(key, b"\x00changed".to_vec())?;
            Ok(())
        })
    }

    /// For tests: nothing of what was said about messages of this list opens any more.
    #[cfg(any(test, feature = "faults"))]
    pub fn damage_remarks(&self, room: &RoomId, list: &[u8]) -> Result<(), ReadError> {
        self.in_room(room, |core, room| {
            for place in remarks::places(core, room.number, list)? {
                core.trees.get(crate::schema::TreeId::Remarks).insert(place, b"\x00changed".to_vec())?;
            }
            Ok(())
        })
    }

    /// For tests: a small value does not open any more.
    #[cfg(any(test, feature = "faults"))]
    pub fn damage_value(&self, room: Option<&RoomId>, namespace: Namespace, key: &[u8]) -> Result<(), ReadError> {
        self.read(|core| {
            let number = read::room_number(core, room).unwrap_or_default();
            let row = crate::write::value_key_of(core, number, namespace as u8, key);
            core.trees.get(crate::schema::TreeId::Values).insert(row, b"\x00changed".to_vec())?;
            Ok(())
        })
    }

    /// For tests: the list of changes does not decode at this group.
    #[cfg(any(test, feature = "faults"))]
    pub fn damage_changes(&self, group: u64) -> Result<(), ReadError> {
        self.read(|core| {
            let key = crate::schema::change_key(group, 0);
            core.trees.get(crate::schema::TreeId::Changes).insert(key, b"bad".to_vec())?;
            Ok(())
        })
    }

    /// Bytes of the store on disk.
    pub fn disk_bytes(&self) -> Result<u64, ReadError> {
        self.read(|core| core.engine.disk_bytes())
    }

    /// Reads; if the operating system says no, once more after the writer has looked at the log: a full disk can make sled
    /// refuse to read what is safe on disk, until it is opened again.
    fn read<T>(&self, look: impl Fn(&Core) -> Result<T, Fault>) -> Result<T, ReadError> {
        let attempt = || {
            let core = self.shared.core()?;
            guarded(|| look(&core)).map_err(|fault| fault.reading())
        };
        match attempt() {
            Err(ReadError::Io(_)) if self.mended() => attempt(),
            other => other,
        }
    }

    /// Lets the writer look at the log; whether it did.
    fn mended(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        self.requests.try_send(Request::Mend(answer)).is_ok() && futures::executor::block_on(answered).is_ok()
    }

    /// Reads in a room; what is asked of an unknown one is empty.
    fn in_room<T: Default>(
        &self,
        room: &RoomId,
        look: impl Fn(&Core, &Arc<Room>) -> Result<T, Fault>,
    ) -> Result<T, ReadError> {
        self.read(|core| match core.directory.room(room) {
            Some(room) => look(core, &room),
            None => Ok(T::default()),
        })
    }
}
