//! `cargo xtask test`: every check, cheapest first, ending with how many tests ran.
//!
//! Needs nothing but Rust, and Node.js for the web page: nextest is used when it is installed, else `cargo test`. The page is checked
//! while the programs are built, and tried in a browser while their tests run ([`page`]). `cargo deny` is installed when it is missing, because licences and bans are checked by it; where it can not be had (no network), `tidy` has checked the
//! licences against the same list already, and the run says that the rest was left out.
//!
//! All steps share one target folder and the dev profile. One build makes the programs and the test executables together,
//! so that the tests that start real nodes run exactly what was built here. The lints look on while it compiles ([`linted`]):
//! a pass of their own would check every dependency once more, which is a sixth of the whole time on two cores.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::{Error, bench, lab, page, shell, shell::Step, tidy};

/// What the runner reported, summed over all executables.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Runs every check. Stops at the first that fails, but for the tests, which all run.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), Error> {
    let nextest = match args {
        [] => shell::cargo(root, ["nextest", "--version"]).succeeds(),
        [flag] if flag == "--no-nextest" => false,
        _ => return Err("test takes only --no-nextest".into()),
    };
    timed("formatting", || formatting(root))?;
    timed("tidy", || tidy::run(root, &[]))?;
    timed("deny", || deny(root))?;
    timed("nats-server", || nats(root))?;
    let (mut count, mut left_out) = (Count::default(), Vec::new());
    let checks = page::check(root, &target(root)?);
    let built = timed("build and lints", || linted(ours(root, ["build"])).args(["--all-targets"]).run());
    let page = checks.join("the web page", &mut left_out, |line| count.read(line));
    built?;
    let program = program(root)?;
    let browser = page?.map(|page| page::browse(page, &program, page::Which::Short));
    lab::tools(root);
    let outcome = timed("tests", || tests(root, nextest, &program, &mut count));
    let browsed = browser.map(|it| it.join("the web page in a browser", &mut left_out, |line| count.read(line)));
    left_out.iter().for_each(|note| println!("\nnote: {note}"));
    // Alone on the last line, in a form that people and machines read alike.
    println!("\ntotal: {} passed, {} failed, {} skipped", count.passed, count.failed, count.skipped);
    outcome?;
    browsed.transpose()?;
    if count.passed == 0 {
        return Err("no test ran".into());
    }
    Ok(())
}

/// A command for every package but the benches: what they are measured beside takes longer to build than all of ours.
fn ours<const N: usize>(root: &Path, command: [&str; N]) -> Step {
    let benches = bench::PACKAGES.iter().flat_map(|(package, _)| ["--exclude", package]);
    shell::cargo(root, command).args(["--locked", "--workspace"]).args(benches)
}

/// A build in which clippy is the compiler of our own packages, with warnings as errors: what `cargo clippy` does with `cargo check`,
/// by the same two variables. Every step that compiles says so, or it would compile all of ours again.
fn linted(build: Step) -> Step {
    let words = ["-D", "warnings", ""].join("__CLIPPY_HACKERY__");
    build.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver").env("CLIPPY_ARGS", words)
}

/// Of the workspace, and of the fuzz targets, which are one of their own. `--all` there would be ours once more.
fn formatting(root: &Path) -> Result<(), Error> {
    shell::cargo(root, ["fmt", "--all", "--check"]).run()?;
    shell::cargo(&root.join("fuzz"), ["fmt", "--check"]).run()
}

fn tests(root: &Path, nextest: bool, program: &Path, count: &mut Count) -> Result<(), Error> {
    // Documentation tests first: the last words are the runner's that ran nearly all.
    let docs = linted(ours(root, ["test"])).args(["--doc"]).each_line(|line| count.read(line));
    let runner = if nextest {
        linted(ours(root, ["nextest", "run"]))
            .args(["--no-fail-fast", "--color", "never"])
            .env("PARLOR_BIN", program)
            .each_error_line(|line| count.read(line))
    } else {
        linted(ours(root, ["test"]))
            .args(["--lib", "--bins", "--tests", "--no-fail-fast"])
            .env("PARLOR_BIN", program)
            .each_line(|line| count.read(line))
    };
    docs.and(runner)
}

/// Where a build in the dev profile puts `parlor`; the tests of whole nodes start it.
pub(crate) fn program(root: &Path) -> Result<PathBuf, Error> {
    Ok(target(root)?.join("debug").join(format!("parlor{}", std::env::consts::EXE_SUFFIX)))
}

/// The folder that everything is built in.
pub(crate) fn target(root: &Path) -> Result<PathBuf, Error> {
    let metadata = shell::cargo(root, ["metadata", "--format-version", "1", "--no-deps", "--locked"]).output()?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target_directory")?;
    Ok(PathBuf::from(target))
}

fn deny(root: &Path) -> Result<(), Error> {
    let installed = || shell::cargo(root, ["deny", "--version"]).succeeds();
    // Unoptimised it is built in a minute instead of five, and checks a tree in as many seconds.
    let install =
        || shell::cargo(root, ["install", "cargo-deny", "--locked", "--debug"]).env("CARGO_PROFILE_DEV_DEBUG", "0");
    if !installed() && install().run().is_err() {
        eprintln!("note: cargo-deny can not be installed here; tidy has checked the licences, bans were not checked");
        return Ok(());
    }
    // Advisories need their database from the network at the time of the check: `cargo deny check advisories`.
    shell::cargo(root, ["deny", "--offline", "check", "licenses", "bans", "sources"]).run()
}

/// The server that shared mailboxes are tested with, from the system's packages where they can be had.
fn nats(root: &Path) -> Result<(), Error> {
    let run = |program: &str, args: &[&str]| shell::program(Path::new(program), root).args(args).succeeds();
    if run("nats-server", &["--version"]) {
        return Ok(());
    }
    let args = ["install", "-y", "-qq", "--no-install-recommends", "nats-server"];
    if !(run("apt-get", &args) && run("nats-server", &["--version"])) {
        eprintln!("note: nats-server can not be installed here; the tests of shared mailboxes skip what needs it");
    }
    Ok(())
}

fn timed<T>(what: &str, step: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let start = Instant::now();
    let outcome = step();
    eprintln!("-- {what}: {:.1} s", start.elapsed().as_secs_f64());
    outcome
}

impl Count {
    /// Counts a line of `cargo test`, of nextest or of the page's runner, and prints it.
    fn read(&mut self, line: &str) {
        println!("{line}");
        let words = line.trim_start();
        let of_page = words.starts_with("Tests  ") && words.ends_with(')');
        if of_page || words.starts_with("test result: ") || (words.starts_with("Summary [") && words.contains("run: "))
        {
            self.passed += number_before(words, " passed");
            self.failed += number_before(words, " failed") + number_before(words, " timed out");
            self.skipped += number_before(words, " ignored") + number_before(words, " skipped");
        }
    }
}

/// The number that stands right before `word`; 0 when there is none.
fn number_before(text: &str, word: &str) -> u64 {
    let Some(end) = text.find(word) else { return 0 };
    let digits = text[..end].rsplit(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_executables_are_added_up() {
        let mut count = Count::default();
        count.read("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        count.read("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        count.read("running 3 tests");
        assert_eq!(count, Count { passed: 15, failed: 2, skipped: 1 });
    }

    #[test]
    fn the_summary_of_nextest_is_counted() {
        let mut count = Count::default();
        count.read("        PASS [   0.004s] parlor-proto ids::tests::hex_is_read_back 3 passed");
        count.read("     Summary [   0.013s] 9 tests run: 7 passed (1 slow), 1 failed, 1 timed out, 4 skipped");
        assert_eq!(count, Count { passed: 7, failed: 2, skipped: 4 });
    }

    #[test]
    fn the_tests_of_the_page_are_counted() {
        let mut count = Count::default();
        count.read(" Test Files  1 failed | 3 passed (4)");
        count.read("      Tests  1 failed | 40 passed | 2 skipped (43)");
        assert_eq!(count, Count { passed: 40, failed: 1, skipped: 2 });
    }
}
