//! Instant invites over a real relay's lines: who has the link comes in, reads and writes while nobody is online.

use parlor_api::{Code, CreateInvite, CreateRoom, JoinRequest, JoinState, MessageStatus};
use parlor_proto::mailbox::BoxKind;

use super::relay::{Manners, TestRelay};
use super::{World, all_is_put, eventually, history, numbered, say, texts};
use crate::launch::Running;

fn instant(uses: u32) -> CreateInvite {
    CreateInvite { instant: true, uses: Some(uses), ..CreateInvite::default() }
}

/// A relay, and alice's node with a room that has its mailbox there.
async fn room_with_relay() -> (TestRelay, World, Running, String) {
    let relay = TestRelay::start(1, Manners::Honest).await;
    let world = World::new(&[&relay]);
    let alice = world.up("alice").await;
    let room = alice.app.create_room(CreateRoom::named("room")).await.unwrap().room;
    (relay, world, alice, room)
}

async fn joins(node: &Running, link: &str) -> JoinState {
    let request = JoinRequest { link: link.to_owned(), timeout: 60, once_asked: false };
    node.app.join(request).await.unwrap().state
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_an_instant_link_reads_and_writes_with_nobody_online_and_is_found_by_whoever_wakes() {
    let (_relay, world, alice, room) = room_with_relay().await;
    let invite = alice.app.create_invite(&room, instant(1)).await.unwrap();
    let notice = invite.notice.clone().unwrap();
    assert!(invite.instant && notice.contains("can read the room") && notice.contains("revoked"), "{notice}");
    assert_eq!((invite.uses, invite.used, invite.uses_left), (1, 0, 1), "guests are no uses");
    say(&alice, &room, numbered("alice", 2)).await;
    all_is_put(&alice, &room, 1).await;
    assert_eq!(alice.app.room(&room).await.unwrap().members, 1);
    alice.stop().await.unwrap();

    let bob = world.up("bob").await;
    assert_eq!(joins(&bob, &invite.link.unwrap()).await, JoinState::Joined);
    eventually("bob reads what alice wrote", async || texts(&bob, &room).await.len() == 2).await;
    say(&bob, &room, numbered("bob", 1)).await;
    all_is_put(&bob, &room, 1).await;
    bob.stop().await.unwrap();

    let alice = world.up("alice").await;
    let all: Vec<_> = numbered("alice", 2).chain(numbered("bob", 1)).collect();
    eventually("alice reads what bob wrote", async || texts(&alice, &room).await == all).await;
    assert_eq!(alice.app.room(&room).await.unwrap().members, 2);
    let names: Vec<_> = alice.app.members(&room).await.unwrap().into_iter().map(|member| member.name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let listed = alice.app.list_invites(&room).await.unwrap().remove(0);
    assert_eq!((listed.used, listed.uses_left, listed.joined.len()), (1, 0, 1));
    // He stopped before his marker was due.
    let bob = world.up("bob").await;
    eventually("alice's are delivered, with no guest to acknowledge them", async || {
        let ours = history(&alice, &room).await.into_iter().take(2);
        ours.filter(|message| message.status == MessageStatus::Delivered).count() == 2
    })
    .await;
    bob.stop().await.unwrap();
    alice.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_at_the_door_survives_a_restart_before_the_relay_was_there() {
    let (relay, world, alice, room) = room_with_relay().await;
    all_is_put(&alice, &room, 1).await;
    relay.kill().await;
    let invite = alice.app.create_invite(&room, instant(1)).await.unwrap();
    alice.stop().await.unwrap();
    let relay = TestRelay::again(1, relay).await;
    let alice = world.up("alice").await;
    let parts = || {
        let boxes = relay.disk.boxes.lock().unwrap();
        boxes.iter().filter(|(name, _)| name.kind == BoxKind::Door).map(|(_, held)| held.len()).sum::<usize>()
    };
    eventually("the parts are at the door", async || parts() > 0).await;
    all_is_put(&alice, &room, 1).await;
    alice.stop().await.unwrap();
    let bob = world.up("bob").await;
    assert_eq!(joins(&bob, &invite.link.unwrap()).await, JoinState::Joined);
    bob.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_revoked_lets_nobody_in() {
    let (_relay, world, alice, room) = room_with_relay().await;
    let invite = alice.app.create_invite(&room, instant(2)).await.unwrap();
    all_is_put(&alice, &room, 1).await;
    assert!(alice.app.revoke_invite(&room, &invite.invite).await.unwrap().revoked);
    say(&alice, &room, numbered("alice", 1)).await;
    all_is_put(&alice, &room, 1).await;
    alice.stop().await.unwrap();
    let bob = world.up("bob").await;
    let request = JoinRequest { link: invite.link.unwrap(), timeout: 60, once_asked: false };
    let refused = bob.app.join(request).await.unwrap_err();
    assert_eq!(refused.code, Code::InviteRevoked, "{refused:?}");
    bob.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_without_mailboxes_has_no_instant_invites() {
    let world = World::new(&[]);
    let alice = world.up("alice").await;
    let room = alice.app.create_room(CreateRoom::named("room")).await.unwrap().room;
    let problem = alice.app.create_invite(&room, instant(1)).await.unwrap_err();
    assert!(problem.detail.contains("relay") && problem.hint.is_some_and(|hint| hint.contains("--mailbox")));
    assert!(alice.app.list_invites(&room).await.unwrap().is_empty());
    alice.stop().await.unwrap();
}
