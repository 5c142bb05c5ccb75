//! The folder of the index: every file sealed in blocks, under a name that tells nothing.
//!
//! ```text
//! file   sealed key [72] | blocks       key: the file's own, sealed by the vault for the file's path
//! block  sealed(16,384 bytes; the last one 0 to 16,384), aad = number u64 | last u8
//! ```
//! Files are written once. A block that is damaged, moved or missing does not open, so a torn file is an error and never wrong
//! data. Nothing is synced until [`Sealed::sync`] says so: what a crash takes is built anew. A file that is removed loses its key
//! first: on the shelf of what disappears that is synced, on the other one it is as good as the file system makes it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use parlor_crypto::Secret;
use parlor_crypto::envelope::{EnvelopeKey, OVERHEAD};
use parlor_crypto::vault::{BlindingKey, Vault};
use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, Directory, DirectoryLock, FileHandle, Lock, META_LOCK, OwnedBytes, TerminatingWrite, WatchCallback,
    WatchHandle, WritePtr,
};
use zeroize::Zeroizing;

use super::shelf::Shelf;
use super::squeeze::{Loose, Squeezing, is_squeezed};
use crate::limits::SEARCH_CACHE_BLOCKS;
use crate::private::make_folder;
use crate::stamp::sync_folder;

/// Bytes of a block before it is sealed.
const BLOCK: usize = 16 * 1024;

/// Bytes of a sealed block.
const SEALED: usize = BLOCK + OVERHEAD;

/// Bytes of the sealed key at the beginning of a file.
const HEAD: usize = 32 + OVERHEAD;

/// Bytes of a blinded name.
const NAME: usize = 20;

/// The folder. Clones are the same.
#[derive(Clone)]
pub(crate) struct Sealed(Arc<Inner>, Shelf);

struct Inner {
    dir: PathBuf,
    keys: EnvelopeKey,
    names: BlindingKey,
    cache: Mutex<Cache>,
    /// Files that are written and not synced.
    fresh: Mutex<HashSet<PathBuf>>,
    /// Whether it is somebody's [`Turn`].
    turn: Arc<(Mutex<bool>, Condvar)>,
    /// Bytes that were written.
    written: AtomicU64,
    /// Numbers opened files, so that blocks of one are not taken for those of another.
    next: AtomicU64,
    /// A block did not open, or a file could not be read.
    damaged: std::sync::atomic::AtomicBool,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("dir", &self.0.dir).finish_non_exhaustive()
    }
}

/// Files are either being opened, or looked through for those that are to be removed.
struct Turn(Arc<(Mutex<bool>, Condvar)>);

impl Turn {
    fn wait(taken: &Arc<(Mutex<bool>, Condvar)>) -> Self {
        let free = taken.1.wait_while(locked(&taken.0), |taken| *taken);
        *free.unwrap_or_else(PoisonError::into_inner) = true;
        Self(Arc::clone(taken))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *locked(&self.0.0) = false;
        self.0.1.notify_one();
    }
}

/// An opened block.
type Block = Arc<Zeroizing<Vec<u8>>>;

/// Opened blocks, the ones used last.
#[derive(Default)]
struct Cache {
    blocks: HashMap<(u64, u64), (u64, Block)>,
    clock: u64,
}

impl Cache {
    fn get(&mut self, at: (u64, u64)) -> Option<Block> {
        self.clock += 1;
        let clock = self.clock;
        self.blocks.get_mut(&at).map(|(used, block)| {
            *used = clock;
            Arc::clone(block)
        })
    }

    fn put(&mut self, at: (u64, u64), block: Block) {
        self.clock += 1;
        if self.blocks.len() >= SEARCH_CACHE_BLOCKS {
            // The older half goes at once, so that this is rare.
            let mut used: Vec<u64> = self.blocks.values().map(|(used, _)| *used).collect();
            let middle = used.len() / 2;
            let (_, limit, _) = used.select_nth_unstable(middle);
            let limit = *limit;
            self.blocks.retain(|_, (used, _)| *used > limit);
        }
        self.blocks.insert(at, (self.clock, block));
    }
}

impl Sealed {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// It can not be made.
    pub(crate) fn open(dir: &Path, vault: &Vault) -> io::Result<Self> {
        make_folder(dir)?;
        let inner = Inner {
            dir: dir.to_owned(),
            keys: vault.sealing_key("search files"),
            names: vault.blinding_key("search names"),
            cache: Mutex::default(),
            fresh: Mutex::default(),
            turn: Arc::default(),
            written: AtomicU64::new(0),
            next: AtomicU64::new(0),
            damaged: std::sync::atomic::AtomicBool::new(false),
        };
        Ok(Self(Arc::new(inner), Shelf::Lasting))
    }

    /// The files of this shelf.
    pub(crate) fn of(&self, shelf: Shelf) -> Self {
        Self(Arc::clone(&self.0), shelf)
    }

    /// Removes all files of the folder, with their keys.
    ///
    /// # Errors
    /// One can not be removed.
    pub(crate) fn wipe(dir: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            shred(&path, true).or_else(|_| fs::remove_file(&path))?;
        }
        sync_folder(dir)
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// The disk says no; then it is tried again the next time.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let fresh: Vec<_> = locked(&self.0.fresh).iter().cloned().collect();
        for path in fresh {
            match File::open(&path) {
                Ok(file) => file.sync_all()?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            locked(&self.0.fresh).remove(&path);
        }
        sync_folder(&self.0.dir)
    }

    /// Whether something was found that is not what was written.
    pub(crate) fn is_damaged(&self) -> bool {
        self.0.damaged.load(Ordering::Acquire)
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        fs::read_dir(&self.0.dir)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
    }

    /// Bytes that were written since it was opened.
    pub(crate) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    fn wrote(&self, bytes: usize) {
        self.0.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What a file is known by: its path, behind the name of its shelf.
    fn name(&self, path: &Path) -> Vec<u8> {
        let path = path.to_string_lossy();
        match self.1 {
            Shelf::Lasting => path.as_bytes().to_vec(),
            Shelf::Fading => [b"fading/", path.as_bytes()].concat(),
        }
    }

    fn path(&self, path: &Path) -> PathBuf {
        let name = self.0.names.blind(&[&self.name(path)]);
        self.0.dir.join(name[..NAME].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    /// Begins a file: a key of its own, sealed for its path.
    fn begin(&self, path: &Path) -> (EnvelopeKey, Vec<u8>) {
        let mut key = Zeroizing::new([0; 32]);
        rand::Rng::fill_bytes(&mut rand::rng(), key.as_mut_slice());
        let head = self.0.keys.seal(&mut rand::rng(), &self.name(path), key.as_slice());
        (EnvelopeKey::new(&Secret::new(*key)), head)
    }

    /// The key of a file.
    fn key(&self, path: &Path, head: &[u8]) -> io::Result<EnvelopeKey> {
        let key = self.0.keys.open(&self.name(path), head).map(Zeroizing::new);
        let key = key.ok().and_then(|key| <[u8; 32]>::try_from(key.as_slice()).ok().map(Zeroizing::new));
        key.map(|key| EnvelopeKey::new(&Secret::new(*key)))
            .ok_or_else(|| self.damage("the key of a file does not open"))
    }

    /// Whether what is there under this name opens.
    #[cfg(test)]
    pub(crate) fn opens(&self, path: &Path) -> bool {
        self.open_file(path).is_ok()
    }

    fn damage(&self, what: &str) -> io::Error {
        self.0.damaged.store(true, Ordering::Release);
        io::Error::new(ErrorKind::InvalidData, what.to_owned())
    }

    fn open_file(&self, path: &Path) -> io::Result<Opened> {
        let mut file = File::open(self.path(path))?;
        let len = file.metadata()?.len();
        let mut head = [0; HEAD];
        file.read_exact(&mut head).map_err(|_| self.damage("a file is cut"))?;
        let key = self.key(path, &head)?;
        let sealed = len.saturating_sub(HEAD as u64);
        let blocks = sealed.div_ceil(SEALED as u64).max(1);
        let last = sealed - (blocks - 1) * SEALED as u64;
        let Some(last) = last.checked_sub(OVERHEAD as u64) else { return Err(self.damage("a file is cut")) };
        let len = usize::try_from((blocks - 1) * BLOCK as u64 + last).unwrap_or(usize::MAX);
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let opened = Opened { folder: self.clone(), file: Mutex::new(file), key, number, blocks, len };
        // That it is the last one is what says that the file is whole.
        opened.block(blocks - 1)?;
        Ok(opened)
    }
}

/// Removes a file, its key first: what the file system keeps of it opens no more. If it is to be `certain`, the key is gone from the disk
/// before the file goes, and a file whose key can not be overwritten stays.
fn shred(path: &Path, certain: bool) -> io::Result<()> {
    let over = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).open(path)?;
        file.write_all(&[0; HEAD])?;
        if certain { file.sync_data() } else { Ok(()) }
    };
    match over() {
        Err(error) if certain => return Err(error),
        // A disk that does not let us: then the file still goes.
        _ => {}
    }
    fs::remove_file(path)
}

fn block_aad(number: u64, last: bool) -> [u8; 9] {
    let mut aad = [0; 9];
    aad[..8].copy_from_slice(&number.to_be_bytes());
    aad[8] = u8::from(last);
    aad
}

/// A file that is read.
struct Opened {
    folder: Sealed,
    file: Mutex<File>,
    key: EnvelopeKey,
    number: u64,
    blocks: u64,
    len: usize,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("len", &self.len).finish_non_exhaustive()
    }
}

impl HasLen for Opened {
    fn len(&self) -> usize {
        self.len
    }
}

impl Opened {
    fn block(&self, number: u64) -> io::Result<Block> {
        let at = (self.number, number);
        if let Some(block) = locked(&self.folder.0.cache).get(at) {
            return Ok(block);
        }
        let last = number + 1 == self.blocks;
        let sealed_len = if last { self.len - (self.blocks - 1) as usize * BLOCK + OVERHEAD } else { SEALED };
        let mut sealed = vec![0; sealed_len];
        {
            let mut file = locked(&self.file);
            file.seek(SeekFrom::Start(HEAD as u64 + number * SEALED as u64))?;
            file.read_exact(&mut sealed).map_err(|_| self.folder.damage("a file is cut"))?;
        }
        let plain = self.key.open(&block_aad(number, last), &sealed);
        let plain = plain.map_err(|_| self.folder.damage("a block does not open"))?;
        let block = Arc::new(Zeroizing::new(plain));
        locked(&self.folder.0.cache).put(at, Arc::clone(&block));
        Ok(block)
    }
}

impl FileHandle for Opened {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        if range.start >= range.end {
            return Ok(OwnedBytes::empty());
        }
        if range.end > self.len {
            return Err(self.folder.damage("a file is shorter than it says"));
        }
        let (first, last) = (range.start / BLOCK, (range.end - 1) / BLOCK);
        let mut bytes = Vec::with_capacity(range.len());
        for number in first..=last {
            let block = self.block(number as u64)?;
            let (from, to) = (range.start.saturating_sub(number * BLOCK), (range.end - number * BLOCK).min(BLOCK));
            bytes.extend_from_slice(block.get(from..to).unwrap_or_default());
        }
        Ok(OwnedBytes::new(bytes))
    }
}

/// A file that is written.
struct Writing {
    folder: Sealed,
    file: BufWriter<File>,
    key: EnvelopeKey,
    block: Zeroizing<Vec<u8>>,
    next: u64,
}

impl Writing {
    fn seal(&mut self, last: bool) -> io::Result<()> {
        let sealed = self.key.seal(&mut rand::rng(), &block_aad(self.next, last), &self.block);
        self.next += 1;
        self.block.clear();
        self.folder.wrote(sealed.len());
        self.file.write_all(&sealed)
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full block is sealed when more comes: the last one is sealed as such.
        if self.block.len() == BLOCK {
            self.seal(false)?;
        }
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TerminatingWrite for Writing {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        self.seal(true)?;
        self.file.flush()
    }
}

impl Directory for Sealed {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let wrong = |error: io::Error| match error.kind() {
            ErrorKind::NotFound => OpenReadError::FileDoesNotExist(path.to_owned()),
            _ => OpenReadError::wrap_io_error(error, path.to_owned()),
        };
        let file = self.open_file(path).map_err(wrong)?;
        if !is_squeezed(path) {
            return Ok(Arc::new(file));
        }
        let small = file.read_bytes(0..file.len()).map_err(wrong)?;
        Ok(Arc::new(Loose::new(small).ok_or_else(|| wrong(self.damage("a file of documents makes no sense")))?))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        let file = self.path(path);
        locked(&self.0.fresh).remove(&file);
        shred(&file, self.1 == Shelf::Fading).map_err(|error| match error.kind() {
            ErrorKind::NotFound => DeleteError::FileDoesNotExist(path.to_owned()),
            _ => DeleteError::IoError { io_error: Arc::new(error), filepath: path.to_owned() },
        })
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.path(path).is_file())
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let wrong = |error: io::Error| match error.kind() {
            ErrorKind::AlreadyExists => OpenWriteError::FileAlreadyExists(path.to_owned()),
            _ => OpenWriteError::wrap_io_error(error, path.to_owned()),
        };
        let at = self.path(path);
        let file = crate::private::create_new(&at).map_err(wrong)?;
        let (key, head) = self.begin(path);
        let mut file = BufWriter::new(file);
        file.write_all(&head).map_err(wrong)?;
        locked(&self.0.fresh).insert(at);
        let block = Zeroizing::new(Vec::with_capacity(BLOCK));
        let writing = Writing { folder: self.clone(), file, key, block, next: 0 };
        Ok(BufWriter::new(if is_squeezed(path) { Box::new(Squeezing::new(writing)) } else { Box::new(writing) }))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let wrong = |error: io::Error| match error.kind() {
            ErrorKind::NotFound => OpenReadError::FileDoesNotExist(path.to_owned()),
            _ => OpenReadError::wrap_io_error(error, path.to_owned()),
        };
        let bytes = fs::read(self.path(path)).map_err(wrong)?;
        let (head, sealed) = bytes.split_at_checked(HEAD).ok_or_else(|| wrong(self.damage("a file is cut")))?;
        let key = self.key(path, head).map_err(wrong)?;
        key.open(&block_aad(0, true), sealed).map_err(|_| wrong(self.damage("a small file does not open")))
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        let at = self.path(path);
        let beside = at.with_extension("new");
        let (key, mut bytes) = self.begin(path);
        key.seal_into(&mut rand::rng(), &block_aad(0, true), data, &mut bytes);
        // The rest of a crash.
        let _ = fs::remove_file(&beside);
        crate::private::create_new(&beside)?.write_all(&bytes)?;
        self.wrote(bytes.len());
        fs::rename(&beside, &at)?;
        locked(&self.0.fresh).insert(at);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        if lock.filepath == META_LOCK.filepath {
            return Ok(DirectoryLock::from(Box::new(Turn::wait(&self.0.turn))));
        }
        // The home is locked for this process, and within it there is one writer.
        Ok(DirectoryLock::from(Box::new(())))
    }

    fn watch(&self, _: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked had changed nothing by half: inserts and removals only.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(dir: &Path) -> Sealed {
        Sealed::open(dir, &Vault::generate(&mut rand::rng())).unwrap()
    }

    fn write(folder: &Sealed, path: &Path, bytes: &[u8]) {
        let mut file = folder.open_write(path).unwrap();
        file.write_all(bytes).unwrap();
        tantivy::directory::TerminatingWrite::terminate(file).unwrap();
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n % 251) as u8).collect()
    }

    #[test]
    fn what_is_written_is_read_in_any_stretch() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 77] {
            let path = PathBuf::from(format!("{len}.idx"));
            write(&folder, &path, &content(len));
            let file = folder.get_file_handle(&path).unwrap();
            assert_eq!(file.len(), len);
            for (from, to) in [(0, len), (len / 3, len / 2), (len.saturating_sub(1), len), (len, len)] {
                assert_eq!(file.read_bytes(from..to).unwrap().as_slice(), &content(len)[from..to]);
            }
        }
        assert!(!folder.is_damaged());
    }

    #[test]
    fn nothing_on_disk_tells_names_or_content() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        write(&folder, Path::new("aaaa.term"), &b"canary".repeat(10_000));
        folder.atomic_write(Path::new("meta.json"), b"{\"canary\":1}").unwrap();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(name.len() == 2 * NAME && name.chars().all(|c| c.is_ascii_hexdigit()), "{name}");
            let bytes = fs::read(entry.path()).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"canary"));
        }
        assert_eq!(folder.atomic_read(Path::new("meta.json")).unwrap(), b"{\"canary\":1}");
    }

    #[test]
    fn every_torn_or_changed_file_is_an_error_and_never_other_data() {
        let dir = tempfile::tempdir().unwrap();
        let len = 3 * BLOCK + 100;
        let path = Path::new("x.pos");
        let sound = {
            let folder = folder(dir.path());
            write(&folder, path, &content(len));
            (folder.path(path), fs::read(folder.path(path)).unwrap(), folder)
        };
        let (file, bytes, folder) = sound;
        let read =
            |folder: &Sealed| folder.get_file_handle(path).ok().and_then(|file| file.read_bytes(0..file.len()).ok());
        let mut torn: Vec<Vec<u8>> = Vec::new();
        for cut in [0, 10, HEAD, HEAD + 39, HEAD + SEALED, HEAD + SEALED + 40, bytes.len() - SEALED, bytes.len() - 1] {
            torn.push(bytes[..cut].to_vec());
        }
        for at in [3, HEAD + 5, HEAD + SEALED + 30, bytes.len() - 2] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            torn.push(changed);
        }
        let mut swapped = bytes.clone();
        let (one, two) = (HEAD..HEAD + SEALED, HEAD + SEALED..HEAD + 2 * SEALED);
        let block = swapped[one.clone()].to_vec();
        swapped.copy_within(two.clone(), one.start);
        swapped[two].copy_from_slice(&block);
        torn.push(swapped);
        torn.push([bytes.clone(), vec![0; 50]].concat());
        for (n, bad) in torn.into_iter().enumerate() {
            fs::write(&file, bad).unwrap();
            folder.0.damaged.store(false, Ordering::Release);
            assert_eq!(read(&folder).map(|bytes| bytes.len()), None, "case {n}");
            assert!(folder.is_damaged(), "case {n}");
        }
        fs::write(&file, &bytes).unwrap();
        assert_eq!(read(&folder).unwrap().as_slice(), content(len));
        // Under another name it does not open.
        fs::copy(&file, folder.path(Path::new("y.pos"))).unwrap();
        assert!(folder.get_file_handle(Path::new("y.pos")).is_err());
    }

    #[test]
    fn a_file_that_is_removed_stays_readable_for_who_has_it_open_and_loses_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        let path = Path::new("x.idx");
        write(&folder, path, &content(2 * BLOCK));
        let beside = dir.path().join("kept by the file system");
        fs::hard_link(folder.path(path), &beside).unwrap();
        let open = folder.get_file_handle(path).unwrap();
        folder.delete(path).unwrap();
        assert!(matches!(folder.delete(path), Err(DeleteError::FileDoesNotExist(_))));
        assert_eq!(open.read_bytes(0..10).unwrap().as_slice(), &content(10)[..]);
        assert_eq!(fs::read(&beside).unwrap()[..HEAD], [0; HEAD]);
    }
}
