//! What control events say: payloads, roles and permissions.
//!
//! A payload is the postcard encoding of the struct of its kind. The numbers of kinds and permissions are the protocol:
//! never renumber. A kind we do not know is kept as it is and passed on ([`Control::Unknown`]); it changes nothing.

mod account;
mod bounds;
mod direct;
mod join;
mod mailboxes;
mod membership;
mod proof;
mod role;

pub use parlor_crypto::account::{DeviceCert, DeviceRevoke, Inception};
pub use parlor_crypto::hpke::Row;
pub use parlor_crypto::leaf::LeafRecord;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::account::{AccountUpdate, NewDevice, RevokeFence};
pub use self::bounds::InviteBounds;
pub use self::direct::{DIRECT_KIND, DIRECT_PERMS, DIRECT_POLICY, Direct};
pub use self::join::{Decline, Entrant, EntrantError, JoinRequest, JoinRequestError};
pub use self::mailboxes::{MAX_MAILBOX_ADDRESSES, MAX_MAILBOXES, Mailbox, MailboxToken, MailboxTokens, Mailboxes};
pub use self::membership::{DeviceFence, GrantRole, LogPosition, MessageFate, Remove, Target, Unban};
pub use self::proof::{Complaint, Contradiction, EquivProof, KeyComplaint, NoContradiction, SignedHeader};
pub use self::role::{Permission, Permissions, Power, Role};

use crate::codec::{self, CodecError};
use crate::ids::{DeviceId, EpochId, EventId};
use crate::limits;

/// The kind of a Remove.
pub const REMOVE_KIND: u8 = 3;
/// The kind of an AccountUpdate.
pub const ACCOUNT_UPDATE_KIND: u8 = 8;
/// The kind of a Rotate.
pub const ROTATE_KIND: u8 = 11;

/// A grant is named by the event that made it; in a genesis of several owners also by the account it was given to.
pub type GrantId = EventId;
/// An invite is named by its event.
pub type InviteId = EventId;

/// What sort of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RoomKind {
    /// Members write.
    Group,
    /// Only moderators and above write.
    Channel,
    /// A chat of two accounts.
    Direct,
}

/// What newcomers may read. Frozen into every epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum History {
    /// Nothing from before they came ("from-join").
    None,
    /// Everything ("shared").
    Full,
}

/// What somebody who comes by one invite may read of the past; never more than the room's mode allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum InviteHistory {
    /// Nothing.
    None,
    /// From this epoch on.
    Since(EpochId),
    /// Everything.
    Full,
}

/// Who may admit on an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Sponsor {
    /// Any member who is no observer.
    AnyMember,
    /// A moderator or above.
    Moderator,
    /// An admin or above.
    Admin,
    /// Nobody: the link alone is enough.
    Instant,
}

/// Rules of a room beside its roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What newcomers may read.
    pub history: History,
}

/// The first event of a room. Its id is the room's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// [`limits::RULES`].
    pub rules: u8,
    /// [`limits::SUITE`].
    pub suite: u8,
    /// What sort of room.
    pub kind: RoomKind,
    /// The owners, most senior first; the first one's device signs.
    pub owners: Vec<Entrant>,
    /// The rules it begins with.
    pub policy: Policy,
    /// Random, so that no two rooms are one.
    pub nonce: [u8; 32],
}

/// A right to come in, held by whoever has the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// The grant it is made under.
    pub auth: GrantId,
    /// Ed25519 key whose secret half is in the link.
    pub invite_pk: [u8; 32],
    /// X25519 key whose secret half is in the link.
    pub box_pk: [u8; 32],
    /// Mailbox under which the members of the room can be found.
    pub door: [u8; 32],
    /// What the newcomer gets.
    pub power: Power,
    /// What the newcomer may do.
    pub perms: Permissions,
    /// Not before this time, milliseconds since the epoch.
    pub not_before_ms: u64,
    /// Not after this time; `u64::MAX` for no end.
    pub expires_ms: u64,
    /// How many accounts may come; `u32::MAX` for any number.
    pub max_uses: u32,
    /// Whether a member of the sponsor class must say yes each time.
    pub approval: bool,
    /// What the newcomer may read of the past.
    pub history: InviteHistory,
    /// Who may admit.
    pub sponsor: Sponsor,
    /// How far the newcomer may delegate.
    pub max_depth: u8,
    /// What the newcomer's own invites may say at most.
    pub onward: InviteBounds,
}

/// An invite is open no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRevoke {
    /// The grant it is made under.
    pub auth: GrantId,
    /// Which one.
    pub invite: InviteId,
}

/// A sponsor lets somebody in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admit {
    /// The sponsor's grant.
    pub auth: GrantId,
    /// On which invite.
    pub invite: InviteId,
    /// Who.
    pub join: JoinRequest,
    /// The epoch whose key the newcomer gets,
    pub epoch: EpochId,
    /// from this slice on,
    pub slice: u32,
    /// whose key this commits to.
    pub slice_commit: [u8; 32],
}

/// An account leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// The strongest grant of the account; it and all weaker ones end.
    pub auth: GrantId,
    /// How far each message log of the account goes that still counts. Devices not named count up to nothing.
    pub fence: Vec<LogPoint>,
}

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPoint {
    /// Whose log.
    pub device: DeviceId,
    /// How far.
    pub seq: u64,
    /// On which branch of it.
    pub id: EventId,
}

/// The rules of the room change, for later epochs. The last write in the resolved order counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// The grant it is made under.
    pub auth: GrantId,
    /// The rules from now on.
    pub policy: Policy,
}

/// Settings of the room change. Of each setting the last write in the resolved order counts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The grant it is made under.
    pub auth: GrantId,
    /// Number of the setting ([`Setting`]) and its value, ascending by number. Unknown numbers are kept.
    pub writes: Vec<(u8, Vec<u8>)>,
}

impl fmt::Debug for State {
    /// Names and tokens are in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self.writes.iter().map(|(number, value)| (*number, value.len())).collect::<Vec<_>>();
        f.debug_struct("State").field("auth", &self.auth).field("sizes", &sizes).finish()
    }
}

/// The settings this version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Setting {
    /// The name, UTF-8.
    Name = 1,
    /// What the room is about, UTF-8.
    About = 2,
    /// How long messages live, milliseconds as 8 bytes big endian; empty for ever.
    Ttl = 3,
    /// How often the topic moved on, 4 bytes big endian.
    TopicGeneration = 4,
    /// The relays that keep mailboxes for the room: [`Mailboxes`].
    Mailboxes = 5,
    /// What those of them ask for that are not open to all: [`MailboxTokens`].
    MailboxTokens = 6,
}

/// Why somebody makes an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RotateReason {
    /// T1: no epoch was safe.
    NoSafeEpoch,
    /// T2: the epoch was old or much used.
    Age,
    /// T3: the history mode changed.
    History,
    /// T4: somebody wanted it.
    Hand,
}

/// A new epoch: a secret handed to exactly the resolved members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotate {
    /// The grant it is made under.
    pub auth: GrantId,
    /// Why.
    pub reason: RotateReason,
    /// Epochs whose secrets were mixed in, ascending.
    pub parents: Vec<EpochId>,
    /// Commits to the secret.
    pub commit: [u8; 32],
    /// What those may read of this epoch who come later.
    pub share_history: History,
    /// Hash of the sorted devices that the secret was made for.
    pub member_root: [u8; 32],
    /// How many rows there are.
    pub n_rows: u32,
    /// The rows, or where they are.
    pub rows: Rows,
}

/// A page of rows, or of names of pages: the hint of its first row and its hash.
pub type PageName = ([u8; 8], [u8; 32]);

/// The rows of an epoch, sorted by hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rows {
    /// Here, up to [`limits::INLINE_ROWS`].
    Inline(Vec<Row>),
    /// In pages of [`limits::ROWS_PER_PAGE`], under pages that name them ([`crate::epoch::levels`]): the first hint and the hash of
    /// each page at the top.
    Pages(Vec<PageName>),
}

/// A control event's payload, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// Kind 1.
    Genesis(Genesis),
    /// Kind 2.
    Grant(GrantRole),
    /// Kind 3.
    Remove(Remove),
    /// Kind 5.
    Invite(Invite),
    /// Kind 6.
    InviteRevoke(InviteRevoke),
    /// Kind 7.
    Admit(Box<Admit>),
    /// Kind 4.
    Leave(Leave),
    /// Kind 8.
    AccountUpdate(AccountUpdate),
    /// Kind 9.
    Policy(PolicyChange),
    /// Kind 10.
    State(State),
    /// Kind 11.
    Rotate(Rotate),
    /// Kind 12.
    KeyComplaint(KeyComplaint),
    /// Kind 13.
    EquivProof(Box<EquivProof>),
    /// Kind 14.
    Unban(Unban),
    /// Kind 15.
    Decline(Decline),
    /// [`DIRECT_KIND`]: what a direct chat begins with. Nobody signs or sends it.
    Direct(Direct),
    /// A kind of a newer version. Kept, passed on, without effect.
    Unknown(u8),
}

/// A payload that does not fit its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not an encoding of the kind's struct.
    #[error("payload: {0}")]
    Codec(#[from] CodecError),
    /// Something in it is too long, too many, or out of order.
    #[error("payload breaks the limit of {0}")]
    Limit(&'static str),
}

impl Control {
    /// Decodes the payload of a control event of kind `kind` and checks its limits.
    ///
    /// # Errors
    /// See [`PayloadError`]; the author is at fault.
    pub fn decode(kind: u8, payload: &[u8]) -> Result<Self, PayloadError> {
        let max = limits::MAX_PAYLOAD;
        let control = match kind {
            1 => Self::Genesis(codec::decode(payload, max)?),
            2 => Self::Grant(codec::decode(payload, max)?),
            REMOVE_KIND => Self::Remove(codec::decode(payload, max)?),
            4 => Self::Leave(codec::decode(payload, max)?),
            5 => Self::Invite(codec::decode(payload, max)?),
            6 => Self::InviteRevoke(codec::decode(payload, max)?),
            7 => Self::Admit(Box::new(codec::decode(payload, max)?)),
            ACCOUNT_UPDATE_KIND => Self::AccountUpdate(codec::decode(payload, max)?),
            9 => Self::Policy(codec::decode(payload, max)?),
            10 => Self::State(codec::decode(payload, max)?),
            ROTATE_KIND => Self::Rotate(codec::decode(payload, max)?),
            12 => Self::KeyComplaint(codec::decode(payload, max)?),
            13 => Self::EquivProof(Box::new(codec::decode(payload, max)?)),
            14 => Self::Unban(codec::decode(payload, max)?),
            15 => Self::Decline(codec::decode(payload, max)?),
            DIRECT_KIND => Self::Direct(codec::decode(payload, max)?),
            other => Self::Unknown(other),
        };
        control.check()?;
        Ok(control)
    }

    /// The kind's number.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Genesis(_) => 1,
            Self::Grant(_) => 2,
            Self::Remove(_) => REMOVE_KIND,
            Self::Leave(_) => 4,
            Self::Invite(_) => 5,
            Self::InviteRevoke(_) => 6,
            Self::Admit(_) => 7,
            Self::AccountUpdate(_) => ACCOUNT_UPDATE_KIND,
            Self::Policy(_) => 9,
            Self::State(_) => 10,
            Self::Rotate(_) => ROTATE_KIND,
            Self::KeyComplaint(_) => 12,
            Self::EquivProof(_) => 13,
            Self::Unban(_) => 14,
            Self::Decline(_) => 15,
            Self::Direct(_) => DIRECT_KIND,
            Self::Unknown(kind) => *kind,
        }
    }

    /// The payload. Empty for an unknown kind, which nobody here makes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Genesis(value) => codec::encode(value),
            Self::Grant(value) => codec::encode(value),
            Self::Remove(value) => codec::encode(value),
            Self::Leave(value) => codec::encode(value),
            Self::Invite(value) => codec::encode(value),
            Self::InviteRevoke(value) => codec::encode(value),
            Self::Admit(value) => codec::encode(value),
            Self::AccountUpdate(value) => codec::encode(value),
            Self::Policy(value) => codec::encode(value),
            Self::State(value) => codec::encode(value),
            Self::Rotate(value) => codec::encode(value),
            Self::KeyComplaint(value) => codec::encode(value),
            Self::EquivProof(value) => codec::encode(value),
            Self::Unban(value) => codec::encode(value),
            Self::Decline(value) => codec::encode(value),
            Self::Direct(value) => codec::encode(value),
            Self::Unknown(_) => Vec::new(),
        }
    }

    /// The grant it is made under. A genesis, what proves itself (account updates, proofs) and unknown kinds have none.
    pub fn auth(&self) -> Option<GrantId> {
        match self {
            Self::Genesis(_) | Self::Direct(_) | Self::AccountUpdate(_) | Self::EquivProof(_) | Self::Unknown(_) => {
                None
            }
            Self::Grant(value) => Some(value.auth),
            Self::Remove(value) => Some(value.auth),
            Self::Policy(value) => Some(value.auth),
            Self::KeyComplaint(value) => Some(value.auth),
            Self::Unban(value) => Some(value.auth),
            Self::Decline(value) => Some(value.auth),
            Self::Leave(value) => Some(value.auth),
            Self::Invite(value) => Some(value.auth),
            Self::InviteRevoke(value) => Some(value.auth),
            Self::Admit(value) => Some(value.auth),
            Self::State(value) => Some(value.auth),
            Self::Rotate(value) => Some(value.auth),
        }
    }

    fn check(&self) -> Result<(), PayloadError> {
        let limit = |holds: bool, what| if holds { Ok(()) } else { Err(PayloadError::Limit(what)) };
        match self {
            Self::Genesis(g) => {
                limit(g.rules == limits::RULES && g.suite == limits::SUITE, "version")?;
                limit((1..=limits::MAX_OWNERS).contains(&g.owners.len()), "owners")
            }
            Self::Grant(grant) => {
                limit(grant.power.0 <= Power::OBSERVER.0, "power")?;
                limit(grant.perms.known(), "permissions")?;
                limit(grant.max_depth <= limits::MAX_DEPTH, "depth")
            }
            Self::Remove(remove) => limit(remove.keeps_limits(), "removal"),
            Self::AccountUpdate(update) => limit(update.keeps_limits(), "devices"),
            Self::EquivProof(proof) => limit(proof.keeps_limits(), "proof"),
            Self::Leave(leave) => {
                limit(leave.fence.len() <= limits::MAX_FENCE, "fence")?;
                limit(leave.fence.is_sorted_by(|a, b| a.device < b.device), "fence")
            }
            Self::Invite(invite) => {
                limit(invite.power.0 <= Power::OBSERVER.0, "power")?;
                limit(invite.perms.known(), "permissions")?;
                limit(invite.max_uses > 0, "uses")?;
                limit(invite.max_depth <= limits::MAX_DEPTH, "depth")
            }
            Self::Admit(admit) => limit(admit.slice <= limits::MAX_SLICE, "slice"),
            Self::State(state) => {
                limit((1..=limits::MAX_WRITES).contains(&state.writes.len()), "writes")?;
                limit(state.writes.is_sorted_by(|a, b| a.0 < b.0), "writes")?;
                limit(state.writes.iter().all(|(_, value)| value.len() <= limits::MAX_SETTING), "setting")
            }
            Self::Rotate(rotate) => rotate.check(),
            Self::InviteRevoke(_)
            | Self::Policy(_)
            | Self::KeyComplaint(_)
            | Self::Unban(_)
            | Self::Decline(_)
            | Self::Direct(_)
            | Self::Unknown(_) => Ok(()),
        }
    }
}

impl Rotate {
    fn check(&self) -> Result<(), PayloadError> {
        let limit = |holds: bool, what| if holds { Ok(()) } else { Err(PayloadError::Limit(what)) };
        limit(self.parents.len() <= limits::MAX_EPOCH_PARENTS, "parents")?;
        limit(self.parents.is_sorted_by(|a, b| a < b), "parents")?;
        let n_rows = self.n_rows as usize;
        match &self.rows {
            Rows::Inline(rows) => {
                limit(rows.len() == n_rows && n_rows <= limits::INLINE_ROWS, "rows")?;
                limit(rows.is_sorted_by(|a, b| a.hint <= b.hint), "rows")
            }
            Rows::Pages(pages) => {
                limit(n_rows > limits::INLINE_ROWS && n_rows <= limits::MAX_ROWS, "rows")?;
                limit(pages.len() == crate::epoch::levels(n_rows).0, "pages")?;
                limit(pages.is_sorted_by(|a, b| a.0 <= b.0), "pages")
            }
        }
    }
}

impl Sponsor {
    /// The weakest power that may admit.
    pub fn weakest(self) -> Power {
        match self {
            Self::AnyMember | Self::Instant => Power::MEMBER,
            Self::Moderator => Power::MODERATOR,
            Self::Admin => Power::ADMIN,
        }
    }
}

impl Setting {
    /// The permission that writing it takes.
    pub fn permission(number: u8) -> Permission {
        if number == Self::TopicGeneration as u8 { Permission::Moderate } else { Permission::Policy }
    }
}
