//! What others may ask of the contacts service, and the book as everybody reads it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use parlor_api::{AddContact, Code, Contact as View, ContactCard, ContactState, Problem, Safety, VerifyContact};
use parlor_crypto::contact::{ContactKey, ContactSecret};
use parlor_net::PeerId;
use parlor_proto::contact::{Book, Card, Contact, Stage};
use parlor_proto::{AccountId, DeviceId, RoomId};
use parlor_storage::{Namespace, Store};
use tokio::sync::{mpsc, oneshot, watch};

use crate::app::Answer;
use crate::limits::CONTACTS_INBOX;
use crate::services::mailboxes::Relay;

/// The contact key of our account.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) secret: ContactSecret,
    pub(crate) public: ContactKey,
}

/// A handle on the contacts. Clones are the same book.
#[derive(Clone)]
pub(crate) struct Contacts {
    inbox: mpsc::Sender<Command>,
    book: Arc<RwLock<Book>>,
    pub(super) keys: Arc<Keys>,
    changed: watch::Sender<u64>,
}

/// The other end of the handle, for the task.
pub(crate) struct Inbox(pub(super) mpsc::Receiver<Command>);

/// The answer to a wish.
pub(super) type Reply<T> = oneshot::Sender<Answer<T>>;

/// What the task is told and asked.
pub(super) enum Command {
    Card(Reply<ContactCard>),
    OwnCard(Reply<Card>),
    Add(AddContact, Reply<View>),
    Accept(String, Reply<View>),
    Block(String, bool, Reply<View>),
    Rename(String, String, Reply<View>),
    Safety(String, Option<VerifyContact>, Reply<Safety>),
    Remove(String, Reply<()>),
    List(Reply<Vec<View>>),
    /// Opens the direct chat; nothing if its contact key is not known yet.
    Open(String, Reply<(AccountId, Option<RoomId>, String, ContactState)>),
    /// Somebody handed in a letter; the answer for him.
    Letter {
        from: PeerId,
        bytes: bytes::Bytes,
        reply: oneshot::Sender<Option<Vec<u8>>>,
    },
    /// Devices of an account were seen in a room.
    Devices(AccountId, Vec<DeviceId>),
    /// A peer is connected: letters for it may go out now.
    PeerUp(PeerId),
}

impl Contacts {
    /// The book as stored.
    pub(crate) fn load(store: &Store, keys: Keys) -> Answer<(Self, Inbox)> {
        let rows = store.scan(None, Namespace::Contact, &[]).map_err(|e| crate::home_damaged(e.to_string()))?;
        let contacts: Result<Vec<_>, _> = rows.iter().map(|(_, bytes)| Contact::from_bytes(bytes)).collect();
        let contacts = contacts.map_err(|e| crate::home_damaged(format!("a stored contact: {e}")))?;
        let (inbox, commands) = mpsc::channel(CONTACTS_INBOX);
        let book = Arc::new(RwLock::new(Book::restore(contacts)));
        Ok((Self { inbox, book, keys: Arc::new(keys), changed: watch::Sender::new(0) }, Inbox(commands)))
    }

    /// What we call somebody; nothing if we gave no name.
    pub(crate) fn petname(&self, account: &AccountId) -> Option<String> {
        let book = self.read();
        book.get(account).map(|contact| contact.petname.clone()).filter(|name| !name.is_empty())
    }

    /// What we call whom.
    pub(crate) fn petnames(&self) -> BTreeMap<AccountId, String> {
        let book = self.read();
        let named = book.iter().filter(|(_, contact)| !contact.petname.is_empty());
        named.map(|(account, contact)| (*account, contact.petname.clone())).collect()
    }

    /// Whether somebody wants to write to us and we to him, and is not blocked.
    pub(crate) fn is_contact(&self, account: &AccountId) -> bool {
        self.read().get(account).is_some_and(|contact| !contact.blocked && contact.stage == Stage::Mutual)
    }

    /// What we call somebody, or it calls itself; nothing if it is not in the book.
    pub(crate) fn shown(&self, account: &AccountId) -> Option<String> {
        self.read().get(account).map(|contact| contact.shown().to_owned()).filter(|name| !name.is_empty())
    }

    /// Whether nothing of this account is taken or shown.
    pub(crate) fn is_blocked(&self, account: &AccountId) -> bool {
        self.read().get(account).is_some_and(|contact| contact.blocked)
    }

    /// Whether he and we want to write to each other.
    pub(crate) fn is_mutual(&self, account: &AccountId) -> bool {
        self.read().get(account).is_some_and(|contact| !contact.blocked && contact.stage == Stage::Mutual)
    }

    /// What somebody calls itself; nothing if it is not in the book.
    pub(crate) fn own_name(&self, account: &AccountId) -> Option<String> {
        self.read().get(account).map(|contact| contact.name.clone()).filter(|name| !name.is_empty())
    }

    /// Whether somebody was verified and nothing changed since.
    pub(crate) fn is_verified(&self, account: &AccountId) -> bool {
        self.read().get(account).is_some_and(|contact| contact.trust.holds())
    }

    /// Where the inbox of somebody is, if he and we want to write to each other.
    pub(crate) fn relays_of(&self, account: &AccountId) -> Option<Vec<Relay>> {
        let book = self.read();
        let contact = book.get(account).filter(|contact| !contact.blocked && contact.stage == Stage::Mutual)?;
        Some(Relay::of_contact(&contact.reach))
    }

    /// Whoever was verified: their devices are watched.
    pub(crate) fn watched(&self) -> Vec<AccountId> {
        let book = self.read();
        book.iter().filter(|(_, contact)| contact.trust.verified_ms().is_some()).map(|(id, _)| *id).collect()
    }

    /// How many were asked and did not answer, and how many wait for our word.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let book = self.read();
        let asked = book.iter().filter(|(_, it)| !it.blocked && matches!(it.stage, Stage::Asked(_))).count();
        let asks = book.iter().filter(|(_, it)| !it.blocked && matches!(it.stage, Stage::Asking { .. }));
        (asked, asks.count())
    }

    /// Verified accounts to which a device came since, by what we call them.
    pub(crate) fn changed_since(&self) -> Vec<String> {
        let book = self.read();
        let changed = book.iter().filter(|(_, contact)| contact.trust.changed_ms().is_some());
        changed.map(|(_, contact)| contact.shown().to_owned()).collect()
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the task alone.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Book> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_change(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// Counts the changes of the book.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(command(reply)).await.map_err(|_| Problem::of(Code::Stopping))?;
        answer.await.map_err(|_| Problem::of(Code::Stopping))?
    }

    pub(crate) async fn card(&self) -> Answer<ContactCard> {
        self.ask(Command::Card).await
    }

    /// Our card, as a name at a relay leads to it.
    pub(crate) async fn own_card(&self) -> Answer<Card> {
        self.ask(Command::OwnCard).await
    }

    pub(crate) async fn list(&self) -> Answer<Vec<View>> {
        self.ask(Command::List).await
    }

    pub(crate) async fn add(&self, request: AddContact) -> Answer<View> {
        self.ask(|reply| Command::Add(request, reply)).await
    }

    pub(crate) async fn accept(&self, who: String) -> Answer<View> {
        self.ask(|reply| Command::Accept(who, reply)).await
    }

    pub(crate) async fn block(&self, who: String, blocked: bool) -> Answer<View> {
        self.ask(|reply| Command::Block(who, blocked, reply)).await
    }

    pub(crate) async fn rename(&self, who: String, name: String) -> Answer<View> {
        self.ask(|reply| Command::Rename(who, name, reply)).await
    }

    pub(crate) async fn safety(&self, who: String, verify: Option<VerifyContact>) -> Answer<Safety> {
        self.ask(|reply| Command::Safety(who, verify, reply)).await
    }

    pub(crate) async fn remove(&self, who: String) -> Answer<()> {
        self.ask(|reply| Command::Remove(who, reply)).await
    }

    pub(crate) async fn open(&self, who: String) -> Answer<(AccountId, Option<RoomId>, String, ContactState)> {
        self.ask(|reply| Command::Open(who, reply)).await
    }

    /// Somebody handed in a letter. The answer for him; nothing if it is none to us, or he comes too often.
    pub(crate) async fn letter(&self, from: PeerId, bytes: bytes::Bytes) -> Option<Vec<u8>> {
        let (reply, answer) = oneshot::channel();
        // Full: strangers wait for nobody.
        self.inbox.try_send(Command::Letter { from, bytes, reply }).ok()?;
        answer.await.ok().flatten()
    }

    /// Devices of a verified account were seen in a room. Never waits: while the inbox is full they are seen again later.
    pub(crate) fn saw_devices(&self, account: AccountId, devices: Vec<DeviceId>) {
        let _ = self.inbox.try_send(Command::Devices(account, devices));
    }

    /// A peer is connected. Never waits: what is due goes out anyhow.
    pub(crate) fn peer_up(&self, peer: PeerId) {
        let _ = self.inbox.try_send(Command::PeerUp(peer));
    }
}
