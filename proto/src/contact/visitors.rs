//! How often strangers may hand us letters: opening one costs several agreements and signatures.

use std::collections::BTreeMap;

/// Letters that one peer may hand in at once.
const BURST: u32 = 4;
/// One more after each of these.
const REFILL_MS: u64 = 15_000;
/// Letters of all peers at once: a crowd of made-up peers costs us a tenth of a second at most.
const ALL_BURST: u32 = 64;
/// One more after each of these: some 2 % of one core.
const ALL_REFILL_MS: u64 = 50;
/// Peers remembered; beyond that the one that came longest ago is forgotten.
const MAX_PEERS: usize = 1_024;

/// Counts the letters of peers.
#[derive(Debug, Default)]
pub struct Visitors {
    peers: BTreeMap<[u8; 32], Bucket>,
    all: Option<Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u32,
    at_ms: u64,
}

impl Visitors {
    /// Whether this peer may hand in a letter now; if so, it is counted.
    pub fn admit(&mut self, peer: &[u8; 32], now_ms: u64) -> bool {
        if !self.peers.contains_key(peer) && self.peers.len() >= MAX_PEERS {
            let oldest = self.peers.iter().min_by_key(|(_, bucket)| bucket.at_ms).map(|(peer, _)| *peer);
            oldest.map(|peer| self.peers.remove(&peer));
        }
        let own = self.peers.entry(*peer).or_insert(Bucket { left: BURST, at_ms: now_ms });
        let all = self.all.get_or_insert(Bucket { left: ALL_BURST, at_ms: now_ms });
        own.refill(BURST, REFILL_MS, now_ms);
        all.refill(ALL_BURST, ALL_REFILL_MS, now_ms);
        let allowed = own.left > 0 && all.left > 0;
        if allowed {
            own.left -= 1;
            all.left -= 1;
        }
        allowed
    }
}

impl Bucket {
    fn refill(&mut self, burst: u32, every_ms: u64, now_ms: u64) {
        let more = now_ms.saturating_sub(self.at_ms) / every_ms;
        if more > 0 {
            self.left = burst.min(self.left.saturating_add(u32::try_from(more).unwrap_or(burst)));
            self.at_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u32) -> [u8; 32] {
        let mut peer = [0; 32];
        peer[..4].copy_from_slice(&n.to_be_bytes());
        peer
    }

    #[test]
    fn one_peer_is_slowed_and_comes_again_later() {
        let mut visitors = Visitors::default();
        let in_burst = (0..20).filter(|_| visitors.admit(&peer(1), 1_000)).count();
        assert_eq!(in_burst, BURST as usize);
        assert!(visitors.admit(&peer(2), 1_000), "others are not slowed");
        assert!(visitors.admit(&peer(1), 1_000 + REFILL_MS));
        assert!(!visitors.admit(&peer(1), 1_000 + REFILL_MS));
    }

    #[test]
    fn a_crowd_is_slowed_together_and_fills_no_memory() {
        let mut visitors = Visitors::default();
        let taken = (0..5_000).filter(|n| visitors.admit(&peer(*n), 1_000)).count();
        assert_eq!(taken, ALL_BURST as usize);
        assert!(visitors.peers.len() <= MAX_PEERS);
        let later = (0..5_000).filter(|n| visitors.admit(&peer(*n), 1_000 + 10 * ALL_REFILL_MS)).count();
        assert_eq!(later, 10);
    }
}
