//! Attacks that no other test here tries; the whole list with its tests is docs/attacks.md.

use super::support::{Person, START, identity, many, new_invite};
use crate::control::{AccountUpdate, Control, History, NewDevice, Role, Target};
use crate::event::{Event, EventError, Header};
use crate::identity::Identity;
use crate::room::{Accepted, Happened, Reject, Removal, Verdict};
use parlor_crypto::topic::TopicSecret;
use rand::SeedableRng;
use rand::rngs::StdRng;

pub(super) fn remove(person: &mut Person, other: &Person) {
    let target = Target::Account(other.room.me().account());
    let removal = Removal { target, ban: false, cascade: false, purge: false };
    let outcome = person.room.remove(&[removal], person.now, &mut person.rng).unwrap();
    person.keep(outcome);
}

/// Attack 5: what opens Bob's mail does not speak to Bob in the name of Alice.
#[test]
fn who_has_the_leaf_key_of_another_speaks_for_nobody() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Moderator));
    let mut bob = Person::join(2, &link, &mut alice);
    let rotate = alice.events().into_iter().rfind(|event| event.control().is_some_and(|h| h.kind == 11)).unwrap();
    let tip = alice.events().into_iter().rfind(|event| event.control().is_some()).unwrap();
    let Header::Control(mut header) = rotate.header().clone() else { unreachable!() };
    (header.seq, header.prev, header.parents) = (tip.seq() + 1, tip.id(), Vec::new());
    header.lamport = tip.control().unwrap().lamport + 1;
    // Everything fits but the signature, which the thief makes with the keys it has.
    let mut bytes =
        Event::sign(&alice.room.id(), Header::Control(header), rotate.payload(), alice.room.me().signing_key())
            .unwrap()
            .into_bytes();
    let forged = bob.room.me().signing_key().sign("event", &[&bytes[2..40]]).0;
    let at = bytes.len() - rotate.payload().len() - 64;
    bytes[at..at + 64].copy_from_slice(&forged);
    let forged = Event::decode(&bob.room.id(), &bytes).unwrap();
    assert_eq!(forged.verify(&bob.room.id()), Err(EventError::Signature));
    let received = bob.receive(vec![forged]);
    assert_eq!(received.rejected.first().map(|rejected| &rejected.why), Some(&Reject::BadCopy));
    assert!(received.outcome.accepted.is_empty());
}

/// Attack 7: a device that the root of the account did not certify never gets a key, whoever writes it down.
#[test]
fn no_device_comes_to_an_account_without_the_word_of_its_root_and_every_one_that_comes_is_shown() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Admin));
    let mut bob = Person::join(2, &link, &mut alice);
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let (stranger, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(99)).unwrap();
    let mut rng = StdRng::seed_from_u64(5);
    for (root, good) in [(&stranger, false), (&root, true)] {
        let phone = Identity::add_device(root, "phone", 2, START, &mut rng).unwrap();
        let papers = phone.entrant();
        let mut papers = papers;
        papers.cert.account = bob.room.me().account().0;
        let papers = NewDevice::sign(phone.signing_key(), papers);
        let update = AccountUpdate { devices: vec![papers], revokes: Vec::new() };
        let control = Control::AccountUpdate(update);
        let header = bob.room.control_header(control.kind(), &[], bob.now).unwrap();
        let key = bob.room.me().signing_key();
        let event = Event::sign(&bob.room.id(), Header::Control(header), &control.encode(), key).unwrap();
        let received = alice.receive(vec![event.clone()]);
        assert_eq!(received.rejected.is_empty(), good);
        let devices = alice.room.devices(&bob.room.me().account());
        assert_eq!(devices.iter().any(|info| info.device == phone.device()), good, "shown to everybody who asks");
        bob.receive(vec![event]);
    }
}

/// Attack 36: a sponsor who hides a removal from the newcomer it lets in.
#[test]
fn a_newcomer_whose_sponsor_hid_a_removal_has_the_room_of_all_after_meeting_one_honest_member() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Moderator));
    let mut mallory = Person::join(2, &link, &mut alice);
    let carol = Person::join(3, &link, &mut alice);
    mallory.sync_from(&alice);
    // Mallory hears of the removal of Carol and says nothing of it.
    let hidden = mallory.events();
    remove(&mut alice, &carol);
    let me = identity(4);
    let admission = mallory.admit(&me, &link).unwrap();
    let mut newcomer = Person::joining(4, me, &link, &alice.room.id(), &admission.welcome);
    newcomer.receive(hidden);
    newcomer.receive(mallory.events());
    assert!(newcomer.room.member(&carol.room.me().account()).is_some(), "what the sponsor shows");
    alice.sync_from(&mallory);
    alice.sync(&mut newcomer);
    assert!(newcomer.room.member(&carol.room.me().account()).is_none());
    assert_eq!(newcomer.room.state_hash(), alice.room.state_hash());
    alice.write("after");
    newcomer.sync_from(&alice);
    assert_eq!(newcomer.shown(), ["after"]);
}

/// Claim C20: a message is judged alike by who holds the whole history and by who holds nothing of it but the control
/// events.
#[test]
fn any_message_is_judged_alike_without_those_before_it() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Admin));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    for (n, person) in [&mut alice, &mut bob, &mut carol].into_iter().enumerate() {
        person.write(&format!("first of {n}"));
    }
    carol.sync_from(&bob);
    bob.sync_from(&carol);
    alice.sync_from(&bob);
    alice.sync_from(&carol);
    remove(&mut alice, &bob);
    // He goes on without knowing, and Carol learns of it before she writes.
    bob.write("beyond the fence");
    carol.sync_from(&alice);
    carol.maintain();
    carol.write("knowing it");
    for other in [&bob, &carol] {
        alice.sync_from(other);
    }
    let (_, secret) = (alice.room.id(), TopicSecret::from_secret(alice.room.topic_secret().secret().clone()));
    let mut rooms_without = crate::room::Room::new(identity(9), alice.room.id(), secret);
    let control = alice.events().into_iter().filter(|event| event.control().is_some()).collect();
    rooms_without.receive(control, alice.now);
    let mut verdicts = Vec::new();
    for accepted in &alice.stored {
        let Accepted::Message(message) = accepted else { continue };
        assert_eq!(rooms_without.verdict(&message.event), alice.room.verdict(&message.event));
        verdicts.push(alice.room.verdict(&message.event));
    }
    assert!(verdicts.contains(&Verdict::AfterRemoval) && verdicts.contains(&Verdict::Shown), "{verdicts:?}");
}

/// Attack 7: a device that comes by an invite, as one that was made from the recovery phrase does, is told to everybody.
#[test]
fn a_device_that_comes_by_an_invite_is_a_line_of_the_log() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let phone = Identity::add_device(&root, "phone", 2, START, &mut StdRng::seed_from_u64(5)).unwrap();
    let account = bob.room.me().account();
    let came = |alice: &Person| {
        let lines = alice.room.log().into_iter().map(|line| line.what);
        lines
            .filter(|what| matches!(what, Happened::Devices { of, added, .. } if *of == account && added.len() == 1))
            .count()
    };
    assert_eq!(came(&alice), 0, "his first one came with him");
    for _ in 0..2 {
        let _ = alice.admit(&phone, &link).unwrap();
        assert_eq!(came(&alice), 1);
    }
}
