//! The home: the folder that holds one account, and the names of the files in it.
//!
//! The folder has mode 0700 and every file 0600. Small files are replaced atomically (written beside, flushed, renamed,
//! folder flushed), so that a crash leaves the old one or the new one. What the files of the account and the store hold is
//! told where they are made; here are those that other programs read:
//!
//! * `api.json`: `{"api":"http://127.0.0.1:PORT","pid":N,"started_at":RFC3339}`, while a node runs;
//! * `token`: the token of the local API, 64 hexadecimal digits and a line end, made once;
//! * `config.toml`: settings, written by hand (see [`crate::config`]).

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use parlor_api::{Code, Problem};
use parlor_storage::private;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::backup;

/// The folder of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    dir: PathBuf,
}

/// What `api.json` says: where the running node listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiFile {
    /// Address of the local API, `http://127.0.0.1:PORT`.
    pub api: String,
    /// Process of the node.
    pub pid: u32,
    /// When it started.
    pub started_at: String,
}

impl Home {
    /// The home in this folder, which need not exist yet.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a running node says its address.
    pub fn api_file(&self) -> PathBuf {
        self.dir.join("api.json")
    }

    /// The token of the local API.
    pub fn token_file(&self) -> PathBuf {
        self.dir.join("token")
    }

    /// Settings.
    pub fn config_file(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// The lock that says that a node owns this home.
    pub fn lock_file(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// The account: its keys, sealed.
    pub fn account_file(&self) -> PathBuf {
        self.dir.join("account")
    }

    /// The key that opens the account, if no passphrase does.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.dir.join("account.key")
    }

    /// The history.
    pub fn store_dir(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// Files of messages, sealed in chunks.
    pub fn blobs_dir(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    /// The index of the search, which is built anew if it is not there.
    pub fn search_dir(&self) -> PathBuf {
        self.dir.join("search")
    }

    /// Says that the history was made once: a node that finds this and no history does not begin an empty one.
    pub fn store_made_file(&self) -> PathBuf {
        self.dir.join("store.made")
    }

    /// What is restored from a backup while the page of this home is open: of its own, and no part of the home yet.
    pub(crate) fn arriving_dir(&self) -> PathBuf {
        self.dir.join("arriving")
    }

    /// The same when all of it is there: the home that this one becomes, whoever is killed meanwhile.
    pub(crate) fn arrived(&self) -> Self {
        Self::at(self.arriving_dir().join("whole"))
    }

    /// Says that a backup is being restored into this folder: it is no home yet, and what is in it may be cleared away.
    pub(crate) fn restoring_file(&self) -> PathBuf {
        self.dir.join("restoring")
    }

    /// This is a home: nobody who restores clears it away any more.
    ///
    /// # Errors
    /// `home_denied`.
    pub(crate) fn end_restoring(&self) -> Result<(), Problem> {
        let path = self.restoring_file();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(problem("change", &path, &error)),
            _ => Ok(()),
        }
    }

    /// Whether a home has something of this name in its folder, also half written.
    pub(crate) fn has_such(&self, name: &OsStr) -> bool {
        let files = [
            self.api_file(),
            self.token_file(),
            self.config_file(),
            self.lock_file(),
            self.account_file(),
            self.key_file(),
            self.store_made_file(),
            self.restoring_file(),
        ];
        let folders = [self.store_dir(), self.blobs_dir(), self.search_dir()];
        files.iter().chain(&folders).filter_map(|path| path.file_name()).any(|own| {
            let mut half = own.to_owned();
            half.push(".new");
            own == name || half == name
        })
    }

    /// Whether an account was made here, or restored and is moved to its place by the next one who takes the lock.
    pub fn has_account(&self) -> bool {
        self.account_file().exists() || self.arrived().account_file().exists()
    }

    /// Whether an account can be made or opened here: nothing of another one is left, and no backup is half restored.
    ///
    /// # Errors
    /// `home_damaged`, `no_account`.
    pub fn must_be_whole(&self) -> Result<(), Problem> {
        crate::account::must_be_whole(self)
    }

    /// Makes the folder with mode 0700, or takes the rights of others from one that is there.
    ///
    /// # Errors
    /// `home_denied`, `disk_full`.
    pub fn create(&self) -> Result<(), Problem> {
        private::make_folder(&self.dir).map_err(|e| problem("make", &self.dir, &e))
    }

    /// Takes the lock of the home, without waiting, and before that the rights that others were given to the folder. What was being
    /// restored here by somebody who was killed is finished, or cleared away.
    ///
    /// # Errors
    /// `home_locked` when another node runs on it; `home_denied`, `disk_full`.
    pub(crate) fn lock(&self) -> Result<private::Lock, Problem> {
        private::narrow_folder(&self.dir).map_err(|e| problem("protect", &self.dir, &e))?;
        let path = self.lock_file();
        let lock = private::Lock::take(&path).map_err(|e| problem("lock", &path, &e))?.ok_or_else(|| {
            Problem::new(Code::HomeLocked, format!("another node is running on {}", self.dir.display()))
                .hint("use it, stop it with: parlor stop, or name another home with --home DIR")
        })?;
        backup::settle(self)?;
        Ok(lock)
    }

    /// Writes where the node listens.
    ///
    /// # Errors
    /// `home_denied`, `disk_full`.
    pub fn write_api(&self, api: &ApiFile) -> Result<(), Problem> {
        let mut json = serde_json::to_vec(api).map_err(|e| Problem::new(Code::Internal, e.to_string()))?;
        json.push(b'\n');
        write_private(&self.api_file(), &json)
    }

    /// Where the node says it listens; `None` when no node said so.
    ///
    /// # Errors
    /// `home_denied`, `home_damaged`.
    pub fn read_api(&self) -> Result<Option<ApiFile>, Problem> {
        let path = self.api_file();
        let Some(bytes) = read_small(&path)? else { return Ok(None) };
        let hint = "stop the node, delete the file, and start the node again";
        serde_json::from_slice(&bytes).map(Some).map_err(|_| damaged(&path).hint(hint))
    }

    /// Takes back what [`write_api`](Self::write_api) said. Nothing happens if it is gone already.
    pub fn remove_api(&self) {
        let _ = fs::remove_file(self.api_file());
    }

    /// The token of the local API; `None` when no node ever ran here.
    ///
    /// # Errors
    /// `home_denied`, `home_damaged`.
    pub fn read_token(&self) -> Result<Option<Zeroizing<String>>, Problem> {
        let path = self.token_file();
        let Some(bytes) = read_small(&path)? else { return Ok(None) };
        let bytes = Zeroizing::new(bytes);
        let token = std::str::from_utf8(&bytes).unwrap_or_default().trim();
        let whole = token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit());
        let hint = "stop the node and delete the file: the node makes a new one when it starts";
        if whole { Ok(Some(Zeroizing::new(token.to_owned()))) } else { Err(damaged(&path).hint(hint)) }
    }

    /// The token of the local API, made of `fresh` (32 random bytes) if there is none yet.
    ///
    /// # Errors
    /// `home_denied`, `home_damaged`, `disk_full`.
    pub fn token_or(&self, fresh: &[u8; 32]) -> Result<Zeroizing<String>, Problem> {
        if let Some(token) = self.read_token()? {
            return Ok(token);
        }
        let mut text = Zeroizing::new(String::with_capacity(65));
        for byte in fresh {
            text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        text.push('\n');
        write_private(&self.token_file(), text.as_bytes())?;
        text.pop();
        Ok(text)
    }
}

/// Replaces a small file atomically with mode 0600.
///
/// # Errors
/// `home_denied`, `disk_full`, `internal`; the old file is then untouched.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    private::replace(path, bytes).map_err(|e| problem("write", path, &e))
}

/// Reads a small file; `None` when there is none.
///
/// # Errors
/// `home_denied`; `home_damaged` when it is larger than any file of a home that is read whole.
pub fn read_small(path: &Path) -> Result<Option<Vec<u8>>, Problem> {
    private::read_small(path).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => damaged(path),
        _ => problem("read", path, &error),
    })
}

/// What a failed access to a file or folder of the home means to the user.
pub fn problem(doing: &str, path: &Path, error: &io::Error) -> Problem {
    let detail = format!("could not {doing} {}: {error}", path.display());
    match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::AlreadyExists => Problem::new(Code::HomeDenied, detail)
            .hint("give this user the folder, or name another one with --home DIR"),
        ErrorKind::NotFound => {
            Problem::new(Code::NotFound, detail).hint("make the folder first, or name another place")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Problem::new(Code::DiskFull, detail).hint("make room on the disk and try again: nothing is lost")
        }
        _ => Problem::new(Code::Internal, detail),
    }
}

fn damaged(path: &Path) -> Problem {
    Problem::new(Code::HomeDamaged, format!("{} is damaged", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("a/b"));
        home.create().unwrap();
        (dir, home)
    }

    #[cfg(unix)]
    #[test]
    fn only_the_user_can_read_a_home() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, home) = home();
        home.token_or(&[0xa7; 32]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(home.dir()), 0o700);
        assert_eq!(mode(&home.token_file()), 0o600);
    }

    #[test]
    fn a_second_node_is_refused_until_the_first_is_gone() {
        let (_dir, home) = home();
        let first = home.lock().unwrap();
        assert_eq!(home.lock().unwrap_err().code, Code::HomeLocked);
        drop(first);
        home.lock().unwrap();
    }

    #[test]
    fn the_token_is_made_once() {
        let (_dir, home) = home();
        assert_eq!(home.read_token().unwrap(), None);
        let token = home.token_or(&[0xa7; 32]).unwrap();
        assert_eq!(*token, "a7".repeat(32));
        assert_eq!(home.token_or(&[1; 32]).unwrap(), token);
    }

    #[test]
    fn a_damaged_file_is_refused_and_left_alone() {
        let (_dir, home) = home();
        fs::write(home.token_file(), [0xff; 10]).unwrap();
        assert_eq!(home.token_or(&[1; 32]).unwrap_err().code, Code::HomeDamaged);
        assert_eq!(fs::read(home.token_file()).unwrap(), [0xff; 10]);
        fs::write(home.api_file(), b"{").unwrap();
        assert_eq!(home.read_api().unwrap_err().code, Code::HomeDamaged);
    }

    #[test]
    fn the_address_of_the_api_survives_its_file() {
        let (_dir, home) = home();
        let api = ApiFile { api: "http://127.0.0.1:1".into(), pid: 7, started_at: "2026-11-21T08:00:00Z".into() };
        home.write_api(&api).unwrap();
        assert_eq!(home.read_api().unwrap(), Some(api));
        home.remove_api();
        assert_eq!(home.read_api().unwrap(), None);
    }
}
