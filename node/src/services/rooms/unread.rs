//! What waits to be read: counted exactly, and told to windows whenever it changes.
//!
//! Unread is a message of somebody else that is shown, says something, and either stands after the read mark or is *late*: it stood
//! before the mark already when it came, so that nobody can have read it. Late ones are stored with the message that they are, and are read
//! with the mark's next step. Our marker tells nobody that a late message was read: it says less until it was.
//!
//! Messages are counted as they come. What may change the count otherwise (the mark moved, somebody was removed or blocked)
//! counts anew from the store, a page at a time; what comes meanwhile is kept apart and added at the end, so nothing is missed and nothing
//! counted twice.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use parlor_api::{EventBody, PAGE_MAX, ReadAnswer};
use parlor_proto::body::Body;
use parlor_proto::event::Event;
use parlor_proto::hlc::Hlc;
use parlor_proto::room::{Message, Verdict};
use parlor_proto::{AccountId, DeviceId, EventId, RoomId};
use parlor_storage::{Batch, Cursor, MessageRow, Namespace, Position, ReadError, Store};

use super::entry::{Entry, Turn, damaged, names};
use super::message::Reply;
use super::views::open;
use super::worker::Context;
use crate::app::Answer;
use crate::limits::{LATE_MAX, UNREAD_MAX};

/// Where a message stands, as far as reading goes.
type Place = (u64, EventId);

/// A stored message, opened, and the path of its log that it is stored under.
type Found = (Place, DeviceId, Event, Option<Body>);

/// Messages that were not read.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    n: u64,
    mentions: u64,
    first: Option<Place>,
}

impl Tally {
    fn add(&mut self, place: Place, mention: bool) {
        self.n += 1;
        self.mentions += u64::from(mention);
        self.first = Some(self.first.map_or(place, |first| first.min(place)));
    }
}

/// A count under way.
#[derive(Default)]
struct Recount {
    number: u64,
    found: Tally,
    /// What came since it began; whether it is a mention.
    arrived: BTreeMap<Place, bool>,
    replies: Vec<Reply<ReadAnswer>>,
}

/// What waits to be read in a room.
#[derive(Default)]
pub(super) struct Unread {
    after: Tally,
    /// Late ones, the oldest [`LATE_MAX`] of them; whether each is a mention.
    late: BTreeMap<Place, bool>,
    recount: Option<Recount>,
    n_recounts: u64,
    /// As windows know it.
    told: Option<parlor_api::Unread>,
}

impl Unread {
    /// How many.
    pub(super) fn count(&self) -> u64 {
        (self.after.n + self.late.len() as u64).min(UNREAD_MAX)
    }

    /// As windows know it.
    pub(super) fn told(&self) -> parlor_api::Unread {
        self.told.clone().unwrap_or_default()
    }

    fn mentions(&self) -> u64 {
        (self.after.mentions + self.late.values().filter(|mention| **mention).count() as u64).min(UNREAD_MAX)
    }

    fn first(&self) -> Option<Place> {
        self.late.keys().next().copied().into_iter().chain(self.after.first).min()
    }

    /// Up to where everything was read, of what was read up to `order`.
    pub(super) fn wholly_read(&self, order: u64) -> Hlc {
        Hlc(self.late.keys().next().map_or(order, |(late, _)| order.min(late.saturating_sub(1))))
    }

    fn encode_late(&self) -> Vec<u8> {
        parlor_proto::codec::encode(&self.late.keys().map(|(_, id)| *id).collect::<Vec<_>>())
    }
}

impl Entry {
    /// Counts what was not read. Blocks.
    pub(super) fn count_unread(&mut self, context: &Context, store: &Store) -> Answer<()> {
        let id = self.room.id();
        let late = match store.get(Some(&id), Namespace::Meta, names::LATE).map_err(damaged)? {
            Some(bytes) => parlor_proto::codec::decode(&bytes, LATE_MAX * 32 + 16).unwrap_or_default(),
            None => Vec::new(),
        };
        for (place, path, event, body) in late_rows(store, &id, late)? {
            if let Some(mention) = self.calls(context, &path, &event, body.as_ref()) {
                self.unread.late.insert(place, mention);
            }
        }
        let mut next = Some(after(self.read.order)?);
        while let Some(cursor) = next.take().filter(|_| self.unread.after.n < UNREAD_MAX) {
            let (found, more) = page(store, &id, cursor)?;
            for (place, path, event, body) in found {
                if let Some(mention) = self.calls(context, &path, &event, body.as_ref()) {
                    self.unread.after.add(place, mention);
                }
            }
            next = more;
        }
        Ok(())
    }

    /// Whether a stored message is one to be read, and if so whether it mentions the user.
    fn calls(&self, context: &Context, path: &DeviceId, event: &Event, body: Option<&Body>) -> Option<bool> {
        let me = context.identity.account();
        let author = self.room.account_of(&event.device())?;
        let shown = self.room.verdict_on(event, path) == Verdict::Shown && !context.contacts.is_blocked(&author);
        (author != me && shown).then(|| mentions(body?, &me)).flatten()
    }
}

impl Turn<'_> {
    /// Whether a message that came is one to be read, and if so whether it mentions the user.
    fn calls(&self, message: &Message) -> Option<bool> {
        let me = self.context.identity.account();
        let shown = message.verdict == Verdict::Shown && !self.context.contacts.is_blocked(&message.author);
        (message.author != me && shown).then(|| mentions(message.body.as_ref()?, &me)).flatten()
    }

    /// A message is being stored: notes if it is late; whether it was.
    pub(super) fn note_late(&mut self, message: &Message) -> bool {
        if message.order.0 > self.entry.read.order || self.entry.unread.late.len() >= LATE_MAX {
            return false;
        }
        let Some(mention) = self.calls(message) else { return false };
        self.entry.unread.late.insert((message.order.0, message.event.id()), mention);
        // What was told of reading is told anew: it was not read.
        self.entry.throttle.touch();
        true
    }

    /// Puts what is late into a batch.
    pub(super) fn put_late(&self, batch: &mut Batch) {
        batch.put(Namespace::Meta, names::LATE, self.entry.unread.encode_late());
    }

    /// A message is part of the room now: counts it.
    pub(super) fn count(&mut self, message: &Message) {
        let Some(mention) = self.calls(message) else { return };
        let (place, unread) = ((message.order.0, message.event.id()), &mut self.entry.unread);
        if place.0 <= self.entry.read.order {
            return;
        }
        unread.after.add(place, mention);
        if let Some(recount) = &mut unread.recount {
            recount.arrived.insert(place, mention);
        }
    }

    /// Whether a message that is stored was read.
    pub(super) fn was_read(&self, order: u64, id: &EventId) -> bool {
        order <= self.entry.read.order && !self.entry.unread.late.contains_key(&(order, *id))
    }

    /// Whether something up to this place was not read.
    pub(super) fn waits_before(&self, order: u64) -> bool {
        self.entry.unread.late.keys().next().is_some_and(|(late, _)| *late <= order)
    }

    /// The user read up to this place: nothing before it is late any more.
    pub(super) fn read_late(&mut self, order: u64) {
        self.entry.unread.late.retain(|(late, _), _| *late > order);
    }

    /// Time passed: a mute may be over.
    pub(super) fn tick_wanted(&mut self) {
        let told = self.entry.unread.told.as_ref();
        if told.is_some_and(|told| told.attention != self.entry.wanted.view(self.now_ms)) {
            self.summarise();
        }
    }

    /// Counts anew, and answers whoever waits for that.
    pub(super) fn recount(&mut self, reply: Option<Reply<ReadAnswer>>) {
        let (room, order) = (self.id(), self.entry.read.order);
        let unread = &mut self.entry.unread;
        unread.n_recounts += 1;
        let number = unread.n_recounts;
        let mut replies = unread.recount.take().map(|recount| recount.replies).unwrap_or_default();
        replies.extend(reply);
        unread.recount = Some(Recount { number, replies, ..Recount::default() });
        let late: Vec<_> = unread.late.keys().map(|(_, id)| *id).collect();
        self.read(move |store| {
            let rows = late_rows(store, &room, late);
            let first = after(order).and_then(|cursor| page(store, &room, cursor));
            Box::new(move |turn| {
                if let Ok(rows) = rows {
                    let calls = |(_, path, event, body): &Found| {
                        turn.entry.calls(turn.context, path, event, body.as_ref()).is_some()
                    };
                    let gone: Vec<_> = rows.into_iter().filter(|found| !calls(found)).collect();
                    turn.entry.unread.late.retain(|place, _| !gone.iter().any(|(it, ..)| it == place));
                }
                turn.counted(number, first);
            })
        });
    }

    /// A page of a count was read.
    fn counted(&mut self, number: u64, page: Answer<(Vec<Found>, Option<Cursor>)>) {
        let Some(mut recount) = self.entry.unread.recount.take_if(|recount| recount.number == number) else { return };
        let (rows, next) = match page {
            Ok(page) => page,
            Err(problem) => {
                // What was counted before stands.
                return recount.replies.into_iter().for_each(|reply| drop(reply.send(Err(problem.clone()))));
            }
        };
        for (place, path, event, body) in rows {
            if let Some(mention) = self.entry.calls(self.context, &path, &event, body.as_ref())
                && !recount.arrived.contains_key(&place)
            {
                recount.found.add(place, mention);
            }
        }
        if let Some(cursor) = next.filter(|_| recount.found.n < UNREAD_MAX) {
            self.entry.unread.recount = Some(recount);
            let room = self.id();
            return self.read(move |store| {
                let page = self::page(store, &room, cursor);
                Box::new(move |turn| turn.counted(number, page))
            });
        }
        for (place, mention) in recount.arrived {
            recount.found.add(place, mention);
        }
        self.entry.unread.after = recount.found;
        self.summarise();
        for reply in recount.replies {
            let _ = reply.send(Ok(self.read_answer()));
        }
    }

    /// What waits here, told to windows when it is different.
    pub(super) fn tell_unread(&mut self) {
        let (room, unread) = (self.id(), &self.entry.unread);
        let first = unread.first().map(|(_, id)| id);
        let known = unread.told.as_ref().filter(|told| told.first_unread == first.map(|id| id.to_string()));
        let first_unread_order = match (known, first) {
            (Some(told), _) => told.first_unread_order.clone(),
            (None, Some(id)) => self.context.store.position(&room, &id).ok().flatten().map(|at| at.to_string()),
            (None, None) => None,
        };
        let now = parlor_api::Unread {
            room: room.to_string(),
            unread: unread.count(),
            mentions: unread.mentions(),
            first_unread: first.map(|id| id.to_string()),
            first_unread_order,
            read_up_to: self.entry.read.message.map(|id| id.to_string()),
            attention: self.entry.wanted.view(self.now_ms),
        };
        // At the start nobody knows anything yet: windows read the rooms first.
        let before = self.entry.unread.told.replace(now.clone());
        if before.is_some_and(|before| before != now) {
            self.publish(EventBody::Unread(Box::new(now)));
        }
    }
}

/// Whether a body is one to be read, and if so whether it mentions this account.
fn mentions(body: &Body, me: &AccountId) -> Option<bool> {
    match body {
        Body::Text(text) => Some(text.mentions.contains(me)),
        Body::File(files) => Some(files.mentions.contains(me)),
        Body::Poll(_) | Body::Group(_) | Body::Unknown { .. } => Some(false),
        // What is said about other messages is none.
        _ => None,
    }
}

/// What comes after everything of this order.
fn after(order: u64) -> Answer<Cursor> {
    Ok(Cursor::After(end_of(order)?))
}

/// The last place of this order.
pub(super) fn end_of(order: u64) -> Answer<Position> {
    let position = format!("{order:016x}{:f<24}", "").parse();
    position.map_err(|_| parlor_api::Problem::of(parlor_api::Code::Internal))
}

/// The next messages that can be read, oldest first, and what follows them.
fn page(store: &Store, room: &RoomId, cursor: Cursor) -> Answer<(Vec<Found>, Option<Cursor>)> {
    let page = store.page_readable(room, cursor, PAGE_MAX as usize).map_err(damaged)?;
    let next = page.rows.first().filter(|_| page.newer).map(|row| Cursor::After(row.position));
    Ok((page.rows.iter().filter_map(|row| found(room, &row.row)).collect(), next))
}

fn late_rows(store: &Store, room: &RoomId, ids: Vec<EventId>) -> Answer<Vec<Found>> {
    let mut rows = Vec::new();
    for id in ids {
        match store.message(room, &id) {
            // One that does not open any more keeps no room from being shown.
            Err(ReadError::Damaged(_)) => {}
            row => rows.extend(row.map_err(damaged)?.and_then(|row| found(room, &row))),
        }
    }
    Ok(rows)
}

fn found(room: &RoomId, row: &MessageRow) -> Option<Found> {
    row.key.as_ref()?;
    let event = Event::decode(room, &row.bytes).ok()?;
    let body = open(room, &event, row);
    Some(((row.order, row.id), row.device, event, body))
}
