//! The clock of the node: the only place that reads it. Machines get the time as an argument.
//!
//! Within a run it never goes back and never stands still, whatever is done to the system's clock: it follows the
//! monotonic clock, and jumps forward when the system's clock is ahead (after a suspend, or when it was set right). After
//! it was set back, the new time counts from the next start on.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock and the system's, when the clock was first read.
static START: OnceLock<(Instant, u64)> = OnceLock::new();
/// By how many milliseconds the clock has jumped forward since.
static JUMPED: AtomicU64 = AtomicU64::new(0);

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    let system = system_ms();
    let (start, start_ms) = START.get_or_init(|| (Instant::now(), system));
    let run = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    read(start_ms.saturating_add(run), system, &JUMPED)
}

/// How long until `due_ms`, in milliseconds since the epoch; nothing when it is over.
pub(crate) fn until(due_ms: u64) -> Duration {
    Duration::from_millis(due_ms.saturating_sub(now_ms()))
}

/// What the clock shows when the monotonic clock says `steady`, the system's `system`.
fn read(steady: u64, system: u64, jumped: &AtomicU64) -> u64 {
    let ahead = system.saturating_sub(steady);
    steady.saturating_add(ahead.max(jumped.fetch_max(ahead, Ordering::Relaxed)))
}

fn system_ms() -> u64 {
    // A clock before the epoch reads as the epoch.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_follows_jumps_forward_and_never_goes_back() {
        let jumped = AtomicU64::new(0);
        assert_eq!(read(1_000, 1_000, &jumped), 1_000);
        assert_eq!(read(1_010, 9_010, &jumped), 9_010, "the machine slept");
        assert_eq!(read(1_020, 20, &jumped), 9_020, "the clock was set back");
        assert_eq!(read(1_030, 30, &jumped), 9_030);
    }
}
