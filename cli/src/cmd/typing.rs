//! `parlor typing`: tells the others of a room that you type.

use parlor_api::SetTyping;
use serde_json::json;
use ureq::http::Method;

use crate::client::{Client, segment};
use crate::out::{Done, Out};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which room
    room: String,
    /// You stopped
    #[arg(long)]
    off: bool,
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(args: &Args, node: &Client, out: &mut Out) -> Done {
    let typing = !args.off;
    node.send_quietly(Method::POST, &format!("/rooms/{}/typing", segment(&args.room)), &SetTyping { typing })?;
    if out.is_json() { out.json(&json!({ "typing": typing })) } else { Ok(()) }
}
