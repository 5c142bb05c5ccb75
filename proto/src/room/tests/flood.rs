//! Floods of those who are out: little of them enters a room, whoever they bring along.

use super::govern::{founded, removal};
use super::rules::{admit, forge};
use super::support::{Person, identity, many, revoked_phone};
use crate::control::{Control, History, Role, Setting, State};
use crate::event::Event;
use crate::limits;
use crate::room::Reject;

/// Control events of a person that a doctored node writes one after the other.
fn states(person: &mut Person, count: usize) -> Vec<Event> {
    let auth = super::rules::auth(person);
    let mut events = Vec::new();
    for n in 0..count {
        let writes = vec![(Setting::About as u8, vec![b'a' + u8::try_from(n % 26).unwrap()])];
        let event = forge(person, &Control::State(State { auth, writes }), |_| ());
        assert!(person.receive(vec![event.clone()]).rejected.is_empty());
        events.push(event);
    }
    events
}

#[test]
fn whom_a_former_member_brings_along_writes_no_more_than_he_himself() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Admin]);
    let link = alice.invite(&many(Role::Admin));
    let mut bob = others.remove(0);
    bob.sync(&mut alice);
    let outcome = alice.room.remove(&[removal(&bob)], alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    // Bob, who knows nothing of it or says so, lets in puppets, each of which writes and lets in the next.
    let mut flood = Vec::new();
    for seed in 50..60 {
        let himself = identity(seed);
        let says = admit(&bob, &link, Person::request(&bob.room.id(), &himself, &link));
        let event = forge(&bob, &Control::Admit(Box::new(says)), |_| ());
        bob.receive(vec![event.clone()]);
        flood.push(event);
        let mut puppet = bob.restored_as(himself);
        flood.extend(states(&mut puppet, 40));
        bob = puppet;
    }
    let before = alice.room.control_events().count();
    for order in [false, true] {
        let mut batch = flood.clone();
        if order {
            batch.reverse();
        }
        for part in batch.chunks(if order { 7 } else { batch.len() }) {
            let received = alice.room.receive_unvouched(part.to_vec(), alice.now);
            alice.keep(received.outcome);
        }
        let taken = alice.room.control_events().count() - before;
        assert!(taken <= limits::MAX_FORMER_EVENTS, "{taken} of {}", flood.len());
        alice.restart();
    }
    // What a member hands on is taken whole.
    alice.receive(flood.clone());
    assert_eq!(alice.room.control_events().count() - before, flood.len());
}

#[test]
fn of_what_a_revoked_device_goes_on_writing_little_enters() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Admin]);
    let mut bob = others.remove(0);
    let before_revoke = bob.clone_with_all_secrets();
    let phone = revoked_phone(&mut bob);
    let events = bob.events();
    alice.receive(events.clone());
    let added: Vec<Event> = events.into_iter().filter(|event| event.device() == bob.room.me().device()).collect();
    // The phone knows of its papers alone.
    let mut thief = before_revoke;
    thief.receive(added[..added.len() - 1].to_vec());
    let mut thief = thief.restored_as(phone);
    let flood = states(&mut thief, 100);
    let before = alice.room.control_events().count();
    let received = alice.room.receive_unvouched(flood, alice.now);
    assert!(received.rejected.iter().all(|rejected| rejected.why == Reject::Full && !rejected.blames_sender()));
    assert_eq!(alice.room.control_events().count() - before, limits::MAX_FORMER_EVENTS);
    // The laptop is a member's and writes on.
    alice.receive(bob.events());
    let more = states(&mut bob, 100);
    let before = alice.room.control_events().count();
    assert!(alice.room.receive_unvouched(more, alice.now).rejected.is_empty());
    assert_eq!(alice.room.control_events().count() - before, 100);
}

#[test]
fn of_the_messages_of_a_former_member_few_enter_beyond_what_his_removal_says() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member]);
    let mut bob = others.remove(0);
    let known: Vec<Event> = (0..10).map(|n| bob.write(&format!("known {n}")).event).collect();
    alice.receive(known[..5].to_vec());
    let outcome = alice.room.remove(&[removal(&bob)], alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    let flood: Vec<Event> = (0..400).map(|n| bob.write(&format!("flood {n}")).event).collect();
    let all: Vec<Event> = known.into_iter().chain(flood).collect();
    let device = bob.room.me().device();
    let end = |person: &Person| person.room.messages.end(&device).map(|end| end.seq);
    let received = alice.room.receive_unvouched(all.clone(), alice.now);
    assert!(received.rejected.iter().all(|rejected| rejected.why == Reject::Full && !rejected.blames_sender()));
    alice.keep(received.outcome);
    assert_eq!(end(&alice), Some(5 + limits::MAX_FORMER_MESSAGES));
    assert!(alice.shown().iter().all(|text| !text.starts_with("flood")));
    // What members hand on is taken, so that all hold the same.
    alice.receive(all);
    assert_eq!(end(&alice), Some(410));
}
