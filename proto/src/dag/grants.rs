//! Grants: the rights that events give, and their order.
//!
//! Seniority `S(g) = (power, depth, path)` is a static total order: `path(owner i) = [(i, 0)]`, `path(g) = path(parent) ++
//! [(seq, id) of the event]`. It is kept sorted as grants come, so nothing sorts it again.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::{Dag, Node, NodeIdx};
use crate::control::{Control, Direct, InviteBounds, InviteHistory, Permissions, Power, Target};
use crate::ids::{AccountId, EventId};

/// The place of a grant in the order of acceptance.
pub type GrantIdx = usize;

/// A right given to an account.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The event that gave it.
    pub op: NodeIdx,
    /// To whom.
    pub subject: AccountId,
    /// How strong.
    pub power: Power,
    /// What it permits.
    pub perms: Permissions,
    /// How far it may be delegated.
    pub max_depth: u8,
    /// What the invites made under it may say at most.
    pub invites: InviteBounds,
    /// How much of the past it lets its subject read, and those who come by his invites at most.
    pub reads: InviteHistory,
    /// The grant that this one hangs below in seniority; none for the first owners.
    pub parent: Option<GrantIdx>,
    /// The grant that it was given or invited under: what a cascade follows; none for the first owners.
    pub giver: Option<GrantIdx>,
    /// How far below an owner.
    pub depth: u32,
    /// Orders the grants of one parent: place of the event in its log (of an owner: place in the genesis), and its id.
    pub rank: (u64, EventId),
}

/// All grants of a room.
#[derive(Debug, Default)]
pub(super) struct Grants {
    all: Vec<Grant>,
    of: HashMap<AccountId, Vec<GrantIdx>>,
    /// The same, of each account the most senior first.
    ranked: HashMap<AccountId, Vec<GrantIdx>>,
    /// Every grant: the events made under it, in order of acceptance.
    under: Vec<Vec<NodeIdx>>,
    /// Every grant: those given or invited under it.
    below: Vec<Vec<GrantIdx>>,
    /// The most senior first.
    order: Vec<GrantIdx>,
    /// The grants of those who came by an invite.
    by_invite: HashMap<NodeIdx, Vec<GrantIdx>>,
}

impl Dag {
    /// The grants that an event makes, and the one it is made under.
    pub(super) fn add_grants(&mut self, at: NodeIdx, node: &Node) {
        if let Some(auth) = node.auth {
            self.grants.under[auth].push(at);
        }
        let id = node.event.id();
        match &node.control {
            Control::Genesis(genesis) => {
                let owners = genesis.owners.iter().map(|owner| owner.account());
                self.add_owners(at, id, owners, Permissions::ALL, crate::limits::MAX_DEPTH);
            }
            Control::Direct(direct) => self.add_owners(at, id, direct.ids(), Direct::perms(), 0),
            Control::Grant(grant) => {
                let Some(auth) = node.auth else { return };
                self.add_grant(Grant {
                    op: at,
                    subject: grant.subject,
                    power: grant.power,
                    perms: grant.perms,
                    max_depth: grant.max_depth,
                    invites: grant.invites,
                    reads: self.reads_on(grant, node),
                    parent: Some(auth),
                    giver: Some(auth),
                    depth: self.grants.all[auth].depth + 1,
                    rank: (node.event.seq(), id),
                });
            }
            Control::Admit(admit) => {
                let Some((invite_at, invite)) = self.invite(&admit.invite) else { return };
                let (Some(sponsor), Some(inviter)) = (node.auth, self.node(invite_at).auth) else { return };
                let junior = if self.seniority(sponsor, inviter).is_lt() { inviter } else { sponsor };
                let (power, perms, max_depth) = (invite.power, invite.perms, invite.max_depth);
                let invites = invite.onward;
                self.grants.by_invite.entry(invite_at).or_default().push(self.grants.all.len());
                self.add_grant(Grant {
                    op: at,
                    subject: admit.join.entrant.account(),
                    power,
                    perms,
                    max_depth,
                    invites,
                    reads: self.lets_read(invite_at),
                    parent: Some(junior),
                    giver: Some(inviter),
                    depth: self.grants.all[junior].depth + 1,
                    rank: (node.event.seq(), id),
                });
            }
            _ => {}
        }
    }

    /// The grants of those with whom a room begins.
    fn add_owners(
        &mut self,
        at: NodeIdx,
        id: EventId,
        owners: impl IntoIterator<Item = AccountId>,
        perms: Permissions,
        max_depth: u8,
    ) {
        for (place, subject) in owners.into_iter().enumerate() {
            self.add_grant(Grant {
                op: at,
                subject,
                power: Power::OWNER,
                perms,
                max_depth,
                invites: InviteBounds::NONE,
                reads: InviteHistory::Full,
                parent: None,
                giver: None,
                depth: 0,
                rank: (place as u64, id),
            });
        }
    }

    fn add_grant(&mut self, grant: Grant) {
        let g = self.grants.all.len();
        let subject = grant.subject;
        self.grants.of.entry(subject).or_default().push(g);
        if let Some(giver) = grant.giver {
            self.grants.below[giver].push(g);
        }
        self.grants.all.push(grant);
        self.grants.under.push(Vec::new());
        self.grants.below.push(Vec::new());
        let place = self.place(g);
        self.grants.order.insert(place, g);
        let rank = self.rank_below(&subject, g);
        self.grants.ranked.entry(subject).or_default().insert(rank, g);
    }

    /// All grants in order of acceptance.
    pub fn grants(&self) -> &[Grant] {
        &self.grants.all
    }

    /// The grants given to an account.
    pub fn grants_of(&self, account: &AccountId) -> &[GrantIdx] {
        self.grants.of.get(account).map_or(&[], Vec::as_slice)
    }

    /// The grants given to an account, the most senior first.
    pub fn ranked_of(&self, account: &AccountId) -> &[GrantIdx] {
        self.grants.ranked.get(account).map_or(&[], Vec::as_slice)
    }

    /// How many of [`ranked_of`](Self::ranked_of) are not junior to a grant: those after them are.
    pub fn rank_below(&self, account: &AccountId, g: GrantIdx) -> usize {
        self.ranked_of(account).partition_point(|other| !self.seniority(g, *other).is_lt())
    }

    /// The grants that an event made: several only by a genesis.
    pub fn grants_by(&self, op: NodeIdx) -> std::ops::Range<GrantIdx> {
        let first = self.grants.all.partition_point(|grant| grant.op < op);
        let made = self.grants.all[first..].iter().take_while(|grant| grant.op == op).count();
        first..first + made
    }

    /// The grants of those who came by an invite, in order of acceptance.
    pub fn grants_by_invite(&self, invite: NodeIdx) -> &[GrantIdx] {
        self.grants.by_invite.get(&invite).map_or(&[], Vec::as_slice)
    }

    /// The invite behind a grant, if an Admit made it.
    pub fn invite_behind(&self, g: GrantIdx) -> Option<NodeIdx> {
        match &self.node(self.grants.all[g].op).control {
            Control::Admit(admit) => self.find(&admit.invite),
            _ => None,
        }
    }

    pub(super) fn set_reads(&mut self, g: GrantIdx, reads: InviteHistory) {
        self.grants.all[g].reads = reads;
    }

    /// The events made under a grant, in order of acceptance.
    pub fn under(&self, g: GrantIdx) -> &[NodeIdx] {
        &self.grants.under[g]
    }

    /// The grants that `target` names itself.
    pub fn targets(&self, target: &Target) -> &[GrantIdx] {
        match target {
            Target::Account(account) => self.grants_of(account),
            Target::Grant(id, account) => {
                let Some(op) = self.find(id) else { return &[] };
                let theirs = self.grants_of(account);
                let before = theirs.partition_point(|g| self.grants.all[*g].op < op);
                let one = theirs.get(before).filter(|g| self.grants.all[**g].op == op);
                one.map_or(&[], std::slice::from_ref)
            }
            Target::Invite(id) => self.find(id).map_or(&[], |at| self.grants_by_invite(at)),
        }
    }

    /// The grants that `target` names, and all below them.
    pub fn subtree(&self, target: &Target) -> Vec<GrantIdx> {
        let mut found = self.targets(target).to_vec();
        let mut seen: std::collections::HashSet<GrantIdx> = found.iter().copied().collect();
        let mut next = 0;
        while let Some(g) = found.get(next).copied() {
            next += 1;
            found.extend(self.grants.below[g].iter().filter(|below| seen.insert(**below)));
        }
        found
    }

    /// Compares two grants by seniority `(power, depth, path)`: `Less` is more senior. A static total order.
    pub fn seniority(&self, a: GrantIdx, b: GrantIdx) -> Ordering {
        let (left, right) = (&self.grants.all[a], &self.grants.all[b]);
        let by_place = (left.power, left.depth).cmp(&(right.power, right.depth));
        by_place.then_with(|| self.compare_paths(a, b))
    }

    /// Compares the paths of two grants of one depth: the topmost difference decides.
    fn compare_paths(&self, a: GrantIdx, b: GrantIdx) -> Ordering {
        let (mut left, mut right) = (&self.grants.all[a], &self.grants.all[b]);
        while left.parent != right.parent {
            let (Some(up_left), Some(up_right)) = (left.parent, right.parent) else { break };
            (left, right) = (&self.grants.all[up_left], &self.grants.all[up_right]);
        }
        left.rank.cmp(&right.rank)
    }

    /// All grants, the most senior first.
    pub fn by_seniority(&self) -> &[GrantIdx] {
        &self.grants.order
    }

    /// Where a grant stands in [`by_seniority`](Self::by_seniority): a binary search.
    pub fn place(&self, g: GrantIdx) -> usize {
        self.grants.order.partition_point(|other| self.seniority(*other, g).is_lt())
    }
}
