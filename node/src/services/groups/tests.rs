//! Promises about invitations on the way, in a node.

use std::time::{Duration, Instant};

use parlor_api::{AddContact, Code, CreateInvite};
use parlor_proto::body::Group;
use parlor_proto::{AccountId, RoomId, codec};
use parlor_storage::{Batch, Namespace};

use super::book::{Known, State, Told};
use crate::clock::now_ms;
use crate::services::alone::{Alone, config, in_store};
use crate::start;

/// Somebody with a contact who is away, and whose invitation into a group with the two leads to a door where nobody is.
struct Invited {
    alone: Alone,
    known: Known,
}

async fn invited(at_ms: u64) -> Invited {
    let (alone, other) = (Alone::new().await, Alone::new().await);
    let (me, by) = (alone.app.node.context.identity.account(), other.app.node.context.identity.account());
    let who = other.app.contact_card().await.unwrap().link;
    alone.app.add_contact(AddContact { who, text: String::new(), name: None }).await.unwrap();
    let link = other.app.create_invite(&other.room, CreateInvite::default()).await.unwrap().link.unwrap();
    let room: RoomId = other.room.parse().unwrap();
    other.node.stop().await.unwrap();
    let mut people = vec![me, by, AccountId([9; 32])];
    people.sort_unstable();
    let state = State::Taken { by, link: Some(link) };
    let known = Known { room, name: "nowhere".to_owned(), people, heard_ms: at_ms, at_ms, times: 1, state };
    let bytes = codec::encode(&known);
    let alone = alone.with_store(|store| {
        let mut batch = Batch::new(None);
        batch.put(Namespace::Group, &room.0, bytes);
        store.commit_blocking(batch).unwrap();
    });
    Invited { alone: alone.await, known }
}

impl Invited {
    /// What is kept of it, after everything that was due was done.
    async fn kept(&self) -> Option<State> {
        self.alone.app.group_invitations().await.unwrap();
        self.alone.app.group_invitations().await.unwrap();
        let kept = self.alone.app.node.context.store.get(None, Namespace::Group, &self.known.room.0).unwrap();
        kept.map(|bytes| codec::decode::<Known>(&bytes, usize::MAX).unwrap().state)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_on_knocking_at_the_door_of_whom_the_user_blocks() {
    let invited = invited(now_ms()).await;
    assert_eq!(invited.kept().await, Some(invited.known.state.clone()));
    let by = invited.known.by().unwrap().to_string();
    invited.alone.app.block_contact(&by, true).await.unwrap();
    while invited.kept().await.is_some() || !invited.alone.app.node.joins.waiting().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    invited.alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_into_nothing_is_said_and_given_up_for_a_group_of_the_same_people() {
    let invited = invited(now_ms()).await;
    let groups = &invited.alone.app.node.groups;
    let why = groups.find(invited.known.people.clone()).await.unwrap_err();
    assert_eq!(why.code, Code::Conflict);
    assert!(why.hint.is_some_and(|hint| hint.contains(&invited.known.room.to_string()[..16])), "and what helps");
    invited.alone.app.refuse_group(&invited.known.room.to_string()[..16]).await.unwrap();
    assert_eq!(groups.find(invited.known.people.clone()).await, Ok(None));
    assert_eq!(invited.kept().await, Some(State::Refused { by: invited.known.by().unwrap() }));
    invited.alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_at_the_start_ends_no_invitation() {
    let month = 31 * 24 * 3_600_000;
    for at_ms in [now_ms() - month, now_ms() + month] {
        let invited = invited(at_ms).await;
        assert_eq!(invited.kept().await, Some(invited.known.state.clone()));
        invited.alone.node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_groups_can_not_be_read_does_not_begin_without_them() {
    let Invited { alone, known } = invited(now_ms()).await;
    alone.node.stop().await.unwrap();
    in_store(&alone.home, |store| store.damage_value(None, Namespace::Group, &known.room.0).unwrap());
    assert_eq!(start(config(&alone.home)).await.err().unwrap().code, Code::HomeDamaged);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_could_not_be_kept_is_heard_when_the_disk_works_again() {
    let alone = Alone::new().await;
    let context = &alone.app.node.context;
    let (chat, by): (RoomId, _) = (alone.room.parse().unwrap(), AccountId([7; 32]));
    let mut people = vec![context.identity.account(), by, AccountId([9; 32])];
    people.sort_unstable();
    let group = Group { link: "link".to_owned(), name: "walk".to_owned(), people };
    let row = |room, name: &[u8], bytes| {
        let mut batch = Batch::new(room);
        batch.put(Namespace::Group, name, bytes);
        batch
    };
    let told = codec::encode(&Told { by, room: RoomId([5; 32]), group });
    context.store.commit(row(Some(chat), b"told", told)).await.unwrap();
    // Whatever the fault meets first, the invitation finds a store that is not open.
    context.store.break_disk(20);
    assert!(context.store.commit(row(None, b"test", vec![1])).await.is_err());
    context.groups.told(chat);
    let begun = Instant::now();
    let lies = || context.store.get(Some(&chat), Namespace::Group, b"told").unwrap().is_some();
    while alone.app.group_invitations().await.unwrap().is_empty() || lies() {
        assert!(begun.elapsed() < Duration::from_secs(90), "it is never heard");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    alone.node.stop().await.unwrap();
}
