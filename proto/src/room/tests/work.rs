//! How much work a peer can make us do with one event or one answer, at most (C16). Counted by what is dear, not by clocks.

use parlor_crypto::work::{Work, spent};

use super::support::{Person, START, many};
use crate::control::{
    AccountUpdate, Control, History, KeyComplaint, NewDevice, Policy, Role, Rotate, RotateReason, Row, Rows, Setting,
};
use crate::event::{Event, Header};
use crate::identity::Identity;
use crate::limits::{INLINE_ROWS, MAX_UPDATE_DEVICES, SLICE_MS};
use crate::resolve::from_scratch;
use crate::room::{NewInvite, Received, Room};

/// What something cost, with resolutions of a whole view from scratch.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    work: Work,
    resolutions: u64,
    /// Rows that are to be written, and events.
    writes: usize,
}

fn signatures(signatures: u64) -> Work {
    Work { signatures, ..Work::default() }
}

/// What one event costs who takes it.
fn cost_of(person: &mut Person, event: Event) -> (Cost, Received) {
    let (before, resolved) = (spent(), from_scratch());
    let received = person.room.receive(vec![event], person.now);
    let (work, resolutions) = (spent().since(before), from_scratch() - resolved);
    let outcome = &received.outcome;
    let writes = outcome.accepted.len() + outcome.persist.keys.len() + outcome.persist.pages.len();
    (Cost { work, resolutions, writes }, received)
}

fn takes(person: &mut Person, event: Event) -> Cost {
    let (cost, mut received) = cost_of(person, event);
    assert!(received.rejected.is_empty() && received.outcome.accepted.len() == 1, "{:?}", received.rejected);
    person.keep(std::mem::take(&mut received.outcome));
    cost
}

/// An event that no honest node would write.
fn forged(by: &Room, control: &Control, now_ms: u64) -> Event {
    let header = by.control_header(control.kind(), &[], now_ms).unwrap();
    Event::sign(&by.id(), Header::Control(header), &control.encode(), by.me().signing_key()).unwrap()
}

fn pair() -> (Person, Person) {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Admin));
    let mut bob = Person::join(2, &link, &mut alice);
    alice.sync(&mut bob);
    (alice, bob)
}

#[test]
fn a_control_event_costs_its_signature_and_those_of_the_papers_in_it() {
    let (mut alice, mut bob) = pair();
    let mut all: Vec<(Event, u64)> = Vec::new();
    let mut note = |outcome: &crate::room::Outcome, papers: u64| {
        all.extend(outcome.events().map(|event| (event.clone(), 1 + papers)));
    };
    let now = alice.now;
    let named = alice.room.set_state(vec![(Setting::Name, b"n".to_vec())], now).unwrap();
    note(&named, 0);
    alice.keep(named);
    let (link, invited) = alice.room.invite(&NewInvite::of(Role::Member), now, &mut alice.rng).unwrap();
    note(&invited, 0);
    alice.keep(invited);
    // Certificate, leaf record, and the words of invite and device.
    let carol = super::support::identity(3);
    let request = Person::request(&alice.room.id(), &carol, &link);
    let mut admission = alice.room.admit(request, false, now, &mut alice.rng).unwrap();
    note(&admission.outcome, 4);
    alice.keep(std::mem::take(&mut admission.outcome));
    // For each device certificate, word and leaf record.
    let (seed, _) =
        Identity::create("laptop", START, &mut <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1)).unwrap();
    let device = |n: u64| {
        let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(100 + n);
        let phone = Identity::add_device(&seed, "phone", n, START, &mut rng).unwrap();
        NewDevice::sign(phone.signing_key(), phone.entrant())
    };
    let mut devices: Vec<NewDevice> = (2..2 + MAX_UPDATE_DEVICES as u64 - 1).map(device).collect();
    devices.sort_unstable_by_key(|device| device.cert.device_pk);
    let papers = 3 * devices.len() as u64;
    let updated = alice.room.update_account(AccountUpdate { devices, revokes: Vec::new() }, now).unwrap();
    note(&updated, papers);
    alice.keep(updated);
    let policy = alice.room.set_policy(Policy { history: History::None }, now).unwrap();
    note(&policy, 0);
    alice.keep(policy);
    for (event, most) in all {
        let kind = event.control().unwrap().kind;
        let cost = takes(&mut bob, event);
        assert_eq!(cost.work, signatures(most), "kind {kind}");
        assert!(cost.resolutions == 0 && cost.writes <= 2, "kind {kind}: {cost:?}");
    }
}

#[test]
fn an_epoch_costs_its_signature_and_one_opening_for_each_row_that_says_it_is_ours() {
    let (mut alice, mut bob) = pair();
    alice.now += 3_600_000;
    bob.now = alice.now;
    let made = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    let honest = made.events().next().unwrap().clone();
    let (_, rotate) = alice.room.dag.epoch(&crate::ids::EpochId::of(&honest.id())).unwrap();
    let rotate = rotate.clone();
    alice.keep(made);
    let cost = takes(&mut bob, honest);
    assert_eq!(cost.work, Work { signatures: 1, openings: 1, steps: 0 });
    assert!(cost.resolutions == 0 && cost.writes <= 2, "{cost:?}");
    // All rows that an event can hold say that they are for Bob, and none opens.
    let leaf = bob.room.me().leafs()[0].secret.public();
    let hint = parlor_crypto::hpke::row_hint(&leaf, bob.room.me().device().as_bytes(), &rotate.commit);
    let lie = |n: usize| Row { hint, enc: leaf.as_bytes().to_owned(), ct: [u8::try_from(n).unwrap(); 48] };
    let lies = Rotate {
        rows: Rows::Inline((0..INLINE_ROWS).map(lie).collect()),
        n_rows: INLINE_ROWS as u32,
        reason: RotateReason::Hand,
        ..rotate
    };
    let event = forged(&alice.room, &Control::Rotate(lies), alice.now);
    let (cost, _) = cost_of(&mut bob, event);
    assert!(cost.work.openings <= INLINE_ROWS as u64 && cost.work.signatures == 1, "{cost:?}");
    assert!(cost.resolutions <= 1 && cost.writes <= 2, "{cost:?}");
}

#[test]
fn a_message_costs_its_signature_and_the_steps_to_its_place_once() {
    let (mut alice, mut bob) = pair();
    let first: Vec<Event> = (0..200).map(|n| alice.write(&format!("{n}")).event).collect();
    let next = alice.write("the next").event;
    bob.receive(first);
    // The chain is where it got to.
    let cost = takes(&mut bob, next);
    assert_eq!(cost.work, Work { signatures: 1, openings: 0, steps: 1 });
    assert_eq!((cost.resolutions, cost.writes), (0, 1));
    // After a restart it is followed from the beginning, once.
    let [third, fourth] = ["one more", "and one"].map(|text| alice.write(text).event);
    bob.restart();
    let place = u64::from(third.message().unwrap().generation);
    assert_eq!(takes(&mut bob, third).work, Work { signatures: 1, openings: 0, steps: place });
    assert_eq!(takes(&mut bob, fourth).work, Work { signatures: 1, openings: 0, steps: 1 });
}

#[test]
fn a_far_slice_costs_its_steps_once() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    alice.look();
    for _ in 0..5 {
        alice.write("a day");
        alice.look();
        alice.now += SLICE_MS + 1;
    }
    bob.sync_from(&alice);
    let next = alice.write("today").event;
    let far = u64::from(next.message().unwrap().slice);
    assert!(far >= 4);
    bob.restart();
    let cost = takes(&mut bob, next);
    assert!(cost.work.signatures == 1 && cost.work.steps <= far, "{cost:?}");
}

#[test]
fn what_is_not_signed_by_its_author_costs_one_signature_and_nothing_else() {
    let (mut alice, mut bob) = pair();
    let events = [alice.write("hello").event, {
        let made = alice.room.set_state(vec![(Setting::Name, b"n".to_vec())], alice.now).unwrap();
        made.events().next().unwrap().clone()
    }];
    for event in events {
        let mut bytes = event.bytes().to_vec();
        let at = bytes.len() - event.payload().len() - 1;
        bytes[at] ^= 1;
        let event = Event::decode(&bob.room.id(), &bytes).unwrap();
        let (cost, received) = cost_of(&mut bob, event);
        assert_eq!(received.rejected.len(), 1);
        assert_eq!(cost, Cost { work: signatures(1), resolutions: 0, writes: 0 });
    }
}

#[test]
fn a_message_written_in_a_view_that_nobody_had_costs_one_resolution() {
    let (mut alice, mut bob) = pair();
    // Bob knows much that Alice did not when she wrote, beside it.
    let said = alice.write("apart").event;
    for n in 0..20 {
        let named = bob.room.set_state(vec![(Setting::Name, vec![b'a' + n])], bob.now).unwrap();
        bob.keep(named);
    }
    let cost = takes(&mut bob, said);
    assert!(cost.work.signatures == 1 && cost.resolutions <= 1, "{cost:?}");
}

#[test]
fn keys_that_come_cost_an_opening_for_each_leaf_key_and_keys_that_are_asked_for_one_sealing() {
    let (mut alice, mut bob) = pair();
    let epoch = alice.room.epoch_status().epoch.unwrap();
    let device = bob.room.me().device();
    let before = spent();
    let share = alice.room.key_share_for(&device, &epoch, &mut alice.rng).unwrap();
    assert_eq!(spent().since(before), Work::default());
    let before = spent();
    assert!(bob.room.accept_key_share(&share).is_err(), "he has it");
    assert_eq!(spent().since(before), Work::default(), "what nobody wanted is not looked at");
    bob.room.forget_keys_for_tests();
    bob.room.epochs.keys_wanted.insert(epoch);
    let before = spent();
    bob.room.accept_key_share(&share).unwrap();
    let work = spent().since(before);
    assert!(work.openings <= bob.room.me().leafs().len() as u64 && work.signatures == 0 && work.steps == 0, "{work:?}");
    let leaf = bob.room.me().entrant().leaf;
    let before = spent();
    alice.room.accept_leaf(crate::control::LeafRecord { counter: 9, ..leaf }).unwrap_err();
    assert_eq!(spent().since(before), signatures(1));
}

#[test]
fn complaints_cost_a_signature_and_are_few() {
    let (alice, mut bob) = pair();
    let epoch = alice.room.epoch_status().epoch.unwrap();
    let auth = alice.room.grant_id(alice.room.grant().unwrap());
    let complaint = KeyComplaint { auth, epoch, what: crate::control::Complaint::NoRow };
    let event = forged(&alice.room, &Control::KeyComplaint(complaint), alice.now);
    let cost = takes(&mut bob, event);
    assert_eq!((cost.work, cost.resolutions), (signatures(1), 0));
}
