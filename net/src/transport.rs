//! The transports: TCP with Noise and Yamux, QUIC, names; or memory for tests.
//!
//! Every connection, whatever carries it, is set up within [`CONNECT_DEADLINE`] and closed within [`CLOSE_DEADLINE`]. The second
//! is not libp2p's habit: it waits until goodbye is written, which a dead TCP peer with full buffers delays for a quarter of an
//! hour, and all that time gossipsub believes the peer connected and tells a new connection of it nothing (libp2p finding 3.4).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::FutureExt;
use libp2p::{
    Transport,
    core::{
        muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox},
        transport::{Boxed, OptionalTransport, timeout::TransportTimeout},
        upgrade::Version,
    },
    identity::Keypair,
    noise, quic, relay, tcp, yamux,
};
use tokio::time::Sleep;

use crate::{
    Carriers, NetworkError,
    limits::{
        CLOSE_DEADLINE, CONNECT_DEADLINE, QUIC_CONNECTION_WINDOW, QUIC_IDLE, QUIC_KEEP_ALIVE, QUIC_STREAM_WINDOW,
        STREAMS_MAX,
    },
    memory::InProcess,
    pace::Pace,
};

type Connection = (libp2p::PeerId, StreamMuxerBox);

/// Whom the transports are for.
pub(crate) enum For {
    /// A node, which also reaches others through relays: the way there.
    Node(relay::client::Transport),
    /// A relay, which listens to the streams of a source at this pace.
    Relay(Pace),
}

/// Makes the transports of a node or a relay. Connections through relays are encrypted and multiplexed like others, within the stream
/// that the relay carries.
pub(crate) fn build(carriers: Carriers, key: &Keypair, whom: For) -> Result<Boxed<Connection>, NetworkError> {
    let direct = match carriers {
        Carriers::Internet => internet(key)?,
        Carriers::Memory => {
            InProcess::default().upgrade(Version::V1).authenticate(noise_config(key)?).multiplex(yamux_config()).boxed()
        }
    };
    let (raw, pace) = match whom {
        For::Node(relayed) => {
            let relayed =
                relayed.upgrade(Version::V1Lazy).authenticate(noise_config(key)?).multiplex(yamux_config()).boxed();
            // The relayed one takes circuit addresses only, and must be asked first: the others would take their beginning.
            (relayed.or_transport(direct).map(|either, _| either.into_inner()).boxed(), None)
        }
        For::Relay(pace) => (direct, Some(pace)),
    };
    Ok(TransportTimeout::new(raw, CONNECT_DEADLINE)
        .map(move |(peer, muxer), endpoint| {
            let brief = StreamMuxerBox::new(Brief { muxer, deadline: None });
            let paced = match pace {
                Some(pace) => pace.pace(brief, &endpoint),
                None => brief,
            };
            (peer, paced)
        })
        .boxed())
}

fn internet(key: &Keypair) -> Result<Boxed<Connection>, NetworkError> {
    let plain = || -> Result<_, NetworkError> {
        let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
            .upgrade(Version::V1Lazy)
            .authenticate(noise_config(key)?)
            .multiplex(yamux_config())
            .boxed();
        let quic = quic::tokio::Transport::new(quic_config(key))
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed();
        Ok(OptionalTransport::some(quic).or_transport(tcp).map(|either, _| either.into_inner()).boxed())
    };
    match libp2p::dns::tokio::Transport::system(plain()?) {
        Ok(named) => Ok(named.boxed()),
        Err(error) => {
            // A machine without resolver settings still reaches peers by number.
            tracing::warn!(%error, "no name resolution: addresses with names cannot be dialled");
            plain()
        }
    }
}

fn noise_config(key: &Keypair) -> Result<noise::Config, NetworkError> {
    noise::Config::new(key).map_err(|error| NetworkError::Setup { part: "noise", reason: error.to_string() })
}

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_MAX as usize);
    config
}

fn quic_config(key: &Keypair) -> quic::Config {
    let mut config = quic::Config::new(key);
    config.max_concurrent_stream_limit = STREAMS_MAX;
    config.max_stream_data = QUIC_STREAM_WINDOW;
    config.max_connection_data = QUIC_CONNECTION_WINDOW;
    config.keep_alive_interval = QUIC_KEEP_ALIVE;
    config.max_idle_timeout = u32::try_from(QUIC_IDLE.as_millis()).unwrap_or(u32::MAX);
    config
}

/// A connection that closes within [`CLOSE_DEADLINE`].
struct Brief {
    muxer: StreamMuxerBox,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl StreamMuxer for Brief {
    type Substream = SubstreamBox;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
        Pin::new(&mut self.muxer).poll_inbound(cx)
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
        Pin::new(&mut self.muxer).poll_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(done) = Pin::new(&mut self.muxer).poll_close(cx) {
            return Poll::Ready(done);
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE_DEADLINE)));
        deadline.poll_unpin(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.muxer).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that never finishes closing, as over TCP to a dead peer with full buffers.
    struct Endless;

    impl StreamMuxer for Endless {
        type Substream = SubstreamBox;
        type Error = io::Error;

        fn poll_inbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
            Poll::Pending
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

    #[tokio::test]
    async fn a_goodbye_that_cannot_be_written_is_given_up() {
        let mut brief = Brief { muxer: StreamMuxerBox::new(Endless), deadline: None };
        let closed = std::future::poll_fn(|cx| Pin::new(&mut brief).poll_close(cx)).await;
        assert_eq!(closed.map_err(|it| it.kind()), Err(io::ErrorKind::TimedOut));
    }
}
