//! A disk that fails when a test says so. Without the feature `faults` it never does, and costs nothing.

use std::io;

#[cfg(any(test, feature = "faults"))]
use std::sync::atomic::{AtomicU32, Ordering};

use crate::CommitError;

/// What is to fail.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    #[cfg(any(test, feature = "faults"))]
    groups: AtomicU32,
    #[cfg(any(test, feature = "faults"))]
    openings: AtomicU32,
}

#[cfg(any(test, feature = "faults"))]
impl Faults {
    /// The next group reaches the disk but is said not to, then opening again fails so many times.
    pub(crate) fn arm(&self, openings: u32) {
        self.groups.store(1, Ordering::SeqCst);
        self.openings.store(openings, Ordering::SeqCst);
    }

    /// After a group was written to the journal.
    pub(crate) fn after_journal(&self) -> io::Result<()> {
        if take(&self.groups) { Err(io::Error::other("as the test wants")) } else { Ok(()) }
    }

    /// Before the log is opened again.
    pub(crate) fn before_opening(&self) -> Result<(), CommitError> {
        if take(&self.openings) { Err(CommitError::Io("as the test wants".to_owned())) } else { Ok(()) }
    }
}

#[cfg(not(any(test, feature = "faults")))]
#[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same as with the feature")]
impl Faults {
    pub(crate) fn after_journal(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn before_opening(&self) -> Result<(), CommitError> {
        Ok(())
    }
}

#[cfg(any(test, feature = "faults"))]
fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}
