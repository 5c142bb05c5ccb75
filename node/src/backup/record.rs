//! What stands in a backup: records, one after the other.

use parlor_crypto::Secret;
use parlor_crypto::account::Inception;
use parlor_crypto::secret::exposed;
use parlor_proto::{DeviceId, RoomId};
use parlor_storage::MessageRow;
use parlor_storage::limits::MAX_VALUE_BYTES;
use serde::{Deserialize, Serialize};

/// The format that this version writes, and the newest that it reads.
pub(super) const FORMAT: u16 = 1;

/// Longest record in bytes: the largest value of a store, and what is around it.
pub(super) const MAX_RECORD: usize = MAX_VALUE_BYTES + 4 * 1_024;

/// A record. Of a room first its beginning, then its values, its control events in a topological order, and its messages, log by log,
/// each in its order. (Once they stood there as they are shown, where a log may cross itself.)
#[derive(Serialize, Deserialize)]
pub(super) enum Record {
    /// The first one.
    Head(Box<Head>),
    /// What follows is of this room.
    Room {
        /// Which.
        id: RoomId,
        /// Its record in the store.
        record: Vec<u8>,
    },
    /// A small value of the room; before the first one, of none.
    Value {
        /// Which namespace.
        namespace: u8,
        /// Its name.
        key: Vec<u8>,
        /// What it says.
        value: Vec<u8>,
    },
    /// A control event.
    Control(Vec<u8>),
    /// A message.
    Message(Box<Said>),
    /// The last one.
    End(Counts),
}

/// Whose backup it is.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    /// [`FORMAT`].
    pub(super) format: u16,
    /// When it was made, milliseconds since the epoch.
    pub(super) made_ms: u64,
    /// What the account began with.
    pub(super) account: Inception,
    /// The device that made it.
    pub(super) device: DeviceId,
    /// The name of the account.
    pub(super) name: String,
    /// The root key of the account: what certifies a new device.
    #[serde(with = "exposed")]
    pub(super) root: Secret,
    /// Whether the home was locked with a passphrase.
    pub(super) locked: bool,
    /// The settings, as they were written by hand.
    pub(super) config: String,
}

/// A message as it is kept. Up to where it covers our own messages is left out: the device that reads it is another one.
#[derive(Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) device: DeviceId,
    pub(super) seq: u64,
    pub(super) hlc: u64,
    pub(super) order: u64,
    pub(super) received_ms: u64,
    /// Its key, all zeros if it was erased; none of what is not readable, or disappears.
    pub(super) key: Option<Key>,
    pub(super) fades_ms: Option<u64>,
    /// It is no line of the timeline.
    pub(super) aside: bool,
    /// The event.
    pub(super) bytes: Vec<u8>,
}

/// The key of a message.
#[derive(Serialize, Deserialize)]
pub(super) struct Key(#[serde(with = "exposed")] pub(super) Secret);

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rooms.
    pub rooms: u64,
    /// Control events.
    pub control: u64,
    /// Messages, with what was said about messages.
    pub messages: u64,
    /// Contacts.
    pub contacts: u64,
}

impl Said {
    /// A stored message as it goes into a backup.
    pub(super) fn of(row: MessageRow, aside: bool) -> Self {
        // What disappears is not to be had from a file that lies about: the room's keys open it, as long as there are any.
        let key = row.key.filter(|_| row.fades_ms.is_none()).map(Key);
        let MessageRow { device, seq, hlc, order, received_ms, bytes, fades_ms, .. } = row;
        Self { device, seq, hlc, order, received_ms, key, fades_ms, aside, bytes }
    }
}
