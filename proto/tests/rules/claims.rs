//! The claims about resolution, checked in random histories.

use std::collections::BTreeSet;

use parlor_proto::EventId;
use parlor_proto::control::{Control, Target};
use parlor_proto::dag::{Dag, GrantIdx, Insert, NodeIdx, Reach, Set};
use parlor_proto::event::Event;
use parlor_proto::resolve::{Delta, Resolved, resolve};
use rand::RngExt as _;

use crate::people::{PEOPLE, person};
use crate::summary::{Summary, name};
use crate::world::{How, Who, World};
use crate::{CROWD, run, run_many};

/// All events in another order that keeps ancestors first.
fn shuffled(world: &mut World) -> Vec<Event> {
    let mut waiting: Vec<NodeIdx> = (0..world.dag.len()).collect();
    let mut done = Set::default();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let ready: Vec<usize> = (0..waiting.len()).filter(|n| world.dag.node(waiting[*n]).past.within(&done)).collect();
        let at = waiting.swap_remove(*world.pick(&ready));
        done.put(at);
        order.push(world.dag.node(at).event.clone());
    }
    order
}

/// C1: in another order, one event at a time, all comes out as from scratch.
pub(crate) fn grown_is_as_from_scratch(world: &mut World) {
    let mut dag = Dag::new(world.dag.room());
    let mut grown = Resolved::default();
    for event in shuffled(world) {
        let Insert::New(at) = dag.insert_stored(&event) else { panic!("valid in any order") };
        grown.advance(&dag, at);
    }
    let scratch = Summary::of(&world.dag, &resolve(&world.dag, &world.everything));
    assert_eq!(Summary::of(&dag, &grown), scratch);
}

#[test]
fn two_thousand_hostile_histories_come_out_alike_in_any_order() {
    run_many(21, CROWD, |_| {});
}

#[test]
fn another_two_thousand_hostile_histories_come_out_alike_in_any_order() {
    run_many(22, CROWD, |_| {});
}

#[test]
fn a_third_two_thousand_hostile_histories_come_out_alike_in_any_order() {
    run_many(23, CROWD, |_| {});
}

#[test]
fn a_fourth_two_thousand_hostile_histories_come_out_alike_in_any_order() {
    run_many(24, CROWD, |_| {});
}

/// Without the leaf event `at`.
fn without(dag: &Dag, view: &Set, at: NodeIdx) -> Set {
    let mut rest = view.clone();
    rest.take(at);
    debug_assert!(rest.iter().all(|other| !dag.node(other).past.has(at)), "a leaf");
    rest
}

fn leaves(world: &World) -> Vec<NodeIdx> {
    world.dag.frontier().iter().filter_map(|id| world.dag.find(id)).filter(|at| *at > 1).collect()
}

#[test]
fn the_incremental_resolver_equals_the_one_from_scratch_after_every_event_in_any_order() {
    run(11, |world| {
        let events = shuffled(world);
        let mut dag = Dag::new(world.dag.room());
        let mut kept = Resolved::default();
        let mut before: Option<(Summary, Resolved)> = None;
        for event in &events {
            let Insert::New(at) = dag.insert_stored(event) else { panic!("valid in any order") };
            let delta = kept.advance(&dag, at);
            let scratch = resolve(&dag, &Set::below(dag.len()));
            let summary = Summary::of(&dag, &scratch);
            assert_eq!(Summary::of(&dag, &kept), summary, "after {:?}", dag.node(at).control);
            if let Some((old, _)) = &before {
                told(&dag, old, &summary, &delta);
            }
            before = Some((summary, scratch));
        }
        let all = resolve(&world.dag, &world.everything);
        assert_eq!(before.map(|(summary, _)| summary), Some(Summary::of(&world.dag, &all)));
    });
}

/// What changed was named.
fn told(dag: &Dag, old: &Summary, new: &Summary, delta: &Delta) {
    let accounts = old.members.keys().chain(new.members.keys()).collect::<BTreeSet<_>>();
    for account in accounts {
        let same = old.members.get(account) == new.members.get(account);
        assert!(same || delta.accounts.contains(account), "a member changed and nobody was told");
    }
    for device in old.live.symmetric_difference(&new.live) {
        let no = dag.device_no(device).unwrap();
        let told = dag.devices()[no].certs.iter().any(|(_, account)| delta.accounts.contains(account));
        assert!(told, "a device changed and nobody was told");
    }
    for at in dag.kinds().invites.iter().copied() {
        let id = dag.node(at).event.id();
        let same = old.uses.get(&id) == new.uses.get(&id) && old.closed.contains(&id) == new.closed.contains(&id);
        assert!(same || delta.invites.contains(&at), "an invite changed and nobody was told");
    }
    let settings = (&old.settings, &old.policy) == (&new.settings, &new.policy);
    assert!(settings || delta.settings, "a setting changed and nobody was told");
}

#[test]
fn a_view_is_resolved_alike_from_scratch_and_grown_from_a_smaller_one() {
    run(12, |world| {
        let heads: Vec<NodeIdx> = (0..world.dag.len()).collect();
        let (a, b) = (*world.pick(&heads), *world.pick(&heads));
        let small = world.dag.past_of([a]);
        let mut large = small.clone();
        large.put_all(&world.dag.past_of([b]));
        let mut grown = resolve(&world.dag, &small);
        for at in large.without(&small) {
            grown.advance(&world.dag, at);
        }
        let scratch = resolve(&world.dag, &large);
        assert_eq!(Summary::of(&world.dag, &grown), Summary::of(&world.dag, &scratch));
    });
}

#[test]
fn nothing_a_junior_writes_touches_a_senior() {
    run(13, |world| {
        let all = resolve(&world.dag, &world.everything);
        for at in leaves(world) {
            let node = world.dag.node(at);
            let Some(auth) = node.auth else { continue };
            let rest = resolve(&world.dag, &without(&world.dag, &world.everything, at));
            for g in 0..world.dag.grants().len() {
                // Whoever leaves takes back his own request, whoever let him in by it.
                let own = matches!(node.control, Control::Leave(_)) && world.dag.takes_back(at, g);
                if world.dag.seniority(g, auth).is_lt() && !own {
                    assert_eq!(all.is_live(g), rest.is_live(g), "{:?} touched {g}", node.control);
                }
                // Nor what somebody has or had beside a grant by which he stands above the remover, who knew it.
                let account = world.dag.grants()[g].subject;
                let removes = matches!(node.control, Control::Remove(_)) && account != node.author;
                if removes && world.dag.above(&account, at).any(|h| rest.is_live(h)) {
                    assert_eq!(all.kills(g), rest.kills(g), "{:?} touched {g} of a senior", node.control);
                }
            }
        }
    });
}

#[test]
fn whoever_is_removed_is_silent_whatever_he_backdates_forks_leaves_or_revokes() {
    run(14, |world| {
        let before = Summary::of(&world.dag, &resolve(&world.dag, &world.everything));
        let known: BTreeSet<EventId> = world.dag.nodes().iter().map(|node| node.event.id()).collect();
        // Those who are removed go on, with old parents and on other branches.
        let removed = all_removed(world);
        for _ in 0..12 {
            if removed.is_empty() {
                return;
            }
            let who = *world.pick(&removed);
            let how = world.doctor(who);
            if let Some(control) = world.idea(who, how.view.as_ref()) {
                world.write(who, &control, how);
            }
        }
        let mut after = Summary::of(&world.dag, &resolve(&world.dag, &world.everything));
        after.ok.retain(|(op, _)| known.contains(op));
        after.kills.retain(|(op, _), _| known.contains(op));
        after.closed.retain(|invite| known.contains(invite));
        // A device is its account's by the word of the account's root, whoever brings it.
        after.live.clone_from(&before.live);
        // What they write in vain brings in people who are out.
        after.outsiders.clone_from(&before.outsiders);
        assert_eq!(after, before);
    });
}

#[test]
fn who_says_again_that_somebody_is_out_changes_nothing_however_little_he_says_to_have_seen() {
    let met = std::cell::Cell::new(0_u32);
    run(26, |world| {
        let devices: Vec<Who> = (0..PEOPLE).map(|n| (n, 0)).filter(|who| world.grant_of(*who).is_some()).collect();
        for _ in 0..6 {
            let (who, whom) = (*world.pick(&devices), *world.pick(&devices));
            if world.remove(who, whom, false, false).is_none() {
                continue;
            }
            let before = Summary::of(&world.dag, &resolve(&world.dag, &world.everything));
            let (auth, view) = (world.grant_of(who).unwrap(), world.view(who));
            let target = Target::Account(person(whom.0).account());
            let mut again = world.removal(auth, target, false, false, &view);
            again.fence.clear();
            world.write(who, &Control::Remove(again), How::default()).unwrap();
            assert_eq!(Summary::of(&world.dag, &resolve(&world.dag, &world.everything)), before);
            met.set(met.get() + 1);
        }
        grown_is_as_from_scratch(world);
    });
    assert!(met.get() > 100 || std::env::var("PARLOR_SIM_SEED").is_ok(), "{}", met.get());
}

/// The devices of those all of whose grants were ended by removals.
fn all_removed(world: &World) -> Vec<Who> {
    let resolved = resolve(&world.dag, &world.everything);
    let removal = |at: &NodeIdx| matches!(world.dag.node(*at).control, Control::Remove(_));
    let gone = |n: &usize| {
        let grants = world.dag.grants_of(&person(*n).account());
        let ended = |g: &GrantIdx| !resolved.is_ok(*g) || resolved.kills(*g).iter().any(removal);
        !grants.is_empty() && grants.iter().all(ended)
    };
    let devices = (0..PEOPLE).filter(gone).map(|n| (n, 0));
    devices.filter(|who| !world.log(*who).is_empty() || world.grant_of(*who).is_some()).collect()
}

#[test]
fn of_roles_given_apart_none_stands_that_a_junior_gave_of_a_senior_who_took_another_away() {
    let met = std::cell::Cell::new(0_u32);
    run(25, |world| {
        let (dag, all) = (&world.dag, resolve(&world.dag, &world.everything));
        for (g, grant) in dag.grants().iter().enumerate() {
            if !matches!(dag.node(grant.op).control, Control::Grant(_)) {
                continue;
            }
            let (giver, theirs) = (grant.parent.unwrap(), dag.grants_of(&grant.subject));
            for h in theirs.iter().copied().filter(|h| *h != g) {
                let apart = |kill: &NodeIdx| !dag.in_past(*kill, grant.op) && !dag.in_past(grant.op, *kill);
                let senior = |kill: &NodeIdx| dag.seniority(dag.node(*kill).auth.unwrap(), giver).is_lt();
                let named = |kill: &NodeIdx| matches!(&dag.node(*kill).control, Control::Remove(remove) if matches!(remove.target, Target::Grant(..)) && dag.targets(&remove.target) == [h]);
                let taken = all.kills(h).iter().any(|kill| named(kill) && senior(kill) && apart(kill));
                met.set(met.get() + u32::from(taken));
                assert!(!taken || !all.is_live(g), "{:?}", name(dag, g));
            }
        }
    });
    assert!(met.get() > 10 || std::env::var("PARLOR_SIM_SEED").is_ok(), "{}", met.get());
}

#[test]
fn nobody_comes_by_the_open_invites_of_somebody_who_was_removed() {
    run(15, |world| {
        let before = resolve(&world.dag, &world.everything);
        let invites = world.dag.kinds().invites.clone();
        let dead: Vec<NodeIdx> = invites
            .into_iter()
            .filter(|at| world.dag.node(*at).auth.is_some_and(|maker| !before.kills(maker).is_empty()))
            .collect();
        let members: Vec<usize> =
            (0..PEOPLE).filter(|n| before.members().contains_key(&person(*n).account())).collect();
        if members.is_empty() {
            return;
        }
        for invite in dead {
            let (sponsor, joiner) = (*world.pick(&members), world.rng.random_range(0..PEOPLE));
            // A sponsor who has not heard of the removal.
            let view = world.dag.past_of([invite]);
            let how = How { view: Some(view), after: None };
            let Some(auth) = world.grant_of((sponsor, 0)) else { continue };
            let Some(admit) = world.admission(auth, invite, (joiner, 0)) else { continue };
            let Some(at) = world.write((sponsor, 0), &Control::Admit(Box::new(admit)), how) else { continue };
            let after = resolve(&world.dag, &world.everything);
            let maker = world.dag.node(invite).auth.unwrap();
            let unseen = after.kills(maker).iter().any(|kill| !world.dag.in_past(at, *kill));
            for g in world.dag.grants_by(at).filter(|_| unseen) {
                assert!(!after.is_ok(g), "{:?} came by a dead invite", name(&world.dag, g));
            }
        }
    });
}

#[test]
fn no_invite_takes_more_than_it_says_and_the_first_owner_stays_unless_he_leaves() {
    run(16, |world| {
        let resolved = resolve(&world.dag, &world.everything);
        for at in &world.dag.kinds().invites {
            let Control::Invite(invite) = &world.dag.node(*at).control else { continue };
            assert!(resolved.uses(*at) <= invite.max_uses as usize);
            let live = world.dag.grants_by_invite(*at).iter().filter(|g| resolved.is_live(**g));
            let subjects: BTreeSet<_> = live.map(|g| world.dag.grants()[*g].subject).collect();
            assert!(subjects.len() <= invite.max_uses as usize);
        }
        let first = person(0).account();
        let left = world.dag.kinds().leaves.get(&first).is_some_and(|leaves| !leaves.is_empty());
        assert!(left || resolved.members().contains_key(&first), "the first owner is locked out");
    });
}

#[test]
fn a_fork_below_the_fence_undoes_nothing() {
    run(17, |world| {
        let resolved = resolve(&world.dag, &world.everything);
        let summary = Summary::of(&world.dag, &resolved);
        let removed = all_removed(world);
        for who in removed {
            let log = world.log(who);
            if log.is_empty() {
                continue;
            }
            // Another event in place of one that counted.
            let at = *world.pick(&log);
            let prev = world.dag.find(&world.dag.node(at).event.prev());
            let view = world.dag.node(at).past.clone();
            let auth = world.dag.node(at).auth;
            let Some(auth) = auth.map(|g| world.id(world.dag.grants()[g].op)) else { continue };
            let leave = Control::Leave(parlor_proto::control::Leave { auth, fence: Vec::new() });
            let Some(fork) = world.write(who, &leave, How { view: Some(view), after: prev }) else { continue };
            if prev.is_some() {
                assert!(world.dag.forked().contains(&world.dag.node(fork).event.device()));
            }
        }
        let after = resolve(&world.dag, &world.everything);
        assert_eq!(Summary::of(&world.dag, &after).members, summary.members);
        let (a, b) = (Summary::of(&world.dag, &after), summary);
        assert_eq!((a.ok, a.uses, a.settings), (b.ok, b.uses, b.settings));
    });
}

/// What was to be decided in a history.
#[derive(Debug, Default)]
struct Met {
    removed: usize,
    cascaded: usize,
    returned: usize,
    kept_out: usize,
    left: usize,
    vain_leaves: usize,
    beyond_fences: usize,
    cut_off: usize,
    used_up: usize,
    forked: usize,
}

impl Met {
    fn look(&mut self, world: &World) {
        let (dag, all) = (&world.dag, resolve(&world.dag, &world.everything));
        self.forked += dag.forked().len();
        for (g, grant) in dag.grants().iter().enumerate() {
            let is_leave = |at: &&NodeIdx| matches!(dag.node(**at).control, Control::Leave(_));
            let names = |at: &&NodeIdx| dag.reach(**at, g) == Some(Reach::Named);
            let kills = || all.kills(g).iter();
            self.removed += kills().filter(|at| names(at)).count();
            self.left += kills().filter(is_leave).count();
            self.cascaded += kills().filter(|at| !is_leave(at) && !names(at)).count();
            self.kept_out += kills().filter(|at| dag.in_past(**at, grant.op)).count();
            let named = dag.removes_reaching(g).into_iter().filter(|(_, reach)| *reach == Reach::Named);
            let knew = named.into_iter().any(|(at, _)| dag.in_past(at, grant.op) && all.is_admissible(dag, at));
            self.returned += usize::from(knew && all.is_live(g));
            let fits = dag.invite_behind(g).is_some_and(|invite| all.is_admissible(dag, invite));
            let closed = dag.invite_behind(g).is_some_and(|invite| all.is_closed(dag, invite));
            self.used_up += usize::from(fits && !closed && all.is_admissible(dag, grant.op) && !all.is_ok(g));
        }
        for leave in dag.kinds().leaves.values().flatten() {
            self.vain_leaves += usize::from((0..dag.grants().len()).all(|g| !all.kills(g).contains(leave)));
        }
        for at in 0..dag.len() {
            let Some(auth) = dag.node(at).auth.filter(|auth| all.is_ok(*auth) && !all.is_admissible(dag, at)) else {
                continue;
            };
            self.beyond_fences += usize::from(!all.kills(auth).is_empty());
            self.cut_off += usize::from(all.kills(auth).is_empty());
        }
    }

    fn least(&self) -> usize {
        let plain = [self.removed, self.cascaded, self.returned, self.kept_out, self.left, self.vain_leaves];
        let odd = [self.beyond_fences, self.cut_off, self.used_up, self.forked];
        plain.into_iter().chain(odd).min().unwrap_or_default()
    }
}

#[test]
fn the_random_histories_hold_everything_that_is_hard_to_decide() {
    let mut met = Met::default();
    for seed in 0..150 {
        let mut world = World::new(18_000_000 + seed);
        world.play();
        met.look(&world);
    }
    assert!(met.least() >= 5, "{met:?}");
}
