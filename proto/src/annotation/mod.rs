//! Annotations: events that say something about another message, their target. Edits, deletions, reactions, votes, pins.
//!
//! What a message looks like is a pure function of the message and the set of its annotations ([`fold()`]): in whatever order
//! they come, also before their target, all members see the same. Of each a [`Remark`] is kept where its target finds it, of
//! every account so few that nobody makes a message slow to read: of what is kept in one place the greatest by clock and id
//! stay, which does not depend on the order either.

use serde::{Deserialize, Serialize};

use crate::body::{Body, Text};
use crate::codec;
use crate::event::Event;
use crate::hlc::Hlc;
use crate::ids::{AccountId, DeviceId, EventId};
use crate::limits::{MAX_EDITS, MAX_REACTIONS, MAX_REPEATED};

mod fold;
#[cfg(test)]
mod tests;

pub use self::fold::{Change, Deleted, Fold, Pinned, Weighed, Weight, fold};

/// Longest encoding of an [`Annotation`]: eight control heads, an emoji, the fixed fields.
const MAX_ANNOTATION: usize = 512;

/// What an annotation does to its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Gives it another text, which is in the event itself.
    Edit,
    /// Takes it back.
    Redact,
    /// Puts an emoji on it, or takes it off.
    React {
        /// Which.
        emoji: String,
        /// Whether it is put on.
        on: bool,
    },
    /// Chooses in a poll.
    Vote {
        /// As in [`Vote`](crate::body::Vote).
        choices: Vec<u8>,
    },
    /// Pins it, or takes the pin out.
    Pin {
        /// Whether it is pinned.
        on: bool,
    },
}

/// An annotation, with what is needed to judge whether it counts, without the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// The event.
    pub id: EventId,
    /// Its clock.
    pub hlc: Hlc,
    /// The device that wrote it,
    pub device: DeviceId,
    /// at this place of its log,
    pub seq: u64,
    /// of this account,
    pub author: AccountId,
    /// knowing these control events and what lies before them.
    pub control: Vec<EventId>,
    /// What it does.
    pub act: Act,
}

impl Annotation {
    /// What an event whose content is `body` says about another message, and about which; `None` if it is no annotation. The
    /// author is the account of its device in its own view.
    pub fn of(event: &Event, author: AccountId, body: &Body) -> Option<(EventId, Self)> {
        let header = event.message()?;
        let act = match body {
            Body::Edit(_) => Act::Edit,
            Body::Redact(_) => Act::Redact,
            Body::React(react) => Act::React { emoji: react.emoji.clone(), on: react.on },
            Body::Vote(vote) => Act::Vote { choices: vote.choices.clone() },
            Body::Pin(pin) => Act::Pin { on: pin.on },
            Body::Text(_) | Body::File(_) | Body::Poll(_) | Body::Group(_) | Body::Unknown { .. } => return None,
        };
        let annotation = Self {
            id: event.id(),
            hlc: header.hlc,
            device: header.device,
            seq: header.seq,
            author,
            control: header.control.clone(),
            act,
        };
        Some((body.target()?, annotation))
    }

    /// Where it is kept. `moderating` says whether its author could moderate in its own view, which never changes.
    pub fn remarks(&self, target: &EventId, moderating: bool) -> Vec<Remark> {
        let account = |class: u8| [&[class][..], &self.author.0].concat();
        let id = self.id.0.to_vec();
        let (slot, key, most) = match &self.act {
            Act::Edit => (account(b'e'), id, MAX_EDITS),
            // Of a device the first stay: those that lie inside whatever ends its account's right later.
            Act::Redact => ([&[b'd', u8::from(moderating)][..], &self.device.0].concat(), id, MAX_REPEATED),
            Act::React { emoji, .. } => (account(b'r'), emoji.as_bytes().to_vec(), MAX_REACTIONS),
            Act::Vote { .. } => (account(b'v'), id, MAX_REPEATED),
            Act::Pin { .. } => (account(b'p'), id, MAX_REPEATED),
        };
        let rank = if self.act == Act::Redact { !self.hlc.0 } else { self.hlc.0 };
        let value = codec::encode(&Kept::Said(self.clone()));
        let mut remarks =
            vec![Remark { list: about(target), slot: Slot::Named(slot), key, rank, id: self.id, most, value }];
        if moderating && matches!(self.act, Act::Pin { .. }) {
            let slot = Slot::Named(target.0.to_vec());
            let value = target.0.to_vec();
            remarks.push(Remark {
                list: PINS.to_vec(),
                slot,
                key: Vec::new(),
                rank: self.hlc.0,
                id: self.id,
                most: 1,
                value,
            });
        }
        remarks
    }
}

/// What is kept in the list of what is said about a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "nearly all are the large one")]
pub enum Kept {
    /// An annotation of it.
    Said(Annotation),
    /// That it began a thread.
    Thread,
    /// That it, or an edit of it, was written under keys that were not safe in its author's own view.
    Unsafe,
}

impl Kept {
    /// What a remark about a message holds.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        codec::decode(bytes, MAX_ANNOTATION).ok()
    }
}

/// What is kept of an event where somebody else looks for it: an entry in a place of a list. A place holds at most `most`
/// entries, of each key one: those with the greatest rank, of equal ones the greatest id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Name of the list.
    pub list: Vec<u8>,
    /// The place in it.
    pub slot: Slot,
    /// What of the place.
    pub key: Vec<u8>,
    /// Greater stays.
    pub rank: u64,
    /// The event.
    pub id: EventId,
    /// Entries of the place.
    pub most: u8,
    /// What is kept.
    pub value: Vec<u8>,
}

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// By name; in no order.
    Named(Vec<u8>),
    /// By time, for lists that are read in order: one event a place.
    At(u64),
}

/// The list of messages that were pinned some time: whether they are now, their own annotations say.
pub const PINS: &[u8] = b"pins";

/// The list of what is said about a message.
pub fn about(target: &EventId) -> Vec<u8> {
    [b"about", &target.0[..]].concat()
}

/// The list of the messages of a thread, by time.
pub fn thread(root: &EventId) -> Vec<u8> {
    [b"thread", &root.0[..]].concat()
}

/// What is kept of a text where its thread begins: an entry of the thread, and at its first message that there is one.
pub fn threaded(event: &Event, order: Hlc, text: &Text) -> Vec<Remark> {
    let Some(root) = &text.thread else { return Vec::new() };
    let (id, rank) = (event.id(), order.0);
    let of = |list, slot, value| Remark { list, slot, key: Vec::new(), rank, id, most: 1, value };
    vec![
        of(thread(root), Slot::At(order.0), id.0.to_vec()),
        of(about(root), Slot::Named(b"t".to_vec()), codec::encode(&Kept::Thread)),
    ]
}

/// What is kept of a message, or of an edit, that was written under keys that were not safe: at the message that is shown. An
/// edit needs the place of its author, or whoever writes many would push out what is said of the message itself. Of other
/// annotations nothing is kept: they show no text.
pub fn under_unsafe_keys(event: &Event, author: &AccountId, body: Option<&Body>) -> Option<Remark> {
    let header = event.message()?;
    let id = event.id();
    let of = |target: &EventId, slot, key, most| Remark {
        list: about(target),
        slot: Slot::Named(slot),
        key,
        rank: header.hlc.0,
        id,
        most,
        value: codec::encode(&Kept::Unsafe),
    };
    match body {
        Some(Body::Edit(edit)) => Some(of(&edit.target, [&b"u"[..], &author.0].concat(), id.0.to_vec(), MAX_EDITS)),
        Some(body) if body.target().is_some() => None,
        _ => Some(of(&id, b"u".to_vec(), Vec::new(), 1)),
    }
}

/// Puts an entry among those of its place; whether that changed anything. Whatever the order in which entries come, the same
/// ones stay.
pub fn put<E>(
    entries: &mut Vec<E>,
    entry: E,
    most: usize,
    key: impl Fn(&E) -> &[u8],
    rank: impl Fn(&E) -> (u64, EventId),
) -> bool {
    if let Some(at) = entries.iter().position(|known| key(known) == key(&entry)) {
        let later = entries.get(at).is_some_and(|known| rank(&entry) > rank(known));
        if later {
            entries.remove(at);
        } else {
            return false;
        }
    }
    let at = entries.partition_point(|known| rank(known) > rank(&entry));
    if at >= most {
        return false;
    }
    entries.insert(at, entry);
    entries.truncate(most);
    true
}
