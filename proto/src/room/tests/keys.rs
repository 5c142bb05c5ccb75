//! Who can read what (C9, C10, C12, attacks 6, 20, 22, 30-34).

use std::collections::HashSet;

use parlor_crypto::epoch::EpochSecret;
use parlor_crypto::hpke::RowContext;
use parlor_crypto::leaf::LeafPublic;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::support::{Person, identity, many};
use crate::control::{Control, History, Role, Rotate, RotateReason};
use crate::epoch::{decode_names, decode_page, levels, member_root, page_rows, pages_of, seal_rows};
use crate::event::{Event, Header};
use crate::identity::Identity;
use crate::ids::{DeviceId, EpochId};
use crate::limits;
use crate::room::{Accepted, KeyError, NewInvite, NoEpoch, Refusal, Room, ShareRefusal, Verdict};

fn messages(person: &Person) -> Vec<Event> {
    let message = |accepted: &Accepted| match accepted {
        Accepted::Message(message) => Some(message.event.clone()),
        Accepted::Control(_) => None,
    };
    person.stored.iter().filter_map(message).collect()
}

#[test]
fn a_newcomer_reads_everything_in_a_shared_room() {
    let mut alice = Person::founder(1, History::Full);
    alice.write("one");
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    alice.write("two");
    let link = alice.invite(&many(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    assert_eq!(bob.shown(), ["one", "two"]);
}

#[test]
fn a_newcomer_in_a_room_without_history_can_not_derive_any_earlier_key() {
    let mut alice = Person::founder(1, History::None);
    alice.write("before an epoch");
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    alice.write("before");
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    alice.write("after");
    bob.sync_from(&alice);
    assert_eq!(bob.shown(), ["after"]);
    let earlier = messages(&alice);
    let readable: Vec<bool> = earlier.iter().map(|event| bob.room.open_later(event).is_some()).collect();
    assert_eq!(readable, [false, false, true]);
    // What he holds is the key of a later slice, and nobody shares him an earlier one.
    let epochs: Vec<EpochId> = earlier.iter().map(|event| event.message().unwrap().epoch).collect();
    assert!(bob.room.keys_wanted().is_empty());
    let device = bob.room.me().device();
    assert_eq!(alice.room.key_share_for(&device, &epochs[0], &mut alice.rng), Err(ShareRefusal::NotEntitled));
    assert_eq!(alice.room.key_share_for(&device, &epochs[1], &mut alice.rng).unwrap().slice, 1);
    // The next one moves the slice on again: bob's messages from before are closed to carol.
    bob.write("bob was here");
    alice.sync(&mut bob);
    let mut carol = Person::join(3, &link, &mut alice);
    alice.write("to all three");
    carol.sync_from(&alice);
    bob.sync_from(&alice);
    assert_eq!(carol.shown(), ["to all three"]);
    assert_eq!(bob.shown(), ["after", "bob was here", "to all three"]);
    carol.write("carol too");
    bob.sync_from(&carol);
    assert_eq!(bob.shown().last().unwrap(), "carol too");
}

#[test]
fn an_author_who_missed_an_admission_may_not_go_on_in_the_closed_slice_once_he_knows() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    bob.write("in the first slice");
    let _carol = Person::join(3, &link, &mut alice);
    bob.sync_from(&alice);
    let slice = bob.write("in the second").event.message().unwrap().slice;
    assert_eq!(slice, 2);
    // Signing one with an older slice on top of carol's Admit is refused by everybody.
    let last = bob.write("a third").event;
    let Header::Message(mut header) = last.header().clone() else { unreachable!() };
    (header.slice, header.generation) = (1, 0);
    let forged = Event::sign(&bob.room.id(), Header::Message(header), b"x", bob.room.me().signing_key()).unwrap();
    alice.receive(messages(&bob)[..2].to_vec());
    assert!(alice.receive(vec![forged]).rejected.iter().any(|rejected| rejected.blames_sender()));
}

/// A Rotate of `person` for `devices`, whose rows hold `given` but which commits to `committed`.
pub(super) fn forged_rotate(
    person: &mut Person,
    devices: &[&Identity],
    given: &EpochSecret,
    committed: &EpochSecret,
) -> Event {
    rotate_with(person, devices, &[], given, committed, RotateReason::Hand)
}

/// The same, made as if because no epoch was safe.
pub(super) fn forged_answer(person: &mut Person, devices: &[&Identity], given: &EpochSecret) -> Event {
    rotate_with(person, devices, &[], given, &secret(2), RotateReason::NoSafeEpoch)
}

/// The same, with rows for `ghosts` that the root of members does not name.
fn rotate_with(
    person: &mut Person,
    devices: &[&Identity],
    ghosts: &[&Identity],
    given: &EpochSecret,
    committed: &EpochSecret,
    reason: RotateReason,
) -> Event {
    let room = person.room.id();
    let commit = committed.commit(room.as_bytes());
    let root = member_root(devices.iter().map(|me| me.device()));
    let context = RowContext { room_id: room.0, commit, member_root: root };
    let leafs: Vec<(DeviceId, LeafPublic)> = devices
        .iter()
        .chain(ghosts)
        .map(|me| (me.device(), LeafPublic::parse(&me.entrant().leaf.leaf_pk).unwrap()))
        .collect();
    let rows = seal_rows(&context, given, &leafs, crate::epoch::one_by_one, &mut person.rng);
    let n_rows = rows.len() as u32;
    let rotate = Rotate {
        auth: person.room.grant_id(person.room.grant().unwrap()),
        reason,
        parents: Vec::new(),
        commit,
        share_history: History::Full,
        member_root: root,
        n_rows,
        rows: page_rows(rows).0,
    };
    let control = Control::Rotate(rotate);
    let header = Header::Control(person.room.control_header(control.kind(), &[], person.now).unwrap());
    Event::sign(&room, header, &control.encode(), person.room.me().signing_key()).unwrap()
}

pub(super) fn secret(seed: u64) -> EpochSecret {
    EpochSecret::generate(&mut StdRng::seed_from_u64(seed), &[])
}

#[test]
fn a_row_that_holds_another_secret_than_committed_is_refused_and_the_key_asked_of_others() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let (a, b) = (alice.room.me().clone(), bob.room.me().clone());
    let rotate = forged_rotate(&mut alice, &[&a, &b], &secret(1), &secret(2));
    let before = bob.room.epoch_status();
    bob.receive(vec![rotate.clone()]);
    let epoch = EpochId::of(&rotate.id());
    assert_eq!(bob.room.epoch_status(), before, "the old epoch goes on");
    assert_eq!(bob.room.keys_wanted(), [epoch]);
}

#[test]
fn an_epoch_with_a_ghost_or_without_a_member_is_never_safe() {
    for case in ["ghost", "hidden ghost", "omission"] {
        let mut alice = Person::founder(1, History::Full);
        let link = alice.invite(&many(Role::Member));
        let mut bob = Person::join(2, &link, &mut alice);
        let mut carol = Person::join(3, &link, &mut alice);
        bob.sync_from(&alice);
        let (a, b, c) = (alice.room.me().clone(), bob.room.me().clone(), carol.room.me().clone());
        let stranger = identity(66);
        let (all, ghosts): (Vec<&Identity>, Vec<&Identity>) = match case {
            "ghost" => (vec![&a, &b, &c, &stranger], vec![]),
            "hidden ghost" => (vec![&a, &b, &c], vec![&stranger]),
            _ => (vec![&a, &b], vec![]),
        };
        let rotate = rotate_with(&mut alice, &all, &ghosts, &secret(1), &secret(1), RotateReason::Hand);
        let before = carol.room.epoch_status().epoch;
        for person in [&mut bob, &mut carol] {
            person.receive(vec![rotate.clone()]);
            assert_eq!(person.room.epoch_status().epoch, before);
            assert_ne!(before, Some(EpochId::of(&rotate.id())));
        }
        bob.write("under the good one");
        carol.sync_from(&bob);
        assert_eq!(carol.shown(), ["under the good one"]);
    }
}

#[test]
fn with_several_gone_at_once_few_epochs_are_made_and_all_agree_on_one() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut people: Vec<Person> = (2..8).map(|seed| Person::join(seed, &link, &mut alice)).collect();
    for person in &mut people {
        person.sync_from(&alice);
    }
    // Three leave, each knowing nothing of the others.
    for person in &mut people[..3] {
        let left = person.room.leave(person.now).unwrap();
        person.keep(left);
    }
    let rotations =
        |p: &Person| p.events().iter().filter(|event| event.control().is_some_and(|header| header.kind == 11)).count();
    let before = rotations(&alice);
    let (gone, rest) = people.split_at_mut(3);
    for person in rest.iter_mut() {
        gone.iter().for_each(|other| {
            person.sync_from(other);
        });
        assert_eq!(person.room.epoch_status().why, Some(NoEpoch::NoneSafe));
    }
    gone.iter().for_each(|other| {
        alice.sync_from(other);
    });
    // Everybody's clock runs; whoever wakes first makes the epoch, and the others hear of it before their turn.
    let mut wakes: Vec<(u64, usize)> = Vec::new();
    for (n, person) in rest.iter_mut().enumerate() {
        let (outcome, wake) = person.room.maintain(person.now, &mut person.rng);
        assert!(outcome.accepted.is_empty());
        wakes.push((wake.unwrap() - person.now, n));
    }
    wakes.sort_unstable();
    let first = wakes[0].1;
    rest[first].maintain();
    let made = rest[first].events();
    for person in rest.iter_mut() {
        person.receive(made.clone());
        person.maintain();
    }
    alice.receive(made);
    alice.maintain();
    assert_eq!(rotations(&alice), before + 1);
    let epochs: HashSet<_> = rest.iter().map(|person| person.room.epoch_status().epoch).collect();
    assert_eq!(epochs.len(), 1);
    assert_eq!(alice.room.epoch_status().epoch, *epochs.iter().next().unwrap());
    alice.write("members only");
    for person in gone {
        person.sync_from(&alice);
        assert!(person.shown().is_empty());
    }
}

#[test]
fn an_old_epoch_is_replaced_once_a_week() {
    let mut alice = Person::founder(1, History::Full);
    let before = alice.room.epoch_status().epoch;
    let (outcome, wake) = alice.room.maintain(alice.now, &mut alice.rng);
    assert!(outcome.accepted.is_empty());
    assert_eq!(wake, Some(super::support::START + limits::EPOCH_MS));
    alice.now = wake.unwrap();
    alice.maintain();
    let after = alice.room.epoch_status().epoch;
    assert!(after.is_some() && after != before);
    alice.write("under the new one");
    assert!(alice.room.maintain(alice.now, &mut alice.rng).0.accepted.is_empty());
}

#[test]
fn a_rotation_nobody_needs_is_no_better_than_none_when_it_comes_again_within_the_hour() {
    let mut alice = Person::founder(1, History::Full);
    let first = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(first);
    let chosen = alice.room.epoch_status().epoch;
    assert_eq!(alice.room.rotate(alice.now + 1, &mut alice.rng).err(), Some(Refusal::RotatedLately));
    // Who makes one all the same:
    let second = alice.room.make_epoch(RotateReason::Hand, alice.now + 1, &mut alice.rng).unwrap();
    alice.keep(second);
    assert_eq!(alice.room.epoch_status().epoch, chosen);
}

/// A room of more devices than rows fit into a Rotate; of them only the last one has a node here.
pub(super) fn large() -> (Person, Person) {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    for seed in 0..limits::INLINE_ROWS as u64 {
        alice.admit(&identity(100 + seed), &link).unwrap();
    }
    let bob = Person::join(2, &link, &mut alice);
    (alice, bob)
}

#[test]
fn in_a_large_room_the_row_comes_on_a_page_and_any_holder_heals_a_missing_one() {
    let (mut alice, mut bob) = large();
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    let pages = outcome.persist.pages.clone();
    alice.keep(outcome);
    assert_eq!(pages.len(), 66_usize.div_ceil(limits::ROWS_PER_PAGE), "no page above those of rows");
    bob.sync_from(&alice);
    let epoch = alice.room.epoch_status().epoch.unwrap();
    assert_ne!(bob.room.epoch_status().epoch, Some(epoch), "no key yet");
    let [wanted] = bob.room.pages_wanted()[..] else { panic!("one page") };
    let page = pages.iter().find(|(hash, _)| *hash == wanted).unwrap();
    assert_eq!(alice.room.page(&page.0), Some(page.1.as_slice()));
    alice.write("paged");
    bob.sync_from(&alice);
    assert!(bob.shown().is_empty());
    assert_eq!(bob.room.accept_page(vec![1, 2, 3]).err(), Some(KeyError::NotWanted));

    let share = alice.room.key_share_for(&bob.room.me().device(), &epoch, &mut alice.rng).unwrap();
    assert_eq!(bob.room.accept_key_share(&share).err(), Some(KeyError::NotWanted), "the page may still come");
    let outcome = bob.room.accept_page(page.1.clone()).unwrap();
    assert_eq!(outcome.persist.keys.len(), 1, "one row for the one key");
    bob.keep(outcome);
    assert_eq!(bob.room.epoch_status().epoch, Some(epoch));
    let opened = bob.room.open_later(&messages(&alice)[0]).unwrap();
    assert!(opened.body.is_some());
    assert!(bob.room.pages_wanted().is_empty() && bob.room.keys_wanted().is_empty());
}

#[test]
fn a_tree_of_pages_names_every_row_and_nothing_else_whatever_the_number_of_rows() {
    let row = |n: usize| crate::control::Row {
        // Some share a hint, also over the border of pages.
        hint: ((n / 3) as u64 * 7_919).to_be_bytes(),
        enc: [1; 32],
        ct: [2; 48],
    };
    let (rows_page, fanout) = (limits::ROWS_PER_PAGE, limits::PAGE_FANOUT);
    let edges = [rows_page * fanout, rows_page * fanout * fanout];
    for n in [65, 100, edges[0] - 1, edges[0], edges[0] + 1, 1_000, edges[1], edges[1] + 1, 5_000] {
        let rows: Vec<_> = (0..n).map(row).collect();
        let (crate::control::Rows::Pages(top), pages) = page_rows(rows.clone()) else { panic!("pages") };
        let (tops, height) = levels(n);
        assert_eq!(top.len(), tops);
        assert!(top.len() <= fanout);
        let pages: std::collections::HashMap<_, _> = pages.into_iter().collect();
        for row in rows.iter().step_by(37).chain(rows.last()) {
            let mut names: Vec<[u8; 32]> = pages_of(&top, &row.hint).collect();
            for _ in 0..height {
                let below = names.iter().flat_map(|hash| decode_names(&pages[hash]).unwrap());
                let below: Vec<_> = below.collect();
                names = pages_of(&below, &row.hint).collect();
            }
            let found = names.iter().any(|hash| decode_page(&pages[hash]).unwrap().contains(row));
            assert!(found && names.len() <= 2, "{n} rows");
            assert!(names.iter().all(|hash| pages[hash].len() < 1_024));
        }
    }
}

#[test]
fn a_member_with_older_leaf_keys_finds_its_row_under_whichever_its_author_knew() {
    let (mut alice, mut bob) = large();
    // Bob has a new leaf key, of which nobody has heard.
    let due_ms = bob.room.me().leaf_due_ms();
    let me = bob.room.me().renewed(due_ms, &mut bob.rng).unwrap();
    bob.room.set_me(std::sync::Arc::new(me));
    alice.now += limits::ROTATE_EVERY_MS;
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    let pages: std::collections::HashMap<_, _> = outcome.persist.pages.iter().cloned().collect();
    alice.keep(outcome);
    let epoch = alice.room.epoch_status().epoch.unwrap();
    bob.sync_from(&alice);
    for _ in 0..4 {
        for hash in bob.room.pages_wanted() {
            let outcome = bob.room.accept_page(pages[&hash].clone()).unwrap();
            bob.keep(outcome);
        }
    }
    assert_eq!(bob.room.epoch_status().epoch, Some(epoch));
    assert!(bob.room.pages_wanted().is_empty() && bob.room.keys_wanted().is_empty());
}

#[test]
fn rows_sealed_side_by_side_open_like_others() {
    fn backwards(jobs: Vec<crate::epoch::SealJob>) -> Vec<crate::control::Row> {
        assert!(jobs.len() > 1, "several pieces");
        std::thread::scope(|scope| {
            let running: Vec<_> = jobs.into_iter().rev().map(|job| scope.spawn(move || job.run())).collect();
            running.into_iter().flat_map(|job| job.join().unwrap()).collect()
        })
    }
    let (mut alice, mut bob) = large();
    alice.room.seal_with(backwards);
    alice.now += limits::ROTATE_EVERY_MS;
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    let pages: std::collections::HashMap<_, _> = outcome.persist.pages.iter().cloned().collect();
    alice.keep(outcome);
    bob.sync_from(&alice);
    let [wanted] = bob.room.pages_wanted()[..] else { panic!("one page") };
    let outcome = bob.room.accept_page(pages[&wanted].clone()).unwrap();
    bob.keep(outcome);
    assert_eq!(bob.room.epoch_status().epoch, alice.room.epoch_status().epoch);
}

#[test]
fn key_shares_go_only_to_the_entitled_and_are_taken_only_if_they_match() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let (a, b) = (alice.room.me().clone(), bob.room.me().clone());
    // Alice's Rotate has a spoilt row for bob, and she holds what it commits to.
    let (good, bad) = (secret(2), secret(1));
    let rotate = forged_rotate(&mut alice, &[&a, &b], &bad, &good);
    let epoch = EpochId::of(&rotate.id());
    alice.receive(vec![rotate.clone()]);
    alice.room.hold_secret(epoch, &good, &mut crate::room::Outcome::default());
    bob.receive(vec![rotate]);
    let stranger = identity(66).device();
    assert_eq!(alice.room.key_share_for(&stranger, &epoch, &mut alice.rng), Err(ShareRefusal::NotEntitled));
    let other = EpochId([3; 16]);
    assert_eq!(alice.room.key_share_for(&b.device(), &other, &mut alice.rng), Err(ShareRefusal::NotEntitled));
    let share = alice.room.key_share_for(&b.device(), &epoch, &mut alice.rng).unwrap();
    let mut unasked = share.clone();
    unasked.epoch = other;
    assert_eq!(bob.room.accept_key_share(&unasked).err(), Some(KeyError::NotWanted));
    let mut damaged = share.clone();
    damaged.sealed[40] ^= 1;
    assert_eq!(bob.room.accept_key_share(&damaged).err(), Some(KeyError::Open));
    // A liar seals what does not match.
    alice.room.hold_wrong_secret_for_tests(epoch, &bad);
    let lie = alice.room.key_share_for(&b.device(), &epoch, &mut alice.rng).unwrap();
    assert_eq!(bob.room.accept_key_share(&lie).err(), Some(KeyError::Commit));
    assert!(bob.room.accept_key_share(&share).is_ok());
    assert_eq!(bob.room.epoch_status().epoch, Some(epoch));
}

/// Attack 23: a payload that opens under another key than its header names is not tried with it.
#[test]
fn a_message_is_opened_with_the_one_key_that_its_header_names_and_no_other() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let old = alice.room.epoch_status().epoch.unwrap();
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    bob.sync_from(&alice);
    let template = bob.write("template").event;
    let Header::Message(named) = template.header().clone() else { unreachable!() };
    assert_ne!(named.epoch, old);
    // Under the header of the new epoch, sealed with the key that the same header would have in the old one.
    let unsealed =
        Header::Message(crate::event::MessageHeader { payload_len: 0, payload_hash: [0; 32], ..named.clone() });
    let sealing = crate::event::sealing_header(&unsealed, &unsealed.encode());
    let elsewhere = crate::event::MessageHeader { epoch: old, ..named };
    let key = bob.room.epochs.message_key(bob.room.id().as_bytes(), &elsewhere, &sealing).unwrap();
    let body = crate::body::Body::text("under another key").encode();
    let payload = parlor_crypto::seal::seal(&key, bob.room.id().as_bytes(), &sealing, &body);
    let forged = Event::sign(&bob.room.id(), unsealed, &payload, bob.room.me().signing_key()).unwrap();
    alice.receive(vec![forged]);
    assert!(alice.room.epochs.has_key(&old, 0), "the key that would open it is here");
    let Some(Accepted::Message(taken)) = alice.stored.last() else { unreachable!() };
    assert_eq!(taken.verdict, Verdict::Damaged);
}

#[test]
fn a_cloned_device_never_uses_a_message_key_twice() {
    let mut alice = Person::founder(1, History::Full);
    alice.write("common");
    let mut keys = HashSet::new();
    for clone in 0..50 {
        // Each clone starts from the same disk, with the same randomness.
        alice.restart();
        alice.rng = StdRng::seed_from_u64(7);
        let text = format!("clone {clone}");
        let body = crate::body::Body::text(text);
        let written = alice.room.write(&body, alice.now + 1, &mut alice.rng).unwrap();
        assert!(keys.insert(*written.message.key.unwrap().secret().expose()));
    }
}

#[test]
fn all_message_keys_of_a_room_differ() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut keys = HashSet::new();
    for _ in 0..200 {
        for person in [&mut alice, &mut bob] {
            assert!(keys.insert(*person.write("same text").key.unwrap().secret().expose()));
        }
    }
}

#[test]
fn what_a_restart_restores_reads_writes_and_continues_the_log() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    bob.write("one");
    alice.sync(&mut bob);
    let (state, status) = (bob.room.state_hash(), bob.room.epoch_status());
    bob.restart();
    assert_eq!((bob.room.state_hash(), bob.room.epoch_status()), (state, status));
    let event = bob.write("two").event;
    assert_eq!(event.seq(), 2);
    alice.sync_from(&bob);
    alice.restart();
    alice.write("three");
    bob.sync_from(&alice);
    assert_eq!(bob.shown(), ["one", "two", "three"]);
    assert_eq!(alice.room.marker_heads(), bob.room.marker_heads());
}

#[test]
fn a_newer_leaf_key_is_used_and_an_older_or_foreign_one_is_not_taken() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut me = Identity::clone(bob.room.me());
    let old = me.entrant().leaf;
    let new = me.rotate_leaf(bob.now, &mut bob.rng);
    bob.room.set_me(me.into());
    assert!(alice.room.accept_leaf(new).unwrap().is_some());
    assert!(alice.room.accept_leaf(old).unwrap().is_none());
    assert!(alice.room.accept_leaf(identity(66).entrant().leaf).is_err());
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    alice.write("to the new key");
    bob.sync_from(&alice);
    assert_eq!(bob.shown(), ["to the new key"]);
    let _: &Room = &bob.room;
}

#[test]
fn whoever_left_gets_what_it_was_keyed_for_and_nothing_newer() {
    let mut alice = Person::founder(1, History::Full);
    let before = alice.room.epoch_status().epoch.unwrap();
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    alice.now += limits::ROTATE_EVERY_MS;
    let link = alice.invite(&NewInvite::of(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let came = alice.room.epoch_status().epoch.unwrap();
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    let keyed = alice.room.epoch_status().epoch.unwrap();
    bob.sync_from(&alice);
    let left = bob.room.leave(bob.now).unwrap();
    bob.keep(left);
    alice.sync_from(&bob);
    alice.maintain();
    let after = alice.room.epoch_status().epoch.unwrap();
    let device = bob.room.me().device();
    // It was let into the one and a recipient of the other.
    for epoch in [came, keyed] {
        assert!(alice.room.key_share_for(&device, &epoch, &mut alice.rng).is_ok());
    }
    for epoch in [before, after] {
        assert_eq!(alice.room.key_share_for(&device, &epoch, &mut alice.rng), Err(ShareRefusal::NotEntitled));
    }
}

#[test]
fn an_epoch_that_says_it_was_made_far_ahead_of_now_is_old_and_its_author_makes_no_other_within_the_hour() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&NewInvite::of(Role::Member));
    let mut mallory = Person::join(2, &link, &mut alice);
    alice.sync(&mut mallory);
    let made = mallory.room.make_epoch(RotateReason::Hand, u64::MAX, &mut mallory.rng).unwrap();
    mallory.keep(made);
    alice.now += 2 * 3_600_000;
    alice.sync_from(&mallory);
    let ahead = alice.room.epoch_status().epoch.unwrap();
    assert!(alice.room.epochs.info(&ahead).is_some_and(|info| info.sound));
    alice.maintain();
    let next = alice.room.epoch_status().epoch.unwrap();
    assert_ne!(next, ahead, "it is replaced at once, not in a week that never ends");
    alice.now += 1;
    alice.maintain();
    assert_eq!(alice.room.epoch_status().epoch, Some(next));
    // However late he says it is.
    mallory.sync_from(&alice);
    let made = mallory.room.make_epoch(RotateReason::Hand, u64::MAX, &mut mallory.rng).unwrap();
    mallory.keep(made);
    alice.sync_from(&mallory);
    assert_eq!(alice.room.epoch_status().epoch, Some(next));
}
