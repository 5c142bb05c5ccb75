//! `parlor invite …`: make, list and revoke invites.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use parlor_api::{Code, CreateInvite, Invite, Past, Problem, RemoveMembers, Role};
use parlor_node::count;
use parlor_node::home::write_private;
use serde_json::json;
use ureq::http::Method;

use crate::alone;
use crate::args::Globals;
use crate::client::{Client, segment};
use crate::cmd::member;
use crate::cmd::room::HistoryArg;
use crate::duration;
use crate::out::{Done, Out};
use crate::table::Table;
use crate::time;

/// What to do with invites.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make an invite: who has its link can join
    Create(CreateArgs),
    /// List the invites of a room
    List {
        /// Which room
        room: String,
    },
    /// Revoke an invite
    Revoke {
        /// Which room
        room: String,
        /// Id of the invite, or a unique beginning of it
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        invite: String,
        /// Remove all who came by it, too
        #[arg(long)]
        remove_joined: bool,
    },
}

/// Arguments of `create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// Which room
    room: String,
    /// What those who join become
    #[arg(long, default_value = "member")]
    role: RoleArg,
    /// It works for this time: 7d when left out, or as long as your right to invite reaches
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    expires: Option<u64>,
    /// So many people can join by it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// A moderator must approve each who joins
    #[arg(long)]
    approve: bool,
    /// Whoever has the link can read and write at once, even while nobody is online
    #[arg(long)]
    instant: bool,
    /// What those who join can read of the past: shared, from-join, or since:DATE; as the room allows when left out
    #[arg(long, value_name = "WHAT", value_parser = past)]
    history: Option<PastArg>,
    /// Whose node may let them in: any member's, only a moderator's, or only an admin's
    #[arg(long, value_name = "WHO")]
    sponsor: Option<SponsorArg>,
    /// Those who join may invite others too, so many steps: with 1 those they invite may not
    #[arg(long, value_name = "DEPTH", value_parser = clap::value_parser!(u8).range(1..))]
    delegate: Option<u8>,
    /// Show the link as a QR code
    #[arg(long)]
    qr: bool,
    /// The QR code is for a terminal with a light background
    #[arg(long, requires = "qr")]
    light: bool,
    /// Write the QR code to this picture
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
}

/// What those who join can read of the past.
#[derive(Debug, Clone)]
pub enum PastArg {
    /// As a room says it
    Room(HistoryArg),
    /// What was written since a time
    Since(String),
}

fn past(text: &str) -> Result<PastArg, String> {
    match text.strip_prefix("since:") {
        Some(date) => time::parse(date).map(PastArg::Since),
        None => HistoryArg::from_str(text, true)
            .map(PastArg::Room)
            .map_err(|_| "shared, from-join, or since: and a date, such as since:2026-11-21".into()),
    }
}

/// What newcomers read of the past, for people.
pub fn past_words(past: &Past) -> String {
    let parts = if past.parts { ", and parts of what was before" } else { "" };
    match &past.since {
        _ if past.everything => "everything, also from before they came".to_owned(),
        Some(since) => format!("what was written since {}{parts}", time::local(since)),
        None if past.parts => format!("what is written after they came{parts}"),
        None => "only what is written after they came".to_owned(),
    }
}

/// What those who join become.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RoleArg {
    /// Manages members and settings
    Admin,
    /// Keeps order
    Moderator,
    /// Writes and reads
    Member,
    /// Reads
    Observer,
}

/// Whose node may let people in.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SponsorArg {
    /// Any member's
    Member,
    /// A moderator's, admin's or owner's
    Moderator,
    /// An admin's or owner's
    Admin,
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(command: Command, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    match command {
        Command::Create(args) => create(&args, node, globals, out),
        Command::List { room } => list(node, &room, out),
        Command::Revoke { room, invite, remove_joined: true } => {
            member::remove_joined(&room, &invite, RemoveMembers::default(), node, out)
        }
        Command::Revoke { room, invite, remove_joined: false } => {
            let path = format!("/rooms/{}/invites/{}", segment(&room), segment(&invite));
            let invite: Invite = node.send(Method::DELETE, &path, &json!({}))?;
            if out.is_json() {
                return out.json(&invite);
            }
            out.note("Revoked: nobody can join by it any more.");
            alone::note(&room, node, out);
            Ok(())
        }
    }
}

fn create(args: &CreateArgs, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let role = match args.role {
        RoleArg::Admin => Role::Admin,
        RoleArg::Moderator => Role::Moderator,
        RoleArg::Member => Role::Member,
        RoleArg::Observer => Role::Observer,
    };
    if let Some(file) = &args.png {
        can_hold(file)?;
    }
    let CreateArgs { approve, instant, delegate, .. } = *args;
    let sponsor = args.sponsor.map(|sponsor| match sponsor {
        SponsorArg::Member => Role::Member,
        SponsorArg::Moderator => Role::Moderator,
        SponsorArg::Admin => Role::Admin,
    });
    let (history, since) = match args.history.clone() {
        None => (None, None),
        Some(PastArg::Room(history)) => (Some(history.to_api()), None),
        Some(PastArg::Since(since)) => (None, Some(since)),
    };
    let (expires_in, uses) = (args.expires, Some(args.uses));
    let request = CreateInvite { role, expires_in, uses, approve, instant, history, since, sponsor, delegate };
    let invite: Invite = node.send(Method::POST, &format!("/rooms/{}/invites", segment(&args.room)), &request)?;
    let link = invite.link.clone().unwrap_or_default();
    if let Some(file) = &args.png {
        write_private(file, &qr(node, &link, "png")?)?;
    }
    if out.is_json() {
        return out.json(&invite);
    }
    if args.qr {
        out.bytes(&qr(node, &link, if args.light { "terminal-light" } else { "terminal" })?)?;
        out.line("")?;
    }
    out.line(&link)?;
    let uses = invite.uses;
    let people = count(uses, "person", "people");
    let until = time::local(&invite.expires_at);
    out.note(format!("For {people}, as {}, until {until}. Whoever has it can join: send it privately.", role.name()));
    out.note(format!("Who comes by it reads {}.", past_words(&invite.past)));
    if let Some(notice) = &invite.notice {
        out.note(format!("Instant: it works with nobody online. Mind that {notice}."));
    }
    if let Some(depth) = invite.delegate.filter(|_| args.delegate.is_some()) {
        let further = match depth {
            1 => "whom they invite may not".to_owned(),
            more => format!("and hand that on, {more} steps in all"),
        };
        out.note(format!("Those who come by it may invite others until then; {further}."));
    }
    if let Some(file) = &args.png {
        out.note(format!("QR code in {}", file.display()));
    }
    if uses == 1 {
        out.note("For more people at once: --uses N");
    }
    let program = globals.program();
    let id: String = invite.invite.chars().take(8).collect();
    out.note(format!("To revoke it: {program} invite revoke {} {id}", crate::args::quoted(&args.room)));
    alone::note(&args.room, node, out);
    Ok(())
}

/// Whether a picture can be written there: asked before anything is made that it shows.
///
/// # Errors
/// `not_found`.
pub fn can_hold(file: &Path) -> Done {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let what = if file.is_dir() {
        format!("{} is a folder", file.display())
    } else if !folder.is_dir() {
        format!("the folder {} is not there", folder.display())
    } else if file.exists() {
        let what = format!("{} exists", file.display());
        return Err(Problem::new(Code::AlreadyExists, what).hint("name another file; no invite was made").into());
    } else {
        return Ok(());
    };
    Err(Problem::new(Code::NotFound, what).hint("name a file in a folder that is there; no invite was made").into())
}

fn list(node: &Client, room: &str, out: &mut Out) -> Done {
    let invites: Vec<Invite> = node.get(&format!("/rooms/{}/invites", segment(room)))?;
    if out.is_json() {
        return invites.iter().try_for_each(|invite| out.json(invite));
    }
    let mut table =
        Table::new(&["invite", "role", "by", "used", "left", "expires", "state", "they read", "came by it"]);
    for invite in invites {
        let state = match (invite.revoked, invite.uses_left) {
            (true, _) => {
                invite.why_ended.as_deref().map_or_else(|| "revoked".to_owned(), |why| format!("ended: {why}"))
            }
            (_, 0) if invite.used < invite.uses => "expired".to_owned(),
            (_, 0) => "used up".to_owned(),
            _ if invite.instant => "open, instant".to_owned(),
            _ => "open".to_owned(),
        };
        let id: String = invite.invite.chars().take(8).collect();
        let (used, left) = (invite.used.to_string(), invite.uses_left.to_string());
        let who = |joined: &parlor_api::Joined| match joined.member {
            true => joined.account.name.clone(),
            false => format!("{} (gone)", joined.account.name),
        };
        let joined = invite.joined.iter().map(who).collect::<Vec<_>>().join(", ");
        let (role, by, until) = (invite.role.name().into(), invite.created_by_name, time::local(&invite.expires_at));
        let reads = past_words(&invite.past);
        table.row([id, role, by, used, left, until, state, reads, joined]);
    }
    table.write(out, "no invites: make one with `parlor invite create ROOM`")
}

/// The link as a QR code, drawn by the node, so that all windows show the same.
///
/// # Errors
/// What the node answers.
pub fn qr(node: &Client, link: &str, format: &str) -> Result<Vec<u8>, Problem> {
    node.bytes("/qr", &json!({"text": link, "format": format}))
}

/// What the QR code in a picture says.
///
/// # Errors
/// `not_found` without the file, `too_long`, `no_qr`.
pub fn read_qr(node: &Client, picture: &Path) -> Result<String, Problem> {
    let answer: serde_json::Value = node.send_bytes("/qr/read", crate::input::picture(picture)?)?;
    Ok(answer.get("text").and_then(|t| t.as_str()).unwrap_or_default().to_owned())
}
