//! What goes into a room and comes out of it.

use std::fmt;

use parlor_crypto::hpke;
use parlor_crypto::seal::MessageKey;

use super::branches::{MessageTip, Placed};
use super::invites::{InstantLimit, InviteLimit};
use super::rows::{KeyRows, StoredKeys};
use crate::body::{Body, BodyError};
use crate::control::{
    History, InviteBounds, InviteId, JoinRequestError, MailboxTokens, Mailboxes, Permission, Permissions, Power, Role,
    RoomKind,
};
use crate::epoch::Page;
use crate::event::{Event, EventError, LogId};
use crate::hlc::Hlc;
use crate::ids::{AccountId, DeviceId, EpochId, EventId, RoomId};
use crate::validity::Invalid;

/// What storage must write in the same batch as the events beside it. Opaque bytes, given back in [`RoomParts`].
///
/// `heads`, and every row named in `keys`, replace what was stored under that name. Rows of `keys` hold secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Persist {
    /// Heads and missing parents: small, changes with every message.
    pub heads: Option<Vec<u8>>,
    /// Topic secret, epoch keys, leaf records: the rows that changed, `None` for one to be deleted.
    pub keys: KeyRows,
    /// Pages of epoch rows by their hash.
    pub pages: Vec<Page>,
}

/// What storage holds of a room.
#[derive(Debug, Clone)]
pub struct RoomParts {
    /// The room.
    pub room: RoomId,
    /// All control events in the order in which they were accepted.
    pub control: Vec<Event>,
    /// The last event of every message log.
    pub tips: Vec<MessageTip>,
    /// The last [`Persist::heads`].
    pub heads: Vec<u8>,
    /// All rows of [`Persist::keys`] as they were written last.
    pub keys: StoredKeys,
}

/// A stored room that can not be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A control event is not accepted again: damage, or events out of order.
    #[error("stored control event {id} is refused: {why}")]
    Event {
        /// Which.
        id: EventId,
        /// Why.
        why: Reject,
    },
    /// A control event whose ancestors are missing.
    #[error("stored control event {0} lacks its ancestors")]
    Gap(EventId),
    /// The bytes of [`Persist`] are damaged.
    #[error("stored state of the room is damaged")]
    State,
}

/// What a change of the room did. To be committed as one batch; then events go to the network.
///
/// If committing fails, drop the room and restore it: it already stands behind the change.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// New events in the order of arrival, which is a topological one.
    pub accepted: Vec<Accepted>,
    /// What else to write in the same batch.
    pub persist: Persist,
    /// What is different now, for windows and logs.
    pub changes: Vec<Change>,
    /// Of the accepted events those of forked logs, and where they stand; all others stand in the log of their device, at their
    /// number.
    pub placed: Vec<Placed>,
    /// Messages that fences pin in forked logs, of which only storage may know where they stand. When this is durable,
    /// [`Room::pins_found`](super::Room::pins_found) is to be told of those that storage holds.
    pub unplaced: Vec<EventId>,
}

/// An event that is now part of the room.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "nearly all are messages: a box each would cost more than it saves")]
pub enum Accepted {
    /// Of a control log.
    Control(Event),
    /// Of a message log.
    Message(Message),
}

impl Accepted {
    /// The event.
    pub fn event(&self) -> &Event {
        match self {
            Self::Control(event) => event,
            Self::Message(message) => &message.event,
        }
    }
}

/// A message with what the room knows about it.
#[derive(Clone)]
pub struct Message {
    /// The event, to be stored as it is.
    pub event: Event,
    /// Whose device wrote it.
    pub author: AccountId,
    /// Where it stands on the timeline: its own clock, or the arrival when that is more than 10 minutes ahead.
    pub order: Hlc,
    /// The highest message of this node's device that its author had seen: of ours up to here it acknowledges all.
    pub covers_own: u64,
    /// The key of its payload, if the epoch's is held. To be stored beside the event.
    pub key: Option<MessageKey>,
    /// The content, if it could be opened.
    pub body: Option<Body>,
    /// Whether it is shown.
    pub verdict: Verdict,
    /// Its author wrote under an epoch that was not safe in his own view (attack 21): show a warning.
    pub unsafe_epoch: bool,
    /// When it disappears, by our clock, in milliseconds since the epoch; `None` if it does not, or has.
    pub fades_ms: Option<u64>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({:?}, {:?}, key: {})", self.event, self.verdict, self.key.is_some())
    }
}

/// Whether a message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Yes.
    Shown,
    /// No: its author had no right to post when writing it.
    NotPermitted,
    /// No: written after its author had left or been removed.
    AfterRemoval,
    /// Not yet: the key of its epoch is not held. [`Room::open_later`](super::Room::open_later) opens it.
    NoKey,
    /// No: what is inside can not be opened or is no content. Nobody can read it.
    Damaged,
    /// No more: its time is over, and its content is gone.
    Faded,
}

/// What became of a batch.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// What to commit.
    pub outcome: Outcome,
    /// What is missing now that other events wait for. Ask the peer that sent the batch.
    pub waiting: Vec<Missing>,
    /// What was refused.
    pub rejected: Vec<Rejected>,
    /// Events of the batch that were here already.
    pub duplicates: usize,
    /// Authentic messages that are neither the next of their log nor among the recent ones: held since long, or their author
    /// wrote two with one number. Those that storage does not hold go to [`Room::receive_fork`](super::Room::receive_fork), in this
    /// order; where storage does not even hold the one before, ask the peer for what lies further back.
    pub unsure: Vec<Event>,
    /// Parents of accepted messages that are not among the recent ones. Look them up in storage and tell
    /// [`Room::parents_held`](super::Room::parents_held) which are there; until then heads above them are not confirmed in markers.
    pub unknown_parents: Vec<EventId>,
    /// A missing parent came, and these messages above it cover more of ours than was said with them: up to which number. To be
    /// stored with the messages. Ask [`Room::covers_own`](super::Room::covers_own) again for the heads of the markers held.
    pub covers_corrected: Vec<(EventId, u64)>,
}

/// Something that events wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Missing {
    /// A stretch of a log, both ends included.
    Log {
        /// Which log.
        log: LogId,
        /// First missing sequence number.
        from: u64,
        /// Last missing sequence number.
        to: u64,
    },
    /// A control event.
    Control(EventId),
}

/// An event that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Which.
    pub id: EventId,
    /// Why.
    pub why: Reject,
    /// Whether it came in this batch; otherwise it had waited, and whoever sent this batch has nothing to do with it.
    pub of_batch: bool,
}

impl Rejected {
    /// Whether who sent the batch is at fault and loses score.
    pub fn blames_sender(&self) -> bool {
        self.of_batch && self.why.blames_sender()
    }
}

/// Why an event was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// The event contradicts the format or its signature.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The event breaks a rule of the room.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// More branches of the author's log than are kept, or not beside what is held (attack 12).
    #[error("one branch too many of a forked log")]
    Fork,
    /// The signature of this copy does not hold. The event may be real all the same: whoever handed it to us may have taken it
    /// because a later event of its log vouched for it. It comes again by sync, with what follows it.
    #[error("the signature of this copy does not hold")]
    BadCopy,
    /// No buffer has room for an event that waits. It comes again by sync.
    #[error("too many events wait")]
    Full,
    /// It came without its payload, and its time is not over by our clock. Whoever handed it to us may have another clock.
    #[error("without its payload before its time")]
    Bare,
}

impl Reject {
    /// Whether who handed us the event is at fault and loses score. A fork, a full buffer or a bad copy of an event of the room is
    /// nobody's who passes events on.
    pub fn blames_sender(&self) -> bool {
        matches!(self, Self::Event(_) | Self::Invalid(_))
    }
}

/// What is different in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// We are a live member now and were not.
    Joined,
    /// We are no member any more.
    Out,
    /// Somebody came in.
    MemberIn(AccountId),
    /// Somebody is no member any more.
    MemberOut(AccountId),
    /// Somebody's role is another.
    MemberRole(AccountId),
    /// A member has other devices now.
    Devices(AccountId),
    /// An invite was made, used, or revoked.
    Invite(InviteId),
    /// Name or another setting.
    State,
    /// Another epoch is used for writing, or none is safe.
    Epoch,
    /// Keys of an epoch came: messages that could not be read may be readable now.
    Keys(EpochId),
    /// A device contradicted itself.
    Fork(DeviceId),
    /// Other messages of a device are shown now: its log has another branch, or it is known now which of them a fence means.
    Branches(DeviceId),
}

/// A message just written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The message.
    pub message: Message,
    /// What else to write in the same batch.
    pub persist: Persist,
}

/// Why the room does not let us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Our role lacks a permission.
    #[error("the permission to {0} is missing")]
    NotPermitted(Permission),
    /// A message is edited by the account that wrote it only.
    #[error("only who wrote a message can edit it")]
    NotAuthor,
    /// The role to be given is stronger than ours, or we may not delegate further.
    #[error("a role can not be given by a weaker one")]
    TooStrong,
    /// More than our right to invite, which was handed on to us, reaches to.
    #[error("more than the own right to invite: {0}")]
    Invite(InviteLimit),
    /// A device does not revoke itself: who has only this one would be locked out of all rooms.
    #[error("a device does not revoke itself")]
    OwnDevice,
    /// We left or were removed, or are not in yet.
    #[error("not a member of this room")]
    NotMember,
    /// This device contradicted itself: it was copied, or an old backup of it runs as well. It writes nothing any more.
    #[error("this device was copied: two of it have written")]
    Cloned,
    /// This device has just started and compares its own logs with a member's first: wait for the end of
    /// [`hold`](super::Room::hold).
    #[error("this device compares what it wrote with other members first")]
    Held,
    /// No epoch can be used now: keep the text and write it after the next [`Change::Epoch`].
    #[error("the room is changing its keys")]
    NoSafeEpoch,
    /// An epoch by hand within an hour of the last one would not count.
    #[error("this device changed the keys within the hour")]
    RotatedLately,
    /// The body can not be sent.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A name or setting is empty or too long.
    #[error("a name or setting is empty or too long")]
    Setting,
    /// There is no such invite.
    #[error("no such invite")]
    NoInvite,
    /// The invite can not be instant.
    #[error(transparent)]
    Instant(#[from] InstantLimit),
    /// No such member, or never heard of the account.
    #[error("no such member")]
    NoAccount,
    /// The account is banned by somebody more senior.
    #[error("banned by somebody more senior")]
    Banned,
    /// A direct chat belongs to its two accounts for ever.
    #[error("a direct chat belongs to its two accounts")]
    Direct,
    /// The log or the clock is at its end, or an event does not fit its limits.
    #[error("a limit of the room is reached")]
    Limit,
}

/// Why nobody is let in. The joiner is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinRefusal {
    /// No invite with this key: damaged link, or made by somebody we have not heard of yet.
    #[error("this invite is not known here")]
    Unknown,
    /// Too late.
    #[error("the invite has expired")]
    Expired,
    /// Too early.
    #[error("the invite is not open yet")]
    NotYet,
    /// Taken back, or whoever made it is no member any more.
    #[error("the invite was revoked")]
    Revoked,
    /// As many accounts came as were invited.
    #[error("the invite has been used up")]
    UsesExhausted,
    /// The account is banned.
    #[error("banned from this room")]
    Banned,
    /// A member must say yes first.
    #[error("a member must approve")]
    Approval,
    /// A member who may say yes said no.
    #[error("refused by a moderator")]
    Declined,
    /// This node may not admit on this invite: ask another member.
    #[error("this member may not admit on this invite")]
    NotSponsor,
    /// The request is not what it says.
    #[error(transparent)]
    Request(#[from] JoinRequestError),
    /// The room has no safe epoch now: ask again soon.
    #[error("the room is changing its keys")]
    NoSafeEpoch,
    /// This device of ours was copied and writes nothing any more: ask another member.
    #[error("this device was copied: two of it have written")]
    Cloned,
    /// The device that asks was revoked by its own account.
    #[error("the account has revoked this device")]
    DeviceRevoked,
    /// The account was removed from the room after the invite was made.
    #[error("you were removed from this room after the invite was made")]
    RemovedSince,
}

/// A newcomer was let in.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The Admit to commit and send, or nothing if the account was in already.
    pub outcome: Outcome,
    /// The sealed [`Welcome`](crate::epoch::Welcome) for the newcomer; `None` if he is not in by it all the same.
    pub welcome: Option<Vec<u8>>,
}

/// A message opened after its key came.
#[derive(Clone)]
pub struct Opened {
    /// The key, to be stored beside the event.
    pub key: MessageKey,
    /// The content; `None` if what is inside is damaged.
    pub body: Option<Body>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened(damaged: {})", self.body.is_none())
    }
}

/// A member of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub account: AccountId,
    /// Role by power.
    pub role: Role,
    /// Power of the strongest grant.
    pub power: Power,
    /// Permissions of that grant.
    pub perms: Permissions,
    /// The devices with their names.
    pub devices: Vec<(DeviceId, String)>,
    /// When the grant was made, by its author's clock.
    pub joined_at_ms: u64,
    /// The invite by which it came; `None` for the first owners.
    pub invite: Option<InviteId>,
    /// Who admitted; `None` for the first owners.
    pub sponsor: Option<AccountId>,
    /// How far the right to invite can be handed on, and what its invites may say at most; `None` without it.
    pub invites: Option<(u8, InviteBounds)>,
    /// Under whose grant this one was given: who invited, or gave the role. `None` for the first owners.
    pub by: Option<AccountId>,
}

/// The settings of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInfo {
    /// The name.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// How long messages live.
    pub ttl_ms: Option<u64>,
    /// The relays that keep mailboxes for the room.
    pub mailboxes: Mailboxes,
    /// What those of them ask for that are not open to all. For members' nodes only, never shown.
    pub mailbox_tokens: MailboxTokens,
    /// What sort of room.
    pub kind: RoomKind,
    /// What newcomers may read of what is written from now on: the policy of now.
    pub history: History,
    /// When it was made, by the owner's clock.
    pub created_at_ms: u64,
}

/// What a device is to the room now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Of a live member: gets everything.
    Live,
    /// Of a former member.
    Removed,
    /// Never heard of.
    Stranger,
}

/// Where a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tip {
    /// Which log.
    pub log: LogId,
    /// Its last sequence number.
    pub seq: u64,
    /// The event there.
    pub id: EventId,
}

/// The epoch that messages are written under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStatus {
    /// The best safe epoch whose key is held; `None`: nobody can write.
    pub epoch: Option<EpochId>,
    /// The slice in it.
    pub slice: u32,
    /// Why there is none.
    pub why: Option<NoEpoch>,
}

/// Why no epoch can be written under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEpoch {
    /// No epoch reaches exactly the members: somebody rotates soon.
    NoneSafe,
    /// A safe one is there, but not its key: the row or page is missing or wrong.
    NoKey(EpochId),
    /// The history of the room is not here yet.
    NoRoom,
}

/// The key of an epoch, sealed again for a device that is entitled to it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyShare {
    /// Which epoch.
    pub epoch: EpochId,
    /// From which slice on.
    pub slice: u32,
    /// HPKE box to the device's leaf.
    pub sealed: Vec<u8>,
}

/// Why a key is not handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareRefusal {
    /// We do not hold it.
    #[error("the key of this epoch is not held here")]
    NotHeld,
    /// The device was no recipient and may not have it by the history mode (attack 31).
    #[error("the device is not entitled to this epoch")]
    NotEntitled,
}

/// Why key material is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nobody asked: unknown epoch or page, or held already (attack 30).
    #[error("not wanted")]
    NotWanted,
    /// It does not open, or is no page.
    #[error("does not open")]
    Open,
    /// It is not what the epoch commits to (attack 22).
    #[error("does not match the commitment of its epoch")]
    Commit,
}

impl From<hpke::RowError> for KeyError {
    fn from(error: hpke::RowError) -> Self {
        match error {
            hpke::RowError::Open(_) => Self::Open,
            hpke::RowError::Commit => Self::Commit,
        }
    }
}

impl fmt::Debug for Persist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Persist")
            .field("heads", &self.heads.as_ref().map(Vec::len))
            .field("keys", &self.keys.len())
            .field("pages", &self.pages.len())
            .finish()
    }
}

impl Persist {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.heads.is_none() && self.keys.is_empty() && self.pages.is_empty()
    }

    /// Adds what `later` wants written, which wins.
    pub fn merge(&mut self, later: Self) {
        self.heads = later.heads.or(self.heads.take());
        self.keys.extend(later.keys);
        self.pages.extend(later.pages);
    }
}

impl Outcome {
    /// Adds what `later` did.
    pub fn merge(&mut self, later: Self) {
        self.accepted.extend(later.accepted);
        self.persist.merge(later.persist);
        self.changes.extend(later.changes);
        self.placed.extend(later.placed);
        self.unplaced.extend(later.unplaced);
    }

    /// The bytes of the new events, for the network.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.accepted.iter().map(Accepted::event)
    }
}
