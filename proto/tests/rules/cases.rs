//! The attacks on roles by name, each in the smallest history that shows it.

use parlor_proto::control::{
    AccountUpdate, Control, GrantRole, Leave, LogPosition, Permissions, Power, RevokeFence, Role, State, Target, Unban,
};
use parlor_proto::dag::{Insert, NodeIdx};
use parlor_proto::resolve::resolve;

use crate::claims::grown_is_as_from_scratch;
use crate::people::person;
use crate::world::{FOUNDER, How, Who, World, unaware, world};

#[test]
fn of_admins_who_remove_each_other_in_a_circle_the_most_senior_stays() {
    for length in 2..=6 {
        let mut world = world(1);
        let admins = world.with(&vec![Role::Admin; length]);
        let common = world.view(FOUNDER);
        for (n, who) in admins.iter().enumerate() {
            let whom = admins[(n + 1) % length];
            // The most junior of them tries to remove the most senior, which is refused at once.
            let written = world.remove_how(*who, whom, false, false, unaware(&common));
            assert_eq!(written.is_some(), n + 1 < length, "{length}: {n}");
        }
        // Each but the first was removed by a senior who knew nothing of his own removal, and who was removed himself: what
        // he did before his remover knew of it counts only inside the fence.
        assert!(world.is_member(admins[0]), "{length}");
        assert!(!world.is_member(admins[1]), "{length}");
        if length > 2 {
            assert!(world.is_member(admins[2]), "the removal by somebody removed at the same time is beyond his fence");
        }
    }
}

#[test]
fn a_junior_can_not_remove_a_senior_whatever_he_knows() {
    let mut world = world(1);
    let [admin, junior, moderator] = world.with(&[Role::Admin, Role::Admin, Role::Moderator])[..] else {
        unreachable!()
    };
    assert_eq!(world.remove(junior, admin, false, false), None);
    assert_eq!(world.remove(moderator, admin, false, false), None);
    assert_eq!(world.remove(admin, FOUNDER, true, true), None);
    assert!(world.remove(admin, junior, false, false).is_some());
}

#[test]
fn the_first_owner_is_never_locked_out_by_others() {
    let mut world = world(2);
    let [third] = world.with(&[Role::Owner])[..] else { unreachable!() };
    for who in [(1, 0), third] {
        assert_eq!(world.remove(who, FOUNDER, true, true), None);
    }
    assert!(world.remove((1, 0), third, false, false).is_some());
    world.tell(FOUNDER, (1, 0));
    assert!(world.remove(FOUNDER, (1, 0), false, false).is_some());
    // The second owner's removal of the third was known to the first: it stays.
    assert!(world.is_member(FOUNDER) && !world.is_member(third));
}

#[test]
fn what_a_removed_admin_writes_with_old_parents_counts_for_nothing() {
    let mut world = world(1);
    let [bob, carol] = world.with(&[Role::Admin, Role::Member])[..] else { unreachable!() };
    let hoarded = world.invite(bob, Role::Member, u32::MAX).unwrap();
    world.tell_all();
    let before = world.view(bob);
    world.remove(FOUNDER, bob, false, false).unwrap();
    world.tell(carol, FOUNDER);
    // He has not heard of it, or says so: grants, removals, invites, admissions, devices, leaving.
    let old = || unaware(&before);
    let grant = world.grant_role(world.grant_of(bob).unwrap(), person(carol.0).account(), Role::Admin);
    world.write(bob, &Control::Grant(grant), old()).unwrap();
    world.remove_how(bob, carol, true, true, unaware(&before)).unwrap();
    let admit = world.admission(world.grant_of(bob).unwrap(), hoarded, (9, 0)).unwrap();
    world.write(bob, &Control::Admit(Box::new(admit)), old()).unwrap();
    world.leave(bob, old()).unwrap();
    assert!(!world.is_member(bob) && !world.is_member((9, 0)));
    assert_eq!(world.role(carol), Some(Role::Member));
    // Nor does his open invite let anybody in by somebody else who has not heard.
    let admit = world.admission(world.grant_of(carol).unwrap(), hoarded, (10, 0)).unwrap();
    world.write(carol, &Control::Admit(Box::new(admit)), unaware(&before)).unwrap();
    assert!(!world.is_member((10, 0)));
}

#[test]
fn leaving_does_not_undo_that_one_was_removed_with_a_ban() {
    let mut world = world(1);
    let [admin, bob] = world.with(&[Role::Admin, Role::Moderator])[..] else { unreachable!() };
    let before = world.view(bob);
    let made = world.invite(bob, Role::Member, 1).unwrap();
    world.remove_how(FOUNDER, bob, false, false, unaware(&before)).unwrap();
    let left = world.leave(bob, How::default()).unwrap();
    let resolved = resolve(&world.dag, &world.everything);
    let grant = world.dag.grants_of(&person(bob.0).account())[0];
    assert!(!resolved.kills(grant).contains(&left), "it lies beyond the fence");
    assert!(resolved.is_closed(&world.dag, made));
    assert!(world.is_member(admin));
}

#[test]
fn a_fork_in_place_of_what_counted_undoes_it_not() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Admin])[..] else { unreachable!() };
    let before = world.view(bob);
    let invite = world.invite(bob, Role::Member, 1).unwrap();
    world.admit(bob, invite, (9, 0)).unwrap();
    world.tell_all();
    // On another branch the invite was never made.
    let fork = How { view: Some(before), after: None };
    let auth = world.id(world.dag.grants()[world.grant_of(bob).unwrap()].op);
    world.write(bob, &Control::State(State { auth, writes: vec![(1, vec![7])] }), fork).unwrap();
    assert!(world.dag.forked().contains(&person(bob.0).device(0)));
    assert!(world.is_member((9, 0)));
}

#[test]
fn with_a_cascade_puppets_go_and_others_stay() {
    let mut world = world(1);
    let [bob, carol] = world.with(&[Role::Admin, Role::Admin])[..] else { unreachable!() };
    let mine = world.invite(bob, Role::Moderator, u32::MAX).unwrap();
    world.admit(bob, mine, (9, 0)).unwrap();
    world.tell((9, 0), bob);
    let puppets = world.invite((9, 0), Role::Member, u32::MAX).unwrap();
    world.admit((9, 0), puppets, (10, 0)).unwrap();
    // Carol's guest comes in by way of bob's puppet: she invited him.
    world.tell_all();
    let hers = world.invite(carol, Role::Member, 1).unwrap();
    world.tell_all();
    world.admit((9, 0), hers, (11, 0)).unwrap();
    world.tell_all();
    world.remove(FOUNDER, bob, false, true).unwrap();
    assert!(!world.is_member(bob) && !world.is_member((9, 0)) && !world.is_member((10, 0)));
    assert!(world.is_member(carol) && world.is_member((11, 0)));
}

#[test]
fn without_a_cascade_those_whom_the_removed_invited_stay() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Admin])[..] else { unreachable!() };
    let invite = world.invite(bob, Role::Member, u32::MAX).unwrap();
    world.admit(bob, invite, (9, 0)).unwrap();
    world.tell_all();
    world.remove(FOUNDER, bob, false, false).unwrap();
    assert!(!world.is_member(bob) && world.is_member((9, 0)));
}

#[test]
fn an_invite_is_removed_with_all_who_came_by_it() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Moderator])[..] else { unreachable!() };
    let leaked = world.invite(bob, Role::Member, u32::MAX).unwrap();
    let good = world.invite(bob, Role::Member, u32::MAX).unwrap();
    world.admit(bob, leaked, (9, 0)).unwrap();
    world.admit(bob, good, (10, 0)).unwrap();
    let unheard = world.view(bob);
    world.tell_all();
    let target = Target::Invite(world.id(leaked));
    let view = world.view(FOUNDER);
    let remove = world.removal(world.grant_of(FOUNDER).unwrap(), target, false, false, &view);
    world.write(FOUNDER, &Control::Remove(remove), How::default()).unwrap();
    let admit = world.admission(world.grant_of(bob).unwrap(), leaked, (11, 0)).unwrap();
    world.write(bob, &Control::Admit(Box::new(admit)), unaware(&unheard)).unwrap();
    assert!(!world.is_member((9, 0)) && !world.is_member((11, 0)));
    assert!(world.is_member(bob) && world.is_member((10, 0)));
}

#[test]
fn somebody_who_was_removed_is_taken_back_by_who_knows_it_unless_a_senior_banned_him() {
    for ban in [false, true] {
        let mut world = world(1);
        let [admin, bob] = world.with(&[Role::Admin, Role::Member])[..] else { unreachable!() };
        let removal = world.remove(FOUNDER, bob, ban, false).unwrap();
        // Made at the same time, not knowing it: the removal wins.
        world.give(admin, bob, Role::Moderator).unwrap();
        assert!(!world.is_member(bob));
        world.tell_all();
        world.give(admin, bob, Role::Member).unwrap();
        assert_eq!(world.is_member(bob), !ban);
        if ban {
            world.tell_all();
            // The ban ends by who made it; what was given before stays void.
            let auth = world.grant_of(FOUNDER).unwrap();
            let unban = Unban { auth: world.id(world.dag.grants()[auth].op), removal: world.id(removal) };
            let by_junior =
                Unban { auth: world.id(world.dag.grants()[world.grant_of(admin).unwrap()].op), ..unban.clone() };
            assert_eq!(world.write(admin, &Control::Unban(by_junior), How::default()), None);
            world.write(FOUNDER, &Control::Unban(unban), How::default()).unwrap();
            assert!(!world.is_member(bob));
            world.tell_all();
            world.give(admin, bob, Role::Member).unwrap();
            assert!(world.is_member(bob));
        }
    }
}

#[test]
fn who_banned_may_take_back_without_lifting_the_ban() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Member])[..] else { unreachable!() };
    world.remove(FOUNDER, bob, true, false).unwrap();
    world.give(FOUNDER, bob, Role::Member).unwrap();
    assert!(world.is_member(bob));
}

#[test]
fn nobody_gives_more_than_he_has() {
    let mut world = world(1);
    let [admin, moderator, bob] = world.with(&[Role::Admin, Role::Moderator, Role::Member])[..] else { unreachable!() };
    let fair = world.grant_role(world.grant_of(admin).unwrap(), person(bob.0).account(), Role::Moderator);
    let greedy = [
        GrantRole { power: Power::OWNER, ..fair.clone() },
        GrantRole { max_depth: world.dag.grants()[world.grant_of(admin).unwrap()].max_depth, ..fair.clone() },
        // A stranger to the room.
        GrantRole { subject: person(15).account(), ..fair.clone() },
        // Under the grant of somebody else.
        GrantRole { auth: world.id(0), ..fair.clone() },
    ];
    for grant in greedy {
        assert_eq!(world.write(admin, &Control::Grant(grant), How::default()), None);
    }
    // A moderator may not give roles, and who was given few permissions hands on no more.
    assert_eq!(world.give(moderator, bob, Role::Observer), None);
    let few =
        GrantRole { perms: Role::Moderator.permissions(parlor_proto::control::RoomKind::Group), max_depth: 2, ..fair };
    world.write(admin, &Control::Grant(few), How::default()).unwrap();
    world.tell_all();
    let all = world.invitation(world.grant_of(bob).unwrap(), Role::Member, 1);
    let all = parlor_proto::control::Invite { perms: Permissions::ALL, ..all };
    assert_eq!(world.write(bob, &Control::Invite(all), How::default()), None);
    assert!(world.invite(bob, Role::Member, 1).is_some());
}

#[test]
fn the_right_to_invite_goes_down_step_by_step_and_ends() {
    let mut world = world(1);
    let [first] = world.with(&[Role::Admin])[..] else { unreachable!() };
    let mut who = first;
    let mut steps = 0;
    for next in 5..15 {
        let depth = world.dag.grants()[world.grant_of(who).unwrap()].max_depth;
        let Some(invite) = world.invite(who, Role::Admin, 1) else {
            assert_eq!(depth, 0);
            break;
        };
        world.admit(who, invite, (next, 0)).unwrap();
        who = (next, 0);
        steps += 1;
        assert_eq!(world.dag.grants()[world.grant_of(who).unwrap()].max_depth, depth - 1);
    }
    assert_eq!(steps, Role::Admin.max_depth());
}

#[test]
fn the_last_use_of_an_invite_goes_to_one_and_the_same_on_every_node() {
    let mut world = world(1);
    let [senior, junior] = world.with(&[Role::Admin, Role::Moderator])[..] else { unreachable!() };
    let invite = world.invite(FOUNDER, Role::Member, 1).unwrap();
    world.tell_all();
    let common = world.view(FOUNDER);
    world.admit(junior, invite, (9, 0)).unwrap();
    assert!(world.is_member((9, 0)));
    let admit = world.admission(world.grant_of(senior).unwrap(), invite, (10, 0)).unwrap();
    world.write(senior, &Control::Admit(Box::new(admit)), unaware(&common)).unwrap();
    assert!(!world.is_member((9, 0)) && world.is_member((10, 0)));
    let resolved = resolve(&world.dag, &world.everything);
    assert_eq!(resolved.uses(invite), 1);
}

#[test]
fn an_event_whose_log_has_a_gap_is_never_applied() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Admin])[..] else { unreachable!() };
    let known: Vec<_> = world.events.clone();
    world.invite(bob, Role::Member, 1).unwrap();
    world.remove(bob, FOUNDER, false, false);
    let last = world.give(bob, bob, Role::Moderator).unwrap();
    let mut dag = parlor_proto::dag::Dag::new(world.dag.room());
    for event in &known {
        dag.insert_stored(event);
    }
    let withheld = world.dag.node(last).event.prev();
    assert_eq!(dag.insert_stored(&world.dag.node(last).event.clone()), Insert::Missing(vec![withheld]));
}

#[test]
fn what_a_revoked_device_does_counts_up_to_its_fence() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Admin])[..] else { unreachable!() };
    let phone = (bob.0, 1);
    let me = person(bob.0);
    let update = AccountUpdate { devices: vec![me.papers(1)], revokes: Vec::new() };
    world.write(bob, &Control::AccountUpdate(update), How::default()).unwrap();
    let before = world.invite(phone, Role::Member, 1).unwrap();
    world.tell(bob, phone);
    let stolen = world.view(phone);
    let fence = parlor_proto::control::DeviceFence {
        device: me.device(1),
        control: Some(parlor_proto::control::LogPosition { seq: 1, id: world.id(before) }),
        message: None,
    };
    let revoke = RevokeFence::revoke(&me.root(), me.account(), world.dag.room(), fence).unwrap();
    let update = Control::AccountUpdate(AccountUpdate { devices: Vec::new(), revokes: vec![revoke.clone()] });
    world.write(bob, &update, How::default()).unwrap();
    // The thief does not know, or pretends so.
    let admit = world.admission(world.grant_of(phone).unwrap(), before, (9, 0)).unwrap();
    world.write(phone, &Control::Admit(Box::new(admit.clone())), unaware(&stolen)).unwrap();
    let resolved = resolve(&world.dag, &world.everything);
    assert!(!resolved.members().contains_key(&person(9).account()));
    assert!(!resolved.live().has(world.dag.device_no(&me.device(1)).unwrap()));
    assert!(resolved.live().has(world.dag.device_no(&me.device(0)).unwrap()));
    // The invite from before the theft is good, and others take it up.
    assert!(!resolved.is_closed(&world.dag, before));
    world.tell_all();
    world.admit(FOUNDER, before, (10, 0)).unwrap();
    assert!(world.is_member((10, 0)));
    // Knowing of it, nobody takes an event of the device; and revoked it stays.
    let auth = world.grant_of(phone).unwrap();
    let invite = world.invitation(auth, Role::Member, 1);
    assert_eq!(world.write(phone, &Control::Invite(invite), How::default()), None);
    let again = AccountUpdate { devices: vec![me.papers(1)], revokes: Vec::new() };
    assert_eq!(world.write(bob, &Control::AccountUpdate(again), How::default()), None);
    assert_eq!(world.write(bob, &update, How::default()), None);
}

#[test]
fn a_removed_admin_undoes_nothing_by_revoking_his_own_device() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Admin])[..] else { unreachable!() };
    let invite = world.invite(bob, Role::Member, 1).unwrap();
    world.admit(bob, invite, (9, 0)).unwrap();
    let before = world.view(bob);
    world.tell_all();
    world.remove(FOUNDER, bob, false, false).unwrap();
    let me = person(bob.0);
    let fence = parlor_proto::control::DeviceFence { device: me.device(0), control: None, message: None };
    let revoke = RevokeFence::revoke(&me.root(), me.account(), world.dag.room(), fence).unwrap();
    let update = AccountUpdate { devices: Vec::new(), revokes: vec![revoke] };
    world.write(bob, &Control::AccountUpdate(update), unaware(&before)).unwrap();
    assert!(world.is_member((9, 0)), "whom he had let in stays");
}

#[test]
fn a_device_that_was_lost_with_all_others_is_replaced_by_one_the_root_certifies() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Member])[..] else { unreachable!() };
    let known = world.view(bob);
    let update = AccountUpdate { devices: vec![person(bob.0).papers(1)], revokes: Vec::new() };
    let new = (bob.0, 1);
    assert!(world.write(new, &Control::AccountUpdate(update), unaware(&known)).is_some());
    let resolved = resolve(&world.dag, &world.everything);
    assert!(resolved.live().has(world.dag.device_no(&person(bob.0).device(1)).unwrap()));
    // Of an account that nobody knows: never.
    let update = AccountUpdate { devices: vec![person(15).papers(1)], revokes: Vec::new() };
    assert_eq!(world.write((15, 1), &Control::AccountUpdate(update), unaware(&known)), None);
}

#[test]
fn a_key_of_one_device_is_not_certified_for_another() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Member])[..] else { unreachable!() };
    let mut copied = person(bob.0).papers(1);
    copied.leaf.leaf_pk = person(0).papers(0).leaf.leaf_pk;
    let known = person(bob.0).papers(0);
    for papers in [copied, known] {
        let update = AccountUpdate { devices: vec![papers], revokes: Vec::new() };
        assert_eq!(world.write(bob, &Control::AccountUpdate(update), How::default()), None);
    }
}

#[test]
fn of_settings_written_at_once_that_of_the_senior_counts_and_a_later_one_that_knew_it_replaces_it() {
    let mut world = world(1);
    let [admin] = world.with(&[Role::Admin])[..] else { unreachable!() };
    let set = |world: &mut World, who: Who, value: u8, how: How| -> NodeIdx {
        let auth = world.id(world.dag.grants()[world.grant_of(who).unwrap()].op);
        world.write(who, &Control::State(State { auth, writes: vec![(1, vec![value])] }), how).unwrap()
    };
    let common = world.view(FOUNDER);
    set(&mut world, FOUNDER, 1, unaware(&common));
    // Many writes of a junior do not outrun one of a senior.
    for value in 2..9 {
        set(&mut world, admin, value, How::default());
    }
    let name = |world: &World| resolve(&world.dag, &world.everything).settings()[&1][0];
    assert_eq!(name(&world), 1);
    world.tell_all();
    set(&mut world, admin, 9, How::default());
    assert_eq!(name(&world), 9);
}

#[test]
fn a_weaker_role_ends_the_stronger_one_and_what_is_done_with_it_afterwards() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Admin])[..] else { unreachable!() };
    let before = world.view(bob);
    let old = world.dag.grants_of(&person(bob.0).account())[0];
    world.give(FOUNDER, bob, Role::Member).unwrap();
    let target = Target::Grant(world.id(world.dag.grants()[old].op), person(bob.0).account());
    let view = world.view(FOUNDER);
    let remove = world.removal(world.grant_of(FOUNDER).unwrap(), target, false, false, &view);
    world.write(FOUNDER, &Control::Remove(remove), How::default()).unwrap();
    assert_eq!(world.role(bob), Some(Role::Member));
    // As the admin he was, he goes on unaware.
    let invite = world.invitation(old, Role::Admin, 1);
    let made = world.write(bob, &Control::Invite(invite), unaware(&before)).unwrap();
    let resolved = resolve(&world.dag, &world.everything);
    assert!(!resolved.is_admissible(&world.dag, made));
}

#[test]
fn a_fence_names_only_what_its_author_saw() {
    let mut world = world(1);
    let [admin, bob] = world.with(&[Role::Admin, Role::Moderator])[..] else { unreachable!() };
    let unseen = world.invite(bob, Role::Member, 1).unwrap();
    let target = Target::Account(person(bob.0).account());
    let view = world.view(admin);
    let mut remove = world.removal(world.grant_of(admin).unwrap(), target, false, false, &view);
    remove.fence = vec![parlor_proto::control::DeviceFence {
        device: person(bob.0).device(0),
        control: Some(parlor_proto::control::LogPosition { seq: 1, id: world.id(unseen) }),
        message: None,
    }];
    assert_eq!(world.write(admin, &Control::Remove(remove), How::default()), None);
}

#[test]
fn an_invite_of_somebody_removed_lets_nobody_in_also_by_who_knows_of_the_removal() {
    let mut world = world(1);
    let [bob, carol] = world.with(&[Role::Admin, Role::Member])[..] else { unreachable!() };
    let before = world.view(bob);
    world.remove(FOUNDER, bob, false, false).unwrap();
    let made = world.invitation(world.grant_of(bob).unwrap(), Role::Member, u32::MAX);
    let late = world.write(bob, &Control::Invite(made), unaware(&before)).unwrap();
    world.tell_all();
    world.admit(carol, late, (9, 0)).unwrap();
    assert!(!world.is_member((9, 0)));
}

#[test]
fn leaving_on_another_branch_undoes_nothing_of_what_counted_under_a_role_that_was_taken() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Admin])[..] else { unreachable!() };
    let first = world.id(world.dag.grants()[world.grant_of(bob).unwrap()].op);
    let invite = world.invite(FOUNDER, Role::Member, u32::MAX).unwrap();
    let second = world.give(FOUNDER, bob, Role::Moderator).unwrap();
    world.tell_all();
    let before = world.view(bob);
    let admit = world.admission(world.dag.grants_by(second).start, invite, (9, 0)).unwrap();
    world.write(bob, &Control::Admit(Box::new(admit)), How::default()).unwrap();
    world.tell_all();
    let target = Target::Grant(world.id(second), person(bob.0).account());
    let view = world.view(FOUNDER);
    let remove = world.removal(world.grant_of(FOUNDER).unwrap(), target, false, false, &view);
    world.write(FOUNDER, &Control::Remove(remove), How::default()).unwrap();
    assert!(world.is_member((9, 0)), "it lies inside the fence");
    world.write(bob, &Control::Leave(Leave { auth: first, fence: Vec::new() }), unaware(&before)).unwrap();
    assert!(!world.is_member(bob) && world.is_member((9, 0)));
}

#[test]
fn a_fence_below_an_invite_takes_along_whoever_came_by_it() {
    let mut world = world(1);
    let [bob, carol] = world.with(&[Role::Admin, Role::Member])[..] else { unreachable!() };
    let invite = world.invite(bob, Role::Member, u32::MAX).unwrap();
    world.tell_all();
    world.admit(carol, invite, (9, 0)).unwrap();
    world.tell_all();
    let view = world.view(FOUNDER);
    let target = Target::Account(person(bob.0).account());
    let mut remove = world.removal(world.grant_of(FOUNDER).unwrap(), target, false, false, &view);
    remove.fence.clear();
    assert!(world.is_member((9, 0)));
    world.write(FOUNDER, &Control::Remove(remove), How::default()).unwrap();
    assert!(!world.is_member((9, 0)), "nothing that he wrote counts");
}

#[test]
fn of_leaves_at_once_that_beyond_a_later_fence_ends_nothing_whichever_way_it_is_worked_out() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Admin])[..] else { unreachable!() };
    let mut devices = vec![person(bob.0).papers(1), person(bob.0).papers(2)];
    devices.sort_by_key(|new| new.device());
    let update = Control::AccountUpdate(AccountUpdate { devices, revokes: Vec::new() });
    world.write(bob, &update, How::default()).unwrap();
    world.tell_all();
    let admin = world.grant_of(bob).unwrap();
    world.give(FOUNDER, bob, Role::Member).unwrap();
    world.tell_all();
    // No device knows of the leaves of the others; the founder knows of two when he takes the role of admin.
    let leaves: Vec<NodeIdx> = (0..3).map(|n| world.leave((bob.0, n), How::default()).unwrap()).collect();
    let known = &leaves[..2];
    let target = Target::Grant(world.id(world.dag.grants()[admin].op), person(bob.0).account());
    let auth = world.grant_of(FOUNDER).unwrap();
    for n in 0..2 {
        world.tell(FOUNDER, (bob.0, n));
    }
    let view = world.view(FOUNDER);
    let mut remove = world.removal(auth, target, false, false, &view);
    remove.fence.retain(|fence| fence.device != person(bob.0).device(2));
    for fence in &mut remove.fence {
        let leave = known.iter().find(|at| world.dag.node(**at).event.device() == fence.device).unwrap();
        fence.control = Some(LogPosition { seq: world.dag.node(*leave).event.seq(), id: world.id(*leave) });
    }
    world.write(FOUNDER, &Control::Remove(remove), How::default()).unwrap();
    let resolved = resolve(&world.dag, &world.everything);
    let member = world.dag.grants_of(&person(bob.0).account()).iter().find(|g| **g != admin).unwrap();
    assert_eq!(resolved.kills(*member), known);
    for _ in 0..30 {
        grown_is_as_from_scratch(&mut world);
    }
}
