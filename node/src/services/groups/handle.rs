//! What others may ask of the groups service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use parlor_api::{Code, GroupInvitation, JoinAnswer, Problem};
use parlor_proto::{AccountId, RoomId};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::app::Answer;
use crate::limits::{GROUP_TOLD_MAX, GROUPS_INBOX};

/// A handle on the groups. Clones are the same book.
#[derive(Clone)]
pub(crate) struct Groups {
    inbox: mpsc::Sender<Command>,
    told: Arc<Chats>,
}

/// Direct chats in which invitations came: at most as many as there are chats.
#[derive(Default)]
pub(super) struct Chats {
    rooms: Mutex<BTreeMap<RoomId, Waiting>>,
    some: Notify,
}

/// Of one chat.
#[derive(Debug, Default)]
struct Waiting {
    /// So many were written down since it was looked at.
    noted: usize,
    /// Some of them are on disk.
    ready: bool,
}

/// The other end of the handle, for the task.
pub(crate) struct Inbox {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) told: Arc<Chats>,
}

/// A group that is wanted with these people.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// All of them, ascending, we among them.
    pub(crate) people: Vec<AccountId>,
    /// What it is called, if it is new.
    pub(crate) name: String,
}

/// The answer to a wish.
pub(super) type Reply<T> = oneshot::Sender<Answer<T>>;

/// What the task is told and asked.
pub(super) enum Command {
    /// The first group of these people in which everybody still is, if there is one.
    Find(Vec<AccountId>, Reply<Option<RoomId>>),
    /// The same, or a new one, with everybody told who is not in it. The second says whether it is new.
    Open(Wanted, Reply<(RoomId, bool)>),
    /// The invitations that wait for a word.
    List(Reply<Vec<GroupInvitation>>),
    /// Come in by one of them.
    Accept(String, Reply<JoinAnswer>),
    /// Forget one of them.
    Refuse(String, Reply<()>),
}

impl Chats {
    /// Takes a chat with invitations on disk.
    pub(super) fn take(&self) -> Option<RoomId> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms.iter().find(|(_, waiting)| waiting.ready).map(|(room, _)| *room)?;
        rooms.remove(&room);
        Some(room)
    }

    fn reserve(&self, room: RoomId) -> bool {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = rooms.entry(room).or_default();
        let space = waiting.noted < GROUP_TOLD_MAX;
        waiting.noted += usize::from(space);
        space
    }

    pub(super) fn add(&self, room: RoomId) {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).entry(room).or_default().ready = true;
        self.some.notify_one();
    }

    /// Waits until there is one. Cancel safe.
    pub(super) async fn some(&self) {
        self.some.notified().await;
    }
}

impl Groups {
    pub(crate) fn new() -> (Self, Inbox) {
        let (inbox, commands) = mpsc::channel(GROUPS_INBOX);
        let told: Arc<Chats> = Arc::default();
        (Self { inbox, told: told.clone() }, Inbox { commands, told })
    }

    /// Whether one more invitation of this direct chat may be written down before those that are there were looked at.
    pub(crate) fn may_note(&self, chat: RoomId) -> bool {
        self.told.reserve(chat)
    }

    /// An invitation is on disk in this direct chat. Never waits.
    pub(crate) fn told(&self, chat: RoomId) {
        self.told.add(chat);
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(command(reply)).await.map_err(|_| Problem::of(Code::Stopping))?;
        answer.await.map_err(|_| Problem::of(Code::Stopping))?
    }

    pub(crate) async fn find(&self, people: Vec<AccountId>) -> Answer<Option<RoomId>> {
        self.ask(|reply| Command::Find(people, reply)).await
    }

    /// The direct chats with all of them are there already.
    pub(crate) async fn open(&self, wanted: Wanted) -> Answer<(RoomId, bool)> {
        self.ask(|reply| Command::Open(wanted, reply)).await
    }

    pub(crate) async fn list(&self) -> Answer<Vec<GroupInvitation>> {
        self.ask(Command::List).await
    }

    pub(crate) async fn accept(&self, room: String) -> Answer<JoinAnswer> {
        self.ask(|reply| Command::Accept(room, reply)).await
    }

    pub(crate) async fn refuse(&self, room: String) -> Answer<()> {
        self.ask(|reply| Command::Refuse(room, reply)).await
    }
}
