//! Events: everything that moves, numbered, for every open window.
//!
//! `GET /events?since=SEQ` (WebSocket) and `GET /events/stream?since=SEQ` (a JSON object a line) carry them. A client
//! reads a snapshot, then follows events; `seq` of the last event it saw, passed as `since`, continues without a gap. A
//! client that fell further behind than the node remembers gets `{"event":"error","code":"fell_behind"}` as the last
//! event, and reads the snapshot again. Numbers grow also over restarts of the node, and may jump.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Author, Code, Draft, FileState, Gone, Message, MessageStatus, Notification, Presence, Role, Unread};

/// An event: `{"event":KIND,...,"seq":N,"at":RFC3339}` with the fields of its kind between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// What; its kind is the first field of the object.
    #[serde(flatten)]
    pub body: EventBody,
    /// Its number, below 2^53.
    pub seq: u64,
    /// When.
    pub at: String,
}

/// What happened. Kinds from a newer node read as [`Other`](Self::Other).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event")]
pub enum EventBody {
    /// The node accepts requests: the first event of a run.
    #[serde(rename = "ready")]
    Ready(Ready),
    /// A message is new on this device; the fields are those of a message.
    #[serde(rename = "message")]
    Message(Box<Message>),
    /// A message was edited, deleted or reacted to; the fields are those of a message.
    #[serde(rename = "message.updated")]
    MessageUpdated(Box<Message>),
    /// A message disappeared: its time was over, or it was shown early and belongs to no log. What windows hold of it goes.
    #[serde(rename = "message.expired")]
    MessageExpired(MessageExpired),
    /// Something happened in the room: a note of its log; the fields are those of a message of kind `system`.
    #[serde(rename = "system")]
    System(Box<Message>),
    /// An own message went on its way.
    #[serde(rename = "status")]
    Status(StatusChanged),
    /// Somebody is typing.
    #[serde(rename = "typing")]
    Typing(Typing),
    /// Somebody came or went.
    #[serde(rename = "presence")]
    Presence(PresenceChanged),
    /// A room is new, gone or changed.
    #[serde(rename = "room")]
    Room(RoomChanged),
    /// A member is new, gone or changed.
    #[serde(rename = "member")]
    Member(MemberChanged),
    /// An invite is new, used or revoked.
    #[serde(rename = "invite")]
    Invite(InviteChanged),
    /// Somebody asks to come in or to write to us, or was answered.
    #[serde(rename = "request")]
    Request(RequestChanged),
    /// A join waits for something else, or ended without the room.
    #[serde(rename = "join")]
    Join(crate::JoinProgress),
    /// A device came to this account, or was confirmed.
    #[serde(rename = "device")]
    Device(crate::DeviceChanged),
    /// A contact is another.
    #[serde(rename = "contact")]
    Contact(ContactChanged),
    /// What somebody tells us of himself is different, or what we tell; the fields are those of a profile.
    #[serde(rename = "profile")]
    Profile(Box<crate::Profile>),
    /// What waits to be read in a room is different.
    #[serde(rename = "unread")]
    Unread(Box<Unread>),
    /// What was written and not sent is different.
    #[serde(rename = "draft")]
    Draft(Box<Draft>),
    /// Something calls: show it, unless the user sees the room already.
    #[serde(rename = "notification")]
    Notification(Notification),
    /// Catching up.
    #[serde(rename = "sync")]
    Sync(SyncProgress),
    /// A peer connected or disconnected.
    #[serde(rename = "peer")]
    Peer(PeerChanged),
    /// An entry of the outbox is new, tried or gone.
    #[serde(rename = "outbox")]
    Outbox(OutboxChanged),
    /// A file of a message came further, is here, or does not come.
    #[serde(rename = "file")]
    File(FileChanged),
    /// The index of the search is being built, and how far that is.
    #[serde(rename = "search")]
    Search(crate::SearchState),
    /// A webhook fails, works again, or is given up.
    #[serde(rename = "webhook")]
    Webhook(crate::WebhookChanged),
    /// Something went wrong that a person should know.
    #[serde(rename = "error")]
    Error(ErrorNote),
    /// A kind this version does not know.
    #[serde(untagged)]
    Other(serde_json::Map<String, serde_json::Value>),
}

impl EventBody {
    /// The room it is about, if it is about one.
    pub fn room(&self) -> Option<&str> {
        match self {
            Self::Message(m) | Self::MessageUpdated(m) | Self::System(m) => Some(&m.room),
            Self::Status(e) => Some(&e.room),
            Self::MessageExpired(e) => Some(&e.room),
            Self::Typing(e) => Some(&e.room),
            Self::Presence(e) => e.room.as_deref(),
            Self::Room(e) => Some(&e.room),
            Self::Member(e) => Some(&e.room),
            Self::Invite(e) => Some(&e.room),
            Self::Request(e) => Some(e.room.as_str()).filter(|room| !room.is_empty()),
            Self::Join(e) => Some(&e.room),
            Self::Unread(e) => Some(&e.room),
            Self::Draft(e) => Some(&e.room),
            Self::Notification(e) => e.room.as_deref(),
            Self::Sync(e) => Some(&e.room),
            Self::Outbox(e) => Some(&e.room),
            Self::File(e) => Some(&e.room),
            Self::Other(fields) => fields.get("room")?.as_str(),
            Self::Ready(_) | Self::Peer(_) | Self::Device(_) | Self::Contact(_) | Self::Profile(_) => None,
            Self::Search(_) | Self::Webhook(_) | Self::Error(_) => None,
        }
    }
}

/// The node accepts requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Address of the local API, `http://127.0.0.1:PORT`.
    pub api: String,
    /// The libp2p peer id.
    pub peer_id: String,
    /// Account id.
    pub account: String,
    /// Name of the account.
    pub name: String,
    /// Addresses others can dial.
    pub listen: Vec<String>,
}

/// A message disappeared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageExpired {
    /// The message.
    pub message: String,
    /// Its room.
    pub room: String,
}

/// An own message went on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusChanged {
    /// The message.
    pub message: String,
    /// Its room.
    pub room: String,
    /// What is known now.
    pub status: MessageStatus,
    /// How many other members hold it on a device.
    pub delivered_to: u32,
    /// How many other members read it.
    pub read_by: u32,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same as a code that never changes, for windows in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
}

/// Somebody is typing, or stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Typing {
    /// The room.
    pub room: String,
    /// Who.
    pub account: String,
    /// His name.
    #[serde(default)]
    pub name: String,
    /// Whether he is. When he sends, or is not heard of for some seconds, he is not.
    pub typing: bool,
}

/// Somebody came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresenceChanged {
    /// Who.
    pub account: String,
    /// The room in which it is known.
    pub room: Option<String>,
    /// His name.
    #[serde(default)]
    pub name: String,
    /// Whether he is there.
    pub online: bool,
    /// The same with more words.
    #[serde(default)]
    pub presence: Presence,
}

/// What became of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoomChange {
    /// Made here.
    Created,
    /// Joined by this account.
    Joined,
    /// Name, description, settings or unread count changed.
    Updated,
    /// Left by this account.
    Left,
    /// This account was removed: `gone` says by whom.
    Removed,
}

/// A room is new, gone or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomChanged {
    /// The room.
    pub room: String,
    /// Its name now.
    pub name: String,
    /// What became of it.
    pub change: RoomChange,
    /// How this account came out of it, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Gone>,
}

/// What became of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemberChange {
    /// Joined.
    Joined,
    /// Name, role or devices changed.
    Updated,
    /// Left.
    Left,
    /// Was removed.
    Removed,
}

/// A member is new, gone or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberChanged {
    /// The room.
    pub room: String,
    /// Who.
    pub account: String,
    /// Name now.
    pub name: String,
    /// Role now; absent when gone.
    pub role: Option<Role>,
    /// What became of him.
    pub change: MemberChange,
    /// Who removed him, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Author>,
}

/// What became of an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InviteChange {
    /// Made.
    Created,
    /// Somebody joined by it.
    Used,
    /// Revoked.
    Revoked,
}

/// An invite is new, used or revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InviteChanged {
    /// The room.
    pub room: String,
    /// The invite.
    pub invite: String,
    /// What became of it.
    pub change: InviteChange,
}

/// What became of a request to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestChange {
    /// It was made: somebody has to answer.
    Asked,
    /// They are in.
    Approved,
    /// They are not let in.
    Refused,
}

/// What happened to a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContactChange {
    /// It is new in the book, or named, verified, blocked otherwise.
    Updated,
    /// Both want to write to each other now.
    Accepted,
    /// A device came to the account after it was verified: compare safety numbers again.
    DevicesChanged,
    /// It is no longer in the book.
    Removed,
}

/// A contact is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactChanged {
    /// Account id.
    pub account: String,
    /// Its name.
    pub name: String,
    /// What happened.
    pub change: ContactChange,
}

/// Somebody asks to come in or to write to us, or was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestChanged {
    /// The room; none when somebody wants to write to us.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// Account that asks.
    pub account: String,
    /// What it calls itself; nobody has checked that.
    pub name: String,
    /// What happened.
    pub change: RequestChange,
    /// Who refused it, if somebody did in a room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Author>,
}

/// Catching up in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncProgress {
    /// The room.
    pub room: String,
    /// Messages we hold.
    pub have: u64,
    /// Messages we know of and do not hold.
    pub want: u64,
    /// Whether we hold everything that any connected member holds, and what others told of before they left.
    pub done: bool,
    /// Whether a member who is connected owes what is missing; if not, it comes when somebody is who has it.
    #[serde(default)]
    pub asking: bool,
    /// Of the newest messages so many are shown early, before those between are here. When there are more than before, the newest
    /// page of the history holds them.
    #[serde(default)]
    pub early: u32,
}

/// A peer connected or disconnected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerChanged {
    /// The libp2p peer id.
    pub peer_id: String,
    /// Whether it is connected now.
    pub connected: bool,
    /// How many peers are connected now.
    pub peers: u32,
}

/// An entry of the outbox is new, tried or gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutboxChanged {
    /// The message.
    pub message: String,
    /// Its room.
    pub room: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_attempt: Option<String>,
    /// Why it waits or failed.
    pub reason: Option<String>,
    /// The same as a code that never changes, for windows in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// How many entries the outbox holds now.
    pub waiting: u64,
}

/// A file of a message came further. Told some times a second at most while it is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileChanged {
    /// The room.
    pub room: String,
    /// The message.
    pub message: String,
    /// Which of its files, from 0.
    pub index: u32,
    /// Name of its content.
    pub hash: String,
    /// How far it came.
    pub state: FileState,
    /// How many bytes of it are here.
    pub have: u64,
    /// Its size.
    pub bytes: u64,
    /// Why it does not come, when something is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same as a code that never changes, for windows in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
}

/// Something went wrong that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorNote {
    /// What programs compare. `fell_behind` says: read the state again, then follow from now.
    pub code: Code,
    /// For people.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Why, where the code alone says little: a code that never changes, for windows in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
}

impl From<crate::Problem> for ErrorNote {
    fn from(problem: crate::Problem) -> Self {
        let reason_code = problem.reason_code.map(Into::into);
        Self { code: problem.code, message: problem.detail, hint: problem.hint, reason_code }
    }
}

/// A ticket that opens one WebSocket: `POST /tickets`, then `GET /events?ticket=…` within its time, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// The ticket.
    pub ticket: String,
    /// Seconds it lasts.
    pub expires_in: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(body: EventBody) -> Event {
        Event { seq: 7, at: "2026-11-21T08:00:00Z".into(), body }
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let sync = event(EventBody::Sync(SyncProgress {
            room: "r".into(),
            have: 1,
            want: 2,
            done: false,
            asking: false,
            early: 0,
        }));
        let json = serde_json::to_value(&sync).unwrap();
        let wanted = serde_json::json!({"event":"sync","seq":7,"at":"2026-11-21T08:00:00Z","room":"r","have":1,"want":2,"done":false,"asking":false,"early":0});
        assert_eq!(json, wanted);
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), sync);
    }

    #[test]
    fn a_kind_of_a_newer_node_is_kept() {
        let json = r#"{"event":"weather","seq":7,"at":"2026-11-21T08:00:00Z","room":"r","rain":true}"#;
        let event: Event = serde_json::from_str(json).unwrap();
        assert_eq!(event.body.room(), Some("r"));
        assert_eq!(serde_json::to_value(&event).unwrap(), serde_json::from_str::<serde_json::Value>(json).unwrap());
    }
}
