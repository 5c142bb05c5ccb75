//! `parlor member …`: gives roles, removes, bans.

use clap::ValueEnum;
use parlor_api::{Banned, MayInvite, Member, RemoveMembers, Removed, Role, SetRole};
use serde_json::json;
use ureq::http::Method;

use crate::alone;
use crate::args::quoted;
use crate::client::{Client, segment};
use crate::display::neutral_line;
use crate::duration;
use crate::out::{Done, Out};
use crate::time;
use parlor_node::count;

/// What to do with members. WHO is an account, a unique beginning of one, or @name.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Give somebody a role
    Role {
        /// Which room
        room: String,
        /// Whom
        who: String,
        /// Which role
        role: AnyRole,
        /// He may invite others, also if the role alone does not let him; with a number he may hand that right on, so many
        /// steps in all
        #[arg(long, value_name = "DEPTH", num_args = 0..=1, require_equals = false, default_missing_value = "1",
              value_parser = clap::value_parser!(u8).range(1..))]
        may_invite: Option<u8>,
        /// Invites he makes by that end after this time at the latest
        #[arg(long, value_name = "DURATION", requires = "may_invite", value_parser = duration::parse)]
        invites_for: Option<u64>,
        /// Each invite he makes by that is for so many people at most
        #[arg(long, value_name = "N", requires = "may_invite", value_parser = clap::value_parser!(u32).range(1..))]
        invite_uses: Option<u32>,
    },
    /// Remove somebody: he keeps what he has, and reads nothing of what comes after
    Remove {
        /// WHO is an invite: remove all who came by it, and close it
        #[arg(long)]
        invite: bool,
        /// Which room
        room: String,
        /// Whom
        who: String,
        #[command(flatten)]
        how: How,
    },
    /// Remove somebody who may not come back
    Ban {
        /// Which room
        room: String,
        /// Whom
        who: String,
        #[command(flatten)]
        how: How,
    },
    /// Let somebody come back who was banned, by an invite or a role
    Unban {
        /// Which room
        room: String,
        /// Whom
        who: String,
    },
}

/// How somebody is removed.
#[derive(Debug, clap::Args)]
pub struct How {
    /// With all whom they invited or gave a role, and so on
    #[arg(long)]
    cascade: bool,
    /// Hide all their messages, also old ones
    #[arg(long)]
    purge: bool,
}

/// A role.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum AnyRole {
    /// Does everything
    Owner,
    /// Manages members and settings
    Admin,
    /// Keeps order
    Moderator,
    /// Writes and reads
    Member,
    /// Reads
    Observer,
}

impl AnyRole {
    fn to_api(self) -> Role {
        match self {
            Self::Owner => Role::Owner,
            Self::Admin => Role::Admin,
            Self::Moderator => Role::Moderator,
            Self::Member => Role::Member,
            Self::Observer => Role::Observer,
        }
    }
}

impl How {
    fn to_api(&self) -> RemoveMembers {
        RemoveMembers { cascade: self.cascade, purge: self.purge }
    }
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(command: Command, node: &Client, out: &mut Out) -> Done {
    match command {
        Command::Role { room, who, role, may_invite, invites_for, invite_uses } => {
            let wanted = SetRole {
                role: role.to_api(),
                may_invite: may_invite.is_some(),
                invite_depth: may_invite,
                invite_expires_in: invites_for,
                invite_uses,
            };
            let member: Member = node.send(Method::PUT, &path(&room, &who, "role"), &wanted)?;
            if out.is_json() {
                return out.json(&member);
            }
            out.note(format!("{} is {} now.", neutral_line(&member.name), member.role.name()));
            if let Some(right) = member.may_invite.as_ref().filter(|_| may_invite.is_some()) {
                out.note(format!("He may invite others: {}.", may_invite_text(right)));
            }
            if member.not_here_yet {
                let text = format!(
                    "was never in the room: his node gets it when he uses a link: parlor invite create {}",
                    quoted(&room)
                );
                out.note(format!("{} {}", neutral_line(&member.name), out.called(&text)));
            }
            alone::note(&room, node, out);
            Ok(())
        }
        Command::Remove { invite: true, room, who, how } => remove_joined(&room, &who, how.to_api(), node, out),
        Command::Remove { invite: false, room, who, how } => {
            let answer = node.send(Method::POST, &path(&room, &who, "remove"), &how.to_api())?;
            removed(&answer, &room, node, out)
        }
        Command::Ban { room, who, how } => {
            let answer = node.send(Method::POST, &path(&room, &who, "ban"), &how.to_api())?;
            removed(&answer, &room, node, out)
        }
        Command::Unban { room, who } => {
            let banned: Banned = node.send(Method::POST, &path(&room, &who, "unban"), &json!({}))?;
            if out.is_json() {
                return out.json(&banned);
            }
            let text = "may come back, by a link or by a role; who was never in needs a link.";
            out.note(format!("{} {text}", neutral_line(&banned.name)));
            alone::note(&room, node, out);
            Ok(())
        }
    }
}

/// How far somebody may invite.
pub fn may_invite_text(right: &MayInvite) -> String {
    let mut parts = vec![match right.depth {
        0 => "not any more".to_owned(),
        1 => "those he invites may not".to_owned(),
        more => format!("and hand that on, {more} steps in all"),
    }];
    parts.extend(right.uses.map(|uses| format!("at most {} an invite", count(uses, "person", "people"))));
    parts.extend(right.until.as_ref().map(|until| format!("until {}", time::local(until))));
    parts.join(", ")
}

/// Removes all who came by an invite, and closes it.
///
/// # Errors
/// What the node answers.
pub fn remove_joined(room: &str, invite: &str, how: RemoveMembers, node: &Client, out: &mut Out) -> Done {
    let path = format!("/rooms/{}/invites/{}/remove", segment(room), segment(invite));
    removed(&node.send(Method::POST, &path, &how)?, room, node, out)
}

fn removed(answer: &Removed, room: &str, node: &Client, out: &mut Out) -> Done {
    if out.is_json() {
        return out.json(answer);
    }
    let names: Vec<String> = answer.removed.iter().map(|person| neutral_line(&person.name)).collect();
    let what = if answer.banned { "Banned" } else { "Removed" };
    out.note(match names.as_slice() {
        [] => "Nobody is out by it.".to_owned(),
        names => format!("{what}: {}. What is written from now on is closed to them.", names.join(", ")),
    });
    if answer.epoch.is_none() {
        out.note("New keys are not made yet: messages wait until a member's node makes them.");
    }
    alone::note(room, node, out);
    Ok(())
}

fn path(room: &str, who: &str, what: &str) -> String {
    format!("/rooms/{}/members/{}/{what}", segment(room), segment(who))
}
