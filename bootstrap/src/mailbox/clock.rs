//! What time it may be: a wrong clock must not cost mail.
//!
//! A relay that starts with a clock ahead would let go all it keeps in its first minute; one that starts before the clock is
//! set would give what it takes in an old date. So a step of the clock, against what the store last saw and the time that
//! passed since, is believed only after it has stood for an hour. Until then what is put counts as put at the later of both
//! times, and what is old is judged by the earlier one: too much is kept, never too little.

use std::time::{Duration, Instant};

/// What a clock may go wrong by, or be corrected by, without a word.
const STEP_MS: u64 = 24 * 3_600 * 1_000;
/// A step that an operator should know of: a quiet relay that was off for some days is none.
const LOUD_MS: u64 = 7 * STEP_MS;
/// A step that stood for so long is believed: by then a time service has set the clock, or an operator has looked.
const BELIEVED: Duration = Duration::from_secs(3_600);

/// The clock of the wall, looked at with suspicion.
#[derive(Debug)]
pub(super) struct Clock {
    /// The time that was believed, and when that was.
    base: Option<(u64, Instant)>,
    step: Option<Step>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    ahead_ms: i128,
    since: Instant,
}

/// What time it may be, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// Not before this.
    pub(super) earliest: u64,
    /// Not after this.
    pub(super) latest: u64,
}

impl Clock {
    /// A clock of which this was the last that is known; with nothing known the wall is believed.
    pub(super) fn new(last_ms: Option<u64>, now: Instant) -> Self {
        Self { base: last_ms.map(|ms| (ms, now)), step: None }
    }

    /// What time it may be when the wall says this.
    pub(super) fn times(&mut self, wall_ms: u64, now: Instant) -> Times {
        let (base_ms, at) = *self.base.get_or_insert((wall_ms, now));
        let passed = u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX);
        let expected = base_ms.saturating_add(passed);
        let ahead_ms = i128::from(wall_ms) - i128::from(expected);
        let same = |step: &Step| ahead_ms.abs_diff(step.ahead_ms) <= u128::from(STEP_MS);
        let step = match self.step.filter(same) {
            Some(step) => step,
            None => Step { ahead_ms, since: now },
        };
        let small = ahead_ms.unsigned_abs() <= u128::from(STEP_MS);
        if small || now.saturating_duration_since(step.since) >= BELIEVED {
            self.base = Some((wall_ms, now));
            self.step = None;
            return Times { earliest: wall_ms, latest: wall_ms };
        }
        if self.step.is_none() {
            tracing::warn!(wall_ms, expected_ms = expected, "the clock stepped; no mail is let go for an hour");
        }
        self.step = Some(step);
        Times { earliest: wall_ms.min(expected), latest: wall_ms.max(expected) }
    }

    /// What an operator should know.
    pub(super) fn trouble(&self) -> Option<String> {
        let step = self.step.filter(|step| step.ahead_ms.unsigned_abs() > u128::from(LOUD_MS))?;
        let days = step.ahead_ms.unsigned_abs() / u128::from(STEP_MS);
        let way = if step.ahead_ms > 0 { "ahead of" } else { "behind" };
        Some(format!("the clock is {days} days {way} the newest mail; it is believed after an hour"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    #[test]
    fn a_clock_that_goes_as_time_does_is_believed() {
        let start = Instant::now();
        let mut clock = Clock::new(Some(NOW), start);
        for hours in [0, 5, 300] {
            let wall = NOW + hours * 3_600_000 + 40_000;
            let times = clock.times(wall, start + Duration::from_secs(hours * 3_600));
            assert_eq!(times, Times { earliest: wall, latest: wall });
        }
        let mut empty = Clock::new(None, start);
        assert_eq!(empty.times(NOW, start).earliest, NOW, "a new store knows nothing better");
        assert_eq!(empty.trouble(), None);
    }

    #[test]
    fn a_step_either_way_lets_nothing_go_and_dates_nothing_back_for_an_hour() {
        let start = Instant::now();
        let year = 365 * STEP_MS;
        for wall in [NOW + year, NOW - year] {
            let mut clock = Clock::new(Some(NOW), start);
            let (earliest, latest) = (wall.min(NOW), wall.max(NOW));
            assert_eq!(clock.times(wall, start), Times { earliest, latest });
            assert!(clock.trouble().is_some_and(|it| it.contains("365 days")));
            let later = start + BELIEVED;
            let believed = wall + 3_600_000;
            assert_eq!(clock.times(believed, later), Times { earliest: believed, latest: believed });
            assert_eq!(clock.trouble(), None);
        }
    }

    #[test]
    fn a_clock_that_is_set_right_within_the_hour_is_believed_at_once_and_another_step_waits_anew() {
        let start = Instant::now();
        let mut clock = Clock::new(Some(NOW), start);
        assert_ne!(clock.times(NOW + 100 * STEP_MS, start).earliest, NOW + 100 * STEP_MS);
        let half = start + BELIEVED / 2;
        let other = NOW + 200 * STEP_MS;
        assert!(clock.times(other, half).earliest < other);
        assert!(clock.times(other + 1_800_000, start + BELIEVED).earliest < other, "its hour is not over");
        let right = NOW + 3_600_000;
        assert_eq!(clock.times(right, start + BELIEVED), Times { earliest: right, latest: right });
    }
}
