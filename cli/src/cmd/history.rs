//! `parlor history`: messages, newest first.

use std::collections::VecDeque;

use parlor_api::{File, FileState, Hole, Message, MessageKind, MessageStatus, PAGE_MAX, Page, Problem};

use crate::args::Globals;
use crate::client::{Client, segment};
use crate::display;
use crate::out::{Done, Look, Out};
use crate::time;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("where"))]
pub struct Args {
    /// Which room
    room: String,
    /// At most so many messages
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Those before this message
    #[arg(long, value_name = "ID", group = "where")]
    before: Option<String>,
    /// Those after this message
    #[arg(long, value_name = "ID", group = "where")]
    after: Option<String>,
    /// Those on both sides of this message, a hundred at most
    #[arg(long, value_name = "ID", group = "where")]
    around: Option<String>,
    /// Those from this date on, such as 2026-11-21
    #[arg(long, value_name = "D", group = "where", value_parser = time::parse)]
    date: Option<String>,
    /// Only the thread that this message began
    #[arg(long, value_name = "ID", conflicts_with_all = ["after", "around", "date", "system"])]
    thread: Option<String>,
    /// With what was done in the room: who came, went, was given a role or removed
    #[arg(long)]
    system: bool,
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(args: &Args, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    if let Some(id) = &args.around {
        let page: Page<Message> = page(node, args, "around", id, args.limit.min(PAGE_MAX))?;
        page.holes.iter().try_for_each(|hole| write_hole(hole, out))?;
        return page.items.iter().try_for_each(|m| write(m, globals, out));
    }
    if args.after.is_some() || args.date.is_some() {
        return forward(args, node, globals, out);
    }
    let mut left = args.limit;
    let mut before = args.before.clone();
    let mut early = false;
    while left > 0 {
        let limit = left.min(PAGE_MAX);
        let page = match (&before, &args.thread) {
            (before, Some(thread)) => {
                let before = before.as_ref().map_or_else(String::new, |at| format!("&before={}", segment(at)));
                let (room, thread) = (segment(&args.room), segment(thread));
                node.get(&format!("/rooms/{room}/messages/{thread}/thread?limit={limit}{before}"))?
            }
            (Some(cursor), None) => page(node, args, "before", cursor, limit)?,
            (None, None) => {
                let (room, system) = (segment(&args.room), args.system);
                node.get(&format!("/rooms/{room}/messages?limit={limit}&system={system}"))?
            }
        };
        page.holes.iter().try_for_each(|hole| write_hole(hole, out))?;
        write_page(&page.items, &mut early, globals, out)?;
        left = left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
        match page.older {
            // Also behind an empty page, of what can not be read here.
            Some(older) => before = Some(older),
            None => break,
        }
    }
    Ok(())
}

/// Pages from a point towards now come oldest first, but are written newest first: they are gathered.
fn forward(args: &Args, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let mut found: VecDeque<Message> = VecDeque::new();
    let mut holes = Vec::new();
    let mut next = match (&args.after, &args.date) {
        (Some(after), _) => Some(("after", after.clone())),
        (None, date) => date.clone().map(|date| ("date", date)),
    };
    while let Some((kind, cursor)) = next.take() {
        let left = args.limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        let page = page(node, args, kind, &cursor, left.min(PAGE_MAX))?;
        holes = page.holes;
        page.items.into_iter().rev().for_each(|m| found.push_front(m));
        next = page.newer.map(|newer| ("after", newer));
    }
    holes.iter().try_for_each(|hole| write_hole(hole, out))?;
    found.iter().try_for_each(|m| write(m, globals, out))
}

/// A page, newest first. Behind the newest messages, where they are here before those between, stands that these are on their way.
/// `early` says whether the message before was one of them.
fn write_page(messages: &[Message], early: &mut bool, globals: &Globals, out: &mut Out) -> Done {
    for message in messages {
        if std::mem::replace(early, message.early) && !message.early && !out.is_json() {
            out.line(out.paint(Look::Faint, "  (the messages between are still on their way)"))?;
        }
        write(message, globals, out)?;
    }
    Ok(())
}

/// What is missing stands where the newest would be.
fn write_hole(hole: &Hole, out: &mut Out) -> Done {
    if out.is_json() { out.json(hole) } else { out.line(format!("  ({})", display::neutral_line(&hole.text))) }
}

fn page(node: &Client, args: &Args, kind: &str, cursor: &str, limit: u32) -> Result<Page<Message>, Problem> {
    let (room, cursor, system) = (segment(&args.room), segment(cursor), args.system);
    node.get(&format!("/rooms/{room}/messages?limit={limit}&system={system}&{kind}={cursor}"))
}

fn write(message: &Message, globals: &Globals, out: &mut Out) -> Done {
    if out.is_json() { out.json(message) } else { out.line(spoken(message, globals.verbose > 0, out)) }
}

/// What a message answers, on one line.
fn quoted(reply: &parlor_api::Quote) -> String {
    let author = display::neutral_line(&reply.author.name);
    match reply.deleted {
        true => format!("{author}: (deleted)"),
        false => format!("{author}: {}", display::neutral_line(&reply.text)),
    }
}

/// A file of a message: its number for `file get --number`, name, size, and whether it is here.
fn of_file(file: &File, number: u32) -> String {
    let state = match file.state {
        FileState::Remote => "not here",
        FileState::Waiting => "waiting",
        FileState::Fetching => "fetching",
        FileState::Here => "here",
    };
    format!("file {number}: {} ({}, {state})", display::neutral_line(&file.name), display::bytes(file.bytes))
}

/// A message for people: time, author, text, and what is unusual about it.
pub fn spoken(message: &Message, with_id: bool, out: &Out) -> String {
    let when = out.paint(Look::Faint, &time::brief(time::said(&message.sent_at, &message.received_at)));
    let author = out.paint(Look::Strong, &display::neutral_line(&message.author.name));
    let text = display::neutral(&message.text).replace('\n', "\n    ");
    let mut line = match message.kind {
        MessageKind::System => format!("{when}  * {text}"),
        _ if message.deleted => {
            let by = message.deleted_by.as_ref().filter(|by| by.account != message.author.account);
            let by = by.map_or_else(String::new, |by| format!(" by {}", display::neutral_line(&by.name)));
            format!("{when}  {author}: {}", out.paint(Look::Faint, &format!("(deleted{by})")))
        }
        MessageKind::Unknown => format!("{when}  {author}: {}", out.paint(Look::Faint, "(made by a newer version)")),
        // Files without a word: they are named behind.
        _ if text.is_empty() && !message.files.is_empty() => format!("{when}  {author}"),
        _ => format!("{when}  {author}: {text}"),
    };
    if let Some(reply) = message.reply.as_ref().filter(|_| !message.deleted) {
        line.push_str(&out.paint(Look::Faint, &format!("\n    > {}", quoted(reply))));
    }
    for (option, number) in message.poll.iter().flat_map(|poll| &poll.options).zip(1..) {
        line.push_str(&format!("\n    {number}. {} ({})", display::neutral_line(&option.text), option.votes.len()));
    }
    let mut remarks: Vec<String> = message.files.iter().zip(1..).map(|(file, number)| of_file(file, number)).collect();
    if message.unsafe_epoch && !message.deleted {
        remarks.push("written under old keys: somebody who is out may read it".to_owned());
    }
    remarks.extend(message.edited_at.as_ref().map(|_| "edited".to_owned()));
    remarks.extend(message.pinned_by.as_ref().map(|by| format!("pinned by {}", display::neutral_line(&by.name))));
    remarks.extend(message.thread.as_ref().map(|_| "in a thread".to_owned()));
    remarks.extend(message.replies.as_ref().map(|thread| match thread.count {
        1 => "1 reply".to_owned(),
        n if n >= parlor_api::THREAD_COUNTED => format!("{n} replies or more"),
        n => format!("{n} replies"),
    }));
    remarks.extend(message.reactions.iter().map(|(e, who)| format!("{} {}", display::neutral_line(e), who.len())));
    match message.status {
        MessageStatus::Queued => remarks.push("queued".into()),
        MessageStatus::Failed => {
            remarks.push(format!("failed: {}", display::neutral_line(message.reason.as_deref().unwrap_or("not sent"))));
        }
        MessageStatus::Sent | MessageStatus::Delivered | MessageStatus::Read => {}
    }
    if with_id {
        remarks.extend(message.reply_to.as_ref().map(|id| format!("answers {id}")));
        remarks.push(message.message.clone());
    }
    if !remarks.is_empty() {
        line.push_str(&out.paint(Look::Faint, &format!("  [{}]", remarks.join(", "))));
    }
    line
}
