//! Messages by their places, as the search asks for them.

use std::collections::BTreeMap;

use parlor_api::{Code, Message};
use parlor_proto::body::Body;
use parlor_proto::event::Event;
use parlor_proto::{AccountId, RoomId};
use parlor_storage::{Position, Store, TimelineRow};

use super::entry::{Turn, damaged};
use super::message::Reply;
use super::reads::timeline_row;
use super::sight::{Looked, Sight};
use super::views::open;
use crate::app::Answer;

/// A message as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Where it stands.
    pub(crate) position: Position,
    /// Who wrote it.
    pub(crate) author: AccountId,
    /// Whether windows show it: nobody who is blocked wrote it, and whoever did might.
    pub(crate) shown: bool,
    /// As windows see it.
    pub(crate) message: Message,
}

impl Turn<'_> {
    /// The messages at these places as they are now, in no order. With `any` also those that are not shown now, and in the place of
    /// an annotation what it is about; without it those that are shown only. What can not be read is left out.
    pub(super) fn seen(&mut self, places: Vec<Position>, any: bool, reply: Reply<Vec<Seen>>) {
        let room = self.id();
        self.read(move |store| {
            let rows = rows(store, &room, &places, any);
            let found = rows.and_then(|rows| Sight::of(store, &room, &rows).map(|sight| (rows, sight)));
            Box::new(move |turn| match found {
                Err(problem) => drop(reply.send(Err(problem))),
                Ok((rows, sight)) => {
                    let look = |row| if any { turn.look_at_any(row) } else { turn.look_at(row) };
                    let looked: Vec<Looked> = rows.iter().filter_map(look).collect();
                    turn.see_all(looked, sight, move |turn, looked, sight| {
                        let seen = looked.iter().map(|looked| Seen {
                            position: looked.position,
                            author: looked.author,
                            shown: turn.shows(&looked.event),
                            message: turn.folded_view(looked, &sight),
                        });
                        drop(reply.send(Ok(seen.collect())));
                    });
                }
            })
        });
    }
}

/// The rows at these places; with `any` those that annotations among them are about. Blocks.
fn rows(store: &Store, room: &RoomId, places: &[Position], any: bool) -> Answer<Vec<TimelineRow>> {
    let mut rows = BTreeMap::new();
    for place in places {
        match row(store, room, *place, any) {
            Ok(row) => rows.extend(row.map(|row| (row.position, row))),
            // One that does not open any more takes none of the others along.
            Err(problem) if problem.code == Code::HomeDamaged => {
                tracing::warn!(room = %room.short(), %problem, "a message can not be read");
            }
            Err(problem) => return Err(problem),
        }
    }
    Ok(rows.into_values().collect())
}

fn row(store: &Store, room: &RoomId, place: Position, any: bool) -> Answer<Option<TimelineRow>> {
    let Some(row) = store.message_at(room, place).map_err(damaged)? else { return Ok(None) };
    match target(room, &row).filter(|_| any) {
        Some(target) => timeline_row(store, room, &target),
        None => Ok(Some(row)),
    }
}

/// What an annotation is about.
fn target(room: &RoomId, row: &TimelineRow) -> Option<parlor_proto::EventId> {
    let event = Event::decode(room, &row.row.bytes).ok()?;
    open(room, &event, &row.row).as_ref().and_then(Body::target)
}
