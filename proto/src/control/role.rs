//! Roles, powers and permissions: what a grant is made of.

use serde::{Deserialize, Serialize};

use super::RoomKind;
use crate::limits;

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

    pub(super) fn known(self) -> bool {
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
