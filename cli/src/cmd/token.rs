//! `parlor token …`: tokens for scripts and bots, with fewer rights than the home's own.

use clap::ValueEnum;
use parlor_api::{ApiToken, CreateToken, Scope};
use serde_json::json;
use ureq::http::Method;

use crate::client::{Client, segment};
use crate::out::{Done, Out};
use crate::table::Table;
use crate::time;
use parlor_node::count;

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a token. It is shown once
    Create(CreateArgs),
    /// List the tokens
    List,
    /// Revoke a token: it is refused from now on
    Revoke {
        /// Its id
        id: String,
    },
}

/// Arguments of `create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// What it is for
    name: String,
    /// What it allows: read; send, which may read too; manage, which may do both
    #[arg(long, value_delimiter = ',', default_value = "read")]
    scope: Vec<Allows>,
    /// Only in this room; can be repeated
    #[arg(long, value_name = "ROOM")]
    room: Vec<String>,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Allows {
    /// Read rooms, messages and events
    Read,
    /// Also send messages, and mark as read
    Send,
    /// Also rooms, members, invites, contacts and the node
    Manage,
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(command: Command, node: &Client, out: &mut Out) -> Done {
    match command {
        Command::Create(args) => create(args, node, out),
        Command::List => list(node, out),
        Command::Revoke { id } => {
            node.act(Method::DELETE, &format!("/tokens/{}", segment(&id)))?;
            if out.is_json() {
                return out.json(&json!({ "id": id }));
            }
            out.note("Revoked.");
            Ok(())
        }
    }
}

fn create(args: CreateArgs, node: &Client, out: &mut Out) -> Done {
    let scope = args.scope.iter().map(|allows| match allows {
        Allows::Read => Scope::Read,
        Allows::Send => Scope::Send,
        Allows::Manage => Scope::Manage,
    });
    let request = CreateToken {
        name: args.name,
        scope: scope.collect(),
        rooms: Some(args.room).filter(|rooms| !rooms.is_empty()),
    };
    let made: ApiToken = node.send(Method::POST, "/tokens", &request)?;
    if out.is_json() {
        return out.json(&made);
    }
    out.note(format!("Token {} may {}. It is shown only now:", made.id, allowed(&made)));
    out.line(made.token.unwrap_or_default())
}

fn list(node: &Client, out: &mut Out) -> Done {
    let tokens: Vec<ApiToken> = node.get("/tokens")?;
    if out.is_json() {
        return tokens.iter().try_for_each(|token| out.json(token));
    }
    let mut table = Table::new(&["token", "name", "may", "made", "used"]);
    for token in tokens {
        let (may, made) = (allowed(&token), time::local(&token.made_at));
        let used = token.used_at.as_deref().map_or_else(|| "-".to_owned(), time::brief);
        table.row([token.id, token.name, may, made, used]);
    }
    table.write(out, "no tokens")
}

fn allowed(token: &ApiToken) -> String {
    let scopes: Vec<_> = token.scope.iter().map(|scope| scope.name()).collect();
    let rooms = match token.rooms.len() {
        0 => "everywhere".to_owned(),
        n => format!("in {}", count(n as u64, "room", "rooms")),
    };
    format!("{} {rooms}", scopes.join(", "))
}
