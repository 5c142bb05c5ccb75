//! A home of which a piece is damaged starts with the rest.

use parlor_api::{Code, CreateInvite, JoinRequest, Level, SendRequest};
use parlor_storage::{Batch, Cursor, Namespace};

use crate::app::Anchor;
use crate::services::alone::{Alone, config, in_store, new_room};
use crate::{Home, Passphrase, init_account, recover_account, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_can_not_be_read_keeps_no_other_room_and_not_the_node_from_starting() {
    let alone = Alone::new().await;
    alone.write("lost").await;
    let link = alone.app.create_invite(&alone.room, CreateInvite::default()).await.unwrap().link.unwrap();
    let other = alone.app.create_room(new_room("other")).await.unwrap().room;
    let id = alone.room.parse().unwrap();
    let alone = alone.with_store(|store| {
        let page = store.page(&id, Cursor::Newest, 1).unwrap();
        store.damage_message(&id, page.rows[0].position).unwrap();
    });
    let alone = alone.await;
    let request = SendRequest { text: "here".to_owned(), ..SendRequest::default() };
    alone.app.send(&other, vec![request]).await.unwrap();
    let page = alone.app.history(&other, Anchor::Newest, 10, false).await.unwrap();
    assert_eq!(page.items.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["here"]);
    // It is told, and nothing is lost without a word.
    let damaged = async |alone: &Alone| {
        let rooms = alone.app.list_rooms().await.unwrap();
        rooms.into_iter().filter(|room| room.damaged.is_some()).map(|room| room.room).collect::<Vec<_>>()
    };
    assert_eq!(damaged(&alone).await, std::slice::from_ref(&alone.room));
    let doctor = alone.app.doctor(false).await.unwrap();
    assert!(doctor.findings.iter().any(|it| it.code == "room_damaged" && it.level == Level::Problem));
    for refused in [
        alone.app.history(&alone.room, Anchor::Newest, 10, false).await.map(|_| ()),
        alone.app.leave_room(&alone.room, false).await,
        // Nobody is asked to let us in, where the room could not be held.
        alone.app.join(JoinRequest { link, timeout: 5, once_asked: false }).await.map(|_| ()),
    ] {
        assert_eq!(refused.unwrap_err().code, Code::HomeDamaged);
    }
    let alone = alone.restarted().await;
    assert_eq!(damaged(&alone).await, std::slice::from_ref(&alone.room));
    alone.app.leave_room(&alone.room, true).await.unwrap();
    let alone = alone.restarted().await;
    let rooms = alone.app.list_rooms().await.unwrap();
    assert_eq!(rooms.into_iter().map(|room| room.room).collect::<Vec<_>>(), [other]);
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_members_and_messages_tell_again_keeps_neither_a_room_nor_the_node_from_starting() {
    let alone = Alone::new().await;
    alone.write("here").await;
    let id = alone.room.parse().unwrap();
    let alone = alone.with_store(|store| {
        for namespace in [Namespace::File, Namespace::Marker, Namespace::Peer] {
            for room in [None, Some(id)] {
                let mut batch = Batch::new(room);
                batch.put(namespace, b"row", vec![1]);
                store.commit_blocking(batch).unwrap();
                store.damage_value(room.as_ref(), namespace, b"row").unwrap();
                assert!(store.scan(room.as_ref(), namespace, &[]).is_err());
            }
        }
    });
    let alone = alone.await;
    let page = alone.app.history(&alone.room, Anchor::Newest, 10, false).await.unwrap();
    assert_eq!(page.items.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["here"]);
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_device_of_which_nothing_could_be_kept_is_told_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let homes = ["one", "other"].map(|name| Home::at(dir.path().join(name)));
    let made = init_account(&homes[0], "laptop", &Passphrase::None).unwrap();
    recover_account(&homes[1], "phone", &Passphrase::None, &made.recovery_phrase).unwrap();
    let (one, other) = (start(config(&homes[0])).await.unwrap(), start(config(&homes[1])).await.unwrap());
    let room = one.app.create_room(new_room("room")).await.unwrap().room;
    let link = one.app.create_invite(&room, CreateInvite::default()).await.unwrap().link.unwrap();
    other.app.join(JoinRequest { link, timeout: 60, once_asked: false }).await.unwrap();
    let begun = std::time::Instant::now();
    let new_ones = |node: &crate::Running| node.app.node.context.own.new_ones();
    while new_ones(&one).is_empty() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "it is never told");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    other.stop().await.unwrap();
    one.stop().await.unwrap();
    // The node ended before the list was on the disk.
    in_store(&homes[0], |store| {
        let mut batch = Batch::new(None);
        batch.delete(Namespace::Meta, b"own-devices");
        store.commit_blocking(batch).unwrap();
    });
    let one = start(config(&homes[0])).await.unwrap();
    assert_eq!(new_ones(&one).into_iter().map(|(_, name, _)| name).collect::<Vec<_>>(), ["phone"]);
    one.stop().await.unwrap();
}
