//! Instant invites: who has the link comes in while nobody is online, and nobody reads on who should not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parlor_crypto::invite::InviteSeed;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::attacks::remove;
use super::rules::{auth, forge, why};
use super::support::{Person, START, identity, new_invite, new_room};
use crate::control::{
    Admit, Control, History, Invite, JoinRequest, Mailbox, Mailboxes, Permission, Role, Sponsor, Target,
};
use crate::event::Event;
use crate::identity::Identity;
use crate::ids::{DeviceId, EventId};
use crate::join::DoorMail;
use crate::join::instant::{EnterError, Entering};
use crate::limits;
use crate::link::{Address, Caveats, Host, Link, Transport};
use crate::mailbox::{BoxKind, BoxName, Mail};
use crate::room::{
    Change, Happened, InstantLimit, JoinRefusal, Message, NewInvite, NewRoom, Outcome, Refusal, Removal, Room, Standing,
};
use crate::validity::Invalid;
use crate::wire::{Blob, Item, SeriesKind};

const DAY: u64 = limits::DAY_MS;

/// The boxes of a relay.
#[derive(Default)]
struct Relay {
    door: Vec<Vec<u8>>,
    boxes: BTreeMap<[u8; 32], Vec<Mail>>,
    put: BTreeSet<(DeviceId, EventId)>,
}

fn mail(event: &Event) -> Mail {
    let kind = if event.message().is_some() { SeriesKind::Message } else { SeriesKind::Control };
    Mail::Record(Item { kind, bytes: Blob(event.bytes().to_vec()) })
}

impl Relay {
    /// Takes from somebody what he wrote and has not put yet.
    fn from(&mut self, person: &Person) {
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
    fn to(&self, person: &mut Person) {
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
    fn enter(&self, seed: u64, link: &Link, now: u64) -> Result<Person, EnterError> {
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

    fn read(&self, entering: &mut Entering, now: u64) {
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

fn with_mailboxes(history: History) -> NewRoom {
    let address = Address { host: Host::Ip4([192, 0, 2, 7]), transport: Transport::Quic, port: 4001 };
    let mailboxes = Mailboxes::new(vec![Mailbox { peer: [3; 32], addresses: vec![address] }]).unwrap();
    NewRoom { mailboxes, ..new_room(history) }
}

fn for_people(uses: u32) -> NewInvite {
    NewInvite { uses: Some(uses), expires_ms: Some(START + 20 * DAY), ..new_invite(Role::Member) }
}

/// Makes an instant invite, and leaves at the relay what belongs there.
fn invite(maker: &mut Person, uses: u32, relay: &mut Relay) -> Link {
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

fn world(history: History, uses: u32) -> (Person, Relay, Link) {
    let mut alice = Person::founder_of(1, with_mailboxes(history));
    let mut relay = Relay::default();
    let link = invite(&mut alice, uses, &mut relay);
    (alice, relay, link)
}

fn people(room: &Room) -> usize {
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
fn nobody_is_hidden_by_an_invite_that_only_looks_like_one_for_guests() {
    assert_eq!(seen_with_a_spy(|_, _| ()), (2, 1), "this one is in order: a guest, and counted as one");
    let as_a_person = (3, 0);
    assert_eq!(seen_with_a_spy(|_, guests| guests.expires_ms += 1), as_a_person);
    assert_eq!(seen_with_a_spy(|people, guests| (people.max_uses, guests.max_uses) = (9, 9)), as_a_person);
    assert_eq!(seen_with_a_spy(|people, guests| (people.max_uses, guests.max_uses) = (1, 2)), as_a_person);
    assert_eq!(seen_with_a_spy(|_, guests| guests.door = [7; 32]), as_a_person);
    assert_eq!(seen_with_a_spy(|people, _| people.approval = true), as_a_person);
    let for_ever = START + 31 * DAY;
    assert_eq!(
        seen_with_a_spy(|people, guests| (people.expires_ms, guests.expires_ms) = (for_ever, for_ever)),
        as_a_person
    );
}

/// How many members and how many guests Alice sees, after an admin has written an invite for people and one for guests, changed
/// in this way, and let in somebody by the second.
fn seen_with_a_spy(change: impl Fn(&mut Invite, &mut Invite)) -> (usize, usize) {
    let mut alice = Person::founder_of(1, with_mailboxes(History::Full));
    let admin = alice.invite(&new_invite(Role::Admin));
    let mut mallory = Person::join(2, &admin, &mut alice);
    let fair = mallory.invite(&for_people(1));
    let at = mallory.room.invites_with_key(&fair.keys().sign.public_bytes()).next().unwrap();
    let mut others = mallory.room.invite_at(at).unwrap().clone();
    let mut guests = Invite { sponsor: Sponsor::Instant, max_depth: 0, ..others.clone() };
    let seed = InviteSeed::generate(&mut mallory.rng);
    others.invite_pk = [9; 32];
    guests.invite_pk = seed.keys().sign.public_bytes();
    change(&mut others, &mut guests);
    for invite in [others, guests] {
        let outcome = mallory.room.write_control(Control::Invite(invite), START + 1).unwrap();
        mallory.keep(outcome);
    }
    Person::join(3, &seed, &mut mallory);
    alice.sync(&mut mallory);
    assert_eq!(people(&alice.room), people(&mallory.room));
    (people(&alice.room), alice.room.n_guests())
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
fn a_leaked_link_reads_nothing_that_is_written_after_the_invite_was_revoked() {
    let (mut alice, mut relay, link) = world(History::Full, 2);
    let open = alice.write("before");
    let id = alice.room.invite_by_key(&link.keys().sign.public_bytes()).unwrap();
    let outcome = alice.room.revoke(&id, alice.now, &mut alice.rng).unwrap();
    assert!(outcome.changes.contains(&Change::Epoch), "the keys change in the same batch");
    alice.keep(outcome);
    let secret = alice.write("after");
    relay.from(&alice);
    assert!(alice.room.invite_info(&id).unwrap().revoked);
    assert!(relay.enter(2, &link, START + 1).is_err());
    let spies = as_guests(&relay, &link);
    assert!(!spies.is_empty());
    for mut spy in spies {
        assert!(reads(&mut spy, &open), "that is what the link was for");
        assert!(!reads(&mut spy, &secret));
    }
}

fn reads(who: &mut Person, message: &Message) -> bool {
    who.room.open_later(&message.event).is_some_and(|opened| opened.body.is_some())
}

/// The guests of a link with all that the relay gives them.
fn as_guests(relay: &Relay, link: &Link) -> Vec<Person> {
    let mut spies = Vec::new();
    for seed in 0..8 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut entering = Entering::new(link.clone());
        relay.door.iter().for_each(|part| _ = entering.part(part, START, &mut rng));
        relay.read(&mut entering, START);
        if let Some(room) = entering.into_room() {
            let mut spy = Person::with(room, rng);
            spy.keep(Outcome::default());
            for held in relay.boxes.values() {
                let id = spy.room.id();
                let events = held.iter().filter_map(|mail| match mail {
                    Mail::Record(item) => Event::decode(&id, &item.bytes.0).ok(),
                    Mail::Page(_) => None,
                });
                spy.receive(events.collect());
            }
            spies.push(spy);
        }
    }
    spies
}

#[test]
fn a_removed_maker_who_kept_the_link_reads_nothing_written_after_his_removal() {
    let mut alice = Person::founder_of(1, with_mailboxes(History::Full));
    let admin = alice.invite(&new_invite(Role::Admin));
    let mut mallory = Person::join(2, &admin, &mut alice);
    let mut relay = Relay::default();
    mallory.now = START + 10;
    let link = invite(&mut mallory, 3, &mut relay);
    alice.sync_from(&mallory);
    remove(&mut alice, &mallory);
    let secret = alice.write("without him");
    relay.from(&alice);
    let mut spies = as_guests(&relay, &link);
    assert!(!spies.is_empty());
    assert!(spies.iter_mut().all(|spy| !reads(spy, &secret)));
    // Whom a guest lets in without having heard of the removal does not come in either.
    let stale = Relay { door: relay.door.clone(), ..Relay::default() };
    let puppet = stale.enter(5, &link, START + 20).unwrap();
    alice.sync_from(&puppet);
    assert_eq!(alice.room.standing(&puppet.room.me().device()), Standing::Removed);
    assert_eq!(people(&alice.room), 1);
}

#[test]
fn whoever_removes_all_who_came_by_an_instant_invite_removes_its_guests_too() {
    let (mut alice, mut relay, link) = world(History::Full, 2);
    let mut bob = relay.enter(2, &link, START + 10).unwrap();
    bob.maintain();
    relay.from(&bob);
    relay.to(&mut alice);
    let id = alice.room.invite_by_key(&link.keys().sign.public_bytes()).unwrap();
    let removal = Removal { target: Target::Invite(id), ban: false, cascade: false, purge: false };
    alice.now += 20;
    let outcome = alice.room.remove(&[removal], alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    let secret = alice.write("alone");
    relay.from(&alice);
    assert!(as_guests(&relay, &link).iter_mut().all(|spy| !reads(spy, &secret)));
    bob.sync_from(&alice);
    assert!(!reads(&mut bob, &secret));
}

#[test]
fn who_came_by_the_link_and_is_removed_does_not_read_on_as_another_guest() {
    for goes_by_himself in [false, true] {
        let (mut alice, mut relay, link) = world(History::Full, 3);
        let mut bob = relay.enter(2, &link, START + 10).unwrap();
        relay.from(&bob);
        alice.now = START + 20;
        relay.to(&mut alice);
        if goes_by_himself {
            let left = bob.room.leave(START + 30).unwrap();
            bob.keep(left);
            alice.sync_from(&bob);
            alice.now += 1_000;
            alice.look();
            alice.now += limits::ELECTION_MAX_MS;
            alice.look();
        } else {
            remove(&mut alice, &bob);
        }
        alice.maintain();
        assert_eq!((people(&alice.room), alice.room.n_guests()), (1, 0));
        let secret = alice.write("without him");
        relay.from(&alice);
        let mut spies = as_guests(&relay, &link);
        assert!(!spies.is_empty());
        assert!(spies.iter_mut().all(|spy| !reads(spy, &secret)));
    }
}

#[test]
fn a_guest_that_was_put_out_is_let_in_again_by_nobody_but_its_maker() {
    let (mut alice, mut relay, link) = world(History::Full, 2);
    let mut bob = relay.enter(2, &link, START + 10).unwrap();
    relay.from(&bob);
    relay.to(&mut alice);
    let instant = alice.room.dag.kinds().instant.keys().next().copied().unwrap();
    let invite = alice.room.dag.node(instant).event.id();
    let guest = Identity::guest(link.seed().guest(0)).unwrap();
    let key = link.seed().instant().guests;
    let join = JoinRequest::sign(&link.room(), &key, guest.signing_key(), guest.entrant(), [7; 16]);
    let epoch = bob.room.epoch_status().epoch.unwrap();
    let admit = Admit { auth: auth(&bob), invite, join, epoch, slice: 0, slice_commit: [0; 32] };
    bob.now = START + 20;
    let event = forge(&bob, &Control::Admit(Box::new(admit)), |_| ());
    assert_eq!(why(&mut alice, event), Some(Invalid::Permission));
}

#[test]
fn whom_the_maker_has_seen_stays_however_many_puppets_the_other_guests_let_in() {
    let (mut alice, mut relay, link) = world(History::Full, 3);
    let package = Relay { door: relay.door.clone(), ..Relay::default() };
    let mut bob = relay.enter(2, &link, START + 10).unwrap();
    let hello = bob.write("hello");
    relay.from(&bob);
    alice.now = START + 20;
    relay.to(&mut alice);
    alice.look();
    assert_eq!(alice.room.log().iter().filter(|line| matches!(line.what, Happened::Joined { .. })).count(), 1);
    // Each of the guests lets in as many puppets as there are uses, by branches of its log that nobody has seen.
    for (n, mut spy) in as_guests(&package, &link).into_iter().enumerate() {
        for puppet in 0..3 {
            let me = identity(100 + 10 * n as u64 + puppet);
            drop(spy.admit(&me, link.seed()));
        }
        alice.sync_from(&spy);
    }
    alice.maintain();
    let account = bob.room.me().account();
    let member = alice.room.member(&account).unwrap();
    assert_eq!((member.sponsor, member.joined_at_ms), (Some(alice.room.me().account()), START + 10));
    assert!(alice.room.info().is_some() && alice.shown().contains(&"hello".to_owned()), "{hello:?}");
    bob.sync_from(&alice);
    assert!(bob.room.is_member());
}

#[test]
fn who_came_in_can_write_at_once_and_whoever_makes_keys_first_nobody_is_cut_off() {
    let (mut alice, mut relay, link) = world(History::Full, 1);
    let other = alice.invite(&new_invite(Role::Member));
    let mut carol = Person::join(3, &other, &mut alice);
    relay.from(&alice);
    let mut bob = relay.enter(2, &link, START + 10).unwrap();
    // Carol hears of it by a connection, and makes keys in her own way.
    carol.now = START + 20;
    carol.sync_from(&bob);
    carol.maintain();
    relay.from(&carol);
    bob.write("in");
    relay.from(&bob);
    alice.now = START + 30;
    relay.to(&mut alice);
    assert_eq!(alice.shown(), ["in"], "by the boxes alone");
}

#[test]
fn a_maker_who_leaves_takes_his_guests_with_him() {
    let mut alice = Person::founder_of(1, with_mailboxes(History::Full));
    let admin = alice.invite(&new_invite(Role::Admin));
    let mut bob = Person::join(2, &admin, &mut alice);
    let mut relay = Relay::default();
    bob.now = START + 10;
    let link = invite(&mut bob, 1, &mut relay);
    let left = bob.room.leave(bob.now).unwrap();
    bob.keep(left);
    alice.sync_from(&bob);
    alice.maintain();
    let secret = alice.write("alone");
    relay.from(&alice);
    assert!(as_guests(&relay, &link).iter_mut().all(|spy| !reads(spy, &secret)));
}

#[test]
fn an_invite_that_ends_puts_its_guests_out_by_the_maker_and_if_he_is_away_by_others_an_hour_later() {
    for maker_is_there in [true, false] {
        let mut alice = Person::founder_of(1, with_mailboxes(History::Full));
        let moderator = alice.invite(&new_invite(Role::Moderator));
        let mut bob = Person::join(2, &moderator, &mut alice);
        let mut relay = Relay::default();
        bob.now = START + 10;
        let link = invite(&mut bob, 2, &mut relay);
        alice.sync_from(&bob);
        let (who, wait_ms) =
            if maker_is_there { (&mut bob, limits::GUEST_GRACE_MS) } else { (&mut alice, limits::GUEST_OTHERS_MS) };
        let end = START + 20 * DAY;
        who.now = end;
        let (_, next) = who.room.maintain(end, &mut who.rng);
        assert_eq!(next, Some(end + 1), "it is looked at again when the invite ends");
        who.now = end + 1;
        who.look();
        who.now = end + wait_ms;
        who.look();
        assert_eq!(who.room.n_guests(), 2, "not at once: who came in may be heard of late");
        who.now = end + wait_ms + limits::ELECTION_MAX_MS + 2;
        who.look();
        assert_eq!(who.room.n_guests(), 0);
        who.now += 1;
        let secret = who.write("later");
        relay.from(who);
        assert!(as_guests(&relay, &link).iter_mut().all(|spy| !reads(spy, &secret)));
    }
}

#[test]
fn what_a_guest_did_can_not_be_unsaid_once_the_maker_has_seen_it() {
    let (mut alice, mut relay, link) = world(History::Full, 2);
    let package = Relay { door: relay.door.clone(), ..Relay::default() };
    let mut bob = relay.enter(2, &link, START + 10).unwrap();
    bob.maintain();
    relay.from(&bob);
    relay.to(&mut alice);
    alice.now = START + 1_000;
    alice.look();
    alice.now += 2 * limits::GUEST_GRACE_MS;
    alice.look();
    alice.maintain();
    assert!(people(&alice.room) == 2 && alice.room.n_guests() == 1);
    // Whoever has the link is each of the guests again, and only leaves, by second branches of their logs.
    for mut spy in as_guests(&package, &link) {
        let left = spy.room.leave(START + 20).unwrap();
        spy.keep(left);
        alice.sync_from(&spy);
    }
    assert_eq!(people(&alice.room), 2, "bob is in");
    alice.maintain();
    alice.write("to bob");
    bob.sync_from(&alice);
    assert_eq!(bob.shown(), ["to bob"]);
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
