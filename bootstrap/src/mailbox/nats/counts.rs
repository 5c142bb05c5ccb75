//! How much is in boxes that were put into lately: what the cluster counted, and what came since.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use parlor_proto::mailbox::BoxName;
use tokio::sync::OnceCell;

use crate::mailbox::{StoreError, Usage};

/// How long the count of a box is believed: meanwhile what comes is added, and what expires is not taken off.
const COUNTED_FOR: Duration = Duration::from_secs(10 * 60);
/// Boxes whose count is remembered: some 10 MB.
const COUNTED: usize = 65_536;

/// What is in boxes that were put into lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(Arc<Mutex<HashMap<BoxName, Arc<Count>>>>);

/// What is in a box, once the cluster said so: whoever wants to know meanwhile waits for the one answer.
#[derive(Debug)]
struct Count {
    since: Instant,
    tally: OnceCell<Mutex<Tally>>,
}

/// What the cluster counted, and what came since. What this relay put itself is added when it is acknowledged, which may be
/// before or after it is seen in the stream.
#[derive(Debug, Default)]
pub(super) struct Tally {
    usage: Usage,
    /// The last blob that was counted or seen in the stream.
    seen: u64,
    /// Blobs of ours that were added and not seen yet.
    ahead: BTreeSet<u64>,
}

impl Tally {
    /// What the cluster counted when this was the newest blob of its stream.
    pub(super) fn counted(usage: Usage, newest: u64) -> Self {
        Self { usage, seen: newest, ahead: BTreeSet::new() }
    }

    /// A blob of ours was acknowledged.
    pub(super) fn put(&mut self, at: u64, bytes: u64) {
        if at > self.seen && self.ahead.insert(at) {
            self.add(bytes);
        }
    }

    /// A blob was seen in the stream.
    pub(super) fn see(&mut self, at: u64, bytes: u64) {
        if at <= self.seen {
            return;
        }
        self.seen = at;
        if !self.ahead.remove(&at) {
            self.add(bytes);
        }
    }

    fn add(&mut self, bytes: u64) {
        self.usage.blobs += 1;
        self.usage.bytes += bytes;
    }
}

impl Counts {
    fn lock(&self) -> MutexGuard<'_, HashMap<BoxName, Arc<Count>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in a box; who is asked says so if it is not known.
    pub(super) async fn of(
        &self,
        name: &BoxName,
        ask: impl AsyncFnOnce() -> Result<Tally, StoreError>,
    ) -> Result<Usage, StoreError> {
        let count = self.count(name);
        let tally = count.tally.get_or_try_init(async || ask().await.map(Mutex::new)).await?;
        Ok(tally.lock().unwrap_or_else(PoisonError::into_inner).usage)
    }

    /// The count of a box, which may not have been asked for yet.
    fn count(&self, name: &BoxName) -> Arc<Count> {
        let mut counts = self.lock();
        if let Some(count) = counts.get(name).filter(|count| count.since.elapsed() < COUNTED_FOR) {
            return count.clone();
        }
        if counts.len() >= COUNTED {
            counts.clear();
        }
        let count = Arc::new(Count { since: Instant::now(), tally: OnceCell::new() });
        counts.insert(*name, count.clone());
        count
    }

    /// Notes something of a box whose count is known.
    pub(super) fn note(&self, name: &BoxName, change: impl FnOnce(&mut Tally)) {
        let count = self.lock().get(name).cloned();
        if let Some(tally) = count.as_ref().and_then(|count| count.tally.get()) {
            change(&mut tally.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// What is in a box is not known any more.
    pub(super) fn forget(&self, name: &BoxName) {
        self.lock().remove(name);
    }

    /// Nothing is known any more.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_here_is_counted_once_whether_it_is_acknowledged_or_seen_first() {
        let mut tally = Tally::default();
        tally.see(4, 1);
        tally.put(5, 10);
        tally.see(5, 10);
        tally.see(7, 100);
        tally.put(7, 100);
        assert_eq!((tally.usage.blobs, tally.usage.bytes), (3, 111));
        assert!(tally.ahead.is_empty());
    }

    #[test]
    fn what_the_cluster_counted_and_what_was_seen_is_not_counted_again() {
        let mut tally = Tally::counted(Usage { blobs: 2, bytes: 20 }, 9);
        for at in [3, 9, 10, 10, 4] {
            tally.see(at, 10);
        }
        assert_eq!((tally.usage.blobs, tally.usage.bytes), (3, 30));
    }
}
