//! What others may ask of the webhooks service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parlor_api::{Code, Problem, Webhook};
use parlor_proto::RoomId;
use parlor_storage::Store;
use tokio::sync::{mpsc, oneshot};

use super::book::{self, Hook};
use crate::app::Answer;
use crate::limits::WEBHOOKS_INBOX;

/// A handle on the webhooks.
#[derive(Clone)]
pub(crate) struct Webhooks {
    inbox: mpsc::Sender<Command>,
}

/// The other end of the handle, for the task.
pub(crate) struct Inbox {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) hooks: Vec<Hook>,
}

/// How far the list of changes may be thrown away, as far as webhooks have to do with it. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Floor(Arc<AtomicU64>);

impl Default for Floor {
    /// Nothing may be thrown away before the webhooks were read.
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(0)))
    }
}

impl Floor {
    /// There are no webhooks.
    #[cfg(test)]
    pub(crate) fn open() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// The last group that no webhook needs.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn set(&self, group: u64) {
        self.0.store(group, Ordering::Release);
    }
}

/// The answer to a wish.
pub(super) type Reply<T> = oneshot::Sender<Answer<T>>;

/// A webhook to make.
pub(crate) struct NewHook {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) rooms: Vec<RoomId>,
}

/// What the task is asked.
pub(super) enum Command {
    Make(NewHook, Reply<Webhook>),
    List(Reply<Vec<Webhook>>),
    Remove(String, Reply<()>),
    Rotate(String, Reply<Webhook>),
    Enable(String, Reply<Webhook>),
}

impl Webhooks {
    /// The webhooks that the store holds. Blocks.
    ///
    /// # Errors
    /// `home_damaged`: without them what they still need would be thrown away.
    pub(crate) fn load(store: &Store) -> Answer<(Self, Inbox)> {
        let (inbox, commands) = mpsc::channel(WEBHOOKS_INBOX);
        Ok((Self { inbox }, Inbox { commands, hooks: book::load(store)? }))
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(command(reply)).await.map_err(|_| Problem::of(Code::Stopping))?;
        answer.await.map_err(|_| Problem::of(Code::Stopping))?
    }

    pub(crate) async fn make(&self, new: NewHook) -> Answer<Webhook> {
        self.ask(|reply| Command::Make(new, reply)).await
    }

    pub(crate) async fn list(&self) -> Answer<Vec<Webhook>> {
        self.ask(Command::List).await
    }

    pub(crate) async fn remove(&self, id: String) -> Answer<()> {
        self.ask(|reply| Command::Remove(id, reply)).await
    }

    pub(crate) async fn rotate(&self, id: String) -> Answer<Webhook> {
        self.ask(|reply| Command::Rotate(id, reply)).await
    }

    pub(crate) async fn enable(&self, id: String) -> Answer<Webhook> {
        self.ask(|reply| Command::Enable(id, reply)).await
    }
}
