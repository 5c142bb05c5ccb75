//! Promises of a node about its rooms: what follows when the disk fails, and what is asked in an odd moment.

use parlor_api::{CreateInvite, FileState, JoinRequest, MessageKind, OpenDirect, Role, SendRequest, SetRole};
use parlor_crypto::Secret;
use parlor_crypto::topic::TopicSecret;
use parlor_proto::EventId;
use parlor_proto::RoomId;
use parlor_proto::annotation;
use parlor_proto::body::{Body, Edit, Group};
use parlor_proto::control::Direct;
use parlor_proto::epoch::Welcome;
use parlor_proto::file::FileRef;
use parlor_proto::hlc::Hlc;
use parlor_proto::marker::Marker;
use parlor_proto::outbox::{self, Failure, In as OutboxIn, Outbox, Stage, Status};
use parlor_proto::room::{Outcome, Room};
use parlor_storage::{Batch, Namespace};

use super::entry::{Entry, Job, Turn, parts as stored_parts};
use super::worker::Worker;
use crate::account::rng;
use crate::app::{Anchor, Say};
use crate::services::alone::{Alone, config, new_room};
use crate::services::files::Place;
use crate::{Home, Passphrase, init_account, start};

fn request(text: &str) -> SendRequest {
    SendRequest { text: text.to_owned(), client_id: Some(text.to_owned()), ..SendRequest::default() }
}

impl Alone {
    async fn texts(&self) -> Vec<String> {
        let page = self.app.history(&self.room, Anchor::Newest, 100, false).await.unwrap();
        page.items.into_iter().map(|message| message.text).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_disk_took_before_it_failed_is_sent_once_and_the_client_is_told() {
    let mut alone = Alone::new().await;
    let mut expected = Vec::new();
    for n in 0..6 {
        // What the fault meets may also be a marker: then the message is refused because it stands on that.
        alone.app.node.context.store.break_disk(n % 2);
        let text = format!("message {n}");
        let told = alone.app.send(&alone.room, vec![request(&text)]).await;
        let again = alone.app.send(&alone.room, vec![request(&text)]).await.unwrap();
        assert!(told.is_err_and(|why| why.code == parlor_api::Code::Internal) || alone.texts().await[0] == text);
        if n == 3 {
            alone = alone.restarted().await;
        }
        let last = alone.app.send(&alone.room, vec![request(&text)]).await.unwrap();
        assert_eq!(again[0].message, last[0].message);
        expected.insert(0, text);
        assert_eq!(alone.texts().await, expected);
    }
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_under_way_when_the_disk_fails_are_each_there_or_refused() {
    let alone = Alone::new().await;
    alone.app.node.context.store.break_disk(1);
    let texts: Vec<String> = (0..40).map(|n| format!("message {n}")).collect();
    let sent = texts.iter().map(|text| alone.app.send(&alone.room, vec![request(text)]));
    let answers = futures::future::join_all(sent).await;
    let mut there = alone.texts().await;
    there.reverse();
    let told: Vec<&String> =
        texts.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(text, _)| text).collect();
    assert_eq!(told, there.iter().collect::<Vec<_>>(), "what is told is what is there");
    // Whoever was refused asks again: everything is there once.
    for text in &texts {
        alone.app.send(&alone.room, vec![request(text)]).await.unwrap();
    }
    let mut all = alone.texts().await;
    all.sort_unstable();
    let mut expected = texts.clone();
    expected.sort_unstable();
    assert_eq!(all, expected);
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_long_messages_sent_at_once_all_are_there_with_what_says_so_or_none() {
    for openings in [0, 1] {
        let alone = Alone::new().await;
        let named = |n: usize| {
            let text = format!("{n} {}", "long ".repeat(4 * 1_000));
            SendRequest { client_id: Some(format!("client {n}")), ..request(&text) }
        };
        let all: Vec<SendRequest> = (0..80).map(named).collect();
        alone.app.node.context.store.break_disk(openings);
        let first = alone.app.send(&alone.room, all.clone()).await;
        let there = alone.texts().await.len();
        assert!(there == 0 || there == 80, "{there} of 80 are there");
        assert!(first.is_err() || there == 80, "what is told is what is there");
        alone.app.send(&alone.room, all).await.unwrap();
        let mut texts = alone.texts().await;
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), 80);
        let alone = alone.restarted().await;
        assert_eq!(alone.texts().await.len(), 80, "each is there once");
        alone.node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_can_not_be_read_any_more_takes_no_other_along_for_the_search() {
    let alone = Alone::new().await;
    alone.app.send(&alone.room, ["one", "two", "three"].map(request).to_vec()).await.unwrap();
    let (store, room) = (&alone.app.node.context.store, alone.room.parse::<RoomId>().unwrap());
    let page = store.page(&room, parlor_storage::Cursor::Newest, 10).unwrap();
    let places: Vec<_> = page.rows.iter().map(|row| row.position).collect();
    store.damage_message(&room, places[1]).unwrap();
    let seen = alone.app.node.rooms.seen(room, places, true).await.unwrap();
    let mut texts: Vec<String> = seen.into_iter().map(|seen| seen.message.text).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["one", "three"]);
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_send_that_is_refused_nothing_is_written() {
    let alone = Alone::new().await;
    alone.app.send(&alone.room, vec![request("first")]).await.unwrap();
    // The first message of each is good.
    assert!(alone.app.send(&alone.room, vec![request("second"), request("")]).await.is_err());
    assert_eq!(alone.texts().await, ["first"]);
    let elsewhere = SendRequest { client_id: Some("third".to_owned()), ..request("third, again") };
    assert!(alone.app.send(&alone.room, vec![request("third"), elsewhere]).await.is_err(), "one name for two texts");
    alone.app.send(&alone.room, vec![request("second")]).await.unwrap();
    let alone = alone.restarted().await;
    assert_eq!(alone.texts().await, ["second", "first"]);
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_whose_making_met_a_failing_disk_is_there_wholly_or_not_at_all() {
    for openings in [0, 1] {
        let alone = Alone::new().await;
        alone.app.node.context.store.break_disk(openings);
        let made = alone.app.create_room(new_room("second")).await;
        let alone = alone.restarted().await;
        let rooms = alone.app.list_rooms().await.unwrap();
        assert!(made.is_err() || rooms.len() == 2, "a room that was promised is missing");
        for room in rooms {
            alone.app.send(&room.room, vec![request(&room.name)]).await.unwrap();
        }
        alone.node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_it_runs_knows_all_its_rooms_and_the_last_word_in_each() {
    const ROOMS: usize = 12;
    let mut alone = Alone::new().await;
    alone.app.send(&alone.room, vec![request("room")]).await.unwrap();
    for n in 1..ROOMS {
        let name = format!("room {n}");
        let room = alone.app.create_room(new_room(&name)).await.unwrap().room;
        alone.app.send(&room, vec![request(&name)]).await.unwrap();
    }
    for _ in 0..3 {
        alone = alone.restarted().await;
        let rooms = alone.app.list_rooms().await.unwrap();
        assert_eq!(rooms.len(), ROOMS);
        for room in rooms {
            assert_eq!(room.last_message.map(|message| message.text), Some(room.name));
        }
    }
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_waits_when_its_author_is_made_an_observer_is_given_up_with_the_reason() {
    let alone = Alone::new().await;
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("home"));
    init_account(&home, "bob", &Passphrase::None).unwrap();
    let bob = start(config(&home)).await.unwrap();
    let invite = alone.app.create_invite(&alone.room, CreateInvite::default()).await.unwrap();
    let request = JoinRequest { link: invite.link.unwrap(), timeout: JoinRequest::TIMEOUT_MAX, once_asked: false };
    bob.app.join(request).await.unwrap();
    let observer = SetRole {
        role: Role::Observer,
        may_invite: false,
        invite_depth: None,
        invite_expires_in: None,
        invite_uses: None,
    };
    alone.app.set_role(&alone.room, "@bob", observer).await.unwrap();
    let id: parlor_proto::RoomId = alone.room.parse().unwrap();
    // What he wrote before, and could not be written then, is tried when the room can be written in.
    let context = bob.app.node.context.clone();
    let mut entry = loop {
        let entry = Entry::load(&context, id).unwrap();
        if entry.room.members().iter().any(|member| member.role == parlor_proto::control::Role::Observer) {
            break entry;
        }
        tokio::task::yield_now().await;
    };
    let body = Body::text("too late").encode();
    let waits = outbox::Entry { nonce: [7; 16], room: id, body, submitted_ms: 1, stage: Stage::Unwritten };
    let mut outbox = Outbox::restore([waits]);
    let asked = outbox.handle(OutboxIn::Writable(id), 2, &mut rng());
    let mut jobs: Vec<Job> = asked.into_iter().map(Job::Outbox).collect();
    while let Some(Job::Outbox(out)) = jobs.pop() {
        let (entry, outbox, jobs) = (&mut entry, &mut outbox, &mut jobs);
        Turn { entry, outbox, context: &context, jobs, now_ms: 2 }.on_outbox(out);
        jobs.retain(|job| matches!(job, Job::Outbox(_)));
    }
    assert_eq!(outbox.lines()[0].status, Status::Failed(Failure::NotPermitted));
    bob.stop().await.unwrap();
    alone.node.stop().await.unwrap();
}

fn a_file(mime: &str) -> FileRef {
    FileRef {
        key: parlor_crypto::Secret::new([7; 32]),
        names: Vec::new(),
        size: 1_000_000,
        name: "a.bin".into(),
        mime: mime.into(),
        pixels: None,
        preview: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_waits_by_itself_is_asked_for_by_who_asks_for_it() {
    let alone = Alone::new().await;
    let (files, store) = (alone.app.node.context.files.clone(), alone.app.node.context.store.clone());
    let file = a_file("image/png");
    let (id, room, message) = (file.id(), alone.room.parse().unwrap(), EventId([9; 32]));
    let noted = || store.scan(None, Namespace::File, b"want").unwrap().into_iter().map(|(_, value)| value);
    files.seen((room, message), &[file], false, true);
    let by_itself = loop {
        if let Some(value) = noted().next() {
            break value;
        }
        tokio::task::yield_now().await;
    };
    files.want(id, Place { room, message, index: 0 }).await.unwrap();
    assert_eq!(files.state(&id).0, FileState::Waiting);
    assert_eq!(noted().len(), 1);
    assert_ne!(noted().next().unwrap(), by_itself, "that somebody asked is kept over a restart");
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_is_asked_of_a_file_the_last_counts_and_what_the_disk_refuses_is_not_promised() {
    let alone = Alone::new().await;
    let (files, store) = (alone.app.node.context.files.clone(), alone.app.node.context.store.clone());
    let file = a_file("");
    let (id, room, message) = (file.id(), alone.room.parse().unwrap(), EventId([9; 32]));
    let place = Place { room, message, index: 0 };
    files.seen((room, message), &[file], false, true);
    let state = || files.state(&id).0;
    let noted = || store.scan(None, Namespace::File, b"want").unwrap().len();
    let mut refused = 0;
    for _ in 0..4 {
        store.break_disk(1);
        // What the fault meets may also be a marker.
        match files.want(id, place).await {
            Ok(()) => assert_eq!(state(), FileState::Waiting),
            Err(_) => {
                refused += 1;
                assert_eq!(state(), FileState::Remote, "nobody was promised anything");
            }
        }
        files.want(id, place).await.unwrap();
        assert_eq!((state(), noted()), (FileState::Waiting, 1));
        files.give_up(id).await.unwrap();
        assert_eq!((state(), noted()), (FileState::Remote, 0));
    }
    assert!(refused > 0);
    // Asked for in one breath.
    let (wanted, given_up) = tokio::join!(files.want(id, place), files.give_up(id));
    assert!(wanted.is_ok() && given_up.is_ok());
    assert_eq!((state(), noted()), (FileState::Remote, 0));
    let (_, given_up, wanted) = tokio::join!(files.want(id, place), files.give_up(id), files.want(id, place));
    assert!(wanted.is_ok() && given_up.is_ok());
    assert_eq!((state(), noted()), (FileState::Waiting, 1));
    alone.node.stop().await.unwrap();
    assert_eq!(files.want(id, place).await.unwrap_err().code, parlor_api::Code::Stopping);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_whose_key_comes_late_is_flagged_as_it_was_when_it_came() {
    let alone = Alone::new().await;
    let id: parlor_proto::RoomId = alone.room.parse().unwrap();
    let context = alone.app.node.context.clone();
    let mut entry = Entry::load(&context, id).unwrap();
    let edit = Body::Edit(Edit { target: EventId([1; 32]), text: "other".to_owned(), mentions: Vec::new() });
    let now_ms = crate::clock::now_ms();
    let mut write = || entry.room.write(&edit, now_ms, &mut rng()).unwrap().message;
    let (flagged, other) = (write(), write());
    // Nobody knew what it is: the note stands at itself.
    let mut batch = Batch::new(Some(id));
    batch.remark(annotation::under_unsafe_keys(&flagged.event, &flagged.author, None).unwrap(), None);
    context.store.commit(batch).await.unwrap();
    let (mut outbox, mut jobs) = (Outbox::default(), Vec::new());
    let turn = Turn { entry: &mut entry, outbox: &mut outbox, context: &context, jobs: &mut jobs, now_ms };
    assert!(turn.unsafe_when_it_came(&flagged.event, Some(&edit)));
    assert!(!turn.unsafe_when_it_came(&other.event, Some(&edit)));
    assert!(
        !turn.unsafe_when_it_came(&flagged.event, Some(&Body::text("a line"))),
        "of a line the note is where it belongs"
    );
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_quotes_an_edited_message_and_its_older_texts_say_which_were_written_under_old_keys() {
    let alone = Alone::new().await;
    let (app, room) = (&alone.app, alone.room.as_str());
    let id: parlor_proto::RoomId = room.parse().unwrap();
    let store = alone.app.node.context.store.clone();
    let first = app.send(room, vec![request("first")]).await.unwrap().remove(0).message;
    app.say(room, &first, Say::Edit("second".to_owned()), None).await.unwrap();
    let answer = SendRequest { reply_to: Some(first.clone()), ..request("answer") };
    let answer = app.send(room, vec![answer]).await.unwrap().remove(0).message;
    let marks = async || {
        let quote = app.message(room, &answer).await.unwrap().reply.unwrap();
        let versions = app.edits(room, &first).await.unwrap();
        (quote.unsafe_epoch, versions.into_iter().map(|version| version.unsafe_epoch).collect::<Vec<_>>())
    };
    assert_eq!(marks().await, (false, vec![false, false]));
    // As if the node that wrote the first text had not kept to the rules.
    let row = store.message(&id, &first.parse().unwrap()).unwrap().unwrap();
    let event = parlor_proto::event::Event::decode(&id, &row.bytes).unwrap();
    let author = alone.app.node.context.identity.account();
    let mut batch = Batch::new(Some(id));
    batch.remark(annotation::under_unsafe_keys(&event, &author, Some(&Body::text("first"))).unwrap(), None);
    store.commit(batch).await.unwrap();
    assert_eq!(marks().await, (true, vec![true, false]));
    app.say(room, &first, Say::Delete, None).await.unwrap();
    assert!(!app.message(room, &answer).await.unwrap().reply.unwrap().unsafe_epoch, "nothing is left to be read");
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_named_as_the_id_of_another_begins_is_not_taken_for_it() {
    let alone = Alone::new().await;
    let prefix = &alone.room[..8];
    assert_eq!(alone.app.find_room(prefix).await.unwrap().to_string(), alone.room);
    let other = alone.app.create_room(new_room(prefix)).await.unwrap().room;
    assert_eq!(alone.app.find_room(prefix).await.unwrap_err().code, parlor_api::Code::Ambiguous);
    assert_eq!(alone.app.find_room(&alone.room).await.unwrap().to_string(), alone.room);
    assert_eq!(alone.app.find_room(&other).await.unwrap().to_string(), other);
    for name in ["", "  ", "two\nlines", "two\u{2028}lines", "\u{202e}der", "\u{1b}[31mred", &"n".repeat(129)] {
        let refused = alone.app.create_room(new_room(name)).await.unwrap_err();
        assert_eq!(refused.code, parlor_api::Code::BadRequest, "{name:?}");
    }
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_somebody_writes_into_a_room_is_no_line_of_the_node() {
    let alone = Alone::new().await;
    let room = alone.app.find_room(&alone.room).await.unwrap();
    let people = (0..4).map(|n| parlor_proto::AccountId([n; 32])).collect();
    let group = Group { link: "parlor://join/1/#x".into(), name: "Ann was removed by Bob".into(), people };
    alone.app.node.rooms.invite_into(room, group, "once".into()).await.unwrap();
    let page = alone.app.history(&alone.room, Anchor::Newest, 50, false).await.unwrap();
    let [message] = page.items.as_slice() else { panic!("there is one message") };
    assert_eq!((message.kind, message.text.as_str()), (MessageKind::Unknown, ""));
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_dies_leaves_nobody_waiting_for_its_answer() {
    let alone = Alone::new().await;
    let context = alone.app.node.context.clone();
    let mut entry = Entry::load(&context, alone.room.parse().unwrap()).unwrap();
    let (mut outbox, mut jobs) = (Outbox::default(), Vec::new());
    let mut turn = Turn { entry: &mut entry, outbox: &mut outbox, context: &context, jobs: &mut jobs, now_ms: 1 };
    // Somebody says that he has what we do not know.
    let other = parlor_crypto::SigningKey::from_seed(&parlor_crypto::Secret::new([9; 32]));
    let marker = Marker::sign(&turn.id(), &other, 1, vec![EventId([1; 32])], Hlc::ZERO, 1);
    turn.entry.unresolved.insert(marker.device);
    turn.entry.note_marker(marker);
    let reads = |turn: &mut Turn<'_>| {
        turn.resolve_markers();
        let reads = turn.jobs.iter().filter(|job| matches!(job, Job::Read { .. })).count();
        turn.jobs.clear();
        reads
    };
    assert_eq!((reads(&mut turn), reads(&mut turn)), (1, 0), "once at a time");
    Turn::lost_read()(&mut turn);
    assert_eq!(reads(&mut turn), 1);
    alone.node.stop().await.unwrap();
}

/// A room into which somebody let us by a Welcome of his making, and of which nothing else came.
fn welcomed(alone: &Alone, room: RoomId, topic: u8) -> (Room, Outcome) {
    let topic_secret = TopicSecret::from_secret(Secret::new([topic; 32]));
    let welcome = Welcome { topic_secret, generation: 0, keys: Vec::new(), frontier: Vec::new() };
    Room::join(alone.app.node.context.identity.now(), room, welcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_of_which_nothing_came_gives_way_to_another_one() {
    let alone = Alone::new().await;
    let (room, store) = (RoomId([7; 32]), alone.app.node.context.store.clone());
    for topic in [1, 2, 2] {
        let (machine, outcome) = welcomed(&alone, room, topic);
        let names = machine.topic_names();
        alone.app.node.rooms.begin(machine, outcome).await.unwrap();
        let stored = Room::restore(alone.app.node.context.identity.now(), stored_parts(&store, room).unwrap()).unwrap();
        assert_eq!(stored.topic_names(), names);
    }
    // A room that has begun does not.
    let held: RoomId = alone.room.parse().unwrap();
    let (machine, outcome) = welcomed(&alone, held, 3);
    alone.app.node.rooms.begin(machine, outcome).await.unwrap();
    alone.write("still here").await;
    let alone = alone.restarted().await;
    assert_eq!(alone.texts().await, ["still here"]);
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_room_under_the_id_of_a_direct_chat_keeps_nobody_from_having_that_chat() {
    let (alone, carol) = (Alone::new().await, Alone::new().await);
    let ids = [&alone, &carol].map(|one| one.app.node.context.identity.account());
    let (machine, outcome) = welcomed(&alone, Direct::room_of(&ids[0], &ids[1]), 1);
    alone.app.node.rooms.begin(machine, outcome).await.unwrap();
    // Also after a restart.
    let alone = alone.restarted().await;
    let who = carol.app.contact_card().await.unwrap().link;
    let chat = alone.app.open_direct(OpenDirect { who, text: Some("hello".to_owned()) }).await.unwrap();
    assert_eq!(chat.status, Some(parlor_api::MessageStatus::Queued));
    alone.node.stop().await.unwrap();
    carol.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_the_disk_does_not_give_comes_back_by_itself_with_what_was_said_meanwhile() {
    let alone = Alone::new().await;
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("home"));
    init_account(&home, "bob", &Passphrase::None).unwrap();
    let bob = start(config(&home)).await.unwrap();
    let invite = alone.app.create_invite(&alone.room, CreateInvite::default()).await.unwrap();
    let join = JoinRequest { link: invite.link.unwrap(), timeout: JoinRequest::TIMEOUT_MAX, once_asked: false };
    bob.app.join(join).await.unwrap();
    // Nothing is wished of the room meanwhile: what is listed is what is known without it.
    let listed = async || alone.app.list_rooms().await.unwrap().remove(0);
    let store = alone.app.node.context.store.clone();
    let id: RoomId = alone.room.parse().unwrap();
    store.damage_value(Some(&id), Namespace::Meta, super::entry::names::DRAFT).unwrap();
    // What the fault meets may also be something else of the node.
    for n in 0.. {
        if listed().await.damaged.is_some() {
            break;
        }
        store.break_disk(1);
        let _ = alone.app.send(&alone.room, vec![request(&format!("does not come to the disk {n}"))]).await;
    }
    bob.app.send(&alone.room, vec![request("said meanwhile")]).await.unwrap();
    // The disk is well again.
    let mut batch = Batch::new(Some(id));
    batch.delete(Namespace::Meta, super::entry::names::DRAFT);
    store.commit(batch).await.unwrap();
    let arrived = async {
        while listed().await.last_message.is_none_or(|message| message.text != "said meanwhile") {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), arrived).await.unwrap();
    assert_eq!(listed().await.damaged, None);
    bob.stop().await.unwrap();
    alone.node.stop().await.unwrap();
}

/// A worker with two messages in its outbox that wait to be written.
async fn waiting(alone: &Alone) -> (Worker, Vec<String>) {
    let (room, store) = (alone.room.parse().unwrap(), &alone.app.node.context.store);
    let entry = |n: u8| {
        let body = Body::text("waits").encode();
        outbox::Entry { nonce: [n; 16], room, body, submitted_ms: u64::from(n), stage: Stage::Unwritten }
    };
    let mut batch = Batch::new(Some(room));
    for entry in [entry(1), entry(2)] {
        batch.put(Namespace::Outbox, &entry.nonce, parlor_proto::codec::encode(&entry));
    }
    store.commit(batch).await.unwrap();
    let mut worker = Worker::beside(alone, room);
    worker.outbox = Outbox::restore([entry(1), entry(2)]);
    (worker, ["01".repeat(16), "02".repeat(16)].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_up_a_message_that_waits_is_told_so_when_the_disk_has_it() {
    let alone = Alone::new().await;
    let (mut worker, names) = waiting(&alone).await;
    let store = alone.app.node.context.store.clone();
    let room: RoomId = alone.room.parse().unwrap();
    let rows = || store.scan(Some(&room), Namespace::Outbox, &[]).unwrap().len();
    // Only what is named wholly.
    assert!(worker.discard(Some("0")).await.unwrap().is_empty() && worker.discard(Some("")).await.unwrap().is_empty());
    let mut told = worker.discard(Some(&names[0])).await.unwrap();
    assert!(told[0].try_recv().is_err(), "nobody is told before it is durable");
    worker.drain().await;
    assert_eq!((told.remove(0).await.unwrap().unwrap(), rows()), (names[0].clone(), 1));
    // What the disk refused is not given up.
    store.break_disk(1);
    let mut told = worker.discard(None).await.unwrap();
    worker.drain().await;
    let told = told.remove(0).await.unwrap();
    assert!(told.is_err() || rows() == 0);
    assert_eq!(worker.outbox.lines().len(), rows(), "what is not given up on the disk waits on");
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_is_given_up_by_a_name_that_means_it_alone() {
    let alone = Alone::new().await;
    for text in ["", "a", "0000", "ffffffffffffffff"] {
        assert_eq!(alone.app.discard(Some(text)).await.unwrap_err().code, parlor_api::Code::MessageNotFound);
    }
    assert!(alone.app.discard(None).await.unwrap().messages.is_empty());
    alone.node.stop().await.unwrap();
}
