//! What a client can ask of the node: one async method for each thing, in the words of the local API.
//!
//! Everything outside the node (HTTP routes, the program that runs the node, tests) talks to an [`App`]. It is a cheap
//! handle: clones share one node. Every method answers an API type or a [`Problem`] with a stable code. Methods are not
//! cancel safe unless they say so, but a cancelled write is either durable as a whole or did not happen; sending again
//! with the same `client_id` is then the remedy.
//!
//! `room` arguments are what a user typed: an id, a unique id prefix of at least 4 digits, or a unique name.

mod backup;
mod devices;
mod export;
mod files;
mod groups;
mod profiles;
mod search;
mod webhooks;

use parlor_api::{
    AddContact, Banned, Code, Contact, ContactCard, CreateInvite, CreatePoll, CreateRoom, Direct, Invite, JoinAnswer,
    JoinProgress, JoinRequest, Member, Message, NameEntry, OpenDirect, OutboxAnswer, OutboxEntry, Page, Problem,
    ReadAnswer, Ready, RemoveMembers, Removed, Request, Room, RoomItem, Safety, SendAnswer, SendRequest, SetRole,
    Status, UpdateRoom, VerifyContact, Version,
};
use std::sync::Arc;

use parlor_proto::{EventId, RoomId};
use tokio::sync::watch;

pub use self::search::SearchFor;
use crate::bus::{Bus, Subscription, rfc3339};
use crate::services::attention::calling;
use crate::services::contacts::Contacts;
use crate::services::groups::Groups;
use crate::services::joins::{self, Joins};
use crate::services::mailboxes::{RelayView, of_reservation};
use crate::services::names::{self, Names};
use crate::services::own;
use crate::services::rooms::{Context, Rooms, made_room};
use crate::services::search::Search;
use crate::services::webhooks::Webhooks;
use crate::services::why::Why;

/// The result of everything a client asks.
pub type Answer<T> = Result<T, Problem>;

/// What a client says about a message.
#[derive(Debug, Clone)]
pub enum Say {
    /// This is its text.
    Edit(String),
    /// It is taken back.
    Delete,
    /// This emoji is put on it, or taken off.
    React(String, bool),
    /// It is pinned, or not.
    Pin(bool),
    /// These answers are chosen.
    Vote(Vec<u32>),
}

/// Where a page of history begins. Texts are a message id or the `order` of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// The newest messages.
    Newest,
    /// The newest of those older than this one.
    Before(String),
    /// The oldest of those newer than this one.
    After(String),
    /// Half of the page on each side of this one, which is on it.
    Around(String),
    /// The oldest of those sent at or after this time, in milliseconds since the epoch.
    Since(u64),
}

/// A handle on a running node.
#[derive(Clone)]
pub struct App {
    pub(crate) node: Arc<Node>,
}

/// What an [`App`] is a handle on.
pub(crate) struct Node {
    pub(crate) context: Arc<Context>,
    pub(crate) rooms: Rooms,
    pub(crate) joins: Joins,
    /// Group chats of several contacts.
    pub(crate) groups: Groups,
    /// Programs that are called when messages come.
    pub(crate) webhooks: Webhooks,
    pub(crate) bus: Bus,
    /// Address of the local API.
    pub(crate) api: String,
    pub(crate) started_ms: u64,
    /// The folder of the home.
    pub(crate) home: std::path::PathBuf,
    /// Asks directories of relays.
    pub(crate) names: Names,
    /// The index of all messages.
    pub(crate) search: Search,
    /// Whether the home is locked with a passphrase.
    pub(crate) locked: bool,
    /// One backup is made at a time.
    pub(crate) backups: Arc<tokio::sync::Semaphore>,
    /// Becomes true when the node is to stop.
    pub(crate) stopping: watch::Sender<bool>,
}

impl App {
    /// The answer to `GET /status`.
    pub async fn status(&self) -> Answer<Status> {
        let network = self.node.context.net.status().await.map_err(|_| Problem::of(Code::Stopping))?;
        let all = self.node.context.directory.all();
        let whose = |peer: &parlor_net::PeerId| {
            let lines = all.iter().flat_map(|(_, summary)| &summary.online);
            lines.clone().find(|it| it.peer == *peer).cloned()
        };
        let peers = network.peers.iter().filter(|peer| peer.up).map(|peer| {
            let (account, name) = whose(&peer.peer).map(|it| (it.account, it.name)).unzip();
            parlor_api::Peer {
                peer_id: peer.peer.to_string(),
                address: peer.address.to_string(),
                direct: !peer.relayed,
                account,
                name,
                rtt_ms: peer.rtt.and_then(|rtt| u32::try_from(rtt.as_millis()).ok()),
            }
        });
        let (unread, mentions) = calling(all.iter().map(|(_, summary)| &summary.item));
        let ready = self.ready().await?;
        let cloned = all.iter().filter(|(_, summary)| summary.cloned);
        let warnings = cloned.map(|(_, summary)| {
            let code = Code::DeviceCloned;
            format!("{}: {}: {}", code.as_str(), summary.item.name, code.title())
        });
        let changed = self.contacts().changed_since().into_iter().map(|name| {
            let code = Code::DevicesChanged;
            format!("{}: {name}: {}", code.as_str(), code.title())
        });
        let new = self.node.context.own.new_ones();
        let new = new.into_iter().map(|(device, name, _)| own::warning(&device, &name));
        let damaged = all.iter().filter(|(_, summary)| summary.item.damaged.is_some()).map(|(_, summary)| {
            let code = Code::HomeDamaged;
            format!("{}: {} can not be read: something of it on the disk is damaged", code.as_str(), summary.item.name)
        });
        let half = self.node.context.own.half_revoked();
        let half = half.into_iter().map(|(name, rooms)| own::half_warning(&name, rooms));
        let warnings = new.chain(half).chain(damaged).chain(warnings).chain(changed).collect();
        Ok(Status {
            account: ready.account,
            name: ready.name,
            device: self.node.context.identity.device().to_string(),
            peer_id: ready.peer_id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: ready.api,
            listen: ready.listen,
            peers: peers.collect(),
            relays: self.relays(&network),
            rooms: all.into_iter().map(|(_, summary)| summary.sync).collect(),
            outbox: self.node.rooms.outbox().await?.len() as u64,
            unread,
            mentions,
            joining: self.node.joins.waiting().iter().map(ToString::to_string).collect(),
            joins: self.node.joins.progress(),
            search: self.node.search.state(),
            started_at: rfc3339(self.node.started_ms),
            warnings,
        })
    }

    fn relays(&self, network: &parlor_net::NetworkStatus) -> Vec<parlor_api::Relay> {
        let views = self.node.context.mailboxes.relays();
        let relay = |(peer, view): (parlor_net::PeerId, RelayView)| {
            let known = network.relays.iter().find(|relay| relay.peer == peer);
            let reserved = known.is_some_and(|it| matches!(it.state, parlor_net::RelayState::Reserved { .. }));
            let refused = known.and_then(|it| match &it.state {
                parlor_net::RelayState::Connecting { error, .. } => error.as_ref().map(of_reservation),
                _ => None,
            });
            let (error_code, error) = Why::told(view.error.or(refused));
            parlor_api::Relay {
                address: view.texts.first().cloned().unwrap_or_default(),
                connected: view.up || known.is_some_and(|it| it.connected.is_some()),
                peer_id: peer.to_string(),
                reserved,
                mailbox: view.up,
                rooms: view.rooms,
                waiting: view.lacks,
                error,
                error_code,
            }
        };
        views.into_iter().map(relay).collect()
    }

    /// What the `ready` event says.
    pub async fn ready(&self) -> Answer<Ready> {
        let context = &self.node.context;
        let listening = context.peers.listening().borrow().clone();
        Ok(Ready {
            api: self.node.api.clone(),
            peer_id: context.peer.to_string(),
            account: context.identity.account().to_string(),
            name: context.name.clone(),
            listen: listening.iter().map(|address| address.with_peer(context.peer).to_string()).collect(),
        })
    }

    /// Begins a graceful stop and returns at once; the API answers requests already begun, then closes.
    pub async fn stop(&self) -> Answer<()> {
        self.node.stopping.send_replace(true);
        Ok(())
    }

    /// The room that `text` names.
    ///
    /// # Errors
    /// `room_not_found`; `ambiguous` with the candidates (short id and name) in the hint.
    pub async fn find_room(&self, text: &str) -> Answer<RoomId> {
        self.node.context.directory.find(text)
    }

    /// Makes a room with this account as its owner; durable when it returns.
    pub async fn create_room(&self, request: CreateRoom) -> Answer<Room> {
        let (room, outcome) = made_room(&self.node.context, request)?;
        let id = room.id();
        self.node.rooms.begin(room, outcome).await?;
        self.node.rooms.show(id).await
    }

    /// The rooms of this account: the pinned ones, then that with the newest message first. Archived ones are among them.
    pub async fn list_rooms(&self) -> Answer<Vec<RoomItem>> {
        let mut rooms: Vec<_> =
            self.node.context.directory.all().into_iter().map(|(_, summary)| summary.item).collect();
        let newest = |item: &RoomItem| item.last_message.as_ref().map(|message| message.order.clone());
        let pinned = |item: &RoomItem| item.attention.pinned;
        rooms.sort_by(|a, b| {
            let place = pinned(b).cmp(&pinned(a)).then_with(|| newest(b).cmp(&newest(a)));
            place.then_with(|| a.name.cmp(&b.name))
        });
        Ok(rooms)
    }

    /// One room.
    pub async fn room(&self, room: &str) -> Answer<Room> {
        self.node.rooms.show(self.find_room(room).await?).await
    }

    /// Changes name, description or settings.
    pub async fn update_room(&self, room: &str, update: UpdateRoom) -> Answer<Room> {
        self.node.rooms.update(self.find_room(room).await?, update).await
    }

    /// Leaves the room; what is held of it stays readable.
    ///
    /// # Errors
    /// `last_owner`, unless `force` says that the room may be left without an owner.
    pub async fn leave_room(&self, room: &str, force: bool) -> Answer<()> {
        self.node.rooms.leave(self.find_room(room).await?, force).await
    }

    /// Gives somebody a role: an account, a unique prefix of one, or `@name`. Somebody who is out is taken back by it.
    ///
    /// # Errors
    /// `member_not_found`, `ambiguous`, `not_permitted`, `banned`.
    pub async fn set_role(&self, room: &str, who: &str, wanted: SetRole) -> Answer<Member> {
        self.node.rooms.set_role(self.find_room(room).await?, who.to_owned(), wanted).await
    }

    /// Removes a member, named as for [`set_role`](Self::set_role); with `ban`, for good. When it returns the removal is
    /// durable, and so are the keys that follow from it, if this account may make them.
    ///
    /// # Errors
    /// `member_not_found`, `ambiguous`, `not_permitted`.
    pub async fn remove_member(&self, room: &str, who: &str, how: RemoveMembers, ban: bool) -> Answer<Removed> {
        self.node.rooms.remove(self.find_room(room).await?, who.to_owned(), how, ban).await
    }

    /// Removes all who came by an invite, and closes it.
    ///
    /// # Errors
    /// `invite_not_found`, `ambiguous`, `not_permitted`.
    pub async fn remove_joined(&self, room: &str, invite: &str, how: RemoveMembers) -> Answer<Removed> {
        self.node.rooms.remove_joined(self.find_room(room).await?, invite.to_owned(), how).await
    }

    /// Lifts the ban of somebody, who needs an invite or a role to come back.
    ///
    /// # Errors
    /// `member_not_found` for somebody who is not banned, `ambiguous`, `not_permitted`.
    pub async fn unban(&self, room: &str, who: &str) -> Answer<Banned> {
        self.node.rooms.unban(self.find_room(room).await?, who.to_owned()).await
    }

    /// Makes an invite; the answer holds its link.
    pub async fn create_invite(&self, room: &str, request: CreateInvite) -> Answer<Invite> {
        let room = self.find_room(room).await?;
        let ours = self.node.context.peers.to_give(parlor_proto::binding::MAX_ADDRESSES);
        let addresses = ours.iter().filter_map(joins::to_link).collect();
        self.node.rooms.create_invite(room, request, addresses).await
    }

    /// The invites of a room, newest first, also those that work no longer.
    pub async fn list_invites(&self, room: &str) -> Answer<Vec<Invite>> {
        self.node.rooms.invites(self.find_room(room).await?).await
    }

    /// Revokes an invite, named by its id or a unique prefix of it. Revoking it again changes nothing.
    pub async fn revoke_invite(&self, room: &str, invite: &str) -> Answer<Invite> {
        self.node.rooms.revoke(self.find_room(room).await?, invite.to_owned()).await
    }

    /// Who asks to come in by an invite with approval, and was answered by nobody; the oldest first.
    pub async fn requests(&self, room: &str) -> Answer<Vec<Request>> {
        self.node.rooms.requests(self.find_room(room).await?).await
    }

    /// Lets somebody in who asked: an account, a unique prefix of one, or `@name`.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, `not_permitted`, and what may have become of the invite.
    pub async fn approve(&self, room: &str, who: &str) -> Answer<Request> {
        self.node.rooms.approve(self.find_room(room).await?, who.to_owned()).await
    }

    /// Says no to somebody who asked, named as for [`approve`](Self::approve).
    ///
    /// # Errors
    /// `not_found`, `ambiguous`.
    pub async fn refuse(&self, room: &str, who: &str) -> Answer<Request> {
        self.node.rooms.refuse(self.find_room(room).await?, who.to_owned()).await
    }

    /// Joins by a link. Answers when the room can be read and posted to; after `request.timeout` seconds with state
    /// `pending` when the request is out and may still be answered, or `unreachable` when nobody could be asked.
    /// Cancel safe: the join goes on.
    ///
    /// # Errors
    /// `link_damaged`, `invite_expired`, `invite_exhausted`, `invite_revoked`, `banned`, `join_refused`, `unreachable`.
    pub async fn join(&self, request: JoinRequest) -> Answer<JoinAnswer> {
        self.node.joins.join(self.node.context.clone(), self.node.rooms.clone(), request, joins::Whose::User).await
    }

    /// Cancels a join that waits, or clears how one ended, for all windows; named by the id of its room or a unique prefix of it.
    /// Answers what was told of it. Durable when it returns.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, and `conflict` for a room that this account is in by now.
    pub async fn cancel_join(&self, room: &str) -> Answer<JoinProgress> {
        self.node.joins.cancel(&self.node.context, room).await
    }

    /// The members of a room, strongest role first, then by name.
    pub async fn members(&self, room: &str) -> Answer<Vec<Member>> {
        self.node.rooms.members(self.find_room(room).await?).await
    }

    /// Stores messages of this account in the order given, in one durable commit, and sends them by and by. A request
    /// whose `client_id` is known is answered with the message it made before.
    ///
    /// # Errors
    /// `empty_text`, `too_long`, `message_not_found` (for `reply_to` and `thread`), `not_permitted`; then none of them is stored.
    pub async fn send(&self, room: &str, mut messages: Vec<SendRequest>) -> Answer<Vec<SendAnswer>> {
        let room = self.find_room(room).await?;
        for message in &mut messages {
            if let Some(reply_to) = &message.reply_to {
                self.node.rooms.message(room, message_id(reply_to)?).await?;
            }
            if let Some(thread) = &message.thread {
                // Threads have no threads: an answer in one belongs to the same.
                let first = self.node.rooms.message(room, message_id(thread)?).await?;
                message.thread = Some(first.thread.unwrap_or(first.message));
            }
        }
        self.node.rooms.send(room, messages).await
    }

    /// Says something about a message (another text, that it is taken back, a reaction, a pin, a vote), and answers it as it is
    /// then. Saying what is so already changes nothing.
    ///
    /// # Errors
    /// `message_not_found`; `not_permitted`; `conflict` about a deleted message, or one that it can not be said about; `empty_text`,
    /// `too_long`, `bad_request`. Then nothing is written.
    pub async fn say(&self, room: &str, message: &str, say: Say, client_id: Option<String>) -> Answer<Message> {
        self.node.rooms.say(self.find_room(room).await?, message_id(message)?, say, client_id).await
    }

    /// Asks a poll.
    ///
    /// # Errors
    /// As [`send`](Self::send), and `bad_request` for answers that are too few, too many or too long.
    pub async fn ask(&self, room: &str, poll: CreatePoll) -> Answer<SendAnswer> {
        self.node.rooms.ask(self.find_room(room).await?, poll).await
    }

    /// The pinned messages, the one pinned last first; at most [`parlor_api::PINS_MAX`].
    pub async fn pins(&self, room: &str) -> Answer<Vec<Message>> {
        self.node.rooms.pins(self.find_room(room).await?).await
    }

    /// The texts that a message had, the first one first; none of a deleted message.
    pub async fn edits(&self, room: &str, message: &str) -> Answer<Vec<Version>> {
        self.node.rooms.edits(self.find_room(room).await?, message_id(message)?).await
    }

    /// A page of the thread that a message began, newest first, of what stands before a message or cursor.
    pub async fn thread(&self, room: &str, root: &str, before: Option<String>, limit: u32) -> Answer<Page<Message>> {
        self.node.rooms.thread(self.find_room(room).await?, message_id(root)?, before, limit).await
    }

    /// One message of a room, by its id.
    pub async fn message(&self, room: &str, message: &str) -> Answer<Message> {
        self.node.rooms.message(self.find_room(room).await?, message_id(message)?).await
    }

    /// A page of history, newest first, of at most `limit` messages (1 to [`parlor_api::PAGE_MAX`]); with `system`, the
    /// notes of the room's log among them.
    pub async fn history(&self, room: &str, anchor: Anchor, limit: u32, system: bool) -> Answer<Page<Message>> {
        self.node.rooms.history(self.find_room(room).await?, anchor, limit, system).await
    }

    /// Moves the read marker forward to a message, or to the newest. It never moves back.
    pub async fn mark_read(&self, room: &str, message: Option<&str>) -> Answer<ReadAnswer> {
        let message = message.map(message_id).transpose()?;
        self.node.rooms.mark_read(self.find_room(room).await?, message).await
    }

    /// The outbox, oldest first.
    pub async fn outbox(&self) -> Answer<Vec<OutboxEntry>> {
        self.node.rooms.outbox_told(self.node.context.clone()).await
    }

    /// Tries one message now, or all.
    pub async fn retry(&self, message: Option<&str>) -> Answer<OutboxAnswer> {
        self.node.rooms.retry(message.map(str::to_owned)).await
    }

    /// Takes one message, or all, out of the outbox that are not written into their room yet, or failed. What is written goes out by itself.
    pub async fn discard(&self, message: Option<&str>) -> Answer<OutboxAnswer> {
        self.node.rooms.discard(message.map(str::to_owned)).await
    }

    /// The card of this account.
    pub async fn contact_card(&self) -> Answer<ContactCard> {
        self.contacts().card().await
    }

    /// The book of contacts, with who asks to be in it and who is blocked.
    pub async fn list_contacts(&self) -> Answer<Vec<Contact>> {
        self.contacts().list().await
    }

    /// Adds somebody by his card, or somebody of a room, and asks him; who asks us is accepted by that.
    ///
    /// # Errors
    /// `link_damaged`, `contact_not_found`, `ambiguous`, `blocked`, `too_long`.
    pub async fn add_contact(&self, mut request: AddContact) -> Answer<Contact> {
        request.who = self.whom(&request.who).await?;
        self.contacts().add(request).await
    }

    /// Says yes to somebody who asks to write to us.
    ///
    /// # Errors
    /// `contact_not_found`, `ambiguous`, `blocked`.
    pub async fn accept_contact(&self, who: &str) -> Answer<Contact> {
        self.contacts().accept(self.whom(who).await?).await
    }

    /// Blocks somebody, or takes that back. Nobody is told.
    ///
    /// # Errors
    /// `contact_not_found`, `ambiguous`.
    pub async fn block_contact(&self, who: &str, blocked: bool) -> Answer<Contact> {
        self.contacts().block(self.whom(who).await?, blocked).await
    }

    /// Names somebody; an empty name takes ours back.
    ///
    /// # Errors
    /// `contact_not_found`, `ambiguous`, `too_long`.
    pub async fn name_contact(&self, who: &str, name: &str) -> Answer<Contact> {
        self.contacts().rename(self.whom(who).await?, name.to_owned()).await
    }

    /// The safety number with somebody; with `verify`, marks him as verified or takes that back.
    ///
    /// # Errors
    /// `contact_not_found`, `ambiguous`, `safety_differs`.
    pub async fn safety(&self, who: &str, verify: Option<VerifyContact>) -> Answer<Safety> {
        self.contacts().safety(self.whom(who).await?, verify).await
    }

    /// Takes somebody out of the book. The direct chat stays.
    ///
    /// # Errors
    /// `contact_not_found`, `ambiguous`, `blocked`.
    pub async fn remove_contact(&self, who: &str) -> Answer<()> {
        self.contacts().remove(self.whom(who).await?).await
    }

    /// Opens the direct chat with somebody, and writes into it. Whoever is no contact yet is asked first; what is written waits
    /// until he accepts.
    ///
    /// # Errors
    /// `contact_not_found`, `ambiguous`, `blocked`; `unreachable` for somebody of a room whose node was never online with ours.
    pub async fn open_direct(&self, request: OpenDirect) -> Answer<Direct> {
        let who = self.whom(&request.who).await?;
        let (account, room, name, state) = self.chat_with(&who).await?;
        let (message, status) = self.send_with(room, request.text).await?;
        Ok(Direct { room: room.to_string(), message, status, account: account.to_string(), name, state })
    }

    /// Claims a name for this account at a relay: its whole address, or of the relays of the settings the host.
    ///
    /// # Errors
    /// `name_taken`, `bad_request`, `not_found`, `unreachable`, `not_permitted`.
    pub async fn claim_name(&self, name: &str, relay: &str) -> Answer<NameEntry> {
        let card = self.contacts().own_card().await?;
        self.node.names.claim(name, relay, &card).await
    }

    /// Whom `@alice@relay` leads to.
    ///
    /// # Errors
    /// `contact_not_found`, `bad_request`, `not_found`, `unreachable`.
    pub async fn lookup_name(&self, who: &str) -> Answer<NameEntry> {
        Ok(self.node.names.lookup(who).await?.0)
    }

    /// What a user typed to say who, with names at relays resolved to the cards they lead to.
    async fn whom(&self, who: &str) -> Answer<String> {
        if !names::is_remote(who) {
            return Ok(who.to_owned());
        }
        Ok(self.node.names.lookup(who).await?.1.to_text())
    }

    fn contacts(&self) -> &Contacts {
        &self.node.context.contacts
    }

    /// Follows events: from now, or without a gap after event number `since`. A subscription that asks for more than
    /// is remembered, or reads too slowly, ends with [`FellBehind`](crate::bus::FellBehind).
    pub fn subscribe(&self, since: Option<u64>) -> Answer<Subscription> {
        Ok(self.node.bus.subscribe(since))
    }
}

pub(crate) fn message_id(text: &str) -> Answer<EventId> {
    text.parse().map_err(|_| Problem::of(Code::MessageNotFound).hint("a message id has 64 hexadecimal digits"))
}
