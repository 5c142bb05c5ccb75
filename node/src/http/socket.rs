//! Events to a client: over a WebSocket, or as a JSON object a line.
//!
//! Both follow one [`Subscription`] and end when the node stops, when the client is gone, or with an `error` event
//! `fell_behind` when it missed some: it reads the state again and comes back. A client that does not read is cut off by
//! [`super::stall`]; one that is silent over three pings is gone.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures::stream;
use parlor_api::{Code, Event, EventBody, Problem};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::limits;
use super::server::Connection;
use super::tokens::{FeedPlace, Grant};
use crate::bus::{FellBehind, Subscription, rfc3339};

/// What a client follows.
pub(crate) struct Feed {
    events: Subscription,
    /// Only events of this room, and those of none.
    room: Option<String>,
    stopped: watch::Receiver<bool>,
    /// What the client may see, and for how long.
    grant: Grant,
    /// Held while it is open.
    _place: FeedPlace,
    last: u64,
    end: Option<End>,
}

/// Why a feed ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The node stops, or the client missed events.
    Away,
    /// The token it was opened with holds no more.
    Revoked,
}

impl Feed {
    /// Follows `events` of `room` (all when `None`), those that `grant` may see, until `stopped` says true or it holds no more.
    pub(crate) fn new(
        events: Subscription,
        room: Option<String>,
        stopped: watch::Receiver<bool>,
        grant: Grant,
        place: FeedPlace,
    ) -> Self {
        Self { events, room, stopped, grant, _place: place, last: 0, end: None }
    }

    /// The next event as JSON; `None` at the end. Cancel safe.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.end.is_some() {
                return None;
            }
            let next = tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stopped| *stopped) => Err(End::Away),
                () = self.grant.over() => Err(End::Revoked),
                next = self.events.next() => next.ok_or(End::Away),
            };
            let event = match next {
                Ok(Ok(event)) => event,
                Ok(Err(FellBehind)) => {
                    self.end = Some(End::Away);
                    Arc::new(self.fell_behind())
                }
                Err(end) => {
                    self.end = Some(end);
                    return None;
                }
            };
            self.last = event.seq;
            if self.wants(&event) {
                // A type of ours with string keys can be written as JSON; if not, the client misses what it could not read.
                return serde_json::to_string(&*event).ok();
            }
        }
    }

    fn wants(&self, event: &Event) -> bool {
        if !self.grant.hears(&event.body) {
            return false;
        }
        match (&self.room, event.body.room()) {
            (Some(wanted), Some(room)) => wanted == room,
            (Some(_), None) => matches!(event.body, EventBody::Error(_)),
            (None, _) => true,
        }
    }

    fn fell_behind(&self) -> Event {
        let missed = Problem::new(Code::FellBehind, "events were missed");
        let body = EventBody::Error(missed.hint("read the state again, then follow from now").into());
        Event { seq: self.last, at: rfc3339(now_ms()), body }
    }

    /// The events as lines of an HTTP body.
    pub(crate) fn into_lines(self) -> Body {
        Body::from_stream(stream::unfold(self, |mut feed| async move {
            let mut line = feed.next().await?;
            line.push('\n');
            Some((Ok::<_, Infallible>(Bytes::from(line)), feed))
        }))
    }

    /// The answer that makes the connection a WebSocket with the events as its messages. The server is done with the connection then,
    /// so its place is held here.
    pub(crate) fn upgrade(self, upgrade: WebSocketUpgrade, connection: Connection) -> Response {
        upgrade.on_upgrade(|socket| async move {
            self.into_socket(socket).await;
            drop(connection);
        })
    }

    async fn into_socket(mut self, mut socket: WebSocket) {
        let mut ping = interval_at(Instant::now() + limits::SOCKET_PING, limits::SOCKET_PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let sent = tokio::select! {
                biased;
                got = socket.recv() => match got {
                    // What a client has to say, also that its user types, it says by requests.
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {
                        heard = Instant::now();
                        Ok(())
                    }
                },
                next = self.next() => match next {
                    Some(json) => socket.send(Message::Text(json.into())).await,
                    None => break,
                },
                _ = ping.tick() => {
                    if heard.elapsed() > 3 * limits::SOCKET_PING {
                        return;
                    }
                    socket.send(Message::Ping(Bytes::new())).await
                }
            };
            if sent.is_err() {
                return;
            }
        }
        let (code, reason) = match self.end {
            Some(End::Revoked) => (close_code::POLICY, "the token holds no more"),
            Some(End::Away) | None => (close_code::AWAY, "the events end here"),
        };
        let frame = CloseFrame { code, reason: reason.into() };
        let _ = socket.send(Message::Close(Some(frame))).await;
    }
}

fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use parlor_api::{PeerChanged, SyncProgress};

    use super::*;
    use crate::bus::Bus;
    use crate::http::tokens::Tokens;

    fn everything() -> (Tokens, Grant) {
        let tokens = Tokens::new(zeroize::Zeroizing::new("t".into()));
        let grant = tokens.check(Some("t")).unwrap();
        (tokens, grant)
    }

    fn sync(room: &str) -> EventBody {
        EventBody::Sync(SyncProgress { room: room.into(), have: 1, want: 0, done: true, asking: false, early: 0 })
    }

    #[tokio::test]
    async fn a_feed_of_one_room_leaves_the_others_out() {
        let bus = Bus::new(1);
        let (_stop, stopped) = watch::channel(false);
        let (tokens, grant) = everything();
        let place = tokens.place(&grant).unwrap();
        let mut feed = Feed::new(bus.subscribe(None), Some("a".into()), stopped, grant, place);
        bus.publish(1, sync("b"));
        bus.publish(1, EventBody::Peer(PeerChanged { peer_id: "p".into(), connected: true, peers: 1 }));
        bus.publish(1, sync("a"));
        let event: Event = serde_json::from_str(&feed.next().await.unwrap()).unwrap();
        assert_eq!((event.seq, event.body), (1003, sync("a")));
    }

    #[tokio::test]
    async fn who_fell_behind_is_told_so_as_the_last_event() {
        let bus = Bus::new(1);
        let (_stop, stopped) = watch::channel(false);
        let (tokens, grant) = everything();
        let place = tokens.place(&grant).unwrap();
        let mut feed = Feed::new(bus.subscribe(Some(1)), Some("a".into()), stopped, grant, place);
        let last = feed.next().await.unwrap();
        assert!(last.starts_with(r#"{"event":"error","code":"fell_behind""#), "{last}");
        assert_eq!(feed.next().await, None);
    }

    #[tokio::test]
    async fn a_feed_ends_with_the_node() {
        let bus = Bus::new(1);
        let (stop, stopped) = watch::channel(false);
        let (tokens, grant) = everything();
        let place = tokens.place(&grant).unwrap();
        let mut feed = Feed::new(bus.subscribe(None), None, stopped, grant, place);
        stop.send(true).unwrap();
        assert_eq!(feed.next().await, None);
    }
}
