//! Open files: each connection is one, and so are the operator's door and what a store opens again after a fault.
//!
//! Shells, containers and units of one's own begin with a soft limit of 1,024, so the program raises it as far as it may, and
//! takes no more connections than leave a reserve.

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::limits::{FILES_PENDING, FILES_RESERVED};

/// Raises the limit of open files as far as it may be, and says what it is then.
pub fn raise() -> u64 {
    let (soft, hard) = limits();
    if soft < hard {
        let number = |limit: u64| Some(limit).filter(|limit| *limit != u64::MAX);
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: number(hard), maximum: number(hard) }) {
            tracing::warn!(%error, soft, hard, "the limit of open files could not be raised");
        }
    }
    limits().0
}

/// The soft and the hard limit. Read as a file: a sandbox that forbids to set limits may forbid the call that tells them.
fn limits() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let numbers = text.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    // What is not told, or unlimited, is no bound.
    let mut numbers = numbers.split_whitespace().map(|number| number.parse().unwrap_or(u64::MAX));
    (numbers.next().unwrap_or(u64::MAX), numbers.next().unwrap_or(u64::MAX))
}

/// How many files are open; 0 where it is not told.
pub fn open() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64)
}

/// Of `wanted` connections as many as fit under a limit of open files, and how many may shake hands beside them.
pub fn connections(wanted: u32, limit: u64) -> (u32, u32) {
    let rest = limit - (limit / 2).min(FILES_RESERVED);
    let pending = (rest / 4).min(FILES_PENDING);
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    (wanted.min(small(rest - pending)), small(pending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_operator_and_the_store() {
        assert_eq!(connections(10_000, u64::MAX), (10_000, 512));
        assert_eq!(connections(10_000, 65_536), (10_000, 512));
        for limit in [0, 1, 100, 256, 1_024, 4_096, 10_000] {
            let (standing, pending) = connections(10_000, limit);
            let used = u64::from(standing) + u64::from(pending);
            assert!(used <= limit - (limit / 2).min(FILES_RESERVED), "{limit}: {standing} and {pending}");
        }
        assert_eq!(connections(10_000, 1_024), (576, 192));
    }

    #[test]
    fn open_files_are_counted() {
        let before = open();
        let files: Vec<_> = (0..32).map(|_| tempfile::tempfile().unwrap()).collect();
        assert!(raise() >= before + files.len() as u64);
        if before > 0 {
            assert!(open() >= 32, "{before} before");
        }
    }
}
