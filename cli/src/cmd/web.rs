//! `parlor web`: opens the page of the running node in a browser; lists and ends the sessions of browsers.

use parlor_api::{Session, WebCode};
use serde_json::json;
use ureq::http::Method;

use crate::browser;
use crate::client::{Client, segment};
use crate::out::{Done, Out};
use crate::table::Table;
use crate::time;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the link only. It opens one session, within a minute: give it to nobody
    #[arg(long)]
    no_open: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do with sessions.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the sessions of browsers
    List,
    /// End one, or all of them
    Revoke {
        /// Its id; `all` for every one
        session: String,
    },
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(args: &Args, node: &Client, out: &mut Out) -> Done {
    match &args.command {
        None => open(!args.no_open, node, out),
        Some(Command::List) => list(node, out),
        Some(Command::Revoke { session }) => {
            node.act(Method::DELETE, &format!("/web/sessions/{}", segment(session)))?;
            if out.is_json() {
                return out.json(&json!({ "session": session }));
            }
            out.note("Ended.");
            Ok(())
        }
    }
}

/// Opens the page, or tells where it is.
///
/// # Errors
/// What the node answers.
pub fn open(wanted: bool, node: &Client, out: &mut Out) -> Done {
    let code: WebCode = node.send(Method::POST, "/web/codes", &json!({}))?;
    let opened = wanted && browser::open(node.home(), &code.url);
    if out.is_json() {
        return out.json(&json!({ "url": code.url, "expires_in": code.expires_in, "opened": opened }));
    }
    tell(&code.url, opened, out)
}

/// Says where the page is. With a browser opened, the link is used up by it.
///
/// # Errors
/// When it could not be written.
pub fn tell(url: &str, opened: bool, out: &mut Out) -> Done {
    if opened {
        out.note("The page opens in your browser. If it does not, this link opens it, once, within a minute:");
    } else {
        out.note("This link opens the page in a browser of this machine, once, within a minute. Give it to nobody:");
    }
    out.line(format!("  {url}"))
}

fn list(node: &Client, out: &mut Out) -> Done {
    let sessions: Vec<Session> = node.get("/web/sessions")?;
    if out.is_json() {
        return sessions.iter().try_for_each(|session| out.json(session));
    }
    let mut table = Table::new(&["session", "used", "opened", "ends", "browser"]);
    for session in sessions {
        let Session { session, used_at, made_at, expires_at, agent, .. } = session;
        let brief: String = agent.chars().take(40).collect();
        table.row([session, time::brief(&used_at), time::brief(&made_at), time::local(&expires_at), brief]);
    }
    table.write(out, "no sessions")
}
