//! Private files beside a store: folders of mode 0700, files of mode 0600, replaced wholly or not at all, and the lock by
//! which one process owns a folder.
//!
//! Errors are the system's; what they mean to people, the programs say.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use crate::stamp::sync_folder;

/// Largest small file that is read whole: settings and keys are far below, and a foreign file does not fill memory.
pub const SMALL_FILE_MAX: u64 = 1 << 20;

/// Proof that this process owns a folder. Dropping it gives the folder free; the operating system does so when the process
/// ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock in this file, made if there is none, without waiting; `None` when another process holds it. The file
    /// then holds our process id, for people; by itself it means nothing.
    ///
    /// # Errors
    /// The file can not be opened, locked or written, or is a link: what it leads to would be overwritten.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        no_link(path)?;
        let mut file = writing().create(true).truncate(false).open(path)?;
        is_there(&file, path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Some(Self { _file: file }))
    }
}

/// Takes the rights of others from a folder that is there; nothing happens if there is none.
///
/// # Errors
/// It is not ours.
pub fn narrow_folder(dir: &Path) -> io::Result<()> {
    match own_only(dir, 0o700) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Makes a folder, with those above it, or takes the rights of others from one that is there.
///
/// # Errors
/// It can not be made, or is not ours.
pub fn make_folder(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    // Private from the first moment.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    own_only(dir, 0o700)
}

/// Takes the rights of others from a file.
///
/// # Errors
/// It is not there, or not ours.
pub fn protect(path: &Path) -> io::Result<()> {
    own_only(path, 0o600)
}

/// Reads a small file; `None` when there is none.
///
/// # Errors
/// [`ErrorKind::FileTooLarge`] when it has more than [`SMALL_FILE_MAX`] bytes; it can not be read.
pub fn read_small(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(SMALL_FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SMALL_FILE_MAX { Err(ErrorKind::FileTooLarge.into()) } else { Ok(Some(bytes)) }
}

/// Replaces a small file atomically: written beside, flushed, renamed, folder flushed. A crash leaves the old one or the
/// new one.
///
/// # Errors
/// It can not be written; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = folder.join(name);
    // A rest of a crash: it was never renamed, so nobody relies on it.
    let _ = fs::remove_file(&beside);
    let written = writing().create_new(true).open(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&beside, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&beside);
    }
    renamed?;
    sync_folder(folder)
}

/// Makes a file that only its owner can open, and that was not there.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    writing().create_new(true).open(path)
}

/// Options to write a file that only its owner can open.
fn writing() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Refuses a link in place of a file.
fn no_link(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(is_link()),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_link() -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, "it is a link to somewhere else")
}

/// Refuses a file that is not the one of this name: a link came between.
#[cfg(unix)]
fn is_there(file: &File, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (opened, named) = (file.metadata()?, fs::symlink_metadata(path)?);
    if (opened.dev(), opened.ino()) == (named.dev(), named.ino()) { Ok(()) } else { Err(is_link()) }
}

#[cfg(not(unix))]
fn is_there(_: &File, path: &Path) -> io::Result<()> {
    no_link(path)
}

#[cfg(unix)]
fn own_only(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path)?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn own_only(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lock");
        let first = Lock::take(&file).unwrap();
        assert!(first.is_some());
        assert!(Lock::take(&file).unwrap().is_none());
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), std::process::id().to_string());
        drop(first);
        assert!(Lock::take(&file).unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_is_a_link_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (lock, precious, none) = (dir.path().join("lock"), dir.path().join("precious"), dir.path().join("none"));
        fs::write(&precious, b"precious").unwrap();
        for to in [&precious, &none] {
            std::os::unix::fs::symlink(to, &lock).unwrap();
            assert_eq!(Lock::take(&lock).unwrap_err().kind(), ErrorKind::PermissionDenied);
            fs::remove_file(&lock).unwrap();
        }
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
        assert!(!none.exists());
        // One that came after the look is noticed before anything is written.
        std::os::unix::fs::symlink(&precious, &lock).unwrap();
        let opened = writing().open(&lock).unwrap();
        assert_eq!(is_there(&opened, &lock).unwrap_err().kind(), ErrorKind::PermissionDenied);
        is_there(&opened, &precious).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn folders_and_files_are_their_owners_alone_also_those_that_were_not() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (folder, file) = (dir.path().join("a/b"), dir.path().join("a/b/key"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        make_folder(&folder).unwrap();
        replace(&file, b"1").unwrap();
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        make_folder(&folder).unwrap();
        protect(&file).unwrap();
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        narrow_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        narrow_folder(&dir.path().join("none")).unwrap();
        assert!(!dir.path().join("none").exists());
    }

    #[test]
    fn a_small_file_is_replaced_over_what_a_crash_left_and_a_large_one_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        assert_eq!(read_small(&file).unwrap(), None);
        fs::write(dir.path().join("token.new"), b"half").unwrap();
        replace(&file, b"one").unwrap();
        replace(&file, b"two").unwrap();
        assert_eq!(read_small(&file).unwrap().unwrap(), b"two");
        assert!(!dir.path().join("token.new").exists());
        assert!(replace(&dir.path().join("none/token"), b"three").is_err());
        File::create(&file).unwrap().set_len(SMALL_FILE_MAX + 1).unwrap();
        assert_eq!(read_small(&file).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
