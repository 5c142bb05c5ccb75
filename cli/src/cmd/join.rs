//! `parlor join`: joins a room by its link or by a picture of its QR code.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use parlor_api::{Code, JoinAnswer, JoinProgress, JoinRequest, JoinState, JoinStep, Problem, Room, Status};
use parlor_node::count;
use serde_json::json;
use ureq::http::Method;

use crate::args::{Globals, quoted};
use crate::client::{Client, segment};
use crate::cmd::invite::read_qr;
use crate::display;
use crate::duration;
use crate::input;
use crate::out::{Done, Fail, Out};
use crate::time;

/// How often it is looked whether somebody approved.
const LOOK: Duration = Duration::from_secs(1);

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub struct Args {
    /// The link; `-` reads it from standard input
    #[arg(group = "which")]
    link: Option<String>,
    /// A PNG or JPEG picture of the QR code
    #[arg(long, value_name = "FILE", group = "which")]
    qr: Option<PathBuf>,
    /// Cancel a join that waits, or clear how one ended: the room's id as `status` shows it, or how it begins
    #[arg(long, value_name = "ROOM", group = "which", conflicts_with = "timeout")]
    cancel: Option<String>,
    /// Wait so long for somebody of the room
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    timeout: u64,
}

/// Runs it.
///
/// # Errors
/// Why the room was not joined.
pub fn run(args: Args, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    if let Some(room) = args.cancel {
        return cancel(&room, node, out);
    }
    let link = match (args.link, args.qr) {
        (_, Some(picture)) => read_qr(node, &picture)?,
        (Some(link), None) if link != "-" => link,
        _ => input::message(std::io::stdin().lock())?.trim().to_owned(),
    };
    let timeout = args.timeout.min(JoinRequest::TIMEOUT_MAX);
    if link.contains("/join") {
        out.note("Looking for somebody of the room…");
    }
    let began = Instant::now();
    // Who waits for a person is told so at once, and goes on waiting.
    let request = JoinRequest { link, timeout, once_asked: true };
    let mut joined: JoinAnswer = node.send_within(Method::POST, "/join", &request, Duration::from_secs(timeout))?;
    if joined.step == Some(JoinStep::Approval) {
        joined = approved(joined, began + Duration::from_secs(timeout), node, out)?;
    }
    if out.is_json() {
        return out.json(&joined);
    }
    match joined.state {
        JoinState::Joined => {
            let name = display::neutral_line(&joined.name);
            out.line(format!("Joined {name} as {}.", joined.role.name()))?;
            let (program, room) = (globals.program(), quoted(&name));
            out.note(match joined.role {
                parlor_api::Role::Observer => format!("Read: {program} history {room}"),
                _ => format!("Write: {program} send {room} 'Hello'"),
            });
        }
        JoinState::Pending => {
            let wait = joined.waits_for.unwrap_or_else(|| "somebody of the room".into());
            out.line(format!(
                "Not in yet: {}. It goes on by itself while your node runs, also after a restart; `{1} status` tells what became of it, `{1} join --cancel {2}` ends it.",
                display::neutral_line(&wait),
                globals.program(),
                short(&joined.room)
            ))?;
        }
    }
    Ok(())
}

/// Cancels a join, or clears how one ended.
fn cancel(room: &str, node: &Client, out: &mut Out) -> Done {
    let was: JoinProgress = node.send(Method::DELETE, &format!("/joins/{}", segment(room)), &())?;
    if out.is_json() {
        let state = if was.step == JoinStep::Ended { "cleared" } else { "cancelled" };
        return out.json(&json!({"room": was.room, "state": state}));
    }
    let room = short(&was.room);
    match was.step {
        JoinStep::Ended => out.line(format!("Cleared how the join into {room} ended.")),
        _ => out.line(format!(
            "Cancelled the join into {room}: nobody is asked any more. Who has the request may still let you in; you come in when you join by the link again."
        )),
    }
}

/// Waits for the word of a person until this time, and tells who has the request.
fn approved(mut answer: JoinAnswer, until: Instant, node: &Client, out: &mut Out) -> Result<JoinAnswer, Fail> {
    let mut told = 0;
    loop {
        if answer.members > told {
            told = answer.members;
            out.note(waits(told));
        }
        if Instant::now() >= until {
            answer.waits_for = Some(waits(told.max(1)));
            return Ok(answer);
        }
        std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        let status: Status = node.get("/status")?;
        match status.joins.into_iter().find(|join| join.room == answer.room) {
            Some(join) if join.step == JoinStep::Ended => {
                let why = join.problem.map(|note| Problem {
                    hint: note.hint,
                    reason_code: note.reason_code.map(Into::into),
                    ..Problem::new(note.code, note.message)
                });
                return Err(why.unwrap_or_else(|| Problem::of(Code::JoinRefused)).into());
            }
            Some(join) => answer.members = answer.members.max(join.members),
            None => {
                let room: Result<Room, Problem> = node.get(&format!("/rooms/{}", segment(&answer.room)));
                let room = room.map_err(|problem| match problem.code {
                    // It is over, and he is not in.
                    Code::RoomNotFound => Problem::of(Code::JoinCancelled),
                    _ => problem,
                })?;
                let role = room.role.role().unwrap_or(answer.role);
                let state = JoinState::Joined;
                return Ok(JoinAnswer {
                    name: room.name,
                    role,
                    state,
                    waits_for: None,
                    step: None,
                    members: 0,
                    ..answer
                });
            }
        }
    }
}

/// The first digits of a room's id, which are enough to name its join.
fn short(room: &str) -> String {
    room.chars().take(8).collect()
}

fn waits(members: u32) -> String {
    let has = if members == 1 { "has" } else { "have" };
    let who = count(members, "member", "members");
    format!("the request waits for approval: {who} who may approve {has} it")
}

/// What a join waits for or how it ended, for lists: the first digits of its room before it.
pub fn told(join: &JoinProgress) -> String {
    let room = short(&join.room);
    let what = match (join.step, &join.problem) {
        (JoinStep::Looking, _) => "somebody of the room is looked for".to_owned(),
        (JoinStep::Relay, _) => "a relay keeps the request until a member comes by".to_owned(),
        (JoinStep::Approval, _) => waits(join.members),
        (JoinStep::Fetching, _) => "the room is being fetched".to_owned(),
        (JoinStep::Ended, Some(why)) => {
            let hint = why.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("not joined ({}): {}{hint}", time::local(&join.since), why.message)
        }
        (JoinStep::Ended, None) => "not joined".to_owned(),
        (JoinStep::Over, _) => "over".to_owned(),
        (JoinStep::Unknown, _) => "not answered yet".to_owned(),
    };
    display::neutral_line(&format!("{room}  {what}"))
}
