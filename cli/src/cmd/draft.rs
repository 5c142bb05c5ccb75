//! `parlor draft …`: what was written in a room and not sent, in all windows.

use std::path::PathBuf;

use parlor_api::{Draft, SetDraft};
use ureq::http::Method;

use crate::client::{Client, segment};
use crate::cmd::send;
use crate::display;
use crate::input;
use crate::out::{Done, Out};

/// What to do with a draft.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show it
    Show {
        /// Which room
        room: String,
    },
    /// Keep a text to be sent later
    Set {
        /// Which room
        room: String,
        /// The text; `-` reads it from standard input, nothing keeps only files
        #[arg(default_value = "", allow_hyphen_values = true)]
        text: String,
        /// A file that goes with it; can be repeated
        #[arg(long, value_name = "PATH")]
        file: Vec<PathBuf>,
        /// With --file: leave in pictures where and when they were taken, with what, and what else they say
        #[arg(long, requires = "file")]
        keep_metadata: bool,
        /// The message it answers
        #[arg(long, value_name = "ID")]
        reply_to: Option<String>,
    },
    /// Take it away
    Clear {
        /// Which room
        room: String,
    },
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(command: Command, node: &Client, out: &mut Out) -> Done {
    match command {
        Command::Show { room } => {
            let draft: Draft = node.get(&path(&room))?;
            if out.is_json() {
                return out.json(&draft);
            }
            if draft.text.is_empty() && draft.files.is_empty() {
                out.note("There is no draft.");
                return Ok(());
            }
            for file in &draft.files {
                out.line(format!("({}, {})", display::neutral_line(&file.name), display::bytes(file.bytes)))?;
            }
            if draft.text.is_empty() { Ok(()) } else { out.line(display::neutral(&draft.text)) }
        }
        Command::Set { room, text, file, keep_metadata, reply_to } => {
            let text = match text.as_str() {
                "-" => input::message(std::io::stdin().lock())?,
                "" => text,
                _ => input::argument(&text)?,
            };
            let mut files = Vec::new();
            for (name, file) in send::opened(&file)? {
                files.push(send::upload(&name, file, keep_metadata, node, out)?);
            }
            let draft: Draft = node.send(Method::PUT, &path(&room), &SetDraft { text, files, reply_to })?;
            if out.is_json() {
                return out.json(&draft);
            }
            out.note("Kept.");
            Ok(())
        }
        Command::Clear { room } => {
            let draft: Draft = node.send(Method::PUT, &path(&room), &SetDraft::default())?;
            if out.is_json() {
                return out.json(&draft);
            }
            out.note("There is no draft any more.");
            Ok(())
        }
    }
}

/// Where the draft of a room is.
pub fn path(room: &str) -> String {
    format!("/rooms/{}/draft", segment(room))
}
