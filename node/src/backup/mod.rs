//! Backups: everything of a home that another device of the account needs, sealed in one file; and a home made of one.
//!
//! The format of the file is `docs/spec/backup.md`; its sealing is [`parlor_crypto::backup`]. Writing reads the store of a running
//! node beside all others and holds a page of it at a time. Restoring needs no node: the home is made beside its place and moved
//! there when the last byte was verified, so there is a whole home or none. Where the page of a new home is open, it is made inside
//! ([`arrive`]).

mod arrive;
mod beside;
mod fill;
mod logs;
mod record;
mod restore;
mod stream;
#[cfg(test)]
mod tests;
mod verify;
mod write;

use parlor_api::{Code, Problem};
use parlor_crypto::backup::BackupError;
use parlor_crypto::vault::VaultError;
use zeroize::Zeroizing;

pub(crate) use arrive::{Progress, Taken, Taking, restore_here, settle};
pub use record::Counts;
pub use restore::{Restored, restore_backup};
pub(crate) use stream::Sink;
pub use verify::{Checked, verify_backup};
pub(crate) use write::{Source, write};

/// What a backup is sealed under.
#[derive(Clone)]
pub enum BackupKey {
    /// A passphrase, stretched with Argon2id.
    Passphrase(Zeroizing<String>),
    /// The recovery phrase of the account.
    Recovery(Zeroizing<String>),
}

impl std::fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase",
            Self::Recovery(_) => "Recovery",
        })
    }
}

/// The backup does not open, in words.
pub(crate) fn problem(error: &BackupError) -> Problem {
    let again = "copy the file again from where it was made; nothing was changed here";
    match error {
        BackupError::Vault(VaultError::WrongKey) => {
            Problem::new(Code::WrongPassphrase, "the backup does not open with this passphrase or recovery phrase")
                .hint("type it again; capitals and spaces count")
        }
        BackupError::Vault(VaultError::WantsPassphrase) => {
            Problem::new(Code::PassphraseNeeded, "the backup was made with a passphrase")
                .hint("give it with --passphrase-file FILE")
        }
        BackupError::Vault(VaultError::WantsKeyFile) => {
            Problem::new(Code::PassphraseNeeded, "the backup was made with the recovery phrase of the account")
                .hint("give it with --recovery-file FILE")
        }
        BackupError::Vault(VaultError::PassphraseLength) => Problem::new(Code::Usage, error.to_string()),
        BackupError::Vault(VaultError::Version { .. }) | BackupError::Version { .. } => {
            Problem::new(Code::BackupDamaged, error.to_string()).hint("update parlor")
        }
        _ => Problem::new(Code::BackupDamaged, error.to_string()).hint(again),
    }
}

/// What opened says something that no backup says.
pub(crate) fn damaged(what: &str) -> Problem {
    Problem::new(Code::BackupDamaged, format!("the backup is damaged: {what}"))
        .hint("copy the file again from where it was made; nothing was changed here")
}
