//! Lists a box of the cluster. A few entries are asked for one by one, of the server that leads the stream; for many a consumer is
//! made, which costs the whole cluster a vote, so only so many at once.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Info, LastRawMessageErrorKind, RawMessageError, Stream};
use futures::TryStreamExt as _;
use parlor_proto::mailbox::{BoxName, Entry};
use tokio::sync::Semaphore;

use super::subject::{of_box, parse_subject};
use super::{ATTEMPT, PATIENCE, failed, patiently};
use crate::mailbox::{Listing, StoreError};

/// Entries that are asked for one by one, each with its blob: most lists are of what came since the last.
const FEW: usize = 4;
/// Consumers of lists at once, of this relay.
const CONSUMERS: usize = 16;
/// A consumer is given to any server, also to one that has just gone away: then another is asked for after so long.
const PLACED: Duration = Duration::from_secs(1);

/// Who lists.
#[derive(Debug)]
pub(super) struct Lists {
    stream: Stream,
    consumers: Semaphore,
}

/// What the leader of the stream says at one moment.
struct Led {
    /// The newest number of the stream.
    end: u64,
    /// The newest one of the box; 0 where it is empty.
    of_box: u64,
    /// The first ones of the box after a number.
    first: Vec<Entry>,
}

impl Lists {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, consumers: Semaphore::new(CONSUMERS) }
    }

    /// Entries of a box after a number, at most `limit`.
    pub(super) async fn list(&self, name: &BoxName, after: u64, limit: usize) -> Result<Listing, StoreError> {
        let filter = of_box(name);
        let few = limit.saturating_add(1).min(FEW);
        let Led { end, of_box, mut first } = patiently(|| self.ask(&filter, after, few)).await?;
        let complete = first.last().map_or(after, |entry| entry.at) >= of_box.min(end);
        if complete || first.len() > limit {
            let more = first.len() > limit;
            first.truncate(limit);
            return Ok(Listing { entries: first, more, end });
        }
        // It is never closed.
        let _one_of_few = self.consumers.acquire().await.map_err(failed)?;
        patiently(|| self.read(&filter, after, limit)).await
    }

    /// What the server that leads the stream holds: asked of it alone, for any other may lag behind what was acknowledged.
    async fn ask(&self, filter: &str, after: u64, few: usize) -> Result<Led, StoreError> {
        // The end first: what comes meanwhile is beyond it.
        let before = self.stream.get_info().await.map_err(failed)?;
        let end = before.state.last_sequence;
        let last = self.stream.get_last_raw_message_by_subject(filter).await;
        let of_box = found(last)?.map_or(0, |message| message.sequence);
        let mut first: Vec<Entry> = Vec::new();
        while first.len() < few {
            let from = first.last().map_or(after, |entry| entry.at);
            if from >= of_box.min(end) {
                break;
            }
            let next = self.stream.raw_message_builder().sequence(from + 1).next_by_subject(filter).send().await;
            let Some(message) = found(next)?.filter(|message| message.sequence <= end) else { break };
            let entry = parse_subject(&message.subject).map(|(_, id, size)| Entry { at: message.sequence, id, size });
            first.push(entry.ok_or_else(|| StoreError::Failed("a message that is no blob".to_owned()))?);
        }
        let after = self.stream.get_info().await.map_err(failed)?;
        if leader(&before) != leader(&after) {
            // A new one has its log before it has all of it in its stream: for a moment it may know of less than the old one.
            return Err(StoreError::Failed("another server leads the stream now".to_owned()));
        }
        Ok(Led { end, of_box, first })
    }

    /// Reads a longer list from a consumer.
    async fn read(&self, filter: &str, after: u64, limit: usize) -> Result<Listing, StoreError> {
        let Led { end, of_box, .. } = self.ask(filter, after, 0).await?;
        let mut listing = Listing { entries: Vec::new(), more: false, end };
        if of_box <= after {
            return Ok(listing);
        }
        let made = self.stream.create_consumer(pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
            ack_policy: AckPolicy::None,
            filter_subject: filter.to_owned(),
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
}

/// A message, unless there is none.
fn found(asked: Result<StreamMessage, RawMessageError>) -> Result<Option<StreamMessage>, StoreError> {
    match asked {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn leader(info: &Info) -> Option<&str> {
    info.cluster.as_ref()?.leader.as_deref()
}

/// Reads up to the newest of the box. The consumer lives at any of the servers, and its own count of what waits is what that one
/// has got so far: what it lacks is waited for.
async fn read_entries(
    consumer: &Consumer<pull::Config>,
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
