//! Joins that are cancelled, and ends of joins that are cleared.

use parlor_api::{Code, CreateInvite, EventBody, JoinProgress, JoinRequest, JoinState, JoinStep};
use parlor_storage::Namespace;

use super::relay::{Manners, TestRelay};
use super::{World, all_is_put, eventually};
use crate::launch::Running;

/// Alice's room, and a link into it by which a member has to approve who comes.
async fn approved_room(world: &World) -> (Running, String, String) {
    let alice = world.up("alice").await;
    let room = alice.app.create_room(parlor_api::CreateRoom::named("room")).await.unwrap().room;
    let request = CreateInvite { approve: true, ..CreateInvite::default() };
    let link = alice.app.create_invite(&room, request).await.unwrap().link.unwrap();
    all_is_put(&alice, &room, 1).await;
    (alice, room, link)
}

fn by(link: &str, timeout: u64) -> JoinRequest {
    JoinRequest { link: link.to_owned(), timeout, once_asked: false }
}

/// What is told of joins, and how many go on after a restart.
async fn told(node: &Running) -> (Vec<JoinProgress>, usize) {
    let kept = node.app.node.context.store.scan(None, Namespace::Invite, b"join").unwrap().len();
    (node.app.status().await.unwrap().joins, kept)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_is_cancelled_asks_nobody_any_more_and_the_link_can_be_used_again() {
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let (alice, room, link) = approved_room(&world).await;
    alice.stop().await.unwrap();
    let bob = world.up("bob").await;
    assert_eq!(bob.app.join(by(&link, 8)).await.unwrap().state, JoinState::Pending);
    let mut events = bob.app.subscribe(None).unwrap();
    let was = bob.app.cancel_join(&room[..8]).await.unwrap();
    assert_eq!((was.room.as_str(), was.step), (room.as_str(), JoinStep::Relay));
    let over = async {
        while let Some(event) = events.next().await {
            if matches!(&event.unwrap().body, EventBody::Join(join) if join.room == room && join.step == JoinStep::Over)
            {
                return;
            }
        }
    };
    tokio::time::timeout(super::PATIENCE, over).await.expect("all windows are told");
    assert_eq!(told(&bob).await, (vec![], 0));
    assert_eq!(bob.app.cancel_join(&room).await.unwrap_err().code, Code::NotFound);
    bob.stop().await.unwrap();

    // What lay at the relay comes to a member all the same, who may say yes: nobody here hears of it.
    let (alice, bob) = (world.up("alice").await, world.up("bob").await);
    assert!(bob.app.node.joins.waiting().is_empty(), "nor does it go on after a restart");
    eventually("alice has the request", async || !alice.app.requests(&room).await.unwrap().is_empty()).await;
    let request = alice.app.requests(&room).await.unwrap().remove(0);
    alice.app.approve(&room, &request.account).await.unwrap();
    assert_eq!(bob.app.room(&room).await.unwrap_err().code, Code::RoomNotFound);
    assert_eq!(bob.app.join(by(&link, 60)).await.unwrap().state, JoinState::Joined);
    assert_eq!(bob.app.cancel_join(&room).await.unwrap_err().code, Code::Conflict, "he is in");
    bob.stop().await.unwrap();
    alice.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_join_that_is_cancelled_is_told_so_at_once() {
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let (alice, room, link) = approved_room(&world).await;
    let bob = world.up("bob").await;
    let app = bob.app.clone();
    let waits = tokio::spawn(async move { app.join(by(&link, 600)).await });
    let asked = async || bob.app.status().await.unwrap().joins.iter().any(|join| join.step == JoinStep::Approval);
    eventually("a member who may approve has the request", asked).await;
    bob.app.cancel_join(&room).await.unwrap();
    let answer = tokio::time::timeout(super::PATIENCE, waits).await.expect("an answer").unwrap();
    assert_eq!(answer.unwrap_err().code, Code::JoinCancelled);
    bob.stop().await.unwrap();
    alice.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_join_ended_is_told_until_it_is_cleared_and_never_again() {
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let (alice, room, link) = approved_room(&world).await;
    let bob = world.up("bob").await;
    assert_eq!(bob.app.join(by(&link, 3)).await.unwrap().state, JoinState::Pending);
    eventually("alice has the request", async || !alice.app.requests(&room).await.unwrap().is_empty()).await;
    let request = alice.app.requests(&room).await.unwrap().remove(0);
    alice.app.refuse(&room, &request.account).await.unwrap();
    let ended = async |node: &Running| told(node).await.0.iter().any(|join| join.step == JoinStep::Ended);
    eventually("bob is told", async || ended(&bob).await).await;
    bob.stop().await.unwrap();
    let bob = world.up("bob").await;
    assert!(ended(&bob).await, "also after a restart");
    assert_eq!(bob.app.cancel_join(&room).await.unwrap().step, JoinStep::Ended);
    assert_eq!(told(&bob).await, (vec![], 0));
    bob.stop().await.unwrap();
    let bob = world.up("bob").await;
    assert_eq!(told(&bob).await, (vec![], 0));
    bob.stop().await.unwrap();
    alice.stop().await.unwrap();
}
