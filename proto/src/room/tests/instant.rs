//! Instant invites: who has the link comes in while nobody is online, and nobody reads on who should not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parlor_crypto::invite::InviteSeed;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::attacks::remove;
use super::guests::reads;
use super::support::{Person, START, identity, new_invite, new_room};
use crate::control::{Control, History, Mailbox, Mailboxes, Permission, Role, Sponsor};
use crate::event::Event;
use crate::ids::{DeviceId, EventId};
use crate::join::DoorMail;
use crate::join::instant::{EnterError, Entering};
use crate::limits;
use crate::link::{Address, Caveats, Host, Link, Transport};
use crate::mailbox::{BoxKind, BoxName, Mail};
use crate::room::{Happened, InstantLimit, JoinRefusal, NewInvite, NewRoom, Refusal, Room};
use crate::wire::{Blob, Item, SeriesKind};

pub(super) const DAY: u64 = limits::DAY_MS;

/// The boxes of a relay.
#[derive(Default)]
pub(super) struct Relay {
    pub(super) door: Vec<Vec<u8>>,
    pub(super) boxes: BTreeMap<[u8; 32], Vec<Mail>>,
    put: BTreeSet<(DeviceId, EventId)>,
}

fn mail(event: &Event) -> Mail {
    let kind = if event.message().is_some() { SeriesKind::Message } else { SeriesKind::Control };
    Mail::Record(Item { kind, bytes: Blob(event.bytes().to_vec()) })
}

impl Relay {
    /// One whose boxes are empty, with the same at the door.
    pub(super) fn with_door_only(&self) -> Self {
        Self { door: self.door.clone(), ..Self::default() }
    }

    /// Takes from somebody what he wrote and has not put yet.
    pub(super) fn from(&mut self, person: &Person) {
        let me = person.room.me().device();
        for event in person.events().into_iter().filter(|event| event.device() == me) {
            if !self.put.insert((me, event.id())) {
                continue;
            }
            let carried = person.room.carried_with(&event);
            for keys in person.room.slices_of(&event).iter().filter_map(|slice| person.room.box_keys(slice)) {
                let held = self.boxes.entry(keys.sign.public_bytes()).or_default();
                held.extend(carried.iter().chain([&event]).map(mail));
            }
        }
    }

    /// Gives somebody what is in the boxes he reads.
    pub(super) fn to(&self, person: &mut Person) {
        for _ in 0..4 {
            for slice in person.room.slices_to_read() {
                let Some(keys) = person.room.box_keys(&slice) else { continue };
                let id = person.room.id();
                let held = self.boxes.get(&keys.sign.public_bytes()).into_iter().flatten();
                let events = held.filter_map(|mail| match mail {
                    Mail::Record(item) => Event::decode(&id, &item.bytes.0).ok(),
                    Mail::Page(_) => None,
                });
                person.receive(events.collect());
            }
        }
    }

    /// Comes in by the link alone.
    pub(super) fn enter(&self, seed: u64, link: &Link, now: u64) -> Result<Person, EnterError> {
        self.enter_as(identity(seed), seed, link, now)
    }

    fn enter_as(
        &self,
        me: Arc<crate::identity::Identity>,
        seed: u64,
        link: &Link,
        now: u64,
    ) -> Result<Person, EnterError> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut entering = Entering::new(link.clone());
        self.door.iter().for_each(|part| _ = entering.part(part, now, &mut rng));
        let request = Person::request(&link.room(), &me, link.seed());
        for _ in 0..=limits::MAX_GUESTS {
            self.read(&mut entering, now);
            match entering.enter(&request, me.clone(), now, &mut rng) {
                Err(EnterError::ReadOn) => {}
                Err(why) => return Err(why),
                Ok((room, outcome)) => {
                    let mut person = Person::with(room, rng);
                    person.now = now;
                    person.keep(outcome);
                    return Ok(person);
                }
            }
        }
        panic!("it reads on for ever");
    }

    pub(super) fn read(&self, entering: &mut Entering, now: u64) {
        let mut read = BTreeSet::new();
        loop {
            let new = entering.boxes().into_iter().map(|keys| keys.sign.public_bytes());
            let new: Vec<_> = new.filter(|name| read.insert(*name)).collect();
            if new.is_empty() {
                return;
            }
            new.iter().for_each(|name| entering.take(self.boxes.get(name).cloned().unwrap_or_default(), now));
        }
    }
}

pub(super) fn with_mailboxes(history: History) -> NewRoom {
    let address = Address { host: Host::Ip4([192, 0, 2, 7]), transport: Transport::Quic, port: 4001 };
    let mailboxes = Mailboxes::new(vec![Mailbox { peer: [3; 32], addresses: vec![address] }]).unwrap();
    NewRoom { mailboxes, ..new_room(history) }
}

pub(super) fn for_people(uses: u32) -> NewInvite {
    NewInvite { uses: Some(uses), expires_ms: Some(START + 20 * DAY), ..new_invite(Role::Member) }
}

/// Makes an instant invite, and leaves at the relay what belongs there.
pub(super) fn invite(maker: &mut Person, uses: u32, relay: &mut Relay) -> Link {
    let made = maker.room.invite_instant(&for_people(uses), maker.now, &mut maker.rng).unwrap();
    maker.keep(made.outcome);
    let me = maker.room.me().clone();
    let id = maker.room.id();
    relay.door.extend(made.package.seal(&id, &made.seed, me.signing_key(), &mut maker.rng));
    relay.from(maker);
    let caveats = Caveats {
        power: Role::Member.power(),
        perms: Role::Member.permissions(crate::control::RoomKind::Group),
        expires_ms: START + 20 * DAY,
        max_uses: uses,
        sponsor: Sponsor::Instant,
    };
    Link::issue(made.seed, id, caveats, me.signing_key(), [1; 32], &[])
}

pub(super) fn world(history: History, uses: u32) -> (Person, Relay, Link) {
    let mut alice = Person::founder_of(1, with_mailboxes(history));
    let mut relay = Relay::default();
    let link = invite(&mut alice, uses, &mut relay);
    (alice, relay, link)
}

pub(super) fn people(room: &Room) -> usize {
    assert_eq!(room.members().len(), room.n_members());
    room.n_members()
}

#[test]
fn who_has_the_link_reads_and_writes_with_nobody_online_and_whoever_wakes_finds_him() {
    let (mut alice, mut relay, link) = world(History::Full, 1);
    assert_eq!(people(&alice.room), 1, "guests are nobody");
    alice.write("one");
    alice.write("two");
    relay.from(&alice);

    let mut bob = relay.enter(2, &link, START + DAY).unwrap();
    assert!(bob.room.is_member());
    bob.maintain();
    relay.to(&mut bob);
    assert_eq!(bob.shown(), ["one", "two"]);
    bob.write("three");
    relay.from(&bob);

    alice.now = START + 2 * DAY;
    relay.to(&mut alice);
    assert_eq!(alice.shown(), ["one", "two", "three"]);
    assert_eq!((people(&alice.room), people(&bob.room)), (2, 2));
    let info = alice.room.invite_by_key(&link.keys().sign.public_bytes()).unwrap();
    let info = alice.room.invite_info(&info).unwrap();
    assert!(info.instant);
    assert_eq!((info.used, info.max_uses), (1, Some(1)));
    let member = alice.room.member(&bob.room.me().account()).unwrap();
    assert_eq!(member.invite, Some(info.id));
    alice.sync(&mut bob);
    assert_eq!(alice.room.state_hash(), bob.room.state_hash());
    let log = alice.room.log();
    let joined = log.iter().filter(|line| matches!(line.what, Happened::Joined { .. })).count();
    assert_eq!(joined, 1, "guests come and go unseen: {log:?}");
    assert!(log.iter().any(|line| line.what == Happened::Instant(info.id)));
    alice.restart();
    assert_eq!(people(&alice.room), 2);
}

#[test]
fn who_comes_by_an_instant_invite_while_a_member_is_online_needs_no_guest() {
    let (mut alice, _, link) = world(History::Full, 2);
    let mut bob = Person::join(2, link.seed(), &mut alice);
    assert_eq!(people(&alice.room), 2, "whom the maker himself lets in is a person");
    bob.write("here");
    alice.sync(&mut bob);
    assert_eq!(alice.shown(), ["here"]);
}

#[test]
fn as_many_people_come_as_there_are_uses_one_after_the_other() {
    let (mut alice, mut relay, link) = world(History::Full, 3);
    let mut all = Vec::new();
    for n in 2..5 {
        let mut person = relay.enter(n, &link, START + n * 3_600_000).unwrap();
        person.maintain();
        person.write(&format!("{n}"));
        relay.from(&person);
        all.push(person);
    }
    let late = relay.enter(9, &link, START + DAY).err();
    assert!(matches!(late, Some(EnterError::NoGuest | EnterError::Refused(JoinRefusal::UsesExhausted))), "{late:?}");
    alice.now = START + DAY;
    relay.to(&mut alice);
    assert_eq!(alice.shown(), ["2", "3", "4"]);
    assert_eq!(people(&alice.room), 4);
    for person in &mut all {
        alice.sync(person);
        assert_eq!(people(&person.room), 4);
    }
}

#[test]
fn of_two_who_come_at_once_by_the_last_use_one_stays_and_all_agree_which() {
    let (mut alice, relay, link) = world(History::Full, 1);
    let mut bob = relay.enter(2, &link, START + 1_000).unwrap();
    let mut carol = relay.enter(3, &link, START + 1_000).unwrap();
    bob.maintain();
    carol.maintain();
    alice.now = START + 2_000;
    alice.sync_from(&bob);
    alice.sync_from(&carol);
    // The maker holds both branches of the guest's log, and says which one counts.
    alice.room.caught_up();
    alice.now += 2 * limits::GUEST_GRACE_MS;
    alice.look();
    alice.now += 2 * limits::GUEST_GRACE_MS;
    alice.look();
    alice.maintain();
    assert_eq!(people(&alice.room), 2);
    bob.sync_from(&alice);
    carol.sync_from(&alice);
    assert_eq!(bob.room.is_member(), !carol.room.is_member());
    assert_eq!(bob.room.state_hash(), carol.room.state_hash());
}

#[test]
fn in_a_room_without_history_who_comes_in_reads_what_is_written_from_then_on() {
    let (mut alice, mut relay, link) = world(History::None, 1);
    let before = alice.write("before");
    relay.from(&alice);
    let mut bob = relay.enter(2, &link, START + DAY).unwrap();
    bob.maintain();
    relay.to(&mut bob);
    assert!(bob.shown().is_empty() && !reads(&mut bob, &before));
    bob.write("hello");
    relay.from(&bob);
    alice.now = START + DAY + 1_000;
    relay.to(&mut alice);
    assert_eq!(alice.shown(), ["before", "hello"]);
    alice.write("welcome");
    // What follows what he may not read comes by sync: no box that he has a key of holds the beginning of her log.
    bob.sync_from(&alice);
    assert_eq!(bob.shown(), ["hello", "welcome"]);
}

#[test]
fn the_way_leads_from_box_to_box_through_removals_and_new_keys() {
    let (mut alice, mut relay, link) = world(History::Full, 1);
    let other = alice.invite(&new_invite(Role::Member));
    let mut carol = Person::join(3, &other, &mut alice);
    relay.from(&alice);
    for n in 0..3 {
        alice.now += 4_000_000;
        alice.write(&format!("alice {n}"));
        let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
        alice.keep(outcome);
        relay.from(&alice);
    }
    carol.sync_from(&alice);
    remove(&mut alice, &carol);
    alice.write("last");
    relay.from(&alice);
    let mut bob = relay.enter(2, &link, alice.now + 1_000).unwrap();
    bob.maintain();
    relay.to(&mut bob);
    assert_eq!(bob.shown(), ["alice 0", "alice 1", "alice 2", "last"]);
    assert_eq!(people(&bob.room), 2);
}

#[test]
fn junk_at_the_door_is_skipped_and_costs_no_memory() {
    let (alice, relay, link) = world(History::Full, 1);
    let rng = &mut StdRng::seed_from_u64(5);
    let key = link.seed().instant().seal;
    let mallory = identity(66);
    let package = crate::join::instant::Package { welcomes: Vec::new(), control: vec![Blob(vec![7; 300_000])] };
    let forged = package.seal(&link.room(), link.seed(), mallory.signing_key(), rng);
    let mut door: Vec<Vec<u8>> = forged;
    door.extend((0..64).map(|n| key.seal(rng, link.room().as_bytes(), &vec![n; 1 << (n % 16)])));
    door.extend((0..64).map(|n| vec![n; 60_000]));
    let mut entering = Entering::new(link.clone());
    assert!(door.iter().all(|part| !entering.part(part, START, rng)));
    assert_eq!(entering.held(), 0, "nothing of it is kept");
    let me = identity(2);
    let request = Person::request(&link.room(), &me, link.seed());
    assert_eq!(entering.enter(&request, me, START, rng).err(), Some(EnterError::NoPackage));
    door.extend(relay.door.iter().cloned());
    let relay = Relay { door, boxes: relay.boxes, put: relay.put };
    assert!(relay.enter(2, &link, START + 5).unwrap().room.is_member());
    drop(alice);
}

#[test]
fn a_relay_sees_nothing_of_the_room_in_what_is_left_at_the_door() {
    let (alice, relay, link) = world(History::Full, 2);
    let doors = alice.room.open_doors(START);
    let keys = parlor_crypto::mailbox::BoxKeys::of_door(&doors[0]);
    let name = BoxName { kind: BoxKind::Door, key: keys.sign.public_bytes() };
    let rng = &mut StdRng::seed_from_u64(9);
    let secrets: Vec<Vec<u8>> = alice
        .room
        .control_events()
        .map(|event| event.id().0[..16].to_vec())
        .chain([link.room().0[..16].to_vec(), alice.room.me().device().0[..16].to_vec(), b"kitchen".to_vec()])
        .collect();
    assert!(!relay.door.is_empty());
    for part in &relay.door {
        let content = DoorMail::Part(Blob(part.clone())).encode();
        let blob = crate::mailbox::seal_blob(rng, &name, &keys.seal, &content).unwrap();
        assert!(crate::mailbox::blob::is_class(blob.len()), "padded to a class");
        for bytes in [&blob, part] {
            assert!(secrets.iter().all(|secret| !bytes.windows(secret.len()).any(|window| window == secret)));
        }
        let without_link = InviteSeed::generate(rng).instant().seal;
        assert!(without_link.open(link.room().as_bytes(), part).is_err(), "the door's key alone opens none of it");
    }
}

#[test]
fn of_what_is_in_the_boxes_only_so_much_is_held() {
    let (_, relay, link) = world(History::Full, 1);
    let rng = &mut StdRng::seed_from_u64(5);
    let mut entering = Entering::new(link);
    assert!(relay.door.iter().any(|part| entering.part(part, START, rng)));
    let junk = |n: u8| Mail::Record(Item { kind: SeriesKind::Control, bytes: Blob(vec![n; 60_000]) });
    for n in 0..=255 {
        entering.take(vec![junk(n), junk(n)], START);
    }
    assert!(entering.held() <= limits::MAX_ENTERING);
}

#[test]
fn what_can_not_be_instant_is_refused_before_anything_is_written() {
    let mut alice = Person::founder_of(1, with_mailboxes(History::Full));
    let refused = |who: &mut Person, new: &NewInvite| {
        let n = who.room.n_control();
        let why = who.room.invite_instant(new, who.now, &mut who.rng).unwrap_err();
        assert_eq!(who.room.n_control(), n);
        why
    };
    let fair = for_people(1);
    for (wrong, why) in [
        (NewInvite { uses: None, ..fair.clone() }, InstantLimit::Uses(8)),
        (NewInvite { uses: Some(9), ..fair.clone() }, InstantLimit::Uses(8)),
        (NewInvite { expires_ms: None, ..fair.clone() }, InstantLimit::Lasts(30 * DAY)),
        (NewInvite { expires_ms: Some(START + 31 * DAY), ..fair.clone() }, InstantLimit::Lasts(30 * DAY)),
        (NewInvite { approval: true, ..fair.clone() }, InstantLimit::NotPlain),
        (NewInvite { role: Role::Admin, ..fair.clone() }, InstantLimit::NotPlain),
        (NewInvite { delegate: Some(1), ..fair.clone() }, InstantLimit::NotPlain),
        (NewInvite { sponsor: Sponsor::Admin, ..fair.clone() }, InstantLimit::NotPlain),
    ] {
        assert_eq!(refused(&mut alice, &wrong), Refusal::Instant(why));
    }
    let mut bare = Person::founder(1, History::Full);
    assert_eq!(refused(&mut bare, &fair), Refusal::Instant(InstantLimit::NoMailboxes));
    let channel = NewRoom { kind: crate::control::RoomKind::Channel, ..with_mailboxes(History::Full) };
    let mut channel = Person::founder_of(1, channel);
    assert_eq!(refused(&mut channel, &fair), Refusal::Instant(InstantLimit::NoPost));
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    assert_eq!(refused(&mut bob, &fair), Refusal::NotPermitted(Permission::Invite));
    while alice.room.control_events().map(|event| event.bytes().len()).sum::<usize>() < limits::MAX_PACKAGE {
        let about = vec![b'a'; limits::MAX_SETTING];
        let outcome = alice.room.set_state(vec![(crate::control::Setting::About, about)], alice.now).unwrap();
        alice.keep(outcome);
    }
    assert_eq!(refused(&mut alice, &fair), Refusal::Instant(InstantLimit::TooLarge));
}

#[test]
fn guests_are_the_same_for_everybody_with_the_link_and_differ_from_link_to_link() {
    let rng = &mut StdRng::seed_from_u64(1);
    let (one, other) = (InviteSeed::generate(rng), InviteSeed::generate(rng));
    let guest = |seed: &InviteSeed, n| crate::identity::Identity::guest(seed.guest(n)).unwrap().entrant();
    assert_eq!(guest(&one, 0), guest(&one, 0));
    assert!(guest(&one, 0).verify().is_ok());
    let all: BTreeSet<_> = [guest(&one, 0), guest(&one, 1), guest(&other, 0)].iter().map(|it| it.device()).collect();
    assert_eq!(all.len(), 3);
}

#[test]
fn a_room_with_guests_makes_epochs_for_them_until_they_are_out() {
    let (mut alice, ..) = world(History::Full, 3);
    alice.now += 2 * DAY;
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    let rows = outcome.events().find_map(|event| match Control::decode(event.control()?.kind, event.payload()) {
        Ok(Control::Rotate(rotate)) => Some(rotate.n_rows),
        _ => None,
    });
    assert_eq!(rows, Some(4));
}
