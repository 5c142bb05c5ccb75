//! The topic secret of a room: what lets members find each other without telling anybody else.
//!
//! ```text
//! name    base32(H("topic", topic_secret || generation u32)[..20])                         32 characters
//! probe   KDF(topic_secret, "probe", side || context, 16)
//! proof   KDF(topic_secret, "proof", side || context, 32)                                  an EnvelopeKey
//! place   KDF(topic_secret, "place", u64(day), 32)       day = (time + shift) / a day
//! shift   KDF(topic_secret, "place shift", "", 8) mod a day, in ms: rooms do not change their places at once
//! context dialer_nonce[32] || listener_nonce[32] || u16(|dialer|) || dialer peer id || u16(|listener|) || listener peer id
//! side    0x00 made by the dialer, 0x01 made by the listener
//! ```
//! A probe is bound to the connection, so it can neither be replayed nor compared between connections; the two sides'
//! probes differ, so echoing one proves nothing. A place is a key of the relays' DHT, under which members announce where they are: who
//! does not hold the secret can relate it neither to the room nor to the place of another day. The topic secret is handed over in the Welcome; it opens no message.

use serde::{Deserialize, Serialize};

use crate::envelope::EnvelopeKey;
use crate::hash::TOPIC;
use crate::secret::key_of_secret;
use crate::secret::{self, Secret};
use crate::{kdf, label};

/// Bytes of a topic name before base32.
pub const NAME_LEN: usize = 20;

/// The topic secret of a room. Serde writes it in the open: it travels inside Welcomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicSecret(#[serde(with = "secret::exposed")] Secret);

/// How long a place is used, in milliseconds: a day.
pub const PLACE_MS: u64 = 24 * 60 * 60 * 1_000;
/// How far apart the clocks of two members may be to find each other at any time.
pub const PLACE_LEEWAY_MS: u64 = 2 * 60 * 60 * 1_000;

/// Where members of a room announce themselves at a time, and ask for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The key to announce oneself under, and to ask for first.
    pub now: [u8; 32],
    /// The key under which those are whose clocks are ahead or behind, if that day is near.
    pub near: Option<[u8; 32]>,
    /// When `now` becomes another one, milliseconds since 1970.
    pub until_ms: u64,
}

/// Which end of a connection something was made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that opened the connection.
    Dialer,
    /// The end that accepted it.
    Listener,
}

impl Side {
    /// The other end.
    pub const fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Listener,
            Self::Listener => Self::Dialer,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Dialer => 0,
            Self::Listener => 1,
        }
    }
}

/// One connection, as probes and proofs are bound to it. Both ends fill it in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    bytes: Vec<u8>,
}

impl Connection {
    /// A connection between two transport peer ids with a fresh nonce of each end.
    ///
    /// A peer id beyond 65,535 bytes does not occur (libp2p's have 38) and is cut.
    pub fn new(dialer_nonce: &[u8; 32], listener_nonce: &[u8; 32], dialer_peer: &[u8], listener_peer: &[u8]) -> Self {
        let mut bytes = [dialer_nonce.as_slice(), listener_nonce].concat();
        for peer in [dialer_peer, listener_peer] {
            let len = u16::try_from(peer.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(&peer[..usize::from(len)]);
        }
        Self { bytes }
    }

    /// The bytes that a signature over the connection covers.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

key_of_secret!(TopicSecret);

impl TopicSecret {
    /// The bytes of the topic name of a generation.
    pub fn name_bytes(&self, generation: u32) -> [u8; NAME_LEN] {
        TOPIC.hash_prefix(&[self.0.expose(), &generation.to_be_bytes()])
    }

    /// The topic name of a generation: 32 lower-case base32 characters (RFC 4648, unpadded).
    pub fn name(&self, generation: u32) -> String {
        base32(&self.name_bytes(generation))
    }

    /// The blinded probe that `side` sends for this room on a connection.
    pub fn probe(&self, side: Side, connection: &Connection) -> [u8; 16] {
        kdf::derive_public(&self.0, label::KDF_PROBE, &[&[side.byte()], &connection.bytes])
    }

    /// The places of the room at a time, in milliseconds since 1970.
    pub fn places(&self, now_ms: u64) -> Places {
        let shift = u64::from_be_bytes(kdf::derive_public(&self.0, label::KDF_PLACE_SHIFT, &[])) % PLACE_MS;
        let shifted = now_ms.saturating_add(shift);
        let (day, past) = (shifted / PLACE_MS, shifted % PLACE_MS);
        let near = if past < PLACE_LEEWAY_MS {
            day.checked_sub(1)
        } else {
            (past >= PLACE_MS - PLACE_LEEWAY_MS).then_some(day + 1)
        };
        let place = |day: u64| kdf::derive_public(&self.0, label::KDF_PLACE, &[&day.to_be_bytes()]);
        Places { now: place(day), near: near.map(place), until_ms: now_ms.saturating_add(PLACE_MS - past) }
    }

    /// The key that `side` encrypts its proof with on a connection.
    pub fn proof_key(&self, side: Side, connection: &Connection) -> EnvelopeKey {
        EnvelopeKey::new(&kdf::derive(&self.0, label::KDF_PROOF, &[&[side.byte()], &connection.bytes]))
    }
}

/// Unpadded lower-case base32 of whole groups of five bytes.
fn base32(bytes: &[u8; NAME_LEN]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let groups = bytes.chunks_exact(5).map(|group| group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte)));
    groups.flat_map(|bits| (0..8).rev().map(move |i| char::from(ALPHABET[(bits >> (5 * i)) as usize & 31]))).collect()
}
