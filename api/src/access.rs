//! Who may use the API: sessions of browsers, tokens of scripts, and the page before there is an account.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token allows. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Read rooms, messages and events.
    Read,
    /// Also send messages and mark as read.
    Send,
    /// Also rooms, members, invites, contacts and the node itself.
    Manage,
    /// Everything: also tokens and sessions. Of the home's token and of sessions only.
    All,
}

impl Scope {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Manage => "manage",
            Self::All => "all",
        }
    }
}

/// What the page can do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebState {
    /// There is no account: make one.
    New,
    /// There is one, locked with a passphrase.
    Locked,
    /// The node runs.
    Ready,
}

/// How it stands with the page and its session: `GET /web`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Web {
    /// What can be done now.
    pub state: WebState,
    /// Whether the account has a passphrase; `false` while there is none.
    pub passphrase: bool,
    /// The short id of the session that asks.
    pub session: Option<String>,
    /// A name to offer for a new account: what the user is called on this machine.
    pub suggested_name: String,
    /// Version of the program.
    pub version: String,
}

/// A code that opens one session, once, for a minute: `POST /web/codes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebCode {
    /// The code.
    pub code: String,
    /// Where it leads: the page with the code in the fragment, which browsers send to nobody.
    pub url: String,
    /// Seconds it lasts.
    pub expires_in: u64,
}

/// Open a session: `POST /web/session`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenSession {
    /// The code.
    pub code: String,
}

/// A session that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenedSession {
    /// Its token, told only now.
    pub token: String,
    /// Its short id.
    pub session: String,
    /// When it ends at the latest.
    pub expires_at: String,
    /// What the page can do now.
    pub state: WebState,
}

/// A session of a browser: `GET /web/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its short id.
    pub session: String,
    /// Whether it is the one that asks.
    pub this: bool,
    /// What its browser calls itself.
    pub agent: String,
    /// When it was opened.
    pub made_at: String,
    /// When it asked for something last.
    pub used_at: String,
    /// When it ends at the latest.
    pub expires_at: String,
}

/// Unlock the account: `POST /web/unlock`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// The passphrase.
    pub passphrase: String,
}

/// The recovery phrase that a new account will have: `POST /web/setup/phrase`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecoveryPhrase {
    /// Its 24 words in order.
    pub words: Vec<String>,
}

/// A word of the recovery phrase that was written down.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckedWord {
    /// Its place, from 1 to 24.
    pub place: u32,
    /// The word.
    pub word: String,
}

/// Make the account: `POST /web/setup`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// What others see this account as.
    pub name: String,
    /// What locks it on this device; without one, whoever can read the files of this user can use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// Of a new account: at least three words of its recovery phrase, so that it was written down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub check: Vec<CheckedWord>,
    /// Of an account that exists: its recovery phrase. This is a new device of it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<String>,
}

/// A token to make: `POST /tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What it is for, 1 to 64 bytes.
    pub name: String,
    /// What it allows: the greatest of these, with those below. `read` when empty; `all` can not be given.
    #[serde(default)]
    pub scope: Vec<Scope>,
    /// Only in these rooms, 1 to 64; in all when absent. An id, a unique beginning of one, or a unique name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rooms: Option<Vec<String>>,
}

/// A token of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiToken {
    /// Its short id.
    pub id: String,
    /// The token itself: only in the answer to making it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What it is for.
    pub name: String,
    /// What it allows.
    pub scope: Vec<Scope>,
    /// The ids of the rooms it is for; empty for all.
    pub rooms: Vec<String>,
    /// When it was made.
    pub made_at: String,
    /// When it was used last, in this run of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<String>,
}

/// Who asks: `GET /tokens/self`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAsks {
    /// Id of the token or session; `home` for the home's token.
    pub id: String,
    /// What it allows.
    pub scope: Vec<Scope>,
    /// The ids of the rooms it is for; empty for all.
    pub rooms: Vec<String>,
    /// The account of the node.
    pub account: String,
    /// Its name.
    pub account_name: String,
}

/// Paths to sign: `POST /links`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignLinks {
    /// Each a path of a file of a message, or of its preview, at most 200.
    pub paths: Vec<String>,
}

/// Links for what can send no header: images, films, downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedLinks {
    /// In the order in which they were asked for.
    pub links: Vec<String>,
    /// Seconds they last.
    pub expires_in: u64,
}
