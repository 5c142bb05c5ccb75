//! What one account is given and loses over and over costs no more each time than a look at what there was before (C16): counted.

use super::crowds::lets_in;
use super::govern::{account, founded};
use super::rules::{admit, auth, forge};
use super::support::{Person, many};
use crate::control::{
    Control, GrantRole, History, InviteBounds, JoinRequest, Leave, MessageFate, Permissions, Power, Remove, Role,
    Target,
};
use crate::event::Event;
use crate::ids::EventId;
use crate::steps;

/// What those who take these events and then those look at, and how many ends are remembered.
fn cost(person: &mut Person, first: Vec<Event>, then: Vec<Event>) -> (u64, usize) {
    assert!(person.receive(first).rejected.is_empty());
    let before = steps::taken();
    assert!(person.receive(then).rejected.is_empty());
    let grants = 0..person.room.dag.grants().len();
    (steps::taken() - before, grants.map(|g| person.room.resolved.kills(g).len()).sum())
}

/// Twice as many cost four times as much, since each is looked at beside those before, and are remembered twice as long.
fn is_a_look_each(of: impl Fn(usize) -> (u64, usize)) {
    let ((steps, ends), (twice, more)) = (of(24), of(48));
    assert!(twice <= 5 * steps, "{steps}, {twice}");
    assert!(more <= 3 * ends, "{ends}, {more}");
}

fn removal(auth: EventId, target: Target) -> Control {
    let messages = MessageFate::Fenced;
    Control::Remove(Remove { auth, target, ban: false, cascade: false, messages, fence: Vec::new() })
}

/// A doctored node writes.
fn writes(person: &mut Person, control: &Control) -> Event {
    let event = forge(person, control, |_| ());
    person.room.insert_control(&event);
    event
}

#[test]
fn an_admin_who_gives_somebody_a_role_and_removes_him_again_and_again_costs_a_look_each_time() {
    is_a_look_each(|n| {
        let (mut alice, mut others) = founded(History::Full, &[Role::Admin, Role::Member]);
        let [mallory, carol] = &mut others[..] else { unreachable!() };
        let (auth, subject) = (auth(mallory), account(carol));
        let (power, perms, invites) = (Power::OBSERVER, Permissions::NONE, InviteBounds::NONE);
        let role = Control::Grant(GrantRole { auth, subject, power, perms, max_depth: 0, invites });
        let both = [role, removal(auth, Target::Account(subject))];
        let events = (0..2 * n).map(|turn| writes(mallory, &both[turn % 2])).collect();
        cost(&mut alice, Vec::new(), events)
    });
}

#[test]
fn a_moderator_who_removes_all_who_came_by_his_link_again_and_again_costs_a_look_each_time() {
    is_a_look_each(|n| {
        let (mut alice, mut others) = founded(History::Full, &[Role::Moderator]);
        let mallory = &mut others[0];
        let link = mallory.invite(&many(Role::Member));
        alice.sync_from(mallory);
        let came = (0..n as u64).map(|puppet| lets_in(mallory, &link, 100 + puppet, 0)).collect();
        let invite = mallory.room.invite_by_key(&link.keys().sign.public_bytes()).unwrap();
        let again = removal(auth(mallory), Target::Invite(invite));
        let removes = (0..n).map(|_| writes(mallory, &again)).collect();
        cost(&mut alice, came, removes)
    });
}

#[test]
fn a_member_who_leaves_by_each_of_the_grants_that_she_piled_up_costs_a_look_each_time() {
    is_a_look_each(|n| {
        let mut alice = Person::founder(1, History::Full);
        let link = alice.invite(&many(Role::Member));
        let mut mallory = Person::join(5, &link, &mut alice);
        let mut other = Person::join(4, &link, &mut alice);
        mallory.sync_from(&alice);
        let (id, me) = (mallory.room.id(), mallory.room.me().clone());
        let own = |nonce: usize| {
            let nonce = [u8::try_from(nonce).unwrap(); 16];
            JoinRequest::sign(&id, &link.keys().sign, me.signing_key(), me.entrant(), nonce)
        };
        let mut came: Vec<Event> = Vec::new();
        for nonce in 0..n {
            let admit = admit(&mallory, &link, own(nonce));
            came.push(writes(&mut mallory, &Control::Admit(Box::new(admit))));
        }
        let auths: Vec<EventId> = came.iter().map(Event::id).collect();
        // What a puppet let her in by, by one request all the time, her leaves know nothing of.
        came.extend((0..n).map(|_| lets_in(&mut other, &link, 5, 0)));
        let leaves = auths.iter().rev().map(|auth| Control::Leave(Leave { auth: *auth, fence: Vec::new() }));
        let leaves = leaves.map(|leave| writes(&mut mallory, &leave)).collect();
        cost(&mut alice, came, leaves)
    });
}
