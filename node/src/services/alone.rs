//! A node alone in the world, for tests of services.

use parlor_api::{CreateRoom, SendRequest};

use parlor_storage::{OpenOptions, Store};

use crate::account::Account;
use crate::{App, Config, Home, Passphrase, Running, init_account, start};

/// A node alone in the world, with one room.
pub(crate) struct Alone {
    pub(crate) node: Running,
    pub(crate) app: App,
    pub(crate) room: String,
    pub(crate) home: Home,
    _dir: tempfile::TempDir,
}

pub(crate) fn config(home: &Home) -> Config {
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    Config { listen, mdns: false, ..Config::new(home.clone()) }
}

/// Does something to the store of a home on which no node runs.
pub(crate) fn in_store(home: &Home, change: impl FnOnce(&Store)) {
    let account = Account::open(home, &Passphrase::None).unwrap();
    let store = Store::open(&home.store_dir(), account.vault(), OpenOptions::default()).unwrap();
    change(&store);
    store.close();
}

pub(crate) fn new_room(name: &str) -> CreateRoom {
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
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        init_account(&home, "alone", &Passphrase::None).unwrap();
        let node = start(config(&home)).await.unwrap();
        let app = node.app.clone();
        let room = app.create_room(new_room("room")).await.unwrap().room;
        Self { node, app, room, home, _dir: dir }
    }

    /// Writes into the room; answers the id of the message.
    pub(crate) async fn send(&self, request: SendRequest) -> String {
        self.app.send(&self.room, vec![request]).await.unwrap()[0].message.clone()
    }

    pub(crate) async fn write(&self, text: &str) -> String {
        self.send(SendRequest { text: text.to_owned(), ..SendRequest::default() }).await
    }

    pub(crate) async fn restarted(self) -> Self {
        self.after(|_| ()).await
    }

    /// As [`after`](Self::after), to what the store holds.
    pub(crate) async fn with_store(self, change: impl FnOnce(&Store)) -> Self {
        self.after(|home| in_store(home, change)).await
    }

    /// Stops the node, does something to its home, starts it again.
    pub(crate) async fn after(self, change: impl FnOnce(&Home)) -> Self {
        self.node.stop().await.unwrap();
        change(&self.home);
        let node = start(config(&self.home)).await.unwrap();
        let app = node.app.clone();
        Self { node, app, ..self }
    }
}
