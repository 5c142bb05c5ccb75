//! Requests and answers on `/parlor/join/1`.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use libp2p::request_response::{Event, Message, OutboundFailure, OutboundRequestId, ResponseChannel};
use tokio::sync::oneshot;

use super::{NetworkTask, deferred::Dialling};
use crate::{Address, NetworkEvent, PeerId, RequestError, RequestToken, limits::*};

/// What is asked and what waits for an answer.
#[derive(Debug, Default)]
pub(super) struct Requests {
    asked: HashMap<OutboundRequestId, Asked>,
    waiting: HashMap<u64, (ResponseChannel<Bytes>, Instant)>,
    last_token: u64,
}

#[derive(Debug)]
struct Asked {
    peer: PeerId,
    reply: oneshot::Sender<Result<Bytes, RequestError>>,
    dial_error: Option<String>,
}

impl Requests {
    /// Remembers why a peer could not be reached.
    pub(super) fn dial_failed(&mut self, peer: &PeerId, reason: &str) {
        for asked in self.asked.values_mut().filter(|it| it.peer == *peer) {
            asked.dial_error = Some(reason.to_owned());
        }
    }

    /// Forgets requests that the node did not answer in time.
    pub(super) fn expire(&mut self, now: Instant) {
        self.waiting.retain(|_, (channel, deadline)| *deadline > now && channel.is_open());
    }

    /// Drops the questions whose asker is gone.
    fn finish(&mut self, id: OutboundRequestId, result: Result<Bytes, RequestError>) {
        if let Some(asked) = self.asked.remove(&id) {
            let result = match (result, asked.dial_error) {
                (Err(RequestError::Unreachable(_)), Some(reason)) => Err(RequestError::Unreachable(reason)),
                (result, _) => result,
            };
            // Who asked may have given up.
            let _ = asked.reply.send(result);
        }
    }
}

impl NetworkTask {
    pub(super) fn request(
        &mut self,
        peer: PeerId,
        addresses: Vec<Address>,
        data: Bytes,
        reply: oneshot::Sender<Result<Bytes, RequestError>>,
    ) {
        if self.peers.is_connected(&peer) {
            self.send_request(peer, &addresses, data, reply);
        } else {
            self.dial_when_relays_stand(Dialling::Request { peer, addresses, data, reply });
        }
    }

    /// Asks; dials if need be.
    pub(super) fn send_request(
        &mut self,
        peer: PeerId,
        addresses: &[Address],
        data: Bytes,
        reply: oneshot::Sender<Result<Bytes, RequestError>>,
    ) {
        // libp2p drops what is above the streams of a connection with an error that looks like the peer's.
        let same_peer = self.requests.asked.values().filter(|it| it.peer == peer).count();
        if self.requests.asked.len() >= REQUESTS_ASKED || same_peer >= REQUEST_STREAMS {
            let _ = reply.send(Err(RequestError::TooMany));
            return;
        }
        let addresses = addresses.iter().map(|it| it.without_peer().as_multiaddr().clone()).collect();
        let join = &mut self.swarm.behaviour_mut().join;
        let id = join.send_request_with_addresses(&peer.to_libp2p(), data, addresses);
        self.requests.asked.insert(id, Asked { peer, reply, dial_error: None });
    }

    pub(super) fn respond(&mut self, token: &RequestToken, data: Bytes) {
        if let Some((channel, _)) = self.requests.waiting.remove(&token.0) {
            // `Err` when the asker is gone or the deadline passed.
            let _ = self.swarm.behaviour_mut().join.send_response(channel, data);
        }
    }

    pub(super) fn on_join(&mut self, event: Event<Bytes, Bytes>) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                if let Ok(peer) = PeerId::from_libp2p(&peer) {
                    self.on_request(peer, request, channel);
                }
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                self.requests.finish(request_id, Ok(response));
            }
            Event::OutboundFailure { request_id, error, .. } => {
                let error = match error {
                    OutboundFailure::DialFailure => RequestError::Unreachable("no connection".to_owned()),
                    OutboundFailure::Timeout => RequestError::Timeout,
                    OutboundFailure::ConnectionClosed => RequestError::Closed,
                    OutboundFailure::UnsupportedProtocols | OutboundFailure::Io(_) => RequestError::Protocol,
                };
                self.requests.finish(request_id, Err(error));
            }
            Event::InboundFailure { error, .. } => tracing::debug!(%error, "inbound request failed"),
            Event::ResponseSent { .. } => {}
        }
    }

    fn on_request(&mut self, peer: PeerId, data: Bytes, channel: ResponseChannel<Bytes>) {
        let now = Instant::now();
        let in_rate = self.peers.get_mut(&peer).is_some_and(|entry| entry.request_rate.take(1, now));
        if !in_rate {
            return self.punish(peer, WEIGHT_FLOOD);
        }
        // A dropped channel tells the asker that there is no answer.
        if self.requests.waiting.len() >= REQUESTS_WAITING || self.outbox.len() >= OUTBOX_GOSSIP {
            return;
        }
        self.requests.last_token += 1;
        let token = self.requests.last_token;
        self.requests.waiting.insert(token, (channel, now + self.tuning.request_deadline + Duration::from_secs(1)));
        self.emit(NetworkEvent::Request { peer, data, token: RequestToken(token) });
    }
}
