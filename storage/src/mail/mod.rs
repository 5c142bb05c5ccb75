//! The mailboxes of a relay on one machine: a store of its own folder, with the journal and log of every store here.
//!
//! [`MailStore`] is a handle. Puts wait for one writer thread, which makes many durable by one flush and answers after it;
//! reads run beside it, cost what they return, and block: call them off the async threads. Promises are those of the
//! crate: what was answered is there after kill -9 and power loss, and numbers are given once.
//!
//! What is in the blobs was sealed by those who put them, so nothing is sealed again here: the folder tells the names of
//! boxes, lengths and times, which a relay knows anyhow.

mod rows;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parlor_crypto::Secret;
use parlor_crypto::vault::Vault;
use parlor_proto::mailbox::{BlobId, BoxName, Entry, StoreId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use self::writer::MailWriter;
use crate::ballast::Ballast;
use crate::fault::{Fault, guarded};
use crate::limits::{self, MAX_MAIL_LISTED, QUEUE_BATCHES, QUEUE_BYTES};
use crate::opening::{Core, Folder};
use crate::seal::Sealer;
use crate::writer::{Shared, Writer};
use crate::{CommitError, OpenError, ReadError, closing};

/// What is told of everything that came in, on the writer's thread, when it is durable and in the order of numbers: it must
/// not block.
pub type Told = Box<dyn Fn(BoxName, Entry, &Bytes) + Send>;

/// How to keep mailboxes.
#[derive(Debug, Clone)]
pub struct MailOptions {
    /// As for [`OpenOptions`](crate::OpenOptions::reserve_bytes).
    pub reserve_bytes: u64,
    /// Bytes of blobs in all boxes, [as they count](MailUsage::counted); more is refused.
    pub max_bytes: u64,
}

impl Default for MailOptions {
    fn default() -> Self {
        Self { reserve_bytes: limits::RESERVE_BYTES, max_bytes: u64::MAX }
    }
}

/// Blobs and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MailUsage {
    /// Blobs.
    pub blobs: u64,
    /// Bytes of blobs.
    pub bytes: u64,
}

impl MailUsage {
    /// Bytes with what each blob takes beside: what a bound of the disk is about.
    pub const fn counted(&self) -> u64 {
        self.bytes.saturating_add(self.blobs.saturating_mul(limits::MAIL_BLOB_COST))
    }
}

/// What is in a box after a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailListing {
    /// Entries, ascending.
    pub entries: Vec<Entry>,
    /// Whether there are more.
    pub more: bool,
    /// The highest number given to anything. All of the box up to it is in the listing, if there is no more.
    pub end: u64,
}

/// Why a blob was not put.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The box holds as much as a box of its kind may.
    #[error("the box is full")]
    BoxFull,
    /// All boxes together hold as much as they may.
    #[error("the store is full")]
    Full,
    /// Too much waits for the writer.
    #[error("too much waits to be written")]
    Busy,
    /// The disk said no. For what may be there all the same see [`CommitError`].
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// A handle to open mailboxes. Clones are the same; they close when the last one is dropped.
#[derive(Debug, Clone)]
pub struct MailStore {
    requests: mpsc::Sender<Request>,
    queue: Arc<Semaphore>,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    id: StoreId,
    newest_ms: Option<u64>,
}

/// What the writer tells readers: all of it is durable and in sled.
#[derive(Debug, Default)]
struct Counters {
    end: AtomicU64,
    blobs: AtomicU64,
    bytes: AtomicU64,
}

/// What the writer is asked.
#[derive(Debug)]
enum Request {
    Put {
        name: BoxName,
        id: BlobId,
        blob: Bytes,
        now_ms: u64,
        answer: oneshot::Sender<Result<u64, PutError>>,
        _share: OwnedSemaphorePermit,
    },
    Remove {
        name: BoxName,
        id: BlobId,
        answer: oneshot::Sender<Result<(), PutError>>,
    },
    Expire {
        before_ms: u64,
        answer: oneshot::Sender<Result<u64, PutError>>,
    },
    Close(oneshot::Sender<()>),
}

impl MailStore {
    /// Opens the mailboxes in the folder `dir`, or makes them when the folder is missing or empty. Blocks like
    /// [`Store::open`](crate::Store::open).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(dir: &Path, options: MailOptions, told: Told) -> Result<Self, OpenError> {
        // Checks find accidents; there is nothing to hide, and no key that would have to be kept.
        let sealer = Sealer::new(&Vault::from_secret(Secret::new(*b"parlor: mailboxes are not sealed")));
        let folder = Folder::enter(dir, &sealer)?;
        let (core, next, notes) = folder.open(&sealer)?;
        let shared = Arc::new(Shared::new(core, next.group - 1));
        let ballast = Ballast::new(dir, options.reserve_bytes);
        let writer = Writer { shared: Arc::clone(&shared), folder, sealer, notes, next, ballast, failed: false };
        let counters = Arc::new(Counters::default());
        let failed = |error: PutError| Fault::Damaged(error.to_string()).opening(dir);
        let (writer, id) = MailWriter::new(writer, Arc::clone(&counters), options.max_bytes, told).map_err(failed)?;
        let newest_ms = match shared.core() {
            Ok(core) => guarded(|| rows::newest_ms(&core)).map_err(|fault| fault.opening(dir))?,
            Err(_) => None,
        };
        let (requests, receiver) = mpsc::channel(QUEUE_BATCHES);
        let thread = std::thread::Builder::new().name("mail writer".to_owned());
        thread.spawn(move || writer.run(receiver)).map_err(|error| Fault::Io(error).opening(dir))?;
        Ok(Self { requests, queue: Arc::new(Semaphore::new(QUEUE_BYTES)), shared, counters, id, newest_ms })
    }

    /// When the newest blob was put that was there when the store was opened: the clock was there then.
    pub const fn newest_ms(&self) -> Option<u64> {
        self.newest_ms
    }

    /// Which store the numbers are of: made with the folder.
    pub const fn id(&self) -> StoreId {
        self.id
    }

    /// Stores a blob, named `id`, and answers its number when it is durable. What is there already keeps its number.
    ///
    /// # Errors
    /// See [`PutError`].
    ///
    /// # Cancel safety
    /// Dropped before the answer, the blob may be stored or not.
    pub async fn put(&self, name: BoxName, id: BlobId, blob: Bytes, now_ms: u64) -> Result<u64, PutError> {
        // A blob is far shorter than 4 GiB; what is longer waits for ever less than it is refused.
        let bytes = u32::try_from(blob.len()).map_err(|_| PutError::Full)?;
        let _share = Arc::clone(&self.queue).try_acquire_many_owned(bytes).map_err(|_| PutError::Busy)?;
        self.ask(|answer| Request::Put { name, id, blob, now_ms, answer, _share }).await
    }

    /// Takes a blob out, durably. Nothing when it is not there.
    ///
    /// # Errors
    /// [`PutError::Commit`].
    pub async fn remove(&self, name: BoxName, id: BlobId) -> Result<(), PutError> {
        self.ask(|answer| Request::Remove { name, id, answer }).await
    }

    /// Lets go what was put before this time, piece by piece between other work; answers how many blobs that were. What was put
    /// while the clock was ahead goes with what came after it.
    ///
    /// # Errors
    /// [`PutError::Commit`]: some may be gone.
    pub async fn expire(&self, before_ms: u64) -> Result<u64, PutError> {
        self.ask(|answer| Request::Expire { before_ms, answer }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, PutError>>) -> Request,
    ) -> Result<T, PutError> {
        let (answer, answered) = oneshot::channel();
        let closed = || PutError::Commit(CommitError::Closed);
        self.requests.send(request(answer)).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Entries of a box after a number, at most `limit` and at most [`MAX_MAIL_LISTED`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn list(&self, name: &BoxName, after: u64, limit: usize) -> Result<MailListing, ReadError> {
        let end = self.counters.end.load(Ordering::Acquire);
        let (entries, more) = self.read(|core| rows::list(core, name, after, limit.min(MAX_MAIL_LISTED), end))?;
        Ok(MailListing { entries, more, end })
    }

    /// A blob.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn get(&self, name: &BoxName, id: &BlobId) -> Result<Option<Vec<u8>>, ReadError> {
        self.read(|core| rows::blob(core, name, id))
    }

    /// How much is in a box. Walks it.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn usage(&self, name: &BoxName) -> Result<MailUsage, ReadError> {
        self.read(|core| rows::usage(core, name))
    }

    /// How much is in all boxes.
    pub fn total(&self) -> MailUsage {
        MailUsage {
            blobs: self.counters.blobs.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
        }
    }

    /// Bytes of the store on disk.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn disk_bytes(&self) -> Result<u64, ReadError> {
        self.read(|core| core.engine.disk_bytes())
    }

    /// Whether all trees agree with each other and with the counters: walks everything. Not while somebody writes.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] with what does not agree.
    pub fn audit(&self) -> Result<(), ReadError> {
        self.read(rows::audit)
    }

    /// Finishes what waits, and gives the files back. Blocks: not from an async task.
    pub fn close(&self) {
        closing::close(&self.requests, Request::Close);
    }

    /// As [`Store::break_disk`](crate::Store::break_disk).
    #[cfg(any(test, feature = "faults"))]
    pub fn break_disk(&self, openings: u32) {
        self.shared.faults.arm(openings);
    }

    fn read<T>(&self, look: impl Fn(&Core) -> Result<T, Fault>) -> Result<T, ReadError> {
        let core = self.shared.core()?;
        guarded(|| look(&core)).map_err(|fault| fault.reading())
    }
}
