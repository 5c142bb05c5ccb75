//! Ids: one newtype for each thing that has one, so that the compiler catches a swap.
//!
//! All ids are fixed-size byte strings. `Display` and `FromStr` use lower-case hex; [`short`](RoomId::short) is the form
//! for logs and people. An id says nothing by itself: [`DeviceId`] is an Ed25519 public key, [`EventId`] a hash of a
//! header, [`RoomId`] the id of the room's genesis event, [`AccountId`] a hash of the account's inception.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text that is not the hex form of an id of the wanted size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: {expected} hexadecimal digits expected")]
pub struct ParseIdError {
    expected: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The first four bytes in hex: for logs and people, not for comparing.
            pub fn short(&self) -> String {
                self.0[..4].iter().map(|b| format!("{b:02x}")).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Ids are written for every event that windows are told: `{:02x}` a byte stood out in profiles.
                let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
                self.0.iter().try_for_each(|b| f.write_char(digit(b >> 4)).and_then(|()| f.write_char(digit(b & 15))))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self)
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }
    };
}

id!(
    /// A room: the id of its genesis event. Never sent in the clear.
    RoomId, 32
);
id!(
    /// An account: hash of its inception (root key and commitment to the next one).
    AccountId, 32
);
id!(
    /// A device: its Ed25519 public key.
    DeviceId, 32
);
id!(
    /// A file: a commitment to its key, its size and the names of its chunks. Known to those who can read its message.
    FileId, 32
);
id!(
    /// An event: hash of room id and header, without the signature.
    EventId, 32
);
id!(
    /// An epoch: the first 16 bytes of the id of the Rotate event that made it.
    EpochId, 16
);

impl EpochId {
    /// The epoch that the Rotate event `rotate` makes.
    pub fn of(rotate: &EventId) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&rotate.0[..16]);
        Self(bytes)
    }
}

impl EventId {
    /// The `prev` of the first event of a log.
    pub const ZERO: Self = Self([0; 32]);
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseIdError> {
    let wrong = || ParseIdError { expected: 2 * N };
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(wrong());
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |d: u8| char::from(d).to_digit(16).and_then(|v| u8::try_from(v).ok());
        *byte = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = RoomId([0xa5; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.short(), "a5a5a5a5");
    }

    #[test]
    fn text_of_another_size_or_alphabet_is_no_id() {
        assert!("a5".parse::<RoomId>().is_err());
        assert!("zz".repeat(32).parse::<RoomId>().is_err());
        assert!("é".repeat(32).parse::<RoomId>().is_err());
    }
}
