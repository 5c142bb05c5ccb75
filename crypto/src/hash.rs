//! `H(label, x)`: BLAKE3 in its `derive_key` mode with the context `"parlor/1 " label`, over the parts of `x` in a row.
//!
//! Parts are concatenated without lengths: a caller gives all parts but the last a fixed size. A [`Domain`] is a static,
//! made by [`domain!`](crate::domain); the hash of its context is computed once in a process.

use std::sync::OnceLock;

use blake3::Hasher;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

/// One labelled hash function.
pub struct Domain {
    context: &'static str,
    key: OnceLock<ContextKey>,
}

/// A [`Domain`](crate::hash::Domain) of the given label: `static MARKER: Domain = parlor_crypto::domain!("marker");`.
#[macro_export]
macro_rules! domain {
    ($label:literal) => {
        $crate::hash::Domain::with_context(concat!("parlor/1 ", $label))
    };
}

impl Domain {
    /// The domain of a whole context string; use [`domain!`](crate::domain), which adds the prefix.
    pub const fn with_context(context: &'static str) -> Self {
        Self { context, key: OnceLock::new() }
    }

    /// The context string, prefix included.
    pub const fn context(&self) -> &'static str {
        self.context
    }

    /// The hash of `parts` in a row.
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = self.hasher();
        for part in parts {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }

    /// The first `N` (at most 32) bytes of the hash of `parts` in a row.
    pub fn hash_prefix<const N: usize>(&self, parts: &[&[u8]]) -> [u8; N] {
        const { assert!(N <= 32) };
        let mut prefix = [0; N];
        prefix.copy_from_slice(&self.hash(parts)[..N]);
        prefix
    }

    fn hasher(&self) -> Hasher {
        Hasher::new_from_context_key(self.key.get_or_init(|| hash_derive_key_context(self.context)))
    }
}

/// Event id: `room_id || header`. The room id itself: `0^32 || genesis header`.
pub static EVENT: Domain = domain!("event");
/// `payload_hash` of an event.
pub static PAYLOAD: Domain = domain!("payload");
/// Account id: `root_pk || next_root_commit`.
pub static ACCOUNT: Domain = domain!("account");
/// Commitment to the next root key.
pub static NEXT_ROOT: Domain = domain!("next root");
/// Room id of an account's self room.
pub static SELF_ROOM: Domain = domain!("self");
/// Room id of a direct chat.
pub static DM_ROOM: Domain = domain!("dm");
/// Hint of an epoch row: `leaf_pk || commit`.
pub static HINT: Domain = domain!("hint");
/// Salt of a new epoch: its parents' secrets, sorted.
pub static PREV: Domain = domain!("prev");
/// Hedged message salt.
pub static SALT: Domain = domain!("salt");
/// Gossip topic name.
pub static TOPIC: Domain = domain!("topic");
/// Knock key of an invite.
pub static KNOCK: Domain = domain!("knock");
/// Secret of an invite's door mailbox.
pub static DOOR: Domain = domain!("door");
/// Name of a blob in a mailbox.
pub static BLOB: Domain = domain!("blob");
/// Name of a chunk of a file: the sealed bytes.
pub static CHUNK: Domain = domain!("chunk");
/// Rank in the election of a rotator.
pub static ELECT: Domain = domain!("elect");
/// Root of an epoch's recipients.
pub static MEMBERS: Domain = domain!("members");
/// A page of epoch rows.
pub static PAGE: Domain = domain!("page");
/// Safety numbers.
pub static SAFETY: Domain = domain!("safety");
/// Checksum of a vault file.
pub static VAULT: Domain = domain!("vault");
/// What stands before the frames of a backup.
pub static BACKUP: Domain = domain!("backup");
