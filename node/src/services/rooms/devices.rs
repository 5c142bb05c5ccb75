//! The devices of this account in a room: which there are, and one that is revoked with the keys that follow.

use std::collections::BTreeMap;

use parlor_api::{Code, OwnDevice, Problem};
use parlor_proto::DeviceId;
use parlor_proto::room::DeviceInfo;

use super::entry::Turn;
use super::message::Reply;
use super::settle::Settle;
use crate::account::rng;
use crate::app::Answer;
use crate::bus::rfc3339;
use crate::limits::ID_PREFIX_MIN;
use crate::services::own::Came;

impl Turn<'_> {
    /// The devices of this account that the room knows, also revoked ones.
    pub(super) fn own_devices(&self) -> Vec<OwnDevice> {
        let (me, this) = (self.context.identity.account(), self.context.identity.device());
        let connected = self.entry.connected();
        let view = |info: DeviceInfo| OwnDevice {
            device: info.device.to_string(),
            name: info.name,
            since: Some(rfc3339(info.since_ms)),
            this: info.device == this,
            online: info.device == this || connected.contains(&info.device),
            rooms: vec![self.id().to_string()],
            revoked: info.revoked,
            still_in: Vec::from_iter((!info.revoked && self.entry.room.is_member()).then(|| self.id().to_string())),
            new: false,
            contradicts_itself: info.contradicts_itself,
        };
        self.entry.room.devices(&me).into_iter().map(view).collect()
    }

    /// Tells which devices of this account the room knows: also as the room begins, since what is kept of them may be older.
    pub(super) fn tell_own_devices(&self) {
        let others = self.other_devices();
        self.context.own.stands(self.id(), self.entry.room.is_member(), &others);
        self.context.own.saw(others);
    }

    fn other_devices(&self) -> Vec<Came> {
        let this = self.context.identity.device();
        let infos = self.entry.room.devices(&self.context.identity.account());
        let came = |info: DeviceInfo| Came {
            device: info.device,
            name: info.name,
            revoked: info.revoked,
            new: info.came_after_us,
        };
        infos.into_iter().filter(|info| info.device != this).map(came).collect()
    }

    /// Revokes a device of this account in this room, and makes the epoch that follows in the same batch.
    pub(super) fn revoke_device(&mut self, device: &DeviceId, reply: Reply<()>) {
        let root = self.context.identity.root();
        match self.entry.room.revoke_device(device, root, self.now_ms, &mut rng()) {
            Err(why) => drop(reply.send(Err(self.refused(why)))),
            Ok(outcome) => self.commit(outcome, Settle::reply(|_, done| drop(reply.send(done)))),
        }
    }
}

/// The devices of all rooms, each once: this one first, then by name.
pub(crate) fn merged(this: OwnDevice, of_rooms: Vec<Vec<OwnDevice>>) -> Vec<OwnDevice> {
    let mut all = BTreeMap::from([(this.device.clone(), this)]);
    for device in of_rooms.into_iter().flatten() {
        match all.get_mut(&device.device) {
            None => drop(all.insert(device.device.clone(), device)),
            Some(known) => {
                known.since = known.since.take().into_iter().chain(device.since).min();
                known.rooms.extend(device.rooms);
                known.still_in.extend(device.still_in);
                known.online |= device.online;
                known.revoked |= device.revoked;
                known.contradicts_itself |= device.contradicts_itself;
            }
        }
    }
    let mut devices: Vec<OwnDevice> = all.into_values().collect();
    // This one can not revoke itself: the others say it.
    devices.iter_mut().filter(|device| device.this || !device.revoked).for_each(|device| device.still_in.clear());
    devices.sort_by(|a, b| (!a.this, a.revoked, &a.name, &a.device).cmp(&(!b.this, b.revoked, &b.name, &b.device)));
    devices
}

/// The device that a user means: by its id, a unique beginning of it, or its name.
///
/// # Errors
/// `not_found`; `ambiguous`.
pub(crate) fn named(devices: Vec<OwnDevice>, text: &str) -> Answer<OwnDevice> {
    let lower = text.to_ascii_lowercase();
    let by_id = |device: &OwnDevice| text.len() >= ID_PREFIX_MIN && device.device.starts_with(&lower);
    let mut found: Vec<OwnDevice> = devices.into_iter().filter(|device| by_id(device) || device.name == text).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Problem::new(Code::Ambiguous, "more than one device fits").hint("type more of its id")),
        (None, _) => Err(Problem::new(Code::NotFound, format!("this account has no device {text}"))
            .hint("parlor device list shows them")),
    }
}
