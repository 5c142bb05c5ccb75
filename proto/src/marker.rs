//! Delivery markers: a device's word for what it has stored and what its user has read.
//!
//! ```text
//! marker: device[32] | counter varint | heads: message ids, <= 8, ascending | read_up_to varint | ts_ms varint | sig[64]
//! sig     by the device, label "marker", over room_id || the fields before it
//! ```
//! A message is *delivered* to a device iff it is an ancestor of one of the marker's heads or a head itself: the device
//! publishes a head only when that message and everything before it is durably stored there. `read_up_to` is a hybrid
//! clock: delivered messages up to it have been read; 0 when nothing is told (the user does not share it).
//!
//! Markers stand outside the logs. Of one device the highest counter wins ([`Marker::replaces`]); older ones are dropped.
//! They travel by gossip, at most one in 2 s ([`Throttle`]), and in sync as the series
//! [`SeriesKind::Marker`](crate::wire::SeriesKind::Marker). The format is in `docs/spec/delivery.md`.

use parlor_crypto::{Signature, SigningKey, label};
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::hlc::Hlc;
use crate::ids::{DeviceId, EventId, RoomId};
use crate::signed;

/// Most heads of a marker: as many as a message has parents.
pub const MAX_HEADS: usize = 8;
/// Longest marker in bytes: 8 heads and every number at its longest.
pub const MAX_MARKER: usize = 32 + 10 + 1 + MAX_HEADS * 32 + 10 + 10 + 64;
/// Shortest time between two markers of a device on gossip.
pub const INTERVAL_MS: u64 = 2_000;
/// The same in rooms with more than [`BIG_ROOM`] members: there markers would be most of the traffic.
pub const BIG_ROOM_INTERVAL_MS: u64 = 30_000;
/// Members from which a room is big.
pub const BIG_ROOM: usize = 100;

/// A device's word for what it has stored and read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The device.
    pub device: DeviceId,
    /// Counts up from 1.
    pub counter: u64,
    /// Newest messages stored with all their ancestors.
    pub heads: Vec<EventId>,
    /// Delivered messages with a clock up to here have been read.
    pub read_up_to: Hlc,
    /// The device's clock, milliseconds since the epoch.
    pub ts_ms: u64,
    /// The device's signature.
    pub sig: Signature,
}

/// Why bytes are not a marker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MarkerError {
    /// Not the encoding of a marker.
    #[error("marker: {0}")]
    Codec(#[from] CodecError),
    /// No or too many heads, heads out of order, or a counter of 0.
    #[error("marker breaks a limit")]
    Limit,
    /// Not signed by the device it names, for this room.
    #[error("bad signature of a marker")]
    Signature,
}

impl Marker {
    /// Makes and signs a marker. `heads` are sorted here; of more than [`MAX_HEADS`] the first are taken, which is
    /// still true, only less.
    pub fn sign(
        room: &RoomId,
        device: &SigningKey,
        counter: u64,
        mut heads: Vec<EventId>,
        read: Hlc,
        ts_ms: u64,
    ) -> Self {
        heads.sort_unstable();
        heads.dedup();
        heads.truncate(MAX_HEADS);
        let mut marker = Self {
            device: DeviceId(device.public_bytes()),
            counter,
            heads,
            read_up_to: read,
            ts_ms,
            sig: Signature([0; 64]),
        };
        marker.sig = signed::sign(&marker, room, device, label::SIGN_MARKER);
        marker
    }

    /// Encodes the marker.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a marker of `room` and checks its signature. Whether the device is a member's is for the room to say.
    ///
    /// # Errors
    /// See [`MarkerError`]; the sender of such bytes is at fault.
    pub fn decode(room: &RoomId, bytes: &[u8]) -> Result<Self, MarkerError> {
        let marker: Self = codec::decode(bytes, MAX_MARKER)?;
        let ascending = marker.heads.is_sorted_by(|a, b| a < b);
        if marker.counter == 0 || marker.heads.len() > MAX_HEADS || !ascending {
            return Err(MarkerError::Limit);
        }
        let by = (&marker.device, &marker.sig);
        if signed::is_of(&marker, room, by, label::SIGN_MARKER) { Ok(marker) } else { Err(MarkerError::Signature) }
    }

    /// Whether this marker takes the place of `held`, the one kept for its device.
    pub fn replaces(&self, held: Option<&Self>) -> bool {
        held.is_none_or(|held| held.device == self.device && self.counter > held.counter)
    }
}

/// Decides when our own marker goes out: a first change at once, then at most one in the interval.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    last_ms: Option<u64>,
    dirty: bool,
}

impl Throttle {
    /// What we have stored or read changed.
    pub fn touch(&mut self) {
        self.dirty = true;
    }

    /// When [`take`](Self::take) gives `true` next, if nothing else happens; `None` when nothing changed.
    pub fn due(&self, n_members: usize) -> Option<u64> {
        let next = self.last_ms.map_or(0, |last| last.saturating_add(interval_ms(n_members)));
        self.dirty.then_some(next)
    }

    /// Whether a marker is to be made and sent now; if so, the interval starts anew.
    pub fn take(&mut self, n_members: usize, now_ms: u64) -> bool {
        let due = self.due(n_members).is_some_and(|due| due <= now_ms);
        if due {
            self.last_ms = Some(now_ms);
            self.dirty = false;
        }
        due
    }
}

/// Shortest time between two markers of a device in a room of so many members.
pub fn interval_ms(n_members: usize) -> u64 {
    if n_members > BIG_ROOM { BIG_ROOM_INTERVAL_MS } else { INTERVAL_MS }
}

#[cfg(test)]
mod tests {
    use parlor_crypto::Secret;

    use super::*;

    fn device(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Secret::new([seed; 32]))
    }

    const ROOM: RoomId = RoomId([7; 32]);

    fn marker(counter: u64) -> Marker {
        let heads = vec![EventId([9; 32]), EventId([3; 32])];
        Marker::sign(&ROOM, &device(1), counter, heads, Hlc::at(5), 1_000)
    }

    #[test]
    fn a_marker_is_worth_something_in_its_room_only_and_unchanged() {
        let bytes = marker(4).encode();
        assert!(bytes.len() <= MAX_MARKER);
        assert_eq!(Marker::decode(&ROOM, &bytes), Ok(marker(4)));
        assert_eq!(Marker::decode(&RoomId([8; 32]), &bytes), Err(MarkerError::Signature));
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(Marker::decode(&ROOM, &changed).is_err(), "byte {place}");
        }
    }

    #[test]
    fn the_highest_counter_wins() {
        assert!(marker(1).replaces(None));
        assert!(marker(5).replaces(Some(&marker(4))));
        assert!(!marker(4).replaces(Some(&marker(4))));
        assert!(!marker(3).replaces(Some(&marker(4))));
    }

    #[test]
    fn a_first_change_goes_out_at_once_and_the_next_waits() {
        let mut throttle = Throttle::default();
        assert_eq!(throttle.due(3), None);
        throttle.touch();
        assert!(throttle.take(3, 10_000));
        throttle.touch();
        assert!(!throttle.take(3, 11_999));
        assert_eq!(throttle.due(3), Some(12_000));
        assert_eq!(throttle.due(101), Some(40_000));
        assert!(throttle.take(3, 12_000));
        assert!(!throttle.take(3, 99_000));
    }
}
