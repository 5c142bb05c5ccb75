//! `parlor man`: manual pages.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::args::Cli;
use crate::out::{Done, Out};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write them into
    dir: PathBuf,
}

/// Runs it.
///
/// # Errors
/// When the folder can not be written.
pub fn run(args: &Args, out: &mut Out) -> Done {
    let failed = |e| parlor_node::home::problem("write", &args.dir, &e);
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(failed)?;
    out.note(format!("Manual pages are in {}", args.dir.display()));
    Ok(())
}
