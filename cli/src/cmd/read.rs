//! `parlor read`: marks messages as read.

use parlor_api::{MarkRead, ReadAnswer};
use ureq::http::Method;

use crate::client::{Client, segment};
use crate::out::{Done, Out};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which room
    room: String,
    /// Up to this message; up to the newest when left out
    id: Option<String>,
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(args: Args, node: &Client, out: &mut Out) -> Done {
    let path = format!("/rooms/{}/read", segment(&args.room));
    let answer: ReadAnswer = node.send(Method::PUT, &path, &MarkRead { message: args.id })?;
    if out.is_json() {
        return out.json(&answer);
    }
    out.note(format!("{} unread", answer.unread));
    Ok(())
}
