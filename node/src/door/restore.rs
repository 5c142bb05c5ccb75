//! Restoring a backup from the page of a new home: it is taken, opened, and its node started.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use parlor_api::{Code, Problem, RestoreBackup, RestoreStep, RestoredBackup, Restoring, WebState};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::Door;
use crate::backup::{BackupKey, Progress, Restored, Taken, Taking, restore_here};
use crate::config::{PASSPHRASE_MAX, Passphrase};
use crate::limits::BACKUP_IDLE;

/// How far it is.
pub(super) struct Arrival {
    told: Mutex<Told>,
    progress: Progress,
}

#[derive(Default)]
struct Told {
    step: RestoreStep,
    taken: Option<Taken>,
    problem: Option<Problem>,
    restored: Option<RestoredBackup>,
}

impl Arrival {
    /// Nothing is restored; `progress` ends it.
    pub(super) fn new(progress: Progress) -> Self {
        Self { told: Mutex::default(), progress }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Held for a few lines that do not panic.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> Restoring {
        let told = self.told();
        Restoring {
            step: told.step,
            bytes: told.taken.as_ref().map_or(0, |taken| taken.bytes),
            wants_passphrase: told.taken.as_ref().is_some_and(|taken| taken.wants_passphrase),
            read: self.progress.read(),
            problem: told.problem.clone(),
            restored: told.restored.clone(),
        }
    }
}

impl Door {
    /// How far a backup is restored. While the page is locked nothing is told of whose it was.
    pub(crate) fn restoring(&self) -> Restoring {
        let view = self.inner.arrival.view();
        if self.inner.tokens.is_locked() { Restoring { restored: None, problem: None, ..view } } else { view }
    }

    /// Waits until nothing is made or restored any more.
    pub(crate) async fn idle(&self) {
        drop(self.inner.making.lock().await);
    }

    /// Takes a backup onto the disk, as its bytes come. What was taken before goes.
    ///
    /// # Errors
    /// `conflict` when there is an account; `busy` while one is taken, read or made; `backup_damaged` for what is no backup;
    /// `too_long`, `timed_out`, `disk_full`.
    pub(crate) async fn take_backup(
        &self,
        body: impl Stream<Item = Result<Bytes, Problem>> + Send,
    ) -> Result<Restoring, Problem> {
        let _one = self.one()?;
        self.is_new()?;
        *self.inner.arrival.told() = Told::default();
        self.inner.arrival.progress.begin();
        let home = self.inner.home.clone();
        let mut taking = blocking(move || Taking::begin(&home)).await?;
        let mut body = std::pin::pin!(body);
        loop {
            let stalled = |_| Problem::new(Code::TimedOut, "nothing of the backup came any more");
            let Some(piece) = timeout(BACKUP_IDLE, body.next()).await.map_err(stalled)? else { break };
            let piece = piece?;
            taking = blocking(move || taking.write(&piece).map(|()| taking)).await?;
        }
        let taken = blocking(move || taking.end()).await?;
        *self.inner.arrival.told() = Told { step: RestoreStep::Taken, taken: Some(taken), ..Told::default() };
        Ok(self.restoring())
    }

    /// Begins to restore the backup that was taken, and has its node started; how it goes [`restoring`](Self::restoring) tells.
    ///
    /// # Errors
    /// `conflict` when there is an account; `busy`; `bad_request`; `not_found` when none was taken.
    pub(crate) fn restore(&self, request: RestoreBackup) -> Result<Restoring, Problem> {
        let one = self.one()?;
        self.is_new()?;
        let (key, lock) = keys_of(request)?;
        let taken = {
            let mut told = self.inner.arrival.told();
            let taken = told.taken.clone();
            let taken = taken.ok_or_else(|| {
                Problem::new(Code::NotFound, "there is no backup to restore").hint("choose the file again")
            })?;
            (told.step, told.problem) = (RestoreStep::Reading, None);
            taken
        };
        self.inner.arrival.progress.begin();
        let door = self.clone();
        // In a task of its own: who hangs up leaves no half of it.
        tokio::spawn(async move {
            let _one = one;
            if let Err(problem) = door.arrive(taken, key, lock).await {
                if problem.code != Code::WrongPassphrase {
                    tracing::warn!(%problem, "a backup was not restored");
                }
                let mut told = door.inner.arrival.told();
                told.problem = Some(problem);
                // What is a home already is not taken back: then it is the start that failed.
                if told.step == RestoreStep::Reading {
                    told.step = RestoreStep::Taken;
                }
            }
        });
        Ok(self.restoring())
    }

    async fn arrive(&self, taken: Taken, key: BackupKey, lock: Passphrase) -> Result<(), Problem> {
        let (home, progress) = (self.inner.home.clone(), self.inner.arrival.progress.clone());
        let (restored, opens) = blocking(move || restore_here(&home, &taken, (&key, &lock), &progress)).await?;
        {
            let Restored { name, made_at, from_device, counts, .. } = restored;
            let mut told = self.inner.arrival.told();
            told.step = RestoreStep::Starting;
            told.restored = Some(RestoredBackup {
                name,
                made_at,
                from_device,
                rooms: counts.rooms,
                messages: counts.messages,
                contacts: counts.contacts,
            });
        }
        self.inner.state.send_if_modified(|state| std::mem::replace(state, WebState::Locked) == WebState::New);
        *self.seed() = None;
        self.inner.passphrase.store(matches!(opens, Passphrase::Given(_)), Ordering::Release);
        self.open(opens, true).await?;
        self.inner.arrival.told().step = RestoreStep::Done;
        Ok(())
    }

    /// The account is made or restored by one at a time; who restores takes minutes, so nobody waits for him.
    fn one(&self) -> Result<tokio::sync::OwnedMutexGuard<()>, Problem> {
        let one = self.inner.making.clone().try_lock_owned();
        one.map_err(|_| {
            Problem::new(Code::Busy, "an account is being made or restored here").hint("wait until it is done")
        })
    }
}

/// What opens the backup, and what is to lock the home.
fn keys_of(request: RestoreBackup) -> Result<(BackupKey, Passphrase), Problem> {
    let RestoreBackup { passphrase, recovery, lock } = request;
    let secret = |text: Option<String>| text.map(Zeroizing::new).filter(|text| !text.is_empty());
    let (passphrase, recovery, lock) = (secret(passphrase), secret(recovery), secret(lock));
    if [&passphrase, &lock].into_iter().flatten().any(|text| text.len() > PASSPHRASE_MAX) {
        return Err(Problem::new(Code::BadRequest, "the passphrase is too long"));
    }
    let key = match (passphrase, recovery) {
        (Some(text), None) => BackupKey::Passphrase(text),
        (None, Some(text)) => BackupKey::Recovery(text),
        _ => return Err(Problem::new(Code::BadRequest, "give the passphrase of the backup, or the recovery phrase")),
    };
    Ok((key, lock.map_or(Passphrase::None, Passphrase::Given)))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Problem::new(Code::Internal, error.to_string()))?
}
