//! The keys of mailboxes: what proves a box to a relay, and what its blobs are sealed with.
//!
//! ```text
//! secret   room: k_i, the key of a slice      door: H("door", the door key in the Invite)      direct chat: its topic secret
//! sign     Ed25519 of KDF(secret, "mailbox", "", 32)           its public half names the box
//! seal     EnvelopeKey of KDF(secret, "mailbox seal", "", 32)
//! inbox    Ed25519 of KDF(secret, "inbox", "", 32), X25519 of KDF(secret, "inbox box", "", 32)
//! ```
//! Each step goes one way: whoever learns the keys of a box learns neither the slice nor another box. The blobs, proofs
//! and rules are in `docs/spec/mailbox.md`.

use crate::envelope::EnvelopeKey;
use crate::hash::DOOR;
use crate::leaf::LeafSecret;
use crate::secret::{Secret, key_of_secret};
use crate::sign::SigningKey;
use crate::topic::TopicSecret;
use crate::{kdf, label};

/// The keys of a box that everybody who may use it shares: of a slice of a room's epoch, of a direct chat, or of the door of an invite.
#[derive(Debug, Clone)]
pub struct BoxKeys {
    /// Proves the box to a relay; its public half names it.
    pub sign: SigningKey,
    /// Seals what is put in.
    pub seal: EnvelopeKey,
}

impl BoxKeys {
    pub(crate) fn of(secret: &Secret) -> Self {
        Self {
            sign: SigningKey::from_seed(&kdf::derive(secret, label::KDF_MAILBOX, &[])),
            seal: EnvelopeKey::new(&kdf::derive(secret, label::KDF_MAILBOX_SEAL, &[])),
        }
    }

    /// The keys of the box of a direct chat, which both can find before either has a key of the other.
    pub fn of_direct(secret: &TopicSecret) -> Self {
        Self::of(secret.secret())
    }

    /// The keys of the door of an invite. `door` is the public door key: it stands in the Invite event and follows from the
    /// link's seed, so holders of the link and members have it, and nobody else sees it.
    pub fn of_door(door: &[u8; 32]) -> Self {
        Self::of(&Secret::new(DOOR.hash(&[door])))
    }
}

/// The secret of an account's inbox: shared by the account's devices, unknown to everybody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxSecret(Secret);

key_of_secret!(InboxSecret);

impl InboxSecret {
    /// The keys of the inbox.
    pub fn keys(&self) -> InboxKeys {
        InboxKeys {
            sign: SigningKey::from_seed(&kdf::derive(&self.0, label::KDF_INBOX, &[])),
            leaf: LeafSecret::from_secret(&kdf::derive(&self.0, label::KDF_INBOX_BOX, &[])),
        }
    }
}

/// What reads an inbox. The two public halves stand in the account's contact card.
#[derive(Debug, Clone)]
pub struct InboxKeys {
    /// Proves the inbox to a relay; its public half names it.
    pub sign: SigningKey,
    /// Opens what others sealed to the inbox.
    pub leaf: LeafSecret,
}
