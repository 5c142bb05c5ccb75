//! How fast the connections of one source may open streams at a relay.
//!
//! Each stream is settled, handed to a protocol and mostly told to the relay's one task, whatever is asked on it and whatever the answer:
//! a question costs as much refused as answered. So who opens streams too fast is not refused but listened to later: the
//! streams wait in his connection, where they cost nothing but the place they take of his own bound, and ends that wait open
//! no more.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::FutureExt;
use libp2p::{
    Multiaddr,
    core::{
        ConnectedPoint,
        muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox},
    },
};
use tokio::time::Sleep;

use crate::{
    gate::{Source, source},
    limits::{PACED_SOURCES_MAX, RELAY_STREAMS_PER_CONNECTION, RELAY_STREAMS_PER_SOURCE},
};

/// How many streams, sustained and at once.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// What a stream is worth of time.
    stream: Duration,
    /// What somebody may be ahead of his time.
    ahead: Duration,
}

const OF_CONNECTION: Rate = Rate::new(RELAY_STREAMS_PER_CONNECTION);
const OF_SOURCE: Rate = Rate::new(RELAY_STREAMS_PER_SOURCE);

impl Rate {
    const fn new((burst, per_second): (u32, u32)) -> Self {
        let stream = 1_000_000_000 / per_second as u64;
        Self { stream: Duration::from_nanos(stream), ahead: Duration::from_nanos(stream * burst as u64) }
    }

    /// A stream more, of who has paid up to a moment. How long to wait with the next.
    fn opened(self, paid: &mut Instant, now: Instant) -> Duration {
        *paid = (*paid).max(now) + self.stream;
        paid.saturating_duration_since(now).saturating_sub(self.ahead)
    }
}

/// The streams of all sources. Clones are the same; held only for a look.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// This machine's own addresses count too.
    loopback: bool,
    /// When each source will have had the time for what it opened. Who is past that is as good as unknown.
    paid: Arc<Mutex<HashMap<IpAddr, Instant>>>,
    /// Streams that came too fast.
    late: Arc<AtomicU64>,
}

impl Pace {
    pub(crate) fn new(loopback: bool) -> Self {
        Self { loopback, paid: Arc::default(), late: Arc::default() }
    }

    /// How many streams came too fast since the start.
    pub(crate) fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// Paces the streams that come in on a connection, unless we made it.
    pub(crate) fn pace(&self, muxer: StreamMuxerBox, endpoint: &ConnectedPoint) -> StreamMuxerBox {
        let from = match endpoint {
            ConnectedPoint::Listener { send_back_addr, .. } => source(&Multiaddr::empty(), send_back_addr),
            ConnectedPoint::Dialer { .. } => None,
        };
        match from {
            Some(Source::Ip(from)) if self.loopback || !from.is_loopback() => {
                StreamMuxerBox::new(Paced { muxer, pace: self.clone(), from, paid: Instant::now(), rest: None })
            }
            _ => muxer,
        }
    }

    /// A stream was opened from there. How long its connection is not listened to for the next.
    fn opened(&self, from: IpAddr, now: Instant) -> Duration {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        if paid.len() >= PACED_SOURCES_MAX && !paid.contains_key(&from) {
            paid.retain(|_, at| *at > now);
            if paid.len() >= PACED_SOURCES_MAX
                && let Some(first) = paid.iter().min_by_key(|(_, at)| **at).map(|(source, _)| *source)
            {
                paid.remove(&first);
            }
        }
        OF_SOURCE.opened(paid.entry(from).or_insert(now), now)
    }
}

/// A connection whose streams come in at the pace of its source.
struct Paced {
    muxer: StreamMuxerBox,
    pace: Pace,
    from: IpAddr,
    /// When this connection will have had the time for what it opened.
    paid: Instant,
    /// Until then nothing is taken in.
    rest: Option<Pin<Box<Sleep>>>,
}

impl StreamMuxer for Paced {
    type Substream = SubstreamBox;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
        if let Some(rest) = &mut self.rest {
            std::task::ready!(rest.poll_unpin(cx));
            self.rest = None;
        }
        let stream = std::task::ready!(Pin::new(&mut self.muxer).poll_inbound(cx))?;
        let now = Instant::now();
        let wait = self.pace.opened(self.from, now).max(OF_CONNECTION.opened(&mut self.paid, now));
        if !wait.is_zero() {
            self.pace.late.fetch_add(1, Ordering::Relaxed);
            self.rest = Some(Box::pin(tokio::time::sleep(wait)));
        }
        Poll::Ready(Ok(stream))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
        Pin::new(&mut self.muxer).poll_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.muxer).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.muxer).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n))
    }

    #[test]
    fn a_source_opens_a_burst_at_once_and_then_so_many_a_second_and_others_as_ever() {
        let (pace, now) = (Pace::new(false), Instant::now());
        let (burst, per_second) = RELAY_STREAMS_PER_SOURCE;
        for n in 0..burst {
            assert!(pace.opened(ip(1), now).is_zero(), "{n}");
        }
        assert_eq!(pace.opened(ip(1), now), OF_SOURCE.stream);
        assert!(pace.opened(ip(2), now).is_zero());
        let later = now + Duration::from_secs(5);
        let free = (0..burst).take_while(|_| pace.opened(ip(1), later).is_zero()).count() as u32;
        assert!(free.abs_diff(5 * per_second) <= 2, "{free}");
    }

    #[test]
    fn the_table_of_sources_is_bounded_and_who_owes_most_is_remembered() {
        let (pace, now) = (Pace::new(false), Instant::now());
        for _ in 0..2 * RELAY_STREAMS_PER_SOURCE.0 {
            pace.opened(ip(0), now);
        }
        for n in 1..PACED_SOURCES_MAX as u32 + 100 {
            pace.opened(ip(n), now);
        }
        assert_eq!(pace.paid.lock().unwrap().len(), PACED_SOURCES_MAX);
        assert!(!pace.opened(ip(0), now).is_zero());
        pace.opened(ip(9_999_999), now + Duration::from_secs(3_600));
        assert_eq!(pace.paid.lock().unwrap().len(), 1, "who owes nothing is forgotten");
    }

    /// A connection on which streams come in as fast as they are taken.
    struct Endless;

    impl StreamMuxer for Endless {
        type Substream = SubstreamBox;
        type Error = io::Error;

        fn poll_inbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
            Poll::Ready(Ok(SubstreamBox::new(futures::io::Cursor::new(Vec::new()))))
        }

        fn poll_outbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
            Poll::Pending
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
            Poll::Pending
        }
    }

    /// How many streams are taken in before the connection is not listened to.
    async fn taken(muxer: &mut StreamMuxerBox) -> u32 {
        let mut taken = 0;
        std::future::poll_fn(|cx| {
            while taken < 1_000_000 && Pin::new(&mut *muxer).poll_inbound(cx).is_ready() {
                taken += 1;
            }
            Poll::Ready(())
        })
        .await;
        taken
    }

    #[tokio::test]
    async fn a_connection_that_floods_is_listened_to_later_and_one_that_we_made_or_of_this_machine_always() {
        let listener = |from: &str| ConnectedPoint::Listener {
            local_addr: "/ip4/192.0.2.1/tcp/4001".parse().unwrap(),
            send_back_addr: from.parse().unwrap(),
        };
        let endless = || StreamMuxerBox::new(Endless);
        let pace = Pace::new(false);
        let mut flood = pace.pace(endless(), &listener("/ip4/192.0.2.7/tcp/9"));
        let (burst, per_second) = RELAY_STREAMS_PER_CONNECTION;
        // What passes while it is counted comes back meanwhile.
        let at_once = taken(&mut flood).await;
        assert!((burst..burst + per_second).contains(&at_once), "{at_once}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let later = taken(&mut flood).await;
        assert!((1..per_second).contains(&later), "{later}");
        let mut local = pace.pace(endless(), &listener("/ip4/127.0.0.1/tcp/9"));
        assert_eq!(taken(&mut local).await, 1_000_000);
    }
}
