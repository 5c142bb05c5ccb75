//! `parlor message`: one message, and of an own one who has it and who read it.

use parlor_api::{Code, Message, Receipts};

use crate::args::Globals;
use crate::client::{Client, segment};
use crate::cmd::history::spoken;
use crate::out::{Done, Out};
use crate::table::Table;
use crate::time;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which room
    room: String,
    /// Which message
    id: String,
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(args: &Args, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let path = format!("/rooms/{}/messages/{}", segment(&args.room), segment(&args.id));
    let message: Message = node.get(&path)?;
    let people = match node.get::<Receipts>(&format!("{path}/receipts")) {
        Ok(receipts) => Some(receipts.people),
        // It is somebody else's, or a note of the room.
        Err(problem) if matches!(problem.code, Code::Conflict | Code::MessageNotFound) => None,
        Err(problem) => return Err(problem.into()),
    };
    if out.is_json() {
        let mut object = serde_json::to_value(&message).map_err(std::io::Error::from)?;
        object["people"] = serde_json::to_value(people.unwrap_or_default()).map_err(std::io::Error::from)?;
        return out.json(&object);
    }
    out.line(spoken(&message, globals.verbose > 0, out))?;
    let Some(people) = people else { return Ok(()) };
    let mut table = Table::new(&["member", "has it", "read it"]);
    for person in people {
        let since = |is: bool, at: Option<String>| match (is, at) {
            (false, _) => "-".to_owned(),
            (true, at) => at.map_or_else(|| "yes".to_owned(), |at| time::brief(&at)),
        };
        table.row([person.name, since(person.delivered, person.delivered_at), since(person.read, person.read_at)]);
    }
    table.write(out, "there is nobody else in the room")
}
