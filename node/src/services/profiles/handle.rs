//! What others may ask of the profiles service.
//!
//! Locks are held for a few lines, never over an await.

use std::sync::{Arc, PoisonError, RwLock};

use parlor_api::{Code, EventBody, OwnField, OwnProfile, Problem, Profile, UpdateProfile, Visible};
use parlor_proto::profile::{Audience, Own};
use parlor_proto::{AccountId, DeviceId, RoomId, codec};
use parlor_storage::{Namespace, Store};
use tokio::sync::{Notify, mpsc, oneshot};

use super::people::{Name, People, Shown, Told, short};
use super::portrait;
use crate::app::Answer;
use crate::bus::{Bus, rfc3339};
use crate::clock::now_ms;
use crate::home_damaged;
use crate::limits::PROFILES_INBOX;
use crate::services::contacts::Contacts;

/// Name of what is stored of our own.
pub(super) const OWN: &[u8] = b"own";
/// Longest stored profile of our own in bytes.
const MAX_OWN: usize = 8 * 1_024;

/// The own profile of a backup, for another device of the account: some of it may have been closed to others since, so it is told to
/// nobody for now. `None` for what is none.
pub(crate) fn restored(stored: &[u8]) -> Option<Vec<u8>> {
    let own: Own = codec::decode(stored, MAX_OWN).ok()?;
    Some(codec::encode(&own.held_back()))
}

/// Our own profile as it is in force, with its picture.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) own: Own,
    pub(crate) picture: Option<Arc<[u8]>>,
    /// Another whenever something is.
    pub(crate) version: u64,
}

/// A handle on the service. Clones are the same.
#[derive(Clone)]
pub(crate) struct Profiles {
    inner: Arc<Inner>,
}

struct Inner {
    people: RwLock<People>,
    own: RwLock<Arc<Kept>>,
    /// A device of ours told something.
    look: Notify,
    inbox: mpsc::Sender<Command>,
    contacts: Contacts,
    bus: Bus,
    me: AccountId,
    /// The name of this device's certificate.
    name: String,
}

/// The answer to a wish.
pub(super) type Reply<T> = oneshot::Sender<Answer<T>>;

/// What the task is told and asked.
pub(super) enum Command {
    /// Change texts and who may see what.
    Update(UpdateProfile, Reply<OwnProfile>),
    /// Set the picture, or take it away.
    Picture(Option<Vec<u8>>, Option<Visible>, Reply<OwnProfile>),
    /// The user does something.
    Act,
}

/// The other end of the handle, for the task.
pub(crate) struct Inbox(pub(super) mpsc::Receiver<Command>);

impl Profiles {
    /// The profiles of a home, whose account and name these are. Blocks.
    ///
    /// # Errors
    /// `home_damaged`.
    pub(crate) fn load(
        store: &Store,
        (me, name): (AccountId, &str),
        contacts: &Contacts,
        bus: &Bus,
    ) -> Answer<(Self, Inbox)> {
        let damaged = |error: String| home_damaged(format!("the own profile: {error}"));
        let stored = |namespace| store.get(None, namespace, OWN).map_err(|error| damaged(error.to_string()));
        let own = match stored(Namespace::Profile)? {
            None => Own::default(),
            Some(bytes) => codec::decode(&bytes, MAX_OWN).map_err(|error| damaged(error.to_string()))?,
        };
        let picture = stored(Namespace::Portrait)?.filter(|bytes| !bytes.is_empty()).map(Arc::from);
        let mut people = People::default();
        // Nobody else passes for us.
        people.called(me, Name::User, name);
        people.called(me, Name::Profile, own.name.value().map_or("", String::as_str));
        let (inbox, commands) = mpsc::channel(PROFILES_INBOX);
        let inner = Inner {
            people: RwLock::new(people),
            own: RwLock::new(Arc::new(Kept { own, picture, version: 0 })),
            look: Notify::new(),
            inbox,
            contacts: contacts.clone(),
            bus: bus.clone(),
            me,
            name: name.to_owned(),
        };
        Ok((Self { inner: Arc::new(inner) }, Inbox(commands)))
    }

    /// Our own profile.
    pub(crate) fn own(&self) -> Arc<Kept> {
        self.inner.own.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For the task alone: it is another, durably.
    pub(super) fn put_own(&self, kept: Kept) {
        let name = kept.own.name.value().cloned().unwrap_or_default();
        *self.inner.own.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(kept);
        let mut changed = self.write(|people| people.called(self.inner.me, Name::Profile, &name));
        if !changed.contains(&self.inner.me) {
            changed.push(self.inner.me);
        }
        self.publish(&changed);
    }

    /// A device of a member tells this in a room now, durably here; nothing if what it tells does not open.
    pub(crate) fn tell(&self, account: AccountId, at: (RoomId, DeviceId), told: Option<Told>) {
        let changed = self.write(|people| people.tell(account, at, told));
        if account == self.inner.me {
            // What our devices told is taken over, and then it is ours.
            let name = self.own().own.name.value().cloned().unwrap_or_default();
            self.write(|people| people.called(account, Name::Profile, &name));
            self.inner.look.notify_one();
        } else {
            self.publish(&changed);
        }
    }

    /// Of what was told in a room this stays.
    pub(crate) fn retain(&self, room: &RoomId, stays: impl Fn(&DeviceId) -> bool) {
        let changed = self.write(|people| people.retain(room, stays));
        self.publish(&changed);
    }

    /// Somebody is called this.
    pub(crate) fn called(&self, account: AccountId, by: Name, name: &str) {
        if account == self.inner.me && by == Name::Certificate {
            return;
        }
        let changed = self.write(|people| people.called(account, by, name));
        // A member who comes is told of as such.
        if by != Name::Certificate {
            self.publish(&changed);
        }
    }

    /// The name that an account is shown by, of which `certificate` is what the room or a letter calls it: what the user calls it,
    /// what it calls itself, or that; told apart from others who are called so. Empty if nobody knows one.
    pub(crate) fn name_of(&self, account: &AccountId, certificate: &str) -> String {
        let (called, by) = self.called_by(account, certificate);
        if called.is_empty() { called } else { self.read(|people| people.told_apart(account, by, &called)) }
    }

    /// As [`name_of`](Self::name_of), as it would be typed: not told apart.
    pub(crate) fn plain_name_of(&self, account: &AccountId, certificate: &str) -> String {
        self.called_by(account, certificate).0
    }

    fn called_by(&self, account: &AccountId, certificate: &str) -> (String, Name) {
        if *account == self.inner.me {
            let own = self.own().own.name.value().cloned();
            return (own.unwrap_or_else(|| self.inner.name.clone()), Name::User);
        }
        if let Some(petname) = self.inner.contacts.petname(account) {
            return (petname, Name::User);
        }
        match self.shown(account).name {
            Some(name) => (name, Name::Profile),
            None => (certificate.to_owned(), Name::Certificate),
        }
    }

    /// What somebody tells us: nothing if he is blocked.
    pub(crate) fn shown(&self, account: &AccountId) -> Shown {
        if self.inner.contacts.is_blocked(account) {
            return Shown::default();
        }
        if *account == self.inner.me {
            let own = &self.own().own;
            return Shown {
                name: own.name.value().cloned(),
                about: own.about.value().cloned(),
                picture: own.picture.value().copied(),
                seen_ms: own.seen.value().copied(),
            };
        }
        self.read(|people| people.shown(account))
    }

    /// What is shown of somebody, in the words of the API.
    pub(crate) fn view(&self, account: &AccountId) -> Profile {
        let Shown { name, about, picture, seen_ms } = self.shown(account);
        let certificate = self.read(|people| people.certificate(account).to_owned());
        let certificate =
            if certificate.is_empty() { self.inner.contacts.shown(account).unwrap_or_default() } else { certificate };
        let called = self.name_of(account, &certificate);
        Profile {
            account: account.to_string(),
            name: if called.is_empty() { short(account) } else { called },
            own_name: name,
            about,
            picture: picture.map(|hash| hex(&hash)),
            last_seen: seen_ms.map(rfc3339),
            me: *account == self.inner.me,
            blocked: self.inner.contacts.is_blocked(account),
        }
    }

    /// Whether somebody is known: a member of a room of ours, a contact, or we.
    pub(crate) fn knows(&self, account: &AccountId) -> bool {
        let member = self.read(|people| !people.certificate(account).is_empty());
        *account == self.inner.me || member || self.inner.contacts.shown(account).is_some()
    }

    /// Everybody who tells us something, and we.
    pub(crate) fn all(&self) -> Vec<Profile> {
        let mut accounts = self.read(People::telling);
        accounts.retain(|account| *account != self.inner.me && !self.inner.contacts.is_blocked(account));
        accounts.insert(0, self.inner.me);
        accounts.iter().map(|account| self.view(account)).collect()
    }

    /// Our own profile in the words of the API.
    pub(crate) fn own_view(&self) -> OwnProfile {
        let own = &self.own().own;
        let field = |value: Option<String>, audience: Audience| OwnField { value, visible: visible(audience) };
        OwnProfile {
            account: self.inner.me.to_string(),
            certificate_name: self.inner.name.clone(),
            name: field(own.name.value().cloned(), own.name.audience()),
            about: field(own.about.value().cloned(), own.about.audience()),
            picture: field(own.picture.value().map(|hash| hex(hash)), own.picture.audience()),
            last_seen: field(own.seen.value().map(|ms| rfc3339(*ms)), own.seen.audience()),
        }
    }

    /// A picture of somebody who shows it to us, checked and made anew; our own as it is. Nothing of somebody who is blocked. Blocks.
    ///
    /// # Errors
    /// `not_found`.
    pub(crate) fn picture(&self, store: &Store, hash: &str) -> Answer<Vec<u8>> {
        let gone = || Problem::new(Code::NotFound, "nobody shows you a picture of this name");
        let hash = hash.parse::<parlor_proto::EventId>().map_err(|_| gone())?.0;
        let own = self.own();
        if own.own.picture.value() == Some(&hash)
            && let Some(picture) = &own.picture
        {
            return Ok(picture.to_vec());
        }
        let held = self.read(|people| people.portraits(&hash));
        let shown = held.iter().filter(|(account, ..)| !self.inner.contacts.is_blocked(account));
        let opened = shown.filter_map(|(_, room, device, key)| portrait::opened(store, room, device, key));
        opened.into_iter().next().ok_or_else(gone)
    }

    /// Changes our profile; durable when it returns, and told to those who may see it from then on. Cancel safe: what was asked for is
    /// done.
    ///
    /// # Errors
    /// `bad_request`, `too_long`; what the disk says.
    pub(crate) async fn update(&self, update: UpdateProfile) -> Answer<OwnProfile> {
        self.ask(|reply| Command::Update(update, reply)).await
    }

    /// Sets our picture, or takes it away, as [`update`](Self::update).
    ///
    /// # Errors
    /// `bad_request` for what is no picture; what the disk says.
    pub(crate) async fn set_picture(&self, picture: Option<Vec<u8>>, to: Option<Visible>) -> Answer<OwnProfile> {
        self.ask(|reply| Command::Picture(picture, to, reply)).await
    }

    /// The user does something. Never waits: what is missed is told by what he does next.
    pub(crate) fn act(&self) {
        let kept = self.own();
        if kept.own.clone().act(now_ms()) {
            let _ = self.inner.inbox.try_send(Command::Act);
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        self.inner.inbox.send(command(reply)).await.map_err(|_| Problem::of(Code::Stopping))?;
        answer.await.map_err(|_| Problem::of(Code::Stopping))?
    }

    /// For the task: what our own devices told.
    pub(super) fn own_lines(&self) -> Vec<(RoomId, DeviceId, Told)> {
        self.read(|people| people.lines(&self.inner.me))
    }

    /// For the task: done when a device of ours told something. Cancel safe.
    pub(super) async fn looked_for(&self) {
        self.inner.look.notified().await;
    }

    pub(super) fn contacts(&self) -> &Contacts {
        &self.inner.contacts
    }

    /// Windows are told how these accounts are shown now.
    pub(super) fn publish(&self, accounts: &[AccountId]) {
        for account in accounts {
            self.inner.bus.publish(now_ms(), EventBody::Profile(Box::new(self.view(account))));
        }
    }

    fn read<T>(&self, read: impl FnOnce(&People) -> T) -> T {
        read(&self.inner.people.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut People) -> T) -> T {
        write(&mut self.inner.people.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An audience in the words of the API.
pub(super) fn visible(audience: Audience) -> Visible {
    match audience {
        Audience::Nobody => Visible::Nobody,
        Audience::Contacts => Visible::Contacts,
        Audience::Rooms => Visible::Rooms,
    }
}

/// The other way.
pub(super) fn audience(visible: Visible) -> Audience {
    match visible {
        Visible::Nobody => Audience::Nobody,
        Visible::Contacts => Audience::Contacts,
        Visible::Rooms => Audience::Rooms,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
