//! What was changed in a room while nobody else is there: said on standard error, so that nobody waits for others to see it.

use parlor_api::{Room, Status};

use crate::client::{Client, segment};
use crate::out::Out;

/// Says it, if nobody else has what was just done in a room. Silent for scripts, and where it can not be told.
pub fn note(room: &str, node: &Client, out: &Out) {
    if !out.is_quiet() && holds(room, node) {
        said(out);
    }
}

/// Whether nobody can take now what is done in a room: no member is connected, and no relay answers that keeps it for them.
pub fn holds(room: &str, node: &Client) -> bool {
    let Ok(room) = node.get::<Room>(&format!("/rooms/{}", segment(room))) else { return false };
    let Ok(status) = node.get::<Status>("/status") else { return false };
    let peers = status.rooms.iter().find(|sync| sync.room == room.room).map_or(0, |sync| sync.peers);
    let kept = !room.mailboxes.is_empty() && status.relays.iter().any(|relay| relay.mailbox);
    room.members > 1 && peers == 0 && !kept
}

/// Says it.
pub fn said(out: &Out) {
    out.note("Nobody else has this yet: no member is connected. It goes out by itself as soon as one is.");
}
