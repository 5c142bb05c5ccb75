//! Whom to stay connected to, and when to try again.
//!
//! Pauses double from [`crate::limits::REDIAL_FIRST`] to [`crate::limits::REDIAL_LAST`], each between half and the whole of
//! its length at random, so that peers that lost each other do not return in step. A peer that was up for
//! [`STABLE_AFTER`] begins again with the first pause.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    Address, PeerId,
    limits::{KEPT_MAX, STABLE_AFTER},
};

/// The peers to stay connected to.
#[derive(Debug)]
pub(crate) struct Kept {
    peers: HashMap<PeerId, Entry>,
    first: Duration,
    last: Duration,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<Address>,
    attempt: u32,
    due: Instant,
}

impl Kept {
    pub(crate) fn new(first: Duration, last: Duration) -> Self {
        Self { peers: HashMap::new(), first, last }
    }

    /// Takes a peer in, or gives it new addresses; due at once. False when there are too many.
    pub(crate) fn keep(&mut self, peer: PeerId, mut addresses: Vec<Address>, now: Instant) -> bool {
        if !self.peers.contains_key(&peer) && self.peers.len() >= KEPT_MAX {
            return false;
        }
        addresses.sort_by_key(Address::is_relayed);
        self.peers.insert(peer, Entry { addresses, attempt: 0, due: now });
        true
    }

    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.peers.keys()
    }

    /// Peers that are due, among those that `wanted` says, each with its addresses. Being given out counts as an attempt, so
    /// that an attempt without any outcome is repeated too.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        max: usize,
        jitter: &mut impl FnMut() -> u8,
        wanted: impl Fn(&PeerId) -> bool,
    ) -> Vec<(PeerId, Vec<Address>)> {
        let (first, last) = (self.first, self.last);
        self.peers
            .iter_mut()
            .filter(|(peer, entry)| entry.due <= now && !entry.addresses.is_empty() && wanted(peer))
            .take(max)
            .map(|(peer, entry)| {
                entry.due = now + crate::limits::CONNECT_DEADLINE + pause(first, last, entry.attempt, jitter());
                (*peer, entry.addresses.clone())
            })
            .collect()
    }

    /// An attempt failed.
    pub(crate) fn failed(&mut self, peer: &PeerId, now: Instant, jitter: u8) {
        let (first, last) = (self.first, self.last);
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.due = now + pause(first, last, entry.attempt, jitter);
            entry.attempt = entry.attempt.saturating_add(1);
        }
    }

    /// The last connection is gone; it had been up for so long, if it ever was.
    pub(crate) fn lost(&mut self, peer: &PeerId, up_for: Option<Duration>, now: Instant, jitter: u8) {
        if let Some(entry) = self.peers.get_mut(peer)
            && up_for.is_some_and(|it| it >= STABLE_AFTER)
        {
            entry.attempt = 0;
        }
        self.failed(peer, now, jitter);
    }

    /// The peer will not talk to us as things are: try again only after the longest pause.
    pub(crate) fn hopeless(&mut self, peer: &PeerId) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.attempt = u32::MAX;
        }
    }
}

/// The pause before attempt number `attempt`, between a half and the whole by `jitter`.
pub(crate) fn pause(first: Duration, last: Duration, attempt: u32, jitter: u8) -> Duration {
    let whole = first.saturating_mul(1u32.checked_shl(attempt.min(31)).unwrap_or(u32::MAX)).min(last);
    whole / 2 + whole / 2 * u32::from(jitter) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(500);
    const LAST: Duration = Duration::from_secs(120);

    #[test]
    fn pauses_double_up_to_the_last_and_are_jittered() {
        assert_eq!(pause(FIRST, LAST, 0, 255), FIRST);
        assert_eq!(pause(FIRST, LAST, 0, 0), FIRST / 2);
        assert_eq!(pause(FIRST, LAST, 3, 255), FIRST * 8);
        assert_eq!(pause(FIRST, LAST, 60, 255), LAST);
        assert_eq!(pause(FIRST, LAST, u32::MAX, 0), LAST / 2);
    }

    #[test]
    fn an_attempt_is_not_repeated_before_its_pause_and_direct_ways_come_first() {
        let peer = PeerId::from_seed(&[1; 32]);
        let direct: Address = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let relayed: Address = format!("/ip4/192.0.2.2/tcp/1/p2p/{peer}/p2p-circuit").parse().unwrap();
        let start = Instant::now();
        let mut kept = Kept::new(FIRST, LAST);
        assert!(kept.keep(peer, vec![relayed.clone(), direct.clone()], start));
        let mut jitter = || 255;
        assert_eq!(kept.due(start, 9, &mut jitter, |_| true), [(peer, vec![direct, relayed])]);
        assert!(kept.due(start, 9, &mut jitter, |_| true).is_empty());
        kept.failed(&peer, start, 255);
        assert!(kept.due(start + FIRST / 2, 9, &mut jitter, |_| true).is_empty());
        assert!(kept.due(start + FIRST, 9, &mut jitter, |_| false).is_empty());
        assert_eq!(kept.due(start + FIRST, 9, &mut jitter, |_| true).len(), 1);
        kept.forget(&peer);
        assert!(kept.due(start + LAST * 9, 9, &mut jitter, |_| true).is_empty());
    }
}
