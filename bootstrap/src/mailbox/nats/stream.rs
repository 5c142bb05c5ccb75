//! The stream that mailboxes are in: made, or found and looked at. One that is there already is what a relay needs, or is changed
//! where that takes nothing away, or is refused: mail in memory, or of which a new blob pushes out an old one, is not kept.

use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use parlor_proto::mailbox::StoreId;

use super::subject::{PREFIX, hex, parse_id};
use super::{NatsOptions, PATIENCE, PAUSE, STREAM};

/// Why mailboxes can not be kept in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// No server, or no JetStream there.
    #[error("{0}")]
    Unreachable(String),
    /// The servers do not give what is wanted.
    #[error("the cluster has no room for {wanted}: {reason}")]
    NoSpace {
        /// What was asked for.
        wanted: String,
        /// What the cluster said.
        reason: String,
    },
    /// There is a stream of the name that does not keep mail, and can not be made to.
    #[error("the stream {STREAM} is not one that keeps mail: {0}")]
    BadStream(String),
}

/// Finds the stream, or makes it. Bounded by some seconds: a cluster that starts, or lost its leader, is waited for.
pub(super) async fn open(context: &Context, options: &NatsOptions) -> Result<(Stream, StoreId), NatsError> {
    let deadline = Instant::now() + PATIENCE;
    let stream = loop {
        match find_or_make(context, options).await {
            Err(NatsError::BadStream(why)) => return Err(NatsError::BadStream(why)),
            Err(error) if Instant::now() < deadline => tracing::debug!(%error, "trying again"),
            other => break other?,
        }
        tokio::time::sleep(PAUSE).await;
    };
    let description = stream.cached_info().config.description.as_deref().unwrap_or_default();
    let id = parse_id(description).ok_or_else(|| NatsError::BadStream("no relay made it".to_owned()))?;
    Ok((stream, id))
}

async fn find_or_make(context: &Context, options: &NatsOptions) -> Result<Stream, NatsError> {
    let wanted = wanted(options);
    let stream = match context.get_stream(STREAM).await {
        Ok(stream) => stream,
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                return make(context, wanted).await;
            }
            _ => return Err(NatsError::Unreachable(said(&error))),
        },
    };
    let there = &stream.cached_info().config;
    unfit(there).map_or(Ok(()), |why| Err(NatsError::BadStream(why.to_owned())))?;
    let better = adapted(there, &wanted);
    if better == *there {
        return Ok(stream);
    }
    let changed = match context.update_stream(&better).await {
        // A server alone keeps one copy, as it does when it makes the stream.
        Err(error) if is_alone(&error) => {
            let single = Config { num_replicas: there.num_replicas, ..better };
            if single == *there {
                return Ok(stream);
            }
            context.update_stream(&single).await
        }
        other => other,
    };
    changed.map_err(|error| refused(&error, &wanted))?;
    tracing::info!(
        replicas = wanted.num_replicas,
        max_bytes = wanted.max_bytes,
        "the stream of the mailboxes was changed"
    );
    context.get_stream(STREAM).await.map_err(|error| NatsError::Unreachable(said(&error)))
}

async fn make(context: &Context, wanted: Config) -> Result<Stream, NatsError> {
    let made = match context.create_stream(wanted.clone()).await {
        Err(error) if is_alone(&error) => context.create_stream(Config { num_replicas: 1, ..wanted.clone() }).await,
        other => other,
    };
    made.map_err(|error| refused(&error, &wanted))
}

/// The stream as a relay makes it.
fn wanted(options: &NatsOptions) -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec![format!("{PREFIX}.>")],
        description: Some(format!("mailboxes {}", hex(&rand::random::<[u8; 16]>()))),
        max_age: options.keep,
        max_bytes: options.max_bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1),
        max_messages: -1,
        max_message_size: -1,
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        discard_new_per_subject: true,
        storage: StorageType::File,
        num_replicas: options.replicas.max(1),
        duplicate_window: options.keep.min(Duration::from_secs(2)),
        ..Config::default()
    }
}

/// Why the stream keeps no mail, whatever is changed of its bounds.
fn unfit(there: &Config) -> Option<&'static str> {
    let description = there.description.as_deref().unwrap_or_default();
    let rules = [
        (parse_id(description).is_some(), "no relay made it"),
        (there.storage == StorageType::File, "it is in memory, so a restart of the servers loses all mail"),
        (there.subjects == [format!("{PREFIX}.>")], "it has other subjects"),
        (there.retention == RetentionPolicy::Limits, "its retention is not by limits"),
        (there.discard == DiscardPolicy::New, "what comes in pushes out what is there (discard is not `new`)"),
        (there.max_messages_per_subject == 1, "it keeps several messages of a subject, so blobs twice"),
        (there.discard_new_per_subject, "a blob that comes twice takes the place of the first"),
        (!there.no_ack, "it acknowledges nothing"),
        (!there.sealed && !there.deny_delete, "nothing can be taken out of it"),
        (there.mirror.is_none() && there.sources.as_ref().is_none_or(Vec::is_empty), "it is a copy of another stream"),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map(|(_, why)| why)
}

/// The stream with the bounds and copies that are wanted, where that is more than it has: less would take mail away at once, also
/// where what is there is to stay and what is new to be refused.
fn adapted(there: &Config, wanted: &Config) -> Config {
    // No bound is 0 or -1.
    let wider = |there: i64, wanted: i64| if there > 0 && (wanted <= 0 || wanted > there) { wanted } else { there };
    let ages = !there.max_age.is_zero() && there.max_age < wanted.max_age;
    Config {
        num_replicas: there.num_replicas.max(wanted.num_replicas),
        max_bytes: wider(there.max_bytes, wanted.max_bytes),
        max_messages: wider(there.max_messages, wanted.max_messages),
        max_message_size: if there.max_message_size > 0 { wanted.max_message_size } else { there.max_message_size },
        max_age: if ages { wanted.max_age } else { there.max_age },
        ..there.clone()
    }
}

/// Whether the server has no others to give copies to.
fn is_alone(error: &CreateStreamError) -> bool {
    matches!(error.kind(), CreateStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED)
}

fn refused(error: &CreateStreamError, wanted: &Config) -> NatsError {
    const NO_SPACE: [ErrorCode; 5] = [
        ErrorCode::STORAGE_RESOURCES_EXCEEDED,
        ErrorCode::INSUFFICIENT_RESOURCES,
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
        ErrorCode::CLUSTER_NO_PEERS,
        ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED,
    ];
    match error.kind() {
        CreateStreamErrorKind::JetStream(why) if NO_SPACE.contains(&why.error_code()) => {
            let bytes = match u64::try_from(wanted.max_bytes) {
                Ok(bytes) if bytes > 0 => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
                _ => "the mailboxes".to_owned(),
            };
            let copies = if wanted.num_replicas > 1 {
                format!(" on each of {} servers", wanted.num_replicas)
            } else {
                String::new()
            };
            NatsError::NoSpace { wanted: bytes + &copies, reason: why.to_string() }
        }
        _ => NatsError::Unreachable(said(error)),
    }
}

/// What the cluster said, without what the library says around it.
fn said(error: &(dyn std::error::Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a server tells it of a stream that a relay made.
    fn made() -> Config {
        wanted(&NatsOptions { max_bytes: Some(1_000), ..NatsOptions::default() })
    }

    #[test]
    fn a_stream_as_a_relay_makes_it_stays_as_it_is() {
        let there = made();
        assert_eq!(unfit(&there), None);
        assert_eq!(adapted(&there, &Config { description: None, ..made() }), there);
    }

    #[test]
    fn a_stream_gets_what_is_more_than_it_has_and_nothing_is_taken_away() {
        let small =
            Config { num_replicas: 1, max_bytes: 5, max_messages: 9, max_age: Duration::from_secs(1), ..made() };
        let better = adapted(&small, &made());
        assert_eq!((better.num_replicas, better.max_bytes, better.max_messages), (3, 1_000, -1));
        assert_eq!((better.max_age, better.description), (made().max_age, small.description.clone()));
        let large = Config { num_replicas: 5, max_bytes: -1, max_age: 2 * made().max_age, ..made() };
        assert_eq!(adapted(&large, &made()), large);
        let there = made();
        assert_eq!(adapted(&there, &small), there);
    }

    #[test]
    fn what_would_lose_mail_is_refused() {
        assert!(unfit(&Config { storage: StorageType::Memory, ..made() }).is_some());
        assert!(unfit(&Config { discard: DiscardPolicy::Old, ..made() }).is_some());
        assert!(unfit(&Config { discard_new_per_subject: false, ..made() }).is_some());
        assert!(unfit(&Config { retention: RetentionPolicy::WorkQueue, ..made() }).is_some());
        assert!(unfit(&Config { subjects: vec!["parlor.>".to_owned()], ..made() }).is_some());
    }
}
