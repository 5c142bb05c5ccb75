//! What a node says about its relays, and the table of them.
//!
//! A relay is a peer that carries connections to us ("circuits") while we hold a **reservation** there. The table is without I/O:
//! the network task tells it what happened and carries out what it decides.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use libp2p::core::transport::ListenerId;

use crate::{
    Address, Carrier, Endpoint, Host, PeerId, RelayError,
    limits::{CONNECT_DEADLINE, RELAYS_MAX, RESERVE_DEADLINE},
    redial::pause,
};

/// Where a reservation at a relay stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayState {
    /// The relay is being dialled, or the reservation asked for.
    Connecting {
        /// Attempts that failed in a row.
        attempts: u32,
        /// Why the last attempt failed, if one did.
        error: Option<RelayError>,
    },
    /// We can be reached through it at these addresses.
    Reserved {
        /// Our addresses through this relay, each ending in our peer id.
        addresses: Vec<Address>,
    },
}

/// A relay in [`crate::NetworkStatus::relays`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RelayStatus {
    /// Which.
    pub peer: PeerId,
    /// Where it was said to be.
    pub addresses: Vec<Address>,
    /// The reservation.
    pub state: RelayState,
    /// The address of the connection to it, if one stands.
    pub connected: Option<Address>,
    /// The addresses at which it sees us, over each transport by which it was reached. QUIC addresses of it are known, and none is here:
    /// UDP is probably blocked.
    pub seen_at: Vec<Address>,
    /// Round trip of the last ping.
    pub rtt: Option<std::time::Duration>,
    /// Lines to it that stand.
    pub lines: usize,
}

/// What is known about the way in from the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nat {
    /// Nothing yet: fewer than one confirmed address and fewer than two observations.
    Unknown,
    /// Strangers can connect to us: an address of ours was tried from outside, or mapped by the router.
    Open,
    /// Not reachable, but two observers see us at the same port: hole punching is likely to work.
    Cone,
    /// Two observers see us at different ports: hole punching is unlikely to work, circuits carry the traffic.
    Symmetric,
}

/// Somebody who provides a key in the DHT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Who claims to; a connection proves it.
    pub peer: PeerId,
    /// Where it claims to be reachable, at most [`crate::limits::ADDRESSES_MAX`].
    pub addresses: Vec<Address>,
}

/// Peers that are known to be relays without being kept, the newest: targets of lines, and relays in addresses that were dialled.
const NAMED_MAX: usize = 256;
/// Addresses through one relay that we tell others.
const ADDRESSES_PER_RELAY: usize = 4;

/// The relays at which reservations are kept, and those that are merely known to be relays.
#[derive(Debug)]
pub(crate) struct Relays {
    entries: BTreeMap<PeerId, Entry>,
    named: VecDeque<PeerId>,
    /// Reservations that are over, whose ends libp2p may still report.
    over: VecDeque<ListenerId>,
    first: Duration,
    last: Duration,
}

/// A relay at which a reservation is kept.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) addresses: Vec<Address>,
    pub(crate) state: RelayState,
    /// Not to be dialled, or asked, before.
    due: Instant,
    attempts: u32,
    /// The reservation that is asked for or stands, and since when it is asked for.
    listener: Option<(ListenerId, Instant)>,
    /// The address at which it was reached.
    reached: Option<Address>,
    /// It was also tried over the other transport since.
    tried_both: bool,
}

/// What is to be done for a relay.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// To be dialled at these addresses.
    Dial(Vec<Address>),
    /// Connected: a reservation is to be asked for.
    Reserve,
    /// It does not answer: this reservation is to be given up.
    GiveUp(ListenerId),
}

impl Relays {
    pub(crate) fn new(first: Duration, last: Duration) -> Self {
        Self { entries: BTreeMap::new(), named: VecDeque::new(), over: VecDeque::new(), first, last }
    }

    /// Takes a relay in, or gives it new addresses; due at once. False when there are too many.
    pub(crate) fn keep(&mut self, peer: PeerId, addresses: Vec<Address>, now: Instant) -> bool {
        if let Some(entry) = self.entries.get_mut(&peer) {
            entry.addresses = addresses;
            entry.due = now;
            entry.attempts = 0;
            return true;
        }
        if self.entries.len() >= RELAYS_MAX {
            return false;
        }
        let state = RelayState::Connecting { attempts: 0, error: None };
        let entry = Entry { addresses, state, due: now, attempts: 0, listener: None, reached: None, tried_both: false };
        self.entries.insert(peer, entry);
        true
    }

    /// No longer keeps this relay. True if it was kept.
    pub(crate) fn forget(&mut self, peer: &PeerId) -> bool {
        let Some(entry) = self.entries.remove(peer) else { return false };
        self.end(entry.listener);
        true
    }

    /// This peer is a relay, because we look for one there.
    pub(crate) fn name(&mut self, peer: PeerId) {
        if let Some(at) = self.named.iter().position(|it| *it == peer) {
            self.named.remove(at);
        }
        self.named.push_front(peer);
        self.named.truncate(NAMED_MAX);
    }

    /// The peer is a relay, as far as we know without having asked it.
    pub(crate) fn knows(&self, peer: &PeerId) -> bool {
        self.entries.contains_key(peer) || self.named.contains(peer)
    }

    fn end(&mut self, listener: Option<(ListenerId, Instant)>) {
        self.over.extend(listener.map(|(id, _)| id));
        if self.over.len() > 4 * RELAYS_MAX {
            self.over.pop_front();
        }
    }

    /// The listener is, or was a short while ago, one of our reservations.
    pub(crate) fn holds(&self, listener: ListenerId) -> bool {
        self.over.contains(&listener)
            || self.entries.values().any(|it| it.listener.is_some_and(|(id, _)| id == listener))
    }

    pub(crate) fn keeps(&self, peer: &PeerId) -> bool {
        self.entries.contains_key(peer)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Entry)> {
        self.entries.iter()
    }

    /// What is to be done now, for each relay that needs something. Being told counts as an attempt.
    pub(crate) fn needs(
        &mut self,
        now: Instant,
        jitter: &mut impl FnMut() -> u8,
        connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<(PeerId, Need)> {
        let (first, last) = (self.first, self.last);
        let mut needs = Vec::new();
        for (peer, entry) in &mut self.entries {
            let waits_too_long = |since: Instant| now.saturating_duration_since(since) > RESERVE_DEADLINE;
            match entry.listener {
                Some((listener, since)) if !entry.is_reserved() && waits_too_long(since) => {
                    needs.push((*peer, Need::GiveUp(listener)));
                }
                None if entry.due <= now => {
                    entry.due = now + CONNECT_DEADLINE + pause(first, last, entry.attempts, jitter());
                    let need = if connected(peer) { Need::Reserve } else { Need::Dial(entry.addresses.clone()) };
                    needs.push((*peer, need));
                }
                _ => {}
            }
        }
        needs
    }

    /// A connection to this address of the relay stands: it can be asked. True if it is to be.
    pub(crate) fn reached(&mut self, peer: &PeerId, address: Address) -> bool {
        let Some(entry) = self.entries.get_mut(peer).filter(|it| it.listener.is_none()) else { return false };
        entry.reached = Some(address);
        entry.tried_both = false;
        true
    }

    /// The addresses of a relay over the other transport than the one in use, once: an address of ours seen there is what a hole can be
    /// punched for, if the other side has only that transport.
    pub(crate) fn other_transport(&mut self, peer: &PeerId) -> Vec<Address> {
        let Some(entry) = self.entries.get_mut(peer) else { return Vec::new() };
        let carrier = |it: &Address| it.endpoint().map(|it| it.carrier);
        let used = entry.reached.as_ref().and_then(carrier);
        if used.is_none() || std::mem::replace(&mut entry.tried_both, true) {
            return Vec::new();
        }
        let other = |it: &&Address| carrier(it).is_some_and(|it| Some(it) != used);
        entry.addresses.iter().filter(other).cloned().collect()
    }

    /// The address at which to ask this relay.
    pub(crate) fn reached_at(&self, peer: &PeerId) -> Option<&Address> {
        self.entries.get(peer)?.reached.as_ref()
    }

    /// A reservation is asked for.
    pub(crate) fn asked(&mut self, peer: &PeerId, listener: ListenerId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.listener = Some((listener, now));
        }
    }

    /// The relay granted the reservation and says that it is reached there. Our address through the way by which we reached it comes
    /// first: that it works we know. Returns the relay if that is news.
    pub(crate) fn granted(
        &mut self,
        us: PeerId,
        listener: ListenerId,
        said: &Address,
        believes: impl Fn(&Address) -> bool,
    ) -> Option<PeerId> {
        let (peer, entry) =
            self.entries.iter_mut().find(|(_, it)| it.listener.is_some_and(|(id, _)| id == listener))?;
        let mut addresses = match &entry.state {
            RelayState::Reserved { addresses } => addresses.clone(),
            RelayState::Connecting { .. } => entry.reached.iter().map(|it| it.through(*peer, us)).collect(),
        };
        let said = said.with_peer(us);
        let ours = said.relay() == Some(*peer) && believes(&said);
        if ours && !addresses.contains(&said) && addresses.len() < ADDRESSES_PER_RELAY {
            addresses.push(said);
        }
        entry.attempts = 0;
        let state = RelayState::Reserved { addresses };
        (std::mem::replace(&mut entry.state, state.clone()) != state).then_some(*peer)
    }

    /// A reservation is over, or was not granted. Returns its relay, whose state has changed.
    pub(crate) fn lost(&mut self, listener: ListenerId, error: RelayError, now: Instant, jitter: u8) -> Option<PeerId> {
        let (peer, _) = self.entries.iter().find(|(_, it)| it.listener.is_some_and(|(id, _)| id == listener))?;
        let peer = *peer;
        self.failed(&peer, error, now, jitter);
        Some(peer)
    }

    /// An attempt to reach a relay failed, or what stood is gone.
    pub(crate) fn failed(&mut self, peer: &PeerId, error: RelayError, now: Instant, jitter: u8) -> bool {
        let (first, last) = (self.first, self.last);
        let Some(entry) = self.entries.get_mut(peer) else { return false };
        entry.due = now + pause(first, last, entry.attempts, jitter);
        entry.attempts = entry.attempts.saturating_add(1);
        let listener = entry.listener.take();
        entry.reached = None;
        entry.state = RelayState::Connecting { attempts: entry.attempts, error: Some(error) };
        self.end(listener);
        true
    }

    /// Our addresses through all relays.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.entries.values().flat_map(|it| match &it.state {
            RelayState::Reserved { addresses } => addresses.as_slice(),
            RelayState::Connecting { .. } => &[],
        })
    }
}

impl Entry {
    fn is_reserved(&self) -> bool {
        matches!(self.state, RelayState::Reserved { .. })
    }
}

/// What two or more observers of one transport say about how our address is translated; `None` of fewer.
pub(crate) fn translation<'a>(seen: impl Iterator<Item = &'a Address>) -> Option<Nat> {
    let mut by_carrier: BTreeMap<bool, Vec<(Host, u16)>> = BTreeMap::new();
    for Endpoint { host, port, carrier } in seen.filter_map(Address::endpoint) {
        by_carrier.entry(carrier == Carrier::Quic).or_default().push((host, port));
    }
    let several = by_carrier.values().filter(|it| it.len() > 1);
    let same: Vec<bool> = several.map(|it| it.windows(2).all(|pair| pair.first() == pair.last())).collect();
    if same.is_empty() {
        None
    } else if same.contains(&false) {
        Some(Nat::Symmetric)
    } else {
        Some(Nat::Cone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(500);
    const LAST: Duration = Duration::from_secs(120);

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn gone() -> RelayError {
        RelayError::new(crate::RelayTrouble::Down, "gone")
    }

    #[test]
    fn a_relay_is_dialled_asked_and_after_a_loss_asked_again_with_pauses() {
        let (us, relay, now) = (PeerId::from_seed(&[1; 32]), PeerId::from_seed(&[2; 32]), Instant::now());
        let here = address("/ip4/192.0.2.7/tcp/1");
        let mut jitter = || 255;
        let mut relays = Relays::new(FIRST, LAST);
        assert!(relays.keep(relay, vec![here.clone()], now));
        assert_eq!(relays.needs(now, &mut jitter, |_| false), [(relay, Need::Dial(vec![here.clone()]))]);
        assert!(relays.needs(now, &mut jitter, |_| false).is_empty());
        assert!(relays.reached(&relay, here.clone()));
        let listener = ListenerId::next();
        relays.asked(&relay, listener, now);
        let said = here.through(relay, us);
        assert_eq!(relays.granted(us, listener, &said, |_| true), Some(relay));
        assert_eq!(relays.granted(us, listener, &said, |_| true), None);
        assert_eq!(relays.addresses().collect::<Vec<_>>(), [&said]);
        assert_eq!(relays.lost(listener, gone(), now, 255), Some(relay));
        assert_eq!(relays.addresses().count(), 0);
        assert!(relays.needs(now + FIRST / 2, &mut jitter, |_| true).is_empty());
        assert_eq!(relays.needs(now + FIRST, &mut jitter, |_| true), [(relay, Need::Reserve)]);
        relays.asked(&relay, listener, now + FIRST);
        let late = now + FIRST + RESERVE_DEADLINE + FIRST;
        assert_eq!(relays.needs(late, &mut jitter, |_| true), [(relay, Need::GiveUp(listener))]);
    }

    #[test]
    fn a_relay_can_not_make_us_tell_others_addresses_that_are_not_its_own() {
        let (us, relay, other) =
            (PeerId::from_seed(&[1; 32]), PeerId::from_seed(&[2; 32]), PeerId::from_seed(&[3; 32]));
        let here = address("/ip4/192.0.2.7/tcp/1");
        let mut relays = Relays::new(FIRST, LAST);
        relays.keep(relay, vec![here.clone()], Instant::now());
        relays.reached(&relay, here.clone());
        let listener = ListenerId::next();
        relays.asked(&relay, listener, Instant::now());
        relays.granted(us, listener, &address("/ip4/192.0.2.8/tcp/1").through(other, us), |_| true);
        relays.granted(us, listener, &address("/ip4/10.0.0.1/tcp/1").through(relay, us), |_| false);
        for port in 1..99 {
            relays.granted(us, listener, &address(&format!("/ip4/192.0.2.9/tcp/{port}")).through(relay, us), |_| true);
        }
        let told: Vec<_> = relays.addresses().collect();
        assert_eq!(told.len(), ADDRESSES_PER_RELAY);
        assert_eq!(*told[0], here.through(relay, us));
        assert!(told.iter().all(|it| it.relay() == Some(relay) && it.peer() == Some(us)));
    }

    #[test]
    fn a_relay_is_tried_over_its_other_transport_once() {
        let relay = PeerId::from_seed(&[2; 32]);
        let (tcp, quic) = (address("/ip4/192.0.2.7/tcp/1"), address("/ip4/192.0.2.7/udp/1/quic-v1"));
        let mut relays = Relays::new(FIRST, LAST);
        relays.keep(relay, vec![tcp.clone(), quic.clone()], Instant::now());
        assert!(relays.other_transport(&relay).is_empty(), "not reached yet");
        relays.reached(&relay, tcp.clone());
        assert_eq!(relays.other_transport(&relay), [quic]);
        assert!(relays.other_transport(&relay).is_empty());
        relays.failed(&relay, gone(), Instant::now(), 0);
        relays.reached(&relay, address("/ip4/192.0.2.7/udp/1/quic-v1"));
        assert_eq!(relays.other_transport(&relay), [tcp]);
    }

    #[test]
    fn relays_and_names_are_bounded() {
        let mut relays = Relays::new(FIRST, LAST);
        for number in 0..9 {
            let taken = relays.keep(PeerId::from_seed(&[number; 32]), Vec::new(), Instant::now());
            assert_eq!(taken, usize::from(number) < RELAYS_MAX);
        }
        for number in 0..=u8::MAX {
            relays.name(PeerId::from_key([number; 32]));
            relays.name(PeerId::from_key([number; 32]));
        }
        relays.name(PeerId::from_seed(&[99; 32]));
        assert_eq!(relays.named.len(), NAMED_MAX);
        assert!(relays.knows(&PeerId::from_key([255; 32])) && !relays.knows(&PeerId::from_key([0; 32])));
    }

    #[test]
    fn two_observers_tell_a_cone_from_a_symmetric_translator() {
        let seen = |texts: &[&str]| {
            let all: Vec<_> = texts.iter().map(|it| address(it)).collect();
            translation(all.iter())
        };
        assert_eq!(seen(&["/ip4/192.0.2.7/tcp/1"]), None);
        assert_eq!(seen(&["/ip4/192.0.2.7/tcp/1", "/ip4/192.0.2.7/udp/2/quic-v1"]), None);
        assert_eq!(seen(&["/ip4/192.0.2.7/tcp/1", "/ip4/192.0.2.7/tcp/1"]), Some(Nat::Cone));
        assert_eq!(seen(&["/ip4/192.0.2.7/udp/1/quic-v1", "/ip4/192.0.2.7/udp/2/quic-v1"]), Some(Nat::Symmetric));
    }
}
