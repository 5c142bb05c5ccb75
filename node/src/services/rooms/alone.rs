//! A node alone in the world, for tests of rooms.

use parlor_api::CreateRoom;

use crate::{App, Config, Home, Passphrase, Running, init_account, start};

/// A node alone in the world, with one room.
pub(super) struct Alone {
    pub(super) node: Running,
    pub(super) app: App,
    pub(super) room: String,
    pub(super) home: Home,
    _dir: tempfile::TempDir,
}

pub(super) fn config(home: &Home) -> Config {
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    Config { listen, mdns: false, ..Config::new(home.clone()) }
}

pub(super) fn new_room(name: &str) -> CreateRoom {
    CreateRoom {
        name: name.to_owned(),
        kind: parlor_api::RoomKind::Group,
        history: parlor_api::History::Shared,
        about: None,
        ttl: None,
        mailboxes: None,
    }
}

impl Alone {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        init_account(&home, "alone", &Passphrase::None).unwrap();
        let node = start(config(&home)).await.unwrap();
        let app = node.app.clone();
        let room = app.create_room(new_room("room")).await.unwrap().room;
        Self { node, app, room, home, _dir: dir }
    }

    pub(super) async fn restarted(self) -> Self {
        self.node.stop().await.unwrap();
        let node = start(config(&self.home)).await.unwrap();
        let app = node.app.clone();
        Self { node, app, ..self }
    }
}
