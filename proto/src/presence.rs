//! What somebody does right now: that he types, and whether he is there. Signed, gossiped, never stored.
//!
//! ```text
//! presence: device[32] | ts_ms varint | doing u8 | sig[64]
//! doing     0 types | 1 stopped typing | 2 here | 3 away | 4 not to be shown
//! sig       by the device, label "presence", over room_id || the fields before it
//! ```
//! A statement is worth something for as long as it is fresh: within [`FRESH_MS`] of the reader's clock, and newer than
//! the one before of its device, so a copy that somebody keeps is of no use to him. Nobody has to make any: whoever makes none and is connected is
//! here and does not type.
//!
//! [`Speaker`] says what we say and when, at most one statement in [`INTERVAL_MS`] a room. [`Listener`] keeps what others
//! said: of each device what its honest node could have sent, whatever it sends, and not beyond its time. The format is in
//! `docs/spec/attention.md`.

use std::collections::BTreeMap;

use parlor_crypto::{Signature, SigningKey, label};
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::ids::{DeviceId, RoomId};
use crate::signed;

/// Longest statement in bytes.
pub const MAX_PRESENCE: usize = 32 + 10 + 1 + 64;
/// Shortest time between two statements of a device in a room.
pub const INTERVAL_MS: u64 = 3_000;
/// Somebody who types says so again after this long.
pub const REPEAT_MS: u64 = 5_000;
/// Who has not said again that he types for this long has stopped: a repetition may be late or lost.
pub const TYPING_MS: u64 = 8_000;
/// A client that says "types" and nothing more means this long.
pub const TYPED_MS: u64 = 6_000;
/// Whether somebody is there holds for this long when it is not said again.
pub const STANCE_MS: u64 = 10 * 60 * 1_000;
/// Whoever is away or not to be shown says so again after this long.
pub const STANCE_REPEAT_MS: u64 = 4 * 60 * 1_000;
/// The first repetition, for whom gossip did not reach yet when he had just come.
pub const STANCE_AGAIN_MS: u64 = 10_000;
/// A statement is taken when its clock and ours are not further apart.
pub const FRESH_MS: u64 = 10 * 60 * 1_000;
/// Statements of one device that may come in a row: the way may bunch them.
const BURST: u32 = 2;
/// After this long a device has another.
const REFILL_MS: u64 = 2_000;
/// Devices of which something is remembered.
pub const MAX_HEARD: usize = 4_096;

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Doing {
    /// Types.
    Types,
    /// Stopped typing without sending.
    Stopped,
    /// Is here.
    Here,
    /// Is away from the screen.
    Away,
    /// Does not want to be shown as here.
    Hidden,
}

/// Whether somebody who is connected is to be shown so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stance {
    /// As here.
    #[default]
    Here,
    /// As away.
    Away,
    /// Not at all.
    Hidden,
}

impl Stance {
    fn doing(self) -> Doing {
        match self {
            Self::Here => Doing::Here,
            Self::Away => Doing::Away,
            Self::Hidden => Doing::Hidden,
        }
    }
}

/// A device's word for what its user does right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The device.
    pub device: DeviceId,
    /// Its clock, milliseconds since the epoch.
    pub ts_ms: u64,
    /// What.
    pub doing: Doing,
    /// The device's signature.
    pub sig: Signature,
}

/// Why bytes are not a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// Not the encoding of one.
    #[error("presence: {0}")]
    Codec(#[from] CodecError),
    /// Not signed by the device it names, for this room.
    #[error("bad signature of a presence")]
    Signature,
}

impl Presence {
    /// Makes and signs a statement.
    pub fn sign(room: &RoomId, device: &SigningKey, doing: Doing, ts_ms: u64) -> Self {
        let id = DeviceId(device.public_bytes());
        let mut presence = Self { device: id, ts_ms, doing, sig: Signature([0; 64]) };
        presence.sig = signed::sign(&presence, room, device, label::SIGN_PRESENCE);
        presence
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a statement without looking at its signature: see [`verify`](Self::verify).
    ///
    /// # Errors
    /// See [`PresenceError`]; the sender of such bytes is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, PresenceError> {
        Ok(codec::decode(bytes, MAX_PRESENCE)?)
    }

    /// Checks the signature, for `room`. Whether the device is a member's is for the room to say.
    ///
    /// # Errors
    /// [`PresenceError::Signature`]; the sender is at fault.
    pub fn verify(&self, room: &RoomId) -> Result<(), PresenceError> {
        let by = (&self.device, &self.sig);
        if signed::is_of(self, room, by, label::SIGN_PRESENCE) { Ok(()) } else { Err(PresenceError::Signature) }
    }
}

/// Says what we say in a room, and when.
#[derive(Debug, Clone, Default)]
pub struct Speaker {
    last_ms: Option<u64>,
    /// The user types until then.
    typing_until_ms: Option<u64>,
    /// When the others were told last that he types, and not yet that he stopped.
    said_typing_ms: Option<u64>,
    stance: Stance,
    /// When the stance is to be said next, and the pause after that.
    stance_due: Option<(u64, u64)>,
}

impl Speaker {
    /// The user types, or stopped.
    pub fn typing(&mut self, types: bool, now_ms: u64) {
        self.typing_until_ms = types.then(|| now_ms.saturating_add(TYPED_MS));
    }

    /// A message of ours went out: who gets it knows that he does not type any more.
    pub fn sent(&mut self) {
        (self.typing_until_ms, self.said_typing_ms) = (None, None);
    }

    /// The user wants to be shown so.
    pub fn stance(&mut self, stance: Stance, now_ms: u64) {
        if stance != self.stance {
            self.stance = stance;
            self.stance_due = Some((now_ms, STANCE_AGAIN_MS));
        }
    }

    /// Somebody came who knows nothing of us yet.
    pub fn greet(&mut self, now_ms: u64) {
        if self.stance != Stance::Here {
            self.stance_due = Some((now_ms, STANCE_AGAIN_MS));
        }
    }

    /// When [`take`](Self::take) has something next, if nothing else happens.
    pub fn due(&self) -> Option<u64> {
        let typing = match (self.typing_until_ms, self.said_typing_ms) {
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => Some(0),
            // Said again while it goes on; else told that it is over.
            (Some(until), Some(said)) => Some(until.min(said.saturating_add(REPEAT_MS))),
        };
        let wanted = [typing, self.stance_due.map(|(due, _)| due)].into_iter().flatten().min()?;
        Some(wanted.max(self.last_ms.map_or(0, |last| last.saturating_add(INTERVAL_MS))))
    }

    /// What is to be said now. At most one statement in [`INTERVAL_MS`].
    pub fn take(&mut self, now_ms: u64) -> Option<Doing> {
        if self.typing_until_ms.is_some_and(|until| until <= now_ms) {
            self.typing_until_ms = None;
        }
        if self.said_typing_ms.is_some_and(|said| said.saturating_add(TYPING_MS) <= now_ms) {
            // They take it for over by themselves.
            self.said_typing_ms = None;
        }
        if self.due().is_none_or(|due| due > now_ms) {
            return None;
        }
        if let Some((due, pause)) = self.stance_due
            && due <= now_ms
        {
            let last = self.stance == Stance::Here && pause > STANCE_AGAIN_MS;
            self.stance_due = (!last).then(|| (now_ms.saturating_add(pause), STANCE_REPEAT_MS));
            self.last_ms = Some(now_ms);
            return Some(self.stance.doing());
        }
        let doing = if self.typing_until_ms.is_some() { Doing::Types } else { Doing::Stopped };
        self.said_typing_ms = (doing == Doing::Types).then_some(now_ms);
        self.last_ms = Some(now_ms);
        Some(doing)
    }
}

/// What one device said.
#[derive(Debug, Clone, Default)]
struct Heard {
    /// Time of its newest statement, by its clock.
    ts_ms: u64,
    tokens: u32,
    filled_ms: u64,
    types_until_ms: Option<u64>,
    stance: Option<(Stance, u64)>,
}

impl Heard {
    fn is_idle(&self, now_ms: u64) -> bool {
        self.types_until_ms.is_none() && self.stance.is_none() && self.filled_ms.saturating_add(FRESH_MS) <= now_ms
    }

    fn refill(&mut self, now_ms: u64) {
        let more = now_ms.saturating_sub(self.filled_ms) / REFILL_MS;
        if more > 0 {
            self.tokens = self.tokens.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(BURST);
            self.filled_ms = now_ms;
        }
    }
}

/// What a statement made different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// Whether the device types.
    Typing(bool),
    /// How the device wants to be shown.
    Stance,
}

/// Keeps what the devices of others said in a room.
#[derive(Debug, Clone, Default)]
pub struct Listener {
    heard: BTreeMap<DeviceId, Heard>,
}

impl Listener {
    /// Whether a statement of this device with this time is to be looked at: it is fresh, new, and not more than an honest
    /// node sends. To be asked before its signature is checked; says nothing of who made it.
    pub fn admits(&mut self, device: &DeviceId, ts_ms: u64, now_ms: u64) -> bool {
        if ts_ms.abs_diff(now_ms) > FRESH_MS {
            return false;
        }
        match self.heard.get_mut(device) {
            None => {
                if self.heard.len() >= MAX_HEARD {
                    self.heard.retain(|_, heard| !heard.is_idle(now_ms));
                }
                self.heard.len() < MAX_HEARD
            }
            Some(heard) => {
                heard.refill(now_ms);
                heard.tokens > 0 && ts_ms > heard.ts_ms
            }
        }
    }

    /// Takes a statement that was [admitted](Self::admits) and whose signature is good.
    pub fn hear(&mut self, presence: &Presence, now_ms: u64) -> Change {
        let new = Heard { tokens: BURST, filled_ms: now_ms, ..Heard::default() };
        let heard = self.heard.entry(presence.device).or_insert(new);
        heard.ts_ms = presence.ts_ms;
        heard.tokens = heard.tokens.saturating_sub(1);
        let stance = match presence.doing {
            Doing::Types => {
                let before = heard.types_until_ms.replace(now_ms.saturating_add(TYPING_MS));
                return if before.is_none() { Change::Typing(true) } else { Change::Nothing };
            }
            Doing::Stopped => {
                let before = heard.types_until_ms.take();
                return if before.is_some() { Change::Typing(false) } else { Change::Nothing };
            }
            Doing::Here => None,
            Doing::Away => Some(Stance::Away),
            Doing::Hidden => Some(Stance::Hidden),
        };
        let before = heard.stance.map(|(stance, _)| stance);
        heard.stance = stance.map(|stance| (stance, now_ms.saturating_add(STANCE_MS)));
        if before == stance { Change::Nothing } else { Change::Stance }
    }

    /// The device wrote a message, or went: it does not type any more. Whether it did.
    pub fn stopped(&mut self, device: &DeviceId) -> bool {
        self.heard.get_mut(device).is_some_and(|heard| heard.types_until_ms.take().is_some())
    }

    /// How a device that is connected wants to be shown.
    pub fn stance(&self, device: &DeviceId) -> Stance {
        self.heard.get(device).and_then(|heard| heard.stance).map_or(Stance::Here, |(stance, _)| stance)
    }

    /// Whether a device types.
    pub fn types(&self, device: &DeviceId) -> bool {
        self.heard.get(device).is_some_and(|heard| heard.types_until_ms.is_some())
    }

    /// When [`tick`](Self::tick) is due.
    pub fn due(&self) -> Option<u64> {
        let of = |heard: &Heard| [heard.types_until_ms, heard.stance.map(|(_, until)| until)];
        self.heard.values().flat_map(of).flatten().min()
    }

    /// Time passed: the devices whose typing, or whose stance, is over.
    pub fn tick(&mut self, now_ms: u64) -> Vec<(DeviceId, Change)> {
        let mut over = Vec::new();
        for (device, heard) in &mut self.heard {
            if heard.types_until_ms.take_if(|until| *until <= now_ms).is_some() {
                over.push((*device, Change::Typing(false)));
            }
            if heard.stance.take_if(|(_, until)| *until <= now_ms).is_some() {
                over.push((*device, Change::Stance));
            }
        }
        over
    }

    /// Forgets the devices that are no member's any more.
    pub fn retain(&mut self, stays: impl Fn(&DeviceId) -> bool) {
        self.heard.retain(|device, _| stays(device));
    }
}

#[cfg(test)]
mod tests;
