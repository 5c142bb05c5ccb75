//! A home made of a backup: another device of the account, with what the one that made it knew.
//!
//! The home is made [beside](super::beside) its place and moved there when all of the file was verified and is on the disk. The account,
//! with the keys that open everything else, is written last: who is killed half way has no home, and leaves nothing that opens.

use std::io::Read;

use parlor_api::{Code, Problem};
use parlor_crypto::vault::Unlock;
use parlor_storage::{OpenOptions, Store};

use super::beside::{Beside, must_be_free};
use super::fill::Filling;
use super::record::{Counts, FORMAT, Head, Record};
use super::stream::Reader;
use super::write::words_key;
use super::{BackupKey, damaged};
use crate::account::Account;
use crate::bus::rfc3339;
use crate::clock::now_ms;
use crate::config::Passphrase;
use crate::home::{self, Home};
use crate::launch::store_problem;

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
    // Before anything is made: most errors are of the passphrase.
    let begun = Begun::of(from, key, lock)?;
    let beside = Beside::make(home)?;
    let made = begun.fill(&beside.home);
    beside.finish(made, home)
}

/// Opens a backup, up to what it is of.
pub(super) fn begin<R: Read>(from: R, key: &BackupKey) -> Result<(Reader<R>, Box<Head>), Problem> {
    let words;
    let with = match key {
        BackupKey::Passphrase(text) => Unlock::Passphrase(text),
        BackupKey::Recovery(text) => {
            words = words_key(text, None)?;
            Unlock::KeyFile(&words)
        }
    };
    let mut reader = Reader::begin(from, with)?;
    match reader.next()? {
        Some(Record::Head(head)) if head.format <= FORMAT => Ok((reader, head)),
        Some(Record::Head(_)) => {
            Err(Problem::new(Code::BackupDamaged, "the backup is of a newer version").hint("update parlor"))
        }
        _ => Err(damaged("it does not say whose it is")),
    }
}

/// A backup that opens, and of which a home can be made.
pub(super) struct Begun<R> {
    reader: Reader<R>,
    head: Box<Head>,
    /// With what the home is going to be locked.
    pub(super) lock: Passphrase,
}

impl<R: Read> Begun<R> {
    /// Opens it. Blocks for the time of Argon2id.
    pub(super) fn of(from: R, key: &BackupKey, lock: &Passphrase) -> Result<Self, Problem> {
        let (reader, head) = begin(from, key)?;
        let lock = lock_of(&head, key, lock)?;
        Ok(Self { reader, head, lock })
    }

    /// Makes a home of it in a folder that is there and empty.
    pub(super) fn fill(mut self, home: &Home) -> Result<Restored, Problem> {
        fill(home, &self.head, &self.lock, &mut self.reader)
    }
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

/// Makes a home of what follows the head.
fn fill(home: &Home, head: &Head, lock: &Passphrase, reader: &mut Reader<impl Read>) -> Result<Restored, Problem> {
    let (account, keys) = Account::restore(home, &head.name, lock, head.account, &head.root, now_ms())?;
    if !head.config.is_empty() {
        home::write_private(&home.config_file(), head.config.as_bytes())?;
    }
    let store = Store::open(&home.store_dir(), account.vault(), OpenOptions::default()).map_err(store_problem)?;
    let mut filling = Filling::new(&store, account.identity());
    let done = filling.all(reader);
    let counts = filling.counts();
    // Also what is given up is closed: the folder can be taken away then.
    store.close();
    done?;
    home::write_private(&home.store_made_file(), b"")?;
    // Up to here nothing on the disk opens what is there.
    keys.write(home)?;
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
