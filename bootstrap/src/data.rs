//! The data folder: what a relay keeps, and the names of the files in it.
//!
//! The folder has mode 0700 and every file 0600. One relay owns it, by a lock that the operating system takes back when the
//! process ends, however it ends.
//!
//! * `key`: the 32-byte seed of the relay's identity. Whoever has it is the relay; back it up;
//! * `store/`, `store.vault`: names and bans, sealed under a key that follows from `key`;
//! * `mailbox/`: the mailboxes, unless they are in NATS;
//! * `admin.sock`: where the running relay takes the operator's commands;
//! * `lock`: the process id of the owner, for people;
//! * `config.toml`: settings, written by hand (see [`crate::config`]).

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use parlor_crypto::hash::Domain;
use parlor_crypto::secret::Secret;
use parlor_crypto::vault::{Stretch, Unlock, Vault, VaultError};
use parlor_crypto::{CryptoRng, domain};
use parlor_storage::private;
use zeroize::Zeroizing;

use crate::problem::{Code, Problem};

/// The key of the vault, from the relay's seed: the records in the store are countersigned with it, so they belong together.
static STORE_KEY: Domain = domain!("relay store");

/// The folder of one relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    dir: PathBuf,
}

impl DataDir {
    /// The data folder here, which need not exist yet.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The seed of the relay's identity.
    pub fn key_file(&self) -> PathBuf {
        self.dir.join("key")
    }

    /// Names and bans.
    pub fn store_dir(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// The mailboxes.
    pub fn mailbox_dir(&self) -> PathBuf {
        self.dir.join("mailbox")
    }

    /// Where the running relay takes commands.
    pub fn admin_socket(&self) -> PathBuf {
        self.dir.join("admin.sock")
    }

    /// Settings.
    pub fn config_file(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// Makes the folder with mode 0700, or takes the rights of others from one that is there.
    ///
    /// # Errors
    /// `data_denied`, `disk_full`.
    pub fn create(&self) -> Result<(), Problem> {
        private::make_folder(&self.dir).map_err(|e| failed("make", &self.dir, &e))
    }

    /// Takes the lock, without waiting.
    ///
    /// # Errors
    /// `data_locked` when another relay runs on this folder.
    pub fn lock(&self) -> Result<private::Lock, Problem> {
        let path = self.dir.join("lock");
        private::Lock::take(&path).map_err(|e| failed("lock", &path, &e))?.ok_or_else(|| {
            Problem::new(Code::DataLocked, format!("another relay is running on {}", self.dir.display()))
                .hint("stop it, or name another folder with --data DIR")
        })
    }

    /// The seed of the relay's identity, made if there is none. Only the owner of the lock may call it.
    ///
    /// # Errors
    /// `data_denied`, `data_damaged`, `disk_full`.
    pub fn key(&self, rng: &mut impl CryptoRng) -> Result<Zeroizing<[u8; 32]>, Problem> {
        let path = self.key_file();
        if let Some(bytes) = read_small(&path)? {
            private::protect(&path).map_err(|e| failed("protect", &path, &e))?;
            let bytes = Zeroizing::new(bytes);
            let seed = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| {
                Problem::new(
                    Code::DataDamaged,
                    format!("{} is damaged: it has {} bytes, not 32", path.display(), bytes.len()),
                )
                .hint("restore it from a backup; without it the relay gets another address (move the file away)")
            })?;
            return Ok(Zeroizing::new(seed));
        }
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        write_private(&path, seed.as_slice())?;
        Ok(seed)
    }

    /// The vault of the store, made if there is none.
    ///
    /// # Errors
    /// `data_denied`, `disk_full`; `data_damaged` also when `key` is not the one that the store was made with.
    pub fn vault(&self, seed: &[u8; 32], rng: &mut impl CryptoRng) -> Result<Vault, Problem> {
        let path = self.dir.join("store.vault");
        let key = Secret::new(STORE_KEY.hash(&[seed]));
        if let Some(file) = read_small(&path)? {
            return Vault::unlock(&file, Unlock::KeyFile(&key)).map_err(|error| bad_vault(&path, error));
        }
        if self.store_dir().exists() {
            let problem = Problem::new(Code::DataDamaged, format!("{} is missing beside its store", path.display()));
            return Err(problem.hint("restore it from a backup, or move `store` away to begin without names and bans"));
        }
        let vault = Vault::generate(rng);
        let file = vault.lock(rng, Unlock::KeyFile(&key), Stretch::RECOMMENDED).map_err(Problem::internal)?;
        write_private(&path, &file)?;
        Ok(vault)
    }

    /// Bytes of all files in the folder.
    pub fn bytes(&self) -> u64 {
        bytes_in(&self.dir, 0)
    }
}

fn bad_vault(path: &Path, error: VaultError) -> Problem {
    let hint = match error {
        VaultError::WrongKey => {
            "it was made with another `key`: restore that, or move `store` and `store.vault` away to begin without names"
        }
        _ => "restore it from a backup, or move `store` and `store.vault` away to begin without names and bans",
    };
    Problem::new(Code::DataDamaged, format!("{}: {error}", path.display())).hint(hint)
}

/// Folders below folders that are counted: a store has two.
const DEPTH_MAX: u32 = 8;

fn bytes_in(dir: &Path, depth: u32) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() && depth < DEPTH_MAX => bytes_in(&entry.path(), depth + 1),
        Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |data| data.len()),
        _ => 0,
    };
    entries.flatten().map(size).sum()
}

/// Replaces a small file atomically with mode 0600: written beside, flushed, renamed, folder flushed.
///
/// # Errors
/// `data_denied`, `disk_full`; the old file is then untouched.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    private::replace(path, bytes).map_err(|e| failed("write", path, &e))
}

/// Reads a small file; `None` when there is none.
///
/// # Errors
/// `data_denied`; `data_damaged` when it is larger than any file that is read whole.
pub fn read_small(path: &Path) -> Result<Option<Vec<u8>>, Problem> {
    private::read_small(path).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => {
            Problem::new(Code::DataDamaged, format!("{} is too large to be one of ours", path.display()))
        }
        _ => failed("read", path, &error),
    })
}

/// What a failed access to a file or folder means to the operator.
pub fn failed(doing: &str, path: &Path, error: &io::Error) -> Problem {
    let message = format!("could not {doing} {}: {error}", path.display());
    match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::AlreadyExists => Problem::new(Code::DataDenied, message)
            .hint("give this user the folder, or name another one with --data DIR"),
        ErrorKind::NotFound => {
            Problem::new(Code::NotFound, message).hint("make the folder first, or name another place")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Problem::new(Code::DiskFull, message).hint("make room on the disk and try again: nothing is lost")
        }
        _ => Problem::internal(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> (tempfile::TempDir, DataDir) {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::at(dir.path().join("a/b"));
        data.create().unwrap();
        (dir, data)
    }

    #[test]
    fn the_key_is_made_once_and_only_the_operator_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, data) = data();
        let key = data.key(&mut rand::rng()).unwrap();
        assert_eq!(data.key(&mut rand::rng()).unwrap(), key);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(data.dir()), mode(&data.key_file())), (0o700, 0o600));
        fs::set_permissions(data.key_file(), fs::Permissions::from_mode(0o644)).unwrap();
        data.key(&mut rand::rng()).unwrap();
        assert_eq!(mode(&data.key_file()), 0o600, "a key that others could read is protected again");
    }

    #[test]
    fn a_damaged_key_is_refused_and_left_alone() {
        let (_dir, data) = data();
        fs::write(data.key_file(), [7; 31]).unwrap();
        assert_eq!(data.key(&mut rand::rng()).unwrap_err().code, Code::DataDamaged);
        assert_eq!(fs::read(data.key_file()).unwrap(), [7; 31]);
    }

    #[test]
    fn a_second_relay_on_a_folder_is_refused_until_the_first_is_gone() {
        let (_dir, data) = data();
        let first = data.lock().unwrap();
        assert_eq!(data.lock().unwrap_err().code, Code::DataLocked);
        drop(first);
        data.lock().unwrap();
    }

    #[test]
    fn the_store_opens_with_the_key_it_was_made_with_and_no_other() {
        let (_dir, data) = data();
        let vault = data.vault(&[1; 32], &mut rand::rng()).unwrap();
        assert_eq!(data.vault(&[1; 32], &mut rand::rng()).unwrap(), vault);
        let other = data.vault(&[2; 32], &mut rand::rng()).unwrap_err();
        assert_eq!(other.code, Code::DataDamaged);
        assert!(other.hint.contains("another `key`"), "{other:?}");
        fs::create_dir(data.store_dir()).unwrap();
        fs::remove_file(data.dir().join("store.vault")).unwrap();
        assert_eq!(data.vault(&[1; 32], &mut rand::rng()).unwrap_err().code, Code::DataDamaged);
    }
}
