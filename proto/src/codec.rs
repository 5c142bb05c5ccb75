//! The canonical encoding: postcard, one byte string a value.
//!
//! postcard alone accepts over-long varints and ignores trailing bytes (finding F2), so two byte strings could mean one
//! value. [`decode`] therefore encodes the value again and refuses bytes that differ. What is hashed or signed is always
//! the bytes as received, never a second encoding.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why bytes are not the canonical encoding of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Longer than the limit of its kind.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// Not an encoding of this type at all.
    #[error("malformed encoding")]
    Malformed,
    /// An encoding of a value, but not the only one allowed: over-long numbers or bytes left over.
    #[error("not the canonical encoding")]
    NotCanonical,
}

/// Encodes `value`.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    #[allow(
        clippy::expect_used,
        reason = "postcard into a Vec fails only for types of unknown length; ours have known ones"
    )]
    postcard::to_stdvec(value).expect("types of this crate always encode")
}

/// Decodes `bytes`, at most `limit` long, and refuses what [`encode`] would not have written.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, CodecError> {
    if bytes.len() > limit {
        return Err(CodecError::TooLong { limit });
    }
    let value: T = postcard::from_bytes(bytes).map_err(|_| CodecError::Malformed)?;
    if encode(&value) != bytes {
        return Err(CodecError::NotCanonical);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlong_numbers_and_bytes_left_over_are_refused() {
        assert_eq!(decode::<u64>(&encode(&7_u64), 16), Ok(7));
        assert_eq!(decode::<u64>(&[0x87, 0x00], 16), Err(CodecError::NotCanonical));
        assert_eq!(decode::<u64>(&[0x07, 0x00], 16), Err(CodecError::NotCanonical));
        assert_eq!(decode::<u64>(&[0x87], 16), Err(CodecError::Malformed));
        assert_eq!(decode::<u64>(&[0; 17], 16), Err(CodecError::TooLong { limit: 16 }));
    }
}
