//! What an admission hands on: nobody opens for himself, or for others, what he may not read.

use std::sync::Arc;

use parlor_crypto::epoch::SliceSecret;
use parlor_crypto::hpke;
use parlor_crypto::leaf::LeafPublic;
use parlor_crypto::secret::Secret;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::rules::{admit, forge};
use super::support::{Person, START};
use crate::control::{Admit, Control, History, InviteHistory, Role};
use crate::identity::Identity;
use crate::ids::{EpochId, EventId};
use crate::room::keys::SHARE;
use crate::room::{KeyError, KeyShare, NewInvite};

/// A founder with a past of two epochs, a link that shows nothing of it, and who came by it.
fn newcomer(history: History) -> (Person, Person, parlor_crypto::invite::InviteSeed, Vec<EpochId>) {
    let mut alice = Person::founder(1, history);
    let mut before = Vec::new();
    for text in ["first", "second"] {
        before.push(alice.write(text).event.message().unwrap().epoch);
        alice.now += 2 * 3_600_000;
        let next = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
        alice.keep(next);
    }
    let link = alice.invite(&NewInvite { history: Some(InviteHistory::None), ..NewInvite::of(Role::Member) });
    let bob = Person::join(2, &link, &mut alice);
    (alice, bob, link, before)
}

#[test]
fn nobody_opens_the_past_by_an_admission_of_himself_or_of_a_puppet() {
    for history in [History::Full, History::None] {
        let (mut alice, mut bob, link, before) = newcomer(history);
        let device = bob.room.me().device();
        let in_use = alice.room.epoch_status().epoch.unwrap();
        let (_, puppet) = Identity::create("puppet", START, &mut StdRng::seed_from_u64(9)).unwrap();
        let himself = Person::request(&bob.room.id(), bob.room.me(), &link);
        let open = alice.invite(&NewInvite {
            uses: Some(5),
            history: Some(InviteHistory::None),
            ..NewInvite::of(Role::Member)
        });
        bob.sync(&mut alice);
        let with_open = Person::request(&bob.room.id(), &puppet, &open);
        let [himself, puppets] = [admit(&bob, &link, himself), admit(&bob, &open, with_open)];
        let mut forged = |says: &Admit, epoch: EpochId| {
            let control = Control::Admit(Box::new(Admit { epoch, slice: 0, ..says.clone() }));
            let event = forge(&bob, &control, |_| ());
            assert!(bob.receive(vec![event.clone()]).rejected.is_empty(), "it is valid, and worth nothing");
            assert!(alice.receive(vec![event]).rejected.is_empty());
        };
        for epoch in before.iter().copied().chain([in_use]) {
            forged(&himself, epoch);
            forged(&puppets, epoch);
        }
        for epoch in &before {
            for device in [device, puppet.device()] {
                assert!(alice.room.key_share_for(&device, epoch, &mut alice.rng).is_err(), "{history:?}");
                assert!(!alice.room.epochs_for(&device).contains(epoch));
            }
        }
        // Of the epoch in use he has what he was let in to, and so has whom he lets in.
        let given = alice.room.key_share_for(&device, &in_use, &mut alice.rng).unwrap();
        assert!(given.slice > 0, "{history:?}: he was let in behind the first slice");
        let puppets = alice.room.key_share_for(&puppet.device(), &in_use, &mut alice.rng);
        assert!(puppets.is_err(), "{history:?}: what he says to open he may not read");
    }
}

#[test]
fn whom_a_newcomer_lets_in_reads_what_the_newcomer_reads() {
    let (mut alice, mut bob, _, _) = newcomer(History::None);
    let link = alice.invite(&NewInvite::of(Role::Member));
    bob.sync(&mut alice);
    let mut carol = Person::join(3, &link, &mut bob);
    alice.sync_from(&bob);
    let device = carol.room.me().device();
    let in_use = alice.room.epoch_status().epoch.unwrap();
    assert!(alice.room.key_share_for(&device, &in_use, &mut alice.rng).is_ok());
    alice.write("for all");
    carol.sync(&mut alice);
    assert!(carol.shown().contains(&"for all".to_string()));
}

#[test]
fn a_key_that_somebody_else_says_we_were_let_in_with_is_not_taken_for_the_epochs() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&NewInvite::of(Role::Member));
    let mut laptop = Person::join(2, &link, &mut alice);
    laptop.sync(&mut alice);
    super::attacks::remove(&mut alice, &laptop);
    alice.maintain();
    let link = alice.invite(&NewInvite::of(Role::Member));
    let mut mallory = Person::join(4, &link, &mut alice);
    // He comes back with his phone: the laptop is in with it, and lacks the key.
    let link = alice.invite(&NewInvite::of(Role::Member));
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let phone = Arc::new(Identity::add_device(&root, "phone", 2, START, &mut StdRng::seed_from_u64(6)).unwrap());
    alice.admit(&phone, &link).unwrap();
    mallory.sync(&mut alice);
    // Mallory lets the phone in once more, with a key of her own.
    let epoch = alice.room.epoch_status().epoch.unwrap();
    let made_up = SliceSecret::from_secret(5, Secret::new([7; 32])).unwrap();
    let slice_commit = made_up.commit(alice.room.id().as_bytes());
    let join = Person::request(&alice.room.id(), &phone, &link);
    let admit = Admit { epoch, slice: 5, slice_commit, ..admit(&mallory, &link, join) };
    let event = forge(&mallory, &Control::Admit(Box::new(admit)), |_| ());
    assert!(mallory.receive(vec![event]).rejected.is_empty());
    laptop.sync(&mut mallory);
    assert!(laptop.room.is_member() && laptop.room.keys_wanted().contains(&epoch));
    let leaf = LeafPublic::parse(&laptop.room.leaf_of(&laptop.room.me().device()).unwrap().leaf_pk).unwrap();
    let context = laptop.room.share_context(&epoch, &laptop.room.me().device());
    let sealed = hpke::seal_box(&mut mallory.rng, SHARE, &context, &leaf, &5u32.to_be_bytes(), &[7; 32]);
    let false_share = KeyShare { epoch, slice: 5, sealed };
    assert_eq!(laptop.room.accept_key_share(&false_share).err(), Some(KeyError::NotWanted));
    // Nor is who gives the right one held to be at fault; and the next epoch is for the laptop too.
    let share = alice.room.key_share_for(&laptop.room.me().device(), &epoch, &mut alice.rng).unwrap();
    assert!(!matches!(laptop.room.accept_key_share(&share), Err(KeyError::Commit | KeyError::Open)));
    alice.now += 2 * 3_600_000;
    let next = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(next);
    alice.write("for both");
    laptop.sync(&mut alice);
    assert!(laptop.shown().contains(&"for both".to_string()));
}

/// An Admit that a doctored node of `author` writes, and that others take: whether it counts or not.
fn takes(author: &mut Person, others: &mut [&mut Person], says: Admit) -> EventId {
    let event = forge(author, &Control::Admit(Box::new(says)), |_| ());
    for person in std::iter::once(author).chain(others.iter_mut().map(|person| &mut **person)) {
        assert!(person.receive(vec![event.clone()]).rejected.is_empty());
    }
    event.id()
}

#[test]
fn nobody_is_welcomed_again_into_what_nobody_might_let_him_into() {
    for history in [History::Full, History::None] {
        let (mut alice, mut bob, link, before) = newcomer(history);
        let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
        let phone = Arc::new(Identity::add_device(&root, "phone", 2, START, &mut StdRng::seed_from_u64(6)).unwrap());
        let join = Person::request(&bob.room.id(), &phone, &link);
        let says = Admit { epoch: before[0], slice: 0, ..admit(&bob, &link, join) };
        takes(&mut bob, &mut [&mut alice], says);
        if let Ok(admission) = alice.admit(&phone, &link) {
            let phone = Person::joining(12, phone, &link, &alice.room.id(), admission.welcome.as_ref().unwrap());
            assert!(!before.iter().any(|epoch| phone.room.epochs.held().contains_key(epoch)), "{history:?}");
        }
    }
}

#[test]
fn who_came_again_without_history_opens_nothing_by_the_grant_he_had_before() {
    let mut alice = Person::founder(1, History::Full);
    let first = alice.invite(&NewInvite::of(Role::Member));
    let bob = Person::join(2, &first, &mut alice);
    let before = bob.room.grant_id(bob.room.grant().unwrap());
    super::attacks::remove(&mut alice, &bob);
    alice.now += 2 * 3_600_000;
    alice.maintain();
    let epoch = alice.write("without him").event.message().unwrap().epoch;
    alice.now += 2 * 3_600_000;
    let next = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(next);
    let link = alice.invite(&NewInvite { history: Some(InviteHistory::None), ..NewInvite::of(Role::Member) });
    let mut bob = Person::join(2, &link, &mut alice);
    bob.sync(&mut alice);
    let join = Person::request(&bob.room.id(), bob.room.me(), &link);
    let says = Admit { epoch, slice: 0, ..admit(&bob, &link, join) };
    takes(&mut bob, &mut [&mut alice], Admit { auth: before, ..says.clone() });
    takes(&mut bob, &mut [&mut alice], says);
    assert!(bob.room.is_member());
    assert!(alice.room.key_share_for(&bob.room.me().device(), &epoch, &mut alice.rng).is_err());
}

#[test]
fn nobody_opens_anything_by_a_link_that_is_over() {
    let (mut alice, mut bob, link, before) = newcomer(History::Full);
    let dead = alice.invite(&NewInvite::of(Role::Member));
    let id = alice.room.invite_by_key(&dead.keys().sign.public_bytes()).unwrap();
    let revoked = alice.room.revoke(&id, alice.now, &mut alice.rng).unwrap();
    alice.keep(revoked);
    bob.sync(&mut alice);
    let device = bob.room.me().device();
    let request = |person: &Person, link| Person::request(&person.room.id(), person.room.me(), link);
    let own = Admit { epoch: before[0], slice: 0, ..admit(&bob, &link, request(&bob, &link)) };
    let by_dead = admit(&bob, &dead, request(&bob, &dead));
    let void = takes(&mut bob, &mut [&mut alice], by_dead);
    let void = bob.room.dag.find(&void).and_then(|op| bob.room.dag.grants_by(op).next()).unwrap();
    let void = bob.room.grant_id(void);
    takes(&mut bob, &mut [&mut alice], Admit { auth: void, ..own.clone() });
    takes(&mut bob, &mut [&mut alice], own);
    assert!(alice.room.key_share_for(&device, &before[0], &mut alice.rng).is_err());
    // Nor does a change of role make of it what it never was.
    for role in [Role::Moderator, Role::Member] {
        let given = alice.room.grant_role(&bob.room.me().account(), role, alice.now).unwrap();
        alice.keep(given);
        bob.sync(&mut alice);
        assert!(alice.room.key_share_for(&device, &before[0], &mut alice.rng).is_err(), "{role:?}");
    }
}

#[test]
fn who_is_let_in_with_a_false_key_reads_from_the_next_epoch_on_which_who_holds_the_true_one_makes() {
    for falsely in [true, false] {
        let mut alice = Person::founder(1, History::Full);
        let link = alice.invite(&NewInvite { uses: Some(5), ..NewInvite::of(Role::Member) });
        let mut mallory = Person::join(2, &link, &mut alice);
        mallory.sync(&mut alice);
        alice.now += 2 * 3_600_000;
        let link = alice.invite(&NewInvite { uses: Some(5), ..NewInvite::of(Role::Member) });
        mallory.sync_from(&alice);
        let before = alice.room.epoch_status().epoch.unwrap();
        let dave = super::support::identity(3);
        let join = Person::request(&alice.room.id(), &dave, &link);
        let mut says = admit(&mallory, &link, join);
        let held = mallory.room.epochs.held()[&before].clone();
        let slice = SliceSecret::from_secret(held.slice, held.key).unwrap();
        says.slice = slice.index();
        says.slice_commit = if falsely { [7; 32] } else { slice.commit(alice.room.id().as_bytes()) };
        takes(&mut mallory, &mut [&mut alice], says);
        assert!(alice.room.is_live_device(&dave.device()));
        alice.maintain();
        let after = alice.room.epoch_status().epoch.unwrap();
        assert_eq!(before != after, falsely);
        assert_eq!(alice.room.was_recipient(&dave.device(), &after), falsely);
        // Nothing more is to be done.
        alice.now += 2 * 3_600_000;
        alice.maintain();
        assert_eq!(alice.room.epoch_status().epoch, Some(after));
    }
}
