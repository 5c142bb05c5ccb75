//! What is stored of the keys of a room: small rows, each written when it changes.
//!
//! One row of the topic, one an epoch, one a leaf record. A row of an epoch whose key was destroyed stays as a tombstone,
//! so that nothing opens the epoch again that is still at hand. A home written before there were rows holds all of them in
//! the row of the topic, version 1: it is read, and replaced with the next change.

use std::collections::BTreeMap;

use parlor_crypto::secret::{Secret, exposed};
use parlor_crypto::topic::TopicSecret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Room;
use super::epochs::Held;
use super::types::Outcome;
use crate::codec;
use crate::control::LeafRecord;
use crate::ids::{DeviceId, EpochId};

/// Changes of stored rows: what to write under a name, or `None` to take the row away. Names are at most 48 bytes, rows a
/// few hundred.
pub type KeyRows = BTreeMap<Vec<u8>, Option<Zeroizing<Vec<u8>>>>;
/// All stored rows by their names.
pub type StoredKeys = BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>;

/// The name of the row of the topic.
const TOPIC: &[u8] = b"room";
/// Before the id of an epoch in the name of its row.
const EPOCH: &[u8] = b"epoch";
/// Before the id of an epoch in the name of the row of its chains for late messages.
const LATE: &[u8] = b"late";
/// Before the device in the name of the row of its leaf record.
const LEAF: &[u8] = b"leaf";

/// The row of the topic.
#[derive(Serialize, Deserialize)]
struct TopicRow {
    version: u8,
    topic: TopicSecret,
    generation: u32,
}

/// The row of an epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EpochRow {
    version: u8,
    /// The earliest key held; `None` once it was destroyed.
    pub key: Option<HeldRow>,
    /// Later slices and when they began for this device, milliseconds since the epoch.
    pub began: Vec<(u32, u64)>,
}

/// A key as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeldRow {
    /// From which slice on.
    pub slice: u32,
    /// Whether it was checked against its commitment.
    pub checked: bool,
    /// The key of that slice.
    #[serde(with = "exposed")]
    pub key: Secret,
}

/// All rows in one, as they were stored first.
#[derive(Serialize, Deserialize)]
struct Version1 {
    version: u8,
    topic: TopicSecret,
    generation: u32,
    keys: Vec<Version1Key>,
    leafs: Vec<LeafRecord>,
}

#[derive(Serialize, Deserialize)]
struct Version1Key {
    epoch: EpochId,
    slice: u32,
    checked: bool,
    #[serde(with = "exposed")]
    key: Secret,
}

impl EpochRow {
    /// The epoch and its row, if this is a row of an epoch.
    pub fn decode(name: &[u8], bytes: &[u8]) -> Option<(EpochId, Self)> {
        let epoch = EpochId(name.strip_prefix(EPOCH)?.try_into().ok()?);
        let row: Self = codec::decode(bytes, usize::MAX).ok()?;
        (row.version == 1).then_some((epoch, row))
    }
}

impl Room {
    /// Adds the rows that changed since this was called last.
    pub(super) fn note_rows(&mut self, outcome: &mut Outcome) {
        if std::mem::take(&mut self.old_rows) {
            outcome.persist.keys.extend(self.all_rows());
        }
        for epoch in self.epochs.take_changed() {
            outcome.persist.keys.insert([EPOCH, epoch.as_bytes()].concat(), self.epoch_row(&epoch));
        }
        outcome.persist.keys.extend(self.late_rows());
    }

    fn late_rows(&mut self) -> KeyRows {
        let changed = self.epochs.late.take_changed().into_iter();
        changed.map(|epoch| ([LATE, epoch.as_bytes()].concat(), self.epochs.late.row(&epoch))).collect()
    }

    /// Every row there is.
    pub(super) fn all_rows(&mut self) -> KeyRows {
        let mut rows = KeyRows::from([(TOPIC.to_vec(), Some(self.topic_row()))]);
        self.epochs.change_all();
        for epoch in self.epochs.take_changed() {
            rows.insert([EPOCH, epoch.as_bytes()].concat(), self.epoch_row(&epoch));
        }
        self.epochs.late.change_all();
        rows.extend(self.late_rows());
        // Our own is in the identity.
        let others = self.leafs.values().filter(|leaf| leaf.device != self.me.device().0);
        rows.extend(others.map(leaf_row));
        rows
    }

    /// The row of a leaf record of this room.
    pub(super) fn rows_with_leaf(&mut self, leaf: &LeafRecord) -> KeyRows {
        let mut outcome = Outcome::default();
        self.note_rows(&mut outcome);
        outcome.persist.keys.extend([leaf_row(leaf)]);
        outcome.persist.keys
    }

    fn topic_row(&self) -> Zeroizing<Vec<u8>> {
        let row = TopicRow { version: 2, topic: self.topic.clone(), generation: self.generation };
        Zeroizing::new(codec::encode(&row))
    }

    fn epoch_row(&self, epoch: &EpochId) -> Option<Zeroizing<Vec<u8>>> {
        let key = |held: &Held| HeldRow { slice: held.slice, checked: held.checked, key: held.key.clone() };
        let key = self.epochs.held().get(epoch).map(key);
        if key.is_none() && !self.epochs.is_gone(epoch) {
            return None;
        }
        let row = EpochRow { version: 1, key, began: self.epochs.began(epoch).to_vec() };
        Some(Zeroizing::new(codec::encode(&row)))
    }

    /// The topic secret and its generation in stored rows.
    pub(super) fn stored_topic(rows: &StoredKeys) -> Option<(TopicSecret, u32)> {
        let bytes = rows.get(TOPIC)?;
        if let Some(old) = version_1(bytes) {
            return Some((old.topic, old.generation));
        }
        let row: TopicRow = codec::decode(bytes, usize::MAX).ok().filter(|row: &TopicRow| row.version == 2)?;
        Some((row.topic, row.generation))
    }

    /// Takes back stored rows, before the control events. `None` if one of them is damaged.
    pub(super) fn restore_keys(&mut self, rows: &StoredKeys) -> Option<()> {
        if let Some(old) = rows.get(TOPIC).and_then(|bytes| version_1(bytes)) {
            for Version1Key { epoch, slice, checked, key } in old.keys {
                self.epochs.hold(epoch, Held { slice, key, checked });
            }
            old.leafs.into_iter().for_each(|leaf| self.restore_leaf(leaf));
            self.old_rows = true;
        }
        for (name, bytes) in rows {
            if name.starts_with(EPOCH) {
                let (epoch, EpochRow { key, began, .. }) = EpochRow::decode(name, bytes)?;
                let held = key.map(|HeldRow { slice, checked, key }| Held { slice, key, checked });
                self.epochs.restore(epoch, held, began);
            } else if let Some(epoch) = name.strip_prefix(LATE) {
                self.epochs.late.restore(EpochId(epoch.try_into().ok()?), bytes)?;
            } else if name.starts_with(LEAF) {
                self.restore_leaf(codec::decode(bytes, usize::MAX).ok()?);
            }
        }
        self.epochs.take_changed();
        Some(())
    }

    fn restore_leaf(&mut self, leaf: LeafRecord) {
        if leaf.device != self.me.device().0 {
            self.leafs.insert(DeviceId(leaf.device), leaf);
        }
    }
}

fn leaf_row(leaf: &LeafRecord) -> (Vec<u8>, Option<Zeroizing<Vec<u8>>>) {
    ([LEAF, &leaf.device].concat(), Some(Zeroizing::new(codec::encode(leaf))))
}

fn version_1(bytes: &[u8]) -> Option<Version1> {
    codec::decode(bytes, usize::MAX).ok().filter(|old: &Version1| old.version == 1)
}

#[cfg(test)]
impl Room {
    /// All keys as a home held them before there were rows.
    pub(super) fn version_1_rows(&self) -> StoredKeys {
        let key = |(epoch, held): (&EpochId, &Held)| Version1Key {
            epoch: *epoch,
            slice: held.slice,
            checked: held.checked,
            key: held.key.clone(),
        };
        let old = Version1 {
            version: 1,
            topic: self.topic.clone(),
            generation: self.generation,
            keys: self.epochs.held().iter().map(key).collect(),
            leafs: self.leafs.values().copied().collect(),
        };
        StoredKeys::from([(TOPIC.to_vec(), Zeroizing::new(codec::encode(&old)))])
    }
}
