//! Who may have been in between two views: what makes an epoch safe (C19), and what former members can not spoil.

use std::cell::Cell;

use parlor_proto::control::{
    AccountUpdate, Control, GrantRole, Invite, MessageFate, RevokeFence, Role, Sponsor, Target,
};
use parlor_proto::dag::{NodeIdx, Set};
use parlor_proto::resolve::resolve;
use rand::RngExt as _;

use crate::people::{PEOPLE, person};
use crate::run_many;
use crate::world::{FOUNDER, How, Who, World, unaware, world};

/// Whether an epoch made on `past` for all who were live there is safe in `view`, leaving aside whom it reaches.
fn safe(world: &World, past: &Set, view: &Set) -> bool {
    let recipients = resolve(&world.dag, past).live().clone();
    let now = resolve(&world.dag, view);
    recipients.within(now.live()) && now.let_in_nobody_else(&world.dag, past, None)
}

/// A weaker role for `whom`, and the end of the stronger one, by somebody who knows `view`.
fn demote(world: &mut World, who: Who, whom: Who, view: &Set) -> Option<()> {
    let account = person(whom.0).account();
    let auth = world.grant_of(who)?;
    let theirs = world.dag.grants_of(&account).iter().copied().filter(|g| view.has(world.dag.grants()[*g].op));
    let had = theirs.min_by_key(|g| world.dag.place(*g))?;
    let role: GrantRole = world.grant_role(auth, account, Role::Member);
    let given = world.write(who, &Control::Grant(role), unaware(view))?;
    let mut knows = view.clone();
    knows.put_all(&world.dag.past_of([given]));
    let target = Target::Grant(world.id(world.dag.grants()[had].op), account);
    let mut remove = world.removal(auth, target, false, false, &knows);
    remove.messages = MessageFate::Kept;
    world.write(who, &Control::Remove(remove), unaware(&knows)).map(|_| ())
}

#[test]
fn an_epoch_goes_when_a_removal_it_knew_was_undone_by_a_change_of_role_and_done_again_by_another() {
    let mut world = world(1);
    let [senior, junior, bob] = world.with(&[Role::Admin, Role::Admin, Role::Member])[..] else { unreachable!() };
    let before = world.view(FOUNDER);
    let removal = world.remove(junior, bob, false, false).unwrap();
    let past = world.dag.past_of([removal]);
    // Who does not know of it makes the junior a member, so it does not count; who knows of neither demotes the senior, so
    // it counts after all.
    demote(&mut world, senior, junior, &before).unwrap();
    let undone = world.everything.clone();
    assert!(world.is_member(bob));
    demote(&mut world, FOUNDER, senior, &before).unwrap();
    let all = world.everything.clone();
    assert!(!world.is_member(bob) && world.is_member(senior) && world.is_member(junior));
    assert!(
        resolve(&world.dag, &past).live().within(resolve(&world.dag, &all).live()),
        "nobody it was made for is out"
    );
    assert!(!safe(&world, &past, &all), "he was a member meanwhile: {}", undone.len());
    assert!(safe(&world, &all, &all));
}

#[test]
fn an_epoch_goes_when_a_device_of_somebody_taken_back_was_revoked_meanwhile() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Member])[..] else { unreachable!() };
    let phone = (bob.0, 1);
    let update = AccountUpdate { devices: vec![person(bob.0).papers(1)], revokes: Vec::new() };
    world.write(bob, &Control::AccountUpdate(update), How::default()).unwrap();
    world.tell_all();
    let removal = world.remove(FOUNDER, bob, false, false).unwrap();
    let past = world.dag.past_of([removal]);
    world.give(FOUNDER, bob, Role::Member).unwrap();
    world.tell_all();
    assert!(safe(&world, &past, &world.everything.clone()), "who was taken back may have it");
    let fence = parlor_proto::control::DeviceFence { device: person(bob.0).device(1), control: None, message: None };
    let me = person(bob.0);
    let revoke = RevokeFence::revoke(&me.root(), me.account(), world.dag.room(), fence).unwrap();
    let update = AccountUpdate { devices: Vec::new(), revokes: vec![revoke] };
    world.write(bob, &Control::AccountUpdate(update), How::default()).unwrap();
    assert!(world.is_member(phone));
    assert!(!safe(&world, &past, &world.everything.clone()), "the phone may have the key");
}

#[test]
fn an_epoch_stays_when_others_let_in_again_whom_a_removal_it_knew_keeps_out_all_the_same() {
    for ban in [false, true] {
        let mut world = world(1);
        let [admin, bob] = world.with(&[Role::Admin, Role::Member])[..] else { unreachable!() };
        let before = world.view(FOUNDER);
        let removal = world.remove(FOUNDER, bob, ban, false).unwrap();
        let past = world.dag.past_of([removal]);
        // An admin who knows of no removal gives him another role; one who knows of the ban takes him back.
        let view = if ban { past.clone() } else { before };
        let role = world.grant_role(world.grant_of(admin).unwrap(), person(bob.0).account(), Role::Moderator);
        world.write(admin, &Control::Grant(role), unaware(&view)).unwrap();
        let all = world.everything.clone();
        assert!(!world.is_member(bob) && world.is_member(admin), "{ban}");
        assert!(safe(&world, &past, &all), "{ban}");
    }
}

#[test]
fn an_epoch_goes_when_who_removed_somebody_twice_had_seen_less_the_second_time_and_the_first_came_to_nothing() {
    let mut world = world(1);
    let [dora] = world.with(&[Role::Member])[..] else { unreachable!() };
    let roles = [0, 1].map(|_| world.give(FOUNDER, dora, Role::Admin).unwrap());
    world.tell_all();
    let [bob, carol] = world.with(&[Role::Admin, Role::Member])[..] else { unreachable!() };
    let auth = world.grant_of(FOUNDER).unwrap();
    let door = Invite { sponsor: Sponsor::Admin, ..world.invitation(auth, Role::Member, 5) };
    let door = world.write(FOUNDER, &Control::Invite(door), How::default()).unwrap();
    world.tell_all();
    let before = world.view(FOUNDER);
    let admin = world.give(bob, carol, Role::Admin).unwrap();
    world.tell_all();
    // By her first role Dora removes Bob as she has seen him, by the other one as if she had seen nothing of him.
    for (role, seen) in roles.into_iter().zip([true, false]) {
        let view = world.view(dora);
        let by = world.dag.grants_by(role).start;
        let mut remove = world.removal(by, Target::Account(person(bob.0).account()), false, false, &view);
        let fence = world.fence(person(bob.0).device(0), &view, false);
        remove.fence = [fence].into_iter().filter(|_| seen).collect();
        world.write(dora, &Control::Remove(remove), How::default()).unwrap();
    }
    let past = world.view(dora);
    // Carol is an admin by what Bob wrote, and lets somebody in.
    world.tell(carol, dora);
    let guest = (9, 0);
    let admit = world.admission(world.dag.grants_by(admin).start, door, guest).unwrap();
    world.write(carol, &Control::Admit(Box::new(admit)), How::default()).unwrap();
    assert!(world.is_member(guest));
    // The first role is taken from Dora by who has heard of nothing, so her second removal is the first that counts.
    let target = Target::Grant(world.id(roles[0]), person(dora.0).account());
    let mut remove = world.removal(auth, target, false, false, &before);
    remove.fence = vec![world.fence(person(dora.0).device(0), &before, false)];
    world.write(FOUNDER, &Control::Remove(remove), unaware(&before)).unwrap();
    let all = world.everything.clone();
    assert!(!world.is_member(guest) && world.is_member(carol) && world.is_member(dora) && !world.is_member(bob));
    let live = |view: &Set| resolve(&world.dag, view).live().clone();
    assert!(live(&past).within(&live(&all)), "nobody it was made for is out");
    assert!(!safe(&world, &past, &all), "the guest was a member meanwhile");
}

#[test]
fn nothing_a_former_member_writes_makes_an_epoch_unsafe_that_knew_his_removal() {
    let kept = Cell::new(0);
    run_many(20, 150, |world| {
        let members = |world: &World| -> Vec<usize> {
            let resolved = resolve(&world.dag, &world.everything);
            (1..PEOPLE).filter(|n| resolved.members().contains_key(&person(*n).account())).collect()
        };
        let Some(n) = members(world).into_iter().find(|n| world.grant_of((*n, 0)).is_some()) else { return };
        world.tell(FOUNDER, (n, 0));
        let before = world.view(FOUNDER);
        if world.remove(FOUNDER, (n, 0), false, false).is_none() || members(world).contains(&n) {
            return;
        }
        let past = world.everything.clone();
        world.tell((n, 0), FOUNDER);
        for turn in 0..6 {
            let who = (n, 0);
            let how = if turn % 2 == 0 { unaware(&before) } else { How::default() };
            let control = match turn {
                0 | 1 => Control::AccountUpdate(AccountUpdate {
                    devices: vec![person(n).papers(1 + turn)],
                    revokes: Vec::new(),
                }),
                _ => match world.idea(who, how.view.as_ref()) {
                    Some(control) => control,
                    None => continue,
                },
            };
            kept.set(kept.get() + usize::from(world.write(who, &control, how).is_some()));
            assert!(safe(world, &past, &world.everything.clone()), "{control:?}");
        }
    });
    assert!(kept.get() > 100 || std::env::var("PARLOR_SIM_SEED").is_ok(), "{}", kept.get());
}

/// C19: whoever holds the key of an epoch knows its past, and hands it on by what he knows beside.
#[test]
fn an_epoch_is_safe_only_if_nobody_who_is_out_was_live_in_any_view_between() {
    let met = Cell::new((0_u32, 0_u32, 0_u32));
    run_many(19, 120, |world| {
        contest(world);
        let all: Vec<NodeIdx> = (0..world.dag.len()).collect();
        for _ in 0..4 {
            let made = *world.pick(&all);
            let past = world.dag.past_of([made]);
            let mut view = past.clone();
            for _ in 0..world.rng.random_range(1..5) {
                let head = *world.pick(&all);
                view.put_all(&world.dag.past_of([head]));
            }
            let (mut cases, mut kept, mut in_vain) = met.get();
            cases += 1;
            if resolve(&world.dag, &past).live().within(resolve(&world.dag, &view).live()) {
                let leaked = leaks(world, &past, &view);
                let safe = safe(world, &past, &view);
                assert!(!safe || !leaked, "somebody who is out was live meanwhile");
                kept += u32::from(safe);
                in_vain += u32::from(!safe && !leaked);
            }
            met.set((cases, kept, in_vain));
        }
    });
    let (cases, kept, in_vain) = met.get();
    // One history alone has four cases.
    let enough = std::env::var("PARLOR_SIM_SEED").is_err();
    assert!(!enough || in_vain * 5 < kept, "{kept} of {cases} are safe, {in_vain} given up in vain");
    println!("{kept} of {cases} are safe, {in_vain} given up in vain");
}

/// Whether somebody who is out of `view` was live in one of many views between it and `past`.
fn leaks(world: &mut World, past: &Set, view: &Set) -> bool {
    let more: Vec<NodeIdx> = view.without(past).collect();
    let live = resolve(&world.dag, view).live().clone();
    let mut between = past.clone();
    for turn in 0..12 {
        if turn % 3 == 0 {
            between = past.clone();
        }
        if !more.is_empty() {
            let head = *world.pick(&more);
            between.put_all(&world.dag.past_of([head]));
        }
        if !resolve(&world.dag, &between).live().within(&live) {
            return true;
        }
    }
    false
}

/// Ends of roles by seniors who know of nothing that came late, again and again: what was undone is done again.
fn contest(world: &mut World) {
    let people: Vec<Who> = (0..PEOPLE).map(|n| (n, 0)).filter(|who| world.grant_of(*who).is_some()).collect();
    for _ in 0..8 {
        let (who, whom) = (*world.pick(&people), *world.pick(&people));
        let known: Vec<NodeIdx> = world.view(who).iter().collect();
        let Some(op) = world.grant_of(who).map(|g| world.dag.grants()[g].op) else { continue };
        let head = *world.pick(&known);
        let view = world.dag.past_of([head, op]);
        let theirs = world.dag.grants_of(&person(whom.0).account()).iter();
        if who == whom || !theirs.clone().any(|g| view.has(world.dag.grants()[*g].op)) {
            continue;
        }
        if world.rng.random_ratio(2, 3) {
            let _ = demote(world, who, whom, &view);
        } else {
            let _ = world.remove_how(who, whom, false, false, unaware(&view));
        }
    }
}
