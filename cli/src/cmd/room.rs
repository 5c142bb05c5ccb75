//! `parlor room …`: make, list, show, change and leave rooms.

use clap::ValueEnum;
use parlor_api::{CreateRoom, History, Role, Room, RoomItem, RoomKind, UpdateRoom};
use ureq::http::Method;

use crate::client::{Client, segment};
use crate::display;
use crate::duration;
use crate::out::{Done, Out};
use crate::table::Table;
use crate::time;

/// What to do with rooms. ROOM is an id, a unique beginning of one, or a unique name.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a room
    Create {
        /// Its name
        name: String,
        /// Only owners, admins and moderators write
        #[arg(long)]
        channel: bool,
        /// What newcomers can read
        #[arg(long, value_name = "WHAT", default_value = "shared")]
        history: HistoryArg,
        /// What it is about
        #[arg(long, value_name = "TEXT")]
        about: Option<String>,
        /// Messages disappear after this time, such as 7d
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        ttl: Option<u64>,
    },
    /// List your rooms
    List,
    /// Show one room
    Show {
        /// Which room
        room: String,
    },
    /// Give a room another name
    Rename {
        /// Which room
        room: String,
        /// Its new name
        name: String,
    },
    /// Change a room
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
    Set {
        /// Which room
        room: String,
        /// Its new name
        #[arg(long, group = "what")]
        name: Option<String>,
        /// What it is about; an empty text takes it away
        #[arg(long, value_name = "TEXT", group = "what")]
        about: Option<String>,
        /// Messages disappear after this time; `off` keeps them
        #[arg(long, value_name = "DURATION", group = "what", value_parser = duration::parse_or_off)]
        ttl: Option<u64>,
    },
    /// Leave a room; what you hold of it stays readable
    Leave {
        /// Which room
        room: String,
    },
}

/// What newcomers can read.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum HistoryArg {
    /// Everything from the beginning
    Shared,
    /// What is written after they joined
    FromJoin,
}

impl HistoryArg {
    /// In the words of the API.
    pub fn to_api(self) -> History {
        match self {
            Self::Shared => History::Shared,
            Self::FromJoin => History::FromJoin,
        }
    }
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(command: Command, node: &Client, out: &mut Out) -> Done {
    match command {
        Command::Create { name, channel, history, about, ttl } => {
            let kind = if channel { RoomKind::Channel } else { RoomKind::Group };
            let history = history.to_api();
            let room: Room = node.send(Method::POST, "/rooms", &CreateRoom { name, kind, history, about, ttl })?;
            if out.is_json() {
                return out.json(&room);
            }
            out.line(&room.room)?;
            out.note(format!("Made the room {}.", display::neutral_line(&room.name)));
            Ok(())
        }
        Command::List => list(node, out),
        Command::Show { room } => show(&node.get(&path(&room))?, out),
        Command::Rename { room, name } => {
            update(node, &room, &UpdateRoom { name: Some(name), ..UpdateRoom::default() }, out)
        }
        Command::Set { room, name, about, ttl } => update(node, &room, &UpdateRoom { name, about, ttl }, out),
        Command::Leave { room } => {
            let room: Room = node.get(&path(&room))?;
            node.act(Method::POST, &format!("{}/leave", path(&room.room)))?;
            if out.is_json() {
                return out.json(&serde_json::json!({"room": room.room, "name": room.name, "left": true}));
            }
            out.note(format!("Left {}.", display::neutral_line(&room.name)));
            Ok(())
        }
    }
}

fn path(room: &str) -> String {
    format!("/rooms/{}", segment(room))
}

fn update(node: &Client, room: &str, update: &UpdateRoom, out: &mut Out) -> Done {
    show(&node.send(Method::PATCH, &path(room), update)?, out)
}

fn list(node: &Client, out: &mut Out) -> Done {
    let rooms: Vec<RoomItem> = node.get("/rooms")?;
    if out.is_json() {
        return rooms.iter().try_for_each(|room| out.json(room));
    }
    let mut table = Table::new(&["room", "name", "role", "members", "unread", "last message"]);
    for room in rooms {
        let last = room
            .last_message
            .map(|m| format!("{}  {}: {}", time::brief(&m.sent_at), m.author.name, first_words(&m.text)));
        let id: String = room.room.chars().take(8).collect();
        let role = room.role.map_or("-", role_name);
        table.row([
            id,
            room.name,
            role.into(),
            room.members.to_string(),
            room.unread.to_string(),
            last.unwrap_or_default(),
        ]);
    }
    table.write(out, "no rooms yet: make one with `parlor room create NAME`, or join one with `parlor join LINK`")
}

fn show(room: &Room, out: &mut Out) -> Done {
    if out.is_json() {
        return out.json(room);
    }
    let kind = match room.kind {
        RoomKind::Group => "group",
        RoomKind::Channel => "channel",
        RoomKind::Direct => "direct chat",
    };
    let history = match room.history {
        History::Shared => "newcomers read everything",
        History::FromJoin => "newcomers read what comes after",
    };
    let about = display::neutral(&room.about).replace('\n', "\n         ");
    let mut rows = vec![
        ("room", room.room.clone()),
        ("name", display::neutral_line(&room.name)),
        ("about", about),
        ("kind", format!("{kind}, {history}")),
        ("role", room.role.map_or("you are no member", role_name).to_owned()),
        ("members", format!("{}, {} of them connected", room.members, room.online)),
        ("unread", room.unread.to_string()),
        ("made", time::local(&room.created_at)),
    ];
    if let Some(ttl) = room.ttl {
        rows.push(("ttl", format!("messages disappear after {}", spoken(ttl))));
    }
    rows.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .try_for_each(|(key, value)| out.line(format!("{key:<8} {value}")))
}

/// A role as it is written.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Moderator => "moderator",
        Role::Member => "member",
        Role::Observer => "observer",
    }
}

fn first_words(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= 40 {
        line.to_owned()
    } else {
        format!("{}…", line.chars().take(39).collect::<String>())
    }
}

fn spoken(seconds: u64) -> String {
    match seconds {
        s if s % 86_400 == 0 => format!("{} d", s / 86_400),
        s if s % 3_600 == 0 => format!("{} h", s / 3_600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}
