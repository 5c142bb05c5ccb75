//! Resolution kept up to date: one more event, and only what it may change is decided again.
//!
//! A decision reads what is more senior, so a change spreads from the senior to the junior: grants to be decided again
//! wait in the order of seniority, and each that comes out otherwise sends those that depended on it. The usual event
//! makes at most one grant and sends nobody.

use std::collections::{BTreeSet, HashMap};

use super::Resolved;
use super::decide::{fence_holds, max_uses};
use super::settings::{self, Key};
use crate::control::{Control, Remove, Target};
use crate::dag::{Dag, GrantIdx, NodeIdx};
use crate::ids::AccountId;

/// What may be different after an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// Accounts that came, went, or have another grant or other devices.
    pub accounts: BTreeSet<AccountId>,
    /// Invites that came, were used, or opened or closed.
    pub invites: BTreeSet<NodeIdx>,
    /// Whether a setting or the policy was written.
    pub settings: bool,
}

/// What waits to be decided again.
#[derive(Debug, Default)]
struct Work {
    /// The event that came.
    at: NodeIdx,
    /// Grants with their places in the order of seniority.
    grants: BTreeSet<(usize, GrantIdx)>,
    /// Accounts of whose grants those from this one on were sent, by [`Dag::ranked_of`].
    sent: HashMap<AccountId, usize>,
    keys: BTreeSet<Key>,
    delta: Delta,
}

impl Delta {
    /// With what `later` changed.
    pub fn merge(&mut self, later: Self) {
        self.accounts.extend(later.accounts);
        self.invites.extend(later.invites);
        self.settings |= later.settings;
    }
}

impl Resolved {
    /// Takes one more event into the view, which holds its ancestors and nothing built on it. Afterwards all is as
    /// [`resolve`](super::resolve) would give it.
    pub fn advance(&mut self, dag: &Dag, at: NodeIdx) -> Delta {
        let mut work = Work { at, ..Work::default() };
        self.view.put(at);
        self.make_room(dag.grants().len());
        self.enter(dag, at, &mut work);
        while let Some((place, g)) = work.grants.pop_first() {
            self.decide_again(dag, g, &mut work);
            debug_assert!(
                work.grants.first().is_none_or(|next| next.0 > place),
                "changes spread from senior to junior"
            );
        }
        if !work.keys.is_empty() {
            self.replay(dag, &work.keys);
            work.delta.settings = true;
        }
        // Also whom the event names in vain: somebody may have handed him keys.
        let named = dag.grants_by(at).map(|g| &dag.grants()[g].subject);
        named.chain(&work.delta.accounts).for_each(|account| self.refresh_outsiders(dag, account));
        work.delta
    }

    /// What the event does by itself.
    fn enter(&mut self, dag: &Dag, at: NodeIdx, work: &mut Work) {
        let node = dag.node(at);
        match &node.control {
            Control::Genesis(_) | Control::Direct(_) | Control::Grant(_) | Control::Admit(_) => {
                dag.grants_by(at).for_each(|g| self.push(dag, g, work));
            }
            Control::State(_) | Control::Policy(_) => {
                if self.is_admissible(dag, at) {
                    self.settings.add(dag, at);
                    work.delta.settings = true;
                }
            }
            Control::AccountUpdate(update) => {
                for (device, fence) in update.revokes.iter().filter_map(|revoke| {
                    let fence = crate::control::RevokeFence::of(revoke, &dag.room())?;
                    Some((fence.device, fence))
                }) {
                    self.revoked.entry(device).or_default().push((at, fence));
                    let log = dag.logs().get(&device).map_or(&[][..], Vec::as_slice);
                    let beyond = log.iter().filter(|op| self.view.has(**op) && !fence_holds(dag, &fence, **op));
                    beyond.for_each(|op| {
                        self.touch(dag, *op, work);
                        self.touch_requests(dag, *op, work);
                    });
                }
                work.delta.accounts.insert(node.author);
            }
            Control::Remove(_) | Control::Leave(_) => self.strike(dag, at, work),
            // It lifts a ban for what is given knowing of it, and that is nothing yet.
            Control::Unban(_) => {}
            _ => self.touch(dag, at, work),
        }
        self.refresh_papers(dag, at, work);
    }

    /// Sends what an end that came just now ends, or closes. Nobody knows of it yet, so all else stays as it is: also what was ended
    /// before by the like of it.
    fn strike(&self, dag: &Dag, at: NodeIdx, work: &mut Work) {
        let node = dag.node(at);
        let mut hit = match &node.control {
            Control::Remove(Remove { target: Target::Account(account) | Target::Grant(_, account), .. }) => {
                dag.grants_of(account).to_vec()
            }
            Control::Remove(remove) => dag.targets(&remove.target).to_vec(),
            _ => dag.grants_of(&node.author).to_vec(),
        };
        if let Control::Remove(remove) = &node.control {
            if let Target::Invite(invite) = &remove.target {
                work.delta.invites.extend(dag.find(invite));
                let unheard = hit.iter().filter(|g| !dag.in_past(dag.grants()[**g].op, at));
                unheard.for_each(|g| self.push(dag, *g, work));
            }
            if remove.cascade {
                hit.extend(dag.subtree(&remove.target));
            }
        }
        let ends = |g: &GrantIdx| !dag.is_repeated(self.kills(*g), at) && self.would_end(dag, at, *g);
        hit.into_iter().filter(ends).for_each(|g| self.push(dag, g, work));
    }

    /// The devices that an event certifies or revokes.
    fn refresh_papers(&mut self, dag: &Dag, at: NodeIdx, work: &mut Work) {
        let entrants = |entrant: &crate::control::Entrant| entrant.device();
        let devices: Vec<_> = match &dag.node(at).control {
            Control::Genesis(genesis) => genesis.owners.iter().map(entrants).collect(),
            Control::Admit(admit) => vec![admit.join.entrant.device()],
            Control::AccountUpdate(update) => {
                let revoked = update.revokes.iter().map(|revoke| crate::ids::DeviceId(revoke.device_pk));
                update.devices.iter().map(crate::control::NewDevice::device).chain(revoked).collect()
            }
            _ => return,
        };
        let known = devices.iter().filter_map(|device| dag.device_no(device));
        let accounts: BTreeSet<AccountId> =
            known.flat_map(|no| dag.devices()[no].certs.iter().map(|(_, account)| *account)).collect();
        accounts.iter().for_each(|account| self.refresh_devices(dag, account));
        work.delta.accounts.extend(accounts);
    }

    /// Sends those whose decision asks whether `op` counts.
    fn touch(&self, dag: &Dag, op: NodeIdx, work: &mut Work) {
        let node = dag.node(op);
        match &node.control {
            Control::Genesis(_) | Control::Direct(_) | Control::Grant(_) | Control::Admit(_) => {
                dag.grants_by(op).for_each(|g| self.push(dag, g, work));
            }
            Control::Invite(_) => self.touch_invite(dag, op, work),
            Control::InviteRevoke(revoke) => {
                if let Some(invite) = dag.find(&revoke.invite) {
                    self.touch_invite(dag, invite, work);
                }
            }
            Control::Remove(remove) => {
                if let Target::Invite(invite) = &remove.target
                    && let Some(invite) = dag.find(invite)
                {
                    self.touch_invite(dag, invite, work);
                }
                self.push_named(dag, node.auth, &remove.target, work);
                if remove.cascade {
                    self.push_junior(dag, node.auth, &dag.subtree(&remove.target), work);
                }
            }
            Control::Unban(unban) => {
                let removal = dag.find(&unban.removal).map(|at| &dag.node(at).control);
                if let Some(Control::Remove(remove)) = removal {
                    self.push_named(dag, node.auth, &remove.target, work);
                }
            }
            Control::Leave(_) => {
                self.push_account(dag, node.auth, &node.author, work);
                if let Some(auth) = node.auth {
                    self.push(dag, auth, work);
                }
            }
            Control::State(_) | Control::Policy(_) => work.keys.extend(settings::keys(&node.control)),
            Control::AccountUpdate(_)
            | Control::Rotate(_)
            | Control::KeyComplaint(_)
            | Control::Decline(_)
            | Control::EquivProof(_)
            | Control::Unknown(_) => {}
        }
    }

    /// Sends the grants by requests that a Leave takes back: that asks for nothing but the Leave itself and what ends the grant, so it
    /// may end grants more senior than the one it was made under.
    fn touch_requests(&self, dag: &Dag, op: NodeIdx, work: &mut Work) {
        if let Control::Leave(_) = &dag.node(op).control {
            let theirs = dag.grants_of(&dag.node(op).author).iter().copied();
            theirs.filter(|g| dag.takes_back(op, *g)).for_each(|g| self.push(dag, g, work));
        }
    }

    fn touch_invite(&self, dag: &Dag, invite: NodeIdx, work: &mut Work) {
        work.delta.invites.insert(invite);
        dag.grants_by_invite(invite).iter().for_each(|g| self.push(dag, *g, work));
    }

    fn push(&self, dag: &Dag, g: GrantIdx, work: &mut Work) {
        #[cfg(test)]
        crate::steps::note();
        if self.view.has(dag.grants()[g].op) {
            work.grants.insert((dag.place(g), g));
        }
    }

    /// Sends what `target` names, as far as it is junior to `auth`: of one grant all of the account, which may end with it.
    fn push_named(&self, dag: &Dag, auth: Option<GrantIdx>, target: &Target, work: &mut Work) {
        match target {
            Target::Account(account) | Target::Grant(_, account) => self.push_account(dag, auth, account, work),
            Target::Invite(_) => self.push_junior(dag, auth, dag.targets(target), work),
        }
    }

    /// Sends the grants of an account that are junior to `auth`. Those that were sent before wait still: whoever sends stands above
    /// them, and changes spread from senior to junior.
    fn push_account(&self, dag: &Dag, auth: Option<GrantIdx>, account: &AccountId, work: &mut Work) {
        let Some(auth) = auth else { return };
        let theirs = dag.ranked_of(account);
        let first = dag.rank_below(account, auth);
        let sent = work.sent.get(account).copied().unwrap_or(theirs.len());
        if first < sent {
            theirs[first..sent].iter().for_each(|g| self.push(dag, *g, work));
            work.sent.insert(*account, first);
        }
    }

    /// Sends those of `grants` that are junior to `auth`.
    fn push_junior(&self, dag: &Dag, auth: Option<GrantIdx>, grants: &[GrantIdx], work: &mut Work) {
        let Some(auth) = auth else { return };
        for g in grants.iter().filter(|g| dag.seniority(auth, **g).is_lt()) {
            self.push(dag, *g, work);
        }
    }

    /// Decides one grant; if it comes out otherwise, sends those that depended on it.
    fn decide_again(&mut self, dag: &Dag, g: GrantIdx, work: &mut Work) {
        let (was_fit, was_ok, was_live) = (self.fit[g], self.ok[g], self.is_live(g));
        self.fit[g] = self.fits(dag, g);
        self.decide_uses(dag, g, was_fit, work);
        let kills = self.kills_of(dag, g);
        let was_killed = std::mem::replace(&mut self.kills[g], kills);
        if was_ok != self.ok[g] || was_killed != self.kills[g] {
            self.spread(dag, g, was_ok, &was_killed, work);
        }
        if was_live != self.is_live(g) {
            self.choose_grant(dag, g, work);
        }
    }

    /// Whether the invite has a use for the grant, and who else gains or loses one by that.
    fn decide_uses(&mut self, dag: &Dag, g: GrantIdx, was_fit: bool, work: &mut Work) {
        let was_ok = self.ok[g];
        let Some(invite) = dag.invite_behind(g) else {
            self.ok[g] = self.fit[g];
            return;
        };
        let enough = max_uses(dag, invite).is_none_or(|most| dag.grants_by_invite(invite).len() <= most);
        if enough {
            self.ok[g] = self.fit[g];
        } else if let Some(elder) = self.elder_by(dag, invite, g) {
            // Nobody takes a second use: it goes as it went with the first one.
            self.ok[g] = self.fit[g] && self.ok[elder];
        } else {
            self.ok[g] = false;
            for (other, takes) in self.by_uses(dag, invite) {
                if other == g {
                    self.ok[g] = takes;
                } else if takes != self.ok[other] && was_fit != self.fit[g] {
                    self.push(dag, other, work);
                }
            }
        }
        if was_ok != self.ok[g] {
            work.delta.invites.insert(invite);
            let subject = dag.grants()[g].subject;
            let uses = self.uses.entry(invite).or_default();
            let count = uses.entry(subject).or_default();
            *count = if self.ok[g] { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                uses.remove(&subject);
            }
        }
    }

    /// The most senior grant that fits of the account of `g` by this invite, if that is not `g`, nor junior to it.
    fn elder_by(&self, dag: &Dag, invite: NodeIdx, g: GrantIdx) -> Option<GrantIdx> {
        let mut elders = dag.ranked_of(&dag.grants()[g].subject).iter().copied().take_while(|h| *h != g);
        elders.find(|h| self.fit[*h] && dag.invite_behind(*h) == Some(invite))
    }

    /// Sends those whose decision asked about the grant, which was `was_ok` and ended by `was_killed`.
    fn spread(&self, dag: &Dag, g: GrantIdx, was_ok: bool, was_killed: &[NodeIdx], work: &mut Work) {
        let kills = &self.kills[g];
        let new = kills.iter().filter(|kill| !was_killed.contains(kill));
        let changed: Vec<NodeIdx> =
            new.chain(was_killed.iter().filter(|kill| !kills.contains(kill))).copied().collect();
        let subject = &dag.grants()[g].subject;
        // What is senior to a remover keeps him from what is junior to him, if he knew of it: of what came just now nobody did.
        let known = was_ok != self.ok[g] || changed.iter().any(|kill| *kill != work.at);
        if dag.grants()[g].op != work.at && known {
            self.push_account(dag, Some(g), subject, work);
        }
        for op in dag.under(g).iter().copied().filter(|op| self.view.has(*op)) {
            let counted = self.admits(dag, op, g, was_ok, was_killed);
            let counts = self.admits(dag, op, g, self.ok[g], kills);
            match &dag.node(op).control {
                // A Leave looks at removals alone.
                Control::Leave(_) => self.push_account(dag, Some(g), subject, work),
                Control::Invite(_) => {
                    work.delta.invites.insert(op);
                    for admitted in dag.grants_by_invite(op) {
                        let admit = dag.grants()[*admitted].op;
                        if counted != counts || changed.iter().any(|kill| !dag.in_past(admit, *kill)) {
                            self.push(dag, *admitted, work);
                        }
                    }
                }
                _ if counted != counts => self.touch(dag, op, work),
                _ => {}
            }
        }
    }

    /// The most senior live grant of an account, after `g` came to life or ended.
    fn choose_grant(&mut self, dag: &Dag, g: GrantIdx, work: &mut Work) {
        let account = dag.grants()[g].subject;
        let before = self.members.get(&account).copied();
        let best = if self.is_live(g) {
            before.into_iter().chain([g]).min_by_key(|g| dag.place(*g))
        } else if before == Some(g) {
            // It was the most senior one.
            let mut theirs = dag.ranked_of(&account).iter().skip(dag.rank_below(&account, g)).copied();
            theirs.find(|g| {
                #[cfg(test)]
                crate::steps::note();
                self.is_live(*g)
            })
        } else {
            before
        };
        match best {
            Some(best) => self.members.insert(account, best),
            None => self.members.remove(&account),
        };
        work.delta.accounts.insert(account);
        if before.is_some() != best.is_some() {
            self.refresh_devices(dag, &account);
        }
    }
}
