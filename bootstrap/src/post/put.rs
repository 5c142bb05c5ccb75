//! Puts, and what they cost: bytes for what is new, a box for the first blob of one that was empty. What was not stored costs
//! nothing, so who tries while the store is full has his quota when it has room again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use parlor_proto::mailbox::{Answer, BlobId, BoxName};
use tokio::sync::Mutex as Gate;
use tokio::time::timeout;

use super::{count, quota, take, within};
use crate::guard::Use;
use crate::limits;
use crate::mailbox::{MailboxStore, StoreError};
use crate::metrics::MailboxRequest;
use crate::relay::Relay;
use crate::turns::Whose;

/// Boxes that are known to be there, for all lines: to look costs a walk of the box.
#[derive(Debug, Default)]
pub(crate) struct Boxes {
    /// Whether a box is there. Puts into one of which it is not known go one after the other.
    known: Mutex<HashMap<BoxName, Arc<Gate<bool>>>>,
    /// The highest number that was answered.
    newest: AtomicU64,
}

impl Boxes {
    fn gate(&self, name: BoxName) -> Arc<Gate<bool>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::BOXES_KNOWN && !known.contains_key(&name) {
            known.clear();
        }
        known.entry(name).or_default().clone()
    }

    /// Forgets a box that did not come to be, so that refused puts do not fill the table.
    fn forget(&self, name: &BoxName) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// A put that was paid for.
pub(super) struct Put<'a> {
    pub(super) relay: &'a Relay,
    pub(super) store: &'a dyn MailboxStore,
    pub(super) source: Option<IpAddr>,
    /// Whose turn at the store it is.
    pub(super) whose: Whose,
    pub(super) name: BoxName,
    pub(super) id: BlobId,
    /// What was taken of [`Use::PutBytes`].
    pub(super) cost: u64,
}

/// Puts a blob. The first one into a box that was empty counts as a new box.
pub(super) async fn put(put: Put<'_>, blob: Bytes) -> Answer {
    let gate = put.relay.boxes.gate(put.name);
    let mut known = gate.lock().await;
    if *known {
        drop(known);
        return put.store_now(blob).await.unwrap_or_else(|refused| refused);
    }
    let usage = match within(put.store.usage(put.name)).await {
        Ok(usage) => usage,
        Err(error) => {
            put.refused();
            put.relay.boxes.forget(&put.name);
            return count(put.relay, MailboxRequest::Put, Err(error));
        }
    };
    let is_new = usage.blobs == 0;
    if is_new && let Err(wait) = take(put.relay, put.source, Use::NewBox, 1) {
        put.refused();
        put.relay.boxes.forget(&put.name);
        return quota(wait);
    }
    if !is_new {
        // Whatever becomes of this put: the box is there, also if it is full.
        *known = true;
        drop(known);
        return put.store_now(blob).await.unwrap_or_else(|refused| refused);
    }
    match put.store_now(blob).await {
        Ok(stored) => {
            *known = true;
            stored
        }
        Err(refused) => {
            put.relay.guard.give_back(put.source, Use::NewBox, 1);
            put.relay.boxes.forget(&put.name);
            refused
        }
    }
}

impl Put<'_> {
    /// Nothing new came of it.
    fn refused(&self) {
        self.relay.guard.give_back(self.source, Use::PutBytes, self.cost);
    }

    /// Stores it when it is its turn; the answer if it was not. Only what is new is paid for.
    async fn store_now(&self, blob: Bytes) -> Result<Answer, Answer> {
        // Held until the blob is stored, and for nothing else: places are for the store.
        let Ok(Some(_place)) = timeout(limits::TURN_DEADLINE, self.relay.turns.place(self.whose, blob.len())).await
        else {
            self.refused();
            return Err(count(self.relay, MailboxRequest::Put, Err(StoreError::Busy)));
        };
        let (relay, began, bytes) = (self.relay, Instant::now(), blob.len());
        // Numbers ascend, so what has one that was given before was there before.
        let newest = relay.boxes.newest.load(Ordering::Acquire);
        let stored = within(self.store.put(self.name, self.id, blob)).await;
        match &stored {
            Ok(at) if *at > newest => {
                relay.boxes.newest.fetch_max(*at, Ordering::AcqRel);
                relay.metrics.put(bytes, began.elapsed());
            }
            // One that did not answer may have it: it is paid for, or a store that is slow would be filled for nothing.
            Err(StoreError::Failed(_)) => {}
            Ok(_) | Err(_) => self.refused(),
        }
        let is_stored = stored.is_ok();
        let answer = count(relay, MailboxRequest::Put, stored.map(Answer::Stored));
        if is_stored { Ok(answer) } else { Err(answer) }
    }
}
