//! A batch: changes that happen wholly or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parlor_proto::annotation::Remark;
use parlor_proto::ids::{EventId, RoomId};

use crate::rows::{ControlRow, Due, MessageKey, MessageRow};

/// Small values, each kind with a number on disk. Never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Namespace {
    /// Epoch and chain keys.
    Keys = 1,
    /// Delivery and read markers.
    Marker = 2,
    /// Leaf keys of devices.
    Leaf = 3,
    /// What waits to be sent or acknowledged.
    Outbox = 4,
    /// Invites made or used.
    Invite = 5,
    /// Peers and their addresses.
    Peer = 6,
    /// Settings and other single values.
    Meta = 7,
    /// Names at a relay: who has each.
    Name = 8,
    /// Names at a relay: the records, what looks alike, and what accounts have.
    Record = 9,
    /// Peers and addresses that a relay refuses.
    Ban = 10,
    /// The book of contacts.
    Contact = 16,
    /// Files: of a room, the messages that name them; of none, what is to be fetched and what waits to be sent.
    File = 17,
    /// Profiles: of a room, the newest of each device; of none, our own.
    Profile = 18,
    /// Pictures of profiles, as [`Profile`](Self::Profile).
    Portrait = 19,
    /// Groups of several contacts: of a direct chat, the invitations that came; of none, what became of each.
    Group = 20,
    /// Webhooks, and how far each is.
    Webhook = 21,
}

/// Changes to one room, or to none, that are applied wholly or not at all, also across kill -9 and power loss.
///
/// Events of a log are given in the order of the log. An event that is stored already (same log, same number, same id)
/// is skipped, so repeating a batch is harmless.
#[derive(Debug)]
pub struct Batch {
    pub(crate) room: Option<RoomId>,
    pub(crate) ops: Vec<Op>,
    pub(crate) bytes: usize,
    pub(crate) chain: Chain,
}

/// Batches of which each stands on the ones before: after one that was not stored none of the later ones is.
///
/// Whoever changes something in memory first and commits it then has batches under way that were made when the failure
/// of an earlier one was not known yet. Clones are the same chain; a broken one stays broken.
#[derive(Debug, Clone, Default)]
pub struct Chain(Arc<AtomicBool>);

impl Chain {
    /// Whether a batch of it was not stored.
    pub fn is_broken(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Whether both are the same chain.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn break_off(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// One change.
#[derive(Debug)]
pub(crate) enum Op {
    Room(Vec<u8>),
    Control(ControlRow),
    Message(MessageRow),
    MessageKey(EventId, MessageKey),
    Covers(EventId, u64),
    Aside(EventId),
    Erase(EventId),
    /// With when it disappears.
    Remark(Remark, Option<u64>),
    /// Takes a list away.
    Unsay(Vec<u8>),
    /// Takes an entry that stands alone in its place out of a list.
    Unremark(Vec<u8>, Vec<u8>),
    Fade(Due),
    Page([u8; 32], Vec<u8>),
    Put(Namespace, Vec<u8>, Vec<u8>),
    PutFading(Namespace, Vec<u8>, Vec<u8>),
    Delete(Namespace, Vec<u8>),
    Trim(u64),
    Forget,
}

impl Batch {
    /// An empty batch about `room`; with `None` it may only [`put`](Self::put) and [`delete`](Self::delete).
    pub fn new(room: Option<RoomId>) -> Self {
        Self { room, ops: Vec::new(), bytes: 0, chain: Chain::default() }
    }

    /// Makes it part of a chain: it is refused as [`CommitError::Broken`](crate::CommitError::Broken) when an earlier
    /// batch of the chain was not stored.
    pub fn chain(&mut self, chain: &Chain) -> &mut Self {
        self.chain = chain.clone();
        self
    }

    /// Sets the room's record, which makes the room appear in [`rooms`](crate::Store::rooms).
    pub fn room(&mut self, bytes: Vec<u8>) -> &mut Self {
        self.push(bytes.len(), Op::Room(bytes))
    }

    /// Adds a control event.
    pub fn control(&mut self, row: ControlRow) -> &mut Self {
        self.push(row.bytes.len(), Op::Control(row))
    }

    /// Adds a message.
    pub fn message(&mut self, row: MessageRow) -> &mut Self {
        self.push(row.bytes.len(), Op::Message(row))
    }

    /// Adds the key of a stored message, or of one earlier in this batch. Unknown ids are ignored.
    pub fn message_key(&mut self, id: EventId, key: MessageKey) -> &mut Self {
        self.push(0, Op::MessageKey(id, key))
    }

    /// Says that a stored message, or one earlier in this batch, covers our own messages up to this number, if that is more
    /// than was said before. Unknown ids are ignored.
    pub fn covers_own(&mut self, id: EventId, covers_own: u64) -> &mut Self {
        self.push(0, Op::Covers(id, covers_own))
    }

    /// Says that a stored message, or one earlier in this batch, is no line of the timeline: pages leave it out, everything else
    /// finds it as before. Unknown ids are ignored.
    pub fn aside(&mut self, id: EventId) -> &mut Self {
        self.push(0, Op::Aside(id))
    }

    /// Erases the key of a stored message, or of one earlier in this batch, for good: none is taken for it any more. Unknown ids
    /// are ignored.
    pub fn erase(&mut self, id: EventId) -> &mut Self {
        self.push(0, Op::Erase(id))
    }

    /// Puts an entry into its place of a list, if it belongs to those that stay there: see [`Remark`].
    /// It disappears with the last of those of its place, if it says when; `None` keeps them.
    pub fn remark(&mut self, remark: Remark, fades_ms: Option<u64>) -> &mut Self {
        self.push(remark.list.len() + remark.key.len() + remark.value.len(), Op::Remark(remark, fades_ms))
    }

    /// Takes a list away with all that is in it.
    pub fn unsay(&mut self, list: Vec<u8>) -> &mut Self {
        self.push(list.len(), Op::Unsay(list))
    }

    /// Takes a place by name out of a list.
    pub fn unremark(&mut self, list: &[u8], place: &[u8]) -> &mut Self {
        self.push(list.len() + place.len(), Op::Unremark(list.to_vec(), place.to_vec()))
    }

    /// Takes what a message said away, which is over: its place in its log stays, and it is no line of the timeline any more. `due`
    /// is from [`Store::due`](crate::Store::due), and of this batch's room, or of none that is left.
    pub fn fade(&mut self, due: Due) -> &mut Self {
        self.push(0, Op::Fade(due))
    }

    /// Adds a page of epoch rows under its hash.
    pub fn page(&mut self, hash: [u8; 32], bytes: Vec<u8>) -> &mut Self {
        self.push(bytes.len(), Op::Page(hash, bytes))
    }

    /// Sets a small value.
    pub fn put(&mut self, namespace: Namespace, key: &[u8], value: Vec<u8>) -> &mut Self {
        self.push(key.len() + value.len(), Op::Put(namespace, key.to_vec(), value))
    }

    /// Sets a small value that can be had from nothing any more once it is replaced or removed.
    pub fn put_fading(&mut self, namespace: Namespace, key: &[u8], value: Vec<u8>) -> &mut Self {
        self.push(key.len() + value.len(), Op::PutFading(namespace, key.to_vec(), value))
    }

    /// Removes a small value.
    pub fn delete(&mut self, namespace: Namespace, key: &[u8]) -> &mut Self {
        self.push(key.len(), Op::Delete(namespace, key.to_vec()))
    }

    /// Removes the room with everything in it. The room is gone at once; its rows are removed in the background, also
    /// after a restart. Must be the last change of its batch.
    pub fn forget_room(&mut self) -> &mut Self {
        self.push(0, Op::Forget)
    }

    /// Takes the entries up to this group out of the list of changes, some thousands at a time: who follows them has seen them.
    pub fn trim_changes(&mut self, group: u64) -> &mut Self {
        self.push(0, Op::Trim(group))
    }

    /// Whether the batch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Bytes of content so far; at most [`MAX_BATCH_BYTES`](crate::limits::MAX_BATCH_BYTES) can be committed.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it holds the record of its room.
    pub fn begins(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Room(_)))
    }

    /// Whether it forgets its room.
    pub(crate) fn forgets(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Forget))
    }

    fn push(&mut self, content: usize, op: Op) -> &mut Self {
        /// What an operation costs in memory and on disk beside its content.
        const OVERHEAD: usize = 128;
        self.bytes += content + OVERHEAD;
        self.ops.push(op);
        self
    }
}

impl Op {
    /// Bytes of content, as far as one limit bounds them.
    pub(crate) fn content(&self) -> usize {
        match self {
            Self::Room(bytes) | Self::Page(_, bytes) => bytes.len(),
            Self::Control(row) => row.bytes.len(),
            Self::Message(row) => row.bytes.len(),
            Self::Remark(remark, _) => remark.list.len() + remark.key.len() + remark.value.len(),
            Self::MessageKey(..) | Self::Covers(..) | Self::Aside(_) | Self::Erase(_) => 0,
            Self::Put(..) | Self::PutFading(..) | Self::Delete(..) | Self::Trim(_) | Self::Forget => 0,
            Self::Unsay(_) | Self::Unremark(..) | Self::Fade(_) => 0,
        }
    }
}
