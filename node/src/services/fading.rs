//! What disappears: taken away when its time is over, first the lines, then the keys that sealed them.
//!
//! Rooms take the lines away, for they know what stands about them; the keys go whether or not that worked. It is looked when the next
//! message is over, and once a minute while there is any, for the clock of the machine may jump.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parlor_proto::ids::RoomId;
use parlor_storage::{Batch, Due, Store};
use tokio::sync::Notify;

use super::rooms::Rooms;
use crate::clock::now_ms;
use crate::limits::FADE_AT_ONCE;

/// Longest pause while something is to disappear.
const LOOK: Duration = Duration::from_secs(60);

/// Shortest pause after something could not be taken away.
const AGAIN: Duration = Duration::from_secs(1);

/// Says when something is to disappear. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Fading {
    /// The earliest that was said since it was looked.
    next_ms: Arc<AtomicU64>,
    sooner: Arc<Notify>,
}

impl Default for Fading {
    fn default() -> Self {
        Self { next_ms: Arc::new(AtomicU64::new(u64::MAX)), sooner: Arc::default() }
    }
}

impl Fading {
    /// Something is to disappear then; said before it is stored or after.
    pub(crate) fn note(&self, until_ms: u64) {
        if self.next_ms.fetch_min(until_ms, Ordering::AcqRel) > until_ms {
            self.sooner.notify_one();
        }
    }
}

/// Runs until it is aborted.
pub(crate) async fn run(fading: Fading, store: Store, rooms: Rooms) {
    let mut failing = BTreeSet::new();
    loop {
        fading.next_ms.store(u64::MAX, Ordering::Release);
        let looked = now_ms();
        let taken = take_away(&store, &rooms, looked, &mut failing).await;
        let least = if taken.failed { AGAIN } else { Duration::ZERO };
        if let Some(next) = taken.next_ms {
            fading.next_ms.fetch_min(next, Ordering::AcqRel);
        }
        loop {
            let next_ms = fading.next_ms.load(Ordering::Acquire);
            if next_ms == u64::MAX {
                fading.sooner.notified().await;
                continue;
            }
            let pause = Duration::from_millis(next_ms.saturating_sub(now_ms())).min(LOOK).max(least);
            tokio::select! {
                () = tokio::time::sleep(pause) => break,
                () = fading.sooner.notified() => {}
            }
        }
    }
}

/// What came of a look.
#[derive(Debug, Default)]
struct Taken {
    next_ms: Option<u64>,
    failed: bool,
}

/// Takes away what is over, some of it if it is much. Rooms that could not are passed over until all others are done.
async fn take_away(store: &Store, rooms: &Rooms, now_ms: u64, failing: &mut BTreeSet<RoomId>) -> Taken {
    let (reader, but) = (store.clone(), std::mem::take(failing));
    let found = tokio::task::spawn_blocking(move || (reader.due(now_ms, FADE_AT_ONCE, &but), but)).await;
    let mut taken = Taken::default();
    match found {
        Ok((Ok((due, next_ms)), but)) => {
            taken.next_ms = next_ms;
            if due.is_empty() {
                taken.failed = !but.is_empty();
            } else {
                *failing = but;
            }
            let mut by_room: BTreeMap<_, Vec<Due>> = BTreeMap::new();
            due.into_iter().for_each(|due| by_room.entry(due.room).or_default().push(due));
            for (room, due) in by_room {
                let Some(room) = room else {
                    taken.failed |= forget(store, due).await.is_err();
                    continue;
                };
                if rooms.fade(room, due).await.is_err() {
                    failing.insert(room);
                }
            }
        }
        Ok((Err(error), _)) => {
            tracing::error!(%error, "what is over can not be read");
            taken.failed = true;
        }
        Err(_) => taken.failed = true,
    }
    let keys = store.clone();
    match tokio::task::spawn_blocking(move || keys.destroy_keys(now_ms)).await {
        Ok(Ok(next_ms)) => taken.next_ms = taken.next_ms.into_iter().chain(next_ms).min(),
        Ok(Err(error)) => {
            tracing::error!(%error, "keys of what is over can not be destroyed");
            taken.failed = true;
        }
        Err(_) => taken.failed = true,
    }
    if taken.failed || !failing.is_empty() {
        taken.next_ms = Some(now_ms);
    }
    taken
}

/// Of rooms that are gone nothing is left but that something was to disappear.
async fn forget(store: &Store, due: Vec<Due>) -> Result<(), parlor_storage::CommitError> {
    let mut batch = Batch::new(None);
    for due in due {
        batch.fade(due);
    }
    store.commit(batch).await
}
