//! Late messages in rooms that forget.
//!
//! When the key of a slice is destroyed, the chain of each device that may still write in it is kept where it has got to:
//! the device was away, and does not know that others moved on. Such a chain gives the keys of what did not come yet, and of
//! nothing that came. It moves on with every message, ends when its device writes in a later slice, and is destroyed a month
//! after its slice.

use std::collections::{BTreeMap, BTreeSet};

use parlor_crypto::epoch::{SenderChain, SliceSecret};
use parlor_crypto::seal::MessageKey;
use parlor_crypto::secret::{Secret, exposed};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Room;
use super::messages::LogEnd;
use crate::codec;
use crate::event::MessageHeader;
use crate::ids::{DeviceId, EpochId};
use crate::limits;

/// The chains of devices that may still write in slices whose keys are gone.
#[derive(Debug, Default)]
pub(super) struct Late {
    epochs: BTreeMap<EpochId, LateEpoch>,
    changed: BTreeSet<EpochId>,
}

#[derive(Debug, Default)]
struct LateEpoch {
    /// When keys of it were destroyed last, by our clock.
    since_ms: u64,
    chains: BTreeMap<(DeviceId, u32), SenderChain>,
}

/// The row of an epoch.
#[derive(Serialize, Deserialize)]
struct LateRow {
    version: u8,
    since_ms: u64,
    chains: Vec<ChainRow>,
}

#[derive(Serialize, Deserialize)]
struct ChainRow {
    device: DeviceId,
    slice: u32,
    generation: u32,
    #[serde(with = "exposed")]
    key: Secret,
}

impl Late {
    /// The key of a message by a chain that was kept, which moves on behind it. The message is the next of its log.
    pub(super) fn message_key(&mut self, header: &MessageHeader, digest: &[u8; 32]) -> Option<MessageKey> {
        let late = self.epochs.get_mut(&header.epoch)?;
        let place = (header.device, header.slice);
        let chain = late.chains.get_mut(&place)?;
        chain.advance_to(header.generation).ok()?;
        let key = chain.message_key(digest);
        if chain.advance_to(header.generation.saturating_add(1)).is_err() {
            late.chains.remove(&place);
        }
        // It never writes in an earlier one again.
        late.chains.retain(|(device, slice), _| *device != header.device || *slice >= header.slice);
        self.changed.insert(header.epoch);
        Some(key)
    }

    /// Keeps the chain of a device.
    pub(super) fn keep(&mut self, epoch: EpochId, slice: u32, device: DeviceId, chain: SenderChain, now_ms: u64) {
        let late = self.epochs.entry(epoch).or_default();
        late.since_ms = late.since_ms.max(now_ms);
        late.chains.entry((device, slice)).or_insert(chain);
        self.changed.insert(epoch);
    }

    /// Destroys what was kept long enough, and what is too much: the oldest first.
    pub(super) fn expire(&mut self, now_ms: u64) {
        let kept = |late: &LateEpoch| now_ms < late.since_ms.saturating_add(limits::LATE_KEPT_MS);
        let mut gone: BTreeSet<EpochId> = self.epochs.iter().filter(|(_, late)| !kept(late)).map(|(e, _)| *e).collect();
        let mut by_age: Vec<(u64, EpochId)> = self.epochs.iter().map(|(epoch, late)| (late.since_ms, *epoch)).collect();
        by_age.sort_unstable_by(|a, b| b.cmp(a));
        let mut chains = 0;
        for (_, epoch) in by_age {
            chains += self.epochs.get(&epoch).map_or(0, |late| late.chains.len());
            if chains > limits::MAX_LATE_CHAINS {
                gone.insert(epoch);
            }
        }
        for epoch in gone {
            self.epochs.remove(&epoch);
            self.changed.insert(epoch);
        }
    }

    /// The epochs whose row is to be written.
    pub(super) fn take_changed(&mut self) -> BTreeSet<EpochId> {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The row of an epoch; nothing if no chain is kept.
    pub(super) fn row(&self, epoch: &EpochId) -> Option<Zeroizing<Vec<u8>>> {
        let late = self.epochs.get(epoch).filter(|late| !late.chains.is_empty())?;
        let chain = |((device, slice), chain): (&(DeviceId, u32), &SenderChain)| ChainRow {
            device: *device,
            slice: *slice,
            generation: chain.generation(),
            key: chain.secret().clone(),
        };
        let row = LateRow { version: 1, since_ms: late.since_ms, chains: late.chains.iter().map(chain).collect() };
        Some(Zeroizing::new(codec::encode(&row)))
    }

    /// Takes back a stored row. `None` if it is damaged.
    pub(super) fn restore(&mut self, epoch: EpochId, bytes: &[u8]) -> Option<()> {
        let row: LateRow = codec::decode(bytes, usize::MAX).ok().filter(|row: &LateRow| row.version == 1)?;
        let mut late = LateEpoch { since_ms: row.since_ms, chains: BTreeMap::new() };
        for ChainRow { device, slice, generation, key } in row.chains {
            late.chains.insert((device, slice), SenderChain::from_secret(generation, key).ok()?);
        }
        self.epochs.insert(epoch, late);
        Some(())
    }

    /// The rows of all epochs are to be written.
    pub(super) fn change_all(&mut self) {
        self.changed.extend(self.epochs.keys().copied());
    }
}

impl Room {
    /// Before the keys of the slices before `to` of an epoch are destroyed: keeps the chains of the devices that may still write
    /// in them.
    pub(super) fn keep_late(&mut self, epoch: &EpochId, to: u32, now_ms: u64) {
        let Some(held) = self.epochs.held().get(epoch).filter(|held| held.checked) else { return };
        let (from, key) = (held.slice, held.key.clone());
        let mut devices = self.epochs.info(epoch).map_or_else(Default::default, |info| info.recipients.clone());
        devices.put_all(&self.live);
        let writers: Vec<(DeviceId, u32, u32)> =
            devices.iter().filter_map(|no| self.may_write_from(epoch, no)).collect();
        if writers.len() > limits::MAX_LATE_DEVICES {
            return;
        }
        let Ok(mut slice) = SliceSecret::from_secret(from, key) else { return };
        while slice.index() < to {
            let at = slice.index();
            for (device, first, generation) in &writers {
                // Of very many slices those it knew when it was seen last, and the latest.
                if at < *first || (at - first >= limits::LATE_SLICES && to - at > limits::LATE_SLICES) {
                    continue;
                }
                let mut chain = slice.sender(device.as_bytes());
                if chain.advance_to(if at == *first { *generation } else { 0 }).is_ok() {
                    self.epochs.late.keep(*epoch, at, *device, chain, now_ms);
                }
            }
            if slice.advance_to(at + 1).is_err() {
                break;
            }
        }
    }

    /// From which slice and generation on a device may still write in an epoch. Of one whose log forked nothing is kept.
    fn may_write_from(&self, epoch: &EpochId, no: usize) -> Option<(DeviceId, u32, u32)> {
        let device = self.dag.devices().get(no)?.device;
        if device == self.me.device() || self.messages.branches().has(&device) {
            return None;
        }
        let after = |end: &LogEnd| (device, end.slice, end.generation.saturating_add(1));
        match self.messages.end(&device) {
            Some(end) if end.epoch == *epoch => Some(after(end)),
            Some(end) if self.epochs.order(&end.epoch) > self.epochs.order(epoch) => None,
            _ => Some((device, 0, 0)),
        }
    }
}
