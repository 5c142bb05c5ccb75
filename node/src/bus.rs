//! The event bus: numbers every event, remembers the last ones, and hands them to any number of subscribers.
//!
//! Publishing never waits: a subscriber that reads too slowly is told that it fell behind and reads the state again, and
//! nobody else notices. Numbers begin at the start time in microseconds, so that they grow also over restarts (a node
//! that published more than a million events a second for its whole life would break this; none can), and a `since`
//! from an earlier run is recognised as too old instead of being taken for a number of this run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_api::{Draft, Event, EventBody, Message, MessageExpired, Notification};
use tokio::sync::broadcast;

/// Events remembered for clients that reconnect, and those a slow subscriber may lag behind: at some 700 bytes each
/// about 3 MB, and a burst of 4,000 messages from a sync does not make every window reload.
const REMEMBERED: usize = 4096;

/// The subscriber missed events: it must read the state again and subscribe from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("events were missed")]
pub struct FellBehind;

/// Publishes events. Clones publish on the same bus.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

struct Inner {
    live: broadcast::Sender<Arc<Event>>,
    past: Mutex<Past>,
}

struct Past {
    /// Number of the last event published, or the number before the first.
    last: u64,
    events: VecDeque<Arc<Event>>,
}

impl Past {
    /// Of earlier drafts of a room nothing is remembered: the next one says what there is, and a text that was sent may disappear.
    fn forget_draft(&mut self, room: &str) {
        for event in &mut self.events {
            if let EventBody::Draft(draft) = &event.body
                && draft.room == room
                && draft.updated_at.is_some()
            {
                let none = Draft { room: room.to_owned(), ..Draft::default() };
                *event =
                    Arc::new(Event { seq: event.seq, at: event.at.clone(), body: EventBody::Draft(Box::new(none)) });
            }
        }
    }
}

impl Bus {
    /// A bus of a node that starts now.
    pub fn new(now_ms: u64) -> Self {
        let (live, _) = broadcast::channel(REMEMBERED);
        let past = Past { last: now_ms.saturating_mul(1000), events: VecDeque::new() };
        Self { inner: Arc::new(Inner { live, past: Mutex::new(past) }) }
    }

    /// Publishes an event and answers its number.
    pub fn publish(&self, now_ms: u64, body: EventBody) -> u64 {
        let mut past = self.past();
        if let EventBody::Draft(draft) = &body {
            past.forget_draft(&draft.room);
        }
        past.last += 1;
        let event = Arc::new(Event { seq: past.last, at: rfc3339(now_ms), body });
        if past.events.len() == REMEMBERED {
            past.events.pop_front();
        }
        past.events.push_back(event.clone());
        // Sent under the lock, so that subscribers see numbers in order. An error says that nobody listens.
        let _ = self.inner.live.send(event);
        past.last
    }

    /// A message is gone: of what is remembered nothing says what it said.
    pub fn forget(&self, message: &str) {
        let mut past = self.past();
        for event in &mut past.events {
            if let Some(body) = without(&event.body, message) {
                *event = Arc::new(Event { seq: event.seq, at: event.at.clone(), body });
            }
        }
    }

    /// Number of the last event published.
    pub fn last(&self) -> u64 {
        self.past().last
    }

    /// Follows events: from now, or without a gap after event number `since`.
    pub fn subscribe(&self, since: Option<u64>) -> Subscription {
        let past = self.past();
        let live = self.inner.live.subscribe();
        let Some(since) = since else { return Subscription { replay: VecDeque::new(), live, behind: false } };
        let first = past.last - past.events.len() as u64;
        let behind = since < first || since > past.last;
        let skip = usize::try_from(since.saturating_sub(first)).unwrap_or(usize::MAX);
        let replay = if behind { VecDeque::new() } else { past.events.iter().skip(skip).cloned().collect() };
        Subscription { replay, live, behind }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        // Held for a few lines that do not panic; the data is whole in any case.
        self.inner.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One subscriber's view of the events.
pub struct Subscription {
    replay: VecDeque<Arc<Event>>,
    live: broadcast::Receiver<Arc<Event>>,
    behind: bool,
}

impl Subscription {
    /// The next event; `None` when the node has stopped. Cancel safe.
    ///
    /// # Errors
    /// [`FellBehind`]: events were missed; the subscription is of no more use.
    pub async fn next(&mut self) -> Option<Result<Arc<Event>, FellBehind>> {
        if self.behind {
            return Some(Err(FellBehind));
        }
        if let Some(event) = self.replay.pop_front() {
            return Some(Ok(event));
        }
        match self.live.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::RecvError::Closed) => None,
            Err(broadcast::error::RecvError::Lagged(_)) => {
                self.behind = true;
                Some(Err(FellBehind))
            }
        }
    }
}

/// What is left of an event about a message that is gone, or that quotes it; `None` of others.
fn without(body: &EventBody, gone: &str) -> Option<EventBody> {
    let (EventBody::Message(message) | EventBody::MessageUpdated(message)) = body else {
        return match body {
            EventBody::Notification(notification) if notification.message.as_deref() == Some(gone) => {
                Some(EventBody::Notification(Notification { body: String::new(), ..notification.clone() }))
            }
            _ => None,
        };
    };
    if message.message == gone {
        let (message, room) = (message.message.clone(), message.room.clone());
        return Some(EventBody::MessageExpired(MessageExpired { message, room }));
    }
    let quotes = message.reply.as_ref().is_some_and(|quote| quote.message == gone);
    let without = || Box::new(Message { reply: None, ..Message::clone(message) });
    quotes.then(|| match body {
        EventBody::Message(_) => EventBody::Message(without()),
        _ => EventBody::MessageUpdated(without()),
    })
}

/// A time in milliseconds since the epoch as the API writes it; times beyond the year 9999 read as its end.
pub fn rfc3339(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// A time as a client wrote it, in milliseconds since the epoch; `None` for what is no time of RFC 3339. Times before the epoch
/// read as its beginning.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(u64::try_from(time.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use parlor_api::PeerChanged;

    use super::*;

    fn body(n: u32) -> EventBody {
        EventBody::Peer(PeerChanged { peer_id: "p".into(), connected: true, peers: n })
    }

    #[tokio::test]
    async fn a_client_that_reconnects_misses_nothing() {
        let bus = Bus::new(1);
        let seen = bus.publish(1, body(1));
        bus.publish(2, body(2));
        let mut events = bus.subscribe(Some(seen));
        bus.publish(3, body(3));
        for wanted in [2, 3] {
            let event = events.next().await.unwrap().unwrap();
            assert_eq!((event.seq, &event.body), (1000 + u64::from(wanted), &body(wanted)));
        }
    }

    #[tokio::test]
    async fn who_fell_behind_is_told_once_the_past_is_forgotten() {
        let bus = Bus::new(1);
        let mut slow = bus.subscribe(None);
        for n in 0..=REMEMBERED as u32 {
            bus.publish(1, body(n));
        }
        assert_eq!(slow.next().await, Some(Err(FellBehind)));
        assert_eq!(bus.subscribe(Some(1000)).next().await, Some(Err(FellBehind)));
        assert!(bus.subscribe(Some(1001)).next().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_number_of_another_run_is_not_taken_for_one_of_this() {
        let bus = Bus::new(5);
        bus.publish(5, body(1));
        assert_eq!(bus.subscribe(Some(4_000)).next().await, Some(Err(FellBehind)));
        assert_eq!(bus.subscribe(Some(9_000)).next().await, Some(Err(FellBehind)));
    }

    #[tokio::test]
    async fn of_a_draft_that_is_another_now_nothing_is_remembered() {
        let bus = Bus::new(1);
        let draft = |room: &str, text: &str| {
            let updated_at = (!text.is_empty()).then(|| rfc3339(1));
            let draft = Draft { room: room.into(), text: text.into(), updated_at, ..Draft::default() };
            EventBody::Draft(Box::new(draft))
        };
        for (room, text) in [("one", "it disappears"), ("two", "stays"), ("one", "it disappears soon"), ("one", "")] {
            bus.publish(1, draft(room, text));
        }
        let mut events = bus.subscribe(Some(1_000));
        for left in [("one", ""), ("two", "stays"), ("one", ""), ("one", "")] {
            let event = events.next().await.unwrap().unwrap();
            assert_eq!(event.body, draft(left.0, left.1));
        }
    }
}
