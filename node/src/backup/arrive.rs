//! A backup restored into a home whose page is open already: the first run in a browser.
//!
//! The folder is there, with its lock, its token and `api.json`, so nothing can be moved over it as a whole. The backup is taken into a
//! folder inside (`HOME/arriving`), the home is filled beside it there, and when the last byte was verified and is on the disk, one
//! rename says that it is whole. From then on its parts are moved to their places, the account last: by who restored it, or, if he was
//! killed, by the next one who takes the lock. Until then there is nothing of it in the home, and it is cleared away.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parlor_api::{Code, Problem};
use parlor_crypto::backup::{HEAD_LEN, wants};
use parlor_crypto::vault::Lock;
use tokio::sync::watch;

use super::restore::{Begun, Restored};
use super::{BackupKey, problem};
use crate::account::rng;
use crate::config::Passphrase;
use crate::home::{self, Home};
use crate::limits::BACKUP_TAKEN;

/// A backup that was taken from the page, whole.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    path: PathBuf,
    /// Its size.
    pub(crate) bytes: u64,
    /// Whether a passphrase opens it, and not the recovery phrase.
    pub(crate) wants_passphrase: bool,
}

/// A backup on its way from the page. Dropped before it is whole it is gone.
pub(crate) struct Taking {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// What it begins with: says that it is a backup, and what opens it.
    head: Vec<u8>,
    whole: bool,
}

impl Taking {
    /// Makes place for one in a home that is new; what was taken before goes.
    ///
    /// # Errors
    /// `conflict`, `already_exists`, `home_denied`, `disk_full`.
    pub(crate) fn begin(home: &Home) -> Result<Self, Problem> {
        must_be_new(home)?;
        clear(home)?;
        let dir = home.arriving_dir();
        parlor_storage::private::make_folder(&dir).map_err(|error| home::problem("make", &dir, &error))?;
        // Of its own name: who hung up, and whose last bytes are still being written, takes away his own only.
        let path = dir.join(format!("backup-{:016x}", rand::Rng::next_u64(&mut rng())));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| home::problem("write", &path, &error))?;
        Ok(Self { path, file, bytes: 0, head: Vec::with_capacity(HEAD_LEN), whole: false })
    }

    /// Writes the next bytes. Blocks.
    ///
    /// # Errors
    /// `backup_damaged` for what is no backup, as soon as that is seen; `too_long`, `disk_full`.
    pub(crate) fn write(&mut self, piece: &[u8]) -> Result<(), Problem> {
        let lacks = HEAD_LEN.saturating_sub(self.head.len());
        if lacks > 0 {
            self.head.extend(piece.iter().take(lacks));
            if self.head.len() == HEAD_LEN {
                wants(&self.head).map_err(|error| problem(&error))?;
            }
        }
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        if self.bytes > BACKUP_TAKEN {
            let problem = Problem::new(Code::TooLong, "the page takes no backup as large as this one");
            return Err(problem.hint("restore it with: parlor backup restore FILE"));
        }
        self.file.write_all(piece).map_err(|error| home::problem("write", &self.path, &error))
    }

    /// All of it is there.
    ///
    /// # Errors
    /// `backup_damaged` for what is too short for one; `disk_full`.
    pub(crate) fn end(mut self) -> Result<Taken, Problem> {
        let lock = wants(&self.head).map_err(|error| problem(&error))?;
        self.file.sync_all().map_err(|error| home::problem("write", &self.path, &error))?;
        self.whole = true;
        Ok(Taken { path: self.path.clone(), bytes: self.bytes, wants_passphrase: lock == Lock::Passphrase })
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        if !self.whole {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// How far a restore is, and whether it is to go on. Clones are the same.
#[derive(Clone)]
pub(crate) struct Progress {
    read: Arc<AtomicU64>,
    stop: watch::Receiver<bool>,
}

impl Progress {
    /// Nothing was read yet; `stop` says true when all is to end.
    pub(crate) fn new(stop: watch::Receiver<bool>) -> Self {
        Self { read: Arc::default(), stop }
    }

    /// How many bytes were read.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Nothing was read yet.
    pub(crate) fn begin(&self) {
        self.read.store(0, Ordering::Relaxed);
    }

    fn may_go_on(&self) -> Result<(), Problem> {
        if *self.stop.borrow() { Err(Problem::of(Code::Stopping)) } else { Ok(()) }
    }
}

/// Reads, and says how far.
struct Counted<R> {
    from: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.progress.may_go_on().map_err(|problem| std::io::Error::other(problem.detail))?;
        let n = self.from.read(into)?;
        self.progress.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Makes the home what a backup says that was taken; answers with what its account opens, too. Blocks, for minutes with a large
/// history. `progress` is told how far it is, and may end it. Whoever calls it holds the lock of the home.
///
/// # Errors
/// As [`restore_backup`](super::restore_backup). The home is as new as before then, and the backup stays taken.
pub(crate) fn restore_here(
    home: &Home,
    taken: &Taken,
    (key, lock): (&BackupKey, &Passphrase),
    progress: &Progress,
) -> Result<(Restored, Passphrase), Problem> {
    must_be_new(home)?;
    let from = File::open(&taken.path).map_err(|error| home::problem("read", &taken.path, &error))?;
    progress.begin();
    let from = Counted { from: BufReader::new(from), progress: progress.clone() };
    let begun = Begun::of(from, key, lock)?;
    let filling = Home::at(home.arriving_dir().join("filling"));
    remove(filling.dir())?;
    filling.create()?;
    let opens = begun.lock.clone();
    let filled = begun.fill(&filling).and_then(|restored| progress.may_go_on().map(|()| restored));
    if filled.is_err() {
        // A home that can not be is of no use to the next try.
        remove(filling.dir())?;
    }
    let restored = filled?;
    let whole = home.arrived();
    sync(filling.dir())?;
    fs::rename(filling.dir(), whole.dir()).map_err(|error| home::problem("make", whole.dir(), &error))?;
    sync(&home.arriving_dir())?;
    settle(home)?;
    Ok((restored, opens))
}

/// Finishes what was restored here wholly, and clears away everything else. Whoever calls it holds the lock of the home.
///
/// # Errors
/// `home_denied`, `disk_full`.
pub(crate) fn settle(home: &Home) -> Result<(), Problem> {
    let whole = home.arrived();
    // One that came since is not replaced: then this one is of no use to anybody, and still in its backup.
    if whole.account_file().exists() && !home.account_file().exists() {
        move_in(&whole, home)?;
    }
    clear(home)
}

/// Moves each part to its place. The account is the last: with it the home is one.
fn move_in(whole: &Home, home: &Home) -> Result<(), Problem> {
    // Settings that are there were made for this machine.
    let config = (!home.config_file().exists()).then(|| (whole.config_file(), home.config_file()));
    let parts = [
        (whole.store_dir(), home.store_dir()),
        (whole.store_made_file(), home.store_made_file()),
        (whole.key_file(), home.key_file()),
    ];
    let account = (whole.account_file(), home.account_file());
    for (from, to) in parts.into_iter().chain(config).chain([account]) {
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(home::problem("make", &to, &error)),
            _ => sync(home.dir())?,
        }
    }
    Ok(())
}

/// Takes away what was left of a restore, or lies there for one.
fn clear(home: &Home) -> Result<(), Problem> {
    remove(&home.arriving_dir())
}

fn remove(dir: &Path) -> Result<(), Problem> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(home::problem("clear", dir, &error)),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn sync(dir: &Path) -> Result<(), Problem> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| home::problem("make", dir, &error))
}

/// Elsewhere folders are not flushed.
#[cfg(not(unix))]
fn sync(_: &Path) -> Result<(), Problem> {
    Ok(())
}

/// There is neither an account here nor anything of one: what is here belongs to nobody.
fn must_be_new(home: &Home) -> Result<(), Problem> {
    if home.has_account() {
        return Err(Problem::new(Code::Conflict, "there is an account already"));
    }
    let of_one = [home.store_dir(), home.store_made_file(), home.blobs_dir(), home.search_dir()];
    match of_one.iter().find(|path| fs::symlink_metadata(path).is_ok()) {
        None => Ok(()),
        Some(path) => Err(Problem::new(Code::AlreadyExists, format!("{} is there already", path.display()))
            .hint("a backup is restored into a new home: name another one with --home DIR")),
    }
}

#[cfg(test)]
mod tests;
