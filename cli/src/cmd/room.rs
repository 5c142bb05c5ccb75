//! `parlor room …`: make, list, show, change and leave rooms.

use clap::ValueEnum;
use parlor_api::{
    Attention, Calls, Code, CreateRoom, History, Message, Role, Room, RoomItem, RoomKind, Standing, Status,
    UpdateAttention, UpdateRoom,
};
use parlor_node::count;
use ureq::http::Method;

use crate::alone;
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
        /// A relay that keeps a mailbox for it, instead of those your node uses; can be repeated
        #[arg(long, value_name = "MULTIADDR", conflicts_with = "no_mailbox")]
        mailbox: Vec<String>,
        /// Nothing is kept for members who are away
        #[arg(long)]
        no_mailbox: bool,
    },
    /// List your rooms
    List {
        /// With archived ones
        #[arg(long)]
        all: bool,
    },
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
        /// What newcomers can read of what is written from now on
        #[arg(long, value_name = "WHAT", group = "what")]
        history: Option<HistoryArg>,
        /// A relay that keeps a mailbox for it, instead of those it has; can be repeated
        #[arg(long, value_name = "MULTIADDR", group = "what", conflicts_with = "no_mailbox")]
        mailbox: Vec<String>,
        /// Take its mailboxes away
        #[arg(long, group = "what")]
        no_mailbox: bool,
    },
    /// Hear nothing of a room
    Mute {
        /// Which room
        room: String,
        /// For this time only, such as 8h
        #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse, conflicts_with = "off")]
        time: Option<u64>,
        /// Hear of it again
        #[arg(long)]
        off: bool,
    },
    /// Say which messages of a room you want to hear of
    Notify {
        /// Which room
        room: String,
        /// Which messages
        level: LevelArg,
    },
    /// Put a room away from the list
    Archive {
        /// Which room
        room: String,
        /// Take it back
        #[arg(long)]
        off: bool,
    },
    /// Keep a room at the head of the list
    Pin {
        /// Which room
        room: String,
        /// No longer
        #[arg(long)]
        off: bool,
    },
    /// Leave a room; what you hold of it stays readable
    Leave {
        /// Which room
        room: String,
        /// Leave although you are its only owner; a room that can not be read is thrown away
        #[arg(long)]
        force: bool,
    },
}

/// Which messages of a room call.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LevelArg {
    /// All of others
    All,
    /// Those that mention you
    Mentions,
    /// None
    None,
}

/// What newcomers can read.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum HistoryArg {
    /// What is written while the room is so, also from before they joined
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
        Command::Create { name, channel, history, about, ttl, mailbox, no_mailbox } => {
            let kind = if channel { RoomKind::Channel } else { RoomKind::Group };
            let history = history.to_api();
            let mailboxes = mailboxes(mailbox, no_mailbox);
            let request = CreateRoom { name, kind, history, about, ttl, mailboxes };
            let room: Room = node.send(Method::POST, "/rooms", &request)?;
            if out.is_json() {
                return out.json(&room);
            }
            out.line(&room.room)?;
            out.note(format!("Made the room {}.", display::neutral_line(&room.name)));
            Ok(())
        }
        Command::List { all } => list(all, node, out),
        Command::Show { room } => show(&node.get(&path(&room))?, out),
        Command::Rename { room, name } => {
            update(node, &room, &UpdateRoom { name: Some(name), ..UpdateRoom::default() }, out)
        }
        Command::Set { room, name, about, ttl, history, mailbox, no_mailbox } => {
            let history = history.map(HistoryArg::to_api);
            let mailboxes = mailboxes(mailbox, no_mailbox);
            update(node, &room, &UpdateRoom { name, about, ttl, history, mailboxes }, out)
        }
        Command::Mute { room, time, off } => {
            let update = UpdateAttention { muted: Some(!off), mute_for: time, ..UpdateAttention::default() };
            attend(node, &room, &update, out)
        }
        Command::Notify { room, level } => {
            let level = match level {
                LevelArg::All => Calls::All,
                LevelArg::Mentions => Calls::Mentions,
                LevelArg::None => Calls::None,
            };
            attend(node, &room, &UpdateAttention { level: Some(level), ..UpdateAttention::default() }, out)
        }
        Command::Archive { room, off } => {
            attend(node, &room, &UpdateAttention { archived: Some(!off), ..UpdateAttention::default() }, out)
        }
        Command::Pin { room, off } => {
            attend(node, &room, &UpdateAttention { pinned: Some(!off), ..UpdateAttention::default() }, out)
        }
        Command::Leave { room, force } => {
            let found = node.get::<Room>(&path(&room)).map(|found| (found.room, found.name));
            // One that can not be read is named as it was, and thrown away.
            let (id, name) = match found {
                Err(problem) if problem.code == Code::HomeDamaged && force => (room.clone(), room),
                found => found?,
            };
            let alone = !out.is_quiet() && alone::holds(&id, node);
            node.act(Method::POST, &format!("{}/leave?force={force}", path(&id)))?;
            if out.is_json() {
                return out.json(&serde_json::json!({"room": id, "name": name, "left": true}));
            }
            out.note(format!("Left {}.", display::neutral_line(&name)));
            if alone {
                alone::said(out);
            }
            Ok(())
        }
    }
}

/// The mailboxes that were said: these, none, or nothing.
fn mailboxes(relays: Vec<String>, none: bool) -> Option<Vec<String>> {
    (none || !relays.is_empty()).then_some(relays)
}

fn path(room: &str) -> String {
    format!("/rooms/{}", segment(room))
}

fn update(node: &Client, room: &str, update: &UpdateRoom, out: &mut Out) -> Done {
    let room: Room = node.send(Method::PATCH, &path(room), update)?;
    show(&room, out)?;
    alone::note(&room.room, node, out);
    Ok(())
}

fn attend(node: &Client, room: &str, update: &UpdateAttention, out: &mut Out) -> Done {
    let room: Room = node.send(Method::PATCH, &format!("{}/attention", path(room)), update)?;
    if out.is_json() {
        return out.json(&room);
    }
    let called = called(&room.attention);
    out.note(format!(
        "{}: {}",
        display::neutral_line(&room.name),
        if called.is_empty() { "notifies" } else { &called }
    ));
    Ok(())
}

/// Of what a room notifies and where it stands, if that is not as usual.
fn called(attention: &Attention) -> String {
    let mut words = Vec::new();
    if attention.muted {
        let until = attention.muted_until.as_deref().map(|until| format!(" until {}", time::brief(until)));
        words.push(format!("muted{}", until.unwrap_or_default()));
    }
    if attention.level != Calls::All {
        words.push(format!("notifies for {}", attention.level.name()));
    }
    words.extend(attention.archived.then(|| "archived".to_owned()));
    words.extend(attention.pinned.then(|| "pinned".to_owned()));
    words.join(", ")
}

fn list(all: bool, node: &Client, out: &mut Out) -> Done {
    let mut rooms: Vec<RoomItem> = node.get("/rooms")?;
    if out.is_json() {
        return rooms.iter().try_for_each(|room| out.json(room));
    }
    let n_rooms = rooms.len();
    rooms.retain(|room| all || !room.attention.archived);
    let n_archived = n_rooms - rooms.len();
    let mut table = Table::new(&["room", "name", "role", "members", "unread", "", "last message"]);
    for room in rooms {
        let last = room.last_message.map(|m| {
            format!("{}  {}: {}", time::brief(time::said(&m.sent_at, &m.received_at)), m.author.name, last_words(&m))
        });
        let id: String = room.room.chars().take(8).collect();
        let role = if room.damaged.is_some() { "damaged" } else { standing_name(room.role) };
        table.row([
            id,
            room.name,
            role.into(),
            room.members.to_string(),
            unread(room.unread, room.mentions),
            called(&room.attention),
            last.unwrap_or_default(),
        ]);
    }
    // A token for some rooms only is not told.
    let joins = node.get::<Status>("/status").map(|status| status.joins).unwrap_or_default();
    for join in joins {
        out.note(format!("joining: {}", crate::cmd::join::told(&join)));
    }
    if n_archived > 0 {
        out.note(format!("{n_archived} archived: {}", out.called("parlor room list --all")));
    }
    table.write(out, "no rooms here: make one with `parlor room create NAME`, or join one with `parlor join LINK`")
}

fn unread(unread: u64, mentions: u64) -> String {
    if mentions == 0 { unread.to_string() } else { format!("{unread}, {mentions} for you") }
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
    let about = display::neutral(&room.about).replace('\n', "\n         ");
    let mut rows = vec![
        ("room", room.room.clone()),
        ("name", display::neutral_line(&room.name)),
        ("about", about),
        ("kind", kind.to_owned()),
        ("you", room.gone.as_ref().map_or_else(|| standing_name(room.role).to_owned(), |gone| gone.text.clone())),
        ("members", format!("{}, {} of them connected", room.members, room.online)),
        ("unread", unread(room.unread, room.mentions)),
        ("calls", called(&room.attention)),
        ("made", time::local(&room.created_at)),
    ];
    if let Some(ttl) = room.ttl {
        rows.push(("ttl", format!("messages disappear after {}", spoken(ttl))));
    }
    if room.missing > 0 {
        rows.push(("sync", on_their_way(room)));
    }
    rows.extend(room.mailboxes.iter().map(|relay| ("mailbox", relay.clone())));
    if room.mailboxes.is_empty() {
        rows.push(("mailbox", "none: what is written while all others are away waits at its author's node".to_owned()));
    }
    rows.extend(rules(room));
    rows.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .try_for_each(|(key, value)| out.line(format!("{key:<8} {}", display::neutral(&value))))?;
    people(room, out)
}

/// What is not here yet.
fn on_their_way(room: &Room) -> String {
    match room.early {
        0 => format!("{} messages are still on their way", room.missing),
        early => super::listen::newest_words(early, room.missing),
    }
}

/// Who may write and read what, and with which keys.
fn rules(room: &Room) -> Vec<(&'static str, String)> {
    let post = match room.policy.post {
        Role::Observer => "everybody".to_owned(),
        Role::Member => "all but observers".to_owned(),
        weakest => format!("{}s and above", weakest.name()),
    };
    let newcomers = format!("newcomers read {}", super::invite::past_words(&room.past));
    let removed = "who is removed keeps what came before, and reads nothing after";
    let short = |id: &str| id.chars().take(8).collect::<String>();
    let frontier: Vec<String> = room.control_frontier.iter().map(|id| short(id)).collect();
    let keys = match (&room.epoch, &room.why_not) {
        (Some(epoch), None) if room.guests > 0 => {
            format!("{epoch}, safe: held by the members and {}", super::members::guests_text(room.guests))
        }
        (Some(epoch), None) => format!("{epoch}, safe: held by exactly the members"),
        (Some(epoch), Some(why)) => format!("{epoch}, not safe: {why}"),
        (None, why) => format!("none to write under: {}", why.as_deref().unwrap_or("they did not come yet")),
    };
    let banned: Vec<String> = room
        .banned
        .iter()
        .map(|ban| format!("{} ({}) by {}, {}", ban.name, short(&ban.account), ban.by.name, time::local(&ban.at)))
        .collect();
    vec![
        ("writing", post),
        ("reading", format!("{newcomers};\n         {removed}")),
        ("keys", keys),
        ("state", format!("{} (last events: {})", short(&room.fingerprint), frontier.join(" "))),
        ("split", room.split_views.iter().map(|split| split.text.clone()).collect::<Vec<_>>().join("\n         ")),
        ("banned", banned.join("\n         ")),
    ]
}

fn people(room: &Room, out: &mut Out) -> Done {
    let mut table = Table::new(&["account", "name", "role", "device", "online"]);
    for person in &room.people {
        let id: String = person.account.chars().take(8).collect();
        for device in &person.devices {
            let short: String = device.device.chars().take(8).collect();
            let named = if device.name.is_empty() || device.name == person.name {
                short
            } else {
                format!("{short} {}", device.name)
            };
            let online = match (device.contradicts_itself, device.online) {
                (true, _) => "contradicts itself",
                (_, true) => "yes",
                (_, false) => "no",
            };
            let role = super::members::role_text(person.role, person.may_invite.as_ref());
            table.row([id.clone(), person.name.clone(), role, named, online.into()]);
        }
    }
    table.write(out, "")
}

/// What we are in a room, as it is written.
pub fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::Joining => "joining",
        Standing::Left => "left",
        Standing::Removed => "removed",
        member => member.role().map_or("", Role::name),
    }
}

/// What a list says of a last message.
fn last_words(message: &Message) -> String {
    match message.text.as_str() {
        _ if message.deleted => "(deleted)".to_owned(),
        "" if !message.files.is_empty() => count(message.files.len() as u64, "file", "files"),
        text => first_words(text),
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
