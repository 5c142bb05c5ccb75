//! What keeps the disk silent: values sealed with the vault's cipher, keys blinded with its keyed hash.
//!
//! A value is sealed for its place (tree and key are associated data), so that neither a damaged value nor one moved to
//! another key opens. An id becomes a key only through a keyed hash, so that whoever reads the files learns no id, and
//! cannot even confirm one he knows.

use std::sync::Arc;

use parlor_crypto::Secret;
use parlor_crypto::envelope::EnvelopeKey;
use parlor_crypto::vault::{BlindingKey, Vault};
use zeroize::Zeroizing;

use crate::fault::Fault;
use crate::opened::{Opened, Plain};
use crate::schema::TreeId;

/// Seals and blinds for one store. Wiped when dropped.
#[derive(Debug, Clone)]
pub(crate) struct Sealer {
    values: EnvelopeKey,
    keys: BlindingKey,
    opened: Arc<Opened>,
}

/// What is blinded, so that equal bytes of two kinds give two names.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum Blind {
    Event = 1,
    Page = 2,
    Value = 3,
    Stamp = 4,
    Mark = 5,
    Journal = 6,
    List = 7,
    Slot = 8,
}

impl Sealer {
    pub(crate) fn new(vault: &Vault) -> Self {
        let (values, keys) = (vault.sealing_key("storage values"), vault.blinding_key("storage keys"));
        Self { values, keys, opened: Arc::new(Opened::new()) }
    }

    /// Seals `plain` for `key` of `tree`.
    pub(crate) fn seal(&self, tree: TreeId, key: &[u8], plain: Zeroizing<Vec<u8>>) -> Vec<u8> {
        let sealed = self.values.seal(&mut rand::rng(), &place(tree, key), &plain);
        if tree == TreeId::Timeline {
            self.opened.remember(key, &sealed, &Arc::new(plain));
        }
        sealed
    }

    /// Opens what was sealed for `key` of `tree`.
    pub(crate) fn open(&self, tree: TreeId, key: &[u8], sealed: &[u8]) -> Result<Plain, Fault> {
        if tree == TreeId::Timeline
            && let Some(plain) = self.opened.find(key, sealed)
        {
            return Ok(plain);
        }
        let plain = self.values.open(&place(tree, key), sealed);
        let plain = plain.map_err(|_| Fault::damaged(tree, "a value does not open"))?;
        let plain = Arc::new(Zeroizing::new(plain));
        if tree == TreeId::Timeline {
            self.opened.remember(key, sealed, &plain);
        }
        Ok(plain)
    }

    /// Seals a key for its slot of the keyring.
    pub(crate) fn seal_slot(&self, slot: usize, plain: &[u8]) -> Vec<u8> {
        self.values.seal(&mut rand::rng(), &slot_place(slot), plain)
    }

    /// The key in a slot of the keyring, if there is one.
    pub(crate) fn open_slot(&self, slot: usize, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.values.open(&slot_place(slot), sealed).ok().map(Zeroizing::new)
    }

    /// The blind name of `bytes` in `room`.
    pub(crate) fn blind(&self, what: Blind, room: u32, bytes: &[u8]) -> [u8; 16] {
        let name = self.keys.blind(&[&[what as u8], &room.to_be_bytes(), bytes]);
        let mut short = [0; 16];
        short.copy_from_slice(&name[..16]);
        short
    }
}

/// No tree has this number.
fn slot_place(slot: usize) -> Vec<u8> {
    let mut place = vec![0xff];
    place.extend_from_slice(&(slot as u64).to_be_bytes());
    place
}

/// Where a value belongs.
pub(crate) fn place(tree: TreeId, key: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(1 + key.len());
    place.push(tree as u8);
    place.extend_from_slice(key);
    place
}

/// A copy of a message key from its bytes.
pub(crate) fn secret(bytes: &[u8; 32]) -> Secret {
    Secret::new(*bytes)
}
