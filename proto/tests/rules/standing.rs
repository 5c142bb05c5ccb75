//! Leaving, and standing above somebody who removes: each in the smallest history that shows it.

use parlor_proto::control::{AccountUpdate, Control, RevokeFence, Role, Target};
use parlor_proto::resolve::resolve;

use crate::claims::grown_is_as_from_scratch;
use crate::people::person;
use crate::world::{FOUNDER, How, unaware, world};

#[test]
fn who_left_is_out_also_by_the_word_of_a_senior_who_let_him_in_by_the_same_request_and_knew_nothing_of_it() {
    for removed in [false, true] {
        let mut world = world(1);
        let [senior, junior] = world.with(&[Role::Moderator, Role::Member])[..] else { unreachable!() };
        let invite = world.invite(FOUNDER, Role::Member, u32::MAX).unwrap();
        world.tell_all();
        let bob = (9, 0);
        world.admit(junior, invite, bob).unwrap();
        world.tell_all();
        let before = world.view(senior);
        if removed {
            // He undoes nothing that was done to him by leaving, knowing nothing of it, further than he is seen.
            world.remove_how(FOUNDER, bob, false, false, unaware(&before)).unwrap();
        }
        world.leave(bob, unaware(&before)).unwrap();
        assert!(!world.is_member(bob));
        let admit = world.admission(world.grant_of(senior).unwrap(), invite, bob).unwrap();
        let again = world.write(senior, &Control::Admit(Box::new(admit)), unaware(&before)).unwrap();
        let g = world.dag.grants_by(again).next().unwrap();
        let old = world.dag.grants_of(&person(bob.0).account())[0];
        assert!(world.dag.seniority(g, old).is_lt(), "it is the more senior grant");
        assert!(!world.is_member(bob));
        grown_is_as_from_scratch(&mut world);
        // By a new request he comes again, and by the word of who knows that he left.
        if !removed {
            world.tell_all();
            world.give(FOUNDER, bob, Role::Member).unwrap();
            assert!(world.is_member(bob));
        }
    }
}

#[test]
fn a_thief_takes_nobody_out_by_leaving_with_a_device_that_is_revoked() {
    let mut world = world(1);
    let [senior, junior] = world.with(&[Role::Moderator, Role::Member])[..] else { unreachable!() };
    let invite = world.invite(FOUNDER, Role::Member, u32::MAX).unwrap();
    world.tell_all();
    let (bob, phone) = ((9, 0), (9, 1));
    world.admit(junior, invite, bob).unwrap();
    let me = person(bob.0);
    let update = AccountUpdate { devices: vec![me.papers(1)], revokes: Vec::new() };
    world.write(bob, &Control::AccountUpdate(update), How::default()).unwrap();
    world.tell_all();
    let stolen = world.view(phone);
    let fence = parlor_proto::control::DeviceFence { device: me.device(1), control: None, message: None };
    let revoke = RevokeFence::revoke(&me.root(), me.account(), world.dag.room(), fence).unwrap();
    let update = Control::AccountUpdate(AccountUpdate { devices: Vec::new(), revokes: vec![revoke] });
    let at = world.write(bob, &update, How::default()).unwrap();
    // Bob is let in by the same request once more, which a Leave of the thief could take back.
    let admit = world.admission(world.grant_of(senior).unwrap(), invite, bob).unwrap();
    world.write(senior, &Control::Admit(Box::new(admit)), unaware(&stolen)).unwrap();
    world.leave(phone, unaware(&stolen)).unwrap();
    assert!(world.is_member(bob));
    grown_is_as_from_scratch(&mut world);
    // Without the revocation it does.
    let mut rest = parlor_proto::dag::Set::below(world.dag.len());
    rest.take(at);
    assert!(!resolve(&world.dag, &rest).members().contains_key(&me.account()));
}

#[test]
fn nobody_leaves_twice_by_one_grant() {
    let mut world = world(1);
    let [bob] = world.with(&[Role::Member])[..] else { unreachable!() };
    let before = world.view(bob);
    world.leave(bob, How::default()).unwrap();
    assert_eq!(world.leave(bob, How::default()), None);
    // A branch of his log knows nothing of it. Another device leaves again: the first may be a thief's, and be revoked.
    world.leave(bob, unaware(&before)).unwrap();
    let update = AccountUpdate { devices: vec![person(bob.0).papers(1)], revokes: Vec::new() };
    world.write(bob, &Control::AccountUpdate(update), unaware(&before)).unwrap();
    world.tell_all();
    world.leave((bob.0, 1), How::default()).unwrap();
    assert!(!world.is_member(bob));
}

#[test]
fn a_junior_reaches_nothing_of_a_senior_by_what_he_was_before_he_rose() {
    let mut world = world(1);
    let [bob, moderator] = world.with(&[Role::Member, Role::Moderator])[..] else { unreachable!() };
    let before = world.view(moderator);
    let old = world.grant_of(bob).unwrap();
    let account = person(bob.0).account();
    world.give(FOUNDER, bob, Role::Admin).unwrap();
    world.tell_all();
    let kill = world.remove(moderator, bob, true, false).unwrap();
    let resolved = resolve(&world.dag, &world.everything);
    assert!(resolved.is_live(old) && resolved.bans(&world.dag, &account).is_empty());
    grown_is_as_from_scratch(&mut world);
    // What names the old grant, or the link he came by, reaches no further.
    let auth = world.grant_of(moderator).unwrap();
    let target = Target::Grant(world.id(world.dag.grants()[old].op), account);
    let view = world.view(moderator);
    let remove = world.removal(auth, target, false, false, &view);
    world.write(moderator, &Control::Remove(remove), How::default());
    assert!(resolve(&world.dag, &world.everything).is_live(old));
    // Who had not heard that he rose ends what he was, and not what he is.
    let unheard = world.remove_how(moderator, bob, false, false, unaware(&before)).unwrap();
    let resolved = resolve(&world.dag, &world.everything);
    assert!(resolved.kills(old).contains(&unheard) && !resolved.kills(old).contains(&kill));
    assert_eq!(world.role(bob), Some(Role::Admin));
    grown_is_as_from_scratch(&mut world);
}

#[test]
fn who_was_put_down_again_is_removed_by_who_knows_of_it() {
    let mut world = world(1);
    let [bob, moderator] = world.with(&[Role::Member, Role::Moderator])[..] else { unreachable!() };
    let high = world.give(FOUNDER, bob, Role::Admin).unwrap();
    let target = Target::Grant(world.id(high), person(bob.0).account());
    let view = world.view(FOUNDER);
    let remove = world.removal(world.grant_of(FOUNDER).unwrap(), target, false, false, &view);
    world.write(FOUNDER, &Control::Remove(remove), How::default()).unwrap();
    world.tell_all();
    assert!(world.is_member(bob));
    world.remove(moderator, bob, true, false).unwrap();
    assert!(!world.is_member(bob));
    let resolved = resolve(&world.dag, &world.everything);
    assert_eq!(resolved.bans(&world.dag, &person(bob.0).account()).len(), 1);
    grown_is_as_from_scratch(&mut world);
}
