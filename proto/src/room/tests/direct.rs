//! Direct chats: one room whoever begins it, for the two alone.

use std::sync::Arc;

use parlor_crypto::Secret;
use parlor_crypto::topic::TopicSecret;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::support::*;
use crate::control::{AccountUpdate, Control, Direct, NewDevice, Permission, Role};
use crate::event::{Event, EventError, Header};
use crate::identity::Identity;
use crate::room::{Change, Refusal, Reject, Room, Verdict};

fn papers(of: &Identity) -> NewDevice {
    NewDevice::sign(of.signing_key(), of.entrant())
}

fn chat(one: &Identity, other: &Identity) -> Direct {
    Direct::of(one.entrant().account, other.entrant().account).unwrap()
}

fn begins(me: &Arc<Identity>, other: &Identity, devices: &[NewDevice], seed: u64) -> Person {
    let mut rng = StdRng::seed_from_u64(seed);
    let topic = TopicSecret::from_secret(Secret::new([9; 32]));
    let (room, outcome) = Room::direct(me.clone(), &chat(me, other), topic, devices, START, &mut rng).unwrap();
    let mut person = Person::with(room, rng);
    person.keep(outcome);
    person
}

fn texts(of: &Person) -> Vec<String> {
    let mut texts: Vec<_> = of.shown();
    texts.sort();
    texts
}

#[test]
fn both_who_begin_at_once_hold_one_room_and_read_each_other() {
    let (alice, bob) = (identity(1), identity(2));
    let mut a = begins(&alice, &bob, &[papers(&bob)], 1);
    let mut b = begins(&bob, &alice, &[papers(&alice)], 2);
    assert_eq!(a.room.id(), b.room.id());
    a.write("hello Bob");
    b.write("hello Alice");
    a.sync(&mut b);
    assert_eq!(a.room.state_hash(), b.room.state_hash());
    assert_eq!(texts(&a), texts(&b));
    assert_eq!(texts(&a), ["hello Alice", "hello Bob"]);
    a.write("one room");
    b.sync_from(&a);
    assert_eq!(texts(&b).len(), 3);
    assert_eq!(a.room.other(), Some(bob.account()));
    assert_eq!(b.room.other(), Some(alice.account()));
    assert!(a.room.members().iter().all(|member| member.role == Role::Owner && member.devices.len() == 1));
}

#[test]
fn nothing_is_written_before_the_other_has_a_device_and_then_it_can_read_it() {
    let (alice, bob) = (identity(1), identity(2));
    let mut a = begins(&alice, &bob, &[], 1);
    assert!(a.room.waits_for_other());
    a.maintain();
    let refused = a.room.write(&crate::body::Body::text("too early"), a.now, &mut a.rng);
    assert_eq!(refused.unwrap_err(), Refusal::NoSafeEpoch);
    let mut outcome = a.room.introduce(&[papers(&bob)], a.now, &mut a.rng).unwrap();
    assert!(outcome.changes.contains(&Change::Devices(bob.account())), "sessions and outbox learn of it");
    assert!(outcome.changes.contains(&Change::Epoch));
    a.keep(std::mem::take(&mut outcome));
    a.write("now");
    let mut b = begins(&bob, &alice, &[papers(&alice)], 2);
    b.sync(&mut a);
    assert_eq!(texts(&b), ["now"]);
    assert_eq!(a.room.state_hash(), b.room.state_hash());
    let again = a.room.introduce(&[papers(&bob)], a.now, &mut a.rng).unwrap();
    assert!(again.accepted.is_empty(), "nothing is said twice");
}

#[test]
fn whoever_knows_nothing_of_the_other_hears_of_it_from_the_room() {
    let (alice, bob) = (identity(1), identity(2));
    // Alice's node is told of Bob's papers by nobody: his first event in the room brings them.
    let mut a = begins(&alice, &bob, &[], 1);
    let mut b = begins(&bob, &alice, &[papers(&alice)], 2);
    a.sync(&mut b);
    a.write("there you are");
    b.sync_from(&a);
    assert_eq!(texts(&b), ["there you are"]);
}

#[test]
fn random_orders_of_beginning_writing_and_meeting_give_one_room() {
    for seed in 0..40 {
        let rng = &mut StdRng::seed_from_u64(seed);
        let (alice, bob) = (identity(1), identity(2));
        let knows = |known: bool, of: &Identity| if known { vec![papers(of)] } else { Vec::new() };
        let mut a = begins(&alice, &bob, &knows(rng.random_bool(0.5), &bob), seed);
        let mut b = begins(&bob, &alice, &knows(rng.random_bool(0.5), &alice), seed ^ 0xff);
        let mut written = 0;
        for step in 0..30 {
            let me = if rng.random_bool(0.5) { &mut a } else { &mut b };
            me.now += 1;
            match rng.random_range(0..5) {
                0 | 1 if me.room.epoch_status().epoch.is_some() => {
                    me.write(&format!("message {step}"));
                    written += 1;
                }
                2 => me.maintain(),
                3 => drop(a.sync_from(&b)),
                _ => drop(b.sync_from(&a)),
            }
        }
        a.sync(&mut b);
        assert_eq!(a.room.state_hash(), b.room.state_hash(), "seed {seed}");
        assert_eq!(texts(&a).len(), written, "seed {seed}");
        assert_eq!(texts(&a), texts(&b), "seed {seed}");
    }
}

#[test]
fn nobody_else_comes_in_and_nobody_goes() {
    let (alice, bob, eve) = (identity(1), identity(2), identity(3));
    let mut a = begins(&alice, &bob, &[papers(&bob)], 1);
    assert_eq!(a.room.leave(a.now).unwrap_err(), Refusal::Direct);
    let invite = a.room.invite(&new_invite(Role::Member), a.now, &mut a.rng);
    assert_eq!(invite.unwrap_err(), Refusal::NotPermitted(Permission::Invite));
    // A device of somebody else is not brought in, and an event that says so is refused.
    let outcome = a.room.introduce(&[papers(&eve)], a.now, &mut a.rng).unwrap();
    assert!(outcome.accepted.is_empty());
    let header = a.room.control_header(8, &[], a.now).unwrap();
    let update = Control::AccountUpdate(AccountUpdate { devices: vec![papers(&eve)], revokes: Vec::new() });
    let event = Event::sign(&a.room.id(), Header::Control(header), &update.encode(), alice.signing_key()).unwrap();
    let mut b = begins(&bob, &alice, &[papers(&alice)], 2);
    b.sync_from(&a);
    let received = b.receive(vec![event]);
    assert!(matches!(received.rejected.as_slice(), [one] if matches!(one.why, Reject::Invalid(_))));
    assert!(
        Room::direct(
            eve.clone(),
            &chat(&alice, &bob),
            TopicSecret::from_secret(Secret::new([9; 32])),
            &[],
            START,
            &mut a.rng
        )
        .is_err()
    );
}

#[test]
fn papers_that_do_not_hold_bring_in_no_device() {
    let (alice, bob, eve) = (identity(1), identity(2), identity(3));
    let mut forged = papers(&eve);
    forged.cert.account = bob.account().0;
    let mut a = begins(&alice, &bob, &[forged], 1);
    assert!(a.room.waits_for_other());
    let mut stolen = papers(&bob);
    stolen.leaf = eve.entrant().leaf;
    let outcome = a.room.introduce(&[stolen], a.now, &mut a.rng).unwrap();
    assert!(outcome.accepted.is_empty() && a.room.waits_for_other());
}

#[test]
fn the_beginning_is_taken_from_nobody_and_fits_one_room_only() {
    let (alice, bob, eve) = (identity(1), identity(2), identity(3));
    let a = begins(&alice, &bob, &[papers(&bob)], 1);
    let genesis = a.events().remove(0);
    assert_eq!(genesis.verify(&a.room.id()), Err(EventError::Signature));
    let mut group = Person::founder(5, crate::control::History::Full);
    let foreign = Event::decode(&group.room.id(), genesis.bytes()).unwrap();
    let received = group.receive(vec![foreign]);
    assert_eq!(received.rejected.len(), 1);
    let other = begins(&alice, &eve, &[], 3);
    assert_ne!(other.room.id(), a.room.id());
    assert!(Direct::of(alice.entrant().account, alice.entrant().account).is_none());
}

#[test]
fn a_direct_chat_is_restored_from_what_was_stored() {
    let (alice, bob) = (identity(1), identity(2));
    let mut a = begins(&alice, &bob, &[papers(&bob)], 1);
    a.write("before");
    let hash = a.room.state_hash();
    a.restart();
    assert_eq!(a.room.state_hash(), hash);
    assert_eq!(a.room.other(), Some(bob.account()));
    assert_eq!(a.write("after").verdict, Verdict::Shown);
}
