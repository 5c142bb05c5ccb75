//! Devices that write two events of one number: both branches are kept everywhere, and the proof is written.

use super::support::*;
use crate::body::Body;
use crate::control::{Control, EquivProof, History, Role};
use crate::event::{Event, LogKind};
use crate::limits::MAX_PROVED_BRANCHES;
use crate::room::{Change, MessageTip, Refusal, Room, Sibling};

/// A room of three, and what the second writes twice: two branches of its message log after a common message.
pub(super) struct Forked {
    pub(super) alice: Person,
    pub(super) bob: Person,
    pub(super) carol: Person,
    pub(super) left: Vec<Event>,
    pub(super) right: Vec<Event>,
}

pub(super) fn forked(n: usize) -> Forked {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    alice.sync(&mut carol);
    alice.sync(&mut bob);
    bob.write("common");
    alice.sync_from(&bob);
    carol.sync_from(&bob);
    let mut branch = |name: &str| -> Vec<Event> {
        bob.restart();
        let text = |n: usize| Body::text(format!("{name} {n}"));
        (0..n).map(|n| bob.room.write(&text(n), bob.now, &mut bob.rng).unwrap().message.event).collect()
    };
    let (left, right) = (branch("left"), branch("right"));
    Forked { alice, bob, carol, left, right }
}

#[test]
fn both_branches_of_a_message_log_are_kept_and_compared_alike_whichever_came_first() {
    let Forked { mut alice, bob, mut carol, left, right } = forked(3);
    assert_eq!((left[0].seq(), right[0].seq()), (2, 2));
    alice.receive(left.clone());
    carol.receive(right.clone());
    let changes = alice.receive(right.clone()).outcome.changes;
    assert!(changes.contains(&Change::Fork(bob.room.me().device())));
    carol.receive(left.clone());
    for person in [&alice, &carol] {
        assert_eq!(person.shown().len(), 7, "{:?}", person.shown());
    }
    assert_eq!(alice.room.tips(), carol.room.tips());
    // The same again changes nothing, nor does a restart; and both branches go on.
    let before = alice.room.tips();
    alice.receive(right.clone());
    alice.restart();
    carol.restart();
    alice.receive(left.clone());
    assert_eq!((alice.room.tips(), carol.room.tips()), (before.clone(), before));
    assert!(alice.room.seen(&left[2]) && alice.room.seen(&right[2]));
}

#[test]
fn a_branch_of_a_branch_is_kept_too() {
    let Forked { mut alice, mut bob, mut carol, left, right } = forked(3);
    // A third and a fourth continuation: of the first of the left ones, and again of the common one.
    bob.restart();
    bob.receive(left[..1].to_vec());
    let third: Vec<Event> =
        ["x", "y"].map(|text| bob.room.write(&Body::text(text), bob.now, &mut bob.rng).unwrap().message.event).into();
    for events in [&left, &right, &third] {
        alice.receive(events.clone());
    }
    // The third hangs on the first of the left ones.
    carol.receive(right);
    carol.receive(left[..1].to_vec());
    carol.receive(third);
    carol.restart();
    carol.receive(left);
    assert_eq!(carol.room.tips(), alice.room.tips());
    assert_eq!(alice.shown().len(), 1 + 6 + 2);
    alice.restart();
    assert_eq!(carol.room.tips(), alice.room.tips());
}

#[test]
fn one_member_proves_a_fork_anyone_verifies_it_and_the_device_stops() {
    let Forked { mut alice, mut bob, mut carol, left, right } = forked(1);
    alice.receive(left.clone());
    alice.receive(right.clone());
    alice.maintain();
    let proof = |person: &Person| {
        let proofs = person.room.control_events().filter_map(|event| {
            match Control::decode(event.control()?.kind, event.payload()) {
                Ok(Control::EquivProof(proof)) => Some(*proof),
                _ => None,
            }
        });
        proofs.collect::<Vec<_>>()
    };
    let [first] = &proof(&alice)[..] else { panic!("one proof") };
    assert_eq!(first.verify(&alice.room.id()).unwrap(), left[0].log());
    let received = carol.sync_from(&alice);
    assert!(received.rejected.is_empty(), "{:?}", received.rejected);
    carol.maintain();
    assert_eq!(proof(&carol).len(), 1, "who knows the proof writes none");
    assert_eq!(alice.room.state_hash(), carol.room.state_hash());
    let control: Vec<Event> = alice.room.control_events().cloned().collect();
    let changes = bob.room.receive(control, bob.now).outcome.changes;
    assert!(changes.contains(&Change::Fork(bob.room.me().device())));
    assert!(bob.room.is_cloned());
    assert_eq!(bob.room.may_post(), Err(Refusal::Cloned));
    assert!(bob.room.member(&bob.room.me().account()).is_some(), "it is a member all the same");
}

#[test]
fn more_branches_than_are_kept_are_refused_and_nobody_is_blamed() {
    let Forked { mut alice, mut bob, left, .. } = forked(1);
    alice.receive(left);
    let mut refused = 0;
    for n in 0..crate::limits::MAX_BRANCHES + 10 {
        bob.restart();
        let event = bob.room.write(&Body::text(format!("{n}")), bob.now, &mut bob.rng).unwrap().message.event;
        let received = alice.receive(vec![event]);
        assert!(received.rejected.iter().all(|rejected| !rejected.blames_sender()));
        refused += received.rejected.len();
    }
    assert_eq!(refused, 10);
}

#[test]
fn what_is_not_beside_what_is_held_is_no_fork() {
    let Forked { mut alice, bob, left, right, .. } = forked(2);
    alice.receive(left.clone());
    let device = bob.room.me().device();
    let before = Some(MessageTip { path: device, event: left[0].clone(), covers_own: 0 });
    let sibling = Sibling { path: device, before, next: left[1].clone() };
    let received = alice.room.receive_fork(right[0].clone(), &sibling, START);
    assert!(received.outcome.accepted.is_empty() && received.rejected.len() == 1);
}

/// `n` branches of the message log of Bob after what he wrote first, each of one message.
fn branches(bob: &mut Person, n: usize) -> Vec<Event> {
    let branch = |n: usize| {
        bob.restart();
        bob.room.write(&Body::text(format!("branch {n}")), bob.now, &mut bob.rng).unwrap().message.event
    };
    (0..n).map(branch).collect()
}

/// Waits until all proofs are written.
fn prove(person: &mut Person) {
    person.look();
    person.now += 60_000;
    person.look();
}

#[test]
fn a_log_with_too_many_branches_is_left_out_by_everybody_alike_whichever_of_them_each_took() {
    let Forked { mut alice, mut bob, mut carol, .. } = forked(1);
    let log = bob.room.me().device();
    let all = branches(&mut bob, 3 * MAX_PROVED_BRANCHES);
    let (left, right) = all.split_at(all.len() / 2);
    alice.receive(left.to_vec());
    carol.receive(right.to_vec());
    assert_ne!(alice.room.tips(), carol.room.tips());
    for person in [&mut alice, &mut carol] {
        prove(person);
        assert!(person.room.leaves_out() && !person.room.tells(&log));
    }
    for _ in 0..2 {
        let control = |of: &Person| of.room.control_events().cloned().collect::<Vec<_>>();
        let (from_alice, from_carol) = (control(&alice), control(&carol));
        carol.receive(from_alice);
        alice.receive(from_carol);
    }
    // Whoever comes now never asks for any of it.
    let link = alice.invite(&many(Role::Member));
    let dave = Person::join(5, &link, &mut alice);
    carol.receive(alice.room.control_events().cloned().collect());
    assert_eq!(alice.room.tips(), carol.room.tips());
    assert_eq!(dave.room.tips(), alice.room.tips());
    // No more of it is taken, and who hands it on is not to blame.
    let more = branches(&mut bob, 1);
    bob.restart();
    bob.receive(left[..1].to_vec());
    let next = bob.room.write(&Body::text("and on"), bob.now, &mut bob.rng).unwrap().message.event;
    assert_eq!(next.prev(), left[0].id(), "of a branch that is held");
    for events in [right.to_vec(), more, vec![next]] {
        let held = alice.stored.len();
        let received = alice.receive(events);
        assert_eq!(alice.stored.len(), held);
        assert!(received.rejected.iter().all(|rejected| !rejected.blames_sender()));
    }
    assert!(alice.room.missing().is_empty());
    // What is held stays as it is, and no more proofs are written.
    let (shown, control) = (alice.shown().len(), alice.room.dag.len());
    alice.restart();
    prove(&mut alice);
    assert_eq!((alice.shown().len(), alice.room.dag.len()), (shown, control));
    assert!(alice.room.leaves_out());
}

#[test]
fn nobody_has_the_log_of_somebody_else_left_out_by_proving_one_fork_of_it_many_times() {
    let Forked { mut alice, bob, mut carol, left, right } = forked(2 * MAX_PROVED_BRANCHES);
    carol.receive(left.clone());
    carol.receive(right.clone());
    for (one, other) in left.iter().zip(&right) {
        let Some(proof) = EquivProof::new(&bob.room.id(), one, other) else { continue };
        // A doctored node: what refuses here is not asked.
        drop(carol.room.write_control(Control::EquivProof(Box::new(proof)), carol.now).map(|made| carol.keep(made)));
    }
    alice.receive(carol.room.control_events().cloned().collect());
    alice.receive(left.clone());
    alice.receive(right);
    assert!(!alice.room.leaves_out() && alice.room.tells(&left[0].device()));
    assert_eq!(alice.shown().len(), 1 + 4 * MAX_PROVED_BRANCHES);
}

#[test]
fn of_a_control_log_all_branches_are_taken_for_who_is_a_member_depends_on_them() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Admin));
    let mallory = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    carol.sync_from(&alice);
    let branch = |n: usize| {
        let mut branch = mallory.clone_with_all_secrets();
        let about = vec![(crate::control::Setting::About, n.to_string().into_bytes())];
        let outcome = branch.room.set_state(about, branch.now).unwrap();
        outcome.events().next().unwrap().clone()
    };
    let all: Vec<Event> = (0..300).map(branch).collect();
    let (left, right) = all.split_at(150);
    for (person, some) in [(&mut alice, [left, right]), (&mut carol, [right, left])] {
        for events in some {
            assert_eq!(person.receive(events.to_vec()).rejected, []);
        }
    }
    assert_eq!(alice.room.state_hash(), carol.room.state_hash());
    assert_eq!(alice.room.tips(), carol.room.tips());
    // Branches of branches, too: what sync asks for by stretches is all there is, each once and in order of acceptance.
    for (n, first) in all.iter().enumerate().take(5) {
        let mut branch = mallory.clone_with_all_secrets();
        branch.receive(vec![first.clone()]);
        let about = |n: usize| vec![(crate::control::Setting::About, format!("after {n}").into_bytes())];
        let outcome = branch.room.set_state(about(n), branch.now).unwrap();
        let after = outcome.events().next().unwrap().clone();
        let mut beside = mallory.clone_with_all_secrets();
        beside.receive(vec![first.clone()]);
        let outcome = beside.room.set_state(about(n + 9), beside.now).unwrap();
        let beside = outcome.events().next().unwrap().clone();
        assert_eq!(alice.receive(vec![after, beside]).rejected, []);
    }
    holds_what_its_tips_say(&alice.room);
    alice.restart();
    holds_what_its_tips_say(&alice.room);
}

fn holds_what_its_tips_say(room: &Room) {
    let stretches: Vec<_> = room.tips().into_iter().filter(|tip| tip.log.kind == LogKind::Control).collect();
    let held = room.control_held(stretches.iter().map(|tip| (tip.log.device, 1..=u64::MAX)), usize::MAX);
    let all: Vec<_> = room.control_events().map(|event| (room.control_place(event), event.id())).collect();
    assert_eq!(held.iter().map(|(place, event)| (*place, event.id())).collect::<Vec<_>>(), all);
    assert_eq!(held.len() as u64, stretches.iter().map(|tip| tip.seq).sum::<u64>());
    for tip in &stretches {
        let part = room.control_held([(tip.log.device, 2..=tip.seq)], 1);
        assert_eq!(part.len(), usize::from(tip.seq > 1));
        assert!(part.iter().all(|(place, _)| *place == (tip.log.device, 2)));
        assert_eq!(room.control_held([(tip.log.device, tip.seq + 1..=u64::MAX)], 9).len(), 0);
    }
}
