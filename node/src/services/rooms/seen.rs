//! Messages by their places, as the search asks for them.

use std::collections::BTreeMap;

use parlor_api::Message;
use parlor_proto::body::Body;
use parlor_proto::event::Event;
use parlor_proto::{AccountId, RoomId};
use parlor_storage::{Position, ReadError, Store, TimelineRow};

use super::entry::{Turn, damaged};
use super::message::Reply;
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
                            shown: looked.shown,
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
            Err(error @ ReadError::Damaged(_)) => {
                tracing::warn!(room = %room.short(), %error, "a message can not be read");
            }
            Err(error) => return Err(damaged(error)),
        }
    }
    Ok(rows.into_values().collect())
}

fn row(store: &Store, room: &RoomId, place: Position, any: bool) -> Result<Option<TimelineRow>, ReadError> {
    let Some(row) = store.message_at(room, place)? else { return Ok(None) };
    let Some(target) = target(room, &row).filter(|_| any) else { return Ok(Some(row)) };
    let at = store.position(room, &target)?.zip(store.message(room, &target)?);
    Ok(at.map(|(position, row)| TimelineRow { position, row }))
}

/// What an annotation is about.
fn target(room: &RoomId, row: &TimelineRow) -> Option<parlor_proto::EventId> {
    let event = Event::decode(room, &row.row.bytes).ok()?;
    open(room, &event, &row.row).as_ref().and_then(Body::target)
}

#[cfg(test)]
mod tests {
    use parlor_crypto::vault::Vault;
    use parlor_storage::{Batch, OpenOptions};

    use super::*;
    use crate::account::rng;

    #[test]
    fn what_can_not_be_read_just_now_is_not_left_out() {
        let (dir, room) = (tempfile::tempdir().unwrap(), RoomId([1; 32]));
        let folder = dir.path().join("store");
        let store = Store::open(&folder, &Vault::generate(&mut rng()), OpenOptions { reserve_bytes: 0 }).unwrap();
        let mut batch = Batch::new(Some(room));
        batch.room(Vec::new());
        store.commit_blocking(batch).unwrap();
        let place = format!("{:040x}", 1).parse().unwrap();
        assert!(rows(&store, &room, &[place], true).unwrap().is_empty(), "nothing is there");
        // A write fails, and the log can not be opened again for a while.
        store.break_disk(0);
        std::fs::rename(&folder, dir.path().join("elsewhere")).unwrap();
        std::fs::write(&folder, b"").unwrap();
        let mut batch = Batch::new(Some(room));
        batch.room(vec![1]);
        assert!(store.commit_blocking(batch).is_err());
        assert!(rows(&store, &room, &[place], true).is_err());
    }
}
