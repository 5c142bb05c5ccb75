//! Messages: sending, reading pages, read marker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Block, Note};

/// Who wrote something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Author {
    /// Account id.
    pub account: String,
    /// Name, as written by the author: neutralise before showing it on a terminal.
    pub name: String,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// Text.
    Text,
    /// One or more files, maybe with text.
    File,
    /// A note of the room itself: somebody joined, was removed, the name changed.
    System,
    /// A poll.
    Poll,
    /// Made by a newer version: kept and passed on, not understood here.
    Unknown,
}

/// What is known of a message's way, in the order it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    /// Given up; `reason` says why.
    Failed,
    /// Durable on this device, not yet elsewhere.
    Queued,
    /// A mailbox or a device of a member stored it durably.
    Sent,
    /// At least one other member's device stored it durably; `delivered_to` says how many members.
    Delivered,
    /// At least one other member read it.
    Read,
}

/// How far a file came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// Known by name only.
    Remote,
    /// To be fetched; nobody who has it is there now.
    Waiting,
    /// Being fetched.
    Fetching,
    /// On this device.
    Here,
}

/// A file of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct File {
    /// Name, as written by the author: never use it as a path.
    pub name: String,
    /// Media type, as claimed by the author.
    pub mime: String,
    /// Size.
    pub bytes: u64,
    /// Name of its content.
    pub hash: String,
    /// How far it came.
    pub state: FileState,
    /// How many bytes of it are here.
    #[serde(default)]
    pub have: u64,
    /// Why it does not come, when something is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same as a code that never changes, for windows in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// A name to save it under: one part of a path, which neither hides nor pretends.
    #[serde(default)]
    pub save_as: String,
    /// Width in pixels, of a picture, as claimed by the author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels, of a picture, as claimed by the author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Whether a small picture of it came with the message.
    #[serde(default)]
    pub preview: bool,
}

/// A file that was sealed and can be sent: the answer of `POST /files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadedFile {
    /// To be named in [`SendRequest::files`]; the `hash` of the file once it is sent.
    pub file: String,
    /// Name.
    pub name: String,
    /// Media type.
    pub mime: String,
    /// Size, without what was taken out of a picture.
    pub bytes: u64,
    /// Width in pixels, of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels, of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// A message as this node sees it now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Id.
    pub message: String,
    /// The room it is in.
    pub room: String,
    /// Who wrote it.
    pub author: Author,
    /// When, by the author's clock.
    pub sent_at: String,
    /// When this device stored it.
    pub received_at: String,
    /// What it is.
    pub kind: MessageKind,
    /// Its text, as written: neutralise before showing it on a terminal. Empty when deleted or not readable.
    pub text: String,
    /// Its text as a tree to make elements of; absent where the text as it is says everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formatted: Vec<Block>,
    /// Its files.
    pub files: Vec<File>,
    /// The message it answers.
    pub reply_to: Option<String>,
    /// What that says; absent when it is not on this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Quote>,
    /// The message that began the thread it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The thread that it began, if others have written in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies: Option<Thread>,
    /// When it was last edited.
    pub edited_at: Option<String>,
    /// How many earlier texts it has: `GET /rooms/{room}/messages/{id}/edits`.
    #[serde(default)]
    pub edits: u32,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Who deleted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_by: Option<Author>,
    /// Who pinned it, while it is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_by: Option<Author>,
    /// Accounts by emoji, in the order in which they reacted.
    pub reactions: BTreeMap<String, Vec<String>>,
    /// Of kind `poll`: its answers, and who chose them. The question is the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
    /// Accounts it mentions: in the text each stands as `@` and the name by which this node knows it.
    pub mentions: Vec<String>,
    /// What is known of its way. Messages of others are `delivered`, or `read` once this account read them.
    pub status: MessageStatus,
    /// How many other members hold it on a device.
    pub delivered_to: u32,
    /// How many other members read it.
    pub read_by: u32,
    /// How many other members there are to deliver it to.
    pub recipients: u32,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same as a code that never changes, for windows in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// Whether it was written under keys that its author knew, or should have known, to be old: somebody who is out may read it.
    /// Only a node that does not keep to the rules writes so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsafe_epoch: bool,
    /// When it disappears, in a room whose messages do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Its place in the room as a cursor: newer is greater, compared as text.
    pub order: String,
    /// It is shown early: the newest messages come before those between, and this one is not in the log of the room here yet. When it is,
    /// it comes as a `message` event. It is counted and marked as read from then on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
    /// Of kind `system`: what happened, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Note>,
}

/// What a message says, in short: above an answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    /// The message.
    pub message: String,
    /// Who wrote it.
    pub author: Author,
    /// What it is.
    pub kind: MessageKind,
    /// The beginning of its text as it is now, on one line: neutralise before showing it on a terminal.
    pub text: String,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Whether it, or the text that it has now, was written under keys that were old, as in [`Message`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsafe_epoch: bool,
}

/// The thread below a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Thread {
    /// How many messages it has here; at [`THREAD_COUNTED`](crate::THREAD_COUNTED) so many or more.
    pub count: u32,
    /// When the last one was written.
    pub last_at: String,
}

/// A poll as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Poll {
    /// Its answers, in the order in which they were given.
    pub options: Vec<PollOption>,
    /// Whether one may choose several.
    pub several: bool,
    /// How many accounts chose.
    pub voters: u32,
}

/// An answer of a poll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PollOption {
    /// What it says.
    pub text: String,
    /// The accounts that chose it.
    pub votes: Vec<String>,
}

/// A text that a message had: `GET /rooms/{room}/messages/{id}/edits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// The text.
    pub text: String,
    /// The text as a tree, as in [`Message`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formatted: Vec<Block>,
    /// Since when.
    pub at: String,
    /// Whether this text was written under keys that were old, as in [`Message`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsafe_epoch: bool,
}

/// Another text for an own message: `PATCH /rooms/{room}/messages/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditMessage {
    /// The text, as in [`SendRequest`].
    pub text: String,
    /// Idempotency key, as in [`SendRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// Put an emoji on a message, or take it off: `PUT /rooms/{room}/messages/{id}/reaction`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReactRequest {
    /// The emoji, at most 64 bytes.
    pub emoji: String,
    /// Whether to put it on.
    pub on: bool,
}

/// Pin a message, or take the pin out: `PUT /rooms/{room}/messages/{id}/pin`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PinRequest {
    /// Whether it is pinned.
    pub on: bool,
}

/// Choose in a poll: `PUT /rooms/{room}/messages/{id}/vote`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoteRequest {
    /// Places of the chosen answers, the first is 0; none takes the vote back.
    pub choices: Vec<u32>,
}

/// A poll to ask: `POST /rooms/{room}/polls`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePoll {
    /// The question, 1 to 2,048 bytes.
    pub question: String,
    /// 2 to 20 answers of at most 256 bytes.
    pub options: Vec<String>,
    /// Whether one may choose several.
    #[serde(default)]
    pub several: bool,
    /// Idempotency key, as in [`SendRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// A page of a list. Messages stand newest first. One without any is not the end where it says how to go on: what was looked at
/// can not be read on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Pass as `before` for the page of older ones; absent when there are none.
    pub older: Option<String>,
    /// Pass as `after` for the page of newer ones; absent when there are none now.
    pub newer: Option<String>,
    /// What is known to be missing, on the page that ends now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holes: Vec<Hole>,
}

/// Messages that were written and are not on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hole {
    /// `hole`: what tells it from a message, where both are lines.
    pub kind: HoleKind,
    /// Who wrote them, if that is known.
    pub author: Option<Author>,
    /// How many.
    pub missing: u64,
    /// Names of the members who are asked for them. None when nobody who has them is connected.
    pub asking: Vec<String>,
    /// For people, such as `3 messages from Alice are missing, asking Bob`.
    pub text: String,
}

/// The kind of a [`Hole`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HoleKind {
    /// It is one.
    Hole,
}

/// A message to send: `POST /rooms/{room}/messages`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    /// The text, 1 to [`TEXT_MAX`](crate::TEXT_MAX) bytes, in the Markdown of `docs/spec/messages.md`. `@name` of a member
    /// mentions him.
    pub text: String,
    /// Idempotency key of the client's choice (at most 64 bytes, random): a request that is repeated with the same key
    /// is answered with the message that the first one made, and nothing is sent twice. Remembered with the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The thread to write in: the message that began it, or any of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// Files, at most 8, each as `POST /files` named it. With files the text has at most 4,096 bytes, and may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// Several messages of one room, stored in this order in one commit: `POST /rooms/{room}/messages/batch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendBatch {
    /// At most [`BATCH_MAX`](crate::BATCH_MAX).
    pub messages: Vec<SendRequest>,
}

/// A message that is durable on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SendAnswer {
    /// Id.
    pub message: String,
    /// The room it is in.
    pub room: String,
    /// What is known of its way.
    pub status: MessageStatus,
    /// How many other members hold it on a device.
    pub delivered_to: u32,
}

/// Move the read marker: `PUT /rooms/{room}/read`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkRead {
    /// Up to this message; up to the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where the read marker stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadAnswer {
    /// The room.
    pub room: String,
    /// The message it stands on; absent in a room without messages.
    pub message: Option<String>,
    /// Messages of others after it.
    pub unread: u64,
}
