//! What rules of time, of number and of standing must not do to honest people.

use super::govern::{account, founded};
use super::rules::{auth, forge};
use super::support::{Person, START, identity, many};
use crate::control::{Control, GrantRole, History, JoinRequest, Role, Setting, Target};
use crate::limits::DAY_MS;
use crate::room::{NewInvite, Removal};

#[test]
fn who_made_a_room_with_a_clock_that_was_ahead_lets_people_in() {
    let mut alice = Person::founder(1, History::Full);
    alice.now = START - 2 * DAY_MS;
    let link = alice.invite(&NewInvite { expires_ms: Some(START + DAY_MS), ..many(Role::Member) });
    assert!(alice.admit(&identity(2), &link).is_ok());
}

#[test]
fn nobody_keeps_a_member_from_letting_in_by_dating_a_role_of_his_ahead() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Admin, Role::Member]);
    let [bob, carol] = &mut others[..] else { unreachable!() };
    let link = alice.invite(&many(Role::Member));
    carol.sync_from(&alice);
    bob.sync_from(&alice);
    let kind = bob.room.info().unwrap().kind;
    let grant = GrantRole {
        auth: auth(bob),
        subject: account(carol),
        power: Role::Moderator.power(),
        perms: Role::Moderator.permissions(kind),
        max_depth: 0,
        invites: bob.room.dag.grants()[bob.room.grant().unwrap()].invites,
    };
    let event = forge(bob, &Control::Grant(grant), |header| header.ts_ms = u64::MAX);
    assert!(carol.receive(vec![event]).rejected.is_empty());
    assert_eq!(carol.room.role(), Some(Role::Moderator));
    assert!(carol.admit(&identity(9), &link).is_ok());
}

#[test]
fn who_was_put_down_is_removed_by_who_knows_it_however_many_heads_there_are() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Moderator));
    let mut dave = Person::join(2, &link, &mut alice);
    let link = alice.invite(&many(Role::Admin));
    let mut mallory = Person::join(3, &link, &mut alice);
    mallory.sync_from(&alice);
    dave.sync_from(&alice);
    // A Grant, then the Remove of the stronger one. He builds branches on the first alone.
    let outcome = alice.room.grant_role(&account(&mallory), Role::Member, alice.now).unwrap();
    let events: Vec<_> = outcome.events().cloned().collect();
    mallory.receive(vec![events[0].clone()]);
    dave.receive(vec![events[0].clone()]);
    for n in 0..30u8 {
        let mut branch = mallory.clone_with_all_secrets();
        for round in 0..6u8 {
            let about = vec![(Setting::About, vec![b'A' + n, round])];
            let outcome = branch.room.set_state(about, branch.now).unwrap();
            dave.receive(outcome.events().cloned().collect());
            branch.keep(outcome);
        }
    }
    dave.receive(events[1..].to_vec());
    assert!(dave.room.control_frontier().len() > 8);
    let target = Target::Account(account(&mallory));
    let removal = Removal { target, ban: true, cascade: false, purge: false };
    let outcome = dave.room.remove(&[removal], dave.now, &mut dave.rng).unwrap();
    dave.keep(outcome);
    assert!(!dave.room.members().iter().any(|member| member.account == account(&mallory)));
}

#[test]
fn who_left_before_all_that_came_by_an_invite_were_removed_comes_by_another() {
    let mut alice = Person::founder(1, History::Full);
    let old = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &old, &mut alice);
    bob.sync(&mut alice);
    let left = bob.room.leave(bob.now).unwrap();
    bob.keep(left);
    alice.sync_from(&bob);
    let new = alice.invite(&many(Role::Member));
    let target = Target::Invite(alice.room.invite_by_key(&old.keys().sign.public_bytes()).unwrap());
    let removal = Removal { target, ban: false, cascade: false, purge: false };
    let outcome = alice.room.remove(&[removal], alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    alice.maintain();
    let me = bob.room.me();
    let join = JoinRequest::sign(&alice.room.id(), &new.keys().sign, me.signing_key(), me.entrant(), [9; 16]);
    assert!(alice.room.admit(join, false, alice.now, &mut alice.rng).is_ok());
}

#[test]
fn a_clock_that_is_behind_makes_no_epochs_without_end() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member]);
    let mut bob = others.remove(0);
    bob.sync(&mut alice);
    let before = alice.room.dag.kinds().rotates.len();
    for _ in 0..3 * 24 {
        alice.look();
        bob.receive(alice.events());
        bob.now = alice.now - 8 * DAY_MS;
        bob.look();
        alice.receive(bob.events());
        alice.now += 20 * 60_000;
    }
    let made = alice.room.dag.kinds().rotates.len() - before;
    assert!(made < 4, "{made} epochs in a day");
}

#[test]
fn nobody_gives_one_account_roles_without_end_unless_they_are_taken_away() {
    let (alice, mut others) = founded(History::Full, &[Role::Admin, Role::Member]);
    let carol = others.remove(1);
    let mut bob = others.remove(0);
    bob.sync_from(&alice);
    let kind = bob.room.info().unwrap().kind;
    let invites = bob.room.dag.grants()[bob.room.grant().unwrap()].invites;
    let subject = account(&carol);
    let (power, perms) = (Role::Member.power(), Role::Member.permissions(kind));
    let grant = Control::Grant(GrantRole { auth: auth(&bob), subject, power, perms, max_depth: 0, invites });
    let taken = (0..100).take_while(|_| {
        let event = forge(&bob, &grant, |_| ());
        bob.receive(vec![event]).rejected.is_empty()
    });
    assert_eq!(taken.count(), crate::limits::MAX_SAME);
    super::attacks::remove(&mut bob, &carol);
    assert!(bob.room.grant_role(&subject, Role::Observer, bob.now).is_ok());
}
