//! The commands. `run` hosts a relay; the others ask one that runs.

mod ask;
mod run;

use clap::CommandFactory;
use parlor_bootstrap::data;

use crate::args::{Cli, Command};
use crate::out::{Done, Out};

/// Does what the command line says.
///
/// # Errors
/// Why it was not done.
pub fn run(cli: Cli, out: Out) -> Done {
    let Cli { globals, command } = cli;
    match command {
        Command::Run(args) => run::run(args, &globals, out),
        Command::Stats(args) => ask::stats(args, &globals, out),
        Command::Address => ask::address(&globals, out),
        Command::Names { command } => ask::names(command, &globals, out),
        Command::Ban { command } => ask::ban(command, &globals, out),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "parlor-bootstrap", &mut script);
            out.bytes(&script)
        }
        Command::Man { dir } => {
            let failed = |e| data::failed("write", &dir, &e);
            std::fs::create_dir_all(&dir).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), &dir).map_err(failed)?;
            out.note(format!("Manual pages are in {}", dir.display()));
            Ok(())
        }
    }
}
