//! Opening a store: which files there are, in which order they are looked at, and what is refused.
//!
//! ```text
//! stamp        says that this is a store, its schema, which key it wants (stamp.rs)
//! lock         held by the process that has it open
//! mark         what was durable (mark.rs)
//! fading       keys of what disappears (keyring.rs)
//! journal      the newest groups, until sled has them durably (journal.rs)
//! ballast      space for a full disk (ballast.rs)
//! sled/        the log and its snapshots (engine.rs)
//! ```
//! The stamp is read first and the lock taken before anything is changed. A folder that is missing or empty becomes a
//! new store; one that holds anything else is refused.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::OpenError;
use crate::audit::audit;
use crate::directory::{Directory, Loaded};
use crate::engine::{Durable, Engine, lock_patiently, log_path};
use crate::examine::Verdict;
use crate::fault::{Fault, guarded};
use crate::journal::{self, Journal};
use crate::keyring::Keyring;
use crate::mark::{Mark, MarkFile};
use crate::recover::recover;
use crate::schema::{SCHEMA, Trees};
use crate::seal::Sealer;
use crate::stamp::{STEPS, Stamp, fresh_path, migrate, sync_folder};

/// An open store: what readers share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) engine: Engine,
    pub(crate) trees: Trees,
    pub(crate) sealer: Sealer,
    pub(crate) keyring: Keyring,
    pub(crate) directory: Directory,
}

/// What the writer knows beside.
#[derive(Debug)]
pub(crate) struct Next {
    /// The number of the next group.
    pub(crate) group: u64,
    /// The number of the next room.
    pub(crate) room: u32,
    /// Rooms to sweep.
    pub(crate) forgotten: Vec<u32>,
}

/// What the writer keeps beside sled.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) journal: Journal,
    mark: MarkFile,
    /// How far sled's log was durable at its last flush.
    durable: Durable,
}

impl Notes {
    /// Notes that `group` is durable.
    pub(crate) fn mark(&mut self, group: u64, sealer: &Sealer) -> io::Result<()> {
        let Durable { end, len } = self.durable;
        self.mark.write(Mark { group, end, len }, sealer)
    }

    /// Makes sled durable, so that the journal can begin anew. `group` is the last one.
    pub(crate) fn flush(&mut self, core: &Core, group: u64) -> Result<(), Fault> {
        self.durable = core.engine.flush()?;
        self.mark(group, &core.sealer)?;
        self.journal.restart();
        Ok(())
    }
}

/// The folder of a store whose lock is held.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    /// Released when dropped.
    _lock: File,
}

impl Folder {
    /// Takes the lock of the store in `dir`, making the store if there is nothing.
    pub(crate) fn enter(dir: &Path, sealer: &Sealer) -> Result<Self, OpenError> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |error: io::Error| Fault::Io(error).opening(&path)
        };
        fs::create_dir_all(dir).map_err(at(dir))?;
        let stamp = dir.join("stamp");
        if Stamp::read(&stamp, sealer)?.is_none() {
            refuse_strangers(dir)?;
        }
        let lock = dir.join("lock");
        let held = lock_patiently(&lock).map_err(|fault| match fault {
            Fault::Locked => OpenError::Locked { path: dir.to_path_buf() },
            other => other.opening(&lock),
        })?;
        if Stamp::read(&stamp, sealer)?.is_none() {
            Stamp { schema: SCHEMA }.write(&stamp, sealer).map_err(at(&stamp))?;
            sync_folder(dir.parent().unwrap_or(dir)).map_err(at(dir))?;
        }
        Ok(Self { dir: dir.to_path_buf(), _lock: held })
    }

    /// Opens what the folder holds; also used to open it again after the disk failed.
    pub(crate) fn open(&self, sealer: &Sealer) -> Result<(Core, Next, Notes), OpenError> {
        let log = log_path(&self.sled());
        let mark_path = self.dir.join("mark");
        let at_mark = |error: io::Error| Fault::Io(error).opening(&mark_path);
        let mark = Mark::read(&mark_path, sealer).map_err(at_mark)?;
        let (core, next) = guarded(|| self.open_log(sealer, mark)).map_err(|fault| fault.opening(&log))?;
        let durable = core.engine.flush().map_err(|fault| fault.opening(&log))?;
        // Only now that sled has it all.
        let path = self.journal();
        let journal = Journal::begin(&path).map_err(|error| Fault::Io(error).opening(&path))?;
        let mut notes = Notes { mark: MarkFile::open(&mark_path).map_err(at_mark)?, journal, durable };
        // Where a sync of a file does not cover its name, the first power cut would take the journal as a whole.
        sync_folder(&self.dir).map_err(|error| Fault::Io(error).opening(&self.dir))?;
        core.engine.opened(&self.sled()).map_err(|error| Fault::Io(error).opening(&log))?;
        notes.mark(next.group - 1, sealer).map_err(at_mark)?;
        Ok((core, next, notes))
    }

    fn open_log(&self, sealer: &Sealer, mark: Mark) -> Result<(Core, Next), Fault> {
        let sled = self.sled();
        if mark.group > 0 && !log_path(&sled).exists() {
            return Err(Fault::Damaged("it is missing".to_owned()));
        }
        let (engine, verdict) = Engine::open(&sled, mark)?;
        if engine.end() < mark.end {
            return Err(Fault::Damaged("acknowledged groups are missing at its end".to_owned()));
        }
        let trees = Trees::open(&engine.db)?;
        let keyring = Keyring::open(&self.fading(), sealer)?;
        let core = Core { engine, trees, sealer: sealer.clone(), keyring, directory: Directory::default() };
        let group = recover(&core, journal::read(&self.journal(), sealer)?, mark)?;
        let stamp = self.dir.join("stamp");
        let schema = Stamp::read(&stamp, sealer).ok().flatten().map_or(SCHEMA, |stamp| stamp.schema);
        migrate(schema, &STEPS, &core, |reached| reached.write(&stamp, sealer))?;
        let Loaded { directory, next_room, forgotten } = Directory::load(&core.trees, sealer)?;
        let core = Core { directory, ..core };
        if core.keyring.has_of_rows() {
            core.keyring.keep_rows(&crate::write::keys_of_rows(&core)?)?;
        }
        if verdict == Verdict::Suspect {
            tracing::warn!("the log lacks a stretch that may have been in use: auditing the store");
            audit(&core)?;
        }
        Ok((core, Next { group, room: next_room, forgotten }))
    }

    fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    fn fading(&self) -> PathBuf {
        self.dir.join("fading")
    }

    fn sled(&self) -> PathBuf {
        self.dir.join("sled")
    }

    /// The folder itself.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Refuses a folder without a stamp that holds anything but the beginnings of a store.
fn refuse_strangers(dir: &Path) -> Result<(), OpenError> {
    let io = |error: io::Error| Fault::Io(error).opening(dir);
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let ours = path == dir.join("lock") || path == fresh_path(&dir.join("stamp"));
        if ["sled", "mark", "journal", "fading"].iter().any(|name| path == dir.join(name)) {
            let detail = "the file is missing, but the log beside it is there".to_owned();
            return Err(OpenError::Damaged { path: dir.join("stamp"), detail });
        }
        if !ours {
            return Err(OpenError::Foreign { path });
        }
    }
    Ok(())
}
