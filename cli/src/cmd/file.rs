//! `parlor file`: files of messages, fetched and saved.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parlor_api::{Code, File, FileState, Message, Problem};
use ureq::http::Method;

use crate::client::{Client, segment};
use crate::out::{Done, Out};
use crate::progress::Progress;
use crate::save::Target;
use crate::{display, duration};
use parlor_node::count;

/// Between two looks at how far a file came.
const LOOK: Duration = Duration::from_millis(200);

/// What to do with files.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Fetch the files of a message and save them
    Get(GetArgs),
    /// Remove files of a message from this device
    Remove(RemoveArgs),
}

/// Arguments of `get`.
#[derive(Debug, clap::Args)]
pub struct GetArgs {
    /// Which room
    room: String,
    /// Which message
    message: String,
    /// Save in this folder, or as this file; in the current folder when left out
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Only this file of the message, the first is 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    number: Option<u32>,
    /// Give up after this time; the node goes on fetching
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    timeout: Option<u64>,
}

/// Arguments of `remove`.
#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// Which room
    room: String,
    /// Which message
    message: String,
    /// Only this file of the message, the first is 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    number: Option<u32>,
}

/// Runs it.
///
/// # Errors
/// Why a file did not come or could not be saved.
pub fn run(command: Command, node: &Client, out: &mut Out) -> Done {
    match command {
        Command::Get(args) => get(&args, node, out),
        Command::Remove(args) => remove(&args, node, out),
    }
}

fn get(args: &GetArgs, node: &Client, out: &mut Out) -> Done {
    let end = args.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let message = format!("/rooms/{}/messages/{}", segment(&args.room), segment(&args.message));
    let numbers = numbers(node, &message, args.number)?;
    if numbers.len() > 1 && args.out.as_deref().is_some_and(|path| !path.is_dir()) {
        let problem = Problem::new(Code::Usage, "the message has several files, and --out is no folder");
        return Err(problem.hint("name a folder that exists, or one of them with --number N").into());
    }
    // All are asked for first, so that they come beside each other.
    for number in &numbers {
        let _: File = node.send(Method::POST, &format!("{message}/files/{number}"), &serde_json::Value::Null)?;
    }
    for number in numbers {
        let file = wait(node, &message, number, end, out)?;
        let path = save(node, &message, number, &file, args.out.as_deref(), out)?;
        if out.is_json() {
            out.json(&serde_json::json!({ "path": path, "bytes": file.bytes, "name": file.name, "hash": file.hash }))?;
        } else {
            out.line(display::neutral_line(&path.display().to_string()))?;
        }
    }
    Ok(())
}

/// Which files of a message are meant, as the API counts them.
fn numbers(node: &Client, message: &str, only: Option<u32>) -> Result<Vec<u32>, Problem> {
    let shown: Message = node.get(message)?;
    let n = u32::try_from(shown.files.len()).unwrap_or(u32::MAX);
    match only {
        Some(number) if number <= n => Ok(vec![number - 1]),
        None if n > 0 => Ok((0..n).collect()),
        _ => {
            let has = match n {
                0 => "no file".to_owned(),
                n => count(n, "file", "files"),
            };
            let problem = Problem::new(Code::FileNotFound, format!("the message has {has}"));
            Err(problem.hint("parlor history ROOM shows the files of messages, with their numbers"))
        }
    }
}

/// Waits until a file is on this device.
fn wait(node: &Client, message: &str, number: u32, end: Option<Instant>, out: &Out) -> Result<File, Problem> {
    let mut progress: Option<Progress> = None;
    let mut said = None;
    loop {
        let shown: Message = node.get(message)?;
        let file = shown.files.into_iter().nth(number as usize).ok_or_else(|| Problem::of(Code::FileNotFound))?;
        let progress = progress.get_or_insert_with(|| Progress::new(!out.is_quiet(), &file.name, file.bytes));
        match file.state {
            FileState::Here => return Ok(file),
            FileState::Remote => return Err(given_up(&file)),
            FileState::Waiting | FileState::Fetching => {}
        }
        let doing = doing(&file);
        progress.at(file.have, if file.state == FileState::Fetching { "" } else { &doing });
        // Where nothing is written over, each change is a line.
        if !progress.is_shown() && said.as_ref() != Some(&doing) {
            out.note(format!("{}: {}", display::neutral_line(&file.name), display::neutral_line(&doing)));
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            let (have, all) = (display::bytes(file.have), display::bytes(file.bytes));
            let problem = Problem::new(Code::TimedOut, format!("{have} of {all} came: {doing}"));
            return Err(problem.hint("the node goes on fetching; ask again later: what came is kept"));
        }
        said = Some(doing);
        std::thread::sleep(LOOK);
    }
}

/// What is done for a file that is not here yet, or why nothing is.
fn doing(file: &File) -> String {
    match (file.state, &file.reason) {
        (FileState::Fetching, _) => "fetching".to_owned(),
        (_, Some(reason)) => reason.clone(),
        (_, None) => "waiting for a member who has it".to_owned(),
    }
}

/// A file is not fetched any more: it never comes, or somebody wants it no more.
fn given_up(file: &File) -> Problem {
    match &file.reason {
        Some(why) => Problem::new(Code::FileBroken, why).hint("ask its author to send it again"),
        None => Problem::new(Code::FileNotHere, "another command gave the file up: it is not fetched any more"),
    }
}

/// Saves a file that is here.
fn save(
    node: &Client,
    message: &str,
    number: u32,
    file: &File,
    to: Option<&Path>,
    out: &Out,
) -> Result<PathBuf, Problem> {
    let target = Target::new(to, &file.save_as)?;
    let mut part = target.part(&file.hash)?;
    let mut progress = Progress::new(!out.is_quiet(), &file.name, file.bytes);
    node.download(&format!("{message}/files/{number}"), &mut part, &mut |bytes| progress.at(bytes, ""))?;
    if part.have != file.bytes {
        let problem = Problem::new(Code::Stopping, "the node stopped before the file was saved");
        return Err(problem.hint("ask again when it runs"));
    }
    target.keep(part)
}

fn remove(args: &RemoveArgs, node: &Client, out: &mut Out) -> Done {
    let message = format!("/rooms/{}/messages/{}", segment(&args.room), segment(&args.message));
    for number in numbers(node, &message, args.number)? {
        let file: File = node.send(Method::DELETE, &format!("{message}/files/{number}"), &serde_json::Value::Null)?;
        if out.is_json() {
            out.json(&file)?;
        } else {
            out.line(format!("removed {}", display::neutral_line(&file.name)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(state: FileState, reason: Option<&str>) -> File {
        File {
            name: "a.txt".into(),
            mime: String::new(),
            bytes: 3,
            hash: String::new(),
            state,
            have: 0,
            reason: reason.map(str::to_owned),
            reason_code: None,
            save_as: "a.txt".into(),
            width: None,
            height: None,
            preview: false,
        }
    }

    #[test]
    fn why_a_file_does_not_come_is_told() {
        assert_eq!(doing(&file(FileState::Waiting, Some("the disk is full"))), "the disk is full");
        assert_eq!(doing(&file(FileState::Waiting, None)), "waiting for a member who has it");
        assert_eq!(doing(&file(FileState::Fetching, None)), "fetching");
        assert_eq!(given_up(&file(FileState::Remote, None)).code, Code::FileNotHere);
        assert_eq!(given_up(&file(FileState::Remote, Some("no whole file"))).code, Code::FileBroken);
    }
}
