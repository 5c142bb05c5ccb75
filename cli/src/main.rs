//! The parlor program: commands and terminal UI.
//!
//! It knows a node only through its local API; `run` hosts one in the same process. One command is one file in
//! [`cmd`]. Answers go to standard output, everything else to standard error. With `--json` standard output holds only
//! JSON, and an error is one object on standard error with nothing on standard output; `listen` says there, too, that it
//! has begun.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no node is running for this home, 4 not permitted by the room or the
//! token, 5 not found, 6 unreachable or timed out.

#![allow(unreachable_pub, reason = "a program exports nothing: `pub` says what other modules of it may use")]

mod alone;
mod args;
mod browser;
mod client;
mod cmd;
mod display;
mod duration;
mod input;
mod out;
mod page;
mod progress;
mod save;
mod table;
mod time;

use std::process::ExitCode;

use args::Cli;
use clap::Parser;
use out::{Fail, Out};
use parlor_api::{Code, Problem};

/// The store allocates for every row; see `docs/measures.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Known before the arguments are understood, since they may be what is wrong.
    let json = std::env::args_os().skip(1).take_while(|a| a != "--").any(|a| a == "--json");
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error, json),
    };
    let mut out = Out::new(&cli.globals);
    let code = match cmd::run(cli, &mut out) {
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
fn misused(error: &clap::Error, json: bool) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if !json {
        let _ = error.print();
        return ExitCode::from(Code::Usage.exit());
    }
    out::problem_as_json(&in_one_line(error));
    ExitCode::from(Code::Usage.exit())
}

/// What clap says over several lines, as one problem: all that stands before the usage, and its tip as the hint.
fn in_one_line(error: &clap::Error) -> Problem {
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Problem::new(Code::Usage, "what to do is missing").hint("--help after the command shows what there is");
    }
    let text = error.render().to_string();
    let (mut said, mut tip) = (Vec::new(), None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        match line.strip_prefix("tip: ") {
            Some(words) => tip = Some(words.to_owned()),
            None => said.push(line.trim_start_matches("error: ")),
        }
    }
    Problem::new(Code::Usage, said.join(" ")).hint(tip.unwrap_or_else(|| "see --help".to_owned()))
}
