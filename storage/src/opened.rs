//! Messages opened or sealed lately, so that the newest page and events just received are not opened again for each
//! window and each peer.
//!
//! What is remembered is found by the nonce and the key of the sealed value as it was read, so it can never be older
//! than the disk: a value written anew has another nonce. One slot for each nonce modulo their number; nonces are
//! random, and a collision forgets the older. Wiped when forgotten.

use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::limits::{REMEMBERED_BYTES, REMEMBERED_VALUES};

/// The plain form of a value, shared with whoever reads it.
pub(crate) type Plain = Arc<Zeroizing<Vec<u8>>>;

const NONCE: usize = 24;
const KEY: usize = 24;

/// The memory.
#[derive(Debug)]
pub(crate) struct Opened(Vec<Mutex<Option<Slot>>>);

struct Slot {
    nonce: [u8; NONCE],
    key: [u8; KEY],
    plain: Plain,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slot")
    }
}

impl Opened {
    pub(crate) fn new() -> Self {
        Self((0..REMEMBERED_VALUES).map(|_| Mutex::new(None)).collect())
    }

    /// The plain form of `sealed`, if it was remembered for `key`.
    pub(crate) fn find(&self, key: &[u8], sealed: &[u8]) -> Option<Plain> {
        let nonce: &[u8; NONCE] = sealed.first_chunk()?;
        let slot = self.slot(nonce)?.lock().unwrap_or_else(PoisonError::into_inner);
        let found = slot.as_ref()?;
        (found.nonce == *nonce && found.key == key).then(|| Arc::clone(&found.plain))
    }

    /// Remembers the plain form of `sealed`, if it is small.
    pub(crate) fn remember(&self, key: &[u8], sealed: &[u8], plain: &Plain) {
        if plain.len() > REMEMBERED_BYTES {
            return;
        }
        if let (Some(nonce), Ok(key)) = (sealed.first_chunk(), key.try_into())
            && let Some(slot) = self.slot(nonce)
        {
            let fresh = Slot { nonce: *nonce, key, plain: Arc::clone(plain) };
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
        }
    }

    fn slot(&self, nonce: &[u8; NONCE]) -> Option<&Mutex<Option<Slot>>> {
        let [low, high, ..] = *nonce;
        self.0.get(usize::from(u16::from_le_bytes([low, high])) % REMEMBERED_VALUES)
    }
}
