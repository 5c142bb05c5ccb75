//! What came out of the boxes of one room and is not taken yet. Without I/O.
//!
//! A blob is taken when all that is in it is durable here. What waits for something else (an event whose ancestors are on
//! their way) is shown to the room again, more and more seldom, so that a restart meanwhile finds it in the box.

use std::cmp::Reverse;
use std::collections::{HashSet, VecDeque};

use parlor_proto::RoomId;
use parlor_proto::event::{Event, LogId};
use parlor_proto::mailbox::{BlobId, BoxName, Mail};
use parlor_proto::wire::{Item, SeriesKind};

use crate::limits::{INTAKE_BLOBS, INTAKE_BYTES, INTAKE_PAUSE_MS, INTAKE_TRIES, INTAKE_WAITING_BYTES};

/// A blob that came.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) name: BoxName,
    pub(super) id: BlobId,
    /// What was in it.
    pub(super) mails: Vec<Mail>,
    /// The log that the first event in it is of, and its number there: what waits is shown in the order of its log.
    place: Option<(LogId, u64)>,
    bytes: usize,
    tries: u32,
    next_ms: u64,
}

impl Came {
    pub(super) fn new(room: &RoomId, name: BoxName, id: BlobId, mails: Vec<Mail>) -> Self {
        let bytes = mails.iter().map(|mail| match mail {
            Mail::Record(item) => item.bytes.0.len(),
            Mail::Page(page) => page.0.len(),
        });
        let events = mails.iter().filter_map(|mail| match mail {
            Mail::Record(Item { kind: SeriesKind::Control | SeriesKind::Message, bytes }) => {
                Event::decode(room, &bytes.0).ok()
            }
            _ => None,
        });
        let place = events.map(|event| (event.log(), event.seq())).next();
        Self { name, id, bytes: bytes.sum(), mails, place, tries: 0, next_ms: 0 }
    }

    fn log(&self) -> Option<LogId> {
        self.place.map(|(log, _)| log)
    }
}

/// What became of a blob that was shown to its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Became {
    /// All that it holds is there.
    There,
    /// None of it waits, and some of it was refused for good.
    Refused,
    /// Some of it waits for something else.
    Waits,
}

/// What came for one room.
#[derive(Debug, Default)]
pub(super) struct Intake {
    fresh: VecDeque<Came>,
    /// What is shown again later.
    waiting: Vec<Came>,
    under_way: Vec<Came>,
    /// Nothing is shown before: the room could not look at what was shown last.
    rests_until_ms: u64,
}

impl Intake {
    /// A blob came.
    pub(super) fn push(&mut self, came: Came) {
        self.fresh.push_back(came);
    }

    /// What to show the room now, by blobs, if nothing is shown to it already.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<Vec<Vec<Mail>>> {
        if !self.under_way.is_empty() || now_ms < self.rests_until_ms {
            return None;
        }
        if self.fresh.is_empty() {
            // What comes first in its log may let in what comes after it.
            let (mut due, rest): (Vec<Came>, Vec<Came>) =
                std::mem::take(&mut self.waiting).into_iter().partition(|came| came.next_ms <= now_ms);
            due.sort_by_key(|came| came.place);
            self.waiting = rest;
            self.fresh.extend(due);
            self.take_some();
            self.waiting.extend(self.fresh.drain(..));
        } else {
            self.take_some();
        }
        let shown = self.under_way.iter().map(|came| came.mails.clone());
        (!self.under_way.is_empty()).then(|| shown.collect())
    }

    fn take_some(&mut self) {
        let mut bytes = 0;
        while let Some(came) = self.fresh.pop_front_if(|came| bytes == 0 || bytes + came.bytes <= INTAKE_BYTES) {
            bytes += came.bytes.max(1);
            self.under_way.push(came);
            if self.under_way.len() >= INTAKE_BLOBS {
                break;
            }
        }
    }

    /// The room has what was shown durably, and says of each blob what became of it; nothing if it could not look or write. Answers
    /// the blobs that are taken.
    pub(super) fn shown(&mut self, became: &[Became], now_ms: u64) -> Vec<(BoxName, BlobId)> {
        if became.len() < self.under_way.len() {
            // As if they had not been shown; meanwhile no more is let through.
            self.rests_until_ms = now_ms.saturating_add(INTAKE_PAUSE_MS);
            self.under_way.drain(..).rev().for_each(|came| self.fresh.push_front(came));
            return Vec::new();
        }
        let mut taken = Vec::new();
        let mut logs = HashSet::new();
        for (mut came, became) in std::mem::take(&mut self.under_way).into_iter().zip(became) {
            match became {
                Became::There => {
                    logs.extend(came.log());
                    taken.push((came.name, came.id));
                }
                Became::Refused => taken.push((came.name, came.id)),
                Became::Waits => {
                    came.tries += 1;
                    came.next_ms = now_ms.saturating_add(1_000 << came.tries.min(6));
                    self.waiting.push(came);
                }
            }
        }
        if !taken.is_empty() {
            // What waited may have waited for this: what comes after it in its log all the more, if its author did write this.
            let may = |came: &&mut Came| came.tries < 4 || came.log().is_some_and(|log| logs.contains(&log));
            self.waiting.iter_mut().filter(may).for_each(|came| came.next_ms = now_ms);
        }
        taken.extend(self.give_up());
        taken
    }

    /// The room is not here: gives back all that came for it.
    pub(super) fn pass_over(&mut self) -> Vec<(BoxName, BlobId)> {
        let all = self.fresh.drain(..).chain(self.waiting.drain(..)).chain(self.under_way.drain(..));
        all.map(|came| (came.name, came.id)).collect()
    }

    /// Gives up what was shown often enough, and the last of too much. It comes by sync.
    fn give_up(&mut self) -> Vec<(BoxName, BlobId)> {
        let mut given_up = Vec::new();
        let mut bytes: usize = self.waiting.iter().map(|came| came.bytes).sum();
        if bytes > INTAKE_WAITING_BYTES {
            self.waiting.sort_by_key(|came| Reverse(came.place));
        }
        self.waiting.retain(|came| {
            let over = came.tries >= INTAKE_TRIES || bytes > INTAKE_WAITING_BYTES;
            if over {
                bytes -= came.bytes;
                given_up.push((came.name, came.id));
            }
            !over
        });
        given_up
    }

    /// When something is to be shown again.
    pub(super) fn due_ms(&self) -> Option<u64> {
        if !self.under_way.is_empty() {
            return None;
        }
        let rested = (!self.fresh.is_empty()).then_some(self.rests_until_ms);
        let due = self.waiting.iter().map(|came| came.next_ms.max(self.rests_until_ms));
        due.chain(rested).min()
    }

    /// Whether nothing is left.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.waiting.is_empty() && self.under_way.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::DeviceId;
    use parlor_proto::event::LogKind;
    use parlor_proto::mailbox::BoxKind;
    use parlor_proto::wire::Blob;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;

    use super::*;

    const BOX: BoxName = BoxName { kind: BoxKind::Room, key: [1; 32] };
    const ROOM: RoomId = RoomId([0; 32]);

    fn came(n: u16) -> Came {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        Came::new(&ROOM, BOX, BlobId(id), vec![Mail::Page(Blob(id.to_vec()))])
    }

    /// As if it held an event of a log with this number.
    fn of_log(n: u16) -> Came {
        let log = LogId { device: DeviceId([7; 32]), kind: LogKind::Message };
        Came { place: Some((log, u64::from(n))), ..came(n) }
    }

    fn number(mails: &[Mail]) -> u16 {
        let [Mail::Page(page)] = mails else { panic!("one page") };
        u16::from_be_bytes([page.0[0], page.0[1]])
    }

    #[test]
    fn what_is_complete_is_taken_and_what_waits_is_shown_again() {
        let mut intake = Intake::default();
        intake.push(came(1));
        intake.push(came(2));
        assert_eq!(intake.next(0).unwrap().len(), 2);
        assert!(intake.next(0).is_none(), "one round at a time");
        assert_eq!(intake.shown(&[Became::There, Became::Waits], 0), [(BOX, came(1).id)]);
        assert_eq!(intake.next(0).unwrap().len(), 1, "it may have waited for the other");
        assert!(intake.shown(&[Became::Waits], 0).is_empty());
        assert!(intake.next(0).is_none(), "not at once again");
        let due = intake.due_ms().unwrap();
        assert!(due > 0 && intake.next(due).is_some());
        assert_eq!(intake.shown(&[Became::There], due), [(BOX, came(2).id)]);
        assert!(intake.is_empty());
    }

    #[test]
    fn what_never_becomes_complete_is_given_up() {
        let mut intake = Intake::default();
        intake.push(came(1));
        let mut now_ms = 0;
        for _ in 0..INTAKE_TRIES {
            assert!(intake.next(now_ms).is_some());
            let given_up = intake.shown(&[Became::Waits], now_ms);
            now_ms = intake.due_ms().unwrap_or(now_ms);
            if !given_up.is_empty() {
                return assert!(intake.is_empty());
            }
        }
        panic!("tried for ever");
    }

    #[test]
    fn what_a_room_could_not_look_at_is_never_given_up_however_much_there_is() {
        let mut intake = Intake::default();
        let large = |n| Came { bytes: 100_000, ..came(n) };
        (0..60).for_each(|n| intake.push(large(n)));
        let mut now_ms = 0;
        for _ in 0..10 * INTAKE_TRIES {
            assert!(intake.next(now_ms).is_some());
            assert!(intake.shown(&[], now_ms).is_empty());
            assert!(intake.next(now_ms).is_none(), "it rests");
            now_ms = intake.due_ms().unwrap();
        }
        let mut taken = 0;
        while let Some(shown) = intake.next(now_ms) {
            taken += intake.shown(&vec![Became::There; shown.len()], now_ms).len();
        }
        assert_eq!(taken, 60);
    }

    #[test]
    fn blobs_that_somebody_made_up_use_up_no_tries_of_true_ones() {
        let mut intake = Intake::default();
        intake.push(of_log(500));
        intake.next(0).unwrap();
        intake.shown(&[Became::Waits], 0);
        for _ in 0..2 * INTAKE_TRIES {
            intake.push(of_log(1));
            while let Some(shown) = intake.next(0) {
                let became: Vec<Became> = shown
                    .iter()
                    .map(|mails| if number(mails) == 1 { Became::Refused } else { Became::Waits })
                    .collect();
                assert!(!intake.shown(&became, 0).contains(&(BOX, of_log(500).id)), "it is given up");
            }
        }
        assert!(!intake.is_empty());
    }

    #[test]
    fn a_long_log_that_comes_in_any_order_is_taken_whole_at_once() {
        const EVENTS: u16 = 2_000;
        for seed in 0..5 {
            let mut numbers: Vec<u16> = (1..=EVENTS).collect();
            let mut rng = StdRng::seed_from_u64(seed);
            match seed {
                0 => {}
                1 => numbers.reverse(),
                _ => numbers.chunks_mut(300).for_each(|part| part.shuffle(&mut rng)),
            }
            let mut intake = Intake::default();
            // One that never fits stands before all others.
            intake.push(of_log(0));
            numbers.iter().for_each(|n| intake.push(of_log(*n)));
            // A room takes what continues the log, and nothing else.
            let (mut end, mut rounds) = (0, 0);
            while let Some(shown) = intake.next(0) {
                let mut order: Vec<u16> = shown.iter().map(|mails| number(mails)).collect();
                order.sort_unstable();
                order.into_iter().for_each(|n| end = if n == end + 1 { n } else { end });
                let there = |mails: &Vec<Mail>| match (1..=end).contains(&number(mails)) {
                    true => Became::There,
                    false => Became::Waits,
                };
                let became: Vec<Became> = shown.iter().map(there).collect();
                intake.shown(&became, 0);
                rounds += 1;
            }
            assert_eq!(end, EVENTS, "seed {seed}: the rest waits for an hour that does not come");
            assert!(rounds < 5 * usize::from(EVENTS) / INTAKE_BLOBS, "seed {seed}: {rounds} rounds");
        }
    }
}
