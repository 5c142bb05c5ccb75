//! `parlor dm`: opens the direct chat with somebody, and writes into it.

use std::time::Duration;

use parlor_api::{ContactState, Direct, OpenDirect};
use ureq::http::Method;

use crate::args::{Globals, quoted};
use crate::client::Client;
use crate::cmd::send::show_sent;
use crate::display::neutral_line;
use crate::input;
use crate::out::{Done, Out};

/// What the node may take longer than usual: 20 s to ask a relay for a name, and 10 s for the card of somebody known from a room.
const PATIENCE: Duration = Duration::from_secs(30);

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// With whom: a contact, @name, an account, a contact card
    who: String,
    /// What to write; `-` reads it from standard input
    #[arg(allow_hyphen_values = true)]
    text: Option<String>,
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(args: Args, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let text = match args.text.as_deref() {
        Some("-") => Some(input::message(std::io::stdin().lock())?),
        Some(text) => Some(input::argument(text)?),
        None => None,
    };
    let sent = text.is_some();
    let chat: Direct = node.send_within(Method::POST, "/dm", &OpenDirect { who: args.who, text }, PATIENCE)?;
    if out.is_json() {
        return out.json(&chat);
    }
    let name = neutral_line(&chat.name);
    if chat.state != ContactState::Contact {
        let what = if sent { "What you wrote waits" } else { "What you write waits" };
        out.note(format!("{name} is asked whether you may write. {what} until the answer is yes."));
    }
    if let (Some(message), Some(status)) = (&chat.message, chat.status) {
        return show_sent(message, status, out);
    }
    let room: String = chat.room.chars().take(12).collect();
    out.note(format!("Write: {} send {} 'Hello'", globals.program(), quoted(&room)));
    Ok(())
}
