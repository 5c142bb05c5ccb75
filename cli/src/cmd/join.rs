//! `parlor join`: joins a room by its link or by a picture of its QR code.

use std::path::PathBuf;
use std::time::Duration;

use parlor_api::{JoinAnswer, JoinRequest, JoinState};
use ureq::http::Method;

use crate::args::{Globals, quoted};
use crate::client::Client;
use crate::cmd::invite::read_qr;
use crate::display;
use crate::duration;
use crate::input;
use crate::out::{Done, Out};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub struct Args {
    /// The link; `-` reads it from standard input
    #[arg(group = "which")]
    link: Option<String>,
    /// A PNG or JPEG picture of the QR code
    #[arg(long, value_name = "FILE", group = "which")]
    qr: Option<PathBuf>,
    /// Wait so long for somebody of the room
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    timeout: u64,
}

/// Runs it.
///
/// # Errors
/// Why the room was not joined.
pub fn run(args: Args, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let link = match (args.link, args.qr) {
        (_, Some(picture)) => read_qr(node, &picture)?,
        (Some(link), None) if link != "-" => link,
        _ => input::message(std::io::stdin().lock())?.trim().to_owned(),
    };
    let timeout = args.timeout.min(JoinRequest::TIMEOUT_MAX);
    if link.contains("/join") {
        out.note("Looking for somebody of the room…");
    }
    let request = JoinRequest { link, timeout };
    let joined: JoinAnswer = node.send_within(Method::POST, "/join", &request, Duration::from_secs(timeout))?;
    if out.is_json() {
        return out.json(&joined);
    }
    match joined.state {
        JoinState::Joined => {
            let name = display::neutral_line(&joined.name);
            out.line(format!("Joined {name} as {}.", joined.role.name()))?;
            let program = globals.program();
            out.note(format!("Write: {program} send {} 'Hello'", quoted(&name)));
        }
        JoinState::Pending => {
            let wait = joined.waits_for.unwrap_or_else(|| "somebody of the room".into());
            out.line(format!(
                "Not in yet: {}. It goes on by itself while your node runs, also after a restart.",
                display::neutral_line(&wait)
            ))?;
        }
    }
    Ok(())
}
