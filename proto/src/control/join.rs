//! Who comes in: an account's papers, its request to join, and the no of a member to it.

use parlor_crypto::account::{DeviceCert, Inception};
use parlor_crypto::leaf::LeafRecord;
use parlor_crypto::{PublicKey, Signature, SigningKey, label};
use serde::{Deserialize, Serialize};

use super::{GrantId, InviteId};
use crate::codec;
use crate::ids::{AccountId, DeviceId, RoomId};

/// An account as it enters a room: with the device it enters by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrant {
    /// The account's keys.
    pub account: Inception,
    /// The account's word for the device.
    pub cert: DeviceCert,
    /// The device's key for receiving secrets.
    pub leaf: LeafRecord,
}

/// The joiner's word: this account, by this device, wants in on this invite. Bound to the room by its signatures, which
/// cover the room's id, so it is worth nothing in another room and to anybody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The invite's public key, as known from the link.
    pub invite_pk: [u8; 32],
    /// Who, and by which device.
    pub entrant: Entrant,
    /// Random.
    pub nonce: [u8; 16],
    /// By the invite's key: the joiner has the link.
    pub invite_sig: Signature,
    /// By the device: the device wants this.
    pub device_sig: Signature,
}

/// A member who may let an account in by an invite that wants a person's word says no. Nobody is out by it: whoever else may can
/// still let the account in, and then it says nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// The grant it is made under.
    pub auth: GrantId,
    /// On which invite.
    pub invite: InviteId,
    /// Who asked.
    pub account: AccountId,
}

impl Entrant {
    /// Checks the account's word for the device and the device's word for its leaf key.
    ///
    /// # Errors
    /// [`EntrantError`]: made up, or put together from the papers of several.
    pub fn verify(&self) -> Result<(), EntrantError> {
        self.cert.verify(&self.account).map_err(|_| EntrantError)?;
        if self.leaf.device != self.cert.device_pk {
            return Err(EntrantError);
        }
        self.leaf.verify().map(|_| ()).map_err(|_| EntrantError)
    }

    /// The account's id.
    pub fn account(&self) -> AccountId {
        AccountId(self.cert.account)
    }

    /// The device's id.
    pub fn device(&self) -> DeviceId {
        DeviceId(self.cert.device_pk)
    }
}

/// Papers of an account that do not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("certificate or leaf key do not hold")]
pub struct EntrantError;

/// Why a JoinRequest is worth nothing, whatever the room says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRequestError {
    /// The papers of the account do not hold.
    #[error(transparent)]
    Entrant(#[from] EntrantError),
    /// Not signed by the invite's key: the joiner does not have the link.
    #[error("not signed by the key of the invite")]
    Invite,
    /// Not signed by the joining device: taken from somebody else (attack 16).
    #[error("not signed by the joining device")]
    Device,
}

impl JoinRequest {
    /// Makes and signs a request to join `room`, with the invite's key from the link and the own device's.
    pub fn sign(room: &RoomId, invite: &SigningKey, device: &SigningKey, entrant: Entrant, nonce: [u8; 16]) -> Self {
        let none = Signature([0; 64]);
        let invite_pk = invite.public_bytes();
        let mut join = Self { invite_pk, entrant, nonce, invite_sig: none, device_sig: none };
        let signed = join.signed();
        join.invite_sig = invite.sign(label::SIGN_JOIN_INVITE, &[room.as_bytes(), &signed]);
        join.device_sig = device.sign(label::SIGN_JOIN_DEVICE, &[room.as_bytes(), &signed]);
        join
    }

    /// Checks papers and both signatures for `room`.
    ///
    /// # Errors
    /// See [`JoinRequestError`].
    pub fn verify(&self, room: &RoomId) -> Result<(), JoinRequestError> {
        self.entrant.verify()?;
        let signed = self.signed();
        let parts: [&[u8]; 2] = [room.as_bytes(), &signed];
        PublicKey::parse(&self.invite_pk)
            .ok()
            .and_then(|key| key.verify(label::SIGN_JOIN_INVITE, &parts, &self.invite_sig).ok())
            .ok_or(JoinRequestError::Invite)?;
        PublicKey::parse(&self.entrant.cert.device_pk)
            .ok()
            .and_then(|key| key.verify(label::SIGN_JOIN_DEVICE, &parts, &self.device_sig).ok())
            .ok_or(JoinRequestError::Device)
    }

    /// All fields but the signatures.
    fn signed(&self) -> Vec<u8> {
        codec::encode(&(self.invite_pk, &self.entrant, self.nonce))
    }
}
