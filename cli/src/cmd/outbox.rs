//! `parlor outbox …`: own messages that nobody else holds yet.

use std::collections::HashMap;

use parlor_api::{Code, OutboxAnswer, OutboxEntry, OutboxKind, Problem, RoomItem};
use serde_json::json;
use ureq::http::Method;

use crate::client::Client;
use crate::display;
use crate::out::{Done, Out};
use crate::table::Table;
use crate::time;

/// Characters of a text that are shown.
const WHAT_MAX: usize = 40;
/// Digits of an id that are shown: enough to tell what waits apart.
const SHORT: usize = 8;

/// What to do with the outbox.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show what waits
    List,
    /// Try now
    Retry {
        /// Which message, or how its id begins; all when left out
        id: Option<String>,
    },
    /// Give up what is not written into the room yet; what is written goes out by itself
    Discard {
        /// Which message, or how its id begins; all when left out
        id: Option<String>,
    },
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(command: Command, node: &Client, out: &mut Out) -> Done {
    let (path, id, did) = match command {
        Command::List => return list(node, out),
        Command::Retry { id } => ("/outbox/retry", id, "tried"),
        Command::Discard { id } => ("/outbox/discard", id, "discarded"),
    };
    let id = id.map(|id| whole(id, node)).transpose()?;
    let answer: OutboxAnswer = node.send(Method::POST, path, &json!({"message": id}))?;
    if out.is_json() {
        return answer.messages.iter().try_for_each(|message| out.json(&json!({"message": message})));
    }
    if did == "discarded" && answer.messages.is_empty() {
        out.note("Nothing to discard: what waits is written into its room already and goes out by itself.");
    } else {
        out.note(format!("{} {did}", answer.messages.len()));
    }
    Ok(())
}

/// The message whose id begins as `given`, as the list shows it.
fn whole(given: String, node: &Client) -> Result<String, Problem> {
    let entries: Vec<OutboxEntry> = node.get("/outbox")?;
    let mut fitting = entries.into_iter().map(|entry| entry.message).filter(|message| message.starts_with(&given));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => {
            Err(Problem::new(Code::Ambiguous, "more than one message begins so").hint("give more of its id"))
        }
        // The node says what is wrong with it.
        (None, _) => Ok(given),
    }
}

/// What each room is called, by its id.
///
/// # Errors
/// What the node answers.
pub fn names(node: &Client) -> Result<HashMap<String, String>, Problem> {
    let rooms: Vec<RoomItem> = node.get("/rooms")?;
    Ok(rooms.into_iter().map(|room| (room.room, display::neutral_line(&room.name))).collect())
}

/// What waits, in one line.
fn what(entry: &OutboxEntry) -> String {
    let kind = match entry.kind {
        OutboxKind::Text => "",
        OutboxKind::File => "file",
        OutboxKind::Poll => "poll",
        OutboxKind::Invitation => "invitation into",
        OutboxKind::Edit => "edit",
        OutboxKind::Deletion => "deletion",
        OutboxKind::Reaction => "reaction",
        OutboxKind::ReactionOff => "takes off",
        OutboxKind::Vote => "vote",
        OutboxKind::Pin => "pin",
        OutboxKind::PinOff => "takes off a pin",
        OutboxKind::Unknown => "-",
    };
    let text = display::neutral_line(&entry.text);
    let said: String = text.chars().take(WHAT_MAX).collect();
    let more = if said.len() < text.len() { "…" } else { "" };
    format!("{kind} {said}{more}").trim().to_owned()
}

fn list(node: &Client, out: &mut Out) -> Done {
    let entries: Vec<OutboxEntry> = node.get("/outbox")?;
    if out.is_json() {
        return entries.iter().try_for_each(|entry| out.json(entry));
    }
    let names = names(node)?;
    let mut table = Table::new(&["message", "room", "what", "written", "tried", "next", "why"]);
    for e in entries {
        let room = names.get(&e.room).cloned().unwrap_or_else(|| e.room.chars().take(SHORT).collect());
        let next = e.next_attempt.as_deref().map_or_else(|| "-".into(), time::brief);
        let written = time::brief(&e.queued_at);
        let message: String = e.message.chars().take(SHORT).collect();
        table.row([message, room, what(&e), written, e.attempts.to_string(), next, e.reason.unwrap_or_default()]);
    }
    table.write(out, "nothing waits")
}
