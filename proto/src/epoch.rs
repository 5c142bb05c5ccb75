//! Epochs: who can read.

use parlor_crypto::hpke::{self, WelcomeContext};
use parlor_crypto::secret::{Secret, exposed};
use parlor_crypto::topic::TopicSecret;
use parlor_crypto::{CryptoRng, leaf::LeafPublic};
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::identity::Identity;
use crate::ids::{DeviceId, EpochId, EventId, RoomId};
use crate::limits;

/// What a newcomer is handed by its sponsor, sealed to its leaf key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Welcome {
    /// Names the topic, proves membership in sync.
    pub topic_secret: TopicSecret,
    /// How often the topic moved on.
    pub generation: u32,
    /// Keys of epochs by the history mode, ascending by epoch.
    pub keys: Vec<WelcomeKey>,
    /// The control events that nobody had built on, the Admit among them: what the newcomer must come to hold.
    pub frontier: Vec<EventId>,
}

/// The key of an epoch from one slice on. Checked against the epoch's commitment when its Rotate is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WelcomeKey {
    /// Which epoch.
    pub epoch: EpochId,
    /// From which slice on.
    pub slice: u32,
    /// The key of that slice.
    #[serde(with = "exposed")]
    pub key: Secret,
}

/// A Welcome that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WelcomeError {
    /// Sealed for another room, invite, device or leaf, or damaged.
    #[error("the welcome does not open")]
    Open,
    /// What is inside is malformed.
    #[error("the welcome is malformed")]
    Malformed,
}

impl Welcome {
    /// Opens the Welcome to `room` that answers our request with the invite's key.
    ///
    /// # Errors
    /// See [`WelcomeError`]; the sponsor is at fault.
    pub fn open(me: &Identity, room: &RoomId, invite_pk: &[u8; 32], sealed: &[u8]) -> Result<Self, WelcomeError> {
        if sealed.len() > limits::MAX_WELCOME {
            return Err(WelcomeError::Open);
        }
        let context = WelcomeContext { room_id: room.0, invite: *invite_pk, device: me.device().0 };
        let plain = me.leafs().iter().find_map(|leaf| hpke::open_welcome(&context, &leaf.secret, sealed).ok());
        let plain = plain.ok_or(WelcomeError::Open)?;
        let welcome: Self = codec::decode(&plain, limits::MAX_WELCOME).map_err(|_| WelcomeError::Malformed)?;
        let bounded =
            welcome.keys.len() <= limits::MAX_WELCOME_KEYS && welcome.frontier.len() <= limits::MAX_WELCOME / 32;
        if bounded { Ok(welcome) } else { Err(WelcomeError::Malformed) }
    }

    /// Seals it for the device `device` with the leaf key `leaf`.
    pub fn seal(
        &self,
        room: &RoomId,
        invite_pk: &[u8; 32],
        device: &DeviceId,
        leaf: &LeafPublic,
        rng: &mut impl CryptoRng,
    ) -> Vec<u8> {
        let context = WelcomeContext { room_id: room.0, invite: *invite_pk, device: device.0 };
        let plain = zeroize::Zeroizing::new(codec::encode(self));
        hpke::seal_welcome(rng, &context, leaf, &plain)
    }
}
