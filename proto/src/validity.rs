//! Static validity: what makes a control event acceptable, from itself and its ancestors alone.
//!
//! Every replica decides alike and for ever: nothing here looks at a clock, at other events, or at what is resolved. An
//! event that fails was never valid anywhere, and whoever passed it on did not check it.
//!
//! Beyond section 3 of the protocol, a sponsor may not be weaker than what the invite gives: otherwise a grant would be
//! senior to one its validity depends on, and resolution would have no order to decide in.

mod members;
mod papers;

use self::papers::Facts;
use crate::control::{Control, Direct, Genesis};
use crate::dag::{Dag, GrantIdx, Node, NodeIdx, Set};
use crate::event::{ControlHeader, Event};
use crate::ids::{AccountId, DeviceId};

/// Why an event breaks the rules, whatever else happened in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The payload is not one of its kind.
    #[error("malformed payload")]
    Payload,
    /// `lamport` is not one more than the greatest before it (attack 27).
    #[error("lamport number out of order")]
    Lamport,
    /// `prev` is not the event before it in its log.
    #[error("does not continue its log")]
    Prev,
    /// The author's device is not certified for an account of the room in the event's past.
    #[error("author not certified")]
    Author,
    /// The grant it is made under is not in its past, or not the author's.
    #[error("made under a grant that is not the author's")]
    Auth,
    /// The grant lacks the permission.
    #[error("the grant lacks the permission")]
    Permission,
    /// It gives more than its author has (attenuation).
    #[error("gives more than its author has")]
    Attenuation,
    /// It names something that is not in its past.
    #[error("names something that is not in its past")]
    Reference,
    /// Papers or signatures of a newcomer do not hold.
    #[error("the newcomer's papers do not hold")]
    Papers,
    /// The invite was not open at the time of the Admit.
    #[error("the invite was not open")]
    Window,
    /// A device or leaf key that belongs to somebody else already.
    #[error("a key that belongs to another device or account")]
    KeyTaken,
    /// The author, or a newcomer, is a device that its account has revoked.
    #[error("a device that its account has revoked")]
    Revoked,
    /// It says again what its past says already.
    #[error("says what was said already")]
    Repeated,
    /// The genesis contradicts itself.
    #[error("genesis contradicts itself")]
    Genesis,
    /// A message whose clock is not after that of the message before it.
    #[error("clock not after the message before")]
    Clock,
    /// A message under an epoch that is not in its past, or older than the one its author used before.
    #[error("epoch not in the past of the message, or older than before")]
    Epoch,
    /// A message in a slice that an admission had closed, or with a generation that is not its place in the slice (attack 25).
    #[error("slice or generation out of order")]
    Generation,
}

/// Whether the signatures inside an event are to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Papers {
    /// Yes.
    Check,
    /// They were, before it was stored.
    Known,
}

/// Checks a control event whose parents and `prev` are at `before`, and works out its static facts.
pub(crate) fn check(
    dag: &Dag,
    event: &Event,
    header: &ControlHeader,
    before: &[NodeIdx],
    papers: Papers,
) -> Result<Node, Invalid> {
    let control = Control::decode(header.kind, event.payload()).map_err(|_| Invalid::Payload)?;
    let lamport = 1 + before.iter().map(|at| dag.node(*at).lamport).max().unwrap_or(0);
    if header.lamport != lamport {
        return Err(Invalid::Lamport);
    }
    let past = dag.past_of(before.iter().copied());
    if header.seq > 1 {
        let prev = dag.find(&header.prev).map(|at| &dag.node(at).event).ok_or(Invalid::Prev)?;
        if prev.device() != header.device || prev.seq() + 1 != header.seq {
            return Err(Invalid::Prev);
        }
    }
    let (author, auth) = match &control {
        Control::Genesis(genesis) => (genesis_author(dag, genesis, header.device)?, None),
        Control::Direct(direct) => (direct_author(dag, direct, header)?, None),
        _ => author(dag, &control, header.device, &past)?,
    };
    let facts = Facts { dag, past: &past, ts_ms: header.ts_ms, papers, author, device: header.device };
    facts.check(&control, auth)?;
    Ok(Node { event: event.clone(), control, author, auth, lamport, ts_ms: header.ts_ms, past })
}

fn genesis_author(dag: &Dag, genesis: &Genesis, device: DeviceId) -> Result<AccountId, Invalid> {
    let distinct = |key: fn(&crate::control::Entrant) -> [u8; 32]| {
        let mut keys: Vec<_> = genesis.owners.iter().map(key).collect();
        keys.sort_unstable();
        keys.is_sorted_by(|a, b| a < b)
    };
    let first = genesis.owners.first().ok_or(Invalid::Genesis)?;
    let own = first.device() == device && dag.is_empty();
    let different = distinct(|o| o.cert.account) && distinct(|o| o.cert.device_pk) && distinct(|o| o.leaf.leaf_pk);
    if !own || !different {
        return Err(Invalid::Genesis);
    }
    genesis.owners.iter().try_for_each(|owner| owner.verify()).map_err(|_| Invalid::Papers)?;
    Ok(first.account())
}

/// The beginning of a direct chat is the same for everybody; it stands for the lower account.
fn direct_author(dag: &Dag, direct: &Direct, header: &ControlHeader) -> Result<AccountId, Invalid> {
    let one_form = header.device == DeviceId([0; 32]) && header.ts_ms == 0 && dag.is_empty();
    if !one_form || !direct.begins(&dag.room()) || direct.accounts.iter().any(|account| account.root().is_err()) {
        return Err(Invalid::Genesis);
    }
    direct.ids().first().copied().ok_or(Invalid::Genesis)
}

/// The author's account and the grant the event is made under: one in its past, given to an account that certified the
/// device there.
fn author(
    dag: &Dag,
    control: &Control,
    device: DeviceId,
    past: &Set,
) -> Result<(AccountId, Option<GrantIdx>), Invalid> {
    let certified = dag.device_no(&device).and_then(|no| dag.account_in(no, past));
    let account = certified.or_else(|| certified_by_itself(dag, control, device, past)).ok_or(Invalid::Author)?;
    if dag.device_revokes(&device).iter().any(|(at, _)| past.has(*at)) {
        return Err(Invalid::Revoked);
    }
    let Some(auth) = control.auth() else { return Ok((account, None)) };
    let op = dag.find(&auth).filter(|op| past.has(*op)).ok_or(Invalid::Auth)?;
    let grants = dag.grants_of(&account).iter().copied();
    let grant = grants.into_iter().find(|g| dag.grants()[*g].op == op).ok_or(Invalid::Auth)?;
    Ok((account, Some(grant)))
}

/// An account that is known in the past may bring a device by that device's own first event: the phone was lost, and the
/// new one was certified with the recovery phrase.
fn certified_by_itself(dag: &Dag, control: &Control, device: DeviceId, past: &Set) -> Option<AccountId> {
    let Control::AccountUpdate(update) = control else { return None };
    let new = update.devices.iter().find(|new| new.device() == device)?;
    let account = AccountId(new.cert.account);
    papers::known_account(dag, &account, past).then_some(account)
}
