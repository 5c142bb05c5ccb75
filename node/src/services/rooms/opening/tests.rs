//! Promises about messages that came before their keys.

use parlor_proto::body::Body;
use parlor_proto::{EventId, RoomId};
use parlor_storage::{Batch, MessageRow, Namespace};

use crate::account::rng;
use crate::services::alone::Alone;
use crate::services::rooms::entry::{Entry, names};
use crate::services::rooms::settle::Settle;
use crate::services::rooms::worker::Worker;

/// Two messages whose keys did not come with them.
async fn unread(alone: &Alone, room: RoomId) -> Vec<EventId> {
    let context = alone.app.node.context.clone();
    let mut entry = Entry::load(&context, room).unwrap();
    let mut batch = Batch::new(Some(room));
    let mut ids = Vec::new();
    for text in ["one", "two"] {
        let now_ms = crate::clock::now_ms();
        let message = entry.room.write(&Body::text(text), now_ms, &mut rng()).unwrap().message;
        ids.push(message.event.id());
        batch.message(MessageRow { key: None, ..MessageRow::of(&message, now_ms) });
    }
    context.store.commit(batch).await.unwrap();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_whose_keys_came_are_opened_also_if_the_program_ended_before_it_came_to_that() {
    let alone = Alone::new().await;
    let room: RoomId = alone.room.parse().unwrap();
    let ids = unread(&alone, room).await;
    let store = alone.app.node.context.store.clone();
    let opened = || ids.iter().filter(|id| store.message(&room, id).unwrap().unwrap().key.is_some()).count();
    let noted = || store.get(Some(&room), Namespace::Meta, names::OPENING).unwrap().is_some();
    // New keys, durable; what they open was not read yet.
    let mut first = Worker::beside(&alone, room);
    first
        .turn(room, |turn| {
            let outcome = turn.entry.room.rotate(turn.now_ms, &mut rng()).unwrap();
            turn.commit(outcome, Settle::default());
        })
        .await;
    first.drain().await;
    drop(first);
    assert_eq!((opened(), noted()), (0, true));
    let mut second = Worker::beside(&alone, room);
    second.turn(room, |turn| turn.begin()).await;
    second.rest().await;
    assert_eq!((opened(), noted()), (2, false));
    alone.node.stop().await.unwrap();
}
