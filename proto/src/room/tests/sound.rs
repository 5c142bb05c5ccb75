//! Which epochs are safe: made for live devices only, by somebody who had the right to by what he knew (C19).

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::rules::{auth, forge};
use super::support::{Person, START, many};
use crate::control::{AccountUpdate, Control, History, NewDevice, Role, RotateReason, Target};
use crate::event::{Event, Header};
use crate::identity::Identity;
use crate::ids::{EpochId, EventId};
use crate::limits::MAX_DEVICES;
use crate::room::{Removal, Standing};

#[test]
fn an_epoch_goes_when_a_device_it_was_made_for_turns_out_to_be_one_too_many() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let mut rng = StdRng::seed_from_u64(9);
    let mut device = |n: usize| Identity::add_device(&root, "another", n as u64, START, &mut rng).unwrap();
    let brings = |new: &Identity| {
        let devices = vec![NewDevice::sign(new.signing_key(), new.entrant())];
        AccountUpdate { devices, revokes: Vec::new() }
    };
    let phone = device(2);
    let add = |bob: &mut Person, new: &Identity| {
        let outcome = bob.room.update_account(brings(new), bob.now).unwrap();
        bob.keep(outcome);
    };
    add(&mut bob, &phone);
    // The phone brings one that is under way for long.
    let control = Control::AccountUpdate(brings(&device(MAX_DEVICES + 1)));
    let mut header = bob.room.control_header(control.kind(), &[], bob.now).unwrap();
    (header.device, header.seq, header.prev) = (phone.device(), 1, EventId::ZERO);
    header.parents = bob.room.control_frontier();
    let late = Event::sign(&bob.room.id(), Header::Control(header), &control.encode(), phone.signing_key()).unwrap();
    // Meanwhile the laptop brings as many as there may be.
    let mut last = phone.device();
    for n in 3..=MAX_DEVICES {
        let new = device(n);
        last = new.device();
        add(&mut bob, &new);
    }
    alice.sync_from(&bob);
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    let made = outcome.events().find(|event| event.control().is_some()).map(|event| EpochId::of(&event.id()));
    alice.keep(outcome);
    alice.look();
    assert!(made.is_some() && alice.room.epoch_status().epoch == made);
    assert_eq!(alice.room.standing(&last), Standing::Live);
    assert_eq!(alice.receive(vec![late]).rejected, []);
    assert_ne!(alice.room.standing(&last), Standing::Live, "one came before it");
    assert_ne!(alice.room.epoch_status().epoch, made, "it has the key");
    alice.maintain();
    let written = alice.write("without it").event.message().unwrap().epoch;
    assert_ne!(Some(written), made);
}

#[test]
fn who_knew_himself_removed_makes_no_epoch_though_the_removal_is_undone_later() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Admin));
    let mut junior = Person::join(2, &link, &mut alice);
    let link = alice.invite(&many(Role::Member));
    let mut mallory = Person::join(3, &link, &mut alice);
    for person in [&mut junior, &mut mallory] {
        person.sync_from(&alice);
    }
    let target = Target::Account(mallory.room.me().account());
    let removal = Removal { target, ban: false, cascade: false, purge: false };
    let outcome = junior.room.remove(&[removal], junior.now, &mut junior.rng).unwrap();
    let [removed, rotated] = outcome.events().cloned().collect::<Vec<_>>().try_into().unwrap();
    // Mallory makes the epoch of Junior hers, on top of her own removal: it is made for all who are left, and none was safe.
    let Ok(Control::Rotate(mut rotate)) = Control::decode(11, rotated.payload()) else { unreachable!() };
    assert_eq!(rotate.reason, RotateReason::NoSafeEpoch);
    rotate.auth = auth(&mallory);
    let lamport = removed.control().unwrap().lamport + 1;
    let forged = forge(&mallory, &Control::Rotate(rotate), |header| {
        (header.parents, header.lamport) = (vec![removed.id()], lamport);
    });
    // Alice, who knows of nothing, makes Junior a member: what he did as an admin does not count.
    let outcome = alice.room.grant_role(&junior.room.me().account(), Role::Member, alice.now).unwrap();
    alice.keep(outcome);
    assert_eq!(alice.receive(vec![removed, forged.clone()]).rejected, []);
    assert!(alice.room.member(&mallory.room.me().account()).is_some());
    assert!(alice.room.control_event(&forged.id()).is_some());
    let forged = EpochId::of(&forged.id());
    assert_ne!(alice.room.epoch_status().epoch, Some(forged));
    alice.maintain();
    assert_ne!(alice.write("not under hers").event.message().unwrap().epoch, forged);
}

#[test]
fn an_admission_that_was_over_before_it_was_written_makes_no_epoch_unsafe() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    alice.sync(&mut carol);
    super::attacks::remove(&mut alice, &bob);
    carol.sync(&mut alice);
    let epoch = alice.room.epoch_status().epoch;
    let asked = Person::request(&carol.room.id(), bob.room.me(), &link);
    let says = super::rules::admit(&carol, &link, asked);
    assert_eq!(Some(says.epoch), epoch);
    let event = super::rules::forge(&carol, &Control::Admit(Box::new(says)), |_| ());
    assert_eq!(super::rules::why(&mut alice, event), None, "it is valid, and lets in nobody");
    assert!(!alice.room.members().iter().any(|member| member.account == bob.room.me().account()));
    assert_eq!(alice.room.epoch_status().epoch, epoch, "nor may he have had its key");
}
