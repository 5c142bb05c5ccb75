//! Waiting for something to become true.

use std::time::{Duration, Instant};

/// How long a promise may take on a busy machine, with programs built without optimisation. A test that waits this long
/// has failed, so the figure is generous: it is no measure of speed.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Between two looks: short beside anything a node does, long beside what a look costs.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` answers, and returns the answer.
///
/// # Panics
/// When [`DEADLINE`] is over, naming `what` was waited for.
#[track_caller]
#[allow(clippy::panic, reason = "the harness of tests fails by panicking")]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        if Instant::now() > end {
            panic!("waited {} s in vain: {what}", DEADLINE.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}
