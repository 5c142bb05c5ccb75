//! Messages that came before their keys: opened, a stretch at a time, when keys come.
//!
//! A row of the room says that keys came and what waited for them was not looked through to its end yet. It is durable with the keys and
//! goes with the last stretch, so that nothing that stands between loses the messages: the end of the program, a failed commit or read.

use parlor_proto::event::Event;
use parlor_proto::room::{Change, Message, Outcome, Verdict};
use parlor_storage::{Batch, Namespace, Position, TimelineRow};

use super::entry::{Turn, names};
use super::settle::Settle;
use crate::limits::{OPEN_AGAIN_MS, OPEN_LATER_ROWS};

/// How far messages that waited for their keys are opened.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// The row is on the disk, or handed to the store.
    pub(super) noted: bool,
    /// Keys that were handed to the store and are not durable yet.
    handed: usize,
    /// A read of what waits is under way.
    running: bool,
    /// Keys came during it: what waits is read once more after it.
    again: bool,
    /// When it is tried again: what waits could not be read.
    again_ms: Option<u64>,
}

impl Opening {
    /// When it is tried again.
    pub(super) fn due(&self) -> Option<u64> {
        self.again_ms
    }

    /// A read died: what waited for it is tried again.
    pub(super) fn lost(&mut self, now_ms: u64) {
        if std::mem::take(&mut self.running) {
            self.again_ms = Some(now_ms.saturating_add(OPEN_AGAIN_MS));
        }
    }
}

fn brings_keys(changes: &[Change]) -> bool {
    changes.iter().any(|change| matches!(change, Change::Keys(_)))
}

impl Turn<'_> {
    /// Notes in the first batch of an outcome with keys that what waits for them is to be opened.
    pub(super) fn note_opening(&mut self, batch: &mut Batch, outcome: &Outcome) {
        if brings_keys(&outcome.changes) {
            self.entry.opening.handed += 1;
            self.entry.opening.noted = true;
            batch.put(Namespace::Meta, names::OPENING, Vec::new());
        }
    }

    /// These changes are durable: opens what waited for the keys among them.
    pub(super) fn keys_came(&mut self, changes: &[Change]) {
        if brings_keys(changes) {
            self.entry.opening.handed = self.entry.opening.handed.saturating_sub(1);
            self.open_unreadable();
        }
    }

    /// The room was loaded: goes on with what was not opened to its end.
    pub(super) fn go_on_opening(&mut self) {
        if self.entry.opening.noted && !self.entry.rests(self.now_ms) {
            self.open_unreadable();
        }
    }

    /// Time passed.
    pub(super) fn tick_opening(&mut self) {
        if self.entry.opening.again_ms.is_some_and(|again_ms| again_ms <= self.now_ms) {
            self.open_unreadable();
        }
    }

    /// Opens the messages whose keys came, from the oldest on.
    pub(super) fn open_unreadable(&mut self) {
        self.entry.opening.again_ms = None;
        match self.entry.opening.running {
            true => self.entry.opening.again = true,
            false => self.open_after(None),
        }
    }

    fn open_after(&mut self, after: Option<Position>) {
        self.entry.opening.running = true;
        let room = self.id();
        self.read(move |store| {
            let rows = store.unreadable(&room, after, OPEN_LATER_ROWS);
            Box::new(move |turn| match rows {
                Ok(rows) => turn.open_rows(rows),
                Err(error) => {
                    tracing::warn!(room = %room.short(), %error, "what waits for its keys is looked at later");
                    turn.entry.opening.lost(turn.now_ms);
                }
            })
        });
    }

    fn open_rows(&mut self, rows: Vec<TimelineRow>) {
        let next = rows.last().map(|row| row.position).filter(|_| rows.len() == OPEN_LATER_ROWS);
        let mut batch = Batch::new(Some(self.id()));
        let opened: Vec<_> = rows.iter().filter_map(|row| self.open_row(&mut batch, row)).collect();
        let mut late = false;
        for message in &opened {
            late |= self.note_late(message);
        }
        if late {
            self.put_late(&mut batch);
        }
        let opening = &mut self.entry.opening;
        if next.is_none() {
            opening.running = false;
            if opening.noted && !opening.again && opening.handed == 0 {
                opening.noted = false;
                batch.delete(Namespace::Meta, names::OPENING);
            }
        }
        if !batch.is_empty() {
            self.hand_over(
                batch,
                Settle::reply(move |turn, done| {
                    if done.is_ok() {
                        opened.iter().for_each(|message| turn.show(message));
                        turn.summarise();
                    }
                }),
            );
        }
        match next {
            Some(last) => self.open_after(Some(last)),
            None if std::mem::take(&mut self.entry.opening.again) => self.open_after(None),
            None => {}
        }
    }

    /// Adds to a batch what one message is, now that its key is here, if it is.
    fn open_row(&mut self, batch: &mut Batch, row: &TimelineRow) -> Option<Message> {
        let event = Event::decode(&self.id(), &row.row.bytes).ok()?;
        let found = self.entry.room.open_later(&event)?;
        let author = self.entry.room.writer_of(&event)?;
        let unsafe_epoch = self.unsafe_when_it_came(&event, found.body.as_ref());
        let verdict = match &found.body {
            Some(_) => self.entry.room.verdict_on(&event, &row.row.device),
            None => Verdict::Damaged,
        };
        let mut message = Message {
            event,
            author,
            order: parlor_proto::hlc::Hlc(row.row.order),
            covers_own: row.row.covers_own,
            key: None,
            body: found.body,
            verdict,
            unsafe_epoch,
            fades_ms: row.row.fades_ms,
        };
        self.lasting(&mut message);
        if message.verdict == Verdict::Faded {
            batch.aside(message.event.id());
            return None;
        }
        batch.message_key(message.event.id(), found.key.secret().clone());
        self.note_files(batch, &message.event, message.body.as_ref());
        self.note_group(batch, &message);
        self.remark(batch, &message);
        Some(message)
    }
}

#[cfg(test)]
mod tests;
