//! Devices of the own account that came while this one was there: told loudly, until the user says that he knows them, or one is
//! revoked.
//!
//! No device is made by another one: each comes with the recovery phrase or of a backup, and so does that of somebody who has
//! either. What was in a room before this device is not new: of it the devices were told that were there already. Only causality says
//! what was before, no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_api::{Code, DeviceChange, DeviceChanged, EventBody, Problem};
use parlor_proto::{DeviceId, RoomId, codec};
use parlor_storage::{Batch, Namespace, Store};
use serde::{Deserialize, Serialize};

use crate::app::Answer;
use crate::bus::Bus;
use crate::clock::now_ms;
use crate::limits::OWN_DEVICES_MAX;

/// The name of what is kept.
const NAME: &[u8] = b"own-devices";
/// Its longest form.
const MAX: usize = 64 * 1024;

/// A device as a room knows it.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) device: DeviceId,
    pub(crate) name: String,
    pub(crate) revoked: bool,
    /// Whether it came when this one was there already.
    pub(crate) new: bool,
}

/// A device that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    name: String,
    at_ms: u64,
    /// The user said that it is his, or it is revoked.
    settled: bool,
}

/// How a device stands in the rooms of this one. In memory only: every room says so as it begins.
#[derive(Debug, Clone, Default)]
struct Stands {
    name: String,
    revoked: bool,
    /// The rooms in which it is not revoked.
    live: BTreeSet<RoomId>,
}

/// What is known of the own account's devices.
#[derive(Clone)]
pub(crate) struct OwnDevices {
    seen: Arc<Mutex<BTreeMap<DeviceId, Seen>>>,
    stands: Arc<Mutex<BTreeMap<DeviceId, Stands>>>,
    /// One write at a time, each of all that is known then.
    writing: Arc<tokio::sync::Mutex<()>>,
    store: Store,
    bus: Bus,
}

impl OwnDevices {
    /// What the store says. A list that can not be read keeps no home from starting: what is in it is told once more. Blocks.
    pub(crate) fn load(store: &Store, bus: &Bus) -> Self {
        let read = || {
            let bytes = store.get(None, Namespace::Meta, NAME).map_err(|error| error.to_string())?;
            bytes.map(|bytes| codec::decode(&bytes, MAX)).transpose().map_err(|error| error.to_string())
        };
        let seen = read().unwrap_or_else(|error| {
            tracing::warn!(error, "the list of own devices can not be read");
            None
        });
        Self {
            seen: Arc::new(Mutex::new(seen.unwrap_or_default())),
            stands: Arc::default(),
            writing: Arc::default(),
            store: store.clone(),
            bus: bus.clone(),
        }
    }

    /// A room is gone from here.
    pub(crate) fn left(&self, room: &RoomId) {
        let mut stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        stands.values_mut().for_each(|it| _ = it.live.remove(room));
    }

    /// A room knows these devices of the account, but for this one.
    pub(crate) fn saw(&self, devices: Vec<Came>) {
        let news = note(&mut self.seen(), devices, now_ms());
        if !news.changed {
            return;
        }
        for (device, name) in news.came {
            tracing::warn!(device = %device.short(), "a device came to the own account");
            self.tell(&device, name, DeviceChange::Came);
        }
        let own = self.clone();
        // What could not be written is told again after a start: every room tells as it begins what it knows.
        tokio::spawn(async move {
            if let Err(problem) = own.save().await {
                tracing::warn!(%problem, "which own devices came could not be kept");
            }
        });
    }

    /// How a room knows these devices, where this account is a member or not any more.
    pub(crate) fn stands(&self, room: RoomId, member: bool, devices: &[Came]) {
        let mut stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        for Came { device, name, revoked, .. } in devices {
            if !stands.contains_key(device) && stands.len() >= OWN_DEVICES_MAX {
                continue;
            }
            let it = stands.entry(*device).or_default();
            it.name.clone_from(name);
            it.revoked |= revoked;
            if member && !revoked {
                it.live.insert(room);
            } else {
                it.live.remove(&room);
            }
        }
    }

    /// Those that were revoked in some room and read on in others, which whoever revoked them is not in: name, and in how many. Never
    /// revoked there by itself: a thief with the recovery phrase could have it done to all of them by one word in one room.
    pub(crate) fn half_revoked(&self) -> Vec<(String, u64)> {
        let stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        let half = stands.values().filter(|it| it.revoked && !it.live.is_empty());
        half.map(|it| (it.name.clone(), it.live.len() as u64)).collect()
    }

    /// Those of which the user did not say that he knows them: id, name, and when each was seen first.
    pub(crate) fn new_ones(&self) -> Vec<(DeviceId, String, u64)> {
        let seen = self.seen();
        let open = seen.iter().filter(|(_, it)| !it.settled);
        open.map(|(device, it)| (*device, it.name.clone(), it.at_ms)).collect()
    }

    /// The user knows a device. Durable when it returns.
    pub(crate) async fn confirm(&self, device: &DeviceId) -> Answer<()> {
        let Some(name) = self.settle(device) else { return Ok(()) };
        if let Err(problem) = self.save().await {
            self.seen().entry(*device).and_modify(|it| it.settled = false);
            return Err(problem);
        }
        self.tell(device, name, DeviceChange::Confirmed);
        Ok(())
    }

    fn settle(&self, device: &DeviceId) -> Option<String> {
        let mut seen = self.seen();
        let it = seen.get_mut(device).filter(|it| !it.settled)?;
        it.settled = true;
        Some(it.name.clone())
    }

    fn tell(&self, device: &DeviceId, name: String, change: DeviceChange) {
        let event = DeviceChanged { device: device.to_string(), name, change };
        self.bus.publish(now_ms(), EventBody::Device(event));
    }

    async fn save(&self) -> Result<(), Problem> {
        let _one = self.writing.lock().await;
        let bytes = codec::encode(&*self.seen());
        let mut batch = Batch::new(None);
        batch.put(Namespace::Meta, NAME, bytes);
        self.store.commit(batch).await.map_err(|error| crate::services::commit_problem(&error))
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<DeviceId, Seen>> {
        // Held for a few lines that do not panic.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The warning about a device, as it stands in the status.
pub(crate) fn warning(device: &DeviceId, name: &str) -> String {
    let code = Code::DeviceNew;
    format!("{}: {name} ({}): {}", code.as_str(), device.short(), code.title())
}

/// As [`warning`], about a device that was revoked and reads on in so many rooms.
pub(crate) fn half_warning(name: &str, rooms: u64) -> String {
    let code = Code::DeviceStillIn;
    format!("{}: {name}, in {rooms} of your rooms: {}", code.as_str(), code.title())
}

#[derive(Default)]
struct News {
    came: Vec<(DeviceId, String)>,
    changed: bool,
}

/// Notes devices, and says which are new. More than so many are not kept: then those go that need no word, and at last the oldest.
fn note(seen: &mut BTreeMap<DeviceId, Seen>, devices: Vec<Came>, now_ms: u64) -> News {
    let mut news = News::default();
    for Came { device, name, revoked, new } in devices {
        match seen.get_mut(&device) {
            Some(it) if revoked && !it.settled => {
                it.settled = true;
                news.changed = true;
            }
            None if !revoked => {
                if seen.len() >= OWN_DEVICES_MAX
                    && let Some(gone) = seen.iter().min_by_key(|(_, it)| (!it.settled, it.at_ms)).map(|(id, _)| *id)
                {
                    seen.remove(&gone);
                }
                // What was there before in one room is not new in another.
                seen.insert(device, Seen { name: name.clone(), at_ms: now_ms, settled: !new });
                news.came.extend(new.then_some((device, name)));
                news.changed = true;
            }
            _ => {}
        }
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(n: u8, new: bool, revoked: bool) -> Came {
        Came { device: DeviceId([n; 32]), name: format!("phone {n}"), revoked, new }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let vault = parlor_crypto::vault::Vault::generate(&mut crate::account::rng());
        let options = parlor_storage::OpenOptions { reserve_bytes: 0 };
        let store = Store::open(&dir.path().join("store"), &vault, options).unwrap();
        (dir, store)
    }

    fn names(news: News) -> Vec<String> {
        news.came.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn what_came_later_is_told_once_and_what_was_there_or_is_revoked_never() {
        let mut seen = BTreeMap::new();
        let told = names(note(&mut seen, vec![came(1, false, false), came(2, true, false), came(3, true, true)], 5));
        assert_eq!(told, ["phone 2"]);
        assert!(!note(&mut seen, vec![came(2, true, false)], 6).changed, "another room knows it, too");
        assert!(note(&mut seen, vec![came(2, true, true)], 7).changed, "it was revoked");
        assert!(seen.values().all(|it| it.settled));
        assert!(!note(&mut seen, vec![came(2, true, false)], 8).changed, "another room does not know it yet");
        assert!(!note(&mut seen, vec![came(1, true, false)], 9).changed, "it was there, in another room");
    }

    #[test]
    fn a_list_that_can_not_be_read_keeps_no_home_from_starting() {
        let (_dir, store) = store();
        let mut batch = Batch::new(None);
        batch.put(Namespace::Meta, NAME, vec![0xff; 9]);
        store.commit_blocking(batch).unwrap();
        assert!(OwnDevices::load(&store, &Bus::new(1)).new_ones().is_empty());
    }

    #[test]
    fn of_a_revoked_device_the_rooms_are_told_in_which_it_reads_on() {
        let (_dir, store) = store();
        let own = OwnDevices::load(&store, &Bus::new(1));
        let room = |n: u8| RoomId([n; 32]);
        own.stands(room(1), true, &[came(1, false, false)]);
        own.stands(room(2), true, &[came(1, false, false)]);
        assert!(own.half_revoked().is_empty(), "nobody revoked it");
        own.stands(room(3), true, &[came(1, false, true)]);
        assert_eq!(own.half_revoked(), [("phone 1".to_owned(), 2)]);
        own.stands(room(1), false, &[came(1, false, false)]);
        assert_eq!(own.half_revoked(), [("phone 1".to_owned(), 1)], "we left that room");
        own.left(&room(2));
        assert!(own.half_revoked().is_empty());
    }

    #[test]
    fn a_flood_of_devices_fills_no_memory_and_hides_none_that_came_last() {
        let mut seen = BTreeMap::new();
        for n in 0..=u8::try_from(OWN_DEVICES_MAX).unwrap() {
            assert_eq!(names(note(&mut seen, vec![came(n, true, false)], n.into())).len(), 1);
        }
        assert_eq!(seen.len(), OWN_DEVICES_MAX);
        assert!(!seen.contains_key(&DeviceId([0; 32])) && seen.values().all(|it| !it.settled));
    }
}
