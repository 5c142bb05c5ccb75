//! Backups.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Problem;

/// A backup to be made: `POST /backup`. One of both opens it again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeBackup {
    /// A passphrase of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// The recovery phrase of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<String>,
}

impl std::fmt::Debug for MakeBackup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.recovery.is_some() { "MakeBackup(recovery)" } else { "MakeBackup(passphrase)" })
    }
}

/// What opens a backup that was taken: `POST /web/setup/restore`. One of the first two.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreBackup {
    /// Its passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// The recovery phrase of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<String>,
    /// What locks the account on this device. If nothing is said, and the account was locked where the backup was made, the
    /// passphrase of the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
}

impl std::fmt::Debug for RestoreBackup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.recovery.is_some() { "RestoreBackup(recovery)" } else { "RestoreBackup(passphrase)" })
    }
}

/// How far a backup is restored: `GET /web/setup/backup`, and what the routes answer that do it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restoring {
    /// Where it stands.
    pub step: RestoreStep,
    /// Bytes of the backup that was taken.
    #[serde(default)]
    pub bytes: u64,
    /// Whether a passphrase opens it; else the recovery phrase does.
    #[serde(default)]
    pub wants_passphrase: bool,
    /// How many bytes were read and verified.
    #[serde(default)]
    pub read: u64,
    /// Why it could not be restored the last time. The home is as new as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// What was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoredBackup>,
}

/// See [`Restoring`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RestoreStep {
    /// There is no backup.
    #[default]
    Nothing,
    /// There is one, and what opens it is to be said.
    Taken,
    /// It is read.
    Reading,
    /// The home is there, and its node starts.
    Starting,
    /// The node runs.
    Done,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoredBackup {
    /// Name of the account: neutralise before showing it on a terminal.
    pub name: String,
    /// When the backup was made: an old one opens as well as the newest.
    pub made_at: String,
    /// The device that made it: to be revoked if it is lost.
    pub from_device: String,
    /// Rooms.
    pub rooms: u64,
    /// Messages, with what was said about them.
    pub messages: u64,
    /// Contacts.
    pub contacts: u64,
}
