//! Removals and the epochs that follow them (C7, C8, attacks 21, 34, 39).

use std::collections::HashSet;
use std::convert::Infallible;

use parlor_crypto::epoch::EpochSecret;

use super::govern::founded;
use super::support::{Person, START, many};
use crate::control::{AccountUpdate, History, NewDevice, Policy, RevokeFence, Role, RotateReason, Target};
use crate::identity::Identity;
use crate::ids::AccountId;
use crate::limits::{ELECTION_BASE_MS, REMOVALS_MS, ROTATE_EVERY_MS};
use crate::room::{Happened, NoEpoch, Removal, Room, ShareRefusal, Verdict};

fn removal(of: AccountId) -> Removal {
    Removal { target: Target::Account(of), ban: false, cascade: false, purge: false }
}

fn remove(person: &mut Person, whom: &Person) {
    let removal = removal(whom.room.me().account());
    let outcome = person.room.remove(&[removal], person.now, &mut person.rng).unwrap();
    person.keep(outcome);
}

fn rotations(room: &Room) -> usize {
    room.control_events().filter(|event| event.control().is_some_and(|header| header.kind == 11)).count()
}

/// Alice and others whom she let in, all with the same events.
fn room_of(role: Role, others: u64) -> (Person, Vec<Person>) {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(role));
    let mut people: Vec<Person> = (2..2 + others).map(|seed| Person::join(seed, &link, &mut alice)).collect();
    people.iter_mut().for_each(|person| drop(person.sync_from(&alice)));
    (alice, people)
}

#[test]
fn a_removal_and_the_epoch_without_the_removed_are_one_batch() {
    let (mut alice, mut people) = room_of(Role::Member, 2);
    let [bob, carol] = people.as_mut_slice() else { unreachable!() };
    let before = alice.write("before");
    let hint = alice.room.gossip_key().unwrap().hint();
    assert!(bob.room.gossip_key_for(&hint).is_some());
    let outcome = alice.room.remove(&[removal(bob.room.me().account())], alice.now, &mut alice.rng).unwrap();
    let kinds: Vec<u8> = outcome.events().filter_map(|event| Some(event.control()?.kind)).collect();
    assert_eq!(kinds, [3, 11]);
    assert_eq!(outcome.persist.keys.len(), 1);
    alice.keep(outcome);
    let after = alice.write("after");
    for person in [&mut *bob, &mut *carol] {
        person.sync_from(&alice);
        person.maintain();
    }
    // He was away, and gets what he was keyed for, from anybody; after that nothing, not even who gossips.
    assert_eq!(bob.shown(), ["before"]);
    assert!(bob.room.open_later(&before.event).is_some() && bob.room.open_later(&after.event).is_none());
    assert_eq!(carol.shown(), ["before", "after"]);
    let hint = alice.room.gossip_key().unwrap().hint();
    assert!(bob.room.gossip_key_for(&hint).is_none() && carol.room.gossip_key_for(&hint).is_some());
    let epoch = |message: &crate::room::Message| message.event.message().unwrap().epoch;
    let device = bob.room.me().device();
    assert!(carol.room.key_share_for(&device, &epoch(&before), &mut carol.rng).is_ok());
    let refused = carol.room.key_share_for(&device, &epoch(&after), &mut carol.rng);
    assert_eq!(refused, Err(ShareRefusal::NotEntitled));
}

#[test]
fn many_removals_of_one_admin_within_two_seconds_make_two_epochs_and_others_wait_for_him() {
    let (mut alice, mut people) = room_of(Role::Member, 7);
    let made = rotations(&alice.room);
    let (gone, rest) = people.split_at_mut(5);
    for person in gone.iter() {
        alice.now += 100;
        remove(&mut alice, person);
    }
    assert_eq!(rotations(&alice.room), made + 1);
    for person in rest.iter_mut() {
        person.sync_from(&alice);
        assert_eq!(person.room.epoch_status().why, Some(NoEpoch::NoneSafe));
        // The first elected would have made one by now.
        let (outcome, wake) = person.room.maintain(person.now, &mut person.rng);
        assert!(outcome.accepted.is_empty() && wake.unwrap() >= person.now + REMOVALS_MS + ELECTION_BASE_MS);
    }
    alice.look();
    assert_eq!(rotations(&alice.room), made + 1);
    alice.now += REMOVALS_MS;
    alice.look();
    assert_eq!(rotations(&alice.room), made + 2);
    for person in rest.iter_mut() {
        person.sync_from(&alice);
        person.maintain();
        assert_eq!(person.room.epoch_status(), alice.room.epoch_status());
    }
    assert_eq!(rotations(&rest[0].room), made + 2);
}

#[test]
fn two_removals_at_once_give_two_unsafe_epochs_and_one_that_merges_them() {
    let (mut alice, mut people) = room_of(Role::Admin, 4);
    let [bob, carol, dave, erin] = people.as_mut_slice() else { unreachable!() };
    remove(&mut alice, carol);
    remove(bob, dave);
    let made = [alice.room.epoch_status().epoch.unwrap(), bob.room.epoch_status().epoch.unwrap()];
    let count = rotations(&erin.room);
    let mut all = vec![&mut alice, bob, erin];
    let events: Vec<_> = all.iter().flat_map(|person| person.events()).collect();
    for person in &mut all {
        person.receive(events.clone());
        assert_eq!(person.room.epoch_status().why, Some(NoEpoch::NoneSafe), "neither reaches exactly the members");
    }
    // Whoever is drawn first makes one; the others hear of it before their turn.
    let mut wakes: Vec<(u64, usize)> = Vec::new();
    for (n, person) in all.iter_mut().enumerate() {
        let (outcome, wake) = person.room.maintain(person.now, &mut person.rng);
        assert!(outcome.accepted.is_empty());
        wakes.push((wake.unwrap() - person.now, n));
    }
    let first = wakes.iter().min().unwrap().1;
    all[first].maintain();
    let events = all[first].events();
    for person in &mut all {
        person.receive(events.clone());
        person.maintain();
    }
    assert_eq!(rotations(&all[2].room), count + 3, "theirs and one more");
    let epochs: HashSet<_> = all.iter().map(|person| person.room.epoch_status().epoch.unwrap()).collect();
    assert_eq!(epochs.len(), 1);
    let merged = *epochs.iter().next().unwrap();
    let (_, rotate) = all[2].room.dag.epoch(&merged).unwrap();
    let parents: HashSet<_> = rotate.parents.iter().copied().collect();
    assert!(made.iter().all(|epoch| parents.contains(epoch)), "the secrets of both are mixed in");
    let secret = all[2].write("to the rest").event;
    for out in [&mut *carol, &mut *dave] {
        out.receive(events.clone());
        out.receive(vec![secret.clone()]);
        assert!(out.room.open_later(&secret).is_none());
    }
}

#[test]
fn who_writes_under_an_epoch_that_was_not_safe_for_him_is_flagged_by_all() {
    let (mut alice, mut people) = room_of(Role::Member, 2);
    let [bob, carol] = people.as_mut_slice() else { unreachable!() };
    let old = carol.room.epoch_status().epoch;
    remove(&mut alice, bob);
    carol.sync_from(&alice);
    assert_ne!(carol.room.epoch_status().epoch, old);
    // A doctored node goes on under the old epoch although it knows of the removal.
    carol.room.best = old;
    let message = carol.write("carelessly");
    let received = alice.receive(vec![message.event]);
    let crate::room::Accepted::Message(taken) = &alice.stored.last().unwrap() else { unreachable!() };
    assert!(received.rejected.is_empty() && taken.unsafe_epoch && taken.verdict == Verdict::Shown);
}

#[test]
fn whoever_was_let_in_in_vain_was_handed_a_key_all_the_same_so_the_epoch_goes() {
    let (mut alice, mut people) = room_of(Role::Admin, 1);
    let bob = &mut people[0];
    let link = alice.invite(&super::support::new_invite(Role::Member));
    bob.sync_from(&alice);
    let epoch = alice.room.epoch_status().epoch;
    let (carol, dave) = (super::support::identity(8), super::support::identity(9));
    // One use, and two sponsors who do not hear of each other.
    alice.admit(&carol, &link).unwrap();
    bob.admit(&dave, &link).unwrap();
    assert_eq!((alice.room.epoch_status().epoch, bob.room.epoch_status().epoch), (epoch, epoch));
    let events = bob.events();
    bob.sync_from(&alice);
    alice.receive(events);
    for person in [&alice, &*bob] {
        assert_eq!(person.room.n_members(), 3);
        assert_eq!(person.room.epoch_status().why, Some(NoEpoch::NoneSafe));
        let scratch = crate::resolve::resolve(&person.room.dag, &person.room.everything);
        let outsiders: Vec<usize> = person.room.resolved.outsiders().iter().collect();
        assert_eq!(outsiders, scratch.outsiders().iter().collect::<Vec<_>>());
        assert_eq!(outsiders.len(), 1);
    }
}

#[test]
fn a_revoked_device_is_keyed_no_more_and_gets_nothing_again() {
    let (mut alice, mut people) = room_of(Role::Member, 1);
    let bob = &mut people[0];
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(2);
    let (seed, _) = Identity::create("laptop", START, &mut rng).unwrap();
    let phone = Identity::add_device(&seed, "phone", 2, START, &mut rng).unwrap();
    assert_eq!(phone.account(), bob.room.me().account());
    let epoch = alice.room.epoch_status().epoch.unwrap();
    let devices = vec![NewDevice::sign(phone.signing_key(), phone.entrant())];
    let added = bob.room.update_account(AccountUpdate { devices, revokes: Vec::new() }, bob.now).unwrap();
    bob.keep(added);
    alice.sync_from(bob);
    // Nobody who came is out: the epoch goes on, and the phone may have its key.
    assert_eq!(alice.room.epoch_status().epoch, Some(epoch));
    assert_eq!(alice.room.key_share_for(&phone.device(), &epoch, &mut alice.rng).map(|share| share.slice), Ok(0));
    let fence = bob.room.revoke_fence(&phone.device());
    let revoke = RevokeFence::revoke(&seed.root_key(0), phone.account(), bob.room.id(), fence).unwrap();
    let revoked =
        bob.room.update_account(AccountUpdate { devices: Vec::new(), revokes: vec![revoke] }, bob.now).unwrap();
    bob.keep(revoked);
    alice.sync_from(bob);
    // Bob is in as before, and yet the epoch is not safe: it was handed to the phone after it was made.
    assert_eq!(alice.room.epoch_status().why, Some(NoEpoch::NoneSafe));
    let refused = alice.room.key_share_for(&phone.device(), &epoch, &mut alice.rng);
    assert_eq!(refused, Err(ShareRefusal::NotEntitled));
    alice.maintain();
    let new = alice.room.epoch_status().epoch.unwrap();
    assert_eq!(alice.room.epochs.info(&new).unwrap().recipients.len(), 2);
    alice.write("without the phone");
    bob.sync_from(&alice);
    assert_eq!(bob.shown(), ["without the phone"]);
}

#[test]
fn what_newcomers_may_read_is_frozen_into_each_epoch() {
    let (mut alice, _) = room_of(Role::Member, 0);
    alice.write("shared");
    for (history, text) in [(History::None, "closed"), (History::Full, "shared again")] {
        alice.now += ROTATE_EVERY_MS;
        let changed = alice.room.set_policy(Policy { history }, alice.now).unwrap();
        alice.keep(changed);
        alice.maintain();
        let (_, rotate) = alice.room.dag.epoch(&alice.room.epoch_status().epoch.unwrap()).unwrap();
        assert_eq!((rotate.reason, rotate.share_history), (RotateReason::History, history));
        alice.write(text);
    }
    let link = alice.invite(&crate::room::NewInvite::of(Role::Member));
    let mut bob = Person::join(9, &link, &mut alice);
    bob.maintain();
    assert_eq!(bob.shown(), ["shared", "shared again"], "nobody's old message becomes shareable later");
    let wanted = bob.room.keys_wanted();
    assert!(wanted.is_empty(), "{wanted:?}");
}

/// A generator that is broken in the worst way.
struct Zeros;

impl rand::TryRng for Zeros {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(0);
        Ok(())
    }
}

impl rand::TryCryptoRng for Zeros {}

#[test]
fn with_randomness_of_zeros_an_epoch_is_closed_to_who_knows_neither_the_one_before_nor_the_device() {
    let (mut alice, mut people) = room_of(Role::Member, 1);
    let mut commits = HashSet::new();
    let mut rows = HashSet::new();
    for _ in 0..3 {
        alice.now += ROTATE_EVERY_MS;
        let outcome = alice.room.rotate(alice.now, &mut Zeros).unwrap();
        alice.keep(outcome);
        let (_, rotate) = alice.room.dag.epoch(&alice.room.epoch_status().epoch.unwrap()).unwrap();
        let guess = EpochSecret::generate(&mut Zeros, &[]).commit(alice.room.id().as_bytes());
        assert_ne!(rotate.commit, guess);
        assert!(commits.insert(rotate.commit));
        let crate::control::Rows::Inline(sealed) = &rotate.rows else { unreachable!() };
        // With the ephemeral key of a row known the row would be open.
        sealed.iter().for_each(|row| assert!(rows.insert(row.enc)));
    }
    alice.write("works all the same");
    people[0].sync_from(&alice);
    assert_eq!(people[0].shown(), ["works all the same"]);
}

#[test]
fn an_epoch_by_somebody_whose_right_to_make_it_had_ended_is_not_written_under() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    alice.sync(&mut bob);
    let before = alice.room.epoch_status().epoch;
    // He makes an epoch while he is made an observer: a live member all the while, so it reaches nobody else.
    let made = bob.room.rotate(bob.now, &mut bob.rng).unwrap();
    bob.keep(made);
    let observer = alice.room.grant_role(&bob.room.me().account(), Role::Observer, alice.now).unwrap();
    alice.keep(observer);
    alice.sync_from(&bob);
    bob.sync_from(&alice);
    assert!(bob.room.is_member());
    for person in [&alice, &bob] {
        assert_eq!(person.room.epoch_status().epoch, before);
    }
}

#[test]
fn who_leaves_is_out_also_when_his_role_is_changed_by_somebody_who_has_not_heard_it() {
    for (had, given) in
        [(Role::Admin, Role::Moderator), (Role::Member, Role::Moderator), (Role::Member, Role::Observer)]
    {
        let (mut alice, mut others) = founded(History::Full, &[had, Role::Member]);
        let [bob, carol] = &mut others[..] else { unreachable!() };
        let left = bob.room.leave(bob.now).unwrap();
        bob.keep(left);
        let account = bob.room.me().account();
        let changed = alice.room.grant_role(&account, given, alice.now).unwrap();
        alice.keep(changed);
        alice.sync_from(bob);
        carol.sync_from(&alice);
        for person in [&alice, carol] {
            assert!(person.room.member(&account).is_none(), "{had:?} {given:?}");
            let line = person.room.log().into_iter().find(|line| line.what == Happened::Left).unwrap();
            assert!(line.counts);
        }
        // Who knows it takes him back.
        let back = alice.room.grant_role(&account, Role::Member, alice.now).unwrap();
        alice.keep(back);
        assert!(alice.room.member(&account).is_some());
    }
}

#[test]
fn of_two_who_change_a_role_apart_the_word_of_the_more_senior_counts() {
    for (by_alice, by_ben) in [(Role::Observer, Role::Moderator), (Role::Moderator, Role::Observer)] {
        let (mut alice, mut others) = founded(History::Full, &[Role::Admin, Role::Member]);
        let [ben, dora] = &mut others[..] else { unreachable!() };
        let account = dora.room.me().account();
        let said = alice.room.grant_role(&account, by_alice, alice.now).unwrap();
        alice.keep(said);
        let said = ben.room.grant_role(&account, by_ben, ben.now).unwrap();
        ben.keep(said);
        alice.sync(ben);
        for person in [&alice, ben] {
            assert_eq!(person.room.member(&account).unwrap().role, by_alice);
        }
        // Who knows of it says something else.
        assert!(ben.room.grant_role(&account, Role::Moderator, ben.now).is_ok());
        assert_eq!(ben.room.member(&account).unwrap().role, Role::Moderator);
    }
}

#[test]
fn of_two_who_change_the_role_of_an_admin_apart_the_word_of_the_more_senior_counts_however_little_the_other_gave() {
    let cases = [(Role::Observer, Role::Moderator), (Role::Observer, Role::Member), (Role::Member, Role::Moderator)];
    for (by_alice, by_ben) in cases {
        let (mut alice, mut others) = founded(History::Full, &[Role::Admin, Role::Admin]);
        let [ben, dora] = &mut others[..] else { unreachable!() };
        let account = dora.room.me().account();
        for (person, role) in [(&mut alice, by_alice), (&mut *ben, by_ben)] {
            let said = person.room.grant_role(&account, role, person.now).unwrap();
            person.keep(said);
        }
        alice.sync(ben);
        for person in [&alice, ben] {
            assert_eq!(person.room.member(&account).unwrap().role, by_alice, "{by_ben:?}");
        }
    }
}
