//! `parlor group`: invitations into groups that wait for a word.

use parlor_api::{GroupAsks, GroupInvitation, JoinAnswer};
use serde_json::json;
use ureq::http::Method;

use crate::args::Globals;
use crate::client::{Client, segment};
use crate::display::neutral_line;
use crate::out::{Done, Out};
use crate::table::Table;
use crate::time;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the invitations that wait: those of contacts are taken by themselves
    List,
    /// Come in by one of them
    Accept(Which),
    /// Forget one of them; nobody is told
    Refuse(Which),
}

/// An invitation.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The room, a unique beginning of it, or its name
    invitation: String,
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(command: Command, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    match command {
        Command::List => list(node, globals, out),
        Command::Accept(which) => {
            let path = format!("/groups/{}/accept", segment(&which.invitation));
            let answer: JoinAnswer = node.send(Method::POST, &path, &json!({}))?;
            if out.is_json() {
                return out.json(&answer);
            }
            out.note(format!("You come into {} as soon as a member lets you in.", neutral_line(&answer.name)));
            Ok(())
        }
        Command::Refuse(which) => {
            let path = format!("/groups/{}/refuse", segment(&which.invitation));
            node.act(Method::POST, &path)?;
            out.note("The invitation is forgotten.");
            Ok(())
        }
    }
}

fn list(node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let all: Vec<GroupInvitation> = node.get("/groups")?;
    if out.is_json() {
        return all.iter().try_for_each(|invitation| out.json(invitation));
    }
    let some = !all.is_empty();
    let mut table = Table::new(&["room", "name", "by", "with", "why", "came"]);
    for it in all {
        let short = |text: &str| text.chars().take(8).collect::<String>();
        let name = |name: &str, account: &str| if name.is_empty() { short(account) } else { name.to_owned() };
        let with: Vec<_> = it.people.iter().filter(|who| who.account != it.by.account).collect();
        let with: Vec<_> = with.into_iter().map(|who| name(&who.name, &who.account)).collect();
        let why = match it.why {
            GroupAsks::NoContact => "is no contact of yours",
            GroupAsks::Blocked => "somebody you blocked is in it",
            GroupAsks::Left => "you left or refused it before",
            GroupAsks::Many => "many from him today",
        };
        let by = name(&it.by.name, &it.by.account);
        table.row([short(&it.room), it.name.clone(), by, with.join(", "), why.into(), time::local(&it.at)]);
    }
    table.write(out, "no invitation waits")?;
    if some {
        out.note(format!("Come in: {} group accept ROOM", globals.program()));
    }
    Ok(())
}
