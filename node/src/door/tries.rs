//! Wrong passphrases cost time: some are answered at once, then each doubles a pause in which none is tried.

use std::sync::Arc;

use parlor_api::{Code, Problem};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Duration, Instant};

use crate::http::limits::{PASSPHRASE_FREE, PASSPHRASE_PAUSE_MAX};

/// What was tried since the last right one.
#[derive(Default)]
pub(super) struct Tries {
    past: Arc<Mutex<Past>>,
}

#[derive(Default)]
struct Past {
    wrong: u32,
    /// None is tried before.
    until: Option<Instant>,
}

/// The one that is being tried: nobody tries another while this is there.
pub(super) struct Attempt(OwnedMutexGuard<Past>);

impl Tries {
    /// Begins one, when nobody else tries one and the pause is over.
    ///
    /// # Errors
    /// `rate_limited` with the seconds to wait.
    pub(super) fn attempt(&self) -> Result<Attempt, Problem> {
        let past = self.past.clone().try_lock_owned().map_err(|_| {
            Problem::new(Code::RateLimited, "another passphrase is being tried").hint("try again in a second")
        })?;
        let left = past.until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
        if left.is_zero() {
            return Ok(Attempt(past));
        }
        let seconds = left.as_secs() + 1;
        Err(Problem::new(Code::RateLimited, "too many wrong passphrases").hint(format!("try again in {seconds} s")))
    }
}

#[cfg(test)]
impl Tries {
    /// Waits until none is being tried.
    pub(super) async fn idle(&self) {
        drop(self.past.lock().await);
    }
}

impl Attempt {
    /// It ended so.
    pub(super) fn ended(&mut self, problem: Option<&Problem>) {
        let past = &mut *self.0;
        match problem.map(|problem| problem.code) {
            None => *past = Past::default(),
            Some(Code::WrongPassphrase) => {
                past.wrong = past.wrong.saturating_add(1);
                let pauses = past.wrong.saturating_sub(PASSPHRASE_FREE);
                if pauses > 0 {
                    let pause = Duration::from_secs(1 << (pauses - 1).min(16)).min(PASSPHRASE_PAUSE_MAX);
                    past.until = Some(Instant::now() + pause);
                    tracing::warn!(wrong = past.wrong, "many wrong passphrases");
                }
            }
            // That says nothing about the passphrase.
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fail(tries: &Tries) {
        let mut attempt = tries.attempt().unwrap();
        attempt.ended(Some(&Problem::of(Code::WrongPassphrase)));
    }

    async fn is_refused(tries: &Tries) -> bool {
        tries.attempt().is_err_and(|problem| problem.code == Code::RateLimited)
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_passphrases_cost_more_and_more_time_up_to_a_minute() {
        let tries = Tries::default();
        for _ in 0..=PASSPHRASE_FREE {
            fail(&tries).await;
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(is_refused(&tries).await);
            tokio::time::advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
            assert!(is_refused(&tries).await, "{seconds}");
            tokio::time::advance(Duration::from_millis(1)).await;
            fail(&tries).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_right_one_forgives_and_other_failures_do_not_count() {
        let tries = Tries::default();
        for _ in 0..20 {
            tries.attempt().unwrap().ended(Some(&Problem::of(Code::DiskFull)));
        }
        for _ in 0..PASSPHRASE_FREE {
            fail(&tries).await;
        }
        tries.attempt().unwrap().ended(None);
        for _ in 0..PASSPHRASE_FREE {
            fail(&tries).await;
        }
        assert!(!is_refused(&tries).await);
    }

    #[tokio::test]
    async fn one_is_tried_at_a_time() {
        let tries = Tries::default();
        let _first = tries.attempt().unwrap();
        assert!(is_refused(&tries).await);
    }
}
