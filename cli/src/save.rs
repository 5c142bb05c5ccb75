//! Saving what others sent: under a safe name, over nothing that is there, through no link.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use parlor_api::{Code, Problem};

/// Numbers that are tried behind a name that is taken.
const NUMBERS: u32 = 10_000;

/// Where a file is saved: in a folder under a safe name, or where the user says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    folder: PathBuf,
    name: String,
}

/// Names that are tried for a part, beside the usual one.
const PARTS: usize = 4;

/// A file on its way to its target, in the same folder, hidden. It was made by us, under a name that nobody had, and is locked while
/// we write, so nothing of anybody else is in it. Removed when dropped before it has its name.
#[derive(Debug)]
pub struct Part {
    file: File,
    path: PathBuf,
    /// Bytes that are there already.
    pub have: u64,
    kept: bool,
}

impl Target {
    /// For what is called `safe`, as the node made it safe: in `out` if that is a folder, as `out` if it is anything else, here if
    /// nothing is said.
    ///
    /// # Errors
    /// `usage` for a path that can not be a file; `not_found` for a folder that is not there.
    pub fn new(out: Option<&Path>, safe: &str) -> Result<Self, Problem> {
        let path = Path::new(safe);
        let mut parts = path.components();
        // The node made it so; it is cheap to be sure.
        let plain =
            matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) && !safe.contains(['/', '\\']);
        let safe = if plain { safe } else { "file" };
        match out {
            None => Ok(Self { folder: PathBuf::from("."), name: safe.to_owned() }),
            Some(out) if out.is_dir() => Ok(Self { folder: out.to_owned(), name: safe.to_owned() }),
            Some(out) if out.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                let detail = format!("the folder {} is not there", out.display());
                Err(Problem::new(Code::NotFound, detail).hint(ELSEWHERE))
            }
            Some(out) => {
                let name = out.file_name().and_then(|name| name.to_str());
                let Some(name) = name else {
                    return Err(Problem::new(Code::Usage, format!("{} can not be a file", out.display())));
                };
                let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                Ok(Self { folder: folder.to_owned(), name: name.to_owned() })
            }
        }
    }

    /// The beginning of the file `hash`. What an ended command left of it is removed first; where the name is taken by anything
    /// else (another command that saves the same, or somebody who can write in the folder) it is under one that nobody knows.
    ///
    /// # Errors
    /// The folder can not be written.
    pub fn part(&self, hash: &str) -> Result<Part, Problem> {
        if !self.folder.is_dir() {
            let detail = format!("the folder {} is not there", self.folder.display());
            return Err(Problem::new(Code::NotFound, detail).hint(ELSEWHERE));
        }
        let short: String = hash.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        let usual = self.folder.join(format!(".parlor-{short}.part"));
        remove_rest(&usual);
        let other = || self.folder.join(format!(".parlor-{short}-{:016x}.part", rand::random::<u64>()));
        for path in std::iter::once(usual.clone()).chain(std::iter::repeat_with(other).take(PARTS)) {
            match Part::make(&path) {
                Ok(Some(part)) => return Ok(part),
                Ok(None) => {}
                Err(error) => return Err(unwritten(&format!("could not write {}", path.display()), &error)),
            }
        }
        Err(Problem::new(Code::AlreadyExists, format!("{} is taken again and again", usual.display())).hint(ELSEWHERE))
    }

    /// The file is whole: gives it its name, with a number where that is taken.
    ///
    /// # Errors
    /// The folder can not be written.
    pub fn keep(&self, mut part: Part) -> Result<PathBuf, Problem> {
        let problem = |what: &str, path: &Path, error: &io::Error| {
            unwritten(&format!("could not {what} {}", path.display()), error)
        };
        part.file.sync_all().map_err(|error| problem("write", &part.path, &error))?;
        if !is_there(&part.file, &part.path) {
            return Err(problem("find", &part.path, &ErrorKind::NotFound.into()));
        }
        for number in 0..NUMBERS {
            let path = self.folder.join(numbered(&self.name, number));
            // Takes the name, if nobody has it: a link counts as somebody.
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(problem("make", &path, &error)),
                Ok(_) => {
                    fs::rename(&part.path, &path).map_err(|error| problem("write", &path, &error))?;
                    part.kept = true;
                    return Ok(path);
                }
            }
        }
        Err(Problem::new(Code::AlreadyExists, format!("there are too many files called {}", self.name)))
    }
}

impl Part {
    /// Makes one; `None` when something has the name. Whoever found it before it was locked took it for a rest.
    fn make(path: &Path) -> io::Result<Option<Self>> {
        let file = match OpenOptions::new().write(true).create_new(true).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            opened => opened?,
        };
        // Where there are no locks, no other command removes it either.
        let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        if taken || !is_there(&file, path) {
            return Ok(None);
        }
        Ok(Some(Self { file, path: path.to_owned(), have: 0, kept: false }))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept && is_there(&self.file, &self.path) {
            // A rest does no harm: the next command removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes what a command left that was ended while it wrote: a plain file that nobody has locked.
pub fn remove_rest(path: &Path) {
    if !fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
        return;
    }
    let Ok(file) = File::open(path) else { return };
    if file.try_lock().is_ok() && is_there(&file, path) {
        // If it can not be, the name is taken.
        let _ = fs::remove_file(path);
    }
}

/// Whether this file is the one of this name.
#[cfg(unix)]
fn is_there(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |found: fs::Metadata| (found.dev(), found.ino());
    file.metadata().ok().map(place).zip(fs::symlink_metadata(path).ok().map(place)).is_some_and(|(a, b)| a == b)
}

#[cfg(not(unix))]
fn is_there(_: &File, path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.have += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// `name`, `name (1)`, `name (2)`, the number before the ending.
fn numbered(name: &str, number: u32) -> String {
    match (number, name.rfind('.').filter(|at| *at > 0)) {
        (0, _) => name.to_owned(),
        (n, Some(at)) => format!("{} ({n}){}", &name[..at], &name[at..]),
        (n, None) => format!("{name} ({n})"),
    }
}

/// What can be done where a file can not be written.
const ELSEWHERE: &str = "name another place with --out PATH";

/// A file could not be written; `what` says so.
pub fn unwritten(what: &str, error: &io::Error) -> Problem {
    let detail = format!("{what}: {error}");
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Problem::new(Code::DiskFull, detail).hint("make room on the disk, or name another place with --out PATH")
        }
        _ => Problem::new(Code::Internal, detail).hint(ELSEWHERE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123";

    fn save(target: &Target, content: &[u8]) -> PathBuf {
        let mut part = target.part(HASH).unwrap();
        part.write_all(content).unwrap();
        assert_eq!(part.have, content.len() as u64);
        target.keep(part).unwrap()
    }

    #[test]
    fn nothing_is_overwritten_and_what_was_left_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::new(Some(dir.path()), "a.tar.gz").unwrap();
        // As a command leaves it that is killed, or as somebody plants it.
        fs::write(dir.path().join(".parlor-0123456789abcdef.part"), b"hullo").unwrap();
        assert_eq!(save(&target, b"hello you!"), dir.path().join("a.tar.gz"));
        assert_eq!(save(&target, b"other"), dir.path().join("a.tar (1).gz"));
        assert_eq!(save(&target, b"third"), dir.path().join("a.tar (2).gz"));
        assert_eq!(fs::read(dir.path().join("a.tar.gz")).unwrap(), b"hello you!");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "no part is left");
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_file_of_that_name() {
        let dir = tempfile::tempdir().unwrap();
        let there = |name: &str| Target::new(Some(Path::new(&format!("{}/{name}", dir.path().display()))), "a.txt");
        assert_eq!(there("new/").map(|_| ()).unwrap_err().code, Code::NotFound);
        assert!(there("new").is_ok());
    }

    #[test]
    fn two_commands_that_save_the_same_do_not_meet() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::new(Some(dir.path()), "a.txt").unwrap();
        let (mut one, mut two) = (target.part(HASH).unwrap(), target.part(HASH).unwrap());
        one.write_all(b"one ").unwrap();
        two.write_all(b"two").unwrap();
        let mut three = target.part(HASH).unwrap();
        three.write_all(b"given up").unwrap();
        drop(three);
        one.write_all(b"goes on").unwrap();
        assert_eq!(fs::read(target.keep(one).unwrap()).unwrap(), b"one goes on");
        assert_eq!(fs::read(target.keep(two).unwrap()).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no part is left");
    }

    /// Attack 51.
    #[cfg(unix)]
    #[test]
    fn a_part_that_somebody_put_in_its_place_is_not_taken_for_ours() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::new(Some(dir.path()), "a.txt").unwrap();
        let mut part = target.part(HASH).unwrap();
        part.write_all(b"whole").unwrap();
        fs::rename(&part.path, dir.path().join("away")).unwrap();
        fs::write(&part.path, b"false").unwrap();
        assert!(target.keep(part).is_err());
        assert!(!dir.path().join("a.txt").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "what is not ours stays");
        // Somebody has it open and locked: another name is as good.
        let planted = dir.path().join(".parlor-0123456789abcdef.part");
        let held = File::open(&planted).unwrap();
        held.lock().unwrap();
        assert_eq!(fs::read(save(&target, b"whole")).unwrap(), b"whole");
        assert_eq!(fs::read(&planted).unwrap(), b"false");
    }

    #[test]
    fn what_can_not_be_written_is_no_wrong_usage() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::new(Some(&dir.path().join("none/a.txt")), "a.txt").unwrap();
        assert_eq!(target.part(HASH).unwrap_err().code, Code::NotFound);
        for (kind, code) in [
            (ErrorKind::StorageFull, Code::DiskFull),
            (ErrorKind::QuotaExceeded, Code::DiskFull),
            (ErrorKind::PermissionDenied, Code::Internal),
        ] {
            let problem = unwritten("could not write a", &kind.into());
            assert_eq!((problem.code, problem.code.exit()), (code, 1));
        }
    }

    /// Attack 51.
    #[cfg(unix)]
    #[test]
    fn links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, b"mine").unwrap();
        let folder = dir.path().join("downloads");
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("a.txt")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("new"), folder.join("a (1).txt")).unwrap();
        std::os::unix::fs::symlink(&outside, folder.join(".parlor-0123456789abcdef.part")).unwrap();
        let target = Target::new(Some(&folder), "a.txt").unwrap();
        assert_eq!(save(&target, b"theirs"), folder.join("a (2).txt"));
        assert_eq!(fs::read(&outside).unwrap(), b"mine");
        assert!(!dir.path().join("new").exists());
    }

    #[test]
    fn a_name_that_is_a_path_after_all_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["../up", "/etc/passwd", "a/b", "..", "a\\b", ""] {
            let target = Target::new(Some(dir.path()), name).unwrap();
            assert_eq!(target, Target { folder: dir.path().to_owned(), name: "file".into() }, "{name}");
        }
        let chosen = Target::new(Some(&dir.path().join("new.txt")), "a.txt").unwrap();
        assert_eq!(chosen, Target { folder: dir.path().to_owned(), name: "new.txt".into() });
        assert_eq!(Target::new(Some(Path::new("new.txt")), "a").unwrap().folder, Path::new("."));
        assert!(Target::new(Some(&dir.path().join("none/..")), "a").is_err());
    }
}
