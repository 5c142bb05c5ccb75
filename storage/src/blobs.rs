//! Files of the chat, beside the store: sealed chunks that a database is no place for.
//!
//! ```text
//! DIR/new/N                     a file being sealed here: its name is not known yet; removed when the folder is opened
//! DIR/xx/NAME.part              a file on its way: chunks that came, holes for the others
//! DIR/xx/NAME                   a whole file
//!     NAME = hex of keyed H(blobs, file id)[..20]; xx its first two digits
//! ```
//! The chunk of slot s stands at s * 262,160, sealed as it goes over the wire; nothing else is in a file. What is held of one on
//! its way is found by checking the chunks against their names, so a torn write is fetched again and no index can be wrong. A
//! whole file was synced, then renamed, and its folder synced: from then on it is durable. All calls block.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parlor_crypto::file::{CHUNK_LEN, TAG};
use parlor_crypto::vault::{BlindingKey, Vault};
use parlor_proto::FileId;

use crate::limits::RESERVE_BYTES;
use crate::private::make_folder;
use crate::stamp::sync_folder;

/// Bytes from the start of one slot to that of the next.
const STRIDE: u64 = (CHUNK_LEN + TAG) as u64;

/// Bytes of a blinded name.
const NAME: usize = 20;

/// Ending of a file on its way.
const PART: &str = "part";

/// Why something could not be done with a file.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is not here.
    #[error("the file is not here")]
    Missing,
    /// Too little space is left on the disk: what the store needs stays free.
    #[error("the disk is full: free some space and try again")]
    DiskFull,
    /// Another error of the operating system.
    #[error("a file of the chat could not be read or written: {0}")]
    Io(io::Error),
}

impl From<io::Error> for BlobError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Missing,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

/// What is here of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// Some of it, perhaps.
    Part,
    /// All of it.
    Whole,
}

/// A file as [`Blobs::usage`] finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Whole, or a part.
    pub held: Held,
    /// Bytes that it takes on the disk.
    pub bytes: u64,
    /// When something of it was written last.
    pub written: SystemTime,
}

/// The folder of the files. Clones are the same folder.
#[derive(Debug, Clone)]
pub struct Blobs {
    dir: PathBuf,
    names: BlindingKey,
    next: Arc<AtomicU64>,
    reserve: u64,
}

/// A file that can be written.
#[derive(Debug)]
pub struct Blob {
    file: File,
    path: PathBuf,
    blobs: Blobs,
    /// Sealed here, and removed unless it is kept.
    fresh: bool,
}

impl Blobs {
    /// Opens the folder, or makes it; removes what was being sealed when the last process ended.
    ///
    /// # Errors
    /// The folder can not be made or read.
    pub fn open(dir: &Path, vault: &Vault) -> Result<Self, BlobError> {
        let new = dir.join("new");
        make_folder(&new)?;
        for entry in fs::read_dir(&new)? {
            fs::remove_file(entry?.path())?;
        }
        let names = vault.blinding_key("blobs");
        Ok(Self { dir: dir.to_owned(), names, next: Arc::default(), reserve: RESERVE_BYTES })
    }

    /// Begins a file that is sealed here.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub fn create(&self) -> Result<Blob, BlobError> {
        let path = self.dir.join("new").join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let file = private().create_new(true).open(&path)?;
        Ok(Blob { file, path, blobs: self.clone(), fresh: true })
    }

    /// A file on its way, as far as it came, or begun.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub fn part(&self, file: &FileId) -> Result<Blob, BlobError> {
        let path = self.path(file).with_extension(PART);
        make_folder(path.parent().unwrap_or(&self.dir))?;
        let file = private().create(true).truncate(false).open(&path)?;
        Ok(Blob { file, path, blobs: self.clone(), fresh: false })
    }

    /// What is here of a file.
    pub fn held(&self, file: &FileId) -> Held {
        let path = self.path(file);
        if path.is_file() {
            Held::Whole
        } else if path.with_extension(PART).is_file() {
            Held::Part
        } else {
            Held::Nothing
        }
    }

    /// The chunk of `len` bytes in a slot, of a whole file or of one on its way; of the latter it may be anything.
    ///
    /// # Errors
    /// [`BlobError::Missing`] also when the file ends before.
    pub fn read(&self, file: &FileId, slot: u32, len: usize) -> Result<Vec<u8>, BlobError> {
        let path = self.path(file);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => File::open(path.with_extension(PART))?,
            opened => opened?,
        };
        read_at(&mut file, slot, len)
    }

    /// What a file takes on the disk; `None` if nothing of it is here.
    pub fn usage(&self, file: &FileId) -> Option<Usage> {
        let path = self.path(file);
        let whole = fs::metadata(&path).map(|found| (Held::Whole, found));
        let (held, found) =
            whole.or_else(|_| fs::metadata(path.with_extension(PART)).map(|it| (Held::Part, it))).ok()?;
        Some(Usage { held, bytes: on_disk(&found), written: found.modified().unwrap_or(SystemTime::UNIX_EPOCH) })
    }

    /// Removes a file, whole or not, if it is here.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub fn remove(&self, file: &FileId) -> Result<(), BlobError> {
        let path = self.path(file);
        for path in [path.with_extension(PART), path] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes all files but these, whole or not: what is left of a process that ended while one was removed, and of rooms that are
    /// gone. What was written since `before` stays. For the start, when nobody uses the folder. Answers how many there were.
    ///
    /// # Errors
    /// The folder can not be read; what can not be removed is left.
    pub fn keep_only(&self, files: &HashSet<FileId>, before: SystemTime) -> Result<usize, BlobError> {
        let kept: HashSet<String> = files.iter().map(|file| self.name(file)).collect();
        let mut removed = 0;
        for folder in fs::read_dir(&self.dir)? {
            let folder = folder?;
            if folder.file_name().len() != 2 || !folder.file_type()?.is_dir() {
                continue;
            }
            for entry in fs::read_dir(folder.path())? {
                let entry = entry?;
                let path = entry.path();
                let name = path.file_stem().and_then(OsStr::to_str).filter(|name| is_name(name));
                let goes = name.is_some_and(|name| !kept.contains(name)) && is_older(&entry, before);
                if goes && fs::remove_file(&path).is_ok() {
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    fn name(&self, file: &FileId) -> String {
        self.names.blind(&[&file.0])[..NAME].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn path(&self, file: &FileId) -> PathBuf {
        let name = self.name(file);
        self.dir.join(&name[..2]).join(name)
    }
}

/// Whether we gave this name, and not somebody else who put something there.
fn is_name(name: &str) -> bool {
    name.len() == 2 * NAME && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether nothing was written of it since; what can not be told is young.
fn is_older(entry: &fs::DirEntry, before: SystemTime) -> bool {
    entry.metadata().and_then(|about| about.modified()).is_ok_and(|written| written < before)
}

impl Blob {
    /// Writes the chunk of a slot. It is durable after [`keep`](Self::keep).
    ///
    /// # Errors
    /// See [`BlobError`].
    pub fn write(&mut self, slot: u32, sealed: &[u8]) -> Result<(), BlobError> {
        if fs4::available_space(&self.path)? < self.blobs.reserve + sealed.len() as u64 {
            return Err(BlobError::DiskFull);
        }
        self.file.seek(SeekFrom::Start(u64::from(slot) * STRIDE))?;
        Ok(self.file.write_all(sealed)?)
    }

    /// The `len` bytes in a slot, whatever they are; of a hole, or beyond the end, zeros or [`BlobError::Missing`].
    ///
    /// # Errors
    /// See [`BlobError`].
    pub fn read(&mut self, slot: u32, len: usize) -> Result<Vec<u8>, BlobError> {
        read_at(&mut self.file, slot, len)
    }

    /// The file is whole: makes it durable under its name. When this returns it is there after a power cut.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub fn keep(mut self, file: &FileId) -> Result<(), BlobError> {
        self.file.sync_all()?;
        let path = self.blobs.path(file);
        let folder = path.parent().unwrap_or(&self.blobs.dir).to_owned();
        make_folder(&folder)?;
        fs::rename(&self.path, &path)?;
        self.fresh = false;
        sync_folder(&folder)?;
        Ok(sync_folder(&self.blobs.dir)?)
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if self.fresh {
            // What stays is removed at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn read_at(file: &mut File, slot: u32, len: usize) -> Result<Vec<u8>, BlobError> {
    let mut bytes = vec![0; len];
    file.seek(SeekFrom::Start(u64::from(slot) * STRIDE))?;
    match file.read_exact(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(BlobError::Missing),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(bytes),
    }
}

/// Options to read and write a file that only its owner can open.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn on_disk(found: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    found.blocks() * 512
}

#[cfg(not(unix))]
fn on_disk(found: &fs::Metadata) -> u64 {
    found.len()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn blobs(dir: &Path) -> Blobs {
        Blobs::open(dir, &Vault::generate(&mut rand::rng())).unwrap()
    }

    const FILE: FileId = FileId([7; 32]);

    #[test]
    fn a_file_sealed_here_is_there_once_it_is_kept_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = blobs(dir.path());
        let mut blob = blobs.create().unwrap();
        blob.write(2, b"content").unwrap();
        blob.write(0, b"names").unwrap();
        assert_eq!((blobs.held(&FILE), blob.read(0, 5).unwrap()), (Held::Nothing, b"names".to_vec()));
        blob.keep(&FILE).unwrap();
        assert_eq!(blobs.held(&FILE), Held::Whole);
        assert_eq!(blobs.read(&FILE, 2, 7).unwrap(), b"content");
        assert!(matches!(blobs.read(&FILE, 2, 8), Err(BlobError::Missing)));
        let mut dropped = blobs.create().unwrap();
        dropped.write(0, b"rest").unwrap();
        drop(dropped);
        assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 0);
        blobs.remove(&FILE).unwrap();
        blobs.remove(&FILE).unwrap();
        assert!(matches!(blobs.read(&FILE, 2, 7), Err(BlobError::Missing)));
    }

    #[test]
    fn a_file_on_its_way_goes_on_where_it_stood_and_takes_no_more_than_came() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = blobs(dir.path());
        let whole = vec![9; STRIDE as usize];
        blobs.part(&FILE).unwrap().write(1_000, &whole).unwrap();
        let usage = blobs.usage(&FILE).unwrap();
        assert_eq!((blobs.held(&FILE), usage.held), (Held::Part, Held::Part));
        assert!(usage.bytes < 3 * STRIDE, "holes take no space: {}", usage.bytes);
        let mut again = blobs.part(&FILE).unwrap();
        assert_eq!(again.read(1_000, STRIDE as usize).unwrap(), whole);
        assert!(again.read(4, 10).unwrap().iter().all(|byte| *byte == 0));
        drop(again);
        assert_eq!(blobs.held(&FILE), Held::Part, "it stays for the next time");
        blobs.part(&FILE).unwrap().keep(&FILE).unwrap();
        assert_eq!((blobs.held(&FILE), blobs.read(&FILE, 1_000, 3).unwrap()), (Held::Whole, vec![9; 3]));
    }

    #[test]
    fn what_nothing_names_goes_and_what_is_named_or_foreign_stays() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = blobs(dir.path());
        let files: Vec<FileId> = (0..6).map(|n| FileId([n; 32])).collect();
        for (n, file) in files.iter().enumerate() {
            let mut blob = blobs.part(file).unwrap();
            blob.write(0, b"x").unwrap();
            if n % 2 == 0 {
                blob.keep(file).unwrap();
            }
        }
        let foreign = blobs.path(&files[0]).with_file_name("notes.txt");
        fs::write(&foreign, b"mine").unwrap();
        let named = files[..2].iter().copied().collect();
        let (past, later) = (Duration::from_secs(3_600), SystemTime::now() + Duration::from_secs(3_600));
        assert_eq!(blobs.keep_only(&named, SystemTime::now() - past).unwrap(), 0, "all of them are young");
        assert_eq!(blobs.keep_only(&named, later).unwrap(), 4);
        let held: Vec<Held> = files.iter().map(|file| blobs.held(file)).collect();
        assert_eq!(held[..2], [Held::Whole, Held::Part]);
        assert!(held[2..].iter().all(|held| *held == Held::Nothing) && foreign.exists());
    }

    #[test]
    fn names_on_disk_say_nothing_and_what_was_being_sealed_is_gone_after_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let one = blobs(dir.path());
        one.part(&FILE).unwrap().write(0, b"x").unwrap();
        std::mem::forget(one.create().unwrap());
        let another = blobs(dir.path());
        assert_eq!(another.held(&FILE), Held::Nothing, "another vault has another name for it");
        assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 0);
        let hex: String = FILE.to_string();
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.into_iter().all(|name| !hex.starts_with(&*name.to_string_lossy())));
    }

    #[test]
    fn what_the_store_needs_stays_free() {
        let dir = tempfile::tempdir().unwrap();
        let mut blobs = blobs(dir.path());
        blobs.reserve = u64::MAX / 2;
        let full = blobs.part(&FILE).unwrap().write(0, b"x");
        assert!(matches!(full, Err(BlobError::DiskFull)));
    }

    #[cfg(unix)]
    #[test]
    fn files_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let blobs = blobs(dir.path());
        blobs.part(&FILE).unwrap();
        let path = blobs.path(&FILE).with_extension(PART);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
