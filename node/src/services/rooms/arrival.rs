//! A room that is new on this device: made here, or come into.

use parlor_proto::RoomId;
use parlor_proto::room::{Outcome, Room};
use parlor_storage::{Batch, Namespace};

use super::entry::{Entry, Turn};
use super::message::Reply;
use super::settle::Settle;
use super::worker::Worker;

impl Worker {
    /// Takes a room in and stores it. One of the same id that is here stays, unless it gives way.
    pub(super) async fn begin(&mut self, mut room: Box<Room>, outcome: Outcome, reply: Reply<()>) {
        let id = room.id();
        let guard = match self.may_begin(&id) {
            Ok(guard) => guard,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let held = self.rooms.get(&id).map(|entry| gives_way(&entry.room, &room));
        let mut batch = Batch::new(Some(id));
        match held {
            Some(false) => return drop(reply.send(Ok(()))),
            Some(true) => self.put_aside(id, &mut batch).await,
            None => {}
        }
        // The leaf key may have been replaced since the room was made.
        room.set_me(self.context.identity.now());
        self.rooms.insert(id, Entry { guard, ..Entry::new(*room) });
        self.turn(id, |turn| {
            turn.guard_again();
            turn.begin_new(batch, outcome, reply);
        })
        .await;
    }

    /// Makes place for another room of the same id: takes out what is in memory, and its keys with what is committed next.
    async fn put_aside(&mut self, room: RoomId, batch: &mut Batch) {
        self.take_out(room).await;
        let store = self.context.store.clone();
        let keys = tokio::task::spawn_blocking(move || store.scan(Some(&room), Namespace::Keys, &[])).await;
        let names = keys.into_iter().flatten().flatten();
        for (name, _) in names {
            batch.delete(Namespace::Keys, &name);
        }
    }
}

impl Worker {
    /// Takes a room out of memory. What it wrote last is on the disk then.
    pub(super) async fn take_out(&mut self, room: RoomId) {
        let Some(entry) = self.rooms.remove(&room) else { return };
        if let Some(noted) = entry.noted_ms {
            self.deadlines.remove(&(noted, room));
        }
        for peer in entry.sessions.keys() {
            let _ = self.context.net.disconnect(*peer).await;
        }
        // Its own batch may be on its way.
        self.settle_down().await;
        let _ = self.context.store.commit(Batch::new(None)).await;
    }
}

impl Turn<'_> {
    /// A room is new here: stores it, then others learn of it.
    fn begin_new(&mut self, mut batch: Batch, outcome: Outcome, reply: Reply<()>) {
        let begun = Settle::reply(|turn, done| {
            if done.is_ok() {
                turn.begin();
            }
            drop(reply.send(done));
        });
        // The record of the room and all that it needs to be restored are one batch.
        batch.room(Vec::new());
        self.commit_with(batch, outcome, begun);
    }
}

/// Whether a room that is here gives way to one that is to begin: it came by a Welcome, which whoever knows the id can make, and
/// nothing of it ever came that shows that the Welcome was true.
fn gives_way(held: &Room, new: &Room) -> bool {
    held.info().is_none() && (new.info().is_some() || held.topic_names() != new.topic_names())
}
