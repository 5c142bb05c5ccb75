//! The newest page first: what a member gave of the last messages stands in the history before the log reaches it.
//!
//! What may be shown so is judged by [`parlor_proto::room::Early`]; here it is asked for, answered to others, and put into pages of the
//! history where it stands. Nothing of it is stored, and nothing else of the node knows of it: it is counted, searched, called for and
//! delivered when the log has it, as every other message.

use std::collections::HashSet;

use parlor_api::{EventBody, MessageExpired};
use parlor_net::PeerId;
use parlor_proto::annotation::Annotation;
use parlor_proto::body::Body;
use parlor_proto::event::Event;
use parlor_proto::room::{Accepted, Change, Message};
use parlor_proto::sync::In as SyncIn;
use parlor_proto::wire::{Asked, MAX_NEWEST, Newest};
use parlor_proto::{DeviceId, EventId, RoomId, annotation, limits};
use parlor_storage::{Cursor, MessageRow, Page, Position, Store, TimelineRow};

use super::entry::Turn;
use super::settle::Settle;
use super::sight::Sight;
use crate::limits::EARLY_LOOK_MS;

/// What is said about one line of a page at most: a line with thousands of reactions leaves place for the others.
const SAID_MAX: usize = 32;

impl Turn<'_> {
    /// Asks a member who has much that is not here for the newest page, each once in a session, while none is shown.
    pub(super) fn ask_for_newest(&mut self) {
        let looked_lately = self.now_ms < self.entry.early_looked_ms.saturating_add(EARLY_LOOK_MS);
        let asks = self.entry.early_place.is_some();
        if looked_lately || asks || !self.entry.room.is_member() {
            return;
        }
        let tables = &self.entry.tables;
        let owes = |linked: &super::entry::Linked| linked.session.n_owed(tables) >= limits::EARLY_FROM;
        let asked = |linked: &super::entry::Linked| linked.asked_newest || linked.device.is_none();
        if !self.entry.sessions.values().any(|linked| !asked(linked) && owes(linked)) {
            return;
        }
        self.entry.early_looked_ms = self.now_ms;
        let members = self.entry.room.members();
        let devices: HashSet<DeviceId> =
            members.iter().flat_map(|member| member.devices.iter().map(|(device, _)| *device)).collect();
        let lacks = |linked: &super::entry::Linked| {
            !asked(linked) && linked.session.owes_messages(&devices, tables) >= limits::EARLY_FROM
        };
        let Some(peer) = self.entry.sessions.iter().find(|(_, linked)| lacks(linked)).map(|(peer, _)| *peer) else {
            return;
        };
        let Ok(place) = self.context.early_places.clone().try_acquire_owned() else { return };
        self.entry.early_place = Some(place);
        self.entry.sessions.entry(peer).and_modify(|linked| linked.asked_newest = true);
        self.session(peer, SyncIn::Ask(Asked::Newest));
    }

    /// A session is over: if it was asked, it will not answer.
    pub(super) fn asked_is_gone(&mut self) {
        if self.entry.early.is_empty() {
            self.entry.early_place = None;
        }
    }

    /// A peer asks for the newest page: a member gets it.
    pub(super) fn serve_newest(&mut self, peer: PeerId, id: u32, device: &DeviceId) {
        if !self.is_live(device) {
            return self.session(peer, SyncIn::Answer { id, bytes: None });
        }
        let (room, now_ms) = (self.id(), self.now_ms);
        self.read(move |store| {
            let bytes = newest(store, &room, now_ms).map(|page| page.encode());
            Box::new(move |turn| turn.session(peer, SyncIn::Answer { id, bytes }))
        });
    }

    /// A member gave its newest page, or did not.
    pub(super) fn on_newest(&mut self, peer: PeerId, bytes: Option<&[u8]>) {
        let room = self.id();
        let device = self.entry.sessions.get(&peer).and_then(|linked| linked.device);
        let events = bytes.map(|bytes| page_of(&room, bytes));
        match (events, device) {
            // Nobody honest makes such a page.
            (Some(None), _) => self.session(peer, SyncIn::Refused { batch: 0 }),
            (Some(Some(events)), Some(device)) => {
                self.entry.early.take(&mut self.entry.room, Some(device), events, self.now_ms);
            }
            _ => {}
        }
        self.early_changed(Vec::new());
    }

    /// Events came by sync or gossip: while a newest page is shown, so is what is said meanwhile.
    pub(super) fn hear_early(&mut self, events: Vec<Event>) {
        if self.entry.early.is_empty() {
            return;
        }
        let messages = events.into_iter().filter(|event| event.message().is_some()).collect();
        if self.entry.early.take(&mut self.entry.room, None, messages, self.now_ms) {
            self.early_changed(Vec::new());
        }
    }

    /// A batch is durable: what was early in it is so no more.
    pub(super) fn early_landed(&mut self, settle: &Settle) {
        if self.entry.early.is_empty() {
            return;
        }
        for accepted in &settle.accepted {
            self.entry.early.landed(&accepted.event().id());
        }
        let control = settle.accepted.iter().any(|accepted| matches!(accepted, Accepted::Control(_)));
        let keys = settle.changes.iter().any(|change| matches!(change, Change::Keys(_)));
        let gone = match control || keys {
            true => self.entry.early.look_again(&mut self.entry.room, self.now_ms),
            false => Vec::new(),
        };
        self.early_changed(gone);
    }

    /// A member holds no more messages than this device.
    pub(super) fn early_equal(&mut self, peer: PeerId) {
        let Some(device) = self.entry.sessions.get(&peer).and_then(|linked| linked.device) else { return };
        let nobody = self.entry.sessions.values().all(|linked| linked.session.n_owed(&self.entry.tables) == 0);
        let gone = self.entry.early.equal(&device, nobody);
        self.early_changed(gone);
    }

    /// Time passed.
    pub(super) fn tick_early(&mut self) {
        if self.entry.early.due().is_some_and(|due| due <= self.now_ms) {
            let gone = self.entry.early.expire(self.now_ms);
            self.early_changed(gone);
        }
    }

    /// Windows learn what is gone, and how many there are.
    fn early_changed(&mut self, gone: Vec<EventId>) {
        let room = self.id().to_string();
        for message in gone {
            self.publish(EventBody::MessageExpired(MessageExpired {
                message: message.to_string(),
                room: room.clone(),
            }));
        }
        if self.entry.early.is_empty() {
            self.entry.early_place = None;
        }
        self.tell_progress();
    }

    /// How many lines of the history are early.
    pub(super) fn n_early(&self) -> usize {
        self.entry.early.shown().filter(|message| is_line(message)).count()
    }

    /// The early lines of the history.
    pub(super) fn early_lines(&self) -> Vec<TimelineRow> {
        let lines = self.entry.early.shown().filter(|message| is_line(message));
        lines.filter_map(|message| self.early_row(&message.event.id())).collect()
    }

    /// An early message as a row of the store would be.
    pub(super) fn early_row(&self, id: &EventId) -> Option<TimelineRow> {
        let (message, came_ms) = self.entry.early.get(id)?;
        let (event, order) = (&message.event, message.order.0);
        let position = Position::unstored(&self.id(), &event.device(), order, event.seq());
        let row = MessageRow {
            device: event.device(),
            seq: event.seq(),
            id: *id,
            hlc: event.message()?.hlc.0,
            order,
            received_ms: came_ms,
            covers_own: 0,
            key: message.key.as_ref().map(|key| key.secret().clone()),
            bytes: event.bytes().to_vec(),
            fades_ms: message.fades_ms,
        };
        Some(TimelineRow { position, row })
    }

    /// Adds to what was read of the store what came early.
    pub(super) fn see_early(&self, sight: &mut Sight) {
        if self.entry.early.is_empty() {
            return;
        }
        sight.fill_in(|id| self.early_row(id));
        for message in self.entry.early.shown() {
            if let Some((target, said)) = self.early_said(message) {
                sight.say(&target, said);
            }
        }
    }

    fn early_said(&self, message: &Message) -> Option<(EventId, Annotation)> {
        Annotation::of(&message.event, message.author, message.body.as_ref()?)
    }
}

/// Whether a message is a line of the history, and no annotation.
fn is_line(message: &Message) -> bool {
    message.body.as_ref().is_some_and(|body| Body::target(body).is_none())
}

/// The events of a page; `None` if it is malformed.
fn page_of(room: &RoomId, bytes: &[u8]) -> Option<Vec<Event>> {
    let page = Newest::decode(bytes).ok()?;
    let event =
        |bytes: &parlor_proto::wire::Blob| Event::decode(room, &bytes.0).ok().filter(|event| event.message().is_some());
    page.0.iter().map(event).collect()
}

/// The newest messages of a room, the newest first, then what is said about them. Blocks.
fn newest(store: &Store, room: &RoomId, now_ms: u64) -> Option<Newest> {
    let page = store.page(room, Cursor::Newest, limits::NEWEST_LINES).ok()?;
    let lives = |row: &MessageRow| row.fades_ms.is_none_or(|fades_ms| fades_ms > now_ms);
    let lines: Vec<MessageRow> = page.rows.into_iter().map(|row| row.row).filter(lives).collect();
    let mut said: Vec<MessageRow> = Vec::new();
    for line in &lines {
        let list = annotation::about(&line.id);
        let about = store.remarks(room, &list, SAID_MAX).unwrap_or_default();
        for remark in about {
            let is_said = annotation::Kept::decode(&remark.value);
            if let Some(annotation::Kept::Said(_)) = is_said
                && said.len() + lines.len() < MAX_NEWEST
            {
                said.extend(store.message(room, &remark.id).ok().flatten().filter(lives));
            }
        }
    }
    // What is said about a line goes with it, so that nobody reads early what was deleted.
    Some(Newest::of(lines.into_iter().chain(said).map(|row| row.bytes)))
}

/// A page of the store with the early lines that stand on it. Those that the store holds by now are known by their ids.
pub(super) fn merged(page: Page, cursor: Cursor, limit: usize, mut early: Vec<TimelineRow>) -> Page {
    let Page { mut rows, mut older, mut newer } = page;
    let stored: HashSet<EventId> = rows.iter().map(|row| row.row.id).collect();
    let n_early = early.len();
    early.retain(|row| match cursor {
        Cursor::Before(at) => row.position < at,
        Cursor::After(at) => row.position > at,
        Cursor::Newest | Cursor::Around(_) => true,
    });
    // What was left out stands on the other side of where the page begins.
    match cursor {
        Cursor::Before(_) => newer |= early.len() < n_early,
        Cursor::After(_) => older |= early.len() < n_early,
        Cursor::Newest | Cursor::Around(_) => {}
    }
    // Where the store has more than the page, what stands beyond its edge belongs to another page.
    let (first, last) = (rows.first().map(|row| row.position), rows.last().map(|row| row.position));
    let reaches_up = cursor != Cursor::Newest && !matches!(cursor, Cursor::Before(_)) && newer;
    let reaches_down = !matches!(cursor, Cursor::After(_)) && older;
    early.retain(|row| {
        let beyond = reaches_up && first.is_none_or(|first| row.position > first)
            || reaches_down && last.is_some_and(|last| row.position < last);
        !beyond && !stored.contains(&row.row.id)
    });
    rows.extend(early);
    rows.sort_by_key(|row| std::cmp::Reverse(row.position));
    let from = match cursor {
        Cursor::Newest | Cursor::Before(_) => 0,
        Cursor::After(_) => rows.len().saturating_sub(limit),
        Cursor::Around(at) => {
            let middle = rows.iter().position(|row| row.position <= at).unwrap_or(rows.len());
            middle.saturating_sub(limit / 2).min(rows.len().saturating_sub(limit))
        }
    };
    let to = (from + limit).min(rows.len());
    newer |= from > 0;
    older |= to < rows.len();
    let rows = rows.get(from..to).map(<[TimelineRow]>::to_vec).unwrap_or_default();
    Page { rows, older, newer }
}

#[cfg(test)]
mod tests;
