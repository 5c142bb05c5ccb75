//! What may end which grant, as far as that follows from the events themselves, and what only says again what was said.

use super::{Dag, GrantIdx, NodeIdx, Set};
use crate::control::{Control, Power, Remove, Target};
use crate::ids::{AccountId, DeviceId};
use crate::limits;

/// By what a Remove may end a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It names it: its account, it alone, or the invite behind it.
    Named,
    /// It takes another role from its account.
    Role,
    /// It names one above it, and cascades.
    Above,
}

impl Dag {
    /// By what a Remove may end a grant, if it may.
    pub fn reach(&self, kill: NodeIdx, g: GrantIdx) -> Option<Reach> {
        #[cfg(test)]
        crate::steps::note();
        let Control::Remove(remove) = &self.node(kill).control else { return None };
        if self.names(&remove.target, g) {
            Some(Reach::Named)
        } else if self.changes_role(kill, remove, g) {
            Some(Reach::Role)
        } else {
            (remove.cascade && self.is_below(kill, &remove.target, g)).then_some(Reach::Above)
        }
    }

    /// The Removes that may end a grant, each with by what: ancestors first.
    pub fn removes_reaching(&self, g: GrantIdx) -> Vec<(NodeIdx, Reach)> {
        let (kinds, mut found, mut next) = (self.kinds(), Vec::new(), Some(g));
        found.extend(kinds.role_removes.get(&self.grants()[g].subject).into_iter().flatten());
        while let Some(h) = next {
            found.extend(kinds.account_removes.get(&self.grants()[h].subject).into_iter().flatten());
            found.extend(kinds.grant_removes.get(&h).into_iter().flatten());
            let invite = if kinds.invite_removes.is_empty() { None } else { self.invite_behind(h) };
            found.extend(invite.and_then(|invite| kinds.invite_removes.get(&invite)).into_iter().flatten());
            next = self.grants()[h].giver.filter(|_| kinds.cascades > 0);
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|kill| Some((kill, self.reach(kill, g)?))).collect()
    }

    fn names(&self, target: &Target, g: GrantIdx) -> bool {
        let grant = &self.grants()[g];
        match target {
            Target::Account(account) => grant.subject == *account,
            Target::Grant(id, account) => grant.subject == *account && self.node(grant.op).event.id() == *id,
            Target::Invite(id) => matches!(&self.node(grant.op).control, Control::Admit(admit) if admit.invite == *id),
        }
    }

    /// Whether a Remove of another grant of the same account ends this one too: it is as strong and was given by an invite that was made
    /// without knowing of it, so who was given another role does not get the one before again by the link he came by; or it is a role
    /// that was given at once with it by a junior of who removed: so of two who change a role apart, of whom the more senior takes
    /// something away, his word counts, whatever the other gave.
    fn changes_role(&self, kill: NodeIdx, remove: &Remove, g: GrantIdx) -> bool {
        let grant = &self.grants()[g];
        if !matches!(remove.target, Target::Grant(_, account) if account == grant.subject) {
            return false;
        }
        match &self.node(grant.op).control {
            Control::Admit(_) => self.invite_behind(g).is_some_and(|invite| self.is_over_by(kill, invite, grant.power)),
            Control::Grant(_) => {
                let by = self.node(kill).auth.zip(grant.parent);
                by.is_some_and(|(by, giver)| self.seniority(by, giver).is_lt())
                    && !self.in_past(kill, grant.op)
                    && !self.in_past(grant.op, kill)
            }
            _ => false,
        }
    }

    /// Whether a Remove cascades from a grant that it names, and that is junior to who removes, to this one.
    fn is_below(&self, kill: NodeIdx, target: &Target, g: GrantIdx) -> bool {
        let Some(auth) = self.node(kill).auth else { return false };
        let mut above = self.grants()[g].giver;
        while let Some(h) = above {
            if self.names(target, h) && self.seniority(auth, h).is_lt() {
                return true;
            }
            above = self.grants()[h].giver;
        }
        false
    }

    /// The removals of one grant of an account that end another one of it by an invite: made when the invite was not known to know of
    /// them, of a grant that was no stronger than `power`.
    pub fn role_removes_since(
        &self,
        invite: NodeIdx,
        account: &AccountId,
        power: Power,
    ) -> impl Iterator<Item = NodeIdx> {
        let all = self.kinds().role_removes.get(account).into_iter().flatten().copied();
        all.filter(move |at| self.is_over_by(*at, invite, power))
    }

    /// Whether an invite gives no role as strong as this any more to whom this Remove took one.
    fn is_over_by(&self, removal: NodeIdx, invite: NodeIdx, power: Power) -> bool {
        let Control::Remove(remove) = &self.node(removal).control else { return false };
        let mut named = self.targets(&remove.target).iter();
        !self.in_past(removal, invite) && named.any(|named| power <= self.grants()[*named].power)
    }

    /// Whether one of `ends`, of the same device, said before this one what it says: that somebody is out from there on. Where that ended
    /// something, this one ends nothing.
    pub fn is_repeated(&self, ends: &[NodeIdx], end: NodeIdx) -> bool {
        let alike = |before: &Control, again: &Control| match (before, again) {
            (Control::Leave(_), Control::Leave(_)) => true,
            (Control::Remove(before), Control::Remove(again)) => before.messages == again.messages,
            _ => false,
        };
        let node = self.node(end);
        ends.iter().any(|at| {
            let before = self.node(*at);
            before.event.device() == node.event.device() && alike(&before.control, &node.control) && node.past.has(*at)
        })
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

    /// Whether a device gave an account so many roles that nobody took away.
    pub fn given_often(&self, device: &DeviceId, account: &AccountId, view: &Set) -> bool {
        let ops = self.grants_of(account).iter().map(|g| self.grants()[*g].op).filter(|op| view.has(*op));
        let by_device = |op: &NodeIdx| self.node(*op).event.device() == *device;
        let roles = ops.filter(|op| by_device(op) && matches!(self.node(*op).control, Control::Grant(_)));
        let roles: Vec<NodeIdx> = roles.collect();
        if roles.len() < limits::MAX_SAME {
            return false;
        }
        let ended = self.known_by(self.removes_of(account).filter(|at| view.has(*at)));
        roles.into_iter().filter(|op| !ended.has(*op)).count() >= limits::MAX_SAME
    }

    /// The removals of an account and of each of its grants.
    pub fn removes_of(&self, account: &AccountId) -> impl Iterator<Item = NodeIdx> {
        let removes = [self.kinds().account_removes.get(account), self.kinds().role_removes.get(account)];
        removes.into_iter().flatten().flatten().copied()
    }

    /// Whether a Leave says of a grant that it was given in vain, whoever gave it: he knew nothing of the Leave, and gave a role, for which
    /// nobody had asked him, or let somebody in by a request that he had been let in by before he left.
    pub fn takes_back(&self, leave: NodeIdx, g: GrantIdx) -> bool {
        let op = self.grants()[g].op;
        let vain = match &self.node(op).control {
            Control::Grant(_) => true,
            Control::Admit(admit) => self.knew_request(leave, admit),
            _ => false,
        };
        vain && !self.in_past(leave, op)
    }
}
