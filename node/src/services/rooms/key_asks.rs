//! When pages and keys that did not come are asked for again.

/// How often the same number of them was asked for.
#[derive(Debug, Default)]
pub(super) struct KeyAsks {
    wanted: usize,
    tries: u32,
}

impl KeyAsks {
    /// How long to wait before they are asked for again, in milliseconds: longer each time, anew from the beginning when something
    /// came or more is wanted. `None` if nothing is.
    pub(super) fn pause_ms(&mut self, wanted: usize) -> Option<u64> {
        /// A quarter of an hour and a bit.
        const LONGEST: u32 = 10;
        if self.wanted != wanted {
            (self.wanted, self.tries) = (wanted, 0);
        }
        self.tries = (self.tries + 1).min(LONGEST);
        (wanted > 0).then(|| 1_000 << self.tries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_come_is_asked_for_more_and_more_seldom_and_soon_again_when_that_changes() {
        let mut asks = KeyAsks::default();
        assert_eq!(asks.pause_ms(0), None);
        assert_eq!([asks.pause_ms(2), asks.pause_ms(2), asks.pause_ms(2)], [Some(2_000), Some(4_000), Some(8_000)]);
        assert_eq!(asks.pause_ms(1), Some(2_000));
        let last = (0..50).filter_map(|_| asks.pause_ms(1)).last();
        assert_eq!(last, Some(1_024_000));
        assert_eq!(asks.pause_ms(0), None);
    }
}
