//! Former members: which messages they still get. All that were written under keys they may have, from whoever holds them; of
//! each author up to the last such one. And rooms that we are out of ourselves: for a while their members are dialled still.

use std::collections::{BTreeSet, HashMap};

use parlor_net::PeerId;
use parlor_proto::event::Event;
use parlor_proto::room::Room;
use parlor_proto::sync::{Advance, In as SyncIn, Series, Tip};
use parlor_proto::wire::SeriesKind;
use parlor_proto::{DeviceId, EpochId, RoomId};
use parlor_storage::{LogKind, Store, Want};

use super::entry::{Job, Turn};
use crate::limits::PART_MS;

impl Turn<'_> {
    /// The room was loaded, or we came out of it: if we are out, its members are dialled for a while still.
    pub(super) fn begin_parting(&mut self) {
        let out = self.entry.room.exit(&self.context.identity.account()).is_some();
        self.entry.part_ms = out.then(|| self.now_ms.saturating_add(PART_MS));
    }

    /// Time passed: the while may be over.
    pub(super) fn tick_parting(&mut self) {
        if self.entry.part_ms.is_some_and(|due| due <= self.now_ms) {
            self.entry.part_ms = None;
            self.jobs.push(Job::Want { room: self.id(), wanted: false });
        }
    }

    /// Adds to what the former member behind a connection may know the messages from before it was put out, and tells it of
    /// them.
    pub(super) fn give_what_came_before(&mut self, peer: PeerId, device: DeviceId) {
        let room = self.id();
        let readable = Readable::of(&self.entry.room, &device);
        let logs = self.entry.tables.iter().filter(|(series, _)| series.kind == SeriesKind::Message);
        // A stretch of a forked log is kept behind others, under the name of its path.
        let kept = |(series, tip): (&Series, &Tip)| (series.device, self.entry.room.kept_in(&series.device), tip.seq);
        let logs: Vec<(DeviceId, (DeviceId, u64), u64)> =
            logs.filter(|(series, _)| series.device != device).map(kept).collect();
        self.read(move |store| {
            let ends: Vec<_> = logs
                .into_iter()
                .filter_map(|(stretch, kept, last)| {
                    let (seq, id) = last_under(store, &room, kept, last, &readable)?;
                    Some((Series::messages(stretch), Tip { seq, id }))
                })
                .collect();
            Box::new(move |turn| {
                // A log may have been left out meanwhile.
                let ends: Vec<_> =
                    ends.into_iter().filter(|(series, _)| turn.entry.room.tells(&series.device)).collect();
                // It may have been taken back meanwhile, or be gone.
                let Some(cut) = turn.entry.sessions.get_mut(&peer).and_then(|linked| linked.cut.as_mut()) else {
                    return;
                };
                for (series, tip) in &ends {
                    cut.advance(*series, *tip);
                }
                let told =
                    ends.into_iter().map(|(series, tip)| Advance { series, seq: tip.seq, bytes: None, from: None });
                turn.session(peer, SyncIn::Advanced(told.collect()));
            })
        });
    }
}

/// Which epochs somebody may have the keys of, by the ages of all.
struct Readable {
    ages: HashMap<EpochId, usize>,
    may: BTreeSet<usize>,
}

impl Readable {
    fn of(room: &Room, device: &DeviceId) -> Self {
        let ages: HashMap<_, _> = room.epochs().enumerate().map(|(age, epoch)| (epoch, age)).collect();
        let may = room.epochs_for(device).iter().filter_map(|epoch| ages.get(epoch).copied()).collect();
        Self { ages, may }
    }
}

/// The last message, among the first `last` of a log, or of a stretch of one kept under this name behind so many others, that was
/// written under an epoch that may be read. Blocks.
fn last_under(
    store: &Store,
    room: &RoomId,
    (path, before): (DeviceId, u64),
    last: u64,
    readable: &Readable,
) -> Option<(u64, [u8; 32])> {
    let event = |seq: u64| {
        let at = seq.saturating_add(before);
        let want = Want { device: path, from: at, to: at };
        let row = store.missing(room, LogKind::Message, &[want], usize::MAX).ok()?.into_iter().next()?;
        Event::decode(room, &row.bytes).ok()
    };
    let age = |seq| readable.ages.get(&event(seq)?.message()?.epoch).copied();
    let seq = last_of(last, &readable.may, age)?;
    Some((seq, event(seq)?.id().0))
}

/// The last of the first `last` messages of a log whose age of epoch is one of `may`. An author goes from epoch to epoch and never
/// back, so ages never fall along a log; but not all between two that may be read may be, and the last that may be can stand anywhere.
fn last_of(last: u64, may: &BTreeSet<usize>, age: impl Fn(u64) -> Option<usize>) -> Option<u64> {
    let (mut above, mut most) = (last.checked_add(1)?, *may.last()?);
    loop {
        // The last below `above` that is no younger than that: usually the first that is looked at.
        let (mut low, mut high) = (0, above);
        let mut middle = above - 1;
        let mut found = None;
        while low + 1 < high {
            match age(middle)? {
                aged if aged <= most => (low, found) = (middle, Some((middle, aged))),
                _ => high = middle,
            }
            middle = low + (high - low) / 2;
        }
        let (seq, aged) = found?;
        if may.contains(&aged) {
            return Some(seq);
        }
        (above, most) = (seq, *may.range(..aged).next_back()?);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn of_each_log_what_may_be_read_ends_where_a_search_of_all_of_it_ends(
            steps in prop::collection::vec((1_u64..40, 1_usize..4), 0..8),
            may in prop::collection::btree_set(0_usize..20, 0..6),
        ) {
            let mut ages = Vec::new();
            let mut age = 0;
            for (messages, step) in steps {
                age += step;
                ages.extend(std::iter::repeat_n(age, usize::try_from(messages).unwrap()));
            }
            let at = |seq: u64| ages[usize::try_from(seq).unwrap() - 1];
            let last = ages.len() as u64;
            let expected = (1..=last).rev().find(|seq| may.contains(&at(*seq)));
            prop_assert_eq!(last_of(last, &may, |seq| Some(at(seq))), expected);
        }
    }

    #[test]
    fn two_messages_in_the_middle_of_a_long_log_are_found() {
        let age = |seq| {
            Some(if seq <= 1000 {
                0
            } else if seq <= 1002 {
                1
            } else {
                2
            })
        };
        assert_eq!(last_of(5002, &BTreeSet::from([1]), age), Some(1002));
        assert_eq!(last_of(5002, &BTreeSet::from([0, 1]), age), Some(1002));
        assert_eq!(last_of(0, &BTreeSet::from([0, 1]), age), None);
    }
}
