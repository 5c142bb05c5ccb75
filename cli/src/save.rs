//! Saving what others sent: under a safe name, over nothing that is there, through no link.

use std::fs::{self, File, OpenOptions};
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

/// A file on its way to its target, in the same folder, hidden: what came stays there until all of it did.
#[derive(Debug)]
pub struct Part {
    file: File,
    path: PathBuf,
    /// Bytes that are there already.
    pub have: u64,
}

impl Target {
    /// For what is called `safe`, as the node made it safe: in `out` if that is a folder, as `out` if it is anything else, here if
    /// nothing is said.
    ///
    /// # Errors
    /// `usage` for a path that can not be a file.
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

    /// What came of the file `hash` before, to go on with, or a beginning.
    ///
    /// # Errors
    /// The folder can not be written.
    pub fn part(&self, hash: &str, size: u64) -> Result<Part, Problem> {
        let short: String = hash.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        let path = self.folder.join(format!(".parlor-{short}.part"));
        // Only a file of ours is gone on with: a link could lead elsewhere.
        let before = fs::symlink_metadata(&path).ok();
        if before.as_ref().is_some_and(|found| !found.is_file() || found.len() > size) {
            fs::remove_file(&path).map_err(|error| problem("remove", &path, &error))?;
        }
        let open = |options: &mut OpenOptions| options.append(true).open(&path);
        let file = match open(OpenOptions::new().create_new(true)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => open(&mut OpenOptions::new()),
            opened => opened,
        };
        let file = file.map_err(|error| problem("write", &path, &error))?;
        let have = file.metadata().map_err(|error| problem("read", &path, &error))?.len();
        Ok(Part { file, path, have })
    }

    /// The file is whole: gives it its name, with a number where that is taken.
    ///
    /// # Errors
    /// The folder can not be written.
    pub fn keep(&self, part: Part) -> Result<PathBuf, Problem> {
        part.file.sync_all().map_err(|error| problem("write", &part.path, &error))?;
        for number in 0..NUMBERS {
            let path = self.folder.join(numbered(&self.name, number));
            // Takes the name, if nobody has it: a link counts as somebody.
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(problem("make", &path, &error)),
                Ok(_) => {
                    fs::rename(&part.path, &path).map_err(|error| problem("write", &path, &error))?;
                    return Ok(path);
                }
            }
        }
        Err(Problem::new(Code::AlreadyExists, format!("there are too many files called {}", self.name)))
    }
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

fn problem(what: &str, path: &Path, error: &io::Error) -> Problem {
    let code = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Code::DiskFull,
        _ => Code::Usage,
    };
    Problem::new(code, format!("could not {what} {}: {error}", path.display()))
        .hint("name another place with --out PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123";

    fn save(target: &Target, content: &[u8]) -> PathBuf {
        let mut part = target.part(HASH, content.len() as u64).unwrap();
        let rest = content[part.have as usize..].to_vec();
        part.write_all(&rest).unwrap();
        target.keep(part).unwrap()
    }

    #[test]
    fn nothing_is_overwritten_and_a_part_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::new(Some(dir.path()), "a.tar.gz").unwrap();
        target.part(HASH, 10).unwrap().write_all(b"hello").unwrap();
        assert_eq!(target.part(HASH, 10).unwrap().have, 5);
        assert_eq!(save(&target, b"hello you!"), dir.path().join("a.tar.gz"));
        assert_eq!(save(&target, b"other"), dir.path().join("a.tar (1).gz"));
        assert_eq!(save(&target, b"third"), dir.path().join("a.tar (2).gz"));
        assert_eq!(fs::read(dir.path().join("a.tar.gz")).unwrap(), b"hello you!");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "no part is left");
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
