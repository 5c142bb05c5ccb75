//! Random months of a room in which somebody takes everything that a device holds at some moment, and has all that was ever sent.
//!
//! C13: in rooms that forget, what was written before the kept window opens with nothing that is found. C14: after a theft,
//! what is written under an epoch of somebody who had heard of the device's next leaf key opens with nothing that was taken.
//!
//! The thief takes the bytes of the identity and the stored rows, asks the room in memory as well, and tries all of it on the
//! real events: rows, Welcomes and key shares are really opened, chains for late messages really followed. What is kept
//! beside a message for as long as the message is kept itself he does not look at: that is the message.

use std::collections::BTreeMap;

use parlor_crypto::epoch::SenderChain;
use parlor_crypto::secret::Secret;
use parlor_crypto::{hpke, seal};
use parlor_proto::control::{Control, History, ROTATE_KIND, Setting};
use parlor_proto::epoch::Welcome;
use parlor_proto::event::Event;
use parlor_proto::identity::Identity;
use parlor_proto::room::{KeyRows, StoredKeys};
use parlor_proto::{DeviceId, EpochId, EventId, RoomId, limits};
use rand::RngExt as _;

use crate::keys::{self, Sealed, World};
use crate::keys_tracker::Tracker;

/// People of a room, all of whom write.
const PEOPLE: usize = 4;
const HOUR: u64 = 3_600_000;
const DAYS: u64 = 75;
/// How long a device is off at most.
const OFF: u64 = 12 * limits::DAY_MS;
/// From a sealing on until the leaf key is gone, at a device that is on.
const LEAF_OPENS: u64 = limits::LEAF_MS + limits::LEAF_KEPT_MS;
/// Histories of each sort, unless the environment says otherwise.
const RUNS: u64 = 2;

/// A chain for late messages: of which device and slice, at which generation, its key.
type Chain = (DeviceId, u32, u32, [u8; 32]);

/// Where a room is, as one device saw it: the order of the epoch in use (lamport, then the smaller id), and its latest slice.
type Stand = (u64, std::cmp::Reverse<EventId>, u32);

/// A device looked after its room.
struct Look {
    at: u64,
    stand: Option<Stand>,
}

/// What was taken, and what follows from it.
struct Thief {
    room: RoomId,
    device: DeviceId,
    tracker: Tracker,
    late: Vec<(EpochId, Vec<Chain>)>,
}

impl Thief {
    /// Takes all of a device now; with the leaf keys or without. Of what was sent it has nothing yet.
    fn takes(world: &World, who: usize, leafs: bool) -> (Self, Identity) {
        let person = &world.people[who];
        let room = person.room.as_ref().unwrap().id();
        let identity = Identity::from_bytes(&person.me.to_bytes()).unwrap();
        let mut tracker = Tracker::new(room);
        let rows: KeyRows = person.rows.iter().map(|(name, row)| (name.clone(), Some(row.clone()))).collect();
        tracker.stored(identity.device(), &rows);
        if leafs {
            tracker.is(&identity);
        }
        let thief = Self { room, device: identity.device(), tracker, late: late_chains(&person.rows) };
        (thief, identity)
    }

    /// Is sent everything that anybody was ever sent.
    fn hears(&mut self, world: &World, identity: &Identity) {
        for event in world.people.iter().flat_map(|person| &person.events) {
            self.tracker.saw(self.device, event);
        }
        for (_, to, sealed) in world.wire.iter().filter(|(_, to, _)| *to == self.device) {
            for (epoch, slice, key) in open(&self.room, identity, sealed) {
                self.tracker.given(*to, epoch, slice, key);
            }
        }
    }

    fn reads(&self, message: &Event) -> bool {
        self.tracker.reads(&self.device, message) || self.reads_late(message)
    }

    fn reads_late(&self, message: &Event) -> bool {
        let header = message.message().unwrap();
        let chains = self.late.iter().filter(|(epoch, _)| *epoch == header.epoch).flat_map(|(_, chains)| chains);
        let theirs = chains.filter(|(device, slice, _, _)| (*device, *slice) == (header.device, header.slice));
        theirs.into_iter().any(|(_, _, generation, key)| {
            let chain = SenderChain::from_secret(*generation, Secret::new(*key));
            let Ok(mut chain) = chain else { return false };
            let reached = chain.advance_to(header.generation).is_ok();
            reached && opens(&chain, &self.room, message)
        })
    }
}

fn opens(chain: &SenderChain, room: &RoomId, message: &Event) -> bool {
    let sealing = message.sealing_header();
    let key = chain.message_key(&seal::header_digest(room.as_bytes(), &sealing));
    seal::open(&key, room.as_bytes(), &sealing, message.payload()).is_ok()
}

/// The chains for late messages among stored rows, read from their bytes.
fn late_chains(rows: &StoredKeys) -> Vec<(EpochId, Vec<Chain>)> {
    let late = rows.iter().filter_map(|(name, row)| Some((name.strip_prefix(b"late")?, row)));
    late.map(|(epoch, row)| {
        let (version, _since, chains): (u8, u64, Vec<Chain>) = postcard::from_bytes(row).unwrap();
        assert_eq!(version, 1);
        (EpochId(epoch.try_into().unwrap()), chains)
    })
    .collect()
}

/// What leaf keys open of what was sealed to a device beside rows.
fn open(room: &RoomId, identity: &Identity, sealed: &Sealed) -> Vec<(EpochId, u32, Secret)> {
    match sealed {
        Sealed::Welcome { invite, bytes } => {
            let keys = Welcome::open(identity, room, invite, bytes).map(|welcome| welcome.keys);
            keys.unwrap_or_default().into_iter().map(|key| (key.epoch, key.slice, key.key)).collect()
        }
        Sealed::Share(share, _) => {
            let context = [room.as_bytes().as_slice(), share.epoch.as_bytes(), identity.device().as_bytes()].concat();
            let aad = share.slice.to_be_bytes();
            let opened = |leaf: &parlor_proto::identity::Leaf| {
                hpke::open_box("key share", &context, &leaf.secret, &aad, &share.sealed).ok()
            };
            let key = identity.leafs().iter().find_map(opened);
            let key = key.and_then(|key| key.as_slice().try_into().ok());
            key.map(|key| (share.epoch, share.slice, Secret::new(key))).into_iter().collect()
        }
    }
}

/// A room over months.
struct Months {
    world: World,
    /// Until when somebody is away.
    off: Vec<u64>,
    looks: Vec<Vec<Look>>,
    /// The counter of the newest leaf record of each device that the maker of an epoch had heard of.
    heard: BTreeMap<EpochId, BTreeMap<DeviceId, u64>>,
    /// The order of each epoch, and when it was made.
    made: BTreeMap<EpochId, (u64, std::cmp::Reverse<EventId>, u64)>,
    /// How long keys of slices are kept.
    kept: u64,
}

impl Months {
    fn new(seed: u64, history: History, ttl: Option<u64>) -> Self {
        let mut world = World::new(seed, history);
        if let Some(ttl) = ttl {
            let timer = vec![(Setting::Ttl, ttl.to_be_bytes().to_vec())];
            assert!(world.act(0, |room, now, _| room.set_state(timer, now)));
        }
        for who in 1..PEOPLE {
            // A link that is drawn may be used up.
            while world.people[who].room.is_none() {
                world.invite(0);
                world.join(who, 0);
            }
            let account = world.people[who].me.account();
            world.act(0, |room, now, _| room.grant_role(&account, parlor_proto::control::Role::Admin, now));
        }
        let looks = world.people.iter().map(|_| Vec::new()).collect();
        let kept = ttl.unwrap_or(0).max(limits::SLICE_GRACE_MS);
        let (heard, made) = (BTreeMap::new(), BTreeMap::new());
        let mut months = Self { world, off: vec![0; PEOPLE], looks, heard, made, kept };
        months.note_made(|_| {});
        months
    }

    /// Some hours pass; who is there looks after the room and does something.
    fn step(&mut self) {
        self.world.now += self.world.rng.random_range(HOUR / 2..5 * HOUR);
        let now = self.world.now;
        for who in 0..PEOPLE {
            if self.off[who] > now {
                continue;
            }
            self.renew(who);
            let other = self.world.rng.random_range(0..PEOPLE);
            if self.off[other] <= now {
                self.note_made(|months| months.world.sync(who, other));
                self.look(other);
            }
            self.look(who);
            match self.world.rng.random_range(0..40) {
                0..=9 => self.world.write(who),
                10 => self.note_made(|months| _ = months.world.act(who, |room, now, rng| room.rotate(now, rng))),
                11 => self.off[who] = now + self.world.rng.random_range(0..OFF),
                _ => {}
            }
        }
    }

    /// As a node does: stored, then told to the room.
    fn renew(&mut self, who: usize) {
        let person = &mut self.world.people[who];
        if let Some(me) = person.me.renewed(self.world.now, &mut self.world.rng) {
            person.me = std::sync::Arc::new(me);
            person.room.as_mut().unwrap().set_me(person.me.clone());
        }
    }

    /// As a node does after everything that came.
    fn look(&mut self, who: usize) {
        self.note_made(|months| months.world.maintain(who));
        let stand = self.stand(who);
        self.looks[who].push(Look { at: self.world.now, stand });
    }

    /// Does something, and notes of the epochs that were made what their makers had heard of.
    fn note_made(&mut self, act: impl FnOnce(&mut Self)) {
        act(self);
        for person in &self.world.people[..PEOPLE] {
            for event in person.events.iter().filter(|event| event.device() == person.me.device()) {
                let Some(header) = event.control().filter(|header| header.kind == ROTATE_KIND) else { continue };
                let epoch = EpochId::of(&event.id());
                if !self.made.contains_key(&epoch) {
                    let leafs = person.room.as_ref().unwrap().leafs();
                    self.heard.insert(epoch, leafs.map(|leaf| (DeviceId(leaf.device), leaf.counter)).collect());
                    self.made.insert(epoch, (header.lamport, std::cmp::Reverse(event.id()), header.ts_ms));
                }
            }
        }
    }

    fn order(&self, epoch: &EpochId) -> Option<(u64, std::cmp::Reverse<EventId>)> {
        self.made.get(epoch).map(|(lamport, id, _)| (*lamport, *id))
    }

    /// What a device knows to be in use.
    fn stand(&self, who: usize) -> Option<Stand> {
        let person = &self.world.people[who];
        let epoch = person.room.as_ref()?.epoch_status().epoch?;
        let slices = person.events.iter().filter_map(|event| match event.message() {
            Some(header) => (header.epoch == epoch).then_some(header.slice),
            None => admitted(event).filter(|(into, _)| *into == epoch).map(|(_, slice)| slice),
        });
        let (lamport, id) = self.order(&epoch)?;
        Some((lamport, id, slices.max().unwrap_or(0)))
    }

    /// Whether the keys of a message are to be gone from a device: it has seen for as long as they are kept that the room had moved
    /// on, and looked since.
    fn is_over(&self, who: usize, message: &Event) -> bool {
        let header = message.message().unwrap();
        let Some((lamport, id)) = self.order(&header.epoch) else { return false };
        let at = (lamport, id, header.slice);
        let looks = &self.looks[who];
        let since = looks.iter().rev().take_while(|look| look.stand.is_some_and(|stand| stand > at));
        let times: Vec<u64> = since.map(|look| look.at).collect();
        // A slice is noted at the first look an hour after the one before it was.
        let first = times.last().copied().unwrap_or(u64::MAX);
        let noted = times.iter().rev().find(|time| **time >= first.saturating_add(limits::SLICE_LOOK_MS));
        noted.is_some_and(|noted| times.iter().any(|time| *time >= noted.saturating_add(self.kept)))
    }

    /// When the key of a message was sealed to a device last.
    fn sealed(&self, device: &DeviceId, message: &Event) -> u64 {
        let header = message.message().unwrap();
        let made = self.made.get(&header.epoch).map(|(_, _, at)| *at);
        // A Welcome may hold any earlier key.
        let sent = self.world.wire.iter().filter(|(_, to, sealed)| {
            to == device
                && match sealed {
                    Sealed::Welcome { .. } => true,
                    Sealed::Share(share, _) => share.epoch == header.epoch,
                }
        });
        made.into_iter().chain(sent.map(|(at, _, _)| *at)).max().unwrap_or(0)
    }

    /// The longest time for which a device was off while leaf keys of now were made and kept.
    fn longest_off(&self, who: usize) -> u64 {
        let from = self.world.now.saturating_sub(2 * LEAF_OPENS);
        let mut times: Vec<u64> = self.looks[who].iter().map(|look| look.at).filter(|at| *at >= from).collect();
        times.push(self.world.now);
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(u64::MAX / 4)
    }
}

fn admitted(event: &Event) -> Option<(EpochId, u32)> {
    match Control::decode(event.control()?.kind, event.payload()).ok()? {
        Control::Admit(admit) => Some((admit.epoch, admit.slice)),
        _ => None,
    }
}

/// What was looked at in C13: messages that were closed with the keys of the disk and memory, with the leaf keys too, and open ones.
#[derive(Debug, Default)]
struct Found {
    gone: usize,
    gone_with_leafs: usize,
    open: usize,
}

/// Somebody finds the device now, and has all that was ever sent.
fn c13(months: &mut Months, who: usize, seed: u64, found: &mut Found) {
    let (disk, identity) = Thief::takes(&months.world, who, false);
    let mut all = Thief::takes(&months.world, who, true).0;
    all.hears(&months.world, &identity);
    let slack = 2 * months.longest_off(who);
    let held = |event: &Event| months.world.people[who].ids.contains(&event.id());
    let written = months.world.written.iter().map(|written| written.event.clone());
    let written: Vec<Event> = written.filter(held).collect();
    for event in written {
        if !months.is_over(who, &event) {
            found.open += usize::from(all.reads(&event));
            continue;
        }
        let memory = months.world.people[who].room.as_mut().unwrap().open_later(&event).is_some();
        let header = event.message().unwrap();
        let place = (header.epoch, header.slice, header.generation);
        assert!(!memory && !disk.reads(&event), "{seed}: C13, {who} holds keys of {place:?} still (memory {memory})");
        found.gone += 1;
        if months.world.now >= months.sealed(&identity.device(), &event) + LEAF_OPENS + slack {
            let memory = all.reads(&event);
            assert!(!memory, "{seed}: C13, {who} opens {place:?} with its leaf keys");
            found.gone_with_leafs += 1;
        }
    }
}

fn forgets(first: u64, history: History, ttl: Option<u64>) {
    let mut found = Found::default();
    each(first, |seed| {
        let mut months = Months::new(seed, history, ttl);
        let end = months.world.now + DAYS * limits::DAY_MS;
        while months.world.now < end {
            months.step();
            if months.world.rng.random_ratio(1, 40) {
                let who = months.world.rng.random_range(0..PEOPLE);
                c13(&mut months, who, seed, &mut found);
            }
        }
        (0..PEOPLE).for_each(|who| c13(&mut months, who, seed, &mut found));
    });
    println!("{found:?}");
    let played = crate::number("PARLOR_SIM_SEED").is_some();
    assert!(
        played || (found.gone > 0 && found.gone_with_leafs > 0 && found.open > 0),
        "nothing was checked: {found:?}"
    );
}

/// What was looked at in C14.
#[derive(Debug, Default)]
struct Healed {
    closed: usize,
    open: usize,
}

/// Somebody who was there before; at the end he has heard all that was ever sent.
struct Theft {
    thief: Thief,
    identity: Identity,
    /// How many messages were written before.
    before: usize,
}

impl Theft {
    fn of(world: &World, who: usize) -> Self {
        let (thief, identity) = Thief::takes(world, who, true);
        Self { thief, identity, before: world.written.len() }
    }

    fn check(mut self, months: &Months, seed: u64, healed: &mut Healed) {
        self.thief.hears(&months.world, &self.identity);
        let (device, counter) = (self.identity.device(), self.identity.entrant().leaf.counter);
        for written in &months.world.written[self.before..] {
            let (header, reads) = (written.event.message().unwrap(), self.thief.reads(&written.event));
            let heard = months.heard.get(&header.epoch).and_then(|heard| heard.get(&device)).copied().unwrap_or(0);
            // Who had not heard of the new leaf key may have given the key of the epoch again, sealed to the old one.
            let again = |sealed: &Sealed| matches!(sealed, Sealed::Share(share, leaf) if share.epoch == header.epoch && *leaf <= counter);
            let again = months.world.wire.iter().any(|(_, to, sealed)| *to == device && again(sealed));
            if heard > counter && !again {
                assert!(!reads, "{seed}: C14, who took all of {} reads {}", device.short(), written.event.id().short());
                healed.closed += 1;
            } else {
                healed.open += usize::from(reads);
            }
        }
    }
}

fn heals(first: u64, history: History) {
    let mut healed = Healed::default();
    each(first, |seed| {
        let mut months = Months::new(seed, history, None);
        let mut thefts: Vec<Theft> = Vec::new();
        for days in [30, 60] {
            let end = keys::START + days * limits::DAY_MS;
            while months.world.now < end {
                months.step();
                if days == 30 && months.world.rng.random_ratio(1, 20) {
                    let who = months.world.rng.random_range(0..PEOPLE);
                    thefts.push(Theft::of(&months.world, who));
                }
            }
        }
        thefts.into_iter().for_each(|theft| theft.check(&months, seed, &mut healed));
    });
    println!("{healed:?}");
    let played = crate::number("PARLOR_SIM_SEED").is_some();
    assert!(played || (healed.closed > 0 && healed.open > 0), "nothing was checked: {healed:?}");
}

/// Runs histories, and says which failed.
fn each(first: u64, mut history: impl FnMut(u64)) {
    let only = crate::number("PARLOR_SIM_SEED");
    let runs = only.map_or(crate::number("PARLOR_SIM_RUNS").unwrap_or(RUNS), |_| 1);
    for n in 0..runs {
        let seed = only.unwrap_or(first + n);
        println!("PARLOR_SIM_SEED={seed}");
        history(seed);
    }
}

#[test]
fn in_rooms_without_history_who_finds_a_device_reads_nothing_from_before_the_kept_window() {
    forgets(30_000_000, History::None, None);
}

#[test]
fn where_messages_disappear_who_finds_a_device_reads_nothing_from_before_the_kept_window() {
    forgets(31_000_000, History::Full, Some(3 * limits::DAY_MS));
}

#[test]
fn who_took_all_of_a_device_reads_nothing_under_epochs_of_those_who_heard_of_its_next_leaf_key() {
    heals(32_000_000, History::Full);
}
