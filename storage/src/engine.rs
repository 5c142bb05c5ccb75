//! sled, as it must be handled to keep its promises.
//!
//! What was learned by killing it (0.34.7), and is done here: its flush does not survive power loss on Linux, so each
//! is followed by an `fdatasync` of our own on its log; a kill while it writes a snapshot leaves `snap.*.generating`,
//! which the next opening would take for a snapshot, so those are removed first; other snapshots only shorten the
//! replay, so when opening fails they are removed and it is tried once more; it panics on some damaged files, so panics
//! are caught; its lock outlives the handle a moment, so opening is patient. The log itself is never removed or cut
//! here.
//!
//! It takes damage in the middle of its log for the end of a segment and goes on without what was lost, and clears what
//! it takes for a torn end. So the part that it will replay is examined before it may touch it (`examine.rs`).
//!
//! Its batches and transactions are not used: they shut out every reader. See `journal.rs` for what stands in.
//!
//! Between two flushes sled writes several segments at once, in any order, and uses again the space of pages that it moved;
//! if power fails then, it may take an older end for the end of its log. So its log is flushed and synced after a few rows
//! ([`Engine::settle`]), before it has written more than about a segment.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::examine::{Verdict, examine};
use crate::fault::{Fault, guarded};
use crate::limits::{CACHE_BYTES, LOCK_PATIENCE};
use crate::mark::Mark;
use crate::stamp::sync_folder;

/// How often sled's own thread wakes to reuse emptied segments. Durability does not depend on it.
const CLEANING_INTERVAL_MS: u64 = 2_000;

/// How often a held lock is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Bytes of rows after which the log is synced: sled writes some times as much, and a segment is 512 KiB.
const SETTLE_BYTES: usize = 64 * 1024;
/// What a row counts beside its bytes: the smallest removal may have sled write a page anew.
const ROW_BYTES: usize = 128;

/// The file that is there while sled opens, so that an opening that did not end is known.
const OPENING: &str = "opening";

/// How far the log is durable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Durable {
    /// The last sequence number of sled's.
    pub(crate) end: i64,
    /// The length of the file.
    pub(crate) len: u64,
}

/// An open log.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) db: sled::Db,
    log: File,
    /// Bytes of rows since the last sync.
    unsettled: AtomicUsize,
}

impl Engine {
    /// Opens the log in `dir`, which must hold what `mark` promises, or makes it. On failure the file to name is the
    /// log. Also says whether what was found is to be audited. [`Engine::opened`] is to be called when all is durable.
    pub(crate) fn open(dir: &Path, mark: Mark) -> Result<(Self, Verdict), Fault> {
        fs::create_dir_all(dir)?;
        remove_snapshots(dir, |name| name.ends_with(".generating"))?;
        let opening = dir.join(OPENING);
        let interrupted = opening.exists();
        let mut verdict = examine(&log_path(dir), newest_snapshot(dir)?, mark, interrupted)?;
        // From here on sled clears what is free.
        File::create(opening)?;
        sync_folder(dir)?;
        let db = match open_patiently(dir) {
            Err(Fault::Damaged(first)) => {
                tracing::warn!(reason = first, "the log does not open; trying without its snapshots");
                verdict = examine(&log_path(dir), 0, mark, interrupted)?;
                remove_snapshots(dir, |_| true)?;
                open_patiently(dir)?
            }
            other => other?,
        };
        let log = File::options().read(true).write(true).open(log_path(dir))?;
        for name in ["conf", "db"] {
            File::open(dir.join(name))?.sync_all()?;
        }
        for folder in [dir.join("blobs").as_path(), dir, dir.parent().unwrap_or(dir)] {
            sync_folder(folder)?;
        }
        Ok((Self { db, log, unsettled: AtomicUsize::new(0) }, verdict))
    }

    /// Notes that the opening in `dir` has ended, and everything is durable.
    pub(crate) fn opened(&self, dir: &Path) -> io::Result<()> {
        fs::remove_file(dir.join(OPENING))?;
        sync_folder(dir)
    }

    /// Makes everything written so far durable, and returns how far that is.
    pub(crate) fn flush(&self) -> Result<Durable, Fault> {
        self.db.flush()?;
        // Before the sync: sled's own thread may write on meanwhile, and that is not promised.
        let durable = Durable { end: self.end(), len: self.log.metadata()?.len() };
        self.log.sync_data()?;
        self.unsettled.store(0, Ordering::Relaxed);
        Ok(durable)
    }

    /// Notes that a row of so many `bytes` was written; after a few makes all durable.
    pub(crate) fn settle(&self, bytes: usize) -> Result<(), Fault> {
        let bytes = bytes + ROW_BYTES;
        if self.unsettled.fetch_add(bytes, Ordering::Relaxed) + bytes >= SETTLE_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Whether writing has failed, be it by us or by sled's own thread: it refuses everything from then on.
    pub(crate) fn has_failed(&self) -> bool {
        self.db.context.global_error().is_err()
    }

    /// The end of the log in sled's sequence numbers.
    pub(crate) fn end(&self) -> i64 {
        self.db.context.pagecache.log.stable_offset()
    }

    /// Bytes on disk.
    pub(crate) fn disk_bytes(&self) -> Result<u64, Fault> {
        Ok(self.db.size_on_disk()?)
    }
}

/// sled's log file.
pub(crate) fn log_path(dir: &Path) -> PathBuf {
    dir.join("db")
}

/// Takes the lock of a file, patiently.
pub(crate) fn lock_patiently(path: &Path) -> Result<File, Fault> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    patiently(|| match file.try_lock() {
        Ok(()) => Ok(()),
        Err(fs::TryLockError::WouldBlock) => Err(Fault::Locked),
        Err(fs::TryLockError::Error(error)) => Err(Fault::Io(error)),
    })?;
    Ok(file)
}

fn open_patiently(dir: &Path) -> Result<sled::Db, Fault> {
    patiently(|| {
        guarded(|| {
            let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES);
            Ok(config.flush_every_ms(Some(CLEANING_INTERVAL_MS)).open()?)
        })
    })
}

/// Tries until the lock is free, or patience ends.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match attempt() {
            Err(Fault::Locked) if Instant::now() < deadline => std::thread::sleep(LOCK_RETRY),
            other => return other,
        }
    }
}

/// How far the newest snapshot goes: its name is a sequence number in hexadecimal. Zero without one.
fn newest_snapshot(dir: &Path) -> io::Result<i64> {
    let mut newest = 0;
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let lsn = name.to_str().and_then(|name| i64::from_str_radix(name.strip_prefix("snap.")?, 16).ok());
        newest = newest.max(lsn.unwrap_or(0));
    }
    Ok(newest)
}

fn remove_snapshots(dir: &Path, which: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && which(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
