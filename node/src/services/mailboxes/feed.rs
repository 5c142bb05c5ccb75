//! What of ours is at which relay: a place in each of our logs for each relay, and what is on its way. Without I/O.
//!
//! A relay's place moves when it said of the next stretch, in each of the stretch's boxes, that it has it durably. What is on
//! the way is bounded: when the relays that can be reached have the oldest of it, it is let go, and a relay that comes back
//! gets it from the log again, alone. One that can be reached and does not take it rests, for longer each time: it costs the
//! others that wait and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parlor_net::PeerId;
use parlor_proto::mailbox::{BlobId, BoxName};
use parlor_proto::wire::SeriesKind;

use super::plan::Tips;
use crate::limits::{FEED_PATIENCE_MS, FEED_REST_MAX_MS, FEED_REST_MS, FEED_WINDOW, NEW_RELAY_MESSAGES};

/// What of ours is at the relays of one room.
#[derive(Debug, Default)]
pub(super) struct Feed {
    at: BTreeMap<PeerId, Tips>,
    flight: VecDeque<Flying>,
    rests: BTreeMap<PeerId, Rest>,
}

/// A relay that did not take what was put.
#[derive(Debug)]
struct Rest {
    until_ms: u64,
    pause_ms: u64,
}

/// A stretch of a log on its way.
#[derive(Debug)]
struct Flying {
    kind: SeriesKind,
    from: u64,
    to: u64,
    /// The relays that it was put to.
    put_to: Vec<PeerId>,
    /// The blobs, and the relays that have each.
    blobs: Vec<(BoxName, BlobId, BTreeSet<PeerId>)>,
    since_ms: u64,
}

impl Flying {
    fn is_at(&self, peer: &PeerId) -> bool {
        self.blobs.iter().all(|(.., at)| at.contains(peer))
    }
}

impl Feed {
    /// The relays of the room are these. One that is new gets our control events and the newest messages; who knows of the
    /// older ones has them from members. `kept` is what was remembered. Answers the blobs that need not be put any more.
    pub(super) fn set_relays(
        &mut self,
        relays: &[PeerId],
        kept: &BTreeMap<PeerId, Tips>,
        tips: &Tips,
    ) -> Vec<(BoxName, BlobId)> {
        self.at.retain(|peer, _| relays.contains(peer));
        self.rests.retain(|peer, _| relays.contains(peer));
        let fresh = Tips { message: tips.message.saturating_sub(NEW_RELAY_MESSAGES), ..Tips::default() };
        for peer in relays {
            self.at.entry(*peer).or_insert_with(|| kept.get(peer).copied().unwrap_or(fresh));
        }
        if relays.is_empty() { self.let_go(|_| true) } else { Vec::new() }
    }

    /// A relay lost what it had: it gets it again, as if it were new.
    pub(super) fn begin_anew(&mut self, peer: &PeerId, tips: &Tips) {
        if let Some(at) = self.at.get_mut(peer) {
            *at = Tips { message: tips.message.saturating_sub(NEW_RELAY_MESSAGES).min(at.message), ..Tips::default() };
            self.flight.iter_mut().flat_map(|flying| &mut flying.blobs).for_each(|(.., at)| {
                at.remove(peer);
            });
        }
    }

    /// Those of `up` that take what is put; all of them if none does.
    fn awake(&self, up: &[PeerId], now_ms: u64) -> Vec<PeerId> {
        let up: Vec<PeerId> = self.at.keys().filter(|peer| up.contains(peer)).copied().collect();
        let awake: Vec<PeerId> = up.iter().filter(|peer| !self.rests(peer, now_ms)).copied().collect();
        if awake.is_empty() { up } else { awake }
    }

    fn rests(&self, peer: &PeerId, now_ms: u64) -> bool {
        self.rests.get(peer).is_some_and(|rest| now_ms < rest.until_ms)
    }

    /// After which places to read on, for the relays that can be reached; `None` when enough is on its way, or nobody is there
    /// to take more. `tips` is what there is.
    pub(super) fn next(&self, up: &[PeerId], tips: &Tips, now_ms: u64) -> Option<Tips> {
        if self.flight.len() >= FEED_WINDOW {
            return None;
        }
        let awake = self.awake(up, now_ms);
        let mut next = Tips::default();
        for kind in Tips::KINDS {
            let behind = self.at.iter().filter(|(peer, _)| awake.contains(peer)).map(|(_, at)| at.of(kind)).min()?;
            *next.of_mut(kind) = self.covered(kind, behind);
        }
        (!tips.within(&next)).then_some(next)
    }

    /// How far what is on its way reaches from `place` on, without a gap.
    fn covered(&self, kind: SeriesKind, place: u64) -> u64 {
        let mine = self.flight.iter().filter(|flying| flying.kind == kind);
        let mut stretches: Vec<_> = mine.map(|flying| (flying.from, flying.to)).collect();
        stretches.sort_unstable();
        stretches.into_iter().fold(place, |end, (from, to)| if from <= end + 1 { end.max(to) } else { end })
    }

    /// The relays to which a stretch that ends at `to` goes: who has it gets it no second time, cut in another way, and who rests gets
    /// it from the log when he takes something again.
    pub(super) fn lacking(&self, kind: SeriesKind, to: u64, up: &[PeerId], now_ms: u64) -> Vec<PeerId> {
        let awake = self.awake(up, now_ms);
        let takes = |peer: &PeerId| awake.contains(peer) || !up.contains(peer);
        self.at.iter().filter(|(peer, at)| at.of(kind) < to && takes(peer)).map(|(peer, _)| *peer).collect()
    }

    /// A stretch is on its way in these blobs. Without any (nobody has a key of its boxes) it is done.
    pub(super) fn sent(
        &mut self,
        kind: SeriesKind,
        (from, to): (u64, u64),
        blobs: Vec<(BoxName, BlobId)>,
        put_to: Vec<PeerId>,
        now_ms: u64,
    ) {
        let blobs = blobs.into_iter().map(|(name, id)| (name, id, BTreeSet::new())).collect();
        self.flight.push_back(Flying { kind, from, to, put_to, blobs, since_ms: now_ms });
        self.advance();
    }

    /// A relay says that it has a blob. Whether a place moved.
    pub(super) fn stored(&mut self, peer: PeerId, name: &BoxName, id: &BlobId) -> bool {
        for flying in &mut self.flight {
            let its = flying.blobs.iter_mut().filter(|(of, blob, _)| of == name && blob == id);
            its.for_each(|(.., at)| {
                at.insert(peer);
            });
        }
        self.advance()
    }

    /// Lets go of what the relays that can be reached have, or at least one of them while others refuse for long. Answers the
    /// blobs, that nothing is tried any more.
    pub(super) fn done(&mut self, up: &[PeerId], now_ms: u64) -> Vec<(BoxName, BlobId)> {
        let (awake, places) = (self.awake(up, now_ms), self.at.clone());
        let (mut took, mut refused) = (BTreeSet::<PeerId>::new(), BTreeSet::<PeerId>::new());
        let gone = self.let_go(|flying| {
            let had = |peer: &PeerId| places.get(peer).is_some_and(|at| at.of(flying.kind) >= flying.to);
            // Who was not given it takes it from the log, and does not refuse it.
            let took_it = |peer: &&PeerId| had(peer) || flying.put_to.contains(peer) && flying.is_at(peer);
            let has = |peer: &&PeerId| took_it(peer) || !flying.put_to.contains(peer);
            let waited = now_ms >= flying.since_ms.saturating_add(FEED_PATIENCE_MS);
            let over =
                !awake.is_empty() && (awake.iter().all(|it| has(&it)) || waited && awake.iter().any(|it| took_it(&it)));
            if over {
                took.extend(awake.iter().filter(|peer| flying.is_at(peer)));
                refused.extend(awake.iter().filter(|peer| !has(peer)));
            }
            over
        });
        self.rests.retain(|peer, rest| now_ms < rest.until_ms || refused.contains(peer) || !took.contains(peer));
        for peer in refused {
            let rest = self.rests.entry(peer).or_insert(Rest { until_ms: 0, pause_ms: FEED_REST_MS / 2 });
            rest.pause_ms = rest.pause_ms.saturating_mul(2).min(FEED_REST_MAX_MS);
            rest.until_ms = now_ms.saturating_add(rest.pause_ms);
        }
        gone
    }

    fn let_go(&mut self, mut over: impl FnMut(&Flying) -> bool) -> Vec<(BoxName, BlobId)> {
        let mut gone = Vec::new();
        self.flight.retain(|flying| {
            let over = over(flying);
            if over {
                gone.extend(flying.blobs.iter().map(|(name, id, _)| (*name, *id)));
            }
            !over
        });
        gone
    }

    /// Moves the places of the relays over what they have. Whether any moved.
    fn advance(&mut self) -> bool {
        let mut moved = false;
        for (peer, at) in &mut self.at {
            for flying in &self.flight {
                let place = at.of_mut(flying.kind);
                if flying.from <= *place + 1 && flying.to > *place && flying.is_at(peer) {
                    (*place, moved) = (flying.to, true);
                }
            }
        }
        moved
    }

    /// When, after `now_ms`, something may be let go that is held back by a relay that refuses, or such a relay has rested.
    pub(super) fn due_ms(&self, now_ms: u64) -> Option<u64> {
        let patience = self.flight.front().map(|flying| flying.since_ms.saturating_add(FEED_PATIENCE_MS));
        let rested = self.rests.values().map(|rest| rest.until_ms);
        patience.into_iter().chain(rested).filter(|due| *due > now_ms).min()
    }

    /// The places of the relays.
    pub(super) fn places(&self) -> &BTreeMap<PeerId, Tips> {
        &self.at
    }

    /// Up to which of our messages some relay has all.
    pub(super) fn sent_up_to(&self) -> u64 {
        self.at.values().map(|at| at.message).max().unwrap_or(0)
    }

    /// How many events of ours a relay lacks.
    pub(super) fn lacks(&self, peer: &PeerId, tips: &Tips) -> u64 {
        let lack = |at: &Tips| tips.control.saturating_sub(at.control) + tips.message.saturating_sub(at.message);
        self.at.get(peer).map_or(0, lack)
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::mailbox::BoxKind;

    use super::*;

    const BOX: BoxName = BoxName { kind: BoxKind::Room, key: [1; 32] };

    fn peer(n: u8) -> PeerId {
        PeerId::from_key([n; 32])
    }

    fn tips(message: u64) -> Tips {
        Tips { message, ..Tips::default() }
    }

    fn blob(n: u64) -> BlobId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        BlobId(id)
    }

    fn feed(relays: &[PeerId]) -> Feed {
        let mut feed = Feed::default();
        feed.set_relays(relays, &BTreeMap::new(), &Tips::default());
        feed
    }

    fn send(feed: &mut Feed, n: u64) {
        let all = feed.places().keys().copied().collect();
        feed.sent(SeriesKind::Message, (n, n), vec![(BOX, blob(n))], all, 0);
    }

    #[test]
    fn each_relay_has_its_place_and_only_what_is_without_a_gap_counts() {
        let (one, two) = (peer(1), peer(2));
        let mut feed = feed(&[one, two]);
        assert_eq!(feed.next(&[], &tips(3), 0), None, "nobody is there");
        assert_eq!(feed.next(&[one, two], &tips(3), 0), Some(tips(0)));
        (1..=3).for_each(|n| send(&mut feed, n));
        assert_eq!(feed.next(&[one, two], &tips(3), 0), None, "all is on its way");
        assert!(!feed.stored(one, &BOX, &blob(2)), "the first is missing there");
        assert_eq!(feed.sent_up_to(), 0);
        assert!(feed.stored(one, &BOX, &blob(1)));
        assert_eq!((feed.sent_up_to(), feed.lacks(&one, &tips(3)), feed.lacks(&two, &tips(3))), (2, 1, 3));
        assert!(feed.done(&[one, two], 0).is_empty(), "the other has none of it");
        assert_eq!(feed.done(&[one], 0).len(), 2, "the other is not there");
        assert_eq!(feed.next(&[one], &tips(3), 0), None);
        assert_eq!(feed.next(&[one, two], &tips(3), 0), Some(tips(0)), "it is back and gets it from the log");
    }

    #[test]
    fn a_relay_that_refuses_holds_up_the_others_for_a_while_only() {
        let (one, full) = (peer(1), peer(2));
        let mut feed = feed(&[one, full]);
        for n in 1..=FEED_WINDOW as u64 {
            send(&mut feed, n);
            feed.stored(one, &BOX, &blob(n));
        }
        let all = FEED_WINDOW as u64 + 9;
        assert_eq!(feed.next(&[one, full], &tips(all), 0), None);
        assert!(feed.done(&[one, full], FEED_PATIENCE_MS - 1).is_empty());
        assert_eq!(feed.done(&[one, full], FEED_PATIENCE_MS).len(), FEED_WINDOW);
        assert_eq!(feed.lacks(&full, &tips(all)), all);
        // Nor does it from then on: the other one gets what follows, and nothing twice.
        let mut now_ms = FEED_PATIENCE_MS;
        assert_eq!(feed.next(&[one, full], &tips(all), now_ms), Some(tips(FEED_WINDOW as u64)));
        for n in FEED_WINDOW as u64 + 1..=all {
            assert_eq!(feed.lacking(SeriesKind::Message, n, &[one, full], now_ms), [one]);
            send(&mut feed, n);
            feed.stored(one, &BOX, &blob(n));
        }
        assert_eq!(feed.done(&[one, full], now_ms).len() as u64, all - FEED_WINDOW as u64);
        assert_eq!(feed.next(&[one, full], &tips(all), now_ms), None);
        // It is asked again, and rests for longer each time it refuses.
        for rest in [FEED_REST_MS, 2 * FEED_REST_MS, 4 * FEED_REST_MS] {
            assert_eq!(feed.next(&[one, full], &tips(all), now_ms + rest - 1), None);
            now_ms += rest;
            assert_eq!(feed.next(&[one, full], &tips(all), now_ms), Some(tips(0)));
            assert_eq!(
                feed.lacking(SeriesKind::Message, 1, &[one, full], now_ms),
                [full],
                "who has it gets it no second time"
            );
            feed.sent(SeriesKind::Message, (1, 1), vec![(BOX, blob(1))], vec![full], now_ms);
            assert!(feed.done(&[one, full], now_ms).is_empty());
            now_ms += FEED_PATIENCE_MS;
            assert_eq!(feed.done(&[one, full], now_ms).len(), 1);
        }
        // Then it takes all, and is one like the others.
        now_ms += FEED_REST_MAX_MS;
        for n in 1..=all {
            feed.sent(SeriesKind::Message, (n, n), vec![(BOX, blob(n))], vec![full], now_ms);
            feed.stored(full, &BOX, &blob(n));
        }
        assert_eq!((feed.done(&[one, full], now_ms).len() as u64, feed.lacks(&full, &tips(all))), (all, 0));
        assert_eq!(feed.lacking(SeriesKind::Message, all + 1, &[one, full], now_ms), [one, full]);
        assert_eq!(feed.next(&[full], &tips(all + 1), now_ms), Some(tips(all)));
    }

    #[test]
    fn who_was_not_given_a_stretch_refuses_nothing() {
        let (one, new) = (peer(1), peer(2));
        let mut feed = feed(&[one]);
        send(&mut feed, 1);
        feed.set_relays(&[one, new], &BTreeMap::new(), &Tips::default());
        assert!(feed.done(&[one, new], FEED_PATIENCE_MS).is_empty(), "nobody has it");
        feed.stored(one, &BOX, &blob(1));
        assert_eq!(feed.done(&[one, new], 0).len(), 1, "nobody else is waited for");
        assert_eq!(feed.next(&[one, new], &tips(1), 0), Some(tips(0)), "and the new one gets it from the log at once");
    }

    #[test]
    fn the_only_relay_that_is_there_is_asked_though_it_rests() {
        let (one, full) = (peer(1), peer(2));
        let mut feed = feed(&[one, full]);
        send(&mut feed, 1);
        feed.stored(one, &BOX, &blob(1));
        feed.done(&[one, full], FEED_PATIENCE_MS);
        assert_eq!(feed.next(&[one, full], &tips(1), FEED_PATIENCE_MS), None);
        assert_eq!(feed.next(&[full], &tips(1), FEED_PATIENCE_MS), Some(tips(0)));
        assert_eq!(feed.lacking(SeriesKind::Message, 1, &[full], FEED_PATIENCE_MS), [full]);
    }

    #[test]
    fn what_nobody_can_read_any_more_is_passed_over() {
        let mut feed = feed(&[peer(1)]);
        feed.sent(SeriesKind::Control, (1, 4), Vec::new(), vec![peer(1)], 0);
        assert_eq!(feed.next(&[peer(1)], &Tips { control: 4, ..Tips::default() }, 0), None);
        assert_eq!(feed.places()[&peer(1)].control, 4);
    }

    #[test]
    fn a_relay_that_lost_everything_gets_it_again_and_a_new_one_the_newest() {
        let (one, two) = (peer(1), peer(2));
        let mut feed = feed(&[one]);
        for n in 1..=3 {
            send(&mut feed, n);
            feed.stored(one, &BOX, &blob(n));
        }
        feed.done(&[one], 0);
        feed.begin_anew(&one, &tips(3));
        assert_eq!(feed.next(&[one], &tips(3), 0), Some(tips(0)));
        feed.set_relays(&[one, two], &BTreeMap::new(), &tips(NEW_RELAY_MESSAGES + 5));
        assert_eq!(feed.places()[&two].message, 5);
        let kept = BTreeMap::from([(peer(3), tips(7))]);
        feed.set_relays(&[peer(3)], &kept, &tips(9));
        assert_eq!(feed.places(), &kept, "what was remembered counts, and who is gone does not");
    }
}
