//! The name of a transport: the Ed25519 public key that Noise and QUIC prove.
//!
//! Shown to users in libp2p's base58 form (`12D3Koo..`), carried by links as the raw 32 bytes. It is not a device id:
//! the transport key is separate, so that outsiders cannot tie connections to accounts.

use std::{fmt, str::FromStr};

use libp2p::identity::Keypair;

/// Peer id: the transport's Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 32]);

/// Why text or bytes are not a peer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePeerIdError {
    /// The text is not base58 of a multihash.
    #[error("not a peer id")]
    Malformed,
    /// The id is well formed, but not of an Ed25519 key; Parlor uses no others.
    #[error("not the peer id of an ed25519 key")]
    OtherKey,
}

/// The 38 bytes of a libp2p peer id begin so: identity multihash, 36 bytes of protobuf, key type 1, 32 bytes of key.
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

impl PeerId {
    /// The peer id of a transport's Ed25519 public key, as links carry it.
    pub const fn from_key(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The peer id that a node started with this key seed will have.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut copy = *seed;
        // `ed25519_from_bytes` clears the copy.
        let pair = Keypair::ed25519_from_bytes(&mut copy).expect("any 32 bytes are an ed25519 seed");
        let key = pair.public().try_into_ed25519().expect("it was made from an ed25519 key");
        Self(key.to_bytes())
    }

    /// The transport's Ed25519 public key.
    pub const fn to_key(self) -> [u8; 32] {
        self.0
    }

    /// The transport's Ed25519 public key.
    pub const fn as_key(&self) -> &[u8; 32] {
        &self.0
    }

    /// The form for logs: the last 8 characters of the base58 form.
    pub fn short(&self) -> String {
        let full = self.to_string();
        full.get(full.len().saturating_sub(8)..).unwrap_or_default().to_owned()
    }

    /// Of a libp2p id; fails for ids of other key types, which no handshake of ours can produce.
    pub(crate) fn from_libp2p(id: &libp2p::PeerId) -> Result<Self, ParsePeerIdError> {
        let bytes = id.to_bytes();
        let key = bytes.strip_prefix(&PREFIX).ok_or(ParsePeerIdError::OtherKey)?;
        Ok(Self(key.try_into().map_err(|_| ParsePeerIdError::OtherKey)?))
    }

    /// The same id for libp2p.
    pub(crate) fn to_libp2p(self) -> libp2p::PeerId {
        libp2p::PeerId::from_bytes(&self.to_multihash()).expect("an identity multihash of 36 bytes is a peer id")
    }

    fn to_multihash(self) -> [u8; 38] {
        let mut bytes = [0; 38];
        let (prefix, key) = bytes.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(&PREFIX);
        key.copy_from_slice(&self.0);
        bytes
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_libp2p().fmt(f)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.short())
    }
}

impl FromStr for PeerId {
    type Err = ParsePeerIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = libp2p::PeerId::from_str(text).map_err(|_| ParsePeerIdError::Malformed)?;
        Self::from_libp2p(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_key_forms_come_back_unchanged() {
        let id = PeerId::from_seed(&[7; 32]);
        assert!(id.to_string().starts_with("12D3Koo"));
        assert_eq!(id.to_string().parse::<PeerId>(), Ok(id));
        assert_eq!(PeerId::from_key(id.to_key()), id);
        assert_eq!(PeerId::from_libp2p(&id.to_libp2p()), Ok(id));
    }

    #[test]
    fn ids_of_other_keys_and_damaged_text_are_refused() {
        // A SHA-256 multihash, as RSA keys have.
        assert_eq!("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".parse::<PeerId>(), Err(ParsePeerIdError::OtherKey));
        assert_eq!("12D3KooW".parse::<PeerId>(), Err(ParsePeerIdError::Malformed));
        assert_eq!("".parse::<PeerId>(), Err(ParsePeerIdError::Malformed));
    }
}
