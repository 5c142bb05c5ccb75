//! What peers did wrong, forgiven over time, and the bans that follow.
//!
//! Our own counters instead of gossipsub's scoring: those only score topics known beforehand, punish quiet rooms by default, and take
//! all peers behind one relay for one address. A score is a sum of weights; it is not a judgement of members, who
//! are dealt with in rooms, but of transports that waste our time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    PeerId,
    limits::{BAN_AT, FORGIVEN_PER_MINUTE, SCORES_MAX},
};

/// The scores of all peers that have one.
#[derive(Debug)]
pub(crate) struct Scores {
    entries: HashMap<PeerId, Entry>,
    ban_for: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    score: u32,
    counted: Instant,
    banned_until: Option<Instant>,
}

impl Entry {
    fn score(&self, now: Instant) -> u32 {
        let per_point = 60_000 / u128::from(FORGIVEN_PER_MINUTE);
        let forgiven = now.saturating_duration_since(self.counted).as_millis() / per_point;
        self.score.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}

impl Scores {
    pub(crate) fn new(ban_for: Duration) -> Self {
        Self { entries: HashMap::new(), ban_for }
    }

    /// Adds to a peer's score. True when that bans it.
    pub(crate) fn add(&mut self, peer: PeerId, weight: u32, now: Instant) -> bool {
        if !self.entries.contains_key(&peer) && self.entries.len() >= SCORES_MAX {
            self.make_room(now);
        }
        let entry = self.entries.entry(peer).or_insert(Entry { score: 0, counted: now, banned_until: None });
        let score = entry.score(now).saturating_add(weight);
        // Forgiveness restarts at the last misdeed: who keeps misbehaving slowly is not forgiven by rounding.
        *entry = Entry { score, counted: now, banned_until: entry.banned_until };
        let bans = score >= BAN_AT && entry.banned_until.is_none();
        if bans {
            entry.banned_until = Some(now + self.ban_for);
        }
        bans
    }

    /// Ends the bans that are over and forgets clean peers. Returns whom to let in again.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<PeerId> {
        let mut freed = Vec::new();
        self.entries.retain(|peer, entry| match entry.banned_until {
            Some(until) if until <= now => {
                freed.push(*peer);
                false
            }
            Some(_) => true,
            None => entry.score(now) > 0,
        });
        freed
    }

    /// The score of a peer.
    pub(crate) fn of(&self, peer: &PeerId, now: Instant) -> u32 {
        self.entries.get(peer).map_or(0, |it| it.score(now))
    }

    /// The length of a ban.
    pub(crate) fn ban_for(&self) -> Duration {
        self.ban_for
    }

    /// Everybody who is refused now.
    pub(crate) fn banned(&self) -> Vec<PeerId> {
        self.entries.iter().filter(|(_, entry)| entry.banned_until.is_some()).map(|(peer, _)| *peer).collect()
    }

    /// Forgets the lowest score. Bans go last: a banned peer stays on libp2p's block list until its ban is expired here,
    /// so they are never forgotten; the list is as bounded as this table.
    fn make_room(&mut self, now: Instant) {
        let lowest =
            self.entries.iter().filter(|(_, it)| it.banned_until.is_none()).min_by_key(|(_, it)| it.score(now));
        if let Some(peer) = lowest.map(|(peer, _)| *peer) {
            self.entries.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId::from_key([1; 32]);

    #[test]
    fn misdeeds_add_up_to_one_ban_that_ends() {
        let start = Instant::now();
        let mut scores = Scores::new(Duration::from_secs(60));
        let bans: Vec<bool> = (0..11).map(|_| scores.add(PEER, BAN_AT / 10, start)).collect();
        assert_eq!(bans.iter().position(|it| *it), Some(9));
        assert_eq!(bans.iter().filter(|it| **it).count(), 1);
        assert_eq!(scores.banned(), [PEER]);
        assert!(scores.expire(start + Duration::from_secs(59)).is_empty());
        assert_eq!(scores.expire(start + Duration::from_secs(60)), [PEER]);
        assert_eq!(scores.of(&PEER, start), 0);
    }

    #[test]
    fn old_misdeeds_are_forgiven_and_forgotten() {
        let start = Instant::now();
        let mut scores = Scores::new(Duration::from_secs(60));
        scores.add(PEER, 20, start);
        assert_eq!(scores.of(&PEER, start + Duration::from_secs(60)), 20 - FORGIVEN_PER_MINUTE);
        scores.expire(start + Duration::from_secs(600));
        assert!(scores.entries.is_empty());
    }

    #[test]
    fn the_table_is_bounded() {
        let start = Instant::now();
        let mut scores = Scores::new(Duration::from_secs(60));
        for number in 0..(SCORES_MAX as u32 + 100) {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_be_bytes());
            scores.add(PeerId::from_key(key), if number == 0 { 90 } else { 1 }, start);
        }
        assert_eq!(scores.entries.len(), SCORES_MAX);
        assert_eq!(scores.of(&PeerId::from_key([0; 32]), start), 90);
    }
}
