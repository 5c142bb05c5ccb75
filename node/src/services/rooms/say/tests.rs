//! Promises of a node about edits, deletions, reactions, pins, polls and threads.

use parlor_api::{Code, CreatePoll, EventBody, Message, OpenDirect, OutboxKind, SendRequest};
use parlor_proto::body::{Body, Redact};
use parlor_proto::room::{Accepted, Outcome, Written};
use parlor_proto::{EventId, RoomId};
use parlor_storage::Namespace;

use crate::account::rng;
use crate::app::{Anchor, Say};
use crate::services::alone::Alone;
use crate::services::rooms::entry::names;
use crate::services::rooms::settle::Settle;
use crate::services::rooms::worker::Worker;

impl Alone {
    async fn say(&self, id: &str, say: Say) -> Result<Message, Code> {
        self.app.say(&self.room, id, say, None).await.map_err(|problem| problem.code)
    }

    async fn page(&self) -> Vec<Message> {
        self.app.history(&self.room, Anchor::Newest, 50, false).await.unwrap().items
    }

    async fn message(&self, id: &str) -> Message {
        self.app.message(&self.room, id).await.unwrap()
    }

    /// Whether the store holds no key of this event any more.
    fn is_erased(&self, id: &str) -> bool {
        let (room, id): (_, EventId) = (self.room.parse().unwrap(), id.parse().unwrap());
        self.app.node.context.store.message(&room, &id).unwrap().unwrap().is_erased()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_edited_reacted_to_and_shown_so_also_after_a_restart() {
    let mut alone = Alone::new().await;
    let id = alone.write("helo").await;
    let edited = alone.say(&id, Say::Edit("hello".into())).await.unwrap();
    assert_eq!((edited.text.as_str(), edited.edits), ("hello", 1));
    assert!(edited.edited_at.is_some());
    let reacted = alone.say(&id, Say::React("👍".into(), true)).await.unwrap();
    assert_eq!(reacted.reactions["👍"].as_slice(), std::slice::from_ref(&reacted.author.account));
    let edits: Vec<_> = alone.app.edits(&alone.room, &id).await.unwrap().into_iter().map(|v| v.text).collect();
    assert_eq!(edits, ["helo", "hello"]);
    alone = alone.restarted().await;
    let page = alone.page().await;
    assert_eq!(page.as_slice(), std::slice::from_ref(&reacted), "annotations are no lines");
    let rooms = alone.app.list_rooms().await.unwrap();
    assert_eq!(rooms[0].last_message, Some(reacted));
    assert_eq!(rooms[0].unread, 0);
    let off = alone.say(&id, Say::React("👍".into(), false)).await.unwrap();
    assert!(off.reactions.is_empty());
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn saying_what_is_so_already_writes_nothing() {
    let alone = Alone::new().await;
    let id = alone.write("hello").await;
    for say in [Say::Edit("hello!".into()), Say::React("👍".into(), true), Say::Pin(true)] {
        alone.say(&id, say.clone()).await.unwrap();
        let room: parlor_proto::RoomId = alone.room.parse().unwrap();
        let held = alone.app.node.context.store.count(&room).unwrap();
        alone.say(&id, say).await.unwrap();
        assert_eq!(alone.app.node.context.store.count(&room).unwrap(), held);
    }
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_deleted_message_text_and_keys_are_gone_and_nothing_can_be_said_about_it() {
    let mut alone = Alone::new().await;
    let id = alone.write("a secret").await;
    alone.say(&id, Say::Edit("another secret".into())).await.unwrap();
    alone.say(&id, Say::React("👍".into(), true)).await.unwrap();
    let answer = alone.write("what?").await;
    let reply = SendRequest { text: "a reply".into(), reply_to: Some(id.clone()), ..SendRequest::default() };
    let reply = alone.send(reply).await;
    assert_eq!(alone.message(&reply).await.reply.unwrap().text, "another secret");
    let gone = alone.say(&id, Say::Delete).await.unwrap();
    assert!(gone.deleted && gone.text.is_empty() && gone.reactions.is_empty());
    assert_eq!(gone.deleted_by, Some(gone.author.clone()));
    while !alone.is_erased(&id) {
        tokio::task::yield_now().await;
    }
    alone = alone.restarted().await;
    assert!(alone.is_erased(&id));
    let page = alone.page().await;
    assert_eq!(page.iter().map(|m| m.message.as_str()).collect::<Vec<_>>(), [&reply, &answer, &id], "a mark stays");
    let told = serde_json::to_string(&page).unwrap() + &format!("{:?}", alone.app.edits(&alone.room, &id).await);
    assert!(!told.contains("secret"), "{told}");
    assert!(page[0].reply.as_ref().unwrap().deleted);
    for say in [Say::Edit("x".into()), Say::React("👍".into(), true), Say::Pin(true)] {
        assert_eq!(alone.say(&id, say).await, Err(Code::Conflict));
    }
    assert!(alone.say(&id, Say::Delete).await.unwrap().deleted, "again is no error");
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_said_is_refused_before_anything_is_written() {
    let alone = Alone::new().await;
    let id = alone.write("hello").await;
    let options = vec!["red".to_owned(), "blue".to_owned()];
    let poll = CreatePoll { question: "Which?".into(), options, ..CreatePoll::default() };
    let poll = alone.app.ask(&alone.room, poll).await.unwrap().message;
    let nobody = "7".repeat(64);
    let wrong = [
        (nobody.as_str(), Say::Delete, Code::MessageNotFound),
        (&id, Say::Edit("  ".into()), Code::EmptyText),
        (&id, Say::Edit("x".repeat(21_000)), Code::TooLong),
        (&id, Say::React("\u{202e}".into(), true), Code::BadRequest),
        (&id, Say::Vote(vec![0]), Code::Conflict),
        (&poll, Say::Vote(vec![2]), Code::BadRequest),
        (&poll, Say::Vote(vec![0, 1]), Code::BadRequest),
        (&poll, Say::Vote(vec![300]), Code::BadRequest),
        (&poll, Say::Edit("Who?".into()), Code::Conflict),
    ];
    let room: parlor_proto::RoomId = alone.room.parse().unwrap();
    let held = alone.app.node.context.store.count(&room).unwrap();
    for (id, say, code) in wrong {
        assert_eq!(alone.say(id, say.clone()).await.map(|_| ()), Err(code), "{say:?}");
    }
    let one = CreatePoll { question: "Which?".into(), options: vec!["one".into()], ..CreatePoll::default() };
    assert!(alone.app.ask(&alone.room, one).await.is_err());
    assert_eq!(alone.app.node.context.store.count(&room).unwrap(), held);
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_are_voted_in_and_votes_can_be_changed_and_taken_back() {
    let alone = Alone::new().await;
    let options = vec!["red".to_owned(), "blue".to_owned(), "green".to_owned()];
    let poll = CreatePoll { question: "Which?".into(), options, several: true, client_id: Some("once".into()) };
    let id = alone.app.ask(&alone.room, poll.clone()).await.unwrap().message;
    assert_eq!(alone.app.ask(&alone.room, poll).await.unwrap().message, id, "a repeated request asks once");
    let votes = |message: &Message| -> Vec<usize> {
        message.poll.as_ref().unwrap().options.iter().map(|option| option.votes.len()).collect()
    };
    assert_eq!(votes(&alone.say(&id, Say::Vote(vec![0, 2])).await.unwrap()), [1, 0, 1]);
    assert_eq!(votes(&alone.say(&id, Say::Vote(vec![1])).await.unwrap()), [0, 1, 0]);
    let none = alone.say(&id, Say::Vote(Vec::new())).await.unwrap();
    assert_eq!((votes(&none), none.poll.unwrap().voters), (vec![0, 0, 0], 0));
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_are_listed_the_last_one_first_until_they_are_taken_out() {
    let alone = Alone::new().await;
    let (first, second) = (alone.write("first").await, alone.write("second").await);
    alone.say(&second, Say::Pin(true)).await.unwrap();
    alone.say(&first, Say::Pin(true)).await.unwrap();
    let alone = alone.restarted().await;
    let pinned = |pins: Vec<Message>| pins.into_iter().map(|message| message.message).collect::<Vec<_>>();
    assert_eq!(pinned(alone.app.pins(&alone.room).await.unwrap()), [first.as_str(), &second]);
    alone.say(&first, Say::Pin(false)).await.unwrap();
    assert_eq!(pinned(alone.app.pins(&alone.room).await.unwrap()), [second.as_str()]);
    alone.say(&second, Say::Delete).await.unwrap();
    assert!(alone.app.pins(&alone.room).await.unwrap().is_empty());
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_is_read_page_by_page_and_its_first_message_tells_of_it() {
    let alone = Alone::new().await;
    let root = alone.write("a question").await;
    let mut written = Vec::new();
    for n in 0..5 {
        // An answer to an answer belongs to the same thread.
        let thread = written.last().cloned().or_else(|| Some(root.clone()));
        let request = SendRequest { text: format!("answer {n}"), thread, ..SendRequest::default() };
        written.push(alone.send(request).await);
    }
    alone.write("elsewhere").await;
    written.reverse();
    let first = alone.app.thread(&alone.room, &root, None, 2).await.unwrap();
    let second = alone.app.thread(&alone.room, &root, first.older.clone(), 50).await.unwrap();
    let ids: Vec<_> = first.items.iter().chain(&second.items).map(|message| message.message.clone()).collect();
    assert_eq!(ids, written);
    assert!(second.older.is_none());
    assert!(first.items.iter().all(|message| message.thread.as_deref() == Some(&root)));
    assert_eq!(alone.message(&root).await.replies.unwrap().count, 5);
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_are_told_what_a_message_looks_like_now() {
    let alone = Alone::new().await;
    let id = alone.write("hello").await;
    let mut events = alone.app.subscribe(None).unwrap();
    alone.say(&id, Say::React("👍".into(), true)).await.unwrap();
    let told = loop {
        match &events.next().await.unwrap().unwrap().body {
            EventBody::MessageUpdated(message) => break message.clone(),
            EventBody::Message(message) => panic!("a reaction is no message: {message:?}"),
            _ => {}
        }
    };
    assert_eq!(told.message, id);
    assert_eq!(told.reactions.len(), 1);
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_pass_over_any_number_of_annotations() {
    let alone = Alone::new().await;
    let (first, second) = (alone.write("first").await, alone.write("second").await);
    for n in 0..150 {
        alone.say(&first, Say::React("👍".into(), n % 2 == 0)).await.unwrap();
    }
    let third = alone.write("third").await;
    let page = alone.app.history(&alone.room, Anchor::Newest, 2, false).await.unwrap();
    assert_eq!(page.items.iter().map(|m| m.message.as_str()).collect::<Vec<_>>(), [&third, &second]);
    let older = alone.app.history(&alone.room, Anchor::Before(page.older.unwrap()), 2, false).await.unwrap();
    assert_eq!(older.items.iter().map(|m| m.message.as_str()).collect::<Vec<_>>(), [&first]);
    assert!(older.older.is_none());
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_mentioned_is_stored_as_an_account_and_shown_by_name() {
    let alone = Alone::new().await;
    let id = alone.write("to @ALONE and @nobody").await;
    let shown = alone.message(&id).await;
    assert_eq!(shown.text, "to @alone and @nobody");
    assert_eq!(shown.mentions.as_slice(), std::slice::from_ref(&shown.author.account));
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_a_deleted_message_go_also_if_the_program_ended_before_it_came_to_that() {
    let alone = Alone::new().await;
    let id = alone.write("taken back").await;
    let (room, target): (RoomId, EventId) = (alone.room.parse().unwrap(), id.parse().unwrap());
    let mut first = Worker::beside(&alone, room);
    first
        .turn(room, |turn| {
            let body = Body::Redact(Redact { target });
            let Written { message, persist } = turn.entry.room.write(&body, turn.now_ms, &mut rng()).unwrap();
            let outcome = Outcome { accepted: vec![Accepted::Message(message)], persist, ..Outcome::default() };
            turn.commit(outcome, Settle::default());
        })
        .await;
    // Durable, and not looked at.
    first.drain().await;
    drop(first);
    assert!(!alone.is_erased(&id));
    let mut second = Worker::beside(&alone, room);
    second.turn(room, |turn| turn.begin()).await;
    second.rest().await;
    assert!(alone.is_erased(&id));
    let store = &alone.app.node.context.store;
    assert!(store.scan(Some(&room), Namespace::Meta, names::DELETED).unwrap().is_empty());
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_the_outbox_is_told_by_what_it_says_and_what_it_is_about() {
    let alone = Alone::new().await;
    let id = alone.write(&"x".repeat(1_000)).await;
    alone.say(&id, Say::Edit("hello".into())).await.unwrap();
    alone.say(&id, Say::React("👍".into(), true)).await.unwrap();
    alone.say(&id, Say::Pin(true)).await.unwrap();
    let other = Alone::new().await;
    let who = other.app.contact_card().await.unwrap().link;
    let begun = alone.app.open_direct(OpenDirect { who, text: Some("are you there?".into()) }).await.unwrap();
    let told = alone.app.outbox().await.unwrap();
    let short = told.iter().map(|entry| (entry.kind, entry.text.as_str(), entry.about.as_deref()));
    let long = format!("{}…", "x".repeat(160));
    let about = Some(id.as_str());
    let expected = [
        (OutboxKind::Text, long.as_str(), None),
        (OutboxKind::Edit, "hello", about),
        (OutboxKind::Reaction, "👍", about),
        (OutboxKind::Pin, "", about),
        (OutboxKind::Text, "are you there?", None),
    ];
    assert_eq!(short.collect::<Vec<_>>(), expected, "{told:#?}");
    assert_eq!(told[4].room, begun.room, "also what is not written into its room yet");
    alone.node.stop().await.unwrap();
    other.node.stop().await.unwrap();
}
