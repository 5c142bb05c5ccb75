//! The decision about one grant. Whatever is more senior is decided already.

use std::collections::BTreeSet;

use super::Resolved;
use crate::control::{Control, DeviceFence, Remove, Target};
use crate::dag::{Dag, GrantIdx, NodeIdx, Reach};
use crate::ids::{AccountId, DeviceId};

impl Resolved {
    /// Whether what made the grant counts, leaving aside how often its invite was used.
    pub(super) fn fits(&self, dag: &Dag, g: GrantIdx) -> bool {
        let op = dag.grants()[g].op;
        if dag.grants()[g].parent.is_none() {
            return true;
        }
        if !self.is_admissible(dag, op) {
            return false;
        }
        let Some(invite) = dag.invite_behind(g) else { return true };
        self.is_admissible(dag, invite)
            && self.closings(dag, invite).all(|close| dag.in_past(op, close))
            && self.invite_open(dag, invite, op)
    }

    /// Whether everything that ended the inviter's grant has the Admit `op` in its past: a removed inviter's open invites
    /// are dead.
    fn invite_open(&self, dag: &Dag, invite: NodeIdx, op: NodeIdx) -> bool {
        let kills = dag.node(invite).auth.map_or(&[][..], |inviter| self.kills(inviter));
        kills.iter().all(|kill| dag.in_past(op, *kill))
    }

    /// Whether an invite has a use for the grant, which fits; if so it takes it. To be asked in the order of seniority.
    pub(super) fn takes_use(&mut self, dag: &Dag, g: GrantIdx) -> bool {
        let Some(invite) = dag.invite_behind(g) else { return true };
        let most = max_uses(dag, invite);
        let subject = dag.grants()[g].subject;
        let uses = self.uses.entry(invite).or_default();
        let takes = uses.contains_key(&subject) || most.is_none_or(|most| uses.len() < most);
        if takes {
            *uses.entry(subject).or_default() += 1;
        }
        takes
    }

    /// The grants by an invite that fit, in the order of seniority, each with whether the invite has a use for it.
    pub(super) fn by_uses(&self, dag: &Dag, invite: NodeIdx) -> Vec<(GrantIdx, bool)> {
        let most = max_uses(dag, invite);
        let all = dag.grants_by_invite(invite).iter().copied();
        let mut fit: Vec<GrantIdx> = all.filter(|g| self.fit.get(*g).copied().unwrap_or(false)).collect();
        fit.sort_by_cached_key(|g| dag.place(*g));
        let mut subjects = BTreeSet::new();
        let mut decided = Vec::with_capacity(fit.len());
        for g in fit {
            #[cfg(test)]
            crate::steps::note();
            let subject = dag.grants()[g].subject;
            let takes = subjects.contains(&subject) || most.is_none_or(|most| subjects.len() < most);
            if takes {
                subjects.insert(subject);
            }
            decided.push((g, takes));
        }
        decided
    }

    /// What ends the grant; its own `ok` is decided. Of what one device says again and again only the first counts: so however often
    /// somebody is given and loses something, each time costs no more than a look at what there was before.
    pub(super) fn kills_of(&self, dag: &Dag, g: GrantIdx) -> Vec<NodeIdx> {
        let mut kills: Vec<NodeIdx> = Vec::new();
        for (kill, reach) in dag.removes_reaching(g) {
            if !dag.is_repeated(&kills, kill) && self.removes(dag, kill, reach, g) {
                kills.push(kill);
            }
        }
        let removes = kills.clone();
        for leave in dag.leaves_of(&dag.grants()[g].subject).iter().copied() {
            if !dag.is_repeated(&kills, leave) && self.leaves(dag, leave, g, &removes) {
                kills.push(leave);
            }
        }
        kills.sort_unstable();
        kills
    }

    /// Whether an end of grants would end this one, whatever else did.
    pub(super) fn would_end(&self, dag: &Dag, end: NodeIdx, g: GrantIdx) -> bool {
        if let Control::Leave(_) = dag.node(end).control {
            let removal = |kill: &NodeIdx| matches!(dag.node(*kill).control, Control::Remove(_));
            let removes: Vec<NodeIdx> = self.kills(g).iter().copied().filter(removal).collect();
            return self.leaves(dag, end, g, &removes);
        }
        dag.reach(end, g).is_some_and(|reach| self.removes(dag, end, reach, g))
    }

    /// Whether a Remove that may end the grant does.
    fn removes(&self, dag: &Dag, kill: NodeIdx, reach: Reach, g: GrantIdx) -> bool {
        let Some(auth) = dag.node(kill).auth.filter(|_| self.view.has(kill)) else { return false };
        let unheard = !dag.in_past(kill, dag.grants()[g].op);
        let hits = match reach {
            Reach::Named => unheard || self.bans_return(dag, kill, auth, g),
            Reach::Role => true,
            Reach::Above => unheard,
        };
        hits && dag.seniority(auth, g).is_lt() && self.is_admissible(dag, kill) && !self.shields(dag, g, kill)
    }

    /// Whether a Remove ends no grant of the account whose grant `g` is, however junior that is: by what its author knew the account
    /// stood above him. Otherwise he would hide what his senior wrote before he rose, and name him as banned.
    fn shields(&self, dag: &Dag, g: GrantIdx, kill: NodeIdx) -> bool {
        dag.above(&dag.grants()[g].subject, kill)
            .any(|h| self.is_ok(h) && !self.kills(h).iter().any(|end| dag.in_past(*end, kill)))
    }

    /// Whether the grant, made knowing the Remove `kill`, is forbidden all the same: it was given by somebody junior to the
    /// remover, by an invite from before the removal or in spite of a ban, and did not know that this was lifted.
    fn bans_return(&self, dag: &Dag, kill: NodeIdx, auth: GrantIdx, g: GrantIdx) -> bool {
        let bans = matches!(&dag.node(kill).control, Control::Remove(remove) if remove.ban);
        let junior = || dag.grants()[g].parent.is_some_and(|parent| dag.seniority(parent, auth).is_gt());
        let lifted = || self.unbans(dag, kill).any(|unban| dag.in_past(unban, dag.grants()[g].op));
        (bans || by_old_invite(dag, kill, g)) && junior() && !lifted()
    }

    /// The events that lift the ban of `removal`.
    pub(crate) fn unbans<'a>(&'a self, dag: &'a Dag, removal: NodeIdx) -> impl Iterator<Item = NodeIdx> + 'a {
        let unbans = dag.kinds().unbans.get(&removal).map_or(&[][..], Vec::as_slice);
        unbans.iter().copied().filter(|unban| self.view.has(*unban) && self.is_admissible(dag, *unban))
    }

    /// Whether the Leave ends the grant, which `removes` end too: under this grant, or a more senior one of the account, or if it takes
    /// back the request by which the grant was given, whoever let him in by that. Nobody who is removed undoes that by having left:
    /// it counts only inside the fences of all removals.
    fn leaves(&self, dag: &Dag, leave: NodeIdx, g: GrantIdx, removes: &[NodeIdx]) -> bool {
        #[cfg(test)]
        crate::steps::note();
        if self.view.has(leave) && dag.takes_back(leave, g) && self.admits(dag, leave, g, self.is_ok(g), removes) {
            return true;
        }
        let Some(auth) = dag.node(leave).auth.filter(|auth| self.view.has(leave) && self.is_ok(*auth)) else {
            return false;
        };
        if (auth != g && dag.seniority(auth, g).is_gt()) || dag.in_past(leave, dag.grants()[g].op) {
            return false;
        }
        let of_auth: Vec<NodeIdx> = if auth == g {
            removes.to_vec()
        } else {
            let removal = |kill: &NodeIdx| matches!(dag.node(*kill).control, Control::Remove(_));
            self.kills(auth).iter().copied().filter(removal).collect()
        };
        removes.iter().all(|kill| inside(dag, *kill, leave)) && self.admits(dag, leave, auth, true, &of_auth)
    }

    /// What closes an invite. That the author may close it is static.
    pub(crate) fn closings<'a>(&'a self, dag: &'a Dag, invite: NodeIdx) -> impl Iterator<Item = NodeIdx> + 'a {
        let revokes = dag.kinds().revokes.get(&invite).map_or(&[][..], Vec::as_slice);
        revokes.iter().copied().filter(move |revoke| self.view.has(*revoke) && self.is_admissible(dag, *revoke))
    }

    /// Whether the event `op` counts that was made under `auth`, if that is `ok` and ended by `kills`.
    pub(super) fn admits(&self, dag: &Dag, op: NodeIdx, auth: GrantIdx, ok: bool, kills: &[NodeIdx]) -> bool {
        let node = dag.node(op);
        ok && kills.iter().all(|kill| inside(dag, *kill, op))
            && (self.revoked.is_empty()
                || self
                    .revocations(dag, auth, &node.event.device(), kills)
                    .into_iter()
                    .all(|fence| fence_holds(dag, &fence, op)))
    }

    /// The fences of the revocations of a device that bind what it does under the grant `g`: they lie inside the fences of all
    /// that ended it, so nobody undoes what he did by revoking his own device.
    pub(super) fn revocations(&self, dag: &Dag, g: GrantIdx, device: &DeviceId, kills: &[NodeIdx]) -> Vec<DeviceFence> {
        let Some(revokes) = self.revoked.get(device) else { return Vec::new() };
        let subject: AccountId = dag.grants()[g].subject;
        let binds = |at: NodeIdx| dag.node(at).author == subject && kills.iter().all(|kill| inside(dag, *kill, at));
        revokes.iter().filter(|(at, _)| binds(*at)).map(|(_, fence)| *fence).collect()
    }
}

/// Whether a grant of an account that the Remove `kill` names was given by an invite that was made without knowing of it: a link that
/// somebody kept lets him back in no more, whoever holds the door.
pub(super) fn by_old_invite(dag: &Dag, kill: NodeIdx, g: GrantIdx) -> bool {
    let account = matches!(&dag.node(kill).control, Control::Remove(Remove { target: Target::Account(_), .. }));
    account && dag.invite_behind(g).is_some_and(|invite| !dag.in_past(kill, invite))
}

/// Whether `op` lies inside the control fence of what ended the grant it was made under.
pub(super) fn inside(dag: &Dag, kill: NodeIdx, op: NodeIdx) -> bool {
    match &dag.node(kill).control {
        Control::Leave(_) => dag.in_past(op, kill),
        Control::Remove(remove) => {
            let fence = remove.fence_of(&dag.node(op).event.device());
            fence.is_some_and(|fence| fence_holds(dag, fence, op))
        }
        _ => false,
    }
}

/// Whether `op`, of the fence's device, is the last control event that counts, or one that it was built on.
pub(super) fn fence_holds(dag: &Dag, fence: &DeviceFence, op: NodeIdx) -> bool {
    let end = fence.control.and_then(|end| dag.find(&end.id));
    end.is_some_and(|end| dag.in_past(op, end))
}

/// How many accounts an invite takes; `None` for any number.
pub(super) fn max_uses(dag: &Dag, invite: NodeIdx) -> Option<usize> {
    match &dag.node(invite).control {
        Control::Invite(invite) if invite.max_uses != u32::MAX => Some(invite.max_uses as usize),
        _ => None,
    }
}
