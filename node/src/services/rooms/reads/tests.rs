//! Reading back over what nobody here has keys of.

use parlor_api::{Message, Page, SendRequest};
use parlor_proto::body::Body;
use parlor_storage::{Batch, MessageRow};

use super::*;
use crate::account::rng;
use crate::services::alone::Alone;
use crate::services::rooms::entry::Entry;

/// A room with these stretches of messages, `true` for those whose keys are here.
async fn with_stretches(stretches: &[(usize, bool)]) -> (Alone, Vec<String>) {
    let alone = Alone::new().await;
    let (id, context) = (alone.room.parse().unwrap(), alone.app.node.context.clone());
    let mut entry = Entry::load(&context, id).unwrap();
    let (mut readable, mut now_ms) = (Vec::new(), crate::clock::now_ms());
    for (n, known) in stretches {
        let mut batch = Batch::new(Some(id));
        for _ in 0..*n {
            now_ms += 1;
            let body = Body::text(format!("message {now_ms}"));
            let message = entry.room.write(&body, now_ms, &mut rng()).unwrap().message;
            readable.extend(known.then(|| message.event.id().to_string()));
            let row = MessageRow::of(&message, now_ms);
            batch.message(MessageRow { key: row.key.clone().filter(|_| *known), ..row });
        }
        context.store.commit(batch).await.unwrap();
    }
    (alone, readable)
}

/// The messages that are met from an anchor on, in one direction; and how often was asked.
async fn met(alone: &Alone, first: Anchor, next: fn(&Page<Message>) -> Option<Anchor>) -> (Vec<String>, usize) {
    let (mut met, mut asked, mut anchor) = (Vec::new(), 0, Some(first));
    while let Some(at) = anchor.take() {
        let page = alone.app.history(&alone.room, at, 50, asked % 2 == 1).await.unwrap();
        assert!(asked < 50, "it ends");
        asked += 1;
        anchor = next(&page);
        met.extend(page.items.into_iter().filter(|line| !line.text.is_empty()).map(|message| message.message));
    }
    (met, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_messages_without_a_key_stand_between_what_is_older_and_newer_is_reached() {
    let (alone, mut readable) = with_stretches(&[(3, true), (4_500, false), (1, true), (2_100, false)]).await;
    let older = |page: &Page<Message>| page.older.clone().map(Anchor::Before);
    let newer = |page: &Page<Message>| page.newer.clone().map(Anchor::After);
    let page = alone.app.history(&alone.room, Anchor::Before(readable[3].clone()), 50, false).await.unwrap();
    assert!(page.items.is_empty() && page.older.is_some() && page.newer.is_some(), "an empty page is no end");
    let mut upwards = met(&alone, Anchor::After(readable[0].clone()), newer).await.0;
    upwards.retain(|id| *id != readable[3]);
    assert_eq!(upwards, [readable[2].clone(), readable[1].clone()]);
    readable.reverse();
    assert_eq!(met(&alone, Anchor::Newest, older).await.0, readable);
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_open_of_a_message_or_of_what_is_said_about_it_takes_nothing_else_along() {
    let alone = Alone::new().await;
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        ids.push(alone.write(text).await);
    }
    alone.app.say(&alone.room, &ids[2], crate::app::Say::React("\u{1f44d}".to_owned(), true), None).await.unwrap();
    let answer = SendRequest { text: "four".into(), reply_to: Some(ids[1].clone()), ..SendRequest::default() };
    alone.send(answer).await;
    let (store, room) = (&alone.app.node.context.store, alone.room.parse::<parlor_proto::RoomId>().unwrap());
    let ids: Vec<parlor_proto::EventId> = ids.iter().map(|id| id.parse().unwrap()).collect();
    store.damage_message(&room, store.position(&room, &ids[1]).unwrap().unwrap()).unwrap();
    store.damage_remarks(&room, &parlor_proto::annotation::about(&ids[2])).unwrap();
    let page = alone.app.history(&alone.room, Anchor::Newest, 2, false).await.unwrap();
    let texts = |page: &Page<Message>| page.items.iter().map(|message| message.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&page), ["four", "three"]);
    let older = alone.app.history(&alone.room, Anchor::Before(page.older.unwrap()), 2, false).await.unwrap();
    assert_eq!(texts(&older), ["one"]);
    let exported = alone.app.node.rooms.exported(room, None, 100).await.unwrap();
    assert_eq!(exported.events.iter().filter(|event| event.message.is_some()).count(), 3);
    // And something may be said about it again.
    let again = crate::app::Say::React("\u{1f44d}".to_owned(), true);
    let message = alone.app.say(&alone.room, &ids[2].to_string(), again, None).await.unwrap();
    assert_eq!(message.reactions.len(), 1);
    alone.node.stop().await.unwrap();
}
