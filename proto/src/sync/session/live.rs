//! After the first round: new events as they come, new tips every few seconds.

use std::collections::BTreeSet;

use crate::limits;
use crate::wire::{Blob, Entry, Item, MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_ITEMS, RoomFrame, SeriesKind, Want};

use super::super::tables::{Series, is_record};
use super::{Advance, Handled, Misbehaviour, Out, Session, Standing, Turn, WINDOW};

/// Tips are told as if in this round, which no comparison has.
pub(super) const TIPS_ROUND: u32 = 0;

/// What the peer is to be told.
#[derive(Default)]
pub(super) struct Live {
    dirty: BTreeSet<Series>,
    /// Series of which it was told in this session how far they go, before much of them was sent.
    told_ahead: BTreeSet<Series>,
    pub(super) tips_ms: Option<u64>,
}

impl Session {
    pub(super) fn on_advanced(&mut self, advances: Vec<Advance>, turn: &mut Turn<'_>) -> Handled {
        let (mut items, mut sent, mut n_bytes) = (Vec::new(), Vec::new(), 0);
        if advances.iter().any(|advance| advance.series.kind == SeriesKind::Control) {
            // Whoever is elected waits for a round that finds both sides equal ([`Session::holds_same_control`]).
            self.round_soon(turn.now_ms);
        }
        for Advance { series, seq, bytes, from } in advances {
            if from.is_some() && from == self.peer {
                self.note_has(series, seq, turn);
                continue;
            }
            let len = bytes.as_ref().map_or(0, Vec::len);
            let fits = n_bytes + len <= MAX_BATCH_BYTES && items.len() < MAX_BATCH_ITEMS;
            // Of a removed peer's tables it may be cut away.
            let may_have = turn.tables.seq(&series) >= seq && self.sends(series.kind);
            match bytes.filter(|_| fits && may_have && self.stream.is_next(&series, seq)) {
                Some(bytes) => {
                    n_bytes += bytes.len();
                    items.push(Item { kind: series.kind, bytes: Blob(bytes) });
                    self.stream.mark_sent(series, seq);
                    sent.push((series, seq));
                }
                None => self.tell_soon(series, turn.now_ms),
            }
        }
        if !items.is_empty() {
            self.send_batch(items, sent, turn);
        }
        self.note_own(turn);
        Ok(())
    }

    /// The tip of `series` is told with the next `Tips`.
    fn tell_soon(&mut self, series: Series, now_ms: u64) {
        self.live.dirty.insert(series);
        self.live.tips_ms.get_or_insert(now_ms.saturating_add(super::TIPS_MS));
    }

    /// Tells the tips that changed and that the peer is not known to hold.
    pub(super) fn tell_tips(&mut self, turn: &mut Turn<'_>) {
        self.live.tips_ms = None;
        let mut entries: Vec<Entry> = Vec::new();
        for series in std::mem::take(&mut self.live.dirty) {
            let Some(tip) = turn.tables.tip(&series) else { continue };
            if !self.sends(series.kind) || self.stream.far(&series).max(self.stream.sent(&series)) >= tip.seq {
                continue;
            }
            if entries.len() >= MAX_ITEMS {
                self.tell_soon(series, turn.now_ms);
            } else {
                entries.push(self.salt.entry(&series, &tip, TIPS_ROUND));
            }
        }
        if !entries.is_empty() {
            turn.send(&RoomFrame::Tips(entries));
        }
    }

    /// Much is about to be sent that the peer has not asked for: it is told how much, so that it can say so, and ask for the newest
    /// page first.
    pub(super) fn tell_ahead(&mut self, turn: &mut Turn<'_>) {
        if self.standing != Some(Standing::Live) {
            return;
        }
        let ahead: Vec<Series> = self.stream.to_send().filter(|it| it.kind == SeriesKind::Message).copied().collect();
        let lacks = |series: &Series| turn.tables.seq(series).saturating_sub(self.stream.sent(series));
        if ahead.iter().map(lacks).fold(0, u64::saturating_add) < limits::EARLY_FROM {
            return;
        }
        let untold = ahead.into_iter().filter(|series| !self.live.told_ahead.contains(series)).take(MAX_ITEMS);
        let told: Vec<(Series, Entry)> = untold
            .filter_map(|series| Some((series, self.salt.entry(&series, &turn.tables.tip(&series)?, TIPS_ROUND))))
            .collect();
        if !told.is_empty() {
            self.live.told_ahead.extend(told.iter().map(|(series, _)| *series));
            turn.send(&RoomFrame::Tips(told.into_iter().map(|(_, entry)| entry).collect()));
        }
    }

    pub(super) fn on_tips(&mut self, entries: &[Entry], turn: &mut Turn<'_>) -> Handled {
        if entries.len() > MAX_ITEMS {
            return Err(Misbehaviour::TooMany);
        }
        match self.standing {
            None => return Err(Misbehaviour::OutOfTurn),
            // A stranger is heard in rounds, where only control logs are looked at.
            Some(Standing::Stranger | Standing::Removed) => return Ok(()),
            Some(Standing::Live) => {}
        }
        let mut wants = Vec::new();
        for entry in entries {
            self.weigh(entry, TIPS_ROUND, &mut wants, turn);
        }
        self.send_wants(wants, turn);
        self.pump(turn);
        Ok(())
    }

    /// Compares the end of one series of the peer, as told in a round, with ours, and notes what follows from it.
    pub(super) fn weigh(&mut self, theirs: &Entry, round: u32, wants: &mut Vec<Want>, turn: &mut Turn<'_>) {
        let Some(series) = self.stream.tags.find(&theirs.tag, turn.tables, &self.salt) else {
            wants.push(Want { tag: theirs.tag, have: 0 });
            self.stream.owe(theirs.tag, theirs.seq);
            return;
        };
        let Some(tip) = turn.tables.tip(&series) else { return };
        let ours = self.salt.entry(&series, &tip, round);
        if theirs.seq == ours.seq && theirs.check != ours.check && !is_record(series.kind) {
            turn.out.push(Out::Forked { series, seq: theirs.seq });
            let back = self.stream.look_back(series, tip.seq);
            wants.push(Want { tag: theirs.tag, have: ours.seq.saturating_sub(back) });
            return;
        }
        // Another number may be of another branch: that acknowledges nothing.
        if theirs.seq == ours.seq {
            self.note_has(series, theirs.seq, turn);
        } else {
            self.note_claim(series, theirs.seq);
        }
        if theirs.seq > ours.seq {
            wants.push(Want { tag: theirs.tag, have: ours.seq.saturating_sub(self.stream.back(&series)) });
            self.stream.owe(theirs.tag, theirs.seq);
        } else if theirs.seq < ours.seq {
            self.offer(series, theirs.seq, turn);
        }
    }

    /// Events of `series` came that follow nothing held here: the peer holds another branch. It is asked to send from further
    /// back, twice as far each time, until they do.
    pub(super) fn on_fork(&mut self, series: Series, turn: &mut Turn<'_>) -> Handled {
        if !matches!(self.standing, Some(Standing::Live | Standing::Removed)) || !self.rounds.peer_ready() {
            return Ok(());
        }
        self.stream.look_back(series, turn.tables.seq(&series));
        self.stream.to_look.insert(series);
        self.ask_further_back(turn);
        Ok(())
    }

    /// Asks for what other branches hold, once nothing of the peer's is under way.
    pub(super) fn ask_further_back(&mut self, turn: &mut Turn<'_>) {
        if !self.stream.takes_nothing() {
            return;
        }
        let wants: Vec<Want> = std::mem::take(&mut self.stream.to_look)
            .into_iter()
            .map(|series| {
                let have = turn.tables.seq(&series).saturating_sub(self.stream.back(&series));
                Want { tag: self.salt.tag(&series), have }
            })
            .collect();
        for wants in wants.chunks(MAX_ITEMS) {
            turn.send(&RoomFrame::Want(wants.to_vec()));
        }
    }

    pub(super) fn on_gap(&mut self, series: Series, turn: &mut Turn<'_>) -> Handled {
        if !matches!(self.standing, Some(Standing::Live | Standing::Removed)) || !self.rounds.peer_ready() {
            return Ok(());
        }
        let want = Want { tag: self.salt.tag(&series), have: turn.tables.seq(&series) };
        // The peer never said that it has more: that it sends nothing is no fault.
        if !self.stream.is_owed(&want.tag, want.have) && self.stream.note_gap(want) {
            turn.send(&RoomFrame::Want(vec![want]));
        }
        Ok(())
    }

    /// Whether the peer may get, and takes, things of this kind now.
    pub(super) fn sends(&self, kind: SeriesKind) -> bool {
        let takes = self.rounds.peer_ready() || self.rounds.peer_answered() && kind == SeriesKind::Control;
        self.serves(kind) && takes && self.stream.n_in_flight() < WINDOW
    }
}
