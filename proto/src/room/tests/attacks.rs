//! Attacks that no other test here tries; the whole list with its tests is docs/attacks.md.

use super::support::{Person, START, identity, many, new_invite};
use crate::control::{AccountUpdate, Control, History, NewDevice, Role, Setting, State, Target};
use crate::event::{Event, EventError, Header};
use crate::identity::Identity;
use crate::room::{Accepted, Happened, Reject, Removal, Verdict};
use parlor_crypto::topic::TopicSecret;
use parlor_crypto::{SigningKey, label};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub(super) fn remove(person: &mut Person, other: &Person) {
    let target = Target::Account(other.room.me().account());
    let removal = Removal { target, ban: false, cascade: false, purge: false };
    let outcome = person.room.remove(&[removal], person.now, &mut person.rng).unwrap();
    person.keep(outcome);
}

/// Attack 5: what opens the mail of Alice does not speak in her name, and nobody's other key does.
#[test]
fn who_has_the_leaf_key_of_another_speaks_for_nobody() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Moderator));
    let mut bob = Person::join(2, &link, &mut alice);
    bob.sync(&mut alice);
    let stolen = &alice.room.me().leafs()[0];
    assert_eq!(
        stolen.secret.public().as_bytes(),
        &alice.room.me().entrant().leaf.leaf_pk,
        "the key that opens her rows"
    );
    let control = Control::State(State {
        auth: alice.room.grant_id(alice.room.grant().unwrap()),
        writes: vec![(Setting::Name as u8, b"Mallory's".to_vec())],
    });
    let header = Header::Control(alice.room.control_header(control.kind(), &[], alice.now).unwrap());
    let room = alice.room.id();
    let signed = |key: &SigningKey| Event::sign(&room, header.clone(), &control.encode(), key).unwrap();
    let thief = SigningKey::from_seed(&stolen.secret.to_secret());
    // Everything fits but the signature: by the stolen key, by one of a member, and by the right key for another use.
    let mut other_use = signed(alice.room.me().signing_key()).into_bytes();
    let from = other_use.len() - control.encode().len() - 64;
    let marker = alice.room.me().signing_key().sign(label::SIGN_MARKER, &[room.as_bytes(), &header.encode()]);
    other_use[from..from + 64].copy_from_slice(&marker.0);
    let other_use = Event::decode(&room, &other_use).unwrap();
    for forged in [signed(&thief), signed(bob.room.me().signing_key()), other_use] {
        assert_eq!(forged.device(), alice.room.me().device());
        assert_eq!(forged.verify(&room), Err(EventError::Signature));
        let received = bob.receive(vec![forged]);
        assert_eq!(received.rejected.first().map(|rejected| &rejected.why), Some(&Reject::BadCopy));
        assert!(received.outcome.accepted.is_empty());
    }
    // The same words by her own key are hers.
    let own = signed(alice.room.me().signing_key());
    assert!(bob.receive(vec![own]).rejected.is_empty());
    assert_eq!(bob.room.info().unwrap().name, "Mallory's");
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
    let mut newcomer = Person::joining(4, me, &link, &alice.room.id(), admission.welcome.as_ref().unwrap());
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
    // And by who holds any part of it: of each log a beginning.
    let logs: Vec<Vec<Event>> = [&alice, &bob, &carol]
        .iter()
        .map(|of| {
            alice.events().into_iter().filter(|it| it.message().is_some() && it.device() == of.room.me().device())
        })
        .map(Iterator::collect)
        .collect();
    let ends: Vec<usize> = logs.iter().map(Vec::len).collect();
    assert!(ends.iter().all(|end| (1..=2).contains(end)) && ends.iter().sum::<usize>() == 5, "{ends:?}");
    let parts = (0..=ends[0]).flat_map(|a| (0..=ends[1]).map(move |b| (a, b)));
    for (a, b, c) in parts.flat_map(|(a, b)| (0..=ends[2]).map(move |c| (a, b, c))) {
        let secret = TopicSecret::from_secret(alice.room.topic_secret().secret().clone());
        let mut part = crate::room::Room::new(identity(9), alice.room.id(), secret);
        part.receive(alice.events().into_iter().filter(|event| event.control().is_some()).collect(), alice.now);
        let held = logs.iter().zip([a, b, c]).flat_map(|(log, end)| log[..end].to_vec()).collect();
        assert!(part.receive(held, alice.now).rejected.is_empty());
        for event in logs.iter().flatten() {
            assert_eq!(part.verdict(event), alice.room.verdict(event), "with {a}, {b} and {c} messages of them");
        }
    }
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
