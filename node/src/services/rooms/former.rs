//! Former members: which messages they still get. All that were written under keys they may have, from whoever holds them; of
//! each author up to the last such one. And rooms that we are out of ourselves: for a while their members are dialled still.

use std::collections::BTreeSet;

use parlor_net::PeerId;
use parlor_proto::event::Event;
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
        let epochs = self.entry.room.epochs_for(&device);
        let logs = self.entry.tables.iter().filter(|(series, _)| series.kind == SeriesKind::Message);
        // A stretch of a forked log is kept behind others, under the name of its path.
        let kept = |(series, tip): (&Series, &Tip)| (series.device, self.entry.room.kept_in(&series.device), tip.seq);
        let logs: Vec<(DeviceId, (DeviceId, u64), u64)> =
            logs.filter(|(series, _)| series.device != device).map(kept).collect();
        self.read(move |store| {
            let ends: Vec<_> = logs
                .into_iter()
                .filter_map(|(stretch, kept, last)| {
                    let (seq, id) = last_under(store, &room, kept, last, &epochs)?;
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

/// The last message of a log, or of a stretch of one kept under this name behind so many others, that was written under one of
/// `epochs`, among the first `last`. An author goes from epoch to
/// epoch and not back, so it is looked for in steps. Blocks.
fn last_under(
    store: &Store,
    room: &RoomId,
    (path, before): (DeviceId, u64),
    last: u64,
    epochs: &BTreeSet<EpochId>,
) -> Option<(u64, [u8; 32])> {
    let id_if_under = |seq: u64| {
        let at = seq.saturating_add(before);
        let want = Want { device: path, from: at, to: at };
        let row = store.missing(room, LogKind::Message, &[want], usize::MAX).ok()?.into_iter().next()?;
        let event = Event::decode(room, &row.bytes).ok()?;
        let under = epochs.contains(&event.message()?.epoch);
        under.then(|| event.id().0)
    };
    // First back in growing steps to one that is, then in halves to the last.
    let (mut above, mut step) = (last + 1, 1);
    let mut found = loop {
        let at = (above - 1).min(last + 1 - step.min(last));
        match id_if_under(at) {
            Some(id) => break (at, id),
            None if at <= 1 => return None,
            None => (above, step) = (at, step * 2),
        }
    };
    while found.0 + 1 < above {
        let middle = found.0 + (above - found.0) / 2;
        match id_if_under(middle) {
            Some(id) => found = (middle, id),
            None => above = middle,
        }
    }
    Some(found)
}
