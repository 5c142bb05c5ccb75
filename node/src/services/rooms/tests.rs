//! Promises about what follows when the disk fails.

use parlor_api::{CreateRoom, SendRequest};

use crate::app::Anchor;
use crate::{App, Config, Home, Passphrase, Running, init_account, start};

/// A node alone in the world, with one room.
struct Alone {
    node: Running,
    app: App,
    room: String,
    home: Home,
    _dir: tempfile::TempDir,
}

fn config(home: &Home) -> Config {
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    Config { listen, mdns: false, ..Config::new(home.clone()) }
}

fn request(text: &str) -> SendRequest {
    SendRequest { text: text.to_owned(), client_id: Some(text.to_owned()), reply_to: None }
}

impl Alone {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        init_account(&home, "alone", &Passphrase::None).unwrap();
        let node = start(config(&home)).await.unwrap();
        let app = node.app.clone();
        let new = CreateRoom {
            name: "room".to_owned(),
            kind: parlor_api::RoomKind::Group,
            history: parlor_api::History::Shared,
            about: None,
            ttl: None,
        };
        let room = app.create_room(new).await.unwrap().room;
        Self { node, app, room, home, _dir: dir }
    }

    async fn texts(&self) -> Vec<String> {
        let page = self.app.history(&self.room, Anchor::Newest, 50, false).await.unwrap();
        page.items.into_iter().map(|message| message.text).collect()
    }

    async fn restarted(self) -> Self {
        self.node.stop().await.unwrap();
        let node = start(config(&self.home)).await.unwrap();
        let app = node.app.clone();
        Self { node, app, ..self }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_disk_took_before_it_failed_is_sent_once_and_the_client_is_told() {
    for openings in [0, 1] {
        let alone = Alone::new().await;
        alone.app.send(&alone.room, vec![request("before")]).await.unwrap();
        alone.app.node.context.store.break_disk(openings);
        let answers = alone.app.send(&alone.room, vec![request("once")]).await.unwrap();
        let again = alone.app.send(&alone.room, vec![request("once")]).await.unwrap();
        assert_eq!(answers[0].message, again[0].message);
        assert_eq!(alone.texts().await, ["once", "before"]);
        alone.app.send(&alone.room, vec![request("after")]).await.unwrap();
        let alone = alone.restarted().await;
        let last = alone.app.send(&alone.room, vec![request("once")]).await.unwrap();
        assert_eq!(answers[0].message, last[0].message);
        assert_eq!(alone.texts().await, ["after", "once", "before"]);
        assert!(
            alone
                .app
                .outbox()
                .await
                .unwrap()
                .iter()
                .all(|entry| entry.reason.as_deref() != Some("the message could not be stored"))
        );
        alone.node.stop().await.unwrap();
    }
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
