//! Reading the history: pages, single messages, the read marker.

use parlor_api::{Code, Message, PAGE_MAX, Page, Problem, ReadAnswer};
use parlor_proto::hlc::Hlc;
use parlor_proto::{EventId, RoomId};
use parlor_storage::{Batch, Cursor, Namespace, Position, Store, TimelineRow};

use super::early::merged;
use super::entry::{ReadMark, Turn, damaged, names};
use super::message::Reply;
use super::settle::Settle;
use super::sight::{Looked, Sight};
use crate::app::{Anchor, Answer};

impl Turn<'_> {
    /// A page of the timeline; with `system`, the log among the messages.
    pub(super) fn history(&mut self, anchor: Anchor, limit: u32, system: bool, reply: Reply<Page<Message>>) {
        let room = self.id();
        let limit = limit.clamp(1, PAGE_MAX) as usize;
        let anchor = if system { self.noted(anchor) } else { anchor };
        let (anchor, early) = (self.placed_early(anchor), self.early_lines());
        self.read(move |store| {
            let page = cursor(store, &room, &anchor).and_then(|cursor| {
                let (mut page, edges) = readable(store, &room, cursor, limit)?;
                if !early.is_empty() {
                    page = merged(page, cursor, limit, not_stored(store, &room, early)?);
                }
                Ok((cursor, page, edges))
            });
            let page =
                page.and_then(|(cursor, page, edges)| Ok((cursor, Sight::of(store, &room, &page.rows)?, page, edges)));
            Box::new(move |turn| match page {
                Err(problem) => drop(reply.send(Err(problem))),
                Ok((cursor, sight, page, edges)) => {
                    let stretch = Rows::of(&page, edges);
                    let rows = page.rows;
                    turn.when_seen(&rows, sight, move |turn, looked, sight| {
                        turn.erase_left(looked, &sight);
                        let view = match system {
                            false => turn.page_view(&stretch, looked, &sight),
                            true => turn.page_with_log(cursor, &stretch, looked, &sight, limit),
                        };
                        drop(reply.send(Ok(view)));
                    });
                }
            })
        });
    }

    /// The anchor, with the id of a note in it replaced by its place.
    fn noted(&self, anchor: Anchor) -> Anchor {
        placed(anchor, |id| self.entry.room.log_of(id).map(|line| self.note_view(&line).order))
    }

    /// The anchor, with the id of an early message in it replaced by its place.
    fn placed_early(&self, anchor: Anchor) -> Anchor {
        placed(anchor, |id| self.early_row(id).map(|row| row.position.to_string()))
    }

    /// A page of messages with the notes of the log that stand among them.
    fn page_with_log(
        &self,
        cursor: Cursor,
        page: &Rows,
        looked: &[Looked],
        sight: &Sight,
        limit: usize,
    ) -> Page<Message> {
        let view = |at: &Position| looked.iter().find(|looked| looked.position == *at);
        let shown = |at: &Position| view(at).map(|looked| Box::new(self.folded_view(looked, sight)));
        let mut lines: Vec<_> = page.places.iter().map(|at| (at.to_string(), shown(at))).collect();
        // Beyond the messages of the page there may be more: notes there belong to another page.
        let (from, to) = (page.older.map(|at| at.to_string()), page.newer.map(|at| at.to_string()));
        let (mut older, mut newer) = (from.is_some(), to.is_some());
        for (place, line) in self.placed_log() {
            let before = matches!(cursor, Cursor::Before(at) if place >= at.to_string());
            let after = matches!(cursor, Cursor::After(at) if place <= at.to_string());
            if before || to.as_ref().is_some_and(|to| place > *to) {
                newer = true;
            } else if after || from.as_ref().is_some_and(|from| place < *from) {
                older = true;
            } else {
                lines.push((place, Some(Box::new(self.note_view(&line)))));
            }
        }
        lines.sort_by(|a, b| b.0.cmp(&a.0));
        let most = match cursor {
            Cursor::After(_) => lines.len().saturating_sub(limit)..lines.len(),
            Cursor::Around(at) => {
                let middle = lines.iter().position(|(place, _)| *place <= at.to_string()).unwrap_or(lines.len());
                let first = middle.saturating_sub(limit / 2).min(lines.len().saturating_sub(limit));
                first..(first + limit).min(lines.len())
            }
            Cursor::Newest | Cursor::Before(_) => 0..limit.min(lines.len()),
        };
        // Of what was looked at nothing is left for another page, unless there were too many lines.
        let (from, to) = (from.filter(|_| most.end == lines.len()), to.filter(|_| most.start == 0));
        newer |= most.start > 0;
        older |= most.end < lines.len();
        let lines = lines.get(most).unwrap_or_default();
        let at = |line: Option<&(String, Option<Box<Message>>)>| line.map(|(place, _)| place.clone());
        Page {
            items: lines.iter().filter_map(|(_, view)| view.as_deref().cloned()).collect(),
            older: from.or_else(|| at(lines.last().filter(|_| older))),
            newer: to.or_else(|| at(lines.first().filter(|_| newer))),
            holes: if newer { Vec::new() } else { self.holes() },
        }
    }

    fn page_view(&self, page: &Rows, looked: &[Looked], sight: &Sight) -> Page<Message> {
        Page {
            items: looked.iter().map(|looked| self.folded_view(looked, sight)).collect(),
            older: page.older.map(|at| at.to_string()),
            newer: page.newer.map(|at| at.to_string()),
            holes: if page.newer.is_some() { Vec::new() } else { self.holes() },
        }
    }

    /// One message, or note of the log.
    pub(super) fn message(&mut self, id: EventId, reply: Reply<Message>) {
        if let Some(line) = self.entry.room.log_of(&id) {
            return drop(reply.send(Ok(self.note_view(&line))));
        }
        self.answer_message(id, reply);
    }

    /// Moves the read marker forward, to a message or to the newest.
    pub(super) fn mark_read(&mut self, message: Option<EventId>, reply: Reply<ReadAnswer>) {
        let room = self.id();
        // What is early is read when the log has it: a mark behind what is not here yet would call all of that late.
        let at_most = self.read_at_most();
        let message = message.filter(|id| self.entry.early.get(id).is_none());
        self.read(move |store| {
            let found = read_target(store, room, message, at_most);
            Box::new(move |turn| match found {
                Err(problem) => drop(reply.send(Err(problem))),
                Ok(Some(mark)) if mark.order > turn.entry.read.order || turn.waits_before(mark.order) => {
                    turn.store_read(mark, reply);
                }
                Ok(_) => drop(reply.send(Ok(turn.read_answer()))),
            })
        });
    }

    /// The mark moves at once, so that what comes from here on is late if it stands before it; others learn of it when it is
    /// durable, and the count is exact when that is answered.
    fn store_read(&mut self, mark: ReadMark, reply: Reply<ReadAnswer>) {
        self.read_late(mark.order);
        if mark.order > self.entry.read.order {
            self.entry.read = mark;
        }
        let mut batch = Batch::new(Some(self.id()));
        batch.put(Namespace::Meta, names::READ, parlor_proto::codec::encode(&self.entry.read));
        self.put_late(&mut batch);
        self.hand_over(
            batch,
            Settle::reply(move |turn, done| match done {
                Err(problem) => drop(reply.send(Err(problem))),
                Ok(()) => {
                    turn.entry.throttle.touch();
                    turn.recount(Some(reply));
                }
            }),
        );
    }

    pub(super) fn read_answer(&self) -> ReadAnswer {
        ReadAnswer {
            room: self.id().to_string(),
            message: self.entry.read.message.map(|id| id.to_string()),
            unread: self.entry.unread.count(),
        }
    }

    /// The newest message, for the list; once after loading.
    pub(super) fn load_last(&mut self) {
        let room = self.id();
        self.read(move |store| {
            let page = store.page_readable(&room, Cursor::Newest, 1).unwrap_or_default();
            Box::new(move |turn| {
                let looked = page.rows.first().and_then(|row| turn.look_at(row));
                let newest = looked.map(|looked| {
                    let sight = turn.look_now(&looked);
                    (looked.position, turn.folded_view(&looked, &sight))
                });
                if turn.entry.last.is_none() {
                    turn.entry.last = newest;
                }
                if turn.entry.sessions.is_empty() {
                    turn.note_whole();
                }
                turn.summarise();
            })
        });
    }
}

/// The anchor, with an id in it replaced by the place that is known of it.
fn placed(anchor: Anchor, place_of: impl Fn(&EventId) -> Option<String>) -> Anchor {
    let place = |text: String| text.parse().ok().and_then(|id| place_of(&id)).unwrap_or(text);
    match anchor {
        Anchor::Before(text) => Anchor::Before(place(text)),
        Anchor::After(text) => Anchor::After(place(text)),
        Anchor::Around(text) => Anchor::Around(place(text)),
        Anchor::Newest | Anchor::Since(_) => anchor,
    }
}

/// Those of these rows that the store does not hold by now.
fn not_stored(store: &Store, room: &RoomId, rows: Vec<TimelineRow>) -> Answer<Vec<TimelineRow>> {
    let held = |row: &TimelineRow| store.has(room, &row.row.id).map_err(damaged);
    rows.into_iter().filter_map(|row| held(&row).map(|held| (!held).then_some(row)).transpose()).collect()
}

/// Where the rows of a page stand, also those that are not shown, and where it goes on.
struct Rows {
    places: Vec<Position>,
    older: Option<Position>,
    newer: Option<Position>,
}

/// From where to where was looked in vain.
#[derive(Default)]
struct Edges {
    oldest: Option<Position>,
    newest: Option<Position>,
}

impl Rows {
    /// A page goes on where its rows end; one without any where looking ended, since beyond may be what can be read.
    fn of(page: &parlor_storage::Page, edges: Edges) -> Self {
        let places: Vec<_> = page.rows.iter().map(|row| row.position).collect();
        let (last, first) = (places.last().copied(), places.first().copied());
        Self {
            older: last.or(edges.oldest).filter(|_| page.older),
            newer: first.or(edges.newest).filter(|_| page.newer),
            places,
        }
    }
}

/// Pages looked through for readable messages in one go: a newcomer holds many messages from before it came, under keys
/// that it does not get. What follows is for whoever asks on.
const UNREADABLE_PAGES: usize = 20;

/// A page of the messages whose keys are known. Messages without key are passed over; without any that has one, from where to where.
fn readable(store: &Store, room: &RoomId, cursor: Cursor, limit: usize) -> Answer<(parlor_storage::Page, Edges)> {
    let mut page = store.page_readable(room, cursor, limit).map_err(damaged)?;
    let at = |row: Option<&TimelineRow>| row.map(|row| row.position);
    let mut edges = Edges { oldest: at(page.rows.last()), newest: at(page.rows.first()) };
    page.rows.retain(|row| row.row.key.is_some());
    if matches!(cursor, Cursor::Around(_)) {
        return Ok((page, edges));
    }
    let forward = matches!(cursor, Cursor::After(_));
    for _ in 0..UNREADABLE_PAGES {
        let more = if forward { page.newer } else { page.older };
        let edge = if forward { edges.newest.map(Cursor::After) } else { edges.oldest.map(Cursor::Before) };
        let Some(from) = edge.filter(|_| more && page.rows.is_empty()) else { break };
        let mut next = store.page_readable(room, from, PAGE_MAX as usize).map_err(damaged)?;
        let (oldest, newest) = (at(next.rows.last()), at(next.rows.first()));
        next.rows.retain(|row| row.row.key.is_some());
        if forward {
            edges.newest = newest.or(edges.newest);
            let cut = next.rows.len().saturating_sub(limit);
            page = parlor_storage::Page { rows: next.rows.split_off(cut), older: true, newer: next.newer || cut > 0 };
        } else {
            edges.oldest = oldest.or(edges.oldest);
            let cut = next.rows.len() > limit;
            next.rows.truncate(limit);
            page = parlor_storage::Page { rows: next.rows, older: next.older || cut, newer: page.newer };
        }
    }
    Ok((page, edges))
}

/// Where the read marker goes: to this message or the newest one, or to the last that stands no later than `at_most`. Nowhere in a room
/// without messages.
fn read_target(
    store: &Store,
    room: RoomId,
    message: Option<EventId>,
    at_most: Option<u64>,
) -> Answer<Option<ReadMark>> {
    let last = |cursor| store.page_readable(&room, cursor, 1).map(|page| page.rows.into_iter().next()).map_err(damaged);
    let mut row = match message {
        Some(id) => Some(timeline_row(store, &room, &id)?.ok_or_else(no_message)?),
        None => last(Cursor::Newest)?,
    };
    if let Some(at_most) = at_most
        && row.as_ref().is_some_and(|row| row.row.order > at_most)
    {
        row = last(Cursor::Before(super::unread::end_of(at_most)?))?;
    }
    Ok(row.map(|row| ReadMark { order: row.row.order, message: Some(row.row.id) }))
}

/// As [`timeline_row`], of one beside those that are asked for: that it does not open takes none of them along.
pub(super) fn readable_row(store: &Store, room: &RoomId, id: &EventId) -> Answer<Option<TimelineRow>> {
    timeline_row(store, room, id).or_else(|problem| match problem.code {
        Code::HomeDamaged => {
            tracing::warn!(room = %room.short(), message = %id, %problem, "a message can not be read");
            Ok(None)
        }
        _ => Err(problem),
    })
}

pub(super) fn timeline_row(store: &Store, room: &RoomId, id: &EventId) -> Answer<Option<TimelineRow>> {
    let position = store.position(room, id).map_err(damaged)?;
    let row = store.message(room, id).map_err(damaged)?;
    Ok(position.zip(row).map(|(position, row)| TimelineRow { position, row }))
}

/// The place of a message, or that a cursor names.
pub(super) fn place(store: &Store, room: &RoomId, text: &str) -> Answer<Position> {
    if let Ok(position) = text.parse() {
        return Ok(position);
    }
    let id: EventId = text.parse().map_err(|_| {
        Problem::new(Code::BadRequest, "not a message id and not a cursor").hint("take one from the answer before")
    })?;
    store.position(room, &id).map_err(damaged)?.ok_or_else(no_message)
}

fn cursor(store: &Store, room: &RoomId, anchor: &Anchor) -> Answer<Cursor> {
    let place = |text: &str| place(store, room, text);
    Ok(match anchor {
        Anchor::Newest => Cursor::Newest,
        Anchor::Before(text) => Cursor::Before(place(text)?),
        Anchor::After(text) => Cursor::After(place(text)?),
        Anchor::Around(text) => Cursor::Around(place(text)?),
        Anchor::Since(ms) => Cursor::After(place(&format!("{:016x}{:024x}", Hlc::at(*ms).0, 0))?),
    })
}

fn no_message() -> Problem {
    Problem::of(Code::MessageNotFound)
}

#[cfg(test)]
mod tests;
