//! Who may use the API: the token of the home, and tickets that open one WebSocket each.
//!
//! The home's token may do everything. Tokens with fewer [`Scope`]s will stand beside it; routes say already which scope
//! they need. A browser can not set headers on a WebSocket, so it fetches a ticket with its token and puts that into the
//! URL: good once, for 30 seconds, for the same scopes.
//!
//! Wrong tokens are counted; past [`limits::FAILURES`] a minute they are answered 429 instead of 401. The right token
//! always works: otherwise any program of this machine could lock its user out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_api::{Code, Problem};
use subtle::ConstantTimeEq;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::limits;

/// What a token allows. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Read rooms, messages and events.
    Read,
    /// Also send messages and mark as read.
    Send,
    /// Everything.
    Manage,
}

/// The tokens of a node. Clones share them.
#[derive(Clone)]
pub struct Tokens {
    inner: Arc<Inner>,
}

struct Inner {
    home: Zeroizing<String>,
    changing: Mutex<Changing>,
}

struct Changing {
    tickets: HashMap<String, (Scope, Instant)>,
    failures: u32,
    window: Instant,
}

impl Tokens {
    /// Those of a home whose own token is this.
    pub fn new(home: Zeroizing<String>) -> Self {
        let changing = Changing { tickets: HashMap::new(), failures: 0, window: Instant::now() };
        Self { inner: Arc::new(Inner { home, changing: Mutex::new(changing) }) }
    }

    /// What this token allows. Takes the same time wherever a wrong token differs.
    ///
    /// # Errors
    /// `unauthorized`; `rate_limited` after many of these.
    pub fn check(&self, token: Option<&str>) -> Result<Scope, Problem> {
        let token = token.unwrap_or_default();
        if bool::from(token.as_bytes().ct_eq(self.inner.home.as_bytes())) {
            return Ok(Scope::Manage);
        }
        Err(self.failed(if token.is_empty() { "a token is needed" } else { "the token is wrong" }))
    }

    /// A ticket for one WebSocket with this scope.
    ///
    /// # Errors
    /// `busy` when too many are unused.
    pub fn ticket(&self, scope: Scope) -> Result<String, Problem> {
        let mut changing = self.changing();
        let now = Instant::now();
        changing.tickets.retain(|_, (_, until)| *until > now);
        if changing.tickets.len() >= limits::TICKETS {
            return Err(Problem::new(Code::Busy, "too many tickets are unused").hint("use them, or wait 30 seconds"));
        }
        let ticket = format!("{:032x}", rand::random::<u128>());
        changing.tickets.insert(ticket.clone(), (scope, now + limits::TICKET_TIME));
        Ok(ticket)
    }

    /// What this ticket allows; it is used up by asking.
    ///
    /// # Errors
    /// `unauthorized`; `rate_limited` after many of these.
    pub fn redeem(&self, ticket: &str) -> Result<Scope, Problem> {
        // Looking up is not of constant time; a ticket of 128 random bits lives too short to be found that way.
        let found = self.changing().tickets.remove(ticket);
        match found {
            Some((scope, until)) if until > Instant::now() => Ok(scope),
            _ => Err(self.failed("the ticket is used, too old or wrong")),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(Zeroizing::new("ab".repeat(32)))
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_is_slowed_down_and_locks_nobody_out() {
        let tokens = tokens();
        for _ in 0..limits::FAILURES {
            assert_eq!(tokens.check(Some("guess")).unwrap_err().code, Code::Unauthorized);
        }
        assert_eq!(tokens.check(None).unwrap_err().code, Code::RateLimited);
        assert_eq!(tokens.check(Some(&"ab".repeat(32))), Ok(Scope::Manage));
        tokio::time::advance(limits::FAILURE_WINDOW * 2).await;
        assert_eq!(tokens.check(None).unwrap_err().code, Code::Unauthorized);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_works_once_and_only_for_a_short_time() {
        let tokens = tokens();
        let ticket = tokens.ticket(Scope::Read).unwrap();
        assert_eq!(tokens.redeem(&ticket), Ok(Scope::Read));
        assert!(tokens.redeem(&ticket).is_err());
        let late = tokens.ticket(Scope::Read).unwrap();
        tokio::time::advance(limits::TICKET_TIME).await;
        assert!(tokens.redeem(&late).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn unused_tickets_are_bounded() {
        let tokens = tokens();
        (0..limits::TICKETS).for_each(|_| drop(tokens.ticket(Scope::Read).unwrap()));
        assert_eq!(tokens.ticket(Scope::Read).unwrap_err().code, Code::Busy);
        tokio::time::advance(limits::TICKET_TIME).await;
        assert!(tokens.ticket(Scope::Read).is_ok());
    }
}
