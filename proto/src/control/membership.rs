//! Who is given a role, who is removed, and whose ban ends.

use serde::{Deserialize, Serialize};

use super::{GrantId, InviteBounds, InviteId, LogPoint, Permissions, Power};
use crate::ids::{AccountId, DeviceId, EventId};
use crate::limits;

/// A role is given to an account that is known in the room: a member, or a former one who is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRole {
    /// The grant it is made under.
    pub auth: GrantId,
    /// To whom. A device of the account is certified in the event's past.
    pub subject: AccountId,
    /// Not stronger than that of `auth`.
    pub power: Power,
    /// A subset of those of `auth`.
    pub perms: Permissions,
    /// Less than that of `auth`.
    pub max_depth: u8,
    /// What the invites made under it may say at most, and how much of the past its subject may read; no more than under `auth`.
    pub invites: InviteBounds,
}

/// Grants end: the right to be in the room, or a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remove {
    /// The grant it is made under. It ends only grants junior to it.
    pub auth: GrantId,
    /// Which grants end.
    pub target: Target,
    /// Grants given to the account later, by somebody junior to the remover, end too. Only with [`Target::Account`].
    pub ban: bool,
    /// All that hangs below the grants that end, ends too: whoever was invited or given a role under them, and so on.
    pub cascade: bool,
    /// What becomes of the messages.
    pub messages: MessageFate,
    /// How far each log of the removed still counts, ascending by device. Devices not named count up to nothing.
    pub fence: Vec<DeviceFence>,
}

/// What a [`Remove`] ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Target {
    /// All grants of an account.
    Account(AccountId),
    /// One grant, of one account: a role.
    Grant(GrantId, AccountId),
    /// The grants of all who came by an invite, and the invite itself.
    Invite(InviteId),
}

/// What becomes of the messages of somebody whose grants end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MessageFate {
    /// Those inside the fence stay.
    Fenced,
    /// All are hidden.
    Purged,
    /// All stay, later ones too: a change of role. Only with [`Target::Grant`].
    Kept,
}

/// How far the two logs of a device count. `None`: nothing of that log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceFence {
    /// Whose logs.
    pub device: DeviceId,
    /// The last control event that counts; with it all that it was built on.
    pub control: Option<LogPosition>,
    /// The last message that counts.
    pub message: Option<LogPosition>,
}

/// A place in a log that is known: how far, and on which branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPosition {
    /// How far.
    pub seq: u64,
    /// On which branch.
    pub id: EventId,
}

/// The ban of an earlier removal ends: from now on anybody who may can take the account back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unban {
    /// The grant it is made under: that of the removal, or a more senior one.
    pub auth: GrantId,
    /// The Remove that banned.
    pub removal: EventId,
}

impl LogPosition {
    /// Whether `point`, of the same log, is at or below this. Of events below only the number is known.
    pub fn covers(&self, point: &LogPoint) -> bool {
        point.seq < self.seq || (point.seq == self.seq && point.id == self.id)
    }
}

impl Remove {
    pub(super) fn keeps_limits(&self) -> bool {
        self.fence.len() <= limits::MAX_REMOVE_FENCE
            && self.fence.is_sorted_by(|a, b| a.device < b.device)
            && (!self.ban || matches!(self.target, Target::Account(_)))
            && (self.messages != MessageFate::Kept || matches!(self.target, Target::Grant(..)))
    }

    /// The fence of a device; `None` if nothing of it counts.
    pub fn fence_of(&self, device: &DeviceId) -> Option<&DeviceFence> {
        self.fence.binary_search_by_key(device, |fence| fence.device).ok().map(|at| &self.fence[at])
    }
}
