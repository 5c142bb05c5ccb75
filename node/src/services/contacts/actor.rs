//! The task that owns the book.

use std::sync::Arc;
use std::time::Duration;

use parlor_api::{
    AddContact, Code, Contact as View, ContactCard, ContactChange, ContactChanged, ContactState, EventBody, Problem,
    RequestChange, RequestChanged, Safety, VerifyContact,
};
use parlor_crypto::account::Inception;
use parlor_net::PeerId;
use parlor_proto::contact::{
    Book, BookError, Card, Contact, MAX_ASK_TEXT, MAX_CARD_RELAYS, MAX_LETTER_ADDRESSES, MAX_PETNAME, Reach, RelayAt,
    Stage, Visitors,
};
use parlor_proto::control::{Direct, NewDevice};
use parlor_proto::room::Room;
use parlor_proto::{AccountId, DeviceId, RoomId};
use parlor_storage::{Batch, Namespace};
use tokio::task::JoinSet;

use super::handle::{Command, Contacts, Inbox};
use super::inbox_lines::{InboxLines, Mailed};
use super::letters::Sent;
use super::owed::OwedLetters;
use super::views::{self, problem, view};
use super::who::{self, Meant};
use crate::account::rng;
use crate::app::Answer;
use crate::clock::{now_ms, until};
use crate::services::joins::{to_address, to_link};
use crate::services::names::OwnRelay;
use crate::services::rooms::{Context, Rooms, was_thrown_away};

/// The longest sleep at a time: the clock of the system may be set.
const LOOK: Duration = Duration::from_secs(3_600);

/// Begins the name of a row that says since when somebody is owed our yes.
const YES: &[u8] = b"yes owed|";
/// After so long he heard of it in another way, or never will.
const YES_MS: u64 = 30 * 24 * 3_600_000;

/// What the service works with.
pub(crate) struct Parts {
    pub(crate) context: Arc<Context>,
    pub(crate) rooms: Rooms,
    /// Our relays: our inbox is there.
    pub(crate) relays: Vec<OwnRelay>,
}

/// The owner of the book, and of what is on its way.
pub(super) struct Actor {
    pub(super) context: Arc<Context>,
    pub(super) rooms: Rooms,
    pub(super) contacts: Contacts,
    pub(super) visitors: Visitors,
    pub(super) owed: OwedLetters,
    pub(super) sending: JoinSet<Sent>,
    pub(super) inboxes: InboxLines,
    /// Letters of our inbox that could not be stored, and when they are heard again: the lines hand over each once only.
    pub(super) unheard: Vec<Mailed>,
    pub(super) hear_again_ms: u64,
    relays: Vec<OwnRelay>,
}

/// Runs the service until its handles are gone.
pub(crate) async fn run(parts: Parts, mut inbox: Inbox) {
    let mut actor = Actor::new(parts);
    actor.begin().await;
    loop {
        let heard = (!actor.unheard.is_empty()).then_some(actor.hear_again_ms);
        let due = actor.owed.due().into_iter().chain(heard).min().map_or(LOOK, until).min(LOOK);
        tokio::select! {
            command = inbox.0.recv() => match command {
                Some(command) => actor.on_command(command).await,
                None => return,
            },
            Some(sent) = actor.sending.join_next(), if !actor.sending.is_empty() => {
                if let Ok(sent) = sent {
                    actor.on_sent(sent).await;
                }
            }
            got = actor.inboxes.next() => {
                for mailed in got {
                    actor.on_mailed(mailed).await;
                }
            }
            () = tokio::time::sleep(due) => {}
        }
        actor.hear_again().await;
        actor.send_due().await;
    }
}

impl Actor {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { context, rooms, relays } = parts;
        let contacts = context.contacts.clone();
        let inboxes = InboxLines::new(context.net.clone(), context.peers.clone(), contacts.keys.clone(), &relays);
        Self {
            context,
            rooms,
            contacts,
            visitors: Visitors::default(),
            owed: OwedLetters::default(),
            sending: JoinSet::new(),
            inboxes,
            unheard: Vec::new(),
            hear_again_ms: 0,
            relays,
        }
    }

    /// After a start: questions that were not answered go out again, as does a yes that did not arrive, and chats that were not made
    /// for a crash are made.
    pub(super) async fn begin(&mut self) {
        let all: Vec<_> = self.contacts.read().iter().map(|(account, contact)| (*account, contact.clone())).collect();
        for (account, contact) in all {
            match contact.stage {
                Stage::Asked(_) if !contact.blocked => self.owed.owe(account, now_ms()),
                Stage::Mutual if !contact.blocked && self.chat_id(&account).is_none() => {
                    drop(self.ensure_chat(&contact).await);
                }
                _ => {}
            }
        }
        let rows = self.context.store.scan(None, Namespace::Meta, YES).unwrap_or_else(|error| {
            tracing::warn!(%error, "who is owed a yes can not be read");
            Vec::new()
        });
        for (name, since) in rows {
            let Some(account) = name.strip_prefix(YES).and_then(|id| id.try_into().ok()).map(AccountId) else {
                continue;
            };
            let since_ms = <[u8; 8]>::try_from(since.as_slice()).map_or(0, u64::from_be_bytes);
            if self.contacts.is_mutual(&account) && now_ms().abs_diff(since_ms) < YES_MS {
                self.owed.owe(account, now_ms());
            } else {
                self.said_yes(&account).await;
            }
        }
    }

    /// Our yes arrived, or is owed no more.
    pub(super) async fn said_yes(&self, account: &AccountId) {
        let mut batch = Batch::new(None);
        batch.delete(Namespace::Meta, &yes_owed(account));
        if let Err(error) = self.context.store.commit(batch).await {
            tracing::warn!(%error, "that a yes arrived could not be noted: it is said once more after a start");
        }
    }

    async fn on_command(&mut self, command: Command) {
        match command {
            Command::Card(reply) => drop(reply.send(Ok(self.card()))),
            Command::OwnCard(reply) => drop(reply.send(Ok(self.own_card()))),
            Command::List(reply) => drop(reply.send(Ok(self.list()))),
            Command::Add(request, reply) => drop(reply.send(self.add(request).await)),
            Command::Accept(who, reply) => drop(reply.send(self.accept(&who).await)),
            Command::Block(who, blocked, reply) => drop(reply.send(self.block(&who, blocked).await)),
            Command::Rename(who, name, reply) => drop(reply.send(self.rename(&who, &name).await)),
            Command::Safety(who, verify, reply) => drop(reply.send(self.safety(&who, verify).await)),
            Command::Remove(who, reply) => drop(reply.send(self.remove(&who).await)),
            Command::Open(who, reply) => drop(reply.send(self.open(&who).await)),
            Command::Letter { from, bytes, reply } => drop(reply.send(self.letter(from, &bytes).await)),
            Command::Devices(account, devices) => self.saw_devices(&account, &devices).await,
            Command::PeerUp(peer) => self.peer_up(peer),
        }
    }

    pub(super) fn us(&self) -> AccountId {
        self.context.identity.account()
    }

    fn list(&self) -> Vec<View> {
        let book: Vec<_> = self.contacts.read().iter().map(|(account, contact)| (*account, contact.clone())).collect();
        let mut views: Vec<_> = book.iter().map(|(account, contact)| self.view(account, contact)).collect();
        views.sort_by(|a, b| (a.name.to_lowercase(), &a.account).cmp(&(b.name.to_lowercase(), &b.account)));
        views
    }

    fn view_of(&self, account: &AccountId) -> Answer<View> {
        let contact = self.contacts.read().get(account).cloned();
        Ok(self.view(account, &contact.ok_or_else(|| Problem::of(Code::ContactNotFound))?))
    }

    /// A contact as people see him, by the name that he is shown by everywhere.
    fn view(&self, account: &AccountId, contact: &Contact) -> View {
        let name = self.context.profiles.name_of(account, &contact.name);
        let view = view(contact, self.chat_id(account), self.lies(contact));
        if name.is_empty() { view } else { View { name, ..view } }
    }

    /// Whether our letter, question or yes, lies in its inbox and waits there as far as we know.
    fn lies(&self, contact: &Contact) -> bool {
        let waits = matches!(contact.stage, Stage::Asked(_)) || self.owed.owes(&contact.id());
        waits && contact.key.is_some_and(|key| self.inboxes.stored_ms(&key.key).is_some())
    }

    /// The room of the direct chat with somebody, if we hold it.
    fn chat_id(&self, account: &AccountId) -> Option<String> {
        let room = Direct::room_of(&self.us(), account);
        self.context.directory.get(&room).map(|_| room.to_string())
    }

    /// Where we can be found.
    pub(super) fn reach(&self) -> Reach {
        // Ways through relays follow from the relays.
        let direct =
            self.context.peers.to_give(MAX_LETTER_ADDRESSES).into_iter().filter(|address| !address.is_relayed());
        let addresses = direct.filter_map(|address| to_link(&address)).collect();
        let at = |relay: &OwnRelay| {
            let address = relay.addresses.iter().find_map(to_link)?;
            Some(RelayAt { peer: relay.peer.to_key(), address })
        };
        let relays = self.relays.iter().filter_map(at).take(MAX_CARD_RELAYS).collect();
        Reach { peer: Some(self.context.peer.to_key()), addresses, relays }
    }

    fn own_card(&self) -> Card {
        let (inception, key) = (self.context.identity.now().entrant().account, self.contacts.keys.public);
        Card::new(inception, key, &self.context.name, self.context.peer.to_key(), &self.reach())
    }

    fn card(&self) -> ContactCard {
        let card = self.own_card();
        ContactCard {
            link: card.to_text(),
            qr: card.to_qr_text(),
            account: card.account().to_string(),
            name: self.context.name.clone(),
        }
    }

    async fn add(&mut self, request: AddContact) -> Answer<View> {
        if request.text.len() > MAX_ASK_TEXT {
            return Err(Problem::new(Code::TooLong, "the greeting is too long").hint("it has at most 512 bytes"));
        }
        if request.name.as_ref().is_some_and(|name| name.len() > MAX_PETNAME) {
            return Err(problem(&BookError::Name));
        }
        let meant = who::find(&self.contacts, &self.rooms, &request.who).await?;
        let account = self.want(meant, &request.text).await?;
        if let Some(name) = request.name {
            self.change(&account, |book, contact, now| book.rename(contact, "", &name, now)).await?;
        }
        self.view_of(&account)
    }

    /// We want to write to somebody: notes it durably and sees to it that he is asked, or answered.
    async fn want(&mut self, meant: Meant, greeting: &str) -> Answer<AccountId> {
        let us = self.us();
        let account = meant.account();
        if account == us {
            return Err(problem(&BookError::Ourselves));
        }
        let known = self.contacts.read().get(&account).is_some();
        let member = if known { None } else { self.rooms.acquaintance(account).await? };
        let (before, done) = {
            let mut book = self.contacts.write();
            let before = book.get(&account).cloned();
            let done = match (&meant, &member) {
                (Meant::Card(card), _) => book.add(card, greeting, now_ms()).map(|(_, mutual)| mutual),
                (_, Some(member)) => {
                    book.add_member(member.account, &member.name, greeting, now_ms()).map(|(_, mutual)| mutual)
                }
                (_, None) => book.want(&account, greeting),
            };
            (before, done)
        };
        let mutual = done.map_err(|error| problem(&error))?;
        self.store(&account, before).await?;
        if mutual {
            self.became_mutual(&account).await;
        } else if self.stage_is(&account, |stage| matches!(stage, Stage::Asked(_))) {
            self.owed.owe(account, now_ms());
        }
        self.tell(&account, ContactChange::Updated);
        Ok(account)
    }

    pub(super) fn stage_is(&self, account: &AccountId, is: impl Fn(&Stage) -> bool) -> bool {
        self.contacts.read().get(account).is_some_and(|contact| is(&contact.stage))
    }

    async fn accept(&mut self, who: &str) -> Answer<View> {
        let account = self.named(who).await?;
        let asks = self.stage_is(&account, |stage| matches!(stage, Stage::Asking { .. }));
        let before = self.contacts.read().get(&account).cloned();
        let done = self.contacts.write().accept(&account);
        done.map_err(|error| match error {
            BookError::Unknown => Problem::new(Code::ContactNotFound, "nobody of this name asks to write to you")
                .hint("parlor contact list shows who asks; parlor contact add asks somebody"),
            other => problem(&other),
        })?;
        self.store(&account, before).await?;
        if asks {
            self.became_mutual(&account).await;
            self.tell_request(&account, RequestChange::Approved);
        }
        self.view_of(&account)
    }

    async fn block(&mut self, who: &str, blocked: bool) -> Answer<View> {
        let meant = who::find(&self.contacts, &self.rooms, who).await?;
        let account = meant.account();
        if account == self.us() {
            return Err(problem(&BookError::Ourselves));
        }
        let asked = self.stage_is(&account, |stage| matches!(stage, Stage::Asking { .. }));
        let block = |book: &mut Book, contact, now| book.block(contact, "", blocked, now);
        match &meant {
            // Who is not known yet is not asked for that.
            Meant::Card(card) if blocked => self.change_of(*card.inception(), card.name(), block).await?,
            _ => self.change(&account, block).await?,
        }
        if blocked {
            self.settle(&account);
        } else if self.stage_is(&account, |stage| matches!(stage, Stage::Asked(_))) {
            self.owed.owe(account, now_ms());
        }
        self.rooms.refresh().await;
        if asked {
            self.tell_request(&account, if blocked { RequestChange::Refused } else { RequestChange::Asked });
        }
        self.view_of(&account)
    }

    async fn rename(&mut self, who: &str, name: &str) -> Answer<View> {
        let account = self.named(who).await?;
        self.change(&account, |book, contact, now| book.rename(contact, "", name.trim(), now)).await?;
        self.rooms.refresh().await;
        self.view_of(&account)
    }

    async fn safety(&mut self, who: &str, verify: Option<VerifyContact>) -> Answer<Safety> {
        let account = self.named(who).await?;
        if account == self.us() {
            return Err(problem(&BookError::Ourselves));
        }
        if let Some(VerifyContact { verified, number }) = verify {
            let shown = number.map(|number| views::read_number(&number).ok_or_else(no_number)).transpose()?;
            let own = parlor_proto::contact::safety_number(&self.us(), &account).replace(' ', "");
            if shown.is_some_and(|shown| shown != own) {
                return Err(Problem::of(Code::SafetyDiffers).hint(
                    "this is another account than the one you know here, or somebody stands between you: trust neither",
                ));
            }
            let mut devices: Vec<DeviceId> = Vec::new();
            if let Some(member) = self.rooms.acquaintance(account).await? {
                devices.extend(member.devices.iter().map(|(device, _)| *device));
            }
            self.change(&account, |book, contact, now| book.verify(contact, "", &devices, verified, now)).await?;
            self.rooms.refresh().await;
        }
        let book = self.contacts.read();
        let contact = book.get(&account);
        let name = contact.map(views::name).unwrap_or_else(|| account.to_string());
        Ok(views::safety(&self.us(), &account, name, contact))
    }

    async fn remove(&mut self, who: &str) -> Answer<()> {
        let account = self.named(who).await?;
        let removed = self.contacts.write().remove(&account).map_err(|error| problem(&error))?;
        let key = removed.key;
        let mut batch = Batch::new(None);
        batch.delete(Namespace::Contact, &account.0);
        if let Err(error) = self.context.store.commit(batch).await {
            self.contacts.write().put(removed);
            return Err(crate::services::commit_problem(&error));
        }
        self.contacts.note_change();
        self.owed.settle(&account);
        if let Some(key) = key {
            self.inboxes.forget(key.key);
        }
        self.tell(&account, ContactChange::Removed);
        self.rooms.refresh().await;
        Ok(())
    }

    /// Opens the direct chat with somebody: makes the room if need be. Whoever asks us is accepted by that.
    async fn open(&mut self, who: &str) -> Answer<(AccountId, Option<RoomId>, String, ContactState)> {
        let meant = who::find(&self.contacts, &self.rooms, who).await?;
        let account = meant.account();
        let wanted = self.contacts.read().get(&account).is_some_and(Contact::is_wanted);
        if !wanted {
            self.want(meant, "").await?;
        }
        let contact = self.contacts.read().get(&account).cloned();
        let contact = contact.ok_or_else(|| Problem::of(Code::ContactNotFound))?;
        let room = self.ensure_chat(&contact).await?;
        Ok((account, room, views::name(&contact), views::state(&contact)))
    }

    /// Somebody in the book or in a room.
    async fn named(&self, who: &str) -> Answer<AccountId> {
        match who::find(&self.contacts, &self.rooms, who).await? {
            Meant::Account(account) => Ok(account),
            Meant::Card(card) if self.contacts.read().get(&card.account()).is_some() => Ok(card.account()),
            Meant::Card(_) => {
                Err(Problem::of(Code::ContactNotFound).hint("add the card first: parlor contact add LINK"))
            }
        }
    }

    /// Changes the entry of somebody who is in the book or in a room of ours, durably.
    async fn change(
        &mut self,
        account: &AccountId,
        change: impl FnOnce(&mut Book, Inception, u64) -> Result<(), BookError>,
    ) -> Answer<()> {
        let known = self.contacts.read().get(account).map(|contact| (contact.account, contact.name.clone()));
        let (inception, name) = match known {
            Some(known) => known,
            None => {
                let member = self.rooms.acquaintance(*account).await?;
                let member = member.ok_or_else(|| Problem::of(Code::ContactNotFound))?;
                (member.account, member.name)
            }
        };
        self.change_of(inception, &name, change).await
    }

    /// Changes the entry of somebody who calls himself so, durably; makes one if there is none.
    async fn change_of(
        &mut self,
        inception: Inception,
        name: &str,
        change: impl FnOnce(&mut Book, Inception, u64) -> Result<(), BookError>,
    ) -> Answer<()> {
        let account = AccountId(inception.account());
        let before = self.contacts.read().get(&account).cloned();
        let done = {
            let mut book = self.contacts.write();
            book.know(inception, name, now_ms()).and_then(|()| change(&mut book, inception, now_ms()))
        };
        match done {
            Ok(()) => self.store(&account, before).await?,
            Err(error) => {
                self.take_back(&account, before);
                return Err(problem(&error));
            }
        }
        self.tell(&account, ContactChange::Updated);
        Ok(())
    }

    /// Stores what the book says of somebody; when that fails, it says again what it said before.
    pub(super) async fn store(&mut self, account: &AccountId, before: Option<Contact>) -> Answer<()> {
        let Some(bytes) = self.contacts.read().get(account).map(Contact::to_bytes) else { return Ok(()) };
        let mut batch = Batch::new(None);
        batch.put(Namespace::Contact, &account.0, bytes);
        let was_mutual = before.as_ref().is_some_and(|contact| contact.stage == Stage::Mutual);
        if !was_mutual && self.stage_is(account, |stage| *stage == Stage::Mutual) {
            batch.put(Namespace::Meta, &yes_owed(account), now_ms().to_be_bytes().to_vec());
        }
        let done = self.context.store.commit(batch).await;
        self.contacts.note_change();
        done.map_err(|error| {
            self.take_back(account, before);
            crate::services::commit_problem(&error)
        })
    }

    fn take_back(&self, account: &AccountId, before: Option<Contact>) {
        let mut book = self.contacts.write();
        match before {
            Some(contact) => book.put(contact),
            None => book.forget(account),
        }
    }

    pub(super) fn tell(&self, account: &AccountId, change: ContactChange) {
        let name = self.contacts.read().get(account).map(views::name).unwrap_or_default();
        let event = ContactChanged { account: account.to_string(), name, change };
        self.context.bus.publish(now_ms(), EventBody::Contact(event));
    }

    pub(super) fn tell_request(&self, account: &AccountId, change: RequestChange) {
        let name = self.contacts.read().get(account).map(views::name).unwrap_or_default();
        let event = RequestChanged { room: String::new(), account: account.to_string(), name, change, by: None };
        self.context.bus.publish(now_ms(), EventBody::Request(event));
    }

    /// Both want: the chat is made, and the other is told.
    pub(super) async fn became_mutual(&mut self, account: &AccountId) {
        self.owed.owe(*account, now_ms());
        self.tell(account, ContactChange::Accepted);
        let contact = self.contacts.read().get(account).cloned();
        if let Some(contact) = contact
            && let Err(problem) = self.ensure_chat(&contact).await
        {
            tracing::warn!(account = %account.short(), %problem, "a direct chat could not be made; it is tried again");
        }
    }

    /// Makes the direct chat, or brings the other's devices into it. Nothing while its contact key is not known.
    pub(super) async fn ensure_chat(&mut self, contact: &Contact) -> Answer<Option<RoomId>> {
        let Some(key) = contact.public() else { return Ok(None) };
        let me = self.context.identity.now();
        let (us, account) = (self.us(), contact.id());
        let chat = Direct::of(me.entrant().account, contact.account);
        let chat = chat.ok_or_else(|| Problem::new(Code::BadRequest, "this is your own account"))?;
        let room = chat.room();
        let devices: &[NewDevice] = if contact.is_wanted() { &contact.devices } else { &[] };
        if self.context.directory.get(&room).is_some() {
            // A room that compares its logs first takes a moment: nobody waits for that here.
            let (rooms, devices) = (self.rooms.clone(), devices.to_vec());
            tokio::spawn(async move {
                if let Err(problem) = rooms.introduce(room, devices).await {
                    tracing::debug!(room = %room.short(), %problem, "devices come into a direct chat by itself later");
                }
            });
        } else {
            let secret = self.contacts.keys.secret.pair(&us.0, &account.0, &key);
            let secret = secret.map_err(|_| Problem::new(Code::Internal, "the contact keys give no shared secret"))?;
            let topic = parlor_crypto::topic::TopicSecret::from_secret(secret);
            let store = self.context.store.clone();
            let was_here = tokio::task::spawn_blocking(move || was_thrown_away(&store, &room)).await;
            let made = match was_here.map_err(|_| Problem::of(Code::Internal))?? {
                true => Room::silent_direct(me, &chat, topic),
                false => Room::direct(me, &chat, topic, devices, now_ms(), &mut rng()),
            };
            let (machine, outcome) = made.map_err(|why| Problem::new(Code::Internal, why.to_string()))?;
            self.rooms.begin(machine, outcome).await?;
        }
        if contact.stage == Stage::Mutual
            && let Some(peer) = contact.reach.peer
        {
            let addresses = contact.reach.addresses.iter().map(to_address).collect();
            self.context.peers.keep(room, PeerId::from_key(peer), addresses);
        }
        Ok(Some(room))
    }
}

fn yes_owed(account: &AccountId) -> Vec<u8> {
    [YES, account.0.as_slice()].concat()
}

/// What was scanned is something else, such as the code of a card: it says nothing of anybody.
fn no_number() -> Problem {
    Problem::new(Code::BadRequest, "this is no safety number")
        .hint("the other side shows it with: parlor contact verify WHO --qr")
}
