//! What is told of rooms.

use parlor_api::{Finding, Level};

use super::facts::{Facts, MailboxFact, RoomFact};
use super::rules::{counted, named, step, told, tried};
use crate::count::count;

/// Rooms told one by one; of more only the number.
pub(super) const ROOMS_TOLD: usize = 5;

/// Rooms of which something on the disk can not be read.
pub(super) fn damaged(facts: &Facts) -> Vec<Finding> {
    let told = facts.damaged.iter().map(|name| {
        let text = format!("{name} can not be read: something of it on the disk is damaged; all other rooms work");
        let hint = "restore a backup in a new home, or throw the room away and be let in again: parlor room leave ROOM --force";
        named(name, told("room_damaged", Level::Problem, text, hint))
    });
    told.take(ROOMS_TOLD).collect()
}

/// What is wrong in rooms.
pub(super) fn rooms(facts: &Facts) -> Vec<Finding> {
    let stuck: Vec<&RoomFact> = facts.rooms.iter().filter(|room| !room.writable && !room.cloned).collect();
    let mut found: Vec<Finding> = stuck.iter().take(ROOMS_TOLD).map(|room| stuck_room(room)).collect();
    if stuck.len() > ROOMS_TOLD {
        let more = stuck.len() - ROOMS_TOLD;
        let text = count(more, "more room can not be written to now", "more rooms can not be written to now");
        found.push(counted(
            more as u64,
            told("rooms_wait", Level::Note, text, "parlor room show ROOM says why of each"),
        ));
    }
    let missing: u64 = facts.rooms.iter().map(|room| room.missing).sum();
    if missing > 0 {
        let text =
            count(missing, "message is known of and still on its way", "messages are known of and still on their way");
        found.push(counted(missing, told("catching_up", Level::Note, text, "wait: they come from whoever is online")));
    }
    found
}

fn stuck_room(room: &RoomFact) -> Finding {
    let name = &room.name;
    if room.waits_for_other {
        let text = format!(
            "in the chat with {name} nothing goes out yet: the other has not accepted, or was not online since"
        );
        return named(name, told("chat_waits", Level::Note, text, "what you write waits, and goes out by itself"));
    }
    let text = format!(
        "in the room {name} nothing can be written now: its keys are made or handed out by a member who is online"
    );
    let finding = told(
        "room_waits",
        Level::Warning,
        text,
        "wait until another member is online; parlor room show ROOM says more",
    );
    let online = count(room.online, "device of a member", "devices of members");
    let asking = step("asking", Some(room.online as usize), format!("asking {online} for the keys"));
    tried(named(name, finding), vec![asking])
}

/// Mailboxes that keep nothing for who is away.
pub(super) fn mailboxes(facts: &Facts) -> Vec<Finding> {
    let told = facts.mailboxes.iter().map(|mailbox| {
        let MailboxFact { name, rooms, lacks, error } = mailbox;
        let (in_rooms, events) = (count(*rooms, "room", "rooms"), count(*lacks, "event", "events"));
        let why = match error {
            Some(error) => format!("takes nothing now ({error})"),
            None => "takes nothing now".to_owned(),
        };
        let text = format!("the mailbox at {name} {why}: {events} of yours in {in_rooms} do not wait there for who is away");
        let hint = "it is tried again by itself; ask who runs the relay, or give the room one more: parlor room set ROOM --mailbox ADDRESS";
        counted(*lacks, named(name, told("mailbox_trouble", Level::Warning, text, hint)))
    });
    told.take(ROOMS_TOLD).collect()
}

/// Rooms that have no mailbox, most likely because they are older than our relay.
pub(super) fn asleep(facts: &Facts) -> Vec<Finding> {
    if facts.relays.is_empty() {
        return Vec::new();
    }
    let rooms = facts.rooms.iter().filter(|room| room.no_mailbox && room.others > 0);
    let told = rooms.map(|room| {
        let name = &room.name;
        let text = format!("nobody keeps what is written in {name} for who is away: the room has no mailbox");
        let hint = "an owner or admin gives it one at a relay: parlor room set ROOM --mailbox ADDRESS";
        named(name, told("room_no_mailbox", Level::Note, text, hint))
    });
    told.take(ROOMS_TOLD).collect()
}
