//! Members who use what the rules leave open: papers of others, races of removals, floods.

use parlor_crypto::account::DeviceCert;
use parlor_crypto::label::SIGN_DEVICE_WORD;
use parlor_crypto::secret::Secret;
use parlor_crypto::{PublicKey, SigningKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::keys::many;
use super::support::{Person, START, identity};
use crate::control::{AccountUpdate, Control, History, NewDevice, Role, Target};
use crate::event::{Event, Header};
use crate::identity::Identity;
use crate::ids::{DeviceId, EpochId, EventId};
use crate::room::{Accepted, Outcome, Refusal, Removal, Standing};

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
    for seed in 100..200 {
        let me = identity(seed);
        let papers = NewDevice::sign(me.signing_key(), me.entrant());
        let control = Control::AccountUpdate(AccountUpdate { devices: vec![papers], revokes: Vec::new() });
        let mut header = alice.room.control_header(control.kind(), &[], alice.now).unwrap();
        (header.device, header.seq, header.prev) = (me.device(), 1, EventId::ZERO);
        header.parents = alice.room.control_frontier();
        let event = Event::sign(&alice.room.id(), Header::Control(header), &control.encode(), me.signing_key());
        alice.room.receive_unvouched(vec![event.unwrap()], alice.now);
    }
    assert!(alice.room.counted_former() <= 1, "{}", alice.room.counted_former());
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
