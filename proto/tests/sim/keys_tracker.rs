//! Who can derive which key: what a device could do that never forgets anything it was ever given.
//!
//! A [`Tracker`] is told everything a device stores, every leaf secret it has, and every control event it sees, and tries
//! all of it: rows are really opened, payloads really decrypted. Honest devices know less, for they destroy keys; so what
//! the tracker can not derive nobody can who held that device's memory and disk for its whole life.

use std::collections::{BTreeMap, BTreeSet};

use parlor_crypto::epoch::SliceSecret;
use parlor_crypto::hpke::{self, RowContext};
use parlor_crypto::leaf::LeafSecret;
use parlor_crypto::seal;
use parlor_crypto::secret::Secret;
use parlor_proto::control::{Control, Rotate, Row, Rows};
use parlor_proto::event::Event;
use parlor_proto::identity::Identity;
use parlor_proto::room::{EpochRow, KeyRows};
use parlor_proto::{DeviceId, EpochId, RoomId};

/// What one device was given.
#[derive(Default)]
struct Knowledge {
    leafs: Vec<LeafSecret>,
    /// By epoch and slice.
    keys: BTreeMap<(EpochId, u32), Vec<Secret>>,
    rotates: BTreeMap<EpochId, Rotate>,
}

/// What every device of a room could derive.
pub(crate) struct Tracker {
    room: RoomId,
    devices: BTreeMap<DeviceId, Knowledge>,
}

impl Tracker {
    pub(crate) fn new(room: RoomId) -> Self {
        Self { room, devices: BTreeMap::new() }
    }

    /// The device stored these rows: its own keys, and those it was handed by Welcomes and key shares.
    pub(crate) fn stored(&mut self, device: DeviceId, rows: &KeyRows) {
        let known = self.devices.entry(device).or_default();
        for (name, row) in rows {
            let row = row.as_ref().and_then(|row| EpochRow::decode(name, row));
            if let Some((epoch, Some(held))) = row.map(|(epoch, row)| (epoch, row.key)) {
                known.learn(epoch, held.slice, held.key);
            }
        }
    }

    /// The device has these leaf keys.
    pub(crate) fn is(&mut self, me: &Identity) {
        let room = self.room;
        let known = self.devices.entry(me.device()).or_default();
        for leaf in me.leafs() {
            if !known.leafs.iter().any(|held| held.public() == leaf.secret.public()) {
                known.leafs.push(leaf.secret.clone());
            }
        }
        let rotates: Vec<_> = known.rotates.iter().map(|(epoch, rotate)| (*epoch, rotate.clone())).collect();
        rotates.iter().for_each(|(epoch, rotate)| known.open(&room, &me.device(), *epoch, rotate));
    }

    /// The device saw this event.
    pub(crate) fn saw(&mut self, device: DeviceId, event: &Event) {
        let kind = event.control().map(|header| header.kind);
        let rotate = kind.and_then(|kind| Control::decode(kind, event.payload()).ok());
        if let Some(Control::Rotate(rotate)) = rotate {
            let known = self.devices.entry(device).or_default();
            let epoch = EpochId::of(&event.id());
            known.open(&self.room, &device, epoch, &rotate);
            known.rotates.insert(epoch, rotate);
        }
    }

    /// The device was given the key of a slice.
    pub(crate) fn given(&mut self, device: DeviceId, epoch: EpochId, slice: u32, key: Secret) {
        self.devices.entry(device).or_default().learn(epoch, slice, key);
    }

    /// Whether all that the device was ever given decrypts this message.
    pub(crate) fn reads(&self, device: &DeviceId, message: &Event) -> bool {
        let (Some(known), Some(header)) = (self.devices.get(device), message.message()) else { return false };
        let sealing = message.sealing_header();
        let earlier = known.keys.range((header.epoch, 0)..=(header.epoch, header.slice));
        earlier.flat_map(|((_, slice), keys)| keys.iter().map(move |key| (*slice, key))).any(|(slice, key)| {
            let Ok(mut secret) = SliceSecret::from_secret(slice, key.clone()) else { return false };
            if secret.advance_to(header.slice).is_err() {
                return false;
            }
            let mut chain = secret.sender(header.device.as_bytes());
            if chain.advance_to(header.generation).is_err() {
                return false;
            }
            let key = chain.message_key(&seal::header_digest(self.room.as_bytes(), &sealing));
            seal::open(&key, self.room.as_bytes(), &sealing, message.payload()).is_ok()
        })
    }

    /// The devices that were given any key of an epoch.
    pub(crate) fn holders(&self, epoch: &EpochId) -> BTreeSet<DeviceId> {
        let holds = |known: &Knowledge| known.keys.range((*epoch, 0)..=(*epoch, u32::MAX)).next().is_some();
        self.devices.iter().filter(|(_, known)| holds(known)).map(|(device, _)| *device).collect()
    }
}

impl Knowledge {
    fn learn(&mut self, epoch: EpochId, slice: u32, key: Secret) {
        let held = self.keys.entry((epoch, slice)).or_default();
        if !held.contains(&key) {
            held.push(key);
        }
    }

    /// Tries every row with every leaf key, whether or not the hint says that it is for us.
    fn open(&mut self, room: &RoomId, device: &DeviceId, epoch: EpochId, rotate: &Rotate) {
        let Rows::Inline(rows) = &rotate.rows else { return };
        let context = RowContext { room_id: room.0, commit: rotate.commit, member_root: rotate.member_root };
        let opened = self.leafs.iter().find_map(|leaf| {
            let hint = hpke::row_hint(&leaf.public(), device.as_bytes(), &rotate.commit);
            let ours = |row: &&Row| row.hint == hint;
            rows.iter().filter(ours).find_map(|row| hpke::open_row(&context, device.as_bytes(), leaf, row).ok())
        });
        if let Some(secret) = opened {
            self.learn(epoch, 0, secret.secret().clone());
        }
    }
}
