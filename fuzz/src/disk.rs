//! What lies on disk behind the seals: records of the journal, the mark beside the log, keys and values of rows.

use std::sync::OnceLock;

use parlor_crypto::vault::Vault;
use parlor_storage::fuzzing::{Key, journal, rows};

use crate::people::rng;

/// Bytes as everything that the store reads.
pub fn disk(data: &[u8]) {
    static KEY: OnceLock<Key> = OnceLock::new();
    let key = KEY.get_or_init(|| Key::of(&Vault::generate(&mut rng())));
    journal(key, data);
    rows(key, data);
}
