//! The door: how far the page of a browser gets, from a home without an account to a node that runs.
//!
//! A [`Door`] is there from the moment the local API listens. While there is no account it makes one from what the page says;
//! while the account is locked it takes the passphrase; both end with an [`Ask`] to open, which whoever hosts the node answers
//! ([`crate::launch`]). Once the node runs, the page can be locked and unlocked again while the node goes on. The routes are in
//! `http/routes/web.rs`, the contract in `docs/spec/web.md`.

mod restore;
mod setup;
mod tries;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use parlor_api::{Code, Problem, Scope, Web, WebCode, WebState};
use parlor_crypto::account::RootSeed;
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

use self::tries::Tries;
use crate::account::Account;
use crate::backup::Progress;
use crate::config::Passphrase;
use crate::home::Home;
use crate::http::limits;
use crate::http::{Grant, Tokens, Who};

/// Somebody wants the account opened and its node started.
pub(crate) struct Ask {
    /// What opens it.
    pub(crate) passphrase: Passphrase,
    /// It was restored from a backup, which may have brought settings along.
    pub(crate) restored: bool,
    /// Whether the node runs now.
    pub(crate) reply: oneshot::Sender<Result<(), Problem>>,
}

/// Asks that wait for whoever starts the node: one is answered at a time.
const ASKS: usize = 4;

/// The door of one home. Clones are the same.
#[derive(Clone)]
pub(crate) struct Door {
    inner: Arc<Inner>,
}

struct Inner {
    home: Home,
    tokens: Tokens,
    /// Address of the local API.
    api: String,
    /// Of the node, not of the page: `Locked` until the account was opened.
    state: watch::Sender<WebState>,
    passphrase: AtomicBool,
    tries: Tries,
    /// One account is made at a time.
    making: Arc<tokio::sync::Mutex<()>>,
    /// The backup that is being restored.
    arrival: restore::Arrival,
    /// The account that is being made, until it is.
    seed: Mutex<Option<RootSeed>>,
    asks: mpsc::Sender<Ask>,
    stop: watch::Sender<bool>,
}

impl Door {
    /// The door of a home whose API listens, in the state in which the home is; and what is asked at it.
    ///
    /// # Errors
    /// `home_damaged`, `home_denied`.
    pub(crate) fn new(
        home: Home,
        tokens: Tokens,
        api: String,
        stop: watch::Sender<bool>,
    ) -> Result<(Self, mpsc::Receiver<Ask>), Problem> {
        let state = if home.has_account() { WebState::Locked } else { WebState::New };
        let passphrase = AtomicBool::new(state == WebState::Locked && Account::wants_passphrase(&home)?);
        let (asks, asked) = mpsc::channel(ASKS);
        let (state, tries, seed) = (watch::Sender::new(state), Tries::default(), Mutex::new(None));
        let (making, arrival) = (Arc::default(), restore::Arrival::new(Progress::new(stop.subscribe())));
        let inner = Inner { home, tokens, api, state, passphrase, tries, making, arrival, seed, asks, stop };
        Ok((Self { inner: Arc::new(inner) }, asked))
    }

    /// Who may use the API.
    pub(crate) fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    /// How far whoever asks can get now.
    pub(crate) fn state(&self) -> WebState {
        let state = *self.inner.state.borrow();
        if state == WebState::Ready && self.inner.tokens.is_locked() { WebState::Locked } else { state }
    }

    /// The node runs now.
    pub(crate) fn opened(&self) -> Result<(), Problem> {
        self.inner.passphrase.store(Account::wants_passphrase(&self.inner.home)?, Ordering::Release);
        self.inner.state.send_replace(WebState::Ready);
        Ok(())
    }

    /// Ends the node, or the waiting for one.
    pub(crate) fn stop(&self) {
        self.inner.stop.send_replace(true);
    }

    /// What the page is told of it.
    pub(crate) fn view(&self, grant: &Grant) -> Web {
        let session = match &grant.who {
            Who::Session(id) => Some(id.clone()),
            Who::Home | Who::Script(_) => None,
        };
        Web {
            state: self.state(),
            passphrase: self.inner.passphrase.load(Ordering::Acquire),
            session,
            suggested_name: suggested_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// A code that opens a session of a browser. Only whoever has the home's own token makes one: a session that could would
    /// outlive its being revoked.
    ///
    /// # Errors
    /// `scope_missing`, `busy`.
    pub(crate) fn code(&self, grant: &Grant) -> Result<WebCode, Problem> {
        if grant.who != Who::Home {
            let problem = Problem::new(Code::ScopeMissing, "only the home's own token opens sessions");
            return Err(problem.hint("parlor web opens the page"));
        }
        self.link()
    }

    /// The same, for whoever hosts the node.
    ///
    /// # Errors
    /// `busy`.
    pub(crate) fn link(&self) -> Result<WebCode, Problem> {
        let code = self.inner.tokens.code()?;
        let url = format!("{}/#code={code}", self.inner.api);
        Ok(WebCode { code, url, expires_in: limits::CODE_TIME.as_secs() })
    }

    /// Locks the page; the node goes on.
    ///
    /// # Errors
    /// `conflict` without a passphrase.
    pub(crate) fn lock(&self) -> Result<(), Problem> {
        if !self.inner.passphrase.load(Ordering::Acquire) {
            let problem = Problem::new(Code::Conflict, "the account has no passphrase to unlock it with");
            return Err(problem.hint("close the page instead, or end its session"));
        }
        self.inner.tokens.lock();
        Ok(())
    }

    /// Unlocks the page, and before the node runs, the account.
    ///
    /// # Errors
    /// `wrong_passphrase`, `rate_limited`, `conflict`, and why the node can not start.
    pub(crate) async fn unlock(&self, passphrase: Zeroizing<String>) -> Result<(), Problem> {
        let state = *self.inner.state.borrow();
        if state == WebState::New {
            return Err(Problem::new(Code::Conflict, "there is no account to unlock"));
        }
        if passphrase.len() > crate::config::PASSPHRASE_MAX {
            return Err(Problem::new(Code::BadRequest, "the passphrase is too long"));
        }
        // One at a time, and after some wrong ones not at once: each costs a second of work and of guessing.
        // In a task of its own: who hangs up has tried all the same.
        let mut attempt = self.inner.tries.attempt()?;
        let door = self.clone();
        let trying = tokio::spawn(async move {
            let given = Passphrase::Given(passphrase);
            let answer = if state == WebState::Ready { door.check(given).await } else { door.open(given, false).await };
            attempt.ended(answer.as_ref().err());
            answer.map(|()| door.inner.tokens.unlock())
        });
        trying.await.map_err(|error| Problem::new(Code::Internal, error.to_string()))?
    }

    /// Whether this opens the account of a node that runs.
    async fn check(&self, passphrase: Passphrase) -> Result<(), Problem> {
        let home = self.inner.home.clone();
        let checking = tokio::task::spawn_blocking(move || Account::open(&home, &passphrase).map(drop));
        checking.await.map_err(|error| Problem::new(Code::Internal, error.to_string()))?
    }

    /// Has the account opened and its node started.
    async fn open(&self, passphrase: Passphrase, restored: bool) -> Result<(), Problem> {
        let (reply, answer) = oneshot::channel();
        let stopping = || Problem::of(Code::Stopping);
        self.inner.asks.send(Ask { passphrase, restored, reply }).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// Why nothing but the page's own routes is answered yet.
    pub(crate) fn closed(&self) -> Problem {
        match self.state() {
            WebState::New => Problem::of(Code::NoAccount).hint("make one: parlor web, or parlor init --name NAME"),
            _ => Problem::of(Code::PassphraseNeeded).hint("unlock it in the page: parlor web"),
        }
    }

    fn seed(&self) -> std::sync::MutexGuard<'_, Option<RootSeed>> {
        // Held for a few lines that do not panic.
        self.inner.seed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes whoever may do everything.
///
/// # Errors
/// `scope_missing`.
pub(crate) fn needs_all(grant: &Grant) -> Result<(), Problem> {
    grant.needs(Scope::All)
}

/// What the user of this machine is called.
fn suggested_name() -> String {
    let told = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    told.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty() && name != "root").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Origin;

    #[tokio::test(flavor = "multi_thread")]
    async fn who_hangs_up_has_tried_a_passphrase_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        home.create().unwrap();
        let right = || Zeroizing::new("correct horse".to_owned());
        Account::make(&home, "ann", &Passphrase::Given(right()), Origin::New, 1).unwrap();
        let tokens = Tokens::new(Zeroizing::new("t".into()));
        let (door, _asks) = Door::new(home, tokens, "http://127.0.0.1:1".into(), watch::Sender::new(false)).unwrap();
        door.opened().unwrap();
        for _ in 0..=limits::PASSPHRASE_FREE {
            let trying = door.unlock(Zeroizing::new("wrong".into()));
            // Nobody waits for the answer.
            assert!(tokio::time::timeout(std::time::Duration::ZERO, trying).await.is_err());
            door.inner.tries.idle().await;
        }
        let refused = door.unlock(right()).await.unwrap_err();
        assert_eq!(refused.code, Code::RateLimited);
        assert!(refused.hint.unwrap_or_default().contains(" s"));
    }
}
