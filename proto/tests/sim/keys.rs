//! Random histories of who comes, goes and writes, with a tracker of who can derive which key.
//!
//! C7: what is written knowing of a removal is closed to the removed, for ever and whatever they kept. C8: what was written
//! before is open to them, from any member. C9: without history nothing from before an admission is derived. C10: who holds
//! the same chooses the same epoch. C19: nobody outside ever held a key of an epoch that is safe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parlor_crypto::invite::InviteSeed;
use parlor_proto::body::Body;
use parlor_proto::control::{Control, History, JoinRequest, Role, Target};
use parlor_proto::epoch::Welcome;
use parlor_proto::event::Event;
use parlor_proto::identity::Identity;
use parlor_proto::room::{KeyError, KeyRows, KeyShare, NewInvite, NewRoom, Outcome, Removal, Room, StoredKeys};
use parlor_proto::{AccountId, DeviceId, EpochId, EventId};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

use crate::keys_tracker::Tracker;

pub(crate) const START: u64 = 1_700_000_000_000;
const PEOPLE: u64 = 7;
const STEPS: usize = 90;

pub(crate) struct Person {
    pub(crate) me: Arc<Identity>,
    pub(crate) room: Option<Room>,
    pub(crate) events: Vec<Event>,
    pub(crate) ids: BTreeSet<EventId>,
    /// What is on its disk of keys.
    pub(crate) rows: StoredKeys,
}

/// A message with what its author knew.
pub(crate) struct Written {
    pub(crate) event: Event,
    members: BTreeSet<AccountId>,
    /// Devices that were keyed for its epoch by its Rotate, or let into it.
    known: BTreeSet<AccountId>,
}

/// A key of an epoch that a member gave to somebody who was one as far as he knew.
struct Share {
    to: AccountId,
    epoch: EpochId,
    knew: BTreeSet<EventId>,
}

/// What was sealed to one device and sent to it, beside rows.
pub(crate) enum Sealed {
    Welcome {
        invite: [u8; 32],
        bytes: Vec<u8>,
    },
    /// And of the leaf key of which number the giver knew.
    Share(KeyShare, u64),
}

pub(crate) struct World {
    shares: Vec<Share>,
    pub(crate) rng: StdRng,
    pub(crate) now: u64,
    history: History,
    pub(crate) people: Vec<Person>,
    tracker: Tracker,
    links: Vec<InviteSeed>,
    pub(crate) written: Vec<Written>,
    /// Everything that was sealed to somebody beside rows: when, to whom, what.
    pub(crate) wire: Vec<(u64, DeviceId, Sealed)>,
}

impl World {
    pub(crate) fn new(seed: u64, history: History) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut people: Vec<Person> = (0..PEOPLE)
            .map(|_| {
                let (_, me) = Identity::create("laptop", START, &mut rng).unwrap();
                Person {
                    me: Arc::new(me),
                    room: None,
                    events: Vec::new(),
                    ids: BTreeSet::new(),
                    rows: StoredKeys::new(),
                }
            })
            .collect();
        let new = NewRoom::group("keys", history);
        let (room, outcome) = Room::create(people[0].me.clone(), new, START, &mut rng).unwrap();
        let mut tracker = Tracker::new(room.id());
        people.iter().for_each(|person| tracker.is(&person.me));
        people[0].room = Some(room);
        let (shares, links, written, wire) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut world = Self { shares, rng, now: START, history, people, tracker, links, written, wire };
        world.keep(0, outcome);
        world
    }

    fn keep(&mut self, who: usize, outcome: Outcome) {
        let device = self.people[who].me.device();
        self.tracker.stored(device, &outcome.persist.keys);
        for (name, row) in &outcome.persist.keys {
            match row {
                Some(row) => self.people[who].rows.insert(name.clone(), row.clone()),
                None => self.people[who].rows.remove(name),
            };
        }
        for event in outcome.events() {
            self.tracker.saw(device, event);
            if self.people[who].ids.insert(event.id()) {
                self.people[who].events.push(event.clone());
            }
        }
    }

    /// Does something in the room of somebody, if he has one and may.
    pub(crate) fn act<E>(
        &mut self,
        who: usize,
        act: impl FnOnce(&mut Room, u64, &mut StdRng) -> Result<Outcome, E>,
    ) -> bool {
        let Some(room) = self.people[who].room.as_mut() else { return false };
        let Ok(outcome) = act(room, self.now, &mut self.rng) else { return false };
        self.keep(who, outcome);
        true
    }

    fn step(&mut self) {
        self.now += self.rng.random_range(1..20_000);
        let inside: Vec<usize> = (0..self.people.len()).filter(|who| self.people[*who].room.is_some()).collect();
        let who = inside[self.rng.random_range(0..inside.len())];
        let other = self.rng.random_range(0..self.people.len());
        match self.rng.random_range(0..20) {
            0..=6 => self.write(who),
            7..=9 => self.sync(who, other),
            10 => self.invite(who),
            11..=12 => self.join(other, who),
            13 => drop(self.remove(who, other)),
            14 if self.rng.random_bool(0.2) => drop(self.act(who, |room, now, _| room.leave(now))),
            15 => {
                let account = self.people[other].me.account();
                self.act(who, |room, now, _| room.grant_role(&account, Role::Admin, now));
            }
            16 => drop(self.act(who, |room, now, rng| room.rotate(now, rng))),
            17 => self.renew(who),
            _ => self.maintain(who),
        }
    }

    pub(crate) fn write(&mut self, who: usize) {
        let Some(room) = self.people[who].room.as_mut() else { return };
        let body = Body::text(format!("message {}", self.written.len()));
        let Ok(written) = room.write(&body, self.now, &mut self.rng) else { return };
        let members: BTreeSet<_> = room.members().iter().map(|member| member.account).collect();
        let event = written.message.event.clone();
        let known = accounts(room);
        self.written.push(Written { event: event.clone(), members, known });
        self.people[who].ids.insert(event.id());
        self.people[who].events.push(event);
    }

    pub(crate) fn invite(&mut self, who: usize) {
        let uses = Some(self.rng.random_range(1..3));
        let invite = NewInvite { uses, ..NewInvite::of(Role::Member) };
        let mut link = None;
        self.act(who, |room, now, rng| {
            room.invite(&invite, now, rng).map(|(seed, outcome)| {
                link = Some(seed);
                outcome
            })
        });
        self.links.extend(link);
    }

    pub(crate) fn join(&mut self, who: usize, sponsor: usize) {
        if who == sponsor || self.links.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.links.len());
        let keys = self.links[at].keys();
        let me = self.people[who].me.clone();
        let Some(id) = self.people[sponsor].room.as_ref().map(Room::id) else { return };
        let nonce = self.rng.random();
        let request = JoinRequest::sign(&id, &keys.sign, me.signing_key(), me.entrant(), nonce);
        let Ok(admission) = self.people[sponsor].room.as_mut().unwrap().admit(request, false, self.now, &mut self.rng)
        else {
            return;
        };
        self.keep(sponsor, admission.outcome);
        let Some(bytes) = admission.welcome else { return };
        let welcome = Welcome::open(&me, &id, &keys.sign.public_bytes(), &bytes).unwrap();
        let sealed = Sealed::Welcome { invite: keys.sign.public_bytes(), bytes };
        self.wire.push((self.now, me.device(), sealed));
        // What he is given counts, also when he is in and makes nothing of it.
        let (room, outcome) = Room::join(me.clone(), id, welcome);
        self.tracker.stored(me.device(), &outcome.persist.keys);
        if self.people[who].room.is_none() {
            self.people[who].room = Some(room);
        }
        self.sync(sponsor, who);
    }

    pub(crate) fn remove(&mut self, who: usize, other: usize) -> bool {
        let target = Target::Account(self.people[other].me.account());
        let removal = Removal { target, ban: false, cascade: false, purge: false };
        self.act(who, |room, now, rng| room.remove(&[removal], now, rng))
    }

    fn renew(&mut self, who: usize) {
        let mut me = Identity::clone(&self.people[who].me);
        me.rotate_leaf(self.now, &mut self.rng);
        self.tracker.is(&me);
        let me = Arc::new(me);
        self.people[who].me = me.clone();
        if let Some(room) = self.people[who].room.as_mut() {
            room.set_me(me);
        }
    }

    pub(crate) fn maintain(&mut self, who: usize) {
        self.act(who, |room, now, rng| Ok::<_, ()>(room.maintain(now, rng).0));
    }

    /// Both hold everything the other has: events, leaf records, keys. Also former members, for whom that is more than they
    /// would be given.
    pub(crate) fn sync(&mut self, a: usize, b: usize) {
        if a == b || self.people[a].room.is_none() || self.people[b].room.is_none() {
            return;
        }
        for (from, to) in [(a, b), (b, a), (a, b)] {
            let events: Vec<Event> = self.people[from].events.clone();
            let new: Vec<Event> =
                events.into_iter().filter(|event| !self.people[to].ids.contains(&event.id())).collect();
            let leafs: Vec<_> = self.people[from].room.as_ref().unwrap().leafs().copied().collect();
            let room = self.people[to].room.as_mut().unwrap();
            let received = room.receive(new, self.now);
            assert!(received.rejected.is_empty(), "{:?}", received.rejected);
            let mut outcome = received.outcome;
            for leaf in leafs {
                if let Ok(Some(persist)) = room.accept_leaf(leaf) {
                    outcome.persist.merge(persist);
                }
            }
            self.keep(to, outcome);
            self.ask(to, from);
        }
    }

    /// Asks for the keys that are missing.
    fn ask(&mut self, who: usize, of: usize) {
        let device = self.people[who].me.device();
        for epoch in self.people[who].room.as_ref().unwrap().keys_wanted() {
            let giver = self.people[of].room.as_ref().unwrap();
            let Ok(share) = giver.key_share_for(&device, &epoch, &mut self.rng) else { continue };
            let to = self.people[who].me.account();
            if giver.members().iter().any(|member| member.account == to) {
                let knew = giver.control_events().map(Event::id).collect();
                self.shares.push(Share { to, epoch: share.epoch, knew });
            }
            let leaf = giver.leafs().find(|leaf| leaf.device == device.0).map_or(0, |leaf| leaf.counter);
            self.wire.push((self.now, device, Sealed::Share(share.clone(), leaf)));
            match self.people[who].room.as_mut().unwrap().accept_key_share(&share) {
                Ok(outcome) => self.keep(who, outcome),
                // Sealed to a leaf key of long ago, by who heard of no newer one yet: it is asked for again.
                Err(error) => assert_eq!(error, KeyError::Open),
            }
        }
    }

    /// The network heals and everything comes to rest.
    fn heal(&mut self) {
        for _ in 0..4 {
            for a in 0..self.people.len() {
                for b in 0..a {
                    self.sync(a, b);
                }
            }
            // One after the other: whoever comes later has heard of what was made.
            for who in 0..self.people.len() {
                self.now += 100_000;
                self.maintain(who);
                self.now += 100_000;
                self.maintain(who);
                (0..self.people.len()).for_each(|other| self.sync(who, other));
            }
        }
    }

    pub(crate) fn device(&self, who: usize) -> DeviceId {
        self.people[who].me.device()
    }
}

/// All accounts that were ever in, as a room knows.
fn accounts(room: &Room) -> BTreeSet<AccountId> {
    subjects(room.control_events()).into_iter().map(|(account, _)| account).collect()
}

/// Who was brought in by which event.
fn subjects<'a>(events: impl Iterator<Item = &'a Event>) -> Vec<(AccountId, EventId)> {
    let mut subjects = Vec::new();
    for event in events {
        match event.control().and_then(|header| Control::decode(header.kind, event.payload()).ok()) {
            Some(Control::Genesis(genesis)) => {
                subjects.extend(genesis.owners.iter().map(|owner| (owner.account(), event.id())));
            }
            Some(Control::Admit(admit)) => subjects.push((admit.join.entrant.account(), event.id())),
            Some(Control::Grant(grant)) => subjects.push((grant.subject, event.id())),
            _ => {}
        }
    }
    subjects
}

/// An event and all its ancestors.
fn past(events: &BTreeMap<EventId, Event>, heads: &[EventId]) -> BTreeSet<EventId> {
    let (mut past, mut open) = (BTreeSet::new(), heads.to_vec());
    while let Some(id) = open.pop() {
        if let Some(event) = events.get(&id).filter(|_| past.insert(id)) {
            open.extend(event.parents());
            open.push(event.prev());
        }
    }
    past
}

fn check(world: &World, seed: u64) -> [usize; 4] {
    let mut counts = [0; 4];
    let live: Vec<usize> =
        (0..world.people.len()).filter(|who| world.people[*who].room.as_ref().is_some_and(Room::is_member)).collect();
    let Some(first) = live.first().map(|who| world.people[*who].room.as_ref().unwrap()) else { return counts };
    let events: BTreeMap<EventId, Event> = first.control_events().map(|event| (event.id(), event.clone())).collect();
    let brought_in = subjects(events.values());
    let best = first.epoch_status().epoch;
    for who in &live {
        let room = world.people[*who].room.as_ref().unwrap();
        assert_eq!(room.state_hash(), first.state_hash(), "{seed}: two rooms");
        assert_eq!(room.epoch_status().epoch, best, "{seed}: C10, {who}");
    }
    let best = best.unwrap_or_else(|| panic!("{seed}: nobody can write"));
    let holders = world.tracker.holders(&best);
    let live_devices: BTreeSet<DeviceId> = live.iter().map(|who| world.device(*who)).collect();
    assert!(holders.is_subset(&live_devices), "{seed}: C19, somebody outside holds a key of the safe epoch");
    for written in &world.written {
        let header = written.event.message().unwrap();
        let before = past(&events, &header.control);
        for (who, person) in world.people.iter().enumerate().filter(|(_, person)| person.room.is_some()) {
            let (account, device) = (person.me.account(), person.me.device());
            let reads = world.tracker.reads(&device, &written.event);
            let ops = brought_in.iter().filter(|(of, _)| *of == account).map(|(_, op)| *op);
            let later = ops.clone().any(|op| !before.contains(&op));
            // Whoever knew of all that the author knew, and more, may have known that it does not count.
            let undone =
                |share: &Share| share.to == account && share.epoch == header.epoch && before.is_subset(&share.knew);
            let undone = world.shares.iter().any(undone);
            let out = written.known.contains(&account) && !written.members.contains(&account) && !undone;
            if out && !later {
                counts[0] += 1;
                assert!(!reads, "{seed}: C7, {who} reads what was written without him");
            }
            let keyed = keyed(&events, &header.epoch, &device, header.slice, &before);
            if written.members.contains(&account) && keyed {
                counts[1] += 1;
                assert!(reads, "{seed}: C8, {who} lost what was written for him");
            }
            if world.history == History::None && !written.known.contains(&account) {
                let admits = ops.filter_map(|op| admitted(&events[&op]));
                let concurrent = admits.clone().any(|(epoch, slice)| epoch == header.epoch && slice <= header.slice);
                let mut after = admits.filter(|(epoch, _)| *epoch == header.epoch || in_past(&events, epoch, header));
                if !concurrent && after.next().is_some() && !was_in(&events, &header.epoch, &device) {
                    counts[2] += 1;
                    assert!(!reads, "{seed}: C9, {who} reads what was written before he came");
                }
            }
            counts[3] += 1;
        }
    }
    counts
}

/// Whether the device was let into the epoch, by an Admit that the author knew, at this slice or before.
fn keyed(
    events: &BTreeMap<EventId, Event>,
    epoch: &EpochId,
    device: &DeviceId,
    slice: u32,
    before: &BTreeSet<EventId>,
) -> bool {
    let admits = before.iter().filter_map(|id| events.get(id)).any(|event| {
        let control = event.control().and_then(|header| Control::decode(header.kind, event.payload()).ok());
        matches!(control, Some(Control::Admit(admit)) if admit.epoch == *epoch && admit.slice <= slice
            && admit.join.entrant.device() == *device)
    });
    admits || was_in(events, epoch, device)
}

/// Whether the device had been brought in before the Rotate of the epoch.
fn was_in(events: &BTreeMap<EventId, Event>, epoch: &EpochId, device: &DeviceId) -> bool {
    let Some(rotate) = events.values().find(|event| event.id().0[..16] == epoch.0) else { return false };
    let past = past(events, &[rotate.id()]);
    past.iter().filter_map(|id| events.get(id)).any(|event| {
        let control = event.control().and_then(|header| Control::decode(header.kind, event.payload()).ok());
        match control {
            Some(Control::Genesis(genesis)) => genesis.owners.iter().any(|owner| owner.device() == *device),
            Some(Control::Admit(admit)) => admit.join.entrant.device() == *device,
            _ => false,
        }
    })
}

fn admitted(event: &Event) -> Option<(EpochId, u32)> {
    match Control::decode(event.control()?.kind, event.payload()).ok()? {
        Control::Admit(admit) => Some((admit.epoch, admit.slice)),
        _ => None,
    }
}

/// Whether the epoch of the message was made before the one that somebody was let into.
fn in_past(events: &BTreeMap<EventId, Event>, let_into: &EpochId, header: &parlor_proto::event::MessageHeader) -> bool {
    let Some(rotate) = events.values().find(|event| event.id().0[..16] == let_into.0) else { return false };
    past(events, &[rotate.id()]).iter().any(|id| id.0[..16] == header.epoch.0)
}

fn histories(history: History, first: u64) {
    let only = crate::number("PARLOR_SIM_SEED");
    let runs = only.map_or(crate::number("PARLOR_SIM_RUNS").unwrap_or(12), |_| 1);
    let mut total = [0; 4];
    for n in 0..runs {
        let seed = only.unwrap_or(first + n);
        let mut world = World::new(seed, history);
        (0..4).for_each(|_| world.invite(0));
        for who in 1..5 {
            world.join(who, 0);
        }
        for admin in 1..3 {
            let account = world.people[admin].me.account();
            world.act(0, |room, now, _| room.grant_role(&account, Role::Admin, now));
        }
        (0..STEPS).for_each(|_| world.step());
        world.heal();
        let counts = check(&world, seed);
        total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    println!("checked: {} C7, {} C8, {} C9 of {} pairs", total[0], total[1], total[2], total[3]);
    assert!(only.is_some() || (total[0] > 0 && total[1] > 0), "nothing was checked: {total:?}");
    assert!(only.is_some() || history != History::None || total[2] > 0, "nothing was checked: {total:?}");
}

/// Whether what somebody has now gives the key of a message: its rows, the whole control log, and, if they are taken along,
/// its leaf secrets.
fn dump_reads(world: &World, who: usize, leafs: bool, message: &Event) -> bool {
    let person = &world.people[who];
    let mut dump = Tracker::new(person.room.as_ref().unwrap().id());
    let rows: KeyRows = person.rows.iter().map(|(name, row)| (name.clone(), Some(row.clone()))).collect();
    dump.stored(person.me.device(), &rows);
    if leafs {
        dump.is(&person.me);
    }
    person.events.iter().for_each(|event| dump.saw(person.me.device(), event));
    dump.reads(&person.me.device(), message)
}

#[test]
fn a_dump_of_all_that_a_device_has_gives_no_key_that_was_to_be_gone() {
    const DAY: u64 = 24 * 60 * 60 * 1_000;
    for history in [History::None, History::Full] {
        let mut world = World::new(1, history);
        world.invite(0);
        world.join(1, 0);
        world.write(0);
        let message = world.written[0].event.clone();
        world.sync(0, 1);
        assert!(dump_reads(&world, 0, false, &message), "at first all is there");
        for day in 1..=46 {
            world.now += DAY;
            for who in 0..2 {
                if let Some(me) = world.people[who].me.renewed(world.now, &mut world.rng) {
                    world.people[who].me = Arc::new(me);
                    let me = world.people[who].me.clone();
                    world.people[who].room.as_mut().unwrap().set_me(me);
                }
                world.maintain(who);
                world.sync(0, 1);
                world.write(who);
            }
            let kept = history == History::Full || day < 3;
            assert!(day == 3 || day == 4 || dump_reads(&world, 0, false, &message) == kept, "day {day}");
            // Our row of its epoch is in the log for ever: it opens until the leaf key is gone that it was sealed to.
            assert!(
                (35..37).contains(&day) || dump_reads(&world, 0, true, &message) == (kept || day < 37),
                "day {day}"
            );
        }
        world.sync(0, 1);
        let last = world.written.last().unwrap().event.clone();
        assert!((0..2).all(|who| dump_reads(&world, who, false, &last)), "the room goes on");
    }
}

#[test]
fn in_rooms_with_history_the_removed_read_what_was_before_and_nothing_after() {
    histories(History::Full, 8_000_000);
}

#[test]
fn in_rooms_without_history_newcomers_derive_nothing_from_before_and_the_removed_nothing_after() {
    histories(History::None, 9_000_000);
}
