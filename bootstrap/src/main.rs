//! The program `parlor-bootstrap`: runs a relay, and administers one that runs.
//!
//! Answers go to standard output, everything else to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage or
//! configuration, 3 no relay is running on this data folder, 5 not found, 6 unreachable or timed out.

#![allow(unreachable_pub, reason = "a program exports nothing: `pub` says what other modules of it may use")]

mod args;
mod cmd;
mod out;

use std::process::ExitCode;

use args::Cli;
use out::{Fail, Out};
use parlor_bootstrap::problem::{Code, Problem};

/// The stores allocate for every row; see `docs/measures.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Known before the arguments are understood, since they may be what is wrong.
    let json = std::env::args_os().skip(1).take_while(|a| a != "--").any(|a| a == "--json");
    let cli = match Cli::understand(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return misused(&error, Out { json, quiet: false }),
    };
    let out = Out { json: cli.globals.json, quiet: cli.globals.quiet };
    let code = match cmd::run(cli, out) {
        // Whoever read our output has seen enough.
        Ok(()) | Err(Fail::PipeClosed) => 0,
        Err(Fail::Problem(problem)) => {
            out.problem(&problem);
            problem.code.exit()
        }
    };
    ExitCode::from(code)
}

/// Help, version, or arguments that do not fit.
fn misused(error: &clap::Error, out: Out) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if out.json {
        let text = error.render().to_string();
        let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
        let message = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let hint = lines.find_map(|l| l.strip_prefix("tip: ")).unwrap_or("see --help").to_owned();
        out.problem(&Problem::new(Code::Usage, message).hint(hint));
    } else {
        let _ = error.print();
    }
    ExitCode::from(Code::Usage.exit())
}
