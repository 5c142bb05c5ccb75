//! Tells lines what came into the boxes that they subscribed.
//!
//! A line has one [`Feed`] for all its boxes: a bounded queue. The store tells the [`Hub`] of every entry once it is
//! durable, in the order of its box. A line that reads too slowly is not waited for: what does not fit its queue is left
//! out, and [`News::Behind`] tells once that the box is to be listed again.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use parlor_proto::mailbox::{BoxName, Entry};
use tokio::sync::mpsc;

/// News that wait for one line. With the longest blobs 16 MiB, shared between all lines that wait for the same.
const QUEUE: usize = 256;

/// What a line is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Something came in.
    Entry {
        /// Box.
        name: BoxName,
        /// What.
        entry: Entry,
        /// Its content.
        blob: Bytes,
    },
    /// Something was left out: the box is to be listed again.
    Behind {
        /// Box.
        name: BoxName,
    },
}

/// Who wants to know of which boxes.
#[derive(Debug, Clone, Default)]
pub struct Hub {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    next: u64,
    lines: HashMap<BoxName, HashMap<u64, Line>>,
}

#[derive(Debug, Clone)]
struct Line {
    queue: mpsc::Sender<News>,
    behind: Arc<Mutex<BTreeSet<BoxName>>>,
}

/// What one line is told. Dropping it ends all its subscriptions.
#[derive(Debug)]
pub struct Feed {
    hub: Hub,
    number: u64,
    line: Line,
    news: mpsc::Receiver<News>,
    names: BTreeSet<BoxName>,
}

impl Hub {
    /// Nobody wants to know anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// A feed for one line, of no boxes yet.
    pub fn feed(&self) -> Feed {
        let (queue, news) = mpsc::channel(QUEUE);
        let mut shared = lock(&self.shared);
        shared.next += 1;
        let line = Line { queue, behind: Arc::default() };
        Feed { hub: self.clone(), number: shared.next, line, news, names: BTreeSet::new() }
    }

    /// Tells of an entry that is durable. Never waits.
    pub fn tell(&self, name: BoxName, entry: Entry, blob: &Bytes) {
        let shared = lock(&self.shared);
        for line in shared.lines.get(&name).into_iter().flat_map(HashMap::values) {
            let mut behind = lock(&line.behind);
            // Once something was left out the order of the rest is worth nothing until the box was listed.
            if !behind.contains(&name) && line.queue.try_send(News::Entry { name, entry, blob: blob.clone() }).is_err()
            {
                behind.insert(name);
            }
        }
    }

    /// Tells all lines that they may have missed something in their boxes: the store was out of reach.
    pub fn tell_behind(&self) {
        let shared = lock(&self.shared);
        for (name, lines) in &shared.lines {
            for line in lines.values() {
                lock(&line.behind).insert(*name);
                // Wakes a line that waits; when its queue is full it is awake.
                let _ = line.queue.try_send(News::Behind { name: *name });
            }
        }
    }

    /// Whether anybody wants to know of this box.
    pub fn has(&self, name: &BoxName) -> bool {
        lock(&self.shared).lines.contains_key(name)
    }
}

impl Feed {
    /// From now on the line is told of this box. Again: changes nothing.
    pub fn subscribe(&mut self, name: BoxName) {
        self.names.insert(name);
        lock(&self.hub.shared).lines.entry(name).or_default().insert(self.number, self.line.clone());
    }

    /// The line is not told of this box any more, but for what waits already.
    pub fn unsubscribe(&mut self, name: &BoxName) {
        self.names.remove(name);
        self.hub.forget(name, self.number);
    }

    /// The next news. Never ends. Cancel safe.
    pub async fn next(&mut self) -> News {
        loop {
            let news = match self.news.try_recv() {
                Ok(news) => news,
                Err(_) => {
                    // The queue was read to its end, so whatever is told now comes after what was left out.
                    if let Some(name) = lock(&self.line.behind).pop_first() {
                        return News::Behind { name };
                    }
                    match self.news.recv().await {
                        Some(news) => news,
                        None => std::future::pending().await,
                    }
                }
            };
            match news {
                News::Behind { name } if !lock(&self.line.behind).remove(&name) => {}
                news => return news,
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        for name in &self.names {
            self.hub.forget(name, self.number);
        }
    }
}

impl Hub {
    fn forget(&self, name: &BoxName, number: u64) {
        let mut shared = lock(&self.shared);
        if let Some(lines) = shared.lines.get_mut(name) {
            lines.remove(&number);
            if lines.is_empty() {
                shared.lines.remove(name);
            }
        }
    }
}

/// Nothing panics while it holds one of these locks, so what is behind it is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use parlor_proto::mailbox::{BlobId, BoxKind};

    use super::*;

    fn name(n: u8) -> BoxName {
        BoxName { kind: BoxKind::Room, key: [n; 32] }
    }

    fn tell(hub: &Hub, box_no: u8, at: u64) {
        hub.tell(name(box_no), Entry { at, id: BlobId([0; 32]), size: 512 }, &Bytes::from_static(b"blob"));
    }

    async fn numbers(feed: &mut Feed, n: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..n {
            numbers.push(match feed.next().await {
                News::Entry { entry, .. } => entry.at,
                News::Behind { .. } => 0,
            });
        }
        numbers
    }

    #[tokio::test]
    async fn a_line_is_told_of_its_boxes_in_order_and_of_no_others() {
        let hub = Hub::new();
        let (mut one, mut two) = (hub.feed(), hub.feed());
        one.subscribe(name(1));
        one.subscribe(name(2));
        two.subscribe(name(2));
        for at in 1..=3 {
            tell(&hub, at as u8, at);
        }
        tell(&hub, 2, 4);
        assert_eq!(numbers(&mut one, 3).await, [1, 2, 4]);
        assert_eq!(numbers(&mut two, 2).await, [2, 4]);
        one.unsubscribe(&name(2));
        drop(two);
        assert!(hub.has(&name(1)) && !hub.has(&name(2)));
    }

    #[tokio::test]
    async fn a_slow_line_is_told_once_that_it_is_behind_after_what_fitted_and_then_goes_on() {
        let hub = Hub::new();
        let mut feed = hub.feed();
        feed.subscribe(name(1));
        feed.subscribe(name(2));
        for at in 1..=QUEUE as u64 + 50 {
            tell(&hub, 1, at);
        }
        let told = numbers(&mut feed, QUEUE + 1).await;
        assert_eq!(told[..QUEUE], (1..=QUEUE as u64).collect::<Vec<_>>());
        assert_eq!(told[QUEUE], 0);
        tell(&hub, 1, 1_000);
        assert_eq!(numbers(&mut feed, 1).await, [1_000]);
        hub.tell_behind();
        assert_eq!(numbers(&mut feed, 2).await, [0, 0], "both boxes, each once");
        tell(&hub, 2, 1_001);
        assert_eq!(numbers(&mut feed, 1).await, [1_001]);
    }
}
