//! Invites, and the right to make them: what is wanted, what is there, and what the own right does not reach to.

use parlor_crypto::invite::InviteSeed;

use super::types::Outcome;
use crate::control::{InviteHistory, InviteId, Role, Sponsor};
use crate::ids::AccountId;
use crate::join::instant::Package;

/// An invite to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvite {
    /// What the newcomer becomes.
    pub role: Role,
    /// Until when, milliseconds since the epoch; `None` for no end.
    pub expires_ms: Option<u64>,
    /// For how many accounts; `None` for any number.
    pub uses: Option<u32>,
    /// Whether a member must say yes each time.
    pub approval: bool,
    /// Who may admit.
    pub sponsor: Sponsor,
    /// What the newcomer may read; `None` as the room is now and our own right to invite allows. While the room lets newcomers
    /// read nothing of the past, more than nothing is refused.
    pub history: Option<InviteHistory>,
    /// The newcomer may invite too: so many steps, 1 if those it invites may not. Its invites end no later and are for no more
    /// people than this one. `None`: as the role says.
    pub delegate: Option<u8>,
}

impl NewInvite {
    /// For any number of people, without an end: any member lets them in, and nobody has to approve.
    pub fn of(role: Role) -> Self {
        Self {
            role,
            expires_ms: None,
            uses: None,
            approval: false,
            sponsor: Sponsor::AnyMember,
            history: None,
            delegate: None,
        }
    }
}

/// The right to invite, handed on with a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delegation {
    /// How many steps it goes on: 1 if those who are invited may not invite.
    pub depth: u8,
    /// Until when invites may be used, milliseconds since the epoch; `None`: as ours.
    pub until_ms: Option<u64>,
    /// For how many accounts each invite may be; `None`: as ours.
    pub uses: Option<u32>,
}

/// What the right to invite does not reach to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteLimit {
    /// It can be handed on so many steps at most.
    #[error("it can be handed on {0} steps at most")]
    Depth(u8),
    /// Invites end at this time at the latest, milliseconds since the epoch.
    #[error("it ends earlier")]
    Until(u64),
    /// An invite is for so many people at most.
    #[error("an invite is for {0} people at most")]
    Uses(u32),
    /// Newcomers read no more of the past than we may hand on.
    #[error("it lets read less of the past")]
    History,
    /// Newcomers read nothing of before they came, as the room is now.
    #[error("newcomers read nothing of before they came")]
    Room,
}

/// Why an invite can not be instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InstantLimit {
    /// Nothing keeps what the newcomer needs.
    #[error("the room has no mailboxes")]
    NoMailboxes,
    /// The newcomer makes the next keys, for which it has to be allowed to post.
    #[error("a newcomer may not post here")]
    NoPost,
    /// The newcomer becomes a plain member, and nobody is asked.
    #[error("an instant invite is for plain members whom nobody approves")]
    NotPlain,
    /// It is for so many people at most.
    #[error("an instant invite is for {0} people at most")]
    Uses(u32),
    /// It ends so many milliseconds from now at the latest.
    #[error("an instant invite lasts {0} ms at most")]
    Lasts(u64),
    /// What the newcomer needs is more than a mailbox keeps.
    #[error("the room has too much to know for what a mailbox keeps for a newcomer")]
    TooLarge,
}

/// An instant invite that was made.
#[derive(Debug)]
pub struct InstantInvite {
    /// Goes into the link.
    pub seed: InviteSeed,
    /// The invite by which people come.
    pub id: InviteId,
    /// To commit together with what is left at the door.
    pub outcome: Outcome,
    /// What is left at the door, to be sealed: [`crate::join::instant`].
    pub package: Package,
}

/// Why an invite takes nobody any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InviteEnd {
    /// Somebody revoked it.
    Revoked(AccountId),
    /// Its maker is out of the room.
    MakerOut,
    /// Its maker has another role now, or another right to invite.
    MakerChanged,
    /// It was made without the right to, as it turned out.
    NeverCounted,
}

/// An invite of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteInfo {
    /// Its id.
    pub id: InviteId,
    /// Its public key, as in the link.
    pub invite_pk: [u8; 32],
    /// Who made it.
    pub by: AccountId,
    /// When, by its author's clock.
    pub created_at_ms: u64,
    /// What it gives.
    pub role: Role,
    /// Accounts that came by it.
    pub used: u32,
    /// How many may come; `None` for any number.
    pub max_uses: Option<u32>,
    /// Until when; `None` for no end.
    pub expires_ms: Option<u64>,
    /// Whether it was revoked, or died with its maker's membership.
    pub revoked: bool,
    /// Why it takes nobody any more, if it is `revoked`.
    pub end: Option<InviteEnd>,
    /// What those who come read of the past, beside what the room keeps closed.
    pub history: InviteHistory,
    /// Whether a member must say yes each time.
    pub approval: bool,
    /// Who may admit.
    pub sponsor: Sponsor,
    /// Whether the link alone lets in, with nobody online.
    pub instant: bool,
    /// How far those who come may hand on the right to invite; `None` if they may not invite.
    pub delegates: Option<u8>,
}

impl InviteInfo {
    /// Whether as many came as may.
    pub fn is_used_up(&self) -> bool {
        self.max_uses.is_some_and(|most| self.used >= most)
    }
}
