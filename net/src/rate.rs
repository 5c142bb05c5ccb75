//! Token buckets: a rate, sustained, and a burst.

use std::time::Instant;

/// Lets `rate` units a second through, and up to `burst` at once.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    rate: u32,
    burst: u32,
    /// Millionths of a unit, so that slow rates gain with every look.
    tokens: u64,
    seen: Instant,
}

const UNIT: u64 = 1_000_000;

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: u32, burst: u32, now: Instant) -> Self {
        Self { rate, burst, tokens: u64::from(burst) * UNIT, seen: now }
    }

    /// Takes `units` if they are there.
    pub(crate) fn take(&mut self, units: u32, now: Instant) -> bool {
        let passed = u64::try_from(now.saturating_duration_since(self.seen).as_micros()).unwrap_or(u64::MAX);
        self.seen = now;
        let gained = passed.saturating_mul(u64::from(self.rate));
        self.tokens = self.tokens.saturating_add(gained).min(u64::from(self.burst) * UNIT);
        match self.tokens.checked_sub(u64::from(units) * UNIT) {
            Some(rest) => {
                self.tokens = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 5, start);
        assert_eq!((0..9).filter(|_| bucket.take(1, start)).count(), 5);
        let later = start + Duration::from_millis(100);
        assert!(bucket.take(1, later) && !bucket.take(1, later));
        let much_later = start + Duration::from_secs(1000);
        assert_eq!((0..9).filter(|_| bucket.take(1, much_later)).count(), 5);
    }
}
