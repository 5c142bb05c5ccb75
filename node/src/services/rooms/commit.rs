//! From an outcome of the room's machine to one durable batch.

use parlor_proto::event::Event;
use parlor_proto::hlc::Hlc;
use parlor_proto::outbox;
use parlor_proto::room::{Accepted, Message, Outcome, Persist, Placed};
use parlor_storage::{Batch, ControlRow, MessageRow, Namespace};

use super::entry::{Job, Turn, names};
use super::settle::Settle;

impl Turn<'_> {
    /// Commits an outcome together with outbox entries; `settle` says what follows when it is durable. Without anything
    /// to write it settles after everything committed before.
    pub(super) fn commit(&mut self, outcome: Outcome, settle: Settle) {
        self.commit_with(Batch::new(Some(self.id())), outcome, settle);
    }

    /// As [`commit`](Self::commit), in one batch with what is in `batch` already.
    pub(super) fn commit_with(&mut self, mut batch: Batch, outcome: Outcome, mut settle: Settle) {
        for accepted in &outcome.accepted {
            match accepted {
                Accepted::Control(event) => self.control(&mut batch, event),
                Accepted::Message(message) => {
                    let placed = outcome.placed.iter().find(|placed| placed.event == message.event.id());
                    batch.message(row(message, placed, self.now_ms));
                }
            }
        }
        persist(&mut batch, outcome.persist);
        for entry in &settle.entries {
            batch.put(Namespace::Outbox, &entry.nonce, parlor_proto::codec::encode(entry));
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
        settle.accepted = outcome.accepted;
        settle.placed = outcome.placed;
        settle.changes = outcome.changes;
        self.hand_over(batch, settle);
    }

    /// Adds a control event: to its log, or beside it when its author wrote two of one number. Both count.
    fn control(&mut self, batch: &mut Batch, event: &Event) {
        let tip = self.entry.control_tips.entry(event.device()).or_default();
        let bytes = event.bytes().to_vec();
        if event.seq() == *tip + 1 {
            *tip += 1;
            batch.control(ControlRow { device: event.device(), seq: event.seq(), id: event.id(), bytes });
        } else {
            batch.put(Namespace::Meta, &names::fork(&event.id()), bytes);
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

/// Adds what the machine wants kept beside the events.
fn persist(batch: &mut Batch, persist: Persist) {
    if let Some(heads) = persist.heads {
        batch.put(Namespace::Meta, names::HEADS, heads);
    }
    for (name, row) in persist.keys {
        match row {
            Some(row) => batch.put(Namespace::Keys, &name, row.to_vec()),
            None => batch.delete(Namespace::Keys, &name),
        };
    }
    for (hash, page) in persist.pages {
        batch.page(hash, page);
    }
}

/// The row of a message: of a branch of a forked log under the name of the branch, as if that were a device.
fn row(message: &Message, placed: Option<&Placed>, now_ms: u64) -> MessageRow {
    let event = &message.event;
    let plain = (event.device(), event.seq());
    let (device, seq) = placed.map_or(plain, |placed| (placed.place.path, placed.place.at));
    MessageRow {
        device,
        seq,
        id: event.id(),
        hlc: event.message().map_or(message.order, |header| header.hlc).0,
        order: message.order.max(Hlc(1)).0,
        received_ms: now_ms,
        covers_own: message.covers_own,
        key: message.key.as_ref().map(|key| key.secret().clone()),
        bytes: event.bytes().to_vec(),
    }
}
