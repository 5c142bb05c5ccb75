//! What goes wrong with relays, as windows are told: the codes never change.

use parlor_net::{RelayError, RelayTrouble};
use parlor_proto::mailbox::{Fault, Refusal};

use crate::services::why::Why;

/// It does not do as it should.
pub(super) fn of_fault(fault: Fault) -> Why {
    let code = match fault {
        Fault::Unreachable => "unreachable",
        Fault::Slow => "slow",
        Fault::Version => "other_version",
        Fault::NewStore => "new_store",
        Fault::Dropped(_) => "lost_mail",
        Fault::Rewound => "went_back",
        Fault::Malformed | Fault::Forged | Fault::Withheld | Fault::Disorder => "dishonest",
        _ => "trouble",
    };
    Why::new(code, fault.to_string())
}

/// It does not do what we asked.
pub(super) fn of_refusal(refusal: Refusal) -> Why {
    let code = match refusal {
        Refusal::Token => "wants_token",
        Refusal::BoxFull => "box_full",
        Refusal::Quota { .. } => "quota",
        Refusal::Busy { .. } => "busy",
        Refusal::Failed => "store_failed",
        Refusal::Proof | Refusal::Slot | Refusal::NotAllowed | Refusal::BadBlob => "refused",
    };
    Why::new(code, refusal.to_string())
}

/// No line to it could be opened. The words may name addresses.
pub(super) fn of_line(words: String) -> Why {
    Why::new("unreachable", words)
}

/// Nobody can reach us through it.
pub(crate) fn of_reservation(error: &RelayError) -> Why {
    let code = match error.trouble {
        RelayTrouble::Down => "unreachable",
        RelayTrouble::Full => "full",
        RelayTrouble::Refused => "refused",
        RelayTrouble::OtherKey => "other_key",
        RelayTrouble::Clock => "clock",
        _ => "trouble",
    };
    Why::new(code, error.to_string())
}
