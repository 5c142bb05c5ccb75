//! Types of the local REST and WebSocket API.
//!
//! These are the words in which every client (command line, terminal UI, web UI, bots) talks with the node of a home;
//! the node converts its own types into these, so that storage and protocol may change without breaking a client.
//! Fields are only ever added. Ids are lower-case hexadecimal strings, times are RFC 3339 strings in UTC, and cursors are
//! opaque strings that a client hands back as it got them. There is no logic here beyond constructors.

mod access;
mod attention;
mod backup;
mod contact;
mod device;
mod doctor;
mod event;
mod export;
mod formatted;
mod govern;
mod group;
mod invite;
mod join;
mod log;
mod message;
mod node;
mod outbox;
mod problem;
mod profile;
mod room;
mod search;
mod webhook;

pub use access::{
    ApiToken, CheckedWord, CreateToken, OpenSession, OpenedSession, RecoveryPhrase, Scope, Session, Setup, SignLinks,
    SignedLinks, Unlock, Web, WebCode, WebState, WhoAsks,
};
pub use attention::{
    Attention, Calls, Draft, Notification, Notify, Presence, Receipt, Receipts, SetDraft, SetTyping, Settings, Stance,
    Unread, UpdateAttention, UpdateSettings,
};
pub use backup::{MakeBackup, RestoreBackup, RestoreStep, RestoredBackup, Restoring};
pub use contact::{
    AddContact, BlockContact, ClaimName, Contact, ContactCard, ContactState, Direct, NameContact, NameEntry,
    OpenDirect, Safety, VerifyContact,
};
pub use device::{DeviceChange, DeviceChanged, NotRevoked, OwnDevice, RevokedDevice};
pub use doctor::{Diagnosis, Finding, Level, Tried};
pub use event::{
    ContactChange, ContactChanged, ErrorNote, Event, EventBody, FileChanged, InviteChange, InviteChanged, MemberChange,
    MemberChanged, MessageExpired, OutboxChanged, PeerChanged, PresenceChanged, Ready, RequestChange, RequestChanged,
    RoomChange, RoomChanged, StatusChanged, SyncProgress, Ticket, Typing,
};
pub use export::{EXPORT_VERSION, ExportHead, ExportPage, ExportedEvent};
pub use formatted::{Block, Span};
pub use govern::{Banned, Gone, MayInvite, Policy, RemoveMembers, Removed, SetRole, Standing};
pub use group::{GroupAsks, GroupChat, GroupInvitation, GroupPerson, GroupState, OpenGroup};
pub use invite::{CreateInvite, INSTANT_NOTICE, Invite, Joined, Past, Request};
pub use join::{JoinAnswer, JoinProgress, JoinRequest, JoinState, JoinStep};
pub use log::{Note, NoteKind};
pub use message::{
    Author, CreatePoll, EditMessage, File, FileState, Hole, HoleKind, MarkRead, Message, MessageKind, MessageStatus,
    Page, PinRequest, Poll, PollOption, Quote, ReactRequest, ReadAnswer, SendAnswer, SendBatch, SendRequest, Thread,
    UploadedFile, Version, VoteRequest,
};
pub use node::{Peer, Relay, Status, SyncState};
pub use outbox::{OutboxAnswer, OutboxEntry, OutboxKind};
pub use problem::{Code, Problem};
pub use profile::{OwnField, OwnProfile, Profile, UpdateField, UpdateProfile, Visible};
pub use room::{CreateRoom, Device, History, Member, Role, Room, RoomItem, RoomKind, SplitView, UpdateRoom};
pub use search::{SEARCH_DEFAULT, SEARCH_MAX, SearchHit, SearchPage, SearchState};
pub use webhook::{CreateWebhook, Webhook, WebhookChanged, WebhookDelivery, WebhookState};

/// First path segments of every route of this version of the API.
pub const PREFIX: &str = "/api/v1";

/// Most messages a page holds, whatever a client asks for.
pub const PAGE_MAX: u32 = 100;

/// Messages a page holds when the client does not say.
pub const PAGE_DEFAULT: u32 = 50;

/// Longest text of one message, in bytes of UTF-8: with padding, keys and header it must fit a 24 KiB payload.
pub const TEXT_MAX: usize = 20 * 1024;

/// Messages of a thread that are counted; more are told as so many.
pub const THREAD_COUNTED: u32 = 100;

/// Pinned messages that are told, the ones pinned last.
pub const PINS_MAX: usize = 100;

/// Most messages in one [`SendBatch`].
pub const BATCH_MAX: usize = 100;

/// Bytes of a picture that may hold a QR code: a photograph of a phone.
pub const PICTURE_MAX: usize = 16 << 20;
