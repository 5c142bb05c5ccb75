//! Batches that become durable in the order in which they were handed over.

use std::future::Future;

use tokio::sync::oneshot;

use crate::{Batch, CommitError, Store};

/// Hands batches to a store in the order of the calls, whatever the order in which the futures are polled: a task whose share of time is
/// used up finds the queue shut for a moment, and what comes after would overtake.
#[derive(Debug)]
pub struct InOrder {
    store: Store,
    /// Done when the last batch is in the queue.
    last: Option<oneshot::Receiver<()>>,
}

impl InOrder {
    /// Hands to `store`.
    pub fn new(store: Store) -> Self {
        Self { store, last: None }
    }

    /// As [`Store::commit`], after all batches handed over before. Nothing is done before the future is polled; the others wait for it
    /// until then, or until it is dropped. An empty batch is durable at once.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit(&mut self, batch: Batch) -> impl Future<Output = Result<(), CommitError>> + Send + use<> {
        let (store, empty) = (self.store.clone(), batch.is_empty());
        let (queued, last) = oneshot::channel::<()>();
        let before = if empty { None } else { self.last.replace(last) };
        async move {
            if empty {
                return Ok(());
            }
            if let Some(before) = before {
                // An error says the same: it is in the queue, or was dropped.
                let _ = before.await;
            }
            let queued_up = store.submit(batch).await;
            drop(queued);
            queued_up?.stored().await
        }
    }
}
