//! Profiles in a room: what its members tell of themselves there, and what we tell them.
//!
//! A record of each device is kept, in memory and beside the room, with what it says: its key may be destroyed later. What comes is
//! taken once in a while of each device, so that nobody makes others write; what comes between waits, the newest only. Ours is
//! written anew when what those of this room are to be told is different, and when the slice in use is, for newcomers have no
//! earlier key and former members no later one.

use std::collections::{BTreeSet, HashMap};

use parlor_crypto::Secret;
use parlor_crypto::hedge::Hedged;
use parlor_proto::marker::BIG_ROOM;
use parlor_proto::profile::{Content, Field, PictureKey, Place, Portrait, Profile, Reach, picture_hash};
use parlor_proto::room::{Outcome, Slice, Standing};
use parlor_proto::sync::{Series, Tip};
use parlor_proto::wire::Blob;
use parlor_proto::{AccountId, DeviceId, RoomId, codec};
use parlor_storage::{Batch, Namespace, Store};
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Turn, damaged};
use super::settle::Settle;
use crate::account::rng;
use crate::app::Answer;
use crate::limits::{
    PROFILE_AGAIN_MS, PROFILE_EVERY_MS, PROFILE_SPREAD_MS, PROFILES_WAITING, SEEN_EVERY_BIG_MS, SEEN_EVERY_MS,
};
use crate::services::profiles::{Kept, Name, Told};

/// Longest stored row in bytes: a record and what it says.
const MAX_ROW: usize = 4 * 1_024;

/// Longest stored counter of a portrait.
const COUNTER_ROW: usize = 16;

/// The counter of a portrait stands beside the records: pictures are not read to know of them.
fn portrait_key(device: &DeviceId) -> Vec<u8> {
    [&device.0[..], b"p"].concat()
}

/// Whose portrait has its counter in the row with this key.
fn portrait_of(key: &[u8]) -> Option<DeviceId> {
    key.strip_suffix(b"p").and_then(|device| device.try_into().ok()).map(DeviceId)
}

/// The newest record of a device.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) record: Profile,
    /// What it says; while its key is not here, what the one before said.
    content: Option<Content>,
    /// Whether that is what this one says, or it says nothing.
    opened: bool,
}

/// As stored: the record, what it says, whether it was opened.
#[derive(Serialize, Deserialize)]
struct Row(Blob, Option<Content>, bool);

/// The profiles of a room.
#[derive(Debug, Default)]
pub(super) struct RoomProfiles {
    /// The newest of each device, ours included.
    held: HashMap<DeviceId, Held>,
    /// Counters of the newest portraits, and of which there are bytes.
    portraits: HashMap<DeviceId, u64>,
    /// Of which rows are left though nothing of them is held any more: they go with the next batch.
    gone: BTreeSet<DeviceId>,
    /// Those that came too soon after the one before,
    profiles_soon: Pace<Profile>,
    /// of either kind.
    portraits_soon: Pace<Portrait>,
    /// The highest counters of ours that others hold: of a copy of this home.
    beyond: (u64, u64),
    /// What ours was last compared with,
    compared: Option<(u64, Option<Slice>, Reach, bool)>,
    /// when it is to be written,
    due_ms: Option<u64>,
    /// and when it was.
    written_ms: u64,
    /// The counter of the newest of ours that says more than when we were seen.
    pub(super) worth: u64,
}

/// Lets something of each device through once in a while, and keeps the newest of what comes sooner.
#[derive(Debug)]
struct Pace<T> {
    taken_ms: HashMap<DeviceId, u64>,
    /// With their counters.
    waiting: HashMap<DeviceId, (u64, T)>,
}

impl<T> Default for Pace<T> {
    fn default() -> Self {
        Self { taken_ms: HashMap::new(), waiting: HashMap::new() }
    }
}

impl<T> Pace<T> {
    /// What is to be taken now: this, or nothing, if it comes too soon. Of more devices than there is room for it comes again.
    fn admit(&mut self, device: DeviceId, counter: u64, thing: T, now_ms: u64) -> Option<T> {
        if self.opens_ms(&device, now_ms) <= now_ms {
            self.taken_ms.insert(device, now_ms);
            self.waiting.remove(&device);
            return Some(thing);
        }
        let known = self.waiting.get(&device).map(|(known, _)| *known);
        let room = known.is_some() || self.waiting.len() < PROFILES_WAITING;
        if room && known.is_none_or(|known| counter > known) {
            self.waiting.insert(device, (counter, thing));
        }
        None
    }

    /// When the next of a device is let through.
    fn opens_ms(&self, device: &DeviceId, now_ms: u64) -> u64 {
        // A clock that went back opens everything.
        let taken = self.taken_ms.get(device).filter(|taken| **taken <= now_ms);
        taken.map_or(0, |taken| taken.saturating_add(PROFILE_EVERY_MS))
    }

    /// What waited long enough.
    fn ripe(&mut self, now_ms: u64) -> Vec<T> {
        let devices: Vec<_> = self.waiting.keys().copied().filter(|it| self.opens_ms(it, now_ms) <= now_ms).collect();
        let taken = devices.into_iter().filter_map(|device| {
            self.taken_ms.insert(device, now_ms);
            self.waiting.remove(&device).map(|(_, thing)| thing)
        });
        taken.collect()
    }

    /// When something is ripe.
    fn due(&self) -> Option<u64> {
        let opens = |device| self.taken_ms.get(device).map_or(0, |ms: &u64| ms.saturating_add(PROFILE_EVERY_MS));
        self.waiting.keys().map(opens).min()
    }

    fn retain(&mut self, stays: impl Fn(&DeviceId) -> bool) {
        self.taken_ms.retain(|device, _| stays(device));
        self.waiting.retain(|device, _| stays(device));
    }
}

impl Held {
    /// With what it says.
    fn row(&self) -> Vec<u8> {
        codec::encode(&Row(Blob(self.record.encode()), self.content.clone(), self.opened))
    }
}

impl RoomProfiles {
    /// What the store holds. Blocks.
    pub(super) fn load(store: &Store, room: &RoomId) -> Answer<Self> {
        let mut profiles = Self::default();
        for (key, bytes) in store.scan(Some(room), Namespace::Profile, &[]).map_err(damaged)? {
            if let Some(device) = portrait_of(&key) {
                let counter = codec::decode(&bytes, COUNTER_ROW);
                profiles.portraits.extend(counter.map(|counter: u64| (device, counter)));
                continue;
            }
            let Ok(Row(record, content, opened)) = codec::decode(&bytes, MAX_ROW) else { continue };
            let Ok(record) = Profile::decode(room, &record.0) else { continue };
            profiles.held.insert(record.device, Held { record, content, opened });
        }
        profiles.count_portraits(store, room)?;
        Ok(profiles)
    }

    /// Portraits whose counters are not written beside them, as homes of before have them: these are read once, and counted. Blocks.
    fn count_portraits(&mut self, store: &Store, room: &RoomId) -> Answer<()> {
        let mut batch = Batch::new(Some(*room));
        for device in self.held.keys() {
            if self.portraits.contains_key(device) {
                continue;
            }
            let Some(bytes) = store.get(Some(room), Namespace::Portrait, &device.0).map_err(damaged)? else { continue };
            let Ok(portrait) = Portrait::decode(room, &bytes) else { continue };
            batch.put(Namespace::Profile, &portrait_key(device), codec::encode(&portrait.counter));
            self.portraits.insert(*device, portrait.counter);
        }
        if !batch.is_empty()
            && let Err(error) = store.commit_blocking(batch)
        {
            // They are known, and read again at the next start.
            tracing::warn!(room = %room.short(), %error, "counters of pictures could not be written");
        }
        Ok(())
    }

    /// Of whom `stays` knows nothing, nothing stays.
    pub(super) fn retain(&mut self, stays: impl Fn(&DeviceId) -> bool) {
        let devices = self.held.keys().chain(self.portraits.keys());
        self.gone.extend(devices.filter(|device| !stays(device)));
        self.held.retain(|device, _| stays(device));
        self.portraits.retain(|device, _| stays(device));
        self.profiles_soon.retain(&stays);
        self.portraits_soon.retain(&stays);
    }

    /// Where the series of all devices end.
    pub(super) fn tips(&self) -> impl Iterator<Item = (Series, Tip)> {
        let tip = |seq: u64| Tip { seq, id: [0; 32] };
        let profiles = self.held.iter().map(move |(device, held)| (Series::profile(*device), tip(held.record.counter)));
        let portraits = self.portraits.iter().map(move |(device, counter)| (Series::portrait(*device), tip(*counter)));
        profiles.chain(portraits)
    }

    /// The newest record of a device.
    pub(super) fn record(&self, device: &DeviceId) -> Option<&Profile> {
        self.held.get(device).map(|held| &held.record)
    }

    /// When something is due; nothing of ours is if we are no member.
    pub(super) fn due(&self, member: bool) -> Option<u64> {
        let ours = self.due_ms.filter(|_| member);
        [ours, self.profiles_soon.due(), self.portraits_soon.due()].into_iter().flatten().min()
    }

    fn counter(&self, device: &DeviceId) -> Option<u64> {
        self.held.get(device).map(|held| held.record.counter)
    }
}

impl Turn<'_> {
    /// Takes a record that came. Says whether it is here now, or no news; one that came too soon waits in memory and comes again.
    pub(super) fn take_profile(&mut self, record: Profile, settle: &mut Settle) -> bool {
        let device = record.device;
        if device == self.context.identity.device() {
            return self.keep_own(&record, settle) || self.know_own(Some(&record), None);
        }
        if !self.may_tell(&device) || !record.replaces(self.entry.profiles.counter(&device)) {
            return true;
        }
        let taken = self.entry.profiles.profiles_soon.admit(device, record.counter, record, self.now_ms);
        taken.map(|record| self.hold_profile(record, settle)).is_some()
    }

    /// As [`take_profile`](Self::take_profile), a picture.
    pub(super) fn take_portrait(&mut self, portrait: Portrait, settle: &mut Settle) -> bool {
        let device = portrait.device;
        if device == self.context.identity.device() {
            return self.know_own(None, Some(&portrait));
        }
        if !self.may_tell(&device) || !portrait.replaces(self.entry.profiles.portraits.get(&device).copied()) {
            return true;
        }
        let taken = self.entry.profiles.portraits_soon.admit(device, portrait.counter, portrait, self.now_ms);
        taken.map(|portrait| self.hold_portrait(portrait, settle)).is_some()
    }

    fn hold_portrait(&mut self, portrait: Portrait, settle: &mut Settle) {
        self.entry.profiles.portraits.insert(portrait.device, portrait.counter);
        settle.portraits.push(portrait);
    }

    /// Whether profiles of a device are taken: of somebody who is a person here, as the guest of an invite is not.
    fn may_tell(&self, device: &DeviceId) -> bool {
        let guest = |account: AccountId| self.entry.room.is_guest(&account);
        self.is_live(device) && !self.entry.room.account_of(device).is_some_and(guest)
    }

    fn hold_profile(&mut self, record: Profile, settle: &mut Settle) {
        let before = self.entry.profiles.held.remove(&record.device).and_then(|held| held.content);
        let mut held = Held { record, content: before, opened: false };
        self.open_profile(&mut held);
        self.entry.profiles.held.insert(held.record.device, held.clone());
        settle.profiles.push(held);
    }

    /// Opens it if its key is here; says whether it did.
    fn open_profile(&self, held: &mut Held) -> bool {
        let key = self.entry.room.profile_key(&(held.record.epoch, held.record.slice));
        let Some(key) = key.filter(|_| !held.opened) else { return false };
        let said = held.record.open(&self.id(), &key);
        if let Err(why) = &said {
            tracing::debug!(room = %self.id().short(), device = %held.record.device.short(), %why, "a profile is not shown");
        }
        (held.content, held.opened) = (said.ok(), true);
        true
    }

    /// Keys came, perhaps in the last moment of the run before: what could not be opened may open now.
    pub(super) fn open_profiles(&mut self) {
        let closed = self.entry.profiles.held.values().filter(|held| !held.opened).cloned();
        let mut opened: Vec<Held> = closed.collect();
        opened.retain_mut(|held| self.open_profile(held));
        if opened.is_empty() {
            return;
        }
        for held in &opened {
            self.entry.profiles.held.insert(held.record.device, held.clone());
        }
        self.commit(Outcome::default(), Settle { profiles: opened, ..Settle::default() });
    }

    /// Takes a record of ours as our own that a copy of this home wrote, if it says what we would write: writing it once more, the
    /// two would answer each other for ever. Says whether it is held.
    fn keep_own(&mut self, record: &Profile, settle: &mut Settle) -> bool {
        let me = self.context.identity.device();
        let (slice, own) = (self.entry.room.slice_in_use(), self.context.profiles.own());
        let Some(held) = self.entry.profiles.held.get(&me).filter(|held| record.replaces(Some(held.record.counter)))
        else {
            return false;
        };
        let key = slice.filter(|slice| *slice == (record.epoch, record.slice));
        let key = key.and_then(|slice| self.entry.room.profile_key(&slice));
        let Some(content) = key.and_then(|key| record.open(&self.id(), &key).ok()) else { return false };
        let wanted = told(&own, self.reach());
        let says = (&content.name, &content.about) == (&wanted.name, &wanted.about) && content.seen == wanted.seen;
        // The picture opens with the key that is named: ours is the one that we have bytes of.
        let shows = held.content.as_ref().is_some_and(|before| before.picture == content.picture);
        if !says || !shows || content.picture.hashed() != wanted.picture {
            return false;
        }
        let held = Held { record: record.clone(), content: Some(content), opened: true };
        let profiles = &mut self.entry.profiles;
        (profiles.beyond.0, profiles.compared) = (profiles.beyond.0.max(record.counter), None);
        profiles.worth = record.counter;
        profiles.held.insert(me, held.clone());
        settle.profiles.push(held);
        true
    }

    /// Others hold a record of ours that we did not write, or forgot: a copy of this home did. What it says counts, and the next goes
    /// beyond it. Nothing is stored of it.
    fn know_own(&mut self, record: Option<&Profile>, portrait: Option<&Portrait>) -> bool {
        let me = self.context.identity.device();
        let profiles = &mut self.entry.profiles;
        let mut known = true;
        if let Some(record) = record.filter(|record| record.replaces(profiles.counter(&me))) {
            profiles.beyond.0 = profiles.beyond.0.max(record.counter);
            profiles.compared = None;
            known = false;
            let key = self.entry.room.profile_key(&(record.epoch, record.slice));
            if let Some(content) = key.and_then(|key| record.open(&self.id(), &key).ok()) {
                let told = Told { content, direct: self.entry.room.other().is_some(), portrait: false };
                self.context.profiles.tell(self.context.identity.account(), (self.id(), me), Some(told));
            }
        }
        let profiles = &mut self.entry.profiles;
        if let Some(portrait) = portrait.filter(|it| it.replaces(profiles.portraits.get(&me).copied())) {
            profiles.beyond.1 = profiles.beyond.1.max(portrait.counter);
            profiles.compared = None;
            known = false;
        }
        known
    }

    /// What these devices tell is durable: it is shown from now on.
    pub(super) fn show_profiles(&self, devices: impl Iterator<Item = DeviceId>) {
        if !self.entry.room.is_member() {
            return;
        }
        for device in devices {
            let Some(account) = self.entry.room.account_of(&device) else { continue };
            let profiles = &self.entry.profiles;
            let content = profiles.held.get(&device).and_then(|held| held.content.clone());
            let (direct, portrait) = (self.entry.room.other().is_some(), profiles.portraits.contains_key(&device));
            let told = content.map(|content| Told { content, direct, portrait });
            self.context.profiles.tell(account, (self.id(), device), told);
        }
    }

    /// Who is in this room is different: of who is out nothing is shown that was told here, and everybody's name is known.
    pub(super) fn note_people(&self) {
        let (room, member) = (&self.entry.room, self.entry.room.is_member());
        let me = self.context.identity.device();
        let stays = |device: &DeviceId| member && (*device == me || room.standing(device) == Standing::Live);
        self.context.profiles.retain(&self.id(), stays);
        for account in room.accounts() {
            let name = room.name_of(&account).unwrap_or_default();
            self.context.profiles.called(account, Name::Certificate, &name);
        }
    }

    /// As [`note_people`](Self::note_people); and shows all that is told here, if we are in.
    pub(super) fn show_all_profiles(&self) {
        self.note_people();
        self.show_profiles(self.entry.profiles.held.keys().copied());
    }

    /// What those of this room are to us.
    fn reach(&self) -> Reach {
        match self.entry.room.other() {
            None => Reach::Room,
            Some(other) if self.context.contacts.is_blocked(&other) => Reach::Nobody,
            Some(other) if self.context.contacts.is_contact(&other) => Reach::Contact,
            Some(_) => Reach::Room,
        }
    }

    /// Takes what waited long enough, and tells the members of this room what they are to be told, if that is due.
    pub(super) fn profess(&mut self) {
        self.take_waiting();
        // A device that contradicts itself writes nothing any more: two copies of one home would answer each other for ever.
        if !self.entry.room.is_member() || self.entry.room.is_cloned() {
            (self.entry.profiles.compared, self.entry.profiles.due_ms) = (None, None);
            return;
        }
        if self.entry.rests(self.now_ms) {
            return;
        }
        let own = self.context.profiles.own();
        let (slice, reach) = (self.entry.room.slice_in_use(), self.reach());
        let heard = self.entry.sessions.values().any(|linked| linked.device.is_some());
        let compared = Some((own.version, slice, reach, heard));
        if self.entry.profiles.compared != compared {
            self.entry.profiles.compared = compared;
            self.entry.profiles.due_ms = self.profile_due(&own, slice, reach, heard);
        }
        if let Some(slice) = slice
            && self.entry.profiles.due_ms.is_some_and(|due| due <= self.now_ms)
        {
            self.entry.profiles.due_ms = None;
            self.write_profile(&own, slice, reach);
        }
    }

    fn take_waiting(&mut self) {
        let profiles = self.entry.profiles.profiles_soon.ripe(self.now_ms);
        let portraits = self.entry.profiles.portraits_soon.ripe(self.now_ms);
        let mut settle = Settle::default();
        for record in profiles {
            if self.may_tell(&record.device) && record.replaces(self.entry.profiles.counter(&record.device)) {
                self.hold_profile(record, &mut settle);
            }
        }
        for portrait in portraits {
            let held = self.entry.profiles.portraits.get(&portrait.device).copied();
            if self.may_tell(&portrait.device) && portrait.replaces(held) {
                self.hold_portrait(portrait, &mut settle);
            }
        }
        if !settle.profiles.is_empty() || !settle.portraits.is_empty() {
            self.commit(Outcome::default(), settle);
        }
    }

    /// When our record is to be written anew.
    fn profile_due(&self, own: &Kept, slice: Option<Slice>, reach: Reach, heard: bool) -> Option<u64> {
        let slice = slice?;
        let profiles = &self.entry.profiles;
        let me = self.context.identity.device();
        let wanted = told(own, reach);
        let after = |ms: u64| profiles.written_ms.saturating_add(ms).max(self.now_ms);
        let Some(held) = profiles.held.get(&me).filter(|held| held.record.counter >= profiles.beyond.0) else {
            let silent = wanted.is_blank() && profiles.beyond == (0, 0);
            return (!silent).then(|| after(PROFILE_EVERY_MS));
        };
        let said = held.content.clone().unwrap_or_default();
        let differs = (&said.name, &said.about, said.picture.hashed()) != (&wanted.name, &wanted.about, wanted.picture);
        let lost = profiles.portraits.get(&me).copied().unwrap_or(0) < profiles.beyond.1;
        let changed = (differs || lost).then(|| after(PROFILE_EVERY_MS));
        let members = self.entry.room.n_members();
        let moved = (slice != (held.record.epoch, held.record.slice)).then(|| {
            // Each at its own moment, whoever writes first.
            let spread = PROFILE_SPREAD_MS.saturating_mul(members as u64);
            let share = u64::from(u16::from_be_bytes([me.0[0], me.0[1]]));
            after(PROFILE_AGAIN_MS).max(self.now_ms + PROFILE_SPREAD_MS + spread * share / u64::from(u16::MAX))
        });
        let every = if members > BIG_ROOM { SEEN_EVERY_BIG_MS } else { SEEN_EVERY_MS };
        // Who wants to be seen by others than before is told so now; being seen again waits for its time, and for somebody who hears it.
        let chosen = said.seen.value.is_some() != wanted.seen.value.is_some();
        let seen = (said.seen != wanted.seen && (heard || chosen))
            .then(|| after(if chosen { PROFILE_EVERY_MS } else { every }));
        [changed, moved, seen].into_iter().flatten().min()
    }

    /// Writes what those of this room are to be told now.
    fn write_profile(&mut self, own: &Kept, slice: Slice, reach: Reach) {
        let Some(key) = self.entry.room.profile_key(&slice) else { return };
        let (room, me) = (self.id(), self.context.identity.device());
        let wanted = told(own, reach);
        let profiles = &self.entry.profiles;
        let before = profiles.held.get(&me).and_then(|held| held.content.clone()).unwrap_or_default();
        let only_seen = (&before.name, &before.about, before.picture.hashed())
            == (&wanted.name, &wanted.about, wanted.picture.clone());
        let shows = profiles.portraits.get(&me).copied();
        let (picture, portrait) =
            if before.picture.hashed() == wanted.picture && shows.unwrap_or(0) >= profiles.beyond.1 {
                (before.picture.clone(), None)
            } else {
                let counter = shows.unwrap_or(0).max(profiles.beyond.1).saturating_add(1);
                let had = before.picture.value.is_some() || profiles.beyond.1 > 0;
                self.new_portrait(own, &wanted.picture, counter, had)
            };
        let content = Content { name: wanted.name, about: wanted.about, picture, seen: wanted.seen };
        let counter = profiles.counter(&me).unwrap_or(0).max(profiles.beyond.0).saturating_add(1);
        let at = Place { room: &room, slice, key: &key };
        let record = Profile::seal(at, self.context.identity.signing_key(), counter, &content, &mut rng());
        let same_slice = profiles.record(&me).is_some_and(|record| (record.epoch, record.slice) == slice);
        let held = Held { record, content: Some(content), opened: true };
        let profiles = &mut self.entry.profiles;
        if !(only_seen && same_slice) || profiles.worth == 0 {
            profiles.worth = counter;
        }
        profiles.written_ms = self.now_ms;
        profiles.held.insert(me, held.clone());
        if let Some(portrait) = &portrait {
            profiles.portraits.insert(me, portrait.counter);
        }
        let settle = Settle { profiles: vec![held], portraits: portrait.into_iter().collect(), ..Settle::default() };
        self.commit(Outcome::default(), settle);
    }

    /// The field of the picture, and the portrait that goes with it, under a key of its own: who was shown an earlier one opens none
    /// that comes later without being told.
    fn new_portrait(
        &self,
        own: &Kept,
        wanted: &Field<[u8; 32]>,
        counter: u64,
        had: bool,
    ) -> (Field<PictureKey>, Option<Portrait>) {
        let (room, device) = (self.id(), self.context.identity.signing_key());
        let picture = own.picture.as_deref().filter(|bytes| Some(picture_hash(bytes)) == wanted.value);
        let Some(picture) = picture else {
            let none = had.then(|| Portrait::seal(&room, device, counter, None, &mut rng()));
            return (Field { stamp: wanted.stamp, value: None }, none);
        };
        let hash = picture_hash(picture);
        let seed = device.to_seed();
        let parts: [&[u8]; 3] = [seed.expose(), room.as_bytes(), &hash];
        let key = Secret::random(&mut Hedged::new(&mut rng(), &parts));
        let portrait = Portrait::seal(&room, device, counter, Some((picture, &key)), &mut rng());
        let named = PictureKey { hash, key };
        (Field { stamp: wanted.stamp, value: Some(named) }, Some(portrait))
    }

    /// Adds to a batch what `settle` says of profiles.
    pub(super) fn put_profiles(&mut self, batch: &mut Batch, settle: &Settle) {
        let profiles = &mut *self.entry.profiles;
        for device in std::mem::take(&mut profiles.gone) {
            // Whoever is back keeps what came since.
            if !profiles.held.contains_key(&device) && !profiles.portraits.contains_key(&device) {
                batch.delete(Namespace::Profile, &device.0);
                batch.delete(Namespace::Profile, &portrait_key(&device));
                batch.delete(Namespace::Portrait, &device.0);
            }
        }
        for held in &settle.profiles {
            batch.put(Namespace::Profile, &held.record.device.0, held.row());
        }
        for portrait in &settle.portraits {
            batch.put(Namespace::Portrait, &portrait.device.0, portrait.encode());
            let counter = codec::encode(&portrait.counter);
            batch.put(Namespace::Profile, &portrait_key(&portrait.device), counter);
        }
    }
}

impl Entry {
    /// Reads the profiles of the room. Blocks.
    pub(super) fn load_profiles(&mut self, store: &Store) -> Answer<()> {
        *self.profiles = RoomProfiles::load(store, &self.room.id())?;
        self.profiles.worth = self.profiles.counter(&self.room.me().device()).unwrap_or(0);
        for (series, tip) in self.profiles.tips() {
            self.tables.advance(series, tip);
        }
        Ok(())
    }
}

/// What those of a room are told of us, with the hash of the picture in place of its key.
struct Wanted {
    name: Field<String>,
    about: Field<String>,
    picture: Field<[u8; 32]>,
    seen: Field<u64>,
}

impl Wanted {
    /// Whether nothing was ever set.
    fn is_blank(&self) -> bool {
        [self.name.stamp, self.about.stamp, self.picture.stamp, self.seen.stamp] == [0; 4]
    }
}

fn told(own: &Kept, reach: Reach) -> Wanted {
    let own = &own.own;
    Wanted {
        name: own.name.told(reach),
        about: own.about.told(reach),
        picture: own.picture.told(reach),
        seen: own.seen.told(reach),
    }
}

#[cfg(test)]
mod tests;
