//! People with rooms, and the shortest way to do things to them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parlor_crypto::invite::InviteSeed;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::body::Body;
use crate::control::{AccountUpdate, History, JoinRequest, NewDevice, RevokeFence, Role};
use crate::epoch::Welcome;
use crate::event::Event;
use crate::identity::Identity;
use crate::ids::{DeviceId, EventId, RoomId};
use crate::room::{
    Accepted, Admission, JoinRefusal, Message, MessageTip, NewInvite, NewRoom, Outcome, Persist, Received,
    RestoreError, Room, RoomParts, Sibling, StoredKeys, Verdict,
};

/// When tests begin.
pub(super) const START: u64 = 1_700_000_000_000;

/// A person with one room, and what its storage would hold.
pub(super) struct Person {
    pub(super) room: Room,
    pub(super) rng: StdRng,
    pub(super) now: u64,
    /// Accepted events in order.
    pub(super) stored: Vec<Accepted>,
    persist: Persist,
    /// Where messages of forked logs are kept: path and number.
    places: HashMap<EventId, (DeviceId, u64)>,
    /// Rows of keys.
    pub(super) keys: StoredKeys,
}

pub(super) fn identity(seed: u64) -> Arc<Identity> {
    let (_, me) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(seed)).unwrap();
    Arc::new(me)
}

pub(super) fn new_room(history: History) -> NewRoom {
    NewRoom::group("kitchen", history)
}

/// For one, and an hour.
pub(super) fn new_invite(role: Role) -> NewInvite {
    NewInvite { expires_ms: Some(START + 3_600_000), uses: Some(1), ..NewInvite::of(role) }
}

/// For any number of people, and an hour.
pub(super) fn many(role: Role) -> NewInvite {
    NewInvite { uses: None, ..new_invite(role) }
}

/// A second device of the account with seed 2, which it added to the room and revoked again.
pub(super) fn revoked_phone(bob: &mut Person) -> Identity {
    let mut rng = StdRng::seed_from_u64(2);
    let (seed, _) = Identity::create("laptop", START, &mut rng).unwrap();
    let phone = Identity::add_device(&seed, "phone", 2, START, &mut rng).unwrap();
    let devices = vec![NewDevice::sign(phone.signing_key(), phone.entrant())];
    let added = bob.room.update_account(AccountUpdate { devices, revokes: Vec::new() }, bob.now).unwrap();
    bob.keep(added);
    let fence = bob.room.revoke_fence(&phone.device());
    let revoke = RevokeFence::revoke(&seed.root_key(0), phone.account(), bob.room.id(), fence).unwrap();
    let revokes = AccountUpdate { devices: Vec::new(), revokes: vec![revoke] };
    let revoked = bob.room.update_account(revokes, bob.now).unwrap();
    bob.keep(revoked);
    phone
}

impl Person {
    pub(super) fn founder(seed: u64, history: History) -> Self {
        Self::founder_of(seed, new_room(history))
    }

    pub(super) fn founder_of(seed: u64, new: NewRoom) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0xabcd);
        let (room, outcome) = Room::create(identity(seed), new, START, &mut rng).unwrap();
        let mut person = Self::with(room, rng);
        person.keep(outcome);
        person
    }

    pub(super) fn with(room: Room, rng: StdRng) -> Self {
        let (stored, persist, places, keys) = (Vec::new(), Persist::default(), HashMap::new(), StoredKeys::new());
        Self { room, rng, now: START, stored, persist, places, keys }
    }

    /// What a node does with an outcome: one batch.
    pub(super) fn keep(&mut self, outcome: Outcome) {
        self.places.extend(outcome.placed.iter().map(|placed| (placed.event, (placed.place.path, placed.place.at))));
        self.stored.extend(outcome.accepted);
        self.write_down(outcome.persist);
        self.find_pins(&outcome.unplaced);
    }

    /// Tells the room where pinned messages are stored.
    fn find_pins(&mut self, unplaced: &[EventId]) {
        let messages = self.stored.iter().map(Accepted::event).filter(|event| event.message().is_some());
        let pinned = messages.filter(|event| unplaced.contains(&event.id()));
        let found: Vec<_> = pinned.map(|event| (event.id(), self.place(event).0, self.place(event).1)).collect();
        self.room.pins_found(&found);
    }

    pub(super) fn write_down(&mut self, mut persist: Persist) {
        for (name, row) in std::mem::take(&mut persist.keys) {
            match row {
                Some(row) => self.keys.insert(name, row),
                None => self.keys.remove(&name),
            };
        }
        self.persist.merge(persist);
    }

    pub(super) fn receive(&mut self, batch: Vec<Event>) -> Received {
        let mut received = self.room.receive(batch, self.now);
        self.keep(std::mem::take(&mut received.outcome));
        for event in std::mem::take(&mut received.unsure) {
            let held = self.stored.iter().any(|accepted| accepted.event().id() == event.id());
            if held {
                received.duplicates += 1;
                continue;
            }
            let mut fork = self.room.receive(vec![event.clone()], self.now);
            if let (Some(_), Some(sibling)) = (fork.unsure.pop(), self.sibling(&event)) {
                fork = self.room.receive_fork(event, &sibling, self.now);
            }
            received.rejected.extend(std::mem::take(&mut fork.rejected));
            received.outcome.changes.extend(fork.outcome.changes.iter().copied());
            self.keep(fork.outcome);
        }
        for (id, covers) in &received.covers_corrected {
            for accepted in &mut self.stored {
                if let Accepted::Message(message) = accepted
                    && message.event.id() == *id
                {
                    message.covers_own = *covers;
                }
            }
        }
        received
    }

    pub(super) fn invite(&mut self, new: &NewInvite) -> InviteSeed {
        let (seed, outcome) = self.room.invite(new, self.now, &mut self.rng).unwrap();
        self.keep(outcome);
        seed
    }

    pub(super) fn write(&mut self, text: &str) -> Message {
        self.say(&Body::text(text))
    }

    pub(super) fn say(&mut self, body: &Body) -> Message {
        self.now += 1;
        let written = self.room.write(body, self.now, &mut self.rng).unwrap();
        let message = written.message.clone();
        self.stored.push(Accepted::Message(written.message));
        self.write_down(written.persist);
        message
    }

    /// Does what is due now.
    pub(super) fn look(&mut self) {
        let (outcome, _) = self.room.maintain(self.now, &mut self.rng);
        self.keep(outcome);
    }

    /// Waits until nothing is to be done about epochs.
    pub(super) fn maintain(&mut self) {
        for _ in 0..4 {
            let (outcome, wake) = self.room.maintain(self.now, &mut self.rng);
            self.keep(outcome);
            match wake {
                Some(at) if at < self.now + 120_000 => self.now = self.now.max(at),
                _ => return,
            }
        }
    }

    pub(super) fn request(room: &RoomId, me: &Identity, link: &InviteSeed) -> JoinRequest {
        JoinRequest::sign(room, &link.keys().sign, me.signing_key(), me.entrant(), [7; 16])
    }

    pub(super) fn admit(&mut self, me: &Identity, link: &InviteSeed) -> Result<Admission, JoinRefusal> {
        let request = Self::request(&self.room.id(), me, link);
        let mut admission = self.room.admit(request, false, self.now, &mut self.rng)?;
        self.keep(std::mem::take(&mut admission.outcome));
        Ok(admission)
    }

    /// Joins with a link, admitted by `sponsor`, and takes all of its events.
    pub(super) fn join(seed: u64, link: &InviteSeed, sponsor: &mut Self) -> Self {
        let me = identity(seed);
        let admission = sponsor.admit(&me, link).unwrap();
        let mut person = Self::joining(seed, me, link, &sponsor.room.id(), admission.welcome.as_ref().unwrap());
        person.now = sponsor.now;
        person.sync_from(sponsor);
        person
    }

    pub(super) fn joining(seed: u64, me: Arc<Identity>, link: &InviteSeed, room: &RoomId, welcome: &[u8]) -> Self {
        let welcome = Welcome::open(&me, room, &link.keys().sign.public_bytes(), welcome).unwrap();
        let (room, outcome) = Room::join(me, *room, welcome);
        let rng = StdRng::seed_from_u64(seed ^ 0xabcd);
        let mut person = Self::with(room, rng);
        person.keep(outcome);
        person
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.stored.iter().map(|accepted| accepted.event().clone()).collect()
    }

    /// Takes everything the other has.
    pub(super) fn sync_from(&mut self, other: &Self) -> Received {
        self.now = self.now.max(other.now);
        self.receive(other.events())
    }

    /// Both hold everything, whatever has to be done about epochs is done.
    pub(super) fn sync(&mut self, other: &mut Self) {
        for _ in 0..3 {
            self.sync_from(other);
            other.sync_from(self);
            self.maintain();
            other.sync_from(self);
            other.maintain();
        }
        self.sync_from(other);
    }

    /// The room as it is after the program was killed and started again.
    pub(super) fn restart(&mut self) {
        self.try_restart().unwrap();
    }

    pub(super) fn try_restart(&mut self) -> Result<(), RestoreError> {
        self.room = Room::restore(self.room.me().clone(), self.parts())?;
        self.find_pins(&self.room.unplaced());
        Ok(())
    }

    /// As [`restart`](Self::restart), from what a version stored whose branches did not say what they begin on.
    pub(super) fn restart_as_version_3(&mut self) {
        self.persist.heads = Some(self.room.version_3_heads());
        self.restart();
    }

    /// The room as another device holds it that was given everything of it but this device's keys.
    pub(super) fn restored_as(&self, me: impl Into<Arc<Identity>>) -> Self {
        let room = Room::restore(me.into(), self.parts()).unwrap();
        Self {
            room,
            rng: StdRng::seed_from_u64(78),
            now: self.now,
            stored: self.stored.clone(),
            places: self.places.clone(),
            persist: self.persist.clone(),
            keys: self.keys.clone(),
        }
    }

    /// The pages of rows that were written down.
    pub(super) fn pages(&self) -> impl Iterator<Item = ([u8; 32], Vec<u8>)> {
        self.persist.pages.iter().cloned()
    }

    fn parts(&self) -> RoomParts {
        let mut tips = BTreeMap::new();
        let mut control = Vec::new();
        for accepted in &self.stored {
            match accepted {
                Accepted::Control(event) => control.push(event.clone()),
                Accepted::Message(message) => {
                    let (path, _) = self.place(&message.event);
                    let tip = MessageTip { path, event: message.event.clone(), covers_own: message.covers_own };
                    tips.insert(path, tip);
                }
            }
        }
        RoomParts {
            room: self.room.id(),
            control,
            tips: tips.into_values().collect(),
            heads: self.persist.heads.clone().unwrap_or_default(),
            keys: self.keys.clone(),
        }
    }

    /// Where a message is stored: path and number.
    pub(super) fn place(&self, event: &Event) -> (DeviceId, u64) {
        self.places.get(&event.id()).copied().unwrap_or((event.device(), event.seq()))
    }

    /// What the store has around the place of a message that it does not hold.
    fn sibling(&self, event: &Event) -> Option<Sibling> {
        let messages = self.stored.iter().filter_map(|accepted| match accepted {
            Accepted::Message(message) => Some(message),
            Accepted::Control(_) => None,
        });
        let before = messages.clone().find(|message| message.event.id() == event.prev());
        if before.is_none() && event.seq() > 1 {
            return None;
        }
        let (path, at) = before.map_or((event.device(), 0), |message| self.place(&message.event));
        let next = messages.clone().find(|message| self.place(&message.event) == (path, at + 1))?.event.clone();
        let tip = |message: &Message| MessageTip { path, event: message.event.clone(), covers_own: message.covers_own };
        Some(Sibling { path, before: before.map(tip), next })
    }

    /// Somebody who copied the whole machine.
    pub(super) fn clone_with_all_secrets(&self) -> Self {
        let (id, me, topic) = (self.room.id(), self.room.me().clone(), self.room.topic_secret().clone());
        let mut clone = Self {
            room: Room::new(me, id, topic),
            rng: StdRng::seed_from_u64(77),
            now: self.now,
            stored: self.stored.clone(),
            places: self.places.clone(),
            persist: self.persist.clone(),
            keys: self.keys.clone(),
        };
        clone.restart();
        clone
    }

    /// What is shown, oldest first.
    pub(super) fn shown(&self) -> Vec<String> {
        let text = |message: &Message| match &message.body {
            Some(Body::Text(text)) => Some((message.order, message.event.id(), text.text.clone())),
            _ => None,
        };
        let mut lines: Vec<_> = self.shown_messages().filter_map(text).collect();
        lines.sort();
        lines.into_iter().map(|(_, _, text)| text).collect()
    }

    /// The messages that are shown.
    pub(super) fn shown_ids(&self) -> impl Iterator<Item = EventId> {
        self.shown_messages().map(|message| message.event.id())
    }

    fn shown_messages(&self) -> impl Iterator<Item = &Message> {
        let messages = self.stored.iter().filter_map(|accepted| match accepted {
            Accepted::Message(message) => Some(message),
            Accepted::Control(_) => None,
        });
        messages.filter(|message| {
            let path = self.place(&message.event).0;
            self.room.verdict_on(&message.event, &path) == Verdict::Shown
        })
    }
}
