//! A home made of a backup: another device of the account, with what the one that made it knew.
//!
//! The home is made beside its place (`HOME.restoring`) and moved there when all of the file was verified and is on the disk. Who is
//! killed half way has no home, and what was left is cleared away by the next one who restores there: for as long as it is none, a
//! file in it (`restoring`) says so. Somebody's home that is called like that has no such file, or a node ran on it.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parlor_api::{Code, Problem};
use parlor_crypto::vault::Unlock;
use parlor_proto::RoomId;
use parlor_proto::event::Event;
use parlor_proto::hlc::Hlc;
use parlor_proto::identity::Identity;
use parlor_proto::room::{Room, RoomParts};
use parlor_storage::{Batch, ControlRow, MessageRow, Namespace, OpenOptions, Store};

use super::record::{Counts, FORMAT, Head, Key, Record, Said};
use super::stream::Reader;
use super::write::{OF_NONE, OF_ROOMS, words_key};
use super::{BackupKey, damaged};
use crate::account::Account;
use crate::bus::rfc3339;
use crate::clock::now_ms;
use crate::config::Passphrase;
use crate::home::{self, Home};
use crate::launch::store_problem;
use crate::limits::{BACKUP_ROWS, SPLIT_BYTES};
use crate::services::{groups, rooms};

/// What was restored.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Account id.
    pub account: String,
    /// The new device.
    pub device: String,
    /// The device that made the backup.
    pub from_device: String,
    /// Name of the account.
    pub name: String,
    /// When the backup was made, RFC 3339: an old one opens as well as the newest.
    pub made_at: String,
    /// Whether the home is locked with a passphrase.
    pub locked: bool,
    /// What is in it.
    pub counts: Counts,
}

/// Makes a home of a backup. Blocks, for minutes with a large history. `lock` is what the home is to be locked with; if nothing is
/// said, and the home that was backed up was locked, the passphrase of the backup.
///
/// # Errors
/// `already_exists` if there is something at the place of the home; `wrong_passphrase`, `passphrase_needed`, `backup_damaged`,
/// `home_denied`, `disk_full`. Then there is no home, and the backup is untouched.
pub fn restore_backup(home: &Home, from: impl Read, key: &BackupKey, lock: &Passphrase) -> Result<Restored, Problem> {
    must_be_free(home.dir())?;
    Beside::may_be_made(&Beside::of(home)?)?;
    let words;
    let with = match key {
        BackupKey::Passphrase(text) => Unlock::Passphrase(text),
        BackupKey::Recovery(text) => {
            words = words_key(text, None)?;
            Unlock::KeyFile(&words)
        }
    };
    // Before anything is made: most errors are of the passphrase.
    let mut reader = Reader::begin(from, with)?;
    let head = match reader.next()? {
        Some(Record::Head(head)) if head.format <= FORMAT => head,
        Some(Record::Head(_)) => {
            return Err(Problem::new(Code::BackupDamaged, "the backup is of a newer version").hint("update parlor"));
        }
        _ => return Err(damaged("it does not say whose it is")),
    };
    let lock = lock_of(&head, key, lock)?;
    let beside = Beside::make(home)?;
    let restored = fill(&beside.home, &head, &lock, &mut reader)?;
    beside.move_to(home)?;
    Ok(restored)
}

/// With what the home is locked.
fn lock_of(head: &Head, key: &BackupKey, lock: &Passphrase) -> Result<Passphrase, Problem> {
    match (lock, key) {
        (Passphrase::None, BackupKey::Passphrase(text)) if head.locked => Ok(Passphrase::Given(text.clone())),
        (Passphrase::None, BackupKey::Recovery(_)) if head.locked => Err(Problem::new(
            Code::PassphraseNeeded,
            "the home was locked with a passphrase, and this one is to be, too",
        )
        .hint("name one with --home-passphrase-file FILE")),
        (lock, _) => Ok(lock.clone()),
    }
}

/// A home is moved to its place as a whole: there may be an empty folder, and no link or mounted disk, over which nothing is moved.
fn must_be_free(dir: &Path) -> Result<(), Problem> {
    let about = match fs::symlink_metadata(dir) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(home::problem("read", dir, &error)),
    };
    let taken = |why: &str| {
        Err(Problem::new(Code::AlreadyExists, format!("{} {why}", dir.display()))
            .hint("a backup is restored into a new home: name another one with --home DIR"))
    };
    if about.is_symlink() {
        return taken("is a link");
    }
    let mut entries = fs::read_dir(dir).map_err(|error| home::problem("read", dir, &error))?;
    if entries.next().is_some() {
        return taken("is not empty");
    }
    if is_mounted(dir, &about)? { taken("is a disk of its own") } else { Ok(()) }
}

#[cfg(unix)]
fn is_mounted(dir: &Path, about: &fs::Metadata) -> Result<bool, Problem> {
    use std::os::unix::fs::MetadataExt as _;
    let above = fs::metadata(above(dir)).map_err(|error| home::problem("read", dir, &error))?;
    Ok(about.dev() != above.dev())
}

/// Elsewhere the move itself says so.
#[cfg(not(unix))]
fn is_mounted(_: &Path, _: &fs::Metadata) -> Result<bool, Problem> {
    Ok(false)
}

/// The folder in which something is.
fn above(dir: &Path) -> PathBuf {
    let above = dir.parent().filter(|dir| !dir.as_os_str().is_empty());
    above.map_or_else(|| PathBuf::from("."), Into::into)
}

/// A home that is being made beside its place.
struct Beside {
    home: Home,
    lock: Option<parlor_storage::private::Lock>,
    /// It is at its place.
    moved: bool,
}

impl Beside {
    fn of(home: &Home) -> Result<Home, Problem> {
        let mut name = home.dir().file_name().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(Problem::new(Code::Usage, "the home has no name").hint("name a folder with --home DIR"));
        }
        name.push(".restoring");
        Ok(Home::at(home.dir().with_file_name(name)))
    }

    /// What is there already is what was left of somebody who was killed, and nothing else: it is going to be cleared away.
    fn may_be_made(beside: &Home) -> Result<(), Problem> {
        let dir = beside.dir();
        let about = match fs::symlink_metadata(dir) {
            Ok(about) => about,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(home::problem("read", dir, &error)),
        };
        let foreign = || {
            Problem::new(Code::AlreadyExists, format!("{} is in the way, and was not left by a restore", dir.display()))
                .hint("move it elsewhere, or name another home with --home DIR")
        };
        if !about.is_dir() {
            return Err(foreign());
        }
        let (mut is_marked, mut is_used, mut is_bare) = (false, false, true);
        let is = |path: PathBuf, name: &OsStr| path.file_name() == Some(name);
        for entry in fs::read_dir(dir).map_err(|error| home::problem("read", dir, &error))? {
            let name = entry.map_err(|error| home::problem("read", dir, &error))?.file_name();
            if !beside.has_such(&name) {
                return Err(foreign());
            }
            is_marked |= is(beside.restoring_file(), &name);
            is_used |= is(beside.token_file(), &name) || is(beside.api_file(), &name);
            // Who was killed before he could mark it.
            let marking = name == "restoring.new";
            is_bare &= marking || is(beside.restoring_file(), &name) || is(beside.lock_file(), &name);
        }
        if is_bare || is_marked && !is_used { Ok(()) } else { Err(foreign()) }
    }

    fn make(home: &Home) -> Result<Self, Problem> {
        let beside = Self::of(home)?;
        Self::may_be_made(&beside)?;
        beside.create()?;
        // Two who restore there at once: one of them is refused.
        let lock = beside.lock()?;
        // Whoever had the lock until now may have made a home of it.
        Self::may_be_made(&beside)?;
        let made = Self { home: beside, lock: Some(lock), moved: false };
        home::write_private(&made.home.restoring_file(), b"")?;
        made.clear(false)?;
        Ok(made)
    }

    /// Takes away what was left of somebody who was killed; `all` of it, or not the lock and the mark.
    fn clear(&self, all: bool) -> Result<(), Problem> {
        let dir = self.home.dir();
        let failed = |error: std::io::Error| home::problem("clear", dir, &error);
        let ours = [self.home.lock_file(), self.home.restoring_file()];
        for entry in fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if ours.contains(&path) {
                continue;
            }
            let kind = fs::symlink_metadata(&path).map_err(failed)?;
            if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.map_err(failed)?;
        }
        // The mark last: who is killed meanwhile leaves something that the next one may clear away.
        for path in ours.iter().filter(|_| all) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn move_to(mut self, home: &Home) -> Result<(), Problem> {
        let failed = |error: std::io::Error| home::problem("make", home.dir(), &error);
        // The lock goes along, so nobody else clears away what is whole. Windows moves no folder with an open file in it.
        if cfg!(windows) {
            self.lock = None;
        }
        // From here on it is a home, wherever it lies.
        self.home.end_restoring()?;
        fs::rename(self.home.dir(), home.dir()).map_err(failed)?;
        self.moved = true;
        fs::File::open(above(home.dir())).and_then(|dir| dir.sync_all()).map_err(failed)
    }
}

impl Drop for Beside {
    /// Whatever it was given up for, nothing of it stays: the keys in it are open.
    fn drop(&mut self) {
        if !self.moved && self.clear(true).is_ok() {
            self.lock = None;
            let _ = fs::remove_dir(self.home.dir());
        }
    }
}

/// Makes a home of what follows the head.
fn fill(home: &Home, head: &Head, lock: &Passphrase, reader: &mut Reader<impl Read>) -> Result<Restored, Problem> {
    let account = Account::restore(home, &head.name, lock, head.account, &head.root, now_ms())?;
    if !head.config.is_empty() {
        home::write_private(&home.config_file(), head.config.as_bytes())?;
    }
    let store = Store::open(&home.store_dir(), account.vault(), OpenOptions::default()).map_err(store_problem)?;
    let mut filling = Filling {
        store: &store,
        me: account.identity(),
        room: None,
        batch: Batch::new(None),
        rows: 0,
        counts: Counts::default(),
    };
    let done = filling.all(reader);
    let counts = filling.counts;
    // Also what is given up is closed: the folder can be taken away then.
    store.close();
    done?;
    home::write_private(&home.store_made_file(), b"")?;
    Ok(Restored {
        account: account.identity().account().to_string(),
        device: account.identity().device().to_string(),
        from_device: head.device.to_string(),
        name: head.name.clone(),
        made_at: rfc3339(head.made_ms),
        locked: !matches!(lock, Passphrase::None),
        counts,
    })
}

/// A store that is being filled.
struct Filling<'a> {
    store: &'a Store,
    me: Arc<Identity>,
    room: Option<Filled>,
    batch: Batch,
    rows: usize,
    counts: Counts,
}

/// The room that is being filled.
struct Filled {
    id: RoomId,
    /// From the first message on: tells what is kept beside messages.
    machine: Option<Room>,
}

impl Filling<'_> {
    fn all(&mut self, reader: &mut Reader<impl Read>) -> Result<(), Problem> {
        loop {
            match reader.next()? {
                Some(Record::Head(_)) | None => return Err(damaged("it says no end")),
                Some(Record::End(told)) => {
                    self.flush()?;
                    if told != self.counts {
                        return Err(damaged("it holds something else than it says"));
                    }
                    // Only behind the last byte it is known to be whole.
                    return match reader.next()? {
                        None => Ok(()),
                        Some(_) => Err(damaged("something follows its end")),
                    };
                }
                Some(Record::Room { id, record }) => self.begin(id, record)?,
                Some(Record::Value { namespace, key, value }) => self.value(namespace, &key, value)?,
                Some(Record::Control(bytes)) => self.control(&bytes)?,
                Some(Record::Message(said)) => self.message(*said)?,
            }
        }
    }

    fn flush(&mut self) -> Result<(), Problem> {
        let next = Batch::new(self.room.as_ref().map(|room| room.id));
        let batch = std::mem::replace(&mut self.batch, next);
        self.rows = 0;
        if batch.is_empty() {
            return Ok(());
        }
        self.store.commit_blocking(batch).map_err(|error| crate::services::commit_problem(&error))
    }

    /// Commits what is there, if that is enough.
    fn added(&mut self) -> Result<(), Problem> {
        self.rows += 1;
        if self.rows >= BACKUP_ROWS || self.batch.bytes() >= SPLIT_BYTES { self.flush() } else { Ok(()) }
    }

    fn begin(&mut self, id: RoomId, record: Vec<u8>) -> Result<(), Problem> {
        self.flush()?;
        self.counts.rooms += 1;
        self.room = Some(Filled { id, machine: None });
        self.batch = Batch::new(Some(id));
        self.batch.room(record);
        self.added()
    }

    fn value(&mut self, namespace: u8, key: &[u8], mut value: Vec<u8>) -> Result<(), Problem> {
        let of = |namespaces: &[Namespace]| namespaces.iter().copied().find(|one| *one as u8 == namespace);
        let found = match self.room {
            Some(_) => of(&OF_ROOMS),
            None => of(&OF_NONE).or_else(|| of(&[Namespace::Meta])),
        };
        let namespace = found.ok_or_else(|| damaged("a value is of no kind that is backed up"))?;
        if namespace == Namespace::Group && self.room.is_none() {
            // Whom the other device was about to invite it invites itself.
            let Some(told) = groups::restored(&value, now_ms()) else { return Ok(()) };
            value = told;
        }
        self.counts.contacts += u64::from(namespace == Namespace::Contact);
        // A draft may be sent later: nothing of it may outlive that.
        match self.room.is_some() && namespace == Namespace::Meta && key == rooms::DRAFT {
            true => self.batch.put_fading(namespace, key, value),
            false => self.batch.put(namespace, key, value),
        };
        self.added()
    }

    fn control(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let room = self.room.as_ref().filter(|room| room.machine.is_none());
        let id = room.map(|room| room.id).ok_or_else(|| damaged("a control event is of no room"))?;
        let event = Event::decode(&id, bytes).map_err(|_| damaged("a control event is none"))?;
        self.counts.control += 1;
        self.batch.control(ControlRow::of(&event));
        self.added()
    }

    fn message(&mut self, said: Said) -> Result<(), Problem> {
        let id = self.room.as_ref().map(|room| room.id).ok_or_else(|| damaged("a message is of no room"))?;
        if self.room.as_ref().is_some_and(|room| room.machine.is_none()) {
            self.flush()?;
            let machine = machine(self.store, id, self.me.clone())?;
            self.room = Some(Filled { id, machine: Some(machine) });
        }
        let Some(Filled { machine: Some(machine), .. }) = &self.room else { return Ok(()) };
        let event = Event::decode(&id, &said.bytes).map_err(|_| damaged("a message is none"))?;
        let Said { device, seq, hlc, order, received_ms, key, fades_ms, aside, bytes } = said;
        let row = MessageRow {
            device,
            seq,
            id: event.id(),
            hlc,
            order,
            received_ms,
            covers_own: 0,
            key: key.map(|Key(key)| key),
            bytes,
            fades_ms,
        };
        let body = if row.is_erased() { None } else { rooms::open(&id, &event, &row) };
        let aside = aside || body.as_ref().is_some_and(|body| body.target().is_some());
        self.batch.message(row);
        if aside {
            self.batch.aside(event.id());
        }
        if let Some(body) = &body {
            for remark in machine.remarks(&event, Hlc(order), body) {
                self.batch.remark(remark, fades_ms);
            }
            rooms::note_files(&mut self.batch, &event, body, false);
        }
        self.counts.messages += 1;
        self.added()
    }
}

/// The machine of a room whose control events are in the store, and no message yet.
fn machine(store: &Store, id: RoomId, me: Arc<Identity>) -> Result<Room, Problem> {
    let parts = rooms::stored_parts(store, id)?;
    let restored = Room::restore(me, RoomParts { tips: Vec::new(), ..parts });
    restored.map_err(|error| damaged(&format!("room {} can not be restored: {error}", id.short())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(done: Result<impl Sized, Problem>) -> Option<Code> {
        done.err().map(|problem| problem.code)
    }

    /// A home that was made beside its place, with keys in it.
    fn made(home: &Home) -> Beside {
        let made = Beside::make(home).unwrap();
        fs::write(made.home.account_file(), b"keys").unwrap();
        made
    }

    #[test]
    fn a_home_that_can_not_be_moved_to_its_place_leaves_no_keys_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        let made = made(&home);
        let beside = made.home.dir().to_owned();
        // Somebody is faster.
        fs::create_dir(home.dir()).unwrap();
        fs::write(home.dir().join("mine"), b"").unwrap();
        assert!(made.move_to(&home).is_err());
        assert!(!beside.exists());
        assert_eq!(fs::read_dir(home.dir()).unwrap().count(), 1, "what was there is as it was");
    }

    #[test]
    fn nobody_clears_a_home_away_that_is_being_moved_and_the_next_one_finds_the_place_free() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        let first = made(&home);
        assert_eq!(code(Beside::make(&home)), Some(Code::HomeLocked));
        first.move_to(&home).unwrap();
        assert_eq!(fs::read(home.account_file()).unwrap(), b"keys");
        assert!(home.lock().is_ok(), "a node can run on it");
        drop(made(&home));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_was_left_half_way_is_cleared_and_what_is_of_somebody_else_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        let beside = Beside::of(&home).unwrap();
        fs::create_dir_all(beside.store_dir()).unwrap();
        for name in ["restoring", "account", "account.key", "account.new", "store/journal"] {
            fs::write(beside.dir().join(name), b"half").unwrap();
        }
        let cleared = Beside::make(&home).unwrap();
        let mut left: Vec<_> = fs::read_dir(beside.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["lock", "restoring"]);
        drop(cleared);
        assert!(!beside.dir().exists());
        fs::create_dir(beside.dir()).unwrap();
        fs::write(beside.dir().join("thesis.txt"), b"years").unwrap();
        assert_eq!(code(Beside::make(&home)), Some(Code::AlreadyExists));
        assert_eq!(fs::read(beside.dir().join("thesis.txt")).unwrap(), b"years");
    }

    #[test]
    fn a_home_that_somebody_called_like_one_that_is_being_restored_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        let beside = Beside::of(&home).unwrap();
        let files = |names: &[&str]| {
            fs::create_dir(beside.dir()).unwrap();
            names.iter().for_each(|name| fs::write(beside.dir().join(name), b"mine").unwrap());
        };
        // Made and never run; run; one whose restore was killed in its last moment and that was run where it lay.
        let (new, run, last) =
            (&["account"][..], &["account", "lock", "store.made", "token"], &["account", "token", "restoring"]);
        for names in [new, run, last] {
            files(names);
            assert_eq!(code(Beside::make(&home)), Some(Code::AlreadyExists), "{names:?}");
            let is_whole = |name: &&str| fs::read(beside.dir().join(name)).unwrap() == b"mine";
            assert!(names.iter().all(is_whole));
            fs::remove_dir_all(beside.dir()).unwrap();
        }
        // Killed before anything was marked, and in the middle.
        for names in [&["lock", "restoring.new"][..], &[], &["account", "restoring", "store.made"]] {
            files(names);
            made(&home).move_to(&home).unwrap();
            assert!(!home.restoring_file().exists());
            fs::remove_dir_all(home.dir()).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (home, elsewhere) = (Home::at(dir.path().join("home")), dir.path().join("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("account"), b"mine").unwrap();
        std::os::unix::fs::symlink(&elsewhere, Beside::of(&home).unwrap().dir()).unwrap();
        assert_eq!(code(Beside::make(&home)), Some(Code::AlreadyExists));
        assert_eq!(fs::read(elsewhere.join("account")).unwrap(), b"mine");
        let empty = dir.path().join("empty");
        fs::create_dir(&empty).unwrap();
        std::os::unix::fs::symlink(&empty, home.dir()).unwrap();
        assert_eq!(code(must_be_free(home.dir())), Some(Code::AlreadyExists));
        assert_eq!(code(must_be_free(&empty)), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn no_home_is_made_over_a_mounted_disk() {
        // One that is mounted on every Linux, and not empty or not: it is refused.
        let about = fs::symlink_metadata("/proc").unwrap();
        assert!(is_mounted(Path::new("/proc"), &about).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("home");
        fs::create_dir(&inside).unwrap();
        assert!(!is_mounted(&inside, &fs::symlink_metadata(&inside).unwrap()).unwrap());
    }
}
