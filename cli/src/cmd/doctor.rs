//! `parlor doctor`: what is wrong, in words, and what to do about it.

use std::path::PathBuf;

use parlor_api::{Diagnosis, Finding, Level};
use parlor_node::home::write_private;

use crate::client::Client;
use crate::cmd::invite::can_hold;
use crate::display::neutral_line;
use crate::out::{Done, Look, Out};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write what was found into a file that can be handed on: without names, addresses, keys and content
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When no node answers, or the report can not be written.
pub fn run(args: &Args, node: &Client, out: &mut Out) -> Done {
    if let Some(file) = &args.report {
        can_hold(file)?;
        let report: Diagnosis = node.get("/doctor?report=true")?;
        let mut text = serde_json::to_vec_pretty(&report).map_err(std::io::Error::from)?;
        text.push(b'\n');
        write_private(file, &text)?;
    }
    let found: Diagnosis = node.get("/doctor")?;
    if out.is_json() {
        return out.json(&found);
    }
    for finding in &found.findings {
        show(finding, out)?;
    }
    if let Some(file) = &args.report {
        out.note(format!("The report is in {}: it names nobody.", file.display()));
    }
    Ok(())
}

fn show(finding: &Finding, out: &mut Out) -> Done {
    let (word, look) = match finding.level {
        Level::Problem => ("problem", Look::Bad),
        Level::Warning => ("warning", Look::Bad),
        Level::Note => ("note   ", Look::Faint),
        Level::Fine => ("fine   ", Look::Plain),
    };
    out.line(format!("{}  {}", out.paint(look, word), neutral_line(&finding.text)))?;
    for tried in &finding.tried {
        out.line(format!("         tried: {}", neutral_line(&tried.text)))?;
    }
    let hint = out.called(&neutral_line(&finding.hint));
    out.line(format!("         {}", out.paint(Look::Faint, &hint)))
}
