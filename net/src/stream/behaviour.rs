//! Opens and accepts sync streams, and says which connection carries each.
//!
//! It knows no frames: a stream that stands is handed to the network task at once. At most one stream a connection and direction is
//! taken; further inbound ones are dropped.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use super::PROTOCOL;

/// Opens and accepts sync streams.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    pending: VecDeque<ToSwarm<Event, Open>>,
}

/// A stream stands, or cannot.
#[derive(Debug)]
pub(crate) enum Event {
    /// The stream stands on this connection; `outbound` if we opened it.
    Opened { peer: PeerId, connection: ConnectionId, stream: Stream, outbound: bool },
    /// The peer does not speak the protocol, or did not answer.
    Refused { peer: PeerId, connection: ConnectionId },
}

/// Asks a connection's handler to open its stream.
#[derive(Debug)]
pub(crate) struct Open;

impl Behaviour {
    /// Opens the stream of a connection. [`Event::Opened`] or [`Event::Refused`] follows, unless the connection ends.
    pub(crate) fn open(&mut self, peer: PeerId, connection: ConnectionId) {
        let handler = NotifyHandler::One(connection);
        self.pending.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event: Open });
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
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        let event = match event {
            Outcome::Opened { stream, outbound } => Event::Opened { peer, connection, stream, outbound },
            Outcome::Refused => Event::Refused { peer, connection },
        };
        self.pending.push_back(ToSwarm::GenerateEvent(event));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        // Filled only from within the swarm's own calls or before it is polled, so no waker is needed.
        self.pending.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The part of one connection.
#[derive(Debug, Default)]
pub(crate) struct Handler {
    open: bool,
    accepted: bool,
    outcomes: VecDeque<Outcome>,
}

/// What became of a stream of this connection.
#[derive(Debug)]
pub(crate) enum Outcome {
    Opened { stream: Stream, outbound: bool },
    Refused,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Outcome;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        if std::mem::take(&mut self.open) {
            let protocol = self.listen_protocol();
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        match self.outcomes.pop_front() {
            Some(outcome) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(outcome)),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, Open: Open) {
        self.open = true;
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. })
                if !self.accepted =>
            {
                self.accepted = true;
                self.outcomes.push_back(Outcome::Opened { stream, outbound: false });
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, .. }) => {
                self.outcomes.push_back(Outcome::Opened { stream, outbound: true });
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { .. }) => self.outcomes.push_back(Outcome::Refused),
            _ => {}
        }
    }
}
