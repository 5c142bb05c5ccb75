//! Mailboxes on this machine's disk, through the storage crate.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use parlor_proto::mailbox::{BlobId, BoxKind, BoxName, StoreId, limits};
use parlor_storage::{CommitError, MailListing, MailOptions, MailStore, MailUsage, OpenError, PutError, ReadError};

use super::clock::{Clock, Times};
use super::{Hub, Listing, MailboxStore, StoreError, Usage};
use crate::limits::MAIL_RESERVE;
use crate::relay::now_ms;

/// Mailboxes in a folder.
#[derive(Debug, Clone)]
pub struct SledStore {
    mail: MailStore,
    hub: Hub,
    clock: Arc<Mutex<Clock>>,
    dir: PathBuf,
}

impl SledStore {
    /// Opens the mailboxes in the folder `dir`, or makes them. Blocks: for seconds after a crash of a large store.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(dir: &Path, options: MailOptions) -> Result<Self, OpenError> {
        let hub = Hub::new();
        let telling = hub.clone();
        let mail = MailStore::open(dir, options, Box::new(move |name, entry, blob| telling.tell(name, entry, blob)))?;
        let clock = Arc::new(Mutex::new(Clock::new(mail.newest_ms(), Instant::now())));
        Ok(Self { mail, hub, clock, dir: dir.to_owned() })
    }

    fn times(&self, wall_ms: u64) -> Times {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).times(wall_ms, Instant::now())
    }

    /// Bytes on disk.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn disk_bytes(&self) -> Result<u64, ReadError> {
        self.mail.disk_bytes()
    }

    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&MailStore) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mail = self.mail.clone();
        let looked = tokio::task::spawn_blocking(move || look(&mail)).await;
        looked
            .map_err(|error| StoreError::Failed(error.to_string()))?
            .map_err(|error| StoreError::Failed(error.to_string()))
    }
}

impl MailboxStore for SledStore {
    fn id(&self) -> StoreId {
        self.mail.id()
    }

    fn put(&self, name: BoxName, id: BlobId, blob: Bytes) -> BoxFuture<'_, Result<u64, StoreError>> {
        async move {
            // Names and bans on the same disk can be written for longer than mail.
            if fs4::available_space(&self.dir).is_ok_and(|free| free < MAIL_RESERVE) {
                return Err(StoreError::Full);
            }
            self.mail.put(name, id, blob, self.times(now_ms()).latest).await.map_err(store_error)
        }
        .boxed()
    }

    fn list(&self, name: BoxName, after: u64, limit: usize) -> BoxFuture<'_, Result<Listing, StoreError>> {
        async move {
            let MailListing { entries, more, end } = self.read(move |mail| mail.list(&name, after, limit)).await?;
            Ok(Listing { entries, more, end })
        }
        .boxed()
    }

    fn get(&self, name: BoxName, id: BlobId) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        async move { Ok(self.read(move |mail| mail.get(&name, &id)).await?.map(Bytes::from)) }.boxed()
    }

    fn remove(&self, name: BoxName, id: BlobId) -> BoxFuture<'_, Result<(), StoreError>> {
        async move { self.mail.remove(name, id).await.map_err(store_error) }.boxed()
    }

    fn usage(&self, name: BoxName) -> BoxFuture<'_, Result<Usage, StoreError>> {
        async move { self.read(move |mail| mail.usage(&name)).await.map(usage) }.boxed()
    }

    fn total(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        std::future::ready(Ok(usage(self.mail.total()))).boxed()
    }

    fn expire(&self, now_ms: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        let before = self.times(now_ms).earliest.saturating_sub(limits::KEEP_MS);
        async move { self.mail.expire(before).await.map_err(store_error) }.boxed()
    }

    fn counted(&self, usage: Usage) -> u64 {
        MailUsage { blobs: usage.blobs, bytes: usage.bytes }.counted()
    }

    fn check(&self) -> BoxFuture<'_, Vec<String>> {
        let nothing = (BoxName { kind: BoxKind::Room, key: [0; 32] }, BlobId([0; 32]));
        async move {
            // Goes through the writer, its free space and its log, and changes nothing.
            let answered = self.mail.remove(nothing.0, nothing.1).await;
            let failed = answered.err().map(|error| format!("no mail can be stored: {error}"));
            let clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner).trouble();
            failed.into_iter().chain(clock).collect()
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let mail = self.mail.clone();
        // It can only fail when the runtime ends, which ends the store as well.
        async move { drop(tokio::task::spawn_blocking(move || mail.close()).await) }.boxed()
    }

    fn hub(&self) -> &Hub {
        &self.hub
    }
}

fn usage(usage: MailUsage) -> Usage {
    Usage { blobs: usage.blobs, bytes: usage.bytes }
}

fn store_error(error: PutError) -> StoreError {
    match error {
        PutError::BoxFull => StoreError::BoxFull,
        PutError::Full | PutError::Commit(CommitError::DiskFull) => StoreError::Full,
        PutError::Busy => StoreError::Busy,
        other => StoreError::Failed(other.to_string()),
    }
}
