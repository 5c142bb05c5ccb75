//! Who may use the API: the token of the home, sessions of browsers, tokens of scripts; tickets that open one WebSocket each,
//! and signed links that open one path.
//!
//! The home's token may do everything. A browser trades a code for a session, which may as well; scripts have tokens of their
//! own with a [`Scope`] and perhaps for some rooms. Of all but the home's only hashes are kept. A browser can not set headers on
//! a WebSocket or an image, so it fetches a ticket or a link with its token, which open no more than that token does *then*.
//!
//! Wrong tokens, codes and tickets are counted; past [`limits::FAILURES`] a minute they are answered 429 instead of 401. The right
//! one always works: otherwise any program of this machine could lock its user out.

mod grant;
mod links;
mod scripts;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_api::{ApiToken, Code, Problem, Scope, Session};
use parlor_storage::Store;
use subtle::ConstantTimeEq;
use tokio::sync::watch;
use tokio::time::Instant;
use zeroize::Zeroizing;

pub(crate) use grant::{Grant, Who};
pub(crate) use scripts::{NewToken, with_those_below};

use self::links::{Closed, Links};
use self::scripts::Scripts;
use self::sessions::Sessions;
use super::limits;
use crate::clock::now_ms;
use crate::services::commit_problem;

/// What is kept of a token.
type Hash = [u8; 32];

/// The tokens of a node. Clones share them.
#[derive(Clone)]
pub(crate) struct Tokens {
    inner: Arc<Inner>,
}

struct Inner {
    home: Zeroizing<String>,
    links: Links,
    /// What the home's token opens is never over.
    for_ever: watch::Sender<()>,
    /// One change of the stored tokens at a time.
    writing: tokio::sync::Mutex<()>,
    changing: Mutex<Changing>,
}

struct Changing {
    /// Who follows events, an entry for each feed that is open.
    feeds: HashMap<Who, Arc<()>>,
    tickets: HashMap<String, (Who, Instant)>,
    sessions: Sessions,
    scripts: Scripts,
    /// Sessions wait for the passphrase.
    locked: bool,
    failures: u32,
    window: Instant,
}

/// A place among the feeds of a token.
#[derive(Debug)]
pub(crate) struct FeedPlace(#[allow(dead_code, reason = "counted, not read")] Arc<()>);

/// A session that was opened.
pub(crate) struct NewSession {
    pub(crate) token: String,
    pub(crate) session: String,
    pub(crate) expires_at: String,
}

impl Tokens {
    /// Those of a home whose own token is this.
    pub(crate) fn new(home: Zeroizing<String>) -> Self {
        let changing = Changing {
            feeds: HashMap::new(),
            tickets: HashMap::new(),
            sessions: Sessions::default(),
            scripts: Scripts::default(),
            locked: false,
            failures: 0,
            window: Instant::now(),
        };
        let (links, for_ever) = (Links::new(), watch::Sender::new(()));
        let (writing, changing) = (tokio::sync::Mutex::default(), Mutex::new(changing));
        Self { inner: Arc::new(Inner { home, links, for_ever, writing, changing }) }
    }

    /// Adds the tokens of scripts that the store keeps. Blocks.
    ///
    /// # Errors
    /// `home_damaged`.
    pub(crate) fn load(&self, store: &Store) -> Result<(), Problem> {
        self.changing().scripts = Scripts::load(store)?;
        Ok(())
    }

    /// What this token allows. Takes the same time wherever a wrong token differs.
    ///
    /// # Errors
    /// `unauthorized`; `rate_limited` after many of these; `passphrase_needed` for a session while it is locked.
    pub(crate) fn check(&self, token: Option<&str>) -> Result<Grant, Problem> {
        let grant = self.check_locked_too(token)?;
        self.unlocked(&grant.who)?;
        Ok(grant)
    }

    /// As [`check`](Self::check), also while sessions are locked.
    ///
    /// # Errors
    /// `unauthorized`, `rate_limited`.
    pub(crate) fn check_locked_too(&self, token: Option<&str>) -> Result<Grant, Problem> {
        let token = token.unwrap_or_default();
        if bool::from(token.as_bytes().ct_eq(self.inner.home.as_bytes())) {
            return Ok(self.home());
        }
        let (hash, now_ms) = (hash(token), now_ms());
        let mut changing = self.changing();
        let session = changing.sessions.by_token(&hash, now_ms);
        let found = session.or_else(|| changing.scripts.by_token(&hash, now_ms));
        drop(changing);
        found.ok_or_else(|| {
            self.failed(if token.is_empty() { "a token is needed" } else { "the token is wrong, or over" })
        })
    }

    /// A ticket for one WebSocket, which opens what this grant does.
    ///
    /// # Errors
    /// `busy` when too many are unused.
    pub(crate) fn ticket(&self, grant: &Grant) -> Result<String, Problem> {
        let mut changing = self.changing();
        let now = Instant::now();
        changing.tickets.retain(|_, (_, until)| *until > now);
        let own = changing.tickets.values().filter(|(who, _)| *who == grant.who).count();
        if own >= limits::TICKETS_EACH || changing.tickets.len() >= limits::TICKETS {
            return Err(Problem::new(Code::Busy, "too many tickets are unused").hint("use them, or wait 30 seconds"));
        }
        let ticket = format!("{:032x}", rand::random::<u128>());
        changing.tickets.insert(ticket.clone(), (grant.who.clone(), now + limits::TICKET_TIME));
        Ok(ticket)
    }

    /// What this ticket allows; it is used up by asking.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(crate) fn redeem(&self, ticket: &str) -> Result<Grant, Problem> {
        // Looking up is not of constant time; a ticket of 128 random bits lives too short to be found that way.
        let found = self.changing().tickets.remove(ticket).filter(|(_, until)| *until > Instant::now());
        let grant = found.and_then(|(who, _)| self.of(&who));
        let grant = grant.ok_or_else(|| self.failed("the ticket is used, too old or wrong"))?;
        self.unlocked(&grant.who)?;
        Ok(grant)
    }

    /// A place for one more feed of events of whoever this is; given back when it is dropped.
    ///
    /// # Errors
    /// `busy` when a token of a browser or a script holds as many as it may: none takes the connections of others.
    pub(crate) fn place(&self, grant: &Grant) -> Result<FeedPlace, Problem> {
        let mut changing = self.changing();
        changing.feeds.retain(|_, places| Arc::strong_count(places) > 1);
        let places = changing.feeds.entry(grant.who.clone()).or_default();
        if grant.who != Who::Home && Arc::strong_count(places) > limits::FEEDS_EACH {
            let problem = Problem::new(Code::Busy, "too many streams of events are open with this token");
            return Err(problem.hint("close some: one stream tells of all rooms"));
        }
        Ok(FeedPlace(places.clone()))
    }

    /// `path` with a signature that opens it for a while to whoever sends no header.
    pub(crate) fn sign(&self, grant: &Grant, path: &str) -> String {
        self.inner.links.sign(&grant.who, path)
    }

    /// What a signed link to `path` allows.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(crate) fn open_link(&self, path: &str, signed: &str) -> Result<Grant, Problem> {
        let old =
            || Problem::new(Code::Unauthorized, "the link is too old").hint("ask for a new one: POST /api/v1/links");
        match self.inner.links.open(path, signed) {
            Ok(who) => {
                self.unlocked(&who)?;
                self.of(&who).ok_or_else(old)
            }
            // That is no attempt to guess one.
            Err(Closed::Old) => Err(old()),
            Err(Closed::Wrong) => Err(self.failed("the link is wrong")),
        }
    }

    /// A code that opens one session.
    ///
    /// # Errors
    /// `busy`.
    pub(crate) fn code(&self) -> Result<String, Problem> {
        self.changing().sessions.code()
    }

    /// Opens a session with a code, which is used up by asking.
    ///
    /// # Errors
    /// `unauthorized`, `rate_limited`.
    pub(crate) fn open_session(&self, code: &str, agent: &str) -> Result<NewSession, Problem> {
        let opened = self.changing().sessions.open(code, agent, now_ms());
        let (token, session, expires_at) = opened.ok_or_else(|| {
            let problem = self.failed("the code is used, too old or wrong");
            if problem.code == Code::Unauthorized {
                problem.hint("parlor web opens the page with a new one")
            } else {
                problem
            }
        })?;
        tracing::info!(session, "a browser opened a session");
        Ok(NewSession { token, session, expires_at })
    }

    /// The sessions that are open.
    pub(crate) fn sessions(&self, asking: &Grant) -> Vec<Session> {
        self.changing().sessions.list(&asking.who)
    }

    /// Ends a session, or all of them (`all`).
    ///
    /// # Errors
    /// `not_found`.
    pub(crate) fn end_session(&self, id: &str) -> Result<(), Problem> {
        if self.changing().sessions.end(id) {
            return Ok(());
        }
        Err(Problem::new(Code::NotFound, "there is no such session").hint("parlor web list shows them"))
    }

    /// Lets sessions in no more until [`unlock`](Self::unlock), and ends what they follow.
    pub(crate) fn lock(&self) {
        let mut changing = self.changing();
        changing.locked = true;
        changing.sessions.interrupt();
    }

    /// Lets sessions in again.
    pub(crate) fn unlock(&self) {
        self.changing().locked = false;
    }

    /// Whether sessions are locked.
    pub(crate) fn is_locked(&self) -> bool {
        self.changing().locked
    }

    /// Makes a token for a script; durable when it returns.
    ///
    /// # Errors
    /// `bad_request`, `conflict`; what the disk says.
    pub(crate) async fn make(&self, store: &Store, new: NewToken) -> Result<ApiToken, Problem> {
        let _one = self.inner.writing.lock().await;
        let (made, batch) = self.changing().scripts.make(new, now_ms())?;
        store.commit(batch).await.map_err(|error| commit_problem(&error))?;
        Ok(self.changing().scripts.add(made))
    }

    /// The tokens of scripts.
    pub(crate) fn scripts(&self) -> Vec<ApiToken> {
        self.changing().scripts.list()
    }

    /// Refuses a script's token from now on, and ends what it follows; for good when it returns. When that can not be stored it is
    /// refused until the node ends, and listed, so that it can be revoked again.
    ///
    /// # Errors
    /// `not_found`; what the disk says.
    pub(crate) async fn revoke(&self, store: &Store, id: &str) -> Result<(), Problem> {
        let _one = self.inner.writing.lock().await;
        // Refused first: who revokes a token does not wait for a disk that is full.
        let batch = self.changing().scripts.refuse(id)?;
        store.commit(batch).await.map_err(|error| commit_problem(&error))?;
        self.changing().scripts.written();
        Ok(())
    }

    fn home(&self) -> Grant {
        Grant::new(Who::Home, Scope::All, self.inner.for_ever.subscribe())
    }

    /// What somebody may now.
    fn of(&self, who: &Who) -> Option<Grant> {
        match who {
            Who::Home => Some(self.home()),
            Who::Session(id) => self.changing().sessions.by_id(id),
            Who::Script(id) => self.changing().scripts.by_id(id),
        }
    }

    fn unlocked(&self, who: &Who) -> Result<(), Problem> {
        if matches!(who, Who::Session(_)) && self.is_locked() {
            let problem = Problem::new(Code::PassphraseNeeded, "the page is locked");
            return Err(problem.hint("unlock it with the passphrase: POST /api/v1/web/unlock"));
        }
        Ok(())
    }

    fn failed(&self, why: &str) -> Problem {
        let mut changing = self.changing();
        if changing.window.elapsed() > limits::FAILURE_WINDOW {
            changing.window = Instant::now();
            changing.failures = 0;
        }
        changing.failures = changing.failures.saturating_add(1);
        if changing.failures > limits::FAILURES {
            return Problem::new(Code::RateLimited, "too many wrong tokens").hint("wait a minute");
        }
        if changing.failures == limits::FAILURES {
            tracing::warn!(attempts = changing.failures, "many requests with a wrong token");
        }
        Problem::new(Code::Unauthorized, why)
            .hint("send `Authorization: Bearer TOKEN` with the token of the file HOME/token")
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        // Held for a few lines that do not panic.
        self.inner.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept of a token. It has 256 random bits, so no work has to be put in the way of guessing.
fn hash(token: &str) -> Hash {
    blake3::derive_key("parlor/1 local API token", token.as_bytes())
}

/// A new token: 32 random bytes as 64 hexadecimal digits.
fn fresh() -> String {
    let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

/// A short id, by which people tell tokens apart.
fn short_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}
