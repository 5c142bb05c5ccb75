//! Members who use what the rules leave open: papers of others, races of removals, floods.

use parlor_crypto::account::DeviceCert;
use parlor_crypto::label::SIGN_DEVICE_WORD;
use parlor_crypto::secret::Secret;
use parlor_crypto::{PublicKey, SigningKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::support::{Person, START, identity, many};
use crate::control::{AccountUpdate, Admit, Control, DeviceFence, History, NewDevice, RevokeFence, Role, Target};
use crate::event::{Event, Header};
use crate::identity::Identity;
use crate::ids::{DeviceId, EpochId, EventId};
use crate::limits::{MAX_DEVICES, SLICE_REACH};
use crate::room::{Accepted, Outcome, Refusal, Removal, Room, Standing};

impl Person {
    fn removes(&mut self, whom: &Self) -> Result<Outcome, Refusal> {
        let target = Target::Account(whom.room.me().account());
        let removal = Removal { target, ban: false, cascade: false, purge: false };
        let outcome = self.room.remove(&[removal], self.now, &mut self.rng)?;
        self.keep(outcome.clone());
        Ok(outcome)
    }
}

#[test]
fn nobody_brings_the_device_of_another_to_his_own_account_by_not_having_seen_it_come() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    let link = alice.invite(&many(Role::Admin));
    let carol = Person::join(3, &link, &mut alice);
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let stolen = PublicKey::parse(carol.room.me().device().as_bytes()).unwrap();
    let account = bob.room.me().account();
    let cert = DeviceCert::issue(&root.root_key(0), account.0, &stolen, "mine", START, 2).unwrap();
    let leaf = carol.room.me().entrant().leaf;
    let word = bob.room.me().signing_key().sign(SIGN_DEVICE_WORD, &[&account.0]);
    let control =
        Control::AccountUpdate(AccountUpdate { devices: vec![NewDevice { cert, leaf, word }], revokes: Vec::new() });
    let header = bob.room.control_header(control.kind(), &[], bob.now).unwrap();
    let event = Event::sign(&bob.room.id(), Header::Control(header), &control.encode(), bob.room.me().signing_key());
    alice.receive(vec![event.unwrap()]);
    let device = carol.room.me().device();
    assert_eq!(alice.room.account_of(&device), Some(carol.room.me().account()));
    assert_eq!(alice.room.standing(&device), Standing::Live);
}

#[test]
fn who_was_put_out_twice_reads_nothing_after_though_the_first_removal_was_undone_meanwhile() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Admin));
    let mut dan = Person::join(2, &link, &mut alice);
    let mut bob = Person::join(3, &link, &mut alice);
    let link = alice.invite(&many(Role::Member));
    let mut xavier = Person::join(4, &link, &mut alice);
    for person in [&mut dan, &mut bob, &mut xavier] {
        person.sync_from(&alice);
    }
    // Bob removes Xavier, Dan learns of it and removes Bob; Alice removes Bob at once with that and knows of neither.
    bob.removes(&xavier).unwrap();
    dan.sync_from(&bob);
    dan.removes(&bob).unwrap();
    alice.removes(&bob).unwrap();
    alice.sync_from(&dan);
    dan.sync_from(&alice);
    xavier.sync_from(&alice);
    assert!(alice.room.member(&xavier.room.me().account()).is_some(), "what Bob did then counts for nothing");
    // He is handed what a member may read.
    for epoch in xavier.room.keys_wanted() {
        let share = dan.room.key_share_for(&xavier.room.me().device(), &epoch, &mut dan.rng);
        if let Ok(share) = share {
            let outcome = xavier.room.accept_key_share(&share).unwrap();
            xavier.keep(outcome);
        }
    }
    alice.removes(&xavier).unwrap();
    alice.maintain();
    let secret = alice.write("without him");
    xavier.sync_from(&alice);
    let opened = xavier.stored.iter().any(
        |accepted| matches!(accepted, Accepted::Message(m) if m.event.id() == secret.event.id() && m.key.is_some()),
    );
    assert!(!opened && xavier.room.open_later(&secret.event).is_none());
}

#[test]
fn made_up_accounts_are_not_counted() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    Person::join(2, &link, &mut alice);
    let before = alice.room.control_events().count();
    for seed in 100..200 {
        let me = identity(seed);
        let papers = NewDevice::sign(me.signing_key(), me.entrant());
        let control = Control::AccountUpdate(AccountUpdate { devices: vec![papers], revokes: Vec::new() });
        let mut header = alice.room.control_header(control.kind(), &[], alice.now).unwrap();
        (header.device, header.seq, header.prev) = (me.device(), 1, EventId::ZERO);
        header.parents = alice.room.control_frontier();
        let event = Event::sign(&alice.room.id(), Header::Control(header), &control.encode(), me.signing_key());
        let event = event.unwrap();
        assert_eq!(alice.room.answers_for(&event), None);
        alice.room.receive_unvouched(vec![event], alice.now);
    }
    assert_eq!(alice.room.control_events().count(), before);
}

#[test]
fn what_made_up_devices_wrote_keeps_out_nothing_that_members_wrote() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Moderator));
    let mut bob = Person::join(2, &link, &mut alice);
    let one = bob.write("one").event;
    let two = bob.write("two").event;
    let made_up = |n: u16| {
        let mut seed = [7; 32];
        seed[..2].copy_from_slice(&n.to_be_bytes());
        SigningKey::from_seed(&Secret::new(seed))
    };
    let mut junk = Vec::new();
    for device in (0..1_100).map(made_up) {
        let id = DeviceId(device.public_bytes());
        let mut header = two.message().unwrap().clone();
        (header.device, header.control) = (id, vec![EventId(id.0)]);
        junk.push(Event::sign(&bob.room.id(), Header::Message(header), two.payload(), &device).unwrap());
        let mut header = bob.room.control_header(10, &[], bob.now).unwrap();
        (header.device, header.seq, header.prev) = (id, 7, EventId(id.0));
        junk.push(Event::sign(&bob.room.id(), Header::Control(header), &[], &device).unwrap());
    }
    alice.receive(junk);
    let first = bob.room.invite(&many(Role::Member), bob.now, &mut bob.rng).unwrap().1;
    let second = bob.room.invite(&many(Role::Member), bob.now, &mut bob.rng).unwrap().1;
    // The later ones come first.
    for batch in [vec![two.clone()], second.events().cloned().collect()] {
        assert_eq!(alice.receive(batch).rejected, []);
    }
    alice.receive(vec![one]);
    alice.receive(first.events().cloned().collect());
    assert_eq!(alice.shown(), ["one", "two"]);
    assert!(second.events().all(|event| alice.room.seen(event)));
}

#[test]
fn epochs_that_nobody_made_are_not_remembered() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let written = bob.write("x").event;
    let header = written.message().unwrap().clone();
    for n in 0..50 {
        let header = Header::Message(crate::event::MessageHeader { epoch: EpochId([n; 16]), ..header.clone() });
        let event = Event::sign(&bob.room.id(), header, written.payload(), bob.room.me().signing_key()).unwrap();
        assert_eq!(alice.receive(vec![event]).rejected.len(), 1);
    }
    assert_eq!(alice.room.epochs_seen_from(&header.control), 0);
    assert_eq!(alice.receive(vec![written]).rejected, []);
    assert_eq!(alice.room.epochs_seen_from(&header.control), 1);
}

#[test]
fn a_former_member_makes_no_epoch_unsafe_whatever_devices_he_certifies_and_whomever_he_lets_in() {
    let mut alice = Person::founder(1, History::Full);
    let open = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &open, &mut alice);
    alice.removes(&bob).unwrap();
    alice.maintain();
    let epoch = alice.room.epoch_status().epoch;
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    for n in 0..12 {
        let phone = Identity::add_device(&root, "phone", 2 + n, START, &mut bob.rng).unwrap();
        let devices = vec![NewDevice::sign(phone.signing_key(), phone.entrant())];
        let update = Control::AccountUpdate(AccountUpdate { devices, revokes: Vec::new() });
        let outcome = bob.room.write_control(update, bob.now).unwrap();
        let mut events: Vec<Event> = outcome.events().cloned().collect();
        // A puppet, by an invite that anybody may sponsor.
        let admission = bob.admit(&identity(100 + n), &open).unwrap();
        events.extend(admission.outcome.events().cloned());
        events.extend(bob.events().pop());
        let received = alice.room.receive_unvouched(events, alice.now);
        alice.keep(received.outcome);
        assert_eq!(alice.room.epoch_status().epoch, epoch, "after {n}");
        alice.maintain();
    }
    let written = alice.write("undisturbed").event;
    assert_eq!(written.message().map(|header| header.epoch), epoch);
}

#[test]
fn nobody_uses_up_the_slices_of_an_epoch_by_naming_a_late_one() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let made = alice.room.epoch_status();
    let opened = made.slice;
    let written = |bob: &Person, slice: u32| {
        let mut header = bob.clone_with_all_secrets().write("x").event.message().unwrap().clone();
        (header.slice, header.generation) = (slice, 0);
        Event::sign(&bob.room.id(), Header::Message(header), &[0; 64], bob.room.me().signing_key()).unwrap()
    };
    for slice in [opened + SLICE_REACH + 1, crate::limits::MAX_SLICE] {
        assert_eq!(alice.receive(vec![written(&bob, slice)]).rejected.len(), 1, "{slice}");
    }
    let last = written(&bob, opened + SLICE_REACH);
    assert_eq!(alice.receive(vec![last.clone()]).rejected, []);
    bob.receive(vec![last]);
    // Newcomers come in behind it, each one slice further.
    for n in 0..3_u32 {
        alice.admit(&identity(100 + u64::from(n)), &link).unwrap();
        assert_eq!(alice.room.epoch_status().slice, opened + SLICE_REACH + 1 + n);
    }
    // A sponsor opens no later one either.
    bob.sync_from(&alice);
    let (at, _) = alice.room.dag.epoch(&made.epoch.unwrap()).unwrap();
    let epoch = EpochId::of(&alice.room.dag.node(at).event.id());
    let now = alice.room.epoch_status().slice;
    for (slice, rejected) in [(now + SLICE_REACH + 2, 1), (now + SLICE_REACH + 1, 0)] {
        let join = Person::request(&bob.room.id(), &identity(200), &link);
        let invite = bob.room.invite_by_key(&join.invite_pk).unwrap();
        let auth = bob.room.grant_id(bob.room.grant().unwrap());
        let admit = Admit { auth, invite, join, epoch, slice, slice_commit: [0; 32] };
        let control = Control::Admit(Box::new(admit));
        let header = bob.room.control_header(control.kind(), &[], bob.now).unwrap();
        let event =
            Event::sign(&bob.room.id(), Header::Control(header), &control.encode(), bob.room.me().signing_key());
        assert_eq!(alice.receive(vec![event.unwrap()]).rejected.len(), rejected, "{slice}");
    }
}

#[test]
fn of_an_account_the_first_devices_are_in_the_room_however_many_it_brings() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let phones: Vec<Identity> =
        (0..40).map(|n| Identity::add_device(&root, "phone", 2 + n, START, &mut bob.rng).unwrap()).collect();
    // A doctored node: what refuses here is not asked.
    let bring = |bob: &mut Person, phones: &[Identity]| {
        let mut devices: Vec<NewDevice> =
            phones.iter().map(|phone| NewDevice::sign(phone.signing_key(), phone.entrant())).collect();
        devices.sort_by_key(NewDevice::device);
        let update = AccountUpdate { devices, revokes: Vec::new() };
        let outcome = bob.room.write_control(Control::AccountUpdate(update), bob.now).unwrap();
        bob.keep(outcome);
    };
    phones.chunks(10).for_each(|some| bring(&mut bob, some));
    alice.sync_from(&bob);
    alice.maintain();
    let account = bob.room.me().account();
    let live = |room: &Room| room.member(&account).unwrap().devices.len();
    assert_eq!(live(&alice.room), MAX_DEVICES);
    let (_, rotate) = alice.room.dag.epoch(&alice.room.epoch_status().epoch.unwrap()).unwrap();
    assert_eq!(rotate.n_rows as usize, 1 + MAX_DEVICES);
    // More of them make no other epoch needed.
    let epoch = alice.room.epoch_status().epoch;
    let more: Vec<Identity> =
        (0..5).map(|n| Identity::add_device(&root, "pad", 90 + n, START, &mut bob.rng).unwrap()).collect();
    bob.sync_from(&alice);
    bring(&mut bob, &more);
    alice.sync_from(&bob);
    assert_eq!(alice.room.epoch_status().epoch, epoch);
    // One that goes makes room for the next.
    let first = phones[..10].iter().map(|phone| phone.device()).min().unwrap();
    let revoke = RevokeFence::revoke(
        &root.root_key(0),
        bob.room.me().account(),
        bob.room.id(),
        DeviceFence { device: first, control: None, message: None },
    );
    let update = AccountUpdate { devices: Vec::new(), revokes: vec![revoke.unwrap()] };
    let outcome = bob.room.update_account(update, bob.now).unwrap();
    bob.keep(outcome);
    alice.sync_from(&bob);
    assert_eq!(live(&alice.room), MAX_DEVICES);
    assert_eq!(alice.room.standing(&first), Standing::Removed);
    let devices = vec![NewDevice::sign(phones[0].signing_key(), phones[0].entrant())];
    let one_more = bob.room.update_account(AccountUpdate { devices, revokes: Vec::new() }, bob.now);
    assert_eq!(one_more.err(), Some(Refusal::Limit));
}
