//! An account's devices change: its root's word for new ones, and against old ones.

use parlor_crypto::account::{CertError, DeviceCert, DeviceRevoke, Inception};
use parlor_crypto::leaf::LeafRecord;
use parlor_crypto::sign::SigningKey;
use parlor_crypto::{PublicKey, Signature, label};
use serde::{Deserialize, Serialize};

use super::{DeviceFence, Entrant, EntrantError};
use crate::codec;
use crate::ids::{AccountId, DeviceId, RoomId};
use crate::limits;

/// Devices come to an account of the room, and go. Written by a device of the account, a new one if need be: what counts
/// is the root's signature in it, so it is made under no grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountUpdate {
    /// New devices, ascending by key.
    pub devices: Vec<NewDevice>,
    /// Revoked ones, ascending by key.
    pub revokes: Vec<DeviceRevoke>,
}

/// A device with its papers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDevice {
    /// The account's word for the device.
    pub cert: DeviceCert,
    /// The device's key for receiving secrets.
    pub leaf: LeafRecord,
    /// The device's word for the account: without it anybody who knows a device could claim it for himself.
    pub word: Signature,
}

/// What the fence of a [`DeviceRevoke`] says: bound to one room, for the root signs it for no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeFence {
    /// Which room.
    pub room: RoomId,
    /// How far the logs of the device count.
    pub fence: DeviceFence,
}

impl NewDevice {
    /// The papers of a device with its own word for the account that certified it.
    pub fn sign(device: &SigningKey, papers: Entrant) -> Self {
        let word = device.sign(label::SIGN_DEVICE_WORD, &[&papers.cert.account]);
        Self { cert: papers.cert, leaf: papers.leaf, word }
    }

    /// The device.
    pub fn device(&self) -> DeviceId {
        DeviceId(self.cert.device_pk)
    }

    /// Checks the account's word for the device, and the device's words for the account and for its leaf key.
    ///
    /// # Errors
    /// [`EntrantError`]: made up, or put together from the papers of several.
    pub fn verify(&self, account: &Inception) -> Result<(), EntrantError> {
        self.cert.verify(account).map_err(|_| EntrantError)?;
        let device = PublicKey::parse(&self.cert.device_pk).map_err(|_| EntrantError)?;
        device.verify(label::SIGN_DEVICE_WORD, &[&self.cert.account], &self.word).map_err(|_| EntrantError)?;
        if self.leaf.device != self.cert.device_pk {
            return Err(EntrantError);
        }
        self.leaf.verify().map(|_| ()).map_err(|_| EntrantError)
    }
}

impl RevokeFence {
    /// The root's word, for `room`, that a device counts up to `fence` and no further.
    ///
    /// # Errors
    /// None for a fence of this type: its encoding is short.
    pub fn revoke(
        root: &SigningKey,
        account: AccountId,
        room: RoomId,
        fence: DeviceFence,
    ) -> Result<DeviceRevoke, CertError> {
        DeviceRevoke::issue(root, account.0, fence.device.0, codec::encode(&Self { room, fence }))
    }

    /// What `revoke` says about its device in `room`; `None` if it says nothing about that.
    pub fn of(revoke: &DeviceRevoke, room: &RoomId) -> Option<DeviceFence> {
        let said: Self = codec::decode(&revoke.fence, limits::MAX_REVOKE_FENCE).ok()?;
        (said.room == *room && said.fence.device.0 == revoke.device_pk).then_some(said.fence)
    }
}

impl AccountUpdate {
    pub(super) fn keeps_limits(&self) -> bool {
        let most = limits::MAX_UPDATE_DEVICES;
        (1..=most).contains(&(self.devices.len() + self.revokes.len()))
            && self.devices.is_sorted_by(|a, b| a.cert.device_pk < b.cert.device_pk)
            && self.revokes.is_sorted_by(|a, b| a.device_pk < b.device_pk)
    }
}
