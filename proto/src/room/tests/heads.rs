//! More heads than an event can name.

use super::support::{Person, many};
use crate::control::{History, Role};
use crate::event::Event;
use crate::ids::EventId;
use crate::room::{JoinRefusal, NewInvite};

#[test]
fn more_heads_than_an_event_can_name_stop_nobody() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Admin));
    let mut people: Vec<Person> = (2..16).map(|seed| Person::join(seed, &link, &mut alice)).collect();
    for person in &mut people {
        person.sync_from(&alice);
    }
    // All act at once, and three of them leave.
    for (n, person) in people.iter_mut().enumerate() {
        let outcome = match n {
            0..3 => person.room.leave(person.now).unwrap(),
            _ => person.room.set_state(vec![(crate::control::Setting::About, vec![b'a'; n])], person.now).unwrap(),
        };
        person.keep(outcome);
    }
    for person in &people {
        alice.sync_from(person);
    }
    assert_eq!(alice.room.control_frontier().len(), 14);
    alice.maintain();
    alice.write("after all of it");
    for person in &mut people {
        person.sync_from(&alice);
        assert_eq!(person.shown().len(), usize::from(person.room.is_member()));
    }
    // Somebody who has written no control event yet stands on more than eight heads as well.
    let mut last = Person::join(99, &link, &mut alice);
    let name = vec![(crate::control::Setting::Name, b"quiet".to_vec())];
    let outcome = last.room.set_state(name, last.now).unwrap();
    last.keep(outcome);
    alice.sync_from(&last);
    assert_eq!(alice.room.info().unwrap().name, "quiet");
}

#[test]
fn who_extends_more_branches_than_an_event_can_name_keeps_no_removal_out_of_the_next_epochs() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Moderator));
    let mut dave = Person::join(2, &link, &mut alice);
    let link = alice.invite(&many(Role::Admin));
    let mallory = Person::join(3, &link, &mut alice);
    let link = alice.invite(&many(Role::Member));
    let eve = Person::join(4, &link, &mut alice);
    dave.sync_from(&alice);
    let mut branches: Vec<Person> = (0..30).map(|_| mallory.clone_with_all_secrets()).collect();
    // On all that is known but what `without` is, and what was built on that.
    let extend = |branches: &mut Vec<Person>, others: &Person, round: usize, without: Option<EventId>| -> Vec<Event> {
        let dag = &others.room.dag;
        let without = without.and_then(|id| dag.find(&id));
        let takes = |event: &Event| {
            let at = dag.find(&event.id()).filter(|_| event.device() != mallory.room.me().device());
            at.is_some_and(|at| without.is_none_or(|without| !dag.in_past(without, at)))
        };
        let all: Vec<Event> = others.events().into_iter().filter(takes).collect();
        let written = branches.iter_mut().enumerate().flat_map(|(n, branch)| {
            branch.receive(all.clone());
            let about = vec![(crate::control::Setting::About, vec![b'A' + n as u8; 1 + round])];
            let outcome = branch.room.set_state(about, branch.now).unwrap();
            branch.keep(outcome.clone());
            outcome.events().cloned().collect::<Vec<_>>()
        });
        written.collect()
    };
    for round in 0..20 {
        let written = extend(&mut branches, &alice, round, None);
        alice.receive(written);
        // The proof of the fork is written, once.
        alice.look();
        alice.now += 2 * crate::limits::ELECTION_MAX_MS;
        alice.look();
    }
    assert_eq!(alice.room.dag.kinds().proofs.len(), 1);
    // Dave removes Eve and is gone before he makes an epoch.
    let target = crate::control::Target::Account(eve.room.me().account());
    let removal = crate::room::Removal { target, ban: false, cascade: false, purge: false };
    let removed = dave.room.remove(&[removal], dave.now, &mut dave.rng).unwrap().events().next().unwrap().clone();
    alice.receive(vec![removed.clone()]);
    for round in 20..25 {
        let written = extend(&mut branches, &alice, round, Some(removed.id()));
        alice.receive(written);
        // Time for one epoch, and all branches grow again.
        alice.look();
        alice.now += 2 * crate::limits::ELECTION_MAX_MS;
        alice.look();
    }
    let (removed, all) = (alice.room.dag.find(&removed.id()).unwrap(), alice.room.dag.kinds());
    let made = all.rotates.iter().filter(|at| alice.room.dag.in_past(removed, **at)).count();
    assert!(made > 0 && alice.room.epoch_status().epoch.is_some());
}

#[test]
fn a_new_link_lets_back_in_who_was_removed_however_many_heads_there_are() {
    (0..10).for_each(removed_under_one_of_ten_heads);
}

fn removed_under_one_of_ten_heads(remover: usize) {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Admin));
    let mut people: Vec<Person> = (2..12).map(|seed| Person::join(seed, &link, &mut alice)).collect();
    let kept = alice.invite(&many(Role::Member));
    let bob = Person::join(20, &kept, &mut alice);
    for person in &mut people {
        person.sync_from(&alice);
    }
    // All write at once, one of them removes Bob.
    for (n, person) in people.iter_mut().enumerate() {
        if n == remover {
            super::attacks::remove(person, &bob);
        } else {
            // More than one event, so that the one with the removal is not the head with the longest past.
            for length in 1..4 {
                let about = vec![(crate::control::Setting::About, vec![b'a'; length + n])];
                let outcome = person.room.set_state(about, person.now).unwrap();
                person.keep(outcome);
            }
        }
    }
    for person in &people {
        alice.sync_from(person);
    }
    assert!(alice.room.control_frontier().len() > 8);
    let himself = bob.room.me().clone();
    let fresh = alice.invite(&NewInvite::of(Role::Member));
    alice.maintain();
    assert_eq!(alice.admit(&himself, &kept).err(), Some(JoinRefusal::RemovedSince));
    assert!(alice.admit(&himself, &fresh).is_ok());
    assert!(alice.room.members().iter().any(|member| member.account == himself.account()));
}
