//! `parlor edit`, `delete`, `react`, `pin`, `poll`, `vote`, `pins` and `edits`: what is said about messages.

use parlor_api::{
    Code, CreatePoll, EditMessage, Message, PinRequest, Problem, ReactRequest, SendAnswer, Version, VoteRequest,
};
use serde::Serialize;
use serde_json::json;
use ureq::http::Method;

use crate::args::Globals;
use crate::client::{Client, segment};
use crate::cmd::history::spoken;
use crate::display;
use crate::input;
use crate::out::{Done, Look, Out};
use crate::time;

/// Arguments of `edit`.
#[derive(Debug, clap::Args)]
pub struct EditArgs {
    #[command(flatten)]
    which: Which,
    /// The new text; `-` or nothing reads it from standard input
    #[arg(allow_hyphen_values = true)]
    text: Option<String>,
}

/// Arguments of `delete` and `edits`.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Which room
    room: String,
    /// Which message
    id: String,
}

/// Arguments of `react`.
#[derive(Debug, clap::Args)]
pub struct ReactArgs {
    #[command(flatten)]
    which: Which,
    /// What to put on it
    emoji: String,
    /// Take it off instead
    #[arg(long)]
    off: bool,
}

/// Arguments of `pin`.
#[derive(Debug, clap::Args)]
pub struct PinArgs {
    #[command(flatten)]
    which: Which,
    /// Take the pin out instead
    #[arg(long)]
    off: bool,
}

/// Arguments of `pins`.
#[derive(Debug, clap::Args)]
pub struct PinsArgs {
    /// Which room
    room: String,
}

/// The option of `poll` that may stand behind the answers.
const SEVERAL: &str = "--several";

/// An answer to choose from. What looks like an option most likely is one.
fn answer(text: &str) -> Result<String, String> {
    match text.strip_prefix("--") {
        Some(name) if text != SEVERAL && name.starts_with(char::is_alphabetic) => {
            Err("an answer does not begin like an option: options stand before the room".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

/// Arguments of `poll`.
#[derive(Debug, clap::Args)]
pub struct PollArgs {
    /// Which room
    room: String,
    /// The question
    #[arg(allow_hyphen_values = true)]
    question: String,
    /// The answers to choose from, 2 to 20
    #[arg(required = true, num_args = 2.., value_name = "ANSWER", allow_hyphen_values = true, value_parser = answer)]
    options: Vec<String>,
    /// Let everybody choose more than one
    #[arg(long)]
    several: bool,
}

/// Arguments of `vote`.
#[derive(Debug, clap::Args)]
pub struct VoteArgs {
    #[command(flatten)]
    which: Which,
    /// Numbers of the answers, the first is 1; none takes the vote back
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    choices: Vec<u32>,
}

impl Which {
    fn path(&self, more: &str) -> String {
        format!("/rooms/{}/messages/{}{more}", segment(&self.room), segment(&self.id))
    }
}

/// Changes the text of one of our messages.
///
/// # Errors
/// What the node answers. The node is asked for last, so that wrong input is told without one.
pub fn edit(args: &EditArgs, node: impl FnOnce() -> Result<Client, Problem>, globals: &Globals, out: &mut Out) -> Done {
    let text = match args.text.as_deref() {
        Some("-") | None => input::message(std::io::stdin().lock())?,
        Some(text) => input::argument(text)?,
    };
    let client_id = Some(format!("{:032x}", rand::random::<u128>()));
    tell(Method::PATCH, &args.which.path(""), &EditMessage { text, client_id }, &node()?, globals, out)
}

/// Deletes a message.
///
/// # Errors
/// What the node answers.
pub fn delete(args: &Which, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    tell(Method::DELETE, &args.path(""), &json!({}), node, globals, out)
}

/// Puts an emoji on a message, or takes it off.
///
/// # Errors
/// What the node answers.
pub fn react(args: &ReactArgs, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let request = ReactRequest { emoji: args.emoji.clone(), on: !args.off };
    tell(Method::PUT, &args.which.path("/reaction"), &request, node, globals, out)
}

/// Pins a message, or takes the pin out.
///
/// # Errors
/// What the node answers.
pub fn pin(args: &PinArgs, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    tell(Method::PUT, &args.which.path("/pin"), &PinRequest { on: !args.off }, node, globals, out)
}

/// Chooses in a poll.
///
/// # Errors
/// What the node answers.
pub fn vote(args: &VoteArgs, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let choices = args.choices.iter().map(|number| number - 1).collect();
    tell(Method::PUT, &args.which.path("/vote"), &VoteRequest { choices }, node, globals, out)
}

/// Asks a poll.
///
/// # Errors
/// What the node answers.
pub fn poll(args: PollArgs, node: &Client, out: &mut Out) -> Done {
    let PollArgs { room, question, mut options, mut several } = args;
    // Behind the answers too, where it is taken for one of them.
    let said = options.len();
    options.retain(|option| option != SEVERAL);
    several |= options.len() < said;
    let client_id = Some(format!("{:032x}", rand::random::<u128>()));
    let request = CreatePoll { question, options, several, client_id };
    let sent: SendAnswer = node.send(Method::POST, &format!("/rooms/{}/polls", segment(&room)), &request)?;
    if out.is_json() { out.json(&sent) } else { out.line(&sent.message) }
}

/// Lists the pinned messages.
///
/// # Errors
/// What the node answers.
pub fn pins(args: &PinsArgs, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let pins: Vec<Message> = node.get(&format!("/rooms/{}/pins", segment(&args.room)))?;
    if pins.is_empty() {
        out.note("nothing is pinned in this room");
    }
    pins.iter().try_for_each(|message| write(message, globals, out))
}

/// Lists the texts that a message had.
///
/// # Errors
/// What the node answers; `message_not_found` for one that was deleted.
pub fn edits(args: &Which, node: &Client, out: &mut Out) -> Done {
    let versions: Vec<Version> = node.get(&args.path("/edits"))?;
    if versions.is_empty() {
        return Err(Problem::new(Code::MessageNotFound, "there is no text of this message any more").into());
    }
    for version in versions {
        if out.is_json() {
            out.json(&version)?;
        } else {
            let when = out.paint(Look::Faint, &time::brief(&version.at));
            out.line(format!("{when}  {}", display::neutral(&version.text).replace('\n', "\n    ")))?;
        }
    }
    Ok(())
}

fn tell(method: Method, path: &str, body: &impl Serialize, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let message: Message = node.send(method, path, body)?;
    write(&message, globals, out)
}

fn write(message: &Message, globals: &Globals, out: &mut Out) -> Done {
    if out.is_json() { out.json(message) } else { out.line(spoken(message, globals.verbose > 0, out)) }
}
