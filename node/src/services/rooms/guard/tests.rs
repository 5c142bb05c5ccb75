//! Promises of a device that does not know yet whether a copy of it has written.

use std::sync::Arc;

use parlor_api::{Code, CreateInvite, OpenDirect, SendRequest};
use parlor_proto::control::{JoinRequest, Role, Setting};
use parlor_proto::event::Event;
use parlor_proto::identity::Identity;
use parlor_proto::outbox::{self, Outbox, Stage};
use parlor_proto::room::{Change, NewInvite};
use parlor_proto::sync::Guard;
use parlor_proto::{EventId, RoomId};
use parlor_storage::{Batch, Namespace};
use tokio::sync::oneshot;

use crate::account::rng;
use crate::services::alone::Alone;
use crate::services::rooms::damaged::was_thrown_away;
use crate::services::rooms::entry::{Entry, Job, Turn};
use crate::services::rooms::message::{Reply, Wish};
use crate::services::rooms::settle::Settle;
use crate::services::rooms::wishes::nonce;
use crate::services::rooms::worker::Worker;

/// A room held by hand beside the node that has it.
struct Beside {
    alone: Alone,
    entry: Entry,
    outbox: Outbox,
    jobs: Vec<Job>,
    now_ms: u64,
}

impl Beside {
    async fn new() -> Self {
        let alone = Alone::new().await;
        let entry = Self::held(&alone);
        Self { alone, entry, outbox: Outbox::default(), jobs: Vec::new(), now_ms: crate::clock::now_ms() }
    }

    fn held(alone: &Alone) -> Entry {
        let room: RoomId = alone.room.parse().unwrap();
        Entry::load(&alone.app.node.context, room).unwrap()
    }

    /// What a copy of the device writes, once this one has written something else.
    fn copied(&mut self) -> Event {
        let now_ms = self.now_ms;
        let rename = |entry: &mut Entry, name: &str| {
            let outcome = entry.room.set_state(vec![(Setting::Name, name.into())], now_ms);
            outcome.unwrap().accepted.remove(0).event().clone()
        };
        rename(&mut self.entry, "one");
        rename(&mut Self::held(&self.alone), "other")
    }

    /// Something came, and what follows from it is done.
    fn hear(&mut self, event: Event) {
        let changes = self.entry.room.receive(vec![event], self.now_ms).outcome.changes;
        self.turn().tell_changes(&changes);
    }

    fn turn(&mut self) -> Turn<'_> {
        let Self { alone, entry, outbox, jobs, now_ms } = self;
        Turn { entry, outbox, context: &alone.app.node.context, jobs, now_ms: *now_ms }
    }

    /// Wishes for something; what is answered, once that is known.
    fn wish<T, W>(&mut self, wish: W) -> impl FnMut() -> Option<Result<T, Code>> + use<T, W>
    where
        W: FnOnce(Reply<T>) -> Wish,
    {
        let (reply, mut answer) = oneshot::channel();
        self.turn().wish(wish(reply));
        move || answer.try_recv().ok().map(|answer| answer.map_err(|problem| problem.code))
    }

    fn invites(&mut self) -> impl FnMut() -> Option<Code> + use<> {
        let mut answer = self.wish(|reply| Wish::CreateInvite(CreateInvite::default(), Vec::new(), reply));
        move || answer().and_then(Result::err)
    }

    fn sends(&mut self, texts: &[&str]) -> Result<String, Code> {
        let request = |text: &&str| SendRequest {
            text: (*text).to_owned(),
            client_id: Some((*text).to_owned()),
            ..SendRequest::default()
        };
        let requests = texts.iter().map(request).collect();
        let answer = self.wish(|reply| Wish::Send(requests, reply))();
        answer.expect("an answer at once").map(|sent| sent[0].message.clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_guard_of_a_copied_device_is_refused_as_soon_as_the_copy_is_known() {
    let mut beside = Beside::new().await;
    let other = beside.copied();
    beside.entry.guard = Guard::start(beside.now_ms);
    let mut held = beside.invites();
    assert_eq!(held(), None, "nobody said yet what is held of our logs");
    beside.hear(other);
    assert_eq!(held(), Some(Code::DeviceCloned));
    // After the next start, too.
    beside.entry.guard = Guard::start(beside.now_ms);
    beside.turn().hold();
    assert_eq!(beside.invites()(), Some(Code::DeviceCloned));
    beside.alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_guard_is_refused_as_soon_as_it_is_known_that_we_are_out() {
    let mut beside = Beside::new().await;
    let left = Beside::held(&beside.alone).room.leave(beside.now_ms);
    beside.entry.guard = Guard::start(beside.now_ms);
    beside.turn().hold();
    let mut held = beside.invites();
    assert_eq!(held(), None, "nobody said yet what is held of our logs");
    beside.hear(left.unwrap().accepted.remove(0).event().clone());
    assert_eq!(held(), Some(Code::NotPermitted));
    beside.alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_to_a_copied_device_waits_nowhere() {
    let mut beside = Beside::new().await;
    let other = beside.copied();
    beside.entry.room.receive(vec![other], beside.now_ms);
    for text in ["one", "two"] {
        assert_eq!(beside.sends(&[text]), Err(Code::DeviceCloned));
    }
    assert!(beside.outbox.lines().is_empty() && beside.jobs.is_empty(), "nothing is written down either");
    beside.alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_again_for_what_was_written_is_told_so_also_when_the_device_may_write_no_more() {
    let mut beside = Beside::new().await;
    let event = EventId([7; 32]);
    let written = outbox::Entry {
        nonce: nonce(Some("one")),
        room: beside.entry.room.id(),
        body: Vec::new(),
        submitted_ms: beside.now_ms,
        stage: Stage::Written { event, seq: 1 },
    };
    beside.outbox = Outbox::restore([written]);
    let other = beside.copied();
    beside.entry.room.receive(vec![other], beside.now_ms);
    assert_eq!(beside.sends(&["one"]), Ok(event.to_string()));
    assert_eq!(beside.sends(&["one", "two"]), Err(Code::DeviceCloned));
    beside.alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_out_when_the_program_started_is_held_when_it_is_taken_back() {
    let mut beside = Beside::new().await;
    let mut founder = Beside::held(&beside.alone);
    let now_ms = beside.now_ms;
    // Another account of the room, whose home was copied while it was out.
    let (_, other) = Identity::create("other", now_ms, &mut rng()).unwrap();
    let other = Arc::new(other);
    let (seed, outcome) = founder.room.invite(&NewInvite::of(Role::Member), now_ms, &mut rng()).unwrap();
    drop(outcome);
    let join = JoinRequest::sign(&founder.room.id(), &seed.keys().sign, other.signing_key(), other.entrant(), [7; 16]);
    founder.room.admit(join, false, now_ms, &mut rng()).unwrap();
    beside.entry.room = founder.room;
    beside.entry.guard = Guard::open();
    let out = beside.entry.room.leave(now_ms);
    assert!(out.is_ok() && !beside.entry.room.is_member());
    beside.turn().guard();
    assert!(beside.entry.guard.holds(now_ms), "there is somebody else whom to ask");
    beside.entry.guard.tick(u64::MAX);
    beside.turn().tell_changes(&[Change::Joined]);
    assert!(beside.entry.guard.holds(now_ms));
    beside.alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_guard_waits_on_when_the_room_is_read_again_after_a_failed_write() {
    let alone = Alone::new().await;
    let room: RoomId = alone.room.parse().unwrap();
    let mut worker = Worker::beside(&alone, room);
    let (reply, mut answer) = oneshot::channel();
    worker
        .turn(room, |turn| {
            turn.entry.guard = Guard::start(turn.now_ms);
            turn.hold();
            turn.wish(Wish::CreateInvite(CreateInvite::default(), Vec::new(), reply));
        })
        .await;
    let due = worker.rooms[&room].guard.due();
    // What the fault meets may also be something of the node itself.
    let mut failed = false;
    while !failed {
        let (told, was_told) = oneshot::channel();
        alone.app.node.context.store.break_disk(1);
        worker
            .turn(room, |turn| {
                let mut batch = Batch::new(Some(room));
                batch.put(Namespace::Meta, b"test", vec![1]);
                turn.hand_over(batch, Settle::reply(|_, done| told.send(done.is_err()).unwrap()));
            })
            .await;
        worker.drain().await;
        failed = was_told.await.unwrap();
    }
    assert!(due.is_some() && worker.rooms[&room].guard.due() == due, "what is not compared is not compared now");
    assert!(matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Empty)), "and nobody is told anything else");
    worker.turn(room, |turn| turn.guard_compared()).await;
    worker.drain().await;
    assert!(answer.try_recv().unwrap().is_ok());
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_room_that_was_thrown_away_nothing_is_written_before_a_member_said_what_it_holds_of_ours() {
    let mut beside = Beside::new().await;
    let (room, store) = (beside.entry.room.id(), beside.alone.app.node.context.store.clone());
    // It was thrown away, and this device came into it again.
    let mut note = Batch::new(None);
    note.put(Namespace::Meta, &[&b"thrown away|"[..], room.as_bytes()].concat(), Vec::new());
    store.commit(note).await.unwrap();
    beside.entry = Beside::held(&beside.alone);
    beside.turn().guard_again();
    for _ in 0..3 {
        beside.now_ms += 10 * 86_400_000;
        beside.turn().tick_guard();
        beside.turn().guard_met();
        beside.turn().tell_changes(&[Change::Joined]);
        assert_eq!(beside.invites()(), Some(Code::Busy));
    }
    beside.jobs.clear();
    beside.turn().guard_compared();
    assert_eq!(beside.invites()(), None, "it is being written");
    assert!(was_thrown_away(&store, &room).unwrap());
    for job in std::mem::take(&mut beside.jobs) {
        if let Job::Commit { batch, .. } = job {
            store.commit(batch).await.unwrap();
        }
    }
    assert!(!was_thrown_away(&store, &room).unwrap(), "from then on it is a room like others");
    assert!(!Beside::held(&beside.alone).guard.waits());
    beside.alone.node.stop().await.unwrap();
}

/// That a room was thrown away here.
fn thrown_away(room: &RoomId) -> Batch {
    let mut note = Batch::new(None);
    note.put(Namespace::Meta, &[&b"thrown away|"[..], room.as_bytes()].concat(), Vec::new());
    note
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_was_thrown_away_and_waits_for_a_member_can_be_left() {
    let alone = Alone::new().await;
    let room: RoomId = alone.room.parse().unwrap();
    let alone = alone.with_store(|store| store.commit_blocking(thrown_away(&room)).unwrap()).await;
    alone.write("nobody reads this").await;
    let held = alone.app.leave_room(&alone.room, false).await.unwrap_err();
    assert_eq!((held.code, held.reason_code.as_deref()), (Code::Busy, Some("not_compared")));
    alone.app.leave_room(&alone.room, true).await.unwrap();
    assert!(alone.app.list_rooms().await.unwrap().is_empty());
    assert!(alone.app.outbox().await.unwrap().is_empty(), "nothing waits for it");
    let alone = alone.restarted().await;
    assert!(alone.app.list_rooms().await.unwrap().is_empty(), "also after a restart");
    // Whoever comes into it again still waits: what was written once is with the members.
    assert!(was_thrown_away(&alone.app.node.context.store, &room).unwrap());
    alone.node.stop().await.unwrap();
}

async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let began = std::time::Instant::now();
    while !look().await {
        assert!(began.elapsed().as_secs() < 120, "waited in vain: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn texts(alone: &Alone, room: &str) -> Vec<String> {
    let Ok(page) = alone.app.history(room, crate::app::Anchor::Newest, 50, false).await else { return Vec::new() };
    page.items.into_iter().rev().map(|message| message.text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_direct_chat_that_was_thrown_away_nothing_is_written_before_the_other_said_what_it_holds_of_ours() {
    let (mut alice, bob) = (Alone::new().await, Alone::new().await);
    let who = bob.app.contact_card().await.unwrap().link;
    let chat = alice.app.open_direct(OpenDirect { who, text: Some("one".into()) }).await.unwrap().room;
    let me = alice.app.node.context.identity.account().to_string();
    eventually("bob is asked", async || bob.app.accept_contact(&me).await.is_ok()).await;
    eventually("bob has the message", async || texts(&bob, &chat).await == ["one"]).await;
    let two = SendRequest { text: "two".into(), ..SendRequest::default() };
    bob.app.send(&chat, vec![two]).await.unwrap();
    eventually("alice has the answer", async || texts(&alice, &chat).await == ["one", "two"]).await;
    let bob_home = bob.home.clone();
    bob.node.stop().await.unwrap();
    let room: RoomId = chat.parse().unwrap();
    let forget = |store: &parlor_storage::Store| {
        let mut forget = Batch::new(Some(room));
        forget.forget_room();
        for batch in [thrown_away(&room), forget] {
            store.commit_blocking(batch).unwrap();
        }
    };
    alice = alice.with_store(forget).await;
    // The chat is there again, for he is a contact, and what is written waits.
    eventually("the chat is there", async || alice.app.room(&chat).await.is_ok()).await;
    let three = SendRequest { text: "three".into(), ..SendRequest::default() };
    alice.app.send(&chat, vec![three]).await.unwrap();
    let held = alice.app.node.context.store.tips(&room).unwrap();
    let device = alice.app.node.context.identity.device();
    assert!(held.control.iter().chain(&held.message).all(|tip| tip.device != device), "nothing was written");
    let bob = crate::start(crate::services::alone::config(&bob_home)).await.unwrap();
    let all = ["one", "two", "three"];
    eventually("alice has all again", async || texts(&alice, &chat).await == all).await;
    eventually("bob has what waited", async || {
        let page = bob.app.history(&chat, crate::app::Anchor::Newest, 50, false).await.unwrap();
        page.items.iter().any(|message| message.text == "three")
    })
    .await;
    assert!(!was_thrown_away(&alice.app.node.context.store, &room).unwrap());
    alice.node.stop().await.unwrap();
    bob.stop().await.unwrap();
}
