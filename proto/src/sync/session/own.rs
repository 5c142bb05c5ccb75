//! Our own logs at the other end: each side tells once what it holds of the other's.
//!
//! A home that was restored from a backup, or copied, learns so that it wrote more than it knows, and fetches that before
//! it goes on ([`super::super::Guard`]).

use crate::wire::{Entry, RoomFrame};

use super::super::tables::{Series, Tables};
use super::live::TIPS_ROUND;
use super::{Handled, Misbehaviour, Out, Session, Standing, Turn};

/// What was said of the logs of either side.
#[derive(Default)]
pub(super) struct Own {
    /// The peer was told of its logs.
    told: bool,
    /// What the peer holds of ours; taken when all of that is here.
    yours: Option<Vec<Entry>>,
    heard: bool,
}

impl Session {
    /// The peer is a member: tells it what we hold of its own logs, and heeds what it said of ours.
    pub(super) fn compare_own(&mut self, turn: &mut Turn<'_>) {
        let (Some(Standing::Live), Some(peer)) = (self.standing, self.peer) else { return };
        if !std::mem::replace(&mut self.own.told, true) {
            let held = [Series::control(peer), Series::messages(peer)].into_iter();
            let held = held.filter_map(|series| turn.tables.tip(&series).map(|tip| (series, tip)));
            let entries = held.map(|(series, tip)| self.salt.entry(&series, &tip, TIPS_ROUND)).collect();
            turn.send(&RoomFrame::Yours(entries));
        }
        self.fetch_own(turn);
    }

    /// The peer says what it holds of our own logs.
    pub(super) fn on_yours(&mut self, entries: Vec<Entry>, turn: &mut Turn<'_>) -> Handled {
        if std::mem::replace(&mut self.own.heard, true) {
            return Err(Misbehaviour::OutOfTurn);
        }
        let tags = self.own_series().map(|series| self.salt.tag(&series));
        if entries.len() > tags.len() || entries.iter().any(|entry| !tags.contains(&entry.tag)) {
            return Err(Misbehaviour::Malformed);
        }
        self.own.yours = Some(entries);
        self.fetch_own(turn);
        Ok(())
    }

    /// Asks for what the peer holds of our logs beyond ours.
    fn fetch_own(&mut self, turn: &mut Turn<'_>) {
        if self.standing != Some(Standing::Live) {
            return;
        }
        let Some(entries) = self.own.yours.take() else { return };
        let mut wants = Vec::new();
        for entry in &entries {
            self.weigh(entry, TIPS_ROUND, &mut wants, turn);
        }
        self.own.yours = Some(entries);
        self.send_wants(wants, turn);
        self.note_own(turn);
    }

    /// Says so once when all that the peer holds of our logs is here.
    pub(super) fn note_own(&mut self, turn: &mut Turn<'_>) {
        // With one number and another event there it is another branch, and not here.
        let here = |entry: &Entry, tables: &Tables| {
            let series = self.own_series().into_iter().find(|series| self.salt.tag(series) == entry.tag);
            let tip = series.and_then(|series| Some((series, tables.tip(&series)?)));
            let ours = tip.map(|(series, tip)| self.salt.entry(&series, &tip, TIPS_ROUND));
            ours.is_some_and(|ours| ours.seq > entry.seq || ours == *entry)
        };
        let all = self.own.yours.as_ref().is_some_and(|entries| entries.iter().all(|entry| here(entry, turn.tables)));
        if all && self.standing == Some(Standing::Live) {
            self.own.yours = None;
            turn.out.push(Out::OwnLogs);
        }
    }

    fn own_series(&self) -> [Series; 2] {
        [Series::control(self.our_device), Series::messages(self.our_device)]
    }
}
