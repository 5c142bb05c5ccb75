//! People who are never online together, over real relays' lines: what one writes the other has.

mod cancel;
mod doors;
mod instant;
mod relay;

use std::path::Path;
use std::time::{Duration, Instant};

use parlor_api::{
    CreateInvite, CreateRoom, JoinRequest, JoinState, Message, MessageStatus, Relay, RemoveMembers, SendRequest,
};
use parlor_proto::mailbox::BoxKind;

use self::relay::{Manners, TestRelay};
use crate::app::Anchor;
use crate::launch::{Running, init_account, start};
use crate::{Config, Home, Passphrase};

/// Far longer than anything here takes, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

struct World {
    dir: tempfile::TempDir,
    relays: Vec<String>,
}

impl World {
    fn new(relays: &[&TestRelay]) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), relays: relays.iter().map(|relay| relay.address.clone()).collect() }
    }

    fn home(&self, name: &str) -> Home {
        Home::at(Path::new(self.dir.path()).join(name))
    }

    /// Starts somebody's node, who is made the first time.
    async fn up(&self, name: &str) -> Running {
        let home = self.home(name);
        if !home.has_account() {
            init_account(&home, name, &Passphrase::None).unwrap();
        }
        let mut config = Config::new(home);
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        config.mdns = false;
        config.relays = self.relays.clone().into();
        start(config).await.unwrap()
    }
}

async fn say(node: &Running, room: &str, texts: impl Iterator<Item = String>) {
    let message = |text| SendRequest { text, ..SendRequest::default() };
    node.app.send(room, texts.map(message).collect()).await.unwrap();
}

async fn history(node: &Running, room: &str) -> Vec<Message> {
    let (mut anchor, mut messages) = (Anchor::Newest, Vec::new());
    loop {
        let Ok(page) = node.app.history(room, anchor, parlor_api::PAGE_MAX, false).await else { return Vec::new() };
        messages.extend(page.items);
        match page.older {
            Some(older) => anchor = Anchor::Before(older),
            None => return messages.into_iter().rev().collect(),
        }
    }
}

async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !look().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until all of ours is at so many relays, and our messages are marked so.
async fn all_is_put(node: &Running, room: &str, relays: usize) {
    put_at(node, room, relays, |relay| relay.mailbox && relay.rooms > 0 && relay.waiting == 0).await;
}

/// Waits until so many relays are as they should be, and our messages are marked as sent.
async fn put_at(node: &Running, room: &str, relays: usize, is_done: impl Fn(&Relay) -> bool) {
    eventually("our messages are marked as sent", async || {
        let ours = history(node, room).await;
        !ours.iter().any(|message| message.status == MessageStatus::Queued)
    })
    .await;
    let start = Instant::now();
    loop {
        let held = node.app.status().await.unwrap().relays;
        if held.iter().filter(|relay| is_done(relay)).count() >= relays {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "not everything is at the relays: {held:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn texts(node: &Running, room: &str) -> Vec<String> {
    history(node, room).await.into_iter().map(|message| message.text).collect()
}

/// A room of alice's with bob in it.
async fn room_of_two(alice: &Running, bob: &Running) -> String {
    let room = alice.app.create_room(CreateRoom::named("room")).await.unwrap().room;
    let invite = alice.app.create_invite(&room, CreateInvite::default()).await.unwrap();
    let request = JoinRequest { link: invite.link.unwrap(), timeout: JoinRequest::TIMEOUT, once_asked: false };
    assert_eq!(bob.app.join(request).await.unwrap().state, JoinState::Joined);
    room
}

fn numbered(who: &str, n: usize) -> impl Iterator<Item = String> {
    let who = who.to_owned();
    (0..n).map(move |n| format!("{who} {n}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_writes_before_she_goes_the_other_has_later_in_order_and_she_learns_that_he_does() {
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let (alice, bob) = (world.up("alice").await, world.up("bob").await);
    let room = room_of_two(&alice, &bob).await;
    assert_eq!(alice.app.room(&room).await.unwrap().mailboxes, world.relays);
    bob.stop().await.unwrap();
    say(&alice, &room, numbered("alice", 100)).await;
    all_is_put(&alice, &room, 1).await;
    let sent = history(&alice, &room).await;
    assert!(sent.iter().all(|message| message.status == MessageStatus::Sent), "{:?}", sent[0].status);
    alice.stop().await.unwrap();

    let bob = world.up("bob").await;
    eventually("bob has what alice wrote", async || texts(&bob, &room).await.len() == 100).await;
    assert_eq!(texts(&bob, &room).await, numbered("alice", 100).collect::<Vec<_>>());
    say(&bob, &room, numbered("bob", 100)).await;
    all_is_put(&bob, &room, 1).await;
    bob.stop().await.unwrap();

    let alice = world.up("alice").await;
    eventually("alice has what bob wrote", async || texts(&alice, &room).await.len() == 200).await;
    let all: Vec<_> = numbered("alice", 100).chain(numbered("bob", 100)).collect();
    assert_eq!(texts(&alice, &room).await, all);
    eventually("alice learns that bob has hers", async || {
        let ours = history(&alice, &room).await.into_iter().take(100);
        ours.filter(|message| message.status == MessageStatus::Delivered).count() == 100
    })
    .await;
    alice.stop().await.unwrap();
}

/// Alice writes for bob who is away, at an honest relay and this one. Whether it shows in alice's status, bob has everything.
async fn beside(manners: Manners) {
    let (honest, other) = (TestRelay::start(1, Manners::Honest).await, TestRelay::start(2, manners).await);
    let world = World::new(&[&other, &honest]);
    let (alice, bob) = (world.up("alice").await, world.up("bob").await);
    let room = room_of_two(&alice, &bob).await;
    bob.stop().await.unwrap();
    say(&alice, &room, numbered("alice", 20)).await;
    // Alice may look at the box before all is put, and find out that it keeps no promises.
    let found_out = |relay: &Relay| relay.error.as_ref().is_some_and(|error| error.contains("lost"));
    let is_done = |relay: &Relay| found_out(relay) || relay.mailbox && relay.rooms > 0 && relay.waiting == 0;
    put_at(&alice, &room, 2, is_done).await;
    alice.stop().await.unwrap();
    let bob = world.up("bob").await;
    eventually("bob has everything", async || texts(&bob, &room).await.len() == 20).await;
    assert_eq!(texts(&bob, &room).await, numbered("alice", 20).collect::<Vec<_>>());
    bob.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_drops_what_it_acknowledged_loses_nothing_beside_another() {
    beside(Manners::Drops).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_forges_loses_nothing_beside_another() {
    beside(Manners::Forges).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_withholds_loses_nothing_beside_another() {
    beside(Manners::Withholds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_dies_in_the_middle_and_comes_back_has_everything_in_the_end() {
    let (one, two) = (TestRelay::start(1, Manners::Honest).await, TestRelay::start(2, Manners::Honest).await);
    let world = World::new(&[&one, &two]);
    let (alice, bob) = (world.up("alice").await, world.up("bob").await);
    let room = room_of_two(&alice, &bob).await;
    bob.stop().await.unwrap();
    say(&alice, &room, numbered("alice", 30)).await;
    one.kill().await;
    say(&alice, &room, (30..60).map(|n| format!("alice {n}"))).await;
    all_is_put(&alice, &room, 1).await;
    // The one that was dead gets from the log what it missed; then the other is gone.
    let one = TestRelay::again(1, one).await;
    all_is_put(&alice, &room, 2).await;
    two.kill().await;
    alice.stop().await.unwrap();
    let bob = world.up("bob").await;
    eventually("bob has everything from the one that died", async || texts(&bob, &room).await.len() == 60).await;
    assert_eq!(texts(&bob, &room).await, numbered("alice", 60).collect::<Vec<_>>());
    bob.stop().await.unwrap();
    one.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_at_the_door_until_a_member_comes_by_and_the_answer_until_the_joiner_does() {
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let alice = world.up("alice").await;
    let room = alice.app.create_room(CreateRoom::named("room")).await.unwrap().room;
    let invite = alice.app.create_invite(&room, CreateInvite::default()).await.unwrap();
    say(&alice, &room, numbered("alice", 5)).await;
    all_is_put(&alice, &room, 1).await;
    alice.stop().await.unwrap();

    let bob = world.up("bob").await;
    let request = JoinRequest { link: invite.link.unwrap(), timeout: 15, once_asked: false };
    let answer = bob.app.join(request).await.unwrap();
    assert_eq!(answer.state, JoinState::Pending, "{answer:?}");
    bob.stop().await.unwrap();

    let alice = world.up("alice").await;
    eventually("alice lets bob in", async || alice.app.room(&room).await.unwrap().members == 2).await;
    let door = |relay: &TestRelay| {
        let boxes = relay.disk.boxes.lock().unwrap();
        boxes.iter().filter(|(name, _)| name.kind == BoxKind::Door).map(|(_, held)| held.len()).sum::<usize>()
    };
    eventually("the answer is in the door", async || door(&relay) >= 3).await;
    all_is_put(&alice, &room, 1).await;
    alice.stop().await.unwrap();

    let bob = world.up("bob").await;
    eventually("bob is in and reads", async || texts(&bob, &room).await.len() == 5).await;
    say(&bob, &room, numbered("bob", 1)).await;
    all_is_put(&bob, &room, 1).await;
    bob.stop().await.unwrap();
    let alice = world.up("alice").await;
    eventually("alice reads what bob wrote", async || texts(&alice, &room).await.len() == 6).await;
    alice.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_finds_no_way_to_the_next_box_and_who_was_away_does() {
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let (alice, bob, carol) = (world.up("alice").await, world.up("bob").await, world.up("carol").await);
    let room = room_of_two(&alice, &bob).await;
    let invite = alice.app.create_invite(&room, CreateInvite::default()).await.unwrap();
    let request = JoinRequest { link: invite.link.unwrap(), timeout: JoinRequest::TIMEOUT, once_asked: false };
    assert_eq!(carol.app.join(request).await.unwrap().state, JoinState::Joined);
    bob.stop().await.unwrap();
    let carols = carol.app.ready().await.unwrap().account;
    carol.stop().await.unwrap();
    alice.app.remove_member(&room, &carols, RemoveMembers::default(), false).await.unwrap();
    say(&alice, &room, numbered("after", 3)).await;
    all_is_put(&alice, &room, 1).await;
    alice.stop().await.unwrap();

    let carol = world.up("carol").await;
    eventually("carol learns that she is out", async || {
        carol.app.room(&room).await.unwrap().role == parlor_api::Standing::Removed
    })
    .await;
    let her = carol.app.node.context.peer;
    assert!(texts(&carol, &room).await.is_empty());
    carol.stop().await.unwrap();
    let bob = world.up("bob").await;
    eventually("bob goes from the old box to the new one", async || texts(&bob, &room).await.len() == 3).await;
    let his = bob.app.node.context.peer;
    bob.stop().await.unwrap();
    // The box with the messages was opened by bob, and never by carol.
    let readers = relay.disk.readers.lock().unwrap();
    let of = |peer| readers.iter().filter(|(it, name)| *it == peer && name.kind == BoxKind::Room).count();
    let only_his = readers.iter().any(|(it, name)| *it == his && !readers.contains(&(her, *name)));
    assert!(of(her) > 0 && only_his, "carol opened every box that bob did");
}
