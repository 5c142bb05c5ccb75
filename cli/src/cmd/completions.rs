//! `parlor completions`: completions for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::out::{Done, Out};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which shell
    shell: Shell,
}

/// Runs it.
///
/// # Errors
/// When it could not be written.
pub fn run(args: &Args, out: &mut Out) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "parlor", &mut script);
    out.bytes(&script)
}
