//! What the owner of the lines does with relays: reservations, tokens, lines, and what goes wrong there.

use std::collections::BTreeSet;

use parlor_net::{Address, PeerId};
use parlor_proto::mailbox::{Fault, RelayId};

use super::Actor;
use crate::clock::now_ms;
use crate::limits::RESERVED_MAX;
use crate::services::mailboxes::lines::OurLine;
use crate::services::mailboxes::relays::Relay;
use crate::services::mailboxes::troubles::of_fault;
use crate::services::why::Why;

impl Actor {
    /// Chooses the tokens that these relays are shown.
    pub(super) fn show_tokens(&mut self, relays: &[Relay]) {
        for relay in relays {
            let Some(id) = relay.id() else { continue };
            let known = self.rooms.values().flat_map(|mail| &mail.plan.relays).filter(|it| it.peer == relay.peer);
            let token = self.tokens.choose(&id, known.filter_map(|it| it.token.as_ref()), now_ms());
            self.machine.token(id, token);
        }
    }

    /// Keeps reservations at the relays of the settings, and at those of rooms while there is room for more.
    pub(super) async fn reserve(&mut self) {
        let of_rooms = self.rooms.values().flat_map(|mail| &mail.plan.relays);
        let of_doors = self.joins.values().flat_map(|(door, _)| &door.relays);
        let mut wanted: Vec<Relay> = Vec::new();
        for relay in self.parts.handle.own().iter().chain(of_rooms).chain(of_doors) {
            let addresses = self.to_dial(relay);
            let known = addresses.is_empty() || wanted.iter().any(|it| it.peer == relay.peer);
            if wanted.len() < RESERVED_MAX && !known {
                wanted.push(Relay { addresses, ..relay.clone() });
            }
        }
        let peers: BTreeSet<PeerId> = wanted.iter().map(|relay| relay.peer).collect();
        for peer in self.reserved.difference(&peers) {
            let _ = self.parts.net.unrelay(*peer).await;
        }
        for relay in wanted.iter().filter(|relay| !self.reserved.contains(&relay.peer)) {
            let _ = self.parts.net.relay(relay.peer, relay.addresses.clone()).await;
        }
        self.reserved = peers;
    }

    /// Opens a line.
    pub(super) fn connect(&mut self, relay: &RelayId) {
        let Some(known) = self.relays.get(relay).map(|at| at.relay.clone()) else { return };
        self.numbers += 1;
        let (net, told) = (self.parts.net.clone(), self.lines.clone());
        let dialled = Relay { addresses: self.to_dial(&known), ..known };
        if let Some(at) = self.relays.get_mut(relay) {
            at.line = Some(OurLine::open(net, dialled, self.numbers, told));
        }
    }

    /// Another token is shown next, if there is one; else the same again after a while.
    pub(super) fn on_token_refused(&mut self, relay: &RelayId) {
        self.tokens.refused(relay, now_ms());
        let Some(at) = self.relays.get_mut(relay) else { return };
        at.locked = true;
        let relay = at.relay.clone();
        self.show_tokens(&[relay]);
    }

    /// What is shown of a relay until it goes well.
    pub(super) fn note_error(&mut self, relay: &RelayId, error: Why) {
        if let Some(at) = self.relays.get_mut(relay) {
            at.error = Some(error);
        }
    }

    /// A relay failed, or does not do as it should.
    pub(super) fn on_fault(&mut self, relay: &RelayId, fault: Fault) {
        let Some(at) = self.relays.get_mut(relay) else { return };
        if !(fault == Fault::Unreachable && at.error.is_some()) {
            at.error = Some(of_fault(fault));
        }
        let peer = at.relay.peer;
        tracing::debug!(relay = %peer.short(), %fault, "a relay does not do as it should");
        if matches!(fault, Fault::NewStore | Fault::Dropped(_)) {
            for mail in self.rooms.values_mut() {
                mail.feed.begin_anew(&peer, &mail.tips);
                if fault == Fault::NewStore && mail.plan.relays.iter().any(|relay| relay.peer == peer) {
                    mail.snapshots.lost();
                }
                mail.dirty_ms.get_or_insert(now_ms());
            }
        }
    }

    /// Where a relay is dialled.
    fn to_dial(&self, relay: &Relay) -> Vec<Address> {
        let links = self.joins.values().flat_map(|(door, _)| &door.relays);
        relay.to_dial(self.parts.handle.own().iter().chain(links), |told| self.parts.context.peers.may_dial(told))
    }
}
