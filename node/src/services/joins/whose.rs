//! By whose word somebody joins, how long a client waits for it, and whether it goes on without him.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parlor_net::Address;

use crate::limits::GROUP_INVITE_MS;
use crate::services::rooms::Context;

/// Whether a join goes on by itself.
pub(super) struct GoesOn {
    /// It took the place of one that did.
    pub(super) instead: bool,
    /// It does.
    pub(super) it: Arc<AtomicBool>,
}

/// How long a client waits for the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) until_ms: u64,
    /// No longer than until a member who may approve has the request.
    pub(super) once_asked: bool,
}

/// By whose word a link is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A person typed it or scanned it: its addresses are dialled, and it is followed after a restart.
    User,
    /// A contact sent it: of its addresses those are dialled that a contact may name. Whoever asked tries again after a restart.
    Contact,
}

impl Whose {
    /// When a join that waits at a door ends, by a link that ends at `expires_ms`.
    pub(super) fn until(self, expires_ms: u64, now_ms: u64) -> u64 {
        match self {
            Self::User => expires_ms,
            Self::Contact => expires_ms.min(now_ms.saturating_add(GROUP_INVITE_MS)),
        }
    }

    /// Whether an address of the link is dialled.
    pub(super) fn allows(self, context: &Context, address: &Address) -> bool {
        self == Self::User || context.peers.may_dial(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_of_a_contact_keeps_a_join_no_longer_than_an_invitation_lasts() {
        let (now, year) = (1_700_000_000_000, 365 * 24 * 3_600 * 1_000);
        assert_eq!(Whose::User.until(now + year, now), now + year);
        assert_eq!(Whose::Contact.until(now + year, now), now + GROUP_INVITE_MS);
        assert_eq!(Whose::Contact.until(now + 1, now), now + 1);
    }
}
