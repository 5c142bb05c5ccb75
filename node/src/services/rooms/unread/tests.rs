//! Promises about counting what was not read.

use std::path::Path;

use parlor_api::{CreateInvite, CreateRoom, EventBody, JoinRequest, SendRequest, UpdateAttention};
use parlor_proto::RoomId;

use super::super::entry::Entry;
use crate::launch::{Running, init_account, start};
use crate::{Config, Home, Passphrase};

async fn node(dir: &Path, name: &str) -> Running {
    let home = Home::at(dir.join(name));
    init_account(&home, name, &Passphrase::None).unwrap();
    start(Config { listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()], mdns: false, ..Config::new(home) }).await.unwrap()
}

async fn together(dir: &Path) -> (Running, Running, RoomId) {
    let (alice, bob) = (node(dir, "alice").await, node(dir, "bob").await);
    let id: RoomId = alice.app.create_room(CreateRoom::named("room")).await.unwrap().room.parse().unwrap();
    let invite = alice.app.create_invite(&id.to_string(), CreateInvite::default()).await.unwrap();
    bob.app
        .join(JoinRequest { link: invite.link.unwrap(), timeout: JoinRequest::TIMEOUT, once_asked: false })
        .await
        .unwrap();
    (alice, bob, id)
}

fn texts(n: usize, from: usize) -> Vec<SendRequest> {
    (from..from + n).map(|n| SendRequest { text: format!("message {n}"), ..SendRequest::default() }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_while_messages_come_counts_as_the_store_does() {
    const ALL: usize = 240;
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob, id) = together(dir.path()).await;
    let room = id.to_string();
    let mut events = alice.app.subscribe(None).unwrap();
    let write = async {
        for from in (0..ALL).step_by(8) {
            bob.app.send(&room, texts(8, from)).await.unwrap();
        }
    };
    let read = async {
        let mut n_seen = 0;
        while n_seen < ALL {
            let event = events.next().await.unwrap().unwrap();
            let EventBody::Message(message) = &event.body else { continue };
            n_seen += 1;
            // Sometimes to the newest, sometimes to one that is gone past; the last are left.
            let target = match n_seen % 7 {
                _ if n_seen > ALL - 20 => continue,
                0 => None,
                3 => Some(message.message.as_str()),
                _ => continue,
            };
            alice.app.mark_read(&room, target).await.unwrap();
        }
    };
    tokio::join!(write, read);
    let context = &alice.app.node.context;
    let mut stored = Entry::load(context, id).unwrap();
    stored.unread.told = None;
    let shown = alice.app.room(&room).await.unwrap();
    assert_eq!(shown.unread, stored.unread.count());
    assert_eq!(shown.first_unread, stored.unread.first().map(|(_, id)| id.to_string()));
    assert!(shown.unread <= ALL as u64);
    let marked = alice.app.mark_read(&room, None).await.unwrap();
    assert_eq!(marked.unread, 0);
    let list = alice.app.list_rooms().await.unwrap();
    assert_eq!((list[0].unread, &list[0].first_unread), (0, &None));
    drop((alice.stop().await, bob.stop().await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_that_ends_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let alice = node(dir.path(), "alice").await;
    let room = alice.app.create_room(CreateRoom::named("room")).await.unwrap().room;
    let mut events = alice.app.subscribe(None).unwrap();
    let update = UpdateAttention { mute_for: Some(1), ..UpdateAttention::default() };
    assert!(alice.app.attend(&room, update).await.unwrap().attention.muted);
    let mut told = Vec::new();
    while told.len() < 2 {
        if let EventBody::Unread(unread) = &events.next().await.unwrap().unwrap().body {
            told.push(unread.attention.muted);
        }
    }
    assert_eq!(told, [true, false]);
    alice.stop().await.unwrap();
}
