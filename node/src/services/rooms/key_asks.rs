//! When pages and keys that did not come are asked for again.

/// How often the same number of them was asked for.
#[derive(Debug, Default)]
pub(super) struct KeyAsks {
    wanted: usize,
    tries: u32,
    due_ms: u64,
}

impl KeyAsks {
    /// When they are asked for again, if so many are wanted now: later each time, anew from the beginning when something came or more
    /// is wanted. `None` if nothing is.
    pub(super) fn again_ms(&mut self, wanted: usize, now_ms: u64) -> Option<u64> {
        /// A quarter of an hour and a bit.
        const LONGEST: u32 = 10;
        if self.wanted != wanted {
            *self = Self { wanted, ..Self::default() };
        }
        // Whatever else makes the room be looked after meanwhile is no try.
        if now_ms >= self.due_ms || self.due_ms.abs_diff(now_ms) > 1_000 << LONGEST {
            self.tries = (self.tries + 1).min(LONGEST);
            self.due_ms = now_ms.saturating_add(1_000 << self.tries);
        }
        (wanted > 0).then_some(self.due_ms)
    }

    /// Somebody is there who was not asked: it begins anew. Whether anything is wanted.
    pub(super) fn begin_anew(&mut self) -> bool {
        *self = Self { wanted: self.wanted, ..Self::default() };
        self.wanted > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_come_is_asked_for_more_and_more_seldom_and_soon_again_when_that_changes() {
        let mut asks = KeyAsks::default();
        assert_eq!(asks.again_ms(0, 0), None);
        assert_eq!(asks.again_ms(2, 100), Some(2_100));
        assert_eq!(asks.again_ms(2, 200), Some(2_100), "it was not due");
        assert_eq!([asks.again_ms(2, 2_100), asks.again_ms(2, 6_100)], [Some(6_100), Some(14_100)]);
        assert_eq!(asks.again_ms(1, 7_000), Some(9_000));
        let mut now_ms = 9_000;
        for _ in 0..50 {
            now_ms = asks.again_ms(1, now_ms).unwrap();
        }
        assert_eq!(asks.again_ms(1, now_ms), Some(now_ms + 1_024_000));
        assert_eq!(asks.again_ms(1, 50), Some(1_024_050), "a clock that was ahead");
        assert!(asks.begin_anew());
        assert_eq!(asks.again_ms(1, 60), Some(2_060));
        assert_eq!(asks.again_ms(0, 70), None);
        assert!(!asks.begin_anew());
    }
}
