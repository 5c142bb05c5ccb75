//! How long this process has been computing: what stays the same when others use the machine too.

/// Seconds of processor time of all living threads of this process. What the kernel writes in the background is not in it.
/// Zero where the system does not tell.
pub fn seconds() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let nanoseconds = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    tasks.filter_map(nanoseconds).sum::<u64>() as f64 / 1e9
}

/// Processor seconds that `work` takes, with what its threads do meanwhile.
pub fn of(work: impl FnOnce()) -> f64 {
    let start = seconds();
    work();
    seconds() - start
}
