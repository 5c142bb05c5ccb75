//! RFC 4648 base32 in upper case without padding, for QR codes: one text for each byte string.

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Encodes `bytes`.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        let mut padded = [0; 8];
        padded[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(padded);
        for digit in 0..(group.len() * 8).div_ceil(5) {
            let index = bits >> (35 - 5 * digit) & 31;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

/// Decodes what [`encode`] made; `None` for anything else.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    for group in text.as_bytes().chunks(8) {
        let mut bits = 0_u64;
        for (place, digit) in group.iter().enumerate() {
            let value = ALPHABET.iter().position(|d| d == digit)?;
            bits |= (value as u64) << (35 - 5 * place);
        }
        let len = group.len() * 5 / 8;
        // No digit more than needed, and no bit set beyond the last byte.
        if (len * 8).div_ceil(5) != group.len() || len < 5 && bits << (24 + 8 * len) != 0 {
            return None;
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[3..3 + len]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_hold() {
        let vectors =
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB")];
        for (bytes, text) in vectors {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn a_byte_string_has_one_text_only() {
        assert_eq!(decode("MZ"), None, "bits beyond the last byte");
        assert_eq!(decode("M"), None, "a digit without a byte");
        assert_eq!(decode("MZX"), None, "a digit too many");
        assert_eq!(decode("my"), None, "lower case");
        assert_eq!(decode("M1"), None, "not of the alphabet");
    }
}
