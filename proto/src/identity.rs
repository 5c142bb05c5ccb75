//! Who this node is: the account's papers and the device's secrets, as every room uses them.
//!
//! The root key is not here: it certifies devices and is needed for nothing else. A device has one leaf key at a time,
//! under which others seal secrets for it; replaced ones are kept until [`Identity::forget_leafs`] for what was sealed
//! before the replacement was known.

use std::fmt;

use parlor_crypto::CryptoRng;
use parlor_crypto::account::{CertError, RootSeed};
use parlor_crypto::hedge::Hedged;
use parlor_crypto::invite::GuestKeys;
use parlor_crypto::leaf::LeafSecret;
use parlor_crypto::secret::{Secret, exposed};
use parlor_crypto::sign::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::codec::{self, CodecError};
use crate::control::{DeviceCert, Entrant, Inception, LeafRecord};
use crate::ids::{AccountId, DeviceId};
use crate::limits;

/// Longest stored identity: papers, and leaf keys of many weeks.
const MAX_BYTES: usize = 64 * 1_024;
/// What the device of a guest is called.
const GUEST_NAME: &str = "guest";

/// The account and device of this node.
#[derive(Clone)]
pub struct Identity {
    inception: Inception,
    cert: DeviceCert,
    device: SigningKey,
    /// Newest first, never empty.
    leafs: Vec<Leaf>,
}

/// A leaf key of ours.
#[derive(Clone)]
pub struct Leaf {
    /// What others are told.
    pub record: LeafRecord,
    /// What opens.
    pub secret: LeafSecret,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    inception: Inception,
    cert: DeviceCert,
    #[serde(with = "exposed")]
    device: Secret,
    leafs: Vec<StoredLeaf>,
}

#[derive(Serialize, Deserialize)]
struct StoredLeaf {
    record: LeafRecord,
    #[serde(with = "exposed")]
    secret: Secret,
}

/// Stored bytes that are no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Damaged.
    #[error("identity: {0}")]
    Codec(#[from] CodecError),
    /// Papers and keys that do not belong together.
    #[error("identity: keys and certificate do not belong together")]
    Mismatch,
}

impl Identity {
    /// A new account with its first device. The seed is what a recovery phrase spells; keep it, it is not in the identity.
    ///
    /// # Errors
    /// A device name over 64 bytes.
    pub fn create(device_name: &str, now_ms: u64, rng: &mut impl CryptoRng) -> Result<(RootSeed, Self), CertError> {
        let seed = RootSeed::generate(rng);
        let identity = Self::add_device(&seed, device_name, 1, now_ms, rng)?;
        Ok((seed, identity))
    }

    /// A new device of the account of `seed`, its `number`th.
    ///
    /// # Errors
    /// A device name over 64 bytes.
    pub fn add_device(
        seed: &RootSeed,
        device_name: &str,
        number: u64,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, CertError> {
        Self::add_device_of(seed.inception(), &seed.root_key(0), device_name, number, now_ms, rng)
    }

    /// As [`add_device`](Self::add_device), by the root key of an account whose seed is not at hand.
    ///
    /// # Errors
    /// A device name over 64 bytes; [`CertError::OtherAccount`] for a key that is not the account's root.
    pub fn add_device_of(
        inception: Inception,
        root: &SigningKey,
        device_name: &str,
        number: u64,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, CertError> {
        if root.public_bytes() != inception.root_pk {
            return Err(CertError::OtherAccount);
        }
        let (device, account) = (SigningKey::generate(rng), inception.account());
        let cert = DeviceCert::issue(root, account, &device.public(), device_name, now_ms, number)?;
        let mut identity = Self { inception, cert, device, leafs: Vec::new() };
        identity.rotate_leaf(now_ms, rng);
        Ok(identity)
    }

    /// A guest of an instant invite, the same for everybody who has the link.
    ///
    /// # Errors
    /// None in practice: the name is ours.
    pub fn guest(keys: GuestKeys) -> Result<Self, CertError> {
        let GuestKeys { root, device, leaf: secret } = keys;
        let inception = root.inception();
        let cert = DeviceCert::issue(&root.root_key(0), inception.account(), &device.public(), GUEST_NAME, 0, 1)?;
        let record = LeafRecord::issue(&device, 1, &secret.public(), 0);
        Ok(Self { inception, cert, device, leafs: vec![Leaf { record, secret }] })
    }

    /// When the current leaf key is to be replaced, milliseconds since the epoch.
    pub fn leaf_due_ms(&self) -> u64 {
        self.leafs.first().map_or(0, |leaf| leaf.record.ts.saturating_add(limits::LEAF_MS))
    }

    /// The same person with a new leaf key, without those that were replaced long ago; `None` while the current one is young
    /// enough. Store it durably before any room is told ([`Room::set_me`](crate::room::Room::set_me)): a leaf key that others
    /// seal to and that is lost with a crash costs every epoch sealed to it.
    pub fn renewed(&self, now_ms: u64, rng: &mut impl CryptoRng) -> Option<Self> {
        if now_ms < self.leaf_due_ms() {
            return None;
        }
        let mut next = self.clone();
        let hedged = &mut Hedged::new(rng, &[self.device.to_seed().expose(), &now_ms.to_be_bytes()]);
        next.rotate_leaf(now_ms, hedged);
        // At the next renewal it would be too late for those that are to go before it.
        next.forget_leafs(now_ms.saturating_sub(limits::LEAF_KEPT_MS - limits::LEAF_MS));
        Some(next)
    }

    /// Makes a new leaf key the current one and answers its record, which the rooms must be told.
    pub fn rotate_leaf(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> LeafRecord {
        let secret = LeafSecret::generate(rng);
        let counter = self.leafs.first().map_or(0, |leaf| leaf.record.counter) + 1;
        let record = LeafRecord::issue(&self.device, counter, &secret.public(), now_ms);
        self.leafs.insert(0, Leaf { record, secret });
        record
    }

    /// Destroys leaf keys, but never the current one, that were replaced before `before_ms`.
    pub fn forget_leafs(&mut self, before_ms: u64) {
        // A key was replaced when the one before it in the list was made.
        let keep = 1 + self.leafs.iter().take_while(|newer| newer.record.ts >= before_ms).count();
        self.leafs.truncate(keep.max(1));
    }

    /// The account.
    pub fn account(&self) -> AccountId {
        AccountId(self.cert.account)
    }

    /// The device.
    pub fn device(&self) -> DeviceId {
        DeviceId(self.cert.device_pk)
    }

    /// The device's name.
    pub fn device_name(&self) -> &str {
        &self.cert.name
    }

    /// The key that signs for the device.
    pub fn signing_key(&self) -> &SigningKey {
        &self.device
    }

    /// The leaf keys, the current one first.
    pub fn leafs(&self) -> &[Leaf] {
        &self.leafs
    }

    /// The papers with which the account enters a room by this device.
    #[allow(clippy::expect_used, reason = "every constructor makes or checks a leaf")]
    pub fn entrant(&self) -> Entrant {
        let leaf = self.leafs.first().expect("an identity has a leaf key").record;
        Entrant { account: self.inception, cert: self.cert.clone(), leaf }
    }

    /// The bytes to be stored, sealed. They hold all secrets.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let leaf = |leaf: &Leaf| StoredLeaf { record: leaf.record, secret: leaf.secret.to_secret() };
        Zeroizing::new(codec::encode(&Stored {
            inception: self.inception,
            cert: self.cert.clone(),
            device: self.device.to_seed(),
            leafs: self.leafs.iter().map(leaf).collect(),
        }))
    }

    /// The identity of stored bytes.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let Stored { inception, cert, device, leafs } = codec::decode(bytes, MAX_BYTES)?;
        let leaf = |leaf: StoredLeaf| Leaf { record: leaf.record, secret: LeafSecret::from_secret(&leaf.secret) };
        let leafs: Vec<Leaf> = leafs.into_iter().map(leaf).collect();
        let device = SigningKey::from_seed(&device);
        let ours = |leaf: &Leaf| {
            leaf.record.device == cert.device_pk && leaf.secret.public().as_bytes() == &leaf.record.leaf_pk
        };
        let fits = device.public_bytes() == cert.device_pk && !leafs.is_empty() && leafs.iter().all(ours);
        if !fits || cert.verify(&inception).is_err() {
            return Err(IdentityError::Mismatch);
        }
        Ok(Self { inception, cert, device, leafs })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(account {}, device {})", self.account().short(), self.device().short())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn an_identity_survives_being_stored() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (_, mut me) = Identity::create("laptop", 1_000, rng).unwrap();
        me.rotate_leaf(2_000, rng);
        let back = Identity::from_bytes(&me.to_bytes()).unwrap();
        assert_eq!((back.account(), back.device(), back.leafs().len()), (me.account(), me.device(), 2));
        assert_eq!(back.entrant(), me.entrant());
        assert!(back.entrant().verify().is_ok());
    }

    #[test]
    fn mixed_papers_are_no_identity() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (_, mut me) = Identity::create("laptop", 1_000, rng).unwrap();
        let (_, other) = Identity::create("laptop", 1_000, rng).unwrap();
        me.device = other.device;
        assert_eq!(Identity::from_bytes(&me.to_bytes()).err(), Some(IdentityError::Mismatch));
    }

    #[test]
    fn a_leaf_key_is_replaced_every_week_and_its_secret_destroyed_within_a_month() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (_, mut me) = Identity::create("laptop", 1_000, rng).unwrap();
        assert!(me.renewed(me.leaf_due_ms() - 1, rng).is_none());
        for week in 1..20 {
            let next = me.renewed(me.leaf_due_ms(), rng).unwrap();
            let (old, new) = (&me.leafs()[0], &next.leafs()[0]);
            assert_eq!((new.record.counter, new.record.ts), (old.record.counter + 1, 1_000 + week * limits::LEAF_MS));
            assert!(new.record.verify().is_ok() && new.record.leaf_pk != old.record.leaf_pk);
            // A key serves for its week and is kept for 30 days more at most: that are four whole weeks.
            assert_eq!(next.leafs().len() as u64, (week + 1).min(5));
            me = next;
        }
        // After months without power the replaced key still is kept for what was sealed to it meanwhile.
        let next = me.renewed(me.leaf_due_ms() + 20 * limits::LEAF_MS, rng).unwrap();
        assert_eq!(next.leafs().len(), 2);
    }

    #[test]
    fn replaced_leaf_keys_are_destroyed_and_the_current_one_is_kept() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (_, mut me) = Identity::create("laptop", 1_000, rng).unwrap();
        me.rotate_leaf(2_000, rng);
        me.rotate_leaf(3_000, rng);
        me.forget_leafs(2_500);
        // The first was replaced at 2,000; the second at 3,000.
        assert_eq!(me.leafs().iter().map(|leaf| leaf.record.ts).collect::<Vec<_>>(), [3_000, 2_000]);
        me.forget_leafs(u64::MAX);
        assert_eq!(me.leafs().len(), 1);
    }
}
