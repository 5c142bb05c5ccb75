//! Sessions of browsers and the codes that open them. In memory only: they end with the node.
//!
//! Another user's program may take the port of a node that has ended, and open tabs would show it their tokens; none of
//! these works anywhere by then.

use std::collections::HashMap;

use parlor_api::{Code, Problem, Session};
use tokio::sync::watch;
use tokio::time::Instant;

use super::grant::{Grant, Who};
use super::{Hash, hash};
use crate::bus::rfc3339;
use crate::http::limits;
use parlor_api::Scope;

/// Sessions and codes.
#[derive(Default)]
pub(super) struct Sessions {
    codes: HashMap<String, Instant>,
    open: Vec<Open>,
}

/// A session.
struct Open {
    id: String,
    hash: Hash,
    agent: String,
    made: Instant,
    made_ms: u64,
    used: Instant,
    used_ms: u64,
    /// Told when it is locked; gone when it is over.
    over: watch::Sender<()>,
}

impl Open {
    fn is_over(&self) -> bool {
        self.made.elapsed() >= limits::SESSION_TIME || self.used.elapsed() >= limits::SESSION_IDLE
    }

    fn grant(&self) -> Grant {
        Grant::new(Who::Session(self.id.clone()), Scope::All, self.over.subscribe())
    }

    fn ends_at(&self) -> String {
        rfc3339(self.made_ms.saturating_add(u64::try_from(limits::SESSION_TIME.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sessions {
    /// A code that opens one session.
    ///
    /// # Errors
    /// `busy` when too many are unused.
    pub(super) fn code(&mut self) -> Result<String, Problem> {
        let now = Instant::now();
        self.codes.retain(|_, until| *until > now);
        if self.codes.len() >= limits::CODES {
            return Err(Problem::new(Code::Busy, "too many codes are unused").hint("use them, or wait a minute"));
        }
        let code = format!("{:032x}", rand::random::<u128>());
        self.codes.insert(code.clone(), now + limits::CODE_TIME);
        Ok(code)
    }

    /// Opens a session with a code, which is used up by asking: its token, its id, and when it ends. The one that was used least
    /// recently ends if there are too many.
    pub(super) fn open(&mut self, code: &str, agent: &str, now_ms: u64) -> Option<(String, String, String)> {
        // Looking up is not of constant time; a code of 128 random bits lives too short to be found that way.
        self.codes.remove(code).filter(|until| *until > Instant::now())?;
        self.open.retain(|session| !session.is_over());
        if self.open.len() >= limits::SESSIONS
            && let Some((at, _)) = self.open.iter().enumerate().min_by_key(|(_, session)| session.used)
        {
            self.open.remove(at);
        }
        let token = super::fresh();
        let printable = |c: &char| c.is_ascii_graphic() || *c == ' ';
        let now = Instant::now();
        let session = Open {
            id: super::short_id(),
            hash: hash(&token),
            agent: agent.chars().filter(printable).take(limits::AGENT_MAX).collect(),
            made: now,
            made_ms: now_ms,
            used: now,
            used_ms: now_ms,
            over: watch::Sender::new(()),
        };
        let answer = (token, session.id.clone(), session.ends_at());
        self.open.push(session);
        Some(answer)
    }

    /// What the session with this token may.
    pub(super) fn by_token(&mut self, wanted: &Hash, now_ms: u64) -> Option<Grant> {
        let session = self.open.iter_mut().find(|session| session.hash == *wanted && !session.is_over())?;
        session.used = Instant::now();
        session.used_ms = now_ms;
        Some(session.grant())
    }

    /// What the session with this id may.
    pub(super) fn by_id(&self, id: &str) -> Option<Grant> {
        self.open.iter().find(|session| session.id == id && !session.is_over()).map(Open::grant)
    }

    /// All that are open, the one used last first.
    pub(super) fn list(&self, asking: &Who) -> Vec<Session> {
        let mut open: Vec<_> = self.open.iter().filter(|session| !session.is_over()).collect();
        open.sort_by_key(|session| std::cmp::Reverse(session.used));
        let item = |session: &Open| Session {
            session: session.id.clone(),
            this: *asking == Who::Session(session.id.clone()),
            agent: session.agent.clone(),
            made_at: rfc3339(session.made_ms),
            used_at: rfc3339(session.used_ms),
            expires_at: session.ends_at(),
        };
        open.into_iter().map(item).collect()
    }

    /// Ends one, or all (`all`). Whether there was one.
    pub(super) fn end(&mut self, id: &str) -> bool {
        let before = self.open.len();
        self.open.retain(|session| id != "all" && session.id != id);
        id == "all" || self.open.len() < before
    }

    /// Ends what sessions follow now; they may come again.
    pub(super) fn interrupt(&self) {
        self.open.iter().for_each(|session| session.over.send_replace(()));
    }
}
