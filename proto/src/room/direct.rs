//! Direct chats: rooms of two accounts that either may begin, and both at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlor_crypto::CryptoRng;
use parlor_crypto::Secret;
use parlor_crypto::hpke;
use parlor_crypto::leaf::LeafPublic;
use parlor_crypto::topic::TopicSecret;

use super::Room;
use super::types::{Accepted, Outcome, Refusal};
use crate::control::{AccountUpdate, Control, DIRECT_KIND, Direct, NewDevice, RotateReason, Rows};
use crate::dag::Insert;
use crate::event::{ControlHeader, Event};
use crate::identity::Identity;
use crate::ids::{AccountId, DeviceId, EpochId, EventId, RoomId};
use crate::limits;

impl Room {
    /// A room that holds nothing and knows no key: to check events of others offline, by [`receive`](Self::receive). The genesis of
    /// a direct chat, which is never sent, is taken as it is kept.
    pub fn to_check(me: Arc<Identity>, room: RoomId, genesis: Option<&Event>) -> Self {
        let topic = TopicSecret::from_secret(Secret::new([0; 32]));
        let mut checked = Self::new(me, room, topic);
        let direct = genesis.and_then(|event| match Control::decode(DIRECT_KIND, event.payload()) {
            Ok(Control::Direct(chat)) if chat.begins(&room) => virtual_genesis(&chat).ok(),
            _ => None,
        });
        if let Some(genesis) = direct {
            checked.insert_control(&genesis);
            checked.settle(&mut Outcome::default());
        }
        checked
    }

    /// Begins the direct chat of two accounts, one of which is ours, with the devices of the other as far as they are known.
    /// `topic` is what both derive from their contact keys. Whoever else begins it holds the same room.
    ///
    /// Without a device of the other nobody can be written to yet: texts wait until [`introduce`](Self::introduce) brings one.
    ///
    /// # Errors
    /// [`Refusal::NoAccount`] if the chat is not ours.
    pub fn direct(
        me: Arc<Identity>,
        chat: &Direct,
        topic: TopicSecret,
        devices: &[NewDevice],
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Outcome), Refusal> {
        let (mut room, mut outcome) = Self::silent_direct(me, chat, topic)?;
        outcome.merge(room.introduce(devices, now_ms, rng)?);
        outcome.persist.keys = room.all_rows();
        outcome.persist.heads = Some(room.messages.to_bytes());
        Ok((room, outcome))
    }

    /// As [`direct`](Self::direct), of a chat in which this device wrote before and has nothing of it: it says nothing, not even that it
    /// is there, so that no number is given twice. What it wrote comes from the other, who knows it.
    ///
    /// # Errors
    /// As [`direct`](Self::direct).
    pub fn silent_direct(me: Arc<Identity>, chat: &Direct, topic: TopicSecret) -> Result<(Self, Outcome), Refusal> {
        if !chat.ids().contains(&me.account()) {
            return Err(Refusal::NoAccount);
        }
        let mut room = Self::new(me, chat.room(), topic);
        let genesis = virtual_genesis(chat)?;
        if !matches!(room.insert_control(&genesis), Insert::New(_)) {
            return Err(Refusal::Limit);
        }
        let mut outcome = Outcome::default();
        outcome.accepted.push(Accepted::Control(genesis));
        room.settle(&mut outcome);
        outcome.persist.keys = room.all_rows();
        outcome.persist.heads = Some(room.messages.to_bytes());
        Ok((room, outcome))
    }

    /// Brings our own device and these of the other account into a direct chat, and makes the first epoch when both are in. Papers
    /// that do not hold, and devices that are in, are left out; with nothing to say nothing is written.
    ///
    /// # Errors
    /// See [`Refusal`]; [`Refusal::Direct`] in a room of another sort.
    pub fn introduce(
        &mut self,
        devices: &[NewDevice],
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Outcome, Refusal> {
        if self.dag.direct().is_none() {
            return Err(Refusal::Direct);
        }
        self.may_write()?;
        let own = NewDevice::sign(self.me.signing_key(), self.me.entrant());
        let mut new: BTreeMap<DeviceId, &NewDevice> = BTreeMap::new();
        for device in [&own].into_iter().chain(devices).filter(|device| self.is_welcome(device)) {
            if new.values().all(|other| other.leaf.leaf_pk != device.leaf.leaf_pk) {
                new.insert(device.device(), device);
            }
        }
        // Our own device is the first to be in: it writes the event.
        let own_id = own.device();
        let mut chosen: Vec<NewDevice> = new.remove(&own_id).into_iter().cloned().collect();
        let room_left = limits::MAX_UPDATE_DEVICES.saturating_sub(chosen.len());
        chosen.extend(new.into_values().take(room_left).cloned());
        chosen.sort_unstable_by_key(|device| device.cert.device_pk);
        if chosen.is_empty() {
            return Ok(Outcome::default());
        }
        let update = Control::AccountUpdate(AccountUpdate { devices: chosen, revokes: Vec::new() });
        let mut outcome = self.write_control(update, now_ms)?;
        if !self.waits_for_other() && self.best.is_none() {
            outcome.merge(self.make_epoch(RotateReason::NoSafeEpoch, now_ms, rng)?);
        }
        Ok(outcome)
    }

    /// The other account of a direct chat; `None` in rooms of another sort.
    pub fn other(&self) -> Option<AccountId> {
        self.dag.direct()?.ids().into_iter().find(|account| *account != self.me.account())
    }

    /// Whether this is a direct chat of which one account has no device here yet: nothing can be written that it could read.
    pub fn waits_for_other(&self) -> bool {
        let live = |account: &AccountId| self.dag.devices_of(account).iter().any(|no| self.live.has(*no));
        self.dag.direct().is_some_and(|direct| !direct.ids().iter().all(live))
    }

    /// What is due before something is written, in one batch with it: in a direct chat an epoch, if the one in use is sealed to a
    /// leaf key that its device has replaced, or is a week old. Nobody waits for it, and while nobody writes none is made.
    ///
    /// More often would cost a control event each, which both keep for ever, and keep out nobody: who has the leaf keys opens
    /// the next epoch as well as this one (ADR 0026).
    pub fn freshen(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> Outcome {
        let last_ms = self.last_own_rotation_ms();
        // One of a time when our clock was far ahead: no other of ours counts that does not say it is an hour later still.
        let ahead = last_ms > now_ms.saturating_add(limits::CLOCK_ERROR_MS);
        let rested_ms = if ahead { self.rotated_ms } else { last_ms };
        let rested = now_ms >= rested_ms.saturating_add(limits::DIRECT_EVERY_MS);
        let heals = |best: EpochId| !self.is_sealed_to_newest(&best) || self.is_old(&best, now_ms);
        if self.dag.direct().is_none() || !rested || !self.best.is_some_and(heals) {
            return Outcome::default();
        }
        self.rotated_ms = now_ms;
        let at_ms = if ahead { last_ms.saturating_add(limits::ROTATE_EVERY_MS) } else { now_ms };
        // What can not be made now is made another time: the epoch in use is safe.
        self.make_epoch(RotateReason::Age, at_ms, rng).unwrap_or_default()
    }

    /// Whether the rows of an epoch are for the newest leaf key of every live device.
    fn is_sealed_to_newest(&self, epoch: &EpochId) -> bool {
        let Some((_, rotate)) = self.dag.epoch(epoch) else { return true };
        let Rows::Inline(rows) = &rotate.rows else { return true };
        self.live_device_ids().all(|device| {
            let leaf = self.leaf_of(&device).and_then(|leaf| LeafPublic::parse(&leaf.leaf_pk).ok());
            let hint = leaf.map(|leaf| hpke::row_hint(&leaf, device.as_bytes(), &rotate.commit));
            hint.is_none_or(|hint| rows.iter().any(|row| row.hint == hint))
        })
    }

    /// Whether an epoch is replaced by itself when it is old. In a direct chat who writes next replaces it, so by itself only to
    /// let go of a key that is to be forgotten: if it was written under, in a room that forgets.
    pub(super) fn goes_by_itself(&self, epoch: &EpochId) -> bool {
        let written = || self.messages.ends().values().any(|end| end.epoch == *epoch);
        self.dag.direct().is_none() || (self.key_lifetime_ms(epoch).is_some() && written())
    }

    /// Whether a device with its papers may be brought in: of one of the two, with papers that hold, not here yet, not revoked.
    fn is_welcome(&self, device: &NewDevice) -> bool {
        let account = AccountId(device.cert.account);
        let ours = self.dag.direct().is_some_and(|direct| direct.ids().contains(&account));
        let known = self.dag.device_no(&device.device()).is_some();
        let holds = self.dag.inception(&account).is_some_and(|inception| device.verify(inception).is_ok());
        let leaf_free = self.dag.leaf_owners(&device.leaf.leaf_pk).is_empty();
        ours && !known && leaf_free && holds
    }
}

/// The beginning of a direct chat: the same bytes on every node.
fn virtual_genesis(chat: &Direct) -> Result<Event, Refusal> {
    let header = ControlHeader {
        v: limits::VERSION,
        suite: limits::SUITE,
        kind: DIRECT_KIND,
        device: DeviceId([0; 32]),
        seq: 1,
        prev: EventId::ZERO,
        parents: Vec::new(),
        lamport: 1,
        ts_ms: 0,
        payload_len: 0,
        payload_hash: [0; 32],
    };
    let payload = Control::Direct(chat.clone()).encode();
    Event::unsigned(&chat.room(), header, &payload).map_err(|_| Refusal::Limit)
}
