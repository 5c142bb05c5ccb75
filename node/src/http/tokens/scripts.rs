//! Tokens of scripts and bots: made by the user, kept as hashes in the store, each with a scope and perhaps some rooms.

use parlor_api::{ApiToken, Code, Problem, Scope};
use parlor_storage::{Batch, Namespace, Store};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::grant::{Grant, Who};
use super::{Hash, hash};
use crate::bus::rfc3339;
use crate::home_damaged;
use crate::http::limits;

/// Name of what is stored.
const NAME: &[u8] = b"tokens";

/// A token as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    id: String,
    hash: Hash,
    name: String,
    scope: Scope,
    rooms: Vec<String>,
    made_ms: u64,
}

/// A token in use.
struct Script {
    stored: Stored,
    used_ms: Option<u64>,
    /// Gone when it is revoked, perhaps before the disk took that: it opens nothing from then on.
    over: Option<watch::Sender<()>>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Scripts(Vec<Script>);

/// A token to make.
pub(crate) struct NewToken {
    /// What it is for.
    pub(crate) name: String,
    pub(crate) scope: Scope,
    /// Ids of rooms.
    pub(crate) rooms: Vec<String>,
}

impl Script {
    fn new(stored: Stored) -> Self {
        Self { stored, used_ms: None, over: Some(watch::Sender::new(())) }
    }

    /// What it may; nothing once it is refused.
    fn grant(&self) -> Option<Grant> {
        let who = Who::Script(self.stored.id.clone());
        let over = self.over.as_ref()?.subscribe();
        Some(Grant::new(who, self.stored.scope, over).within(&self.stored.rooms))
    }

    fn item(&self, token: Option<String>) -> ApiToken {
        let Stored { id, name, scope, rooms, made_ms, .. } = self.stored.clone();
        let used_at = self.used_ms.map(rfc3339);
        ApiToken { id, token, name, scope: with_those_below(scope), rooms, made_at: rfc3339(made_ms), used_at }
    }
}

/// A scope with those that it includes.
pub(crate) fn with_those_below(scope: Scope) -> Vec<Scope> {
    [Scope::Read, Scope::Send, Scope::Manage, Scope::All].into_iter().filter(|below| *below <= scope).collect()
}

impl Scripts {
    /// Those of a home. Blocks.
    ///
    /// # Errors
    /// `home_damaged`.
    pub(super) fn load(store: &Store) -> Result<Self, Problem> {
        let bytes = store.get(None, Namespace::Meta, NAME).map_err(|error| home_damaged(error.to_string()))?;
        let Some(bytes) = bytes else { return Ok(Self::default()) };
        let stored: Vec<Stored> =
            serde_json::from_slice(&bytes).map_err(|error| home_damaged(format!("tokens: {error}")))?;
        Ok(Self(stored.into_iter().map(Script::new).collect()))
    }

    /// A new token beside these: the token itself and the batch that keeps it. It counts once [`add`](Self::add) is called.
    ///
    /// # Errors
    /// `bad_request`, `conflict`.
    pub(super) fn make(&self, new: NewToken, now_ms: u64) -> Result<(Made, Batch), Problem> {
        let name = new.name.trim();
        if name.is_empty() || name.len() > limits::TOKEN_NAME_MAX || name.chars().any(char::is_control) {
            return Err(Problem::new(Code::BadRequest, "a token has a name of 1 to 64 bytes"));
        }
        if new.scope == Scope::All {
            return Err(Problem::new(Code::BadRequest, "the scope `all` is of the home's own token only"));
        }
        if new.rooms.len() > limits::TOKEN_ROOMS {
            return Err(Problem::new(Code::BadRequest, "a token is for at most 64 rooms, or for all"));
        }
        if self.0.len() >= limits::SCRIPT_TOKENS {
            return Err(
                Problem::new(Code::Conflict, "there are too many tokens").hint("revoke some: parlor token list")
            );
        }
        let token = super::fresh();
        let id = super::short_id();
        let (hash, name) = (hash(&token), name.to_owned());
        let stored = Stored { id, hash, name, scope: new.scope, rooms: new.rooms, made_ms: now_ms };
        let batch = keep(self.kept().chain([&stored]))?;
        Ok((Made { token, stored }, batch))
    }

    /// Takes a token in that is stored now.
    pub(super) fn add(&mut self, made: Made) -> ApiToken {
        self.written();
        let script = Script::new(made.stored);
        let item = script.item(Some(made.token));
        self.0.push(script);
        item
    }

    /// Refuses this one from now on, and gives the batch that keeps the others. It is listed until that is
    /// [`written`](Self::written), so whoever revoked it in vain sees that and can do so again.
    ///
    /// # Errors
    /// `not_found`.
    pub(super) fn refuse(&mut self, id: &str) -> Result<Batch, Problem> {
        let Some(script) = self.0.iter_mut().find(|script| script.stored.id == id) else {
            let problem = Problem::new(Code::NotFound, "there is no such token");
            return Err(problem.hint("parlor token list shows them"));
        };
        script.over = None;
        keep(self.kept())
    }

    /// What was stored last is on disk: those that are refused are gone for good.
    pub(super) fn written(&mut self) {
        self.0.retain(|script| script.over.is_some());
    }

    /// What is to be stored.
    fn kept(&self) -> impl Iterator<Item = &Stored> {
        self.0.iter().filter(|script| script.over.is_some()).map(|script| &script.stored)
    }

    /// What the script with this token may.
    pub(super) fn by_token(&mut self, wanted: &Hash, now_ms: u64) -> Option<Grant> {
        let script = self.0.iter_mut().find(|script| script.stored.hash == *wanted)?;
        let grant = script.grant()?;
        script.used_ms = Some(now_ms);
        Some(grant)
    }

    /// What the script with this id may.
    pub(super) fn by_id(&self, id: &str) -> Option<Grant> {
        self.0.iter().find(|script| script.stored.id == id).and_then(Script::grant)
    }

    /// All of them, the oldest first.
    pub(super) fn list(&self) -> Vec<ApiToken> {
        self.0.iter().map(|script| script.item(None)).collect()
    }
}

/// A token that was made and is not stored yet.
pub(super) struct Made {
    token: String,
    stored: Stored,
}

fn keep<'a>(all: impl Iterator<Item = &'a Stored>) -> Result<Batch, Problem> {
    let all: Vec<_> = all.collect();
    let bytes = serde_json::to_vec(&all).map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let mut batch = Batch::new(None);
    batch.put(Namespace::Meta, NAME, bytes);
    Ok(batch)
}
