//! `parlor device …`: the devices of this account.

use parlor_api::{OwnDevice, RevokedDevice};
use serde_json::json;
use ureq::http::Method;

use crate::client::{Client, segment};
use crate::display::neutral_line;
use crate::out::{Done, Look, Out};
use crate::table::Table;
use crate::time;
use parlor_node::count;

/// What to do with devices.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the devices of this account
    List,
    /// Say that a device that came to this account is yours: it is warned of no more
    Confirm {
        /// Its id, a unique beginning of it, or its name
        device: String,
    },
    /// Revoke a device that is lost or sold: it reads nothing of what comes after, in any room that this one is in
    Revoke {
        /// Its id, a unique beginning of it, or its name
        device: String,
    },
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(command: Command, node: &Client, out: &mut Out) -> Done {
    match command {
        Command::List => list(node, out),
        Command::Confirm { device } => {
            let path = format!("/devices/{}/confirm", segment(&device));
            let known: OwnDevice = node.send(Method::POST, &path, &json!({}))?;
            if out.is_json() {
                return out.json(&known);
            }
            out.note(format!("{} is yours.", neutral_line(&known.name)));
            Ok(())
        }
        Command::Revoke { device } => {
            let path = format!("/devices/{}/revoke", segment(&device));
            let revoked: RevokedDevice = node.send(Method::POST, &path, &json!({}))?;
            if out.is_json() {
                return out.json(&revoked);
            }
            let short: String = revoked.device.chars().take(8).collect();
            let rooms = count(revoked.rooms.len() as u64, "room", "rooms");
            if revoked.rooms.is_empty() && revoked.left.is_empty() {
                out.note(format!("{short} {} is in no room: nothing to revoke.", neutral_line(&revoked.name)));
            } else {
                out.note(format!("Revoked {short} {} in {rooms}.", neutral_line(&revoked.name)));
            }
            if !revoked.rooms.is_empty() {
                out.note(
                    "In rooms that only other devices of yours are in it reads on, until one of these revokes it too.",
                );
            }
            for left in &revoked.left {
                let room: String = left.room.chars().take(8).collect();
                out.note(format!("Room {room} is not told yet ({}): revoke it again.", neutral_line(&left.why)));
            }
            Ok(())
        }
    }
}

fn list(node: &Client, out: &mut Out) -> Done {
    let devices: Vec<OwnDevice> = node.get("/devices")?;
    if out.is_json() {
        return devices.iter().try_for_each(|device| out.json(device));
    }
    let new = devices.iter().any(|device| device.new);
    let half = devices.iter().any(|device| !device.still_in.is_empty());
    let mut table = Table::new(&["device", "name", "since", "rooms", "state"]);
    for device in devices {
        let short: String = device.device.chars().take(8).collect();
        let state = match &device {
            device if !device.still_in.is_empty() => {
                format!("revoked, READS ON in {}", count(device.still_in.len() as u64, "room", "rooms"))
            }
            device if device.revoked => "revoked".to_owned(),
            device if device.contradicts_itself => "contradicts itself".to_owned(),
            device if device.this => "this one".to_owned(),
            device if device.new => "NEW: is it yours?".to_owned(),
            device if device.online => "connected".to_owned(),
            _ => String::new(),
        };
        let since = device.since.as_deref().map(time::local).unwrap_or_default();
        table.row([short, device.name.clone(), since, device.rooms.len().to_string(), state]);
    }
    table.write(out, "no devices")?;
    if half {
        let text = "A device was revoked by another one of yours that is not in all its rooms. Do it here too: parlor device revoke DEVICE";
        out.note(out.paint(Look::Bad, &out.called(text)));
    }
    if new {
        let text = "A device that is new here was made with your recovery phrase or of a backup. Yours? parlor device confirm DEVICE; \
                    if not: parlor device revoke DEVICE";
        out.note(out.paint(Look::Bad, &out.called(text)));
    }
    Ok(())
}
