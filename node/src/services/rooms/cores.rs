//! Rows of a large epoch sealed on all cores.

use std::num::NonZero;
use std::thread;

use parlor_proto::control::Row;
use parlor_proto::epoch::{SealJob, one_by_one};

/// Most threads at once: more than the cores of a desktop gain nothing.
const THREADS_MAX: usize = 8;

/// Does the jobs on as many threads as there are cores. Blocks until all are done: of 10,000 rows a second on one core.
pub(super) fn over_cores(jobs: Vec<SealJob>) -> Vec<Row> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX).min(jobs.len());
    if threads < 2 {
        return one_by_one(jobs);
    }
    let mut shares: Vec<Vec<SealJob>> = (0..threads).map(|_| Vec::new()).collect();
    for (n, job) in jobs.into_iter().enumerate() {
        shares[n % threads].push(job);
    }
    thread::scope(|scope| {
        let running: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || one_by_one(share))).collect();
        // A thread that panicked had found no random numbers: then this one ends the same way.
        running
            .into_iter()
            .flat_map(|job| job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
