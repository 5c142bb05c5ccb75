//! A set of slots.

/// Which slots somebody has: one bit each, the lowest of a byte first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    bytes: Vec<u8>,
    len: u32,
    count: u32,
}

impl Bits {
    /// None of `len` slots.
    pub fn none(len: u32) -> Self {
        Self { bytes: vec![0; len.div_ceil(8) as usize], len, count: 0 }
    }

    /// The set of these bytes, if they are the form of one of `len` slots.
    pub fn from_bytes(bytes: &[u8], len: u32) -> Option<Self> {
        let spare = bytes.len() as u64 * 8 - u64::from(len).min(bytes.len() as u64 * 8);
        let clean = bytes.last().is_none_or(|last| spare == 0 || last.leading_zeros() as u64 >= spare);
        if bytes.len() != len.div_ceil(8) as usize || !clean {
            return None;
        }
        let count = bytes.iter().map(|byte| byte.count_ones()).sum();
        Some(Self { bytes: bytes.to_vec(), len, count })
    }

    /// Its form on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether this slot is in it.
    pub fn has(&self, slot: u32) -> bool {
        self.bytes.get((slot / 8) as usize).is_some_and(|byte| byte >> (slot % 8) & 1 == 1)
    }

    /// Adds a slot, and says whether it was not there. Slots beyond its length are not added.
    pub fn add(&mut self, slot: u32) -> bool {
        if slot >= self.len || self.has(slot) {
            return false;
        }
        if let Some(byte) = self.bytes.get_mut((slot / 8) as usize) {
            *byte |= 1 << (slot % 8);
            self.count += 1;
        }
        true
    }

    /// Takes a slot out.
    pub fn remove(&mut self, slot: u32) {
        if self.has(slot)
            && let Some(byte) = self.bytes.get_mut((slot / 8) as usize)
        {
            *byte &= !(1 << (slot % 8));
            self.count -= 1;
        }
    }

    /// How many slots are in it.
    pub fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_comes_back_from_its_bytes_and_other_bytes_are_none() {
        let mut bits = Bits::none(11);
        assert!(bits.add(0) && bits.add(10) && !bits.add(10) && !bits.add(11));
        assert_eq!((bits.count(), bits.has(10), bits.has(9), bits.has(4_000_000_000)), (2, true, false, false));
        assert_eq!(Bits::from_bytes(bits.as_bytes(), 11), Some(bits.clone()));
        for (bytes, len) in [(&[1, 8][..], 11), (&[1], 11), (&[1, 4, 0], 11), (&[], 1), (&[0], 0)] {
            assert_eq!(Bits::from_bytes(bytes, len), None, "{bytes:?}");
        }
        bits.remove(10);
        bits.remove(10);
        assert_eq!((bits.count(), bits.has(10)), (1, false));
        assert_eq!(Bits::from_bytes(&[255], 8).unwrap().count(), 8);
        assert_eq!(Bits::from_bytes(&[], 0).unwrap().count(), 0);
    }
}
