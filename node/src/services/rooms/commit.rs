//! From an outcome of the room's machine to one durable batch.

use parlor_proto::event::Event;
use parlor_proto::outbox;
use parlor_proto::room::{Accepted, Outcome, Persist, Verdict};
use parlor_storage::{Batch, ControlRow, MessageRow, Namespace};

use super::entry::{Job, Turn, names};
use super::settle::Settle;
use crate::limits::{SPLIT_BYTES, WHOLE_BYTES};

impl Turn<'_> {
    /// Commits an outcome together with outbox entries; `settle` says what follows when it is durable. Without anything
    /// to write it settles after everything committed before.
    pub(super) fn commit(&mut self, outcome: Outcome, settle: Settle) {
        self.commit_with(Batch::new(Some(self.id())), outcome, settle);
    }

    /// As [`commit`](Self::commit), in one batch with what is in `batch` already. What one event released may be more than the
    /// store takes at once: then the first events go ahead in batches of their own, each a whole part of all logs, and what is
    /// kept beside events, with all that follows from it, stands in the last. A branch that begins is not parted from it, for it
    /// is what knows the branch; nor is a room that begins from its keys, nor are messages of ours from what says that they are sent.
    pub(super) fn commit_with(&mut self, mut batch: Batch, mut outcome: Outcome, mut settle: Settle) {
        let mut accepted = Vec::new();
        let mut late = false;
        self.note_opening(&mut batch, &outcome);
        // What a room has when it begins may be more than the store takes at once: then its keys go first, so that it is one.
        let bytes: usize = outcome.accepted.iter().map(|accepted| accepted.event().bytes().len()).sum();
        let begins = batch.begins();
        if begins && bytes > WHOLE_BYTES {
            batch.persist(std::mem::take(&mut outcome.persist));
        }
        let parts_branch = outcome.placed.iter().any(|placed| placed.place.at == 1);
        let whole = begins && bytes <= WHOLE_BYTES || !settle.entries.is_empty() || parts_branch;
        for mut event in std::mem::take(&mut outcome.accepted) {
            if batch.bytes() >= SPLIT_BYTES && !whole {
                let ahead = Settle {
                    accepted: std::mem::take(&mut accepted),
                    placed: outcome.placed.clone(),
                    ..Settle::default()
                };
                if std::mem::take(&mut late) {
                    self.put_late(&mut batch);
                }
                self.hand_over(std::mem::replace(&mut batch, Batch::new(Some(self.id()))), ahead);
            }
            if let Accepted::Message(message) = &mut event {
                self.lasting(message);
            }
            match &event {
                Accepted::Control(event) => self.control(&mut batch, event),
                Accepted::Message(message) => {
                    let mut row = MessageRow::of(message, self.now_ms);
                    // Of a branch of a forked log: under the name of the branch, as if that were a device.
                    if let Some(placed) = outcome.placed.iter().find(|placed| placed.event == row.id) {
                        (row.device, row.seq) = (placed.place.path, placed.place.at);
                    }
                    batch.message(row);
                    if message.verdict == Verdict::Faded {
                        batch.aside(message.event.id());
                    }
                    late |= self.note_late(message);
                    self.remark(&mut batch, message);
                    self.note_files(&mut batch, &message.event, message.body.as_ref());
                    self.note_group(&mut batch, message);
                }
            }
            accepted.push(event);
        }
        if late {
            self.put_late(&mut batch);
        }
        for (id, covers_own) in &settle.covers {
            batch.covers_own(*id, *covers_own);
        }
        if !begins {
            self.pages_ahead(&mut outcome.persist);
        }
        batch.persist(outcome.persist);
        for entry in &settle.entries {
            let bytes = parlor_proto::codec::encode(entry);
            // What waits to be written holds a text that may not outlive its message, which may be written under a timer that is set later.
            match entry.body.is_empty() {
                true => batch.put(Namespace::Outbox, &entry.nonce, bytes),
                false => batch.put_fading(Namespace::Outbox, &entry.nonce, bytes),
            };
        }
        for nonce in &settle.forget {
            batch.delete(Namespace::Outbox, nonce);
        }
        for marker in &settle.markers {
            batch.put(Namespace::Marker, &marker.device.0, marker.encode());
        }
        for binding in &settle.bindings {
            batch.put(Namespace::Peer, &binding.device.0, binding.encode());
        }
        self.put_profiles(&mut batch, &settle);
        settle.accepted = accepted;
        settle.placed = outcome.placed;
        settle.unplaced = outcome.unplaced;
        settle.changes = outcome.changes;
        self.hand_over(batch, settle);
    }

    /// Hands the pages of a large epoch to the store before the epoch itself: together they may be more than it takes at once. They are
    /// asked for by what they hold, so what comes too early harms nothing.
    fn pages_ahead(&mut self, persist: &mut Persist) {
        let bytes: usize = persist.pages.iter().map(|(_, page)| page.len()).sum();
        if bytes < SPLIT_BYTES {
            return;
        }
        let mut batch = Batch::new(Some(self.id()));
        for (hash, page) in std::mem::take(&mut persist.pages) {
            if batch.bytes() >= SPLIT_BYTES {
                let full = std::mem::replace(&mut batch, Batch::new(Some(self.id())));
                self.hand_over(full, Settle::default());
            }
            batch.page(hash, page);
        }
        self.hand_over(batch, Settle::default());
    }

    /// Adds a control event: to its log, or beside it when its author wrote two of one number. Both count.
    fn control(&mut self, batch: &mut Batch, event: &Event) {
        self.entry.handed += 1;
        let tip = self.entry.control_tips.entry(event.device()).or_default();
        if event.seq() == *tip + 1 {
            *tip += 1;
            batch.control(ControlRow::of(event));
        } else {
            batch.put(Namespace::Meta, &names::fork(&event.id()), event.bytes().to_vec());
        }
    }

    /// Commits a batch made by hand.
    pub(super) fn hand_over(&mut self, mut batch: Batch, mut settle: Settle) {
        self.entry.committing += 1;
        batch.chain(&self.entry.chain);
        settle.chain = self.entry.chain.clone();
        self.jobs.push(Job::Commit { room: self.id(), batch, settle: Box::new(settle) });
    }

    /// Stores an outbox entry, or removes one, in its own batch.
    pub(super) fn store_entry(&mut self, entry: outbox::Entry) {
        self.commit(Outcome::default(), Settle { entries: vec![entry], ..Settle::default() });
    }
}
