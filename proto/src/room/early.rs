//! Early messages: the newest page of a room, shown before the log has come so far.
//!
//! A log is taken without gaps and oldest first, so who lacks much would read what was said last at the very end. A member is
//! therefore asked for its newest page ([`crate::wire::Newest`]); each message of it is judged alone, by its own view, as claim C20
//! says. [`Early`] holds them beside the room: they are in no log, and no other part of the room knows of them. What is written names
//! none as its parent, and no marker, tip or count tells of them. When the log reaches one it is taken like every other.
//!
//! What a liar can do: only what a member signed and our keys open is shown, so he can choose among true messages, and leave some out.
//! A message that no log ever reaches goes when whoever gave it holds no more than we, and after [`limits::EARLY_KEPT_MS`] in any
//! case. Of somebody who is no member now nothing is shown: where his messages end is said by places in logs that are not here.
//! Keys are worked out on chains of their own, for those of the log never go back, and within a bound for all and for each device;
//! what is too dear waits for the next minute.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parlor_crypto::epoch::SenderChain;
use parlor_crypto::seal::{self, MessageKey};

use super::fading;
use super::receive::open_body;
use super::run::authentic;
use super::types::{Message, Standing, Verdict};
use super::{Epochs, Room};
use crate::event::{Event, MessageHeader};
use crate::ids::{DeviceId, EpochId, EventId};
use crate::limits;

/// The early messages of one room.
#[derive(Default)]
pub struct Early {
    held: BTreeMap<EventId, Held>,
    bytes: usize,
    /// How many messages of each device there are.
    of_device: BTreeMap<DeviceId, usize>,
    /// Those that are shown since that was asked last.
    news: Vec<EventId>,
    /// When those are over, or were, that disappear: they end no later because the log brings them.
    ends_ms: BTreeMap<EventId, u64>,
    budget: Budget,
}

/// An early message.
struct Held {
    event: Event,
    /// Who gave it; `None` if it came by gossip.
    from: Option<DeviceId>,
    came_ms: u64,
    shown: Option<Box<Message>>,
}

/// What an early message is.
enum Judged {
    /// To be shown.
    Shown(Box<Message>),
    /// Something it needs is not here yet, or its author is no member now.
    Waits,
    /// Not to be shown before the log reaches it.
    Never,
}

/// What judging may cost in a while, all messages together: whoever sends what comes early says how dear it is.
#[derive(Default)]
struct Budget {
    /// When it was full.
    full_ms: Option<u64>,
    /// Steps of chains of keys that are left,
    steps: u32,
    /// those that were made for each device,
    spent: HashMap<DeviceId, u32>,
    /// and views that were not worked out yet.
    views: usize,
    /// Something waits for the next time.
    short: bool,
    /// The chains, as far as they went: who goes on talking costs a step a message.
    chains: HashMap<(EpochId, u32, DeviceId), SenderChain>,
}

impl Budget {
    fn refill(&mut self, now_ms: u64) {
        self.short = false;
        // Also when the clock went back.
        if self.full_ms.is_none_or(|full_ms| now_ms.abs_diff(full_ms) >= limits::EARLY_REFILL_MS) {
            self.full_ms = Some(now_ms);
            (self.steps, self.views) = (limits::MAX_EARLY_STEPS, limits::MAX_EARLY_VIEWS);
            self.spent.clear();
        }
    }

    /// Takes so many steps for a message of a device.
    fn spend(&mut self, device: DeviceId, steps: u32) -> Result<(), TooDear> {
        let spent = self.spent.entry(device).or_default();
        let (of_device, left) = (spent.saturating_add(steps), self.steps.checked_sub(steps));
        let left = left.filter(|_| of_device <= limits::MAX_EARLY_STEPS_OF_DEVICE).ok_or(TooDear)?;
        (*spent, self.steps) = (of_device, left);
        Ok(())
    }

    /// When there is more for what waits.
    fn due(&self) -> Option<u64> {
        Some(self.full_ms.filter(|_| self.short)?.saturating_add(limits::EARLY_REFILL_MS))
    }
}

impl Early {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes messages in any order, any number of times; what the log holds, or never may, is left out. Beyond the bounds nothing is
    /// taken. Answers whether more are shown than before.
    pub fn take(&mut self, room: &mut Room, from: Option<DeviceId>, events: Vec<Event>, now_ms: u64) -> bool {
        let mut ids = BTreeSet::new();
        let known = |id: EventId| {
            self.held.contains_key(&id) || self.ends_ms.get(&id).is_some_and(|ends_ms| *ends_ms <= now_ms)
        };
        let fresh = |event: &Event| room.may_be_early(event) && !known(event.id());
        let events: Vec<Event> = events.into_iter().filter(|event| fresh(event) && ids.insert(event.id())).collect();
        let good = authentic(&room.id, &events, &mut room.keys, |_| false);
        for (event, good) in events.into_iter().zip(good) {
            let bytes = self.bytes + event.bytes().len();
            let of_device = self.of_device.get(&event.device()).copied().unwrap_or(0);
            let full = self.held.len() >= limits::MAX_EARLY || bytes > limits::MAX_EARLY_BYTES;
            if !good || full || of_device >= limits::MAX_EARLY_OF_DEVICE {
                continue;
            }
            self.bytes = bytes;
            self.of_device.insert(event.device(), of_device + 1);
            self.held.insert(event.id(), Held { event, from, came_ms: now_ms, shown: None });
        }
        let before = self.n_shown();
        self.judge(room, now_ms);
        self.n_shown() > before
    }

    /// Control events or keys came, or what was too dear is [due](Self::due): looks at those again that were not shown, and whether
    /// the others still are. Answers which are shown no more.
    pub fn look_again(&mut self, room: &mut Room, now_ms: u64) -> Vec<Message> {
        let mut gone = Vec::new();
        for held in self.held.values_mut() {
            let stays = |message: &Message| room.shows_early(&message.event);
            if let Some(message) = held.shown.take_if(|message| !stays(message)) {
                gone.push(*message);
            }
        }
        self.judge(room, now_ms);
        gone.retain(|message| self.held.get(&message.event.id()).is_none_or(|held| held.shown.is_none()));
        gone
    }

    /// The log holds this message. Answers whether it was an early one.
    pub fn landed(&mut self, id: &EventId) -> bool {
        self.remove(id).is_some()
    }

    /// This member holds no more messages than we: what it gave belongs to no log. With `nobody` nobody connected holds more, so none
    /// of them does. Answers which were shown.
    pub fn equal(&mut self, with: &DeviceId, nobody: bool) -> Vec<Message> {
        self.drop_if(|held| nobody || held.from == Some(*with))
    }

    /// Takes those out whose time is over. Answers which were shown.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Message> {
        self.ends_ms.retain(|_, ends_ms| ends_ms.saturating_add(limits::CLOCK_ERROR_MS) > now_ms);
        self.drop_if(|held| held.ends_ms() <= now_ms)
    }

    /// When [`expire`](Self::expire) or [`look_again`](Self::look_again) is due.
    pub fn due(&self) -> Option<u64> {
        self.held.values().map(Held::ends_ms).chain(self.budget.due()).min()
    }

    /// When a message disappears, or did, that is shown early, or was: also if the log brings it later.
    pub fn ends_ms(&self, id: &EventId) -> Option<u64> {
        self.ends_ms.get(id).copied()
    }

    /// Those that are shown since this was asked last.
    pub fn news(&mut self) -> Vec<EventId> {
        let mut news = std::mem::take(&mut self.news);
        news.retain(|id| self.get(id).is_some());
        news
    }

    /// Those that are shown, in no order.
    pub fn shown(&self) -> impl Iterator<Item = &Message> {
        self.held.values().filter_map(|held| held.shown.as_deref())
    }

    /// One that is shown, and when it came.
    pub fn get(&self, id: &EventId) -> Option<(&Message, u64)> {
        let held = self.held.get(id)?;
        Some((held.shown.as_deref()?, held.came_ms))
    }

    /// How many are shown.
    pub fn n_shown(&self) -> usize {
        self.shown().count()
    }

    fn judge(&mut self, room: &mut Room, now_ms: u64) {
        let mut waiting: Vec<Event> =
            self.held.values().filter(|held| held.shown.is_none()).map(|held| held.event.clone()).collect();
        // Chains of keys go forward only, and what costs little goes first.
        waiting.sort_by_key(|event| (event.message().map(|header| header.generation), event.seq()));
        self.budget.refill(now_ms);
        for event in waiting {
            match room.judge_early(&event, &mut self.budget, now_ms) {
                Judged::Shown(message) => self.show(room, event.id(), message),
                Judged::Waits => {}
                Judged::Never => drop(self.remove(&event.id())),
            }
        }
    }

    fn show(&mut self, room: &mut Room, id: EventId, message: Box<Message>) {
        let Some(held) = self.held.get_mut(&id) else { return };
        room.seen_early = room.seen_early.max(message.order);
        if let Some(fades_ms) = message.fades_ms {
            self.ends_ms.insert(id, fades_ms);
        }
        if self.ends_ms.len() > limits::MAX_EARLY_ENDS
            && let Some(first) = self.ends_ms.iter().min_by_key(|(_, ends_ms)| **ends_ms).map(|(id, _)| *id)
        {
            self.ends_ms.remove(&first);
        }
        self.news.push(id);
        held.shown = Some(message);
    }

    fn drop_if(&mut self, gone: impl Fn(&Held) -> bool) -> Vec<Message> {
        let ids: Vec<EventId> = self.held.iter().filter(|(_, held)| gone(held)).map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.remove(&id)?.shown).map(|message| *message).collect()
    }

    fn remove(&mut self, id: &EventId) -> Option<Held> {
        let held = self.held.remove(id)?;
        self.bytes -= held.event.bytes().len();
        if let Some(n) = self.of_device.get_mut(&held.event.device()) {
            *n -= 1;
        }
        self.of_device.retain(|_, n| *n > 0);
        if self.held.is_empty() {
            self.budget.chains.clear();
        }
        Some(held)
    }
}

impl Held {
    fn ends_ms(&self) -> u64 {
        let until_ms = self.came_ms.saturating_add(limits::EARLY_KEPT_MS);
        let fades_ms = self.shown.as_ref().and_then(|message| message.fades_ms);
        fades_ms.map_or(until_ms, |fades_ms| fades_ms.min(until_ms))
    }
}

impl Room {
    /// Whether a message may come early: its log has not come so far, and it is none of ours.
    fn may_be_early(&self, event: &Event) -> bool {
        let reached = |end: &super::messages::LogEnd| end.seq >= event.seq();
        event.message().is_some()
            && !event.is_bare()
            && event.device() != self.me.device()
            && !self.dag.is_left_out(&event.log())
            && !self.messages.end(&event.device()).is_some_and(reached)
            && !self.seen(event)
    }

    /// Whether a message that was judged early is still to be shown.
    fn shows_early(&self, event: &Event) -> bool {
        self.standing(&event.device()) == Standing::Live && self.verdict(event) == Verdict::Shown
    }

    /// Judges an authentic message by its own view, without those before it in its log.
    fn judge_early(&mut self, event: &Event, budget: &mut Budget, now_ms: u64) -> Judged {
        if !self.may_be_early(event) {
            return Judged::Never;
        }
        let Some(header) = event.message() else { return Judged::Never };
        if self.standing(&event.device()) != Standing::Live
            || header.control.iter().any(|it| self.dag.find(it).is_none())
        {
            return Judged::Waits;
        }
        if self.contexts.peek(&header.control).is_none() {
            let Some(left) = budget.views.checked_sub(1) else {
                budget.short = true;
                return Judged::Waits;
            };
            budget.views = left;
        }
        let Some(view) = self.view(header) else { return Judged::Waits };
        // A clock far ahead would have it stand elsewhere when the log comes.
        let Ok(author) = self.check_view(header, view) else { return Judged::Never };
        if header.hlc.is_ahead_of(now_ms) {
            return Judged::Never;
        }
        let ttl_ms = self.ttl_of(header);
        let fades_ms = ttl_ms.and_then(|ttl_ms| fading::ends_ms(header.hlc.ms(), ttl_ms, now_ms));
        if ttl_ms.is_some() && fades_ms.is_none() {
            return Judged::Never;
        }
        if self.verdict(event) != Verdict::Shown {
            return Judged::Waits;
        }
        let sealing = event.sealing_header();
        let key = match self.epochs.key_apart(self.id.as_bytes(), header, &sealing, budget) {
            Ok(Some(key)) => key,
            Ok(None) => return Judged::Waits,
            Err(TooDear) => {
                budget.short = true;
                return Judged::Waits;
            }
        };
        let Some(body) = open_body(self.id.as_bytes(), &key, &sealing, event.payload()) else { return Judged::Never };
        Judged::Shown(Box::new(Message {
            event: event.clone(),
            author,
            order: header.hlc,
            covers_own: 0,
            key: Some(key),
            body: Some(body),
            verdict: Verdict::Shown,
            unsafe_epoch: !view.safe,
            fades_ms,
        }))
    }
}

/// A key that a page may not cost.
struct TooDear;

impl Epochs {
    /// The key of a message whose generation nobody has checked: within the budget, and without moving a chain of the log on.
    fn key_apart(
        &mut self,
        room: &[u8; 32],
        header: &MessageHeader,
        sealing: &[u8],
        budget: &mut Budget,
    ) -> Result<Option<MessageKey>, TooDear> {
        let Some(slice) = self.slice(&header.epoch, header.slice) else { return Ok(None) };
        let place = (header.epoch, header.slice, header.device);
        let mut chain = budget
            .chains
            .remove(&place)
            .filter(|chain| chain.generation() <= header.generation)
            .unwrap_or_else(|| slice.sender(header.device.as_bytes()));
        let steps = header.generation - chain.generation();
        budget.spend(header.device, steps)?;
        chain.advance_to(header.generation).map_err(|_| TooDear)?;
        let key = chain.message_key(&seal::header_digest(room, sealing));
        if budget.chains.len() < limits::MAX_EARLY {
            budget.chains.insert(place, chain);
        }
        Ok(Some(key))
    }
}

#[cfg(test)]
impl Early {
    /// How many steps of chains may be made yet.
    pub(super) fn steps_left(&self) -> u32 {
        self.budget.steps
    }
}
