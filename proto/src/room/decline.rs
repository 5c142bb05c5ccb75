//! The no of a member to somebody who asks to come in by an invite that wants a person's word.
//!
//! It is a control event, so that all who may answer know of it, whoever is online, and no node asks on. It binds to the invite and
//! the account, not to one request of it: a new request costs who asks nothing, and each answer stays in the room for ever. So of
//! an account that nobody lets in each who may answer leaves one event an invite. It decides nothing else: an admission that its
//! author did not know of, or that was written later, stands above it.

use super::Room;
use super::admit::unwritten;
use super::types::{JoinRefusal, Outcome};
use crate::control::{self, Control, InviteId};
use crate::dag::NodeIdx;
use crate::ids::AccountId;

/// Who said no to somebody who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declined {
    /// Who.
    pub by: AccountId,
    /// When, by his clock.
    pub at_ms: u64,
}

impl Room {
    /// Says no to an account that asks on an invite. Nothing is written if somebody did already.
    ///
    /// # Errors
    /// [`JoinRefusal::Unknown`] for an invite that is not known or asks nobody; [`JoinRefusal::NotSponsor`] for who may not let in by it.
    pub fn decline(&mut self, invite: &InviteId, account: &AccountId, now_ms: u64) -> Result<Outcome, JoinRefusal> {
        let auth = self.grant_id(self.grant().ok_or(JoinRefusal::NotSponsor)?);
        let (at, asks) = self.dag.invite(invite).ok_or(JoinRefusal::Unknown)?;
        if !asks.approval {
            return Err(JoinRefusal::Unknown);
        }
        if !self.may_let_in(&self.me.account(), invite) {
            return Err(JoinRefusal::NotSponsor);
        }
        if self.decline_of(at, account).is_some() {
            return Ok(Outcome::default());
        }
        let decline = control::Decline { auth, invite: *invite, account: *account };
        self.write_control(Control::Decline(decline), now_ms).map_err(unwritten)
    }

    /// Who said no to an account that asks on this invite, if that counts and nobody let it in since.
    pub fn declined(&self, invite: &InviteId, account: &AccountId) -> Option<Declined> {
        let (at, _) = self.dag.invite(invite)?;
        let node = self.dag.node(self.decline_of(at, account)?);
        Some(Declined { by: node.author, at_ms: node.ts_ms })
    }

    /// The event by which somebody said no. Of several that which everybody who holds the same events takes for the first.
    pub(super) fn decline_of(&self, invite: NodeIdx, account: &AccountId) -> Option<NodeIdx> {
        let counts = |no: &NodeIdx| {
            let mut beside = self.dag.let_in_beside(*no, invite, account);
            self.resolved.is_admissible(&self.dag, *no) && !beside.any(|g| self.resolved.is_ok(g))
        };
        let age = |no: &NodeIdx| (self.dag.node(*no).lamport, self.dag.node(*no).event.id());
        self.dag.declines(invite, account).iter().copied().filter(counts).min_by_key(age)
    }
}
