//! Events by what they are, so that resolution looks only at what concerns it.

use std::collections::{BTreeMap, HashMap};

use super::proofs::Proofs;
use super::{Dag, Grant, GrantIdx, Node, NodeIdx, Set};
use crate::control::{Admit, Control, DeviceFence, Invite, RevokeFence, Sponsor, Target};
use crate::event::LogId;
use crate::ids::{AccountId, DeviceId, EpochId};
use crate::limits;

/// What names a request to join: the key of the invite, who asks, and the nonce. Whoever has the link can write the nonce of somebody
/// else, but no device makes a request of an account that is not its own.
type RequestName = ([u8; 32], AccountId, [u8; 16]);

/// Events by what they are, in order of acceptance.
#[derive(Debug, Default)]
pub struct Kinds {
    /// Every invite.
    pub invites: Vec<NodeIdx>,
    /// Of these the ones that guests come by, each with the invite for people beside it.
    pub instant: BTreeMap<NodeIdx, NodeIdx>,
    /// What closes an invite: its revocations, and removals of it with all who came by it.
    pub revokes: HashMap<NodeIdx, Vec<NodeIdx>>,
    /// All that ends grants, closes invites or puts out devices: removals, leaves, revocations of invites and of devices.
    pub ends: Vec<NodeIdx>,
    /// The admissions by one request.
    requests: HashMap<RequestName, Vec<NodeIdx>>,
    /// Of these the ones that knew of none before.
    first_requests: HashMap<RequestName, Vec<NodeIdx>>,
    /// The leaves of an account.
    pub leaves: HashMap<AccountId, Vec<NodeIdx>>,
    /// Every write of settings, and every change of policy.
    pub states: Vec<NodeIdx>,
    /// The changes of policy alone.
    pub policies: Vec<NodeIdx>,
    /// Every epoch.
    pub rotates: Vec<NodeIdx>,
    /// The admissions in an epoch, with their slices.
    pub slices: HashMap<EpochId, Vec<(NodeIdx, u32)>>,
    /// The removals of an account,
    pub account_removes: BTreeMap<AccountId, Vec<NodeIdx>>,
    /// of a grant,
    pub grant_removes: HashMap<GrantIdx, Vec<NodeIdx>>,
    /// Removes of one grant, by whose it was.
    pub role_removes: HashMap<AccountId, Vec<NodeIdx>>,
    /// and of an invite.
    pub invite_removes: HashMap<NodeIdx, Vec<NodeIdx>>,
    /// How many removals cascade.
    pub cascades: usize,
    /// What lifts the ban of a removal.
    pub unbans: HashMap<NodeIdx, Vec<NodeIdx>>,
    /// The revocations of a device, with what they let count.
    pub device_revokes: HashMap<DeviceId, Vec<(NodeIdx, DeviceFence)>>,
    /// The proofs against each log.
    pub proofs: BTreeMap<LogId, Proofs>,
    /// The complaints about an epoch.
    pub complaints: HashMap<EpochId, Vec<NodeIdx>>,
    /// Who said no to an account that asked on an invite.
    pub declines: HashMap<(NodeIdx, AccountId), Vec<NodeIdx>>,
}

impl Dag {
    pub(super) fn add_kind(&mut self, at: NodeIdx, node: &Node) {
        let revokes = matches!(&node.control, Control::AccountUpdate(update) if !update.revokes.is_empty());
        if revokes || matches!(node.control, Control::Remove(_) | Control::Leave(_) | Control::InviteRevoke(_)) {
            self.kinds.ends.push(at);
        }
        match &node.control {
            Control::Invite(invite) => {
                self.kinds.invites.push(at);
                if let Some(people) = self.people_beside(node, invite) {
                    self.kinds.instant.insert(at, people);
                }
            }
            Control::InviteRevoke(revoke) => {
                if let Some(invite) = self.find(&revoke.invite) {
                    self.kinds.revokes.entry(invite).or_default().push(at);
                }
            }
            Control::Admit(admit) => {
                self.kinds.slices.entry(admit.epoch).or_default().push((at, admit.slice));
                let first = self.kinds.first_requests.entry(request_of(admit)).or_default();
                if !first.iter().any(|before| node.past.has(*before)) {
                    first.push(at);
                }
                self.kinds.requests.entry(request_of(admit)).or_default().push(at);
            }
            Control::Remove(remove) => self.add_remove(at, &remove.target, remove.cascade),
            Control::Unban(unban) => {
                if let Some(removal) = self.find(&unban.removal) {
                    self.kinds.unbans.entry(removal).or_default().push(at);
                }
            }
            Control::Leave(_) => self.kinds.leaves.entry(node.author).or_default().push(at),
            Control::State(_) => self.kinds.states.push(at),
            Control::Policy(_) => {
                self.kinds.states.push(at);
                self.kinds.policies.push(at);
            }
            Control::Rotate(_) => {
                self.kinds.rotates.push(at);
                self.epochs.insert(EpochId::of(&node.event.id()), at);
            }
            Control::AccountUpdate(update) => {
                for revoke in &update.revokes {
                    let Some(fence) = RevokeFence::of(revoke, &self.room) else { continue };
                    self.kinds.device_revokes.entry(fence.device).or_default().push((at, fence));
                }
            }
            Control::KeyComplaint(complaint) => {
                self.kinds.complaints.entry(complaint.epoch).or_default().push(at);
            }
            Control::Decline(decline) => {
                if let Some(invite) = self.find(&decline.invite) {
                    self.kinds.declines.entry((invite, decline.account)).or_default().push(at);
                }
            }
            Control::Genesis(_)
            | Control::Direct(_)
            | Control::Grant(_)
            | Control::EquivProof(_)
            | Control::Unknown(_) => {}
        }
    }

    /// The invite for people beside one for guests: the event before it in its log, equal in all but what makes it one for
    /// guests, for few people and a short time.
    ///
    /// Nobody is shown of those who come by an invite for guests, so whatever is not exactly what an instant invite needs is an
    /// invite like any other, and who comes by it a member whom everybody sees.
    fn people_beside(&self, node: &Node, invite: &Invite) -> Option<NodeIdx> {
        let (at, people) = self.invite(&node.event.prev()).filter(|_| invite.sponsor == Sponsor::Instant)?;
        let guests = Invite { invite_pk: invite.invite_pk, sponsor: Sponsor::Instant, max_depth: 0, ..people.clone() };
        let short = invite.expires_ms.saturating_sub(node.ts_ms) <= limits::INSTANT_MS;
        let plain = people.sponsor == Sponsor::AnyMember && guests == *invite;
        (plain && short && invite.max_uses <= limits::MAX_GUESTS).then_some(at)
    }

    fn add_remove(&mut self, at: NodeIdx, target: &Target, cascade: bool) {
        self.kinds.cascades += usize::from(cascade);
        match target {
            Target::Account(account) => self.kinds.account_removes.entry(*account).or_default().push(at),
            Target::Grant(_, account) => {
                self.kinds.role_removes.entry(*account).or_default().push(at);
                if let Some(g) = self.targets(target).first().copied() {
                    self.kinds.grant_removes.entry(g).or_default().push(at);
                }
            }
            Target::Invite(invite) => {
                if let Some(invite) = self.find(invite) {
                    self.kinds.invite_removes.entry(invite).or_default().push(at);
                    self.kinds.revokes.entry(invite).or_default().push(at);
                }
            }
        }
    }

    /// Whether who has a grant was let in himself long after this time: nobody lets in by a link that was over then. Of founders, and of
    /// who was given a role since, this is not asked: their grants may say any time.
    pub fn came_after(&self, sponsor: &Grant, ts_ms: u64) -> bool {
        let came = self.node(sponsor.op);
        matches!(came.control, Control::Admit(_)) && ts_ms.saturating_add(limits::CLOCK_ERROR_MS) < came.ts_ms
    }

    /// Whether a device let in an account so often, as far as is known in `view`, that nobody needs it: each time costs everybody who
    /// resolves the room. By the device, so a stolen one keeps the others from nothing; and more often by all of its account that are not
    /// revoked, for of devices anybody makes many.
    pub fn let_in_often(&self, device: &DeviceId, account: &AccountId, view: &Set) -> bool {
        let author = self.device_no(device).and_then(|no| self.account_in(no, view));
        let revoked = |by: &DeviceId| self.device_revokes(by).iter().any(|(at, _)| view.has(*at));
        let (mut of_device, mut of_author) = (0, 0);
        for op in self.grants_of(account).iter().map(|g| self.grants()[*g].op).filter(|op| view.has(*op)) {
            let node = self.node(op);
            if matches!(node.control, Control::Admit(_)) && Some(node.author) == author {
                let by = node.event.device();
                of_device += usize::from(by == *device);
                of_author += usize::from(!revoked(&by));
            }
        }
        of_device >= limits::MAX_SAME || of_author >= limits::MAX_SAME_OF_ACCOUNT
    }

    /// The leaves of an account.
    pub fn leaves_of(&self, account: &AccountId) -> &[NodeIdx] {
        self.kinds.leaves.get(account).map_or(&[], Vec::as_slice)
    }

    /// The admissions by the same request as this one, itself among them.
    pub fn same_request(&self, admit: &Admit) -> &[NodeIdx] {
        self.kinds.requests.get(&request_of(admit)).map_or(&[], Vec::as_slice)
    }

    /// Whether an event knew that somebody was let in by a request.
    pub fn knew_request(&self, at: NodeIdx, admit: &Admit) -> bool {
        let first = self.kinds.first_requests.get(&request_of(admit)).map_or(&[][..], Vec::as_slice);
        first.iter().any(|known| {
            #[cfg(test)]
            crate::steps::note();
            self.in_past(*known, at)
        })
    }

    /// The revocations of a device, with what they let count.
    pub fn device_revokes(&self, device: &DeviceId) -> &[(NodeIdx, DeviceFence)] {
        self.kinds.device_revokes.get(device).map_or(&[], Vec::as_slice)
    }

    /// The accounts that anybody ever removed with a ban, ascending.
    pub fn banned_ever(&self) -> impl Iterator<Item = AccountId> + '_ {
        let banning = |at: &NodeIdx| matches!(&self.node(*at).control, Control::Remove(remove) if remove.ban);
        let accounts = self.kinds.account_removes.iter().filter(move |(_, removes)| removes.iter().any(banning));
        accounts.map(|(account, _)| *account)
    }

    /// The complaints about an epoch.
    pub fn complaints(&self, epoch: &EpochId) -> impl Iterator<Item = (NodeIdx, &Node)> {
        let complaints = self.kinds.complaints.get(epoch).map_or(&[][..], Vec::as_slice);
        complaints.iter().map(|at| (*at, self.node(*at)))
    }

    /// Who said no to an account that asked on an invite.
    pub fn declines(&self, invite: NodeIdx, account: &AccountId) -> &[NodeIdx] {
        self.kinds.declines.get(&(invite, *account)).map_or(&[], Vec::as_slice)
    }

    /// The grants by which an account was let in by an invite, but for those of which the author of this event knew.
    pub fn let_in_beside(&self, at: NodeIdx, invite: NodeIdx, account: &AccountId) -> impl Iterator<Item = GrantIdx> {
        let theirs = self.grants_of(account).iter().copied();
        theirs.filter(move |g| {
            let op = self.grants()[*g].op;
            self.invite_behind(*g) == Some(invite) && !self.in_past(op, at)
        })
    }
}

fn request_of(admit: &Admit) -> RequestName {
    (admit.join.invite_pk, admit.join.entrant.account(), admit.join.nonce)
}
