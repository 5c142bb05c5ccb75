//! Promises of the task that holds rooms.

use std::collections::HashMap;

use futures::StreamExt;
use parlor_proto::RoomId;
use parlor_proto::control::Setting;
use parlor_proto::outbox::Outbox;

use super::Worker;
use crate::services::alone::Alone;
use crate::services::rooms::entry::Entry;
use crate::services::rooms::settle::Settle;

impl Worker {
    /// A worker beside that of the node, with a room as it is on the disk.
    pub(in crate::services::rooms) fn beside(alone: &Alone, room: RoomId) -> Self {
        let context = alone.app.node.context.clone();
        let rooms = HashMap::from([(room, Entry::load(&context, room).unwrap())]);
        Self::new(context, tokio::sync::mpsc::channel(1).1, rooms, Outbox::default())
    }

    /// Does all that is under way.
    pub(in crate::services::rooms) async fn rest(&mut self) {
        self.drain().await;
        while let Some((room, after)) = self.reads.next().await {
            self.turn(room, |turn| after(turn)).await;
            self.drain().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_refused_when_a_part_of_it_was_made_leaves_nothing_that_the_next_one_stands_on() {
    let alone = Alone::new().await;
    let context = alone.app.node.context.clone();
    let room: RoomId = alone.room.parse().unwrap();
    let mut worker = Worker::beside(&alone, room);
    let rename = |name: &str| vec![(Setting::Name, name.into())];
    let before = worker.rooms[&room].room.n_control();
    // Handed over, and not answered yet.
    let (told, mut was_told) = tokio::sync::oneshot::channel();
    let name = rename("before");
    worker
        .turn(room, |turn| {
            let outcome = turn.entry.room.set_state(name, turn.now_ms).unwrap();
            turn.commit(outcome, Settle::reply(|_, done| told.send(done.is_ok()).unwrap()));
        })
        .await;
    // Made, and not handed to the store.
    let name = rename("in part");
    worker.turn(room, |turn| drop(turn.entry.room.set_state(name, turn.now_ms).unwrap())).await;
    assert_eq!(worker.rooms[&room].room.n_control(), before + 1);
    assert_eq!(was_told.try_recv(), Ok(true), "what was stored did not fail with it");
    let name = rename("whole");
    worker
        .turn(room, |turn| {
            let outcome = turn.entry.room.set_state(name, turn.now_ms).unwrap();
            turn.commit(outcome, Settle::default());
        })
        .await;
    worker.drain().await;
    drop(worker);
    let stored = Entry::load(&context, room).unwrap();
    assert_eq!((stored.room.n_control(), stored.room.info().unwrap().name), (before + 2, "whole".to_owned()));
    alone.node.stop().await.unwrap();
}
