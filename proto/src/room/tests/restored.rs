//! A device that knows the room from a backup of another device of its account.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::govern::{account, founded, removal};
use super::support::START;
use crate::control::{History, Role};
use crate::identity::Identity;
use crate::room::{Refusal, Standing};

/// Another device of the account with this seed.
fn phone(seed: u64, number: u64) -> Identity {
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(seed)).unwrap();
    let rng = &mut StdRng::seed_from_u64(900 + number);
    Identity::add_device_of(root.inception(), &root.root_key(0), "phone", number, START, rng).unwrap()
}

#[test]
fn a_device_comes_back_with_nobody_online_writes_and_is_read_and_the_old_one_goes_on() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member]);
    let bob = &mut others[0];
    bob.write("before");
    alice.sync(bob);
    let mut back = bob.restored_as(phone(2, 7));
    assert!(!back.room.is_member(), "nothing is possible before it said that it is there");
    let outcome = back.room.come_back(back.now).unwrap();
    back.keep(outcome);
    assert!(back.room.come_back(back.now).unwrap().accepted.is_empty(), "once");
    back.write("all alone");
    assert_eq!(alice.room.standing(&back.room.me().device()), Standing::Stranger);
    alice.sync(&mut back);
    bob.sync(&mut back);
    alice.sync(bob);
    bob.write("from the old one");
    alice.sync(bob);
    alice.sync(&mut back);
    back.sync(bob);
    alice.write("I see both");
    alice.sync(&mut back);
    alice.sync(bob);
    for person in [&alice, &*bob, &back] {
        assert_eq!(person.shown(), ["before", "all alone", "from the old one", "I see both"]);
        assert_eq!(person.room.members().len(), 2);
    }
    assert_eq!(alice.room.devices(&account(bob)).len(), 2);
    assert_eq!(alice.room.state_hash(), back.room.state_hash());
}

#[test]
fn a_backup_from_before_a_removal_brings_nobody_back() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member]);
    let bob = &mut others[0];
    let mut back = bob.restored_as(phone(2, 7));
    let outcome = alice.room.remove(&[removal(bob)], alice.now, &mut alice.rng);
    alice.keep(outcome.unwrap());
    let outcome = back.room.come_back(back.now).unwrap();
    back.keep(outcome);
    back.write("still here?");
    alice.sync_from(&back);
    assert!(alice.shown().is_empty(), "what it wrote lies beyond the fence");
    assert_eq!(alice.room.standing(&back.room.me().device()), Standing::Removed);
    back.sync_from(&alice);
    assert!(!back.room.is_member());
    assert_eq!(back.room.come_back(back.now).map(|outcome| outcome.accepted.len()), Ok(0));
}

#[test]
fn an_account_with_as_many_devices_as_may_be_takes_no_further_one() {
    let (_, mut others) = founded(History::Full, &[Role::Member]);
    let bob = &mut others[0];
    for number in 0..15 {
        let mut more = bob.restored_as(phone(2, 20 + number));
        let outcome = more.room.come_back(more.now).unwrap();
        more.keep(outcome);
        bob.sync(&mut more);
    }
    let mut last = bob.restored_as(phone(2, 50));
    assert_eq!(last.room.come_back(last.now).err(), Some(Refusal::Limit));
}

#[test]
fn what_was_written_since_a_backup_is_asked_for_also_if_it_came_before_the_device_said_that_it_is_there() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member, Role::Member]);
    let cem = others.remove(1);
    let bob = &mut others[0];
    let mut back = bob.restored_as(phone(2, 7));
    let outcome = alice.room.remove(&[removal(&cem)], alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    let between = alice.write("between").event.message().unwrap().epoch;
    let outcome = alice.room.grant_role(&account(&cem), Role::Member, alice.now).unwrap();
    alice.keep(outcome);
    back.receive(alice.events());
    assert!(back.room.keys_wanted().is_empty(), "nobody would give it to a stranger");
    let outcome = back.room.come_back(back.now).unwrap();
    back.keep(outcome);
    assert!(back.room.keys_wanted().contains(&between));
}
