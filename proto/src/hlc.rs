//! The hybrid logical clock: 48 bits of milliseconds, 16 bits of a counter, in one ordered number.
//!
//! A message's clock is greater than that of the event before it in its log and of every parent its author held, so
//! sorting by it is a topological order of honest messages. It places messages on the timeline and decides nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_AHEAD_MS;

/// A reading of the clock. Greater is later.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hlc(pub u64);

impl Hlc {
    /// Before everything.
    pub const ZERO: Self = Self(0);

    /// The first reading within the millisecond `ms` since the epoch; later than 48 bits stays at the end of time.
    pub fn at(ms: u64) -> Self {
        Self(ms.min((1 << 48) - 1) << 16)
    }

    /// The millisecond since the epoch.
    pub fn ms(self) -> u64 {
        self.0 >> 16
    }

    /// A reading that is not before `now_ms` and later than `self`. `None` at the end of time, which only a clock set
    /// there by hand reaches.
    pub fn next(self, now_ms: u64) -> Option<Self> {
        Some(Self::at(now_ms).max(Self(self.0.checked_add(1)?)))
    }

    /// Whether this reading is so far ahead of `now_ms` that it says nothing about when the event was made.
    pub fn is_ahead_of(self, now_ms: u64) -> bool {
        self.ms() > now_ms.saturating_add(MAX_AHEAD_MS)
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hlc({}+{})", self.ms(), self.0 & 0xffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_only_goes_forward() {
        let first = Hlc::ZERO.next(1_000).unwrap();
        assert_eq!(first, Hlc::at(1_000));
        let same_ms = first.next(1_000).unwrap();
        assert!(same_ms > first && same_ms.ms() == 1_000);
        let clock_went_back = same_ms.next(10).unwrap();
        assert!(clock_went_back > same_ms);
        assert_eq!(Hlc(u64::MAX).next(0), None);
    }

    #[test]
    fn a_full_counter_moves_to_the_next_millisecond() {
        assert_eq!(Hlc((7 << 16) | 0xffff).next(7).unwrap(), Hlc::at(8));
    }
}
