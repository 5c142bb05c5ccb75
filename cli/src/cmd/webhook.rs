//! `parlor webhook …`: programs that the node calls when messages come.

use parlor_api::{CreateWebhook, Webhook, WebhookState};
use serde_json::json;
use ureq::http::Method;

use crate::client::{Client, segment};
use crate::display::neutral_line;
use crate::out::{Done, Out};
use crate::table::Table;
use crate::time;

/// What to do with webhooks.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a webhook. What signs its deliveries is shown once
    Create(CreateArgs),
    /// List the webhooks, and how they do
    List,
    /// Give a webhook another secret; the one before signs as well for a day
    Secret(Which),
    /// Deliver again to a webhook that was given up, or try one now
    Enable(Which),
    /// Remove a webhook, with what waits for it
    Remove(Which),
}

/// Arguments of `create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// What it is for
    name: String,
    /// Where to: https://…, or http://… for a program on this machine or a network that you trust
    url: String,
    /// Only messages of this room; can be repeated
    #[arg(long, value_name = "ROOM")]
    room: Vec<String>,
}

/// A webhook.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Its id
    id: String,
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(command: Command, node: &Client, out: &mut Out) -> Done {
    let path = |id: &str, what: &str| format!("/webhooks/{}{what}", segment(id));
    match command {
        Command::Create(CreateArgs { name, url, room }) => {
            let rooms = Some(room).filter(|rooms| !rooms.is_empty());
            let made: Webhook = node.send(Method::POST, "/webhooks", &CreateWebhook { name, url, rooms })?;
            secret(&made, out)
        }
        Command::List => list(node, out),
        Command::Secret(Which { id }) => secret(&node.send(Method::POST, &path(&id, "/secret"), &json!({}))?, out),
        Command::Enable(Which { id }) => {
            let hook: Webhook = node.send(Method::POST, &path(&id, "/enable"), &json!({}))?;
            if out.is_json() {
                return out.json(&hook);
            }
            out.note(format!("It is tried again. {} wait.", hook.pending));
            Ok(())
        }
        Command::Remove(Which { id }) => {
            node.act(Method::DELETE, &path(&id, ""))?;
            if out.is_json() {
                return out.json(&json!({ "id": id }));
            }
            out.note("Removed.");
            Ok(())
        }
    }
}

fn secret(hook: &Webhook, out: &mut Out) -> Done {
    if out.is_json() {
        return out.json(hook);
    }
    out.note(format!("Webhook {}. What signs its deliveries is shown only now:", hook.id));
    out.line(hook.secret.clone().unwrap_or_default())
}

fn list(node: &Client, out: &mut Out) -> Done {
    let hooks: Vec<Webhook> = node.get("/webhooks")?;
    if out.is_json() {
        return hooks.iter().try_for_each(|hook| out.json(hook));
    }
    let mut table = Table::new(&["webhook", "name", "to", "state", "waits", "next", "error"]);
    for hook in hooks {
        let state = match hook.state {
            WebhookState::Working => "works",
            WebhookState::Failing => "fails",
            WebhookState::Disabled => "given up",
        };
        let waits = format!("{}{}", hook.pending, if hook.pending_more { "+" } else { "" });
        let next = hook.next_attempt.as_deref().map_or_else(|| "-".to_owned(), time::brief);
        let error = hook.last_error.as_deref().map(neutral_line).unwrap_or_default();
        table.row([hook.id, hook.name, hook.url, state.to_owned(), waits, next, error]);
    }
    table.write(out, "no webhooks")
}
