//! Gossip frames: events as they go over the room's topic, and the machine that joins them under load.
//!
//! ```text
//! wrapped   = hint[8] | nonce[24] | XChaCha20-Poly1305(w, nonce, aad = hint, unreached | frame)     w, hint: the slice's gossip key
//! unreached = 0 | 1, list of tag[4]                                                                 (postcard)
//! frame     = 0 | list of events     | 1 | list of markers       | 2 | list of leaf records     | 3 | presence      (postcard)
//! ```
//! Outsiders see a hint that stays the same for a slice, and a length. Everything inside is signed by its author and is
//! checked like any other copy; the wrap proves nothing. Gossip is a hint: what it loses, sync brings.
//!
//! Who publishes sends a frame to everybody it is connected to, and names the devices of members that it does not reach so
//! ([`Unreached`]). Only those who are connected to one of these forward the frame: between members who are all connected
//! each gets it once.
//!
//! [`Coalescer`] joins events of a burst into one frame, since a frame costs every member the same whatever is in it. A
//! lone event goes out at once; events that come sooner wait until [`MAX_DELAY_MS`] have passed since the frame before.
//! The format is in `docs/spec/gossip.md`.

use parlor_crypto::CryptoRng;
use parlor_crypto::wrap::{self, GossipKey};
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::ids::DeviceId;
use crate::wire::Blob;

/// Largest wrapped frame in bytes: beyond 64 KiB gossipsub drops messages silently, so half of it.
pub const MAX_FRAME: usize = 32 * 1024;
/// Largest frame before wrapping.
pub const MAX_PLAIN: usize = MAX_FRAME - wrap::OVERHEAD;
/// Longest time an event waits for company.
pub const MAX_DELAY_MS: u64 = 5;
/// Most events in a frame: small events would allow more, but each costs its reader a signature check.
pub const MAX_EVENTS: usize = 128;
/// Most devices named as not reached: with more the frame is forwarded by everybody.
pub const MAX_UNREACHED: usize = 64;
/// Bytes of waiting events at which a frame is sent without waiting on.
const FULL_BYTES: usize = MAX_PLAIN - 64 - 4 * MAX_UNREACHED;
/// Framing of one event: its length.
const PER_EVENT: usize = 3;

/// What a gossip frame carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GossipFrame {
    /// Events of either log, in a topological order.
    Events(Vec<Blob>),
    /// Delivery markers ([`crate::marker`]).
    Markers(Vec<Blob>),
    /// Leaf records.
    Leaves(Vec<Blob>),
    /// Signed typing or presence, never stored.
    Presence(Blob),
}

/// Devices of members to whom the publisher of a frame is not connected, by the first bytes of their ids, or that it does
/// not say. Nobody is hurt by a false word: a frame too few is repaired by sync, one too many is a duplicate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreached(Option<Vec<[u8; 4]>>);

impl Unreached {
    /// These devices; not said when they are more than [`MAX_UNREACHED`].
    pub fn devices(devices: impl IntoIterator<Item = DeviceId>) -> Self {
        let tags: Vec<_> = devices.into_iter().take(MAX_UNREACHED + 1).map(|device| tag(&device)).collect();
        Self((tags.len() <= MAX_UNREACHED).then_some(tags))
    }

    /// Whether a node that is connected to these devices is to forward the frame.
    pub fn is_helped_by<'a>(&self, connected: impl IntoIterator<Item = &'a DeviceId>) -> bool {
        self.0.as_ref().is_none_or(|tags| connected.into_iter().any(|device| tags.contains(&tag(device))))
    }
}

fn tag(device: &DeviceId) -> [u8; 4] {
    let [a, b, c, d, ..] = device.0;
    [a, b, c, d]
}

/// Why bytes of a topic are not a frame for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GossipError {
    /// Longer or shorter than any frame: reject, the sender is at fault.
    #[error("not the size of a gossip frame")]
    Size,
    /// Wrapped under a key we do not have (yet): ignore, sync brings what is in it.
    #[error("wrapped under an unknown key")]
    UnknownKey,
    /// Our key's hint, but it does not open: damaged or forged, reject.
    #[error("gossip frame does not open")]
    Damaged,
    /// Opens, but is no frame: reject. A member made it.
    #[error("malformed gossip frame")]
    Malformed,
}

impl GossipFrame {
    /// Wraps the frame under the gossip key of a slice. `None` when it is too large: split it.
    pub fn wrap(&self, unreached: &Unreached, key: &GossipKey, rng: &mut impl CryptoRng) -> Option<Vec<u8>> {
        let plain = codec::encode(&(unreached, self));
        (plain.len() <= MAX_PLAIN).then(|| key.wrap(rng, &plain))
    }

    /// Unwraps what came from the topic. `key` gives the gossip key with this hint: one lookup, one try.
    ///
    /// # Errors
    /// See [`GossipError`] and what each says to do.
    pub fn unwrap<'k>(
        bytes: &[u8],
        key: impl FnOnce(&[u8; 8]) -> Option<&'k GossipKey>,
    ) -> Result<(Self, Unreached), GossipError> {
        if bytes.len() > MAX_FRAME {
            return Err(GossipError::Size);
        }
        let hint = wrap::hint(bytes).ok_or(GossipError::Size)?;
        let key = key(&hint).ok_or(GossipError::UnknownKey)?;
        let plain = key.unwrap(bytes).map_err(|_| GossipError::Damaged)?;
        let (unreached, frame): (Unreached, Self) =
            codec::decode(&plain, MAX_PLAIN).map_err(|_| GossipError::Malformed)?;
        if unreached.0.as_ref().is_some_and(|tags| tags.len() > MAX_UNREACHED) {
            return Err(GossipError::Malformed);
        }
        match &frame {
            Self::Events(list) | Self::Markers(list) | Self::Leaves(list)
                if list.is_empty() || list.len() > MAX_EVENTS =>
            {
                Err(GossipError::Malformed)
            }
            _ => Ok((frame, unreached)),
        }
    }
}

/// Joins events of a burst into frames. One a room.
#[derive(Debug, Default)]
pub struct Coalescer {
    waiting: Vec<Blob>,
    n_bytes: usize,
    last_sent_ms: Option<u64>,
}

impl Coalescer {
    /// Takes one event and gives the frames that are to be sent now: none while it waits for company, one when it was
    /// alone or made a frame full, two when it did not fit to those waiting and is large itself.
    pub fn push(&mut self, event: Vec<u8>, now_ms: u64) -> Vec<GossipFrame> {
        let mut frames = Vec::new();
        let size = event.len() + PER_EVENT;
        if self.n_bytes + size > FULL_BYTES {
            frames.extend(self.flush(now_ms));
        }
        self.waiting.push(Blob(event));
        self.n_bytes += size;
        let quiet = self.last_sent_ms.is_none_or(|last| now_ms.saturating_sub(last) >= MAX_DELAY_MS);
        let alone = self.waiting.len() == 1 && quiet;
        if alone || self.waiting.len() >= MAX_EVENTS || self.n_bytes >= FULL_BYTES {
            frames.extend(self.flush(now_ms));
        }
        frames
    }

    /// Call at [`next_deadline`](Self::next_deadline): gives the frame whose time has come.
    pub fn tick(&mut self, now_ms: u64) -> Option<GossipFrame> {
        self.next_deadline().filter(|due| *due <= now_ms).and_then(|_| self.flush(now_ms))
    }

    /// When [`tick`](Self::tick) is due; `None` when nothing waits.
    pub fn next_deadline(&self) -> Option<u64> {
        // Counted from the frame before, not from the first event that waits: else a frame that went late makes the next event
        // wait too, and so on for as long as events come at intervals below twice the delay.
        self.last_sent_ms.filter(|_| !self.waiting.is_empty()).map(|last| last.saturating_add(MAX_DELAY_MS))
    }

    fn flush(&mut self, now_ms: u64) -> Option<GossipFrame> {
        if self.waiting.is_empty() {
            return None;
        }
        self.last_sent_ms = Some(now_ms);
        self.n_bytes = 0;
        Some(GossipFrame::Events(std::mem::take(&mut self.waiting)))
    }
}

#[cfg(test)]
mod tests {
    use parlor_crypto::Secret;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn n_events(frames: &[GossipFrame]) -> usize {
        frames.iter().map(|frame| if let GossipFrame::Events(list) = frame { list.len() } else { 0 }).sum()
    }

    #[test]
    fn a_frame_opens_with_its_key_only() {
        let mut rng = StdRng::seed_from_u64(1);
        let (key, other) = (GossipKey::new(&Secret::new([1; 32])), GossipKey::new(&Secret::new([2; 32])));
        let frame = GossipFrame::Events(vec![Blob(vec![1, 2, 3])]);
        let unreached = Unreached::devices([DeviceId([7; 32])]);
        let mut wrapped = frame.wrap(&unreached, &key, &mut rng).unwrap();
        let find = |hint: &[u8; 8]| (*hint == key.hint()).then_some(&key);
        assert_eq!(GossipFrame::unwrap(&wrapped, find), Ok((frame.clone(), unreached)));
        assert_eq!(GossipFrame::unwrap(&wrapped, |_| None), Err(GossipError::UnknownKey));
        assert_eq!(GossipFrame::unwrap(&wrapped, |_| Some(&other)), Err(GossipError::Damaged));
        *wrapped.last_mut().unwrap() ^= 1;
        assert_eq!(GossipFrame::unwrap(&wrapped, find), Err(GossipError::Damaged));
        assert_eq!(GossipFrame::unwrap(&wrapped[..20], find), Err(GossipError::Size));
        assert_eq!(GossipFrame::unwrap(&vec![0; MAX_FRAME + 1], find), Err(GossipError::Size));
        let empty = GossipFrame::Events(Vec::new()).wrap(&Unreached::default(), &key, &mut rng).unwrap();
        assert_eq!(GossipFrame::unwrap(&empty, find), Err(GossipError::Malformed));
        let many = Unreached(Some(vec![[0; 4]; MAX_UNREACHED + 1]));
        let crowded = frame.wrap(&many, &key, &mut rng).unwrap();
        assert_eq!(GossipFrame::unwrap(&crowded, find), Err(GossipError::Malformed));
    }

    #[test]
    fn only_those_forward_who_know_somebody_that_was_not_reached() {
        let [one, two, three] = [1, 2, 3].map(|n| DeviceId([n; 32]));
        let unreached = Unreached::devices([one, two]);
        assert!(unreached.is_helped_by(&[three, two]));
        assert!(!unreached.is_helped_by(&[three]));
        assert!(!Unreached::devices([]).is_helped_by(&[one, two, three]));
        let many = (0..=MAX_UNREACHED).map(|n| DeviceId([n as u8; 32]));
        for unsaid in [Unreached::default(), Unreached::devices(many)] {
            assert!(unsaid.is_helped_by(&[]));
        }
    }

    #[test]
    fn a_lone_event_goes_at_once_and_a_burst_waits_at_most_the_delay() {
        let mut coalescer = Coalescer::default();
        assert_eq!(n_events(&coalescer.push(vec![0; 300], 1_000)), 1);
        assert_eq!(n_events(&coalescer.push(vec![0; 300], 1_001)), 0);
        assert_eq!(n_events(&coalescer.push(vec![0; 300], 1_003)), 0);
        assert_eq!(coalescer.next_deadline(), Some(1_005));
        assert_eq!(coalescer.tick(1_004), None);
        assert_eq!(n_events(&coalescer.tick(1_005).into_iter().collect::<Vec<_>>()), 2);
        assert_eq!(coalescer.next_deadline(), None);
        assert_eq!(n_events(&coalescer.push(vec![0; 300], 1_011)), 1);
    }

    #[test]
    fn events_at_a_steady_pace_go_at_once_again_after_one_had_to_wait() {
        let mut coalescer = Coalescer::default();
        let mut waited = Vec::new();
        for event in 0..20u64 {
            // One comes early, and every timer fires two milliseconds late.
            let now = 1_000 + event * 10 - if event == 1 { 7 } else { 0 };
            let at = match coalescer.push(vec![0; 300], now).len() {
                0 => coalescer.next_deadline().unwrap() + 2,
                _ => now,
            };
            coalescer.tick(at);
            assert_eq!(coalescer.next_deadline(), None);
            waited.push(at - now);
        }
        assert!(waited[1] > 0, "the early one waits for company");
        assert_eq!(waited[3..], [0; 17], "nobody after it: {waited:?}");
    }

    #[test]
    fn every_frame_fits_and_nothing_is_lost() {
        let mut rng = StdRng::seed_from_u64(2);
        let key = GossipKey::new(&Secret::new([1; 32]));
        let mut coalescer = Coalescer::default();
        let mut frames = Vec::new();
        let sizes = [25_000, 7_000, 300, 300, 25_600, 25_600, 10, 32_000, 1];
        for _ in 0..20 {
            for size in sizes {
                frames.extend(coalescer.push(vec![7; size], 1_000));
            }
        }
        frames.extend(coalescer.tick(2_000));
        assert_eq!(n_events(&frames), 20 * sizes.len());
        let unreached = Unreached::devices(vec![DeviceId([1; 32]); MAX_UNREACHED]);
        let fits = |frame: &GossipFrame| frame.wrap(&unreached, &key, &mut rng).is_some_and(|it| it.len() <= MAX_FRAME);
        assert!(frames.iter().all(fits));
    }
}
