//! What others hold of the search.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use parlor_api::{Code, Problem, SearchState};
use parlor_crypto::vault::Vault;
use parlor_storage::Store;
use parlor_storage::search::{SearchError, SearchIndex, Shelf};
use tokio::sync::{Notify, Semaphore};

use crate::app::Answer;
use crate::limits::{SEARCHES, SEARCHES_WAITING};
use crate::services::rooms::Rooms;

/// How often the index does what costs the disk something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Changes are found after so long at the latest: no two commits are nearer.
    pub(crate) commit: Duration,
    /// The files are synced, and the list of changes is cut, so often while there are changes.
    pub(crate) sync: Duration,
    /// What was taken out leaves the files after so long, if it was not done just before.
    pub(crate) purge: Duration,
    /// The same of what disappears.
    pub(crate) fade: Duration,
    /// What went wrong is tried again after so long.
    pub(crate) again: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            commit: Duration::from_millis(500),
            sync: Duration::from_secs(60),
            purge: Duration::from_secs(60),
            fade: Duration::from_secs(2),
            again: Duration::from_secs(5),
        }
    }
}

impl Pace {
    /// How long what was taken out of a shelf may stay in its files.
    pub(super) fn sweep(&self, shelf: Shelf) -> Duration {
        match shelf {
            Shelf::Lasting => self.purge,
            Shelf::Fading => self.fade,
        }
    }
}

/// A handle on the search. Clones are the same.
#[derive(Clone)]
pub(crate) struct Search(Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Store,
    dir: PathBuf,
    vault: Vault,
    index: RwLock<Option<SearchIndex>>,
    state: RwLock<SearchState>,
    pub(super) running: Semaphore,
    pub(super) waiting: Arc<Semaphore>,
    /// Whoever reads the index found it damaged.
    broken: Notify,
}

impl Search {
    /// Of a home whose index is in this folder. Nothing is opened yet.
    pub(crate) fn new(dir: &Path, vault: &Vault, store: Store) -> Self {
        Self(Arc::new(Inner {
            store,
            dir: dir.to_owned(),
            vault: vault.clone(),
            index: RwLock::default(),
            state: RwLock::default(),
            running: Semaphore::new(SEARCHES),
            waiting: Arc::new(Semaphore::new(SEARCHES + SEARCHES_WAITING)),
            broken: Notify::new(),
        }))
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// How far the index is.
    pub(crate) fn state(&self) -> SearchState {
        *self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_state(&self, state: SearchState) {
        *self.0.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// The index, if it is open.
    pub(super) fn index(&self) -> Option<SearchIndex> {
        self.0.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the index, or makes it. Blocks.
    pub(super) fn open(&self) -> Result<SearchIndex, SearchError> {
        let index = SearchIndex::open(&self.0.dir, &self.0.vault)?;
        *self.0.index.write().unwrap_or_else(PoisonError::into_inner) = Some(index.clone());
        Ok(index)
    }

    /// Lets go of the index, and with `wipe` of its files. Blocks.
    pub(super) fn close(&self, wipe: bool) {
        *self.0.index.write().unwrap_or_else(PoisonError::into_inner) = None;
        if wipe && let Err(error) = SearchIndex::wipe(&self.0.dir) {
            tracing::error!(%error, "the damaged search index could not be removed");
        }
    }

    /// Says that the index is damaged.
    pub(super) fn broke(&self) {
        self.0.broken.notify_one();
    }

    /// Waits until somebody says that the index is damaged. Cancel safe.
    pub(super) async fn broken(&self) {
        self.0.broken.notified().await;
    }

    /// What was asked for, newest first.
    ///
    /// # Errors
    /// `bad_request` for a query that is too long and a cursor that is none; `rate_limited`.
    pub(crate) async fn find(&self, rooms: &Rooms, wanted: super::Wanted) -> Answer<parlor_api::SearchPage> {
        let place = self.0.waiting.clone().try_acquire_owned();
        let _place = place.map_err(|_| Problem::new(Code::RateLimited, "too many searches at once"))?;
        super::finds::find(self, rooms, wanted).await
    }
}

/// Work on the disk, off the async threads; a panic is damage.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SearchError> + Send + 'static,
) -> Result<T, SearchError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(SearchError::Damaged("reading it failed".to_owned())),
    }
}
