//! The place beside a home in which it is made: `HOME.restoring`, which is moved to its place when it is whole.
//!
//! For as long as it is no home a file in it (`restoring`) says so: what was left of somebody who was killed is cleared away by the
//! next one who restores there. Somebody's home that is called like that has no such file, or a node ran on it.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use parlor_api::{Code, Problem};

use crate::home::{self, Home};

/// A home is moved to its place as a whole: there may be an empty folder, and no link or mounted disk, over which nothing is moved.
pub(super) fn must_be_free(dir: &Path) -> Result<(), Problem> {
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
pub(super) struct Beside {
    pub(super) home: Home,
    lock: Option<parlor_storage::private::Lock>,
    /// It is at its place, or given up.
    moved: bool,
}

impl Beside {
    pub(super) fn of(home: &Home) -> Result<Home, Problem> {
        let mut name = home.dir().file_name().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(Problem::new(Code::Usage, "the home has no name").hint("name a folder with --home DIR"));
        }
        name.push(".restoring");
        Ok(Home::at(home.dir().with_file_name(name)))
    }

    /// What is there already is what was left of somebody who was killed, and nothing else: it is going to be cleared away.
    pub(super) fn may_be_made(beside: &Home) -> Result<(), Problem> {
        let dir = beside.dir();
        let about = match fs::symlink_metadata(dir) {
            Ok(about) => about,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(home::problem("read", dir, &error)),
        };
        let foreign = || {
            let what = format!("{} is in the way, and is nothing that a restore left half way", dir.display());
            // A restore that is killed between its last two steps leaves it whole.
            let hint = match beside.has_account() {
                true => "it is a home: move it elsewhere to use it, or name another home with --home DIR",
                false => "move it elsewhere, or name another home with --home DIR",
            };
            Problem::new(Code::AlreadyExists, what).hint(hint)
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

    pub(super) fn make(home: &Home) -> Result<Self, Problem> {
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

    /// Moves what was made to its place, if it was; otherwise nothing of it stays, or it is said what does.
    pub(super) fn finish<T>(mut self, made: Result<T, Problem>, home: &Home) -> Result<T, Problem> {
        let done = made.and_then(|made| self.move_to(home).map(|()| made));
        done.map_err(|problem| match self.give_up() {
            Ok(()) => problem,
            Err(left) => {
                let what =
                    format!("{}; and what was made of it is left in {}", problem.detail, self.home.dir().display());
                Problem::new(problem.code, what).hint(format!("remove that folder ({})", left.detail))
            }
        })
    }

    /// Takes all of it away, unless it is at its place.
    fn give_up(&mut self) -> Result<(), Problem> {
        if self.moved {
            return Ok(());
        }
        self.clear(true)?;
        self.lock = None;
        fs::remove_dir(self.home.dir()).map_err(|error| home::problem("remove", self.home.dir(), &error))?;
        // There is nothing left to take away.
        self.moved = true;
        Ok(())
    }

    fn move_to(&mut self, home: &Home) -> Result<(), Problem> {
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
    /// Whatever it was given up for, nothing of it stays: it may hold open keys already.
    fn drop(&mut self) {
        let _ = self.give_up();
    }
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
        assert!(made.finish(Ok(()), &home).is_err());
        assert!(!beside.exists());
        assert_eq!(fs::read_dir(home.dir()).unwrap().count(), 1, "what was there is as it was");
    }

    #[test]
    fn nobody_clears_a_home_away_that_is_being_moved_and_the_next_one_finds_the_place_free() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        let first = made(&home);
        assert_eq!(code(Beside::make(&home)), Some(Code::HomeLocked));
        first.finish(Ok(()), &home).unwrap();
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
            made(&home).finish(Ok(()), &home).unwrap();
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
