//! Keys that are destroyed: what they sealed can be had from nothing afterwards, whatever old pages of it are on the disk.
//!
//! sled never overwrites: what a row held stays in its log until a segment is used again, and so it is in the journal. So what is to
//! disappear is sealed once more, under a key of this file, and the key is overwritten where it stands, and synced. A key lasts until a
//! moment, and everything that ends within a short while before it shares it; or it is of one value alone, and goes when that does.
//!
//! ```text
//! file = slots of 128 bytes
//! slot = zeros, or Env(values, aad = 0xff | number of the slot u64, id u64 | until u64 | key[32]) | zeros[40]
//! ```
//! A slot is written before the group that needs it, and synced with it. One that does not open is free: a key that was being written
//! when the power went had sealed nothing durable. Ids are random, so none is given again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use parlor_crypto::Secret;
use parlor_crypto::envelope::EnvelopeKey;
use rand::Rng;
use zeroize::Zeroizing;

use crate::fault::Fault;
use crate::limits::{FADING_KEYS, MAX_SLOTS};
use crate::seal::Sealer;

/// Bytes of a slot: a divisor of every sector, so that none is torn.
const SLOT: usize = 128;

/// The `until` of a key of one value.
const OF_ONE: u64 = u64::MAX;

/// The name of a key.
pub(crate) type KeyId = u64;

/// How long something sealed with one of these keys lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasts {
    /// Up to this moment, in milliseconds since the epoch, or a little longer.
    Until(u64),
    /// As long as its row.
    Row,
}

/// The keys of a store that are there.
#[derive(Debug)]
pub(crate) struct Keyring {
    keys: RwLock<Keys>,
}

#[derive(Debug)]
struct Keys {
    file: File,
    by_id: HashMap<KeyId, Held>,
    /// By number; whose key it holds.
    slots: Vec<Option<KeyId>>,
    by_until: HashMap<u64, KeyId>,
    /// Written and not synced.
    unsynced: bool,
}

#[derive(Debug)]
struct Held {
    slot: usize,
    until_ms: u64,
    key: EnvelopeKey,
}

impl Keyring {
    /// Reads the keys of the file, which is made if it is missing: then what they sealed is gone. Those whose time is over are
    /// destroyed before anything can be read with them.
    pub(crate) fn open(path: &Path, sealer: &Sealer) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Zeroizing::new(Vec::new());
        (&file).take((MAX_SLOTS * SLOT) as u64).read_to_end(&mut bytes)?;
        let mut keys =
            Keys { file, by_id: HashMap::new(), slots: Vec::new(), by_until: HashMap::new(), unsynced: false };
        for (number, slot) in bytes.chunks_exact(SLOT).enumerate() {
            let found = parse(slot, number, sealer);
            if found.is_none() && slot.iter().any(|byte| *byte != 0) {
                tracing::warn!(number, "a key of what disappears does not open: what it sealed is gone");
            }
            keys.slots.push(found.as_ref().map(|(id, _)| *id));
            if let Some((id, held)) = found {
                keys.by_until.insert(held.until_ms, id);
                keys.by_id.insert(id, held);
            }
        }
        keys.by_until.remove(&OF_ONE);
        let keyring = Self { keys: RwLock::new(keys) };
        keyring.destroy_until(now_ms())?;
        Ok(keyring)
    }

    /// Seals `plain`; answers which key opens it. It is durable after [`sync`](Self::sync).
    pub(crate) fn seal(
        &self,
        lasts: Lasts,
        aad: &[u8],
        plain: &[u8],
        sealer: &Sealer,
    ) -> Result<(KeyId, Vec<u8>), Fault> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let id = keys.key_for(lasts, sealer)?;
        let held = keys.by_id.get(&id).ok_or_else(no_slot)?;
        Ok((id, held.key.seal(&mut rand::rng(), aad, plain)))
    }

    /// Seals with a key that is there; `None` if it is gone.
    pub(crate) fn seal_again(&self, id: KeyId, aad: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Some(keys.by_id.get(&id)?.key.seal(&mut rand::rng(), aad, plain))
    }

    /// Opens what a key sealed; `None` if the key is gone.
    pub(crate) fn open_sealed(
        &self,
        id: KeyId,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = keys.by_id.get(&id) else { return Ok(None) };
        let plain = held.key.open(aad, sealed);
        plain
            .map(|plain| Some(Zeroizing::new(plain)))
            .map_err(|_| Fault::Damaged("a value that disappears does not open".to_owned()))
    }

    /// Until when a key lasts; `None` for one of a row, or that is gone.
    pub(crate) fn until(&self, id: KeyId) -> Option<u64> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.by_id.get(&id).map(|held| held.until_ms).filter(|until| *until != OF_ONE)
    }

    /// When the next key is to be destroyed.
    pub(crate) fn next(&self) -> Option<u64> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).by_until.keys().min().copied()
    }

    /// Whether a key was destroyed.
    pub(crate) fn is_gone(&self, id: KeyId) -> bool {
        !self.keys.read().unwrap_or_else(PoisonError::into_inner).by_id.contains_key(&id)
    }

    /// Makes durable what was written.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.unsynced {
            keys.file.sync_data()?;
            keys.unsynced = false;
        }
        Ok(())
    }

    /// Destroys the keys whose time is over. Answers how many.
    pub(crate) fn destroy_until(&self, now_ms: u64) -> io::Result<usize> {
        self.destroy(|_, held| held.until_ms <= now_ms)
    }

    /// Destroys the keys of rows that are gone.
    pub(crate) fn destroy_rows(&self, ids: &[KeyId]) -> io::Result<usize> {
        if ids.is_empty() {
            return Ok(0);
        }
        self.destroy(|id, held| held.until_ms == OF_ONE && ids.contains(id))
    }

    /// Whether there are keys of one row each.
    pub(crate) fn has_of_rows(&self) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.by_id.values().any(|held| held.until_ms == OF_ONE)
    }

    /// Destroys the keys of rows but these.
    pub(crate) fn keep_rows(&self, ids: &[KeyId]) -> io::Result<usize> {
        self.destroy(|id, held| held.until_ms == OF_ONE && !ids.contains(id))
    }

    fn destroy(&self, is_over: impl Fn(&KeyId, &Held) -> bool) -> io::Result<usize> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let over = keys.by_id.iter().filter(|(id, held)| is_over(id, held));
        let over: Vec<_> = over.map(|(id, held)| (*id, held.slot, held.until_ms)).collect();
        if over.is_empty() {
            return Ok(0);
        }
        for (_, slot, _) in &over {
            keys.write(*slot, &[0; SLOT])?;
        }
        // A sync that failed may have dropped what was written: all of it is written again the next time, so nothing is forgotten before.
        keys.file.sync_data()?;
        keys.unsynced = false;
        for (id, slot, until_ms) in &over {
            keys.slots[*slot] = None;
            keys.by_id.remove(id);
            if keys.by_until.get(until_ms) == Some(id) {
                keys.by_until.remove(until_ms);
            }
        }
        Ok(over.len())
    }
}

impl Keys {
    fn key_for(&mut self, lasts: Lasts, sealer: &Sealer) -> Result<KeyId, Fault> {
        let until_ms = match lasts {
            Lasts::Until(until_ms) => shared(until_ms, now_ms()),
            Lasts::Row => OF_ONE,
        };
        if let Some(id) = self.by_until.get(&until_ms) {
            return Ok(*id);
        }
        let slot = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        if slot >= MAX_SLOTS {
            return Err(no_slot());
        }
        let mut rng = rand::rng();
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(secret.as_mut_slice());
        let id = rng.next_u64();
        let plain = Zeroizing::new([&id.to_be_bytes()[..], &until_ms.to_be_bytes(), &*secret].concat());
        let mut bytes = sealer.seal_slot(slot, &plain);
        bytes.resize(SLOT, 0);
        self.write(slot, &bytes)?;
        if slot == self.slots.len() {
            self.slots.push(Some(id));
        } else {
            self.slots[slot] = Some(id);
        }
        self.by_id.insert(id, Held { slot, until_ms, key: EnvelopeKey::new(&Secret::new(*secret)) });
        if until_ms != OF_ONE {
            self.by_until.insert(until_ms, id);
        }
        Ok(id)
    }

    fn write(&mut self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.unsynced = true;
        self.file.seek(SeekFrom::Start((slot * SLOT) as u64))?;
        self.file.write_all(bytes)
    }
}

/// The moment that a key shares: of what lasts long a later one, by less than one part in [`FADING_KEYS`] of what is left, so that
/// there are never many keys; a second at least.
fn shared(until_ms: u64, now_ms: u64) -> u64 {
    let left_s = until_ms.saturating_sub(now_ms) / 1_000;
    let width_ms = (left_s / FADING_KEYS).max(1).next_power_of_two().saturating_mul(1_000);
    until_ms.div_ceil(width_ms).saturating_mul(width_ms).min(OF_ONE - 1)
}

fn parse(slot: &[u8], number: usize, sealer: &Sealer) -> Option<(KeyId, Held)> {
    let plain = sealer.open_slot(number, slot.get(..SLOT - 40)?)?;
    let (id, rest) = plain.split_first_chunk()?;
    let (until, secret) = rest.split_first_chunk()?;
    let key = EnvelopeKey::new(&Secret::new(secret.try_into().ok()?));
    Some((u64::from_be_bytes(*id), Held { slot: number, until_ms: u64::from_be_bytes(*until), key }))
}

fn no_slot() -> Fault {
    Fault::Io(io::Error::other("no place for another key of what disappears"))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_keys_are_shared_and_each_lasts_little_longer() {
        const NOW: u64 = 1_700_000_000_000;
        for ttl_s in [1, 5, 60, 3_600, 86_400, 7 * 86_400, 366 * 86_400] {
            let mut moments = std::collections::BTreeSet::new();
            for step in 0..4_096 {
                let left = ttl_s * 1_000 * step / 4_096;
                let until = shared(NOW + left, NOW);
                assert!(until >= NOW + left);
                assert!(until - (NOW + left) <= 2_000 + left / 64, "{ttl_s}: {left} {}", until - NOW - left);
                // One that writes all the time has its messages end a whole life away.
                moments.insert(shared(NOW + ttl_s * 1_000 + left, NOW + left));
            }
            assert!(moments.len() as u64 <= 2 * FADING_KEYS + 2, "{ttl_s}: {}", moments.len());
        }
    }
}
