//! The first frame of each side of a sync stream.
//!
//! `"parlor" || u16 version || u16 limits || boot[16] || link[8]`, numbers big-endian; later versions may append fields, which are
//! ignored.

use crate::limits::LIMITS_VERSION;

const MAGIC: &[u8; 6] = b"parlor";
const VERSION: u16 = 2;

/// Length of a hello of this version, in bytes.
pub(crate) const LEN: usize = 34;
/// Longest hello accepted: room for later fields.
pub(crate) const LEN_MAX: usize = 256;

/// What a peer says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hello {
    /// Random for each start of the process.
    pub(crate) boot: [u8; 16],
    /// Random for each stretch of being connected to the receiver.
    pub(crate) link: [u8; 8],
}

/// Why a hello is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HelloError {
    /// Not a hello at all.
    Malformed,
    /// Another version of the hello or of the limits.
    Incompatible,
}

impl Hello {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&LIMITS_VERSION.to_be_bytes());
        bytes.extend_from_slice(&self.boot);
        bytes.extend_from_slice(&self.link);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        let (magic, rest) = bytes.split_first_chunk::<6>().ok_or(HelloError::Malformed)?;
        if magic != MAGIC {
            return Err(HelloError::Malformed);
        }
        let (version, rest) = rest.split_first_chunk().ok_or(HelloError::Malformed)?;
        let (limits, rest) = rest.split_first_chunk().ok_or(HelloError::Malformed)?;
        if u16::from_be_bytes(*version) != VERSION || u16::from_be_bytes(*limits) != LIMITS_VERSION {
            return Err(HelloError::Incompatible);
        }
        let (boot, rest) = rest.split_first_chunk().ok_or(HelloError::Malformed)?;
        let (link, _) = rest.split_first_chunk().ok_or(HelloError::Malformed)?;
        Ok(Self { boot: *boot, link: *link })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Hello = Hello { boot: [1; 16], link: [2; 8] };

    #[test]
    fn a_hello_comes_back_and_later_fields_are_ignored() {
        let mut bytes = HELLO.encode();
        assert_eq!(bytes.len(), LEN);
        assert_eq!(Hello::decode(&bytes), Ok(HELLO));
        bytes.push(9);
        assert_eq!(Hello::decode(&bytes), Ok(HELLO));
    }

    #[test]
    fn other_versions_and_damaged_hellos_are_refused() {
        let bytes = HELLO.encode();
        for len in 0..LEN {
            assert!(Hello::decode(&bytes[..len]).is_err());
        }
        for (at, error) in [(0, HelloError::Malformed), (7, HelloError::Incompatible), (9, HelloError::Incompatible)] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_eq!(Hello::decode(&other), Err(error));
        }
    }
}
