//! Backups.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
