//! What a client can ask of the node: one async method for each thing, in the words of the local API.
//!
//! Everything outside the node (HTTP routes, the program that runs the node, tests) talks to an [`App`]. It is a cheap
//! handle: clones share one node. Every method answers an API type or a [`Problem`] with a stable code. Methods are not
//! cancel safe unless they say so, but a cancelled write is either durable as a whole or did not happen; sending again
//! with the same `client_id` is then the remedy.
//!
//! `room` arguments are what a user typed: an id, a unique id prefix of at least four digits, or a unique name.

use parlor_api::{
    CreateInvite, CreateRoom, Invite, JoinAnswer, JoinRequest, Member, Message, OutboxAnswer, OutboxEntry, Page,
    Problem, ReadAnswer, Ready, Room, RoomItem, SendAnswer, SendRequest, Status, UpdateRoom,
};
use parlor_proto::RoomId;

use crate::bus::Subscription;

/// The result of everything a client asks.
pub type Answer<T> = Result<T, Problem>;

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
pub struct App {}

impl App {
    /// The answer to `GET /status`.
    pub async fn status(&self) -> Answer<Status> {
        Err(unready())
    }

    /// What the `ready` event says.
    pub async fn ready(&self) -> Answer<Ready> {
        Err(unready())
    }

    /// Begins a graceful stop and returns at once; the API answers requests already begun, then closes.
    pub async fn stop(&self) -> Answer<()> {
        Err(unready())
    }

    /// The room that `text` names.
    ///
    /// # Errors
    /// `room_not_found`; `ambiguous` with the candidates (short id and name) in the hint.
    pub async fn find_room(&self, text: &str) -> Answer<RoomId> {
        let _ = text;
        Err(unready())
    }

    /// Makes a room with this account as its owner; durable when it returns.
    pub async fn create_room(&self, request: CreateRoom) -> Answer<Room> {
        let _ = request;
        Err(unready())
    }

    /// The rooms of this account, that with the newest message first.
    pub async fn list_rooms(&self) -> Answer<Vec<RoomItem>> {
        Err(unready())
    }

    /// One room.
    pub async fn room(&self, room: &str) -> Answer<Room> {
        let _ = room;
        Err(unready())
    }

    /// Changes name, description or settings.
    pub async fn update_room(&self, room: &str, update: UpdateRoom) -> Answer<Room> {
        let _ = (room, update);
        Err(unready())
    }

    /// Leaves the room; what is held of it stays readable.
    pub async fn leave_room(&self, room: &str) -> Answer<()> {
        let _ = room;
        Err(unready())
    }

    /// Makes an invite; the answer holds its link.
    pub async fn create_invite(&self, room: &str, request: CreateInvite) -> Answer<Invite> {
        let _ = (room, request);
        Err(unready())
    }

    /// The invites of a room, newest first, also those that work no longer.
    pub async fn list_invites(&self, room: &str) -> Answer<Vec<Invite>> {
        let _ = room;
        Err(unready())
    }

    /// Revokes an invite, named by its id or a unique prefix of it. Revoking it again changes nothing.
    pub async fn revoke_invite(&self, room: &str, invite: &str) -> Answer<Invite> {
        let _ = (room, invite);
        Err(unready())
    }

    /// Joins by a link. Answers when the room can be read and posted to; after `request.timeout` seconds with state
    /// `pending` when the request is out and may still be answered, or `unreachable` when nobody could be asked.
    /// Cancel safe: the join goes on.
    ///
    /// # Errors
    /// `link_damaged`, `invite_expired`, `invite_exhausted`, `invite_revoked`, `banned`, `join_refused`, `unreachable`.
    pub async fn join(&self, request: JoinRequest) -> Answer<JoinAnswer> {
        let _ = request;
        Err(unready())
    }

    /// The members of a room, strongest role first, then by name.
    pub async fn members(&self, room: &str) -> Answer<Vec<Member>> {
        let _ = room;
        Err(unready())
    }

    /// Stores messages of this account in the order given, in one durable commit, and sends them by and by. A request
    /// whose `client_id` is known is answered with the message it made before.
    ///
    /// # Errors
    /// `empty_text`, `too_long`, `message_not_found` (for `reply_to`), `not_permitted`; then none of them is stored.
    pub async fn send(&self, room: &str, messages: Vec<SendRequest>) -> Answer<Vec<SendAnswer>> {
        let _ = (room, messages);
        Err(unready())
    }

    /// One message of a room, by its id.
    pub async fn message(&self, room: &str, message: &str) -> Answer<Message> {
        let _ = (room, message);
        Err(unready())
    }

    /// A page of history, newest first, of at most `limit` messages (1 to [`parlor_api::PAGE_MAX`]).
    pub async fn history(&self, room: &str, anchor: Anchor, limit: u32) -> Answer<Page<Message>> {
        let _ = (room, anchor, limit);
        Err(unready())
    }

    /// Moves the read marker forward to a message, or to the newest. It never moves back.
    pub async fn mark_read(&self, room: &str, message: Option<&str>) -> Answer<ReadAnswer> {
        let _ = (room, message);
        Err(unready())
    }

    /// The outbox, oldest first.
    pub async fn outbox(&self) -> Answer<Vec<OutboxEntry>> {
        Err(unready())
    }

    /// Tries one message now, or all.
    pub async fn retry(&self, message: Option<&str>) -> Answer<OutboxAnswer> {
        let _ = message;
        Err(unready())
    }

    /// Gives up one message, or all: they stay in the history as failed and are not tried again.
    pub async fn discard(&self, message: Option<&str>) -> Answer<OutboxAnswer> {
        let _ = message;
        Err(unready())
    }

    /// Follows events: from now, or without a gap after event number `since`. A subscription that asks for more than
    /// is remembered, or reads too slowly, ends with [`FellBehind`](crate::bus::FellBehind).
    pub fn subscribe(&self, since: Option<u64>) -> Answer<Subscription> {
        let _ = since;
        Err(unready())
    }
}

fn unready() -> Problem {
    Problem::of(parlor_api::Code::NotYet)
}
