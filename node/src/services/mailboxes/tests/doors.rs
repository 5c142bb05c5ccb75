//! What lies at doors, whoever put it there: nothing of it keeps anybody else out, or from being heard.

use parlor_api::{CreateInvite, CreateRoom, JoinRequest, JoinState};
use parlor_crypto::leaf::LeafPublic;
use parlor_proto::RoomId;
use parlor_proto::control::JoinRequest as Request;
use parlor_proto::identity::Identity;
use parlor_proto::join::{DoorMail, knock};
use parlor_proto::link::Link;
use parlor_proto::mailbox::{self, BlobId, BoxKind, BoxName, Mail};
use parlor_proto::wire::Blob;
use parlor_storage::Namespace;
use tokio::sync::mpsc;

use super::relay::{Manners, TestRelay};
use super::{World, all_is_put, eventually, numbered, room_of_two, say, texts};
use crate::account::rng;
use crate::clock::now_ms;
use crate::launch::Running;
use crate::services::mailboxes::{DoorNews, JoinDoor, SharedBox};

/// The door of a link.
fn door_of(link: &Link) -> SharedBox {
    let keys = parlor_crypto::mailbox::BoxKeys::of_door(&link.keys().door.public_bytes());
    SharedBox { name: BoxName { kind: BoxKind::Door, key: keys.sign.public_bytes() }, keys }
}

fn parse(link: &str) -> Link {
    Link::parse(link, now_ms()).unwrap()
}

/// Leaves something at a door, as whoever has the link can.
fn leave(relay: &TestRelay, door: &SharedBox, content: &DoorMail) -> BlobId {
    relay.put(door.name, mailbox::seal_blob(&mut rng(), &door.name, &door.keys.seal, &content.encode()).unwrap())
}

/// What lies at a door and opens.
fn lies_at(relay: &TestRelay, door: &SharedBox) -> Vec<DoorMail> {
    let boxes = relay.disk.boxes.lock().unwrap();
    let open = |blob: &[u8]| mailbox::open_blob(&door.name, &door.keys.seal, blob).ok();
    let held = boxes.get(&door.name).into_iter().flatten();
    held.filter_map(|(.., blob)| DoorMail::decode(&open(blob)?)).collect()
}

fn answers(relay: &TestRelay, door: &SharedBox) -> usize {
    lies_at(relay, door).iter().filter(|mail| matches!(mail, DoorMail::Answer { last: true, .. })).count()
}

/// Somebody with a link who is on no network: his request, and a knock of it, another one each time.
fn stranger(link: &Link) -> (Request, Identity) {
    let (_, me) = Identity::create("carol", now_ms(), &mut rng()).unwrap();
    let nonce = rand::RngExt::random(&mut rng());
    (Request::sign(&link.room(), &link.keys().sign, me.signing_key(), me.entrant(), nonce), me)
}

fn knock_of(request: &Request) -> DoorMail {
    DoorMail::Knock(Blob(knock(&request.invite_pk, request, &mut rng()).1))
}

/// Alice's node with a room, and links into it.
async fn room_with_links<const N: usize>(world: &World, requests: [CreateInvite; N]) -> (Running, String, [Link; N]) {
    let alice = world.up("alice").await;
    let room = alice.app.create_room(CreateRoom::named("room")).await.unwrap().room;
    let mut links = Vec::new();
    for request in requests {
        links.push(parse(&alice.app.create_invite(&room, request).await.unwrap().link.unwrap()));
    }
    all_is_put(&alice, &room, 1).await;
    let Ok(links) = links.try_into() else { panic!("as many links as requests") };
    (alice, room, links)
}

/// A knock of this node's at the door of a room of which it has nothing.
fn at_unknown_door(node: &Running, leave: bool, instant: bool) -> JoinDoor {
    let relays = node.app.node.context.mailboxes.own().to_vec();
    let (room, door, knock, news) = (RoomId([9; 32]), [8; 32], vec![7; 600], mpsc::channel(1).0);
    JoinDoor { room, relays, door, knock, leave, instant, news }
}

/// Whether an answer to the knock comes.
async fn hears_an_answer(news: &mut mpsc::Receiver<DoorNews>) -> Vec<u8> {
    let hear = async {
        loop {
            if let DoorNews::Answer(bytes) = news.recv().await.expect("the service runs") {
                return bytes;
            }
        }
    };
    tokio::time::timeout(super::PATIENCE, hear).await.expect("waited in vain for an answer")
}

/// Knocks at a door that nobody watches. Answers the name of the knock.
async fn knocks(node: &Running, relay: &TestRelay, door: &JoinDoor) -> BlobId {
    let shared = door.shared();
    node.app.node.context.mailboxes.knock(door.clone());
    let knock = || relay.disk.boxes.lock().unwrap().get(&shared.name).and_then(|held| Some(held.first()?.1));
    eventually("the knock is at the relay", async || knock().is_some()).await;
    knock().unwrap()
}

fn answer(to: BlobId, n: u8) -> DoorMail {
    DoorMail::Answer { to, last: true, bytes: Blob(vec![n; 100]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn knocks_that_open_nothing_keep_no_door_of_the_room_shut() {
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let open = || CreateInvite::default();
    let (alice, room, [shut, other]) = room_with_links(&world, [open(), open()]).await;
    let (shut, door) = (door_of(&shut), (door_of(&other), other));
    for n in 0..100 {
        leave(&relay, &shut, &DoorMail::Knock(Blob(vec![n; 300])));
    }
    eventually("they are looked at", async || relay.given(&shut.name) >= 64).await;
    let (request, _) = stranger(&door.1);
    leave(&relay, &door.0, &knock_of(&request));
    eventually("who knocks at another door is let in", async || alice.app.room(&room).await.unwrap().members == 2)
        .await;
    eventually("all was looked at", async || relay.given(&shut.name) == 100).await;
    // Also at this one.
    alice.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knocks_again_and_again_is_left_the_events_of_the_room_once() {
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let (alice, room, [link]) = room_with_links(&world, [CreateInvite::default()]).await;
    let door = door_of(&link);
    let (request, _) = stranger(&link);
    for n in 1..=4 {
        leave(&relay, &door, &knock_of(&request));
        eventually("it is answered", async || answers(&relay, &door) == n).await;
    }
    let events = lies_at(&relay, &door).iter().filter(|mail| matches!(mail, DoorMail::Events(_))).count();
    assert_eq!(events, 1, "each knock puts all control events once more");
    all_is_put(&alice, &room, 1).await;
    alice.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_for_a_room_that_is_not_here_keeps_neither_its_answer_nor_another_room_from_being_read() {
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let (alice, bob) = (world.up("alice").await, world.up("bob").await);
    let room = room_of_two(&alice, &bob).await;
    bob.stop().await.unwrap();
    let before = relay.count(BoxKind::Room);
    say(&alice, &room, numbered("alice", 1)).await;
    all_is_put(&alice, &room, 1).await;
    alice.stop().await.unwrap();
    // It comes later.
    let message = relay.take_after(BoxKind::Room, before);
    assert!(!message.is_empty());

    let bob = world.up("bob").await;
    let (news, mut heard) = mpsc::channel(64);
    let door = JoinDoor { news, ..at_unknown_door(&bob, true, false) };
    let knock = knocks(&bob, &relay, &door).await;
    let leaf = bob.app.node.context.identity.now().entrant().leaf.leaf_pk;
    let leaf = LeafPublic::parse(&leaf).unwrap();
    let junk = (0..90).map(|n| Mail::Page(Blob(vec![n; 60_000])));
    for events in DoorMail::events(&door.room, &leaf, junk, &mut rng()) {
        leave(&relay, &door.shared(), &events);
    }
    eventually("what fills the machine is read", async || relay.given(&door.shared().name) > 60).await;
    leave(&relay, &door.shared(), &answer(knock, 1));
    assert_eq!(hears_an_answer(&mut heard).await, vec![1; 100]);
    for (name, blob) in message {
        relay.put(name, blob);
    }
    eventually("bob reads what alice wrote", async || texts(&bob, &room).await.len() == 1).await;
    bob.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_lay_at_the_door_before_the_request_is_left_again_is_heard() {
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let bob = world.up("bob").await;
    let knock = knocks(&bob, &relay, &at_unknown_door(&bob, true, true)).await;
    bob.stop().await.unwrap();
    let bob = world.up("bob").await;
    let (news, mut heard) = mpsc::channel(64);
    let door = |leave| JoinDoor { news: news.clone(), ..at_unknown_door(&bob, leave, true) };
    leave(&relay, &door(false).shared(), &answer(knock, 1));
    // By an instant link the door is only read for a while.
    bob.app.node.context.mailboxes.knock(door(false));
    eventually("the door is read", async || relay.given(&door(false).shared().name) >= 2).await;
    bob.app.node.context.mailboxes.knock(door(true));
    assert_eq!(hears_an_answer(&mut heard).await, vec![1; 100]);
    bob.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_wait_for_a_joiner_who_is_busy() {
    const FALSE: u8 = 100;
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let bob = world.up("bob").await;
    let (news, mut heard) = mpsc::channel(4);
    let door = JoinDoor { news, ..at_unknown_door(&bob, true, false) };
    let knock = knocks(&bob, &relay, &door).await;
    for n in 1..=FALSE {
        leave(&relay, &door.shared(), &answer(knock, n));
    }
    leave(&relay, &door.shared(), &answer(knock, 0));
    eventually("all is given", async || relay.given(&door.shared().name) > usize::from(FALSE)).await;
    // Done when all that came before on the line was looked at.
    knocks(&bob, &relay, &JoinDoor { room: RoomId([1; 32]), door: [1; 32], ..at_unknown_door(&bob, true, false) })
        .await;
    while hears_an_answer(&mut heard).await != vec![0; 100] {}
    bob.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_joins_into_one_room_end_each_for_itself() {
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let (alice, room, [one, two]) =
        room_with_links(&world, [CreateInvite::default(), CreateInvite { approve: true, ..CreateInvite::default() }])
            .await;
    let invites = alice.app.list_invites(&room).await.unwrap();
    let revoked = invites.iter().find(|invite| !invite.approve).unwrap().invite.clone();
    assert!(alice.app.revoke_invite(&room, &revoked).await.unwrap().revoked);
    all_is_put(&alice, &room, 1).await;
    alice.stop().await.unwrap();
    let bob = world.up("bob").await;
    for link in [&one, &two] {
        let answer = bob.app.join(JoinRequest { link: link.to_text(), timeout: 8, once_asked: false }).await.unwrap();
        assert_eq!(answer.state, JoinState::Pending, "{answer:?}");
    }
    let kept = |node: &Running| node.app.node.context.store.scan(None, Namespace::Invite, b"join").unwrap().len();
    assert_eq!(kept(&bob), 2, "both go on after a restart");

    let alice = world.up("alice").await;
    eventually("the one that was revoked ends", async || kept(&bob) == 1).await;
    eventually("the other one is asked", async || alice.app.requests(&room).await.unwrap().len() == 1).await;
    assert!(!bob.app.node.joins.waiting().is_empty(), "the other one goes on");
    alice.stop().await.unwrap();
    bob.stop().await.unwrap();
    let bob = world.up("bob").await;
    assert!(!bob.app.node.joins.waiting().is_empty(), "also after a restart");
    let alice = world.up("alice").await;
    let request = alice.app.requests(&room).await.unwrap().remove(0);
    alice.app.approve(&room, &request.account).await.unwrap();
    eventually("he comes in", async || alice.app.room(&room).await.unwrap().members == 2).await;
    bob.stop().await.unwrap();
    alice.stop().await.unwrap();
}
