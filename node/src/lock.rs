//! One node a home: an exclusive lock on `HOME/lock`.
//!
//! The operating system holds the lock, so a node that was killed leaves none behind; the file stays and means nothing
//! by itself. It holds the process id of the owner, for people.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Proof that this process owns the home. Dropping it gives the home free.
#[derive(Debug)]
pub(crate) struct HomeLock {
    _file: File,
}

/// Why a home could not be locked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another node runs on this home.
    #[error("another node is running on {home}")]
    Taken {
        /// The home.
        home: PathBuf,
    },
    /// The lock file could not be made or locked.
    #[error("the lock of {home} could not be taken: {source}")]
    Io {
        /// The home.
        home: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl HomeLock {
    /// Takes the lock of `home`, without waiting.
    ///
    /// # Errors
    /// [`LockError::Taken`] when another process holds it.
    pub(crate) fn take(home: &Path, file: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { home: home.to_owned(), source };
        let mut lock = private().open(file).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Taken { home: home.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        lock.set_len(0).map_err(failed)?;
        writeln!(lock, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: lock })
    }
}

#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    options
}

#[cfg(not(unix))]
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_until_the_first_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("lock");
        let first = HomeLock::take(home.path(), &file).unwrap();
        assert!(matches!(HomeLock::take(home.path(), &file), Err(LockError::Taken { .. })));
        drop(first);
        HomeLock::take(home.path(), &file).unwrap();
    }
}
