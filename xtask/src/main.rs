//! What developers run: `cargo xtask test | tidy | run | bench | fuzz | mutants | soak | web`.
//!
//! One command runs every check ([`test`]); the others are the parts one wants alone. This program builds nothing itself
//! and knows no rule of the product: it calls cargo, and [`tidy`] reads the tree. It stays small, because everybody
//! compiles it before anything else.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod bench;
mod deb;
mod fuzz;
mod lab;
mod mutants;
mod page;
mod shell;
mod soak;
mod test;
mod tidy;
mod web;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--no-nextest]   every check: formatting, lints, tidy, licences, all tests; ends with the count
  tidy [--bless]        the rules no compiler checks; --bless stamps the spec pages with the formats as they are now
  run [ARGS]...         builds `parlor` with optimisation and runs it with ARGS
  bench [NAME]...       runs the benches (all, or those named) and writes docs/measures.md
  fuzz [TARGET]... [--seconds N]
                        runs the fuzz targets (all, or those named) for N seconds each (60)
  mutants [--only PART] breaks each rule by one line, in a copy of the tree, and expects a test to fail
  deb [--program FILE] [--out DIR] [--walk]
                        a Debian package of the relay; --walk tries it on a Debian that is booted for it
  web [--check|--test]  builds the web page into web/dist, with the stamp of its sources; --test runs its tests alone
  soak [--minutes N]    simulators with new seeds, kills, fuzz targets and mutants in turn, for N minutes (10)
";

/// What went wrong, in words for the person at the terminal.
type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[] as &[String]),
    };
    let root = root();
    let outcome = match command {
        "test" => test::run(&root, rest),
        "tidy" => tidy::run(&root, rest),
        "run" => run(&root, rest),
        "bench" => bench::run(&root, rest),
        "fuzz" => fuzz::run(&root, rest),
        "mutants" => mutants::run(&root, rest),
        "deb" => deb::run(&root, rest),
        "soak" => soak::run(&root, rest),
        "web" => web::run(&root, rest),
        "help" | "-h" | "--help" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        unknown => {
            eprintln!("error: no command `{unknown}`\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace: the one above this package.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

fn run(root: &Path, args: &[String]) -> Result<(), Error> {
    shell::cargo(root, ["run", "--release", "--locked", "--package", "parlor", "--"]).args(args).run()
}
