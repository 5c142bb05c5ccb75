//! `parlor export`: a room as JSON that can be verified, or as a page to read; with its files.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use parlor_api::{Code, ExportPage, ExportedEvent, FileState, Message, Problem};

use crate::client::{Client, segment};
use crate::display;
use crate::out::{Done, Out};
use crate::page;
use crate::save::{Target, unwritten};
use parlor_node::count;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Files that are on this device are saved in a folder beside PATH, called PATH.files.

Examples:
  parlor export Friends --format json --out friends.json
  parlor export verify friends.json
  parlor export Friends --format html --out friends.html")]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Which room
    #[arg(required = true)]
    room: Option<String>,
    /// `json` can be verified, `html` be read
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    format: Format,
    /// Where to; nothing is overwritten
    #[arg(long, value_name = "PATH", required = true)]
    out: Option<PathBuf>,
    /// Without the files of messages
    #[arg(long)]
    no_files: bool,
}

/// What else can be done.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check that an export holds what its authors signed; needs no node
    Verify {
        /// The export, in JSON
        file: PathBuf,
    },
}

/// How a room is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// With everything that is needed to verify it
    Json,
    /// A page that a browser shows
    Html,
}

/// Runs it.
///
/// # Errors
/// What the node answers; the files can not be written; an export that does not hold.
pub fn run(args: &Args, node: impl FnOnce() -> Result<Client, Problem>, out: &mut Out) -> Done {
    if let Some(Command::Verify { file }) = &args.command {
        return verify(file, out);
    }
    let (Some(room), Some(path)) = (&args.room, &args.out) else { return Ok(()) };
    let node = node()?;
    let unwritable = |error: std::io::Error| unwritten(&format!("could not write {}", path.display()), &error);
    let mut options = File::options();
    options.write(true).create_new(true);
    // What was said in private is for no other user of the machine.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Problem::new(Code::AlreadyExists, format!("{} exists", path.display())).hint("name another path with --out")
        }
        std::io::ErrorKind::NotFound => {
            Problem::new(Code::NotFound, format!("there is no folder for {}", path.display()))
                .hint("make it first, or name another with --out")
        }
        _ => unwritable(error),
    })?;
    let written = write(room, args, path, &node, BufWriter::new(file));
    let counts = match written {
        Ok(counts) => counts,
        Err(problem) => {
            // A half export is of no use, and stands in the way of the next.
            let _ = fs::remove_file(path);
            return Err(problem.into());
        }
    };
    if out.is_json() {
        let Counts { messages, files, missing } = counts;
        return out.json(
            &serde_json::json!({ "path": path, "messages": messages, "files": files, "files_missing": missing }),
        );
    }
    out.line(display::neutral_line(&path.display().to_string()))?;
    let mut told =
        format!("{}, {}", count(counts.messages, "message", "messages"), count(counts.files, "file", "files"));
    if counts.missing > 0 {
        told = format!("{told}; not on this device: {}", count(counts.missing, "file", "files"));
    }
    out.note(told);
    Ok(())
}

/// What was written.
#[derive(Debug, Default)]
struct Counts {
    messages: u64,
    files: u64,
    missing: u64,
}

fn write(room: &str, args: &Args, path: &Path, node: &Client, mut to: BufWriter<File>) -> Result<Counts, Problem> {
    let failed = |error: std::io::Error| unwritten(&format!("could not write {}", path.display()), &error);
    let route = format!("/rooms/{}/export", segment(room));
    let mut page: ExportPage = node.get(&route)?;
    let about = page.about.clone();
    let (mut counts, mut saved, mut first) = (Counts::default(), Saver::new(path, node), true);
    let is_html = args.format == Format::Html;
    if is_html {
        to.write_all(page::head(&about).as_bytes()).map_err(failed)?;
    } else {
        let head = serde_json::to_string(&about).map_err(|e| Problem::new(Code::Internal, e.to_string()))?;
        write!(to, "{},\n\"control\":[", head.trim_end_matches('}')).map_err(failed)?;
    }
    let mut in_events = false;
    loop {
        if !is_html && !in_events && (page.control.is_empty() || page.next.is_none()) {
            write!(to, "\n],\n\"events\":[").map_err(failed)?;
            (in_events, first) = (true, true);
        }
        if !is_html && !in_events {
            for event in &page.control {
                write!(to, "{}\n{}", comma(&mut first), serde_json::Value::from(event.as_str())).map_err(failed)?;
            }
        }
        for event in &page.events {
            let files = match &event.message {
                Some(message) if !args.no_files => saved.save(message, &mut counts)?,
                _ => HashMap::new(),
            };
            counts.messages += u64::from(event.message.is_some());
            if is_html {
                if let Some(message) = &event.message {
                    to.write_all(page::message(message, &files).as_bytes()).map_err(failed)?;
                }
            } else {
                write!(to, "{}\n{}", comma(&mut first), line(event, &files)?).map_err(failed)?;
            }
        }
        let Some(next) = &page.next else { break };
        page = node.get(&format!("{route}?after={}", segment(next)))?;
    }
    let end = if is_html { page::END } else { "\n]}\n" };
    to.write_all(end.as_bytes()).map_err(failed)?;
    to.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    Ok(counts)
}

fn comma(first: &mut bool) -> &'static str {
    if std::mem::take(first) { "" } else { "," }
}

/// An event with where its files were saved.
fn line(event: &ExportedEvent, files: &HashMap<usize, String>) -> Result<String, Problem> {
    let wrong = |error: serde_json::Error| Problem::new(Code::Internal, error.to_string());
    let mut line = serde_json::to_value(event).map_err(wrong)?;
    if !files.is_empty()
        && let Some(fields) = line.as_object_mut()
    {
        let mut saved: Vec<_> = files.iter().collect();
        saved.sort_unstable();
        fields.insert("saved".to_owned(), saved.into_iter().map(|(_, path)| path.as_str()).collect());
    }
    serde_json::to_string(&line).map_err(wrong)
}

/// Saves files beside the export.
struct Saver<'a> {
    folder: PathBuf,
    name: String,
    node: &'a Client,
}

impl<'a> Saver<'a> {
    fn new(path: &Path, node: &'a Client) -> Self {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".files");
        Self { folder: path.with_file_name(&name), name: name.to_string_lossy().into_owned(), node }
    }

    /// Saves the files of a message that are here; where each is, from the folder of the export.
    fn save(&mut self, message: &Message, counts: &mut Counts) -> Result<HashMap<usize, String>, Problem> {
        let mut saved = HashMap::new();
        for (number, file) in message.files.iter().enumerate() {
            if file.state != FileState::Here {
                counts.missing += 1;
                continue;
            }
            fs::create_dir_all(&self.folder)
                .map_err(|error| unwritten(&format!("could not make {}", self.folder.display()), &error))?;
            let place = Target::new(Some(&self.folder), &file.save_as)?;
            let mut part = place.part(&file.hash)?;
            let route =
                format!("/rooms/{}/messages/{}/files/{number}", segment(&message.room), segment(&message.message));
            self.node.download(&route, &mut part, &mut |_| ())?;
            let path = place.keep(part)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            saved.insert(number, format!("{}/{name}", self.name));
            counts.files += 1;
        }
        Ok(saved)
    }
}

fn verify(path: &Path, out: &mut Out) -> Done {
    let file =
        File::open(path).map_err(|error| Problem::new(Code::NotFound, format!("{}: {error}", path.display())))?;
    let found = parlor_node::verify_export(file)?;
    if out.is_json() {
        out.json(&found)?;
    } else {
        out.line(format!(
            "{}: {} what their authors signed",
            display::neutral_line(&found.name),
            count(found.messages, "message says", "messages say")
        ))?;
        let control = count(found.control, "event", "events");
        out.line(format!("{control} of the room's log and {} of messages hold", found.events))?;
        if found.closed > 0 {
            let closed = count(found.closed, "is closed", "are closed");
            out.line(format!("{closed}: deleted, or never readable for who exported them"))?;
        }
        for finding in &found.findings {
            out.line(display::neutral_line(finding))?;
        }
    }
    if found.valid {
        return Ok(());
    }
    let differs = Problem::new(Code::ExportDiffers, "the export is not what was signed");
    Err(differs.hint("somebody changed the file, or a part of it is lost: ask for another export").into())
}
