//! `parlor listen`: shows what happens, as it happens, until interrupted.

use std::collections::{BTreeSet, HashMap};

use parlor_api::{
    Code, ContactChange, DeviceChange, DeviceChanged, ErrorNote, Event, EventBody, InviteChange, JoinStep,
    MemberChange, Presence, Problem, RequestChange, RequestChanged, Room, RoomChange,
};

use crate::args::Globals;
use crate::client::{Client, segment};
use crate::cmd::history::spoken;
use crate::display::neutral_line;
use crate::out::{Done, Look, Out};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this room
    room: Option<String>,
}

/// Runs it.
///
/// # Errors
/// `stopping` when the node stops.
pub fn run(args: &Args, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let mut names = Names::default();
    let mut early = BTreeSet::new();
    let mut told = false;
    loop {
        let events = node.events(args.room.as_deref())?;
        // The node answers when it follows: whatever happens after this line is shown.
        if !std::mem::replace(&mut told, true) {
            out.begun("listening", "Listening: what happens from now on is shown here. To end it: Ctrl-C");
        }
        for event in events {
            let event = event?;
            if let EventBody::Room(changed) = &event.body {
                names.forget(&changed.room);
            }
            if out.is_json() {
                out.json(&event)?;
            } else if let Some(line) =
                newest_came(&event, &mut early).or_else(|| describe(&event, globals.verbose > 0, out))
            {
                // Of several rooms, each line says which.
                let room = event.body.room().filter(|_| args.room.is_none()).map(|room| names.of(room, node));
                match room {
                    Some(room) => out.line(format!("{} {line}", out.paint(Look::Faint, &format!("[{room}]"))))?,
                    None => out.line(line)?,
                }
            }
            if matches!(&event.body, EventBody::Error(note) if note.code == Code::FellBehind) {
                break;
            }
        }
        // The stream ended: we fell behind, and go on from now; or the node stopped, and connecting says so.
        Client::connect(node.home().clone())?;
    }
}

/// The names of rooms, as far as lines spoke of them.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    /// The name, neutral; the beginning of the id when the node can not say it.
    fn of(&mut self, room: &str, node: &Client) -> String {
        if let Some(name) = self.0.get(room) {
            return name.clone();
        }
        let view: Result<Room, Problem> = node.get(&format!("/rooms/{}", segment(room)));
        let Ok(view) = view else { return room.chars().take(8).collect() };
        self.0.insert(room.to_owned(), neutral_line(&view.name));
        neutral_line(&view.name)
    }

    /// A room may be called otherwise now.
    fn forget(&mut self, room: &str) {
        self.0.remove(room);
    }
}

/// An event that says that events were missed.
pub fn missed() -> Event {
    let body = EventBody::Error(ErrorNote {
        code: Code::FellBehind,
        message: "events were missed".into(),
        hint: None,
        reason_code: None,
    });
    Event { seq: 0, at: jiff::Timestamp::now().to_string(), body }
}

/// The newest messages of a room are here before those between: said once, until these are here too.
fn newest_came(event: &Event, early: &mut BTreeSet<String>) -> Option<String> {
    let EventBody::Sync(sync) = &event.body else { return None };
    if sync.early == 0 {
        early.remove(&sync.room);
        return None;
    }
    early.insert(sync.room.clone()).then(|| format!("* {}", newest_words(sync.early, sync.want)))
}

/// That the newest messages are shown, and how many come before them.
pub fn newest_words(early: u32, missing: u64) -> String {
    let newest = match early {
        1 => "the newest message is here".to_owned(),
        n => format!("the newest {n} messages are here"),
    };
    format!("{newest}; {missing} messages are still on their way")
}

/// An event for people; `None` for what only programs want, unless `-v` asks for all.
fn describe(event: &Event, verbose: bool, out: &Out) -> Option<String> {
    let line = match &event.body {
        EventBody::Message(m) => return Some(spoken(m, verbose, out)),
        EventBody::System(m) => return Some(spoken(m, verbose, out)),
        EventBody::MessageUpdated(m) => format!("changed: {}", spoken(m, verbose, out)),
        // The notes of the log say who did it; this says what became of it.
        EventBody::Member(_) if !verbose => return None,
        EventBody::Member(m) => {
            let what = match m.change {
                MemberChange::Joined => "joined",
                MemberChange::Updated => "changed",
                MemberChange::Left => "left",
                MemberChange::Removed => "was removed",
            };
            format!("* {} {what}", neutral_line(&m.name))
        }
        EventBody::Room(r) => {
            let what = match r.change {
                RoomChange::Created => "made",
                RoomChange::Joined => "joined",
                RoomChange::Updated => return verbose.then(|| format!("* room {} changed", neutral_line(&r.name))),
                RoomChange::Left => "left",
                RoomChange::Removed => {
                    let text = r.gone.as_ref().map_or("you are no member any more", |gone| &gone.text);
                    return Some(out.paint(Look::Bad, &format!("* {}", neutral_line(text))));
                }
            };
            format!("* room {} {what}", neutral_line(&r.name))
        }
        EventBody::Request(r) => return request(r),
        EventBody::Device(d) if d.change == DeviceChange::Came => came(d, out),
        EventBody::Contact(c) if c.change == ContactChange::DevicesChanged => {
            let name = neutral_line(&c.name);
            out.paint(
                Look::Bad,
                &format!("* a new device came to {name}, who is verified: compare safety numbers again"),
            )
        }
        EventBody::Contact(c) if c.change == ContactChange::Accepted => {
            format!("* {} is a contact", neutral_line(&c.name))
        }
        EventBody::Join(j) if !matches!(j.step, JoinStep::Looking | JoinStep::Over) => {
            format!("* joining {}", crate::cmd::join::told(j))
        }
        EventBody::Invite(i) if i.change == InviteChange::Used => "* an invite was used".into(),
        EventBody::Typing(t) if t.typing => format!("* {} types", neutral_line(&t.name)),
        EventBody::Presence(p) => {
            let name = neutral_line(&p.name);
            match p.presence {
                Presence::Online => format!("* {name} is here"),
                Presence::Away => format!("* {name} is away"),
                Presence::Offline => format!("* {name} went"),
            }
        }
        EventBody::Draft(d) if verbose => {
            if d.text.is_empty() {
                "* no draft any more".into()
            } else {
                "* the draft changed".into()
            }
        }
        EventBody::Unread(u) if verbose => format!("* {} unread, {} of them for you", u.unread, u.mentions),
        EventBody::Error(e) => out.paint(Look::Bad, &format!("error: {}", neutral_line(&e.message))),
        EventBody::Peer(p) if verbose => {
            format!("* peer {} {}", neutral_line(&p.peer_id), if p.connected { "came" } else { "went" })
        }
        EventBody::Sync(s) if verbose => format!("* sync: {} held, {} missing", s.have, s.want),
        EventBody::Status(s) if verbose => {
            format!("* {} delivered to {}, read by {}", neutral_line(&s.message), s.delivered_to, s.read_by)
        }
        _ => return None,
    };
    Some(line)
}

/// Who asks, and what became of it.
fn request(r: &RequestChanged) -> Option<String> {
    let by = r.by.as_ref().map(|by| format!(" by {}", neutral_line(&by.name))).unwrap_or_default();
    let what = match r.change {
        RequestChange::Asked if r.room.is_empty() => "asks to write to you",
        RequestChange::Approved if r.room.is_empty() => "may write to you now",
        RequestChange::Refused if r.room.is_empty() => return None,
        RequestChange::Asked => "asks to come in",
        RequestChange::Approved => "was let in",
        RequestChange::Refused => "was refused",
    };
    Some(format!("* {} {what}{by}", neutral_line(&r.name)))
}

/// A device came to the own account.
fn came(d: &DeviceChanged, out: &Out) -> String {
    let (name, id) = (neutral_line(&d.name), d.device.chars().take(8).collect::<String>());
    let text = format!("! a device came to your account: {name}; if it is not yours: parlor device revoke {id}");
    out.paint(Look::Bad, &out.called(&text))
}
