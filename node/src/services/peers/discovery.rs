//! Members found through the relays' DHT: under which keys we announce ourselves, when we ask, and whom we dial on such a word.
//!
//! Without I/O: the owner of the connections carries out what this decides. A room's key follows from its topic secret and changes every
//! day ([`TopicSecret::places`]). Asked is only for rooms of which nobody is connected, with growing pauses, a few at a time.
//! What is found are claims of strangers: who is no member is let go, and not dialled again for an hour.

use std::collections::{BTreeMap, BTreeSet};

use parlor_crypto::topic::{Places, TopicSecret};
use parlor_net::PeerId;
use parlor_proto::RoomId;

use crate::limits::{FINDS_AT_ONCE, FOUND_TRIED_MAX, FOUND_TRIED_MS, FOUND_TRIED_ROOM};

/// How long a room may be without anybody before it is asked for: addresses that are known are dialled first.
const PATIENCE_MS: u64 = 5_000;
/// Pause after the first question in vain; doubles up to [`LONGEST_PAUSE_MS`].
const FIRST_PAUSE_MS: u64 = 30_000;
/// Longest pause: records are announced anew as often.
const LONGEST_PAUSE_MS: u64 = 30 * 60 * 1_000;
/// Pause while no relay is connected that could be asked.
const NO_RELAY_MS: u64 = 2_000;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Search {
    /// Announce ourselves under this key,
    Announce([u8; 32]),
    /// and no longer under this one.
    Withdraw([u8; 32]),
    /// Ask who is under these keys, then say [`Discovery::asked`].
    Ask(RoomId, Vec<[u8; 32]>),
}

/// All rooms that we can be found in.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    rooms: BTreeMap<RoomId, Place>,
    /// Who was dialled because somebody announced himself, for which room, and when.
    tried: BTreeMap<PeerId, (RoomId, u64)>,
}

#[derive(Debug)]
struct Place {
    secret: TopicSecret,
    announced: Option<Places>,
    due_ms: u64,
    pause_ms: u64,
    asking: bool,
}

impl Discovery {
    /// Members of this room are to find us, and we them.
    pub(super) fn have(&mut self, room: RoomId, secret: TopicSecret, now_ms: u64) {
        self.rooms.entry(room).or_insert(Place {
            secret,
            announced: None,
            due_ms: now_ms.saturating_add(PATIENCE_MS),
            pause_ms: FIRST_PAUSE_MS,
            asking: false,
        });
    }

    /// Nobody is to find us by this room any more.
    pub(super) fn leave(&mut self, room: &RoomId) -> Option<Search> {
        Some(Search::Withdraw(self.rooms.remove(room)?.announced?.now))
    }

    /// What is due, where members are connected of the rooms in `company`.
    pub(super) fn look(&mut self, company: &BTreeSet<RoomId>, now_ms: u64) -> Vec<Search> {
        let mut asking = self.rooms.values().filter(|place| place.asking).count();
        let mut out = Vec::new();
        for (room, place) in &mut self.rooms {
            if place.announced.as_ref().is_none_or(|places| places.until_ms <= now_ms) {
                let places = place.secret.places(now_ms);
                out.push(Search::Announce(places.now));
                out.extend(place.announced.replace(places).map(|before| Search::Withdraw(before.now)));
            }
            if company.contains(room) {
                place.due_ms = now_ms.saturating_add(PATIENCE_MS);
                place.pause_ms = FIRST_PAUSE_MS;
            } else if place.due_ms <= now_ms && !place.asking && asking < FINDS_AT_ONCE {
                let places = place.secret.places(now_ms);
                out.push(Search::Ask(*room, std::iter::once(places.now).chain(places.near).collect()));
                place.asking = true;
                asking += 1;
            }
        }
        out
    }

    /// A question is answered; not, if there was nobody to ask.
    pub(super) fn asked(&mut self, room: &RoomId, answered: bool, now_ms: u64) {
        let Some(place) = self.rooms.get_mut(room) else { return };
        place.asking = false;
        place.due_ms = now_ms.saturating_add(if answered { place.pause_ms } else { NO_RELAY_MS });
        if answered {
            place.pause_ms = place.pause_ms.saturating_mul(2).min(LONGEST_PAUSE_MS);
        }
    }

    /// Whether somebody whom we do not know is dialled because he announced himself for a room; then he counts as tried. One
    /// room's announcements leave places for those of others.
    pub(super) fn may_try(&mut self, room: RoomId, peer: PeerId, now_ms: u64) -> bool {
        self.tried.retain(|_, (_, at_ms)| now_ms.saturating_sub(*at_ms) < FOUND_TRIED_MS);
        let of_room = self.tried.values().filter(|(of, _)| *of == room).count();
        let places = of_room < FOUND_TRIED_ROOM && self.tried.len() < FOUND_TRIED_MAX;
        let may = places && !self.tried.contains_key(&peer);
        if may {
            self.tried.insert(peer, (room, now_ms));
        }
        may
    }

    /// Those who were tried and may be strangers.
    pub(super) fn tried(&self) -> impl Iterator<Item = &PeerId> {
        self.tried.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = parlor_crypto::topic::PLACE_MS;

    fn room(n: u8) -> RoomId {
        RoomId([n; 32])
    }

    fn of_rooms(n: u8) -> Discovery {
        let mut discovery = Discovery::default();
        for n in 0..n {
            let secret = TopicSecret::from_secret(parlor_crypto::Secret::new([n; 32]));
            discovery.have(room(n), secret, 0);
        }
        discovery
    }

    fn questions(out: &[Search]) -> Vec<RoomId> {
        out.iter().filter_map(|it| if let Search::Ask(room, _) = it { Some(*room) } else { None }).collect()
    }

    #[test]
    fn a_room_is_announced_under_one_key_a_day_and_under_none_when_it_is_left() {
        let mut discovery = of_rooms(1);
        let open = BTreeSet::from([room(0)]);
        let mut announced = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for minute in 0..5 * 24 * 60 {
            for act in discovery.look(&open, minute * 60_000) {
                match act {
                    Search::Announce(key) => assert!(announced.insert(key) && keys.insert(key)),
                    Search::Withdraw(key) => assert!(announced.remove(&key)),
                    Search::Ask(..) => panic!("somebody is connected"),
                }
                assert!(announced.len() <= 2);
            }
            assert_eq!(announced.len(), 1);
        }
        assert!((5..=6).contains(&keys.len()), "{}", keys.len());
        let last = announced.pop_first().unwrap();
        assert_eq!(discovery.leave(&room(0)), Some(Search::Withdraw(last)));
        assert!(discovery.look(&open, 6 * DAY_MS).is_empty());
    }

    #[test]
    fn a_room_without_anybody_is_asked_for_with_growing_pauses_and_a_few_at_a_time() {
        let mut discovery = of_rooms(20);
        let nobody = BTreeSet::new();
        assert!(questions(&discovery.look(&nobody, 0)).is_empty(), "known addresses come first");
        let asked = questions(&discovery.look(&nobody, PATIENCE_MS));
        assert_eq!(asked.len(), FINDS_AT_ONCE);
        assert!(questions(&discovery.look(&nobody, PATIENCE_MS)).is_empty());
        discovery.asked(&asked[0], true, PATIENCE_MS);
        assert_eq!(questions(&discovery.look(&nobody, PATIENCE_MS)).len(), 1, "the next room's turn");

        let mut discovery = of_rooms(1);
        let mut times = Vec::new();
        for second in 0..3 * 3_600 {
            let now = second * 1_000;
            if !questions(&discovery.look(&nobody, now)).is_empty() {
                times.push(now);
                discovery.asked(&room(0), true, now);
            }
        }
        let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.is_sorted() && pauses[0] == FIRST_PAUSE_MS, "{pauses:?}");
        assert_eq!(*pauses.last().unwrap(), LONGEST_PAUSE_MS);
        // Who meets somebody begins with short pauses again.
        let now = 4 * 3_600_000;
        discovery.look(&BTreeSet::from([room(0)]), now);
        assert_eq!(questions(&discovery.look(&nobody, now + PATIENCE_MS)), [room(0)]);
        discovery.asked(&room(0), false, now + PATIENCE_MS);
        assert_eq!(questions(&discovery.look(&nobody, now + PATIENCE_MS + NO_RELAY_MS)), [room(0)]);
    }

    #[test]
    fn strangers_who_announce_themselves_are_dialled_once_an_hour_and_so_many_at_most() {
        let mut discovery = Discovery::default();
        let peer = |n: usize| PeerId::from_key(std::array::from_fn(|at| if at < 8 { n.to_be_bytes()[at] } else { 1 }));
        assert!(discovery.may_try(room(1), peer(1), 0) && !discovery.may_try(room(1), peer(1), FOUND_TRIED_MS - 1));
        assert!(discovery.may_try(room(1), peer(1), FOUND_TRIED_MS));
        let now = FOUND_TRIED_MS;
        let tried = (0..1_000).filter(|n| discovery.may_try(room((*n / 10) as u8), peer(*n), now)).count();
        assert_eq!(tried, FOUND_TRIED_MAX - 1);
    }

    #[test]
    fn announcements_under_one_room_leave_dials_for_the_others() {
        let mut discovery = Discovery::default();
        let peer = |n: u8| PeerId::from_seed(&[n; 32]);
        let tried = (0..200).filter(|n| discovery.may_try(room(1), peer(*n), 0)).count();
        assert_eq!(tried, FOUND_TRIED_ROOM);
        assert!(discovery.may_try(room(2), peer(201), 0), "another room is searched for all the same");
        assert!(discovery.may_try(room(1), peer(202), FOUND_TRIED_MS));
    }
}
