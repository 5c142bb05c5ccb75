//! Where a relay keeps mailboxes: one trait, two stores, and the hub that tells lines what came in.
//!
//! [`MailboxStore`] is what a line needs: put durably, list, get, take out, be told. [`SledStore`] keeps all on one machine;
//! [`NatsStore`] in a JetStream cluster that any number of relays share. Both keep the bounds of a box
//! (`parlor_proto::mailbox::limits`) and let blobs go after their time; one suite of tests runs on both. Who may do what
//! was decided before, by the session of the line (`parlor_proto::mailbox::session`). Quotas of clients are not kept here.

mod clock;
pub mod disk;
pub mod hub;
pub mod nats;

use bytes::Bytes;
use futures::future::BoxFuture;
use parlor_proto::mailbox::{BlobId, BoxName, Entry, Refusal, StoreId};

pub use disk::SledStore;
pub use hub::{Feed, Hub, News};
pub use nats::{NatsError, NatsOptions, NatsStore};

/// What is in a box after some number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Entries, ascending.
    pub entries: Vec<Entry>,
    /// Whether there are more.
    pub more: bool,
    /// The highest number that the store has given to anything. All of the box up to it is in the listing, if there is no
    /// more.
    pub end: u64,
}

/// How much is in a box, or in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blobs.
    pub blobs: u64,
    /// Bytes of blobs.
    pub bytes: u64,
}

/// Why the store did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The box holds as much as a box may.
    #[error("the box is full")]
    BoxFull,
    /// The store holds as much as it may, or the disk is full: nothing was taken.
    #[error("the store is full")]
    Full,
    /// Too much waits to be stored: nothing was taken.
    #[error("the store is busy")]
    Busy,
    /// Something failed. A blob may have been taken all the same.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl StoreError {
    /// What the client is told.
    pub const fn refusal(&self) -> Refusal {
        match self {
            Self::BoxFull => Refusal::BoxFull,
            Self::Full => Refusal::Busy { retry_ms: 60_000 },
            Self::Busy => Refusal::Busy { retry_ms: 2_000 },
            Self::Failed(_) => Refusal::Failed,
        }
    }
}

/// A store of mailboxes. All futures are safe to drop; a put whose future was dropped may be there or not.
pub trait MailboxStore: Send + Sync + 'static {
    /// Which store the numbers are of: kept for as long as the numbers go on.
    fn id(&self) -> StoreId;

    /// Stores a blob and gives its number when it is durable. A blob that is there already keeps its number, also when the
    /// box is full. `id` is the name of `blob`, and its length was checked.
    fn put(&self, name: BoxName, id: BlobId, blob: Bytes) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Entries of a box after a number, at most `limit`.
    fn list(&self, name: BoxName, after: u64, limit: usize) -> BoxFuture<'_, Result<Listing, StoreError>>;

    /// A blob, or that it is not there.
    fn get(&self, name: BoxName, id: BlobId) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>>;

    /// Takes a blob out. Done when it will not be seen any more; nothing when it is not there.
    fn remove(&self, name: BoxName, id: BlobId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// How much is in a box. May lag behind by some seconds where several relays share a store.
    fn usage(&self, name: BoxName) -> BoxFuture<'_, Result<Usage, StoreError>>;

    /// How much is in all boxes. May lag likewise.
    fn total(&self) -> BoxFuture<'_, Result<Usage, StoreError>>;

    /// Lets go what is older than the store keeps, as of `now_ms`; to be called every minute or so. How many blobs went.
    /// Nothing where the store does so by itself.
    fn expire(&self, now_ms: u64) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// What so much counts against the bound of all boxes: what it takes of the disk.
    fn counted(&self, usage: Usage) -> u64 {
        usage.bytes
    }

    /// Whether it could store something now. What is wrong, for the operator.
    fn check(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// Finishes what waits and gives back what is held; nothing is stored after. Nothing to do for a store elsewhere.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// What tells of everything that comes in, after it is durable and in the order of its box.
    fn hub(&self) -> &Hub;
}
