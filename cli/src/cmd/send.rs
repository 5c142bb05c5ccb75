//! `parlor send`: sends a message, or one a line.
//!
//! Each message gets a random key before the first try, so that a try whose answer was lost can be repeated without
//! sending twice.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use parlor_api::{
    BATCH_MAX, Code, Draft, MessageStatus, Problem, SendAnswer, SendBatch, SendRequest, SetDraft, UploadedFile,
};
use parlor_node::count;
use serde::de::DeserializeOwned;
use ureq::http::Method;

use crate::client::{Client, segment};
use crate::duration;
use crate::input::{self, Lines};
use crate::out::{Done, Out};
use crate::progress::{Counted, Progress};

/// Tries of one request whose connection breaks.
const TRIES: usize = 3;

/// Bytes of text in one batch: well below what the node takes, also when every byte is escaped.
const BATCH_BYTES: usize = 256 * 1024;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which room
    room: String,
    /// The text; `-` or nothing reads it from standard input
    #[arg(allow_hyphen_values = true)]
    text: Option<String>,
    /// Read standard input and send a message a line
    #[arg(long)]
    lines: bool,
    /// Send this file; can be repeated, with the text as their caption
    #[arg(long, value_name = "PATH")]
    file: Vec<PathBuf>,
    /// Send the draft of the room, with its files, and clear it
    #[arg(long, conflicts_with_all = ["text", "lines", "file", "reply_to", "thread"])]
    draft: bool,
    /// With --file: leave in pictures where and when they were taken, with what, and what else they say
    #[arg(long, requires = "file")]
    keep_metadata: bool,
    /// Answer this message
    #[arg(long, value_name = "ID")]
    reply_to: Option<String>,
    /// Write in the thread of this message
    #[arg(long, value_name = "ID")]
    thread: Option<String>,
    /// Return when the message has come this far
    #[arg(long, value_name = "STATUS", default_value = "none")]
    wait: Wait,
    /// With --wait: give up waiting after this time; the message is sent all the same
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    timeout: u64,
}

/// How far a message must come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// Somebody else stores it
    Sent,
    /// A member has it on a device
    Delivered,
    /// It is stored here
    None,
}

/// Runs it. The node is asked for last, so that wrong input is told without one.
///
/// # Errors
/// Why it was not sent. With `--lines`, the lines before were.
pub fn run(args: Args, node: impl FnOnce() -> Result<Client, Problem>, out: &mut Out) -> Done {
    if args.lines && !args.file.is_empty() {
        return Err(Problem::new(Code::Usage, "--lines sends texts, so it takes no --file").into());
    }
    if args.lines && args.text.as_deref().is_some_and(|text| text != "-") {
        let problem = Problem::new(Code::Usage, "--lines reads standard input, so it takes no text");
        return Err(problem.hint("leave the text out, or leave --lines out").into());
    }
    if args.lines {
        return send_lines(&args, &node()?, out);
    }
    if args.draft {
        return send_draft(&args, &node()?, out);
    }
    let files = opened(&args.file)?;
    let text = match args.text.as_deref() {
        None | Some("") if !files.is_empty() => String::new(),
        Some("-") | None => input::message(std::io::stdin().lock())?,
        Some(text) => input::argument(text)?,
    };
    let node = node()?;
    let mut request = request(text, &args);
    for (name, file) in files {
        request.files.push(upload(&name, file, args.keep_metadata, &node, out)?);
    }
    let sent: SendAnswer = repeated(&node, &format!("/rooms/{}/messages", segment(&args.room)), &request)?;
    answer(sent, &args, &node, out)
}

/// Sends what was kept, and clears it when it is stored as a message.
fn send_draft(args: &Args, node: &Client, out: &mut Out) -> Done {
    let place = super::draft::path(&args.room);
    let draft: Draft = node.get(&place)?;
    if draft.text.is_empty() && draft.files.is_empty() {
        return Err(Problem::new(Code::EmptyText, "the room has no draft")
            .hint("keep one: parlor draft set ROOM TEXT")
            .into());
    }
    let files = draft.files.into_iter().map(|file| file.hash).collect();
    let request = SendRequest { reply_to: draft.reply_to, files, ..request(draft.text, args) };
    let sent: SendAnswer = repeated(node, &format!("/rooms/{}/messages", segment(&args.room)), &request)?;
    let _: Draft = node.send(Method::PUT, &place, &SetDraft::default())?;
    answer(sent, args, node, out)
}

fn send_lines(args: &Args, node: &Client, out: &mut Out) -> Done {
    let path = format!("/rooms/{}/messages/batch", segment(&args.room));
    let mut lines = Lines::new(BufReader::with_capacity(BATCH_BYTES, std::io::stdin()));
    let mut stored = 0;
    loop {
        // A line that is there goes out at once; those that came with it go along.
        let mut messages = Vec::new();
        let mut bytes = 0;
        let mut bad = None;
        while messages.is_empty() || lines.ready() && messages.len() < BATCH_MAX && bytes < BATCH_BYTES {
            match lines.next() {
                Ok(Some(text)) => {
                    bytes += text.len();
                    messages.push(request(text, args));
                }
                Ok(None) => break,
                Err(problem) => {
                    bad = Some(problem);
                    break;
                }
            }
        }
        let more = !messages.is_empty();
        if more {
            let sent: Vec<SendAnswer> = repeated(node, &path, &SendBatch { messages }).map_err(|mut problem| {
                problem.detail =
                    format!("{}; {} stored before", problem.detail, count(stored, "line was", "lines were"));
                problem
            })?;
            stored += sent.len() as u64;
            sent.into_iter().try_for_each(|sent| answer(sent, args, node, out))?;
        }
        match bad {
            Some(problem) => return Err(problem.into()),
            None if more => {}
            None => return Ok(()),
        }
    }
}

/// Opens files that are to be sent: before the node is asked for anything.
///
/// # Errors
/// Which can not be read.
pub fn opened(paths: &[PathBuf]) -> Result<Vec<(String, File)>, Problem> {
    let open = |path: &PathBuf| {
        let wrong = |why: &str| Problem::new(Code::Usage, format!("{} {why}", path.display()));
        let file = File::open(path).map_err(|e| input::unopened(path, &e))?;
        if !file.metadata().is_ok_and(|found| found.is_file()) {
            return Err(wrong("is no file").hint("pack a folder first, with tar or zip"));
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok((name.ok_or_else(|| wrong("has no name"))?, file))
    };
    paths.iter().map(open).collect()
}

/// Has the node seal a file, and answers what it is named by.
///
/// # Errors
/// What the node answers.
pub fn upload(name: &str, file: File, keep_metadata: bool, node: &Client, out: &Out) -> Result<String, Problem> {
    let bytes = file.metadata().map_or(0, |found| found.len());
    let mut progress = Progress::new(!out.is_quiet(), name, bytes);
    let path = format!("/files?name={}&keep_metadata={keep_metadata}", segment(name));
    let taken: UploadedFile = node.upload(&path, Counted::new(file, &mut progress))?;
    Ok(taken.file)
}

fn request(text: String, args: &Args) -> SendRequest {
    let client_id = format!("{:032x}", rand::random::<u128>());
    let (reply_to, thread) = (args.reply_to.clone(), args.thread.clone());
    SendRequest { text, client_id: Some(client_id), reply_to, thread, files: Vec::new() }
}

/// Sends, again if the connection broke: the keys in the request make that harmless.
fn repeated<T: DeserializeOwned>(node: &Client, path: &str, request: &impl serde::Serialize) -> Result<T, Problem> {
    let mut tries = 1;
    loop {
        match node.send(Method::POST, path, request) {
            Err(problem) if problem.code == Code::Stopping && tries < TRIES => tries += 1,
            Err(problem) if problem.code == Code::NoNode && tries > 1 => {
                return Err(Problem::new(Code::Stopping, "the node ended before it answered").hint(
                    "what was sent may be stored, and goes out when the node runs again: look at `parlor history` before you send it once more",
                ));
            }
            answer => return answer,
        }
    }
}

fn answer(mut sent: SendAnswer, args: &Args, node: &Client, out: &mut Out) -> Done {
    let wanted = match args.wait {
        Wait::Sent => Some("sent"),
        Wait::Delivered => Some("delivered"),
        Wait::None => None,
    };
    if let Some(wanted) = wanted {
        let path = format!("/rooms/{}/messages/{}/wait", segment(&sent.room), segment(&sent.message));
        let limit = Duration::from_secs(args.timeout);
        let waited = node.get_within(&format!("{path}?status={wanted}&timeout={}", args.timeout), limit);
        sent = match waited {
            Err(mut problem) if problem.code == Code::TimedOut => {
                // It is sent all the same: who called is to know which it is.
                show(&sent, out)?;
                problem.detail = format!("message {} was not {wanted} in this time", sent.message);
                return Err(problem.hint("it goes out by itself; parlor outbox list shows what it waits for").into());
            }
            answer => answer?,
        };
    }
    show(&sent, out)
}

fn show(sent: &SendAnswer, out: &mut Out) -> Done {
    if out.is_json() {
        return out.json(sent);
    }
    show_sent(&sent.message, sent.status, out)
}

/// A message that was sent, for people: its id, and how far it is.
///
/// # Errors
/// When it could not be written.
pub fn show_sent(message: &str, status: MessageStatus, out: &mut Out) -> Done {
    let status = serde_json::to_value(status).ok().and_then(|s| s.as_str().map(str::to_owned)).unwrap_or_default();
    out.line(format!("{message} {status}"))
}
