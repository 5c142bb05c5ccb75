//! Whether the indexes agree: asked when the log was found in a suspect state, and by tests.
//!
//! Every tree is walked once in its own order and nothing is opened, so it costs some seconds for a million messages.
//! That two trees name the same events is shown by equal counts and equal sums of hashes of what they name. Small
//! values and remarks are not covered: nothing else says what they should be.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::directory::Room;
use crate::fault::Fault;
use crate::log::Reader;
use crate::opening::Core;
use crate::rows::LogKind;
use crate::schema::{TreeId, number_key};
use crate::value::Place;

/// A set of rows: how many, and the sum of their hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    count: u64,
    sum: u64,
}

impl Tally {
    fn add(&mut self, row: &[u8]) {
        let mut hasher = DefaultHasher::new();
        row.hash(&mut hasher);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// Checks every room: each log without gaps up to its tip; the same events in the logs, the ids and the timeline or
/// the control rows.
pub(crate) fn audit(core: &Core) -> Result<(), Fault> {
    core.directory.rooms().iter().try_for_each(|room| audit_room(core, room))
}

fn audit_room(core: &Core, room: &Room) -> Result<(), Fault> {
    let (mut messages, mut control) = (Tally::default(), Tally::default());
    for ((kind, author), last) in room.logs(&core.trees, &core.sealer, |logs| logs.tips.clone())? {
        let tally = if kind == LogKind::Message { &mut messages } else { &mut control };
        let mut log = Reader::new(room.number, kind, author);
        for seq in 1..=last.seq {
            match kind {
                LogKind::Control => tally.add(&log.control(core, seq)?.to_be_bytes()),
                LogKind::Message => tally.add(&log.message(core, seq)?.to_bytes()),
            }
        }
    }
    let (mut named_messages, mut named_control) = (Tally::default(), Tally::default());
    for row in core.trees.get(TreeId::Ids).scan_prefix(number_key(room.number)) {
        let (_, place) = row?;
        match Place::parse(&place)? {
            Place::Message(_) => named_messages.add(&place[1..]),
            Place::Control(_) => named_control.add(&place[1..]),
        }
    }
    agree(TreeId::Ids, named_messages, messages)?;
    agree(TreeId::Ids, named_control, control)?;
    agree(TreeId::Timeline, keys(core, room, &[TreeId::Timeline, TreeId::Asides])?, messages)?;
    agree(TreeId::Control, keys(core, room, &[TreeId::Control])?, control)
}

/// The keys of these trees in a room, without the room.
fn keys(core: &Core, room: &Room, trees: &[TreeId]) -> Result<Tally, Fault> {
    let mut tally = Tally::default();
    for tree in trees {
        for row in core.trees.get(*tree).scan_prefix(number_key(room.number)) {
            tally.add(row?.0.get(4..).unwrap_or_default());
        }
    }
    Ok(tally)
}

fn agree(tree: TreeId, found: Tally, expected: Tally) -> Result<(), Fault> {
    if found == expected {
        return Ok(());
    }
    Err(Fault::damaged(tree, &format!("{} rows that should be {}, or others", found.count, expected.count)))
}
