//! A home of which a piece is damaged starts with the rest.

use parlor_api::{Code, Level, SendRequest};
use parlor_storage::Cursor;

use crate::app::Anchor;
use crate::services::alone::{Alone, new_room};

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_can_not_be_read_keeps_no_other_room_and_not_the_node_from_starting() {
    let alone = Alone::new().await;
    alone.write("lost").await;
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
    assert_eq!(damaged(&alone).await, [alone.room.clone()]);
    let doctor = alone.app.doctor(false).await.unwrap();
    assert!(doctor.findings.iter().any(|it| it.code == "room_damaged" && it.level == Level::Problem));
    for refused in [
        alone.app.history(&alone.room, Anchor::Newest, 10, false).await.map(|_| ()),
        alone.app.leave_room(&alone.room, false).await,
    ] {
        assert_eq!(refused.unwrap_err().code, Code::HomeDamaged);
    }
    let alone = alone.restarted().await;
    assert_eq!(damaged(&alone).await, [alone.room.clone()]);
    alone.app.leave_room(&alone.room, true).await.unwrap();
    let alone = alone.restarted().await;
    let rooms = alone.app.list_rooms().await.unwrap();
    assert_eq!(rooms.into_iter().map(|room| room.room).collect::<Vec<_>>(), [other]);
    alone.node.stop().await.unwrap();
}
