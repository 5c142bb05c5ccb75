//! Events by what they are, so that resolution looks only at what concerns it.

use std::collections::{BTreeMap, HashMap};

use super::proofs::Proofs;
use super::{Dag, Grant, GrantIdx, Node, NodeIdx, Set};
use crate::control::{Admit, Control, DeviceFence, Invite, Power, RevokeFence, Sponsor, Target};
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

    /// The removals that name the grant itself: its account, it alone, or the invite behind it.
    pub fn removes_naming(&self, g: GrantIdx) -> impl Iterator<Item = NodeIdx> + '_ {
        let account = self.kinds.account_removes.get(&self.grants()[g].subject);
        let grant = self.kinds.grant_removes.get(&g);
        let invites = if self.kinds.invite_removes.is_empty() { None } else { self.invite_behind(g) };
        let invite = invites.and_then(|invite| self.kinds.invite_removes.get(&invite));
        [account, grant, invite].into_iter().flatten().flatten().copied()
    }

    /// The removals of another grant of the same account that end this one too: it is as strong and was given by an invite that was
    /// made without knowing of it, so who was given another role does not get the one before again by the link he came by; or it is a
    /// role that was given at once with it by a junior of who removed: so of two who change a role apart, of whom the more senior takes
    /// something away, his word counts, whatever the other gave.
    pub fn role_removes(&self, g: GrantIdx) -> impl Iterator<Item = NodeIdx> + '_ {
        let grant = &self.grants()[g];
        let by = self.invite_behind(g).into_iter();
        let by_link = by.flat_map(move |invite| self.role_removes_since(invite, &grant.subject, grant.power, Some(g)));
        let is_role = matches!(self.node(grant.op).control, Control::Grant(_));
        let all = is_role.then(|| self.kinds.role_removes.get(&grant.subject)).flatten().into_iter().flatten().copied();
        let at_once = all.filter(move |at| {
            let by = self.node(*at).auth;
            by.zip(grant.parent).is_some_and(|(by, giver)| self.seniority(by, giver).is_lt())
                && !self.in_past(*at, grant.op)
                && !self.in_past(grant.op, *at)
        });
        by_link.chain(at_once)
    }

    /// The removals of one grant of an account that end another one of it by an invite, `except` the grant they name: made when the
    /// invite was not known to know of them, of a grant that was no stronger than `power`.
    pub fn role_removes_since(
        &self,
        invite: NodeIdx,
        account: &AccountId,
        power: Power,
        except: Option<GrantIdx>,
    ) -> impl Iterator<Item = NodeIdx> {
        let all = self.kinds.role_removes.get(account).into_iter().flatten().copied();
        all.filter(move |at| !self.in_past(*at, invite) && self.takes_as_strong(*at, power, except))
    }

    /// Whether a removal names a grant, not `except`, that is no stronger than `power`.
    fn takes_as_strong(&self, removal: NodeIdx, power: Power, except: Option<GrantIdx>) -> bool {
        let Control::Remove(remove) = &self.node(removal).control else { return false };
        let mut named = self.targets(&remove.target).iter();
        named.any(|named| Some(*named) != except && power <= self.grants()[*named].power)
    }

    /// The grants of an account that lie in the past of a Remove and are not junior to the one it was made under.
    pub fn above(&self, account: &AccountId, kill: NodeIdx) -> impl Iterator<Item = GrantIdx> {
        let auth = self.node(kill).auth;
        let theirs = self.ranked_of(account).iter().copied();
        let seniors = theirs.take_while(move |h| {
            #[cfg(test)]
            crate::steps::note();
            auth.is_some_and(|auth| !self.seniority(auth, *h).is_lt())
        });
        seniors.filter(move |h| self.in_past(self.grants()[*h].op, kill))
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

    /// Whether a device gave an account so many roles that nobody took away.
    pub fn given_often(&self, device: &DeviceId, account: &AccountId, view: &Set) -> bool {
        let stands = |op: &NodeIdx| {
            matches!(self.node(*op).control, Control::Grant(_))
                && !self.removes_of(account).any(|at| view.has(at) && self.in_past(*op, at))
        };
        let ops = self.grants_of(account).iter().map(|g| self.grants()[*g].op);
        let of_device = ops.filter(|op| view.has(*op) && self.node(*op).event.device() == *device);
        of_device.filter(stands).count() >= limits::MAX_SAME
    }

    /// Whether a device removed the same so often, with nothing new to remove since: whatever an account is given can be taken away
    /// again, by whoever may, however often that was.
    pub fn removed_often(&self, device: &DeviceId, target: &Target, view: &Set) -> bool {
        let (Target::Account(account) | Target::Grant(_, account)) = target else { return false };
        let same = |at: &NodeIdx| {
            let node = self.node(*at);
            let names = matches!(&node.control, Control::Remove(remove) if remove.target == *target);
            names && view.has(*at) && node.event.device() == *device
        };
        let before: Vec<NodeIdx> = self.removes_of(account).filter(same).collect();
        let known = || self.grants_of(account).iter().map(|g| self.grants()[*g].op).filter(|op| view.has(*op));
        let knew_all = |at: &&NodeIdx| known().all(|op| self.in_past(op, **at));
        before.len() >= limits::MAX_SAME && before.iter().filter(knew_all).count() >= limits::MAX_SAME
    }

    /// The removals of an account and of each of its grants.
    fn removes_of(&self, account: &AccountId) -> impl Iterator<Item = NodeIdx> {
        let removes = [self.kinds.account_removes.get(account), self.kinds.role_removes.get(account)];
        removes.into_iter().flatten().flatten().copied()
    }

    /// The leaves of an account.
    pub fn leaves_of(&self, account: &AccountId) -> &[NodeIdx] {
        self.kinds.leaves.get(account).map_or(&[], Vec::as_slice)
    }

    /// The admissions by the same request as this one, itself among them.
    pub fn same_request(&self, admit: &Admit) -> &[NodeIdx] {
        self.kinds.requests.get(&request_of(admit)).map_or(&[], Vec::as_slice)
    }

    /// Whether a Leave says of a grant that it was given in vain, whoever gave it: he knew nothing of the Leave, and gave a role, for which
    /// nobody had asked him, or let somebody in by a request that he had been let in by before he left.
    pub fn takes_back(&self, leave: NodeIdx, g: GrantIdx) -> bool {
        let op = self.grants()[g].op;
        let vain = match &self.node(op).control {
            Control::Grant(_) => true,
            Control::Admit(admit) => self.same_request(admit).iter().any(|known| self.in_past(*known, leave)),
            _ => false,
        };
        vain && !self.in_past(leave, op)
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
