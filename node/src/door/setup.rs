//! Making the account from the page: a recovery phrase that is shown before there is anything, and checked.

use std::collections::BTreeMap;

use parlor_api::{CheckedWord, Code, Problem, RecoveryPhrase, Setup, WebState};
use parlor_crypto::account::RootSeed;
use parlor_crypto::phrase;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Door;
use crate::account::{Account, Origin, rng};
use crate::clock::now_ms;
use crate::config::{PASSPHRASE_MAX, Passphrase};

/// Words of the phrase that must be told, so that it was written down.
const CHECKED: usize = 3;

impl Door {
    /// The recovery phrase that the account will have. Nothing is on the disk yet.
    ///
    /// # Errors
    /// `conflict` when there is an account.
    pub(crate) fn phrase(&self) -> Result<RecoveryPhrase, Problem> {
        self.is_new()?;
        let mut seed = self.seed();
        let spelled = phrase::spell(seed.get_or_insert_with(|| RootSeed::generate(&mut rng())));
        Ok(RecoveryPhrase { words: spelled.split(' ').map(str::to_owned).collect() })
    }

    /// Makes the account, and has its node started.
    ///
    /// # Errors
    /// `conflict` for wrong words or when there is an account; `bad_request`; as [`init_account`](crate::init_account); why the
    /// node can not start.
    pub(crate) async fn setup(&self, setup: Setup) -> Result<(), Problem> {
        // In a task of its own: who hangs up leaves no half of it.
        let door = self.clone();
        let making = tokio::spawn(async move { door.make(setup).await });
        making.await.map_err(|error| Problem::new(Code::Internal, error.to_string()))?
    }

    async fn make(&self, setup: Setup) -> Result<(), Problem> {
        // One at a time: the second finds the account of the first.
        let _one = self.inner.making.lock().await;
        self.is_new()?;
        let Setup { name, passphrase, check, recovery } = setup;
        let recovery = recovery.map(Zeroizing::new);
        let passphrase = match passphrase.filter(|text| !text.is_empty()).map(Zeroizing::new) {
            None => Passphrase::None,
            Some(text) if text.len() > PASSPHRASE_MAX => {
                return Err(Problem::new(Code::BadRequest, "the passphrase is too long"));
            }
            Some(text) => Passphrase::Given(text),
        };
        let phrase = match recovery {
            Some(text) => Origin::Recovered(text),
            None => Origin::Spelled(self.checked(&check)?),
        };
        let (home, unlock) = (self.inner.home.clone(), passphrase.clone());
        let making = tokio::task::spawn_blocking(move || Account::make(&home, &name, &passphrase, phrase, now_ms()));
        making.await.map_err(|error| Problem::new(Code::Internal, error.to_string()))??;
        self.inner.state.send_if_modified(|state| std::mem::replace(state, WebState::Locked) == WebState::New);
        *self.seed() = None;
        self.inner.passphrase.store(matches!(unlock, Passphrase::Given(_)), std::sync::atomic::Ordering::Release);
        self.open(unlock, false).await
    }

    /// The recovery phrase that was shown, if these words are of it.
    fn checked(&self, check: &[CheckedWord]) -> Result<Zeroizing<String>, Problem> {
        let spelled = match &*self.seed() {
            Some(seed) => phrase::spell(seed),
            None => {
                let problem = Problem::new(Code::Conflict, "there is no recovery phrase yet");
                return Err(problem.hint("begin again: reload the page"));
            }
        };
        let words: Vec<&str> = spelled.split(' ').collect();
        let told: BTreeMap<u32, &str> = check.iter().map(|told| (told.place, told.word.as_str())).collect();
        for (place, word) in &told {
            let wanted = usize::try_from(*place).ok().and_then(|place| words.get(place.checked_sub(1)?));
            let wanted = wanted.ok_or_else(|| Problem::new(Code::BadRequest, "a place is from 1 to 24"))?;
            if !bool::from(word.trim().to_lowercase().as_bytes().ct_eq(wanted.as_bytes())) {
                let problem = Problem::new(Code::Conflict, format!("word {place} is another one"));
                return Err(problem.hint("look at what you have written down"));
            }
        }
        if told.len() < CHECKED {
            let problem = Problem::new(Code::BadRequest, format!("at least {CHECKED} words of the phrase are needed"));
            return Err(problem.hint("so that it is certain that it was written down"));
        }
        Ok(spelled)
    }

    pub(super) fn is_new(&self) -> Result<(), Problem> {
        if *self.inner.state.borrow() == WebState::New && !self.inner.home.has_account() {
            return Ok(());
        }
        Err(Problem::new(Code::Conflict, "there is an account already"))
    }
}
