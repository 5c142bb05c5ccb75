//! Is somebody still there? `/ipfs/ping/1.0.0`, asked when the network task wants to know.
//!
//! libp2p's own ping asks every few seconds, whatever else was heard; on an idle node that is most of its traffic. Here the
//! network task asks where nothing was heard for a while ([`Behaviour::ask`]), and learns of every answer and of every
//! question of the other side. The bytes are the same: 32 random ones, sent back.

use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use tokio::time::timeout;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfs/ping/1.0.0");
const LEN: usize = 32;

/// Asks and answers.
#[derive(Debug)]
pub(crate) struct Behaviour {
    deadline: Duration,
    pending: VecDeque<ToSwarm<Event, Ask>>,
}

/// Something was heard on a connection, or not.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    pub(crate) what: Heard,
}

/// What was heard.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The answer, after so long.
    Answer(Duration),
    /// A question of the other side, which is answered.
    Question,
    /// No answer to ours in time, or the other side does not speak this.
    Silence,
}

/// Asks a connection's handler to ask.
#[derive(Debug)]
pub(crate) struct Ask;

impl Behaviour {
    /// An answer that takes longer than `deadline` counts as none.
    pub(crate) fn new(deadline: Duration) -> Self {
        Self { deadline, pending: VecDeque::new() }
    }

    /// Asks on this connection. [`Heard::Answer`] or [`Heard::Silence`] follows, unless the connection ends. Not again
    /// before that.
    pub(crate) fn ask(&mut self, peer: PeerId, connection: ConnectionId) {
        let handler = NotifyHandler::One(connection);
        self.pending.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event: Ask });
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.deadline))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.deadline))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, what: THandlerOutEvent<Self>) {
        self.pending.push_back(ToSwarm::GenerateEvent(Event { peer, connection, what }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        // Filled only from within the swarm's own calls or before it is polled, so no waker is needed.
        self.pending.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The part of one connection: one stream each way, kept for the next time.
pub(crate) struct Handler {
    deadline: Duration,
    asking: Asking,
    answering: Option<BoxFuture<'static, io::Result<Stream>>>,
    silence: bool,
}

/// Where our question is.
enum Asking {
    /// Nobody asked; the stream of the last time, if it is good.
    Rest(Option<Stream>),
    /// To be asked.
    Wanted(Option<Stream>),
    /// A stream is being opened for it.
    Opening,
    /// Asked.
    Asked(BoxFuture<'static, io::Result<(Stream, Duration)>>),
}

impl Handler {
    fn new(deadline: Duration) -> Self {
        Self { deadline, asking: Asking::Rest(None), answering: None, silence: false }
    }

    fn ask(&self, stream: Stream) -> Asking {
        let deadline = self.deadline;
        let in_time = async move { timeout(deadline, question(stream)).await.map_err(io::Error::from)? };
        Asking::Asked(in_time.boxed())
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Ask;
    type ToBehaviour = Heard;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        if let Some(Poll::Ready(answered)) = self.answering.as_mut().map(|it| it.poll_unpin(cx)) {
            self.answering = answered.ok().map(|stream| answer(stream).boxed());
            if self.answering.is_some() {
                // Polled again at once, since something is told: so the next question wakes it.
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Heard::Question));
            }
        }
        if std::mem::take(&mut self.silence) {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Heard::Silence));
        }
        if let Asking::Wanted(stream) = &mut self.asking {
            let Some(stream) = stream.take() else {
                self.asking = Asking::Opening;
                let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ()).with_timeout(self.deadline);
                return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
            };
            self.asking = self.ask(stream);
        }
        if let Asking::Asked(asked) = &mut self.asking
            && let Poll::Ready(result) = asked.poll_unpin(cx)
        {
            let (rest, heard) = match result {
                Ok((stream, after)) => (Some(stream), Heard::Answer(after)),
                Err(_) => (None, Heard::Silence),
            };
            self.asking = Asking::Rest(rest);
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(heard));
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, Ask: Ask) {
        if let Asking::Rest(stream) = &mut self.asking {
            self.asking = Asking::Wanted(stream.take());
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>) {
        match event {
            // A newer one takes the place of the one before: the other side gave that up.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: mut stream, .. }) => {
                stream.ignore_for_keep_alive();
                self.answering = Some(answer(stream).boxed());
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: mut stream, .. }) => {
                stream.ignore_for_keep_alive();
                self.asking = self.ask(stream);
            }
            ConnectionEvent::DialUpgradeError(_) => {
                self.asking = Asking::Rest(None);
                self.silence = true;
            }
            _ => {}
        }
    }
}

async fn question(mut stream: Stream) -> io::Result<(Stream, Duration)> {
    let bytes: [u8; LEN] = rand::random();
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    let asked = Instant::now();
    let mut back = [0; LEN];
    stream.read_exact(&mut back).await?;
    if back == bytes { Ok((stream, asked.elapsed())) } else { Err(io::ErrorKind::InvalidData.into()) }
}

async fn answer(mut stream: Stream) -> io::Result<Stream> {
    let mut bytes = [0; LEN];
    stream.read_exact(&mut bytes).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    Ok(stream)
}
