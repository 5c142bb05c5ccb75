//! Records beside the logs: signed by their device, for one room, over all that stands before the signature.

use parlor_crypto::{PublicKey, Signature, SigningKey};
use serde::Serialize;

use crate::codec;
use crate::ids::{DeviceId, RoomId};

/// The encoding without the signature, which is its last 64 bytes.
fn covered(record: &impl Serialize) -> Vec<u8> {
    let mut bytes = codec::encode(record);
    bytes.truncate(bytes.len().saturating_sub(64));
    bytes
}

/// The signature of a record whose last field it will be.
pub(crate) fn sign(record: &impl Serialize, room: &RoomId, device: &SigningKey, label: &'static str) -> Signature {
    device.sign(label, &[room.as_bytes(), &covered(record)])
}

/// Whether a record is signed by this device, for this room.
pub(crate) fn is_of(
    record: &impl Serialize,
    room: &RoomId,
    (device, sig): (&DeviceId, &Signature),
    label: &'static str,
) -> bool {
    let key = PublicKey::parse(device.as_bytes());
    key.is_ok_and(|key| key.verify(label, &[room.as_bytes(), &covered(record)], sig).is_ok())
}
