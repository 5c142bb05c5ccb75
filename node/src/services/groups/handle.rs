//! What others may ask of the groups service.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlor_api::{Code, GroupInvitation, JoinAnswer, Problem};
use parlor_proto::{AccountId, RoomId};
use parlor_storage::Store;
use tokio::sync::{Notify, mpsc, oneshot};

use super::book::Book;
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
    turns: Mutex<Turns>,
    some: Notify,
}

#[derive(Debug, Default)]
struct Turns {
    rooms: BTreeMap<RoomId, Waiting>,
    /// Which was looked at last.
    last: Option<RoomId>,
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
    pub(super) book: Book,
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
    /// Takes a chat with invitations on disk: each in its turn. Say [`looked`](Self::looked) afterwards.
    pub(super) fn take(&self) -> Option<RoomId> {
        let mut chats = self.lock();
        let after = chats.last.map_or(Bound::Unbounded, Bound::Excluded);
        let ready = |(room, waiting): (&RoomId, &Waiting)| waiting.ready.then_some(*room);
        let next = chats.rooms.range((after, Bound::Unbounded)).find_map(ready);
        let room = next.or_else(|| chats.rooms.iter().find_map(ready))?;
        chats.rooms.remove(&room);
        chats.last = Some(room);
        Some(room)
    }

    /// A chat that was taken was looked at; so many of its invitations are left.
    pub(super) fn looked(&self, room: RoomId, left: usize) {
        let mut chats = self.lock();
        if left > 0 {
            let waiting = chats.rooms.entry(room).or_default();
            (waiting.noted, waiting.ready) = (waiting.noted.saturating_add(left), true);
        }
        let some = chats.rooms.values().any(|waiting| waiting.ready);
        drop(chats);
        if some {
            self.some.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, room: RoomId) -> bool {
        let mut chats = self.lock();
        let waiting = chats.rooms.entry(room).or_default();
        let space = waiting.noted < GROUP_TOLD_MAX;
        waiting.noted += usize::from(space);
        space
    }

    pub(super) fn add(&self, room: RoomId) {
        self.lock().rooms.entry(room).or_default().ready = true;
        self.some.notify_one();
    }

    /// As [`add`](Self::add), after a while.
    pub(super) fn add_later(told: &Arc<Self>, room: RoomId, after: Duration) {
        let told = told.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            told.add(room);
        });
    }

    /// Waits until there is one. Cancel safe.
    pub(super) async fn some(&self) {
        self.some.notified().await;
    }
}

impl Groups {
    /// What the store holds of groups. Blocks.
    ///
    /// # Errors
    /// `home_damaged`.
    pub(crate) fn load(store: &Store) -> Answer<(Self, Inbox)> {
        let (inbox, commands) = mpsc::channel(GROUPS_INBOX);
        let (told, book) = (Arc::<Chats>::default(), Book::load(store)?);
        Ok((Self { inbox, told: told.clone() }, Inbox { commands, told, book }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_floods_a_chat_waits_his_turn_and_is_not_heard_beyond_the_bound() {
        let (chats, flood, other) = (Chats::default(), RoomId([1; 32]), RoomId([2; 32]));
        let noted = |room| (0..2 * GROUP_TOLD_MAX).filter(|_| chats.reserve(room)).count();
        assert_eq!(noted(flood), GROUP_TOLD_MAX);
        chats.add(flood);
        assert!(chats.reserve(other));
        chats.add(other);
        chats.some().await;
        assert_eq!(chats.take(), Some(flood));
        chats.looked(flood, GROUP_TOLD_MAX - 16);
        chats.some().await;
        assert_eq!(chats.take(), Some(other), "others have their turn before he has his second one");
        chats.looked(other, 0);
        assert_eq!(noted(flood), 16, "what lies there counts");
        chats.some().await;
        assert_eq!(chats.take(), Some(flood));
        chats.looked(flood, 0);
        assert_eq!(chats.take(), None);
    }
}
