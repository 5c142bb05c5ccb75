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
//! Between two flushes sled may write a segment and, two segments later, use again the space of pages that it moved there.
//! So a sync is begun, beside the writer, each time sled has begun another segment, and has ended before the next one
//! begins ([`Engine::settle`]): what is overwritten is on disk elsewhere by then.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::examine::{SEGMENT, Verdict, examine};
use crate::fault::{Fault, guarded};
use crate::limits::{CACHE_BYTES, LOCK_PATIENCE};
use crate::mark::Mark;
use crate::stamp::sync_folder;

/// How often sled's own thread wakes to reuse emptied segments. Durability does not depend on it.
const CLEANING_INTERVAL_MS: u64 = 2_000;

/// How often a held lock is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(20);

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
    settling: Mutex<Settling>,
}

/// The sync under way.
#[derive(Debug, Default)]
struct Settling {
    /// The segment that sled was writing when it was begun.
    segment: i64,
    sync: Option<JoinHandle<io::Result<()>>>,
}

impl Settling {
    fn wait(&mut self) -> io::Result<()> {
        let ended = self.sync.take().map_or(Ok(Ok(())), JoinHandle::join);
        ended.unwrap_or_else(|_| Err(io::Error::other("the sync of the log ended by itself")))
    }
}

impl Engine {
    /// Opens the log in `dir`, which must hold what `mark` promises, or makes it. On failure the file to name is the
    /// log. Also says whether what was found is to be audited.
    pub(crate) fn open(dir: &Path, mark: Mark) -> Result<(Self, Verdict), Fault> {
        fs::create_dir_all(dir)?;
        remove_snapshots(dir, |name| name.ends_with(".generating"))?;
        let mut verdict = examine(&log_path(dir), newest_snapshot(dir)?, mark)?;
        let db = match open_patiently(dir) {
            Err(Fault::Damaged(first)) => {
                tracing::warn!(reason = first, "the log does not open; trying without its snapshots");
                verdict = examine(&log_path(dir), 0, mark)?;
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
        Ok((Self { db, log, settling: Mutex::default() }, verdict))
    }

    /// Makes everything written so far durable, and returns how far that is.
    pub(crate) fn flush(&self) -> Result<Durable, Fault> {
        self.db.flush()?;
        // Before the sync: sled's own thread may write on meanwhile, and that is not promised.
        let durable = Durable { end: self.end(), len: self.log.metadata()?.len() };
        self.settling.lock().unwrap_or_else(PoisonError::into_inner).wait()?;
        self.log.sync_data()?;
        Ok(durable)
    }

    /// If sled has begun another segment: waits for the sync begun at the last one, and begins one.
    pub(crate) fn settle(&self) -> Result<(), Fault> {
        let segment = self.end() / SEGMENT as i64;
        let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        if segment != settling.segment {
            settling.wait()?;
            let log = self.log.try_clone()?;
            settling.sync =
                Some(std::thread::Builder::new().name("log sync".to_owned()).spawn(move || log.sync_data())?);
            settling.segment = segment;
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
