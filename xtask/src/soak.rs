//! `cargo xtask soak`: what takes longer than a test may, again and again until the time is over.
//!
//! The tests of the tree run fixed seeds, so that they are quick and repeatable. A round of this runs the seeded campaigns
//! with seeds of its own, printed before each with the command that repeats it; then one fuzz target for a while. Before all rounds the
//! network lab walks its whole matrix and writes it into `docs/measures.md`; the first round walks a room of 200 nodes, too, and the
//! web page in a browser with all its tests. When all
//! targets had their turn, the mutants are run. The first failure ends it.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{Error, fuzz, lab, mutants, page, shell};

/// The seeded campaigns: package, test target, which of its tests, and the variable that gives them their seed.
const CAMPAIGNS: [(&str, &str, &str, &str); 5] = [
    ("parlor-proto", "sim", "", "PARLOR_SIM_SEED"),
    ("parlor-proto", "rules", "", "PARLOR_SIM_SEED"),
    ("parlor-storage", "store", "kill", "PARLOR_SEED"),
    ("parlor-storage", "store", "corrupt", "PARLOR_SEED"),
    ("parlor-storage", "store", POWER, "PARLOR_SEED"),
];
/// Power cuts: needs `strace`, and takes a minute.
const POWER: &str = "power -- --ignored";
/// Seeds for each campaign in a round.
const SEEDS: u64 = 20;
/// People in the largest room that is walked.
const CROWD: &str = "200";
/// People of whom five are removed at once.
const CROWD_REMOVED: &str = "50";
/// Seconds for the fuzz target of a round.
const FUZZ_SECONDS: u64 = 120;
/// Minutes when none are given.
const DEFAULT_MINUTES: u64 = 10;

/// Runs until the minutes are over or something fails. A round that has begun is finished.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), Error> {
    let minutes = match args {
        [] => DEFAULT_MINUTES,
        [minutes] => number(minutes)?,
        [flag, minutes] if flag == "--minutes" => number(minutes)?,
        _ => return Err("soak takes only --minutes N".into()),
    };
    let end = Instant::now() + Duration::from_secs(minutes.saturating_mul(60));
    let first = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let targets = fuzz::targets(root)?;
    let mut seed = first;
    let mut rounds = 0;
    lab::matrix(root)?;
    while Instant::now() < end {
        for _ in 0..SEEDS {
            seed += 1;
            CAMPAIGNS.iter().try_for_each(|campaign| run_seed(root, campaign, seed))?;
        }
        if rounds == 0 {
            crowd(root)?;
            page::alone(root, page::Which::All)?;
        }
        let turn = rounds % targets.len().max(1);
        fuzz::each(root, targets.get(turn..=turn).unwrap_or_default(), FUZZ_SECONDS)?;
        rounds += 1;
        if turn + 1 == targets.len() {
            mutants::run(root, &[])?;
        }
    }
    println!("{rounds} rounds, {} seeds, nothing failed", seed - first);
    Ok(())
}

/// Many whole nodes in one process.
fn crowd(root: &Path) -> Result<(), Error> {
    println!("PARLOR_CROWD={CROWD} cargo test --release --package parlor-tests --test crowd");
    let test = ["test", "--quiet", "--release", "--locked", "--package", "parlor-tests", "--test", "crowd"];
    shell::cargo(root, test)
        .args(["--", "--nocapture", "--test-threads", "1"])
        .env("PARLOR_CROWD", CROWD)
        .env("PARLOR_CROWD_REMOVED", CROWD_REMOVED)
        .run()
}

fn number(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| format!("`{text}` is not a number of minutes").into())
}

fn run_seed(root: &Path, campaign: &(&str, &str, &str, &str), seed: u64) -> Result<(), Error> {
    let (package, target, tests, variable) = *campaign;
    println!("{variable}={seed} cargo test --release --package {package} --test {target} {tests}");
    if tests == POWER && !shell::program("strace".as_ref(), root).args(["-V"]).succeeds() {
        println!("skipped: there is no strace");
        return Ok(());
    }
    let test = ["test", "--quiet", "--release", "--locked", "--package", package, "--test", target];
    shell::cargo(root, test).args(tests.split_whitespace()).env(variable, seed.to_string()).run()
}
