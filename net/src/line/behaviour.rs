//! Opens and accepts the streams of lines, and says which connection carries each.
//!
//! It knows no frames. Only kinds that are accepted are offered; of inbound streams at most [`LINES_PER_CONNECTION`] stand on one
//! connection, more are dropped unread.

use std::{
    collections::{HashMap, VecDeque},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{
        Endpoint, UpgradeInfo,
        transport::PortUse,
        upgrade::{InboundUpgrade, ReadyUpgrade},
    },
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use super::LineKind;
use crate::limits::LINES_PER_CONNECTION;

/// Opens and accepts the streams of lines.
#[derive(Debug)]
pub(crate) struct Behaviour {
    accepts: &'static [LineKind],
    pending: VecDeque<ToSwarm<Event, Command>>,
    /// Inbound lines that stand, by connection.
    standing: HashMap<ConnectionId, usize>,
}

/// A stream stands, or cannot.
#[derive(Debug)]
pub(crate) enum Event {
    /// Opened by us, as `open` asked.
    Opened { id: u64, stream: Stream },
    /// The peer does not take it, or did not answer.
    Refused { id: u64 },
    /// Opened by the other side. [`Behaviour::ended`] must follow when its line is over.
    Inbound { peer: PeerId, connection: ConnectionId, kind: LineKind, stream: Stream },
}

/// What a connection's handler is to do.
#[derive(Debug)]
pub(crate) struct Command {
    id: u64,
    kind: LineKind,
}

impl Behaviour {
    /// Accepts these kinds.
    pub(crate) fn new(accepts: &'static [LineKind]) -> Self {
        Self { accepts, pending: VecDeque::new(), standing: HashMap::new() }
    }

    /// Opens a stream on this connection. [`Event::Opened`] or [`Event::Refused`] with this `id` follows, unless the connection
    /// ends.
    pub(crate) fn open(&mut self, peer: PeerId, connection: ConnectionId, id: u64, kind: LineKind) {
        let handler = NotifyHandler::One(connection);
        self.pending.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event: Command { id, kind } });
    }

    /// An inbound line of this connection is over.
    pub(crate) fn ended(&mut self, connection: ConnectionId) {
        if let Some(standing) = self.standing.get_mut(&connection) {
            *standing = standing.saturating_sub(1);
        }
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
        Ok(Handler::new(self.accepts))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.accepts))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(closed) = event {
            self.standing.remove(&closed.connection_id);
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        let event = match event {
            Outcome::Opened { id, stream } => Event::Opened { id, stream },
            Outcome::Refused { id } => Event::Refused { id },
            Outcome::Inbound { kind, stream } => {
                let standing = self.standing.entry(connection).or_insert(0);
                if *standing >= LINES_PER_CONNECTION {
                    return;
                }
                *standing += 1;
                Event::Inbound { peer, connection, kind, stream }
            }
        };
        self.pending.push_back(ToSwarm::GenerateEvent(event));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        // Filled only from within the swarm's own calls or before it is polled, so no waker is needed.
        self.pending.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The part of one connection.
#[derive(Debug)]
pub(crate) struct Handler {
    accepts: &'static [LineKind],
    wanted: VecDeque<Command>,
    outcomes: VecDeque<Outcome>,
}

/// What became of a stream of this connection.
#[derive(Debug)]
pub(crate) enum Outcome {
    Opened { id: u64, stream: Stream },
    Refused { id: u64 },
    Inbound { kind: LineKind, stream: Stream },
}

impl Handler {
    fn new(accepts: &'static [LineKind]) -> Self {
        Self { accepts, wanted: VecDeque::new(), outcomes: VecDeque::new() }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Command;
    type ToBehaviour = Outcome;
    type InboundProtocol = Accept;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = u64;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(Accept(self.accepts), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, u64, Self::ToBehaviour>> {
        if let Some(Command { id, kind }) = self.wanted.pop_front() {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(kind.protocol()), id);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        match self.outcomes.pop_front() {
            Some(outcome) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(outcome)),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, command: Command) {
        self.wanted.push_back(command);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), u64>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: (stream, kind), .. }) => {
                self.outcomes.push_back(Outcome::Inbound { kind, stream });
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info: id }) => {
                self.outcomes.push_back(Outcome::Opened { id, stream });
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: id, .. }) => {
                self.outcomes.push_back(Outcome::Refused { id });
            }
            _ => {}
        }
    }
}

/// Takes a stream of any of these kinds, and tells which it was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accept(&'static [LineKind]);

impl UpgradeInfo for Accept {
    type Info = Offer;
    type InfoIter = std::iter::Map<std::slice::Iter<'static, LineKind>, fn(&LineKind) -> Offer>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.iter().map(|kind| Offer(*kind, kind.protocol()))
    }
}

/// A kind with its protocol's name.
#[derive(Debug, Clone)]
pub(crate) struct Offer(LineKind, StreamProtocol);

impl AsRef<str> for Offer {
    fn as_ref(&self) -> &str {
        self.1.as_ref()
    }
}

impl InboundUpgrade<Stream> for Accept {
    type Output = (Stream, LineKind);
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, Offer(kind, _): Offer) -> Self::Future {
        std::future::ready(Ok((stream, kind)))
    }
}
