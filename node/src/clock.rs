//! The clock of the node: the only place that reads it. Machines get the time as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch; 0 on a machine whose clock stands before it.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// How long until `due_ms`, in milliseconds since the epoch; nothing when it is over.
pub(crate) fn until(due_ms: u64) -> Duration {
    Duration::from_millis(due_ms.saturating_sub(now_ms()))
}
