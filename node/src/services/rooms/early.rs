//! The newest page first: what a member gave of the last messages stands in the history before the log reaches it.
//!
//! What may be shown so is judged by [`parlor_proto::room::Early`]; here it is asked for, answered to others, and put into pages of the
//! history where it stands. Nothing of it is stored, and nothing else of the node knows of it: it is counted, searched, called for and
//! delivered when the log has it, as every other message.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

use parlor_api::{EventBody, MessageExpired};
use parlor_net::PeerId;
use parlor_proto::annotation::{Act, Annotation};
use parlor_proto::body::Body;
use parlor_proto::event::Event;
use parlor_proto::room::{Accepted, Change, Message, Verdict};
use parlor_proto::sync::In as SyncIn;
use parlor_proto::wire::{Asked, Newest, NewestPage};
use parlor_proto::{DeviceId, EventId, RoomId, annotation, limits};
use parlor_storage::{Cursor, MessageRow, Page, Position, Store, TimelineRow};
use tokio::sync::OwnedSemaphorePermit;

use super::entry::{Turn, damaged};
use super::settle::Settle;
use super::sight::Sight;
use super::views::open;
use crate::app::Answer;
use crate::limits::EARLY_LOOK_MS;

/// The place of a room with early messages in memory.
pub(super) struct EarlyPlace {
    /// Who was asked for them and has not answered yet.
    asked: Option<PeerId>,
    _place: OwnedSemaphorePermit,
}

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
        self.entry.early_place = Some(EarlyPlace { asked: Some(peer), _place: place });
        self.entry.sessions.entry(peer).and_modify(|linked| linked.asked_newest = true);
        self.session(peer, SyncIn::Ask(Asked::Newest));
    }

    /// A session is over: if it was asked, it will not answer.
    pub(super) fn asked_is_gone(&mut self, peer: PeerId) {
        if let Some(place) = &mut self.entry.early_place {
            place.asked.take_if(|asked| *asked == peer);
        }
        self.free_early_place();
    }

    /// The place is needed no more when nothing is early and nobody is asked.
    fn free_early_place(&mut self) {
        let empty = self.entry.early.is_empty();
        self.entry.early_place.take_if(|place| empty && place.asked.is_none());
    }

    /// A peer asks for the newest page: a member gets it.
    pub(super) fn serve_newest(&mut self, peer: PeerId, id: u32, device: &DeviceId) {
        if !self.is_live(device) {
            return self.session(peer, SyncIn::Answer { id, bytes: None });
        }
        let (room, now_ms) = (self.id(), self.now_ms);
        self.read(move |store| {
            let lines = newest_lines(store, &room, now_ms);
            Box::new(move |turn| match lines {
                Err(_) => turn.session(peer, SyncIn::Answer { id, bytes: None }),
                Ok((lines, sight)) => turn.with_paths(sight, move |turn, sight| {
                    let lines = lines.iter().filter_map(|line| turn.line_to_give(line, &sight)).collect::<Vec<_>>();
                    turn.read(move |store| {
                        let page = newest(store, &room, now_ms, lines).encode();
                        Box::new(move |turn| turn.session(peer, SyncIn::Answer { id, bytes: Some(page) }))
                    });
                }),
            })
        });
    }

    /// A line as it goes into a page, with what is said about it; `None` of what is hidden or deleted: who gets the page could not tell,
    /// for what hid it may stand in a log that he does not have yet. Whom this user has blocked counts as for everybody.
    fn line_to_give(&self, line: &TimelineRow, sight: &Sight) -> Option<Line> {
        let room = &self.entry.room;
        let event = Event::decode(&room.id(), &line.row.bytes).ok()?;
        if room.verdict_on(&event, &line.row.device) != Verdict::Shown {
            return None;
        }
        let author = room.writer_of(&event)?;
        let body = open(&room.id(), &event, &line.row);
        let said = sight.about(&line.row.id).map(|about| about.annotations.as_slice()).unwrap_or_default();
        let weighed = said.iter().map(|said| (said.clone(), room.weigh(said, sight.path(&said.id), &author)));
        let fold = annotation::fold(&author, body.as_ref(), weighed);
        let edit = fold.edits.last().map(|edit| edit.id);
        let mut others: Vec<_> = said.iter().filter(|said| Some(said.id) != edit && said.act != Act::Redact).collect();
        others.sort_by_key(|said| Reverse((said.hlc, said.id)));
        let others = others.into_iter().map(|said| said.id).take(SAID_MAX).collect();
        fold.deleted.is_none().then(|| Line { bytes: line.row.bytes.clone(), edit, others })
    }

    /// A member gave its newest page, or did not.
    pub(super) fn on_newest(&mut self, peer: PeerId, bytes: Option<&[u8]>) {
        let place = self.entry.early_place.as_mut();
        let asked = place.and_then(|place| place.asked.take_if(|asked| *asked == peer)).is_some();
        let room = self.id();
        let device = self.entry.sessions.get(&peer).and_then(|linked| linked.device);
        let events = bytes.map(|bytes| page_of(&room, bytes));
        match (events, device) {
            // Nobody honest makes such a page.
            (Some(None), _) => self.session(peer, SyncIn::Refused { batch: 0 }),
            (Some(Some(events)), Some(device)) if asked => {
                self.entry.early.take(&mut self.entry.room, Some(device), events, self.now_ms);
            }
            _ => {}
        }
        self.early_changed(Vec::new());
        // If it gave nothing, another one is asked.
        self.ask_for_newest();
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
        if nobody {
            self.note_whole();
        }
        let gone = self.entry.early.equal(&device, nobody);
        self.early_changed(gone);
    }

    /// Time passed.
    pub(super) fn tick_early(&mut self) {
        if self.entry.early.due().is_some_and(|due| due <= self.now_ms) {
            let mut gone = self.entry.early.expire(self.now_ms);
            gone.extend(self.entry.early.look_again(&mut self.entry.room, self.now_ms));
            self.early_changed(gone);
        }
    }

    /// Windows learn what is gone, what looks otherwise, and how many there are.
    fn early_changed(&mut self, gone: Vec<Message>) {
        let room = self.id().to_string();
        let news = self.entry.early.news();
        let mut targets = BTreeSet::new();
        for message in &gone {
            let message_id = message.event.id().to_string();
            match target_of(message) {
                Some(target) => drop(targets.insert(target)),
                None => {
                    self.publish(EventBody::MessageExpired(MessageExpired { message: message_id, room: room.clone() }))
                }
            }
        }
        let said = news.iter().filter_map(|id| target_of(self.entry.early.get(id)?.0));
        targets.extend(said.filter(|target| !news.contains(target)));
        targets.into_iter().for_each(|target| self.touch(target));
        self.free_early_place();
        self.tell_progress();
    }

    /// Behind which order the read mark may not stand, while early messages are shown: nobody has read what comes between what was
    /// here when nothing was missing and the first of them.
    pub(super) fn read_at_most(&self) -> Option<u64> {
        let first = self.early_lines().into_iter().map(|row| row.row.order).min()?;
        Some(self.entry.whole_to.min(first.saturating_sub(1)))
    }

    /// Nothing is known to be missing: everything up to the last line is here.
    pub(super) fn note_whole(&mut self) {
        self.entry.whole_to = self.entry.last.as_ref().map_or(0, |(at, _)| at.order());
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

/// What a message is about, if it is an annotation.
fn target_of(message: &Message) -> Option<EventId> {
    message.body.as_ref().and_then(Body::target)
}

/// The events of a page; `None` if it is malformed.
fn page_of(room: &RoomId, bytes: &[u8]) -> Option<Vec<Event>> {
    let page = Newest::decode(bytes).ok()?;
    let event =
        |bytes: &parlor_proto::wire::Blob| Event::decode(room, &bytes.0).ok().filter(|event| event.message().is_some());
    page.0.iter().map(event).collect()
}

/// A line of a page that is given.
struct Line {
    bytes: Vec<u8>,
    /// The text that it has now.
    edit: Option<EventId>,
    /// What else is said about it, the newest first.
    others: Vec<EventId>,
}

/// The newest messages of a room, the newest first, and what is said about them. Blocks.
fn newest_lines(store: &Store, room: &RoomId, now_ms: u64) -> Answer<(Vec<TimelineRow>, Sight)> {
    let mut rows = store.page_readable(room, Cursor::Newest, limits::NEWEST_LINES).map_err(damaged)?.rows;
    rows.retain(|row| row.row.fades_ms.is_none_or(|fades_ms| fades_ms > now_ms));
    let sight = Sight::of(store, room, &rows)?;
    Ok((rows, sight))
}

/// The page with these lines: each with the text that it has now, then what else is said about them. Blocks.
fn newest(store: &Store, room: &RoomId, now_ms: u64, lines: Vec<Line>) -> Newest {
    let find = |id: &EventId| {
        let row = store.message(room, id).ok().flatten()?;
        row.fades_ms.is_none_or(|fades_ms| fades_ms > now_ms).then_some(row.bytes)
    };
    let mut page = NewestPage::default();
    let mut others = Vec::new();
    for line in lines {
        let edit = line.edit.as_ref().and_then(find);
        // Without the text that it has now a line would say what its author took back.
        if edit.is_some() == line.edit.is_some() && page.add([line.bytes].into_iter().chain(edit)) {
            others.extend(line.others);
        }
    }
    for other in others.iter().filter_map(find) {
        if !page.add([other]) {
            break;
        }
    }
    page.page()
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
