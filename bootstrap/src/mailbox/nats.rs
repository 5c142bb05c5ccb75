//! Mailboxes in a NATS JetStream cluster, which any number of relays share: none of them keeps anything.
//!
//! ```text
//! stream    parlor-mailboxes, subjects parlor.mail.>, replicated, a blob a message, kept for as long as blobs are
//! subject   parlor.mail.<kind and key of the box in hex>.<blob id in hex>.<length>
//! number    the sequence number of the message in the stream
//! store id  in the description of the stream, made with it
//! ```
//! One message a subject, further ones refused: putting a blob twice finds the first. Acknowledged is what JetStream
//! acknowledged, that is a majority of the replicas. Every relay follows the whole stream for its subscribers, so its
//! bandwidth is that of all puts. How much is in a box the cluster counts when a relay first puts something there, which costs
//! it a look at every subject it has; from then on the relay adds what it sees coming, from whatever relay, and asks again
//! after some minutes, for what expired. So a box can be overfilled by what is under way.

mod counts;
mod follow;
mod lists;
mod stream;
mod subject;

use std::time::{Duration, Instant};

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{self, Context, message::StreamMessage};
use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::future::{BoxFuture, FutureExt};
use parlor_proto::mailbox::{BlobId, BoxName, StoreId, limits};
use tokio::task::JoinHandle;

use self::counts::{Counts, Tally};
use self::follow::Follower;
use self::lists::Lists;
pub use self::stream::NatsError;
use self::subject::{of_blob, of_box, parse_subject, subject};
use super::{Hub, Listing, MailboxStore, StoreError, Usage};

const STREAM: &str = "parlor-mailboxes";
/// A cluster that does not answer for this long has no majority.
const PATIENCE: Duration = Duration::from_secs(15);
/// One attempt to put.
const ATTEMPT: Duration = Duration::from_secs(4);
/// Pause between two attempts, and before the stream is followed anew.
const PAUSE: Duration = Duration::from_millis(200);

/// How to keep mailboxes in a cluster.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Copies of each blob; one at a server alone.
    pub replicas: usize,
    /// How long blobs are kept.
    pub keep: Duration,
    /// Bytes of all blobs, with what JetStream adds; `None`: what the servers allow.
    pub max_bytes: Option<u64>,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self { replicas: 3, keep: Duration::from_millis(limits::KEEP_MS), max_bytes: None }
    }
}

/// Mailboxes in a cluster.
#[derive(Debug)]
pub struct NatsStore {
    context: Context,
    stream: Stream,
    id: StoreId,
    hub: Hub,
    counts: Counts,
    lists: Lists,
    follower: JoinHandle<()>,
}

impl NatsStore {
    /// Connects to the cluster at these addresses (`nats://HOST:PORT`, several with commas between) and makes the stream if
    /// it is not there. Bounded by some seconds.
    ///
    /// # Errors
    /// See [`NatsError`].
    pub async fn connect(addresses: &str, options: NatsOptions) -> Result<Self, NatsError> {
        let servers: Vec<&str> = addresses.split(',').map(str::trim).collect();
        let client = async_nats::ConnectOptions::new()
            .name("parlor-bootstrap")
            .connection_timeout(ATTEMPT)
            .request_timeout(Some(ATTEMPT))
            .ping_interval(Duration::from_secs(5))
            .reconnect_delay_callback(|attempts| PAUSE * u32::try_from(attempts.min(10)).unwrap_or(10))
            .connect(servers)
            .await
            .map_err(|error| NatsError::Unreachable(error.to_string()))?;
        let context = jetstream::new(client);
        let (stream, id) = stream::open(&context, &options).await?;
        let seen = patiently(|| follow::newest(&stream)).await;
        let seen = seen.map_err(|error| NatsError::Unreachable(error.to_string()))?;
        let (hub, counts) = (Hub::new(), Counts::default());
        let follower = tokio::spawn(Follower::new(stream.clone(), hub.clone(), counts.clone(), seen).follow());
        let lists = Lists::new(stream.clone());
        Ok(Self { context, stream, id, hub, counts, lists, follower })
    }

    async fn find(&self, name: &BoxName, id: &BlobId) -> Result<Option<StreamMessage>, StoreError> {
        let subject = of_blob(name, id);
        patiently(|| async {
            match self.stream.get_last_raw_message_by_subject(&subject).await {
                Ok(message) => Ok(Some(message)),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(failed(error)),
            }
        })
        .await
    }

    /// What is in a box.
    async fn count(&self, name: &BoxName) -> Result<Usage, StoreError> {
        self.counts.of(name, async || self.ask_count(name).await).await
    }

    async fn ask_count(&self, name: &BoxName) -> Result<Tally, StoreError> {
        patiently(|| async {
            let filter = of_box(name);
            let mut subjects = self.stream.info_with_subjects(filter).await.map_err(failed)?;
            let newest = subjects.info.state.last_sequence;
            let mut usage = Usage::default();
            while let Some((subject, _)) = subjects.try_next().await.map_err(failed)? {
                usage.blobs += 1;
                usage.bytes += parse_subject(&subject).map_or(0, |(_, _, size)| u64::from(size));
            }
            Ok(Tally::counted(usage, newest))
        })
        .await
    }

    async fn try_put(&self, name: &BoxName, id: &BlobId, blob: &Bytes) -> Result<u64, StoreError> {
        let full = self.count(name).await?;
        let len = blob.len() as u64;
        if full.blobs >= name.kind.max_blobs() || full.bytes + len > name.kind.max_bytes() {
            // It may be there already.
            return self.find(name, id).await?.map(|message| message.sequence).ok_or(StoreError::BoxFull);
        }
        let subject = subject(name, id, len);
        let stored = patiently(|| async {
            let sent = self.context.publish(subject.clone(), blob.clone()).await;
            let acknowledged = match sent {
                Ok(waiting) => waiting.await,
                Err(error) => Err(error),
            };
            match acknowledged {
                Ok(ack) => Ok(Stored::At(ack.sequence)),
                Err(error) => refusal(&error),
            }
        })
        .await?;
        match stored {
            Stored::At(at) => {
                self.counts.note(name, |tally| tally.put(at, len));
                Ok(at)
            }
            Stored::Before => {
                let found = self.find(name, id).await?;
                found
                    .map(|message| message.sequence)
                    .ok_or_else(|| StoreError::Failed("it expired just now".to_owned()))
            }
            Stored::Full => Err(StoreError::Full),
        }
    }
}

impl Drop for NatsStore {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl MailboxStore for NatsStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn put(&self, name: BoxName, id: BlobId, blob: Bytes) -> BoxFuture<'_, Result<u64, StoreError>> {
        async move { self.try_put(&name, &id, &blob).await }.boxed()
    }

    fn list(&self, name: BoxName, after: u64, limit: usize) -> BoxFuture<'_, Result<Listing, StoreError>> {
        async move { self.lists.list(&name, after, limit).await }.boxed()
    }

    fn get(&self, name: BoxName, id: BlobId) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        async move { Ok(self.find(&name, &id).await?.map(|message| message.payload)) }.boxed()
    }

    fn remove(&self, name: BoxName, id: BlobId) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let Some(message) = self.find(&name, &id).await? else { return Ok(()) };
            self.stream.delete_message(message.sequence).await.map_err(failed)?;
            self.counts.forget(&name);
            Ok(())
        }
        .boxed()
    }

    fn usage(&self, name: BoxName) -> BoxFuture<'_, Result<Usage, StoreError>> {
        async move { self.count(&name).await }.boxed()
    }

    fn total(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        async move {
            let state = self.stream.get_info().await.map_err(failed)?.state;
            Ok(Usage { blobs: state.messages, bytes: state.bytes })
        }
        .boxed()
    }

    fn expire(&self, _now_ms: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        std::future::ready(Ok(0)).boxed()
    }

    fn hub(&self) -> &Hub {
        &self.hub
    }
}

/// What a put came to.
enum Stored {
    At(u64),
    /// There is a message with this subject already.
    Before,
    Full,
}

/// What JetStream means by an error; an error again where another attempt may help.
fn refusal(error: &PublishError) -> Result<Stored, StoreError> {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    if error.kind() == PublishErrorKind::Other && text.contains("per subject exceeded") {
        return Ok(Stored::Before);
    }
    if text.contains("maximum bytes exceeded")
        || text.contains("resource limits exceeded")
        || text.contains("insufficient")
    {
        return Ok(Stored::Full);
    }
    Err(StoreError::Failed(text))
}

/// Tries until it works or patience ends: a server that went away is replaced within some seconds.
async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tried = tokio::time::timeout(2 * ATTEMPT, attempt()).await;
        match tried.unwrap_or_else(|_| Err(StoreError::Failed("the cluster does not answer".to_owned()))) {
            Err(StoreError::Failed(reason)) if Instant::now() < deadline => {
                tracing::debug!(reason, "trying again");
                tokio::time::sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

fn failed(error: impl std::error::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}
