//! Any order, any number of times, in any batches: the same room (C1, C6).

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::support::{Person, identity, new_invite};
use crate::control::{History, Role, Setting};
use crate::event::Event;
use crate::room::{NewInvite, Room};

/// A random history of a room of up to six people in which everybody acts on a different part of it.
struct World {
    people: Vec<Person>,
    /// What a first member needs to begin again: the seed of its identity, its link and Welcome.
    witness: (u64, parlor_crypto::invite::InviteSeed, Vec<u8>),
    limits: Vec<(crate::ids::EventId, u32)>,
}

fn world(seed: u64, history: History) -> World {
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut alice = Person::founder(1, history);
    let link = alice.invite(&new_invite(Role::Admin));
    let me = identity(2);
    let welcome = alice.admit(&me, &link).unwrap().welcome.unwrap();
    let mut bob = Person::joining(2, me, &link, &alice.room.id(), &welcome);
    bob.sync_from(&alice);
    let mut world = World { people: vec![alice, bob], witness: (2, link, welcome), limits: Vec::new() };
    let mut links = Vec::new();
    let mut next = 3;
    for _ in 0..32 {
        let at = rng.random_range(0..world.people.len());
        let other = rng.random_range(0..world.people.len());
        match rng.random_range(0..12) {
            0..=3 if other != at => {
                let events = world.people[other].events();
                world.people[at].receive(events);
            }
            4 => {
                let uses = rng.random_range(1..3);
                let person = &mut world.people[at];
                let new = NewInvite { uses: Some(uses), ..new_invite(Role::Moderator) };
                if let Ok((seed, outcome)) = person.room.invite(&new, person.now, &mut person.rng) {
                    world.limits.push((outcome.events().next().unwrap().id(), uses));
                    person.keep(outcome);
                    links.push(seed);
                }
            }
            5 | 6 if !links.is_empty() && world.people.len() < 6 => {
                let link = links[rng.random_range(0..links.len())].clone();
                let me = identity(next);
                let sponsor = &mut world.people[at];
                if let Ok(admission) = sponsor.admit(&me, &link) {
                    let room = sponsor.room.id();
                    let mut newcomer = Person::joining(next, me, &link, &room, admission.welcome.as_ref().unwrap());
                    newcomer.sync_from(&world.people[at]);
                    world.people.push(newcomer);
                    next += 1;
                }
            }
            7 => {
                let person = &mut world.people[at];
                let name = format!("name {}", rng.random_range(0..100)).into_bytes();
                if let Ok(outcome) = person.room.set_state(vec![(Setting::Name, name)], person.now) {
                    person.keep(outcome);
                }
            }
            8 if !links.is_empty() => {
                let key = links[rng.random_range(0..links.len())].keys().sign.public_bytes();
                let person = &mut world.people[at];
                if let Some(Ok(outcome)) =
                    person.room.invite_by_key(&key).map(|id| person.room.revoke(&id, person.now, &mut person.rng))
                {
                    person.keep(outcome);
                }
            }
            9 if at > 1 => {
                let person = &mut world.people[at];
                if let Ok(outcome) = person.room.leave(person.now) {
                    person.keep(outcome);
                }
            }
            10 => world.people[at].maintain(),
            _ => {
                let person = &mut world.people[at];
                if person.room.epoch_status().epoch.is_some() && person.room.may_post().is_ok() {
                    person.write("something");
                }
            }
        }
    }
    world
}

/// All events of all, each once.
fn union(people: &[Person]) -> Vec<Event> {
    let mut ids = std::collections::HashSet::new();
    people.iter().flat_map(Person::events).filter(|event| ids.insert(event.id())).collect()
}

fn witness(world: &World) -> Person {
    let (seed, link, welcome) = &world.witness;
    Person::joining(*seed, identity(*seed), link, &world.people[0].room.id(), welcome)
}

/// What a room means to somebody who holds all of its events.
fn meaning(person: &Person) -> ([u8; 32], Vec<String>, Vec<crate::room::Tip>, Option<crate::ids::EpochId>) {
    let room: &Room = &person.room;
    (room.state_hash(), person.shown(), room.tips(), room.epoch_status().epoch)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_order_duplication_and_batching_gives_the_same_room(seed in any::<u64>(), full in any::<bool>()) {
        let history = if full { History::Full } else { History::None };
        let world = world(seed, history);
        let events = union(&world.people);
        let mut straight = witness(&world);
        straight.receive(events.clone());
        prop_assert_eq!(straight.stored.len(), events.len(), "seed {}", seed);
        let expected = meaning(&straight);
        let rng = &mut StdRng::seed_from_u64(seed ^ 1);
        for _ in 0..3 {
            let mut shuffled: Vec<Event> = events.iter().cloned().chain(events.iter().cloned()).collect();
            shuffled.shuffle(rng);
            let mut person = witness(&world);
            while !shuffled.is_empty() {
                let n = rng.random_range(1..=shuffled.len());
                let received = person.receive(shuffled.drain(..n).collect());
                prop_assert!(received.rejected.is_empty(), "{:?} seed {}", received.rejected, seed);
                if rng.random_bool(0.1) {
                    // What waits is in memory only: after a restart it comes again.
                    person.restart();
                    shuffled.extend(events.iter().cloned());
                }
            }
            prop_assert_eq!(meaning(&person), expected.clone(), "seed {}", seed);
        }
        for (invite, uses) in &world.limits {
            let info = straight.room.invite_info(invite).unwrap();
            prop_assert!(info.used <= *uses);
        }
        prop_assert!(straight.room.members().iter().any(|m| m.role == Role::Owner), "never locked out");
    }

    #[test]
    fn whoever_holds_the_same_events_agrees_and_can_write_and_be_read(seed in any::<u64>()) {
        let mut world = world(seed, History::Full);
        let events = union(&world.people);
        for person in &mut world.people {
            person.receive(events.clone());
        }
        // Turns come one after the other: whoever is first makes the epoch all need, if they need one.
        for _ in 0..3 {
            for at in 0..world.people.len() {
                world.people[at].maintain();
                let made = world.people[at].events();
                world.people.iter_mut().for_each(|person| { person.receive(made.clone()); });
            }
        }
        // Who is entitled to a key that he was not handed asks for it.
        for at in 0..world.people.len() {
            for epoch in world.people[at].room.keys_wanted() {
                let device = world.people[at].room.me().device();
                let share = |other: &Person| {
                    let rng = &mut StdRng::seed_from_u64(seed ^ 2);
                    other.room.is_member().then(|| other.room.key_share_for(&device, &epoch, rng).ok())?
                };
                if let Some(share) = world.people.iter().find_map(share) {
                    let outcome = world.people[at].room.accept_key_share(&share).unwrap();
                    world.people[at].keep(outcome);
                }
            }
        }
        let expected = world.people[0].room.state_hash();
        for at in 0..world.people.len() {
            prop_assert_eq!(world.people[at].room.state_hash(), expected, "seed {}", seed);
            if world.people[at].room.is_member() {
                let message = world.people[at].write("heard by all").event;
                for person in world.people.iter_mut() {
                    let received = person.receive(vec![message.clone()]);
                    prop_assert!(received.rejected.is_empty());
                    let readable = person.room.open_later(&message).is_some();
                    prop_assert_eq!(readable, person.room.is_member(), "seed {}", seed);
                }
            }
        }
    }
}

/// The random histories would prove nothing if what is to be decided never happened in them.
#[test]
fn the_random_histories_hold_what_is_to_be_decided() {
    let (mut void, mut left, mut revoked, mut hidden, mut merged, mut unsafe_now) = (0, 0, 0, 0, 0, 0);
    for seed in 0..60 {
        let world = world(seed, History::Full);
        let events = union(&world.people);
        let mut person = witness(&world);
        person.receive(events.clone());
        let count = |kind| events.iter().filter(|e| e.control().is_some_and(|header| header.kind == kind)).count();
        left += count(4);
        revoked += person.room.invites().iter().filter(|invite| invite.revoked).count();
        void += (1 + count(7)).saturating_sub(person.room.members().len() + count(4));
        hidden += person.stored.len().saturating_sub(person.shown().len() + person.room.control_events().count());
        merged += events.iter().filter(|event| event.parents().len() > 1).count();
        unsafe_now += usize::from(person.room.epoch_status().epoch.is_none());
    }
    println!("void {void} left {left} revoked {revoked} hidden {hidden} merged {merged} unsafe {unsafe_now}");
    assert!(void > 0 && left > 0 && revoked > 0 && hidden > 0 && merged > 0 && unsafe_now > 0);
}
