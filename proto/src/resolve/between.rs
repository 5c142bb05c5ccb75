//! What may have counted meanwhile: between a view and a larger one.
//!
//! Who holds the key of an epoch knows all that the epoch was made on, and hands the key on by what he knows beside. Seen
//! from a view `V` he may have known any part of it that holds that past `P` and the ancestors of all its events. Whether an
//! event counts is not monotone: a removal can be undone and done again. So every grant is decided between bounds: what is
//! sure in each such part, and what may be in one of them. A removal is sure if it lies in `P` and nothing in `V` could make
//! it void; a grant may live if it may be ok and no removal of it is sure. The bounds are wider than what the parts say
//! together, never narrower: an epoch may be given up in vain, and is never kept wrongly.
//!
//! Nothing that somebody writes whose removal is sure may count, so he can not make an epoch unsafe by it.

use std::collections::{BTreeMap, BTreeSet};

use super::Resolved;
use super::decide::{by_old_invite, fence_holds, inside, max_uses};
use crate::control::{Control, DeviceFence};
use crate::dag::{Dag, DeviceNo, GrantIdx, NodeIdx, Reach, Set};
use crate::ids::{AccountId, DeviceId, EpochId, EventId};
use crate::limits;

/// A grant between the two views. What is said of a part holds where the part has the event of the grant.
#[derive(Debug, Clone, Default)]
struct Bounds {
    /// It is ok in some part,
    may_ok: bool,
    /// in every part.
    sure_ok: bool,
    /// What ends it in some part,
    may_end: Vec<NodeIdx>,
    /// in every part.
    sure_end: Vec<NodeIdx>,
    /// With what ends it in every part in which nothing that it says again does.
    over: Vec<NodeIdx>,
}

/// The grants decided so far, all that they ask for among them.
struct Between<'a> {
    dag: &'a Dag,
    past: &'a Set,
    view: &'a Set,
    decided: BTreeMap<GrantIdx, Bounds>,
    /// The accounts that came by an invite, as far as it is decided.
    uses: BTreeMap<NodeIdx, Uses>,
}

/// The accounts that came by an invite, by grants more senior than the one that is decided:
#[derive(Debug, Default)]
struct Uses {
    /// in some part,
    may: BTreeSet<AccountId>,
    /// in every part.
    sure: BTreeSet<AccountId>,
}

/// Where a device came in, in the room's order.
type Place = (u64, EventId, DeviceId);
/// Of accounts: the last place that fits.
type Full = BTreeMap<AccountId, Option<Place>>;

impl Resolved {
    /// Whether nobody who is out of this view can have been in, in any part of it that holds `past`, which lies in it: so an
    /// epoch made on `past` for live devices of this view was handed to nobody who is out. `epoch` is that epoch: who was
    /// admitted into it may have its key even if a ban kept him out.
    ///
    /// Devices that were live in `past` are left to the caller.
    pub fn let_in_nobody_else(&self, dag: &Dag, past: &Set, epoch: Option<&EpochId>) -> bool {
        // Nothing ended meanwhile, so whoever is out now and was in for a while came in meanwhile.
        let ended = |end: &&NodeIdx| self.view.has(**end) && !past.has(**end);
        if self.outsiders.within(past) && dag.kinds().ends.iter().rev().find(ended).is_none() {
            return true;
        }
        let out = |g: &GrantIdx| !self.members.contains_key(&dag.grants()[*g].subject);
        let asked: Vec<GrantIdx> = self.outsiders.iter().flat_map(|op| dag.grants_by(op)).filter(out).collect();
        let mut between = Between { dag, past, view: &self.view, decided: BTreeMap::new(), uses: BTreeMap::new() };
        between.decide(&asked);
        let mut full = Full::new();
        !asked.iter().any(|g| between.was_in(*g, epoch))
            && !self.outsiders.iter().any(|op| self.had_device(dag, past, op, &mut full))
    }

    /// Whether a device that is not live, which `op` brought to a member, can have been live in a part of the view.
    fn had_device(&self, dag: &Dag, past: &Set, op: NodeIdx, full: &mut Full) -> bool {
        brought_by(dag, op).into_iter().filter(|(no, _)| !self.live.has(*no)).any(|(no, account)| {
            let revoked = dag.device_revokes(&dag.devices()[no].device).iter();
            let mut revoked = revoked.filter(|(at, _)| past.has(*at)).map(|(at, _)| dag.node(*at).author);
            let theirs = dag.account_where(no, |at| at == op || past.has(at)) == Some(account);
            if !self.members.contains_key(&account) || !theirs || revoked.any(|by| by == account) {
                return false;
            }
            let last = full.entry(account).or_insert_with(|| self.last_that_fits(dag, past, &account));
            last.is_none_or(|last| dag.came_in(no, |at| self.view.has(at)).is_none_or(|came| came < last))
        })
    }

    /// Where the device of an account came in after which none is live in any part of the view, for so many surely came
    /// before it and were not revoked.
    fn last_that_fits(&self, dag: &Dag, past: &Set, account: &AccountId) -> Option<Place> {
        let stays = |no: &DeviceNo| {
            let place = dag.came_in(*no, |at| past.has(at));
            let same = place == dag.came_in(*no, |at| self.view.has(at));
            let theirs = dag.account_in(*no, past) == Some(*account);
            place.filter(|_| same && theirs && !self.revoked_by(dag, *no, account))
        };
        let mut sure: Vec<Place> = dag.devices_of(account).iter().filter_map(stays).collect();
        sure.sort_unstable();
        sure.get(limits::MAX_DEVICES - 1).copied()
    }
}

/// The devices that an event certifies, each with whose it makes them.
pub(super) fn brought_by(dag: &Dag, op: NodeIdx) -> Vec<(DeviceNo, AccountId)> {
    let no = |device: DeviceId, account: AccountId| dag.device_no(&device).map(|no| (no, account));
    match &dag.node(op).control {
        Control::Genesis(genesis) => genesis.owners.iter().filter_map(|o| no(o.device(), o.account())).collect(),
        Control::Admit(admit) => no(admit.join.entrant.device(), admit.join.entrant.account()).into_iter().collect(),
        Control::AccountUpdate(update) => {
            update.devices.iter().filter_map(|new| no(new.device(), AccountId(new.cert.account))).collect()
        }
        _ => Vec::new(),
    }
}

impl Between<'_> {
    /// Decides these grants, and before them all that they ask for, the most senior first.
    fn decide(&mut self, asked: &[GrantIdx]) {
        let mut todo = asked.to_vec();
        let (mut cone, mut invites) = (BTreeSet::new(), BTreeSet::new());
        while let Some(g) = todo.pop() {
            if !cone.insert((self.dag.place(g), g)) {
                continue;
            }
            self.asks_for(g, &mut todo);
            // Who came by one invite is asked for together: there may be many of them.
            let bounded = self.dag.invite_behind(g).filter(|invite| max_uses(self.dag, *invite).is_some());
            if let Some(invite) = bounded.filter(|invite| invites.insert(*invite)) {
                let all = self.dag.grants_by_invite(invite).iter().copied();
                todo.extend(all.filter(|g| self.view.has(self.dag.grants()[*g].op)));
            }
        }
        for (_, g) in cone {
            let mut bounds = Bounds { may_ok: self.ok(g, false), sure_ok: self.ok(g, true), ..Bounds::default() };
            // Which Leaves count is asked with the Removes known.
            self.removes(g, &mut bounds);
            let (may, sure) = (self.leaves(g, &bounds, false), self.leaves(g, &bounds, true));
            bounds.may_end.extend(may);
            bounds.sure_end.extend(&sure);
            bounds.over.extend(sure);
            self.note_use(g, &bounds);
            self.decided.insert(g, bounds);
        }
    }

    /// The grants that the decision about `g` asks for: all more senior.
    fn asks_for(&self, g: GrantIdx, todo: &mut Vec<GrantIdx>) {
        let (dag, view) = (self.dag, self.view);
        let auth = |op: &NodeIdx| dag.node(*op).auth;
        let grant = &dag.grants()[g];
        todo.extend(auth(&grant.op));
        if let Some(invite) = dag.invite_behind(g) {
            todo.extend(auth(&invite));
            todo.extend(self.closings(invite).filter_map(|at| auth(&at)));
        }
        let senior = |other: &GrantIdx| dag.seniority(*other, g).is_lt();
        let mut above = 0;
        for (kill, _) in dag.removes_reaching(g).into_iter().filter(|(kill, _)| view.has(*kill)) {
            todo.extend(self.unbans(kill, grant.op).filter_map(|at| auth(&at)));
            if let Some(auth) = auth(&kill).filter(senior) {
                todo.push(auth);
                above = above.max(dag.rank_below(&grant.subject, auth));
            }
        }
        let theirs = dag.ranked_of(&grant.subject).iter().take(above).copied();
        todo.extend(theirs.filter(|h| view.has(dag.grants()[*h].op)));
        todo.extend(self.leaves_of(g).filter_map(|at| auth(&at)).filter(senior));
    }

    /// Whether the subject of a grant can have been in by it.
    fn was_in(&self, g: GrantIdx, epoch: Option<&EpochId>) -> bool {
        let Some(bounds) = self.decided.get(&g) else { return true };
        let into = match &self.dag.node(self.dag.grants()[g].op).control {
            Control::Admit(admit) => epoch == Some(&admit.epoch),
            _ => false,
        };
        // Nobody hands it to whom an admission names that was over before it was written.
        let began = !bounds.over.iter().any(|end| self.dag.in_past(*end, self.dag.grants()[g].op));
        bounds.may_ok && ((into && began) || bounds.over.is_empty())
    }

    /// Whether a part that has `op` has `at`: surely, or perhaps.
    fn has(&self, at: NodeIdx, op: NodeIdx, sure: bool) -> bool {
        if sure { self.past.has(at) || self.dag.in_past(at, op) } else { self.view.has(at) }
    }

    fn ok(&self, g: GrantIdx, sure: bool) -> bool {
        let (dag, op) = (self.dag, self.dag.grants()[g].op);
        if dag.grants()[g].parent.is_none() {
            return true;
        }
        if !self.admissible(op, sure) {
            return false;
        }
        let Some(invite) = dag.invite_behind(g) else { return true };
        let inviter = dag.node(invite).auth.and_then(|auth| self.decided.get(&auth));
        let ends = inviter.map_or(&[][..], |inviter| if sure { &inviter.may_end } else { &inviter.sure_end });
        let closes = |close: &NodeIdx| self.has(*close, op, !sure) && self.admissible(*close, !sure);
        self.admissible(invite, sure)
            && self.closings(invite).filter(closes).all(|close| dag.in_past(op, close))
            && ends.iter().all(|end| dag.in_past(op, *end))
            && self.takes_use(invite, g, sure)
    }

    /// Whether the invite has a use for the grant, which fits.
    fn takes_use(&self, invite: NodeIdx, g: GrantIdx, sure: bool) -> bool {
        let Some(most) = max_uses(self.dag, invite) else { return true };
        let Some(uses) = self.uses.get(&invite) else { return true };
        let subject = &self.dag.grants()[g].subject;
        if sure {
            uses.sure.contains(subject) || uses.may.len() - usize::from(uses.may.contains(subject)) < most
        } else {
            uses.may.contains(subject) || uses.sure.len() < most
        }
    }

    /// Notes whether a grant took a use of its invite.
    fn note_use(&mut self, g: GrantIdx, bounds: &Bounds) {
        let Some(invite) = self.dag.invite_behind(g) else { return };
        let (uses, grant) = (self.uses.entry(invite).or_default(), &self.dag.grants()[g]);
        if bounds.may_ok {
            uses.may.insert(grant.subject);
        }
        if bounds.sure_ok && self.past.has(grant.op) {
            uses.sure.insert(grant.subject);
        }
    }

    /// The Removes that end a grant. One that says again what surely ended it ends nothing in any part; one that says again what may
    /// have ended it bounds nothing surely.
    fn removes(&self, g: GrantIdx, bounds: &mut Bounds) {
        for (kill, reach) in self.dag.removes_reaching(g) {
            if self.dag.is_repeated(&bounds.sure_end, kill) {
                continue;
            }
            let first = !self.dag.is_repeated(&bounds.may_end, kill);
            if self.ends(kill, reach, g, true) {
                bounds.over.push(kill);
                bounds.sure_end.extend(first.then_some(kill));
            }
            if self.ends(kill, reach, g, false) {
                bounds.may_end.push(kill);
            }
        }
    }

    /// Whether a Remove that may end a grant does, whatever else does.
    fn ends(&self, kill: NodeIdx, reach: Reach, g: GrantIdx, sure: bool) -> bool {
        let (dag, op) = (self.dag, self.dag.grants()[g].op);
        let Some(auth) = dag.node(kill).auth.filter(|_| self.has(kill, op, sure)) else { return false };
        let hits = match reach {
            Reach::Role => true,
            Reach::Above => !dag.in_past(kill, op),
            Reach::Named => !dag.in_past(kill, op) || self.bans_return(kill, auth, g, sure),
        };
        hits && dag.seniority(auth, g).is_lt() && self.admissible(kill, sure) && !self.shields(g, kill, !sure)
    }

    /// Whether the account stood above the author of a Remove, by what he knew: in every part, or in some.
    fn shields(&self, g: GrantIdx, kill: NodeIdx, sure: bool) -> bool {
        let above = |h: GrantIdx| {
            let Some(bounds) = self.decided.get(&h) else { return !sure };
            let (ok, ends) = if sure { (bounds.sure_ok, &bounds.may_end) } else { (bounds.may_ok, &bounds.over) };
            ok && !ends.iter().any(|end| self.dag.in_past(*end, kill))
        };
        self.dag.above(&self.dag.grants()[g].subject, kill).any(above)
    }

    /// Whether a grant made knowing the Remove `kill` is forbidden all the same: by a ban in it, or as given by an invite of before.
    fn bans_return(&self, kill: NodeIdx, auth: GrantIdx, g: GrantIdx, sure: bool) -> bool {
        let bans = matches!(&self.dag.node(kill).control, Control::Remove(remove) if remove.ban);
        let junior = || self.dag.grants()[g].parent.is_some_and(|parent| self.dag.seniority(parent, auth).is_gt());
        let lifted = || self.unbans(kill, self.dag.grants()[g].op).any(|unban| self.admissible(unban, !sure));
        (bans || by_old_invite(self.dag, kill, g)) && junior() && !lifted()
    }

    /// The Unbans of `kill` that `op` knew.
    fn unbans(&self, kill: NodeIdx, op: NodeIdx) -> impl Iterator<Item = NodeIdx> {
        let unbans = self.dag.kinds().unbans.get(&kill).map_or(&[][..], Vec::as_slice);
        unbans.iter().copied().filter(move |unban| self.dag.in_past(*unban, op))
    }

    /// The Leaves that end a grant whose Removes are known.
    fn leaves(&self, g: GrantIdx, own: &Bounds, sure: bool) -> Vec<NodeIdx> {
        let (dag, op) = (self.dag, self.dag.grants()[g].op);
        let removals = |ends: &[NodeIdx]| -> Vec<NodeIdx> {
            let removal = |end: &&NodeIdx| matches!(dag.node(**end).control, Control::Remove(_));
            ends.iter().filter(removal).copied().collect()
        };
        let of_own = if sure { &own.may_end } else { &own.sure_end };
        let whoever = Bounds { may_ok: true, sure_ok: true, ..own.clone() };
        let ends = |leave: &NodeIdx| {
            let Some(auth) = dag.node(*leave).auth.filter(|_| self.has(*leave, op, sure)) else { return false };
            if dag.takes_back(*leave, g) && self.admits(*leave, g, &whoever, sure) {
                return true;
            }
            if (auth != g && dag.seniority(auth, g).is_gt()) || dag.in_past(*leave, op) {
                return false;
            }
            let Some(of_auth) = (if auth == g { Some(own) } else { self.decided.get(&auth) }) else { return !sure };
            let of_auth = Bounds {
                may_ok: of_auth.may_ok,
                sure_ok: of_auth.sure_ok,
                may_end: removals(&of_auth.may_end),
                sure_end: removals(&of_auth.sure_end),
                over: Vec::new(),
            };
            of_own.iter().all(|kill| inside(dag, *kill, *leave)) && self.admits(*leave, auth, &of_auth, sure)
        };
        let mut found = Vec::new();
        for leave in self.leaves_of(g) {
            if !dag.is_repeated(&found, leave) && ends(&leave) {
                found.push(leave);
            }
        }
        found
    }

    fn leaves_of(&self, g: GrantIdx) -> impl Iterator<Item = NodeIdx> {
        self.dag.leaves_of(&self.dag.grants()[g].subject).iter().copied().filter(|leave| self.view.has(*leave))
    }

    fn closings(&self, invite: NodeIdx) -> impl Iterator<Item = NodeIdx> {
        let revokes = self.dag.kinds().revokes.get(&invite).map_or(&[][..], Vec::as_slice);
        revokes.iter().copied().filter(|revoke| self.view.has(*revoke))
    }

    /// Whether an event counts: in every part that has it, or in some.
    fn admissible(&self, op: NodeIdx, sure: bool) -> bool {
        let Some(auth) = self.dag.node(op).auth else { return true };
        self.decided.get(&auth).map_or(!sure, |bounds| self.admits(op, auth, bounds, sure))
    }

    fn admits(&self, op: NodeIdx, auth: GrantIdx, bounds: &Bounds, sure: bool) -> bool {
        let ok = if sure { bounds.sure_ok } else { bounds.may_ok };
        let ends = if sure { &bounds.may_end } else { &bounds.sure_end };
        ok && ends.iter().all(|end| inside(self.dag, *end, op))
            && self.revocations(op, auth, bounds, sure).all(|fence| fence_holds(self.dag, fence, op))
    }

    /// The fences of the revocations of the device of `op` that may bind what it does under a grant; those that bind it in
    /// every part, if it is asked what may count.
    fn revocations(&self, op: NodeIdx, g: GrantIdx, bounds: &Bounds, sure: bool) -> impl Iterator<Item = &DeviceFence> {
        let subject = self.dag.grants()[g].subject;
        let ends: Vec<NodeIdx> = if sure { bounds.sure_end.clone() } else { bounds.may_end.clone() };
        let binds = move |at: NodeIdx| {
            self.has(at, op, !sure)
                && self.dag.node(at).author == subject
                && ends.iter().all(|end| inside(self.dag, *end, at))
        };
        let revokes = self.dag.device_revokes(&self.dag.node(op).event.device()).iter();
        revokes.filter(move |(at, _)| binds(*at)).map(|(_, fence)| fence)
    }
}
