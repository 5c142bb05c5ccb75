//! The keys of an invite link, all from the 16-byte seed in it, and the key that a knock is sealed with.
//!
//! ```text
//! prk     HKDF-Extract(salt = "parlor/1 invite", ikm = seed[16])
//! sign    Ed25519 of KDF(prk, "invite sign", "", 32)     signs the JoinRequest; its public key stands in the Invite
//! box     X25519 of KDF(prk, "invite box", "", 32)       its public half stands in the Invite; nothing is sealed to it yet
//! door    Ed25519 of KDF(prk, "invite door", "", 32)     its public key stands in the Invite; the door mailbox follows from that
//! instant EnvelopeKey of KDF(prk, "invite instant", "", 32)   seals what an instant invite leaves at its door
//! guests  Ed25519 of KDF(prk, "guest sign", "", 32)      the key of the invite that the guests of an instant one come by
//! guest n u8: root seed KDF(prk, "guest root", n, 32), device Ed25519 of KDF(prk, "guest device", n, 32),
//!         leaf X25519 of KDF(prk, "guest leaf", n, 32)   an account that everybody with the link can be
//! knock   EnvelopeKey of H("knock", invite_pk)           known to holders of the link and to members
//! ```

use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::account::RootSeed;
use crate::envelope::EnvelopeKey;
use crate::hash::KNOCK;
use crate::leaf::LeafSecret;
use crate::secret::{self, Secret, SecretBytes};
use crate::sign::SigningKey;
use crate::{kdf, label};

/// The seed in an invite link. Serde writes it in the open: it travels in the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InviteSeed(#[serde(with = "secret::exposed")] SecretBytes<16>);

impl InviteSeed {
    /// A fresh invite.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(SecretBytes::random(rng))
    }

    /// The invite of a link's bytes.
    pub const fn from_secret(seed: SecretBytes<16>) -> Self {
        Self(seed)
    }

    /// The bytes, for the link.
    pub const fn secret(&self) -> &SecretBytes<16> {
        &self.0
    }

    /// The keys of the invite.
    pub fn keys(&self) -> InviteKeys {
        let prk = self.prk();
        InviteKeys {
            sign: SigningKey::from_seed(&kdf::derive(&prk, label::KDF_INVITE_SIGN, &[])),
            leaf: LeafSecret::from_secret(&kdf::derive(&prk, label::KDF_INVITE_BOX, &[])),
            door: SigningKey::from_seed(&kdf::derive(&prk, label::KDF_INVITE_DOOR, &[])),
        }
    }

    /// The keys that an instant invite has besides.
    pub fn instant(&self) -> InstantKeys {
        let prk = self.prk();
        InstantKeys {
            seal: EnvelopeKey::new(&kdf::derive(&prk, label::KDF_INVITE_INSTANT, &[])),
            guests: SigningKey::from_seed(&kdf::derive(&prk, label::KDF_GUEST_SIGN, &[])),
        }
    }

    /// The keys of a guest of an instant invite.
    pub fn guest(&self, number: u8) -> GuestKeys {
        let prk = self.prk();
        let context: &[&[u8]] = &[&[number]];
        GuestKeys {
            root: RootSeed::from_secret(kdf::derive(&prk, label::KDF_GUEST_ROOT, context)),
            device: SigningKey::from_seed(&kdf::derive(&prk, label::KDF_GUEST_DEVICE, context)),
            leaf: LeafSecret::from_secret(&kdf::derive(&prk, label::KDF_GUEST_LEAF, context)),
        }
    }

    fn prk(&self) -> Secret {
        kdf::extract(b"parlor/1 invite", self.0.expose())
    }
}

/// What the holder of the link of an instant invite can do besides.
#[derive(Debug, Clone)]
pub struct InstantKeys {
    /// Opens what the maker left at the door.
    pub seal: EnvelopeKey,
    /// The key of the invite by which the guests came.
    pub guests: SigningKey,
}

/// An account that everybody with the link can be.
pub struct GuestKeys {
    /// The seed of its root.
    pub root: RootSeed,
    /// Signs for its only device.
    pub device: SigningKey,
    /// Opens what is sealed to that.
    pub leaf: LeafSecret,
}

/// What the holder of a link can do.
#[derive(Debug, Clone)]
pub struct InviteKeys {
    /// Signs the JoinRequest: proves the link.
    pub sign: SigningKey,
    /// Opens what is sealed to `box_pk`.
    pub leaf: LeafSecret,
    /// Its public half stands in the Invite; [`crate::mailbox::BoxKeys::of_door`] takes it.
    pub door: SigningKey,
}

/// The key that a knock and its refusal are sealed with. The bytes of `invite_pk` are known only to those who hold the
/// link or the Invite event, so a stranger learns neither room nor invite.
pub fn knock_key(invite_pk: &[u8; 32]) -> EnvelopeKey {
    EnvelopeKey::new(&Secret::new(KNOCK.hash(&[invite_pk])))
}
