//! Peer bindings: by which transport peer a device can be reached, and where. Told to members only.
//!
//! ```text
//! binding: device[32] | counter varint | peer[32] | addresses: <= 4 | ts_ms varint | sig[64]
//! sig      by the device, label "peer binding", over room_id || the fields before it
//! ```
//! The transport key of an install is not the device's key, so that outsiders cannot connect what they see on the wire
//! with anybody's messages. Members may: with the bindings of all, every node finds any other again after restarts
//! without a server. Bindings stand outside the logs; of one device the highest counter wins. They travel in sync as the
//! series [`SeriesKind::Binding`](crate::wire::SeriesKind::Binding). The format is in `docs/spec/sync.md`.

use parlor_crypto::{Signature, SigningKey, label};
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::ids::{DeviceId, RoomId};
use crate::link::Address;
use crate::signed;

/// Most addresses of a binding: two transports on two networks.
pub const MAX_ADDRESSES: usize = 4;
/// Longest binding in bytes: relays with names in all addresses.
pub const MAX_BINDING: usize = 32 + 10 + 32 + 1 + MAX_ADDRESSES * 112 + 10 + 64;

/// A device's word by which peer, and where, it can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The device.
    pub device: DeviceId,
    /// Counts up; the highest wins.
    pub counter: u64,
    /// The transport peer: the bytes of its Ed25519 key.
    pub peer: [u8; 32],
    /// Where it listens, best first.
    pub addresses: Vec<Address>,
    /// The device's clock, milliseconds since the epoch.
    pub ts_ms: u64,
    /// The device's signature.
    pub sig: Signature,
}

/// Why bytes are not a binding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindingError {
    /// Not the encoding of a binding.
    #[error("binding: {0}")]
    Codec(#[from] CodecError),
    /// Too many addresses, one that is none, or a counter of 0.
    #[error("binding breaks a limit")]
    Limit,
    /// Not signed by the device it names, for this room.
    #[error("bad signature of a binding")]
    Signature,
}

impl Binding {
    /// Makes and signs a binding. Of the addresses the first [`MAX_ADDRESSES`] sound ones are taken.
    pub fn sign(
        room: &RoomId,
        device: &SigningKey,
        counter: u64,
        peer: [u8; 32],
        addresses: &[Address],
        ts_ms: u64,
    ) -> Self {
        let addresses = addresses.iter().filter(|address| address.is_sound()).take(MAX_ADDRESSES).cloned().collect();
        let id = DeviceId(device.public_bytes());
        let mut binding = Self { device: id, counter, peer, addresses, ts_ms, sig: Signature([0; 64]) };
        binding.sig = signed::sign(&binding, room, device, label::SIGN_PEER_BINDING);
        binding
    }

    /// Encodes the binding.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a binding of `room` and checks its signature. Whether the device is a member's is for the room to say.
    ///
    /// # Errors
    /// See [`BindingError`]; the sender of such bytes is at fault.
    pub fn decode(room: &RoomId, bytes: &[u8]) -> Result<Self, BindingError> {
        let binding: Self = codec::decode(bytes, MAX_BINDING)?;
        let sound = binding.addresses.len() <= MAX_ADDRESSES && binding.addresses.iter().all(Address::is_sound);
        if binding.counter == 0 || !sound {
            return Err(BindingError::Limit);
        }
        let by = (&binding.device, &binding.sig);
        if signed::is_of(&binding, room, by, label::SIGN_PEER_BINDING) {
            Ok(binding)
        } else {
            Err(BindingError::Signature)
        }
    }

    /// Whether this binding takes the place of `held`, the one kept for its device.
    pub fn replaces(&self, held: Option<&Self>) -> bool {
        held.is_none_or(|held| held.device == self.device && self.counter > held.counter)
    }
}

#[cfg(test)]
mod tests {
    use parlor_crypto::Secret;

    use super::*;
    use crate::link::{Host, Transport};

    const ROOM: RoomId = RoomId([7; 32]);

    fn binding(counter: u64, name: &str) -> Binding {
        let device = SigningKey::from_seed(&Secret::new([1; 32]));
        let address = Address { host: Host::Name(name.into()), transport: Transport::Quic, port: 4001 };
        Binding::sign(&ROOM, &device, counter, [9; 32], &vec![address; 6], 1_000)
    }

    #[test]
    fn a_binding_is_worth_something_in_its_room_only_and_unchanged() {
        let made = binding(4, &"a".repeat(64));
        let bytes = made.encode();
        assert!(bytes.len() <= MAX_BINDING, "{}", bytes.len());
        assert_eq!(Binding::decode(&ROOM, &bytes), Ok(made));
        assert_eq!(Binding::decode(&RoomId([8; 32]), &bytes), Err(BindingError::Signature));
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(Binding::decode(&ROOM, &changed).is_err(), "byte {place}");
        }
    }

    #[test]
    fn a_binding_holds_four_ways_through_relays() {
        let device = SigningKey::from_seed(&Secret::new([1; 32]));
        let name = Address { host: Host::Name("a".repeat(64)), transport: Transport::Quic, port: 65_535 };
        let ways: Vec<_> = (0..4).filter_map(|n| name.via([n; 32])).collect();
        let made = Binding::sign(&ROOM, &device, u64::MAX, [9; 32], &ways, u64::MAX);
        assert!(made.encode().len() <= MAX_BINDING);
        assert_eq!(Binding::decode(&ROOM, &made.encode()), Ok(made.clone()));
        assert_eq!(made.addresses, ways);
    }

    #[test]
    fn the_highest_counter_wins_and_what_is_no_address_is_left_out() {
        assert!(binding(5, "a").replaces(Some(&binding(4, "a"))));
        assert!(!binding(4, "a").replaces(Some(&binding(4, "a"))));
        assert_eq!(binding(1, "a b").addresses, []);
        assert_eq!(binding(1, "a").addresses.len(), MAX_ADDRESSES);
    }
}
