//! What a room's machine wants kept, as changes of the store: the one place that says how.

use parlor_proto::event::Event;
use parlor_proto::hlc::Hlc;
use parlor_proto::room::{Message, Persist, Verdict};

use crate::batch::{Batch, Namespace};
use crate::rows::{ControlRow, MessageRow, erased};

/// The key under which [`Persist::heads`] lies in [`Namespace::Meta`].
pub const HEADS: &[u8] = b"heads";

impl MessageRow {
    /// A message that a room accepted now.
    pub fn of(message: &Message, now_ms: u64) -> Self {
        let event = &message.event;
        Self {
            device: event.device(),
            seq: event.seq(),
            id: event.id(),
            hlc: event.message().map_or(message.order, |header| header.hlc).0,
            order: message.order.max(Hlc(1)).0,
            received_ms: now_ms,
            covers_own: message.covers_own,
            // Of what is over nothing is opened ever.
            key: match message.verdict {
                Verdict::Faded => Some(erased()),
                _ => message.key.as_ref().map(|key| key.secret().clone()),
            },
            bytes: event.bytes().to_vec(),
            fades_ms: message.fades_ms,
        }
    }
}

impl ControlRow {
    /// A control event that a room accepted.
    pub fn of(event: &Event) -> Self {
        Self { device: event.device(), seq: event.seq(), id: event.id(), bytes: event.bytes().to_vec() }
    }
}

impl Batch {
    /// Adds what the machine wants kept beside the events.
    pub fn persist(&mut self, persist: Persist) -> &mut Self {
        if let Some(heads) = persist.heads {
            self.put(Namespace::Meta, HEADS, heads);
        }
        for (name, row) in persist.keys {
            match row {
                Some(row) => self.put(Namespace::Keys, &name, row.to_vec()),
                None => self.delete(Namespace::Keys, &name),
            };
        }
        for (hash, page) in persist.pages {
            self.page(hash, page);
        }
        self
    }
}
