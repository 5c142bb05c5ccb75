//! `parlor members`: who is in a room.

use parlor_api::{MayInvite, Member, Role, Room};

use crate::client::{Client, segment};
use crate::out::{Done, Out};
use crate::table::Table;
use crate::time;
use parlor_node::count;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which room
    room: String,
}

/// A role, with the right to invite where the role alone does not give it.
pub fn role_text(role: Role, may_invite: Option<&MayInvite>) -> String {
    match (role, may_invite) {
        (Role::Member | Role::Observer, Some(right)) if right.depth > 1 => {
            format!("{}, invites {} deep", role.name(), right.depth)
        }
        (Role::Member | Role::Observer, Some(_)) => format!("{}, invites", role.name()),
        _ => role.name().to_owned(),
    }
}

/// Who holds the keys of a room beside its members, because of open instant invites.
pub fn guests_text(guests: u32) -> String {
    format!("whoever has the link of an instant invite ({})", count(guests, "guest", "guests"))
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(args: &Args, node: &Client, out: &mut Out) -> Done {
    let members: Vec<Member> = node.get(&format!("/rooms/{}/members", segment(&args.room)))?;
    if out.is_json() {
        return members.iter().try_for_each(|member| out.json(member));
    }
    let mut table = Table::new(&["account", "name", "role", "joined", "by", "online", "devices", "verified"]);
    let yes = |b: bool| if b { "yes" } else { "no" }.to_owned();
    for m in members {
        let id: String = m.account.chars().take(8).collect();
        let name = if m.me { format!("{} (you)", m.name) } else { m.name };
        let devices = m.devices.len().to_string();
        table.row([
            id,
            name,
            role_text(m.role, m.may_invite.as_ref()),
            time::local(&m.joined_at),
            m.by.map(|by| by.name).unwrap_or_default(),
            if m.not_here_yet { "not in yet".to_owned() } else { yes(m.online) },
            devices,
            if m.me { "-".to_owned() } else { yes(m.verified) },
        ]);
    }
    table.write(out, "no members")?;
    let room: Room = node.get(&format!("/rooms/{}", segment(&args.room)))?;
    match room.guests {
        0 => Ok(()),
        guests => out.line(format!("{} can read too", guests_text(guests))),
    }
}
