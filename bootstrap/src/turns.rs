//! Whose put is next: the store takes so many at once, and those who wait take turns by source, so that who puts much waits
//! behind his own and not others behind him.
//!
//! A source that has nothing under way is taken at once, beyond the number: it waits for nobody, and one put of each source
//! floods nothing. What waits is bounded in bytes, shared out between those who wait. Where addresses tell nothing apart (this machine's own, circuits) a source is a peer.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_net::PeerId;
use tokio::sync::oneshot;

use crate::limits::{PUTS_AT_ONCE, PUTS_BEYOND, PUTS_WAITING_BYTES};

/// Who shares turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whose {
    /// Everybody at an address, or in an IPv6 network.
    Source(IpAddr),
    /// One peer, where its address tells nothing.
    Peer(PeerId),
}

/// The places at the store. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Puts at the store whose turn it was, and those beyond.
    taken: usize,
    beyond: usize,
    /// Who has puts at the store, or waits.
    sources: HashMap<Whose, Source>,
    /// Those who wait, in the order of their turns.
    order: VecDeque<Whose>,
}

#[derive(Debug, Default)]
struct Source {
    taken: usize,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    turn: oneshot::Sender<Place>,
    bytes: usize,
}

/// A place at the store; dropping it gives it to who is next.
#[derive(Debug)]
pub struct Place {
    turns: Turns,
    whose: Whose,
    beyond: bool,
}

impl Turns {
    /// A place for a put of so many bytes, as soon as there is one; `None` when the source has too much waiting. Safe to drop.
    pub async fn place(&self, whose: Whose, bytes: usize) -> Option<Place> {
        let turn = {
            let mut state = self.state();
            if let Some(beyond) = state.may_enter(&whose) {
                state.enter(whose, beyond);
                return Some(self.of(whose, beyond));
            }
            state.wait(whose, bytes)?
        };
        turn.await.ok()
    }

    fn of(&self, whose: Whose, beyond: bool) -> Place {
        Place { turns: self.clone(), whose, beyond }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, so what is behind it is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there is a place at once, and if it is one beyond. These are counted apart: however many sources come without anything
    /// under way, the turns of those who wait go on.
    fn may_enter(&self, whose: &Whose) -> Option<bool> {
        if self.order.is_empty() && self.taken < PUTS_AT_ONCE {
            return Some(false);
        }
        let idle = !self.sources.contains_key(whose);
        (idle && self.beyond < PUTS_BEYOND).then_some(true)
    }

    fn count(&mut self, beyond: bool) -> &mut usize {
        if beyond { &mut self.beyond } else { &mut self.taken }
    }

    fn enter(&mut self, whose: Whose, beyond: bool) {
        *self.count(beyond) += 1;
        self.sources.entry(whose).or_default().taken += 1;
    }

    fn wait(&mut self, whose: Whose, bytes: usize) -> Option<oneshot::Receiver<Place>> {
        let share = PUTS_WAITING_BYTES / self.order.len().max(1);
        let source = self.sources.entry(whose).or_default();
        if source.waiting.is_empty() {
            self.order.push_back(whose);
        } else if source.waiting_bytes + bytes > share {
            return None;
        }
        let (turn, waits) = oneshot::channel();
        source.waiting.push_back(Waiting { turn, bytes });
        source.waiting_bytes += bytes;
        Some(waits)
    }

    fn leave(&mut self, whose: &Whose, beyond: bool) {
        *self.count(beyond) -= 1;
        if let Some(source) = self.sources.get_mut(whose) {
            source.taken -= 1;
        }
        self.forget(whose);
    }

    /// Who is next, if there is a place: it is his from now on. Who does not wait any more is passed over.
    fn next(&mut self) -> Option<(Whose, oneshot::Sender<Place>)> {
        while self.taken < PUTS_AT_ONCE {
            let whose = self.order.pop_front()?;
            let Some(source) = self.sources.get_mut(&whose) else { continue };
            let turn = source.waiting.pop_front();
            source.waiting_bytes -= turn.as_ref().map_or(0, |waiting| waiting.bytes);
            if !source.waiting.is_empty() {
                self.order.push_back(whose);
            }
            match turn.filter(|waiting| !waiting.turn.is_closed()) {
                Some(Waiting { turn, .. }) => {
                    self.enter(whose, false);
                    return Some((whose, turn));
                }
                None => self.forget(&whose),
            }
        }
        None
    }

    /// Forgets a source that has nothing at the store and nothing waiting.
    fn forget(&mut self, whose: &Whose) {
        if self.sources.get(whose).is_some_and(|source| source.taken == 0 && source.waiting.is_empty()) {
            self.sources.remove(whose);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut state = self.turns.state();
            state.leave(&self.whose, self.beyond);
            state.next()
        };
        if let Some((whose, turn)) = next {
            // Who went away in this moment gives the place on, by dropping it here, where nothing is locked.
            let _ = turn.send(self.turns.of(whose, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::BoxFuture;

    use super::*;

    fn source(n: u8) -> Whose {
        Whose::Source(IpAddr::from([192, 0, 2, n]))
    }

    /// So many puts of a source, of which those that have a place give their number on and keep it.
    fn asks(turns: &Turns, whose: Whose, n: usize) -> Vec<BoxFuture<'static, Option<Place>>> {
        let ask = |_| {
            let turns = turns.clone();
            async move { turns.place(whose, 512).await }.boxed()
        };
        (0..n).map(ask).collect()
    }

    /// Those of them that have a place now; the others stay.
    fn placed(asks: &mut Vec<BoxFuture<'static, Option<Place>>>) -> Vec<Place> {
        let mut places = Vec::new();
        asks.retain_mut(|ask| match ask.now_or_never() {
            Some(place) => {
                places.extend(place);
                false
            }
            None => true,
        });
        places
    }

    #[tokio::test]
    async fn beside_who_puts_without_end_others_are_taken_at_once_and_then_by_turns() {
        let turns = Turns::default();
        let mut flood = asks(&turns, source(1), 3 * PUTS_AT_ONCE);
        let mut of_flood = placed(&mut flood);
        assert_eq!(of_flood.len(), PUTS_AT_ONCE);
        let mut honest = asks(&turns, source(2), 5);
        let mut of_honest = placed(&mut honest);
        assert_eq!(of_honest.len(), 1, "the first waits for nobody");
        // Of the places that become free from then on every other one is the second source's, until it has all it wants.
        for n in 0..9 {
            drop(of_flood.pop());
            of_flood.extend(placed(&mut flood));
            of_honest.extend(placed(&mut honest));
            assert!(of_honest.len() * 2 >= n, "{n}");
        }
        assert_eq!(of_honest.len(), 5);
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_gives_his_place_on_and_nothing_is_remembered_of_anybody() {
        let turns = Turns::default();
        let mut first = asks(&turns, source(1), PUTS_AT_ONCE);
        let mut places = placed(&mut first);
        let (mut gone, mut stays) = (asks(&turns, source(1), 10), asks(&turns, source(1), 1));
        assert!(placed(&mut gone).is_empty() && placed(&mut stays).is_empty());
        drop(gone);
        drop(places.pop());
        assert_eq!(placed(&mut stays).len(), 1);
        drop(places);
        let state = turns.state();
        assert!(state.taken + state.beyond == 0 && state.sources.is_empty() && state.order.is_empty(), "{state:?}");
    }

    #[tokio::test]
    async fn sources_that_come_for_the_first_time_one_after_the_other_keep_nobody_from_his_turn() {
        let turns = Turns::default();
        let mut honest = asks(&turns, source(1), PUTS_AT_ONCE + 4);
        let mut of_honest = placed(&mut honest);
        let others = (0..PUTS_BEYOND as u32).flat_map(|n| asks(&turns, Whose::Source(n.to_be_bytes().into()), 1));
        let _of_others = placed(&mut others.collect());
        // The store does four of the puts of the first source, and those of others without number stay as many as they were.
        of_honest.truncate(PUTS_AT_ONCE - 4);
        assert_eq!(placed(&mut honest).len(), 4);
    }

    #[tokio::test]
    async fn of_sources_without_number_no_more_are_taken_than_the_store_has_room_for() {
        let turns = Turns::default();
        let mut many: Vec<_> =
            (0..4_000_u32).flat_map(|n| asks(&turns, Whose::Source(n.to_be_bytes().into()), 1)).collect();
        let places = placed(&mut many);
        assert_eq!(places.len(), PUTS_AT_ONCE + PUTS_BEYOND);
    }
    #[tokio::test]
    async fn what_waits_is_bounded_and_who_waits_little_is_refused_for_nobody() {
        let turns = Turns::default();
        let mut first = asks(&turns, source(1), PUTS_AT_ONCE);
        let _places = placed(&mut first);
        let wait = |whose| {
            let turns = turns.clone();
            async move { turns.place(whose, 65_536).await }.boxed()
        };
        let mut flood: Vec<_> = (0..2_000).map(|_| wait(source(1))).collect();
        // Those that are not refused still wait.
        flood.retain_mut(|ask| ask.now_or_never().is_none());
        assert_eq!(flood.len(), PUTS_WAITING_BYTES / 65_536);
        let mut honest: Vec<_> = (0..20).map(|_| wait(source(2))).collect();
        assert_eq!(placed(&mut honest).len(), 1);
        assert_eq!(honest.len(), 19, "the others wait");
    }
}
