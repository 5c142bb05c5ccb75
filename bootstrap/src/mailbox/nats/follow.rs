//! Follows the stream for subscribers and counts, each message once and in order: after every interruption from where it was.
//!
//! The consumer is a plain one. What the library calls an ordered one makes itself anew when its server goes, and one that had
//! brought nothing yet then begins with the first message of the stream.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_nats::jetstream::stream::Stream;
use futures::StreamExt as _;
use parlor_proto::mailbox::Entry;

use super::counts::Counts;
use super::subject::parse_subject;
use super::{Hub, PATIENCE, PAUSE, StoreError, failed};

/// Nothing came for so long: it is looked whether there was nothing.
const QUIET: Duration = Duration::from_secs(5);
/// A stream that ends before what was seen for so many looks has lost it: a server that leads for a moment only may know of less.
const LOOKS: u32 = 6;

/// Who follows.
pub(super) struct Follower {
    stream: Stream,
    hub: Hub,
    counts: Counts,
    /// The newest message that was told, or was there before.
    seen: u64,
    /// The newest for which a silent consumer was given up already: what was taken out again never comes.
    owed: u64,
    /// Looks in a row at which the stream ended before what was seen.
    short: u32,
}

/// The number of the newest message of the stream.
pub(super) async fn newest(stream: &Stream) -> Result<u64, StoreError> {
    stream.get_info().await.map(|info| info.state.last_sequence).map_err(failed)
}

impl Follower {
    /// One who has seen everything up to a number.
    pub(super) fn new(stream: Stream, hub: Hub, counts: Counts, seen: u64) -> Self {
        Self { stream, hub, counts, seen, owed: seen, short: 0 }
    }

    /// Tells of everything that comes into the stream, for ever.
    pub(super) async fn follow(mut self) {
        loop {
            if let Err(error) = self.tell().await {
                tracing::warn!(%error, "following the mailboxes of the cluster was interrupted");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Tells of what a consumer brings, until it ends. One whose server was killed may be silent for ever without an error: it is
    /// given up when what the stream held at one look has not come by the next.
    async fn tell(&mut self) -> Result<(), StoreError> {
        let consumer = self.consumer().await?;
        let mut messages = consumer.stream().heartbeat(QUIET).messages().await.map_err(failed)?;
        let (mut held, mut count) = (self.seen, 0);
        loop {
            let message = match tokio::time::timeout(QUIET, messages.next()).await {
                Ok(Some(message)) => message.map_err(failed)?,
                Ok(None) => return Ok(()),
                Err(_) if held > self.seen.max(self.owed) => {
                    self.owed = held;
                    return Err(StoreError::Failed("the consumer is silent".to_owned()));
                }
                Err(_) => {
                    held = newest(&self.stream).await?;
                    self.look_back(held);
                    continue;
                }
            };
            let info = message.info().map_err(|error| StoreError::Failed(error.to_string()))?;
            count += 1;
            if info.consumer_sequence != count {
                // What a server had sent when its connection broke is sent no more: the next consumer brings it.
                return Err(StoreError::Failed("messages were lost on the way".to_owned()));
            }
            let at = info.stream_sequence;
            // A consumer at a server that is behind begins where that one ends.
            if at <= self.seen {
                continue;
            }
            self.seen = at;
            if let Some((name, id, size)) = parse_subject(&message.subject)
                && message.payload.len() == size as usize
            {
                self.counts.note(&name, |tally| tally.see(at, u64::from(size)));
                self.hub.tell(name, Entry { at, id, size }, &message.payload);
            }
        }
    }

    /// A consumer of what comes after what was seen.
    async fn consumer(&self) -> Result<Consumer<pull::Config>, StoreError> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.seen + 1 },
            ack_policy: AckPolicy::None,
            inactive_threshold: PATIENCE,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        };
        let made = tokio::time::timeout(PATIENCE, self.stream.create_consumer(config)).await;
        made.map_err(|_| StoreError::Failed("no consumer in time".to_owned()))?.map_err(failed)
    }

    /// A cluster that lost its newest messages gives their numbers again: then nothing that is known of them counts any more.
    fn look_back(&mut self, held: u64) {
        self.short = if held < self.seen { self.short + 1 } else { 0 };
        if self.short >= LOOKS {
            tracing::error!(newest = held, seen = self.seen, "the cluster has lost mail that it had acknowledged");
            (self.seen, self.owed, self.short) = (held, held, 0);
            self.counts.clear();
            self.hub.tell_behind();
        }
    }
}
