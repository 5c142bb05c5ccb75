//! Randomness that stays secret when the generator is broken: fresh bytes mixed with secrets one holds already.
//!
//! ```text
//! seed     Extract(salt = 32 random bytes, ikm = (u32(|part|) || part) ...)
//! stream   KDF(seed, "hedge", u64(0), 32) || KDF(seed, "hedge", u64(1), 32) || ...        each fill begins a new block
//! ```
//! With a sound generator the stream is as good as the generator; with a predictable one (a clone of a machine, a stub)
//! it is as hard to guess as the parts (attack 34). Nobody else computes it, so it is no part of any format.

use std::convert::Infallible;
use std::fmt;

use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::{kdf, label};

/// A generator seeded by another one and by secrets. Wiped when dropped.
pub struct Hedged {
    seed: Secret,
    block: u64,
}

impl Hedged {
    /// Mixes 32 bytes of `rng` with `parts`: secrets, and what makes this use different from the last.
    pub fn new(rng: &mut impl CryptoRng, parts: &[&[u8]]) -> Self {
        let fresh = Secret::random(rng);
        let mut input = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| 4 + part.len()).sum()));
        for part in parts {
            input.extend_from_slice(&(part.len() as u32).to_be_bytes());
            input.extend_from_slice(part);
        }
        Self { seed: kdf::extract(fresh.expose(), &input), block: 0 }
    }
}

impl rand::TryRng for Hedged {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            let block: Secret = kdf::derive(&self.seed, label::KDF_HEDGE, &[&self.block.to_be_bytes()]);
            self.block += 1;
            chunk.copy_from_slice(&block.expose()[..chunk.len()]);
        }
        Ok(())
    }
}

impl rand::TryCryptoRng for Hedged {}

impl fmt::Debug for Hedged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hedged")
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    /// A generator that is broken in the worst way.
    struct Zeros;

    impl rand::TryRng for Zeros {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(0)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(0)
        }

        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            out.fill(0);
            Ok(())
        }
    }

    impl rand::TryCryptoRng for Zeros {}

    fn drawn(rng: &mut impl CryptoRng, parts: &[&[u8]]) -> Secret {
        Secret::random(&mut Hedged::new(rng, parts))
    }

    #[test]
    fn a_generator_of_zeros_gives_what_only_holders_of_the_parts_can_guess() {
        assert_ne!(drawn(&mut Zeros, &[b"secret", b"here"]), drawn(&mut Zeros, &[b"secreu", b"here"]));
        assert_ne!(drawn(&mut Zeros, &[b"secret", b"here"]), drawn(&mut Zeros, &[b"secret", b"herf"]));
        assert_ne!(drawn(&mut Zeros, &[b"secret"]), Secret::new([0; 32]));
        assert_eq!(drawn(&mut Zeros, &[b"secret"]), drawn(&mut Zeros, &[b"secret"]));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(drawn(&mut Zeros, &[b"ab", b"c"]), drawn(&mut Zeros, &[b"a", b"bc"]));
    }

    #[test]
    fn a_sound_generator_never_gives_the_same_twice() {
        let rng = &mut StdRng::seed_from_u64(1);
        assert_ne!(drawn(rng, &[b"secret"]), drawn(rng, &[b"secret"]));
        let mut stream = Hedged::new(rng, &[]);
        assert_ne!(Secret::random(&mut stream), Secret::random(&mut stream));
    }
}
