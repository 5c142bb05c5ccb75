//! `parlor requests`, `approve`, `refuse`: who asks to come in by an invite with approval, and the answer.

use parlor_api::Request;
use serde_json::json;
use ureq::http::Method;

use crate::alone;
use crate::args::{Globals, quoted};
use crate::client::{Client, segment};
use crate::display::neutral_line;
use crate::out::{Done, Out};
use crate::table::Table;
use crate::time;

/// Arguments of `requests`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Which room
    room: String,
}

/// Arguments of `approve` and `refuse`.
#[derive(Debug, clap::Args)]
pub struct AnswerArgs {
    /// Which room
    room: String,
    /// Who asks: the account, a unique beginning of it, or @name
    who: String,
}

/// Lists who asks to come in.
///
/// # Errors
/// What the node answers.
pub fn list(args: &ListArgs, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let requests: Vec<Request> = node.get(&format!("/rooms/{}/requests", segment(&args.room)))?;
    if out.is_json() {
        return requests.iter().try_for_each(|request| out.json(request));
    }
    let some = !requests.is_empty();
    let mut table = Table::new(&["account", "name", "role", "invite", "asked"]);
    for r in requests {
        let short = |id: &str| id.chars().take(8).collect::<String>();
        table.row([short(&r.account), r.name, r.role.name().into(), short(&r.invite), time::local(&r.asked_at)]);
    }
    table.write(out, "nobody asks to come in")?;
    if some {
        let room = quoted(&args.room);
        out.note(format!("Anyone can call himself anything. Let in: {} approve {room} ACCOUNT", globals.program()));
    }
    Ok(())
}

/// Lets somebody in.
///
/// # Errors
/// What the node answers.
pub fn approve(args: &AnswerArgs, node: &Client, out: &mut Out) -> Done {
    answer(args, "approve", node, out, |request| match &request.refused_by {
        None => "is let in, and comes in when the node asks again, within a minute.".to_owned(),
        Some(by) => format!(
            "is let in, though {} had refused. The node asks no more: it comes in by using the link again.",
            neutral_line(&by.name)
        ),
    })
}

/// Says no to somebody.
///
/// # Errors
/// What the node answers.
pub fn refuse(args: &AnswerArgs, node: &Client, out: &mut Out) -> Done {
    answer(args, "refuse", node, out, |_| {
        "is told no, and so are all who may let in. Any of them can still approve, while the invite lasts.".to_owned()
    })
}

fn answer(args: &AnswerArgs, verb: &str, node: &Client, out: &mut Out, outcome: impl Fn(&Request) -> String) -> Done {
    let path = format!("/rooms/{}/requests/{}/{verb}", segment(&args.room), segment(&args.who));
    let request: Request = node.send(Method::POST, &path, &json!({}))?;
    if out.is_json() {
        return out.json(&request);
    }
    out.note(format!("{} {}", neutral_line(&request.name), outcome(&request)));
    alone::note(&args.room, node, out);
    Ok(())
}
