//! `parlor name …`: names at relays.

use std::time::Duration;

use parlor_api::{ClaimName, NameEntry};
use ureq::http::Method;

use crate::client::{Client, segment};
use crate::display::neutral_line;
use crate::out::{Done, Out};

/// How long the node may take to ask a relay.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to do with names. RELAY is its address with its peer id, or of a relay of yours the host.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Take a name for your account: others reach you as @NAME@RELAY
    Claim {
        /// The name
        name: String,
        /// At which relay
        #[arg(long)]
        relay: String,
    },
    /// Show whom @NAME@RELAY leads to
    Lookup {
        /// The name, with the relay: @NAME@RELAY
        name: String,
    },
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(command: Command, node: &Client, out: &mut Out) -> Done {
    let claims = matches!(command, Command::Claim { .. });
    let entry: NameEntry = match command {
        Command::Claim { name, relay } => {
            node.send_within(Method::POST, "/names", &ClaimName { name, relay }, PATIENCE)?
        }
        Command::Lookup { name } => node.get_within(&format!("/names/{}", segment(&name)), PATIENCE)?,
    };
    if out.is_json() {
        return out.json(&entry);
    }
    if claims {
        out.note(format!("You are {} there.", neutral_line(&entry.name)));
        return Ok(());
    }
    out.line(format!("{}  {}", neutral_line(&entry.name), entry.account))?;
    out.line(&entry.link)
}
