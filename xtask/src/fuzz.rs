//! `cargo xtask fuzz`: the fuzz targets of `fuzz/`, one after the other.
//!
//! Uses `cargo fuzz`, installed when it is missing. Stable compilers count coverage but have no sanitizers, and nothing of
//! ours is `unsafe`, so `-s none`. Each target begins with its seeds (`fuzz/seeds`, in the tree) and with what earlier runs
//! found (`fuzz/corpus`, not in the tree). What makes one fail stays in `fuzz/artifacts`, and the run says how to repeat it.

use std::path::Path;

use crate::{Error, shell};

/// Seconds for each target when none are given.
const DEFAULT_SECONDS: u64 = 60;
/// Longest input tried: every limit of the formats but those of a full frame can be crossed with it.
const MAX_LEN: usize = 8_192;
/// One input that takes longer than this many seconds is a finding.
const TIMEOUT: u64 = 10;
/// A target that takes more memory than this is a finding.
const MAX_MIB: u64 = 2_048;

/// What a run of a target did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stats {
    runs: u64,
    /// Coverage when the seeds were read, and at the end.
    began: u64,
    ended: u64,
}

/// `fuzz [TARGET]... [--seconds N]`.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), Error> {
    let all = targets(root)?;
    let (mut chosen, mut seconds) = (Vec::new(), DEFAULT_SECONDS);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            let given = args.next().ok_or("--seconds wants a number")?;
            seconds = given.parse().map_err(|_| format!("`{given}` is not a number of seconds"))?;
        } else if all.contains(arg) {
            chosen.push(arg.clone());
        } else {
            return Err(format!("no fuzz target `{arg}`; there are: {}", all.join(", ")).into());
        }
    }
    each(root, if chosen.is_empty() { &all } else { &chosen }, seconds)
}

/// Runs each of `targets` for so many seconds; the first finding ends it.
pub(crate) fn each(root: &Path, targets: &[String], seconds: u64) -> Result<(), Error> {
    if !shell::cargo(root, ["fuzz", "--version"]).succeeds() {
        shell::cargo(root, ["install", "cargo-fuzz", "--locked"]).run()?;
    }
    let mut lines = Vec::new();
    for target in targets {
        let mut stats = Stats::default();
        let corpus = root.join("fuzz/corpus").join(target);
        std::fs::create_dir_all(&corpus)?;
        let seeds = root.join("fuzz/seeds").join(target);
        let folders = [corpus, seeds].into_iter().filter(|folder| folder.is_dir());
        shell::cargo(root, ["fuzz", "run", "-s", "none", target])
            .args(folders)
            .args([
                "--".to_owned(),
                format!("-max_total_time={seconds}"),
                format!("-max_len={MAX_LEN}"),
                format!("-timeout={TIMEOUT}"),
                format!("-rss_limit_mb={MAX_MIB}"),
                "-print_final_stats=1".to_owned(),
            ])
            .each_error_line(|line| stats.read(line))?;
        lines.push(format!("{target}: {} runs, coverage {} to {}", stats.runs, stats.began, stats.ended));
    }
    println!("\n{}\nnothing found", lines.join("\n"));
    Ok(())
}

/// The names of all targets, sorted.
pub(crate) fn targets(root: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root.join("fuzz/targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

impl Stats {
    /// Takes a line of libFuzzer. Passed on is what is no progress.
    fn read(&mut self, line: &str) {
        if let Some(runs) = line.strip_prefix("stat::number_of_executed_units:") {
            self.runs = runs.trim().parse().unwrap_or(0);
        }
        let Some(cov) = line.split("cov: ").nth(1) else {
            eprintln!("{line}");
            return;
        };
        self.ended = cov.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(self.ended);
        if line.contains("INITED") {
            self.began = self.ended;
        }
        if line.contains("DONE") || line.contains("INITED") || line.contains("pulse") {
            eprintln!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_did_is_read_from_its_lines() {
        let mut stats = Stats::default();
        stats.read("#6\tINITED cov: 1202 ft: 2103 corp: 4/190b exec/s: 0 rss: 42Mb");
        stats.read("#61\tNEW    cov: 1250 ft: 2240 corp: 5/300b lim: 64 exec/s: 0 rss: 42Mb L: 64/64 MS: 2");
        stats.read("#90011\tDONE   cov: 1318 ft: 2540 corp: 90/8Kb lim: 64 exec/s: 9001 rss: 60Mb");
        stats.read("stat::number_of_executed_units: 90011");
        assert_eq!(stats, Stats { runs: 90_011, began: 1202, ended: 1318 });
    }
}
