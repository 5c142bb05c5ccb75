//! What can go wrong, one enum for each kind of operation. Every message names the file and what to do about it.

use std::io;
use std::path::PathBuf;

use parlor_proto::ids::DeviceId;

/// Why a store did not open. Nothing was overwritten or removed, whatever the reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process (or another handle of this one) has it open.
    #[error("the store {path} is in use by another process: stop it first")]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// The file system does not let this user in.
    #[error("no permission for {path}: make it readable and writable for this user")]
    Permission {
        /// The file or folder.
        path: PathBuf,
    },
    /// The file system is mounted read-only.
    #[error("{path} is on a read-only file system: remount it writable or choose another home")]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
    },
    /// No space left, or the quota is used up.
    #[error("the disk of {path} is full: free some space and start again; nothing was lost")]
    DiskFull {
        /// The file or folder.
        path: PathBuf,
    },
    /// The folder holds files that no version of Parlor has written.
    #[error("{path} is not a store of Parlor: choose another folder, or restore this file from a backup")]
    Foreign {
        /// The file or folder that is not ours.
        path: PathBuf,
    },
    /// Written by a newer version of Parlor.
    #[error("{path} was written by a newer Parlor (schema {found}, this one knows {known}): update Parlor")]
    Newer {
        /// The stamp file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest schema this program knows.
        known: u32,
    },
    /// Written by a version so old that this one has no migration from it.
    #[error("{path} was written by an old Parlor (schema {found}, the oldest known is {oldest}): update in steps")]
    Older {
        /// The stamp file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The oldest schema this program migrates from.
        oldest: u32,
    },
    /// The store is sealed under another key: a wrong passphrase, or files of two homes mixed.
    #[error("the key does not open {path}: wrong passphrase, or a store of another home")]
    WrongKey {
        /// The stamp file.
        path: PathBuf,
    },
    /// A file is damaged or cut.
    #[error("{path} is damaged ({detail}): restore it from a backup, or make a new device")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Another error of the operating system.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// Why a batch was not committed.
///
/// After [`Conflict`](CommitError::Conflict), [`TooLarge`](CommitError::TooLarge), [`Broken`](CommitError::Broken) and
/// [`Closed`](CommitError::Closed) nothing of the batch is in the store. After the others nothing of it is visible to
/// readers, and the next successful commit or opening decides: if the disk had taken all of it before failing it is
/// there as a whole, otherwise not at all. So read [`tips`](crate::Store::tips) again before making the next event of
/// one's own.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// No space left. Reading goes on; committing works again when there is space.
    #[error("the disk is full: free some space and try again")]
    DiskFull,
    /// The file system has become read-only.
    #[error("the store is on a read-only file system")]
    ReadOnly,
    /// An event does not follow the tip of its log: another event is there already, or there is a gap before it.
    #[error("event {seq} of {device} does not follow the tip of its log")]
    Conflict {
        /// Whose log.
        device: DeviceId,
        /// The sequence number that does not fit.
        seq: u64,
    },
    /// The batch names no room and changes one.
    #[error("the batch names no room")]
    NoRoom,
    /// More than one of the crate's limits allows.
    #[error("{bytes} bytes, at most {limit} fit")]
    TooLarge {
        /// The size found.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The store is damaged: see the log of the node, and open it again.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// Another error of the operating system.
    #[error("the store could not be written: {0}")]
    Io(String),
    /// An earlier batch of its [`Chain`](crate::Chain) was not stored.
    #[error("an earlier change was not stored")]
    Broken,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// Why something could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A value fails its check, or what an index points to is not there.
    #[error("the store is damaged: {0}; restore it from a backup, or leave the room and join again")]
    Damaged(String),
    /// Another error of the operating system.
    #[error("the store could not be read: {0}")]
    Io(String),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}
