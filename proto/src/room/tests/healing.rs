//! Rows that lie, rows that do not come, and how a room gets over them (attacks 22, 30, 33).

use super::attacks::remove;
use super::keys::{forged_answer, forged_rotate, large, secret};
use super::support::{Person, many};
use crate::control::{Complaint, Control, History, Role, Target};
use crate::event::Event;
use crate::ids::{DeviceId, EpochId};
use crate::limits::{COMPLAIN_MS, PAGE_WAIT_MS, ROTATE_EVERY_MS, ROW_WAIT_MS};
use crate::room::{Outcome, Removal, Room};

const SECOND: u64 = 1_000;

fn complaints(room: &Room) -> Vec<(DeviceId, EpochId, Complaint)> {
    let complaint = |event: &Event| match Control::decode(event.control()?.kind, event.payload()).ok()? {
        Control::KeyComplaint(complaint) => Some((event.device(), complaint.epoch, complaint.what)),
        _ => None,
    };
    room.control_events().filter_map(complaint).collect()
}

fn rotations(room: &Room) -> usize {
    room.control_events().filter(|event| event.control().is_some_and(|header| header.kind == 11)).count()
}

/// Alice and bob, and an epoch of alice's whose row for bob holds another secret than committed. Alice has the right one.
fn lied_to() -> (Person, Person, EpochId) {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    alice.now += ROTATE_EVERY_MS;
    let (a, b) = (alice.room.me().clone(), bob.room.me().clone());
    let rotate = forged_rotate(&mut alice, &[&a, &b], &secret(1), &secret(2));
    let epoch = EpochId::of(&rotate.id());
    alice.receive(vec![rotate.clone()]);
    alice.room.hold_secret(epoch, &secret(2), &mut Outcome::default());
    alice.room.choose_epoch();
    bob.now = alice.now;
    bob.receive(vec![rotate]);
    (alice, bob, epoch)
}

fn wait(person: &mut Person, ms: u64) {
    let end = person.now + ms;
    while person.now < end {
        person.now = end.min(person.now + SECOND);
        person.look();
    }
}

#[test]
fn a_row_that_lies_is_complained_of_once_and_any_holder_heals_it() {
    let (mut alice, mut bob, epoch) = lied_to();
    wait(&mut bob, 3 * SECOND);
    let told = vec![(bob.room.me().device(), epoch, Complaint::Commit)];
    assert_eq!(complaints(&bob.room), told);
    let share = alice.room.key_share_for(&bob.room.me().device(), &epoch, &mut alice.rng).unwrap();
    let healed = bob.room.accept_key_share(&share).unwrap();
    bob.keep(healed);
    assert_eq!(bob.room.epoch_status().epoch, Some(epoch));
    let made = rotations(&bob.room);
    for _ in 0..2 {
        wait(&mut bob, 3 * ROW_WAIT_MS);
        assert_eq!((complaints(&bob.room), rotations(&bob.room)), (told.clone(), made));
        bob.restart();
    }
    alice.sync_from(&bob);
    assert_eq!(complaints(&alice.room), told, "everybody hears of it");
}

#[test]
fn a_lie_is_told_of_also_when_it_was_healed_at_once() {
    let (alice, mut bob, epoch) = lied_to();
    bob.look();
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
    let share = alice.room.key_share_for(&bob.room.me().device(), &epoch, &mut rng).unwrap();
    let healed = bob.room.accept_key_share(&share).unwrap();
    bob.keep(healed);
    wait(&mut bob, 3 * SECOND);
    assert_eq!(complaints(&bob.room).len(), 1);
}

#[test]
fn an_epoch_whose_key_nobody_gives_is_replaced_after_a_minute() {
    let (mut alice, mut bob, lost) = lied_to();
    let before = bob.room.epoch_status().epoch;
    assert!(before.is_some() && before != Some(lost), "the old one goes on meanwhile");
    let made = rotations(&bob.room);
    wait(&mut bob, ROW_WAIT_MS - SECOND);
    assert_eq!(rotations(&bob.room), made);
    wait(&mut bob, 3 * SECOND);
    assert_eq!(rotations(&bob.room), made + 1);
    alice.sync_from(&bob);
    let new = bob.room.epoch_status().epoch;
    assert!(new != before && new != Some(lost) && alice.room.epoch_status().epoch == new);
    // And not again and again.
    wait(&mut bob, 5 * ROW_WAIT_MS);
    assert_eq!(rotations(&bob.room), made + 1);
}

#[test]
fn events_of_others_do_not_put_the_replacement_off() {
    let (mut alice, mut bob, lost) = lied_to();
    for n in 0..20 {
        alice.now += 5 * SECOND;
        let renamed = alice.room.set_state(vec![(crate::control::Setting::Name, vec![b'a' + n])], alice.now).unwrap();
        alice.keep(renamed);
        bob.sync_from(&alice);
        bob.look();
    }
    assert!(bob.room.epochs.order(&bob.room.epoch_status().epoch.unwrap()) > bob.room.epochs.order(&lost));
}

#[test]
fn when_pages_are_withheld_the_key_is_asked_for_and_at_last_another_epoch_made() {
    for healed in [true, false] {
        let (mut alice, mut bob) = large();
        alice.now += ROTATE_EVERY_MS;
        let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
        alice.keep(outcome);
        let epoch = alice.room.epoch_status().epoch.unwrap();
        bob.sync_from(&alice);
        bob.look();
        let made = rotations(&bob.room);
        wait(&mut bob, PAGE_WAIT_MS - SECOND);
        assert!(bob.room.keys_wanted().is_empty(), "the page may still come");
        wait(&mut bob, 2 * SECOND);
        assert_eq!(bob.room.keys_wanted(), [epoch]);
        if healed {
            let share = alice.room.key_share_for(&bob.room.me().device(), &epoch, &mut alice.rng).unwrap();
            let outcome = bob.room.accept_key_share(&share).unwrap();
            bob.keep(outcome);
            assert!(bob.room.pages_wanted().is_empty() && bob.room.keys_wanted().is_empty());
            wait(&mut bob, 2 * ROW_WAIT_MS);
            assert_eq!((rotations(&bob.room), complaints(&bob.room).len()), (made, 0));
        } else {
            // Of 66 devices the last waits some 13 s for its turn.
            wait(&mut bob, COMPLAIN_MS + 15 * SECOND);
            assert_eq!(complaints(&bob.room).iter().map(|(_, _, what)| *what).collect::<Vec<_>>(), [Complaint::NoPage]);
            wait(&mut bob, ROW_WAIT_MS);
            assert_eq!(rotations(&bob.room), made + 1);
            let now = bob.room.epoch_status().epoch;
            assert!(now.is_some() && now != Some(epoch));
        }
    }
}

#[test]
fn of_many_who_can_not_read_few_complain() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut people: Vec<Person> = (2..10).map(|seed| Person::join(seed, &link, &mut alice)).collect();
    alice.now += ROTATE_EVERY_MS;
    for person in &mut people {
        person.sync_from(&alice);
    }
    let me: Vec<_> = people.iter().map(|person| person.room.me().clone()).chain([alice.room.me().clone()]).collect();
    let all: Vec<&crate::identity::Identity> = me.iter().map(|me| &**me).collect();
    let rotate = forged_rotate(&mut alice, &all, &secret(1), &secret(2));
    for person in &mut people {
        person.receive(vec![rotate.clone()]);
    }
    for _ in 0..100 {
        let mut written = Vec::new();
        for person in &mut people {
            person.now += 100;
            person.look();
            written.extend(person.events());
        }
        people.iter_mut().for_each(|person| drop(person.receive(written.clone())));
    }
    assert_eq!(complaints(&people[0].room).len(), crate::limits::MAX_COMPLAINTS);
}

#[test]
fn an_admin_who_makes_epochs_with_wrong_rows_after_each_removal_holds_up_writing_for_seconds() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let link = alice.invite(&many(Role::Admin));
    let mut mallory = Person::join(3, &link, &mut alice);
    let ids = [alice.room.me().clone(), bob.room.me().clone(), mallory.room.me().clone()];
    let puppets = mallory.invite(&many(Role::Member));
    for n in 0..6 {
        mallory.sync_from(&alice);
        mallory.sync_from(&bob);
        let puppet = Person::join(100 + n, &puppets, &mut mallory);
        let target = Target::Account(puppet.room.me().account());
        let removal = Removal { target, ban: false, cascade: false, purge: false };
        // His node makes the epoch with the removal; what he hands on instead is his own.
        let outcome = mallory.room.remove(&[removal], mallory.now, &mut mallory.rng).unwrap();
        let removed = outcome.events().next().unwrap().clone();
        let mut liar = mallory.clone_with_all_secrets();
        liar.receive(vec![removed.clone()]);
        let all: Vec<&crate::identity::Identity> = ids.iter().map(|me| &**me).collect();
        let wrong = forged_answer(&mut liar, &all, &secret(1));
        mallory = liar;
        mallory.receive(vec![wrong.clone()]);
        for person in [&mut alice, &mut bob] {
            person.sync_from(&mallory);
            assert_eq!(person.room.epoch_status().epoch, None, "the removal took the one before");
        }
        for _ in 0..20 {
            for person in [&mut alice, &mut bob] {
                person.now += SECOND;
                person.look();
            }
            alice.sync_from(&bob);
            bob.sync_from(&alice);
        }
        let epoch = alice.room.epoch_status().epoch;
        assert!(epoch.is_some() && bob.room.epoch_status().epoch == epoch, "the {n}th time");
        alice.write("for all of us");
        bob.sync_from(&alice);
        assert_eq!(bob.shown().len() as u64, n + 1);
    }
}

#[test]
fn who_wrote_in_an_epoch_that_is_safe_no_more_while_an_older_one_is_makes_another_within_seconds() {
    let mut alice = Person::founder(1, History::None);
    let (admins, members) = (alice.invite(&many(Role::Admin)), alice.invite(&many(Role::Member)));
    let mut vera = Person::join(2, &admins, &mut alice);
    let mut bob = Person::join(3, &members, &mut alice);
    let carol = Person::join(4, &members, &mut alice);
    for person in [&mut vera, &mut bob] {
        person.sync_from(&alice);
    }
    // He made one by hand within the hour.
    let by_hand = bob.room.rotate(bob.now, &mut bob.rng).unwrap();
    bob.keep(by_hand);
    for person in [&mut alice, &mut vera] {
        person.sync_from(&bob);
    }
    // Apart: vera, whose log goes on for a while, removes carol and leaves, and bob writes for those who are left;
    for n in 0..5 {
        let renamed = vera.room.set_state(vec![(crate::control::Setting::Name, vec![b'a' + n])], vera.now).unwrap();
        vera.keep(renamed);
    }
    remove(&mut vera, &carol);
    let left = vera.room.leave(vera.now).unwrap();
    vera.keep(left);
    bob.sync_from(&vera);
    wait(&mut bob, 10 * SECOND);
    bob.write("to alice");
    // alice removes vera, of whose removal of carol she has not heard.
    remove(&mut alice, &vera);
    let safe = alice.room.epoch_status().epoch;
    alice.sync_from(&bob);
    assert_eq!(alice.room.epoch_status().epoch, safe, "carol is in after all, and has its key");
    bob.sync_from(&alice);
    assert!(bob.room.members().len() == 3 && bob.room.epoch_status().epoch.is_none(), "he can not go back to it");
    let made = rotations(&bob.room);
    bob.now = bob.now.max(alice.now);
    wait(&mut bob, 5 * SECOND);
    assert_eq!(rotations(&bob.room), made + 1);
    bob.write("to both");
    alice.sync_from(&bob);
    assert!(alice.room.epoch_status().epoch == bob.room.epoch_status().epoch);
    assert!(alice.shown().contains(&"to both".to_owned()));
}

#[test]
fn who_made_the_epoch_himself_that_is_safe_no_more_makes_another_within_seconds_too() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    // Apart: bob makes an epoch by hand and writes in it; alice lets carol in into the one before.
    let by_hand = bob.room.rotate(bob.now, &mut bob.rng).unwrap();
    bob.keep(by_hand);
    bob.write("to alice");
    let mut carol = Person::join(3, &link, &mut alice);
    bob.sync_from(&alice);
    assert!(bob.room.epoch_status().epoch.is_none(), "carol has no key of his, and he can not go back to hers");
    let made = rotations(&bob.room);
    assert_eq!(
        bob.room.rotate(bob.now, &mut bob.rng).map(|outcome| bob.keep(outcome)),
        Ok(()),
        "who wants to write may"
    );
    assert_eq!(rotations(&bob.room), made + 1);
    bob.write("to both");
    carol.sync_from(&bob);
    assert!(carol.shown().contains(&"to both".to_owned()));
    // But nobody fills the log with epochs that do not count.
    assert!(bob.room.rotate(bob.now, &mut bob.rng).is_err());
}

#[test]
fn who_makes_epochs_that_nobody_has_the_keys_of_keeps_nobody_from_asking_for_those_that_others_have() {
    let (mut alice, mut bob, epoch) = lied_to();
    let old: Vec<EpochId> = bob.room.keys_wanted();
    assert_eq!(old, [epoch]);
    // Sound and unsound ones, all later.
    let (a, b) = (alice.room.me().clone(), bob.room.me().clone());
    for n in 0..60_u64 {
        alice.now += if n < 30 { ROTATE_EVERY_MS } else { SECOND };
        let rotate = forged_rotate(&mut alice, &[&a, &b], &secret(1), &secret(2));
        alice.receive(vec![rotate.clone()]);
        bob.receive(vec![rotate]);
    }
    assert!(bob.room.keys_wanted().len() > 60);
    let mut asked = std::collections::BTreeSet::new();
    for turn in 0..8 {
        let (now, more) = bob.room.lacks_now(16);
        assert!(now.len() == 16 && more);
        if turn == 0 {
            let best = bob.room.epochs.all().find(|epoch| epoch.sound).unwrap().id;
            assert!(now.contains(&crate::wire::Asked::Key(best)), "what is needed most comes first");
        }
        asked.extend(now);
    }
    assert!(asked.contains(&crate::wire::Asked::Key(epoch)));
}
