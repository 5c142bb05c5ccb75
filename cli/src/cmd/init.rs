//! `parlor init`: makes the account of a home.
//!
//! The recovery phrase, 24 words that restore the account, is shown once and stored nowhere. Scripts keep answers in logs,
//! so with `--json` it is part of the answer only with `--show-recovery`.

use std::path::PathBuf;

use parlor_api::{Code, Problem};
use parlor_node::{Home, NewAccount, Passphrase, init_account, long_enough, recover_account};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::args::Globals;
use crate::display;
use crate::input;
use crate::out::{Done, Look, Out};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What others see you as
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Lock the account with the passphrase in the first line of this file
    #[arg(long, value_name = "F", env = "PARLOR_PASSPHRASE_FILE")]
    passphrase_file: Option<PathBuf>,
    /// A new device of an account that exists: its recovery phrase stands in this file
    #[arg(long, value_name = "F")]
    recover: Option<PathBuf>,
    /// Put the recovery phrase into the answer also with --json
    #[arg(long)]
    show_recovery: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    account: &'a str,
    device: &'a str,
    name: &'a str,
    home: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_phrase: Option<&'a str>,
}

/// Runs it.
///
/// # Errors
/// Why there is no account now.
pub fn run(args: Args, globals: &Globals, out: &mut Out) -> Done {
    let home = globals.home()?;
    let recovery = args.recover.as_deref().map(recovery_phrase).transpose()?;
    let recovers = recovery.is_some();
    let (made, _) = make(&home, args.name, args.passphrase_file, recovery, out)?;
    if out.is_json() {
        return out.json(&Answer {
            account: &made.account,
            device: &made.device,
            name: &made.name,
            home: home.dir().display().to_string(),
            recovery_phrase: args.show_recovery.then_some(made.recovery_phrase.as_str()),
        });
    }
    out.line(format!("account  {}", made.account))?;
    out.line(format!("device   {}", made.device))?;
    out.line(format!("name     {}", display::neutral_line(&made.name)))?;
    out.line(format!("home     {}", home.dir().display()))?;
    if recovers { Ok(()) } else { show_phrase(&made, out) }
}

/// The recovery phrase in a file.
fn recovery_phrase(file: &std::path::Path) -> Result<Zeroizing<String>, Problem> {
    let unreadable =
        |e: std::io::Error| Problem::new(Code::NotFound, format!("could not read {}: {e}", file.display()));
    std::fs::read_to_string(file).map(Zeroizing::new).map_err(unreadable)
}

/// Makes the account, asking for what is not told when there is a terminal. Answers also how to unlock it.
///
/// # Errors
/// Why there is no account now; `already_exists` when there was one.
pub fn make(
    home: &Home,
    name: Option<String>,
    file: Option<PathBuf>,
    recovery: Option<Zeroizing<String>>,
    out: &Out,
) -> Result<(NewAccount, Passphrase), Problem> {
    if home.has_account() {
        let detail = format!("{} has an account already", home.dir().display());
        return Err(Problem::new(Code::AlreadyExists, detail)
            .hint("use it with `parlor run`, or name another home with --home DIR"));
    }
    home.must_be_whole()?;
    let ask = input::can_ask() && !out.is_json();
    let name = match name {
        Some(name) => name,
        None if ask => input::ask("Your name, as others see it", &login())?,
        None => login(),
    };
    let passphrase = match file {
        Some(file) => Passphrase::File(file),
        None if ask => new_passphrase(out)?,
        None => Passphrase::None,
    };
    let made = match recovery {
        Some(text) => recover_account(home, &name, &passphrase, &text)?,
        None => init_account(home, &name, &passphrase)?,
    };
    Ok((made, passphrase))
}

/// Shows the recovery phrase, in rows that can be written down.
///
/// # Errors
/// When it could not be written.
pub fn show_phrase(made: &NewAccount, out: &mut Out) -> Done {
    out.line("")?;
    let title = "Recovery phrase: write it down and keep it safe. It is shown only now.";
    out.line(out.paint(Look::Strong, title))?;
    let words: Vec<&str> = made.recovery_phrase.split_whitespace().collect();
    for (row, words) in words.chunks(6).enumerate() {
        let numbered = words.iter().enumerate().map(|(i, word)| format!("{:2} {word:<9}", row * 6 + i + 1));
        out.line(format!("  {}", numbered.collect::<Vec<_>>().join(" ").trim_end()))?;
    }
    Ok(())
}

fn new_passphrase(out: &Out) -> Result<Passphrase, Problem> {
    loop {
        let Some(first) = input::ask_secret("Passphrase to lock this account (Enter for none)")? else {
            return Ok(Passphrase::None);
        };
        if let Err(short) = long_enough(&first) {
            out.problem(&short);
            continue;
        }
        if input::ask_secret("The same again")?.as_ref() == Some(&first) {
            return Ok(Passphrase::Given(first));
        }
        out.note("These were not the same.");
    }
}

fn login() -> String {
    let told = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    told.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "me".into())
}
