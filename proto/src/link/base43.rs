//! Base 43 for QR codes: the characters of their alphanumeric mode but space and `%`, one text for each byte string.
//!
//! The bytes, after a byte 1 that keeps leading zeros, are one number, written in digits of 43: 5.42 bits a character where
//! base32 has 5.

const ALPHABET: &[u8; 43] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ$*+-./:";
const BASE: u32 = 43;
/// Longest text looked at: dividing takes time with the square of the length.
const MAX_DIGITS: usize = 512;

/// How many bytes surely fit in so many digits: a digit has more than 5.4262 bits, one bit goes to the byte 1.
pub(super) const fn bytes(digits: usize) -> usize {
    (digits * 54_262 / 10_000 - 1) / 8
}

/// Encodes `bytes`.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut number: Vec<u8> = [&[1], bytes].concat();
    let mut digits = Vec::with_capacity(bytes.len() * 3 / 2 + 1);
    let mut first = 0;
    while first < number.len() {
        let mut rest = 0_u32;
        for byte in number.iter_mut().skip(first) {
            let value = rest << 8 | u32::from(*byte);
            // The rest is below 43, so what is divided is below 43 * 256 and the quotient below 256.
            (*byte, rest) = ((value / BASE) as u8, value % BASE);
        }
        digits.push(char::from(ALPHABET[rest as usize]));
        first += number.iter().skip(first).take_while(|byte| **byte == 0).count();
    }
    digits.into_iter().rev().collect()
}

/// Decodes what [`encode`] made; `None` for anything else.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_DIGITS || text.starts_with('0') {
        return None;
    }
    // Lowest byte first.
    let mut number: Vec<u8> = Vec::with_capacity(text.len());
    for digit in text.bytes() {
        let mut carry = u32::try_from(ALPHABET.iter().position(|d| *d == digit)?).ok()?;
        for byte in &mut number {
            let value = u32::from(*byte) * BASE + carry;
            (*byte, carry) = ((value & 0xff) as u8, value >> 8);
        }
        if carry > 0 {
            number.push(u8::try_from(carry).ok()?);
        }
    }
    if number.pop()? != 1 {
        return None;
    }
    number.reverse();
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_string_comes_back_and_leading_zeros_count() {
        let mut state = 7_u32;
        for len in 0..300_usize {
            let bytes: Vec<u8> = (0..len)
                .map(|at| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if at < len % 3 { 0 } else { (state >> 24) as u8 }
                })
                .collect();
            let text = encode(&bytes);
            assert_eq!(decode(&text).as_deref(), Some(bytes.as_slice()), "{text}");
        }
    }

    #[test]
    fn what_is_promised_to_fit_fits() {
        for digits in [10, 100, 384] {
            assert!(encode(&vec![0xff; bytes(digits)]).len() <= digits);
            assert!(encode(&vec![0xff; bytes(digits) + 1]).len() > digits, "{digits} could hold more");
        }
    }

    #[test]
    fn a_byte_string_has_one_text_only() {
        let text = encode(b"parlor");
        assert_eq!(decode(&format!("0{text}")), None, "a leading zero");
        assert_eq!(decode(&text.to_lowercase()), None, "lower case");
        assert_eq!(decode(""), None);
        assert_eq!(decode("2"), None, "does not begin with the byte 1");
        assert_eq!(decode(&"Z".repeat(MAX_DIGITS + 1)), None);
    }
}
