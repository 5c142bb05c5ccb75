//! Who is given a weaker role keeps nothing of what he had, whatever he wrote himself before, under whatever name.

use super::govern::{account, founded};
use super::rules::{admit, auth, forge};
use super::support::Person;
use crate::control::{
    Control, GrantRole, History, Invite, InviteBounds, InviteHistory, JoinRequest, Permissions, Policy, PolicyChange,
    Power, Role, Setting, Sponsor, State,
};
use crate::event::Event;
use crate::ids::{AccountId, EventId};
use crate::room::NewInvite;

/// All rights of an admin, in the name of an observer, to be handed on or not.
fn spare(auth: EventId, subject: AccountId, max_depth: u8) -> GrantRole {
    GrantRole {
        auth,
        subject,
        power: Power::OBSERVER,
        perms: Permissions::ALL,
        max_depth,
        invites: InviteBounds { history: InviteHistory::None, ..InviteBounds::NONE },
    }
}

fn written(person: &mut Person, control: &Control) -> Event {
    let event = forge(person, control, |_| ());
    assert!(person.receive(vec![event.clone()]).rejected.is_empty());
    event
}

fn gives(giver: &mut Person, whom: &AccountId, role: Role) -> usize {
    let given = giver.room.grant_role(whom, role, giver.now).unwrap();
    giver.keep(given.clone());
    given.accepted.len()
}

/// What somebody whose doctored node acts under this grant may still do to the room.
fn meddles(mallory: &mut Person, auth: EventId, victim: AccountId) {
    let write = State { auth, writes: vec![(Setting::Name as u8, b"mine".to_vec())] };
    written(mallory, &Control::State(write));
    written(mallory, &Control::Policy(PolicyChange { auth, policy: Policy { history: History::Full } }));
    // Where there is nothing to hand on, nobody takes it.
    let handed_on = forge(mallory, &Control::Grant(spare(auth, victim, 2)), |_| ());
    mallory.receive(vec![handed_on]);
}

fn is_untouched(alice: &Person, victim: &AccountId) {
    assert_eq!(alice.room.info().unwrap().name, "kitchen");
    assert_eq!(alice.room.policy().unwrap().history, History::None);
    assert_eq!(alice.room.dag.grants_of(victim).iter().filter(|g| alice.room.resolved.is_live(**g)).count(), 1);
}

#[test]
fn an_admin_who_is_made_a_member_does_nothing_more_by_a_grant_that_he_wrote_himself_in_a_weaker_name() {
    for max_depth in [0, 3] {
        let (mut alice, mut others) = founded(History::None, &[Role::Admin, Role::Member]);
        let [mallory, carol] = &mut others[..] else { unreachable!() };
        let (me, victim) = (account(mallory), account(carol));
        let event = written(mallory, &Control::Grant(spare(auth(mallory), me, max_depth)));
        alice.sync(mallory);
        gives(&mut alice, &me, Role::Member);
        mallory.sync(&mut alice);
        assert_eq!(alice.room.member(&me).unwrap().role, Role::Member);
        meddles(mallory, event.id(), victim);
        alice.sync_from(mallory);
        is_untouched(&alice, &victim);
    }
}

#[test]
fn nor_by_one_that_came_by_an_invite_of_his_own() {
    let (mut alice, mut others) = founded(History::None, &[Role::Admin, Role::Member]);
    let [mallory, carol] = &mut others[..] else { unreachable!() };
    let (me, victim) = (account(mallory), account(carol));
    let link = parlor_crypto::invite::InviteSeed::generate(&mut mallory.rng);
    let own = spare(auth(mallory), me, 3);
    let invite = Invite {
        auth: own.auth,
        invite_pk: link.keys().sign.public_bytes(),
        box_pk: [2; 32],
        door: [3; 32],
        power: own.power,
        perms: own.perms,
        not_before_ms: 0,
        expires_ms: u64::MAX,
        max_uses: 1,
        approval: false,
        history: InviteHistory::None,
        sponsor: Sponsor::AnyMember,
        max_depth: own.max_depth,
        onward: own.invites,
    };
    written(mallory, &Control::Invite(invite));
    let papers = mallory.room.me().clone();
    let join =
        JoinRequest::sign(&mallory.room.id(), &link.keys().sign, papers.signing_key(), papers.entrant(), [9; 16]);
    let came = Control::Admit(Box::new(admit(mallory, &link, join)));
    let event = written(mallory, &came);
    alice.sync(mallory);
    gives(&mut alice, &me, Role::Member);
    mallory.sync(&mut alice);
    meddles(mallory, event.id(), victim);
    alice.sync_from(mallory);
    is_untouched(&alice, &victim);
}

#[test]
fn a_role_that_is_said_again_ends_what_somebody_was_given_beside_it() {
    let (mut alice, mut others) = founded(History::None, &[Role::Admin, Role::Member, Role::Member]);
    let [ben, mallory, carol] = &mut others[..] else { unreachable!() };
    let (me, victim) = (account(mallory), account(carol));
    assert_eq!(gives(&mut alice, &me, Role::Member), 0, "he is one, and nothing else");
    let event = written(ben, &Control::Grant(spare(auth(ben), me, 3)));
    alice.sync(ben);
    mallory.sync(&mut alice);
    assert!(gives(&mut alice, &me, Role::Member) > 1);
    assert_eq!(gives(&mut alice, &me, Role::Member), 0);
    mallory.sync(&mut alice);
    meddles(mallory, event.id(), victim);
    alice.sync_from(mallory);
    is_untouched(&alice, &victim);
}

#[test]
fn a_stronger_role_leaves_open_the_invites_of_the_one_before() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Moderator]);
    let bob = &mut others[0];
    let link = bob.invite(&NewInvite::of(Role::Member));
    alice.sync_from(bob);
    assert_eq!(gives(&mut alice, &account(bob), Role::Admin), 1, "nothing ends");
    bob.sync(&mut alice);
    Person::join(7, &link, &mut alice);
    assert_eq!(alice.room.n_members(), 3);
}
