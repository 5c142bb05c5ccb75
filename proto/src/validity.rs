//! Static validity: what makes a control event acceptable, from itself and its ancestors alone.
//!
//! Every replica decides alike and for ever: nothing here looks at a clock, at other events, or at what is resolved. An
//! event that fails was never valid anywhere, and whoever passed it on did not check it.
//!
//! Beyond section 3 of the protocol, a sponsor may not be weaker than what the invite gives: otherwise a grant would be
//! senior to one its validity depends on, and resolution would have no order to decide in.

use crate::control::{Admit, Control, Genesis, History, InviteHistory, Permission, Rotate, Setting};
use crate::dag::{Dag, Grant, GrantIdx, Node, NodeIdx, Set};
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
        _ => author(dag, &control, header.device, &past)?,
    };
    let facts = Facts { dag, past: &past, ts_ms: header.ts_ms, papers };
    if let Some(auth) = auth {
        facts.check(&control, auth)?;
    }
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

/// The author's account and the grant the event is made under: one in its past, given to an account that certified the
/// device there.
fn author(
    dag: &Dag,
    control: &Control,
    device: DeviceId,
    past: &Set,
) -> Result<(AccountId, Option<GrantIdx>), Invalid> {
    let no = dag.device_no(&device).ok_or(Invalid::Author)?;
    let account = dag.account_in(no, past).ok_or(Invalid::Author)?;
    let Some(auth) = control.auth() else { return Ok((account, None)) };
    let op = dag.find(&auth).filter(|op| past.has(*op)).ok_or(Invalid::Auth)?;
    let grants = dag.grants_of(&account).iter().copied();
    let grant = grants.into_iter().find(|g| dag.grants()[*g].op == op).ok_or(Invalid::Auth)?;
    Ok((account, Some(grant)))
}

/// What the rules of a kind look at.
struct Facts<'a> {
    dag: &'a Dag,
    past: &'a Set,
    ts_ms: u64,
    papers: Papers,
}

impl Facts<'_> {
    fn check(&self, control: &Control, auth: GrantIdx) -> Result<(), Invalid> {
        let grant = &self.dag.grants()[auth];
        match control {
            Control::Invite(invite) => {
                permitted(grant, Permission::Invite)?;
                let history = self.dag.policy().map(|policy| policy.history);
                let attenuated = invite.power >= grant.power
                    && invite.perms.within(grant.perms)
                    && invite.max_depth < grant.max_depth
                    && (history == Some(History::Full) || invite.history == InviteHistory::None);
                if attenuated { Ok(()) } else { Err(Invalid::Attenuation) }
            }
            Control::InviteRevoke(revoke) => {
                let (at, _) = self.dag.invite(&revoke.invite).ok_or(Invalid::Reference)?;
                self.known(at)?;
                let invite = self.dag.node(at);
                let inviter = invite.auth.ok_or(Invalid::Reference)?;
                // The inviter under that very grant, or somebody more senior: so it is decided before those the invite let in.
                let may = self.dag.seniority(auth, inviter).is_le();
                if may { Ok(()) } else { Err(Invalid::Permission) }
            }
            Control::Admit(admit) => self.admit(admit, grant),
            Control::State(state) => {
                state.writes.iter().try_for_each(|(number, _)| permitted(grant, Setting::permission(*number)))
            }
            Control::Rotate(rotate) => {
                permitted(grant, Permission::Post)?;
                self.rotate(rotate)
            }
            Control::Leave(_) | Control::Genesis(_) | Control::Unknown(_) => Ok(()),
        }
    }

    fn admit(&self, admit: &Admit, sponsor: &Grant) -> Result<(), Invalid> {
        let (at, invite) = self.dag.invite(&admit.invite).ok_or(Invalid::Reference)?;
        self.known(at)?;
        let (epoch, _) = self.dag.epoch(&admit.epoch).ok_or(Invalid::Reference)?;
        self.known(epoch)?;
        if !(invite.not_before_ms..=invite.expires_ms).contains(&self.ts_ms) {
            return Err(Invalid::Window);
        }
        if sponsor.power > invite.sponsor.weakest() || sponsor.power > invite.power {
            return Err(Invalid::Permission);
        }
        if admit.join.invite_pk != invite.invite_pk {
            return Err(Invalid::Papers);
        }
        let entrant = &admit.join.entrant;
        let device = entrant.device();
        let other_account = self.dag.device_no(&device).and_then(|no| self.dag.account_in(no, self.past));
        let leaf_taken = |(at, owner): &(NodeIdx, DeviceId)| *owner != device && self.past.has(*at);
        if other_account.is_some_and(|account| account != entrant.account())
            || self.dag.leaf_owners(&entrant.leaf.leaf_pk).iter().any(leaf_taken)
        {
            return Err(Invalid::KeyTaken);
        }
        match self.papers {
            Papers::Check => admit.join.verify(&self.dag.room()).map_err(|_| Invalid::Papers),
            Papers::Known => Ok(()),
        }
    }

    fn rotate(&self, rotate: &Rotate) -> Result<(), Invalid> {
        for parent in &rotate.parents {
            let (at, _) = self.dag.epoch(parent).ok_or(Invalid::Reference)?;
            self.known(at)?;
        }
        Ok(())
    }

    fn known(&self, at: NodeIdx) -> Result<(), Invalid> {
        if self.past.has(at) { Ok(()) } else { Err(Invalid::Reference) }
    }
}

fn permitted(grant: &Grant, permission: Permission) -> Result<(), Invalid> {
    if grant.perms.has(permission) { Ok(()) } else { Err(Invalid::Permission) }
}
