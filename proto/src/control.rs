//! What control events say: payloads, roles and permissions.
//!
//! A payload is the postcard encoding of the struct of its kind. The numbers of kinds and permissions are the protocol:
//! never renumber. A kind we do not know is kept as it is and passed on ([`Control::Unknown`]); it changes nothing.

pub use parlor_crypto::account::{DeviceCert, Inception};
pub use parlor_crypto::hpke::Row;
pub use parlor_crypto::leaf::LeafRecord;
use parlor_crypto::{PublicKey, Signature, SigningKey, label};
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::ids::{AccountId, DeviceId, EpochId, EventId, RoomId};
use crate::limits;

/// A grant is named by the event that made it; in a genesis of several owners also by the account it was given to.
pub type GrantId = EventId;
/// An invite is named by its event.
pub type InviteId = EventId;

/// How strong a role is: 0 owner, 1 admin, 2 moderator, 3 member, 4 observer. Smaller is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Power(pub u8);

/// What a grant permits. Authority comes from the grant alone, never from settings that change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permissions(pub u16);

/// One permission: to name it in a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Permission {
    /// Write messages, and make epochs.
    Post,
    /// Make invites.
    Invite,
    /// Give roles to members.
    Grant,
    /// Remove members.
    Remove,
    /// Hide messages of others, pin.
    Moderate,
    /// Change name and settings of the room.
    Policy,
}

/// The roles people see. A grant may carry other combinations of power and permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Made the room, or was made an owner by one.
    Owner,
    /// Everything but touching owners.
    Admin,
    /// Invites and removes members, moderates.
    Moderator,
    /// Writes (in a channel: reads).
    Member,
    /// Reads.
    Observer,
}

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

/// Settings fixed at the beginning of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What newcomers may read.
    pub history: History,
}

/// An account as it enters a room: with the device it enters by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrant {
    /// The account's keys.
    pub account: Inception,
    /// The account's word for the device.
    pub cert: DeviceCert,
    /// The device's key for receiving secrets.
    pub leaf: LeafRecord,
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
    /// Settings fixed for ever.
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
}

/// An invite is open no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRevoke {
    /// The grant it is made under.
    pub auth: GrantId,
    /// Which one.
    pub invite: InviteId,
}

/// The joiner's word: this account, by this device, wants in on this invite. Bound to the room by its signatures, which
/// cover the room's id, so it is worth nothing in another room and to anybody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The invite's public key, as known from the link.
    pub invite_pk: [u8; 32],
    /// Who, and by which device.
    pub entrant: Entrant,
    /// Random.
    pub nonce: [u8; 16],
    /// By the invite's key: the joiner has the link.
    pub invite_sig: Signature,
    /// By the device: the device wants this.
    pub device_sig: Signature,
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

/// Settings of the room change. Of each setting the last write in the resolved order counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The grant it is made under.
    pub auth: GrantId,
    /// Number of the setting ([`Setting`]) and its value, ascending by number. Unknown numbers are kept.
    pub writes: Vec<(u8, Vec<u8>)>,
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

/// The rows of an epoch, sorted by hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rows {
    /// Here, up to [`limits::INLINE_ROWS`].
    Inline(Vec<Row>),
    /// In pages of [`limits::ROWS_PER_PAGE`]: the first hint and the hash of each.
    Pages(Vec<([u8; 8], [u8; 32])>),
}

/// A control event's payload, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// Kind 1.
    Genesis(Genesis),
    /// Kind 5.
    Invite(Invite),
    /// Kind 6.
    InviteRevoke(InviteRevoke),
    /// Kind 7.
    Admit(Box<Admit>),
    /// Kind 4.
    Leave(Leave),
    /// Kind 10.
    State(State),
    /// Kind 11.
    Rotate(Rotate),
    /// A kind of a newer version. Kept, passed on, without effect. Kinds 2 Grant, 3 Remove, 8 AccountUpdate, 9 Policy,
    /// 12 KeyComplaint and 13 EquivProof are reserved.
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
            4 => Self::Leave(codec::decode(payload, max)?),
            5 => Self::Invite(codec::decode(payload, max)?),
            6 => Self::InviteRevoke(codec::decode(payload, max)?),
            7 => Self::Admit(Box::new(codec::decode(payload, max)?)),
            10 => Self::State(codec::decode(payload, max)?),
            11 => Self::Rotate(codec::decode(payload, max)?),
            other => Self::Unknown(other),
        };
        control.check()?;
        Ok(control)
    }

    /// The kind's number.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Genesis(_) => 1,
            Self::Leave(_) => 4,
            Self::Invite(_) => 5,
            Self::InviteRevoke(_) => 6,
            Self::Admit(_) => 7,
            Self::State(_) => 10,
            Self::Rotate(_) => 11,
            Self::Unknown(kind) => *kind,
        }
    }

    /// The payload. Empty for an unknown kind, which nobody here makes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Genesis(value) => codec::encode(value),
            Self::Leave(value) => codec::encode(value),
            Self::Invite(value) => codec::encode(value),
            Self::InviteRevoke(value) => codec::encode(value),
            Self::Admit(value) => codec::encode(value),
            Self::State(value) => codec::encode(value),
            Self::Rotate(value) => codec::encode(value),
            Self::Unknown(_) => Vec::new(),
        }
    }

    /// The grant it is made under; a genesis and unknown kinds have none.
    pub fn auth(&self) -> Option<GrantId> {
        match self {
            Self::Genesis(_) | Self::Unknown(_) => None,
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
            Self::InviteRevoke(_) | Self::Unknown(_) => Ok(()),
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
                limit(n_rows > limits::INLINE_ROWS && pages.len() <= limits::MAX_PAGES, "pages")?;
                limit(pages.len() == n_rows.div_ceil(limits::ROWS_PER_PAGE), "pages")?;
                limit(pages.is_sorted_by(|a, b| a.0 <= b.0), "pages")
            }
        }
    }
}

impl Power {
    /// The strongest.
    pub const OWNER: Self = Self(0);
    /// Below owners.
    pub const ADMIN: Self = Self(1);
    /// Below admins.
    pub const MODERATOR: Self = Self(2);
    /// Below moderators.
    pub const MEMBER: Self = Self(3);
    /// The weakest.
    pub const OBSERVER: Self = Self(4);

    /// The role people see for this power.
    pub fn role(self) -> Role {
        match self.0 {
            0 => Role::Owner,
            1 => Role::Admin,
            2 => Role::Moderator,
            3 => Role::Member,
            _ => Role::Observer,
        }
    }
}

impl Permissions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything this version knows.
    pub const ALL: Self = Self(0b11_1111);

    /// Whether it holds `permission`.
    pub fn has(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// With `permission` too.
    #[must_use]
    pub fn with(self, permission: Permission) -> Self {
        Self(self.0 | permission.bit())
    }

    /// Whether everything in it is in `other`.
    pub fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    fn known(self) -> bool {
        self.within(Self::ALL)
    }
}

impl Permission {
    fn bit(self) -> u16 {
        match self {
            Self::Post => 1,
            Self::Invite => 1 << 1,
            Self::Grant => 1 << 2,
            Self::Remove => 1 << 3,
            Self::Moderate => 1 << 4,
            Self::Policy => 1 << 5,
        }
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Post => "post",
            Self::Invite => "invite",
            Self::Grant => "grant",
            Self::Remove => "remove",
            Self::Moderate => "moderate",
            Self::Policy => "policy",
        })
    }
}

impl Role {
    /// The power of the role.
    pub fn power(self) -> Power {
        match self {
            Self::Owner => Power::OWNER,
            Self::Admin => Power::ADMIN,
            Self::Moderator => Power::MODERATOR,
            Self::Member => Power::MEMBER,
            Self::Observer => Power::OBSERVER,
        }
    }

    /// What the role may do in a room of this kind.
    pub fn permissions(self, kind: RoomKind) -> Permissions {
        use Permission::{Invite, Moderate, Post, Remove};
        match (self, kind) {
            (Self::Owner | Self::Admin, _) => Permissions::ALL,
            (Self::Moderator, _) => Permissions::NONE.with(Post).with(Invite).with(Remove).with(Moderate),
            (Self::Member, RoomKind::Group | RoomKind::Direct) => Permissions::NONE.with(Post),
            (Self::Member, RoomKind::Channel) | (Self::Observer, _) => Permissions::NONE,
        }
    }

    /// How far the role delegates, unless less is asked for.
    pub fn max_depth(self) -> u8 {
        match self {
            Self::Owner => limits::MAX_DEPTH,
            Self::Admin => 4,
            Self::Moderator => 1,
            Self::Member | Self::Observer => 0,
        }
    }

    /// The lower-case name used in commands and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Moderator => "moderator",
            Self::Member => "member",
            Self::Observer => "observer",
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

impl Entrant {
    /// Checks the account's word for the device and the device's word for its leaf key.
    ///
    /// # Errors
    /// [`EntrantError`]: made up, or put together from the papers of several.
    pub fn verify(&self) -> Result<(), EntrantError> {
        self.cert.verify(&self.account).map_err(|_| EntrantError)?;
        if self.leaf.device != self.cert.device_pk {
            return Err(EntrantError);
        }
        self.leaf.verify().map(|_| ()).map_err(|_| EntrantError)
    }

    /// The account's id.
    pub fn account(&self) -> AccountId {
        AccountId(self.cert.account)
    }

    /// The device's id.
    pub fn device(&self) -> DeviceId {
        DeviceId(self.cert.device_pk)
    }
}

/// Papers of an account that do not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("certificate or leaf key do not hold")]
pub struct EntrantError;

/// Why a JoinRequest is worth nothing, whatever the room says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRequestError {
    /// The papers of the account do not hold.
    #[error(transparent)]
    Entrant(#[from] EntrantError),
    /// Not signed by the invite's key: the joiner does not have the link.
    #[error("not signed by the key of the invite")]
    Invite,
    /// Not signed by the joining device: taken from somebody else (attack 16).
    #[error("not signed by the joining device")]
    Device,
}

impl JoinRequest {
    /// Makes and signs a request to join `room`, with the invite's key from the link and the own device's.
    pub fn sign(room: &RoomId, invite: &SigningKey, device: &SigningKey, entrant: Entrant, nonce: [u8; 16]) -> Self {
        let none = Signature([0; 64]);
        let invite_pk = invite.public_bytes();
        let mut join = Self { invite_pk, entrant, nonce, invite_sig: none, device_sig: none };
        let signed = join.signed();
        join.invite_sig = invite.sign(label::SIGN_JOIN_INVITE, &[room.as_bytes(), &signed]);
        join.device_sig = device.sign(label::SIGN_JOIN_DEVICE, &[room.as_bytes(), &signed]);
        join
    }

    /// Checks papers and both signatures for `room`.
    ///
    /// # Errors
    /// See [`JoinRequestError`].
    pub fn verify(&self, room: &RoomId) -> Result<(), JoinRequestError> {
        self.entrant.verify()?;
        let signed = self.signed();
        let parts: [&[u8]; 2] = [room.as_bytes(), &signed];
        PublicKey::parse(&self.invite_pk)
            .ok()
            .and_then(|key| key.verify(label::SIGN_JOIN_INVITE, &parts, &self.invite_sig).ok())
            .ok_or(JoinRequestError::Invite)?;
        PublicKey::parse(&self.entrant.cert.device_pk)
            .ok()
            .and_then(|key| key.verify(label::SIGN_JOIN_DEVICE, &parts, &self.device_sig).ok())
            .ok_or(JoinRequestError::Device)
    }

    /// All fields but the signatures.
    fn signed(&self) -> Vec<u8> {
        codec::encode(&(self.invite_pk, &self.entrant, self.nonce))
    }
}
