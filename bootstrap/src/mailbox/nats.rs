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

mod subject;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, LastRawMessageErrorKind, StorageType, Stream};
use async_nats::jetstream::{self, Context, message::StreamMessage};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use futures::future::{BoxFuture, FutureExt};
use parlor_proto::mailbox::{BlobId, BoxName, Entry, StoreId, limits};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use self::subject::{PREFIX, hex, of_blob, of_box, parse_id, parse_subject, subject};
use super::{Hub, Listing, MailboxStore, StoreError, Usage};

const STREAM: &str = "parlor-mailboxes";
/// A cluster that does not answer for this long has no majority.
const PATIENCE: Duration = Duration::from_secs(15);
/// One attempt to put.
const ATTEMPT: Duration = Duration::from_secs(4);
/// A consumer is given to any server, also to one that has just gone away: then another is asked for after so long.
const PLACED: Duration = Duration::from_secs(1);
/// Nothing came for so long: it is looked whether there was nothing.
const QUIET: Duration = Duration::from_secs(5);
/// Pause between two attempts, and before the stream is followed anew.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the count of a box is believed: meanwhile what comes is added, and what expires is not taken off.
const COUNTED_FOR: Duration = Duration::from_secs(10 * 60);
/// Boxes whose count is remembered: some 10 MB.
const COUNTED: usize = 65_536;

/// How to keep mailboxes in a cluster.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Copies of each blob; as many as the cluster has servers, if it has fewer.
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
    follower: JoinHandle<()>,
}

/// What is in boxes that were put into lately.
#[derive(Debug, Clone, Default)]
struct Counts(Arc<Mutex<HashMap<BoxName, Arc<Count>>>>);

/// What is in a box, once the cluster said so: whoever wants to know meanwhile waits for the one answer.
#[derive(Debug)]
struct Count {
    since: Instant,
    tally: OnceCell<Mutex<Tally>>,
}

/// What the cluster counted, and what came since. What this relay put itself is added when it is acknowledged, which may be
/// before or after it is seen in the stream.
#[derive(Debug, Default)]
struct Tally {
    usage: Usage,
    /// The last blob seen in the stream.
    seen: u64,
    /// Blobs of ours that were added and not seen yet.
    ahead: BTreeSet<u64>,
}

impl Tally {
    fn put(&mut self, at: u64, bytes: u64) {
        if at > self.seen && self.ahead.insert(at) {
            self.add(bytes);
        }
    }

    fn see(&mut self, at: u64, bytes: u64) {
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

    /// The count of a box, which may not have been asked for yet.
    fn of(&self, name: &BoxName) -> Arc<Count> {
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
    fn note(&self, name: &BoxName, change: impl FnOnce(&mut Tally)) {
        let count = self.lock().get(name).cloned();
        if let Some(tally) = count.as_ref().and_then(|count| count.tally.get()) {
            change(&mut tally.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// What is in a box is not known any more.
    fn forget(&self, name: &BoxName) {
        self.lock().remove(name);
    }

    /// Nothing is known any more.
    fn clear(&self) {
        self.lock().clear();
    }
}

impl NatsStore {
    /// Connects to the cluster at these addresses (`nats://HOST:PORT`, several with commas between) and makes the stream if
    /// it is not there. Bounded by some seconds.
    ///
    /// # Errors
    /// [`StoreError::Failed`]: no server, no JetStream, or a stream of that name that is not ours.
    pub async fn connect(addresses: &str, options: NatsOptions) -> Result<Self, StoreError> {
        let servers: Vec<&str> = addresses.split(',').map(str::trim).collect();
        let client = async_nats::ConnectOptions::new()
            .name("parlor-bootstrap")
            .connection_timeout(ATTEMPT)
            .request_timeout(Some(ATTEMPT))
            .ping_interval(Duration::from_secs(5))
            .reconnect_delay_callback(|attempts| PAUSE * u32::try_from(attempts.min(10)).unwrap_or(10))
            .connect(servers)
            .await
            .map_err(failed)?;
        let context = jetstream::new(client);
        let stream = patiently(|| open_stream(&context, &options)).await?;
        let description = stream.cached_info().config.description.clone().unwrap_or_default();
        let id = parse_id(&description).ok_or_else(|| {
            StoreError::Failed(format!("the stream {STREAM} was not made by a relay: rename or remove it"))
        })?;
        let hub = Hub::new();
        let first = patiently(|| follower(&stream)).await?;
        let counts = Counts::default();
        let follower = tokio::spawn(follow(stream.clone(), hub.clone(), counts.clone(), first));
        Ok(Self { context, stream, id, hub, counts, follower })
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
        let count = self.counts.of(name);
        let ask = || async {
            let usage = self.ask_count(name).await?;
            Ok(Mutex::new(Tally { usage, ..Tally::default() }))
        };
        let tally = count.tally.get_or_try_init(ask).await?;
        Ok(tally.lock().unwrap_or_else(PoisonError::into_inner).usage)
    }

    async fn ask_count(&self, name: &BoxName) -> Result<Usage, StoreError> {
        patiently(|| async {
            let filter = of_box(name);
            let mut subjects = self.stream.info_with_subjects(filter).await.map_err(failed)?;
            let mut usage = Usage::default();
            while let Some((subject, _)) = subjects.try_next().await.map_err(failed)? {
                usage.blobs += 1;
                usage.bytes += parse_subject(&subject).map_or(0, |(_, _, size)| u64::from(size));
            }
            Ok(usage)
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

    async fn try_list(&self, name: &BoxName, after: u64, limit: usize) -> Result<Listing, StoreError> {
        let filter = of_box(name);
        let Newest { stream: end, of_box } = self.newest(&filter).await?;
        let mut listing = Listing { entries: Vec::new(), more: false, end };
        if of_box <= after || limit == 0 {
            return Ok(listing);
        }
        let made = self.stream.create_consumer(pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
            ack_policy: AckPolicy::None,
            filter_subject: filter,
            headers_only: true,
            inactive_threshold: PATIENCE,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        });
        let unplaced = |_| StoreError::Failed("a consumer was given to a server that does not answer".to_owned());
        let consumer = tokio::time::timeout(PLACED, made).await.map_err(unplaced)?.map_err(failed)?;
        let consumer_name = consumer.cached_info().name.clone();
        let listed = read_entries(&consumer, of_box, limit, &mut listing).await;
        // It would be forgotten by itself.
        let _ = self.stream.delete_consumer(&consumer_name).await;
        listed.map(|()| listing)
    }

    /// What the server that leads the stream holds: asked of it alone, for any other may lag behind what was acknowledged.
    async fn newest(&self, filter: &str) -> Result<Newest, StoreError> {
        // The end first: what comes meanwhile is beyond it.
        let before = self.stream.get_info().await.map_err(failed)?;
        let of_box = match self.stream.get_last_raw_message_by_subject(filter).await {
            Ok(message) => message.sequence,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => 0,
            Err(error) => return Err(failed(error)),
        };
        let after = self.stream.get_info().await.map_err(failed)?;
        if leader(&before) != leader(&after) {
            // A new one has its log before it has all of it in its stream: for a moment it may know of less than the old one.
            return Err(StoreError::Failed("another server leads the stream now".to_owned()));
        }
        Ok(Newest { stream: before.state.last_sequence, of_box })
    }
}

/// Sequence numbers of the newest messages; 0 where there is none.
struct Newest {
    stream: u64,
    of_box: u64,
}

fn leader(info: &Info) -> Option<&str> {
    info.cluster.as_ref()?.leader.as_deref()
}

/// Reads up to the newest of the box. The consumer lives at any of the servers, and its own count of what waits is what that one
/// has got so far: what it lacks is waited for.
async fn read_entries(
    consumer: &jetstream::consumer::Consumer<pull::Config>,
    newest: u64,
    limit: usize,
    listing: &mut Listing,
) -> Result<(), StoreError> {
    loop {
        let wanted = limit.saturating_add(1) - listing.entries.len();
        let batch = consumer.fetch().max_messages(wanted).expires(ATTEMPT).messages().await.map_err(failed)?;
        let messages: Vec<_> = batch.try_collect().await.map_err(|error| StoreError::Failed(error.to_string()))?;
        if messages.is_empty() {
            return Err(StoreError::Failed("the list was cut short".to_owned()));
        }
        for message in messages {
            let at = message.info().map_err(|error| StoreError::Failed(error.to_string()))?.stream_sequence;
            let of_ours = parse_subject(&message.subject).filter(|_| at <= listing.end);
            if let Some((_, id, size)) = of_ours {
                if listing.entries.len() == limit {
                    listing.more = true;
                    return Ok(());
                }
                listing.entries.push(Entry { at, id, size });
            }
            if at >= newest.min(listing.end) {
                return Ok(());
            }
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
        async move { patiently(|| self.try_list(&name, after, limit)).await }.boxed()
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

async fn open_stream(context: &Context, options: &NatsOptions) -> Result<Stream, StoreError> {
    let mut config = Config {
        name: STREAM.to_owned(),
        subjects: vec![format!("{PREFIX}.>")],
        description: Some(format!("mailboxes {}", hex(&rand::random::<[u8; 16]>()))),
        max_age: options.keep,
        max_bytes: options.max_bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1),
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        discard_new_per_subject: true,
        storage: StorageType::File,
        num_replicas: options.replicas.max(1),
        duplicate_window: options.keep.min(Duration::from_secs(2)),
        ..Config::default()
    };
    loop {
        match context.get_or_create_stream(config.clone()).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let text = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                // A server alone, or a cluster with too few for so many copies.
                let too_many = text.contains("replicas > 1 not supported");
                if !too_many || config.num_replicas == 1 {
                    return Err(StoreError::Failed(text));
                }
                config.num_replicas = 1;
            }
        }
    }
}

type Follower = jetstream::consumer::Consumer<pull::OrderedConfig>;

/// A consumer of what comes into the stream from now on.
async fn follower(stream: &Stream) -> Result<Follower, StoreError> {
    let config = pull::OrderedConfig { deliver_policy: DeliverPolicy::New, ..pull::OrderedConfig::default() };
    stream.create_consumer(config).await.map_err(failed)
}

/// Tells the hub of everything that comes into the stream, for ever. After every interruption subscribers list again.
async fn follow(stream: Stream, hub: Hub, counts: Counts, first: Follower) {
    let mut following = Some(first);
    loop {
        if let Some(consumer) = following.take()
            && let Err(error) = tell(&stream, consumer, &hub, &counts).await
        {
            tracing::warn!(%error, "following the mailboxes of the cluster was interrupted");
        }
        tokio::time::sleep(PAUSE).await;
        if let Ok(consumer) = follower(&stream).await {
            following = Some(consumer);
            // What came between the two consumers was told to nobody.
            counts.clear();
            hub.tell_behind();
        }
    }
}

/// Tells of what a consumer brings and counts it, until it ends. One whose server was killed may be silent for ever without an
/// error: it is given up when what the stream held at one look has not come by the next.
async fn tell(stream: &Stream, consumer: Follower, hub: &Hub, counts: &Counts) -> Result<(), StoreError> {
    let mut messages = consumer.messages().await.map_err(failed)?;
    let mut seen = newest(stream).await?;
    let mut owed = seen;
    loop {
        let message = match tokio::time::timeout(QUIET, messages.next()).await {
            Ok(Some(message)) => message.map_err(failed)?,
            Ok(None) => return Ok(()),
            Err(_) if owed > seen => return Err(StoreError::Failed("the consumer is silent".to_owned())),
            Err(_) => {
                owed = newest(stream).await?;
                continue;
            }
        };
        let at = message.info().map_err(|error| StoreError::Failed(error.to_string()))?.stream_sequence;
        if let Some((name, id, size)) = parse_subject(&message.subject)
            && message.payload.len() == size as usize
        {
            counts.note(&name, |tally| tally.see(at, u64::from(size)));
            hub.tell(name, Entry { at, id, size }, &message.payload);
        }
        seen = at;
    }
}

/// The number of the newest message of the stream.
async fn newest(stream: &Stream) -> Result<u64, StoreError> {
    stream.get_info().await.map(|info| info.state.last_sequence).map_err(failed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_here_is_counted_once_whether_it_is_acknowledged_or_seen_first() {
        let mut tally = Tally::default();
        tally.put(5, 10);
        tally.see(4, 1);
        tally.see(5, 10);
        tally.see(7, 100);
        tally.put(7, 100);
        assert_eq!((tally.usage.blobs, tally.usage.bytes), (3, 111));
        assert!(tally.ahead.is_empty());
    }
}
