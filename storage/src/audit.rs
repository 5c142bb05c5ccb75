//! Whether the indexes agree: asked when the log was found in a suspect state, and by tests.
//!
//! Counts and pointers only, nothing is opened, so it costs about a second for a million messages. Small values are not
//! covered: nothing else says what they should be.

use crate::directory::Room;
use crate::fault::Fault;
use crate::opening::Core;
use crate::rows::LogKind;
use crate::schema::{TreeId, control_key, log_key, number_key, timeline_key};
use crate::timeline::Position;

/// Checks every room: each log without gaps up to its tip, each row of it leading to an event, and as many events and ids as the tips say.
pub(crate) fn audit(core: &Core) -> Result<(), Fault> {
    core.directory.rooms().iter().try_for_each(|room| audit_room(core, room))
}

fn audit_room(core: &Core, room: &Room) -> Result<(), Fault> {
    let tips = room.logs(&core.trees, &core.sealer, |logs| logs.tips.clone())?;
    let (mut messages, mut control) = (0, 0);
    for ((kind, author), last) in tips {
        match kind {
            LogKind::Control => control += u64::from(last.seq),
            LogKind::Message => messages += u64::from(last.seq),
        }
        let log = log_key(room.number, kind, author, 1)..=log_key(room.number, kind, author, last.seq);
        let mut rows = 0;
        for row in core.trees.get(TreeId::Log).range(log) {
            leads_to_event(core, room, kind, &row?.1)?;
            rows += 1;
        }
        if rows != last.seq {
            return Err(Fault::damaged(TreeId::Log, "a row is missing"));
        }
    }
    agree(core, room, TreeId::Timeline, messages)?;
    agree(core, room, TreeId::Control, control)?;
    agree(core, room, TreeId::Ids, messages + control)
}

fn leads_to_event(core: &Core, room: &Room, kind: LogKind, place: &[u8]) -> Result<(), Fault> {
    let malformed = |_| Fault::damaged(TreeId::Log, "a malformed row");
    let (tree, found) = match kind {
        LogKind::Control => {
            let arrival = u32::from_be_bytes(place.try_into().map_err(malformed)?);
            (TreeId::Control, core.trees.get(TreeId::Control).contains_key(control_key(room.number, arrival))?)
        }
        LogKind::Message => {
            let position = Position::from_bytes(place.try_into().map_err(malformed)?);
            (TreeId::Timeline, core.trees.get(TreeId::Timeline).contains_key(timeline_key(room.number, position))?)
        }
    };
    if found { Ok(()) } else { Err(Fault::damaged(tree, "an event is missing")) }
}

fn agree(core: &Core, room: &Room, tree: TreeId, expected: u64) -> Result<(), Fault> {
    let mut rows = 0;
    for row in core.trees.get(tree).scan_prefix(number_key(room.number)) {
        row?;
        rows += 1;
    }
    if rows == expected { Ok(()) } else { Err(Fault::damaged(tree, &format!("{rows} instead of {expected} rows"))) }
}
