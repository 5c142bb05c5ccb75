//! What goes wrong inside, before it is told apart by who asked: opening, committing or reading.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::schema::TreeId;
use crate::{CommitError, OpenError, ReadError};

/// An error of the engine or of what it holds.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The operating system says no.
    Io(io::Error),
    /// What is on disk is not what was written.
    Damaged(String),
    /// The lock is held.
    Locked,
}

impl Fault {
    pub(crate) fn damaged(tree: TreeId, what: &str) -> Self {
        Self::Damaged(format!("{what} in {}", tree.name()))
    }

    /// The error for whoever opens; `path` is the file to name.
    pub(crate) fn opening(self, path: &Path) -> OpenError {
        let path = path.to_path_buf();
        match self {
            Self::Locked => OpenError::Locked { path },
            Self::Damaged(detail) => OpenError::Damaged { path, detail },
            Self::Io(source) => match source.kind() {
                io::ErrorKind::PermissionDenied => OpenError::Permission { path },
                io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path },
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::DiskFull { path },
                io::ErrorKind::NotADirectory => OpenError::Foreign { path },
                io::ErrorKind::UnexpectedEof => OpenError::Damaged { path, detail: "it is cut short".to_owned() },
                _ => OpenError::Io { path, source },
            },
        }
    }

    /// The error for whoever commits.
    pub(crate) fn committing(&self) -> CommitError {
        match self {
            Self::Locked => CommitError::Io("the lock is held by another process".to_owned()),
            Self::Damaged(detail) => CommitError::Damaged(detail.clone()),
            Self::Io(error) => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CommitError::DiskFull,
                io::ErrorKind::ReadOnlyFilesystem => CommitError::ReadOnly,
                _ => CommitError::Io(error.to_string()),
            },
        }
    }

    /// The error for whoever reads.
    pub(crate) fn reading(&self) -> ReadError {
        match self {
            Self::Locked => ReadError::Io("the lock is held by another process".to_owned()),
            Self::Damaged(detail) => ReadError::Damaged(detail.clone()),
            Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                ReadError::Damaged("the log is cut short".to_owned())
            }
            Self::Io(error) => ReadError::Io(error.to_string()),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        match error {
            // sled 0.34.7 gives a held lock no kind of its own.
            sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock") => Self::Locked,
            sled::Error::Io(error) => Self::Io(error),
            sled::Error::Corruption { .. } => Self::Damaged("a page of the log fails its checksum".to_owned()),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Runs `work` and turns a panic into damage: sled panics on some damaged files.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// A panic as damage.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Fault {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "unknown reason".to_owned());
    Fault::Damaged(format!("the database gave up: {}", text.lines().next().unwrap_or_default()))
}
