//! `cargo xtask soak`: the seeded campaigns, again and again with new seeds, until the time is over.
//!
//! The tests of the tree run a handful of fixed seeds so that they are quick and repeatable. This runs the same tests
//! with fresh ones. A seed that fails is printed with the command that repeats it.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{Error, shell};

/// The variable by which a seeded test takes its seed instead of its fixed ones.
const SEED: &str = "PARLOR_SEED";

/// The seeded campaigns: package, test target, and which of its tests.
const CAMPAIGNS: [(&str, &str, &str); 2] = [("parlor-proto", "sim", ""), ("parlor-storage", "store", "kill")];

/// Minutes when none are given.
const DEFAULT_MINUTES: u64 = 10;

/// Runs until the minutes are over or a seed fails.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), Error> {
    let minutes = match args {
        [] => DEFAULT_MINUTES,
        [minutes] => minutes.parse().map_err(|_| format!("`{minutes}` is not a number of minutes"))?,
        _ => return Err("soak takes one argument: minutes".into()),
    };
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let first = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let mut runs = 0u64;
    while Instant::now() < end {
        let seed = first.wrapping_add(runs);
        for (package, target, tests) in CAMPAIGNS {
            println!("{SEED}={seed} cargo test --release --package {package} --test {target} {tests}");
            let test = ["test", "--quiet", "--release", "--locked", "--package", package, "--test", target, tests];
            shell::cargo(root, test).env(SEED, seed.to_string()).run()?;
        }
        runs += 1;
    }
    println!("{runs} seeds, none failed");
    Ok(())
}
