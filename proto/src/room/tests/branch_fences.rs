//! A fence pins one message: of a forked log inside is what that was built on, on every node, whatever came first.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use super::forks::{Forked, forked};
use super::support::*;
use crate::body::{Body, Edit, React};
use crate::control::{
    AccountUpdate, Control, DeviceFence, History, LogPosition, MessageFate, NewDevice, Remove, Role, Target,
};
use crate::event::Event;
use crate::identity::Identity;
use crate::ids::EventId;
use crate::room::{Accepted, Change, Message, Outcome, Removal, Verdict};

/// Removes somebody from the room.
fn remove(by: &mut Person, whom: &Person) -> Vec<Event> {
    let target = Target::Account(whom.room.me().account());
    let removal = Removal { target, ban: false, cascade: false, purge: false };
    let outcome = by.room.remove(&[removal], by.now, &mut by.rng).unwrap();
    keep(by, outcome)
}

/// Keeps an outcome; its events.
fn keep(person: &mut Person, outcome: Outcome) -> Vec<Event> {
    let events = outcome.events().cloned().collect();
    person.keep(outcome);
    events
}

/// What is written on top of these messages by a device that knows nothing else of its log.
fn write_on(author: &Person, below: &[Event], text: &str) -> Event {
    let mut author = twin(author);
    author.receive(below.to_vec());
    author.room.write(&Body::text(text), author.now, &mut author.rng).unwrap().message.event
}

/// All orders of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    let Some(last) = n.checked_sub(1) else { return vec![Vec::new()] };
    let with = |order: Vec<usize>| {
        (0..n).map(move |at| {
            let mut order = order.clone();
            order.insert(at, last);
            order
        })
    };
    orders(last).into_iter().flat_map(with).collect()
}

/// Another node of somebody, as it is now.
fn twin(person: &Person) -> Person {
    person.restored_as(person.room.me().clone())
}

/// Whoever takes these in any order, also with a restart between any two, shows the same.
fn shown_by_everybody(person: &Person, parts: &[&[Event]], shown: &[&str]) {
    for order in orders(parts.len()) {
        for restarts in [false, true] {
            let mut one = twin(person);
            // What comes before what it is built on is not taken, and comes again.
            for part in order.iter().chain(&order) {
                one.receive(parts[*part].to_vec());
                if restarts {
                    one.restart();
                }
            }
            assert_eq!(one.shown(), shown, "in the order {order:?}");
            one.restart();
            assert_eq!(one.shown(), shown, "after a restart, in the order {order:?}");
        }
    }
}

#[test]
fn what_a_removal_pinned_stays_and_other_branches_are_hidden_whatever_came_first() {
    let Forked { mut alice, bob, carol, left, right } = forked(3);
    alice.receive(left.clone());
    let removal = remove(&mut alice, &bob);
    let shown = ["common", "left 0", "left 1", "left 2"];
    shown_by_everybody(&carol, &[&left, &right, &removal], &shown);
    alice.receive(right);
    assert_eq!(alice.shown(), shown);
}

#[test]
fn who_knew_both_branches_when_he_removed_pins_the_one_that_came_first() {
    for first_is_left in [true, false] {
        let Forked { mut alice, bob, carol, left, right } = forked(2);
        let (first, second) = if first_is_left { (&left, &right) } else { (&right, &left) };
        alice.receive(first.clone());
        alice.receive(second.clone());
        assert_eq!(alice.shown().len(), 5, "a member's branches both count");
        let removal = remove(&mut alice, &bob);
        let shown = if first_is_left { ["common", "left 0", "left 1"] } else { ["common", "right 0", "right 1"] };
        assert_eq!(alice.shown(), shown);
        shown_by_everybody(&carol, &[&left, &right, &removal], &shown);
    }
}

#[test]
fn a_fence_on_a_branch_of_a_branch_holds_the_way_to_it_and_nothing_after() {
    let Forked { mut alice, bob, carol, left, right } = forked(3);
    let x = write_on(&bob, &left[..1], "x");
    let y = write_on(&bob, &[left[0].clone(), x.clone()], "y");
    let later = write_on(&bob, &[left[0].clone(), x.clone(), y.clone()], "later");
    alice.receive(vec![left[0].clone(), x.clone(), y.clone()]);
    let removal = remove(&mut alice, &bob);
    shown_by_everybody(&carol, &[&left, &right, &[x, y, later], &removal], &["common", "left 0", "x", "y"]);
}

#[test]
fn a_second_first_message_hides_nothing_of_the_first() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let carol = Person::join(3, &link, &mut alice);
    bob.sync_from(&alice);
    let first = write_on(&bob, &[], "first");
    let second = write_on(&bob, std::slice::from_ref(&first), "second");
    let forged = write_on(&bob, &[], "forged");
    let log = [first, second];
    alice.receive(log.to_vec());
    let removal = remove(&mut alice, &bob);
    shown_by_everybody(&carol, &[&log, &[forged], &removal], &["first", "second"]);
}

#[test]
fn the_thief_of_a_revoked_device_hides_nothing_that_its_owner_wrote() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut rng = StdRng::seed_from_u64(2);
    let (seed, _) = Identity::create("laptop", START, &mut rng).unwrap();
    let phone = Identity::add_device(&seed, "phone", 2, START, &mut rng).unwrap();
    let devices = vec![NewDevice::sign(phone.signing_key(), phone.entrant())];
    let added = bob.room.update_account(AccountUpdate { devices, revokes: Vec::new() }, bob.now).unwrap();
    bob.keep(added);
    alice.sync_from(&bob);
    let device = phone.device();
    let phone = bob.restored_as(phone);
    let mut log = Vec::new();
    for text in ["one", "two", "three", "four"] {
        log.push(write_on(&phone, &log.clone(), text));
    }
    bob.receive(log.clone());
    let revoked = bob.room.revoke_device(&device, &seed.root_key(0), bob.now, &mut bob.rng).unwrap();
    let revocation = keep(&mut bob, revoked);
    let forged = write_on(&phone, &log[..1], "forged");
    let after = write_on(&phone, &[log[0].clone(), forged.clone()], "and on");
    let shown = ["one", "two", "three", "four"];
    shown_by_everybody(&alice, &[&log, &[forged.clone(), after.clone()], &revocation], &shown);
    bob.receive(vec![forged, after]);
    assert_eq!(bob.shown(), shown);
}

#[test]
fn a_message_beside_an_early_one_is_hidden_when_it_comes_and_windows_are_told() {
    let Forked { mut alice, bob, left, right, .. } = forked(2);
    alice.receive(left);
    remove(&mut alice, &bob);
    let changes = alice.receive(right.clone()).outcome.changes;
    assert!(changes.contains(&Change::Branches(bob.room.me().device())));
    for event in &right {
        assert_eq!(taken(&alice, &event.id()).verdict, Verdict::AfterRemoval);
    }
}

fn taken<'a>(person: &'a Person, id: &EventId) -> &'a Message {
    let mut taken = person.stored.iter().filter_map(|accepted| match accepted {
        Accepted::Message(message) => Some(message),
        Accepted::Control(_) => None,
    });
    taken.find(|message| message.event.id() == *id).unwrap()
}

#[test]
fn the_true_branch_counts_as_soon_as_what_the_fence_pins_is_here() {
    let Forked { mut alice, bob, mut carol, left, right } = forked(2);
    alice.receive(left.clone());
    let removal = remove(&mut alice, &bob);
    carol.receive(right);
    carol.receive(removal);
    carol.receive(left[..1].to_vec());
    assert_eq!(carol.shown(), ["common"], "what all branches share, until it is known which is meant");
    let received = carol.room.receive(left[1..].to_vec(), carol.now);
    assert!(received.outcome.changes.contains(&Change::Branches(bob.room.me().device())));
    carol.keep(received.outcome);
    assert_eq!(carol.shown(), ["common", "left 0", "left 1"]);
}

#[test]
fn what_was_said_about_messages_counts_by_the_branch_it_stands_on() {
    let Forked { mut alice, mut bob, carol, .. } = forked(0);
    let target = taken(&bob, &bob.events().last().unwrap().id()).clone();
    let id = target.event.id();
    let edit = Body::Edit(Edit { target: id, text: "edited".into(), mentions: Vec::new() });
    let react = Body::React(React { target: id, emoji: "x".into(), on: true });
    let mut say = |body: &Body| {
        bob.restart();
        bob.room.write(body, bob.now, &mut bob.rng).unwrap().message.event
    };
    let (edit, react) = (say(&edit), vec![say(&react)]);
    let after = write_on(&bob, std::slice::from_ref(&edit), "after");
    let edit = vec![edit, after];
    alice.receive(edit.clone());
    let removal = remove(&mut alice, &bob);
    for order in orders(3) {
        let mut one = twin(&carol);
        order.iter().for_each(|part| drop(one.receive([&edit, &react, &removal][*part].clone())));
        for _ in 0..2 {
            let seen = one.sees(&target);
            assert_eq!((seen.edits.len(), seen.reactions.len()), (1, 0), "in the order {order:?}");
            one.restart();
        }
    }
}

#[test]
fn branches_that_were_stored_before_they_told_what_they_begin_on_are_known_all_the_same() {
    let Forked { mut alice, bob, mut carol, left, right } = forked(3);
    let x = write_on(&bob, &left[..1], "x");
    alice.receive(vec![left[0].clone(), x.clone()]);
    let removal = remove(&mut alice, &bob);
    for part in [right, left, vec![x], removal] {
        carol.receive(part);
    }
    carol.restart_as_version_3();
    assert_eq!(carol.shown(), ["common", "left 0", "x"]);
}

/// The messages that `of` was built on, and itself, oldest first.
fn way_to(of: usize, tree: &[(Event, Option<usize>)]) -> Vec<Event> {
    let mut way: Vec<Event> = std::iter::successors(Some(of), |at| tree[*at].1).map(|at| tree[at].0.clone()).collect();
    way.reverse();
    way
}

#[test]
fn of_random_trees_everybody_shows_the_way_to_what_is_pinned_whatever_came_when() {
    for seed in 0..40 {
        let mut rng = StdRng::seed_from_u64(seed);
        let Forked { mut alice, bob, carol, .. } = forked(0);
        let mut tree: Vec<(Event, Option<usize>)> = Vec::new();
        for n in 0..rng.random_range(2..12) {
            // Often the last one goes on.
            let below = if rng.random_bool(0.5) { tree.len().checked_sub(1) } else { None };
            let any = (0..tree.len()).collect::<Vec<_>>();
            let below = below.or_else(|| any.choose(&mut rng).copied().filter(|_| rng.random_bool(0.8)));
            let way = below.map(|below| way_to(below, &tree)).unwrap_or_default();
            tree.push((write_on(&bob, &way, &n.to_string()), below));
        }
        let way = way_to(rng.random_range(0..tree.len()), &tree);
        alice.receive(way.clone());
        let mut wanted: HashSet<EventId> = way.iter().map(Event::id).collect();
        let removal = remove(&mut alice, &bob);
        // The common one stands below all.
        wanted.insert(tree[0].0.prev());
        for _ in 0..4 {
            let mut one = if rng.random_bool(0.5) { twin(&carol) } else { twin(&alice) };
            let mut parts: Vec<Vec<Event>> = tree.iter().map(|(event, _)| vec![event.clone()]).collect();
            parts.push(removal.clone());
            // What comes before what it is built on is not taken, and comes again.
            for _ in 0..=tree.len() {
                parts.shuffle(&mut rng);
                for part in &parts {
                    one.receive(part.clone());
                    if rng.random_bool(0.1) {
                        one.restart();
                    }
                }
            }
            let shown: HashSet<EventId> = one.shown_ids().collect();
            assert_eq!(shown, wanted, "with the seed {seed}");
        }
    }
}

#[test]
fn a_fence_that_says_another_number_than_its_message_has_means_the_same_to_everybody() {
    for seq in [1, 2, 3, 9] {
        let Forked { mut alice, bob, carol, left, right } = forked(3);
        alice.receive(left.clone());
        let device = bob.room.me().device();
        let message = Some(LogPosition { seq, id: left[1].id() });
        let remove = Control::Remove(Remove {
            auth: alice.room.grant_id(alice.room.grant().unwrap()),
            target: Target::Account(bob.room.me().account()),
            ban: false,
            cascade: false,
            messages: MessageFate::Fenced,
            fence: vec![DeviceFence { message, ..alice.room.revoke_fence(&device) }],
        });
        // A doctored node: what refuses here is not asked.
        let removed = alice.room.write_control(remove, alice.now).unwrap();
        let removal = keep(&mut alice, removed);
        let below = seq.min(3) as usize;
        // At a number below its own it is not inside itself.
        let shown = match below {
            3 => &["common", "left 0", "left 1"][..],
            _ => &["common", "left 0", "left 1"][..below - 1],
        };
        shown_by_everybody(&carol, &[&left, &right, &removal], shown);
    }
}
