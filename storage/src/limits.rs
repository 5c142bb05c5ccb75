//! Every bound of the store, with its reason. Nothing in this crate grows without one.

use std::time::Duration;

/// Memory of sled's page cache. It holds the newest pages of the rooms in use; more did not make pages faster.
pub(crate) const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes of one batch. A sync batch carries at most 128 KiB of events; a join brings its control log in several.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of one value: an event is at most 32 KiB, a page of epoch rows 22 KiB. Larger content is a file beside the
/// store.
pub const MAX_VALUE_BYTES: usize = parlor_proto::limits::MAX_VALUE;

/// Bytes of one key of the small key-value namespaces. The longest in use is two ids.
pub const MAX_KEY_BYTES: usize = 128;

/// Bytes of batches that wait for the writer or are being written: what a burst may cost in memory.
pub(crate) const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// Batches that wait for the writer. Reached only by thousands of tiny ones; the byte bound acts first otherwise.
pub(crate) const QUEUE_BATCHES: usize = 4_096;

/// Bytes of batches that share one flush. A larger group gains nothing over the disk's own speed and delays its
/// answers.
pub(crate) const GROUP_BYTES: usize = 1024 * 1024;

/// Batches that share one flush: bounds what one failed write takes with it.
pub(crate) const GROUP_BATCHES: usize = 1_024;

/// Rows of one page or of one answer of [`unreadable`](crate::Store::unreadable): a screen is 50.
pub const MAX_PAGE_ROWS: usize = 1_000;

/// Entries of a list read at once: of a message as many annotations as are looked at, whatever others write on it. Some
/// milliseconds.
pub const MAX_REMARKS: usize = 4_096;

/// How long opening waits for the lock of a handle that is just going away.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Length of the journal after which sled is made durable and the journal begins anew. More would make opening after a
/// crash slower, by a second for each 40 MiB; less would stop the writer more often.
pub(crate) const JOURNAL_BYTES: u64 = 8 * 1024 * 1024;

/// By how much the journal grows at once: writing to space that was zeroed before is durable in half the time, and a small
/// store stays small.
pub(crate) const JOURNAL_STEP: u64 = 512 * 1024;

/// Free space below which commits are refused before anything is written: room for sled to write its snapshot and for
/// a group in flight, so that the log is not cut in the middle by a full disk.
pub const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Rows of a forgotten room removed between two looks at the queue: some milliseconds.
pub(crate) const SWEEP_ROWS: usize = 512;

/// Opened messages kept in memory: some screens of each of a hundred rooms.
pub(crate) const REMEMBERED_VALUES: usize = 4_096;

/// Bytes of one of them. With the number above at most 4 MiB, usually half.
pub(crate) const REMEMBERED_BYTES: usize = 1_024;

/// Entries in one listing of a mailbox: as many as the protocol allows.
pub const MAX_MAIL_LISTED: usize = 512;

/// What a blob takes on the disk beside its bytes: 65,536 of 512 bytes took 186 MB.
pub const MAIL_BLOB_COST: u64 = 2_400;
/// A blob that seems to have been put so long after the time it is asked at was put while the clock was wrong.
pub(crate) const MAIL_CLOCK_STEP_MS: u64 = 24 * 3_600 * 1_000;
/// Blobs from a wrong clock that are passed over to find whether what came after them is old.
pub(crate) const MAIL_AHEAD_ROWS: usize = 65_536;

/// Boxes whose contents are known without counting: some 6 MB. Counting a full box takes milliseconds.
pub(crate) const MAIL_BOXES: usize = 65_536;

/// Opened blocks of the search index kept in memory: 8 MiB.
pub(crate) const SEARCH_CACHE_BLOCKS: usize = 512;

/// What tantivy's writer gathers before it writes a segment: the least that it takes.
pub(crate) const SEARCH_WRITER_BYTES: usize = 15_000_000;

/// Messages that disappear in a segment that is merged with no other any more: with those it was merged from, a segment has at most some
/// eight times as many: a few megabytes, which is what is written anew when one of them disappears (`docs/spec/search.md`).
pub(crate) const SEARCH_FADING_SEGMENT: usize = 8_192;

/// Words of one segment that are looked at for the beginning of a word.
pub(crate) const SEARCH_STARTS: u32 = 65_536;

/// Candidates of one page of a search at most.
pub const SEARCH_CANDIDATES: usize = 500;
/// Of what is left of a life, the part by which a key may last longer: with it there are at most twice as many keys of one life.
pub(crate) const FADING_KEYS: u64 = 128;

/// Keys of what disappears at most, 8 MiB of them: rooms of all lives there are need some 6,000, drafts and uploads one each.
pub(crate) const MAX_SLOTS: usize = 65_536;

/// How often a log whose writing failed is tried again while nobody commits: a full disk is not freed sooner.
pub(crate) const REOPEN_RETRY: Duration = Duration::from_millis(250);
