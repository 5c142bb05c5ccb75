//! Messages as they go into an export: as they were signed, with their keys, and as windows show them.

use std::collections::HashMap;

use parlor_api::ExportedEvent;
use parlor_proto::body::Body;
use parlor_proto::event::Event;
use parlor_proto::room::Verdict;
use parlor_proto::{EventId, RoomId};
use parlor_storage::{Position, Store, TimelineRow};

use super::entry::{Turn, damaged};
use super::message::Reply;
use super::reads::readable_row;
use super::sight::{Looked, Sight};
use super::views::open;
use crate::app::Answer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A stretch of the messages of a room, oldest first, and where the next one begins.
pub(crate) struct Stretch {
    /// The messages.
    pub(crate) events: Vec<ExportedEvent>,
    /// The place of the last one, if there may be more.
    pub(crate) next: Option<Position>,
}

/// What was read: rows, what each annotation is about, and the rows of those.
struct Rows {
    rows: Vec<TimelineRow>,
    targets: HashMap<EventId, EventId>,
    looked_at: Vec<TimelineRow>,
    sight: Sight,
}

impl Turn<'_> {
    /// The messages after a place, with what was said about messages among them.
    pub(super) fn exported(&mut self, after: Option<Position>, limit: usize, reply: Reply<Stretch>) {
        let room = self.id();
        self.read(move |store| {
            let read = read(store, &room, after, limit);
            Box::new(move |turn| match read {
                Err(problem) => drop(reply.send(Err(problem))),
                Ok(Rows { rows, targets, looked_at, sight }) => {
                    let looked: Vec<Looked> = looked_at.iter().filter_map(|row| turn.look_at(row)).collect();
                    turn.see_all(looked, sight, move |turn, looked, sight| {
                        let views: HashMap<EventId, _> =
                            looked.iter().map(|it| (it.event.id(), turn.folded_view(it, &sight))).collect();
                        let event = |row: &TimelineRow| {
                            let about = targets.get(&row.row.id).unwrap_or(&row.row.id);
                            let view = views.get(about).filter(|view| !view.deleted);
                            let shown = turn.is_shown(row);
                            let key = row.row.key.as_ref().filter(|_| shown && view.is_some() && !row.row.is_erased());
                            ExportedEvent {
                                event: URL_SAFE_NO_PAD.encode(&row.row.bytes),
                                key: key.map(|key| URL_SAFE_NO_PAD.encode(key.expose())),
                                message: views.get(&row.row.id).cloned(),
                            }
                        };
                        let next = rows.last().filter(|_| rows.len() >= limit).map(|row| row.position);
                        drop(reply.send(Ok(Stretch { events: rows.iter().map(event).collect(), next })));
                    });
                }
            })
        });
    }

    fn is_shown(&self, row: &TimelineRow) -> bool {
        let event = Event::decode(&self.id(), &row.row.bytes).ok();
        let shows = |event: &Event| self.entry.room.verdict_on(event, &row.row.device) == Verdict::Shown;
        event.is_some_and(|it| shows(&it) && !self.is_of_blocked(&it.device()))
    }
}

/// Blocks.
fn read(store: &Store, room: &RoomId, after: Option<Position>, limit: usize) -> Answer<Rows> {
    let rows = store.walk(room, after, limit).map_err(damaged)?;
    let (mut targets, mut looked_at) = (HashMap::new(), HashMap::new());
    for row in &rows {
        let target = Event::decode(room, &row.row.bytes).ok().and_then(|event| open(room, &event, &row.row));
        match target.as_ref().and_then(Body::target) {
            Some(target) => {
                targets.insert(row.row.id, target);
                if let Some(row) = readable_row(store, room, &target)? {
                    looked_at.insert(target, row);
                }
            }
            None => drop(looked_at.insert(row.row.id, row.clone())),
        }
    }
    let looked_at: Vec<_> = looked_at.into_values().collect();
    let sight = Sight::of(store, room, &looked_at)?;
    Ok(Rows { rows, targets, looked_at, sight })
}
